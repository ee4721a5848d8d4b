//! Epochs: one candidate and at most one leader each, for ever; they only grow, and sealed lengths only grow. What was
//! promised to anybody is in every log that a new leader begins with, unless an operator accepted that it is not.

use crate::group::coverage::Moment;
use crate::group::world::World;
use headwater_core::group::{MemberName, Record, State};
use headwater_core::node::{GroupStatus, RoleName};
use headwater_core::{Epoch, Frontier};

fn holder(record: &Record) -> &MemberName {
    match &record.state {
        State::Electing { candidate, .. } => candidate,
        State::Active { leader } => leader,
        // Of the newest epoch.
        State::Multi { .. } => &record.leads.last().expect("a record of several leaders names them").member,
    }
}

impl World {
    /// The record as the lease store holds it.
    pub fn record(&self) -> Option<Record> {
        self.lease.held.as_ref().and_then(|held| held.text.parse().ok())
    }

    /// The lease store holds another record from here on.
    pub fn check_record(&mut self, member: usize, before: Option<&str>, after: &str) {
        let before: Option<Record> = before.and_then(|text| text.parse().ok());
        let after: Record = match after.parse() {
            Ok(record) => record,
            Err(error) => return self.violate("epochs", || format!("m{member} leaves no record: {error}")),
        };
        if let Some(before) = &before {
            self.check_step(member, before, &after);
        }
        self.check_several(before.as_ref(), &after);
        let is_new_leader = after.leader().is_some()
            && before.as_ref().is_none_or(|before| before.epoch != after.epoch || before.leader().is_none());
        if is_new_leader {
            self.check_new_leader(before.as_ref(), &after);
        }
        self.check_sealed(&after);
    }

    fn check_step(&mut self, member: usize, before: &Record, after: &Record) {
        if after.generation != before.generation {
            self.violate("epochs", || format!("m{member} gives the database another generation"));
        }
        if after.epoch < before.epoch {
            self.violate("epochs", || format!("epoch {} comes after {}", after.epoch, before.epoch));
        }
        if after.epoch == before.epoch && after.is_multi() == before.is_multi() && holder(after) != holder(before) {
            let (one, other) = (holder(before).clone(), holder(after).clone());
            self.violate("epochs", || format!("epoch {} is {one}'s and then {other}'s", after.epoch));
        }
        if let Some((epoch, length)) = before.sealed.epochs().find(|(epoch, l)| after.sealed.lsn(*epoch) < *l) {
            let shorter = after.sealed.lsn(epoch);
            self.violate("epochs", || format!("epoch {epoch} was sealed at {length} and is cut to {shorter}"));
        }
        if after.epoch == before.epoch && after.sealed != before.sealed && before.is_active() {
            self.coverage.saw(Moment::Extended);
        }
        let is_given_up = after.epoch > before.epoch && !before.is_active();
        if is_given_up {
            self.coverage.saw(Moment::GivenUp);
        }
    }

    // Several lead from here on, or one of them in another epoch, or several do no more.
    fn check_several(&mut self, before: Option<&Record>, after: &Record) {
        if before.is_some_and(|before| !before.leads.is_empty()) && after.leader().is_some() {
            self.coverage.saw(Moment::OneLeadsAgain);
        }
        self.oracle.multi_since = after.is_multi().then(|| self.oracle.multi_since.unwrap_or(self.now));
        if !after.is_multi() {
            return;
        }
        let was_same = before.is_some_and(|before| before.is_multi() && before.fence() == after.fence());
        for lead in &after.leads {
            self.oracle.multi.insert(lead.epoch);
            let other = self.oracle.leaders.insert(lead.epoch, lead.member.clone());
            if let Some(other) = other.filter(|other| *other != lead.member) {
                let (epoch, member) = (lead.epoch, lead.member.clone());
                self.violate("epochs", || format!("{other} and {member} both lead epoch {epoch}"));
            }
            if was_same && before.is_some_and(|before| before.lead_of(&lead.member) != Some(lead.epoch)) {
                self.coverage.saw(Moment::EpochTaken);
            }
        }
        if was_same {
            return;
        }
        self.coverage.saw(Moment::SeveralLead);
        // What was promised before is in what they begin with.
        let promised = self.oracle.promised.epochs().filter(|(epoch, _)| *epoch < after.fence());
        let missing = promised.into_iter().find(|(epoch, lsn)| after.sealed.lsn(*epoch) < *lsn);
        if let Some((epoch, lsn)) = missing {
            let sealed = after.sealed.lsn(epoch);
            self.violate("durability", || {
                format!(
                    "entry {epoch}/{lsn} was acknowledged by a quorum, and several leaders begin with it at {sealed}"
                )
            });
        }
    }

    fn check_new_leader(&mut self, before: Option<&Record>, after: &Record) {
        let leader = holder(after).clone();
        if let Some(other) = self.oracle.leaders.insert(after.epoch, leader.clone()).filter(|other| *other != leader) {
            self.violate("epochs", || format!("{other} and {leader} both lead epoch {}", after.epoch));
        }
        if before.is_some_and(|before| matches!(before.state, State::Electing { .. })) {
            self.coverage.saw(Moment::Elected);
        }
        let is_forced = before.is_some_and(|before| matches!(before.state, State::Electing { is_forced: true, .. }));
        let held = self.members[self.member_named(&leader)].held.clone();
        if is_forced {
            return self.check_loss_windows(after, &held);
        }
        // A leader begins with everything that is sealed, and what is sealed is everything that was promised. If its disk went
        // in between, it must not begin at all: `check_role` looks at that.
        let held = self.members[self.member_named(&leader)].ever_held.clone();
        if !held.dominates_epochs(&after.sealed) {
            let (held, sealed) = (super::logs::text(&held), super::logs::text(&after.sealed));
            self.violate("seals", || format!("{leader} begins epoch {} with {held}, sealed is {sealed}", after.epoch));
        }
        if let Some(before) = before {
            self.check_handed_over(before, &held);
            let fate = usize::from(before.leader().is_some());
            self.tally_writes(fate, &self.held_writes(&held));
        }
        if self.oracle.is_forced {
            return;
        }
        let before_it = self.oracle.promised.epochs().filter(|(epoch, _)| *epoch < after.epoch);
        let missing = before_it.into_iter().find(|(epoch, lsn)| after.sealed.lsn(*epoch) < *lsn);
        if let Some((epoch, lsn)) = missing {
            let sealed = after.sealed.lsn(epoch);
            self.violate("durability", || {
                format!(
                    "entry {epoch}/{lsn} was acknowledged by a quorum, and {leader} seals epoch {epoch} at {sealed}"
                )
            });
        }
    }

    // A handover loses nothing at all: the next leader has the whole log of the one before.
    fn check_handed_over(&mut self, before: &Record, held: &Frontier) {
        let Some(old) = before.leader().cloned() else { return };
        let (epoch, end) = (before.epoch, self.members[self.member_named(&old)].held.lsn(before.epoch));
        if held.lsn(epoch) < end {
            let its = held.lsn(epoch);
            self.violate("seals", || {
                format!("{old} hands over with {epoch} to {end}, and the next leader has it to {its}")
            });
        }
    }

    // What a forced promotion leaves behind it says so.
    fn check_loss_windows(&mut self, after: &Record, held: &Frontier) {
        let lost = self.oracle.promised.epochs().filter(|(epoch, _)| *epoch < after.epoch);
        let says =
            |epoch: Epoch| after.losses.iter().any(|window| window.epoch == epoch && window.after <= held.lsn(epoch));
        let silent = lost.into_iter().find(|(epoch, lsn)| held.lsn(*epoch) < *lsn && !says(*epoch));
        if let Some((epoch, lsn)) = silent {
            let end = held.lsn(epoch);
            self.violate("losses", || {
                format!("the forced leader of epoch {} has {epoch} to {end} of {lsn}, and no loss window", after.epoch)
            });
        }
    }

    // A length is sealed once a quorum holds it.
    fn check_sealed(&mut self, after: &Record) {
        if self.oracle.is_forced {
            return;
        }
        let beyond = after.sealed.epochs().find(|(epoch, length)| self.oracle.held.lsn(*epoch) < *length);
        if let Some((epoch, length)) = beyond {
            let held = self.oracle.held.lsn(epoch);
            self.violate("seals", || format!("epoch {epoch} is sealed at {length}, and a quorum holds it to {held}"));
        }
    }

    // Whoever begins to lead has everything that is sealed on its disk.
    fn check_beginning(&mut self, member: usize, epoch: Epoch) {
        let is_its = |record: &Record| record.epoch == epoch && !record.is_multi();
        let Some(record) = self.record().filter(|record| is_its(record) && !self.oracle.is_forced) else {
            return;
        };
        let held = &self.members[member].held;
        if !held.dominates_epochs(&record.sealed) {
            let [held, sealed] = [held, &record.sealed].map(super::logs::text);
            self.violate("seals", || format!("m{member} begins to lead {epoch} with {held}, sealed is {sealed}"));
        }
    }

    /// What a member says of itself agrees with the record's history.
    pub fn check_role(&mut self, member: usize) {
        let Some(status) = self.status_of(member).filter(|status| status.is_loaded) else { return };
        let (epoch, Some(GroupStatus { role, promised, held, visible, .. })) = (status.epoch, status.group) else {
            return;
        };
        let is_delayed = self.plan.shape.observer_delay_ms > 0 && member == self.plan.shape.voters as usize;
        if is_delayed && !visible.dominates_epochs(&held) {
            self.coverage.saw(Moment::Delayed);
        }
        let state = &mut self.members[member];
        let had_led = state.leads;
        state.leads = (role == RoleName::Leader).then_some(epoch);
        state.stands = (role == RoleName::Candidate).then_some(promised);
        if had_led.is_some() && state.leads.is_none() {
            self.coverage.saw(Moment::Fenced);
        }
        if had_led.is_none() && role == RoleName::Leader {
            self.check_beginning(member, epoch);
        }
        let name = self.members[member].name().clone();
        if role == RoleName::Leader && self.oracle.leaders.get(&epoch) != Some(&name) {
            let rightful = self.oracle.leaders.get(&epoch).cloned();
            self.violate("epochs", || format!("{name} leads epoch {epoch}, which the record gives to {rightful:?}"));
        }
    }
}
