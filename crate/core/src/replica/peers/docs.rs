//! What only leaders' logs hold goes from document to document: whoever holds more of a document offers it, and sends the
//! updates that the other's frontier does not have. A frontier is passed on together with everything that it says.

use super::PeerFrame;
use crate::batch::Part;
use crate::error::Error;
use crate::frontier::Frontier;
use crate::ids::DocName;
use crate::limits::{BATCH_BYTES_TARGET, DOCS_TOLD_MAX};
use crate::replica::Replica;
use crate::replica::docs::News;
use crate::replica::open::Asked;
use crate::replica::persist::{Updates, decode_updates};
use crate::replica::tabs::TabFrame;
use crate::sorted::Map;
use crate::store::{self, Row, Scan, Table};
use std::rc::Rc;

#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// What was offered last, of each document.
    offered: Map<DocName, Frontier>,
    /// Documents that were asked for and have not come yet, and of whom.
    wanted: Map<DocName, u64>,
    /// Documents that have come, and how far they are held with that: their rows are still to say so.
    fetched: Map<DocName, Frontier>,
}

/// What is sent of a document once storage has answered.
#[derive(Clone, Debug)]
pub(in crate::replica) struct Wanted {
    peer: u64,
    doc: DocName,
    held: Frontier,
    unstored: Vec<Updates>,
    frontier: Frontier,
}

// The order of questions to storage is told by their tokens alone.
impl PartialEq for Wanted {
    fn eq(&self, other: &Self) -> bool {
        (self.peer, &self.doc) == (other.peer, &other.doc)
    }
}

impl Eq for Wanted {}

impl Replica {
    /// Offers all documents that are held of leaders' logs; storage knows which.
    pub(super) fn offer_docs(&mut self) {
        self.scan(Asked::PeerDocs, Scan::all(Table::Docs));
    }

    pub(in crate::replica) fn docs_read(&mut self, rows: &[Row]) -> Result<(), Error> {
        for row in rows {
            let name = std::str::from_utf8(&row.key).map_err(|_| Error::malformed("a document's row has no name"))?;
            let name = DocName::parse(name)?;
            let frontier = match self.docs.state(&name) {
                Some(_) => self.docs.frontier(&name),
                None => self.docs.load_row(&row.value)?,
            };
            self.peers.docs.offered.insert(name, frontier);
        }
        let all: Vec<_> =
            self.peers.docs.offered.iter().map(|(doc, frontier)| (doc.clone(), frontier.clone())).collect();
        self.tell_docs(all);
        Ok(())
    }

    /// Offers documents of which more is held than was offered last.
    pub(super) fn offer_moved_docs(&mut self) {
        if !std::mem::take(&mut self.docs.has_moved_for_peers) || self.peers.live().is_empty() {
            return;
        }
        let mut moved = Vec::new();
        for doc in self.docs.held() {
            let frontier = self.docs.frontier(&doc);
            if !frontier.is_empty() && self.peers.docs.offered.get(&doc) != Some(&frontier) {
                self.peers.docs.offered.insert(doc.clone(), frontier.clone());
                moved.push((doc, frontier));
            }
        }
        self.tell_docs(moved);
        self.look_at_offers();
    }

    fn tell_docs(&mut self, docs: Vec<(DocName, Frontier)>) {
        let docs: Vec<_> = docs.into_iter().filter(|(_, frontier)| !frontier.is_empty()).collect();
        for docs in docs.chunks(DOCS_TOLD_MAX.min(1000)) {
            self.tell_peers(&PeerFrame::Docs { docs: docs.to_vec() }, None);
        }
    }

    pub(super) fn peer_has_docs(&mut self, peer: u64, docs: Vec<(DocName, Frontier)>) {
        for (doc, frontier) in docs {
            if let Some(link) = self.peers.links.get_mut(&peer) {
                link.offers.insert(doc.clone(), frontier.clone());
            }
            let held = match self.docs.state(&doc) {
                Some(_) => self.docs.frontier(&doc),
                None => self.peers.docs.offered.get(&doc).cloned().unwrap_or_default(),
            };
            // What was handed to the tab that stores for all is told by it once it has it.
            let is_on_its_way =
                self.peers.docs.fetched.get(&doc).is_some_and(|fetched| !held.dominates_epochs(fetched));
            if is_on_its_way {
                continue;
            }
            self.peers.docs.fetched.remove(&doc);
            if !held.dominates_epochs(&frontier) && !self.peers.docs.wanted.contains_key(&doc) {
                self.peers.docs.wanted.insert(doc.clone(), peer);
                self.send_peer(peer, &PeerFrame::WantDoc { doc, held });
            }
        }
    }

    /// A link is gone: what was asked for by it is asked for by another one that has offered it.
    pub(super) fn ask_others_than(&mut self, peer: u64) {
        let before = self.peers.docs.wanted.len();
        self.peers.docs.wanted.retain(|_, of| *of != peer);
        if self.peers.docs.wanted.len() < before {
            self.ask_for_offers();
        }
    }

    /// Another tab stores from here on, or this one: what the one before it was given and has not stored is asked for again.
    pub(super) fn ask_for_docs_again(&mut self) {
        self.peers.docs.wanted.clear();
        self.ask_for_offers();
    }

    fn ask_for_offers(&mut self) {
        self.peers.docs.fetched = Map::default();
        self.look_at_offers();
    }

    /// Asks for what is offered and not held. More may have been offered while less was on its way.
    fn look_at_offers(&mut self) {
        let offers = self.peers.links.iter().filter(|(_, link)| link.is_live());
        let offers =
            offers.map(|(peer, link)| (*peer, link.offers.iter().map(|(d, f)| (d.clone(), f.clone())).collect()));
        let offers: Vec<(u64, Vec<_>)> = offers.collect();
        offers.into_iter().for_each(|(peer, docs)| self.peer_has_docs(peer, docs));
    }

    pub(super) fn peer_wants_doc(&mut self, peer: u64, doc: DocName, held: Frontier) {
        let frontier = match self.docs.state(&doc) {
            Some(_) => self.docs.frontier(&doc),
            None => self.peers.docs.offered.get(&doc).cloned().unwrap_or_default(),
        };
        // Whoever has no leader hears of the document from here, so it is followed for it.
        if self.config.has_leader && self.tabs.stores_all() {
            if let Some(link) = self.peers.links.get_mut(&peer) {
                link.wants.insert(doc.clone());
            }
            self.docs.open_for_others(doc.clone());
        }
        // Before storage is asked: what is stored in between is then seen twice and not missed.
        let mut unstored: Vec<Updates> = self.persister.unstored_updates(&doc).collect();
        unstored.extend(self.tabs.uncommitted_of(&doc));
        // The frontier covers the logs that are kept, and who heard that they are settled takes nothing of them as writes.
        unstored
            .extend(self.outbox.logged_updates(&doc).into_iter().map(|(reach, updates)| Updates { reach, updates }));
        let updates = store::updates_of(&doc);
        self.scan(Asked::PeerDoc(Wanted { peer, doc, held, unstored, frontier }), updates);
    }

    pub(in crate::replica) fn doc_read_for_peer(&mut self, wanted: Wanted, rows: &[Row]) -> Result<(), Error> {
        let Wanted { peer, doc, held, unstored, frontier } = wanted;
        let mut all = rows.iter().map(|row| decode_updates(&row.value)).collect::<Result<Vec<_>, _>>()?;
        all.extend(unstored);
        let mut piece = Updates::default();
        let mut weight = 0;
        for updates in all.into_iter().filter(|updates| !held.dominates_epochs(&updates.reach)) {
            piece.reach.join(&updates.reach);
            for update in updates.updates {
                if weight > 0 && weight + update.len() > BATCH_BYTES_TARGET {
                    let (reach, updates) = (piece.reach.clone(), std::mem::take(&mut piece.updates));
                    self.send_peer(peer, &PeerFrame::DocUpdates { doc: doc.clone(), reach, updates, frontier: None });
                    weight = 0;
                }
                weight += update.len();
                piece.updates.push(update);
            }
        }
        let Updates { reach, updates } = piece;
        self.send_peer(peer, &PeerFrame::DocUpdates { doc, reach, updates, frontier: Some(frontier) });
        Ok(())
    }

    pub(super) fn peer_sends_doc(&mut self, doc: DocName, updates: Updates, frontier: Option<Frontier>) {
        if !self.peers.docs.wanted.contains_key(&doc) {
            return;
        }
        if frontier.is_some() {
            self.peers.docs.wanted.remove(&doc);
        }
        match self.tabs.stores_all() {
            true => self.take_peer_doc(doc, updates, frontier),
            false => {
                if let Some(frontier) = &frontier {
                    self.peers.docs.fetched.get_or_default(doc.clone()).join(frontier);
                }
                self.tell_tabs(TabFrame::PeerDoc { doc, updates, frontier });
            }
        }
    }

    /// Updates of a document that a peer has sent to this tab, or to another one.
    pub(in crate::replica) fn take_peer_doc(&mut self, doc: DocName, updates: Updates, frontier: Option<Frontier>) {
        if !self.tabs.stores_all() {
            return;
        }
        if !updates.updates.is_empty() {
            let shown: Vec<Rc<[u8]>> = updates.updates.clone();
            updates.reach.epochs().for_each(|(epoch, lsn)| self.docs.reaches(&doc, epoch, lsn));
            for (epoch, lsn) in updates.reach.epochs() {
                self.tell_updates_of(&doc, epoch, lsn, &shown);
            }
            self.persister.add_updates(doc.clone(), updates);
            let mut news = News::default();
            for update in shown {
                news.add(None, &Part { doc: doc.clone(), update });
            }
            self.show(news);
        }
        if let Some(frontier) = frontier {
            self.peers.docs.fetched.get_or_default(doc.clone()).join(&frontier);
            self.docs.open_for_others(doc);
        }
    }

    /// What is held now of documents that have come, once it is known what was held before.
    pub(super) fn store_fetched(&mut self) {
        if !self.tabs.stores_all() {
            return;
        }
        let known = self.peers.docs.fetched.keys().filter(|doc| self.docs.state(doc).is_some()).cloned();
        let known: Vec<DocName> = known.collect();
        for doc in known {
            let Some(frontier) = self.peers.docs.fetched.remove(&doc) else { continue };
            self.docs.holds_besides(&doc, &frontier);
            self.persister.doc_changed(doc.clone());
            let held = self.docs.frontier(&doc);
            self.peers.docs.offered.insert(doc.clone(), held.clone());
            self.tell_docs(vec![(doc.clone(), held)]);
            if self.docs.is_for_others(&doc) && !self.is_wanted(&doc) {
                let row = self.docs.row(&doc, self.config.origin);
                self.persister.close_doc(doc.clone(), row);
                self.end_doc(&doc);
            }
            self.docs.has_moved = true;
            self.reads_may_end();
        }
    }
}
