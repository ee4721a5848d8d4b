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

use super::persist::Updates;
use super::{Output, Replica};
use crate::batch::{Batch, Write};
use crate::error::{Code, Error};
use crate::frame::ClientFrame;
use crate::frontier::Frontier;
use crate::ids::{DocName, Epoch, Lsn, Origin};
use crate::limits::{BATCH_BYTES_TARGET, SUBSCRIPTIONS_MAX};
use crate::sorted::{Map, Set};
use crate::wire::{Reader, Writer};
use std::rc::Rc;

/// Above this size of a group, its documents' frontiers are stored when it has caught up and not on the way.
const GROUP_ROWS_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loading {
    /// To be read once nothing waits to be stored.
    Wanted,
    /// Its row and its updates are being read: which reading it is, and how many answers are still to come.
    Reading(u64, u8),
    Done,
}

#[derive(Debug)]
struct Doc {
    loading: Loading,
    /// Whether it was loaded before and is read again to undo a rejected write.
    is_rebuilding: bool,
    updates: Vec<Updates>,
    /// What is held of it without a gap, unless it is on the stream.
    frontier: Frontier,
    /// How far in the leaders' logs single updates reach that its content shows besides: own writes that were acknowledged
    /// while it was catching up, and what another tab has stored.
    reach: Frontier,
    follows: Follows,
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

    fn load_row(&self, value: &[u8]) -> Result<Frontier, Error> {
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
        self.docs.open.get_or_insert_with(name, || Doc {
            loading: Loading::Wanted,
            is_rebuilding: false,
            updates: Vec::new(),
            frontier: Frontier::default(),
            reach: Frontier::default(),
            follows: Follows::Nothing,
        });
    }

    pub(super) fn close_doc(&mut self, name: &DocName) {
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

    pub(super) fn rebuild_doc(&mut self, name: &DocName) {
        if let Some(doc) = self.docs.open.get_mut(name).filter(|doc| doc.loading == Loading::Done) {
            doc.loading = Loading::Wanted;
            doc.is_rebuilding = true;
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
        let readings: Vec<(DocName, u64)> = wanted
            .map(|(name, doc)| {
                *last += 1;
                doc.loading = Loading::Reading(*last, 2);
                (name.clone(), *last)
            })
            .collect();
        readings.into_iter().for_each(|(name, reading)| self.ask_for_doc(name, reading));
    }

    pub(super) fn doc_row_read(&mut self, name: &DocName, reading: u64, row: Option<&[u8]>) -> Result<(), Error> {
        let frontier = row.map(|value| self.docs.load_row(value)).transpose()?;
        let is_asked =
            |doc: &&mut Doc| !doc.is_rebuilding && matches!(doc.loading, Loading::Reading(of, _) if of == reading);
        if let Some(doc) = self.docs.open.get_mut(name).filter(is_asked) {
            doc.frontier = frontier.unwrap_or_default();
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
        let is_rebuilding = doc.is_rebuilding;
        settled.extend(self.persister.unstored_updates(name));
        settled.iter().for_each(|updates| doc.reach.join(&updates.reach));
        let mut updates: Vec<Rc<[u8]>> = settled.into_iter().flat_map(|updates| updates.updates).collect();
        updates.extend(self.outbox.unsettled_updates(name));
        let doc = name.clone();
        self.outputs.push_back(match is_rebuilding {
            true => Output::Rebuild { doc, updates },
            false => Output::Load { doc, updates },
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
        let mut updates: Map<DocName, Vec<Rc<[u8]>>> = Map::default();
        for part in batch.writes.into_iter().flat_map(|write| write.parts) {
            if members.contains(&part.doc) {
                self.persister.add_update(part.doc.clone(), part.update.clone(), epoch, through);
                updates.get_or_default(part.doc).push(part.update);
            }
        }
        for (doc, updates) in updates {
            self.outputs.push_back(Output::Apply { doc, updates });
        }
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
