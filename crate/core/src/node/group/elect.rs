//! Elections: one compare-and-set makes a candidate, promises seal the epochs before its own, the union of what was held
//! is brought to a quorum, and a second compare-and-set makes the leader.

use super::calls::Pending;
use super::follow::Storing;
use super::lease::{Reading, Swapping};
use super::message::{Answer, Ask};
use super::{Node, Output, Role};
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::group::record::State;
use crate::group::{MemberName, Record, Seal, Topology};
use crate::ids::{Epoch, Millis};
use crate::node::io::{Done, Event};
use crate::sorted::Set;

/// A candidacy.
pub(super) struct Candidate {
    epoch: Epoch,
    pub(super) seal: Seal,
    /// Whether its own promise is durable.
    has_promised: bool,
    /// Voters that have been asked and have not answered.
    asked: Set<MemberName>,
    ask_at: Millis,
    is_activating: bool,
    is_forced: bool,
    /// What an operator has asked for: then whoever can be reached promises first, so that nothing is away even for a moment.
    change: Option<Topology>,
    began: Millis,
    /// When to give up.
    pub(super) until: Millis,
    gives_up: Millis,
}

impl Node {
    /// Enough miss the leader, and the record is as it was: the next epoch is opened.
    pub(super) fn elect(&mut self) {
        let group = self.g();
        let (now, span) = (group.now, group.settings().election_span);
        let is_following = matches!(group.role, Role::Following { .. });
        if self.compactor.is_copying {
            return self.miss_leader_in(span);
        }
        let group = self.g();
        let Some(record) = group.record.clone().filter(|_| is_following) else { return };
        if let Some(since) = group.epoch_since.filter(|since| now.since(*since) < span) {
            return self.miss_leader_in(since.after(span).since(now));
        }
        match record.elect(&group.config.me, group.known) {
            Ok(next) => self.swap_record(Swapping::Elect, next),
            Err(_) => self.read_record(Reading::Look),
        }
    }

    /// Others hold what this candidate lacks, and their logs do not reach back to it: one of them has to lead.
    pub(super) fn lacks_too_much(&mut self) {
        if matches!(self.g_ref().role, Role::Candidate(_)) {
            let timeout = self.g_ref().settings().timeout;
            self.step_down();
            self.miss_leader_in(Millis(3 * timeout.0));
        }
    }

    /// An operator wants this member to lead, whatever is lost by it.
    pub(super) fn promote(&mut self, id: u64, unix_ms: u64, accept_data_loss: bool) {
        let refusal = if !accept_data_loss {
            Some(Error::malformed(
                "a forced promotion may lose acknowledged writes; say --accept-data-loss, or use switchover",
            ))
        } else if self.g_ref().is_leading() {
            Some(Error::malformed(format!("{} leads already", self.g_ref().config.me)))
        } else if self.is_multi() {
            Some(Error::malformed(
                "several lead already, and those that are left take writes; nobody has to be promoted",
            ))
        } else if self.g_ref().lease.promoting.is_some() || self.g_ref().lease.changing.is_some() {
            Some(Error::new(Code::Busy, "a promotion or a change of the topology is under way already"))
        } else {
            None
        };
        if let Some(error) = refusal {
            return self.outputs.push_back(Output::AdminDone { id, result: Err(error) });
        }
        self.g().lease.promoting = Some((id, unix_ms));
        self.read_record(Reading::Promote);
    }

    /// The record has been read for a promotion.
    pub(super) fn force(&mut self) {
        let group = self.g_ref();
        let is_member = self.generation.0 != 0;
        let Some(record) = group.record.clone().or_else(|| self.lost_record()).filter(|_| is_member) else {
            return self.promotion_failed(Error::new(Code::NotFound, "the group has no record yet; start it first"));
        };
        match record.force(&group.config.me, group.known) {
            Ok(next) => self.swap_record(Swapping::Elect, next),
            Err(refusal) => self.promotion_failed(Error::malformed(refusal.to_string())),
        }
    }

    // The store has lost the record: what this member knows has to do.
    fn lost_record(&self) -> Option<Record> {
        let config = &self.g_ref().config;
        let mut record = Record::new(self.generation, config.me.clone(), config.members.clone(), config.quorum).ok()?;
        record.epoch = self.g_ref().known.max(Epoch(1));
        record.led = record.epoch;
        Some(record)
    }

    pub(super) fn promotion_failed(&mut self, error: Error) {
        if let Some((id, _)) = self.g().lease.promoting.take() {
            self.outputs.push_back(Output::AdminDone { id, result: Err(error) });
        }
    }

    /// The record names this member as the candidate.
    pub(super) fn begin_candidacy(&mut self, record: &Record) {
        if self.compactor.is_copying {
            // It asked for that before its copy began. Others miss a leader, and go on from there.
            let error = Error::new(Code::Busy, "this member is getting a copy, and cannot lead before that is whole");
            self.promotion_failed(error);
            let timeout = self.g_ref().settings().timeout;
            return self.miss_leader_in(timeout);
        }
        let is_forced = matches!(record.state, State::Electing { is_forced: true, .. });
        // A promotion goes on with the candidacy that it has asked for.
        let promoting = self.g().lease.promoting.take_if(|_| is_forced);
        let changing = self.g().lease.changing.take_if(|_| !is_forced);
        self.step_down();
        let group = self.g();
        group.lease.promoting = promoting.or(group.lease.promoting);
        group.lease.changing = changing.or(group.lease.changing.take());
        let change = group.lease.changing.as_ref().map(|changing| changing.to);
        let (now, timeout) = (group.now, group.settings().timeout);
        let gives_up = now.after(Millis(4 * timeout.0.max(group.settings().call.0)));
        group.elections += 1;
        group.promised = record.epoch;
        group.epoch_since = Some(now);
        group.asking = None;
        group.role = Role::Candidate(Candidate {
            epoch: record.epoch,
            seal: Seal::new(record),
            has_promised: false,
            asked: Set::default(),
            ask_at: now,
            is_activating: false,
            is_forced,
            change,
            began: now,
            until: now,
            gives_up,
        });
        self.forget_streams();
        self.g().peers.values_mut().for_each(|peer| peer.held = None);
        let row = self.promise_row();
        self.store(vec![row], Storing::OwnPromise { epoch: record.epoch });
        self.tell_role();
    }

    pub(super) fn own_promise_stored(&mut self, epoch: Epoch) {
        let is_joined = self.g_ref().is_joined;
        if let Some(candidate) = self.g().candidate().filter(|candidate| candidate.epoch == epoch) {
            candidate.has_promised = true;
            self.note_own_holding(is_joined);
            self.ask_for_promises();
        } else {
            self.handing_promised(epoch);
        }
    }

    fn note_own_holding(&mut self, is_joined: bool) {
        let (me, held) = (self.g_ref().config.me.clone(), self.log.held.clone());
        if let Some(candidate) = self.g().candidate().filter(|candidate| is_joined && candidate.has_promised) {
            let epoch = candidate.epoch;
            candidate.seal.promised(&me, epoch, &held);
        }
    }

    // Asks everybody who has not promised, and is not being asked.
    fn ask_for_promises(&mut self) {
        let group = self.g();
        let beat = group.settings().beat;
        let now = group.now;
        let promised = |name: &MemberName| group.peers.get(name).is_some_and(|peer| peer.held.is_some());
        let others: Vec<MemberName> =
            group.voters().filter(|name| **name != group.config.me && !promised(name)).cloned().collect();
        let Some(candidate) = group.candidate() else { return };
        let epoch = candidate.epoch;
        candidate.ask_at = now.after(beat);
        candidate.until = candidate.ask_at.min(candidate.gives_up);
        let unasked: Vec<MemberName> = others.into_iter().filter(|name| candidate.asked.insert(name.clone())).collect();
        for name in unasked {
            self.call(&name, Ask::Promise, Pending::Promise { to: name.clone(), epoch });
        }
    }

    pub(super) fn promise_answered(&mut self, name: &MemberName, epoch: Epoch, answer: Result<Answer, Error>) {
        if self.handing_answered(name, epoch, &answer) {
            return;
        }
        let Some(candidate) = self.g().candidate().filter(|candidate| candidate.epoch == epoch) else { return };
        candidate.asked.remove(name);
        let Ok(Answer::Held { frontier, is_joined, .. }) = answer else { return };
        if is_joined {
            candidate.seal.promised(name, epoch, &frontier);
        }
        if let Some(peer) = self.g().peers.get_mut(name) {
            peer.holds(frontier);
        }
    }

    /// Fetches what others hold, hands it on, and activates once a quorum holds it all.
    pub(super) fn advance_candidate(&mut self) {
        let is_joined = self.g_ref().is_joined;
        self.note_own_holding(is_joined);
        let held = self.log.held.clone();
        let group = self.g();
        let (now, call, me) = (group.now, group.settings().call, group.config.me.clone());
        let Some(candidate) = group.candidate() else { return };
        if !candidate.has_promised || candidate.is_activating {
            return;
        }
        let is_asking = !candidate.asked.is_empty() && now.since(candidate.began) < call;
        let is_waited_for = match candidate.seal.is_enough() {
            true => candidate.change.is_some() && is_asking,
            false => !candidate.is_forced || is_asking,
        };
        if is_waited_for {
            return;
        }
        let union = candidate.seal.union();
        let missing = union.epochs().find(|(epoch, lsn)| held.lsn(*epoch) < *lsn);
        if let Some((epoch, lsn)) = missing {
            let holder = candidate.seal.holders(epoch, lsn).find(|name| **name != me).cloned();
            if let Some(holder) = holder {
                self.fetch(&holder, epoch);
            }
            return;
        }
        let proven = candidate.seal.proven();
        let is_forced = candidate.is_forced;
        match proven {
            Some(proven) => self.activate(&proven),
            None if is_forced => self.activate_forced(&held),
            None => {} // Handing on: the stream to those who have promised does it.
        }
    }

    fn activate(&mut self, proven: &Frontier) {
        let group = self.g();
        let Some(record) = group.record.clone() else { return };
        // Refused where a sealed log is longer than what those who promised hold: some voter lost its storage, and others may
        // have it.
        let is_multi = group.candidate().is_some_and(|candidate| candidate.change == Some(Topology::MultiLeader));
        let me = &self.g_ref().config.me;
        let next = if is_multi { record.activate_multi(me, proven) } else { record.activate(me, proven) };
        if let Ok(next) = next {
            self.swap_activation(next);
        }
    }

    fn activate_forced(&mut self, held: &Frontier) {
        let group = self.g();
        let unix_ms = group.lease.promoting.map_or(0, |(_, unix_ms)| unix_ms);
        let Some(record) = group.record.clone() else { return };
        if let Ok(next) = record.activate_forced(&group.config.me, held, unix_ms) {
            self.swap_activation(next);
        }
    }

    fn swap_activation(&mut self, next: Record) {
        if self.swap_is_free() {
            if let Some(candidate) = self.g().candidate() {
                candidate.is_activating = true;
            }
            self.swap_record(Swapping::Activate, next);
        }
    }

    /// The activation was not made, or nobody knows.
    pub(super) fn activation_open(&mut self) {
        if let Some(candidate) = self.g().candidate() {
            candidate.is_activating = false;
        }
    }

    pub(super) fn candidate_tick(&mut self) {
        let group = self.g();
        let (now, timeout) = (group.now, group.settings().timeout);
        let Some(candidate) = group.candidate() else { return };
        if now >= candidate.gives_up && !candidate.is_forced {
            self.step_down();
            return self.miss_leader_in(timeout);
        }
        if now >= candidate.ask_at {
            self.ask_for_promises();
        }
    }

    /// The candidacy is over without a tenure.
    pub(super) fn end_candidacy(&mut self) {
        if matches!(self.g_ref().role, Role::Candidate(_)) {
            let error = Error::new(Code::NotLeader, "another member was elected meanwhile; look again");
            self.promotion_failed(error.clone());
            self.change_failed(error);
        }
    }

    /// A promotion has succeeded.
    pub(super) fn promoted(&mut self, record: &Record) {
        let windows: Vec<_> = record.losses.iter().filter(|loss| loss.epoch < record.epoch).cloned().collect();
        if let Some((id, unix_ms)) = self.g().lease.promoting.take() {
            for loss in windows.into_iter().filter(|loss| loss.unix_ms == unix_ms) {
                self.event(Event::LossWindow { epoch: loss.epoch, after: loss.after });
            }
            let leader = self.g_ref().config.me.clone();
            let done = Done { epoch: record.epoch, leader, pause: Millis(0) };
            self.outputs.push_back(Output::AdminDone { id, result: Ok(done) });
        }
    }
}
