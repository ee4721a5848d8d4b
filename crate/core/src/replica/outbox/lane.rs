//! The writes of one origin, and how far they have come.

use crate::batch::Write;
use crate::error::Error;
use crate::frontier::Frontier;
use crate::ids::{Origin, Seq};
use crate::sorted::Map;
use crate::stage::Stage;
use crate::wire::Writer;
use std::collections::VecDeque;

/// Rejections that a lane remembers for receipts that ask later.
const REJECTIONS_KEPT: usize = 1024;

/// The writes of one origin.
#[derive(Debug, Default)]
pub(in crate::replica) struct Lane {
    /// Settled and kept for peers, in order.
    pub(super) log: VecDeque<Entry>,
    /// Not settled, in order.
    pub(in crate::replica) pending: VecDeque<Entry>,
    /// Everything up to here has been sent on this connection.
    pub(super) sent: Seq,
    /// Whether the next push must say that what is before it is settled.
    pub(super) resumes: bool,
    /// Nothing is sent before this many commits are durable.
    pub(in crate::replica) holds_for: Option<u64>,
    /// Nothing is sent before its tab has done what follows from these messages: who told them, and the last one of each.
    pub(in crate::replica) held_by: Map<Origin, u64>,
    /// Everything up to here has been put into a commit.
    pub(in crate::replica) rowed: Seq,
    /// The stored rows, by first and last write.
    pub(in crate::replica) rows: VecDeque<(Seq, Seq)>,
    /// How far each stage has come. It never falls back, not even where a leader lost what it had acknowledged.
    pub(super) reached: [Seq; Stage::ALL.len()],
    /// Everything up to here is settled: it has left the outbox, and no failover moves it.
    pub(super) settled: Seq,
    /// Everything up to here was settled before logs were kept: it is in documents alone.
    pub(in crate::replica) forgotten: Seq,
    /// Where that is in leaders' logs, if it comes here with documents alone: who reads it waits for them, and nothing is said
    /// of what is stored of this log.
    pub(in crate::replica) partial: Frontier,
    /// Everything up to here is in this storage, durable or not.
    pub(in crate::replica) stored: Seq,
    /// The last write that was heard of, whether it is still here or not.
    pub(in crate::replica) heard: Seq,
    /// Whether another tab stores it.
    pub(in crate::replica) is_foreign: bool,
    /// Where the leaders' logs hold everything up to `settled`. What a leader alone has acknowledged may be at another place
    /// after a failover, so it has none here.
    pub(super) place: Frontier,
    pub(super) rejected: Map<Seq, Error>,
    /// Writes of another tab that documents show and of which it is not known here any more what became.
    pub(super) unsure: Vec<Entry>,
}

impl Lane {
    /// The first write that has not been sent on this connection.
    pub(super) fn unsent(&self) -> Option<&Entry> {
        self.pending.get(self.pending.partition_point(|entry| entry.write.seq <= self.sent))
    }

    /// What is here as writes, settled or not.
    pub(in crate::replica) fn writes(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.log.iter().chain(&self.pending)
    }

    /// What is here after this write.
    pub(in crate::replica) fn writes_after(&self, seq: Seq) -> impl Iterator<Item = &Entry> + Clone {
        let log = self.log.partition_point(|entry| entry.write.seq <= seq);
        let pending = self.pending.partition_point(|entry| entry.write.seq <= seq);
        self.log.range(log..).chain(self.pending.range(pending..))
    }

    /// The last write that is here.
    pub(in crate::replica) fn last(&self) -> Option<&Entry> {
        self.pending.back().or(self.log.back())
    }

    /// How many writes after this one are here.
    pub(in crate::replica) fn count_after(&self, seq: Seq) -> u64 {
        let after = |entries: &VecDeque<Entry>| entries.len() - entries.partition_point(|entry| entry.write.seq <= seq);
        (after(&self.log) + after(&self.pending)) as u64
    }

    /// The best stage that a leader has told, and how far.
    pub(in crate::replica) fn best_stage(&self) -> Option<(Stage, Seq)> {
        let told = [Stage::All, Stage::Quorum, Stage::Leader].into_iter();
        told.map(|stage| (stage, self.reached(stage))).find(|(_, seq)| *seq > Seq(0))
    }

    /// Everything up to here is settled, and where in the leaders' logs.
    pub(in crate::replica) fn settled(&self) -> (Seq, &Frontier) {
        (self.settled, &self.place)
    }

    /// What is remembered of it when it is kept for peers.
    pub(in crate::replica) fn mark(&self) -> Vec<u8> {
        let mut value = Writer::default();
        self.partial.encode(value.uint(self.forgotten.0));
        self.place.encode(value.uint(self.settled.0));
        value.0
    }

    /// Writes that a leader has refused lately.
    pub(in crate::replica) fn rejections(&self) -> impl Iterator<Item = (Seq, &Error)> {
        self.rejected.iter().map(|(seq, error)| (*seq, error))
    }

    pub(super) fn remember_rejection(&mut self, seq: Seq, error: Error) {
        self.rejected.insert(seq, error);
        if self.rejected.len() > REJECTIONS_KEPT {
            self.rejected.pop_first();
        }
    }

    /// How far the stage has come.
    pub(in crate::replica) fn reached(&self, stage: Stage) -> Seq {
        self.reached[stage as usize]
    }
}

/// A write that waits to be settled.
#[derive(Clone, Debug)]
pub(in crate::replica) struct Entry {
    pub(in crate::replica) write: Write,
    pub(in crate::replica) unix_ms: u64,
    /// Its place among all writes that came here, of whatever lane.
    pub(super) arrival: u64,
}

/// Where a lane stood when its storage was used before.
#[derive(Debug)]
pub(in crate::replica) struct Mark {
    pub(in crate::replica) forgotten: Seq,
    pub(in crate::replica) partial: Frontier,
    pub(in crate::replica) settled: Seq,
    pub(in crate::replica) place: Frontier,
}
