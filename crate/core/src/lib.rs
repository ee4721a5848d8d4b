//! The replication core of Headwater: what a replica, a node and a session decide, and nothing of how it is done.
//!
//! Every type here that *does* something is a state machine in the sans-io manner: `handle(input, now)` changes the
//! state once, then `poll()` is drained until it is empty, and `next_timeout()` says when to call again. Storage,
//! sockets, timers and peers are inputs and outputs; the same machines run in a browser, in a Durable Object and in
//! the simulator.
//!
//! This crate deliberately knows no clock, randomness, I/O, async runtime, JavaScript or CRDT: time and random numbers
//! are passed in, updates are opaque bytes.
//!
//! ```
//! use headwater_core::{Bookmark, Epoch, Frontier, Generation, Lsn};
//!
//! // A database is a set of logs; a frontier says how far one holds each of them.
//! let mut written = Frontier::default();
//! written.advance_epoch(Epoch(1), Lsn(7));
//! // A bookmark carries a frontier as text that fits into a URL, a header or a cookie.
//! let text = Bookmark::new(Generation(42), written.clone()).to_string();
//! let read: Bookmark = text.parse().unwrap();
//! assert!(read.frontier.dominates(&written));
//! ```

pub mod backoff;
pub mod batch;
pub mod bookmark;
#[cfg(feature = "bugs")]
pub mod bugs;
pub mod checksum;
pub mod error;
pub mod files;
pub mod frame;
pub mod frontier;
pub mod group;
pub mod ids;
pub mod limits;
pub mod node;
pub mod replica;
pub mod segment;
pub mod session;
pub mod sorted;
pub mod stage;
pub mod store;
pub mod wire;

pub use batch::{Batch, Part, Write};
pub use bookmark::Bookmark;
pub use error::{Code, Error};
pub use frontier::Frontier;
pub use ids::{ConnId, DocName, Epoch, Generation, Lsn, Millis, Origin, Seq, Token};
pub use segment::Segment;
pub use stage::Stage;
