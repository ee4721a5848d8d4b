//! Replicas that wait for a write concern of their own: a number of members, or named ones. It is met when those members
//! hold the write, and never turns into a weaker one.

use super::Node;
use crate::error::{Code, Error};
use crate::frame::NodeFrame;
use crate::group::Concern;
use crate::ids::{ConnId, Origin, Seq};
use crate::limits::BARRIERS_PER_CONNECTION_MAX;

/// Somebody who waits.
pub(super) struct Awaiting {
    conn: ConnId,
    id: u64,
    origin: Origin,
    seq: Seq,
    concern: Concern,
}

impl Node {
    pub(super) fn await_concern(&mut self, conn: ConnId, id: u64, origin: Origin, seq: Seq, concern: Concern) {
        let of_conn = self.awaiting.iter().filter(|awaiting| awaiting.conn == conn).count();
        let result = if of_conn >= BARRIERS_PER_CONNECTION_MAX {
            Err(Error::new(Code::Busy, "too many others wait for a concern; ask again when some have ended"))
        } else {
            self.check_concern(&concern)
        };
        match result {
            Err(error) => self.send(conn, &NodeFrame::Failed { id, error }),
            Ok(()) => {
                self.awaiting.push(Awaiting { conn, id, origin, seq, concern });
                self.answer_concerns();
            }
        }
    }

    pub(super) fn forget_concern(&mut self, conn: ConnId, id: Option<u64>) {
        self.awaiting.retain(|awaiting| awaiting.conn != conn || id.is_some_and(|id| awaiting.id != id));
    }

    pub(super) fn answer_concerns(&mut self) {
        if self.awaiting.is_empty() {
            return;
        }
        for awaiting in std::mem::take(&mut self.awaiting) {
            if self.is_concern_met(&awaiting) {
                let frontier = self.visible.clone();
                self.send(awaiting.conn, &NodeFrame::Reached { id: awaiting.id, frontier });
            } else {
                self.awaiting.push(awaiting);
            }
        }
    }

    fn is_concern_met(&self, Awaiting { origin, seq, concern, .. }: &Awaiting) -> bool {
        self.origins
            .get(*origin)
            .filter(|place| place.seq >= *seq)
            .is_some_and(|place| place.lsn <= self.reached(concern, place.epoch))
    }
}
