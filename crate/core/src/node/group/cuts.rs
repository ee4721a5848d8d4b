//! What may be shown where several lead: never an effect before its cause.
//!
//! Whoever writes has seen what its leader shows. So a leader's entries are shown elsewhere together with what that leader
//! showed when it sent them, and not before. What a member shows is such a *cut*: it holds, of everything in it, all that
//! its writers had seen where they wrote it. Cuts may be joined; so a member shows the cuts of others that it holds as a
//! whole, and its own log.

use super::Node;
use crate::frontier::Frontier;
use crate::group::MemberName;
use crate::ids::{Epoch, Lsn};
use crate::sorted::Map;
use crate::store::{StoreOp, Table};
use std::collections::VecDeque;

/// The fact in storage that says what was shown.
pub(in crate::node) const CUT: &str = "cut";

/// How many cuts of one member are remembered. Of more, the oldest and the newest are kept: it is whole soonest, and
/// covers the most.
const CUTS_MAX: usize = 32;

/// Cuts that are not held as a whole yet, the oldest first, and all that are.
#[derive(Default)]
pub(super) struct Cuts {
    open: Map<MemberName, VecDeque<Frontier>>,
    whole: Frontier,
    /// Whether storage does not know all of it.
    is_unsaved: bool,
}

impl Cuts {
    fn hear(&mut self, from: &MemberName, cut: &Frontier) {
        let open = self.open.get_or_default(from.clone());
        if self.whole.dominates_epochs(cut) || open.back().is_some_and(|last| last.dominates_epochs(cut)) {
            return;
        }
        if open.len() >= CUTS_MAX {
            open.remove(CUTS_MAX - 2);
        }
        open.push_back(cut.epochs_only());
    }

    // What is held may make some of them whole.
    fn close(&mut self, held: &Frontier) {
        for open in self.open.values_mut() {
            if let Some(last) = open.iter().rposition(|cut| held.dominates_epochs(cut)) {
                self.whole.join(&open[last]);
                self.is_unsaved = true;
                open.drain(..=last);
            }
        }
    }

    /// What was shown here before is a cut.
    pub(super) fn shown(&mut self, visible: &Frontier) {
        self.whole.join(&visible.epochs_only());
        self.is_unsaved = true;
    }
}

impl Node {
    /// Another member shows this.
    pub(super) fn hear_cut(&mut self, from: &MemberName, cut: &Frontier) {
        if self.is_multi() {
            self.g().cuts.hear(from, cut);
            self.origins.hear_cut(from, cut);
        }
    }

    /// More is held: more may be shown.
    pub(in crate::node) fn close_cuts(&mut self) {
        if self.is_multi() {
            let held = self.log.held.clone();
            self.g().cuts.close(&held);
        }
    }

    /// What clients may be shown where several lead. Nobody is rewound: an open log is never cut.
    pub(in crate::node) fn showable_of_several(&self) -> Frontier {
        let group = self.g_ref();
        let mut showable = group.cuts.whole.clone();
        if group.is_leading() {
            showable.advance_epoch(self.log.epoch, self.log.end());
        }
        // Of a log that nobody appends to any more, what a quorum holds: whoever showed it may be gone.
        if let Some(record) = group.record.as_ref().filter(|record| record.is_multi()) {
            let is_over = |(epoch, _): &(Epoch, Lsn)| *epoch <= record.led && !record.open_epochs().contains(epoch);
            let held = group.stable.meet(&self.log.held);
            held.epochs().filter(is_over).for_each(|(epoch, end)| showable.advance_epoch(epoch, end));
        }
        showable
    }

    /// The change that keeps what was shown of other leaders' logs, if storage does not know it. It goes with what was
    /// written after that, which is shown at once after a restart.
    pub(in crate::node) fn cut_row(&mut self) -> Option<StoreOp> {
        if !self.is_multi() || !std::mem::take(&mut self.g().cuts.is_unsaved) {
            return None;
        }
        let key = crate::store::meta_key(CUT);
        Some(StoreOp::Put { table: Table::Meta, key, value: self.g_ref().cuts.whole.to_bytes() })
    }
}
