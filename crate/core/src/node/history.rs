//! What the log tells of the past: the position that a time stands for, which documents there were at a position, and
//! writes that the host makes itself, by which an import and a restoration come into the log.
//!
//! While there are commits, one each second also writes a **mark**: the time, and what was shown before that commit. So a
//! time names a position that holds nothing committed later, and everything from more than a second before it.

use super::catch_up::Reader;
use super::group::message::{Forwarded, Outcome};
use super::{At, Node, Output, Query};
use crate::batch::Batch;
use crate::bookmark::Bookmark;
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{DocName, Epoch, Lsn, Millis, Seq};
use crate::limits::{DOCS_LISTED_MAX, FORWARDED_APPEND_BYTES_MAX, MARK_EVERY_MS, MARKS_KEPT_MS, SCAN_BYTES_MAX};
use crate::segment::Segment;
use crate::store::{self, Row, Scan, StoreOp, Table};
use std::collections::BTreeSet;

/// The most marks that can lie within a second: each start of a node writes one at once.
const MARKS_READ_MAX: usize = 64;
/// How many marks are written between two looks at those that are too old.
const MARKS_PER_TRIM: u64 = 256;
/// What forwards a write of the host's own; no connection has this number.
const NO_CONN: u64 = u64::MAX;

/// When the last mark was written, and how many were by this instance.
#[derive(Default)]
pub(super) struct Marks {
    last: Option<Millis>,
    written: u64,
}

/// A page of names under way: the first ones after `after` that the log has up to `at`.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    id: u64,
    after: Option<DocName>,
    at: Frontier,
    /// The last name of the page that something is kept of; none, if there is nothing behind `after`.
    until: Option<DocName>,
    /// How far the log is read.
    read: Frontier,
    names: BTreeSet<DocName>,
}

impl Node {
    /// The mark that goes with a commit of entries, if one is due, as changes of storage.
    pub(super) fn mark(&mut self) -> Vec<StoreOp> {
        let now = self.now;
        // A clock that was set back writes none until it is where it was.
        if self.marks.last.is_some_and(|last| now < last.after(Millis(MARK_EVERY_MS))) {
            return Vec::new();
        }
        self.marks.last = Some(now);
        self.marks.written += 1;
        let value = self.visible.epochs_only().to_bytes();
        let mut ops = vec![StoreOp::Put { table: Table::Times, key: time_key(now), value }];
        if self.marks.written % MARKS_PER_TRIM == 1 && now.0 > MARKS_KEPT_MS {
            let (from, to) = (time_key(Millis(0)), time_key(now.since(Millis(MARKS_KEPT_MS))));
            ops.push(StoreOp::DeleteRange { table: Table::Times, from, to });
        }
        ops
    }

    /// What a query waited for is here: now it is known which position it asks for, or it can be read.
    pub(super) fn begin_reading(&mut self, id: u64, doc: Option<DocName>, at: Option<At>) {
        match (doc, at) {
            (None, None) => self.answer_query(id, self.frontier()),
            (Some(doc), None) => {
                self.waiters.begin_reading(id);
                self.read_query(id, doc, None);
            }
            (doc, Some(At::Position(named))) => match self.position_of(&named) {
                Ok(at) => self.read_at(id, doc, at),
                Err(error) => self.outputs.push_back(Output::Answer { query: id, result: Err(error) }),
            },
            (_, Some(At::Time(unix))) if unix.after(Millis(MARKS_KEPT_MS)) < self.now => {
                let message = "nothing is kept of what this node showed so long ago; read as of a later time";
                let result = Err(Error::new(Code::BookmarkLost, message));
                self.outputs.push_back(Output::Answer { query: id, result });
            }
            (doc, Some(At::Time(unix))) => {
                self.waiters.begin_reading(id);
                let from = time_key(unix.since(Millis(MARK_EVERY_MS)).after(Millis(1)));
                let scan = Scan { table: Table::Times, from, to: None, limit: Some((MARKS_READ_MAX, SCAN_BYTES_MAX)) };
                let token = self.token();
                self.scans.insert(token, (Reader::Mark { id, doc, unix }, Epoch(0), Lsn(0)));
                self.outputs.push_back(Output::Scan { token, scan });
            }
        }
    }

    /// The marks around a time: before the first that is younger lies what was shown then.
    pub(super) fn marks_read(&mut self, id: u64, doc: Option<DocName>, unix: Millis, rows: &[Row]) {
        if !self.waiters.is_reading(id) {
            return; // Cancelled.
        }
        let is_before = |row: &&Row| row.key.as_slice() <= time_key(unix).as_slice();
        // Within the second after a mark nobody can say which of its commits were before the time: none of them counts.
        let mark = rows.iter().rev().find(is_before).or(rows.first());
        let at = mark.map_or(Ok(self.frontier()), |row| Frontier::from_bytes(&row.value));
        match at {
            Ok(at) => self.read_at(id, doc, at.meet(&self.visible)),
            Err(error) => {
                self.waiters.forget_query(id);
                let error =
                    Error::new(Code::Corrupt, format!("the mark of that time does not read back: {}", error.message));
                self.outputs.push_back(Output::Answer { query: id, result: Err(error) });
            }
        }
    }

    fn read_at(&mut self, id: u64, doc: Option<DocName>, at: Frontier) {
        match doc {
            None => self.answer_query(id, at),
            Some(doc) => {
                self.waiters.begin_reading(id);
                self.read_query(id, doc, Some(at));
            }
        }
    }

    pub(super) fn answer_query(&mut self, id: u64, frontier: Frontier) {
        self.waiters.forget_query(id);
        let result = Ok(Bookmark::new(self.generation, frontier));
        self.outputs.push_back(Output::Answer { query: id, result });
    }

    /// The position in the logs that a frontier names. One leader's log goes on where that of the one before ended, so
    /// that an epoch stands for all of those before it; several leaders' logs stand beside one another.
    fn position_of(&self, named: &Frontier) -> Result<Frontier, Error> {
        let place = self.place_in_logs(named).filter(|place| self.visible.dominates_epochs(place));
        let mut place = place.ok_or_else(|| {
            let message =
                "the position lies beyond what this node shows; wait for it with a bookmark, or name an earlier one";
            Error::new(Code::BookmarkLost, message)
        })?;
        if !self.is_multi()
            && let Some((newest, _)) = place.epochs().last()
        {
            let before = self.visible.epochs().filter(|(epoch, _)| *epoch < newest);
            before.for_each(|(epoch, end)| place.advance_epoch(epoch, end));
        }
        Ok(place)
    }

    /// Names the documents that have entries up to `at`, and maybe some that have only later ones, in order, from the one
    /// after `after` on: as many as one answer holds. `Output::Docs` answers.
    pub(super) fn list_docs(&mut self, id: u64, after: Option<DocName>, at: &Frontier) {
        self.waiters.begin_reading(id);
        let at = at.meet(&self.visible);
        let read = Frontier::default();
        self.list_anew(Listing { id, after, at, until: None, read, names: BTreeSet::new() });
    }

    /// Begins with the documents of which something is kept.
    pub(super) fn list_anew(&mut self, mut listing: Listing) {
        listing.read = self.compactor.folded.clone();
        listing.names.clear();
        let from =
            listing.after.as_ref().map_or_else(Vec::new, |after| [store::doc_key(after).as_slice(), &[0]].concat());
        let scan = Scan { table: Table::Docs, from, to: None, limit: Some((DOCS_LISTED_MAX, SCAN_BYTES_MAX)) };
        let token = self.token();
        self.scans.insert(token, (Reader::Names(Box::new(listing)), Epoch(0), Lsn(0)));
        self.outputs.push_back(Output::Scan { token, scan });
    }

    /// Goes on with the log after them. Of what it names, the page has what comes before the last that is kept.
    pub(super) fn names_read(&mut self, mut listing: Listing, rows: &[Row]) {
        let names =
            rows.iter().map(|row| std::str::from_utf8(&row.key).ok().and_then(|name| DocName::parse(name).ok()));
        match names.collect::<Option<BTreeSet<DocName>>>() {
            Some(names) => {
                listing.until = names.last().cloned();
                listing.names = names;
                self.list_on(listing);
            }
            None => self.fail(Error::new(Code::Corrupt, "a document's name does not read back")),
        }
    }

    /// The log's next rows for a listing.
    pub(super) fn listed(&mut self, mut listing: Listing, segments: &[Segment]) {
        for segment in segments {
            let names = within(segment, &listing.at).iter().flat_map(|write| &write.parts).map(|part| &part.doc);
            let is_here = |name: &&DocName| {
                listing.after.as_ref().is_none_or(|after| *name > after)
                    && listing.until.as_ref().is_none_or(|until| *name < until)
            };
            listing.names.extend(names.filter(is_here).cloned());
            while listing.names.len() > DOCS_LISTED_MAX {
                listing.names.pop_last();
            }
            listing.read.advance_epoch(segment.epoch, segment.last());
        }
        self.list_on(listing);
    }

    fn list_on(&mut self, listing: Listing) {
        if !self.waiters.is_reading(listing.id) {
            return; // Cancelled.
        }
        let next = listing.at.epochs().find(|(epoch, end)| listing.read.lsn(*epoch) < *end);
        match next.map(|(epoch, _)| (epoch, listing.read.lsn(epoch))) {
            Some((epoch, after)) => self.read_log_after(epoch, after, Reader::Listing(Box::new(listing))),
            None => {
                self.waiters.forget_query(listing.id);
                self.outputs.push_back(Output::Docs { query: listing.id, names: listing.names.into_iter().collect() });
            }
        }
    }

    /// Writes that the host makes, all of one fresh origin: in one commit, or not at all. `Output::Answer` comes when they
    /// are shown.
    pub(super) fn append_own(&mut self, id: u64, batch: Batch, timeout: Millis, now: Millis) {
        if let Err(error) = self.try_append_own(&batch) {
            return self.outputs.push_back(Output::Answer { query: id, result: Err(error) });
        }
        let last = batch.writes.last().expect("checked above");
        let written = Frontier::of_origin(last.origin, last.seq);
        let bookmark = Bookmark::new(self.generation, written);
        self.query(Query { id, doc: None, bookmark, strong: false, timeout, at: None }, now);
    }

    fn try_append_own(&mut self, batch: &Batch) -> Result<(), Error> {
        if let Some(error) = self.turns_away() {
            return Err(error);
        }
        batch.check_push(Seq(0))?;
        // A refusal in their middle would leave the first ones in the log.
        batch.writes.iter().try_for_each(|write| self.check(write))?;
        if self.is_leading() {
            return match self.append(true, Seq(0), batch.clone()) {
                (Outcome::Taken, _) => Ok(()),
                (Outcome::Rejected { error, .. } | Outcome::Closed { error }, _) => Err(error),
            };
        }
        if batch.weight() > FORWARDED_APPEND_BYTES_MAX {
            let message = "this is too much to be passed on in one piece; ask the leader of the group";
            return Err(Error::new(Code::NotLeader, message));
        }
        self.forward(Forwarded { conn: NO_CONN, resume: true, prev: Seq(0), batch: batch.clone() })
    }
}

/// The writes of a row that stand at or before a position.
pub(super) fn within<'a>(segment: &'a Segment, at: &Frontier) -> &'a [crate::batch::Write] {
    let count = (at.lsn(segment.epoch).0 + 1).saturating_sub(segment.first.0);
    let writes = &segment.batch.writes;
    &writes[..usize::try_from(count).map_or(writes.len(), |count| count.min(writes.len()))]
}

fn time_key(unix: Millis) -> Vec<u8> {
    unix.0.to_be_bytes().to_vec()
}
