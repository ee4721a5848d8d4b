//! The wasm-bindgen surface of Headwater: replicas, nodes, documents and bookmarks for JavaScript hosts.
//!
//! The features `replica` and `node` choose what is in it: two modules ship, and neither carries the other's code.
//!
//! One instance serves one database, so that a trap in one costs no other. Nothing here calls JavaScript back: hosts
//! pass inputs in and execute the effects that `poll` answers, so no borrow is held while user code runs.

mod effect;
mod host;

#[cfg(feature = "replica")]
mod bookmark;
#[cfg(feature = "replica")]
mod doc;
#[cfg(feature = "replica")]
mod replica;
#[cfg(feature = "replica")]
mod value;

#[cfg(feature = "node")]
mod group;
#[cfg(feature = "node")]
mod merge;
#[cfg(feature = "node")]
mod node;
#[cfg(feature = "node")]
mod retention;
#[cfg(feature = "node")]
mod status;

#[cfg(feature = "replica")]
pub use {bookmark::*, doc::DocHandle, replica::Replica};

#[cfg(feature = "node")]
pub use node::Node;
