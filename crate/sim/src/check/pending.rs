//! `pending` tells the truth: what is not in it has been acknowledged or rejected, and what is in it has not.

use crate::bug::Bug;
use crate::device::Opening;
use crate::world::World;
use headwater_core::Stage;
use std::collections::BTreeSet;

impl World {
    /// Compares what a tab says to be unsent with what it wrote.
    pub fn check_pending(&mut self, tab: usize) {
        let core = &self.openings[tab].core;
        let listed: BTreeSet<_> = core.pending_writes().collect();
        let mut count = core.pending().count;
        if self.has(Bug::PendingLies) {
            count = count.saturating_sub(1);
        }
        if count != listed.len() || core.pending().oldest_unix_ms.is_some() == listed.is_empty() {
            let text = format!("tab {tab} counts {count} pending writes and lists {}", listed.len());
            return self.violate("pending", || text);
        }
        let mut dropped = Vec::new();
        for write in self.openings[tab].receipts.keys().copied() {
            let written = &self.oracle.writes[write];
            let is_listed = listed.contains(&(written.origin, written.seq));
            let stage = core.stage(written.origin, written.seq);
            let is_open = stage.as_ref().is_ok_and(|stage| *stage < Stage::Leader);
            if is_listed && !is_open {
                let text = format!("{} is listed as pending, and is at {stage:?}", self.oracle.name(write));
                return self.violate("pending", || text);
            }
            if is_open && !is_listed && !self.oracle.rejected.has(write) {
                dropped.push(write);
            }
        }
        self.check_dropped(tab, dropped);
    }

    // A write that is neither pending nor settled is being taken back, and there is a reason: it is too large, the leader
    // refused it, or an earlier one of its documents is being taken back. Its receipt says so once that is done.
    fn check_dropped(&mut self, tab: usize, dropped: Vec<usize>) {
        let device = self.openings[tab].device;
        let mut left = dropped;
        loop {
            let refused = &self.devices[device].refused;
            let has_reason = |write: &mut usize| {
                let written = &self.oracle.writes[*write];
                written.is_oversize || written.effects.iter().any(|effect| refused.contains(&effect.doc))
            };
            let reasoned: Vec<usize> = left.extract_if(.., has_reason).collect();
            if reasoned.is_empty() {
                break;
            }
            for write in reasoned {
                let docs = self.oracle.writes[write].effects.iter().map(|effect| effect.doc);
                self.devices[device].refused.extend(docs);
                self.oracle.rejected.set(write);
            }
        }
        if let Some(write) = left.first() {
            let text = format!("{} is neither pending nor settled nor rejected", self.oracle.name(*write));
            self.violate("pending", || text);
        }
    }

    /// A tab has opened: what was `local` on its device is there, unless storage was put back or deleted.
    pub fn check_reopened(&mut self, tab: usize) {
        let Opening { device, opened_at, .. } = self.openings[tab];
        let listed: BTreeSet<_> = self.openings[tab].core.pending_writes().collect();
        for (write, written) in self.oracle.writes.iter().enumerate() {
            let is_due = written.device == device
                && written.local_at.is_some_and(|at| at < opened_at)
                && !written.is_storage_lost
                && !self.oracle.rejected.has(write)
                && !self.oracle.committed.has(write);
            if is_due && !listed.contains(&(written.origin, written.seq)) {
                let text = format!("{} was local, and tab {tab} does not have it", self.oracle.name(write));
                return self.violate("durability", || text);
            }
        }
        // What earlier tabs left is this one's to bring to an end.
        for (origin, seq) in listed {
            if let Some(write) = self.oracle.find(origin, seq) {
                self.openings[tab].receipts.entry(write).or_insert(Stage::Local);
            }
        }
    }
}
