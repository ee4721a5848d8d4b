//! What the core promises, a file for each behaviour. Machines are joined in memory by `common`.

mod addresses;
mod behind;
mod bookmarks;
mod catch_up;
mod codec;
mod commit;
mod common;
mod concerns;
mod converge;
mod failover;
mod golden;
mod group;
mod handshake;
mod hibernation;
mod hostile;
mod keepalive;
mod lattice;
mod outbox;
mod protocol_doc;
mod reads;
mod rejection;
mod reset;
mod samples;
mod storage;
mod tabs;
mod waits;
