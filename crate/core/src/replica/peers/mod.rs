//! Peers: replicas that exchange the logs of origins directly, whoever leads, or nobody.
//!
//! A database that has had a peer *retains* the logs: a write stays in its origin's lane when a leader has settled it, so that
//! it can be passed on. What only leaders' logs hold, from before or from clients that have no peers, goes from document to
//! document (`docs`).
//!
//! - Both sides say hello with how far they hold each origin's log, let each other in, and send what the other lacks; from then
//!   on whatever comes, wherever from, goes to every other link. A write that is known is passed over, so loops end.
//! - The log of an origin is taken without gaps only: how far it is held says everything.
//! - Everybody tells who has stored how much, and passes on what is told: a writer counts replicas that it has no link to.
//! - What a leader says of a write (its stage, its place, that it is refused) goes the same way.

mod docs;
mod frame;

use super::persist::Updates;
use super::tabs::TabFrame;
use super::{Output, Replica};
use crate::batch::Batch;
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{DocName, Generation, Origin, ReplicaId, Seq};
use crate::limits::{PEER_ORIGINS_MAX, PEERS_MAX};
use crate::sorted::{Map, Set};
use crate::stage::Stage;
pub(super) use docs::Wanted;
pub use frame::{PEER_VERSION, PeerFrame};

/// Another replica, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Whose storage it is.
    pub replica: ReplicaId,
    /// The link to it, if there is one.
    pub link: Option<u64>,
    /// Writes held here that it is not known to have stored.
    pub behind: u64,
}

/// What tabs say to ask for the name of their storage.
const NO_NAME: ReplicaId = ReplicaId(0);
/// Messages of a peer that are kept until it has been greeted: it sends two.
const EARLY_MAX: usize = 2;

#[derive(Debug)]
struct Link {
    /// Whose it is, once it has said hello.
    replica: Option<ReplicaId>,
    /// What it is shown to be let in.
    token: Option<String>,
    needs_approval: bool,
    /// Of the leader that the other side has met.
    generation: Generation,
    is_approved: bool,
    /// Whether it takes what is sent.
    is_ready: bool,
    /// Whether this side has said hello.
    is_greeted: bool,
    /// Documents that are followed for the other side.
    wants: Set<DocName>,
    /// What came before that.
    early: Vec<Vec<u8>>,
    /// How far the other side holds, or has been sent, each origin's log.
    sent: Map<Origin, Seq>,
    /// How far the other side holds documents, as it has said.
    offers: Map<DocName, Frontier>,
}

impl Link {
    fn is_live(&self) -> bool {
        self.is_approved && self.is_ready
    }
}

#[derive(Debug, Default)]
pub(super) struct Peers {
    links: Map<u64, Link>,
    /// Whose storage this is, once that matters.
    replica: Option<ReplicaId>,
    is_new: bool,
    /// What each replica has stored of each origin.
    stored: Map<ReplicaId, Map<Origin, Seq>>,
    /// What was told of this one.
    told_stored: Map<Origin, Seq>,
    docs: docs::Fetched,
}

impl Peers {
    /// Whether logs are kept for others.
    pub(super) fn retains(&self) -> bool {
        self.replica.is_some()
    }

    /// Whose storage this is, if it has had peers.
    pub(super) fn replica(&self) -> Option<ReplicaId> {
        self.replica
    }

    /// The name to store, if it is new.
    pub(super) fn take_new(&mut self) -> Option<ReplicaId> {
        self.replica.filter(|_| std::mem::take(&mut self.is_new))
    }

    pub(super) fn is_unstored(&self) -> bool {
        self.is_new
    }

    /// Whether somebody who has no leader hears of the document from here.
    pub(super) fn wants(&self, doc: &DocName) -> bool {
        self.links.values().any(|link| link.wants.contains(doc))
    }

    fn live(&self) -> Vec<u64> {
        self.links.iter().filter(|(_, link)| link.is_live()).map(|(peer, _)| *peer).collect()
    }

    /// How many other replicas have stored a write.
    pub(super) fn count(&self, origin: Origin, seq: Seq) -> usize {
        let has = |logs: &Map<Origin, Seq>| logs.get(&origin).is_some_and(|stored| *stored >= seq);
        let others = self.stored.iter().filter(|(replica, _)| Some(**replica) != self.replica);
        others.filter(|(_, logs)| has(logs)).count()
    }
}

impl Replica {
    /// Other replicas that are linked or have been heard of.
    pub fn peers(&self) -> Vec<Peer> {
        let linked = self.peers.links.iter().filter_map(|(link, peer)| Some((peer.replica?, *link)));
        let linked: Vec<(ReplicaId, u64)> = linked.collect();
        let link_to = |replica: &ReplicaId| linked.iter().find(|(other, _)| other == replica).map(|(_, link)| *link);
        let known = self.peers.stored.keys().copied().filter(|replica| link_to(replica).is_none());
        let all = linked
            .iter()
            .map(|(replica, _)| *replica)
            .chain(known)
            .filter(|replica| Some(*replica) != self.peers.replica);
        let nothing = Map::default();
        let behind = |replica: &ReplicaId| {
            let stored = self.peers.stored.get(replica).unwrap_or(&nothing);
            let lanes = self.outbox.lanes();
            lanes.map(|(origin, lane)| lane.count_after(stored.get(&origin).copied().unwrap_or_default())).sum()
        };
        all.map(|replica| Peer { replica, link: link_to(&replica), behind: behind(&replica) }).collect()
    }

    pub(super) fn peer_opened(&mut self, peer: u64, token: Option<String>, needs_approval: bool) {
        if self.peers.links.len() >= PEERS_MAX {
            let error = Error::too_large("the number of peers", PEERS_MAX + 1, PEERS_MAX);
            return self.outputs.push_back(Output::ClosePeer { peer, error: Some(error) });
        }
        let link = Link {
            replica: None,
            token,
            needs_approval,
            generation: Generation(0),
            is_approved: false,
            is_ready: false,
            is_greeted: false,
            early: Vec::new(),
            wants: Set::default(),
            sent: Map::default(),
            offers: Map::default(),
        };
        self.peers.links.insert(peer, link);
        if self.is_ready {
            self.greet_peers();
        }
    }

    /// Whoever stores for all tabs gives the storage its name; others ask for it.
    pub(super) fn name_replica(&mut self) {
        match self.peers.replica {
            Some(replica) => self.tell_retained(replica),
            None if self.tabs.stores_all() => self.retain(ReplicaId(self.config.origin.0), true),
            None => self.tell_retained(NO_NAME),
        }
    }

    /// Another tab knows the storage's name, or asks for it.
    pub(super) fn replica_is_named(&mut self, replica: ReplicaId) {
        if replica == NO_NAME {
            if self.tabs.stores_all() {
                self.name_replica();
            }
        } else if !self.peers.retains() {
            self.retain(replica, false);
            // Whoever named it may not have been in time to store that.
            self.peers.is_new = self.tabs.stores_all();
        }
    }

    /// This tab stores for all from here on: the one before it may have told a name that it has not stored.
    pub(super) fn hold_peers(&mut self) {
        self.peers.is_new = self.peers.retains();
        self.greet_peers();
        self.ask_for_docs_again();
    }

    /// Another tab stores for all from here on.
    pub(super) fn follow_peers(&mut self) {
        self.greet_peers();
        self.ask_for_docs_again();
    }

    /// From here on logs are kept, under this name.
    pub(super) fn retain(&mut self, replica: ReplicaId, is_new: bool) {
        self.peers.replica = Some(replica);
        self.peers.is_new = is_new;
        self.outbox.retain();
        if is_new {
            self.tell_retained(replica);
        }
        if self.is_ready {
            self.greet_peers();
        }
    }

    /// Says hello by links that were opened before storage was read, or before it had a name.
    pub(super) fn greet_peers(&mut self) {
        let links = self.peers.links.iter().filter(|(_, link)| !link.is_greeted).map(|(peer, _)| *peer);
        let links: Vec<u64> = links.collect();
        if !links.is_empty() && !self.peers.retains() {
            self.name_replica();
        }
        links.into_iter().for_each(|peer| self.greet_peer(peer));
    }

    fn greet_peer(&mut self, peer: u64) {
        let (Some(replica), Some(link)) = (self.peers.replica, self.peers.links.get_mut(&peer)) else { return };
        if std::mem::replace(&mut link.is_greeted, true) {
            return;
        }
        let early = std::mem::take(&mut link.early);
        let (version, generation, token) = (PEER_VERSION, self.generation, link.token.clone());
        self.send_peer(peer, &PeerFrame::Hello { version, generation, replica, token });
        early.iter().for_each(|bytes| self.peer_frame(peer, bytes));
    }

    fn send_peer(&mut self, peer: u64, frame: &PeerFrame) {
        self.outputs.push_back(Output::SendPeer { peer, bytes: frame.encode() });
    }

    fn tell_peers(&mut self, frame: &PeerFrame, except: Option<u64>) {
        for peer in self.peers.live() {
            if Some(peer) != except {
                self.send_peer(peer, frame);
            }
        }
    }

    pub(super) fn peer_closed(&mut self, peer: u64) {
        let Some(link) = self.peers.links.remove(&peer) else { return };
        self.is_changed = true;
        let docs: Vec<DocName> = link.wants.iter().cloned().collect();
        self.close_unwanted(&docs);
        self.ask_others_than(peer);
    }

    /// The application gives a link up.
    pub(super) fn close_peer(&mut self, peer: u64) {
        if self.peers.links.contains_key(&peer) {
            let error = Error::new(Code::Closed, "the other side has closed the link");
            self.send_peer(peer, &PeerFrame::Close { error });
            self.peer_closed(peer);
            self.outputs.push_back(Output::ClosePeer { peer, error: None });
        }
    }

    fn give_up_peer(&mut self, peer: u64, error: Error) {
        if self.peers.links.contains_key(&peer) {
            self.send_peer(peer, &PeerFrame::Close { error: error.clone() });
            self.peer_closed(peer);
            self.outputs.push_back(Output::ClosePeer { peer, error: Some(error) });
        }
    }

    pub(super) fn peer_frame(&mut self, peer: u64, bytes: &[u8]) {
        // What was on its way when the link was given up is passed over.
        let Some(link) = self.peers.links.get_mut(&peer) else { return };
        if !link.is_greeted {
            // Who has not been greeted sends a hello, and nothing more until it is let in.
            if link.early.len() < EARLY_MAX {
                link.early.push(bytes.to_vec());
            }
            return;
        }
        let taken = PeerFrame::decode(bytes).and_then(|frame| self.take_peer_frame(peer, frame));
        if let Err(error) = taken {
            self.give_up_peer(peer, error);
        }
    }

    fn take_peer_frame(&mut self, peer: u64, frame: PeerFrame) -> Result<(), Error> {
        let Some(link) = self.peers.links.get(&peer) else { return Ok(()) };
        match frame {
            PeerFrame::Hello { version, generation, replica, token } if link.replica.is_none() => {
                return self.peer_says_hello(peer, (version, generation, replica), token);
            }
            PeerFrame::Ready { held } if link.replica.is_some() && !link.is_ready => self.peer_is_ready(peer, held),
            PeerFrame::Close { error } => {
                self.peer_closed(peer);
                self.outputs.push_back(Output::ClosePeer { peer, error: Some(error) });
            }
            PeerFrame::Hello { .. } | PeerFrame::Ready { .. } => {
                return Err(Error::new(Code::OutOfOrder, "a peer says hello once"));
            }
            _ if !link.is_approved => {
                return Err(Error::new(Code::OutOfOrder, "a peer sends before it is let in"));
            }
            PeerFrame::Writes { prev, unix_ms, batch } => self.peer_writes(peer, prev, unix_ms, batch),
            PeerFrame::Stored { replica, origins } => self.peer_has_stored(Some(peer), replica, origins),
            PeerFrame::Acked { origin, seq, stage } => self.peer_acks(origin, seq, stage),
            PeerFrame::Settled { origin, seq, place } => self.peer_settles(peer, origin, seq, place),
            PeerFrame::Rejected { origin, seq, error } => self.peer_rejects(origin, seq, error),
            PeerFrame::Docs { docs } => self.peer_has_docs(peer, docs),
            PeerFrame::WantDoc { doc, held } => self.peer_wants_doc(peer, doc, held),
            PeerFrame::DocUpdates { doc, reach, updates, frontier } => {
                self.check_updates(updates.iter().map(|update| &**update))?;
                self.peer_sends_doc(doc, Updates { reach, updates }, frontier);
            }
        }
        Ok(())
    }

    fn peer_says_hello(
        &mut self,
        peer: u64,
        (version, generation, replica): (u64, Generation, ReplicaId),
        token: Option<String>,
    ) -> Result<(), Error> {
        if version != PEER_VERSION {
            return Err(Error::new(Code::Version, format!("a peer speaks version {version}; this one {PEER_VERSION}")));
        }
        let (ours, theirs) = (self.generation, generation);
        if ours != Generation(0) && theirs != Generation(0) && ours != theirs {
            return Err(Error::new(Code::DatabaseReset, "the peer has met another generation of the database"));
        }
        if self.peers.replica == Some(replica) {
            return Err(Error::new(Code::Malformed, "the peer is this replica itself, or a copy of its storage"));
        }
        let Some(link) = self.peers.links.get_mut(&peer) else { return Ok(()) };
        link.replica = Some(replica);
        link.generation = theirs;
        if link.needs_approval {
            self.outputs.push_back(Output::AskPeer { peer, token });
            return Ok(());
        }
        self.approve_peer(peer, true);
        Ok(())
    }

    pub(super) fn approve_peer(&mut self, peer: u64, is_approved: bool) {
        let Some(link) = self.peers.links.get_mut(&peer).filter(|link| link.replica.is_some()) else { return };
        if !is_approved {
            let error = Error::new(Code::Unauthorized, "the peer was not let in; pass the token that it expects");
            return self.give_up_peer(peer, error);
        }
        let theirs = link.generation;
        if self.generation != Generation(0) && theirs != Generation(0) && self.generation != theirs {
            let message = "the peer has met another generation of the database";
            return self.give_up_peer(peer, Error::new(Code::DatabaseReset, message));
        }
        if !std::mem::replace(&mut link.is_approved, true) {
            if self.generation == Generation(0) && theirs != Generation(0) {
                self.generation = theirs;
                self.persister.generation_changed();
            }
            let lanes = self.outbox.lanes().filter(|(_, lane)| lane.heard > Seq(0));
            let held = lanes.map(|(origin, lane)| (origin, lane.heard)).take(PEER_ORIGINS_MAX).collect();
            self.send_peer(peer, &PeerFrame::Ready { held });
            self.peer_may_be_live(peer);
        }
    }

    fn peer_is_ready(&mut self, peer: u64, held: Vec<(Origin, Seq)>) {
        if let Some(link) = self.peers.links.get_mut(&peer) {
            link.is_ready = true;
            for (origin, seq) in held {
                link.sent.insert(origin, seq);
            }
        }
        self.peer_may_be_live(peer);
    }

    /// Both sides have let each other in: everything that the other lacks is sent.
    fn peer_may_be_live(&mut self, peer: u64) {
        if !self.peers.links.get(&peer).is_some_and(Link::is_live) {
            return;
        }
        let origins: Vec<Origin> = self.outbox.lanes().map(|(origin, _)| origin).collect();
        origins.into_iter().for_each(|origin| self.send_lane(peer, origin));
        let stored: Vec<_> = self.peers.stored.iter().map(|(replica, logs)| (*replica, flat(logs))).collect();
        for (replica, origins) in stored {
            self.send_peer(peer, &PeerFrame::Stored { replica, origins });
        }
        if let Some(replica) = self.peers.replica.filter(|_| !self.peers.told_stored.is_empty()) {
            let origins = flat(&self.peers.told_stored);
            self.send_peer(peer, &PeerFrame::Stored { replica, origins });
        }
        self.tell_what_leaders_said(peer);
        self.offer_docs();
        self.is_changed = true;
    }

    /// What leaders have said of writes while there was no link. The writes themselves were sent before.
    fn tell_what_leaders_said(&mut self, peer: u64) {
        let mut frames = Vec::new();
        for (origin, lane) in self.outbox.lanes() {
            for (seq, error) in lane.rejections() {
                frames.push(PeerFrame::Rejected { origin, seq, error: error.clone() });
            }
            if let Some((stage, seq)) = lane.best_stage() {
                frames.push(PeerFrame::Acked { origin, seq, stage });
            }
            let (seq, place) = lane.settled();
            if seq > Seq(0) {
                frames.push(PeerFrame::Settled { origin, seq, place: place.clone() });
            }
        }
        frames.iter().for_each(|frame| self.send_peer(peer, frame));
    }

    /// Sends what the other side lacks of an origin's log.
    fn send_lane(&mut self, peer: u64, origin: Origin) {
        let Some(sent) = self.peers.links.get(&peer).map(|link| link.sent.get(&origin).copied().unwrap_or_default())
        else {
            return;
        };
        let Some(lane) = self.outbox.get(origin) else { return };
        let (forgotten, (_, place)) = (lane.forgotten, lane.settled());
        let mut sent = sent;
        if forgotten > sent {
            // Those are in documents alone, and in the leader's log.
            let place = place.clone();
            self.send_peer(peer, &PeerFrame::Settled { origin, seq: forgotten, place });
            sent = forgotten;
        }
        while let Some((prev, unix_ms, batch)) = self.outbox.retained_after(origin, sent) {
            sent = batch.writes.last().map_or(sent, |write| write.seq);
            self.send_peer(peer, &PeerFrame::Writes { prev, unix_ms, batch });
        }
        if let Some(link) = self.peers.links.get_mut(&peer).filter(|_| sent > Seq(0)) {
            link.sent.insert(origin, sent);
        }
    }

    /// What came since: writes go to every link, what was stored is told.
    pub(super) fn feed_peers(&mut self) {
        let (entered, stored) = self.outbox.take_news();
        if !self.peers.retains() {
            return;
        }
        let live = self.peers.live();
        for origin in entered.iter() {
            live.iter().for_each(|peer| self.send_lane(*peer, *origin));
        }
        let mut news = Vec::new();
        for origin in stored.iter() {
            let lane = self.outbox.get(*origin).filter(|lane| lane.partial.is_empty());
            let Some(seq) = lane.map(|lane| lane.stored) else { continue };
            if self.peers.told_stored.get(origin).is_none_or(|told| *told < seq) {
                self.peers.told_stored.insert(*origin, seq);
                news.push((*origin, seq));
            }
        }
        if let Some(replica) = self.peers.replica.filter(|_| !news.is_empty()) {
            self.tell_peers(&PeerFrame::Stored { replica, origins: news }, None);
        }
        self.offer_moved_docs();
        self.store_fetched();
    }

    /// Refuses what is no update: once stored, it would close its document for everybody.
    fn check_updates<'a>(&self, mut updates: impl Iterator<Item = &'a [u8]>) -> Result<(), Error> {
        let refused = updates.find_map(|update| (self.config.check)(update).err());
        refused.map_or(Ok(()), |cause| Err(Error::malformed(format!("a peer sends what is no update: {cause}"))))
    }

    fn is_of_this_storage(&self, origin: Origin) -> bool {
        origin == self.config.origin || self.tabs.is_alive(origin)
    }

    fn peer_writes(&mut self, peer: u64, prev: Seq, unix_ms: u64, batch: Batch) {
        let Some((origin, last)) = batch.writes.last().map(|write| (write.origin, write.seq)) else { return };
        // Writes of this storage's own tabs, by a way around.
        if self.is_of_this_storage(origin) {
            return;
        }
        if let Some(link) = self.peers.links.get_mut(&peer) {
            let sent = link.sent.get_or_default(origin);
            *sent = (*sent).max(last);
        }
        let updates = batch.writes.iter().flat_map(|write| &write.parts).map(|part| &*part.update);
        if let Err(error) = self.check_updates(updates) {
            return self.give_up_peer(peer, error);
        }
        if self.outbox.get(origin).is_none() && self.outbox.lanes().count() >= PEER_ORIGINS_MAX {
            let error =
                Error::too_large("the number of openings that have written", PEER_ORIGINS_MAX + 1, PEER_ORIGINS_MAX);
            return self.give_up_peer(peer, error);
        }
        let writes = batch.writes.clone();
        if self.hear_writes(prev, unix_ms, writes) {
            self.relay_to_tabs(prev, unix_ms, batch);
        }
    }

    /// What other replicas are known to have stored.
    pub(super) fn tell_tabs_what_peers_stored(&mut self) {
        let stored: Vec<_> = self.peers.stored.iter().map(|(replica, logs)| (*replica, flat(logs))).collect();
        for (replica, origins) in stored {
            self.tell_others(|| TabFrame::PeerStored { replica, origins });
        }
    }

    /// A replica has stored that much, as a peer says, or another tab that has heard it from a peer.
    pub(super) fn peer_has_stored(&mut self, peer: Option<u64>, replica: ReplicaId, origins: Vec<(Origin, Seq)>) {
        if self.peers.replica == Some(replica) {
            return;
        }
        if self.peers.stored.len() >= PEERS_MAX && !self.peers.stored.contains_key(&replica) {
            return;
        }
        let known = self.peers.stored.get_or_default(replica);
        let mut news = Vec::new();
        for (origin, seq) in origins {
            if known.len() >= PEER_ORIGINS_MAX && !known.contains_key(&origin) {
                continue;
            }
            let stored = known.get_or_default(origin);
            if *stored < seq {
                *stored = seq;
                news.push((origin, seq));
            }
        }
        if !news.is_empty() {
            if let Some(peer) = peer {
                self.tell_others(|| TabFrame::PeerStored { replica, origins: news.clone() });
                self.tell_peers(&PeerFrame::Stored { replica, origins: news }, Some(peer));
            }
            self.peers_have_stored();
        }
    }

    fn peer_acks(&mut self, origin: Origin, seq: Seq, stage: Stage) {
        let is_news = self.outbox.get(origin).is_some_and(|lane| lane.reached(stage) < seq && lane.heard >= seq);
        if is_news && stage >= Stage::Leader {
            self.other_reached(origin, seq, stage);
            self.tell_peers_stage(origin, seq, stage);
            self.tell_others(|| TabFrame::Acked { origin, seq, stage });
        }
    }

    fn peer_settles(&mut self, peer: u64, origin: Origin, seq: Seq, place: Frontier) {
        // Of what is written here, nobody else knows more.
        let written = self.outbox.get(origin).map_or(Seq(0), |lane| lane.heard);
        if self.is_of_this_storage(origin) && seq > written {
            return;
        }
        if let Some(link) = self.peers.links.get_mut(&peer) {
            let sent = link.sent.get_or_default(origin);
            *sent = (*sent).max(seq);
        }
        if self.outbox.lane_of(origin).settled().0 >= seq {
            return;
        }
        self.outbox.forget_unheard(origin, seq, &place);
        self.outbox.settle(origin, seq, &place);
        // Logs are kept: nothing leaves storage for it.
        let settled = vec![(origin, seq, place.clone())];
        self.tell_others(|| TabFrame::Committed { through: 0, settled });
        self.lane_is_settled(origin, seq, &place, Some(peer));
    }

    /// Writes of an origin are settled: it is remembered, and told.
    pub(super) fn lane_is_settled(&mut self, origin: Origin, seq: Seq, place: &Frontier, except: Option<u64>) {
        if self.peers.retains() {
            self.persister.lane_changed(origin);
            // What is settled is sent before it is said to be.
            self.peers.live().into_iter().for_each(|peer| self.send_lane(peer, origin));
            self.tell_peers(&PeerFrame::Settled { origin, seq, place: place.clone() }, except);
            self.is_changed = true;
        }
    }

    fn peer_rejects(&mut self, origin: Origin, seq: Seq, error: Error) {
        // Whoever does not have it, or has it rejected already, ends the round.
        if self.reject_named(origin, seq, error.clone()) {
            self.tell_peers_rejected(origin, seq, &error);
            self.tell_tabs_rejected(origin, seq, &error);
        }
    }

    /// What a leader has said of a write goes to peers, too.
    pub(super) fn tell_peers_stage(&mut self, origin: Origin, seq: Seq, stage: Stage) {
        if stage >= Stage::Leader && self.peers.retains() {
            self.tell_peers(&PeerFrame::Acked { origin, seq, stage }, None);
        }
    }

    pub(super) fn tell_peers_rejected(&mut self, origin: Origin, seq: Seq, error: &Error) {
        if self.peers.retains() {
            self.tell_peers(&PeerFrame::Rejected { origin, seq, error: error.clone() }, None);
        }
    }
}

fn flat(logs: &Map<Origin, Seq>) -> Vec<(Origin, Seq)> {
    logs.iter().map(|(origin, seq)| (*origin, *seq)).take(PEER_ORIGINS_MAX).collect()
}
