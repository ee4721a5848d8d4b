//! Messages between the clients of this node, such as those that set up a connection between two browsers. They are passed
//! on and forgotten: one that cannot be passed on is lost, and whoever sends such messages repeats them.
//!
//! A node knows its own clients only. In a group, those of other members are not reached.

use super::Node;
use crate::error::{Code, Error};
use crate::frame::NodeFrame;
use crate::ids::{ConnId, Millis, Origin};
use crate::limits::SIGNALS_BYTES_PER_SECOND;
use std::rc::Rc;

/// What one connection has had passed on in the second that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signalled {
    second: u64,
    bytes: usize,
}

impl Signalled {
    /// Whether it may have something passed on: what is under the limit when it begins may end above it, or no message
    /// would reach all of a great many.
    fn begin(&mut self, now: Millis) -> bool {
        let second = now.0 / 1000;
        if self.second != second {
            *self = Self { second, bytes: 0 };
        }
        self.bytes < SIGNALS_BYTES_PER_SECOND
    }
}

impl Node {
    pub(super) fn signal(&mut self, conn: ConnId, to: Origin, bytes: Vec<u8>, now: Millis) -> Result<(), Error> {
        let state = self.conn(conn);
        let from = state.origin;
        if from == Origin(0) {
            // It said hello to a version of this node that did not keep the origin over hibernation, or named none.
            return Err(Error::new(Code::Resume, "the node does not know this connection's origin; reconnect"));
        }
        if !state.signalled.begin(now) {
            return Ok(());
        }
        let is_meant = |other: Origin| if to == Origin(0) { other != from } else { other == to };
        let conns = self.conns.iter().filter(|(_, other)| other.is_greeted && is_meant(other.origin));
        let receivers: Vec<ConnId> = conns.map(|(conn, _)| *conn).collect();
        let frame: Rc<[u8]> = NodeFrame::Signal { from, bytes }.encode().into();
        self.conn(conn).signalled.bytes += frame.len() * receivers.len();
        for conn in receivers {
            self.send_bytes(conn, frame.clone());
        }
        Ok(())
    }
}
