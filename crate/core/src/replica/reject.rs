//! A write that the leader refuses, or that is too large to send, is taken back.
//!
//! Later yrs updates build on earlier ones of the same document, here and in every other lane behind it, so they are
//! rejected with it; the documents are then made anew from what stands, under a fresh yrs client id. Nothing of the
//! lane is sent again until the removal is durable: after a restart a repeat of the rejected write must not be mistaken
//! for an accepted one.
//!
//! Writes come in another order to each tab and peer. So whoever hears the refusal from the leader decides what goes with it, and
//! names each write; the others take back what is named, and of their own later writes what builds on it.

use super::Replica;
use crate::error::{Code, Error};
use crate::ids::{DocName, Origin, Seq};
use crate::sorted::{Map, Set};

impl Replica {
    /// The leader, or this opening itself, refuses a write. Others are told of each that is taken back.
    pub(super) fn reject(&mut self, origin: Origin, seq: Seq, error: Error) {
        for (origin, seq, error) in self.take_back(origin, seq, error, |_| true) {
            self.tell_rejected(origin, seq, &error);
        }
    }

    /// Another tab or peer names a write that is taken back. Answers whether that was news.
    pub(super) fn reject_named(&mut self, origin: Origin, seq: Seq, error: Error) -> bool {
        let own = self.config.origin;
        let taken_back = self.take_back(origin, seq, error, |other| other == own);
        let is_news = !taken_back.is_empty();
        for (other, at, error) in taken_back {
            if (other, at) != (origin, seq) {
                self.tell_rejected(other, at, &error);
            }
        }
        is_news
    }

    /// Takes back a write, and those after it that build on it and `goes_with` it. Answers which.
    fn take_back(
        &mut self,
        origin: Origin,
        seq: Seq,
        error: Error,
        goes_with: impl Fn(Origin) -> bool,
    ) -> Vec<(Origin, Seq, Error)> {
        let mut tainted: Set<DocName> = Set::default();
        let mut doomed: Map<Origin, Set<Seq>> = Map::default();
        let mut refused = Vec::new();
        let writes = match self.outbox.is_pending(origin, seq) {
            true => self.outbox.from(origin, seq),
            false => {
                let (shown, after) = self.outbox.reject_unheard(origin, seq, error.clone());
                tainted = shown;
                after
            }
        };
        for write in writes {
            let is_cause = (write.origin, write.seq) == (origin, seq);
            if !is_cause && !goes_with(write.origin) {
                continue;
            }
            if !is_cause && !write.parts.iter().any(|part| tainted.contains(&part.doc)) {
                continue;
            }
            tainted.extend(write.parts.iter().map(|part| part.doc.clone()));
            doomed.get_or_default(write.origin).insert(write.seq);
            let why = if is_cause { error.clone() } else { depends(&write.parts[0].doc) };
            refused.push((write.origin, write.seq, why));
        }
        if refused.is_empty() {
            tainted.iter().for_each(|doc| self.rebuild_doc(doc));
            return refused;
        }
        // The stages that they had come to are remembered before they are gone.
        for (origin, seq, why) in &refused {
            self.outbox.reject(*origin, *seq, why.clone());
        }
        self.outbox.rewind();
        let holds_for = self.persister.after_next();
        for (lane, seqs) in doomed {
            self.outbox.remove(lane, &seqs);
            self.outbox_rows_are_stale(lane, holds_for);
        }
        tainted.iter().for_each(|doc| self.rebuild_doc(doc));
        self.is_changed = true;
        refused
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
    pub(super) fn outbox_rows_are_stale(&mut self, origin: Origin, holds_for: u64) {
        let Some(lane) = self.outbox.get_mut(origin) else { return };
        if lane.is_foreign {
            return; // Its own tab does that, and says when it is done.
        }
        if self.persister.failure().is_none() {
            self.tabs.removes_rows(origin);
        }
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
