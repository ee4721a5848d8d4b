//! What a follower passes on to its leader for its clients: their writes, one call at a time in the order in which they
//! came, and the questions that only a leader can answer.
//!
//! What becomes of a write shows in the log that the follower receives, so nothing but refusals has to be answered.

use super::calls::Pending;
use super::message::{Answer, Ask, Forwarded, Outcome};
use super::{Node, Role};
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{ConnId, Epoch, Millis, Origin, Seq};
use crate::limits::{FORWARDED_PUSHES_MAX, GATHER_BYTES_MAX};
use crate::sorted::{Map, Set};
use std::collections::VecDeque;

/// How many bytes go in one call, give or take a push.
const CALL_BYTES_TARGET: usize = 2 << 20;

/// How many questions of clients are put to the leader at once.
const QUESTIONS_MAX: usize = 8;

/// Pushes on their way to the leader.
#[derive(Default)]
pub(super) struct Forwarding {
    waiting: VecDeque<Forwarded>,
    bytes: usize,
    in_flight: Vec<Forwarded>,
    is_calling: bool,
    pub(super) retry_at: Option<Millis>,
    next_barrier: u64,
}

impl Forwarding {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }
}

impl Node {
    /// Passes a client's push on.
    pub(in crate::node) fn forward(&mut self, push: Forwarded) -> Result<(), Error> {
        // What is here already comes no more, and is acknowledged when it is held as that asks for.
        let (origin, last) = push.ends();
        if self.origins.get(origin).is_some_and(|place| place.seq >= last) {
            self.acknowledge_repeat(origin, last);
        }
        if self.repeats(&push.batch) {
            // The leader has it as well; what a resumption says of the writes before it, the next push says again.
            return Ok(());
        }
        let forwarding = &mut self.g().forwarding;
        if forwarding.bytes + push.batch.weight() > GATHER_BYTES_MAX {
            return Err(Error::new(Code::Busy, "more writes wait for a leader than this member keeps; resend later"));
        }
        forwarding.bytes += push.batch.weight();
        forwarding.waiting.push_back(push);
        self.pass_on();
        Ok(())
    }

    /// Sends what waits, if a leader is known and nothing is on its way to it.
    pub(super) fn pass_on(&mut self) {
        self.ask_leader();
        let group = self.g();
        let now = group.now;
        let Role::Following { leader: Some(leader), .. } = &group.role else { return };
        let leader = leader.clone();
        let forwarding = &mut group.forwarding;
        let is_early = forwarding.retry_at.is_some_and(|at| now < at);
        if forwarding.is_calling || forwarding.waiting.is_empty() || is_early {
            return;
        }
        forwarding.retry_at = None;
        let mut bytes = 0;
        while let Some(push) = forwarding.waiting.front()
            && bytes < CALL_BYTES_TARGET
            && forwarding.in_flight.len() < FORWARDED_PUSHES_MAX
        {
            bytes += push.batch.weight();
            forwarding.in_flight.extend(forwarding.waiting.pop_front());
        }
        let pushes = forwarding.in_flight.clone();
        let is_calling = self.call(&leader, Ask::Forward { pushes }, Pending::Forward).is_some();
        self.g().forwarding.is_calling = is_calling;
    }

    /// The leader has them.
    pub(super) fn forwarded(&mut self, outcomes: Vec<Outcome>) {
        let forwarding = &mut self.g().forwarding;
        forwarding.is_calling = false;
        let pushes = std::mem::take(&mut forwarding.in_flight);
        forwarding.bytes -= pushes.iter().map(|push| push.batch.weight()).sum::<usize>();
        for (push, outcome) in pushes.into_iter().zip(outcomes) {
            self.end_forwarded(&push, outcome);
        }
    }

    fn end_forwarded(&mut self, push: &Forwarded, outcome: Outcome) {
        let conn = ConnId(push.conn);
        if !self.conns.contains_key(&conn) {
            return;
        }
        if let Outcome::Rejected { .. } = outcome {
            self.drop_waiting(push.conn);
        }
        let (origin, last) = push.ends();
        if let Err(error) = self.end_push(conn, origin, last, outcome) {
            self.close(conn, error, Millis(0));
        }
        self.attach_if_changed(conn);
    }

    // What followed a refused write is ignored, of each origin until it is sent again.
    fn drop_waiting(&mut self, conn: u64) {
        let forwarding = &mut self.g().forwarding;
        let mut resumed: Set<Origin> = Set::default();
        forwarding.waiting.retain(|push| {
            let origin = push.batch.writes[0].origin;
            if push.conn == conn && push.resume {
                resumed.insert(origin);
            }
            push.conn != conn || resumed.contains(&origin)
        });
        forwarding.count();
    }

    /// The one that was asked does not lead any more: what it has not answered goes to the next one.
    pub(super) fn recall_forwarded(&mut self) {
        let group = self.g();
        group.calls.retain(|_, pending| !matches!(pending, Pending::Forward | Pending::Barrier { .. }));
        let forwarding = &mut group.forwarding;
        for push in std::mem::take(&mut forwarding.in_flight).into_iter().rev() {
            forwarding.waiting.push_front(push);
        }
        forwarding.is_calling = false;
        forwarding.retry_at = None;
        self.waiters.prove_anew();
    }

    /// It is unknown whether the leader has them. It, or the next one, is asked again: a repeat has no second effect.
    pub(super) fn forward_failed(&mut self, error: &Error) {
        self.recall_forwarded();
        let group = self.g();
        group.forwarding.retry_at = Some(group.now.after(group.settings().beat));
        if error.code == Code::NotLeader {
            self.read_record(super::lease::Reading::Look);
        } else {
            self.want_beats();
        }
    }

    /// Another leader, or one that was restarted, may not have what the one before had in hand: a client with a write that
    /// has not come back in the log sends it again.
    pub(super) fn resend_forwarded(&mut self) {
        let forwarding = &self.g_ref().forwarding;
        let is_here = |conn: ConnId, origin: Origin| {
            let mut here = forwarding.waiting.iter().chain(&forwarding.in_flight);
            here.any(|push| push.conn == conn.0 && push.batch.writes[0].origin == origin)
        };
        let is_missing = |conn: ConnId, origin: Origin, pushed: Seq| {
            let seq = self.origins.get(origin).map_or(Seq(0), |place| place.seq);
            pushed > seq && !is_here(conn, origin)
        };
        let stranded = self
            .conns
            .iter()
            .filter(|(conn, state)| state.own.iter().any(|(origin, pushed)| is_missing(**conn, *origin, *pushed)));
        let stranded: Vec<ConnId> = stranded.map(|(conn, _)| *conn).collect();
        for conn in stranded {
            let error =
                Error::new(Code::Resume, "the group has another leader; reconnect, and send unsettled writes again");
            self.close(conn, error, Millis(0));
        }
    }

    /// A connection is gone, and what it had waiting with it: its replica sends it again.
    pub(in crate::node) fn forget_forwarded(&mut self, conn: ConnId) {
        if let Some(group) = &mut self.group {
            group.forwarding.waiting.retain(|push| push.conn != conn.0);
            group.forwarding.count();
        }
    }

    /// This member leads now: what its clients had waiting for a leader is appended here.
    pub(super) fn take_own_forwarded(&mut self) {
        let group = self.g();
        group.calls.retain(|_, pending| !matches!(pending, Pending::Forward | Pending::Barrier { .. }));
        let forwarding = std::mem::take(&mut group.forwarding);
        for push in forwarding.in_flight.into_iter().chain(forwarding.waiting) {
            let conn = ConnId(push.conn);
            let origin = push.batch.writes[0].origin;
            let Some(state) = self.conns.get_mut(&conn) else { continue };
            if push.resume {
                state.halted.remove(&origin);
            } else if state.halted.contains(&origin) {
                continue;
            }
            let (origin, last) = push.ends();
            let (outcome, repeated) = self.append(push.resume, push.prev, push.batch);
            if let Err(error) = self.end_push(conn, origin, last, outcome) {
                self.close(conn, error, Millis(0));
            } else if let Some(seq) = repeated {
                self.acknowledge_repeat(origin, seq);
            }
            self.attach_if_changed(conn);
        }
        self.resend_forwarded();
    }

    /// A follower passes pushes on to this member.
    pub(super) fn take_forwarded(&mut self, call: u64, epoch: Epoch, pushes: Vec<Forwarded>) {
        self.heard_of(epoch);
        if !self.g_ref().is_leading() {
            let error = self.g_ref().not_leader();
            return self.refuse_call(call, error);
        }
        // Connections with a refusal, and the origins that have resumed since.
        let mut halted: Map<u64, Set<Origin>> = Map::default();
        let mut outcomes = Vec::with_capacity(pushes.len());
        for Forwarded { conn, resume, prev, batch } in pushes {
            let origin = batch.writes[0].origin;
            if let Some(resumed) = halted.get_mut(&conn).filter(|_| resume) {
                resumed.insert(origin);
            }
            let is_ignored = halted.get(&conn).is_some_and(|resumed| !resumed.contains(&origin));
            let outcome = if is_ignored { Outcome::Taken } else { self.append(resume, prev, batch).0 };
            if !matches!(outcome, Outcome::Taken) {
                halted.insert(conn, Set::default());
            }
            outcomes.push(outcome);
        }
        self.reply(call, Answer::Forwarded { outcomes });
    }

    // ---- questions ----

    // What clients want proved, only the leader can prove.
    fn ask_leader(&mut self) {
        let group = self.g();
        let Role::Following { leader: Some(leader), .. } = &group.role else {
            if !group.is_leading() && group.is_isolated {
                self.fail_strong();
            }
            return;
        };
        let leader = leader.clone();
        if group.is_isolated {
            return self.fail_strong();
        }
        if group.forwarding.retry_at.is_some_and(|at| group.now < at) {
            return;
        }
        let mut next = group.forwarding.next_barrier;
        let open = group.calls.values().filter(|pending| matches!(pending, Pending::Barrier { .. })).count();
        let room = QUESTIONS_MAX.saturating_sub(open);
        let asked = self.waiters.take_wanted(&self.log.held, room, || {
            next += 1;
            next
        });
        self.g().forwarding.next_barrier = next;
        for (number, frontier) in asked {
            self.call(&leader, Ask::Barrier { frontier }, Pending::Barrier { number });
        }
    }

    pub(super) fn barrier_answered(&mut self, number: u64, result: Result<Frontier, Error>) {
        match result {
            Ok(at) => self.waiters.leader_at(number, Some(&at)),
            Err(error) if matches!(error.code, Code::BookmarkLost | Code::StrongUnavailable) => {
                self.leader_refused(number, &error);
            }
            Err(error) => {
                self.waiters.leader_at(number, None);
                let group = self.g();
                group.forwarding.retry_at = Some(group.now.after(group.settings().beat));
                if error.code == Code::NotLeader {
                    self.read_record(super::lease::Reading::Look);
                } else {
                    self.want_beats();
                }
            }
        }
    }
}

impl Forwarded {
    // Whose it is, and its last write.
    fn ends(&self) -> (Origin, Seq) {
        (self.batch.writes[0].origin, self.batch.writes.last().map_or(Seq(0), |write| write.seq))
    }
}

impl Forwarding {
    fn count(&mut self) {
        self.bytes = self.waiting.iter().chain(&self.in_flight).map(|push| push.batch.weight()).sum();
    }
}
