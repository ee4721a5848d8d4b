//! Recent origins and how far each has been appended, so that a repeated write has one effect and the same answer.
//!
//! The table is bounded: beyond `ORIGINS_MAX` the origins that have been silent longest are forgotten, an eighth of them
//! at once. A repeat from a forgotten origin is appended again, which a CRDT forgives.

use crate::frontier::Frontier;
use crate::group::MemberName;
use crate::ids::{Epoch, Lsn, Origin, Seq};
use crate::limits::ORIGINS_MAX;
use crate::sorted::Map;
use crate::store::{self, StoreOp, Table};
use crate::wire::Writer;

/// An origin's highest write that has an LSN, committed or about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seq: Seq,
    pub(super) epoch: Epoch,
    pub(super) lsn: Lsn,
}

/// Where several lead, an origin's writes may stand in several logs, after one another. Where the last one stands then says
/// nothing of the earlier ones: whoever asks for them waits for what every leader has shown since.
#[derive(Default)]
struct Moved {
    /// Where they are known to stand.
    places: Frontier,
    /// The leaders that have not said what they show since.
    asked: Vec<MemberName>,
}

/// How many moves are remembered. They matter to bookmarks that were taken before a write had a place.
const MOVED_MAX: usize = 4096;

#[derive(Default)]
pub(super) struct OriginTable {
    moved: Map<Origin, Moved>,
    /// Whether some of them wait for what leaders say.
    has_asked: bool,
    places: Map<Origin, Place>,
    /// Changed since the last checkpoint, some of them more than once.
    changed: Vec<Origin>,
}

impl OriginTable {
    pub(super) fn get(&self, origin: Origin) -> Option<Place> {
        self.places.get(&origin).copied()
    }

    /// From here on the writes of an origin stand in another log than those up to `through`; `leaders` are the others.
    pub(super) fn moves(&mut self, origin: Origin, through: Seq, leaders: Vec<MemberName>) {
        let known = self.get(origin);
        if self.moved.len() >= MOVED_MAX {
            self.moved = Map::default();
        }
        let moved = self.moved.get_or_default(origin);
        known.into_iter().for_each(|known| moved.places.advance_epoch(known.epoch, known.lsn));
        if known.is_none_or(|known| known.seq < through) {
            moved.asked = leaders;
            self.has_asked = true;
        }
    }

    /// A leader shows this, which has everything of its log that was settled before.
    pub(super) fn hear_cut(&mut self, from: &MemberName, cut: &Frontier) {
        if !self.has_asked {
            return;
        }
        self.has_asked = false;
        for moved in self.moved.values_mut() {
            if let Some(place) = moved.asked.iter().position(|name| name == from) {
                moved.asked.remove(place);
                moved.places.join(&cut.epochs_only());
            }
            self.has_asked |= !moved.asked.is_empty();
        }
    }

    /// Where everything of an origin up to `seq` stands, once that is known.
    pub(super) fn places_of(&self, origin: Origin, seq: Seq) -> Option<Frontier> {
        let place = self.get(origin).filter(|place| place.seq >= seq)?;
        let mut places = Frontier::at(place.epoch, place.lsn);
        if let Some(moved) = self.moved.get(&origin) {
            if !moved.asked.is_empty() {
                return None;
            }
            places.join(&moved.places);
        }
        Some(places)
    }

    /// One leads from here on, and what is shown is all that came before.
    pub(super) fn forget_moves(&mut self) {
        self.moved = Map::default();
    }

    /// The rows of origins of which nothing is known beyond a frontier.
    pub(super) fn rows_within(&self, frontier: &Frontier) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
        let within = self.places.iter().filter(|(_, place)| place.lsn <= frontier.lsn(place.epoch));
        let rows = within.filter_map(|(origin, _)| match self.row(*origin) {
            StoreOp::Put { table, key, value } => Some((table, key, value)),
            StoreOp::Delete { .. } | StoreOp::DeleteRange { .. } => None,
        });
        rows.collect()
    }

    /// A row of the last checkpoint.
    pub(super) fn load(&mut self, origin: Origin, place: Place) {
        self.places.insert(origin, place);
    }

    /// A write stands in a log. One that came back from a sealed epoch does not set its origin back.
    pub(super) fn appended(&mut self, origin: Origin, place: Place) {
        let known = self.get(origin).map(|known| (known.seq, known.epoch, known.lsn));
        if known < Some((place.seq, place.epoch, place.lsn)) {
            self.set(origin, Some(place));
        }
    }

    /// Puts an origin where it was before a write that is not appended after all.
    pub(super) fn set(&mut self, origin: Origin, place: Option<Place>) {
        match place {
            Some(place) => self.places.insert(origin, place),
            None => self.places.remove(&origin),
        };
        if self.changed.last() != Some(&origin) {
            self.changed.push(origin);
        }
        if self.places.len() > ORIGINS_MAX {
            self.forget_the_silent();
        }
    }

    /// The rows to write or delete so that the stored table is this one.
    pub(super) fn checkpoint(&mut self) -> Vec<StoreOp> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed.into_iter().map(|origin| self.row(origin)).collect()
    }

    fn forget_the_silent(&mut self) {
        let mut ages: Vec<(Epoch, Lsn)> = self.places.values().map(|place| (place.epoch, place.lsn)).collect();
        let (_, oldest_kept, _) = ages.select_nth_unstable(ORIGINS_MAX / 8);
        let oldest_kept = *oldest_kept;
        let changed = &mut self.changed;
        self.places.retain(|origin, place| {
            let is_kept = (place.epoch, place.lsn) >= oldest_kept;
            if !is_kept {
                changed.push(*origin);
            }
            is_kept
        });
    }

    fn row(&self, origin: Origin) -> StoreOp {
        let (table, key) = (Table::Origins, store::origin_key(origin));
        match self.get(origin) {
            None => StoreOp::Delete { table, key },
            Some(place) => {
                let mut value = Writer::default();
                value.uint(place.seq.0).uint(place.epoch.0).uint(place.lsn.0);
                StoreOp::Put { table, key, value: value.0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_the_origins_that_were_silent_longest_are_forgotten_and_their_rows_deleted() {
        let mut table = OriginTable::default();
        for n in 0..=ORIGINS_MAX as u64 {
            table.appended(Origin(n.reverse_bits()), Place { seq: Seq(1), epoch: Epoch(1), lsn: Lsn(n + 1) });
        }
        assert_eq!(table.get(Origin(0)), None);
        let newest = (ORIGINS_MAX as u64).reverse_bits();
        assert!(table.get(Origin(newest)).is_some());
        let deleted = |op: &StoreOp| matches!(op, StoreOp::Delete { .. });
        assert_eq!(table.checkpoint().iter().filter(|op| deleted(op)).count(), ORIGINS_MAX / 8);
    }
}
