//! The wasm-bindgen surface of Headwater: replicas, nodes, documents and bookmarks for JavaScript hosts.
//!
//! One instance serves one database, so that a trap in one costs no other. Nothing here calls JavaScript back: hosts
//! pass inputs in and execute the effects that `poll` answers, so no borrow is held while user code runs.

mod bookmark;
mod doc;
mod effect;
mod group;
mod host;
mod node;
mod replica;
mod status;
mod value;

pub use bookmark::*;
pub use doc::DocHandle;
pub use node::Node;
pub use replica::Replica;
