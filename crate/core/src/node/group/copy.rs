//! A copy of what is kept, for a member to whom the log does not reach any more: it was away for longer than the log is kept,
//! or its storage is new.
//!
//! While a copy is being sent nothing is compacted here, so that it is of one moment. Whoever gets it keeps its own log, which
//! others may need, until the copy is whole; until then it shows its clients nothing, and does not stand for election. A copy
//! that breaks off begins anew. Once it is whole the member begins anew from its storage, and goes on with the log.

use super::calls::Pending;
use super::follow::Storing;
use super::message::{Answer, Ask};
use super::{Node, Output};
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::group::MemberName;
use crate::ids::{Epoch, Lsn, Millis};
use crate::node::catch_up::Reader;
use crate::store::{self, Row, Scan, StoreOp, Table};
use crate::wire::Writer;

/// The row that says that a copy has begun to arrive and is not whole.
pub(in crate::node) const COPYING: &str = "copying";
/// What is copied as it stands, in this order.
const TABLES: [Table; 2] = [Table::Contents, Table::Docs];
/// How much of it one call has.
const PAGE: (usize, usize) = (512, 512 << 10);

/// For how long one member's copy keeps others from sending theirs, after each part.
const SOURCE_MS: u64 = 10_000;

/// A copy for a member.
pub(super) enum Copying {
    /// Everything up to here is to be folded first: the member may have folded as much.
    Waiting(Frontier),
    /// The next rows.
    Sending { table: usize, from: Vec<u8>, is_first: bool },
}

/// A part of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// Whether it is the first part: what the member had goes.
    pub is_first: bool,
    /// Whether it is the last one.
    pub is_last: bool,
    /// What the copy holds.
    pub folded: Frontier,
    /// The last number of the contents.
    pub last_number: u64,
    /// Rows of documents' plans, contents, and origins.
    pub rows: Vec<(Table, Vec<u8>, Vec<u8>)>,
}

impl Node {
    /// Whether a copy is being sent from here.
    pub(in crate::node) fn is_being_copied(&self) -> bool {
        let is_sending = |peer: &super::Peer| matches!(peer.copying, Some(Copying::Sending { .. }));
        self.group.as_ref().is_some_and(|group| group.peers.values().any(is_sending))
    }

    /// What has to be folded for a copy.
    pub(in crate::node) fn must_fold(&self) -> bool {
        let is_behind = |peer: &super::Peer| match &peer.copying {
            Some(Copying::Waiting(target)) => !self.compactor.folded.dominates_epochs(target),
            _ => false,
        };
        self.group.as_ref().is_some_and(|group| group.peers.values().any(is_behind))
    }

    /// A member lacks what the log does not have any more. Whether a part of a copy is on its way to it.
    pub(super) fn copy_to(&mut self, name: &MemberName) -> bool {
        let (foldable, is_idle) = (self.foldable(), self.compactor.is_idle());
        let is_covered = |theirs: &Frontier| self.log.held.dominates_epochs(theirs);
        let Some(peer) = self.g_ref().peers.get(name) else { return false };
        // What it alone has is fetched first.
        if !peer.held.as_ref().is_some_and(is_covered) {
            return false;
        }
        let next = match &peer.copying {
            None => Copying::Waiting(foldable),
            Some(Copying::Waiting(target)) if is_idle && self.compactor.folded.dominates_epochs(target) => {
                Copying::Sending { table: 0, from: Vec::new(), is_first: true }
            }
            Some(Copying::Waiting(_)) => return false,
            Some(Copying::Sending { .. }) => return self.read_copy(name),
        };
        let is_sending = matches!(next, Copying::Sending { .. });
        if let Some(peer) = self.g().peers.get_mut(name) {
            peer.copying = Some(next);
        }
        is_sending && self.read_copy(name)
    }

    // The next page of what is copied; at the end, the origins.
    fn read_copy(&mut self, name: &MemberName) -> bool {
        let Some(peer) = self.g().peers.get_mut(name) else { return false };
        let Some(Copying::Sending { table, from, .. }) = &peer.copying else { return false };
        let Some(table) = TABLES.get(*table) else {
            self.send_copy(name, Vec::new());
            return true;
        };
        let scan = Scan { table: *table, from: from.clone(), to: None, limit: Some(PAGE) };
        peer.is_reading = true;
        let token = self.token();
        self.scans.insert(token, (Reader::Copy(name.clone()), Epoch(0), Lsn(0)));
        self.outputs.push_back(Output::Scan { token, scan });
        true
    }

    /// A page of what is copied has been read.
    pub(in crate::node) fn copy_read(&mut self, name: &MemberName, rows: Vec<Row>) {
        let Some(peer) = self.g().peers.get_mut(name) else { return };
        peer.is_reading = false;
        let Some(Copying::Sending { table, from, .. }) = &mut peer.copying else { return };
        match rows.last() {
            Some(last) => {
                *from = [last.key.as_slice(), &[0]].concat();
                let of = TABLES[*table];
                let rows = rows.into_iter().map(|row| (of, row.key, row.value)).collect();
                self.send_copy(name, rows);
            }
            None => {
                (*table, *from) = (*table + 1, Vec::new());
                self.read_copy(name);
            }
        }
    }

    fn send_copy(&mut self, name: &MemberName, mut rows: Vec<(Table, Vec<u8>, Vec<u8>)>) {
        let folded = self.compactor.folded.clone();
        let last_number = self.compactor.last_number();
        let sent = self.g_ref().now;
        let Some(peer) = self.g().peers.get_mut(name) else { return };
        let Some(Copying::Sending { table, is_first, .. }) = &mut peer.copying else { return };
        let is_last = *table == TABLES.len();
        let is_first = std::mem::take(is_first);
        if is_last {
            rows.extend(self.origins.rows_within(&folded));
        }
        let ask = Ask::Copy(Copy { is_first, is_last, folded, last_number, rows });
        let call = self.call(name, ask, Pending::Copy { to: name.clone(), sent });
        if let Some(peer) = self.g().peers.get_mut(name) {
            peer.in_flight = call;
            peer.last_sent = Some(sent);
        }
    }

    /// A member has taken a part in, or not.
    pub(super) fn copy_answered(&mut self, name: &MemberName, sent: Millis, answer: Result<Answer, Error>) {
        let is_over = !matches!(answer, Ok(Answer::Held { .. }));
        if let Some(peer) = self.g().peers.get_mut(name) {
            let is_last = matches!(peer.copying, Some(Copying::Sending { table, .. }) if table == TABLES.len());
            if is_over || is_last {
                peer.copying = None;
            }
        }
        let round = 0;
        self.append_answered(name, round, sent, answer);
    }

    /// A part of a copy arrives.
    pub(super) fn take_copy(&mut self, call: u64, from: &MemberName, epoch: Epoch, copy: Copy) {
        if epoch < self.g_ref().promised {
            return self.refuse_lower(call, epoch);
        }
        let is_copying = self.compactor.is_copying;
        let now = self.g_ref().now;
        let source = self.g_ref().copied_from.as_ref();
        let is_source = source.is_some_and(|(source, _)| source == from);
        let is_others = source.is_some_and(|(source, at)| source != from && now.since(*at).0 < SOURCE_MS);
        // One of several leaders goes on leading: what it alone has stays in its log.
        let refusal = if self.g_ref().is_leading() && !self.is_multi() {
            Some(Error::new(Code::Internal, "a leader takes no copy of another member"))
        } else if copy.is_first && is_others {
            Some(Error::new(Code::Busy, "another member sends a copy already"))
        } else if copy.is_first && (!self.compactor.is_idle() || !self.g_ref().storing.is_empty()) {
            Some(Error::new(Code::Busy, "this member is writing; send the copy again"))
        } else if copy.is_first && !is_copying && self.log.held.dominates_epochs(&copy.folded) {
            Some(Error::new(Code::Busy, "this member holds as much as the copy"))
        } else if !copy.folded.dominates_epochs(&self.compactor.folded) {
            Some(Error::new(Code::Busy, "this member has folded more than the copy holds; send it again"))
        } else if !(copy.is_first || is_copying && is_source) {
            Some(Error::new(Code::Resume, "this copy's beginning is not here; send it again"))
        } else {
            None
        };
        if let Some(error) = refusal {
            return self.refuse_call(call, error);
        }
        self.g().copied_from = Some((from.clone(), now));
        let mut ops: Vec<StoreOp> = Vec::new();
        if epoch > self.g_ref().promised {
            self.step_down();
            self.g().promised = epoch;
            ops.push(self.promise_row());
        }
        if copy.is_first {
            for table in [Table::Contents, Table::Docs, Table::Origins] {
                ops.push(StoreOp::DeleteRange { table, from: Vec::new(), to: vec![0xff; 512] });
            }
            ops.push(StoreOp::Put { table: Table::Meta, key: store::meta_key(COPYING), value: Vec::new() });
            self.compactor.is_copying = true;
            let error = Error::new(Code::Busy, "this member was away for long, and is getting a copy; try another");
            self.close_all(&error);
            for query in self.waiters.take_queries() {
                self.outputs.push_back(Output::Answer { query, result: Err(error.clone()) });
            }
        }
        ops.extend(copy.rows.into_iter().map(|(table, key, value)| StoreOp::Put { table, key, value }));
        if copy.is_last {
            ops.push(StoreOp::Put {
                table: Table::Meta,
                key: store::meta_key(crate::node::load::CHECKPOINT),
                value: frontier_row(&copy.folded),
            });
            ops.push(self.compacted_row(&copy.folded, &copy.folded, copy.last_number));
            ops.push(StoreOp::Delete { table: Table::Meta, key: store::meta_key(COPYING) });
            for (epoch, through) in copy.folded.epochs() {
                let (from, to) = (store::log_key(epoch, Lsn(0)), store::log_key(epoch, through.next()));
                ops.push(StoreOp::DeleteRange { table: Table::Log, from, to });
            }
        }
        let whole = copy.is_last.then_some(copy.folded);
        self.store(ops, Storing::Copy { call, epoch, whole });
    }

    /// A part of a copy is stored.
    pub(super) fn copy_stored(&mut self, call: u64, epoch: Epoch, whole: Option<Frontier>) {
        let is_whole = whole.is_some();
        whole.iter().for_each(|folded| self.log.held.join(folded));
        match self.g_ref().promised > epoch {
            true => self.refuse_lower(call, epoch),
            false => self.reply_held(call),
        }
        if is_whole {
            self.fail(Error::new(
                Code::Resume,
                "a copy of another member's storage is whole; the node begins anew from it",
            ));
        }
    }
}

fn frontier_row(frontier: &Frontier) -> Vec<u8> {
    let mut value = Writer::default();
    frontier.encode(&mut value);
    value.0
}
