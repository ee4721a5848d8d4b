//! Those who wait for the node to hold something: barriers of replicas and queries over HTTP.
//!
//! A strong one must also see a commit that began after it arrived: only an instance that is still in charge can
//! complete one. So must bad news: that a position is lost may be said by the one in charge only, because an instance that
//! was replaced simply has not heard of it.

use super::{Node, Output, Query};
use crate::bookmark::{self, Bookmark};
use crate::error::{Code, Error};
use crate::frame::NodeFrame;
use crate::frontier::Frontier;
use crate::ids::{ConnId, DocName, Lsn, Millis, Token};
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
    },
    /// A replica that holds more than this node.
    Doubt {
        conn: ConnId,
    },
}

impl Who {
    fn conn(&self) -> Option<ConnId> {
        match self {
            Who::Barrier { conn, .. } | Who::Doubt { conn } => Some(*conn),
            Who::Query { .. } => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    NotAsked,
    Wanted,
    Begun(Token),
    Given,
}

#[derive(Clone, Debug)]
struct Waiter {
    who: Who,
    frontier: Frontier,
    /// Where in the log all of the frontier's writes stand, once all have arrived. Later writes of the same origins do
    /// not move it.
    arrived: Option<Lsn>,
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
    pub(super) fn begin_proof(&mut self, token: Token) -> bool {
        let wanted = self.waiting.iter_mut().filter(|waiter| waiter.proof == Proof::Wanted);
        wanted.fold(false, |_, waiter| {
            waiter.proof = Proof::Begun(token);
            true
        })
    }

    pub(super) fn proved(&mut self, token: Token) {
        for waiter in self.waiting.iter_mut().filter(|waiter| waiter.proof == Proof::Begun(token)) {
            waiter.proof = Proof::Given;
        }
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

    pub(super) fn is_reading(&self, id: u64) -> bool {
        self.reading.contains(&id)
    }

    pub(super) fn take_queries(&mut self) -> Vec<u64> {
        let waiting = std::mem::take(&mut self.waiting).into_iter().filter_map(|waiter| match waiter.who {
            Who::Query { id, .. } => Some(id),
            Who::Barrier { .. } | Who::Doubt { .. } => None,
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
        self.answer_or_keep(Waiter { who, frontier, arrived: None, proof, deadline: None });
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
        self.waiters.waiting.push(Waiter { who, frontier, arrived: None, proof: Proof::Wanted, deadline: None });
    }

    pub(super) fn query(&mut self, query: Query, now: Millis) {
        let Query { id, doc, bookmark, strong, timeout } = query;
        if !bookmark.is_comparable(self.generation) {
            return self.outputs.push_back(Output::Answer { query: id, result: Err(bookmark::foreign()) });
        }
        let proof = if strong { Proof::Wanted } else { Proof::NotAsked };
        let deadline = Some(now.after(timeout));
        let who = Who::Query { id, doc };
        self.answer_or_keep(Waiter { who, frontier: bookmark.frontier, arrived: None, proof, deadline });
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
        if waiter.arrived.is_none() {
            match self.place_of(&waiter.frontier) {
                Err(error) if waiter.proof == Proof::Given => return self.end_waiter(waiter.who, Err(error)),
                Err(_) if waiter.proof == Proof::NotAsked => waiter.proof = Proof::Wanted,
                Err(_) => {}
                Ok(place) => waiter.arrived = place,
            }
        }
        let is_held = waiter.arrived.is_some_and(|place| place <= self.log.end);
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
            (Who::Query { id, doc: Some(doc) }, Ok(())) => {
                self.waiters.reading.push(id);
                self.read_query(id, doc);
            }
            (Who::Query { id, doc: None }, Ok(())) => {
                let result = Ok(Bookmark::new(self.generation, self.frontier()));
                self.outputs.push_back(Output::Answer { query: id, result });
            }
            (Who::Query { id, .. }, Err(error)) => {
                self.outputs.push_back(Output::Answer { query: id, result: Err(error) });
            }
        }
    }
}
