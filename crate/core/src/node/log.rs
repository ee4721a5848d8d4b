//! The log and its group commit: writes gather while a commit is under way, then share the next one.
//!
//! What arrives together becomes one row and one commit. There is no timer: the first write after a silence is
//! committed at the next drain, and whatever comes during that commit is the next group.

use super::group::Group;
use super::load;
use super::origins::Place;
use super::{Node, Output};
use crate::batch::{Batch, Write};
use crate::frontier::Frontier;
use crate::ids::{Epoch, Lsn, Millis, Token};
use crate::limits::{BATCH_BYTES_TARGET, BATCH_WRITES_MAX};
use crate::segment::Segment;
use crate::store::{self, StoreOp, Table};

/// The weight of a row that counts as one.
const CHECKPOINT_ROW_BYTES: usize = 4 << 10;
const FENCE: &str = "fence";

#[derive(Default)]
pub(super) struct Log {
    /// The epoch that this node appends to if it leads.
    pub(super) epoch: Epoch,
    /// What is committed here, of every epoch.
    pub(super) held: Frontier,
    /// The last entry of `epoch` with an LSN, committed or not.
    assigned: Lsn,
    /// Writes for the next commit, and where their origins stood before.
    gathering: Vec<(Write, Option<Place>)>,
    gathered_bytes: usize,
    committing: Option<(Token, Vec<Segment>)>,
    /// What the next start need not read, and what it will not have to once the commit under way is done.
    pub(super) checkpointed: Frontier,
    pub(super) checkpointing: Option<Frontier>,
    pub(super) rows_since_checkpoint: u64,
    pub(super) rows_committed: u64,
    pub(super) entries_committed: u64,
}

impl Log {
    /// The last committed entry of the epoch.
    pub(super) fn end(&self) -> Lsn {
        self.held.lsn(self.epoch)
    }

    /// From here on, entries are appended to that epoch's log.
    pub(super) fn begin_epoch(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.assigned = self.end();
    }

    pub(super) fn is_committing(&self) -> bool {
        self.committing.is_some()
    }

    pub(super) fn is_gathering(&self) -> bool {
        !self.gathering.is_empty()
    }

    /// Gives a write its LSN and a place in the next commit.
    pub(super) fn gather(&mut self, write: Write, before: Option<Place>) -> Lsn {
        self.gathered_bytes += write.weight();
        self.gathering.push((write, before));
        self.assigned = self.assigned.next();
        self.assigned
    }

    /// Gives up what has gathered; answers where its origins stood before, the last write first.
    pub(super) fn drop_gathered(&mut self) -> Vec<(Write, Option<Place>)> {
        self.gathered_bytes = 0;
        self.assigned = Lsn(self.assigned.0 - self.gathering.len() as u64);
        let mut dropped = std::mem::take(&mut self.gathering);
        dropped.reverse();
        dropped
    }

    pub(super) fn gathered_bytes(&self) -> usize {
        self.gathered_bytes
    }

    /// Rows come into storage; whether it is time for a checkpoint along with them. The origin table knows writes as soon as
    /// they gather: stored before they are, it would take their repeats for done.
    pub(super) fn is_checkpoint_due(&mut self, segments: &[Segment], rows_max: u64) -> bool {
        // A heavy row counts as several: what is kept of the log is bounded in bytes as well.
        let rows = segments.iter().map(|segment| 1 + segment.batch.weight() / CHECKPOINT_ROW_BYTES);
        self.rows_since_checkpoint += rows.sum::<usize>() as u64;
        let is_due = self.rows_since_checkpoint >= rows_max && !self.is_gathering();
        if is_due {
            self.rows_since_checkpoint = 0;
        }
        is_due
    }

    // Cuts what has gathered into rows. A row is closed when the next write would take it over the target.
    fn cut(&mut self) -> Vec<Segment> {
        let mut first = Lsn(self.assigned.0 + 1 - self.gathering.len() as u64);
        let mut segments: Vec<Segment> = Vec::new();
        let mut weight = usize::MAX;
        self.gathered_bytes = 0;
        for (write, before) in std::mem::take(&mut self.gathering) {
            let fits = weight.saturating_add(write.weight()) <= BATCH_BYTES_TARGET;
            let is_next = before.is_none_or(|before| before.seq < write.seq);
            match segments.last_mut() {
                Some(segment)
                    if fits
                        && segment.batch.writes.len() < BATCH_WRITES_MAX
                        && (is_next || segment.batch.takes(&write)) =>
                {
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
        if self.log.is_committing() || !self.is_leading() {
            return;
        }
        let takes_writes = self.log.is_gathering() && self.takes_writes();
        if !takes_writes && !self.waiters.wants_proof() {
            return;
        }
        let token = self.token();
        let segments = if takes_writes { self.log.cut() } else { Vec::new() };
        let mut ops: Vec<StoreOp> = segments.iter().map(|segment| row(segment, segment.to_bytes())).collect();
        if !segments.is_empty() {
            ops.extend(self.cut_row());
            ops.extend(self.mark());
        }
        if self.log.is_checkpoint_due(&segments, self.config.retention.checkpoint_rows) {
            ops.extend(load::checkpoint(self));
        }
        let round = self.next_round();
        if self.waiters.begin_proof(token, round) && ops.is_empty() {
            // One row written, so that the platform refuses an instance that is no longer the one in charge.
            let value = self.log.end().0.to_be_bytes().to_vec();
            ops.push(StoreOp::Put { table: Table::Meta, key: store::meta_key(FENCE), value });
        }
        self.log.committing = Some((token, segments));
        self.outputs.push_back(Output::Persist { token, ops });
    }

    /// The commit is durable: now, and not before, anybody may know of it.
    pub(super) fn committed(&mut self, token: Token) {
        if self.compaction_stored(token) {
            return;
        }
        if let Some(checkpointed) = self.log.checkpointing.take() {
            self.log.checkpointed = checkpointed;
        }
        let Some((_, segments)) = self.log.committing.take_if(|(committing, _)| *committing == token) else {
            return self.stored(token);
        };
        for segment in segments {
            self.log.held.advance_epoch(segment.epoch, segment.last());
            self.log.rows_committed += 1;
            self.log.entries_committed += segment.batch.writes.len() as u64;
            let now = self.group.as_ref().map_or(Millis(0), Group::now);
            self.growth.grew(segment.last(), segment.batch.weight(), now);
            self.log_grew(1, segment.batch.weight());
            self.expect_acks(&segment);
            self.recent.insert(segment);
        }
        self.waiters.committed(token);
        self.progress();
    }

    /// More is durable here or elsewhere: whoever waits for that hears of it.
    pub(super) fn progress(&mut self) {
        self.count_holders();
        self.close_cuts();
        self.advance_visible();
        self.send_acks();
        self.tell_untold();
        self.answer_waiters();
        self.answer_concerns();
        self.advance_catch_ups();
        self.advance_group();
    }
}

/// The change that stores a row of the log.
pub(super) fn row(segment: &Segment, value: Vec<u8>) -> StoreOp {
    StoreOp::Put { table: Table::Log, key: store::log_key(segment.epoch, segment.last()), value }
}
