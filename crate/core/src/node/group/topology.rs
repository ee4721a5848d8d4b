//! Changing how many members lead, on an operator's word. It is an election: this member stands for the next epoch, everybody
//! that can be reached promises it, and so appends nothing more to what was open; what they hold together is brought to a
//! quorum. Only what follows has another shape.

use super::lease::{Reading, Swapping};
use super::{Node, Output, Role};
use crate::error::{Code, Error};
use crate::group::{Member, Record, Topology};
use crate::ids::Millis;
use crate::node::io::Done;

/// A change that an operator has asked for.
pub(super) struct Changing {
    id: u64,
    pub(super) to: Topology,
    began: Millis,
    /// When the operator is told that the outcome is unknown.
    pub(super) until: Millis,
}

impl Node {
    pub(super) fn change_topology(&mut self, id: u64, to: Topology, timeout: Millis) {
        if let Err(error) = self.check_change() {
            return self.outputs.push_back(Output::AdminDone { id, result: Err(error) });
        }
        let began = self.g_ref().now;
        self.g().lease.changing = Some(Changing { id, to, began, until: began.after(timeout) });
        self.read_record(Reading::Change);
    }

    fn check_change(&self) -> Result<(), Error> {
        let group = self.g_ref();
        let is_busy = match &group.role {
            Role::Leading(leading) => leading.handing.is_some(),
            Role::Candidate(_) => true,
            Role::Following { .. } => false,
        };
        if is_busy || group.lease.changing.is_some() || group.lease.promoting.is_some() {
            return Err(Error::new(Code::Busy, "an election or another command is under way; look, and try again"));
        }
        if !group.member(group.me()).is_some_and(Member::can_lead) {
            let message =
                format!("{} may not lead, and so cannot stand for the election; ask a voter that may", group.me());
            return Err(Error::malformed(message));
        }
        if !group.is_joined {
            return Err(Error::new(
                Code::Busy,
                format!("{} has not caught up with its group; ask another", group.me()),
            ));
        }
        // Nobody takes writes from the election on: without enough promises that would last.
        let others = group.voters().filter(|name| group.peers.get(name).is_some_and(super::Peer::is_connected)).count();
        if group.is_leading() && others + 1 < group.promises_needed() {
            return Err(Error::new(Code::Offline, "too few voters answer at present; bring them back first"));
        }
        Ok(())
    }

    /// The record has been read for it.
    pub(super) fn begin_change(&mut self) {
        let group = self.g_ref();
        let Some(changing) = &group.lease.changing else { return };
        let Some(record) = group.record.clone() else {
            return self.change_failed(Error::new(Code::NotFound, "the group has no record yet; start it first"));
        };
        if record.is_active() && record.is_multi() == (changing.to == Topology::MultiLeader) {
            return self.topology_changed(&record);
        }
        match record.elect(group.me(), group.known) {
            Ok(next) if self.swap_is_free() => self.swap_record(Swapping::Elect, next),
            Ok(_) => self.change_failed(Error::new(Code::Busy, "the lease store is busy; try again")),
            Err(refusal) => self.change_failed(Error::malformed(refusal.to_string())),
        }
    }

    /// A record is in force. It may be what was asked for.
    pub(super) fn topology_changed(&mut self, record: &Record) {
        let group = self.g();
        let now = group.now;
        let is_it = |changing: &mut Changing| record.is_multi() == (changing.to == Topology::MultiLeader);
        let Some(changing) = group.lease.changing.take_if(is_it) else { return };
        let leader = record.leader().unwrap_or(group.me()).clone();
        let done = Done { epoch: record.epoch, leader, pause: now.since(changing.began) };
        self.outputs.push_back(Output::AdminDone { id: changing.id, result: Ok(done) });
    }

    pub(super) fn change_failed(&mut self, error: Error) {
        if let Some(changing) = self.g().lease.changing.take() {
            self.outputs.push_back(Output::AdminDone { id: changing.id, result: Err(error) });
        }
    }

    pub(super) fn topology_tick(&mut self) {
        let now = self.g_ref().now;
        if self.g_ref().lease.changing.as_ref().is_some_and(|changing| changing.until <= now) {
            let message = "the change was not made in time, and may still be; look how many lead";
            self.change_failed(Error::new(Code::Timeout, message));
        }
    }
}
