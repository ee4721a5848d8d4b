//! The coordinator's record: reading it, swapping it, and what follows from what it says. One question at a time goes to
//! the lease store. While the store is away, a leader leads on, and nobody is elected.

use super::calls::Pending;
use super::follow::Storing;
use super::message::Ask;
use super::topology::Changing;
use super::{Node, Output, Role};
use crate::error::{Code, Error};
use crate::group::record::State;
use crate::group::{Record, Topology};
use crate::ids::{Epoch, Millis, Token};
use crate::node::io::{Held, Swap};

/// How often a leader with something to do looks at the record.
const LOOK_MS: u64 = 60_000;
/// How long a swap may still be made after the store did not answer it: longer than any call to it takes.
const UNSURE_MS: u64 = 15_000;
/// How often the record is looked at meanwhile.
const UNSURE_LOOK_MS: u64 = 2_000;

/// What a record is read for. The later ones include the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reading {
    /// To know.
    Look,
    /// To open the next epoch if nothing has changed.
    Elect,
    /// To open it whatever has changed.
    Promote,
    /// To change how many lead.
    Change,
}

/// What a swap is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swapping {
    Create,
    Elect,
    Activate,
    HandOver,
    Extend,
}

enum Busy {
    Reading(Reading),
    Swapping(Swapping, Record),
}

/// What is going on with the lease store.
#[derive(Default)]
pub(super) struct Lease {
    busy: Option<(Token, Busy)>,
    wanted: Option<Reading>,
    /// When to ask again after the store was away.
    pub(super) retry_at: Option<Millis>,
    /// When to look at the record again because of that.
    pub(super) look_at: Option<Millis>,
    /// When to look at it in any case.
    pub(super) routine_at: Option<Millis>,
    /// Until when a swap that nobody knows of may still be made: until then the record is looked at again and again.
    unsure_until: Option<Millis>,
    /// Whether what this member promised at the beginning of the group is durable.
    is_founded: bool,
    /// How many times the record has been read.
    pub(super) reads: u64,
    /// The store's name for the record that was last read or swapped in; `None` inside if there was none.
    revision: Option<Option<String>>,
    /// A forced promotion: the operator's command, and the clock on the wall.
    pub(super) promoting: Option<(u64, u64)>,
    /// An operator's change of the topology.
    pub(super) changing: Option<Changing>,
}

impl Lease {
    pub(super) fn is_known(&self) -> bool {
        self.revision.is_some()
    }
}

impl Node {
    pub(super) fn read_record(&mut self, reading: Reading) {
        let lease = &mut self.g().lease;
        if lease.busy.is_some() || lease.retry_at.is_some() {
            lease.wanted = lease.wanted.max(Some(reading));
            return;
        }
        let reading = lease.wanted.take().max(Some(reading)).expect("one of them is");
        let token = self.token();
        self.g().lease.busy = Some((token, Busy::Reading(reading)));
        self.outputs.push_back(Output::ReadRecord { token });
    }

    pub(super) fn swap_is_free(&self) -> bool {
        let lease = &self.g_ref().lease;
        lease.busy.is_none() && lease.retry_at.is_none() && lease.is_known()
    }

    pub(super) fn swap_record(&mut self, swapping: Swapping, record: Record) {
        let Some(expected) = self.g_ref().lease.revision.clone().filter(|_| self.swap_is_free()) else { return };
        let (token, text) = (self.token(), record.to_string());
        self.g().lease.busy = Some((token, Busy::Swapping(swapping, record)));
        self.outputs.push_back(Output::SwapRecord { token, expected, text });
    }

    pub(in crate::node) fn record_read(&mut self, token: Token, result: Result<Option<Held>, Error>) {
        let Some(group) = &mut self.group else { return };
        let Some((_, Busy::Reading(reading))) = group.lease.busy.take_if(|(busy, _)| *busy == token) else { return };
        match result {
            Err(error) => {
                self.store_is_away(reading);
                if reading == Reading::Promote {
                    self.promotion_failed(error.clone());
                }
                if reading == Reading::Change {
                    self.change_failed(error);
                }
            }
            Ok(held) => {
                self.g().lease.reads += 1;
                self.take_record(held);
                match reading {
                    Reading::Look => {}
                    Reading::Elect => self.elect_if_unchanged(),
                    Reading::Promote => self.force(),
                    Reading::Change => self.begin_change(),
                }
                self.look_again_if_unsure();
                self.read_wanted();
            }
        }
        self.progress();
    }

    pub(in crate::node) fn record_swapped(&mut self, token: Token, result: Result<Swap, Error>) {
        let Some(group) = &mut self.group else { return };
        let Some((_, Busy::Swapping(swapping, record))) = group.lease.busy.take_if(|(busy, _)| *busy == token) else {
            return;
        };
        match result {
            Ok(Swap::Made { revision }) => {
                self.g().lease.revision = Some(Some(revision));
                self.learn(record);
            }
            Ok(Swap::Lost { current }) => {
                // A store that repeats a request by itself may answer so to a swap that was made.
                self.take_record(current);
                self.swap_open(swapping);
                if swapping == Swapping::Elect {
                    self.change_failed(Error::new(Code::Busy, "the record changed meanwhile; look, and try again"));
                }
            }
            // Made or not: the record tells.
            Err(error) => {
                let group = self.g();
                group.lease.revision = None;
                group.lease.unsure_until = Some(group.now.after(Millis(UNSURE_MS)));
                self.store_is_away(Reading::Look);
                if swapping == Swapping::Elect {
                    self.promotion_failed(error.clone());
                    self.change_failed(error);
                }
                self.swap_open(swapping);
            }
        }
        self.read_wanted();
        self.progress();
    }

    fn swap_open(&mut self, swapping: Swapping) {
        match swapping {
            Swapping::Activate => self.activation_open(),
            Swapping::HandOver => self.handing_open(),
            Swapping::Create | Swapping::Elect | Swapping::Extend => {}
        }
    }

    fn look_again_if_unsure(&mut self) {
        let group = self.g();
        let now = group.now;
        let is_unsure =
            group.lease.unsure_until.take_if(|until| *until <= now).is_none() && group.lease.unsure_until.is_some();
        if is_unsure && group.lease.busy.is_none() {
            group.lease.look_at = Some(now.after(Millis(UNSURE_LOOK_MS)));
        }
    }

    /// A leader that reaches too few of the others may still reach the record, and learn that they have another one.
    pub(super) fn look_if_isolated(&mut self) {
        let group = self.g();
        let pause = Millis(2 * group.settings().timeout.0);
        let is_soon = group.lease.look_at.is_some_and(|at| at <= group.now.after(pause));
        if !is_soon && group.lease.retry_at.is_none() && group.lease.busy.is_none() {
            group.lease.look_at = Some(group.now.after(pause));
            self.read_record(Reading::Look);
        }
    }

    /// A swap that was on its way for long may have opened an epoch that nobody stands for any more. Only a look at the
    /// record tells.
    pub(super) fn look_now_and_then(&mut self, is_wanted: bool) {
        let group = self.g();
        // Without clients there is no hurry, and no timer.
        group.lease.routine_at = is_wanted.then(|| group.lease.routine_at.unwrap_or(group.now.after(Millis(LOOK_MS))));
    }

    fn store_is_away(&mut self, reading: Reading) {
        let group = self.g();
        let pause = group.settings().beat.0 / 2 + group.jitter.below(group.settings().beat.0);
        group.lease.wanted = group.lease.wanted.max(Some(reading.min(Reading::Elect)));
        group.lease.retry_at = Some(group.now.after(Millis(pause)));
    }

    pub(super) fn lease_tick(&mut self) {
        let group = self.g();
        let now = group.now;
        if group.lease.retry_at.is_some_and(|at| at <= group.now) {
            group.lease.retry_at = None;
            self.read_wanted();
        }
        let lease = &mut self.g().lease;
        let is_due = |at: &mut Millis| *at <= now;
        if lease.look_at.take_if(is_due).is_some() | lease.routine_at.take_if(is_due).is_some() {
            self.read_record(Reading::Look);
        }
    }

    fn read_wanted(&mut self) {
        if let Some(reading) = self.g_ref().lease.wanted.filter(|_| self.g_ref().lease.busy.is_none()) {
            self.read_record(reading);
        }
    }

    // What the store holds now.
    fn take_record(&mut self, held: Option<Held>) {
        let Some(Held { text, revision }) = held else {
            self.g().lease.revision = Some(None);
            return self.create_record();
        };
        match text.parse::<Record>() {
            Ok(record) => {
                self.g().lease.revision = Some(Some(revision));
                self.join_if_new(&record);
                self.learn(record);
            }
            // Nothing is done on the word of a record that is not understood.
            Err(error) => {
                self.g().lease.revision = None;
                self.promotion_failed(error);
            }
        }
    }

    // Storage that is new and never counted for a quorum has forgotten nothing.
    fn join_if_new(&mut self, record: &Record) {
        let is_new = self.log.held.is_empty() && !record.has_joined(self.g_ref().me());
        if is_new && self.g_ref().is_voter() && !std::mem::replace(&mut self.g().is_joined, true) {
            let row = self.promise_row();
            self.store(vec![row], Storing::Fact);
        }
    }

    // The group begins: the member that is to lead it first makes its record, and the others wait for that.
    fn create_record(&mut self) {
        let group = self.g_ref();
        let config = &group.config;
        let is_first = config.first_leader() == Some(&config.me);
        let is_led_here = |record: &Record| match record.is_multi() {
            true => record.lead_of(&config.me) == Some(self.log.epoch),
            false => record.epoch == self.log.epoch,
        };
        if group.is_leading() && group.record.as_ref().is_some_and(is_led_here) {
            // The store has lost it. Whoever leads knows what it said.
            let record = group.record.clone().expect("looked at above");
            return self.swap_record(Swapping::Create, record);
        }
        if !is_first {
            // It may not even run: nothing wakes it as long as nobody asks it anything.
            if let Some(first) = config.first_leader().cloned() {
                self.call(&first, Ask::Misses, Pending::News);
            }
            return;
        }
        if group.promised > Epoch(1) || group.record.is_some() {
            return;
        }
        let generation = if self.generation.0 == 0 { self.config.fresh_generation } else { self.generation };
        let record = Record::new(generation, config.me.clone(), config.members.clone(), config.quorum);
        let is_multi = config.settings.topology == Topology::MultiLeader;
        let several = |record: Record| record.into_multi().map_err(|refusal| Error::malformed(refusal.to_string()));
        match record.and_then(|record| if is_multi { several(record) } else { Ok(record) }) {
            Ok(record) => {
                if self.g_ref().lease.is_founded {
                    return self.swap_record(Swapping::Create, record);
                }
                (self.g().promised, self.g().is_joined) = (Epoch(1), true);
                let row = self.promise_row();
                // The record says that this member has joined: its storage must know it first.
                self.store(vec![row], Storing::Founding { record: Box::new(record) });
            }
            Err(error) => self.fail(error),
        }
    }

    fn elect_if_unchanged(&mut self) {
        let group = self.g_ref();
        // What was read may be news: a leader that was not missed gets its time first.
        let Some((epoch, leader)) = &group.missed else { return };
        let is_unchanged = |record: &&Record| record.epoch == *epoch && record.leader() == leader.as_ref();
        let Some(record) = group.record.as_ref().filter(is_unchanged) else { return };
        let is_missed = match (&record.state, &group.role) {
            (State::Active { leader }, Role::Following { leader: known, deadline: Some(_) }) => {
                known.as_ref() == Some(leader) || *leader == group.config.me || known.is_none()
            }
            (State::Electing { .. }, Role::Following { leader: None, deadline: Some(_) }) => true,
            _ => false,
        };
        if is_missed {
            self.elect();
        }
    }

    /// The record says this.
    pub(super) fn learn(&mut self, record: Record) {
        if self.generation.0 == 0 {
            self.generation = record.generation;
            let row = self.generation_row();
            self.store(vec![row], Storing::Fact);
        } else if self.generation != record.generation {
            return self.fail(Error::new(
                Code::DatabaseReset,
                "this member's storage is of another database than the group's record; remove the storage of the wrong one",
            ));
        }
        let is_older = |known: &Record| {
            known.epoch > record.epoch || (known.epoch == record.epoch && known.is_active() && !record.is_active())
        };
        let group = self.g();
        if group.record.as_ref().is_some_and(is_older) {
            return;
        }
        let is_new =
            group.record.as_ref().is_none_or(|known| known.epoch < record.epoch || known.state != record.state);
        group.known = record.epoch.max(group.known);
        group.members = group.with_own_addresses(&record.members);
        group.quorum = record.quorum;
        let is_same = group.record.as_ref() == Some(&record);
        group.record = Some(record.clone());
        self.adopt_members();
        if !is_same {
            let row = self.record_row(&record.to_string());
            self.store(vec![row], Storing::Fact);
        }
        if !self.g_ref().is_joined && self.g_ref().promised < record.fence() {
            // What this storage promised before it was lost, was not above what the record says now.
            self.g().promised = record.fence();
            let row = self.promise_row();
            self.store(vec![row], Storing::Fact);
        }
        if record.fence() < self.g_ref().promised && !self.g_ref().is_leading() {
            return; // A newer one is on its way.
        }
        match &record.state {
            State::Multi { .. } => self.learn_multi(&record, is_new),
            State::Active { leader } if *leader == self.g_ref().config.me => self.learn_own_tenure(&record),
            State::Active { leader } => {
                if record.epoch > self.log.epoch || !self.g_ref().is_leading() {
                    let leader = leader.clone();
                    self.handed_over(&record);
                    if is_new {
                        self.follow(Some(leader));
                    }
                }
            }
            State::Electing { candidate, .. } if *candidate == self.g_ref().config.me => {
                let is_standing = matches!(self.g_ref().role, Role::Candidate(_)) && !is_new;
                if !is_standing && record.epoch >= self.g_ref().promised {
                    self.begin_candidacy(&record);
                }
            }
            State::Electing { .. } => {
                if is_new && record.epoch > self.log.epoch {
                    let timeout = self.g_ref().settings().timeout;
                    self.follow(None);
                    self.miss_leader_in(Millis(3 * timeout.0));
                }
            }
        }
    }

    // The record says that this member leads.
    fn learn_own_tenure(&mut self, record: &Record) {
        let group = self.g_ref();
        if group.is_leading() && self.log.epoch == record.epoch {
            return;
        }
        // Of a storage that was lost, the promise is what the record says, and not its own.
        let is_own = group.is_joined || matches!(group.role, Role::Candidate(_));
        let is_promised = is_own && group.promised == record.epoch;
        let was_led = group.led == record.epoch;
        if is_promised && !was_led && self.log.held.dominates_epochs(&self.sealed_here(record)) {
            self.begin_tenure(record.epoch, None);
            self.g().leading().expect("a tenure has begun").is_checked = true;
            self.promoted(record);
            self.topology_changed(record);
        } else if !group.is_leading() {
            // The storage that led is not the one that is here: the next epoch finds out what others hold.
            self.follow(None);
        }
    }

    /// This member's own part of a new group is durable.
    pub(super) fn found(&mut self, record: Record) {
        self.g().lease.is_founded = true;
        // If the store is being asked something, the answer comes to the same. A record that is there by now is not replaced.
        if self.g_ref().lease.revision == Some(None) {
            self.swap_record(Swapping::Create, record);
        }
    }

    // What a leader must hold of what is sealed: everything, but for what a forced promotion gave up.
    fn sealed_here(&self, record: &Record) -> crate::frontier::Frontier {
        let mut sealed = crate::frontier::Frontier::default();
        for (epoch, length) in record.sealed.epochs() {
            let lost = record.losses.iter().filter(|loss| loss.epoch == epoch).map(|loss| loss.after).min();
            sealed.advance_epoch(epoch, lost.map_or(length, |after| after.min(length)));
        }
        sealed
    }

    /// New voters come to count, and tails that a quorum holds by now make the sealed logs longer.
    pub(super) fn extend_record(&mut self) {
        if !self.g_ref().is_leading() || !self.swap_is_free() {
            return;
        }
        let group = self.g_ref();
        let is_own = |record: &&Record| match group.since() {
            Some(since) => record.is_multi() && record.fence() == since,
            None => record.epoch == self.log.epoch,
        };
        let Some(record) = group.record.as_ref().filter(is_own) else { return };
        let joined = group.newly_joined();
        if !joined.is_empty() {
            let next = record.admit(joined.into_iter());
            return self.swap_record(Swapping::Extend, next);
        }
        let open = record.open_epochs();
        let is_longer = |(epoch, length): &(Epoch, _)| !open.contains(epoch) && record.sealed.lsn(*epoch) < *length;
        let Some((epoch, length)) = group.stable.epochs().find(is_longer) else { return };
        if let Ok(next) = record.extend(epoch, length) {
            self.swap_record(Swapping::Extend, next);
        }
    }
}
