//! What may be shown where several lead: never an effect before its cause.
//!
//! Whoever writes has seen what its leader shows. So a leader's entries are shown elsewhere together with what that leader
//! showed when it sent them, and not before. What a member shows is such a *cut*: it holds, of everything in it, all that
//! its writers had seen where they wrote it. Cuts may be joined; so a member shows the cuts of others that it holds as a
//! whole, and its own log.

use super::Node;
use crate::frontier::Frontier;
use crate::group::MemberName;
use crate::sorted::Map;
use std::collections::VecDeque;

/// How many cuts of one member are remembered. Of more, the oldest and the newest are kept: it is whole soonest, and
/// covers the most.
const CUTS_MAX: usize = 32;

/// Cuts that are not held as a whole yet, the oldest first, and all that are.
#[derive(Default)]
pub(super) struct Cuts {
    open: Map<MemberName, VecDeque<Frontier>>,
    whole: Frontier,
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
    fn close(&mut self, held: &Frontier) -> bool {
        let mut has_closed = false;
        for open in self.open.values_mut() {
            if let Some(last) = open.iter().rposition(|cut| held.dominates_epochs(cut)) {
                self.whole.join(&open[last]);
                open.drain(..=last);
                has_closed = true;
            }
        }
        has_closed
    }

    /// What was shown here before is a cut.
    pub(super) fn shown(&mut self, visible: &Frontier) {
        self.whole.join(&visible.epochs_only());
    }
}

impl Node {
    /// Another member shows this.
    pub(super) fn hear_cut(&mut self, from: &MemberName, cut: &Frontier) {
        if self.is_multi() {
            self.g().cuts.hear(from, cut);
        }
    }

    /// More is held: more may be shown.
    pub(in crate::node) fn close_cuts(&mut self) {
        if !self.is_multi() {
            return;
        }
        let held = self.log.held.clone();
        let group = self.g();
        let has_closed = group.cuts.close(&held);
        let is_isolated = group.is_isolated;
        if let Some(leading) = group.leading().filter(|leading| leading.is_unsure && (has_closed || is_isolated)) {
            leading.is_unsure = false;
            if is_isolated {
                // Nobody tells what was shown when it was stopped. All but the last moment was.
                group.cuts.shown(&held);
            }
        }
    }

    /// What clients may be shown where several lead. Nobody is rewound: an open log is never cut.
    pub(in crate::node) fn showable_of_several(&self) -> Frontier {
        let group = self.g_ref();
        let mut showable = group.cuts.whole.clone();
        if matches!(&group.role, super::Role::Leading(leading) if !leading.is_unsure) {
            showable.advance_epoch(self.log.epoch, self.log.end());
        }
        showable
    }
}
