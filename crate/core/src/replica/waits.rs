//! Everybody who waits, and until when. A wait ends exactly once.

use super::concerns::Question;
use super::reads::Read;
use super::{Output, Phase, Replica, Wait};
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{Epoch, Lsn, Millis, Origin, Seq};
use crate::limits::WAITS_MAX;
use crate::sorted::Map;
use crate::stage::Stage;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

#[derive(Default)]
pub(super) struct Waits {
    /// What each waits for, and the same in the order in which stages are reached. Both may get long.
    stage_of: BTreeMap<u64, StageWait>,
    stages: BTreeSet<(StageWait, u64)>,
    reads: Map<u64, Read>,
    /// What the node has to be asked for some of them.
    questions: BTreeMap<u64, Question>,
    /// How many peers are to have a write.
    peers: BTreeMap<u64, (Origin, Seq, usize)>,
    /// Soonest first. Those of waits that ended otherwise are dropped when they come to the top.
    deadlines: BinaryHeap<Reverse<(Millis, u64)>>,
}

type StageWait = (Origin, Stage, Seq);

impl Waits {
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.peek().map(|Reverse((deadline, _))| *deadline)
    }

    pub(super) fn reads_mut(&mut self) -> impl Iterator<Item = (u64, &mut Read)> {
        self.reads.iter_mut().map(|(id, read)| (*id, read))
    }

    pub(super) fn questions_mut(&mut self) -> impl Iterator<Item = (u64, &mut Question)> {
        self.questions.iter_mut().map(|(id, question)| (*id, question))
    }

    pub(super) fn stage_waits(&self) -> Vec<(u64, StageWait)> {
        self.stage_of.iter().map(|(id, wait)| (*id, *wait)).collect()
    }

    fn len(&self) -> usize {
        self.stage_of.len() + self.reads.len() + self.questions.len() + self.peers.len()
    }

    fn insert_stage(&mut self, id: u64, wait: StageWait, deadline: Millis) {
        self.stage_of.insert(id, wait);
        self.stages.insert((wait, id));
        self.deadlines.push(Reverse((deadline, id)));
    }

    fn insert_read(&mut self, id: u64, read: Read, deadline: Millis) {
        self.reads.insert(id, read);
        self.deadlines.push(Reverse((deadline, id)));
    }

    /// A question of a wait that is there already, or with a deadline one that is a wait itself.
    pub(super) fn insert_question(&mut self, id: u64, question: Question, deadline: Option<Millis>) {
        self.questions.insert(id, question);
        deadline.into_iter().for_each(|deadline| self.deadlines.push(Reverse((deadline, id))));
    }

    /// Takes a wait out; answers whether it was there, and the read and the question if it had one.
    fn remove(&mut self, id: u64) -> (bool, Option<Read>, Option<Question>) {
        let stage = self.stage_of.remove(&id);
        let read = self.reads.remove(&id);
        let question = self.questions.remove(&id);
        let peers = self.peers.remove(&id);
        let was_there = stage.is_some() || read.is_some() || question.is_some() || peers.is_some();
        if let Some(wait) = stage {
            self.stages.remove(&(wait, id));
        }
        let is_over = |id: &u64| {
            !self.stage_of.contains_key(id)
                && !self.reads.contains_key(id)
                && !self.questions.contains_key(id)
                && !self.peers.contains_key(id)
        };
        while self.deadlines.peek().is_some_and(|Reverse((_, id))| is_over(id)) {
            self.deadlines.pop();
        }
        (was_there, read, question)
    }
}

impl Replica {
    pub(super) fn begin_wait(&mut self, id: u64, wait: Wait, timeout: Millis, now: Millis) {
        if self.waits.len() >= WAITS_MAX {
            let error = Error::new(Code::Busy, format!("{WAITS_MAX} waits are open; await some before starting more"));
            return self.outputs.push_back(Output::Done { id, result: Err(error) });
        }
        let deadline = now.after(timeout);
        match wait {
            Wait::Stage { origin, seq, stage } => {
                self.waits.insert_stage(id, (origin, stage, seq), deadline);
                match self.outbox.stage(origin, seq) {
                    Err(error) => self.end_wait(id, Err(error)),
                    Ok(reached) if reached >= stage => self.end_wait(id, Ok(())),
                    Ok(_) if stage == Stage::Local => {
                        if let Some(failure) = self.persister.failure().cloned() {
                            self.end_wait(id, Err(failure));
                        }
                    }
                    Ok(_) => self.ask_for_stage(id, origin, seq, stage),
                }
            }
            Wait::Peers { origin, seq, count } => {
                self.waits.peers.insert(id, (origin, seq, count));
                self.waits.deadlines.push(Reverse((deadline, id)));
                match self.outbox.stage(origin, seq) {
                    Err(error) => self.end_wait(id, Err(error)),
                    Ok(_) => self.peers_have_stored(),
                }
            }
            Wait::Concern { origin, seq, concern } => self.begin_concern(id, (origin, seq, concern), timeout, now),
            Wait::Read { session, doc, consistency } => match self.begin_read(session, doc, consistency) {
                Err(error) => self.outputs.push_back(Output::Done { id, result: Err(error) }),
                Ok(read) => {
                    self.waits.insert_read(id, read, deadline);
                    self.reads_may_end_at(now);
                }
            },
        }
        self.expire_waits(now);
    }

    pub(super) fn cancel_wait(&mut self, id: u64) {
        self.end_wait(id, Err(Error::new(Code::Aborted, "the caller aborted the wait")));
    }

    pub(super) fn end_wait(&mut self, id: u64, result: Result<(), Error>) {
        let (was_there, read, question) = self.waits.remove(id);
        read.iter().for_each(|read| self.forget_read(read));
        question.iter().for_each(|question| self.forget_question(question));
        if was_there {
            self.outputs.push_back(Output::Done { id, result });
        }
    }

    pub(super) fn expire_waits(&mut self, now: Millis) {
        while let Some(Reverse((deadline, id))) = self.waits.deadlines.peek().copied()
            && deadline <= now
        {
            let error = match self.phase() {
                Phase::Live => Error::new(
                    Code::Timeout,
                    "the wait ended first; the outcome is unknown, not failed. Wait again, or allow more time",
                ),
                Phase::Blocked => self.trouble().expect("a blocked link says why").clone(),
                _ => Error::new(
                    Code::Offline,
                    "there was no connection to the leader until the wait ended; what was written stays in the outbox",
                ),
            };
            self.end_wait(id, Err(error));
        }
    }

    /// Everything of the origin up to `seq` has reached the stage, but for what is rejected.
    pub(super) fn stage_reached(&mut self, origin: Origin, seq: Seq, stage: Stage) {
        for reached in Stage::ALL.into_iter().filter(|reached| *reached <= stage) {
            let range = ((origin, reached, Seq(0)), 0)..=((origin, reached, seq), u64::MAX);
            let stands = |(wait, _): &&(StageWait, u64)| !self.outbox.is_undoing(origin, wait.2);
            let ids = self.waits.stages.range(range).filter(stands).map(|(_, id)| *id).collect();
            self.end_waits(ids, &Ok(()));
        }
    }

    pub(super) fn stage_rejected(&mut self, origin: Origin, seq: Seq, error: &Error) {
        let is_it = |(wait, _): &&(StageWait, u64)| wait.0 == origin && wait.2 == seq;
        let mut ids: Vec<u64> = self.waits.stages.iter().filter(is_it).map(|(_, id)| *id).collect();
        let asked =
            self.waits.questions.iter().filter(|(_, question)| (question.origin, question.seq) == (origin, seq));
        ids.extend(asked.map(|(id, _)| *id));
        let counted = self.waits.peers.iter().filter(|(_, wait)| (wait.0, wait.1) == (origin, seq));
        ids.extend(counted.map(|(id, _)| *id));
        self.end_waits(ids, &Err(error.clone()));
    }

    /// Peers have stored more.
    pub(super) fn peers_have_stored(&mut self) {
        let waits = self.waits.peers.iter();
        let ids = waits.filter(|(_, (origin, seq, count))| self.peers.count(*origin, *seq) >= *count);
        let ids = ids.map(|(id, _)| *id).collect();
        self.end_waits(ids, &Ok(()));
        self.is_changed = true;
    }

    pub(super) fn fail_stage_waits(&mut self, stage: Stage, error: &Error) {
        let ids = self.waits.stages.iter().filter(|(wait, _)| wait.1 == stage).map(|(_, id)| *id).collect();
        self.end_waits(ids, &Err(error.clone()));
    }

    fn end_waits(&mut self, ids: Vec<u64>, result: &Result<(), Error>) {
        ids.into_iter().for_each(|id| self.end_wait(id, result.clone()));
    }

    /// The leader has acknowledged writes: they leave the outbox, and have a place, once that is enough to survive.
    pub(super) fn acknowledged(
        &mut self,
        origin: Origin,
        seq: Seq,
        stage: Stage,
        epoch: Epoch,
        lsn: Lsn,
    ) -> Result<(), Error> {
        if self.outbox.is_beyond(origin, seq) {
            return Err(Error::new(Code::OutOfOrder, format!("write {seq} is acknowledged and was never written")));
        }
        if self.outbox.get(origin).is_none() {
            return Ok(()); // Of an opening whose writes are all settled.
        }
        self.outbox.advance(origin, seq, stage);
        self.tell_stage(origin, seq, stage);
        // Before that it may end up at another place, with another leader.
        if stage >= self.settles_at() {
            let place = Frontier::at(epoch, lsn);
            self.settles(origin, seq, &place);
            for part in self.outbox.settle(origin, seq, &place).into_iter().flat_map(|write| write.parts) {
                self.docs.reaches(&part.doc, epoch, lsn);
                // Also where the log is kept: documents are passed on to peers, and read by tabs that have missed a write.
                self.persister.add_update(part.doc, part.update, epoch, lsn);
            }
            self.lane_is_settled(origin, seq, &place, None);
        }
        self.is_changed = true;
        self.stage_reached(origin, seq, stage);
        Ok(())
    }
}
