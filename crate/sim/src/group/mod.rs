//! Worlds of groups: members with disks and clocks, calls between them, a lease store, replicas as clients.
//!
//! Beside the world of a single node, and made like it: a seed derives a plan, the plan a run; first faults, then
//! healing; and a checker for each promise. Here updates are opaque: each is the number of its write, and a document is
//! the set of those that were applied to it, so that what anybody is shown is known exactly.

pub mod bug;
mod calls;
mod check;
mod client;
pub mod coverage;
pub(crate) mod drive;
mod fault;
mod heal;
mod lease;
mod link;
mod member;
mod operator;
pub(crate) mod oracle;
pub mod plan;
pub mod report;
pub mod run;
mod sabotage;
mod session;
mod step;
pub mod suite;
pub mod tally;
mod timeline;
mod world;
