//! What only the holder does: it tells the others what comes from the leader, and asks the leader for them.

use super::{State, TabFrame};
use crate::batch::{Batch, Part, Write};
use crate::error::Error;
use crate::frame::{ClientFrame, NodeFrame};
use crate::frontier::Frontier;
use crate::ids::{DocName, Epoch, Lsn, Origin, ReplicaId, Seq};
use crate::limits::BARRIERS_PER_CONNECTION_MAX;
use crate::replica::Replica;
use crate::replica::persist::Updates;
use crate::stage::Stage;
use std::rc::Rc;

impl Replica {
    /// What has changed since the others were told.
    pub(in crate::replica) fn tell_members(&mut self) {
        self.tell_undone();
        self.tell_new_writes();
        if !self.tabs.is_holder() || !self.tabs.has_others() {
            return;
        }
        self.relay_questions();
        if self.tabs.told_state.as_ref() != Some(&self.tab_state()) {
            self.tell_state();
        }
        if std::mem::take(&mut self.docs.has_moved) {
            self.tell_held();
        }
    }

    /// Where the link stands, and that this tab has it.
    pub(super) fn tell_state(&mut self) {
        let state = self.tab_state();
        self.tabs.told_state = Some(state.clone());
        self.tell_tabs(TabFrame::State(state));
    }

    fn tab_state(&self) -> State {
        State {
            term: self.tabs.term,
            phase: self.link.phase(),
            is_paused: self.tabs.is_paused,
            generation: self.generation,
            epoch: self.link.epoch(),
            served: self.link.served().cloned().unwrap_or_default(),
            voters: self.link.voters(),
            error: self.link.blocked().cloned(),
        }
    }

    fn tell_held(&mut self) {
        let wanted = self.tabs.others.values().flat_map(|other| other.wants.iter());
        let mut docs: Vec<(DocName, Option<Frontier>)> = Vec::new();
        for doc in wanted {
            let Some(state) = self.docs.state(doc) else { continue };
            if self.tabs.told_docs.get(doc) != Some(&state) {
                self.tabs.told_docs.insert(doc.clone(), state.clone());
                docs.push((doc.clone(), state));
            }
        }
        let held = (self.docs.stream().clone(), self.link.leader_end().clone());
        if !docs.is_empty() || held != self.tabs.told_held {
            self.tabs.told_held = held.clone();
            let (stream, leader_end) = held;
            self.tell_tabs(TabFrame::Held { stream, leader_end, docs });
        }
    }

    /// Writes from the leader's log that are about to be stored.
    pub(in crate::replica) fn tell_updates(&mut self, epoch: Epoch, through: Lsn, batch: Batch) {
        if !batch.writes.is_empty() && self.tabs.is_holder() {
            self.tell_others(|| TabFrame::Updates { epoch, through, batch });
        }
    }

    /// What a node keeps of a document.
    pub(in crate::replica) fn tell_contents(&mut self, doc: &DocName, updates: Updates) {
        if self.tabs.is_holder() {
            self.tell_others(|| TabFrame::Contents { doc: doc.clone(), updates });
        }
    }

    /// Updates of one document that came from a peer.
    pub(in crate::replica) fn tell_updates_of(&mut self, doc: &DocName, epoch: Epoch, lsn: Lsn, updates: &[Rc<[u8]>]) {
        let part = |update: &Rc<[u8]>| Part { doc: doc.clone(), update: update.clone() };
        let write = |part| Write { origin: Origin::default(), seq: Seq(1), parts: vec![part] };
        for update in updates {
            self.tell_updates(epoch, lsn, Batch { writes: vec![write(part(update))] });
        }
    }

    /// Writes that came from a peer.
    pub(in crate::replica) fn relay_to_tabs(&mut self, prev: Seq, unix_ms: u64, batch: Batch) {
        self.tell_others(|| TabFrame::Writes { prev, unix_ms, batch });
    }

    /// From here on logs are kept.
    pub(in crate::replica) fn tell_retained(&mut self, replica: ReplicaId) {
        self.tell_others(|| TabFrame::Retained { replica });
    }

    pub(in crate::replica) fn tell_stage(&mut self, origin: Origin, seq: Seq, stage: Stage) {
        self.tell_peers_stage(origin, seq, stage);
        if self.tabs.is_holder() || stage == Stage::Local {
            self.tell_others(|| match stage {
                Stage::Local => TabFrame::Stored { origin, seq },
                _ => TabFrame::Acked { origin, seq, stage },
            });
        }
    }

    /// Writes are settled. Their writers hear of it once they are stored as such.
    pub(in crate::replica) fn settles(&mut self, origin: Origin, seq: Seq, place: &Frontier) {
        if !self.tabs.is_holder() {
            return;
        }
        self.tabs.settling.push((origin, seq, place.clone()));
        if self.persister.failure().is_some() {
            let settled = std::mem::take(&mut self.tabs.settling);
            self.tell_others(|| TabFrame::Committed { through: 0, settled });
        }
    }

    /// A commit begins, with everything that was told so far in it.
    pub(in crate::replica) fn commit_begins(&mut self) {
        self.tabs.storing = (self.tabs.number, std::mem::take(&mut self.tabs.settling));
        self.tabs.undoes.1 |= std::mem::take(&mut self.tabs.undoes.0);
    }

    pub(in crate::replica) fn commit_is_done(&mut self) {
        let (through, settled) = std::mem::take(&mut self.tabs.storing);
        if self.tabs.is_holder() {
            self.tell_others(|| TabFrame::Committed { through, settled });
        }
        self.tabs.owes_undone |= std::mem::take(&mut self.tabs.undoes.1);
    }

    pub(in crate::replica) fn tell_rejected(&mut self, origin: Origin, seq: Seq, error: &Error) {
        self.tell_peers_rejected(origin, seq, error);
        self.tell_tabs_rejected(origin, seq, error);
    }

    pub(super) fn tab_wants(&mut self, from: Origin, docs: Vec<DocName>) {
        for doc in docs {
            self.tabs.others.get_or_default(from).wants.insert(doc.clone());
            if self.tabs.is_holder() {
                self.serve_doc(from, doc);
            }
        }
    }

    /// Has the document followed, and tells what storage does not have of it yet.
    pub(super) fn serve_doc(&mut self, to: Origin, doc: DocName) {
        self.docs.open_for_others(doc.clone());
        let mut updates = Updates::default();
        for unstored in self.persister.unstored_updates(&doc) {
            updates.reach.join(&unstored.reach);
            updates.updates.extend(unstored.updates);
        }
        self.tabs.told_docs.remove(&doc);
        self.docs.has_moved = true;
        let heard = self.tabs.others.get(&to).map_or(0, |other| other.number);
        self.tell_tabs(TabFrame::Doc { to, heard, doc, updates });
    }

    pub(super) fn tab_wants_no_more(&mut self, from: Origin, docs: &[DocName]) {
        if let Some(other) = self.tabs.others.get_mut(&from) {
            docs.iter().for_each(|doc| _ = other.wants.remove(doc));
        }
        self.close_unwanted(docs);
    }

    /// Whether another tab or a peer wants the document.
    pub(in crate::replica) fn is_wanted(&self, doc: &DocName) -> bool {
        self.tabs.wants(doc) || self.peers.wants(doc)
    }

    /// Closes what is open for others alone and no other wants.
    pub(in crate::replica) fn close_unwanted(&mut self, docs: &[DocName]) {
        for doc in docs {
            if self.docs.is_for_others(doc) && !self.is_wanted(doc) {
                self.end_doc(doc);
                self.tabs.told_docs.remove(doc);
            }
        }
    }

    pub(super) fn tab_asks(&mut self, from: Origin, frame: Vec<u8>) {
        if self.tabs.is_holder() && self.tabs.asks.len() < BARRIERS_PER_CONNECTION_MAX {
            self.tabs.asks.push((from, frame));
        }
    }

    /// Puts the questions of others. What is asked while there is no connection is asked again by them once there is one.
    fn relay_questions(&mut self) {
        if !self.link.is_greeted() {
            return self.tabs.asks.clear();
        }
        while let Some((from, frame)) = self.tabs.asks.pop() {
            if self.tabs.relayed.len() >= BARRIERS_PER_CONNECTION_MAX / 2 {
                return self.tabs.asks.push((from, frame));
            }
            match ClientFrame::decode(&frame) {
                Ok(ClientFrame::Barrier { id, strong, frontier }) => {
                    let id = self.relay(from, id);
                    self.send(&ClientFrame::Barrier { id, strong, frontier });
                }
                Ok(ClientFrame::Await { id, origin, seq, concern }) => {
                    let id = self.relay(from, id);
                    self.send(&ClientFrame::Await { id, origin, seq, concern });
                }
                Ok(ClientFrame::Cancel { id }) => {
                    let mut relayed = self.tabs.relayed.iter();
                    let found = relayed.find(|(_, asked)| **asked == (from, id)).map(|(id, _)| *id);
                    drop(relayed);
                    if let Some(id) = found {
                        self.tabs.relayed.remove(&id);
                        self.send(&ClientFrame::Cancel { id });
                    }
                }
                _ => {}
            }
        }
    }

    fn relay(&mut self, from: Origin, id: u64) -> u64 {
        let ours = self.reads.next_question();
        self.tabs.relayed.insert(ours, (from, id));
        ours
    }

    /// How many questions of others the node has not answered.
    pub(in crate::replica) fn questions_relayed(&self) -> usize {
        self.tabs.relayed.len()
    }

    pub(in crate::replica) fn relayed_are_lost(&mut self) {
        self.tabs.relayed.clear();
        self.tabs.asks.clear();
    }

    /// The node's answer to a question, if it was another tab's.
    pub(in crate::replica) fn answer_tab(&mut self, id: u64, result: &Result<Frontier, Error>) -> bool {
        let Some((to, id)) = self.tabs.relayed.remove(&id) else { return false };
        let frame = match result.clone() {
            Ok(frontier) => NodeFrame::Reached { id, frontier },
            Err(error) => NodeFrame::Failed { id, error },
        };
        // What the answer speaks of was told before; how far that has come must be too.
        self.tell_held();
        self.tell_tabs(TabFrame::Answer { to, frame: frame.encode() });
        true
    }
}
