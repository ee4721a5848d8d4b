//! Deliberate bugs that no adapter could fake, for the simulator's checkers to find.
//!
//! Compiled with the feature `bugs` only, which no build that ships has, and off until a thread switches one on.

use std::cell::Cell;

/// A deliberate bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The leader appends a repeated write again.
    NoDedupe,
    /// What an earlier opening left behind is sent after this opening's writes.
    LanesOutOfOrder,
    /// What a peer has sent counts as stored before it is.
    PeerAcksEarly,
    /// A write that is known to have a place in the leader's log passes for one that is here.
    ResolvedByPlace,
}

thread_local! {
    static ON: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Switches one on for the machines of this thread, or all off.
pub fn switch(bug: Option<Bug>) {
    ON.set(bug);
}

pub(crate) fn is_on(bug: Bug) -> bool {
    ON.get() == Some(bug)
}
