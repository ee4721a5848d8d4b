//! A write that the leader refuses, or that is too large to send, is taken back.
//!
//! Later yrs updates build on earlier ones of the same document, here and in every other lane behind it, so they are
//! rejected with it; the documents are then made anew from what stands, under a fresh yrs client id. Nothing of the
//! lane is sent again until the removal is durable: after a restart a repeat of the rejected write must not be mistaken
//! for an accepted one.

use super::Replica;
use crate::error::{Code, Error};
use crate::ids::{DocName, Origin, Seq};
use crate::sorted::Set;

impl Replica {
    pub(super) fn reject(&mut self, origin: Origin, seq: Seq, error: Error) {
        let mut tainted: Set<DocName> = Set::default();
        let holds_for = self.persister.after_next();
        for lane in self.outbox.lanes_from(origin) {
            let is_first = lane == origin;
            let from = if is_first { seq } else { Seq(0) };
            let doomed = self.outbox.remove(lane, from, |write| {
                let is_doomed = (is_first && write.seq == seq) || write.parts.iter().any(|p| tainted.contains(&p.doc));
                if is_doomed {
                    tainted.extend(write.parts.iter().map(|part| part.doc.clone()));
                }
                is_doomed
            });
            for write in &doomed {
                let is_cause = is_first && write.seq == seq;
                let why = if is_cause { error.clone() } else { depends(&write.parts[0].doc) };
                self.outbox.reject(lane, write.seq, why);
            }
            if !doomed.is_empty() {
                self.rewrite_lane(lane, holds_for);
            }
        }
        tainted.iter().for_each(|doc| self.rebuild_doc(doc));
        self.is_changed = true;
    }

    /// Tells of rejections once no document shows the rejected writes any more: who hears of one may write again at once.
    pub(super) fn tell_rejections(&mut self) {
        if self.docs.is_rebuilding() {
            return;
        }
        for (origin, seq, error) in self.outbox.undone() {
            self.stage_rejected(origin, seq, &error);
            self.is_changed = true;
        }
    }

    // All rows of the lane are dropped and what is left is stored again, in the next commit.
    fn rewrite_lane(&mut self, origin: Origin, holds_for: u64) {
        let Some(lane) = self.outbox.get_mut(origin) else { return };
        lane.holds_for = Some(holds_for);
        lane.rowed = Seq(0);
        let stale = std::mem::take(&mut lane.rows);
        stale.into_iter().for_each(|(first, _)| self.persister.drop_row(origin, first));
    }
}

/// The error of a write that builds on a rejected one.
pub(super) fn depends(doc: &DocName) -> Error {
    Error::new(
        Code::DependsOnRejected,
        format!("an earlier write to {doc:?} was rejected and this one builds on it; write it again"),
    )
}
