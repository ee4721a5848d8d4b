//! Reading a document for a query: its snapshot, its runs, then what the log says of it after them.

use super::catch_up::Reader;
use super::compact::{Plan, check, chunk_scan, entries_of, plan_in, plan_scan, run_scan};
use super::{Node, Output};
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{DocName, Epoch, Lsn};
use crate::store::{Row, Scan};
use std::rc::Rc;

/// A document that is being read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    id: u64,
    doc: DocName,
    /// The position up to which it is read, if that is not what is shown.
    at: Option<Frontier>,
    /// How far the log was folded when its plan was read.
    folded: Frontier,
    plan: Plan,
    step: Step,
    /// Of a snapshot in several chunks.
    read: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Plan,
    Chunk(u64),
    Run(usize),
}

impl Node {
    /// Reads a document as it is shown, or as of a position that is shown.
    pub(super) fn read_query(&mut self, id: u64, doc: DocName, at: Option<Frontier>) {
        let scan = plan_scan(&doc);
        let folded = self.compactor.folded.clone();
        let reading = Reading { id, doc, at, folded, plan: Plan::default(), step: Step::Plan, read: Vec::new() };
        self.read_content(reading, scan);
    }

    fn read_content(&mut self, reading: Reading, scan: Scan) {
        let token = self.token();
        self.scans.insert(token, (Reader::Content(Box::new(reading)), Epoch(0), Lsn(0)));
        self.outputs.push_back(Output::Scan { token, scan });
    }

    pub(super) fn content_read(&mut self, mut reading: Reading, rows: &[Row]) {
        if !self.waiters.is_reading(reading.id) {
            return; // Cancelled.
        }
        match self.take_content(&mut reading, rows) {
            Ok(true) => self.next_content(reading),
            // It was compacted while it was read, or something is missing: the plan tells.
            Ok(false) => {
                reading.folded = self.compactor.folded.clone();
                reading.step = Step::Plan;
                reading.read.clear();
                self.next_content(reading);
            }
            Err(error) => self.doubt_storage("storage does not read back", &error),
        }
    }

    fn take_content(&mut self, reading: &mut Reading, rows: &[Row]) -> Result<bool, Error> {
        let row = match (rows.first(), reading.step) {
            (Some(row), _) => row,
            // There is nothing kept of the document.
            (None, Step::Plan) if reading.plan == Plan::default() => {
                reading.step = Step::Run(0);
                return Ok(true);
            }
            (None, Step::Plan) => return Err(missing(&reading.doc)),
            (None, _) => return Ok(false),
        };
        let mut updates: Vec<Rc<[u8]>> = Vec::new();
        reading.step = match reading.step {
            Step::Plan => {
                let plan = plan_in(rows)?;
                if plan == reading.plan {
                    return Err(missing(&reading.doc));
                }
                reading.plan = plan;
                if reading.plan.snapshot.is_some() { Step::Chunk(0) } else { Step::Run(0) }
            }
            Step::Chunk(chunk) => {
                reading.read.extend(&row.value);
                match reading.plan.snapshot.as_ref().filter(|snapshot| chunk + 1 == snapshot.chunks()) {
                    None => Step::Chunk(chunk + 1),
                    Some(snapshot) => {
                        check(snapshot, &reading.read, &reading.doc)?;
                        updates.push(std::mem::take(&mut reading.read).into());
                        Step::Run(0)
                    }
                }
            }
            Step::Run(at) => {
                let end = match (&reading.at, reading.plan.runs.get(at)) {
                    (Some(end), Some(run)) => end.lsn(run.epoch),
                    _ => Lsn(u64::MAX),
                };
                let entries = entries_of(&row.value)?.into_iter().take_while(|(lsn, _)| *lsn <= end);
                updates.extend(entries.map(|(_, update)| update));
                Step::Run(at + 1)
            }
        };
        if !updates.is_empty() {
            self.outputs.push_back(Output::Content { query: reading.id, updates });
        }
        Ok(true)
    }

    fn next_content(&mut self, reading: Reading) {
        let horizon = reading.plan.horizon();
        if reading.at.as_ref().is_some_and(|at| !at.dominates_epochs(&horizon)) {
            self.waiters.forget_query(reading.id);
            let message = format!("the history of {:?} begins after that position; name a later one", reading.doc);
            let result = Err(Error::new(Code::BookmarkLost, message));
            return self.outputs.push_back(Output::Answer { query: reading.id, result });
        }
        let number = reading.plan.snapshot.as_ref().map_or(0, |snapshot| snapshot.number);
        let scan = match reading.step {
            Step::Plan => plan_scan(&reading.doc),
            Step::Chunk(chunk) => chunk_scan(&reading.doc, number, chunk),
            Step::Run(at) => match reading.plan.runs.get(at) {
                Some(run) => run_scan(&reading.doc, run.number),
                // On with what the log says after that.
                None => return self.answer_page(reading.id, reading.doc, reading.folded, reading.at, &[]),
            },
        };
        self.read_content(reading, scan);
    }
}

fn missing(doc: &DocName) -> Error {
    Error::malformed(format!("a row that the plan of {doc:?} names is missing"))
}
