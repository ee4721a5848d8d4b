//! Writes arriving: which are new, which are repeats, which are refused.
//!
//! Each write names the one before it in its origin. A write whose predecessor the node has not appended is ignored:
//! it was sent before the replica learned that an earlier one had been rejected, and will be sent again.

use super::Node;
use super::group::message::{Forwarded, Outcome};
use super::origins::Place;
use crate::batch::{Batch, Write};
use crate::error::{Code, Error};
use crate::frame::NodeFrame;
use crate::ids::{ConnId, Origin, Seq};
use crate::limits::{GATHER_BYTES_MAX, ORIGINS_PER_CONNECTION_MAX};

impl Node {
    /// A replica pushes: the leader appends, a follower passes it on.
    pub(super) fn push(&mut self, conn: ConnId, resume: bool, prev: Seq, batch: Batch) -> Result<(), Error> {
        let first = batch.writes.first().expect("the decoder refuses an empty push");
        let (origin, last) = (first.origin, batch.writes.last().map_or(Seq(0), |write| write.seq));
        let connection = self.conn(conn);
        connection.own.get_or_default(origin);
        if connection.own.len() > ORIGINS_PER_CONNECTION_MAX {
            // Not too large: on a new connection the origins whose writes are settled count no more.
            return Err(Error::new(
                Code::Resume,
                format!("a connection pushes for {ORIGINS_PER_CONNECTION_MAX} origins at most; reconnect and go on"),
            ));
        }
        if resume {
            connection.is_changed |= connection.halted.remove(&origin);
        } else if connection.halted.contains(&origin) {
            return Ok(());
        }
        if !self.is_leading() {
            return self.forward(Forwarded { conn: conn.0, resume, prev, batch });
        }
        let (outcome, repeated) = self.append(resume, prev, batch);
        let result = self.end_push(conn, origin, last, outcome);
        if let Some(seq) = repeated {
            self.acknowledge_repeat(origin, seq);
        }
        result
    }

    /// Gives new writes a place in the next commit. Answers what became of the push, and the last write of it that had
    /// been appended before.
    pub(super) fn append(&mut self, resume: bool, prev: Seq, batch: Batch) -> (Outcome, Option<Seq>) {
        if self.log.gathered_bytes() + batch.weight() > GATHER_BYTES_MAX {
            let message = "the leader has more unwritten writes than it takes; resend later";
            return (Outcome::Closed { error: Error::new(Code::Busy, message) }, None);
        }
        let mut repeated = None;
        let mut prev = prev;
        // Whether everything up to `prev` is settled: by the replica's word at a resumption, or because it is appended.
        let mut is_settled = resume;
        for write in batch.writes {
            let (origin, seq) = (write.origin, write.seq);
            let before = self.origins.get(origin);
            #[cfg(feature = "bugs")]
            let before = before.filter(|_| !crate::bugs::is_on(crate::bugs::Bug::NoDedupe));
            let known = before.map_or(Seq(0), |place| place.seq);
            if seq > known && !is_settled && prev > known {
                return (Outcome::Closed { error: gap(origin, prev, known) }, repeated);
            }
            // One that was refused never got a place: a replica that could not store the refusal sends it again.
            if let Err(error) = self.check(&write) {
                return (Outcome::Rejected { origin, seq, error }, repeated);
            }
            if before.is_some_and(|place| seq <= place.seq && self.answers_for(place)) {
                repeated = Some(seq);
            } else {
                let (epoch, lsn) = (self.log.epoch, self.log.gather(write, before));
                if self.is_multi() && before.is_none_or(|place| place.epoch != epoch) && prev > Seq(0) {
                    let others = self.other_leads();
                    self.origins.moves(origin, prev, others);
                }
                self.origins.set(origin, Some(Place { seq, epoch, lsn }));
                is_settled = false;
            }
            prev = seq;
        }
        (Outcome::Taken, repeated)
    }

    /// Tells a replica what became of its push, which ended with the write `last`.
    pub(super) fn end_push(&mut self, conn: ConnId, origin: Origin, last: Seq, outcome: Outcome) -> Result<(), Error> {
        // What was refused, or ignored behind it, is sent to it like anybody's should another tab push it after all.
        let done = match &outcome {
            Outcome::Taken => last,
            Outcome::Rejected { seq, .. } => Seq(seq.0.saturating_sub(1)),
            Outcome::Closed { .. } => Seq(0),
        };
        let pushed = self.conn(conn).own.get_or_default(origin);
        *pushed = done.max(*pushed);
        match outcome {
            Outcome::Taken => {}
            Outcome::Rejected { origin, seq, error } => {
                let connection = self.conn(conn);
                // What is on its way may build on it, whichever origin's it is.
                let pushed: Vec<Origin> = connection.own.keys().copied().collect();
                connection.halted.extend(pushed);
                connection.is_changed = true;
                self.send(conn, &NodeFrame::Rejected { origin, seq, error });
            }
            Outcome::Closed { error } => return Err(error),
        }
        Ok(())
    }

    /// Whether the leader has appended all of it, and nothing of it would be refused.
    pub(super) fn repeats(&self, batch: &Batch) -> bool {
        let Some(last) = batch.writes.last() else { return true };
        let place = self.origins.get(last.origin).filter(|place| last.seq <= place.seq && self.answers_for(*place));
        let is_held = place.is_some_and(|place| place.lsn <= self.held_by_leader().lsn(place.epoch));
        is_held && batch.writes.iter().all(|write| self.check(write).is_ok())
    }

    pub(super) fn check(&self, write: &Write) -> Result<(), Error> {
        write.check_size()?;
        for part in &write.parts {
            (self.config.check)(&part.update)
                .map_err(|cause| Error::malformed(format!("the update of {:?} does not decode: {cause}", part.doc)))?;
        }
        Ok(())
    }
}

fn gap(origin: Origin, prev: Seq, held: Seq) -> Error {
    // Not a breach of the protocol: a node forgets origins that were silent for long. The replica knows what is settled.
    Error::new(
        Code::Resume,
        format!(
            "origin {origin} pushes what follows its write {prev}, but only {held} are known here; reconnect and resend"
        ),
    )
}
