//! A voter that has promised an epoch takes in nothing of a lower one, across restarts; and so no leader that has been
//! replaced brings anything more to a quorum.

use crate::group::world::World;
use headwater_core::group::Record;
use headwater_core::node::group::message::{Answer, Ask, Call, Reply};
use headwater_core::{Epoch, Lsn};

impl World {
    /// A member answers another one.
    pub fn check_promise(&mut self, member: usize, question: &Call, reply: &Reply) {
        if !matches!(reply.answer, Answer::Held { .. }) {
            return;
        }
        let promised = self.members[member].has_promised;
        if question.epoch < promised {
            let (from, epoch) = (question.from.clone(), question.epoch);
            self.violate("promises", || {
                format!("m{member} promised {promised}, and takes from {from} what is of {epoch}")
            });
        }
        if question.ask == Ask::Promise {
            self.members[member].has_promised = promised.max(question.epoch);
        }
    }

    /// A member tells its clients that a quorum holds the epoch that far.
    pub fn check_fenced(&mut self, member: usize, epoch: Epoch, lsn: Lsn) {
        let is_over = |record: &Record| record.led > epoch && !record.open_epochs().contains(&epoch);
        // Of an epoch that was given up for another one nobody has sealed the end.
        let Some(record) = self.record().filter(|record| is_over(record) && !record.is_multi()) else { return };
        let sealed = record.sealed.lsn(epoch);
        if self.members[member].leads == Some(epoch) && lsn > sealed && !self.oracle.is_forced {
            self.violate("promises", || {
                format!("m{member} leads epoch {epoch} on to {lsn}, though epoch {} sealed it at {sealed}", record.led)
            });
        }
    }
}
