//! Everybody who waits, and until when. A wait ends exactly once.

use super::reads::Read;
use super::{Output, Phase, Replica, Wait};
use crate::error::{Code, Error};
use crate::ids::{Epoch, Lsn, Millis, Origin, Seq};
use crate::limits::WAITS_MAX;
use crate::stage::Stage;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct Waits {
    by_id: BTreeMap<u64, (Waiting, Millis)>,
    deadlines: BTreeSet<(Millis, u64)>,
    stages: BTreeSet<(Origin, Stage, Seq, u64)>,
}

enum Waiting {
    Stage { origin: Origin, stage: Stage, seq: Seq },
    Read(Read),
}

impl Waits {
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn reads_mut(&mut self) -> impl Iterator<Item = (u64, &mut Read)> {
        self.by_id.iter_mut().filter_map(|(id, (waiting, _))| match waiting {
            Waiting::Read(read) => Some((*id, read)),
            Waiting::Stage { .. } => None,
        })
    }

    fn insert(&mut self, id: u64, waiting: Waiting, deadline: Millis) {
        if let Waiting::Stage { origin, stage, seq } = waiting {
            self.stages.insert((origin, stage, seq, id));
        }
        self.deadlines.insert((deadline, id));
        self.by_id.insert(id, (waiting, deadline));
    }

    fn remove(&mut self, id: u64) -> bool {
        let Some((waiting, deadline)) = self.by_id.remove(&id) else { return false };
        self.deadlines.remove(&(deadline, id));
        if let Waiting::Stage { origin, stage, seq } = waiting {
            self.stages.remove(&(origin, stage, seq, id));
        }
        true
    }
}

impl Replica {
    pub(super) fn begin_wait(&mut self, id: u64, wait: Wait, timeout: Millis, now: Millis) {
        if self.waits.by_id.len() >= WAITS_MAX {
            let error = Error::new(Code::Busy, format!("{WAITS_MAX} waits are open; await some before starting more"));
            return self.outputs.push_back(Output::Done { id, result: Err(error) });
        }
        let deadline = now.after(timeout);
        match wait {
            Wait::Stage { origin, seq, stage } => {
                self.waits.insert(id, Waiting::Stage { origin, stage, seq }, deadline);
                match self.outbox.stage(origin, seq) {
                    Err(error) => self.end_wait(id, Err(error)),
                    Ok(reached) if reached >= stage => self.end_wait(id, Ok(())),
                    Ok(_) => match self.persister.failure().filter(|_| stage == Stage::Local) {
                        Some(failure) => self.end_wait(id, Err(failure.clone())),
                        None => {}
                    },
                }
            }
            Wait::Read { session, doc, consistency } => match self.begin_read(session, doc, consistency) {
                Err(error) => self.outputs.push_back(Output::Done { id, result: Err(error) }),
                Ok(read) => {
                    self.waits.insert(id, Waiting::Read(read), deadline);
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
        if self.waits.remove(id) {
            self.forget_read(id);
            self.outputs.push_back(Output::Done { id, result });
        }
    }

    pub(super) fn expire_waits(&mut self, now: Millis) {
        while let Some((_, id)) = self.waits.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
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

    /// Everything of the origin up to `seq` has reached the stage.
    pub(super) fn stage_reached(&mut self, origin: Origin, seq: Seq, stage: Stage) {
        for reached in Stage::ALL.into_iter().filter(|reached| *reached <= stage) {
            let range = (origin, reached, Seq(0), 0)..=(origin, reached, seq, u64::MAX);
            let ids: Vec<u64> = self.waits.stages.range(range).map(|(.., id)| *id).collect();
            ids.into_iter().for_each(|id| self.end_wait(id, Ok(())));
        }
    }

    pub(super) fn stage_rejected(&mut self, origin: Origin, seq: Seq, error: &Error) {
        let is_it = |wait: &&(Origin, Stage, Seq, u64)| wait.0 == origin && wait.2 == seq;
        let ids: Vec<u64> = self.waits.stages.iter().filter(is_it).map(|(.., id)| *id).collect();
        ids.into_iter().for_each(|id| self.end_wait(id, Err(error.clone())));
    }

    pub(super) fn fail_stage_waits(&mut self, stage: Stage, error: &Error) {
        let ids: Vec<u64> = self.waits.stages.iter().filter(|wait| wait.1 == stage).map(|(.., id)| *id).collect();
        ids.into_iter().for_each(|id| self.end_wait(id, Err(error.clone())));
    }

    /// The leader has acknowledged writes: they leave the outbox once that is enough to survive.
    pub(super) fn acknowledged(&mut self, origin: Origin, seq: Seq, stage: Stage, epoch: Epoch, lsn: Lsn) {
        if self.outbox.get(origin).is_none() {
            return; // Of an opening whose writes are all settled.
        }
        self.outbox.advance(origin, seq, stage, Some((epoch, lsn)));
        if stage >= self.settles_at() {
            for part in self.outbox.settle(origin, seq).into_iter().flat_map(|write| write.parts) {
                self.persister.add_update(part.doc, part.update);
            }
        }
        self.is_changed = true;
        self.stage_reached(origin, seq, stage);
    }
}
