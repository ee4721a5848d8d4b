//! Calls to other members, and what their answers mean.

use super::message::{Answer, Ask, Call, Reply};
use super::{Node, Output};
use crate::error::{Code, Error};
use crate::group::MemberName;
use crate::ids::{Epoch, Millis};

/// A call that has not been answered.
pub(super) enum Pending {
    /// Rows for a member, or a sign of life: the round that the answer confirms.
    Append { to: MemberName, round: u64, sent: Millis },
    /// A part of a copy of what is kept.
    Copy { to: MemberName, sent: Millis },
    /// For a candidate's epoch, or a handover to the next one.
    Promise { to: MemberName, epoch: Epoch },
    /// Rows that another member holds and this one lacks.
    Fetch { from: MemberName, of: Epoch },
    /// Whether another member misses the leader.
    Misses { of: MemberName },
    /// Whether the leader is there, for another member that asked.
    Probe { asked: u64 },
    /// Clients' writes.
    Forward,
    /// A question of clients.
    Barrier { number: u64 },
    /// Nothing depends on it.
    News,
}

impl Node {
    /// Asks a member something. Answers whether that member has an address.
    pub(super) fn call(&mut self, to: &MemberName, ask: Ask, pending: Pending) -> Option<u64> {
        let timeout = self.g_ref().settings().call;
        self.call_within(timeout, to, ask, pending)
    }

    pub(super) fn call_within(&mut self, timeout: Millis, to: &MemberName, ask: Ask, pending: Pending) -> Option<u64> {
        let epoch = match &pending {
            Pending::Promise { epoch, .. } => *epoch,
            _ => self.known_epoch(),
        };
        let generation = self.generation;
        let group = self.g();
        let address = group.member(to)?.address.clone();
        group.next_call += 1;
        let call = group.next_call;
        group.calls.insert(call, pending);
        let bytes = Call { from: group.me().clone(), generation, epoch, ask }.encode();
        self.outputs.push_back(Output::Call { call, to: to.clone(), address, bytes, timeout });
        Some(call)
    }

    // The epoch in whose name this member speaks.
    fn known_epoch(&self) -> Epoch {
        let group = self.g_ref();
        match group.since() {
            Some(since) => since,
            None if group.is_leading() => self.log.epoch,
            None => group.promised,
        }
    }

    pub(super) fn reply(&mut self, call: u64, answer: Answer) {
        let group = self.g();
        let reply = Reply { epoch: group.promised, leader: group.leader().cloned(), answer };
        self.outputs.push_back(Output::Reply { call, bytes: reply.encode() });
    }

    pub(in crate::node) fn refuse_call(&mut self, call: u64, error: Error) {
        self.reply(call, Answer::Refused { error });
    }

    pub(in crate::node) fn answered(&mut self, call: u64, result: Result<Vec<u8>, Error>) {
        let Some(pending) = self.group.as_mut().and_then(|group| group.calls.remove(&call)) else { return };
        let reply = result.and_then(|bytes| Reply::decode(&bytes));
        if let Ok(reply) = &reply {
            self.heard_of(reply.epoch);
        }
        let answer = reply.and_then(|reply| match reply.answer {
            Answer::Refused { error } => Err(error),
            answer => Ok(answer),
        });
        match (pending, answer) {
            (Pending::Append { to, round, sent }, answer) => self.append_answered(&to, round, sent, answer),
            (Pending::Copy { to, sent }, answer) => self.copy_answered(&to, sent, answer),
            (Pending::Promise { to, epoch }, answer) => self.promise_answered(&to, epoch, answer),
            (Pending::Fetch { from, of }, Ok(Answer::Rows { rows })) => self.fetched(&from, of, rows),
            (Pending::Fetch { from, .. }, Err(error)) if error.code == Code::BookmarkLost => {
                self.fetch_failed(&from);
                self.lacks_too_much();
            }
            (Pending::Fetch { from, .. }, _) => self.fetch_failed(&from),
            (Pending::Misses { of }, Ok(Answer::Misses { is_missed })) => self.misses_answered(&of, Some(is_missed)),
            (Pending::Misses { of }, _) => self.misses_answered(&of, None),
            (Pending::Probe { asked }, answer) => {
                let is_missed = !matches!(answer, Ok(Answer::Misses { is_missed: false }));
                self.reply(asked, Answer::Misses { is_missed });
            }
            (Pending::Forward, Ok(Answer::Forwarded { outcomes })) => self.forwarded(outcomes),
            (Pending::Forward, Err(error)) => self.forward_failed(&error),
            (Pending::Forward, Ok(_)) => self.forward_failed(&unfitting()),
            (Pending::Barrier { number }, Ok(Answer::At { frontier })) => self.barrier_answered(number, Ok(frontier)),
            (Pending::Barrier { number }, Err(error)) => self.barrier_answered(number, Err(error)),
            (Pending::Barrier { number }, Ok(_)) => self.barrier_answered(number, Err(unfitting())),
            (Pending::News, _) => {}
        }
        self.progress();
    }
}

fn unfitting() -> Error {
    Error::new(Code::Internal, "the other member answers what was not asked")
}
