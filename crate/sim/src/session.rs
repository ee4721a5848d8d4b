//! Sessions: who reads and writes, where they are, and what they have a right to see.

use crate::bits::Bits;
use crate::bug::Bug;
use crate::coverage::Moment;
use crate::oracle::Written;
use crate::world::World;
use headwater_core::node::{self, Query};
use headwater_core::replica::{Input, ReadMeta, Wait};
use headwater_core::session::Consistency;
use headwater_core::{Bookmark, Code, Error, Millis, Stage};
use headwater_doc::Document;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A session, as an application holds it: in a cookie, or on its way in a link.
#[derive(Debug)]
pub struct Session {
    /// The tab it is at, and its number there.
    pub at: Option<(usize, u64)>,
    /// The device it was at last.
    pub device: usize,
    /// Its bookmark, saved after everything it did.
    pub bookmark: String,
    /// What it wrote.
    pub own: Bits,
    /// Writes that it was shown for certain, in any document.
    pub seen: Bits,
    /// What each document showed it, deletions included that may be another write's.
    pub shown: BTreeMap<usize, Bits>,
    /// What the writers of all that had written and read before.
    pub implied: Bits,
    /// Whether it waits for a read.
    pub is_busy: bool,
}

impl Session {
    fn was_shown(&mut self, doc: usize, shown: &Bits, evident: &Bits, implied: &Bits) {
        self.shown.entry(doc).or_default().join(shown);
        self.seen.join(evident);
        self.implied.join(implied);
    }

    /// Everything it must not read behind.
    pub fn must(&self) -> Bits {
        let mut must = self.own.clone();
        must.join(&self.seen);
        must.join(&self.implied);
        must
    }
}

/// A read under way.
#[derive(Debug)]
pub struct Reading {
    /// Who reads.
    pub session: usize,
    /// What.
    pub doc: usize,
    /// How consistent.
    pub consistency: Consistency,
    /// What the session had written when it asked.
    pub own: Bits,
    /// What it had been shown.
    pub seen: Bits,
    /// What else it must see.
    pub implied: Bits,
    /// What its writer was told to be stored.
    pub stored: Bits,
    /// What anybody was told to be acknowledged.
    pub acked: Bits,
    /// When it asked.
    pub begun_at: u64,
}

/// Who waits at a tab.
#[derive(Debug)]
pub struct Waiting {
    /// What for.
    pub what: Awaited,
    /// Until when, on the device's clock.
    pub deadline: Millis,
    /// Whether it was aborted.
    pub is_aborted: bool,
}

/// What is waited for.
#[derive(Debug)]
pub enum Awaited {
    /// A read.
    Read(Reading),
    /// A write's stage.
    Stage(usize, Stage),
}

/// A query under way.
pub struct Querying {
    /// The read it stands for.
    pub reading: Reading,
    /// What has been read of the document.
    pub document: Document,
}

impl World {
    /// Begins a session on a device.
    pub fn begin_session(&mut self, device: usize) -> usize {
        self.sessions.push(Session {
            at: None,
            device,
            bookmark: Bookmark::default().to_string(),
            own: Bits::default(),
            seen: Bits::default(),
            shown: BTreeMap::new(),
            implied: Bits::default(),
            is_busy: false,
        });
        self.sessions.len() - 1
    }

    /// The session ends, and another begins in its place.
    pub fn renew_session(&mut self, session: usize) {
        self.leave(session);
        let device = self.sessions[session].device;
        let fresh = self.begin_session(device);
        self.sessions.swap_remove(session);
        debug_assert_eq!(fresh, self.sessions.len());
    }

    /// The tab that a session is at; where it was, or any other of its device, if that one is gone.
    pub fn tab_of(&mut self, session: usize) -> Option<(usize, u64)> {
        if let Some(at) = self.sessions[session].at {
            // Nothing runs in a frozen tab.
            return (self.openings[at.0].frozen_until <= self.now).then_some(at);
        }
        let tabs = self.tabs_of(self.sessions[session].device);
        let tab = tabs
            .into_iter()
            .find(|tab| self.openings[*tab].is_ready && self.openings[*tab].frozen_until <= self.now)?;
        self.settle_in(session, tab)
    }

    /// The session goes on at a tab.
    pub fn settle_in(&mut self, session: usize, tab: usize) -> Option<(usize, u64)> {
        self.leave(session);
        let mut bookmark: Bookmark = match self.sessions[session].bookmark.parse() {
            Ok(bookmark) => bookmark,
            Err(error) => {
                self.violate("bookmarks", || format!("a bookmark does not parse: {error}"));
                return None;
            }
        };
        if bookmark.frontier.origins().next().is_some() {
            self.coverage.saw(Moment::OpenBookmark);
        }
        if self.has(Bug::BookmarkByLsnAlone) {
            bookmark.frontier = bookmark.frontier.epochs_only();
        }
        let id = self.openings[tab].core.begin_session(Some(bookmark));
        let state = &mut self.sessions[session];
        state.at = Some((tab, id));
        state.device = self.openings[tab].device;
        state.at
    }

    fn leave(&mut self, session: usize) {
        if let Some((tab, id)) = self.sessions[session].at.take() {
            self.openings[tab].core.end_session(id);
        }
    }

    /// Saves the session's bookmark.
    pub fn save(&mut self, session: usize) {
        let Some((tab, id)) = self.sessions[session].at else { return };
        match self.openings[tab].core.bookmark(id) {
            Ok(bookmark) => self.sessions[session].bookmark = bookmark.to_string(),
            Err(error) => self.violate("bookmarks", || format!("session {session} has no bookmark: {error}")),
        }
    }

    fn reading(&self, session: usize, doc: usize, consistency: Consistency) -> Reading {
        let Session { own, seen, shown, implied, .. } = &self.sessions[session];
        let (own, mut seen, implied) = (own.clone(), seen.clone(), implied.clone());
        shown.get(&doc).into_iter().for_each(|shown| seen.join(shown));
        let (stored, acked) = (self.oracle.stored.clone(), self.oracle.acked.clone());
        Reading { session, doc, consistency, own, seen, implied, stored, acked, begun_at: self.now }
    }

    /// A session reads a document at its tab.
    pub fn read(&mut self, session: usize, doc: usize, consistency: Consistency, timeout: u64) -> bool {
        if self.sessions[session].is_busy {
            return false;
        }
        let Some((tab, id)) = self.tab_of(session) else { return false };
        let name = self.docs[doc].clone();
        if !self.openings[tab].docs.contains_key(&name) {
            return false;
        }
        let reading = self.reading(session, doc, consistency);
        self.sessions[session].is_busy = true;
        self.note(|| format!("session {session} reads {name:?} at tab {tab}: {consistency:?}, {timeout} ms"));
        let consistency = match consistency {
            Consistency::Session if self.has(Bug::StaleRead) => Consistency::Eventual,
            Consistency::Strong if self.has(Bug::StrongAsSession) => Consistency::Session,
            other => other,
        };
        let wait = Wait::Read { session: id, doc: name, consistency };
        self.begin_wait(tab, Awaited::Read(reading), wait, timeout);
        true
    }

    /// Somebody waits for a write's stage, at the tab that wrote it.
    pub fn await_stage(&mut self, write: usize, stage: Stage, timeout: u64) {
        let written = &self.oracle.writes[write];
        let wait = Wait::Stage { origin: written.origin, seq: written.seq, stage };
        self.begin_wait(written.opening, Awaited::Stage(write, stage), wait, timeout);
    }

    fn begin_wait(&mut self, tab: usize, what: Awaited, wait: Wait, timeout: u64) {
        let deadline = self.clock_of(tab).after(Millis(timeout));
        let opening = &mut self.openings[tab];
        opening.last_wait += 1;
        let id = opening.last_wait;
        opening.waits.insert(id, Waiting { what, deadline, is_aborted: false });
        self.feed(tab, Input::Wait { id, wait, timeout: Millis(timeout) });
    }

    /// A wait has ended.
    pub fn wait_ended(&mut self, tab: usize, id: u64, result: Result<(), Error>) {
        let Some(waiting) = self.openings[tab].waits.remove(&id) else {
            return self.violate("receipts", || format!("wait {id} of tab {tab} ended twice"));
        };
        if let Err(error) = &result {
            self.check_wait_error(tab, &waiting, error);
        }
        match (waiting.what, result) {
            (Awaited::Read(reading), Ok(())) => self.read_now(tab, reading),
            (Awaited::Read(reading), Err(error)) => {
                self.sessions[reading.session].is_busy = false;
                self.note(|| format!("session {} may not read: {}", reading.session, error.code));
            }
            (Awaited::Stage(write, stage), Ok(())) => self.check_stage_reached(tab, write, stage),
            (Awaited::Stage(..), Err(_)) => {}
        }
    }

    fn read_now(&mut self, tab: usize, reading: Reading) {
        let session = reading.session;
        self.sessions[session].is_busy = false;
        let name = self.docs[reading.doc].clone();
        let now = self.clock_of(tab);
        let Some((_, id)) = self.sessions[session].at.filter(|(at, _)| *at == tab) else { return };
        let Some(opened) = self.openings[tab].docs.get(&name).filter(|opened| opened.is_loaded) else {
            return self.violate("reads", || format!("tab {tab} may read {name:?} before it is loaded"));
        };
        let shown = self.oracle.shown(reading.doc, &opened.document);
        let meta: ReadMeta = match self.openings[tab].core.note_read(id, &name, now) {
            Ok(meta) => meta,
            Err(error) => return self.violate("reads", || format!("session {session} cannot note a read: {error}")),
        };
        let mut staleness = meta.lag.staleness;
        if self.has(Bug::StalenessFromAnswer) {
            staleness = staleness.map(|span| Millis(span.0.saturating_sub(2 * u64::from(self.plan.shape.delay_ms))));
        }
        self.check_staleness(tab, &reading, &shown, staleness);
        let mut pending = Bits::default();
        for (origin, seq) in self.openings[tab].core.pending_writes() {
            self.oracle.find(origin, seq).into_iter().for_each(|write| pending.set(write));
        }
        let doc = reading.doc;
        self.check_read(&reading, &shown, &format!("tab {tab}"));
        let evident = self.oracle.evident(doc, &shown);
        let implied = self.oracle.implied(&evident.without(&pending));
        // A deletion that is shown may be that of a pending write, which can still be taken back.
        let is_settled = pending.within(&self.oracle.of_doc[doc]).is_empty();
        let lasting = if is_settled { &shown } else { &evident };
        self.sessions[session].was_shown(doc, lasting, &evident, &implied);
        self.save(session);
    }

    /// A session reads over HTTP.
    pub fn ask(&mut self, session: usize, doc: usize, strong: bool, timeout: u64) -> bool {
        if self.sessions[session].is_busy {
            return false;
        }
        let Ok(mut bookmark) = self.sessions[session].bookmark.parse::<Bookmark>() else { return false };
        if self.has(Bug::BookmarkByLsnAlone) {
            bookmark.frontier = bookmark.frontier.epochs_only();
        }
        let consistency = if strong { Consistency::Strong } else { Consistency::Session };
        let reading = self.reading(session, doc, consistency);
        let node = self.node();
        self.edge.last_query += 1;
        let id = self.edge.last_query;
        self.sessions[session].is_busy = true;
        self.trace.line(self.now, || format!("session {session} asks node {node} for {:?}", self.docs[doc]));
        self.edge.instances[node].queries.insert(id, Querying { reading, document: Document::new(0) });
        let query =
            Query { id, doc: Some(self.docs[doc].clone()), bookmark, strong, timeout: Millis(timeout), at: None };
        self.node_feed(node, node::Input::Query(query));
        true
    }

    /// A part of a query's answer.
    pub fn query_content(&mut self, node: usize, query: u64, updates: &[Rc<[u8]>]) {
        let updates: Vec<&[u8]> = updates.iter().map(|update| &**update).collect();
        let Some(querying) = self.edge.instances[node].queries.get_mut(&query) else { return };
        if let Err(cause) = querying.document.apply(&updates) {
            self.violate("documents", || format!("node {node}: a document cannot be read: {cause}"));
        }
    }

    /// The end of a query's answer.
    pub fn query_answered(&mut self, node: usize, query: u64, result: Result<Bookmark, Error>) {
        let Some(Querying { reading, document }) = self.edge.instances[node].queries.remove(&query) else {
            return self.violate("receipts", || format!("query {query} is answered twice"));
        };
        let session = reading.session;
        self.sessions[session].is_busy = false;
        match result {
            Err(error) => {
                let is_usual =
                    matches!(error.code, Code::Timeout | Code::Busy | Code::StorageUnavailable | Code::Quota);
                if !is_usual {
                    self.violate("waits", || format!("a query of session {session} ends in {error}"));
                }
            }
            Ok(bookmark) => {
                let shown = self.oracle.shown(reading.doc, &document);
                self.coverage.saw(Moment::Query);
                self.check_read(&reading, &shown, &format!("node {node}"));
                let evident = self.oracle.evident(reading.doc, &shown);
                let implied = self.oracle.implied(&evident);
                let state = &mut self.sessions[session];
                state.was_shown(reading.doc, &shown, &evident, &implied);
                // The answer's bookmark joins the session's own.
                let merged = state.bookmark.parse::<Bookmark>().and_then(|own| own.merge(&bookmark));
                match merged {
                    Ok(merged) => {
                        state.bookmark = merged.to_string();
                        let at = state.at;
                        if let Some((tab, _)) = at {
                            self.settle_in(session, tab);
                        }
                    }
                    Err(error) => self.violate("bookmarks", || format!("bookmarks do not merge: {error}")),
                }
            }
        }
    }

    /// Nobody answers the queries of an instance that is gone.
    pub fn queries_lost(&mut self, node: usize) {
        for (_, querying) in std::mem::take(&mut self.edge.instances[node].queries) {
            self.sessions[querying.reading.session].is_busy = false;
        }
    }

    /// Sessions and waits of a tab that died.
    pub fn tab_died(&mut self, tab: usize) {
        for session in &mut self.sessions {
            if session.at.is_some_and(|(at, _)| at == tab) {
                session.at = None;
                session.is_busy = false;
            }
        }
        self.openings[tab].waits.clear();
        self.openings[tab].receipts.clear();
        let own = |written: &&mut Written| written.opening == tab && !self.is_over;
        for written in self.oracle.writes.iter_mut().filter(own) {
            written.is_killed = true;
            written.told_then = written.told;
        }
    }
}
