//! The log and its group commit: writes gather while a commit is under way, then share the next one.
//!
//! What arrives together becomes one row and one commit. There is no timer: the first write after a silence is
//! committed at the next drain, and whatever comes during that commit is the next group.

use super::load;
use super::origins::Place;
use super::{Node, Output};
use crate::batch::{Batch, Write};
use crate::frame::NodeFrame;
use crate::frontier::Frontier;
use crate::ids::{ConnId, DocName, Epoch, Lsn, Origin, Seq, Token};
use crate::limits::{BATCH_BYTES_TARGET, BATCH_WRITES_MAX, CHECKPOINT_ROWS};
use crate::segment::Segment;
use crate::sorted::Map;
use crate::stage::Stage;
use crate::store::{self, StoreOp, Table};
use std::rc::Rc;

const FENCE: &str = "fence";

#[derive(Default)]
pub(super) struct Log {
    pub(super) epoch: Epoch,
    /// The last committed entry.
    pub(super) end: Lsn,
    /// The last entry with an LSN, committed or not.
    assigned: Lsn,
    gathering: Vec<Write>,
    gathered_bytes: usize,
    committing: Option<(Token, Vec<Segment>)>,
    pub(super) rows_since_checkpoint: u64,
    pub(super) rows_committed: u64,
    pub(super) entries_committed: u64,
}

impl Log {
    /// The log ends at `lsn` in storage.
    pub(super) fn resume_at(&mut self, lsn: Lsn) {
        self.end = lsn;
        self.assigned = lsn;
    }

    /// Gives a write its LSN and a place in the next commit.
    pub(super) fn gather(&mut self, write: Write) -> Lsn {
        self.gathered_bytes += write.weight();
        self.gathering.push(write);
        self.assigned = self.assigned.next();
        self.assigned
    }

    pub(super) fn gathered_bytes(&self) -> usize {
        self.gathered_bytes
    }

    // Cuts what has gathered into rows. A row is closed when the next write would take it over the target.
    fn cut(&mut self) -> Vec<Segment> {
        let mut first = Lsn(self.assigned.0 + 1 - self.gathering.len() as u64);
        let mut segments: Vec<Segment> = Vec::new();
        let mut weight = usize::MAX;
        self.gathered_bytes = 0;
        for write in std::mem::take(&mut self.gathering) {
            let fits = weight.saturating_add(write.weight()) <= BATCH_BYTES_TARGET;
            match segments.last_mut() {
                Some(segment) if fits && segment.batch.writes.len() < BATCH_WRITES_MAX => {
                    weight += write.weight();
                    segment.batch.writes.push(write);
                }
                _ => {
                    weight = write.weight();
                    segments.push(Segment { epoch: self.epoch, first, batch: Batch { writes: vec![write] } });
                }
            }
            first = first.next();
        }
        segments
    }
}

impl Node {
    /// Starts a commit if none is under way and there is something to commit or to prove.
    pub(super) fn begin_commit(&mut self) {
        if self.log.committing.is_some() || (self.log.gathering.is_empty() && !self.waiters.wants_proof()) {
            return;
        }
        let token = self.token();
        let segments = self.log.cut();
        let mut ops: Vec<StoreOp> = segments.iter().map(row).collect();
        self.log.rows_since_checkpoint += segments.len() as u64;
        if self.log.rows_since_checkpoint >= CHECKPOINT_ROWS {
            self.log.rows_since_checkpoint = 0;
            ops.extend(load::checkpoint(self, self.log.assigned));
        }
        if self.waiters.begin_proof(token) && ops.is_empty() {
            // One row written, so that the platform refuses an instance that is no longer the one in charge.
            let value = self.log.end.0.to_be_bytes().to_vec();
            ops.push(StoreOp::Put { table: Table::Meta, key: store::meta_key(FENCE), value });
        }
        self.log.committing = Some((token, segments));
        self.outputs.push_back(Output::Persist { token, ops });
    }

    /// The commit is durable: now, and not before, everybody may know of it.
    pub(super) fn committed(&mut self, token: Token) {
        let Some((_, segments)) = self.log.committing.take_if(|(committing, _)| *committing == token) else {
            return;
        };
        for segment in segments {
            self.log.end = segment.last();
            self.log.rows_committed += 1;
            self.log.entries_committed += segment.batch.writes.len() as u64;
            self.broadcast(&segment);
            self.acknowledge_all(&segment);
        }
        self.waiters.proved(token);
        self.answer_waiters();
        self.advance_catch_ups();
    }

    // To each replica what concerns it. The frame for a replica that follows everything in it is encoded once.
    fn broadcast(&mut self, segment: &Segment) {
        let (epoch, through) = (segment.epoch, segment.last());
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
                    continue; // The next frame that it does get tells it how far the stream has come.
                }
                encode(batch)
            };
            state.sent = through;
            self.outputs.push_back(Output::Send { conn: *conn, bytes });
        }
    }

    fn acknowledge_all(&mut self, segment: &Segment) {
        let mut last: Map<Origin, (Seq, Lsn)> = Map::default();
        for (place, write) in segment.batch.writes.iter().enumerate() {
            last.insert(write.origin, (write.seq, Lsn(segment.first.0 + place as u64)));
        }
        for (origin, (seq, lsn)) in last {
            let owners: Vec<ConnId> =
                self.conns.iter().filter(|(_, state)| state.own.contains_key(&origin)).map(|(conn, _)| *conn).collect();
            owners.into_iter().for_each(|conn| self.acknowledge(conn, origin, seq, segment.epoch, lsn));
        }
    }

    /// Tells a replica that its writes up to `seq` are committed. One voter is its own quorum.
    pub(super) fn acknowledge(&mut self, conn: ConnId, origin: Origin, seq: Seq, epoch: Epoch, lsn: Lsn) {
        let through = self.log.end;
        self.conn(conn).sent = through;
        self.send(conn, &NodeFrame::Ack { origin, seq, stage: Stage::All, epoch, lsn, through });
    }

    pub(super) fn is_committed(&self, place: Place) -> bool {
        place.epoch < self.log.epoch || place.lsn <= self.log.end
    }

    /// Tells a replica how far the live stream has come, if it does not know.
    pub(super) fn tell_through(&mut self, conn: ConnId) {
        let (epoch, through) = (self.log.epoch, self.log.end);
        if self.conn(conn).sent < through {
            self.conn(conn).sent = through;
            self.send(conn, &NodeFrame::Entries { group: 0, epoch, through, batch: Batch::default() });
        }
    }

    /// Where in the log everything that `frontier` names stands, committed or about to be; nothing while a write that
    /// it names has not arrived, and an error if a place that it names can never be reached.
    pub(super) fn place_of(&self, frontier: &Frontier) -> Result<Option<Lsn>, crate::error::Error> {
        if !self.frontier().dominates_epochs(frontier) {
            return Err(crate::error::Error::new(
                crate::error::Code::BookmarkLost,
                "the bookmark names log entries that the leader does not have; they were lost or are of another leader",
            ));
        }
        let mut farthest = frontier.lsn(self.log.epoch);
        for (origin, seq) in frontier.origins() {
            match self.origins.get(origin).filter(|place| place.seq >= seq) {
                Some(place) if place.epoch == self.log.epoch => farthest = farthest.max(place.lsn),
                Some(_) => {} // In a log that was sealed before this one began.
                None => return Ok(None),
            }
        }
        Ok(Some(farthest))
    }
}

fn row(segment: &Segment) -> StoreOp {
    StoreOp::Put { table: Table::Log, key: store::log_key(segment.epoch, segment.last()), value: segment.to_bytes() }
}
