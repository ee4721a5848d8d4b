//! What is said to be at a quorum is on that many disks, and nobody is shown what is not.

use crate::group::world::World;
use headwater_core::frame::NodeFrame;
use headwater_core::{Epoch, Lsn, Stage};

impl World {
    /// A member says something to a client.
    pub fn check_frame(&mut self, member: usize, frame: &NodeFrame) {
        match frame {
            NodeFrame::Entries { epoch, through, batch, .. } => {
                // What a frame goes through without showing is not shown: it may be said before a quorum has it, and then
                // sessions would wait for it, so it is not.
                self.check_held(member, *epoch, *through, "streams");
                for write in &batch.writes {
                    let index = self.oracle.find(write.origin, write.seq);
                    let is_loose = |index: &usize| !self.oracle.stable.has(*index) && !self.oracle.of_multi.has(*index);
                    if let Some(index) = index.filter(is_loose) {
                        let name = self.oracle.name(index);
                        self.violate("visible", || format!("m{member} shows {name}, which no quorum holds"));
                    }
                }
            }
            NodeFrame::Live { frontier, .. } => {
                for (epoch, lsn) in frontier.epochs() {
                    self.check_held(member, epoch, lsn, "catches a client up");
                }
            }
            NodeFrame::Ack { origin, seq, stage, epoch, lsn, .. } => {
                let place = (lsn.0 as usize).checked_sub(1);
                let entry = self.oracle.logs.get(epoch).zip(place).and_then(|(log, place)| log.get(place)).copied();
                let name = entry.map(|index| (self.oracle.writes[index].origin, self.oracle.writes[index].seq));
                // A repeat is told the place of its origin's highest write, which is at or after its own.
                if !name.is_some_and(|(of, entry)| of == *origin && entry >= *seq) {
                    self.violate("acks", || {
                        format!("m{member} says that {origin}/{seq} is entry {epoch}/{lsn}, which is {name:?}")
                    });
                }
                if *stage >= Stage::Quorum {
                    self.check_at_quorum(member, *epoch, *lsn, "acknowledges");
                }
            }
            _ => {}
        }
    }

    // What is shown: of several leaders what is on the disk of whoever shows it, else what a quorum holds.
    fn check_held(&mut self, member: usize, epoch: Epoch, lsn: Lsn, verb: &str) {
        if !self.oracle.multi.contains(&epoch) {
            return self.check_at_quorum(member, epoch, lsn, verb);
        }
        let held = self.members[member].held.lsn(epoch);
        if lsn > held {
            self.violate("visible", || format!("m{member} {verb} {epoch} to {lsn}, and holds it to {held}"));
        }
    }

    fn check_at_quorum(&mut self, member: usize, epoch: Epoch, lsn: Lsn, verb: &str) {
        let held = self.oracle.held.lsn(epoch);
        if lsn > held {
            self.violate("visible", || format!("m{member} {verb} {epoch} to {lsn}, and a quorum holds it to {held}"));
        }
        if lsn > self.oracle.promised.lsn(epoch) {
            self.check_fenced(member, epoch, lsn);
            self.oracle.promised.advance_epoch(epoch, lsn);
        }
    }
}
