//! Reading the log back: for documents that catch up with the live stream, and for queries.
//!
//! A group catches up in pages. Each page is read, filtered and sent, as long as the replica gives credit; when a group
//! has everything that is committed, it joins the live stream in the same step, so nothing falls between.

use super::conn::Group;
use super::content::Reading;
use super::history::{self, Listing};
use super::{Node, Output};
use crate::batch::Batch;
use crate::error::{Code, Error};
use crate::frame::NodeFrame;
use crate::frontier::Frontier;
use crate::group::MemberName;
use crate::ids::{ConnId, DocName, Epoch, Lsn, Millis, Token};
use crate::limits::{
    BATCH_BYTES_TARGET, BATCH_WRITES_MAX, CATCH_UP_FRAMES_AHEAD, SCAN_BYTES_MAX, SCAN_ROWS_MAX, SUBSCRIPTIONS_MAX,
};
use crate::segment::Segment;
use crate::store::{self, Row, Scan, Table};
use std::rc::Rc;

/// Who waits for rows of the log.
#[derive(Clone, Debug)]
pub(super) enum Reader {
    Group {
        conn: ConnId,
        group: u64,
    },
    Query {
        id: u64,
        doc: DocName,
        /// What was read already.
        after: Frontier,
        /// The position up to which it reads, if that is not what is shown.
        at: Option<Frontier>,
    },
    /// The names of documents of which something is kept.
    Names(Box<Listing>),
    /// The names of documents that the log names after that.
    Listing(Box<Listing>),
    /// The marks around a time, for a query.
    Mark {
        id: u64,
        doc: Option<DocName>,
        unix: Millis,
    },
    /// What is kept of a group's documents.
    Filling {
        conn: ConnId,
        group: u64,
    },
    /// What is kept of a document, for a query.
    Content(Box<Reading>),
    /// The live streams.
    Live,
    /// A member that this one streams to.
    Member(MemberName),
    /// A member that asked.
    Call(u64),
    /// A copy for a member.
    Copy(MemberName),
    /// Whoever found something missing.
    Doubt(Error),
}

impl Node {
    pub(super) fn subscribe(
        &mut self,
        conn: ConnId,
        group: u64,
        frontier: Frontier,
        docs: Vec<DocName>,
    ) -> Result<(), Error> {
        if self.is_doubtful(&frontier) {
            self.doubt(conn, frontier);
            return Ok(());
        }
        let state = self.conn(conn);
        if group <= state.last_group {
            return Err(Error::new(Code::OutOfOrder, format!("group {group} is not above group {}", state.last_group)));
        }
        if state.subscriptions() + docs.len() > SUBSCRIPTIONS_MAX {
            return Err(Error::too_large(
                "the number of subscriptions",
                state.subscriptions() + docs.len(),
                SUBSCRIPTIONS_MAX,
            ));
        }
        state.unsubscribe(&docs);
        state.last_group = group;
        let credit = i64::from(CATCH_UP_FRAMES_AHEAD);
        let group_state =
            Group { docs: docs.into_iter().collect(), at: frontier.epochs_only(), credit, ..Group::default() };
        state.groups.insert(group, group_state);
        self.end_empty_groups(conn);
        self.advance_catch_up(conn, group);
        Ok(())
    }

    /// A group that lost its last document has nothing to catch up with; its replica may still wait for it to be live.
    pub(super) fn end_empty_groups(&mut self, conn: ConnId) {
        let held = self.visible.clone();
        let groups = self.conn(conn).groups.iter_mut().filter(|(_, group)| group.docs.is_empty());
        let empty: Vec<u64> = groups
            .map(|(id, group)| {
                group.at.join(&held);
                *id
            })
            .collect();
        empty.into_iter().for_each(|group| self.advance_catch_up(conn, group));
    }

    pub(super) fn credit(&mut self, conn: ConnId, group: u64, frames: u64) -> Result<(), Error> {
        let Some(state) = self.conn(conn).groups.get_mut(&group) else {
            return Ok(()); // It went live while the credit was on its way.
        };
        state.credit = state.credit.saturating_add_unsigned(frames).min(i64::from(CATCH_UP_FRAMES_AHEAD));
        self.conn(conn).is_changed = true;
        self.advance_catch_up(conn, group);
        Ok(())
    }

    /// Takes the next step for one group: live, or one more page.
    pub(super) fn advance_catch_up(&mut self, conn: ConnId, group: u64) {
        let log_entries = self.config.retention.log_entries_min;
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let Some(waiting) = state.groups.get_mut(&group).filter(|waiting| !waiting.is_reading) else { return };
        if waiting.filling.is_some()
            || (!waiting.docs.is_empty() && self.compactor.is_far_ahead_of(&waiting.at, log_entries))
        {
            return self.fill(conn, group);
        }
        let behind = self.visible.epochs().find(|(epoch, end)| waiting.at.lsn(*epoch) < *end);
        let Some((epoch, _)) = behind else {
            let docs = std::mem::take(&mut waiting.docs);
            state.groups.remove(&group);
            state.live.extend(docs);
            state.is_changed = true;
            self.tell_through(conn);
            let frontier = self.frontier();
            self.send(conn, &NodeFrame::Live { group, frontier });
            return self.attach_if_changed(conn);
        };
        if waiting.credit > 0 {
            waiting.is_reading = true;
            let at = waiting.at.lsn(epoch);
            self.read_log_after(epoch, at, Reader::Group { conn, group });
        }
    }

    pub(super) fn advance_catch_ups(&mut self) {
        let waiting: Vec<(ConnId, u64)> =
            self.conns.iter().flat_map(|(conn, state)| state.groups.keys().map(|group| (*conn, *group))).collect();
        waiting.into_iter().for_each(|(conn, group)| self.advance_catch_up(conn, group));
    }

    pub(super) fn scanned(&mut self, token: Token, rows: Vec<Row>) {
        if self.compaction_scanned(token, &rows) {
            return;
        }
        let Some((reader, epoch, after)) = self.scans.remove(&token) else { return };
        let reader = match reader {
            Reader::Member(name) => return self.feed_rows(&name, rows),
            Reader::Call(call) if after < self.compactor.trimmed.lsn(epoch) => return self.refuse_fetch(call),
            Reader::Call(call) => return self.answer_fetch(call, rows),
            Reader::Doubt(error) => return self.doubted(error, &rows),
            Reader::Copy(name) => return self.copy_read(&name, rows),
            Reader::Filling { conn, group } => return self.fill_read(conn, group, &rows),
            Reader::Content(reading) => return self.content_read(*reading, &rows),
            Reader::Names(listing) => return self.names_read(*listing, &rows),
            Reader::Mark { id, doc, unix } => return self.marks_read(id, doc, unix, &rows),
            reader => reader,
        };
        let segments: Result<Vec<Segment>, Error> = rows.iter().map(|row| Segment::from_bytes(&row.value)).collect();
        match segments {
            Err(error) => {
                self.doubt_storage("the log does not read back", &error);
            }
            // What was to be read has been trimmed meanwhile: it is to be had from what is kept of the documents.
            Ok(segments)
                if self.compactor.trimmed.lsn(epoch) > after && (segments.is_empty() || has_gap(after, &segments)) =>
            {
                self.log_is_trimmed(reader);
            }
            Ok(segments) if segments.is_empty() => {
                self.doubt_storage("the log", &Error::malformed("it ends before its last committed entry"));
            }
            Ok(segments) if has_gap(after, &segments) => {
                self.doubt_storage("the log", &Error::malformed(format!("a log row is missing after entry {after}")));
            }
            Ok(segments) => match reader {
                Reader::Group { conn, group } => self.send_page(conn, group, segments),
                Reader::Query { id, doc, after, at } => self.answer_page(id, doc, after, at, &segments),
                Reader::Listing(listing) => self.listed(*listing, &segments),
                _ => self.show_page(segments),
            },
        }
    }

    fn log_is_trimmed(&mut self, reader: Reader) {
        match reader {
            Reader::Group { conn, group } => {
                if let Some(waiting) = self.conns.get_mut(&conn).and_then(|state| state.groups.get_mut(&group)) {
                    waiting.is_reading = false;
                }
                self.advance_catch_up(conn, group);
            }
            Reader::Query { id, doc, at, .. } => self.read_query(id, doc, at),
            Reader::Listing(listing) => self.list_anew(*listing),
            _ => self.fail(Error::new(Code::Internal, "the log was trimmed before it was shown")),
        }
    }

    fn send_page(&mut self, conn: ConnId, group: u64, segments: Vec<Segment>) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let Some(waiting) = state.groups.get_mut(&group) else { return };
        waiting.is_reading = false;
        let epoch = segments.first().map_or(Epoch(0), |segment| segment.epoch);
        let end = self.visible.lsn(epoch);
        let mut frames: Vec<(Lsn, Batch)> = Vec::new();
        let mut weight = usize::MAX;
        for segment in segments {
            // Rows that are not visible yet may be there already; they come with their broadcast.
            if segment.last() > end {
                break;
            }
            let held = waiting.at.lsn(segment.epoch);
            let mut batch = segment.batch.clone();
            batch.writes.drain(..(held.next().0.saturating_sub(segment.first.0) as usize).min(batch.writes.len()));
            let batch = batch.filtered(|_, doc| waiting.docs.contains(doc));
            waiting.at.advance_epoch(segment.epoch, segment.last());
            let added = batch.weight();
            match frames.last_mut() {
                Some((through, last))
                    if weight.saturating_add(added) <= BATCH_BYTES_TARGET
                        && last.writes.len() + batch.writes.len() <= BATCH_WRITES_MAX
                        && batch.writes.iter().all(|write| last.takes(write)) =>
                {
                    *through = segment.last();
                    last.writes.extend(batch.writes);
                    weight += added;
                }
                _ => {
                    frames.push((segment.last(), batch));
                    weight = added;
                }
            }
        }
        waiting.credit -= frames.len() as i64;
        state.is_changed = true;
        for (through, batch) in frames {
            self.send(conn, &NodeFrame::Entries { group, epoch, through, batch });
        }
        self.advance_catch_up(conn, group);
        self.attach_if_changed(conn);
    }

    pub(super) fn answer_page(
        &mut self,
        id: u64,
        doc: DocName,
        mut after: Frontier,
        at: Option<Frontier>,
        segments: &[Segment],
    ) {
        if !self.waiters.is_reading(id) {
            return; // Cancelled.
        }
        // What becomes visible while it is read is shown as well: it may be half of what has become so.
        let end = at.as_ref().unwrap_or(&self.visible);
        let parts = segments.iter().flat_map(|segment| history::within(segment, end)).flat_map(|write| &write.parts);
        let updates: Vec<Rc<[u8]>> = parts.filter(|part| part.doc == doc).map(|part| part.update.clone()).collect();
        segments.iter().for_each(|segment| after.advance_epoch(segment.epoch, segment.last()));
        // On in this epoch, or with the next one that has entries.
        let next = end.epochs().find(|(epoch, end)| after.lsn(*epoch) < *end);
        if !updates.is_empty() {
            self.outputs.push_back(Output::Content { query: id, updates });
        }
        match next {
            Some((epoch, _)) => self.read_log_after(epoch, after.lsn(epoch), Reader::Query { id, doc, after, at }),
            None => self.answer_query(id, at.unwrap_or_else(|| self.frontier())),
        }
    }

    pub(super) fn read_log_after(&mut self, epoch: Epoch, lsn: Lsn, reader: Reader) {
        let token = self.token();
        self.scans.insert(token, (reader, epoch, lsn));
        let scan = Scan {
            table: Table::Log,
            from: store::log_key(epoch, lsn.next()),
            to: Some(store::log_key(Epoch(epoch.0 + 1), Lsn(0))),
            limit: Some((SCAN_ROWS_MAX, SCAN_BYTES_MAX)),
        };
        self.outputs.push_back(Output::Scan { token, scan });
    }
}

// Whether entries are missing between `after` and the first row, or between two rows.
fn has_gap(after: Lsn, segments: &[Segment]) -> bool {
    let mut end = after;
    segments.iter().any(|segment| {
        let follows = segment.first <= end.next();
        end = segment.last();
        !follows
    })
}
