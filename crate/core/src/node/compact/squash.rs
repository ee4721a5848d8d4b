//! Squashing: a document's snapshot and its runs that are older than its horizon become the next snapshot.
//!
//! Reading and merging are done row by row, a tick for each; what was merged is replaced in one commit. Memory is bounded
//! by `Retention::merge_bytes`. An attempt is remembered in storage before it begins: updates that take the instance down with
//! them must not do so at every start.

use super::plan::{Plan, Snapshot};
use super::run;
use super::{Merge, Node, Work, chunk_scan, missing, plan_in, plan_scan, run_scan};
use crate::checksum::Checksum;
use crate::error::Error;
use crate::ids::{DocName, Millis};
use crate::limits::{CONTENT_CHUNK_BYTES, RUNS_MAX};
use crate::store::{self, Row, StoreOp, Table};
use crate::wire::{Reader, Writer};
use std::rc::Rc;

/// How often a document is tried that never came to an end, and how long it is let be then.
const ATTEMPTS_MAX: u64 = 3;
const GIVEN_UP_MS: u64 = 24 * 60 * 60 * 1000;

/// A squash that has begun and not ended.
pub(super) struct Attempt {
    doc: DocName,
    count: u64,
    at: Millis,
}

/// How many of them are remembered.
const ATTEMPTS_KEPT: usize = 16;

pub(super) fn encode_attempts(out: &mut Writer, attempts: &[Attempt]) {
    out.uint(attempts.len() as u64);
    for Attempt { doc, count, at } in attempts {
        out.text(doc.as_str()).uint(*count).uint(at.0);
    }
}

pub(super) fn decode_attempts(input: &mut Reader<'_>) -> Result<Vec<Attempt>, Error> {
    (0..input.count("attempts to squash", ATTEMPTS_KEPT)?)
        .map(|_| Ok(Attempt { doc: input.doc_name()?, count: input.uint()?, at: Millis(input.uint()?) }))
        .collect()
}

/// A document on its way to its next snapshot.
pub(super) struct Squash {
    doc: DocName,
    now: Millis,
    plan: Plan,
    /// How many runs become part of the snapshot.
    runs: usize,
    step: Step,
    merge: Option<Box<dyn Merge>>,
    /// What has been read of the old snapshot.
    read: Vec<u8>,
    next: Option<Plan>,
    last_number: u64,
}

enum Step {
    Plan,
    Begin,
    Chunk(u64),
    Run(usize),
    Commit,
}

impl Node {
    /// How many of a document's runs are to become part of its snapshot now, if it is worth it.
    pub(super) fn squashable(&self, plan: &Plan, now: Millis) -> Option<usize> {
        let retention = &self.config.retention;
        let (mut count, mut bytes) = (0, 0);
        let mut newer: usize = plan.runs.iter().map(|run| run.bytes).sum();
        for run in &plan.runs {
            newer -= run.bytes;
            let is_old = now.since(run.at) >= retention.history || newer >= retention.history_bytes;
            if !is_old && plan.runs.len() - count <= RUNS_MAX {
                break;
            }
            count += 1;
            bytes += run.bytes;
        }
        let base = plan.snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes);
        let is_worth_it = bytes >= retention.squash_bytes.max(base / 2) || count > RUNS_MAX / 2;
        let mut room = retention.merge_bytes.saturating_sub(base);
        let fitting = plan.runs[..count].iter().take_while(|run| {
            let fits = run.bytes <= room;
            room = room.saturating_sub(run.bytes);
            fits
        });
        Some(fitting.count()).filter(|count| is_worth_it && *count > 0)
    }

    pub(super) fn begin_squash(&mut self, doc: DocName, now: Millis) {
        let attempt = self.compactor.attempts.iter().find(|attempt| attempt.doc == doc);
        if attempt.is_some_and(|a| a.count >= ATTEMPTS_MAX && now.since(a.at).0 < GIVEN_UP_MS) {
            self.compactor.given_up += 1;
            return;
        }
        let scan = plan_scan(&doc);
        let (plan, last_number) = (Plan::default(), self.compactor.last_number + 1);
        let squash = Squash {
            doc,
            now,
            plan,
            runs: 0,
            step: Step::Plan,
            merge: None,
            read: Vec::new(),
            next: None,
            last_number,
        };
        self.compaction_scan(Work::Squashing(squash), scan);
    }

    /// The next row of what is merged.
    pub(super) fn squash_step(&mut self, squash: Squash) {
        let number_of = |squash: &Squash| squash.plan.snapshot.as_ref().map_or(0, |snapshot| snapshot.number);
        let scan = match squash.step {
            Step::Plan | Step::Begin | Step::Commit => return,
            Step::Chunk(chunk) => chunk_scan(&squash.doc, number_of(&squash), chunk),
            Step::Run(at) => match squash.plan.runs.get(at).filter(|_| at < squash.runs) {
                Some(run) => run_scan(&squash.doc, run.number),
                None => return self.commit_squash(squash),
            },
        };
        self.compaction_scan(Work::Squashing(squash), scan);
    }

    pub(super) fn squash_read(&mut self, mut squash: Squash, rows: &[Row]) -> Result<(), Error> {
        match squash.step {
            Step::Plan => {
                squash.plan = plan_in(rows)?;
                let Some(runs) = self.squashable(&squash.plan, squash.now) else { return Ok(()) };
                squash.runs = runs;
                squash.step = Step::Begin;
                self.note_attempt(&squash, 1);
                let row = self.compacted_row_now();
                self.compaction_commit(Work::Squashing(squash), vec![row]);
                return Ok(());
            }
            Step::Chunk(chunk) => {
                let snapshot = squash.plan.snapshot.as_ref().expect("its chunks are read");
                let row = rows.first().ok_or_else(|| missing(&squash.doc, snapshot.number))?;
                squash.read.extend(&row.value);
                let is_last = chunk + 1 == snapshot.chunks();
                if is_last {
                    check(snapshot, &squash.read, &squash.doc)?;
                    let update: Rc<[u8]> = std::mem::take(&mut squash.read).into();
                    if !self.merge_in(&mut squash, &[update]) {
                        return Ok(());
                    }
                }
                squash.step = if is_last { Step::Run(0) } else { Step::Chunk(chunk + 1) };
            }
            Step::Run(at) => {
                let number = squash.plan.runs[at].number;
                let row = rows.first().ok_or_else(|| missing(&squash.doc, number))?;
                let updates: Vec<Rc<[u8]>> =
                    run::from_bytes(&row.value)?.into_iter().map(|(_, update)| update).collect();
                if !self.merge_in(&mut squash, &updates) {
                    return Ok(());
                }
                squash.step = Step::Run(at + 1);
            }
            Step::Begin | Step::Commit => {}
        }
        self.compactor.work = Work::Squashing(squash);
        Ok(())
    }

    // Updates that do not apply are kept as they are: the document is given up on.
    fn merge_in(&mut self, squash: &mut Squash, updates: &[Rc<[u8]>]) -> bool {
        let merge = squash.merge.get_or_insert_with(|| (self.config.merge)());
        let is_merged = merge.apply(updates).is_ok();
        if !is_merged {
            self.compactor.given_up += 1;
            self.note_attempt(squash, ATTEMPTS_MAX);
            let row = self.compacted_row_now();
            self.compaction_commit(Work::Nothing, vec![row]);
        }
        is_merged
    }

    fn note_attempt(&mut self, squash: &Squash, more: u64) {
        let attempts = &mut self.compactor.attempts;
        let before = attempts.iter().position(|attempt| attempt.doc == squash.doc).map(|place| attempts.remove(place));
        let count = before.map_or(0, |attempt| attempt.count) + more;
        if attempts.len() >= ATTEMPTS_KEPT {
            attempts.remove(0);
        }
        attempts.push(Attempt { doc: squash.doc.clone(), count, at: squash.now });
    }

    fn commit_squash(&mut self, mut squash: Squash) {
        let Some(merge) = squash.merge.take() else { return };
        let bytes = merge.finish();
        let (doc, number) = (squash.doc.clone(), squash.last_number);
        let merged = &squash.plan.runs[..squash.runs];
        let mut frontier = squash.plan.horizon();
        merged.iter().for_each(|run| frontier.advance_epoch(run.epoch, run.last));
        let mut ops: Vec<StoreOp> = Vec::new();
        let olds = merged.iter().map(|run| run.number).chain(squash.plan.snapshot.as_ref().map(|old| old.number));
        for old in olds {
            let (from, to) = (store::content_key(&doc, old, 0), store::content_key(&doc, old + 1, 0));
            ops.push(StoreOp::DeleteRange { table: Table::Contents, from, to });
        }
        for (chunk, bytes) in bytes.chunks(CONTENT_CHUNK_BYTES).enumerate() {
            let key = store::content_key(&doc, number, chunk as u64);
            ops.push(StoreOp::Put { table: Table::Contents, key, value: bytes.to_vec() });
        }
        let snapshot = Snapshot { number, frontier, bytes: bytes.len(), checksum: Checksum::of(&bytes) };
        let next = Plan { snapshot: Some(snapshot), runs: squash.plan.runs[squash.runs..].to_vec() };
        ops.push(StoreOp::Put { table: Table::Docs, key: store::doc_key(&doc), value: next.to_bytes() });
        self.compactor.attempts.retain(|attempt| attempt.doc != doc);
        let (folded, trimmed) = (self.compactor.folded.clone(), self.compactor.trimmed.clone());
        ops.push(self.compacted_row(&folded, &trimmed, number));
        squash.next = Some(next);
        squash.step = Step::Commit;
        self.compaction_commit(Work::Squashing(squash), ops);
    }

    pub(super) fn squash_stored(&mut self, mut squash: Squash) {
        if let Some(next) = squash.next.take() {
            self.compactor.last_number = squash.last_number;
            self.compactor.squashes += 1;
            // What did not fit the bound may fit now that it is squashed.
            if self.squashable(&next, squash.now).is_some() {
                self.want_squash(squash.doc);
            }
            return;
        }
        squash.step = if squash.plan.snapshot.is_some() { Step::Chunk(0) } else { Step::Run(0) };
        self.compactor.work = Work::Squashing(squash);
    }

    pub(super) fn compacted_row_now(&self) -> StoreOp {
        let compactor = &self.compactor;
        self.compacted_row(&compactor.folded, &compactor.trimmed, compactor.last_number)
    }
}

/// Whether the bytes are the snapshot's.
pub(in crate::node) fn check(snapshot: &Snapshot, bytes: &[u8], doc: &DocName) -> Result<(), Error> {
    if bytes.len() == snapshot.bytes && Checksum::of(bytes) == snapshot.checksum {
        return Ok(());
    }
    Err(Error::malformed(format!("the snapshot of {doc:?} does not match its checksum")))
}
