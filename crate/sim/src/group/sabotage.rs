//! How deliberate bugs are done: by what the harness forges, drops and alters on its way to the machines.

use super::bug::Bug;
use super::world::World;
use headwater_core::node::group::message::{Answer, Ask, Call as Question, Reply};
use headwater_core::store::{StoreOp, Table, log_place, meta_key};
use headwater_core::wire::Writer;
use headwater_core::{Epoch, Frontier, Lsn};

// A leader shows what it holds.
fn showing_all(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(mut question) = Question::decode(&bytes) else { return bytes };
    match &mut question.ask {
        Ask::Append(append) => {
            append.shown = append.held.clone();
            question.encode()
        }
        _ => bytes,
    }
}

impl World {
    /// A call as it arrives.
    pub(super) fn bug_in_call(&mut self, to: usize, bytes: Vec<u8>) -> Vec<u8> {
        if self.bug == Some(Bug::CutsIgnored) {
            return showing_all(bytes);
        }
        if self.bug != Some(Bug::NoFencing) {
            return bytes;
        }
        let promised = self.status_of(to).and_then(|status| status.group).map(|group| group.promised);
        let (Ok(mut question), Some(promised)) = (Question::decode(&bytes), promised) else { return bytes };
        match &mut question.ask {
            Ask::Append(append) if question.epoch < promised && append.leader.is_some() => {
                question.epoch = promised;
                question.encode()
            }
            _ => bytes,
        }
    }

    /// An answer as it leaves.
    pub(super) fn bug_in_reply(&mut self, id: u64, bytes: Vec<u8>) -> Vec<u8> {
        if self.bug.is_none() {
            return bytes;
        }
        let call = self.calls.get(id);
        let (Some(question), Ok(mut reply)) = (&call.question, Reply::decode(&bytes)) else { return bytes };
        match (self.bug, &question.ask, &mut reply.answer) {
            // What was asked under another epoch is answered under that.
            (Some(Bug::NoFencing), Ask::Append(_), Answer::Held { .. }) => {
                reply.epoch = reply.epoch.min(question.epoch);
                reply.leader = None;
            }
            // The target says that it holds what it was never sent.
            (Some(Bug::SwitchoverTooEarly), Ask::Append(_), Answer::Held { frontier, .. })
                if self.commands.is_handing_over(call.from) =>
            {
                let held = self.members[call.from].held.clone();
                frontier.join(&held);
            }
            (Some(Bug::TailNotMerged), Ask::Fetch { .. }, Answer::Rows { rows })
                if self.members[call.from].leads.is_some() =>
            {
                rows.clear();
            }
            // It holds what the candidate does, so that nothing has to be handed on.
            (Some(Bug::UnionNotHandedOn), Ask::Promise, Answer::Held { frontier, .. })
                if self.record().is_some_and(|record| !record.leads.is_empty()) =>
            {
                let held = self.members[call.from].held.clone();
                frontier.join(&held);
            }
            // It shows what it holds.
            (Some(Bug::CutsIgnored), Ask::Append(_), Answer::Held { frontier, applied, .. }) => {
                *applied = frontier.clone();
            }
            // Whoever is asked answers with what it shows, whether it leads or not.
            (Some(Bug::BarrierFromHearsay), Ask::Barrier { .. }, answer @ Answer::Refused { .. }) => {
                *answer = Answer::At { frontier: self.shown_by(call.to) };
            }
            _ => return bytes,
        }
        reply.encode()
    }

    fn shown_by(&self, member: usize) -> Frontier {
        self.status_of(member).and_then(|status| status.group).map_or_else(Frontier::default, |group| group.visible)
    }

    /// An answer where there is none: a promise that nobody gave, which is what a candidate counts that counts too few;
    /// and the word of a leader that could prove nothing.
    pub(super) fn bug_in_failure(&mut self, id: u64) -> Option<Vec<u8>> {
        let call = self.calls.get(id);
        let question = call.question.as_ref()?;
        let answer = match (self.bug?, &question.ask) {
            (Bug::SealTooSmall, Ask::Promise) => {
                // It holds what the candidate does, so that nothing more is to be proved.
                let (frontier, applied) = (self.members[call.from].held.clone(), Frontier::default());
                Answer::Held { frontier, applied, has_clients: false, is_joined: true, needs_copy: false }
            }
            (Bug::BarrierFromHearsay, Ask::Barrier { .. }) => Answer::At { frontier: self.shown_by(call.to) },
            _ => return None,
        };
        Some(Reply { epoch: question.epoch, leader: None, answer }.encode())
    }

    /// A member's instance is gone, and the next one will read what is on its disk.
    pub(super) fn bug_at_restart(&mut self, member: usize) {
        match self.bug {
            Some(Bug::PromiseForgotten) => self.forget_promise(member),
            Some(Bug::TailDropped) => self.drop_tail(member),
            _ => {}
        }
    }

    /// A disk is lost; what of it is there all the same.
    pub(super) fn bug_keeps_facts(&self, member: usize) -> Vec<StoreOp> {
        if self.bug != Some(Bug::EpochReused) || !self.record().is_some_and(|record| record.is_multi()) {
            return Vec::new();
        }
        let rows = self.members[member].drive.disk.table(Table::Meta).filter(|(key, _)| **key != meta_key("held"));
        rows.map(|(key, value)| StoreOp::Put { table: Table::Meta, key: key.to_vec(), value: value.to_vec() }).collect()
    }

    fn forget_promise(&mut self, member: usize) {
        let Some([_, led, is_joined]) = self.facts_of(member) else { return };
        let mut value = Writer::default();
        value.uint(led).uint(led).uint(is_joined);
        let row = StoreOp::Put { table: Table::Meta, key: meta_key("member"), value: value.0 };
        self.members[member].drive.disk.land(&[row]);
    }

    fn drop_tail(&mut self, member: usize) {
        let Some(record) = self.record() else { return };
        let end = |epoch: Epoch| if epoch < record.epoch { record.sealed.lsn(epoch) } else { Lsn(u64::MAX) };
        let mut held = Frontier::default();
        let rows = self.members[member].drive.disk.table(Table::Log);
        for (epoch, last) in rows.filter_map(|(key, _)| log_place(key)).filter(|(epoch, last)| *last <= end(*epoch)) {
            held.advance_epoch(epoch, last);
        }
        let is_kept = |key: &[u8]| log_place(key).is_none_or(|(epoch, last)| last <= end(epoch));
        let state = &mut self.members[member];
        state.drive.disk.retain(|table, key| table != Table::Log || is_kept(key));
        state.held = held;
    }
}
