//! Who is told how far a write has come. A write is acknowledged at each stage as soon as that stage is reached, and a
//! later stage says the earlier ones as well.

use super::Node;
use super::origins::Place;
use crate::frame::NodeFrame;
use crate::frontier::Frontier;
use crate::ids::{ConnId, Epoch, Lsn, Origin, Seq};
use crate::limits::ACKS_WAITING_MAX;
use crate::segment::Segment;
use crate::sorted::Map;
use crate::stage::Stage;
use std::collections::BTreeMap;

/// The stages that a node acknowledges, the last one first.
const STAGES: [Stage; 3] = [Stage::All, Stage::Quorum, Stage::Leader];

/// Acknowledgements that are owed, by stage and by place in the log.
#[derive(Default)]
pub(super) struct Acks {
    owed: [BTreeMap<(Epoch, Lsn), (Origin, Seq)>; STAGES.len()],
}

impl Acks {
    pub(super) fn owe(&mut self, origin: Origin, seq: Seq, epoch: Epoch, lsn: Lsn) {
        for owed in &mut self.owed {
            let last = owed.entry((epoch, lsn)).or_insert((origin, seq));
            last.1 = last.1.max(seq);
            // Only a stage that is never reached gets here; who still waits for it can ask.
            if owed.len() > ACKS_WAITING_MAX {
                owed.pop_first();
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.owed = Default::default();
    }

    /// Whether somebody waits for the leader's word.
    pub(super) fn is_leader_owed(&self) -> bool {
        !self.owed[2].is_empty()
    }

    // What has reached the stage: for each origin the last write of each epoch.
    fn take(&mut self, stage: usize, reached: &Frontier) -> Map<(Origin, Epoch), (Seq, Lsn)> {
        let mut taken = Map::default();
        let owed = &mut self.owed[stage];
        for (epoch, end) in reached.epochs() {
            if owed.range((epoch, Lsn(0))..=(epoch, end)).next().is_none() {
                continue;
            }
            let mut rest = owed.split_off(&(epoch, Lsn(0)));
            let mut later = rest.split_off(&(epoch, end.next()));
            owed.append(&mut later);
            for ((_, lsn), (origin, seq)) in rest {
                let last = taken.get_or_default((origin, epoch));
                *last = (seq, lsn).max(*last);
            }
        }
        taken
    }
}

impl Node {
    /// Entries are committed here: those who pushed them will be told how far they come.
    pub(super) fn expect_acks(&mut self, segment: &Segment) {
        let mut last: Map<Origin, (Seq, Lsn)> = Map::default();
        for (place, write) in segment.batch.writes.iter().enumerate() {
            last.insert(write.origin, (write.seq, Lsn(segment.first.0 + place as u64)));
        }
        for (origin, (seq, lsn)) in last {
            if self.conns.values().any(|conn| conn.own.contains_key(&origin)) {
                self.acks.owe(origin, seq, segment.epoch, lsn);
            }
        }
    }

    /// A repeat gets the earlier result: the position of the origin's highest write, which is at or after that of the
    /// repeated one. If it is not committed yet, its commit will acknowledge it.
    pub(super) fn acknowledge_repeat(&mut self, origin: Origin, seq: Seq) {
        let place = self.origins.get(origin).expect("a repeat is of a known origin");
        if place.lsn <= self.log.held.lsn(place.epoch) {
            self.acks.owe(origin, seq, place.epoch, place.lsn);
            self.send_acks();
        }
    }

    pub(super) fn send_acks(&mut self) {
        let mut told: Map<(Origin, Epoch), Seq> = Map::default();
        for (index, stage) in STAGES.into_iter().enumerate() {
            let reached = match stage {
                Stage::All => self.held_by_all(),
                Stage::Quorum => self.quorum_to_tell(),
                _ => self.held_by_leader(),
            };
            for ((origin, epoch), (seq, lsn)) in self.acks.take(index, &reached) {
                if told.get(&(origin, epoch)).is_some_and(|told| *told >= seq) {
                    continue;
                }
                told.insert((origin, epoch), seq);
                let owns = self.conns.iter().filter(|(_, state)| state.own.contains_key(&origin));
                let owners: Vec<ConnId> = owns.map(|(conn, _)| *conn).collect();
                for conn in owners {
                    self.acknowledge(conn, origin, seq, stage, Place { seq, epoch, lsn });
                }
            }
        }
    }

    fn acknowledge(&mut self, conn: ConnId, origin: Origin, seq: Seq, stage: Stage, place: Place) {
        let (epoch, lsn) = (place.epoch, place.lsn);
        let through = self.visible.lsn(epoch);
        self.conn(conn).sent.advance_epoch(epoch, through);
        self.send(conn, &NodeFrame::Ack { origin, seq, stage, epoch, lsn, through });
    }
}
