//! A deterministic simulator of whole clusters: devices with tabs, disks and clocks, a network, a node on its platform.
//!
//! A seed derives a plan, the plan a run: first faults, then healing, then everything must come to rest, equal. The
//! machines of `headwater-core` run unchanged, and every promise has a checker that looks on from outside.
//!
//! A run deliberately knows no real clock, no thread and no I/O: the same seed gives the same trace on every platform.

pub mod bits;
pub mod bug;
pub mod check;
pub mod clock;
pub mod coverage;
pub mod device;
pub mod disk;
pub mod edge;
mod fault;
pub mod group;
mod heal;
pub mod kept;
mod link;
pub mod local;
pub mod net;
pub mod oracle;
pub mod plan;
pub mod report;
pub mod retention;
pub mod rng;
pub mod run;
pub mod scenarios;
pub mod session;
pub mod shrink;
mod step;
pub mod suite;
pub mod table;
mod timeline;
pub mod trace;
pub mod world;
mod write;
