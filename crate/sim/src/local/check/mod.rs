//! The promises, each looked at from outside.

pub mod commits;
mod convergence;
mod links;
mod log;
mod receipts;
mod sessions;
mod waits;
