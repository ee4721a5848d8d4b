//! Several leaders: each appends to the log of an epoch of its own, streams it to the others, and shows its clients whatever
//! it holds. What single leaders do not need is here: taking in what others lead, feeding on what its owner cannot, and
//! getting an epoch again after storage was lost.
//!
//! Nobody replaces a leader that is away: the others go on, and it goes on in its own epoch when it is back.

use super::calls::Pending;
use super::follow::NEXT_MS_MAX;
use super::lease::Swapping;
use super::message::{Append, Ask};
use super::{Node, Role};
use crate::frontier::Frontier;
use crate::group::{MemberName, Record, Role as MemberRole};
use crate::ids::{Epoch, Lsn, Millis};
use crate::node::origins::Place;

/// A log in which another member stays behind, although its leader should be sending it.
pub(super) struct Stuck {
    /// What it would have to hold not to be, and since when.
    at: Lsn,
    noticed: Millis,
    /// Whether this member sends it what is missing.
    is_relayed: bool,
}

impl super::Group {
    /// Whether several lead, as far as this member knows.
    pub(super) fn is_multi(&self) -> bool {
        match &self.role {
            Role::Leading(leading) => leading.since.is_some(),
            Role::Candidate(_) => false,
            Role::Following { .. } => self.told.is_multi || self.multi_record().is_some(),
        }
    }

    /// The record, if it names several leaders and no newer epoch is promised.
    fn multi_record(&self) -> Option<&Record> {
        self.record.as_ref().filter(|record| record.is_multi() && record.fence() >= self.promised)
    }

    /// Of several leaders, what they began with and what is this member's own, by the record.
    pub(super) fn own_multi_epoch(&self) -> Option<(Epoch, Epoch)> {
        let record = self.multi_record()?;
        record.lead_of(self.me()).map(|epoch| (record.fence(), epoch))
    }

    /// In whose name a leader among several calls.
    pub(super) fn since(&self) -> Option<Epoch> {
        match &self.role {
            Role::Leading(leading) => leading.since,
            _ => None,
        }
    }

    /// Whether the member is one of several leaders.
    pub(super) fn is_co_leader(&self, name: &MemberName) -> bool {
        self.is_multi() && self.record.as_ref().is_some_and(|record| record.lead_of(name).is_some())
    }

    // Whether what has no owner is this member's to feed: the first leader does that, of those that are there.
    fn is_first_lead(&self) -> bool {
        let is_there =
            |name: &MemberName| name == self.me() || self.peers.get(name).is_some_and(super::Peer::is_connected);
        let leads = self.record.iter().flat_map(|record| &record.leads);
        leads.map(|lead| &lead.member).find(|name| is_there(name)).is_none_or(|first| first == self.me())
    }

    // Whether this member sends that epoch's rows to that one without being asked: they are its own, or nobody nearer can.
    fn is_in_charge(&self, since: Epoch, own: Epoch, epoch: Epoch, of: &MemberName) -> bool {
        let is_via_me = match self.member(of).map(|member| &member.role) {
            Some(MemberRole::Observer { via, .. }) => via.as_ref() == Some(self.me()),
            _ => false,
        };
        let leads = self.record.as_ref().map_or(&[][..], |record| &record.leads);
        let owner = leads.iter().find(|lead| lead.epoch == epoch && epoch >= since).map(|lead| &lead.member);
        epoch == own
            || is_via_me
            || self.peers.get(of).is_some_and(|peer| peer.stuck.get(&epoch).is_some_and(|stuck| stuck.is_relayed))
            || match owner {
                Some(owner) => owner != of && !self.peers.get(owner).is_some_and(super::Peer::is_connected),
                None => self.is_first_lead(),
            }
    }
}

impl Node {
    /// Whether several lead, as far as this member knows.
    pub(in crate::node) fn is_multi(&self) -> bool {
        self.group.as_ref().is_some_and(super::Group::is_multi)
    }

    /// Whether a repeat of a write that stands there is answered with that. Where several lead, each of their logs holds an
    /// origin's writes without a gap, so that whoever holds one of them holds those before it: what only the log of another
    /// one has, is appended here as well.
    pub(in crate::node) fn answers_for(&self, place: Place) -> bool {
        let since = self.group.as_ref().and_then(super::Group::since);
        since.is_none_or(|since| place.epoch < since || place.epoch == self.log.epoch)
    }

    /// Whether rows of that epoch are this member's to cut, and nobody else's to send.
    pub(super) fn is_own_log(&self, epoch: Epoch) -> bool {
        self.g_ref().since().is_some() && epoch == self.log.epoch
    }

    /// The other leaders, as far as the record is known.
    pub(in crate::node) fn other_leads(&self) -> Vec<MemberName> {
        let group = self.g_ref();
        let leads = group.record.iter().flat_map(|record| &record.leads).map(|lead| &lead.member);
        leads.filter(|name| *name != group.me()).cloned().collect()
    }

    /// Has leaders show that they are there that have nothing to do by themselves: all, or those not heard since the start.
    pub(super) fn wake_leads(&mut self, is_new: bool) {
        let firsts = &self.g_ref().told.firsts;
        let others = self.other_leads().into_iter().filter(|name| !is_new || !firsts.contains_key(name));
        for name in others.collect::<Vec<_>>() {
            self.call(&name, Ask::Misses, Pending::News);
        }
    }

    // ---- tenures ----

    /// The record says that several lead.
    pub(super) fn learn_multi(&mut self, record: &Record, is_new: bool) {
        let (since, me) = (record.fence(), self.g_ref().me().clone());
        let own = record.lead_of(&me);
        let group = self.g_ref();
        if group.since() == Some(since) && own == Some(self.log.epoch) {
            return;
        }
        if group.promised > since {
            return;
        }
        let was_candidate = matches!(group.role, Role::Candidate(_));
        match own.filter(|epoch| self.may_begin(record, *epoch)) {
            Some(epoch) => {
                if self.g_ref().is_leading() {
                    self.step_down();
                }
                self.begin_tenure(epoch, Some(since));
                if was_candidate {
                    self.g().leading().expect("a tenure has begun").is_checked = true;
                    self.spread_news();
                }
            }
            None if is_new || !matches!(self.g_ref().role, Role::Following { .. }) => self.follow(None),
            None => {}
        }
        self.prove_nothing();
        self.topology_changed(record);
    }

    // Whether this storage may append to that epoch: no other one has. The record has to know that it counts first, so that
    // storage that is new after this one is not taken for one that never led.
    fn may_begin(&self, record: &Record, epoch: Epoch) -> bool {
        let group = self.g_ref();
        let is_unused = self.held(epoch) == Lsn(0) || group.led == epoch;
        let is_kept = group.is_joined && is_unused;
        record.has_joined(group.me()) && (is_kept || group.asked_epoch == Some(epoch))
    }

    /// What a voter among several leaders still lacks to be one: to be known, to have caught up, an epoch.
    pub(super) fn advance_multi(&mut self) {
        let group = self.g_ref();
        let Some(record) = group.multi_record().filter(|_| matches!(group.role, Role::Following { .. })) else {
            return;
        };
        let me = group.me().clone();
        let own = record.lead_of(&me);
        if own.is_some_and(|epoch| self.may_begin(record, epoch)) {
            let record = record.clone();
            return self.learn_multi(&record, false);
        }
        if !group.is_voter() || !self.swap_is_free() || (!group.is_joined && !self.has_caught_up(record)) {
            return;
        }
        if !group.member(&me).is_some_and(crate::group::Member::can_lead) {
            if !std::mem::replace(&mut self.g().is_joined, true) {
                let row = self.promise_row();
                self.store(vec![row], super::follow::Storing::Fact);
            }
            return;
        }
        let is_unused = own.is_some_and(|epoch| self.held(epoch) == Lsn(0) || group.led == epoch);
        if group.is_joined && is_unused {
            let next = record.admit([me].into_iter());
            return self.swap_record(Swapping::Extend, next);
        }
        if let Ok(next) = record.take_epoch(&me, group.known) {
            self.g().asked_epoch = Some(next.epoch);
            self.swap_record(Swapping::Extend, next);
        }
    }

    // Whether new storage holds what it may have forgotten. What a quorum had with its help, its leader has: so what
    // enough of the others had when they were heard first, and whatever was sealed.
    fn has_caught_up(&self, record: &Record) -> bool {
        let group = self.g_ref();
        let firsts = &group.told.firsts;
        let others = record.leads.iter().filter(|lead| lead.member != *group.me()).count();
        let is_held = |first: &Frontier| self.log.held.dominates_epochs(first);
        firsts.len() >= group.promises_needed().min(others)
            && firsts.values().all(is_held)
            && self.log.held.dominates_epochs(&record.sealed)
    }

    /// Others hold more of this member's own log than it does: its storage went back in time, and what it would append now
    /// stands elsewhere under the same numbers. It takes the next epoch.
    pub(super) fn lose_own_log(&mut self) {
        self.step_down();
        let group = self.g();
        (group.is_joined, group.asked_epoch) = (false, None);
        let row = self.promise_row();
        self.store(vec![row], super::follow::Storing::Fact);
    }

    // ---- what others send ----

    /// One of several leaders sends rows, or shows that it is there.
    pub(super) fn take_multi_rows(&mut self, call: u64, from: &MemberName, epoch: Epoch, append: Append) {
        let is_new = epoch > self.g_ref().promised;
        if is_new {
            self.step_down();
            self.g().promised = epoch;
        }
        let own = self.log.epoch;
        if self.is_own_log(own) && append.held.lsn(own) > self.held(own) {
            self.lose_own_log();
        }
        self.hear_co_leader(from, epoch, &append);
        self.hear_cut(from, &append.shown);
        self.take_in_rows(call, epoch, is_new, append.rows);
    }

    fn hear_co_leader(&mut self, from: &MemberName, epoch: Epoch, append: &Append) {
        let group = self.g();
        let now = group.now;
        group.stable.join(&append.stable);
        group.all.join(&append.all);
        if !matches!(group.role, Role::Following { .. }) {
            return;
        }
        let knows_record = group.record.as_ref().is_some_and(|record| record.is_multi() && record.fence() == epoch);
        if !knows_record && group.lease.look_at.is_none() {
            group.lease.look_at = Some(now);
        }
        let was_multi = std::mem::replace(&mut group.told.is_multi, true);
        group.told.firsts.get_or_insert_with(from.clone(), || append.held.clone());
        // It stays with the one that it follows as long as that is heard: clients' writes go there, in their order.
        let timeout = group.settings().timeout;
        let is_silent = group.told.heard.is_none_or(|at| now.since(at) >= timeout);
        let is_known = append.leader.is_some() && group.leader() == append.leader.as_ref();
        if is_known || is_silent || group.leader().is_none() {
            let is_changed = !is_known || group.told.instance != append.instance;
            let beat = group.settings().beat;
            let next = Millis(append.next_ms.min(NEXT_MS_MAX)).after(Millis(timeout.0.saturating_sub(beat.0)));
            let deadline = (append.next_ms > 0).then(|| now.after(next));
            group.role = Role::Following { leader: append.leader.clone(), deadline };
            group.told.heard = Some(now);
            group.told.instance = append.instance;
            group.told.progress.clone_from(&append.progress);
            (group.asking, group.missed) = (None, None);
            let of = append.of.unwrap_or(epoch);
            if self.log.epoch != of {
                self.log.begin_epoch(of);
                self.g().epoch_since = Some(now);
            }
            self.set_isolated(false);
            if is_changed {
                self.tell_role();
                self.recall_forwarded();
                self.resend_forwarded();
            }
        }
        if !self.g_ref().is_joined && self.g_ref().is_voter() {
            self.wake_leads(true);
        }
        if !was_multi {
            let visible = self.visible.clone();
            self.g().cuts.shown(&visible);
            self.prove_nothing();
        }
        self.hold_back();
    }

    // ---- what others lack ----

    /// The next entries to send to a member: of which epoch, and after which.
    pub(super) fn next_missing(&self, name: &MemberName) -> Option<(Epoch, Lsn)> {
        let group = self.g_ref();
        let theirs = group.peers.get(name)?.held.as_ref()?;
        let mut missing = self.log.held.epochs().filter(|(epoch, end)| theirs.lsn(*epoch) < *end);
        let found = match group.since() {
            None => missing.next(),
            Some(since) => {
                let is_mine = |epoch: Epoch| group.is_in_charge(since, self.log.epoch, epoch, name);
                // What was written before comes first, whoever sends it.
                let next = missing.find(|(epoch, _)| *epoch < since || is_mine(*epoch));
                next.filter(|(epoch, _)| is_mine(*epoch))
            }
        };
        found.map(|(epoch, _)| (epoch, theirs.lsn(epoch)))
    }

    /// A member has said what it holds. Where it stays behind in a log that this member has and others are to send, they do
    /// not reach it: from then on it is fed from here, until it has more than was sent from here.
    pub(super) fn notice_stuck(&mut self, name: &MemberName) {
        let held = self.log.held.clone();
        let own = self.log.epoch;
        let group = self.g();
        let (now, grace) = (group.now, 2 * group.settings().beat.0);
        if group.since().is_none() {
            return;
        }
        let Some(peer) = group.peers.get_mut(name) else { return };
        let theirs = peer.held.clone().unwrap_or_default();
        let written = peer.written.clone();
        peer.stuck.retain(|epoch, stuck| {
            let theirs = theirs.lsn(*epoch);
            theirs < held.lsn(*epoch)
                && if stuck.is_relayed { theirs <= written.lsn(*epoch) } else { theirs < stuck.at }
        });
        for (epoch, end) in held.epochs().filter(|(epoch, end)| *epoch != own && theirs.lsn(*epoch) < *end) {
            let stuck = peer.stuck.get_or_insert_with(epoch, || Stuck { at: end, noticed: now, is_relayed: false });
            if !stuck.is_relayed && now.since(stuck.noticed).0 >= grace {
                stuck.is_relayed = true;
                peer.written.advance_epoch(epoch, theirs.lsn(epoch));
            }
        }
    }

    /// Whether another member holds what this one lacks, and does not send it by itself.
    pub(super) fn compare_multi(&mut self, name: &MemberName, theirs: &Frontier) {
        let own = self.log.epoch;
        if theirs.lsn(own) > self.held(own) {
            return self.lose_own_log();
        }
        let more = theirs.epochs().find(|(of, lsn)| *of != own && self.held(*of) < *lsn);
        if let Some((of, _)) = more.filter(|_| !self.g_ref().is_co_leader(name)) {
            self.fetch(name, of);
        }
    }
}
