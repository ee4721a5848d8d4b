//! Folding: a page of one epoch's log becomes a run of each document that it names, in one commit that also trims the log.

use super::plan::{Plan, Run};
use super::run::{self, Entry};
use super::{Node, Work, missing, plan_in, plan_scan, run_scan};
use crate::error::Error;
use crate::frontier::Frontier;
use crate::ids::{DocName, Epoch, Lsn, Millis};
use crate::limits::{BATCH_BYTES_TARGET, FOLD_DOCS_MAX, RUN_BYTES_TARGET, RUNS_MAX};
use crate::segment::Segment;
use crate::sorted::Map;
use crate::store::{self, Row, Scan, StoreOp, Table};

/// A page of the log on its way into runs.
#[derive(Default)]
pub(super) struct Fold {
    now: Millis,
    epoch: Epoch,
    through: Lsn,
    rows: usize,
    bytes: usize,
    docs: Vec<(DocName, Vec<Entry>)>,
    /// The plan of the last of them, and which of its runs the new entries join, while that is read.
    plan: Option<(Plan, usize)>,
    ops: Vec<StoreOp>,
    /// Documents with much to squash.
    large: Vec<DocName>,
    last_number: u64,
    folded: Frontier,
    trimmed: Frontier,
}

impl Node {
    pub(super) fn begin_fold(&mut self, now: Millis) {
        let (foldable, folded) = (self.foldable(), &self.compactor.folded);
        let Some((epoch, _)) = foldable.epochs().find(|(epoch, end)| folded.lsn(*epoch) < *end) else {
            self.compactor.stuck_at = Some(foldable);
            return self.count_tail();
        };
        let from = store::log_key(epoch, folded.lsn(epoch).next());
        let limit = Some((self.config.retention.fold_rows, self.config.retention.fold_bytes));
        let to = Some(store::log_key(Epoch(epoch.0 + 1), Lsn(0)));
        let last_number = self.compactor.last_number;
        let fold = Fold { now, epoch, last_number, ..Fold::default() };
        self.compaction_scan(Work::Folding(fold), Scan { table: Table::Log, from, to, limit });
    }

    pub(super) fn fold_read(&mut self, mut fold: Fold, rows: &[Row]) -> Result<(), Error> {
        if fold.rows == 0 {
            self.take_page(&mut fold, rows)?;
            if fold.rows == 0 {
                self.compactor.stuck_at = Some(self.foldable());
                return Ok(());
            }
        } else if let Some((plan, run)) = fold.plan.take() {
            let (name, more) = fold.docs.pop().expect("its plan was read");
            let row = rows.first().ok_or_else(|| missing(&name, plan.runs[run].number))?;
            let mut entries = run::from_bytes(&row.value)?;
            entries.extend(more);
            self.put_run(&mut fold, name, plan, entries, Some(run));
        } else {
            let (name, entries) = fold.docs.last().expect("its plan was asked for");
            let plan = plan_in(rows)?;
            if let Some(run) = joined(&plan, fold.epoch, entries) {
                let scan = run_scan(name, plan.runs[run].number);
                fold.plan = Some((plan, run));
                self.compaction_scan(Work::Folding(fold), scan);
                return Ok(());
            }
            let (name, entries) = fold.docs.pop().expect("looked at above");
            self.put_run(&mut fold, name, plan, entries, None);
        }
        match fold.docs.last() {
            Some((name, _)) => {
                let scan = plan_scan(name);
                self.compaction_scan(Work::Folding(fold), scan);
            }
            None => self.commit_fold(fold),
        }
        Ok(())
    }

    // What of the page can be folded, by document.
    fn take_page(&mut self, fold: &mut Fold, rows: &[Row]) -> Result<(), Error> {
        let end = self.foldable().lsn(fold.epoch);
        let mut at = self.compactor.folded.lsn(fold.epoch);
        let mut docs: Map<DocName, Vec<Entry>> = Map::default();
        for row in rows {
            let segment = Segment::from_bytes(&row.value)?;
            let new = segment.batch.writes.iter().flat_map(|write| &write.parts);
            if segment.last() > end || (fold.rows > 0 && docs.len() + new.count() > FOLD_DOCS_MAX) {
                break;
            }
            if segment.first > at.next() {
                return Err(Error::malformed(format!("a log row is missing after entry {at} of epoch {}", fold.epoch)));
            }
            for (place, write) in segment.batch.writes.iter().enumerate() {
                let lsn = Lsn(segment.first.0 + place as u64);
                // A row that begins before what is folded is held in part.
                for part in write.parts.iter().filter(|_| lsn > at) {
                    docs.get_or_default(part.doc.clone()).push((lsn, part.update.clone()));
                }
            }
            at = segment.last();
            fold.rows += 1;
            fold.bytes += segment.batch.weight();
        }
        fold.through = at;
        fold.docs = docs.into_iter().collect();
        Ok(())
    }

    fn put_run(&mut self, fold: &mut Fold, name: DocName, mut plan: Plan, entries: Vec<Entry>, joins: Option<usize>) {
        let value = run::to_bytes(&entries);
        let (bytes, last) = (value.len(), entries.last().map_or(fold.through, |(lsn, _)| *lsn));
        let number = match joins.map(|run| &mut plan.runs[run]) {
            Some(run) => {
                (run.last, run.bytes, run.at) = (last, bytes, fold.now);
                run.number
            }
            None => {
                fold.last_number += 1;
                let run = Run { number: fold.last_number, epoch: fold.epoch, last, bytes, at: fold.now };
                plan.runs.push(run);
                fold.last_number
            }
        };
        fold.ops.push(StoreOp::Put { table: Table::Contents, key: store::content_key(&name, number, 0), value });
        fold.ops.push(StoreOp::Put { table: Table::Docs, key: store::doc_key(&name), value: plan.to_bytes() });
        if self.squashable(&plan, fold.now).is_some() {
            fold.large.push(name);
        }
    }

    fn commit_fold(&mut self, mut fold: Fold) {
        fold.folded = self.compactor.folded.clone();
        fold.folded.advance_epoch(fold.epoch, fold.through);
        fold.trimmed = self.trimmable(&self.compactor.folded);
        for (epoch, through) in fold.trimmed.epochs() {
            if self.compactor.trimmed.lsn(epoch) < through {
                let (from, to) = (store::log_key(epoch, Lsn(0)), store::log_key(epoch, through.next()));
                fold.ops.push(StoreOp::DeleteRange { table: Table::Log, from, to });
            }
        }
        // What is folded now is old one day.
        let due = fold.now.after(self.config.retention.history);
        self.compactor.sweep_due.get_or_insert(due);
        fold.ops.push(self.compacted_row(&fold.folded, &fold.trimmed, fold.last_number));
        let ops = std::mem::take(&mut fold.ops);
        self.compaction_commit(Work::Folding(fold), ops);
    }

    pub(super) fn folded(&mut self, fold: Fold) {
        let compactor = &mut self.compactor;
        compactor.folded = fold.folded;
        compactor.trimmed = fold.trimmed;
        compactor.last_number = fold.last_number;
        compactor.tail_rows = compactor.tail_rows.saturating_sub(fold.rows);
        compactor.tail_bytes = compactor.tail_bytes.saturating_sub(fold.bytes);
        compactor.stuck_at = None;
        compactor.folds += 1;
        self.count_tail();
        for doc in fold.large {
            self.want_squash(doc);
        }
    }
}

impl Node {
    // What is not folded is counted as it comes; when there is nothing, that is known.
    fn count_tail(&mut self) {
        if self.compactor.folded.dominates_epochs(&self.log.held) {
            (self.compactor.tail_rows, self.compactor.tail_bytes) = (0, 0);
        }
    }
}

// The run in whose row new entries are better kept: the epoch's last one, if there is room. Runs of other epochs may be behind
// it, since several leaders' logs are folded in turns. A document with too many runs gets longer ones.
fn joined(plan: &Plan, epoch: Epoch, entries: &[Entry]) -> Option<usize> {
    let last = plan.runs.iter().rposition(|run| run.epoch == epoch)?;
    let target = if plan.runs.len() < RUNS_MAX { RUN_BYTES_TARGET } else { BATCH_BYTES_TARGET };
    (plan.runs[last].bytes + run::weight(entries) <= target).then_some(last)
}
