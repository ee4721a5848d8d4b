//! Switchover: the leader stops appending, waits until the next one and a quorum hold its log to the end, promises to
//! append nothing more, and then hands over by one compare-and-set.

use super::calls::Pending;
use super::follow::Storing;
use super::lease::{Reading, Swapping};
use super::message::{Answer, Ask};
use super::{Node, Output, Role};
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::group::{Member, MemberName, Record};
use crate::ids::{Epoch, Millis};
use crate::node::io::Done;

/// A handover under way.
pub(super) struct Handing {
    id: u64,
    to: MemberName,
    began: Millis,
    /// How many times the record had been read by then: the store is there, and there is no way back later.
    reads: u64,
    /// When to give up, or to look again whether the swap was made.
    pub(super) until: Millis,
    step: Step,
    /// What the next leader and a quorum held when this one let go.
    drained: Frontier,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Until the next leader and a quorum hold everything.
    Draining,
    /// Until both have promised: this one, and the next.
    Promising { mine: bool, theirs: bool },
    /// From here on there is no way back but by the record.
    Swapping,
}

impl Node {
    pub(super) fn switch_over(&mut self, id: u64, to: Option<MemberName>, timeout: Millis) {
        match self.next_leader(to) {
            Err(error) => self.outputs.push_back(Output::AdminDone { id, result: Err(error) }),
            Ok(to) => {
                let now = self.g_ref().now;
                let reads = self.g_ref().lease.reads;
                let handing = Handing {
                    id,
                    to,
                    began: now,
                    reads,
                    until: now.after(timeout),
                    step: Step::Draining,
                    drained: Frontier::default(),
                };
                let leading = self.g().leading().expect("next_leader has looked");
                leading.handing = Some(handing);
                // The swap is made against the newest record.
                self.read_record(Reading::Look);
            }
        }
    }

    fn next_leader(&self, to: Option<MemberName>) -> Result<MemberName, Error> {
        let group = self.g_ref();
        let Role::Leading(leading) = &group.role else { return Err(group.not_leader()) };
        if leading.since.is_some() {
            return Err(Error::malformed(
                "several lead, and there is nothing to hand over; change the topology instead",
            ));
        }
        if leading.handing.is_some() {
            return Err(Error::new(Code::Busy, "a switchover is under way already"));
        }
        let is_there = |name: &MemberName| group.peers.get(name).is_some_and(super::Peer::is_connected);
        match to {
            Some(name) if name == group.config.me => Err(Error::malformed(format!("{name} leads already"))),
            Some(name) if group.member(&name).is_none_or(|member| !member.can_lead()) => {
                Err(Error::malformed(format!("{name} is no voter of this group with a priority above zero")))
            }
            Some(name) if !is_there(&name) => {
                Err(Error::new(Code::Offline, format!("{name} does not answer; bring it back first")))
            }
            Some(name) => Ok(name),
            None => {
                let others = group.members.iter().filter(|member| member.name != group.config.me);
                let best =
                    others.filter(|member| member.can_lead() && is_there(&member.name)).max_by_key(|m| m.priority());
                best.map(|member: &Member| member.name.clone())
                    .ok_or_else(|| Error::new(Code::Offline, "no other member that may lead answers at present"))
            }
        }
    }

    pub(super) fn advance_handing(&mut self) {
        let held = self.log.held.clone();
        let is_committing = self.log.is_committing();
        let group = self.g_ref();
        let is_stable = group.stable.dominates_epochs(&held);
        let Role::Leading(leading) = &group.role else { return };
        let Some(handing) = &leading.handing else { return };
        match handing.step {
            Step::Draining => {
                let theirs = group.peers.get(&handing.to).and_then(|peer| peer.held.as_ref());
                let is_drained = theirs.is_some_and(|theirs| theirs.dominates_epochs(&held));
                let is_store_there = group.lease.reads > handing.reads;
                if is_committing || !is_stable || !is_drained || !is_store_there || !self.knows_own_record() {
                    return;
                }
                let epoch = Epoch(self.log.epoch.0 + 1);
                let to = handing.to.clone();
                self.set_step(Step::Promising { mine: false, theirs: false });
                let group = self.g();
                let least = group.now.after(Millis(2 * group.settings().call.0));
                if let Some(handing) = group.leading().and_then(|leading| leading.handing.as_mut()) {
                    handing.drained = held;
                    // From here on giving up means an election, however little time was allowed.
                    handing.until = handing.until.max(least);
                }
                self.g().promised = epoch;
                let row = self.promise_row();
                self.store(vec![row], Storing::OwnPromise { epoch });
                self.call(&to, Ask::Promise, Pending::Promise { to: to.clone(), epoch });
            }
            Step::Promising { mine: true, theirs: true } => {
                if !self.swap_is_free() {
                    return;
                }
                let (me, to) = (self.g_ref().config.me.clone(), handing_to(self.g_ref()));
                let drained = handing.drained.clone();
                let record = self.g_ref().record.as_ref().map(|record| record.hand_over(&me, &to, &drained));
                match record {
                    Some(Ok(next)) => {
                        self.set_step(Step::Swapping);
                        self.swap_record(Swapping::HandOver, next);
                    }
                    // Somebody was elected meanwhile, or nobody knows the record any more.
                    _ => self.step_down(),
                }
            }
            Step::Promising { .. } | Step::Swapping => {}
        }
    }

    /// Whether it has promised to append nothing more: what it is about to seal must not grow either.
    pub(super) fn has_let_go(&self) -> bool {
        let Role::Leading(leading) = &self.g_ref().role else { return false };
        leading.handing.as_ref().is_some_and(|handing| handing.step != Step::Draining)
    }

    // Whether the record is known, and says that this member leads.
    fn knows_own_record(&self) -> bool {
        let group = self.g_ref();
        group.lease.is_known()
            && group.record.as_ref().is_some_and(|r| r.epoch == self.log.epoch && r.leader() == Some(&group.config.me))
    }

    fn set_step(&mut self, step: Step) {
        if let Some(handing) = self.g().leading().and_then(|leading| leading.handing.as_mut()) {
            handing.step = step;
        }
    }

    pub(super) fn handing_promised(&mut self, epoch: Epoch) {
        if epoch == Epoch(self.log.epoch.0 + 1)
            && let Some(Handing { step: Step::Promising { mine, .. }, .. }) =
                self.g().leading().and_then(|leading| leading.handing.as_mut())
        {
            *mine = true;
        }
    }

    /// Whether the answer belongs to a handover.
    pub(super) fn handing_answered(&mut self, name: &MemberName, epoch: Epoch, answer: &Result<Answer, Error>) -> bool {
        let own = self.log.epoch;
        let Some(handing) = self.g().leading().and_then(|leading| leading.handing.as_mut()) else { return false };
        if handing.to != *name || epoch != Epoch(own.0 + 1) {
            return false;
        }
        match (answer, &mut handing.step) {
            (Ok(Answer::Held { frontier, is_joined: true, needs_copy: false, .. }), Step::Promising { theirs, .. })
                if frontier.dominates_epochs(&handing.drained) =>
            {
                *theirs = true;
            }
            // Without its promise there is no handing over, and without an epoch to append to no going back.
            _ => self.step_down(),
        }
        true
    }

    pub(super) fn handing_tick(&mut self) {
        let group = self.g();
        let (now, call) = (group.now, group.settings().call);
        let Some(handing) = group.leading().and_then(|leading| leading.handing.as_mut()) else { return };
        if handing.until > now {
            return;
        }
        match handing.step {
            Step::Draining => {
                let id = handing.id;
                let message = format!(
                    "{} did not come to hold the whole log in time, or the lease store did not answer; nothing has changed",
                    handing.to
                );
                self.g().leading().expect("it leads").handing = None;
                self.outputs.push_back(Output::AdminDone { id, result: Err(Error::new(Code::Timeout, message)) });
            }
            Step::Promising { .. } => self.step_down(),
            Step::Swapping => {
                handing.until = now.after(call);
                self.read_record(Reading::Look);
            }
        }
    }

    /// The swap was not made, or nobody knows: the record tells, or the swap is made again.
    pub(super) fn handing_open(&mut self) {
        if let Some(handing) = self.g().leading().and_then(|leading| leading.handing.as_mut())
            && handing.step == Step::Swapping
        {
            handing.step = Step::Promising { mine: true, theirs: true };
        }
    }

    /// The record names another leader: the handover has succeeded.
    pub(super) fn handed_over(&mut self, record: &Record) {
        let group = self.g();
        let now = group.now;
        let Some(handing) = group.leading().and_then(|leading| leading.handing.take()) else { return };
        let result = match record.leader() {
            Some(leader) if *leader == handing.to => {
                Ok(Done { epoch: record.epoch, leader: leader.clone(), pause: now.since(handing.began) })
            }
            _ => Err(Error::new(Code::NotLeader, "another member was elected meanwhile; look who leads")),
        };
        self.outputs.push_back(Output::AdminDone { id: handing.id, result });
        self.spread_news();
    }

    /// The record has changed: the others should look.
    pub(super) fn spread_news(&mut self) {
        let others: Vec<MemberName> = self.g_ref().peers.keys().cloned().collect();
        for name in others {
            self.call(&name, Ask::News, Pending::News);
        }
    }

    /// The tenure ends without a handover.
    pub(super) fn end_handing_over(&mut self) {
        if let Some(handing) = self.g().leading().and_then(|leading| leading.handing.take()) {
            let message = "the switchover could not be finished and an election decides; look who leads";
            let result = Err(Error::new(Code::NotLeader, message));
            self.outputs.push_back(Output::AdminDone { id: handing.id, result });
        }
    }
}

fn handing_to(group: &super::Group) -> MemberName {
    match &group.role {
        Role::Leading(leading) => leading.handing.as_ref().map(|handing| handing.to.clone()),
        _ => None,
    }
    .expect("a handover is under way")
}
