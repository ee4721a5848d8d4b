//! Writes that no leader has settled yet: those of this opening, and those that earlier openings left behind.
//!
//! Each origin is a lane. Lanes are sent one after the other, oldest first, and the next one only when the one before
//! is settled: what a user wrote before a reload enters the log before what they wrote after it, even if the leader
//! refuses something in between.

use crate::batch::{Batch, Write};
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{DocName, Origin, Seq};
use crate::limits::{BATCH_BYTES_TARGET, BATCH_WRITES_MAX, PUSH_WINDOW_BYTES};
use crate::sorted::Map;
use crate::stage::Stage;
use crate::wire::{Reader, Writer};
use std::collections::VecDeque;

const ROW_VERSION: u8 = 1;
/// Rejections that a lane remembers for receipts that ask later.
const REJECTIONS_KEPT: usize = 1024;

/// The writes of one origin.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Not settled, in order.
    pub(super) pending: VecDeque<Entry>,
    /// Everything up to here has been sent on this connection.
    sent: Seq,
    /// Whether the next push must say that what is before it is settled.
    resumes: bool,
    /// Nothing is sent before this many commits are durable.
    pub(super) holds_for: Option<u64>,
    /// Everything up to here has been put into a commit.
    pub(super) rowed: Seq,
    /// The stored rows, by first and last write.
    pub(super) rows: VecDeque<(Seq, Seq)>,
    /// How far each stage has come. It never falls back, not even where a leader lost what it had acknowledged.
    reached: [Seq; Stage::ALL.len()],
    /// Everything up to here is settled: it has left the outbox, and no failover moves it.
    settled: Seq,
    /// Where the leaders' logs hold everything up to `settled`. What a leader alone has acknowledged may be at another place
    /// after a failover, so it has none here.
    place: Frontier,
    rejected: Map<Seq, Error>,
}

impl Lane {
    /// What has been sent on this connection and is not settled.
    fn in_flight(&self) -> usize {
        let sent = self.pending.iter().take_while(|entry| entry.write.seq <= self.sent);
        sent.map(|entry| entry.write.weight()).sum()
    }
}

/// A write that waits to be settled.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) write: Write,
    pub(super) unix_ms: u64,
}

#[derive(Debug)]
pub(super) struct Outbox {
    own: Origin,
    last: Seq,
    /// Oldest first; this opening's own is the last one.
    order: Vec<Origin>,
    lanes: Map<Origin, Lane>,
    /// Rejected writes that their documents still show.
    undoing: Vec<Undoing>,
    /// No write of this opening is marked as older.
    latest_unix_ms: u64,
    count: usize,
    bytes: usize,
    bytes_in_flight: usize,
}

/// A write that is rejected and that its documents still show.
#[derive(Debug)]
struct Undoing {
    origin: Origin,
    seq: Seq,
    error: Error,
    /// How far it had come. What the leader says of later writes is not about it.
    stage: Stage,
}

/// A batch to push.
pub(super) struct Push {
    pub(super) resume: bool,
    pub(super) prev: Seq,
    pub(super) batch: Batch,
}

impl Outbox {
    pub(super) fn new(own: Origin) -> Self {
        let mut lanes = Map::default();
        lanes.insert(own, Lane::default());
        Self {
            own,
            last: Seq(0),
            order: vec![own],
            lanes,
            undoing: Vec::new(),
            latest_unix_ms: 0,
            count: 0,
            bytes: 0,
            bytes_in_flight: 0,
        }
    }

    /// Whether this opening has not written that far.
    pub(super) fn is_beyond(&self, origin: Origin, seq: Seq) -> bool {
        origin == self.own && seq > self.last
    }

    pub(super) fn next_seq(&self) -> Seq {
        self.last.next()
    }

    pub(super) fn add(&mut self, write: Write, unix_ms: u64) {
        self.last = write.seq;
        // A clock that was set back must not put this opening before an earlier one.
        self.latest_unix_ms = self.latest_unix_ms.max(unix_ms);
        self.enter(write, self.latest_unix_ms);
    }

    /// A stored row of an earlier opening.
    pub(super) fn load(&mut self, value: &[u8]) -> Result<(), Error> {
        let (unix_ms, batch) = decode_row(value)?;
        self.latest_unix_ms = self.latest_unix_ms.max(unix_ms.saturating_add(1));
        let (Some(first), Some(last)) = (batch.writes.first(), batch.writes.last()) else {
            return Err(Error::malformed("an outbox row holds no write"));
        };
        if first.origin == self.own {
            return Err(Error::new(Code::Internal, "this opening's origin was used before; origins must be random"));
        }
        let (origin, first, last) = (first.origin, first.seq, last.seq);
        if !self.lanes.contains_key(&origin) {
            // Rows come in key order, so lanes are put in their order once all are there.
            self.order.insert(self.order.len() - 1, origin);
        }
        let lane = self.lanes.get_or_default(origin);
        // Two tabs that both sent a lane may have left rows that overlap: each write counts once.
        let held = lane.rowed;
        lane.rows.push_back((first, last));
        lane.rowed = last.max(held);
        lane.reached[Stage::Local as usize] = lane.rowed;
        batch.writes.into_iter().filter(|write| write.seq > held).for_each(|write| self.enter(write, unix_ms));
        Ok(())
    }

    /// Puts the lanes of earlier openings in the order in which they were written.
    pub(super) fn loaded(&mut self) {
        let (own, lanes) = (self.own, &self.lanes);
        self.order.sort_by_key(|origin| {
            let began = lanes[origin].pending.front().map_or(u64::MAX, |entry| entry.unix_ms);
            (*origin == own, began)
        });
    }

    fn enter(&mut self, write: Write, unix_ms: u64) {
        self.count += 1;
        self.bytes += write.weight();
        self.lane(write.origin).pending.push_back(Entry { write, unix_ms });
    }

    fn lane(&mut self, origin: Origin) -> &mut Lane {
        self.lanes.get_or_default(origin)
    }

    pub(super) fn get(&self, origin: Origin) -> Option<&Lane> {
        self.lanes.get(&origin)
    }

    pub(super) fn get_mut(&mut self, origin: Origin) -> Option<&mut Lane> {
        self.lanes.get_mut(&origin)
    }

    pub(super) fn lanes_mut(&mut self) -> impl Iterator<Item = (Origin, &mut Lane)> {
        self.lanes.iter_mut().map(|(origin, lane)| (*origin, lane))
    }

    pub(super) fn lanes(&self) -> impl Iterator<Item = (Origin, &Lane)> {
        self.lanes.iter().map(|(origin, lane)| (*origin, lane))
    }

    /// This lane and those after it, in order.
    pub(super) fn lanes_from(&self, origin: Origin) -> Vec<Origin> {
        self.order.iter().copied().skip_while(|other| *other != origin).collect()
    }

    pub(super) fn pending(&self) -> super::Pending {
        let oldest = self.lanes.values().filter_map(|lane| lane.pending.front().map(|entry| entry.unix_ms)).min();
        super::Pending { count: self.count, bytes: self.bytes, oldest_unix_ms: oldest }
    }

    pub(super) fn pending_writes(&self) -> impl Iterator<Item = (Origin, Seq)> + '_ {
        let lanes = self.order.iter().filter_map(|origin| self.lanes.get(origin));
        lanes.flat_map(|lane| lane.pending.iter().map(|entry| (entry.write.origin, entry.write.seq)))
    }

    pub(super) fn unsettled_updates<'a>(&'a self, doc: &'a DocName) -> impl Iterator<Item = std::rc::Rc<[u8]>> + 'a {
        let entries = self.order.iter().filter_map(|origin| self.lanes.get(origin)).flat_map(|lane| &lane.pending);
        entries
            .flat_map(|entry| &entry.write.parts)
            .filter(move |part| part.doc == *doc)
            .map(|part| part.update.clone())
    }

    /// A connection begins: nothing has been sent on it.
    pub(super) fn reconnected(&mut self) {
        self.bytes_in_flight = 0;
        for lane in self.lanes.values_mut() {
            lane.sent = Seq(0);
            lane.resumes = true;
        }
    }

    /// The next batch to push, if the window has room and it is some lane's turn.
    pub(super) fn next_push(&mut self, commits_done: u64) -> Option<Push> {
        let origin = self.order.iter().find(|origin| !self.lanes[origin].pending.is_empty())?;
        #[cfg(feature = "bugs")]
        let origin = match crate::bugs::is_on(crate::bugs::Bug::LanesOutOfOrder) {
            true => self.order.iter().rfind(|origin| !self.lanes[origin].pending.is_empty())?,
            false => origin,
        };
        let lane = self.lanes.get_mut(origin)?;
        if lane.holds_for.take_if(|commits| *commits <= commits_done).is_none() && lane.holds_for.is_some() {
            return None;
        }
        let start = lane.pending.partition_point(|entry| entry.write.seq <= lane.sent);
        if start == lane.pending.len() || self.bytes_in_flight > PUSH_WINDOW_BYTES {
            return None;
        }
        // Of the writes before it, the last one that stands: of those that were taken back the leader may never have heard.
        let prev = match start.checked_sub(1) {
            Some(before) => lane.pending[before].write.seq,
            None => lane.settled,
        };
        let writes = fill(lane.pending.range(start..).map(|entry| &entry.write));
        lane.sent = writes.last().expect("a batch takes at least one write").seq;
        let batch = Batch { writes };
        self.bytes_in_flight += batch.weight();
        Some(Push { resume: std::mem::take(&mut lane.resumes), prev, batch })
    }

    /// Everything up to `seq` has reached the stage.
    pub(super) fn advance(&mut self, origin: Origin, seq: Seq, stage: Stage) {
        for reached in &mut self.lane(origin).reached[..=stage as usize] {
            *reached = (*reached).max(seq);
        }
    }

    /// Takes out what is settled up to `seq`, at that place of the log.
    pub(super) fn settle(&mut self, origin: Origin, seq: Seq, place: &Frontier) -> Vec<Write> {
        let lane = self.lane(origin);
        lane.settled = lane.settled.max(seq);
        lane.place.join(place);
        let settled = lane.pending.partition_point(|entry| entry.write.seq <= seq);
        let writes: Vec<Write> = lane.pending.drain(..settled).map(|entry| entry.write).collect();
        let landed: usize = writes.iter().filter(|write| write.seq <= lane.sent).map(Write::weight).sum();
        self.bytes_in_flight -= landed;
        self.removed(&writes);
        writes
    }

    /// Takes out of a lane, from `from` on, the writes that `is_doomed`, and has the rest sent and stored anew.
    pub(super) fn remove(
        &mut self,
        origin: Origin,
        from: Seq,
        mut is_doomed: impl FnMut(&Write) -> bool,
    ) -> Vec<Write> {
        let lane = self.lane(origin);
        let in_flight = lane.in_flight();
        let start = lane.pending.partition_point(|entry| entry.write.seq < from);
        let (doomed, kept): (Vec<Entry>, Vec<Entry>) =
            lane.pending.drain(start..).partition(|entry| is_doomed(&entry.write));
        lane.pending.extend(kept);
        let doomed: Vec<Write> = doomed.into_iter().map(|entry| entry.write).collect();
        if !doomed.is_empty() {
            lane.sent = Seq(0);
            lane.resumes = true;
            // What is left of them counts again when it is sent again.
            self.bytes_in_flight -= in_flight;
        }
        self.removed(&doomed);
        doomed
    }

    /// A write is refused for good. Who asks hears of it once its documents are without it.
    pub(super) fn reject(&mut self, origin: Origin, seq: Seq, error: Error) {
        let stage = self.stage(origin, seq).unwrap_or_default();
        self.undoing.push(Undoing { origin, seq, error, stage });
    }

    /// Whether the write is rejected and its documents still show it.
    pub(super) fn is_undoing(&self, origin: Origin, seq: Seq) -> bool {
        self.find_undoing(origin, seq).is_some()
    }

    fn find_undoing(&self, origin: Origin, seq: Seq) -> Option<&Undoing> {
        self.undoing.iter().find(|undoing| (undoing.origin, undoing.seq) == (origin, seq))
    }

    /// The documents are without the rejected writes: they count as rejected from here on.
    pub(super) fn undone(&mut self) -> Vec<(Origin, Seq, Error)> {
        let undone = std::mem::take(&mut self.undoing);
        let undone: Vec<(Origin, Seq, Error)> =
            undone.into_iter().map(|undoing| (undoing.origin, undoing.seq, undoing.error)).collect();
        for (origin, seq, error) in &undone {
            let lane = self.lane(*origin);
            lane.rejected.insert(*seq, error.clone());
            if lane.rejected.len() > REJECTIONS_KEPT {
                lane.rejected.pop_first();
            }
        }
        undone
    }

    fn removed(&mut self, writes: &[Write]) {
        let weight: usize = writes.iter().map(Write::weight).sum();
        self.count -= writes.len();
        self.bytes -= weight;
    }

    pub(super) fn stage(&self, origin: Origin, seq: Seq) -> Result<Stage, Error> {
        let lane = self.lanes.get(&origin).ok_or_else(|| {
            Error::new(Code::NotFound, format!("no write of origin {origin} is known here; it was settled earlier"))
        })?;
        if let Some(error) = lane.rejected.get(&seq) {
            return Err(error.clone());
        }
        if let Some(undoing) = self.find_undoing(origin, seq) {
            return Ok(undoing.stage);
        }
        let stages = Stage::ALL.into_iter().rev();
        Ok(stages.into_iter().find(|stage| lane.reached[*stage as usize] >= seq).unwrap_or_default())
    }

    /// Where everything written in this opening stands, in the log if it is settled there, else as origin and seq; and what
    /// earlier openings wrote that is still here.
    pub(super) fn written(&self) -> Frontier {
        let mut frontier = self.lanes[&self.own].place.clone();
        for (origin, lane) in self.lanes.iter() {
            if let Some(last) = lane.pending.back() {
                frontier.advance_origin(*origin, last.write.seq);
            }
        }
        frontier
    }

    /// The unsettled writes that the local copy of a document shows.
    pub(super) fn unsettled_in(&self, doc: &DocName) -> Frontier {
        let mut frontier = Frontier::default();
        for (origin, lane) in self.lanes.iter() {
            if let Some(entry) = lane.pending.iter().rev().find(|entry| entry.write.touches(doc)) {
                frontier.advance_origin(*origin, entry.write.seq);
            }
        }
        frontier
    }

    /// What a reader must hold to have seen `(origin, seq)`, if that write is one of the outbox's: nothing if the
    /// write is still here and therefore in the local copy, its place in the log if it is settled.
    pub(super) fn resolve(&self, origin: Origin, seq: Seq) -> Option<Frontier> {
        let is_here = |lane: &Lane| lane.pending.back().is_some_and(|entry| entry.write.seq >= seq);
        let is_here = self.lanes.get(&origin).is_some_and(is_here);
        self.settled(origin, seq).or_else(|| is_here.then(Frontier::default))
    }

    /// Whether the write has left the outbox and is not sent again, so that no acknowledgement of it will come by itself.
    pub(super) fn is_settled(&self, origin: Origin, seq: Seq) -> bool {
        self.lanes.get(&origin).is_some_and(|lane| lane.settled >= seq)
    }

    /// The place in the log of a settled write, or of what is settled of the origin if that write was rejected.
    pub(super) fn settled(&self, origin: Origin, seq: Seq) -> Option<Frontier> {
        let lane = self.lanes.get(&origin)?;
        let is_rejected = lane.rejected.contains_key(&seq) || self.is_undoing(origin, seq);
        (is_rejected || lane.settled >= seq).then(|| lane.place.clone())
    }
}

/// As many writes as one frame or row takes; at least one.
pub(super) fn fill<'a>(writes: impl Iterator<Item = &'a Write>) -> Vec<Write> {
    let mut weight = 0;
    let mut taken: Vec<Write> = Vec::new();
    for write in writes {
        weight += write.weight();
        if !taken.is_empty() && (weight > BATCH_BYTES_TARGET || taken.len() >= BATCH_WRITES_MAX) {
            break;
        }
        taken.push(write.clone());
    }
    taken
}

/// An outbox row: when it was written, and the writes.
pub(super) fn encode_row(unix_ms: u64, batch: &Batch) -> Vec<u8> {
    let mut out = Writer::default();
    batch.encode(out.byte(ROW_VERSION).uint(unix_ms));
    out.0
}

fn decode_row(value: &[u8]) -> Result<(u64, Batch), Error> {
    let mut input = Reader::new(value);
    match input.byte()? {
        ROW_VERSION => {}
        version => return Err(Error::malformed(format!("outbox row version {version} is newer than this library"))),
    }
    let unix_ms = input.uint()?;
    let batch = Batch::decode(&mut input)?;
    input.end()?;
    Ok((unix_ms, batch))
}
