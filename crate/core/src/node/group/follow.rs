//! Taking in what others send, and answering what they ask.
//!
//! A voter that has promised an epoch takes in nothing of a lower one, across restarts: the promise is in storage before
//! anybody hears of it, and an answer to an older leader that was under way is turned into a refusal.

use super::calls::Pending;
use super::message::{Answer, Append, Ask, Call};
use super::{Node, Role};
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::group::{MemberName, Record};
use crate::ids::{Epoch, Lsn, Millis, Origin, Seq, Token};
use crate::node::catch_up::Reader;
use crate::node::io::Event;
use crate::node::origins::Place;
use crate::node::{load, log};
use crate::segment::Segment;
use crate::store::{Row, StoreOp};

/// How many moments a member that holds back remembers.
const DELAYED_MAX: u64 = 1024;

/// How far an epoch may be beyond all that were heard of before.
const EPOCHS_AHEAD_MAX: u64 = 1 << 32;
/// The longest time that a leader can say to be silent for.
pub(super) const NEXT_MS_MAX: u64 = 60_000;

/// What a commit was for.
pub(super) enum Storing {
    /// Rows of other members; who is to be told, in which epoch, and by whom they were fetched.
    Rows { segments: Vec<Segment>, reply: Option<(u64, Epoch)>, fetched: Option<MemberName> },
    /// A part of a copy of what another member keeps.
    Copy { call: u64, epoch: Epoch, whole: Option<Frontier> },
    /// A promise to a candidate.
    Promise { call: u64, epoch: Epoch },
    /// The candidate's promise to itself, or a leader's before it hands over.
    OwnPromise { epoch: Epoch },
    /// That this member leads.
    Tenure { epoch: Epoch },
    /// That it begins the group with this record.
    Founding { record: Box<Record> },
    /// That its promises count, or which database this is.
    Fact,
}

impl Node {
    pub(in crate::node) fn called(&mut self, call: u64, bytes: &[u8], now: Millis) {
        if self.group.is_none() {
            return;
        }
        self.g().now = now;
        match Call::decode(bytes).and_then(|question| self.check_caller(question)) {
            Ok(question) => self.take_call(call, question),
            Err(error) => self.refuse_call(call, error),
        }
        self.advance_group();
    }

    fn check_caller(&self, call: Call) -> Result<Call, Error> {
        let group = self.g_ref();
        if call.from == group.config.me {
            return Err(Error::malformed(format!("two members are named {}; give each its own name", call.from)));
        }
        let is_known = group.member(&call.from).is_some();
        if !is_known && !matches!(call.ask, Ask::News) {
            return Err(Error::new(Code::NotFound, format!("{} is no member of this group", call.from)));
        }
        // Nobody can have had so many elections since: one damaged number must not use up all that there are.
        if call.epoch.0 > group.known.0.saturating_add(EPOCHS_AHEAD_MAX) {
            return Err(Error::malformed(format!(
                "epoch {} is far beyond {}, the newest known here",
                call.epoch, group.known
            )));
        }
        let both = self.generation.0 != 0 && call.generation.0 != 0;
        if both && call.generation != self.generation {
            return Err(Error::new(
                Code::DatabaseReset,
                format!("{} holds another database of this name; remove the storage of the wrong one", call.from),
            ));
        }
        Ok(call)
    }

    fn take_call(&mut self, call: u64, question: Call) {
        let Call { from, epoch, ask, .. } = question;
        self.g().known = epoch.max(self.g_ref().known);
        if let Ask::News = ask {
            self.reply(call, Answer::Noted);
            return self.read_record(super::lease::Reading::Look);
        }
        if self.generation.0 == 0 {
            // Which database this is, the record says.
            self.read_record(super::lease::Reading::Look);
            return self
                .refuse_call(call, Error::new(Code::Busy, "this member does not know its group yet; ask again"));
        }
        match ask {
            Ask::Append(append) => self.take_rows(call, from, epoch, append),
            Ask::Copy(copy) => self.take_copy(call, &from, epoch, copy),
            Ask::Promise => self.take_promise(call, epoch),
            Ask::Fetch { of, after } => match self.held(of) > after {
                true => self.read_log_after(of, after, Reader::Call(call)),
                false => self.reply(call, Answer::Rows { rows: Vec::new() }),
            },
            Ask::Misses => self.take_misses(call, &from, epoch),
            Ask::Forward { pushes } => self.take_forwarded(call, epoch, pushes),
            Ask::Barrier { frontier } => {
                self.heard_of(epoch);
                if !self.g_ref().is_leading() {
                    let error = self.g_ref().not_leader();
                    return self.refuse_call(call, error);
                }
                let deadline = self.g_ref().now.after(self.g_ref().settings().call);
                self.member_barrier(call, frontier, deadline);
            }
            Ask::News => unreachable!("handled above"),
        }
    }

    /// The answer to a follower's question.
    pub(in crate::node) fn answer_barrier(&mut self, call: u64, result: Result<(), Error>) {
        let frontier = self.visible.clone();
        self.reply(
            call,
            match result {
                Ok(()) => Answer::At { frontier },
                Err(error) => Answer::Refused { error },
            },
        );
    }

    /// Another member asks for what the log does not have any more.
    pub(in crate::node) fn refuse_fetch(&mut self, call: u64) {
        self.refuse_call(call, Error::new(Code::BookmarkLost, "the log does not reach back so far; take a copy"));
    }

    /// The answer to a member that fetches.
    pub(in crate::node) fn answer_fetch(&mut self, call: u64, rows: Vec<Row>) {
        let is_held =
            |row: &Row| crate::store::log_place(&row.key).is_some_and(|(epoch, last)| last <= self.held(epoch));
        let rows = rows.into_iter().filter(is_held).map(|row| row.value).collect();
        self.reply(call, Answer::Rows { rows });
    }

    pub(super) fn refuse_lower(&mut self, call: u64, epoch: Epoch) {
        let promised = self.g_ref().promised;
        let message = format!("epoch {promised} is promised; nothing of epoch {epoch} is taken any more");
        self.refuse_call(call, Error::new(Code::NotLeader, message));
    }

    // ---- rows ----

    fn take_rows(&mut self, call: u64, from: MemberName, epoch: Epoch, append: Append) {
        let group = self.g_ref();
        if epoch < group.promised {
            return self.refuse_lower(call, epoch);
        }
        if epoch == group.promised && group.is_leading() && (append.of.is_none() || group.since() != Some(epoch)) {
            let message = format!("{} leads epoch {epoch} itself", group.config.me);
            return self.refuse_call(call, Error::new(Code::Internal, message));
        }
        if append.of.is_some() {
            return self.take_multi_rows(call, &from, epoch, append);
        }
        let is_new = epoch > group.promised;
        if is_new {
            self.step_down();
            self.g().promised = epoch;
        }
        self.hear_leader(&from, epoch, &append);
        self.take_in_rows(call, epoch, is_new, append.rows);
    }

    pub(super) fn take_in_rows(&mut self, call: u64, epoch: Epoch, is_new: bool, rows: Vec<Vec<u8>>) {
        let (ops, segments) = match self.rows_to_store(rows) {
            Ok(rows) => rows,
            Err(error) => return self.refuse_call(call, error),
        };
        let mut ops: Vec<StoreOp> = ops;
        if is_new {
            ops.push(self.promise_row());
        }
        if ops.is_empty() {
            self.reply_held(call);
            self.join_if_caught_up();
            return self.progress();
        }
        self.store(ops, Storing::Rows { segments, reply: Some((call, epoch)), fetched: None });
    }

    // What of these rows follows what is held, as changes of storage.
    fn rows_to_store(&mut self, rows: Vec<Vec<u8>>) -> Result<(Vec<StoreOp>, Vec<Segment>), Error> {
        let mut held = self.log.held.clone();
        let (mut ops, mut segments) = (Vec::new(), Vec::new());
        for value in rows {
            let segment = Segment::from_bytes(&value)?;
            let end = held.lsn(segment.epoch);
            if segment.first != end.next() || self.is_own_log(segment.epoch) {
                continue; // Held already, or beyond what was sent: the answer tells what is held.
            }
            held.advance_epoch(segment.epoch, segment.last());
            ops.push(log::row(&segment, value));
            segments.push(segment);
        }
        if !segments.is_empty() {
            ops.extend(self.mark());
        }
        if !segments.is_empty() && self.log.is_checkpoint_due(&segments, self.config.retention.checkpoint_rows) {
            ops.extend(load::checkpoint(self));
        }
        Ok((ops, segments))
    }

    /// A commit that was not the log's own is durable.
    pub(in crate::node) fn stored(&mut self, token: Token) {
        if let Some(checkpointed) = self.log.checkpointing.take() {
            self.log.checkpointed = checkpointed;
        }
        let Some(storing) = self.group.as_mut().and_then(|group| group.storing.remove(&token)) else { return };
        match storing {
            Storing::Rows { segments, reply, fetched } => {
                let entries = self.take_in(segments);
                if let Some((call, epoch)) = reply {
                    match self.g_ref().promised > epoch {
                        true => self.refuse_lower(call, epoch),
                        false => self.reply_held(call),
                    }
                }
                if let Some(from) = fetched {
                    self.fetch_failed(&from); // It is over, and the next one may begin.
                    self.report_merged(&from, entries);
                }
                self.join_if_caught_up();
            }
            Storing::Copy { call, epoch, whole } => self.copy_stored(call, epoch, whole),
            Storing::Promise { call, epoch } => match self.g_ref().promised > epoch {
                true => self.refuse_lower(call, epoch),
                false => self.reply_held(call),
            },
            Storing::OwnPromise { epoch } => self.own_promise_stored(epoch),
            Storing::Tenure { epoch } => {
                let is_current = self.log.epoch == epoch;
                if let Some(leading) = self.g().leading().filter(|_| is_current) {
                    leading.is_stored = true;
                }
            }
            Storing::Founding { record } => self.found(*record),
            Storing::Fact => {}
        }
        self.progress();
    }

    // Rows are durable: answers the runs of entries that they added.
    fn take_in(&mut self, segments: Vec<Segment>) -> Vec<(Epoch, Lsn, u64)> {
        let mut added: Vec<(Epoch, Lsn, u64)> = Vec::new();
        for segment in segments {
            let end = self.held(segment.epoch);
            if segment.first != end.next() {
                continue; // The same rows came twice at once.
            }
            self.log.held.advance_epoch(segment.epoch, segment.last());
            self.log.rows_committed += 1;
            self.log_grew(1, segment.batch.weight());
            let entries = segment.batch.writes.len() as u64;
            self.log.entries_committed += entries;
            for (place, write) in segment.batch.writes.iter().enumerate() {
                let lsn = Lsn(segment.first.0 + place as u64);
                self.take_in_write(write.origin, Place { seq: write.seq, epoch: segment.epoch, lsn });
            }
            match added.last_mut() {
                Some((epoch, _, count)) if *epoch == segment.epoch => *count += entries,
                _ => added.push((segment.epoch, end, entries)),
            }
            self.expect_acks(&segment);
            self.recent.insert(segment);
        }
        self.hold_back();
        added
    }

    /// A write stands there, durably.
    pub(in crate::node) fn take_in_write(&mut self, origin: Origin, place: Place) {
        if !self.is_multi() {
            return self.origins.appended(origin, place);
        }
        let known = self.origins.get(origin);
        let before = Seq(place.seq.0.saturating_sub(1));
        if before > Seq(0) && known.is_none_or(|known| known.epoch != place.epoch && known.seq < place.seq) {
            let others = self.other_leads();
            self.origins.moves(origin, before, others);
        }
        // This member's own log answers for repeats, as long as it has come that far.
        if !known.is_some_and(|known| place.seq <= known.seq && self.is_own_log(known.epoch)) {
            self.origins.appended(origin, place);
        }
    }

    fn report_merged(&mut self, from: &MemberName, added: Vec<(Epoch, Lsn, u64)>) {
        if !self.g_ref().is_leading() {
            return;
        }
        for (epoch, after, entries) in added {
            self.g().merged_entries += entries;
            self.event(Event::TailMerged { from: from.clone(), epoch, after, entries });
        }
    }

    /// Rows that were asked for have come.
    pub(super) fn fetched(&mut self, from: &MemberName, of: Epoch, rows: Vec<Vec<u8>>) {
        let is_wanted = !matches!(self.g_ref().role, Role::Following { .. });
        match self.rows_to_store(rows) {
            Ok((ops, segments)) if is_wanted && !ops.is_empty() && segments.iter().all(|s| s.epoch == of) => {
                self.store(ops, Storing::Rows { segments, reply: None, fetched: Some(from.clone()) });
            }
            _ => self.fetch_failed(from),
        }
    }

    pub(super) fn reply_held(&mut self, call: u64) {
        let has_clients = !self.conns.is_empty() || self.waiters.is_waiting();
        let (frontier, applied) = (self.log.held.clone(), self.visible.clone());
        let needs_copy = self.compactor.is_copying;
        let group = self.g();
        group.told.answered = Some(group.now);
        let is_joined = group.is_joined;
        self.reply(call, Answer::Held { frontier, applied, has_clients, is_joined, needs_copy });
    }

    // ---- the leader's word ----

    fn hear_leader(&mut self, from: &MemberName, epoch: Epoch, append: &Append) {
        let beat = self.g_ref().settings().beat;
        // Another tenure, or another start in the same one: what the leader had in hand before is gone.
        let is_changed = append.leader.is_some()
            && (self.g_ref().leader() != append.leader.as_ref()
                || self.g_ref().told.instance != append.instance
                || self.log.epoch != epoch);
        let group = self.g();
        if std::mem::take(&mut group.told.is_multi) {
            self.origins.forget_moves();
        }
        let group = self.g();
        let timeout = group.settings().timeout;
        group.stable.join(&append.stable);
        group.all.join(&append.all);
        let told = &mut group.told;
        told.as_of = told.answered;
        told.stable.join(&append.stable);
        told.all.join(&append.all);
        told.progress.clone_from(&append.progress);
        told.instance = append.instance;
        if is_changed || told.at_first.is_none() {
            told.at_first = append.leader.is_some().then(|| append.held.clone());
        }
        if !append.is_deaf {
            told.heard = Some(group.now);
        }
        let is_fed_by_leader = append.leader.as_ref() == Some(from);
        let deadline = match append.next_ms {
            0 => None,
            next => {
                Some(group.now.after(Millis(next.min(NEXT_MS_MAX))).after(Millis(timeout.0.saturating_sub(beat.0))))
            }
        };
        // A candidate is given time; an observer that another one feeds does not look for the leader itself.
        let deadline = if append.leader.is_none() { Some(group.now.after(Millis(2 * timeout.0))) } else { deadline };
        // One that does not hear the others may be heard for ever, and never lead them.
        let deadline = match &group.role {
            Role::Following { deadline: Some(known), .. } if append.is_deaf => Some(*known),
            _ => deadline,
        };
        group.role = Role::Following {
            leader: append.leader.clone(),
            deadline: deadline.filter(|_| is_fed_by_leader || append.leader.is_none()),
        };
        if !append.is_deaf {
            group.asking = None;
            group.missed = None;
        }
        self.set_isolated(false);
        if self.log.epoch != epoch {
            self.log.begin_epoch(epoch);
            self.g().epoch_since = Some(self.g_ref().now);
        }
        if is_changed {
            self.tell_role();
            self.recall_forwarded();
            self.resend_forwarded();
        }
        self.hold_back();
    }

    // New storage holds what a quorum holds: from here on its promises count.
    fn join_if_caught_up(&mut self) {
        let group = self.g_ref();
        let is_behind = group.told.at_first.as_ref().is_none_or(|all| !self.log.held.dominates_epochs(all));
        // A leader that was replaced goes on in good faith; what it holds is not what a quorum does. The record was read
        // after the storage began anew.
        let is_current =
            group.record.as_ref().is_some_and(|r| r.epoch == self.log.epoch && r.leader() == group.leader());
        if group.is_joined || is_behind || !is_current || !matches!(group.role, Role::Following { leader: Some(_), .. })
        {
            return;
        }
        self.g().is_joined = true;
        let row = self.promise_row();
        self.store(vec![row], Storing::Fact);
    }

    // ---- promises ----

    fn take_promise(&mut self, call: u64, epoch: Epoch) {
        // An epoch that has entries here, or was led from here, had its candidate: another one can only come from a store that
        // was put back.
        let is_used = self.held(epoch) > Lsn(0) || self.g_ref().led == epoch;
        if epoch < self.g_ref().promised || is_used || !self.g_ref().is_voter() {
            return self.refuse_lower(call, epoch);
        }
        if epoch > self.g_ref().promised {
            self.step_down();
            let group = self.g();
            group.promised = epoch;
            let deadline = group.now.after(Millis(2 * group.settings().timeout.0));
            group.role = Role::Following { leader: None, deadline: Some(deadline) };
            group.epoch_since = Some(group.now);
            group.asking = None;
        }
        let row = self.promise_row();
        self.store(vec![row], Storing::Promise { call, epoch });
    }

    // ---- observers that hold back ----

    // What has become stable now is shown when the delay is over.
    pub(super) fn hold_back(&mut self) {
        let Some(delay) = self.g_ref().delay() else { return };
        let reach = match self.is_multi() {
            true => self.showable_of_several(),
            false => self.g_ref().stable.meet(&self.log.held),
        };
        let group = self.g();
        let last = group.delayed.back().map_or(&group.shown_late, |(_, reach)| reach);
        if !last.dominates_epochs(&reach) {
            // At most so many moments, each late by a little: what is held back is shown no earlier for that.
            let step = Millis(delay.0 / DELAYED_MAX);
            let before_last = group.delayed.iter().rev().nth(1).map(|(since, _)| *since);
            if before_last.is_some_and(|since| group.now.since(since) < step) {
                group.delayed.pop_back();
            }
            group.delayed.push_back((group.now, reach));
        }
    }

    pub(super) fn release_delayed(&mut self) {
        let Some(delay) = self.g_ref().delay() else { return };
        let group = self.g();
        while let Some((since, _)) = group.delayed.front()
            && group.now.since(*since) >= delay
        {
            let (_, reach) = group.delayed.pop_front().expect("looked at above");
            group.shown_late.join(&reach);
        }
    }

    // ---- epochs ----

    /// Another member has promised an epoch that this one has not heard of.
    pub(super) fn heard_of(&mut self, epoch: Epoch) {
        if epoch.0 > self.g_ref().known.0.saturating_add(EPOCHS_AHEAD_MAX) {
            return;
        }
        self.g().known = epoch.max(self.g_ref().known);
        if epoch <= self.g_ref().promised {
            return;
        }
        self.step_down();
        self.read_record(super::lease::Reading::Look);
    }

    // ---- whether the leader is missed ----

    fn take_misses(&mut self, call: u64, from: &MemberName, epoch: Epoch) {
        self.heard_of(epoch);
        let group = self.g();
        if let Some(peer) = group.peers.get_mut(from).filter(|_| matches!(group.role, Role::Leading(_))) {
            peer.try_now();
            peer.forget_told();
            return self.reply(call, Answer::Misses { is_missed: false });
        }
        let is_heard = group.told.heard.is_some_and(|at| group.now.since(at) < group.settings().timeout);
        let was_to_be_heard = matches!(&group.role, Role::Following { deadline: Some(_), .. });
        // Half of it: whoever asks waits for the answer no longer than that.
        let half = Millis(group.settings().call.0 / 2);
        match group.leader().cloned() {
            Some(_) if is_heard => self.reply(call, Answer::Misses { is_missed: false }),
            Some(leader) if leader != *from && !was_to_be_heard => {
                // Nothing was to be heard of it while nothing happened: one question tells.
                self.call_within(half, &leader, Ask::Misses, Pending::Probe { asked: call });
            }
            _ => {
                self.reply(call, Answer::Misses { is_missed: true });
                // Somebody wants a leader, perhaps somebody who may not lead.
                if matches!(self.g_ref().role, Role::Following { deadline: None, .. }) {
                    self.miss_leader_in(Millis(0));
                }
            }
        }
    }
}
