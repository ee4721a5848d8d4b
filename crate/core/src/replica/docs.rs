//! Which documents are open, what the replica holds of each, and how they join the live stream.
//!
//! Documents on the live stream share one frontier, the stream's; its row is written with every batch. Their own rows
//! only say whose stream they are on. A document that is opened later catches up by itself, as a group with others
//! that hold as much, and then joins the stream. After a reconnect the stream catches up first, as one group.
//!
//! Nodes of a group are not equally far. On one that is behind, what was on the stream before holds more than what joins it,
//! and what has been closed in between may hold more than the stream: such a document follows the stream alone, with a
//! frontier of its own, until it holds exactly what the stream holds. **Nobody shares a frontier that says more than they
//! hold, or less.**

mod contents;

use super::persist::{Persister, Updates};
use super::tabs::TabFrame;
use super::{Output, Replica};
use crate::batch::{Batch, Part, Write};
use crate::error::{Code, Error};
use crate::frame::ClientFrame;
use crate::frontier::Frontier;
use crate::ids::{DocName, Epoch, Lsn, Origin};
use crate::limits::{BATCH_BYTES_TARGET, SUBSCRIPTIONS_MAX};
use crate::sorted::{Map, Set};
use crate::wire::{Reader, Writer};
use contents::Partial;
pub(super) use contents::Piece;
use std::rc::Rc;

/// Above this size of a group, its documents' frontiers are stored when it has caught up and not on the way.
const GROUP_ROWS_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loading {
    /// Another tab has been asked what storage does not have of it yet. Only an answer of one that has heard this tab up to
    /// that message counts.
    Asked(u64),
    /// To be read once nothing waits to be stored.
    Wanted,
    /// Its row and its updates are being read: which reading it is, and how many answers are still to come.
    Reading(u64, u8),
    Done,
}

#[derive(Debug)]
struct Doc {
    /// Whether the application has it open; otherwise it is followed for other tabs alone.
    is_shown: bool,
    loading: Loading,
    /// Whether it is known what is held of it: its row says so only to who begins to follow it.
    is_held: bool,
    /// Whether it is shown and read again because something may have been missed.
    is_refreshing: bool,
    /// Whether it was loaded before and is read again to undo a rejected write.
    is_rebuilding: bool,
    updates: Vec<Updates>,
    /// What is held of it without a gap, unless it is on the stream.
    frontier: Frontier,
    /// How far in the leaders' logs single updates reach that its content shows besides: own writes that were acknowledged
    /// while it was catching up, and what another tab has stored.
    reach: Frontier,
    follows: Follows,
    /// A snapshot that is arriving.
    partial: Option<Partial>,
}

impl Doc {
    fn new(is_shown: bool, loading: Loading) -> Self {
        Self {
            is_shown,
            loading,
            is_held: false,
            is_refreshing: false,
            is_rebuilding: false,
            updates: Vec::new(),
            frontier: Frontier::default(),
            reach: Frontier::default(),
            follows: Follows::Nothing,
            partial: None,
        }
    }
}

/// Updates to show, by document, and who wrote each if that is known.
#[derive(Default)]
pub(super) struct News(Map<DocName, OfDoc>);

#[derive(Default)]
struct OfDoc {
    updates: Vec<Rc<[u8]>>,
    origins: Vec<Origin>,
}

impl News {
    /// Either all updates of a document have an origin, or none.
    pub(super) fn add(&mut self, origin: Option<Origin>, part: &Part) {
        let news = self.0.get_or_default(part.doc.clone());
        news.updates.push(part.update.clone());
        news.origins.extend(origin);
    }
}

/// How a document is kept up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    Nothing,
    /// It catches up with this group.
    Group(u64),
    /// What is on the live stream concerns it, and it has a frontier of its own.
    Alone,
    /// It shares the stream's frontier, also while there is no connection.
    Stream,
}

#[derive(Debug, Default)]
pub(super) struct Docs {
    open: Map<DocName, Doc>,
    /// What documents on the stream hold.
    stream: Frontier,
    stream_is: Stream,
    /// Whether some document follows the stream alone.
    has_alone: bool,
    /// Whether other tabs have not been told how far the documents have come.
    pub(super) has_moved: bool,
    /// The same of peers.
    pub(super) has_moved_for_peers: bool,
    last_group: u64,
    last_reading: u64,
    /// The frontiers of earlier openings' streams.
    pub(super) earlier: Map<Origin, Frontier>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stream {
    #[default]
    Down,
    CatchingUp(u64),
    Live,
}

impl Docs {
    pub(super) fn stream(&self) -> &Frontier {
        &self.stream
    }

    pub(super) fn frontier(&self, doc: &DocName) -> Frontier {
        match self.open.get(doc) {
            Some(doc) if doc.follows == Follows::Stream => self.stream.clone(),
            Some(doc) => doc.frontier.clone(),
            None => Frontier::default(),
        }
    }

    /// How far in the leaders' logs the content of a document may reach.
    pub(super) fn reach(&self, doc: &DocName) -> Frontier {
        let mut reach = self.frontier(doc);
        self.open.get(doc).into_iter().for_each(|doc| reach.join(&doc.reach));
        reach
    }

    pub(super) fn reaches(&mut self, doc: &DocName, epoch: Epoch, lsn: Lsn) {
        self.open.get_mut(doc).into_iter().for_each(|doc| doc.reach.advance_epoch(epoch, lsn));
    }

    /// Whether the application sees it as it is here.
    pub(super) fn is_shown(&self, doc: &DocName) -> bool {
        self.open.get(doc).is_some_and(|doc| doc.is_shown && doc.loading == Loading::Done)
    }

    /// Whether it is open for other tabs alone.
    pub(super) fn is_for_others(&self, doc: &DocName) -> bool {
        self.open.get(doc).is_some_and(|doc| !doc.is_shown)
    }

    pub(super) fn is_open(&self, doc: &DocName) -> bool {
        self.open.contains_key(doc)
    }

    /// Whether this reading of it is under way.
    pub(super) fn is_being_read(&self, doc: &DocName, reading: u64) -> bool {
        self.open.get(doc).is_some_and(|doc| matches!(doc.loading, Loading::Reading(of, _) if of == reading))
    }

    /// What the application has open.
    pub(super) fn shown(&self) -> Vec<DocName> {
        self.open.iter().filter(|(_, doc)| doc.is_shown).map(|(name, _)| name.clone()).collect()
    }

    /// What is held of a document: nothing if that is not known yet, and no frontier of its own if it shares the stream's.
    pub(super) fn state(&self, doc: &DocName) -> Option<Option<Frontier>> {
        let doc = self.open.get(doc).filter(|doc| doc.is_held)?;
        Some((doc.follows != Follows::Stream).then(|| doc.frontier.clone()))
    }

    /// Documents of which it is known what is held.
    pub(super) fn held(&self) -> Vec<DocName> {
        self.open.iter().filter(|(_, doc)| doc.is_held).map(|(name, _)| name.clone()).collect()
    }

    /// Everything that this frontier says of the document is held, besides what was.
    pub(super) fn holds_besides(&mut self, doc: &DocName, frontier: &Frontier) {
        // Who shares the stream's frontier is fed by a leader, and holds it soon.
        if let Some(doc) =
            self.open.get_mut(doc).filter(|doc| doc.follows != Follows::Stream || self.stream_is == Stream::Down)
        {
            if doc.follows == Follows::Stream {
                doc.frontier = self.stream.clone();
                doc.follows = Follows::Nothing;
            }
            doc.frontier.join(frontier);
        }
    }

    /// Has a document followed for other tabs.
    pub(super) fn open_for_others(&mut self, name: DocName) {
        if self.open.len() < SUBSCRIPTIONS_MAX {
            self.open.get_or_insert_with(name, || Doc::new(false, Loading::Wanted));
        }
    }

    /// What another tab has said that is held of documents.
    pub(super) fn mirror(&mut self, stream: Frontier, docs: Vec<(DocName, Option<Frontier>)>) {
        self.stream = stream;
        for (name, state) in docs {
            let Some(doc) = self.open.get_mut(&name) else { continue };
            doc.is_held = true;
            doc.follows = if state.is_none() { Follows::Stream } else { Follows::Nothing };
            doc.frontier = state.unwrap_or_default();
        }
    }

    /// Another tab is the holder: what it says of its stream goes for the documents that it names, and for no others.
    pub(super) fn holder_changed(&mut self) {
        for doc in self.open.values_mut().filter(|doc| doc.follows == Follows::Stream) {
            doc.frontier = self.stream.clone();
            doc.follows = Follows::Nothing;
        }
    }

    /// Updates that pass by while a document is being read, and that storage may not have shown.
    pub(super) fn pass_by(&mut self, name: &DocName, updates: Updates) {
        if let Some(doc) = self.open.get_mut(name).filter(|doc| doc.is_shown && doc.loading != Loading::Done) {
            doc.updates.push(updates);
        }
    }

    /// Another tab that has heard this one up to a message has told what storage does not have: now it can be read. Answers
    /// what is to be shown at once.
    pub(super) fn answered(&mut self, name: &DocName, heard: u64, updates: Updates) -> Vec<Rc<[u8]>> {
        let Some(doc) = self.open.get_mut(name) else { return Vec::new() };
        doc.reach.join(&updates.reach);
        if doc.loading == Loading::Done {
            return updates.updates;
        }
        doc.updates.push(updates);
        if matches!(doc.loading, Loading::Asked(at) if at <= heard) {
            doc.loading = Loading::Wanted;
        }
        Vec::new()
    }

    /// From here on this tab stores what is held, beginning with what it has been told of.
    pub(super) fn hold(&mut self, persister: &mut Persister) {
        self.stream_is = Stream::Down;
        self.has_alone = false;
        self.has_moved = true;
        for (name, doc) in self.open.iter_mut() {
            // What is held of it, only its row says: one that was read before this tab could go by it is read again.
            if matches!(doc.loading, Loading::Asked(_)) || !doc.is_held {
                doc.is_refreshing |= doc.loading == Loading::Done && !doc.is_rebuilding;
                doc.loading = Loading::Wanted;
            }
            if doc.is_held {
                persister.doc_changed(name.clone());
            }
        }
        persister.stream_changed();
    }

    /// From here on another tab stores what is held.
    pub(super) fn leave_to_others(&mut self) {
        self.open.retain(|_, doc| doc.is_shown);
        self.stream_is = Stream::Down;
        self.has_alone = false;
        for doc in self.open.values_mut() {
            doc.frontier = if doc.follows == Follows::Stream { self.stream.clone() } else { doc.frontier.clone() };
            doc.follows = Follows::Nothing;
            // What this tab shows is not all stored. Whoever stores from here on says what is held.
            doc.is_held = false;
            if doc.loading == Loading::Wanted {
                doc.loading = Loading::Asked(0);
            }
        }
    }

    pub(super) fn is_readable(&self, doc: &DocName) -> bool {
        self.open.get(doc).is_some_and(|doc| doc.loading == Loading::Done)
    }

    /// Whether a read of storage is under way that must see neither too much nor too little.
    pub(super) fn is_reading(&self) -> bool {
        self.open.values().any(|doc| matches!(doc.loading, Loading::Reading(..)))
    }

    /// Whether a document still shows rejected writes.
    pub(super) fn is_rebuilding(&self) -> bool {
        self.open.values().any(|doc| doc.is_rebuilding)
    }

    /// A write that touches a document whose rejected writes are being undone cannot stand.
    pub(super) fn refusal_of(&self, write: &Write) -> Option<Error> {
        let rebuilding = |doc: &DocName| self.open.get(doc).is_some_and(|doc| doc.is_rebuilding);
        write.parts.iter().find(|part| rebuilding(&part.doc)).map(|part| super::reject::depends(&part.doc))
    }

    /// The document's row: its frontier, and whose stream it is on.
    pub(super) fn row(&self, doc: &DocName, own: Origin) -> Vec<u8> {
        let mut out = Writer::default();
        self.frontier(doc).encode(&mut out);
        let is_on_stream = self.open.get(doc).is_some_and(|doc| doc.follows == Follows::Stream);
        out.fixed(if is_on_stream { own.0 } else { 0 });
        out.0
    }

    pub(super) fn load_row(&self, value: &[u8]) -> Result<Frontier, Error> {
        let mut input = Reader::new(value);
        let mut frontier = Frontier::decode(&mut input)?;
        let stream = input.origin()?;
        input.end()?;
        if let Some(earlier) = self.earlier.get(&stream) {
            frontier.join(earlier);
        }
        Ok(frontier)
    }
}

impl Replica {
    pub(super) fn open_doc(&mut self, name: DocName) {
        if self.docs.open.len() >= SUBSCRIPTIONS_MAX && !self.docs.open.contains_key(&name) {
            let error = Error::too_large("the number of open documents", SUBSCRIPTIONS_MAX + 1, SUBSCRIPTIONS_MAX);
            return self.outputs.push_back(Output::Unloadable { doc: name, error });
        }
        let loading = self.first_loading();
        let doc = self.docs.open.get_or_insert_with(name.clone(), || Doc::new(true, loading));
        if !doc.is_shown {
            doc.is_shown = true;
            doc.loading = loading;
        }
        if loading != Loading::Wanted {
            self.tell_tabs(TabFrame::Want { docs: vec![name] });
        }
    }

    /// How the reading of a document begins.
    fn first_loading(&self) -> Loading {
        if self.tabs.stores_all() { Loading::Wanted } else { Loading::Asked(self.tabs.told_messages()) }
    }

    pub(super) fn close_doc(&mut self, name: &DocName) {
        if !self.tabs.stores_all() {
            if self.docs.open.remove(name).is_some() {
                self.tell_tabs(TabFrame::Unwant { docs: vec![name.clone()] });
            }
            return;
        }
        let is_wanted = self.is_wanted(name);
        match self.docs.open.get_mut(name).filter(|_| is_wanted) {
            Some(doc) => {
                doc.is_shown = false;
                doc.is_rebuilding = false;
                doc.is_refreshing = false;
                doc.updates = Vec::new();
                doc.loading = if doc.is_held { Loading::Done } else { Loading::Wanted };
            }
            None => self.end_doc(name),
        }
    }

    /// Follows a document no more.
    pub(super) fn end_doc(&mut self, name: &DocName) {
        let frontier = self.docs.frontier(name);
        let Some(doc) = self.docs.open.get_mut(name) else { return };
        // Its row must not say any more that it is on the stream, and it must say what has been caught up so far. It goes
        // with what is stored next.
        if doc.follows != Follows::Nothing {
            doc.frontier = frontier;
            doc.follows = Follows::Nothing;
            let row = self.docs.row(name, self.config.origin);
            self.persister.close_doc(name.clone(), row);
        }
        self.docs.open.remove(name);
        if self.link.is_greeted() {
            self.send(&ClientFrame::Unsubscribe { docs: vec![name.clone()] });
        }
    }

    /// What is held of a document counts as nothing: the leader sends it from the start.
    pub(super) fn follow_from_zero(&mut self, name: &DocName) {
        let Some(doc) = self.docs.open.get_mut(name) else { return };
        let was_followed = doc.follows != Follows::Nothing;
        doc.frontier = Frontier::default();
        doc.follows = Follows::Nothing;
        doc.is_held = true;
        self.docs.has_moved = true;
        self.persister.doc_changed(name.clone());
        if was_followed && self.link.is_greeted() {
            self.send(&ClientFrame::Unsubscribe { docs: vec![name.clone()] });
        }
    }

    pub(super) fn rebuild_doc(&mut self, name: &DocName) {
        let loading = self.first_loading();
        let Some(doc) = self.docs.open.get_mut(name).filter(|doc| doc.is_shown) else { return };
        if doc.loading != Loading::Done {
            // It is being read: for the first time, or to make up for what was missed.
            doc.is_rebuilding |= doc.is_refreshing;
            return;
        }
        doc.loading = loading;
        doc.is_rebuilding = true;
        if loading != Loading::Wanted {
            self.tell_tabs(TabFrame::Want { docs: vec![name.clone()] });
        }
    }

    /// Reads what is shown again, since something may have been missed. A reading that has begun may have missed it too.
    pub(super) fn read_documents_again(&mut self) {
        let loading = self.first_loading();
        for doc in self.docs.open.values_mut().filter(|doc| doc.is_shown) {
            doc.is_refreshing |= doc.loading == Loading::Done;
            doc.loading = loading;
        }
    }

    /// Asks storage for documents between two commits: what is not stored yet is in memory, and joins what is read.
    pub(super) fn read_documents(&mut self) {
        // What was rejected leaves storage first: the writes behind it wait for that.
        if !self.persister.is_idle() || self.persister.drops_rows() {
            return;
        }
        let wanted = self.docs.open.iter_mut().filter(|(_, doc)| doc.loading == Loading::Wanted);
        let last = &mut self.docs.last_reading;
        let readings: Vec<(DocName, u64, bool)> = wanted
            .map(|(name, doc)| {
                *last += 1;
                // Who does not show it only needs to know what is held.
                doc.loading = Loading::Reading(*last, if doc.is_shown { 2 } else { 1 });
                (name.clone(), *last, doc.is_shown)
            })
            .collect();
        readings.into_iter().for_each(|(name, reading, is_shown)| self.ask_for_doc(name, reading, is_shown));
    }

    pub(super) fn doc_row_read(&mut self, name: &DocName, reading: u64, row: Option<&[u8]>) -> Result<(), Error> {
        let frontier = row.map(|value| self.docs.load_row(value)).transpose()?;
        // Who does not store it is told what is held by who does.
        let stores_all = self.tabs.stores_all();
        let is_asked = |doc: &&mut Doc| {
            stores_all && !doc.is_held && matches!(doc.loading, Loading::Reading(of, _) if of == reading)
        };
        if let Some(doc) = self.docs.open.get_mut(name).filter(is_asked) {
            doc.frontier = frontier.unwrap_or_default();
            doc.is_held = true;
        }
        self.doc_part_read(name, reading, Vec::new());
        Ok(())
    }

    pub(super) fn doc_part_read(&mut self, name: &DocName, reading: u64, updates: Vec<Updates>) {
        let Some(doc) = self.docs.open.get_mut(name) else { return };
        let Loading::Reading(of, parts) = doc.loading else { return };
        if of != reading {
            return; // Of an earlier opening.
        }
        doc.updates.extend(updates);
        doc.loading = if parts > 1 { Loading::Reading(of, parts - 1) } else { Loading::Done };
        if doc.loading != Loading::Done {
            return;
        }
        let mut settled = std::mem::take(&mut doc.updates);
        let (is_rebuilding, is_refreshing) = (doc.is_rebuilding, std::mem::take(&mut doc.is_refreshing));
        if !doc.is_shown {
            return self.reads_may_end();
        }
        settled.extend(self.persister.unstored_updates(name));
        settled.iter().for_each(|updates| doc.reach.join(&updates.reach));
        let mut updates: Vec<Rc<[u8]>> = settled.into_iter().flat_map(|updates| updates.updates).collect();
        updates.extend(self.outbox.unsettled_updates(name));
        let doc = name.clone();
        self.outputs.push_back(match (is_rebuilding, is_refreshing) {
            (true, _) => Output::Rebuild { doc, updates },
            (false, true) => Output::Apply { doc, updates, origins: Vec::new() },
            (false, false) => Output::Load { doc, updates },
        });
        self.reads_may_end();
    }

    /// The host has made the document anew. What was written to it until now was refused.
    pub(super) fn rebuilt(&mut self, name: &DocName) {
        if let Some(doc) = self.docs.open.get_mut(name).filter(|doc| doc.loading == Loading::Done) {
            doc.is_rebuilding = false;
        }
    }

    /// Storage failed while documents were being read. An empty document in their place could overwrite them.
    pub(super) fn docs_failed(&mut self, error: &Error) {
        let waiting: Vec<DocName> = self
            .docs
            .open
            .iter()
            .filter(|(_, doc)| doc.loading != Loading::Done)
            .map(|(name, _)| name.clone())
            .collect();
        for name in waiting {
            self.doc_cannot_load(&name, error);
        }
    }

    pub(super) fn doc_cannot_load(&mut self, name: &DocName, error: &Error) {
        self.docs.open.remove(name);
        self.outputs.push_back(Output::Unloadable { doc: name.clone(), error: error.clone() });
        self.is_changed = true;
    }

    /// The node has welcomed the replica: the stream catches up first, or begins at what the node holds, also where that is
    /// less than what the stream had.
    pub(super) fn resume_stream(&mut self, node: &Frontier) {
        let on_stream = self.docs.open.iter().filter(|(_, doc)| doc.follows == Follows::Stream);
        let docs: Vec<DocName> = on_stream.map(|(name, _)| name.clone()).collect();
        if docs.is_empty() {
            self.docs.stream = node.epochs_only();
            self.docs.stream_is = Stream::Live;
            self.persister.stream_changed();
            return;
        }
        let (fitting, rest) = split_by_weight(docs);
        for name in rest {
            let frontier = self.docs.stream.clone();
            let doc = self.docs.open.get_mut(&name).expect("listed above");
            doc.frontier = frontier;
            doc.follows = Follows::Nothing;
            self.persister.doc_changed(name);
        }
        let group = self.next_group();
        self.docs.stream_is = Stream::CatchingUp(group);
        let frontier = self.docs.stream.clone();
        self.say_what_is_here(&fitting);
        self.send(&ClientFrame::Subscribe { group, frontier, docs: fitting });
    }

    /// Subscribes to documents that are open and not on their way, those that hold as much as each other together.
    pub(super) fn subscribe_unsubscribed(&mut self) {
        if !self.link.is_greeted() || self.docs.stream_is != Stream::Live {
            return;
        }
        let is_idle = |doc: &Doc| doc.loading == Loading::Done && doc.follows == Follows::Nothing;
        let mut idle: Vec<(Frontier, Vec<DocName>)> = Vec::new();
        for (name, doc) in self.docs.open.iter().filter(|(_, doc)| is_idle(doc)) {
            match idle.iter_mut().find(|(frontier, _)| *frontier == doc.frontier) {
                Some((_, names)) => names.push(name.clone()),
                None => idle.push((doc.frontier.clone(), vec![name.clone()])),
            }
        }
        for (frontier, mut names) in idle {
            while !names.is_empty() {
                let (fitting, rest) = split_by_weight(names);
                names = rest;
                let group = self.next_group();
                for name in &fitting {
                    self.docs.open.get_mut(name).expect("listed above").follows = Follows::Group(group);
                }
                self.say_what_is_here(&fitting);
                self.send(&ClientFrame::Subscribe { group, frontier: frontier.clone(), docs: fitting });
            }
        }
    }

    /// Entries of the log, with which the group's documents are held up to `through`.
    pub(super) fn entries(&mut self, group: u64, epoch: Epoch, through: Lsn, batch: Batch) {
        // While the stream catches up, how far the leader's live stream has come says nothing of what is held here.
        if group == 0 && self.docs.stream_is != Stream::Live {
            return;
        }
        let is_stream = group == 0 || self.docs.stream_is == Stream::CatchingUp(group);
        let members: Set<DocName> = self
            .docs
            .open
            .iter()
            .filter(|(_, doc)| match doc.follows {
                Follows::Stream => is_stream,
                Follows::Alone => group == 0,
                Follows::Group(own) => own == group,
                Follows::Nothing => false,
            })
            .map(|(name, _)| name.clone())
            .collect();
        let batch = batch.filtered(|_, doc| members.contains(doc));
        let mut news = News::default();
        for write in &batch.writes {
            for part in &write.parts {
                self.persister.add_update(part.doc.clone(), part.update.clone(), epoch, through);
                news.add(Some(write.origin), part);
            }
        }
        self.tell_updates(epoch, through, batch);
        self.show(news);
        if is_stream {
            self.stream_through(epoch, through);
        } else {
            for name in members.iter() {
                let doc = self.docs.open.get_mut(name).expect("a member is open");
                doc.frontier.advance_epoch(epoch, through);
                if members.len() <= GROUP_ROWS_MAX {
                    self.persister.doc_changed(name.clone());
                }
            }
        }
        if group != 0 {
            self.send(&ClientFrame::Credit { group, frames: 1 });
        }
        self.reads_may_end();
    }

    /// Shows updates in the documents that are open and read. Those that are being read get unsettled writes at the end of that.
    pub(super) fn show(&mut self, news: News) {
        for (doc, OfDoc { updates, origins }) in news.0 {
            if self.docs.is_shown(&doc) {
                self.outputs.push_back(Output::Apply { doc, updates, origins });
            }
        }
        self.is_changed = true;
        self.reads_may_end();
    }

    /// An acknowledgement also says how far the live stream has come. While the stream catches up, that is no news of it.
    pub(super) fn stream_through_if_live(&mut self, epoch: Epoch, through: Lsn) {
        if self.docs.stream_is == Stream::Live {
            self.stream_through(epoch, through);
        }
    }

    fn stream_through(&mut self, epoch: Epoch, through: Lsn) {
        if self.docs.stream.lsn(epoch) < through {
            self.docs.stream.advance_epoch(epoch, through);
            self.persister.stream_changed();
            self.is_changed = true;
        }
        if self.docs.has_alone {
            for doc in self.docs.open.values_mut().filter(|doc| doc.follows == Follows::Alone) {
                doc.frontier.advance_epoch(epoch, through);
            }
            self.join_stream();
        }
    }

    /// A group has caught up with the stream.
    pub(super) fn group_is_live(&mut self, group: u64, frontier: &Frontier) -> Result<(), Error> {
        let frontier = frontier.epochs_only();
        if self.docs.stream_is == Stream::CatchingUp(group) {
            self.docs.stream_is = Stream::Live;
            self.docs.stream.join(&frontier);
            self.persister.stream_changed();
        } else {
            if self.docs.stream_is != Stream::Live || !self.docs.stream.dominates_epochs(&frontier) {
                return Err(Error::new(Code::OutOfOrder, format!("group {group} is live ahead of the live stream")));
            }
            for doc in self.docs.open.values_mut().filter(|doc| doc.follows == Follows::Group(group)) {
                doc.follows = Follows::Alone;
                doc.frontier.join(&frontier);
            }
            self.join_stream();
        }
        self.is_changed = true;
        self.reads_may_end();
        Ok(())
    }

    /// Whoever follows the stream and holds exactly what it holds shares its frontier from here on.
    fn join_stream(&mut self) {
        let stream = &self.docs.stream;
        let alone = self.docs.open.iter_mut().filter(|(_, doc)| doc.follows == Follows::Alone);
        let (equal, others): (Vec<_>, Vec<_>) =
            alone.partition(|(_, doc)| doc.frontier.dominates_epochs(stream) && stream.dominates_epochs(&doc.frontier));
        for (name, doc) in equal {
            doc.follows = Follows::Stream;
            self.persister.doc_changed(name.clone());
            self.persister.stream_changed();
        }
        self.docs.has_alone = !others.is_empty();
        if others.len() <= GROUP_ROWS_MAX {
            others.into_iter().for_each(|(name, _)| self.persister.doc_changed(name.clone()));
        }
    }

    pub(super) fn stream_is_down(&mut self) {
        self.docs.stream_is = Stream::Down;
        self.docs.last_group = 0;
        self.docs.has_alone = false;
        for doc in self.docs.open.values_mut().filter(|doc| doc.follows != Follows::Stream) {
            doc.follows = Follows::Nothing;
        }
    }

    fn next_group(&mut self) -> u64 {
        self.docs.last_group += 1;
        self.docs.last_group
    }
}

// As many names as one frame takes, and the others.
fn split_by_weight(mut names: Vec<DocName>) -> (Vec<DocName>, Vec<DocName>) {
    let mut weight = 0;
    let fits = names.iter().take_while(|name| {
        weight += name.as_str().len() + 2;
        weight <= BATCH_BYTES_TARGET
    });
    let fitting = fits.count();
    let rest = names.split_off(fitting);
    (names, rest)
}
