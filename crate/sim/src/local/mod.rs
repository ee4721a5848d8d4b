//! Worlds of tabs and peers: devices whose tabs share a storage, a channel and a lock; ports between devices; and a leader
//! that some of them have.
//!
//! The third world, made like the others: a seed derives a plan, the plan a run; first faults, then healing; and a checker
//! for each promise. Updates are opaque, as in worlds of groups: a document is the set of writes that were applied to it.

pub mod bug;
mod channel;
mod check;
pub mod coverage;
mod edge;
mod fault;
mod heal;
mod oracle;
mod peer;
pub mod plan;
mod probe;
pub mod report;
pub mod run;
mod sabotage;
mod session;
mod step;
mod storage;
pub mod suite;
mod tab;
mod world;
