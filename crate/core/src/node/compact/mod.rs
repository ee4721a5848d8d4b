//! How a node's storage stays small: the log is folded into runs of each document, old runs are squashed into a snapshot, and
//! what is folded and needed by nobody is trimmed off the log. `docs/storage.md` says what holds at every moment.
//!
//! One step at a time, each begun by a tick and not by the write that made it due: writes go before. It knows no documents:
//! whoever made the node passes in how updates are merged.

mod fold;
mod plan;
mod run;
mod squash;
mod sweep;

use super::{Node, Phase};
use crate::error::Error;
use crate::frontier::Frontier;
use crate::ids::{DocName, Lsn, Millis, Token};
use crate::limits::{CHECKPOINT_ROWS, SQUASHES_WAITING_MAX};
use crate::store::{self, Row, Scan, StoreOp, Table};
use crate::wire::{Reader, Writer};
use fold::Fold;
pub(super) use plan::{Plan, Run};
pub(super) use run::from_bytes as entries_of;
use squash::Squash;
pub(super) use squash::check;
use std::rc::Rc;
use sweep::Sweep;

/// The row that says how far storage is compacted.
pub(super) const COMPACTED: &str = "compacted";

/// Makes one update of many.
pub trait Merge {
    /// Takes updates in. One that cannot be taken in ends the merging.
    fn apply(&mut self, updates: &[Rc<[u8]>]) -> Result<(), String>;
    /// Everything that was taken in, without what was deleted in it.
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// How much is kept, and how much memory compaction may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How many rows of the log a start has to read at most.
    pub checkpoint_rows: u64,
    /// How many rows of the log are not folded at most.
    pub fold_rows: usize,
    /// What they weigh at most, in bytes.
    pub fold_bytes: usize,
    /// For how long a document can be read as it was.
    pub history: Millis,
    /// How many bytes of a document's newest updates are kept for that at most.
    pub history_bytes: usize,
    /// How many bytes of old updates make a new snapshot worth it.
    pub squash_bytes: usize,
    /// How many bytes of a document are merged at once at most; a document of more is kept as its runs.
    pub merge_bytes: usize,
    /// How many of the newest entries stay in the log, for those who were away for a moment: they get what they missed in the
    /// order in which it was written. Who lacks more gets what is kept of his documents.
    pub log_entries_min: u64,
    /// How many entries stay in the log for a member that is away; one that was away longer gets a copy.
    pub log_entries_max: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            checkpoint_rows: CHECKPOINT_ROWS,
            fold_rows: 256,
            fold_bytes: 256 << 10,
            history: Millis(24 * 60 * 60 * 1000),
            history_bytes: 1 << 20,
            squash_bytes: 32 << 10,
            merge_bytes: 4 << 20,
            log_entries_min: 256,
            log_entries_max: 1_000_000,
        }
    }
}

/// What compaction has done, for an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// The log is folded up to here.
    pub folded: Frontier,
    /// The log begins after this.
    pub trimmed: Frontier,
    /// Entries that are not folded yet.
    pub unfolded_entries: u64,
    /// Steps of each kind by this instance.
    pub folds: u64,
    /// See `folds`.
    pub squashes: u64,
    /// Documents that were given up on: too large to merge within the bound, or their updates do not apply.
    pub given_up: u64,
}

/// Where compaction stands.
#[derive(Default)]
pub(super) struct Compactor {
    pub(super) folded: Frontier,
    pub(super) trimmed: Frontier,
    /// The last number that was given among the contents.
    last_number: u64,
    /// What is not folded, as far as this instance knows.
    tail_rows: usize,
    tail_bytes: usize,
    /// What could be folded when the last page had nothing in it.
    stuck_at: Option<Frontier>,
    work: Work,
    /// What is waited for.
    scan: Option<Token>,
    commit: Option<Token>,
    due: Option<Millis>,
    /// Documents that have much to squash.
    wanted: Vec<DocName>,
    sweep_due: Option<Millis>,
    /// A sweep that a fold has interrupted.
    paused: Option<Sweep>,
    attempts: Vec<squash::Attempt>,
    folds: u64,
    squashes: u64,
    given_up: u64,
    /// A copy of another member's storage is arriving: what is kept here is not whole.
    pub(super) is_copying: bool,
}

#[derive(Default)]
enum Work {
    #[default]
    Nothing,
    Folding(Fold),
    Squashing(Squash),
    Sweeping(Sweep),
}

impl Compactor {
    /// Whether nothing of it is under way.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.work, Work::Nothing) && self.scan.is_none() && self.commit.is_none()
    }

    pub(super) fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Whether somebody who holds this much is better served with what is kept of documents than with the log.
    pub(super) fn is_far_ahead_of(&self, at: &Frontier, log_entries: u64) -> bool {
        !at.dominates_epochs(&self.trimmed) || self.folded.entries_beyond(at) > log_entries
    }
}

impl Node {
    /// Rows were committed here.
    pub(super) fn log_grew(&mut self, rows: usize, bytes: usize) {
        self.compactor.tail_rows += rows;
        self.compactor.tail_bytes += bytes;
    }

    /// The log has been read from the checkpoint on. What is before it and not folded counts as if each entry had a row.
    pub(super) fn count_unfolded(&mut self) {
        let entries = self.log.checkpointed.entries_beyond(&self.compactor.folded);
        self.compactor.tail_rows += usize::try_from(entries).unwrap_or(usize::MAX);
    }

    /// What nobody can take back any more, and everybody is shown.
    pub(super) fn foldable(&self) -> Frontier {
        match self.group {
            Some(_) => self.visible.meet(self.stable()).meet(&self.log.held),
            None => self.log.held.clone(),
        }
    }

    fn wants_fold(&self) -> bool {
        let Compactor { tail_rows, tail_bytes, stuck_at, .. } = &self.compactor;
        let retention = &self.config.retention;
        (*tail_rows >= retention.fold_rows || *tail_bytes >= retention.fold_bytes || self.must_fold())
            && stuck_at.as_ref().is_none_or(|at| *at != self.foldable())
    }

    /// When the next step is due.
    pub(super) fn compaction_timeout(&self) -> Option<Millis> {
        let compactor = &self.compactor;
        let is_pinned = compactor.is_copying || self.is_being_copied();
        let is_waiting = compactor.scan.is_some() || compactor.commit.is_some() || is_pinned;
        if is_waiting || !matches!(self.phase, Phase::Serving) {
            return None;
        }
        let is_begun = !matches!(compactor.work, Work::Nothing) || compactor.paused.is_some();
        let at_once = is_begun || !compactor.wanted.is_empty() || self.wants_fold();
        let due = compactor.due.unwrap_or_default();
        if at_once { Some(due) } else { compactor.sweep_due.map(|sweep_due| sweep_due.max(due)) }
    }

    /// Takes the next step if it is due.
    pub(super) fn compact(&mut self, now: Millis) {
        if self.compaction_timeout().is_none_or(|due| now < due) {
            return;
        }
        self.compactor.due = Some(now.after(PAUSE));
        match std::mem::take(&mut self.compactor.work) {
            Work::Nothing if self.wants_fold() => self.begin_fold(now),
            Work::Nothing => match self.compactor.wanted.pop() {
                Some(doc) => self.begin_squash(doc, now),
                None => self.begin_sweep(now),
            },
            Work::Squashing(squash) => self.squash_step(squash),
            // A sweep may be long, and the log must not wait for it.
            Work::Sweeping(sweep) if self.wants_fold() => {
                self.compactor.paused = Some(sweep);
                self.begin_fold(now);
            }
            Work::Sweeping(sweep) => self.sweep_step(sweep),
            work @ Work::Folding(_) => self.compactor.work = work,
        }
    }

    /// Rows that compaction has asked for; false if they are somebody else's.
    pub(super) fn compaction_scanned(&mut self, token: Token, rows: &[Row]) -> bool {
        if self.compactor.scan.take_if(|scan| *scan == token).is_none() {
            return false;
        }
        let result = match std::mem::take(&mut self.compactor.work) {
            Work::Nothing => Ok(()),
            Work::Folding(fold) => self.fold_read(fold, rows),
            Work::Squashing(squash) => self.squash_read(squash, rows),
            Work::Sweeping(sweep) => self.sweep_read(sweep, rows),
        };
        if let Err(error) = result {
            self.doubt_storage("storage does not read back", &error);
        }
        true
    }

    /// A commit of compaction is durable; false if it is somebody else's.
    pub(super) fn compaction_stored(&mut self, token: Token) -> bool {
        if self.compactor.commit.take_if(|commit| *commit == token).is_none() {
            return false;
        }
        match std::mem::take(&mut self.compactor.work) {
            Work::Folding(fold) => self.folded(fold),
            Work::Squashing(squash) => self.squash_stored(squash),
            Work::Nothing | Work::Sweeping(_) => {}
        }
        true
    }

    fn want_squash(&mut self, doc: DocName) -> bool {
        let wanted = &mut self.compactor.wanted;
        let is_known = wanted.contains(&doc);
        let has_room = wanted.len() < SQUASHES_WAITING_MAX;
        if !is_known && has_room {
            wanted.push(doc);
        }
        is_known || has_room
    }

    fn compaction_scan(&mut self, work: Work, scan: Scan) {
        let token = self.token();
        self.compactor.work = work;
        self.compactor.scan = Some(token);
        self.outputs.push_back(super::Output::Scan { token, scan });
    }

    fn compaction_commit(&mut self, work: Work, ops: Vec<StoreOp>) {
        let token = self.token();
        self.compactor.work = work;
        self.compactor.commit = Some(token);
        self.outputs.push_back(super::Output::Persist { token, ops });
    }

    /// The change that stores how far storage is compacted.
    pub(super) fn compacted_row(&self, folded: &Frontier, trimmed: &Frontier, last_number: u64) -> StoreOp {
        let mut value = Writer::default();
        value.byte(VERSION).uint(last_number).uint(self.compactor.sweep_due.unwrap_or_default().0);
        folded.encode(&mut value);
        trimmed.encode(&mut value);
        squash::encode_attempts(&mut value, &self.compactor.attempts);
        StoreOp::Put { table: Table::Meta, key: store::meta_key(COMPACTED), value: value.0 }
    }

    /// Reads what `compacted_row` wrote.
    pub(super) fn load_compacted(&mut self, value: &mut Reader<'_>) -> Result<(), Error> {
        if value.byte()? != VERSION {
            return Err(Error::malformed("the row of compaction is of a newer version; update the node"));
        }
        let compactor = &mut self.compactor;
        compactor.last_number = value.uint()?;
        compactor.sweep_due = Some(Millis(value.uint()?)).filter(|due| due.0 > 0);
        compactor.folded = Frontier::decode(value)?;
        compactor.trimmed = Frontier::decode(value)?;
        compactor.attempts = squash::decode_attempts(value)?;
        value.end()
    }

    /// Whether storage is compacted as far as this instance knows; anything else is another one's work.
    pub(super) fn is_compacted_so(&self, stored: &[u8]) -> bool {
        let mut value = Reader::new(stored);
        let mut read = || {
            let (_, last_number, _) = (value.byte()?, value.uint()?, value.uint()?);
            Ok::<_, Error>((last_number, Frontier::decode(&mut value)?, Frontier::decode(&mut value)?))
        };
        let Compactor { last_number, folded, trimmed, .. } = &self.compactor;
        read().is_ok_and(|stored| stored == (*last_number, folded.clone(), trimmed.clone()))
    }

    /// Figures for an operator.
    pub(super) fn compaction_status(&self) -> Compacted {
        let Compactor { folded, trimmed, folds, squashes, given_up, .. } = &self.compactor;
        Compacted {
            folded: folded.clone(),
            trimmed: trimmed.clone(),
            unfolded_entries: self.log.held.entries_beyond(folded),
            folds: *folds,
            squashes: *squashes,
            given_up: *given_up,
        }
    }

    /// How far the log can be trimmed once it is folded up to `folded`.
    fn trimmable(&self, folded: &Frontier) -> Frontier {
        let retention = &self.config.retention;
        let mut trimmable = self.compactor.trimmed.clone();
        let everybody = self.held_by_all();
        for (epoch, end) in folded.epochs() {
            // What the next start needs of the log begins there.
            let end = end.min(self.log.checkpointed.lsn(epoch));
            let kept = if epoch == self.log.epoch { retention.log_entries_min } else { 0 };
            let unneeded = Lsn(self.log.held.lsn(epoch).0.saturating_sub(kept)).min(everybody.lsn(epoch));
            let too_old = Lsn(self.log.held.lsn(epoch).0.saturating_sub(retention.log_entries_max));
            let at = self.compactor.trimmed.lsn(epoch);
            let step = Lsn(at.0.saturating_add(TRIM_ENTRIES_MAX));
            trimmable.advance_epoch(epoch, end.min(unneeded.max(too_old)).min(step));
        }
        trimmable
    }
}

const VERSION: u8 = 1;
/// Between two steps whatever has arrived has its turn.
const PAUSE: Millis = Millis(1);
/// How many entries one commit trims off a log at most.
const TRIM_ENTRIES_MAX: u64 = 65_536;

/// The question after a document's plan.
pub(super) fn plan_scan(doc: &DocName) -> Scan {
    let from = store::doc_key(doc);
    let to = [from.as_slice(), &[0]].concat();
    Scan { table: Table::Docs, from, to: Some(to), limit: None }
}

/// The question after one run.
pub(super) fn run_scan(doc: &DocName, number: u64) -> Scan {
    chunk_scan(doc, number, 0)
}

/// The question after one chunk of a snapshot.
pub(super) fn chunk_scan(doc: &DocName, number: u64, chunk: u64) -> Scan {
    let from = store::content_key(doc, number, chunk);
    let to = store::content_key(doc, number, chunk + 1);
    Scan { table: Table::Contents, from, to: Some(to), limit: None }
}

/// The plan in the answer to `plan_scan`; an empty one if there is none.
pub(super) fn plan_in(rows: &[Row]) -> Result<Plan, Error> {
    rows.first().map_or_else(|| Ok(Plan::default()), |row| Plan::from_bytes(&row.value))
}

fn missing(doc: &DocName, number: u64) -> Error {
    Error::malformed(format!("what the plan of {doc:?} names as {number} is missing"))
}
