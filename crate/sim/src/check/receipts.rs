//! Receipts only go forward, a rejected write was never acknowledged, and an acknowledged one stands in the log.

use crate::bug::Bug;
use crate::coverage::Moment;
use crate::world::World;
use headwater_core::Stage;

impl World {
    /// Looks at all receipts of a tab that are not at their end.
    pub fn check_receipts(&mut self, tab: usize) {
        self.check_blocked(tab);
        self.check_pending(tab);
        let is_offline = self.openings[tab].socket.is_none();
        let falls_back = self.has(Bug::ReceiptFallsBack) && is_offline;
        let receipts: Vec<(usize, Stage)> = self.openings[tab].receipts.iter().map(|(w, s)| (*w, *s)).collect();
        for (write, before) in receipts {
            let (origin, seq) = (self.oracle.writes[write].origin, self.oracle.writes[write].seq);
            match self.openings[tab].core.stage(origin, seq) {
                Err(error) => {
                    self.openings[tab].receipts.remove(&write);
                    self.coverage.saw(Moment::Rejected);
                    self.trace.line(self.now, || format!("{} is rejected: {}", self.oracle.name(write), error.code));
                    self.oracle.writes[write].rejected = Some(error.code);
                    self.oracle.rejected.set(write);
                    if before >= Stage::Leader || self.oracle.committed.has(write) {
                        let text = format!("{} was acknowledged and is rejected: {error}", self.oracle.name(write));
                        self.violate("receipts", || text);
                    }
                }
                Ok(stage) => {
                    let stage = if falls_back { Stage::Applied } else { stage };
                    if stage < before {
                        let text = format!("{} went from {before:?} to {stage:?}", self.oracle.name(write));
                        return self.violate("receipts", || text);
                    }
                    self.openings[tab].receipts.insert(write, stage);
                    let written = &mut self.oracle.writes[write];
                    written.told = written.told.max(stage);
                    if stage >= Stage::Local {
                        written.local_at.get_or_insert(self.now);
                        self.oracle.stored.set(write);
                    }
                    if stage >= Stage::Leader {
                        self.openings[tab].receipts.remove(&write);
                        self.oracle.writes[write].acked_at.get_or_insert(self.now);
                        self.oracle.acked.set(write);
                        if self.oracle.rejected.has(write) {
                            let text = format!("{} was taken back and is acknowledged", self.oracle.name(write));
                            return self.violate("receipts", || text);
                        }
                        if !self.oracle.committed.has(write) {
                            let text = format!("{} is acknowledged and not in the log", self.oracle.name(write));
                            self.violate("durability", || text);
                        }
                    }
                }
            }
        }
    }

    /// A wait for a stage has ended well.
    pub fn check_stage_reached(&mut self, tab: usize, write: usize, stage: Stage) {
        let written = &self.oracle.writes[write];
        let now = self.openings[tab].core.stage(written.origin, written.seq);
        if !now.as_ref().is_ok_and(|now| *now >= stage) {
            let text = format!("the wait for {stage:?} of {} ended at {now:?}", self.oracle.name(write));
            self.violate("receipts", || text);
        }
    }
}
