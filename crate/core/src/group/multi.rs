//! The record of a database with several leaders: each has an open epoch of its own.
//!
//! Changing the topology is an election whose outcome has another shape. Its seal proves what came before, whichever shape
//! that had; what follows are one open epoch or several. Epochs still only grow, and none has two leaders, ever: a member
//! whose storage is new takes the next one, and leaves the log of the one that it had as long as others hold it.

use super::member::{Member, MemberName};
use super::record::{Lead, Record, Refusal, State};
use crate::error::Error;
use crate::frontier::Frontier;
use crate::ids::Epoch;

impl Record {
    /// Whether several lead.
    pub fn is_multi(&self) -> bool {
        matches!(self.state, State::Multi { .. })
    }

    /// The epoch that members promise: what is below it is fenced.
    pub fn fence(&self) -> Epoch {
        match self.state {
            State::Multi { since } => since,
            State::Active { .. } | State::Electing { .. } => self.epoch,
        }
    }

    /// The epoch that is a member's own, where several lead.
    pub fn lead_of(&self, member: &MemberName) -> Option<Epoch> {
        self.leads.iter().find(|lead| lead.member == *member).map(|lead| lead.epoch)
    }

    /// The epochs that nobody has sealed: of several leaders, or the newest one that had a leader.
    pub fn open_epochs(&self) -> Vec<Epoch> {
        if self.leads.is_empty() { vec![self.led] } else { self.leads.iter().map(|lead| lead.epoch).collect() }
    }

    /// The record of a new group in which every voter that may lead does.
    pub fn into_multi(self) -> Result<Self, Refusal> {
        let Some(first) = self.leader().cloned() else { return Err(Refusal::NotMulti) };
        self.open_leads(&first, &Frontier::default())
    }

    /// The candidate and every other voter that may lead become leaders: `proven` is what `Seal::proven` said.
    pub fn activate_multi(&self, candidate: &MemberName, proven: &Frontier) -> Result<Self, Refusal> {
        self.is_candidate(candidate)?;
        self.open_leads(candidate, proven)
    }

    /// A member without an epoch of its own, or whose storage is another one than led it, takes the next epoch. `known` is
    /// the newest that it has heard of.
    pub fn take_epoch(&self, member: &MemberName, known: Epoch) -> Result<Self, Refusal> {
        self.can_lead(member)?;
        if !self.is_multi() {
            return Err(Refusal::NotMulti);
        }
        let mut record = self.admit([member.clone()].into_iter());
        record.epoch = Epoch(self.epoch.max(known).0 + 1);
        record.led = record.epoch;
        record.leads.retain(|lead| lead.member != *member);
        record.leads.push(Lead { member: member.clone(), epoch: record.epoch });
        record.check_sealed(&self.sealed, record.leads.len())?;
        Ok(record)
    }

    // What is given here counts from now on, so storage that is new later on is known to have lost it.
    fn open_leads(&self, first: &MemberName, sealed: &Frontier) -> Result<Self, Refusal> {
        self.can_lead(first)?;
        let others = self.members.iter().filter(|member| member.can_lead() && member.name != *first);
        let names = std::iter::once(first).chain(others.map(|member| &member.name));
        let epochs = (self.epoch.0..).map(Epoch);
        let leads: Vec<Lead> =
            names.zip(epochs).map(|(member, epoch)| Lead { member: member.clone(), epoch }).collect();
        self.check_sealed(sealed, leads.len())?;
        let epoch = leads.last().map_or(self.epoch, |lead| lead.epoch);
        let state = State::Multi { since: self.epoch };
        let next = self.admit([first.clone()].into_iter());
        Ok(Self { epoch, state, led: epoch, leads, sealed: sealed.epochs_only(), ..next })
    }

    /// Refuses epochs that could not have been handed out like this.
    pub(super) fn check_leads(&self) -> Result<(), Error> {
        let odd = |what: &str| Err(Error::malformed(format!("the group's record {what}")));
        for (place, Lead { member, epoch }) in self.leads.iter().enumerate() {
            let before = &self.leads[..place];
            let is_new = before.iter().all(|lead| lead.member != *member && lead.epoch < *epoch);
            if !is_new || !self.member(member).is_some_and(Member::can_lead) || self.sealed.lsn(*epoch).0 > 0 {
                return odd(&format!("has {member} lead epoch {epoch}, which it cannot"));
            }
        }
        let last = self.leads.last().map(|lead| lead.epoch);
        match self.state {
            State::Active { .. } if last.is_some() => odd("names one leader and several"),
            State::Electing { .. } if last.is_some_and(|last| last != self.led) => {
                odd("had other leaders than it names")
            }
            State::Multi { since } if last != Some(self.epoch) || since.0 == 0 || self.leads[0].epoch < since => {
                odd("does not say who leads its newest epoch")
            }
            _ => Ok(()),
        }
    }
}
