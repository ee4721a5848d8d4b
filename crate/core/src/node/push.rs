//! Writes arriving: which are new, which are repeats, which are refused.
//!
//! Each write names the one before it in its origin. A write whose predecessor the node has not appended is ignored:
//! it was sent before the replica learned that an earlier one had been rejected, and will be sent again.

use super::Node;
use super::origins::Place;
use crate::batch::{Batch, Write};
use crate::error::{Code, Error};
use crate::frame::NodeFrame;
use crate::ids::{ConnId, Origin, Seq};
use crate::limits::{GATHER_BYTES_MAX, ORIGINS_PER_CONNECTION_MAX};

impl Node {
    pub(super) fn push(&mut self, conn: ConnId, resume: bool, prev: Seq, batch: Batch) -> Result<(), Error> {
        if self.log.gathered_bytes() + batch.weight() > GATHER_BYTES_MAX {
            return Err(Error::new(Code::Busy, "the leader has more unwritten writes than it takes; resend later"));
        }
        let origin = batch.writes.first().expect("the decoder refuses an empty push").origin;
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
        let mut repeated = None;
        let mut prev = prev;
        // Whether everything up to `prev` is settled: by the replica's word at a resumption, or because it is appended.
        let mut is_settled = resume;
        for write in batch.writes {
            let seq = write.seq;
            let place = self.origins.get(origin);
            #[cfg(feature = "bugs")]
            let place = place.filter(|_| !crate::bugs::is_on(crate::bugs::Bug::NoDedupe));
            match place {
                Some(place) if seq <= place.seq => {
                    // One that was refused never got a place: a replica that could not store the refusal sends it again.
                    if let Err(error) = self.check(&write) {
                        self.reject(conn, origin, seq, error);
                        break;
                    }
                    repeated = Some(seq);
                }
                place if !is_settled && prev > place.map_or(Seq(0), |place| place.seq) => {
                    return Err(gap(origin, prev, place.map_or(Seq(0), |place| place.seq)));
                }
                _ => {
                    if let Err(error) = self.check(&write) {
                        self.reject(conn, origin, seq, error);
                        break;
                    }
                    let (epoch, lsn) = (self.log.epoch, self.log.gather(write));
                    self.origins.appended(origin, Place { seq, epoch, lsn });
                    is_settled = false;
                }
            }
            prev = seq;
            let pushed = self.conn(conn).own.get_or_default(origin);
            *pushed = seq.max(*pushed);
        }
        if let Some(seq) = repeated {
            self.acknowledge_repeat(conn, origin, seq);
        }
        Ok(())
    }

    fn check(&self, write: &Write) -> Result<(), Error> {
        write.check_size()?;
        for part in &write.parts {
            (self.config.check)(&part.update)
                .map_err(|cause| Error::malformed(format!("the update of {:?} does not decode: {cause}", part.doc)))?;
        }
        Ok(())
    }

    fn reject(&mut self, conn: ConnId, origin: Origin, seq: Seq, error: Error) {
        let connection = self.conn(conn);
        connection.halted.insert(origin);
        connection.is_changed = true;
        self.send(conn, &NodeFrame::Rejected { origin, seq, error });
    }

    // The earlier result: the position of the origin's highest committed write, which is at or after that of the
    // repeated one. If it is not committed yet, its commit will acknowledge it.
    fn acknowledge_repeat(&mut self, conn: ConnId, origin: Origin, seq: Seq) {
        let place = self.origins.get(origin).expect("a repeat is of a known origin");
        if self.is_committed(place) {
            self.acknowledge(conn, origin, seq, place.epoch, place.lsn);
        }
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
