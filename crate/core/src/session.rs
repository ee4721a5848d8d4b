//! A session: the scope in which a client's reads and writes keep their order.
//!
//! It is one frontier, what the session must never read behind. What it reads and writes raises it. From that the four
//! guarantees follow (Terry et al., "Session Guarantees for Weakly Consistent Replicated Data", 1994):
//! read-your-writes and monotonic reads, because a read waits for the frontier; monotonic writes and
//! writes-follow-reads, because an origin's writes enter the leader's log in order and after everything the origin has
//! read from that log.

use crate::bookmark::{self, Bookmark};
use crate::error::Error;
use crate::frontier::Frontier;
use crate::ids::{Generation, Millis, Origin};

/// What a read asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Whatever is here.
    Eventual,
    /// Everything the session has written and read.
    Session,
    /// What the leader held at most that long ago.
    MaxStaleness(Millis),
    /// Everything acknowledged before the read began.
    Strong,
}

/// What a session must not read behind.
#[derive(Clone, Debug, Default)]
pub struct Session {
    seen: Bookmark,
}

impl Session {
    /// A session that goes on where `from` was taken.
    pub fn new(from: Bookmark) -> Self {
        Self { seen: from }
    }

    /// What a read at level `session` waits for.
    pub fn required(&self) -> &Frontier {
        &self.seen.frontier
    }

    /// Refuses to read from another database than the session's.
    pub fn check(&self, generation: Generation) -> Result<(), Error> {
        if self.seen.is_comparable(generation) { Ok(()) } else { Err(bookmark::foreign()) }
    }

    /// The session has seen this much.
    pub fn observe(&mut self, generation: Generation, frontier: &Frontier) {
        self.seen.generation = self.seen.generation.max(generation);
        self.seen.frontier.join(frontier);
    }

    /// The leader's log up to `frontier` covers everything the session has seen of these origins.
    pub fn resolve(&mut self, origins: impl Iterator<Item = Origin>, frontier: &Frontier) {
        origins.for_each(|origin| self.seen.frontier.drop_origin(origin));
        self.seen.frontier.join(&frontier.epochs_only());
    }

    /// The session's bookmark.
    pub fn bookmark(&self) -> Bookmark {
        self.seen.clone()
    }
}
