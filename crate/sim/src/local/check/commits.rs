//! One tab of a device commits as the holder in each term.

use crate::local::coverage::Moment;
use crate::local::storage::{Found, writes_in};
use crate::local::world::World;
use headwater_core::store::{Guard, StoreOp, Table, meta_key};

fn term_of(row: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| Some(u64::from_be_bytes(row.get(at..at + 8)?.try_into().ok()?));
    Some((word(0)?, word(8)?))
}

impl World {
    /// A tab's commit is about to land.
    pub fn check_commit(&mut self, tab: usize, ops: &[StoreOp], guard: Option<&Guard>) {
        let device = self.tabs[tab].device;
        let claim = ops.iter().find_map(|op| match op {
            StoreOp::Put { table: Table::Meta, key, value } if *key == meta_key("tabs") => term_of(value),
            _ => None,
        });
        let origin = self.tabs[tab].origin.0;
        if let Some((term, by)) = claim {
            self.coverage.saw(Moment::Claimed);
            self.devices[device].claimed_by = by;
            let before = std::mem::replace(&mut self.devices[device].term, term);
            if term <= before || by != origin {
                let text = format!("tab {tab} claims term {term} of device {device} after {before}");
                return self.violate("terms", || text);
            }
            return;
        }
        let Some(guard) = guard else { return };
        let term = guard.key.last_chunk::<8>().map(|term| u64::from_be_bytes(*term));
        let (newest, claimed_by) = (self.devices[device].term, self.devices[device].claimed_by);
        if term != Some(newest) || claimed_by != origin {
            let current = self.devices[device].term;
            self.violate("terms", || format!("tab {tab} commits in {term:?}, and term {current} is another's"));
        }
    }
}

/// What a commit changes, to read.
pub fn text(ops: &[StoreOp]) -> String {
    let of = |op: &StoreOp| match op {
        StoreOp::Put { table, value, .. } => {
            let names = writes_in(*table, value).into_iter().map(|found| match found {
                Found::Named(origin, seq) => format!("{:.4}…/{seq}", origin.to_string()),
                Found::Update(update) => format!("{:?}", crate::local::oracle::writes_of(&update)),
            });
            format!("{table:?} {}", names.collect::<Vec<_>>().join(" "))
        }
        StoreOp::Delete { table, key } => {
            format!("no {table:?} {:?}", headwater_core::store::origin_of_key(key).map(|origin| origin.to_string()))
        }
        StoreOp::DeleteRange { table, .. } => format!("fewer {table:?}"),
    };
    ops.iter().map(of).collect::<Vec<_>>().join(", ")
}
