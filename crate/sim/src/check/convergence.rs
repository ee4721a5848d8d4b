//! After healing, every copy of a document is the leader's: content, what has been seen of each client, deletions.

use crate::kept::kept;
use crate::world::World;
use headwater_core::replica::Phase;
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
        let mut leader: Vec<Document> = Vec::new();
        for name in &self.docs {
            let mut document = Document::new(0);
            let updates = match kept(&self.edge.disk, name) {
                Ok(updates) => updates,
                Err(error) => return Some(format!("the leader's {name:?} does not read back: {error}")),
            };
            let updates: Vec<&[u8]> = updates.iter().map(|update| &**update).collect();
            if let Err(cause) = document.apply(&updates) {
                return Some(format!("what the leader has of {name:?} does not apply: {cause}"));
            }
            leader.push(document);
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
