//! Those who wait for the node to hold something: barriers of replicas and queries over HTTP.
//!
//! A strong one needs a proof that began after it arrived: a commit, which only an instance that is still in charge can
//! complete, and in a group a round of a quorum, which only the leader can. So does bad news: that a position is lost may be
//! said by the one in charge only, because whoever was replaced simply has not heard of it. A follower has its leader
//! prove and say.

use super::{At, Node, Output, Query};
use crate::bookmark;
use crate::error::{Code, Error};
use crate::frame::NodeFrame;
use crate::frontier::Frontier;
use crate::ids::{ConnId, DocName, Millis, Token};
use crate::limits::{BARRIERS_PER_CONNECTION_MAX, WAITING_LOGS_MAX};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Barrier {
        conn: ConnId,
        id: u64,
    },
    Query {
        id: u64,
        doc: Option<DocName>,
        at: Option<At>,
    },
    /// A replica that holds more than this node.
    Doubt {
        conn: ConnId,
    },
    /// A follower that asks for one of its own.
    Member {
        call: u64,
    },
}

impl Who {
    fn conn(&self) -> Option<ConnId> {
        match self {
            Who::Barrier { conn, .. } | Who::Doubt { conn } => Some(*conn),
            Who::Query { .. } | Who::Member { .. } => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    NotAsked,
    Wanted,
    /// By this commit, and by a round of the quorum with this number.
    Begun(Token, u64),
    /// The commit is durable.
    Committed(u64),
    /// By the leader, which this follower has asked.
    Asked(u64),
    Given,
}

#[derive(Clone, Debug)]
struct Waiter {
    who: Who,
    frontier: Frontier,
    /// Where in the logs all of the frontier's writes stand, once all have arrived. Later writes of the same origins do
    /// not move it.
    arrived: Option<Frontier>,
    is_strong: bool,
    proof: Proof,
    deadline: Option<Millis>,
}

#[derive(Default)]
pub(super) struct Waiters {
    waiting: Vec<Waiter>,
    /// Queries whose content is being read.
    reading: Vec<u64>,
}

impl Waiters {
    pub(super) fn wants_proof(&self) -> bool {
        self.waiting.iter().any(|waiter| waiter.proof == Proof::Wanted)
    }

    /// A commit begins; whether anybody counts on it.
    pub(super) fn begin_proof(&mut self, token: Token, round: u64) -> bool {
        let wanted = self.waiting.iter_mut().filter(|waiter| waiter.proof == Proof::Wanted);
        wanted.fold(false, |_, waiter| {
            waiter.proof = Proof::Begun(token, round);
            true
        })
    }

    /// A commit is durable: for whoever counts on it, a round of the quorum is what is left.
    pub(super) fn committed(&mut self, token: Token) {
        for waiter in &mut self.waiting {
            match waiter.proof {
                Proof::Begun(begun, round) if begun == token => waiter.proof = Proof::Committed(round),
                _ => {}
            }
        }
    }

    /// A quorum has confirmed this round and all before it.
    pub(super) fn confirmed(&mut self, round: u64) {
        for waiter in &mut self.waiting {
            match waiter.proof {
                Proof::Committed(begun) if begun <= round => waiter.proof = Proof::Given,
                _ => {}
            }
        }
    }

    /// Whether anybody waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether somebody has a proof and was not answered.
    pub(super) fn has_proof(&self) -> bool {
        self.waiting.iter().any(|waiter| waiter.proof == Proof::Given)
    }

    /// Whether somebody waits for a round of the quorum.
    pub(super) fn needs_round(&self) -> bool {
        self.waiting.iter().any(|waiter| matches!(waiter.proof, Proof::Begun(..) | Proof::Committed(_)))
    }

    /// Who can prove is another one now: every proof begins anew.
    pub(super) fn prove_anew(&mut self) {
        self.waiting.iter_mut().filter(|waiter| waiter.proof != Proof::NotAsked).for_each(|w| w.proof = Proof::Wanted);
    }

    /// What a follower that holds `held` has to ask its leader, each with the number of the question, and at most `room` of
    /// them. Whoever asks only whether something newer exists shares a question; writes that are named by their origin show
    /// in the log that the follower receives.
    pub(super) fn take_wanted(
        &mut self,
        held: &Frontier,
        room: usize,
        mut next: impl FnMut() -> u64,
    ) -> Vec<(u64, Frontier)> {
        let mut asked: Vec<(u64, Frontier)> = Vec::new();
        for waiter in self.waiting.iter_mut().filter(|waiter| waiter.proof == Proof::Wanted) {
            let is_held = held.dominates_epochs(&waiter.frontier);
            let wanted = if is_held { Frontier::default() } else { waiter.frontier.epochs_only() };
            let number = match asked.iter().find(|(_, frontier)| *frontier == wanted) {
                Some((number, _)) => *number,
                None if asked.len() >= room => continue,
                None => {
                    asked.push((next(), wanted));
                    asked.last().expect("pushed above").0
                }
            };
            waiter.proof = Proof::Asked(number);
        }
        asked
    }

    /// The leader has answered: whoever asked needs what it held; or it did not, and is to be asked again.
    pub(super) fn leader_at(&mut self, number: u64, at: Option<&Frontier>) {
        for waiter in self.waiting.iter_mut().filter(|waiter| waiter.proof == Proof::Asked(number)) {
            match at {
                Some(at) => {
                    waiter.proof = Proof::Given;
                    waiter.frontier.join(&at.epochs_only());
                    waiter.arrived = None;
                }
                None => waiter.proof = Proof::Wanted,
            }
        }
    }

    fn take_asked(&mut self, number: u64) -> Vec<Who> {
        self.waiting.extract_if(.., |waiter| waiter.proof == Proof::Asked(number)).map(|waiter| waiter.who).collect()
    }

    fn take_unproved(&mut self) -> Vec<Who> {
        let is_unproved =
            |waiter: &mut Waiter| waiter.is_strong && !matches!(waiter.proof, Proof::NotAsked | Proof::Given);
        self.waiting.extract_if(.., is_unproved).map(|waiter| waiter.who).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.waiting.iter().filter_map(|waiter| waiter.deadline).min()
    }

    pub(super) fn forget_conn(&mut self, gone: ConnId) {
        self.waiting.retain(|waiter| waiter.who.conn() != Some(gone));
    }

    pub(super) fn forget_barrier(&mut self, conn: ConnId, id: u64) {
        self.waiting.retain(|waiter| waiter.who != Who::Barrier { conn, id });
    }

    pub(super) fn forget_query(&mut self, gone: u64) {
        self.waiting.retain(|waiter| !matches!(waiter.who, Who::Query { id, .. } if id == gone));
        self.reading.retain(|id| *id != gone);
    }

    pub(super) fn begin_reading(&mut self, id: u64) {
        if !self.is_reading(id) {
            self.reading.push(id);
        }
    }

    pub(super) fn is_reading(&self, id: u64) -> bool {
        self.reading.contains(&id)
    }

    pub(super) fn take_queries(&mut self) -> Vec<u64> {
        let waiting = std::mem::take(&mut self.waiting).into_iter().filter_map(|waiter| match waiter.who {
            Who::Query { id, .. } => Some(id),
            Who::Barrier { .. } | Who::Doubt { .. } | Who::Member { .. } => None,
        });
        waiting.chain(std::mem::take(&mut self.reading)).collect()
    }

    /// The barriers that a connection takes along into hibernation. Strong ones are answered before that.
    pub(super) fn barriers_of(&self, conn: ConnId) -> impl Iterator<Item = (u64, &Frontier)> + Clone {
        self.waiting.iter().filter_map(move |waiter| match waiter.who {
            Who::Barrier { conn: of, id } if of == conn => Some((id, &waiter.frontier)),
            _ => None,
        })
    }

    /// The logs that all who wait name, which is what they weigh.
    fn logs(&self) -> usize {
        self.waiting.iter().map(|waiter| waiter.frontier.logs()).sum()
    }

    pub(super) fn restore_barrier(&mut self, conn: ConnId, id: u64, frontier: Frontier) {
        self.waiting.push(Waiter {
            who: Who::Barrier { conn, id },
            frontier,
            arrived: None,
            is_strong: false,
            proof: Proof::NotAsked,
            deadline: None,
        });
    }
}

impl Node {
    pub(super) fn barrier(&mut self, conn: ConnId, id: u64, strong: bool, frontier: Frontier) -> Result<(), Error> {
        if self.waiters.barriers_of(conn).any(|(other, _)| other == id) {
            return Err(Error::new(Code::OutOfOrder, format!("barrier {id} waits already")));
        }
        let is_full = self.waiters.barriers_of(conn).count() >= BARRIERS_PER_CONNECTION_MAX;
        if is_full || self.waiters.logs() + frontier.logs() > WAITING_LOGS_MAX {
            let error = Error::new(Code::Busy, "too many others wait for the leader; read again when some have ended");
            self.send(conn, &NodeFrame::Failed { id, error });
            return Ok(());
        }
        let proof = if strong { Proof::Wanted } else { Proof::NotAsked };
        let who = Who::Barrier { conn, id };
        self.answer_or_keep(Waiter { who, frontier, arrived: None, is_strong: strong, proof, deadline: None });
        // One that goes on waiting must survive hibernation.
        let waits_on = self.waiters.barriers_of(conn).any(|(other, _)| other == id);
        if let Some(state) = self.conns.get_mut(&conn) {
            state.is_changed |= waits_on;
        }
        Ok(())
    }

    /// A replica holds entries that this node does not have. Either its storage went back in time, or it has been replaced.
    pub(super) fn doubt(&mut self, conn: ConnId, frontier: Frontier) {
        let who = Who::Doubt { conn };
        if self.waiters.waiting.iter().any(|waiter| waiter.who == who) {
            return; // One proof tells.
        }
        let proof = Proof::Wanted;
        self.waiters.waiting.push(Waiter { who, frontier, arrived: None, is_strong: false, proof, deadline: None });
    }

    /// A follower asks on behalf of its own clients.
    pub(super) fn member_barrier(&mut self, call: u64, frontier: Frontier, deadline: Millis) {
        let (who, deadline) = (Who::Member { call }, Some(deadline));
        self.answer_or_keep(Waiter { who, frontier, arrived: None, is_strong: true, proof: Proof::Wanted, deadline });
    }

    /// The leader says that what these wait for cannot be had.
    pub(super) fn leader_refused(&mut self, number: u64, error: &Error) {
        let asked = self.waiters.take_asked(number);
        asked.into_iter().for_each(|who| self.end_waiter(who, Err(error.clone())));
    }

    /// Followers that asked are to ask another one.
    pub(super) fn fail_members(&mut self, error: &Error) {
        let is_member = |waiter: &mut Waiter| matches!(waiter.who, Who::Member { .. });
        let members: Vec<Waiter> = self.waiters.waiting.extract_if(.., is_member).collect();
        members.into_iter().for_each(|waiter| self.end_waiter(waiter.who, Err(error.clone())));
    }

    /// Nobody can prove anything here for now.
    pub(super) fn fail_strong(&mut self) {
        let error = self.unprovable();
        let unproved = self.waiters.take_unproved();
        unproved.into_iter().for_each(|who| self.end_waiter(who, Err(error.clone())));
    }

    // Why nobody can prove here that nothing newer exists.
    fn unprovable(&self) -> Error {
        let message = if self.is_multi() {
            "several leaders take writes, so that no node knows of all of them: there are no strong reads, and no bounds on \
             staleness. Read with a session, whose bookmark waits for what it names, or change the database to single-leader"
        } else {
            "too few members of the group can be reached to prove that nothing newer exists; read again later, or with \
             another consistency"
        };
        Error::new(Code::StrongUnavailable, message)
    }

    /// Several lead from here on: what would have to be proved ends, and what only has to arrive is waited for.
    pub(super) fn prove_nothing(&mut self) {
        self.fail_strong();
        self.waiters.waiting.retain(|waiter| !matches!(waiter.who, Who::Doubt { .. }));
        self.waiters.waiting.iter_mut().for_each(|waiter| waiter.proof = Proof::NotAsked);
    }

    pub(super) fn query(&mut self, query: Query, now: Millis) {
        let Query { id, doc, bookmark, strong, timeout, at } = query;
        if !bookmark.is_comparable(self.generation) {
            return self.outputs.push_back(Output::Answer { query: id, result: Err(bookmark::foreign()) });
        }
        let proof = if strong { Proof::Wanted } else { Proof::NotAsked };
        let deadline = Some(now.after(timeout));
        let who = Who::Query { id, doc, at };
        let frontier = bookmark.frontier;
        self.answer_or_keep(Waiter { who, frontier, arrived: None, is_strong: strong, proof, deadline });
    }

    pub(super) fn expire_queries(&mut self, now: Millis) {
        let is_due = |waiter: &mut Waiter| waiter.deadline.is_some_and(|deadline| deadline <= now);
        for waiter in self.waiters.waiting.extract_if(.., is_due).collect::<Vec<_>>() {
            let message = "the leader did not reach the bookmark in time; the write it names may still be on its way";
            self.end_waiter(waiter.who, Err(Error::new(Code::Timeout, message)));
        }
    }

    /// Answers everybody whose condition is met.
    pub(super) fn answer_waiters(&mut self) {
        let waiting = std::mem::take(&mut self.waiters.waiting);
        waiting.into_iter().for_each(|waiter| self.answer_or_keep(waiter));
    }

    fn answer_or_keep(&mut self, mut waiter: Waiter) {
        // The answer to one may close a connection that has others waiting.
        if waiter.who.conn().is_some_and(|conn| !self.conns.contains_key(&conn)) {
            return;
        }
        if waiter.is_strong && waiter.proof != Proof::Given && self.is_multi() {
            let error = self.unprovable();
            return self.end_waiter(waiter.who, Err(error));
        }
        // What the leader has, a follower will have.
        let will_come = !self.is_leading() && waiter.proof == Proof::Given;
        if waiter.arrived.is_none() && will_come {
            waiter.arrived = self.place_in_logs(&waiter.frontier);
        } else if self.is_multi() {
            // Whatever is missing is on its way, or comes back with the leader that has it: nobody can say that it is lost.
            waiter.arrived = self.place_in_logs(&waiter.frontier);
        } else if waiter.arrived.is_none() {
            match self.place_of(&waiter.frontier) {
                Err(error) if waiter.proof == Proof::Given => return self.end_waiter(waiter.who, Err(error)),
                Err(_) if waiter.proof == Proof::NotAsked => waiter.proof = Proof::Wanted,
                Err(_) => {}
                Ok(place) => waiter.arrived = place,
            }
            // What is committed here was acknowledged before the question came.
            if let (Some(place), true) = (&mut waiter.arrived, waiter.is_strong && self.is_leading()) {
                place.join(&self.log.held);
            }
        }
        let is_held = waiter.arrived.as_ref().is_some_and(|place| self.visible.dominates_epochs(place));
        if is_held && matches!(waiter.proof, Proof::NotAsked | Proof::Given) {
            self.end_waiter(waiter.who, Ok(()));
        } else {
            self.waiters.waiting.push(waiter);
        }
    }

    fn end_waiter(&mut self, who: Who, result: Result<(), Error>) {
        match (who, result) {
            (Who::Barrier { conn, id }, Ok(())) => {
                self.tell_through(conn);
                let frontier = self.frontier();
                self.send(conn, &NodeFrame::Reached { id, frontier });
            }
            (Who::Barrier { conn, id }, Err(error)) => self.send(conn, &NodeFrame::Failed { id, error }),
            (Who::Doubt { conn }, _) => {
                let message = "the replica holds log entries that the leader does not have: the leader's storage went \
                               back in time. Local data and unsent writes are kept";
                self.close(conn, Error::new(Code::DatabaseReset, message), Millis(0));
            }
            (Who::Query { id, doc, at }, Ok(())) => self.begin_reading(id, doc, at),
            (Who::Member { call }, Ok(())) => self.answer_barrier(call, Ok(())),
            (Who::Member { call }, Err(error)) => self.answer_barrier(call, Err(error)),
            (Who::Query { id, .. }, Err(error)) => {
                self.outputs.push_back(Output::Answer { query: id, result: Err(error) });
            }
        }
    }
}

impl Node {
    /// Where in the logs everything that `frontier` names stands, visible or not yet; nothing while a write that it names
    /// has not arrived, and an error if it names entries that are not here.
    fn place_of(&self, frontier: &Frontier) -> Result<Option<Frontier>, Error> {
        if !self.log.held.dominates_epochs(frontier) {
            return Err(self.lost(frontier));
        }
        Ok(self.place_in_logs(frontier))
    }

    pub(super) fn place_in_logs(&self, frontier: &Frontier) -> Option<Frontier> {
        let mut place = frontier.epochs_only();
        for (origin, seq) in frontier.origins() {
            place.join(&self.origins.places_of(origin, seq)?);
        }
        Some(place)
    }

    fn lost(&self, frontier: &Frontier) -> Error {
        let missing = frontier.epochs().filter(|(epoch, lsn)| self.log.held.lsn(*epoch) < *lsn);
        let missing: Vec<String> = missing
            .map(|(epoch, lsn)| format!("entries {} to {lsn} of epoch {epoch}", self.log.held.lsn(epoch).next()))
            .collect();
        Error::new(
            Code::BookmarkLost,
            format!(
                "the bookmark names what the leader does not have: {}. It was lost, or comes back with the member that \
                 holds it; read without the bookmark, or wait for that member",
                missing.join(", ")
            ),
        )
    }
}
