//! After healing, every copy of a document is the leader's: content, what has been seen of each client, deletions.

use crate::world::World;
use headwater_core::replica::Phase;
use headwater_core::segment::Segment;
use headwater_core::store::Table;
use headwater_doc::Document;

impl World {
    /// What is not at rest yet, if anything.
    pub fn unrest(&self) -> Option<String> {
        for (tab, opening) in self.openings.iter().enumerate().filter(|(_, opening)| opening.is_alive) {
            let core = &opening.core;
            let trouble = if core.phase() != Phase::Live {
                format!("is {:?}", core.phase())
            } else if core.pending().count > 0 {
                format!("has {} pending writes: {:?}", core.pending().count, core.pending_writes().next())
            } else if let Some((write, stage)) = opening.receipts.first_key_value() {
                format!("has a receipt that does not end: {} at {stage:?}", self.oracle.name(*write))
            } else if !core.is_stored() {
                "has not stored everything".into()
            } else if let Some((id, waiting)) = opening.waits.iter().next() {
                format!("waits ({id}): {:?}", waiting.what)
            } else if let Some((name, _)) = opening.docs.iter().find(|(_, opened)| !opened.is_loaded) {
                format!("has not loaded {name:?}")
            } else {
                continue;
            };
            return Some(format!("tab {tab} {trouble}"));
        }
        None
    }

    /// Where a copy differs from the leader's, if any does.
    pub fn difference(&self) -> Option<String> {
        let mut leader: Vec<Document> = self.docs.iter().map(|_| Document::new(0)).collect();
        for (_, value) in self.edge.disk.table(Table::Log) {
            let Ok(segment) = Segment::from_bytes(value) else { return Some("a log row is damaged".into()) };
            for part in segment.batch.writes.iter().flat_map(|write| &write.parts) {
                let place = self.docs.iter().position(|doc| *doc == part.doc).expect("only these are written to");
                if let Err(cause) = leader[place].apply(&[&part.update]) {
                    return Some(format!("the log does not apply to {:?}: {cause}", part.doc));
                }
            }
        }
        leader.iter_mut().for_each(crate::device::name_roots);
        let leader: Vec<_> = leader.iter().map(Document::fingerprint).collect();
        for (tab, opening) in self.openings.iter().enumerate().filter(|(_, opening)| opening.is_alive) {
            for opened in opening.docs.values() {
                let (json, snapshot) = opened.document.fingerprint();
                let (leader_json, leader_snapshot) = &leader[opened.place];
                if opened.document.has_pending() || snapshot != *leader_snapshot || json != *leader_json {
                    let name = &self.docs[opened.place];
                    return Some(format!(
                        "{name:?} in tab {tab} is {json} {snapshot:?}, at the leader {leader_json} {leader_snapshot:?}"
                    ));
                }
            }
        }
        None
    }
}
