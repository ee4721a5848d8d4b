//! Reads that wait: what each needs, and the questions to the leader that find it out.
//!
//! Staleness is measured on one clock, the reader's: from the moment a question was sent whose answer named a frontier,
//! and only once that frontier is held. The leader proves with its answer that it still leads: an instance that has been
//! replaced goes on in good faith, and what it does not hold would make a copy look fresher than it is.

use super::Replica;
use crate::error::{Code, Error};
use crate::frame::ClientFrame;
use crate::frontier::Frontier;
use crate::ids::{DocName, Millis};
use crate::limits::BARRIERS_PER_CONNECTION_MAX;
use crate::session::Consistency;
use crate::sorted::Map;

/// One read.
pub(super) struct Read {
    session: u64,
    doc: DocName,
    consistency: Consistency,
    /// What the document must hold of leaders' logs.
    need: Frontier,
    /// Writes the session depends on whose place in the log is not known here.
    unresolved: Frontier,
    asked: Asked,
    /// The question whether the node has what the document still lacks: the node then tells how far its stream has come,
    /// even if nothing of that concerns this replica, or that it is lost.
    looked: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    NeedNot,
    Must,
    Waits(u64),
    Answered(Millis),
}

#[derive(Default)]
pub(super) struct Reads {
    /// Questions on this connection: when they were sent, and whether the answer proves that the leader leads.
    barriers: Map<u64, (Millis, bool)>,
    /// The number of the last question, of a read or of a write's concern.
    last_question: u64,
    /// The latest answer: when the question was sent, and what the leader held.
    heard: Option<(Millis, Frontier)>,
    /// Whether something moved since the reads were looked at.
    check: bool,
}

impl Reads {
    pub(super) fn next_question(&mut self) -> u64 {
        self.last_question += 1;
        self.last_question
    }

    /// For how long at most a copy that holds `held` may have been out of date.
    pub(super) fn staleness(&self, held: &Frontier, now: Millis) -> Option<Millis> {
        let (asked, frontier) = self.heard.as_ref()?;
        held.dominates_epochs(frontier).then(|| now.since(*asked))
    }
}

impl Replica {
    pub(super) fn begin_read(&mut self, id: u64, doc: DocName, consistency: Consistency) -> Result<Read, Error> {
        let session = self.sessions.get(&id).ok_or_else(super::session_ended)?;
        let mut read = Read {
            session: id,
            doc,
            consistency,
            need: Frontier::default(),
            unresolved: Frontier::default(),
            asked: Asked::NeedNot,
            looked: None,
        };
        if consistency == Consistency::Eventual {
            return Ok(read);
        }
        let needs_leader = matches!(consistency, Consistency::Strong | Consistency::MaxStaleness(_));
        if needs_leader && !self.config.has_leader {
            return Err(Error::new(
                Code::StrongUnavailable,
                "the database was opened without a leader, and nobody can prove how fresh a copy is; read at \"session\" \
                 with a bookmark of whoever has written",
            ));
        }
        // Whatever else it asks for, a read never goes back behind its session.
        session.check(self.generation)?;
        read.need = session.required().epochs_only();
        for (origin, seq) in session.required().origins() {
            match self.outbox.resolve(origin, seq) {
                Some(place) => read.need.join(&place),
                None => read.unresolved.advance_origin(origin, seq),
            }
        }
        if consistency == Consistency::Strong || !read.unresolved.is_empty() {
            read.asked = Asked::Must;
        }
        Ok(read)
    }

    /// Something moved: reads that have what they need end.
    pub(super) fn reads_may_end(&mut self) {
        self.reads.check = true;
        self.docs.has_moved = true;
        self.docs.has_moved_for_peers = true;
    }

    pub(super) fn reads_may_end_at(&mut self, now: Millis) {
        let mut ended = Vec::new();
        for (id, read) in self.waits.reads_mut() {
            if !self.docs.is_readable(&read.doc) {
                continue;
            }
            let held = self.docs.frontier(&read.doc);
            // What a peer or a tab has brought meanwhile need not be asked for.
            for (origin, seq) in std::mem::take(&mut read.unresolved).origins() {
                match self.outbox.resolve(origin, seq) {
                    Some(place) => read.need.join(&place),
                    None => read.unresolved.advance_origin(origin, seq),
                }
            }
            if read.unresolved.is_empty() && read.consistency == Consistency::Session && read.asked == Asked::Must {
                read.asked = Asked::NeedNot;
            }
            if read.consistency != Consistency::Eventual
                && let Some(Err(error)) = self.sessions.get(&read.session).map(|session| session.check(self.generation))
            {
                ended.push((id, Err(error)));
                continue;
            }
            let is_answered = matches!(read.asked, Asked::NeedNot | Asked::Answered(_));
            let mut holds = is_answered && read.unresolved.is_empty() && held.dominates_epochs(&read.need);
            if read.consistency == Consistency::Strong {
                // What a strong read has shown, the next one anywhere shows: so nothing that is not in the log yet, and
                // nothing from beyond a gap.
                holds &= held.dominates_epochs(&self.docs.reach(&read.doc));
                holds &= !self.outbox.shows_unsettled(&read.doc);
            }
            let Consistency::MaxStaleness(limit) = read.consistency else {
                if holds {
                    ended.push((id, Ok(())));
                }
                continue;
            };
            if holds && self.reads.staleness(&held, now).is_some_and(|staleness| staleness <= limit) {
                ended.push((id, Ok(())));
            } else if !matches!(read.asked, Asked::Waits(_)) {
                // The answer in hand is too old by now, or there was none: ask again. While an answer's frontier is on
                // its way, a fresher question costs nothing that the wait does not already.
                let is_pending = matches!(read.asked, Asked::Answered(asked) if now.since(asked) <= limit);
                read.asked = if is_pending { read.asked } else { Asked::Must };
            }
        }
        ended.into_iter().for_each(|(id, result)| self.end_wait(id, result));
    }

    /// Ends what can end, and puts the questions that reads need to the leader.
    pub(super) fn ask_leader(&mut self, now: Millis) {
        if std::mem::take(&mut self.reads.check) {
            self.reads_may_end_at(now);
        }
        if !self.link.can_ask() {
            return;
        }
        let mut barriers: Vec<(bool, Frontier, u64)> = Vec::new();
        let asked = self.reads.barriers.len() + self.concerns_asked() + self.questions_relayed();
        let room = BARRIERS_PER_CONNECTION_MAX.saturating_sub(asked);
        for (_, read) in self.waits.reads_mut().filter(|(_, read)| read.asked == Asked::Must) {
            let strong = matches!(read.consistency, Consistency::Strong | Consistency::MaxStaleness(_));
            // Reads that ask the same in the same turn share the question.
            let known = barriers.iter().find(|(kind, frontier, _)| *kind == strong && *frontier == read.unresolved);
            let id = match known {
                Some((.., id)) => *id,
                None if barriers.len() == room => break, // The others ask when some of these are answered.
                None => {
                    let id = self.reads.next_question();
                    barriers.push((strong, read.unresolved.clone(), id));
                    id
                }
            };
            read.asked = Asked::Waits(id);
        }
        for (_, read) in self.waits.reads_mut().filter(|(_, read)| read.looked.is_none()) {
            let is_behind =
                self.docs.is_readable(&read.doc) && !self.docs.frontier(&read.doc).dominates_epochs(&read.need);
            if !is_behind || matches!(read.asked, Asked::Waits(_)) || barriers.len() == room {
                continue;
            }
            let known = barriers.iter().find(|(strong, frontier, _)| !strong && *frontier == read.need);
            let id = known.map_or_else(|| self.reads.next_question(), |(.., id)| *id);
            if known.is_none() {
                barriers.push((false, read.need.clone(), id));
            }
            read.looked = Some(id);
        }
        self.ask_concerns(room - barriers.len());
        for (strong, frontier, id) in barriers {
            self.reads.barriers.insert(id, (now, strong));
            self.send(&ClientFrame::Barrier { id, strong, frontier });
        }
    }

    pub(super) fn barrier_reached(&mut self, id: u64, frontier: &Frontier, now: Millis) {
        self.link.leader_holds(frontier);
        let Some((sent, is_proved)) = self.reads.barriers.remove(&id) else {
            return self.concern_answered(id, Ok(()));
        };
        if is_proved && self.reads.heard.as_ref().is_none_or(|(asked, _)| *asked <= sent) {
            self.reads.heard = Some((sent, frontier.epochs_only()));
        }
        for (_, read) in self.waits.reads_mut().filter(|(_, read)| read.asked == Asked::Waits(id)) {
            read.need.join(&frontier.epochs_only());
            read.asked = Asked::Answered(sent);
            let origins = std::mem::take(&mut read.unresolved);
            if let Some(session) = self.sessions.get_mut(&read.session).filter(|_| !origins.is_empty()) {
                session.resolve(origins.origins().map(|(origin, _)| origin), frontier);
            }
        }
        self.reads_may_end_at(now);
    }

    pub(super) fn barrier_failed(&mut self, id: u64, error: &Error) {
        if self.reads.barriers.remove(&id).is_none() {
            return self.concern_answered(id, Err(error.clone()));
        }
        let is_asked = |read: &Read| read.asked == Asked::Waits(id) || read.looked == Some(id);
        let failed: Vec<u64> = self.waits.reads_mut().filter(|(_, read)| is_asked(read)).map(|(id, _)| id).collect();
        failed.into_iter().for_each(|id| self.end_wait(id, Err(error.clone())));
    }

    /// The connection is gone, and the questions with it: they are put again on the next one.
    pub(super) fn questions_are_lost(&mut self) {
        self.concerns_are_lost();
        self.relayed_are_lost();
        self.reads.barriers.clear();
        for (_, read) in self.waits.reads_mut() {
            read.looked = None;
            if matches!(read.asked, Asked::Waits(_)) {
                read.asked = Asked::Must;
            }
        }
    }

    /// A read has ended; questions that only it had put are taken back, and make room for others.
    pub(super) fn forget_read(&mut self, ended: &Read) {
        let asked = match ended.asked {
            Asked::Waits(id) => Some(id),
            _ => None,
        };
        for id in asked.into_iter().chain(ended.looked) {
            let is_shared = |read: &Read| read.asked == Asked::Waits(id) || read.looked == Some(id);
            if self.waits.reads_mut().any(|(_, read)| is_shared(read)) {
                continue;
            }
            if self.reads.barriers.remove(&id).is_some() && self.link.can_ask() {
                self.send(&ClientFrame::Cancel { id });
            }
        }
    }
}
