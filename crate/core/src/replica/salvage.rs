//! What a replica that works can put into new storage when its own was lost while it was open: everything that is not settled,
//! and what its open documents show.
//!
//! It is read again by an opening that begins anew: the rows are those that earlier openings leave behind. Several tabs may do
//! it for the same storage; what they put there says the same, or less.

use super::outbox::encode_row;
use super::persist::{Updates, encode_updates};
use super::{Replica, open};
use crate::batch::Batch;
use crate::ids::{DocName, Origin, Seq};
use crate::store::{self, StoreOp, Table};
use crate::wire::Writer;

impl Replica {
    /// Rows for new storage, given what the open documents show as one update each.
    ///
    /// A document that shows what a leader may still refuse is none of them: a refused write could not be taken out of it. It
    /// comes from the leader again.
    pub fn salvage(&self, docs: impl Iterator<Item = (DocName, Vec<u8>)>) -> Vec<StoreOp> {
        let mut ops = Vec::new();
        if self.generation.0 != 0 {
            let value = self.generation.0.to_be_bytes().to_vec();
            ops.push(put(Table::Meta, store::meta_key(open::GENERATION), value));
        }
        if let Some(replica) = self.peers.replica() {
            ops.push(put(Table::Meta, store::meta_key(open::REPLICA), replica.0.to_be_bytes().to_vec()));
        }
        let lanes: Vec<Origin> = self.outbox.lanes().map(|(origin, _)| origin).collect();
        for origin in lanes {
            self.salvage_lane(origin, &mut ops);
        }
        let mut rows = 0;
        for (doc, update) in docs {
            let is_refusable = self.config.has_leader && self.outbox.shows_unsettled(&doc);
            if is_refusable || !self.docs.is_shown(&doc) || self.docs.is_rebuilding() {
                continue;
            }
            rows += 1;
            let updates = Updates { reach: self.docs.reach(&doc), updates: vec![update.into()] };
            // Numbers of rows that this opening has not used: other tabs may have its storage before this one.
            let key = store::update_key(&doc, self.config.origin, u64::MAX - rows);
            ops.push(put(Table::Updates, key, encode_updates(&updates)));
            let mut row = Writer::default();
            self.docs.frontier(&doc).encode(&mut row);
            row.fixed(0);
            ops.push(put(Table::Docs, store::doc_key(&doc), row.0));
        }
        ops
    }

    fn salvage_lane(&self, origin: Origin, ops: &mut Vec<StoreOp>) {
        let Some(lane) = self.outbox.get(origin) else { return };
        if self.outbox.retains() {
            ops.push(put(Table::Meta, open::lane_key(origin), lane.mark()));
        }
        // A row for each: what another tab puts under the same key says the same, however much it knows.
        for entry in lane.writes_after(Seq(0)) {
            let batch = Batch { writes: vec![entry.write.clone()] };
            let key = store::outbox_key(origin, entry.write.seq);
            ops.push(put(Table::Outbox, key, encode_row(entry.unix_ms, &batch)));
        }
    }
}

fn put(table: Table, key: Vec<u8>, value: Vec<u8>) -> StoreOp {
    StoreOp::Put { table, key, value }
}
