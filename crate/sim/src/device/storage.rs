//! A tab's storage: how long it takes, what lands, what is lost, and what is read when.

use super::Opening;
use crate::bug::Bug;
use crate::coverage::Moment;
use crate::disk::Trouble;
use crate::world::{Event, World};
use headwater_core::replica::Input;
use headwater_core::store::{Scan, StoreOp, Table};
use headwater_core::{Code, Error, Token};

impl World {
    // IndexedDB lets nobody read past a commit that began before, whoever began it: what a dying tab has handed over is
    // there when the next one reads. Runs in which nothing is refused go without that, as other storage may.
    pub(super) fn landed_by(&self, opening: usize) -> u64 {
        let device = self.openings[opening].device;
        let still_lands = |tab: &&Opening| tab.device == device && !tab.is_alive && tab.lands_after_death;
        let dying = self.openings.iter().filter(still_lands).map(|tab| tab.lands_at);
        if self.plan.shape.is_tabbed { 0 } else { dying.max().unwrap_or(0) }
    }

    pub(super) fn disk_delay(&mut self, opening: usize) -> u64 {
        let slowness = self.devices[self.openings[opening].device].disk.slowness;
        let usual = u64::from(self.plan.shape.disk_ms);
        self.about(usual) * slowness
    }

    /// Storage answers a question with what has landed by now.
    pub fn scan(&mut self, opening: usize, token: Token, scan: &Scan) {
        if !self.openings[opening].is_alive {
            return;
        }
        let rows = self.devices[self.openings[opening].device].disk.scan(scan);
        let span = self.rng.below(3);
        self.after(span, Event::Feed(opening, Input::Scanned { token, rows }));
    }

    pub(super) fn persist(&mut self, opening: usize, token: Token, mut ops: Vec<StoreOp>) {
        let span = self.disk_delay(opening);
        let disk = &mut self.devices[self.openings[opening].device].disk;
        let code = if disk.trouble == Trouble::Full { Code::Quota } else { Code::StorageUnavailable };
        match disk.trouble {
            Trouble::None => {}
            Trouble::FailNext | Trouble::Full | Trouble::FailNextStored => {
                if disk.trouble == Trouble::FailNextStored {
                    disk.land(&ops);
                }
                if disk.trouble != Trouble::Full {
                    disk.trouble = Trouble::None;
                }
                self.openings[opening].has_failed_storage = true;
                self.coverage.saw(Moment::CommitFailed);
                self.note(|| format!("tab {opening}: storage fails with {code}"));
                let error = Error::new(code, "the simulated storage failed");
                return self.after(span, Event::Feed(opening, Input::StorageFailed { error }));
            }
        }
        self.openings[opening].committing = Some(false);
        self.openings[opening].lands_at = self.now + span;
        if self.has(Bug::FrontierAheadOfData) {
            let is_frontier = |op: &mut StoreOp| matches!(op, StoreOp::Put { table: Table::Streams | Table::Docs, .. });
            let frontiers: Vec<StoreOp> = ops.extract_if(.., is_frontier).collect();
            self.after(span, Event::Land(opening, token, frontiers, false));
            return self.after(span * 4, Event::Land(opening, token, ops, true));
        }
        if self.has(Bug::LocalBeforeCommit) {
            self.after(0, Event::Feed(opening, Input::Persisted { token }));
            let later = self.rng.within(50, 2000);
            return self.after(span + later, Event::Land(opening, token, ops, false));
        }
        self.after(span, Event::Land(opening, token, ops, true));
    }

    /// A tab's commit lands, if it is not lost with the tab.
    pub fn land(&mut self, opening: usize, token: Token, ops: &[StoreOp], is_last: bool) {
        let tab = &mut self.openings[opening];
        if !tab.is_alive && !tab.lands_after_death {
            return self.coverage.saw(Moment::CommitLost);
        }
        if !tab.is_alive {
            self.coverage.saw(Moment::CommitLanded);
        }
        tab.committing = Some(true);
        self.trace.event(self.now, "land", opening as u64, &[ops.len() as u8]);
        if self.trace.is_verbose() {
            let text = crate::timeline::ops(ops);
            self.note(|| format!("tab {opening} stores {text}"));
        }
        self.devices[self.openings[opening].device].disk.land(ops);
        if is_last {
            let span = self.rng.below(u64::from(self.plan.shape.disk_ms) + 1);
            self.after(span, Event::Feed(opening, Input::Persisted { token }));
        }
    }
}
