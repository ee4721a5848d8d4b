//! Writes that no leader has settled yet: those of this opening, and those that earlier openings left behind.
//!
//! Each origin is a lane. Writes are sent in the order in which they came here, whatever their lane, and a lane begins only
//! when nothing of another one is on its way: what a user wrote before a reload, or in another tab, enters the log before
//! what they wrote when they saw it, even if the leader refuses something in between.
//!
//! A lane of another tab that is alive is *foreign*: that tab stores it, and this one only knows it.

mod lane;
mod rejections;
mod rows;

use crate::batch::{Batch, Write};
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{DocName, Origin, Seq};
use crate::limits::PUSH_WINDOW_BYTES;
use crate::sorted::{Map, Set, sort_by_key};
use crate::stage::Stage;
use lane::Entry;
pub(super) use lane::{Lane, Mark};
use rejections::Undoing;
use rows::decode_row;
pub(super) use rows::{encode_row, fill};

#[derive(Debug)]
pub(super) struct Outbox {
    own: Origin,
    last: Seq,
    lanes: Map<Origin, Lane>,
    /// Whether settled writes stay in their lanes, for peers.
    retains: bool,
    /// Lanes that have got writes, and lanes of which more was stored, since peers were told.
    entered: Set<Origin>,
    stored: Set<Origin>,
    /// Rejected writes that their documents still show.
    undoing: Vec<Undoing>,
    /// No write of this opening is marked as older.
    latest_unix_ms: u64,
    arrivals: u64,
    count: usize,
    bytes: usize,
    bytes_in_flight: usize,
}

/// What a stored row brought.
pub(super) struct Taken {
    /// Writes that were not known.
    pub(super) new: Vec<Write>,
    /// Whether nothing in it has been rejected.
    pub(super) stands: bool,
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
            lanes,
            retains: false,
            entered: Set::default(),
            stored: Set::default(),
            undoing: Vec::new(),
            latest_unix_ms: 0,
            arrivals: 0,
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
        let lane = self.lanes.get_or_default(origin);
        // Two tabs that both sent a lane may have left rows that overlap: each write counts once.
        let held = lane.rowed;
        lane.rows.push_back((first, last));
        lane.rowed = last.max(held);
        lane.reached[Stage::Local as usize] = lane.rowed;
        batch.writes.into_iter().filter(|write| write.seq > held).for_each(|write| self.enter(write, unix_ms));
        Ok(())
    }

    /// Rows come in key order: puts the lanes of earlier openings in the order in which they were written.
    pub(super) fn loaded(&mut self, are_foreign: bool) {
        let own = self.own;
        for (origin, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.rowed > Seq(0)) {
            lane.stored = lane.rowed;
            self.stored.insert(*origin);
        }
        for (_, lane) in self.lanes.iter_mut().filter(|(origin, _)| are_foreign && **origin != own) {
            lane.is_foreign = true;
            lane.rows.clear();
        }
        let mut lanes: Vec<&mut Lane> = self.lanes.values_mut().filter(|lane| !lane.pending.is_empty()).collect();
        sort_by_key(&mut lanes, |lane| lane.pending[0].unix_ms);
        for entry in lanes.into_iter().flat_map(|lane| &mut lane.pending) {
            self.arrivals += 1;
            entry.arrival = self.arrivals;
        }
    }

    fn enter(&mut self, write: Write, unix_ms: u64) {
        self.count += 1;
        self.bytes += write.weight();
        self.arrivals += 1;
        let next = self.arrivals;
        self.entered.insert(write.origin);
        let lane = self.lane(write.origin);
        // If it was here before, what came after it then still came after it.
        let unsure = lane.unsure.iter().position(|entry| entry.write.seq == write.seq);
        let arrival = unsure.map_or(next, |at| lane.unsure.remove(at).arrival);
        lane.heard = lane.heard.max(write.seq);
        lane.pending.push_back(Entry { write, unix_ms, arrival });
    }

    /// A write of another opening, from whoever has it. Answers whether it was not known.
    pub(super) fn hear(&mut self, write: &Write, unix_ms: u64) -> bool {
        let lane = self.lane(write.origin);
        let is_rejected = lane.rejected.contains_key(&write.seq);
        let is_new = lane.heard < write.seq && !is_rejected;
        if is_rejected {
            lane.heard = lane.heard.max(write.seq);
        }
        if is_new {
            self.enter(write.clone(), unix_ms);
            #[cfg(feature = "bugs")]
            if crate::bugs::is_on(crate::bugs::Bug::PeerAcksEarly) {
                self.is_stored(write.origin, write.seq);
            }
        }
        is_new
    }

    /// From here on settled writes stay.
    pub(super) fn retain(&mut self) {
        if !std::mem::replace(&mut self.retains, true) {
            self.lanes.values_mut().for_each(|lane| lane.forgotten = lane.settled);
        }
    }

    pub(super) fn retains(&self) -> bool {
        self.retains
    }

    /// Where a lane stood when this storage was used before.
    pub(super) fn mark(&mut self, origin: Origin, mark: Mark) {
        let Mark { forgotten, partial, settled, place } = &mark;
        let (forgotten, settled) = (*forgotten, *settled);
        let lane = self.lane(origin);
        lane.forgotten = forgotten;
        lane.partial = partial.clone();
        lane.heard = lane.heard.max(forgotten);
        self.settle(origin, settled, place);
    }

    /// What is settled up to `seq` and not here as writes comes with the documents: until then no read passes for it.
    pub(super) fn forget_unheard(&mut self, origin: Origin, seq: Seq, place: &Frontier) {
        let retains = self.retains;
        let lane = self.lane(origin);
        if retains && lane.heard < seq {
            lane.forgotten = seq;
            lane.partial.join(place);
        }
    }

    /// Unsettled writes of other tabs are told anew by whoever has them; of those that nobody has, nobody tells what became.
    pub(super) fn forget_foreign(&mut self) {
        let mut gone = Vec::new();
        // What peers have sent may be known to this tab alone, and they do not send it again.
        if self.retains {
            return;
        }
        for (_, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.is_foreign) {
            lane.heard = lane.settled;
            lane.unsure.extend(lane.pending.iter().cloned());
            gone.extend(lane.pending.drain(..).map(|entry| entry.write));
        }
        self.removed(&gone);
    }

    /// More of a lane is in this storage.
    pub(super) fn is_stored(&mut self, origin: Origin, seq: Seq) {
        let lane = self.lane(origin);
        if lane.stored < seq {
            lane.stored = seq;
            self.stored.insert(origin);
        }
    }

    /// Lanes that have got writes, and lanes of which more was stored, since this was asked last.
    pub(super) fn take_news(&mut self) -> (Set<Origin>, Set<Origin>) {
        (std::mem::take(&mut self.entered), std::mem::take(&mut self.stored))
    }

    /// Whether the write is here and not settled.
    pub(super) fn is_pending(&self, origin: Origin, seq: Seq) -> bool {
        let lane = self.lanes.get(&origin);
        lane.is_some_and(|lane| lane.pending.binary_search_by_key(&seq, |entry| entry.write.seq).is_ok())
    }

    /// Writes of a lane after `after`, settled or not, as many as go together.
    pub(super) fn retained_after(&self, origin: Origin, after: Seq) -> Option<(Seq, u64, Batch)> {
        let lane = self.lanes.get(&origin)?;
        let first = lane.writes_after(after).next()?;
        let before = lane.pending.partition_point(|entry| entry.write.seq <= after).checked_sub(1);
        let before = before.map(|before| &lane.pending[before]).or_else(|| {
            let before = lane.log.partition_point(|entry| entry.write.seq <= after).checked_sub(1)?;
            Some(&lane.log[before])
        });
        let prev = before.map_or(lane.forgotten, |entry| entry.write.seq);
        let writes = fill(lane.writes_after(after).map(|entry| &entry.write));
        Some((prev, first.unix_ms, Batch { writes }))
    }

    /// The seq of the last write of this opening.
    pub(super) fn next_before(&self) -> Seq {
        self.last
    }

    /// Unsettled writes of a lane after `after`, as many as go together, with the write before them and when they were made.
    pub(super) fn batch_after(&self, origin: Origin, after: Seq) -> Option<(Seq, u64, Batch)> {
        let lane = self.lanes.get(&origin)?;
        let start = lane.pending.partition_point(|entry| entry.write.seq <= after);
        let unix_ms = lane.pending.get(start)?.unix_ms;
        let prev = start.checked_sub(1).map_or(lane.settled, |before| lane.pending[before].write.seq);
        let writes = fill(lane.pending.range(start..).map(|entry| &entry.write));
        Some((prev, unix_ms, Batch { writes }))
    }

    /// A stored row that this opening did not write; `is_ours` if it is this one's to store from here on.
    pub(super) fn take_row(&mut self, value: &[u8], is_ours: bool) -> Result<Taken, Error> {
        let (unix_ms, batch) = decode_row(value)?;
        let (Some(first), Some(last)) = (batch.writes.first(), batch.writes.last()) else {
            return Err(Error::malformed("an outbox row holds no write"));
        };
        let (origin, first, last) = (first.origin, first.seq, last.seq);
        let lane = self.lane(origin);
        if is_ours {
            lane.rows.push_back((first, last));
            lane.rowed = lane.rowed.max(last);
        }
        let (heard, settled) = (lane.heard, lane.settled);
        let is_here = |lane: &Lane, seq| lane.pending.binary_search_by_key(&seq, |entry| entry.write.seq).is_ok();
        let is_rejected = |lane: &Lane, seq| lane.rejected.contains_key(&seq);
        let stands = batch.writes.iter().all(|write| {
            let is_known = write.seq <= settled || is_here(lane, write.seq);
            is_known || (write.seq > heard && !is_rejected(lane, write.seq))
        });
        let is_new = |write: &Write| write.seq > heard && !is_rejected(lane, write.seq);
        let new: Vec<Write> = batch.writes.into_iter().filter(is_new).collect();
        new.iter().for_each(|write| self.enter(write.clone(), unix_ms));
        self.advance(origin, last, Stage::Local);
        Ok(Taken { new, stands })
    }

    /// The lane of another opening; begun if it was not known.
    pub(super) fn lane_of(&mut self, origin: Origin) -> &mut Lane {
        self.lane(origin)
    }

    fn lane(&mut self, origin: Origin) -> &mut Lane {
        self.lanes.get_or_insert_with(origin, || Lane { resumes: true, ..Lane::default() })
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

    /// That write and whatever came after it, in order; nothing if it is not here any more.
    pub(super) fn from(&self, origin: Origin, seq: Seq) -> Vec<&Write> {
        let lane = self.lanes.get(&origin).map(|lane| &lane.pending);
        let first = lane.and_then(|pending| pending.iter().find(|entry| entry.write.seq == seq));
        first.map_or_else(Vec::new, |first| self.pending_since(first.arrival))
    }

    fn pending_since(&self, arrival: u64) -> Vec<&Write> {
        self.in_order(|entry| entry.arrival >= arrival && self.is_pending(entry.write.origin, entry.write.seq))
    }

    fn in_order(&self, is_meant: impl Fn(&Entry) -> bool) -> Vec<&Write> {
        let entries = self.lanes.values().flat_map(Lane::writes);
        let mut entries: Vec<&Entry> = entries.filter(|entry| is_meant(entry)).collect();
        sort_by_key(&mut entries, |entry| entry.arrival);
        entries.into_iter().map(|entry| &entry.write).collect()
    }

    pub(super) fn pending(&self) -> super::Pending {
        let oldest = self.lanes.values().filter_map(|lane| lane.pending.front().map(|entry| entry.unix_ms)).min();
        super::Pending { count: self.count, bytes: self.bytes, oldest_unix_ms: oldest }
    }

    pub(super) fn pending_writes(&self) -> impl Iterator<Item = (Origin, Seq)> + '_ {
        self.in_order(|entry| self.is_pending(entry.write.origin, entry.write.seq))
            .into_iter()
            .map(|write| (write.origin, write.seq))
    }

    pub(super) fn docs(&self) -> Set<DocName> {
        let writes = self.in_order(|_| true).into_iter();
        writes.flat_map(|write| write.parts.iter().map(|part| part.doc.clone())).collect()
    }

    pub(super) fn unsettled_updates<'a>(&'a self, doc: &'a DocName) -> impl Iterator<Item = std::rc::Rc<[u8]>> + 'a {
        self.in_order(|entry| entry.write.touches(doc))
            .into_iter()
            .flat_map(|write| &write.parts)
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

    /// The next batch to push, if the window has room and it is some lane's turn: that of the write that came first.
    pub(super) fn next_push(&mut self, commits_done: u64) -> Option<Push> {
        let turns = self.lanes.iter().filter_map(|(origin, lane)| Some((lane.unsent()?.arrival, *origin)));
        #[cfg(feature = "bugs")]
        let turns = turns.map(|(arrival, origin)| match crate::bugs::is_on(crate::bugs::Bug::LanesOutOfOrder) {
            true => (u64::MAX - arrival, origin),
            false => (arrival, origin),
        });
        let mut turns = turns;
        let first = turns.next()?;
        let (first, next) = turns.fold((first, u64::MAX), |(first, next), turn| match turn < first {
            true => (turn, first.0),
            false => (first, next.min(turn.0)),
        });
        let origin = first.1;
        let in_flight = self.bytes_in_flight;
        let lane = self.lanes.get_mut(&origin)?;
        if !lane.held_by.is_empty() {
            return None;
        }
        if lane.holds_for.take_if(|commits| *commits <= commits_done).is_none() && lane.holds_for.is_some() {
            return None;
        }
        // What of another lane is on its way may be refused, and this one may build on it.
        if in_flight > PUSH_WINDOW_BYTES || (lane.resumes && in_flight > 0) {
            return None;
        }
        let start = lane.pending.partition_point(|entry| entry.write.seq <= lane.sent);
        // Of the writes before it, the last one that stands: of those that were taken back the leader may never have heard.
        let prev = match start.checked_sub(1) {
            Some(before) => lane.pending[before].write.seq,
            None => lane.settled,
        };
        let turn = lane.pending.range(start..).take_while(|entry| entry.arrival < next);
        let writes = fill(turn.map(|entry| &entry.write));
        lane.sent = writes.last()?.seq;
        let batch = Batch { writes };
        self.bytes_in_flight += batch.weight();
        Some(Push { resume: std::mem::take(&mut lane.resumes), prev, batch })
    }

    /// The node takes nothing more of what was sent: it is sent anew.
    pub(super) fn rewind(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.sent = Seq(0);
            lane.resumes = true;
        }
        self.bytes_in_flight = 0;
    }

    /// Everything up to `seq` has reached the stage.
    pub(super) fn advance(&mut self, origin: Origin, seq: Seq, stage: Stage) {
        for reached in &mut self.lane(origin).reached[..=stage as usize] {
            *reached = (*reached).max(seq);
        }
    }

    /// Takes out what is settled up to `seq`, at that place of the log.
    pub(super) fn settle(&mut self, origin: Origin, seq: Seq, place: &Frontier) -> Vec<Write> {
        let retains = self.retains;
        let lane = self.lane(origin);
        lane.settled = lane.settled.max(seq);
        lane.heard = lane.heard.max(seq);
        lane.place.join(place);
        lane.unsure.retain(|entry| entry.write.seq > seq);
        let settled = lane.pending.partition_point(|entry| entry.write.seq <= seq);
        let settled: Vec<Entry> = lane.pending.drain(..settled).collect();
        if retains {
            lane.log.extend(settled.iter().cloned());
        }
        let writes: Vec<Write> = settled.into_iter().map(|entry| entry.write).collect();
        let landed: usize = writes.iter().filter(|write| write.seq <= lane.sent).map(Write::weight).sum();
        self.bytes_in_flight = self.bytes_in_flight.saturating_sub(landed);
        self.removed(&writes);
        writes
    }

    /// Settled writes to a document that are kept in their logs, and how far in the leader's log they reach at most.
    pub(super) fn logged_updates(&self, doc: &DocName) -> Vec<(Frontier, Vec<std::rc::Rc<[u8]>>)> {
        let of = |lane: &Lane| {
            let parts = lane.log.iter().flat_map(|entry| &entry.write.parts).filter(|part| part.doc == *doc);
            (lane.place.clone(), parts.map(|part| part.update.clone()).collect())
        };
        self.lanes.values().map(of).filter(|(_, updates): &(_, Vec<_>)| !updates.is_empty()).collect()
    }

    /// Takes these writes out of a lane.
    pub(super) fn remove(&mut self, origin: Origin, doomed: &Set<Seq>) {
        let Some(lane) = self.lanes.get_mut(&origin) else { return };
        let all = std::mem::take(&mut lane.pending);
        let (doomed, kept): (Vec<Entry>, Vec<Entry>) =
            all.into_iter().partition(|entry| doomed.contains(&entry.write.seq));
        lane.pending.extend(kept);
        let doomed: Vec<Write> = doomed.into_iter().map(|entry| entry.write).collect();
        self.removed(&doomed);
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
        // Peers know writes by their origins alone.
        let mut frontier = if self.retains { Frontier::default() } else { self.lanes[&self.own].place.clone() };
        for (origin, lane) in self.lanes.iter() {
            let is_kept = self.retains && *origin == self.own;
            if let Some(last) = if is_kept { lane.last() } else { lane.pending.back() } {
                frontier.advance_origin(*origin, last.write.seq);
            }
        }
        frontier
    }

    /// Whether the local copy of a document shows a write that is not settled.
    pub(super) fn shows_unsettled(&self, doc: &DocName) -> bool {
        self.lanes.values().any(|lane| lane.pending.iter().any(|entry| entry.write.touches(doc)))
    }

    /// The writes that the local copy of a document shows and that are named by their origin: those that are not settled,
    /// and all that are kept for peers.
    pub(super) fn unsettled_in(&self, doc: &DocName) -> Frontier {
        let mut frontier = Frontier::default();
        for (origin, lane) in self.lanes.iter() {
            if let Some(entry) = lane.writes().rev().find(|entry| entry.write.touches(doc)) {
                frontier.advance_origin(*origin, entry.write.seq);
            }
        }
        frontier
    }

    /// What a reader must hold to have seen `(origin, seq)`, if that write is one of the outbox's: nothing if the
    /// write is still here and therefore in the local copy, its place in the log if it is settled.
    pub(super) fn resolve(&self, origin: Origin, seq: Seq) -> Option<Frontier> {
        let is_here = |lane: &Lane| lane.last().is_some_and(|entry| entry.write.seq >= seq);
        let is_here = self.lanes.get(&origin).is_some_and(is_here);
        #[cfg(feature = "bugs")]
        if crate::bugs::is_on(crate::bugs::Bug::ResolvedByPlace) {
            return self.settled(origin, seq).map(|_| Frontier::default()).or_else(|| is_here.then(Frontier::default));
        }
        if self.retains && is_here {
            let kept = self.lanes.get(&origin).filter(|lane| seq > lane.forgotten);
            return kept.map(|lane| lane.partial.clone()).or_else(|| self.settled(origin, seq));
        }
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
