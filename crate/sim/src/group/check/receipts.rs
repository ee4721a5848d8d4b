//! Receipts only go forward, a rejected write was never acknowledged, and an acknowledged one stands in a log.

use crate::bits::Bits;
use crate::group::coverage::Moment;
use crate::group::world::World;
use headwater_core::replica::Phase;
use headwater_core::{Error, Stage};

impl World {
    /// A client sees this stage of a write.
    pub fn check_stage(&mut self, client: usize, write: usize, before: Stage, stage: Stage) {
        if stage < before {
            let name = self.oracle.name(write);
            return self.violate("receipts", || format!("{name} went from {before:?} to {stage:?}"));
        }
        if stage == before {
            return;
        }
        self.clients[client].receipts.insert(write, stage);
        let now = self.now;
        let written = &mut self.oracle.writes[write];
        written.told = written.told.max(stage);
        if stage >= Stage::Leader {
            self.oracle.at_leader.set(write);
            if self.oracle.rejected.has(write) {
                let name = self.oracle.name(write);
                self.violate("receipts", || format!("{name} was taken back and is acknowledged"));
            }
            if self.oracle.writes[write].places.is_empty() {
                let name = self.oracle.name(write);
                self.violate("durability", || format!("{name} is acknowledged and in no log"));
            }
        }
        if stage == Stage::Leader {
            self.coverage.saw(Moment::LeaderFirst);
        }
        if stage >= Stage::Quorum {
            self.oracle.writes[write].at_quorum_since.get_or_insert(now);
            self.oracle.at_quorum.set(write);
            if !self.oracle.stable.has(write) {
                let name = self.oracle.name(write);
                self.violate("durability", || format!("{name} is at a quorum, says its receipt, and is not"));
            }
            if stage == Stage::All {
                self.clients[client].receipts.remove(&write);
            }
        }
    }

    /// A document was made anew without these: they are being rejected, and their writer will be told so.
    pub fn check_taken_back(&mut self, client: usize, gone: &Bits) {
        self.oracle.rejected.join(gone);
        let stands = |write: &usize| !self.oracle.writes[*write].places.is_empty();
        if let Some(write) = gone.iter().find(stands) {
            let name = self.oracle.name(write);
            self.violate("receipts", || format!("client {client} takes {name} back, which is in a log"));
        }
    }

    /// A client sees that a write is rejected.
    pub fn check_rejected(&mut self, write: usize, before: Stage, error: &Error) {
        self.trace.line(self.now, || format!("{} is rejected: {error}", self.oracle.name(write)));
        self.oracle.rejected.set(write);
        if before >= Stage::Leader || !self.oracle.writes[write].places.is_empty() {
            let name = self.oracle.name(write);
            self.violate("receipts", || format!("{name} was acknowledged and is rejected: {error}"));
        }
    }

    /// A wait for a stage has ended well.
    pub fn check_stage_reached(&mut self, client: usize, write: usize, stage: Stage) {
        let (origin, seq) = (self.oracle.writes[write].origin, self.oracle.writes[write].seq);
        let now = self.clients[client].replica().stage(origin, seq);
        if !now.as_ref().is_ok_and(|now| *now >= stage) {
            let name = self.oracle.name(write);
            self.violate("receipts", || format!("the wait for {stage:?} of {name} ended at {now:?}"));
        }
    }

    /// No fault makes a replica give up on its group: its storage is never another one here.
    pub fn check_blocked(&mut self, client: usize) {
        let core = self.clients[client].replica();
        if core.phase() == Phase::Blocked {
            let text = core.trouble().map(Error::to_string).unwrap_or_default();
            self.violate("blocked", || format!("client {client} gave up on the group: {text}"));
        }
    }
}
