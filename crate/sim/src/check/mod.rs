//! The checkers: each promise in a file of its own, each run on every seed.

mod blocked;
mod convergence;
mod durability;
mod effects;
pub mod leaders;
mod pending;
mod receipts;
mod sessions;
mod staleness;
pub mod strong;
mod waits;
