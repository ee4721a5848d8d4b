//! Which writes were refused: those that documents still show, and those that receipts may ask for.

use super::Outbox;
use super::lane::Lane;
use crate::batch::Write;
use crate::error::Error;
use crate::ids::{DocName, Origin, Seq};
use crate::sorted::Set;
use crate::stage::Stage;

/// A write that is rejected and that its documents still show.
#[derive(Debug)]
pub(super) struct Undoing {
    pub(super) origin: Origin,
    pub(super) seq: Seq,
    pub(super) error: Error,
    /// How far it had come. What the leader says of later writes is not about it.
    pub(super) stage: Stage,
}

impl Outbox {
    /// A write is refused for good. Who asks hears of it once its documents are without it.
    pub(in crate::replica) fn reject(&mut self, origin: Origin, seq: Seq, error: Error) {
        let stage = self.stage(origin, seq).unwrap_or_default();
        self.undoing.push(Undoing { origin, seq, error, stage });
    }

    /// A write that is not here is rejected: if somebody who has not heard of that tells it, it does not come here. Answers
    /// which documents may show it, and what came here after it.
    pub(in crate::replica) fn reject_unheard(
        &mut self,
        origin: Origin,
        seq: Seq,
        error: Error,
    ) -> (Set<DocName>, Vec<&Write>) {
        let is_undoing = self.is_undoing(origin, seq);
        let lane = self.lane(origin);
        if lane.settled < seq && !is_undoing {
            lane.remember_rejection(seq, error);
        }
        let mut shown = Set::default();
        let Some(at) = lane.unsure.iter().position(|entry| entry.write.seq == seq) else { return (shown, Vec::new()) };
        let entry = lane.unsure.remove(at);
        shown.extend(entry.write.parts.into_iter().map(|part| part.doc));
        (shown, self.pending_since(entry.arrival))
    }

    /// Writes that were rejected lately.
    pub(in crate::replica) fn all_rejections(&self) -> Vec<(Origin, Seq, Error)> {
        let undoing = self.undoing.iter().map(|undoing| (undoing.origin, undoing.seq, undoing.error.clone()));
        let of = |(origin, lane): (&Origin, &Lane)| {
            lane.rejections().map(|(seq, error)| (*origin, seq, error.clone())).collect::<Vec<_>>()
        };
        self.lanes.iter().flat_map(of).chain(undoing).collect()
    }

    /// Whether the write is rejected and its documents still show it.
    pub(in crate::replica) fn is_undoing(&self, origin: Origin, seq: Seq) -> bool {
        self.find_undoing(origin, seq).is_some()
    }

    pub(super) fn find_undoing(&self, origin: Origin, seq: Seq) -> Option<&Undoing> {
        self.undoing.iter().find(|undoing| (undoing.origin, undoing.seq) == (origin, seq))
    }

    /// The documents are without the rejected writes: they count as rejected from here on.
    pub(in crate::replica) fn undone(&mut self) -> Vec<(Origin, Seq, Error)> {
        let undone = std::mem::take(&mut self.undoing);
        let undone: Vec<(Origin, Seq, Error)> =
            undone.into_iter().map(|undoing| (undoing.origin, undoing.seq, undoing.error)).collect();
        for (origin, seq, error) in &undone {
            self.lane(*origin).remember_rejection(*seq, error.clone());
        }
        undone
    }
}
