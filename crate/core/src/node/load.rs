//! How a node starts: its facts, the origins of the last checkpoint, then the log rows since, and only then it serves.
//!
//! A row that does not decode stops the start. A node that served from half of its storage would hand out blanks.

use super::origins::Place;
use super::{Input, Node, Output, Phase};
use crate::error::{Code, Error};
use crate::ids::{Epoch, Generation, Lsn, Millis, Seq};
use crate::limits::{SCAN_BYTES_MAX, SCAN_ROWS_MAX};
use crate::segment::Segment;
use crate::store::{self, Row, Scan, StoreOp, Table};
use crate::wire::{Reader, Writer};

const GENERATION: &str = "generation";
const CHECKPOINT: &str = "checkpoint";

/// How far the start has come.
#[derive(Default)]
pub(super) struct Loading {
    step: Step,
    /// What arrived meanwhile.
    pub(super) waiting: Vec<Input>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Meta,
    /// There are no facts; there must be no log either.
    Empty,
    /// There is a log all the same. Another instance may have made the database between the two looks.
    Again,
    Origins,
    Log,
    Creating,
}

impl Node {
    pub(super) fn begin_loading(&mut self) {
        self.scan_for_load(Scan::all(Table::Meta));
    }

    pub(super) fn loaded_rows(&mut self, rows: Vec<Row>, now: Millis) {
        if let Err(error) = self.load_step(rows, now) {
            let message = format!("storage does not read back, so nothing is served from it: {}", error.message);
            self.fail(Error::new(Code::Corrupt, message));
        }
    }

    pub(super) fn begin_serving(&mut self, now: Millis) {
        if let Phase::Loading(loading) = std::mem::replace(&mut self.phase, Phase::Serving) {
            loading.waiting.into_iter().for_each(|input| self.handle(input, now));
        }
    }

    fn load_step(&mut self, rows: Vec<Row>, now: Millis) -> Result<(), Error> {
        let Phase::Loading(loading) = &mut self.phase else {
            unreachable!("rows are loaded in the loading phase only")
        };
        match loading.step {
            Step::Meta if rows.is_empty() => {
                loading.step = Step::Empty;
                self.scan_log_for_load();
            }
            Step::Empty if rows.is_empty() => {
                loading.step = Step::Creating;
                self.create();
            }
            Step::Empty => {
                loading.step = Step::Again;
                self.scan_for_load(Scan::all(Table::Meta));
            }
            // A fresh generation over an old log would hand out its places twice.
            Step::Again if rows.is_empty() => return Err(Error::malformed("there is a log but no generation")),
            Step::Meta | Step::Again => {
                loading.step = Step::Origins;
                self.load_meta(&rows)?;
                self.scan_for_load(Scan::all(Table::Origins));
            }
            Step::Origins => {
                loading.step = Step::Log;
                for row in rows {
                    self.load_origin(&row)?;
                }
                self.scan_log_for_load();
            }
            Step::Log if rows.is_empty() => self.begin_serving(now),
            Step::Log => {
                for row in rows {
                    self.load_segment(&row)?;
                }
                self.scan_log_for_load();
            }
            Step::Creating => unreachable!("nothing is read while a database is created"),
        }
        Ok(())
    }

    fn create(&mut self) {
        self.generation = self.config.fresh_generation;
        self.log.epoch = Epoch(1);
        let mut value = Writer::default();
        value.fixed(self.generation.0).uint(self.log.epoch.0);
        let op = StoreOp::Put { table: Table::Meta, key: store::meta_key(GENERATION), value: value.0 };
        let token = self.token();
        self.outputs.push_back(Output::Persist { token, ops: vec![op] });
    }

    fn load_meta(&mut self, rows: &[Row]) -> Result<(), Error> {
        let fact = |name: &str| rows.iter().find(|row| row.key == name.as_bytes()).map(|row| Reader::new(&row.value));
        let mut value = fact(GENERATION).ok_or_else(|| Error::malformed("the generation row is missing"))?;
        self.generation = Generation(value.fixed()?);
        self.log.epoch = Epoch(value.uint()?);
        value.end()?;
        if let Some(mut value) = fact(CHECKPOINT) {
            self.log.resume_at(Lsn(value.uint()?));
            value.end()?;
        }
        Ok(())
    }

    fn load_origin(&mut self, row: &Row) -> Result<(), Error> {
        let origin = store::origin_of_key(&row.key).ok_or_else(|| Error::malformed("an origin row has no origin"))?;
        let mut value = Reader::new(&row.value);
        let place = Place { seq: Seq(value.uint()?), epoch: Epoch(value.uint()?), lsn: Lsn(value.uint()?) };
        value.end()?;
        self.origins.load(origin, place);
        Ok(())
    }

    fn load_segment(&mut self, row: &Row) -> Result<(), Error> {
        let segment = Segment::from_bytes(&row.value)?;
        let follows = segment.epoch == self.log.epoch && segment.first == self.log.end.next();
        if !follows || row.key != store::log_key(segment.epoch, segment.last()) {
            return Err(Error::malformed(format!(
                "the log row of entries {} to {} does not follow entry {}",
                segment.first,
                segment.last(),
                self.log.end
            )));
        }
        for (place, write) in segment.batch.writes.iter().enumerate() {
            let lsn = Lsn(segment.first.0 + place as u64);
            self.origins.appended(write.origin, Place { seq: write.seq, epoch: segment.epoch, lsn });
        }
        self.log.resume_at(segment.last());
        // They count like rows of this instance, or a node that is often restarted would never write a checkpoint.
        self.log.rows_since_checkpoint += 1;
        Ok(())
    }

    fn scan_for_load(&mut self, scan: Scan) {
        let token = self.token();
        self.outputs.push_back(Output::Scan { token, scan });
    }

    fn scan_log_for_load(&mut self) {
        self.scan_for_load(Scan {
            table: Table::Log,
            from: store::log_key(self.log.epoch, self.log.end.next()),
            to: None,
            limit: Some((SCAN_ROWS_MAX, SCAN_BYTES_MAX)),
        });
    }
}

/// The changes that make the next start read the log from here on.
pub(super) fn checkpoint(node: &mut Node, lsn: Lsn) -> Vec<StoreOp> {
    let mut ops = node.origins.checkpoint();
    let mut value = Writer::default();
    value.uint(lsn.0);
    ops.push(StoreOp::Put { table: Table::Meta, key: store::meta_key(CHECKPOINT), value: value.0 });
    ops
}
