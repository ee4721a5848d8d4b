//! A node as a member of a group.

pub mod message;
