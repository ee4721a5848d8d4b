//! A replication group: who belongs to it, who leads, and how many must hold a write before it counts.
//!
//! The arithmetic of `docs/group.md`, as plain values: the coordinator's record and its transitions, the write concern,
//! the sealing of an epoch. Nothing here sends or stores anything, so that each rule can be checked alone.

pub mod concern;
pub mod member;
mod multi;
pub mod record;
pub mod seal;
pub mod settings;
mod text;

pub use concern::Concern;
pub use member::{Member, MemberName, Role};
pub use record::{Lead, Record, Refusal, State};
pub use seal::Seal;
pub use settings::{GroupConfig, Minority, Settings, Topology};
