//! How a node starts: its facts, the origins of the last checkpoint, then the log rows since, and only then it serves.
//!
//! A row that does not decode stops the start. A node that served from half of its storage would hand out blanks.

use super::compact::COMPACTED;
use super::group::COPYING;
use super::group::cuts::CUT;
use super::origins::Place;
use super::{Input, Node, Output, Phase};
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{Epoch, Generation, Lsn, Millis, Seq};
use crate::limits::{SCAN_BYTES_MAX, SCAN_ROWS_MAX};
use crate::segment::Segment;
use crate::store::{self, Row, Scan, StoreOp, Table};
use crate::wire::{Reader, Writer};

const GENERATION: &str = "generation";
pub(super) const CHECKPOINT: &str = "held";
const MEMBER: &str = "member";
const RECORD: &str = "record";

/// How far the start has come.
#[derive(Default)]
pub(super) struct Loading {
    step: Step,
    /// What arrived meanwhile, and when.
    pub(super) waiting: Vec<(Input, Millis)>,
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
            loading.waiting.into_iter().for_each(|(input, at)| self.handle(input, at));
            self.handle(Input::Tick, now);
        }
    }

    /// Queries that waited for the start longer than they may.
    pub(super) fn expire_loading(&mut self, now: Millis) {
        let Phase::Loading(loading) = &mut self.phase else { return };
        let is_due = |(input, at): &mut (Input, Millis)| matches!(input, Input::Query(q) if at.after(q.timeout) <= now);
        for (input, _) in loading.waiting.extract_if(.., is_due).collect::<Vec<_>>() {
            self.refuse(input, &Error::new(Code::Timeout, "the database did not load in time; ask again"));
        }
    }

    pub(super) fn loading_timeout(&self) -> Option<Millis> {
        let Phase::Loading(loading) = &self.phase else { return None };
        let due = loading.waiting.iter().filter_map(|(input, at)| match input {
            Input::Query(query) => Some(at.after(query.timeout)),
            _ => None,
        });
        due.min()
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
            // A member's database begins with the group's record.
            Step::Empty if rows.is_empty() && self.group.is_some() => self.loaded(now),
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
            Step::Log if rows.is_empty() => self.loaded(now),
            Step::Log if self.generation.0 == 0 => return Err(Error::malformed("there is a log but no generation")),
            Step::Log => {
                self.load_segments(&rows)?;
                self.scan_log_for_load();
            }
            Step::Creating => unreachable!("nothing is read while a database is created"),
        }
        Ok(())
    }

    fn create(&mut self) {
        self.generation = self.config.fresh_generation;
        self.log.epoch = Epoch(1);
        let op = self.generation_row();
        let token = self.token();
        self.outputs.push_back(Output::Persist { token, ops: vec![op] });
    }

    fn load_meta(&mut self, rows: &[Row]) -> Result<(), Error> {
        let fact = |name: &str| rows.iter().find(|row| row.key == name.as_bytes()).map(|row| Reader::new(&row.value));
        match fact(GENERATION) {
            Some(mut value) => {
                self.generation = Generation(value.fixed()?);
                self.log.epoch = Epoch(value.uint()?);
                value.end()?;
            }
            // A member promises before it knows which database the group has.
            None if self.group.is_some() => {}
            None => return Err(Error::malformed("the generation row is missing")),
        }
        if let Some(mut value) = fact(CHECKPOINT) {
            self.log.held = Frontier::decode(&mut value)?;
            value.end()?;
            self.log.checkpointed = self.log.held.clone();
        }
        if let Some(mut value) = fact(COMPACTED) {
            self.load_compacted(&mut value)?;
        }
        self.compactor.is_copying = fact(COPYING).is_some();
        // What follows the checkpoint may have been shown or not: of a member, it is shown again.
        self.visible = self.log.held.clone();
        // What is folded was shown, and is nobody's to take back.
        self.visible.join(&self.compactor.folded);
        if let (Some(mut value), Some(group)) = (fact(MEMBER), &mut self.group) {
            group.load(Epoch(value.uint()?), Epoch(value.uint()?), value.uint()? == 1, &self.visible);
            value.end()?;
        }
        if let (Some(mut value), Some(group)) = (fact(CUT), &mut self.group) {
            group.load_cut(&Frontier::decode(&mut value)?);
            value.end()?;
        }
        if let (Some(mut value), Some(group)) = (fact(RECORD), &mut self.group) {
            let text = String::from_utf8_lossy(value.rest()).into_owned();
            group.load_record(text.parse()?);
        }
        Ok(())
    }

    /// The change that stores the generation, and the epoch that the database began in.
    pub(super) fn generation_row(&self) -> StoreOp {
        let mut value = Writer::default();
        value.fixed(self.generation.0).uint(1);
        StoreOp::Put { table: Table::Meta, key: store::meta_key(GENERATION), value: value.0 }
    }

    /// The change that stores what the group's record said last: who counts is known from the start on.
    pub(super) fn record_row(&self, text: &str) -> StoreOp {
        StoreOp::Put { table: Table::Meta, key: store::meta_key(RECORD), value: text.as_bytes().to_vec() }
    }

    /// The change that stores what this member has promised.
    pub(super) fn member_row(&self, promised: Epoch, led: Epoch, is_joined: bool) -> StoreOp {
        let mut value = Writer::default();
        value.uint(promised.0).uint(led.0).uint(u64::from(is_joined));
        StoreOp::Put { table: Table::Meta, key: store::meta_key(MEMBER), value: value.0 }
    }

    // All of the log is known.
    fn loaded(&mut self, now: Millis) {
        let epoch = self.log.epoch;
        self.log.begin_epoch(epoch);
        self.count_unfolded();
        self.begin_group(now);
        if self.group.is_none() {
            self.visible = self.log.held.clone();
        }
        self.begin_serving(now);
    }

    // Rows come in the order of their keys, so epoch by epoch. Of an epoch whose beginning the checkpoint covers, the
    // rows before it are passed over.
    fn load_segments(&mut self, rows: &[Row]) -> Result<(), Error> {
        for row in rows {
            let segment = Segment::from_bytes(&row.value)?;
            if self.load_at < (segment.epoch, self.log.held.lsn(segment.epoch)) {
                self.load_at = (segment.epoch, self.log.held.lsn(segment.epoch));
            }
            if segment.last() <= self.log.held.lsn(segment.epoch) {
                return Ok(()); // The next scan begins after the checkpoint.
            }
            self.load_segment(row, &segment)?;
            self.load_at = (segment.epoch, segment.last());
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

    fn load_segment(&mut self, row: &Row, segment: &Segment) -> Result<(), Error> {
        let end = self.log.held.lsn(segment.epoch);
        if segment.first != end.next() || row.key != store::log_key(segment.epoch, segment.last()) {
            return Err(Error::malformed(format!(
                "the log row of entries {} to {} does not follow entry {end}",
                segment.first,
                segment.last(),
            )));
        }
        for (place, write) in segment.batch.writes.iter().enumerate() {
            let lsn = Lsn(segment.first.0 + place as u64);
            self.take_in_write(write.origin, Place { seq: write.seq, epoch: segment.epoch, lsn });
        }
        self.log.held.advance_epoch(segment.epoch, segment.last());
        // They count like rows of this instance, or a node that is often restarted would never write a checkpoint.
        self.log.rows_since_checkpoint += 1;
        if segment.last() > self.compactor.folded.lsn(segment.epoch) {
            self.log_grew(1, segment.batch.weight());
        }
        Ok(())
    }

    fn scan_for_load(&mut self, scan: Scan) {
        let token = self.token();
        self.outputs.push_back(Output::Scan { token, scan });
    }

    fn scan_log_for_load(&mut self) {
        self.scan_for_load(Scan {
            table: Table::Log,
            from: store::log_key(self.load_at.0, self.load_at.1.next()),
            to: None,
            limit: Some((SCAN_ROWS_MAX, SCAN_BYTES_MAX)),
        });
    }
}

/// The changes that make the next start read the log from here on.
pub(super) fn checkpoint(node: &mut Node) -> Vec<StoreOp> {
    let mut ops = node.origins.checkpoint();
    let mut value = Writer::default();
    // One of several leaders shows more than a quorum holds. What is kept as shown, a quorum does hold.
    let frontier = match node.group {
        Some(_) => node.visible.meet(node.stable()),
        None => node.visible.clone(),
    };
    frontier.encode(&mut value);
    node.log.checkpointing = Some(frontier);
    ops.push(StoreOp::Put { table: Table::Meta, key: store::meta_key(CHECKPOINT), value: value.0 });
    ops
}
