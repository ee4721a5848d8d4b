//! The checkers: each promise in a file of its own, each run on every seed.

mod convergence;
mod durability;
mod epochs;
mod logs;
mod promises;
mod quorum;
mod receipts;
mod sessions;
mod silence;
mod waits;
