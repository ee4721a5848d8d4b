//! What clients are shown: everything that a quorum holds, and nothing beyond, so that no failover takes it back
//! (`docs/decisions/0005`). Entries go to the live streams when they become visible, in the order of their log.

use super::catch_up::Reader;
use super::conn::Conn;
use super::{Node, Output};
use crate::batch::{Batch, Write};
use crate::frame::NodeFrame;
use crate::frontier::Frontier;
use crate::ids::{ConnId, DocName, Epoch, Lsn};
use crate::segment::Segment;
use std::collections::BTreeMap;
use std::rc::Rc;

/// How many bytes of entries are kept in memory until they become visible. What does not fit is read back.
const RECENT_BYTES_MAX: usize = 8 << 20;

/// Committed entries that are not visible yet, as far as they fit.
#[derive(Default)]
pub(super) struct Recent {
    segments: BTreeMap<(Epoch, Lsn), Segment>,
    bytes: usize,
}

impl Recent {
    pub(super) fn insert(&mut self, segment: Segment) {
        let weight = segment.batch.weight();
        if self.bytes + weight <= RECENT_BYTES_MAX {
            let before = self.segments.insert((segment.epoch, segment.first), segment);
            self.bytes += weight - before.map_or(0, |segment| segment.batch.weight());
        }
    }

    fn take(&mut self, epoch: Epoch, first: Lsn) -> Option<Segment> {
        let segment = self.segments.remove(&(epoch, first))?;
        self.bytes -= segment.batch.weight();
        Some(segment)
    }

    // Forgets what nobody has to be sent any more.
    fn forget(&mut self, epoch: Epoch, through: Lsn) {
        while let Some(first) = self.segments.range((epoch, Lsn(0))..=(epoch, through)).next().map(|(key, _)| key.1) {
            self.take(epoch, first);
        }
    }
}

impl Node {
    /// Sends to the live streams what has become visible.
    pub(super) fn advance_visible(&mut self) {
        let target = self.showable();
        let is_watched = self.conns.values().any(|conn| !conn.live.is_empty());
        for (epoch, end) in target.epochs() {
            while self.visible.lsn(epoch) < end {
                if !is_watched {
                    self.visible.advance_epoch(epoch, end);
                    self.recent.forget(epoch, end);
                    continue;
                }
                let at = self.visible.lsn(epoch);
                match self.recent.take(epoch, at.next()) {
                    Some(segment) => self.broadcast(&segment),
                    None if self.is_reading_live => return,
                    None => {
                        self.is_reading_live = true;
                        return self.read_log_after(epoch, at, Reader::Live);
                    }
                }
            }
        }
    }

    /// Rows that became visible and were no longer in memory.
    pub(super) fn show_page(&mut self, segments: Vec<Segment>) {
        self.is_reading_live = false;
        let target = self.showable();
        for segment in segments {
            let follows = self.visible.lsn(segment.epoch).next() == segment.first;
            if follows && segment.last() <= target.lsn(segment.epoch) {
                self.broadcast(&segment);
            }
        }
        self.progress();
    }

    // To each replica what concerns it. The frame for a replica that follows everything in it is encoded once.
    fn broadcast(&mut self, segment: &Segment) {
        let (epoch, through) = (segment.epoch, segment.last());
        self.visible.advance_epoch(epoch, through);
        let encode =
            |batch: Batch| -> Rc<[u8]> { NodeFrame::Entries { group: 0, epoch, through, batch }.encode().into() };
        let mut whole: Option<Rc<[u8]>> = None;
        for (conn, state) in self.conns.iter_mut() {
            let wants = |write: &Write, doc: &DocName| state.live.contains(doc) && !state.has_pushed(write);
            let parts =
                || segment.batch.writes.iter().flat_map(|write| write.parts.iter().map(move |part| (write, part)));
            let bytes = if parts().all(|(write, part)| wants(write, &part.doc)) {
                whole.get_or_insert_with(|| encode(segment.batch.clone())).clone()
            } else {
                let batch = segment.batch.filtered(wants);
                if batch.writes.is_empty() {
                    // Its own writes: an acknowledgement tells it, if it was not told of them before.
                    state.is_untold |= segment.batch.writes.iter().any(|write| state.has_pushed(write));
                    continue; // The next frame that it does get tells it how far the stream has come.
                }
                encode(batch)
            };
            state.sent.advance_epoch(epoch, through);
            self.outputs.push_back(Output::Send { conn: *conn, bytes });
        }
    }

    /// Tells those whose own writes have become visible, and who have not heard of it with an acknowledgement.
    pub(super) fn tell_untold(&mut self) {
        let untold = |(conn, state): (&ConnId, &mut Conn)| std::mem::take(&mut state.is_untold).then_some(*conn);
        let untold: Vec<ConnId> = self.conns.iter_mut().filter_map(untold).collect();
        untold.into_iter().for_each(|conn| self.tell_through(conn));
    }

    /// Tells a replica how far the live stream has come, if it does not know.
    pub(super) fn tell_through(&mut self, conn: ConnId) {
        let untold: Vec<(Epoch, Lsn)> = {
            let sent = &self.conns.get(&conn).expect("callers look a connection up before they work on it").sent;
            self.visible.epochs().filter(|(epoch, lsn)| sent.lsn(*epoch) < *lsn).collect()
        };
        for (epoch, through) in untold {
            self.conn(conn).sent.advance_epoch(epoch, through);
            self.send(conn, &NodeFrame::Entries { group: 0, epoch, through, batch: Batch::default() });
        }
    }

    /// What the node shows its clients.
    pub fn frontier(&self) -> Frontier {
        self.visible.clone()
    }
}
