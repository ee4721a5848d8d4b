//! Receipts only go forward, and say what is so: a stored write is on the disk, an acknowledged one in the log, and a
//! rejected one nowhere.

use crate::bits::Bits;
use crate::local::coverage::Moment;
use crate::local::world::World;
use headwater_core::{Error, Stage};

impl World {
    /// Looks at all receipts of a tab that are not at their end.
    pub fn check_receipts(&mut self, tab: usize) {
        let receipts: Vec<(usize, Stage)> = self.tabs[tab].receipts.iter().map(|(w, s)| (*w, *s)).collect();
        for (write, before) in receipts {
            let (origin, seq) = (self.oracle.writes[write].origin, self.oracle.writes[write].seq);
            match self.tabs[tab].core.stage(origin, seq) {
                Ok(stage) => self.check_stage(tab, write, before, stage),
                Err(error) => self.check_rejected(tab, write, before, &error),
            }
        }
    }

    fn check_stage(&mut self, tab: usize, write: usize, before: Stage, stage: Stage) {
        if stage < before {
            let name = self.oracle.name(write);
            return self.violate("receipts", || format!("{name} went from {before:?} to {stage:?}"));
        }
        if stage == before {
            return;
        }
        self.tabs[tab].receipts.insert(write, stage);
        let written = &mut self.oracle.writes[write];
        written.told = written.told.max(stage);
        let device = written.device;
        let name = self.oracle.name(write);
        if stage == Stage::Local {
            self.oracle.local[device].set(write);
            if !self.oracle.landed[device].has(write) {
                self.violate("receipts", || format!("{name} is stored, says its receipt, and has not landed"));
            }
        }
        if stage >= Stage::Leader && !self.oracle.logged.has(write) {
            self.violate("receipts", || format!("{name} is acknowledged, says its receipt, and in no log"));
        }
        if stage == Stage::All {
            self.tabs[tab].receipts.remove(&write);
        }
    }

    /// A document was made anew without these.
    pub fn check_taken_back(&mut self, tab: usize, doc: usize, gone: &Bits) {
        let gone = gone.within(&self.oracle.of_doc[doc]);
        self.oracle.rejected.join(&gone);
        if let Some(write) = gone.iter().find(|write| self.oracle.logged.has(*write)) {
            let name = self.oracle.name(write);
            self.violate("receipts", || format!("tab {tab} takes {name} back, which is in the log"));
        }
    }

    fn check_rejected(&mut self, tab: usize, write: usize, before: Stage, error: &Error) {
        self.tabs[tab].receipts.remove(&write);
        self.coverage.saw(Moment::Rejected);
        self.oracle.rejected.set(write);
        let name = self.oracle.name(write);
        self.note(|| format!("{name} is rejected: {error}"));
        if before >= Stage::Leader || self.oracle.logged.has(write) {
            self.violate("receipts", || format!("{name} was acknowledged and is rejected: {error}"));
        }
    }

    /// A wait for a stage has ended well.
    pub fn check_stage_reached(&mut self, tab: usize, write: usize, stage: Stage) {
        let (origin, seq) = (self.oracle.writes[write].origin, self.oracle.writes[write].seq);
        let now = self.tabs[tab].core.stage(origin, seq);
        if !now.as_ref().is_ok_and(|now| *now >= stage) {
            let name = self.oracle.name(write);
            self.violate("receipts", || format!("the wait for {stage:?} of {name} ended at {now:?}"));
        }
    }

    /// A wait for peers has ended well.
    pub fn check_peers_counted(&mut self, write: usize, count: usize) {
        self.coverage.saw(Moment::PeersCounted);
        let own = self.oracle.writes[write].device;
        let have = (0..self.devices.len()).filter(|device| *device != own && self.oracle.landed[*device].has(write));
        let have = have.count();
        if have < count {
            let name = self.oracle.name(write);
            self.violate("peers", || format!("{count} peers have {name}, says its wait, and {have} have"));
        }
    }
}
