//! Sessions: who reads and writes, at which client, and what they have a right to see.

use super::bug::Bug;
use super::coverage::Moment;
use super::world::World;
use crate::bits::Bits;
use headwater_core::node::{self, Query};
use headwater_core::replica::{Input, ReadMeta, Wait};
use headwater_core::session::Consistency;
use headwater_core::{Bookmark, Code, Error, Frontier, Millis, Stage};
use std::rc::Rc;

/// How long a member may read its storage.
const LOAD_MS_MAX: u64 = 60_000;

/// A session, as an application holds it: in a cookie, or on its way in a link.
#[derive(Debug)]
pub struct Session {
    /// The client that it is at, and its number there once it has one.
    pub client: usize,
    id: Option<u64>,
    /// Its bookmark, saved after everything it did.
    pub bookmark: Bookmark,
    /// What it wrote.
    pub own: Bits,
    /// Writes that it was shown.
    pub seen: Bits,
    /// What the writers of all that had written and read before.
    pub implied: Bits,
    /// Whether it waits for a read.
    pub is_busy: bool,
}

impl Session {
    /// A session that knows nothing, at a client.
    pub fn new(client: usize) -> Self {
        Self {
            client,
            id: None,
            bookmark: Bookmark::default(),
            own: Bits::default(),
            seen: Bits::default(),
            implied: Bits::default(),
            is_busy: false,
        }
    }

    /// Everything that it must not read behind.
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
    /// What anybody was told to be at a quorum.
    pub at_quorum: Bits,
    /// What anybody was told to be at the leader.
    pub at_leader: Bits,
    /// Until when nobody had begun another epoch.
    pub epoch: u64,
    /// When it asked.
    pub begun_at: u64,
}

/// Who waits at a client.
#[derive(Debug)]
pub struct Waiting {
    /// What for.
    pub what: Awaited,
    /// Until when, on the client's clock.
    pub deadline: Millis,
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
#[derive(Debug)]
pub struct Querying {
    /// The read that it stands for.
    pub reading: Reading,
    /// What has been read of the document.
    pub shown: Bits,
    /// Until when it must be answered, on the member's clock.
    pub deadline: Millis,
}

impl World {
    /// The session's number at its client; it begins there if it has none.
    fn session_id(&mut self, session: usize) -> u64 {
        let state = &mut self.sessions[session];
        let mut from = state.bookmark.clone();
        if self.bug == Some(Bug::BookmarkWithoutLog) {
            let mut origins = Frontier::default();
            from.frontier.origins().for_each(|(origin, seq)| origins.advance_origin(origin, seq));
            from.frontier = origins;
        }
        *state.id.get_or_insert_with(|| {
            let client = &mut self.clients[state.client];
            client.replica().begin_session(Some(from))
        })
    }

    fn leave(&mut self, session: usize) {
        let state = &mut self.sessions[session];
        if let Some(id) = state.id.take() {
            self.clients[state.client].replica().end_session(id);
        }
    }

    /// The session goes on at another client, with its bookmark.
    pub fn hop(&mut self, session: usize, client: usize) -> bool {
        if self.sessions[session].is_busy || self.sessions[session].client == client {
            return false;
        }
        self.note(|| format!("session {session} goes on at client {client}"));
        self.coverage.saw(Moment::Hopped);
        self.leave(session);
        self.sessions[session].client = client;
        true
    }

    /// The session ends, and another begins in its place.
    pub fn renew(&mut self, session: usize) -> bool {
        if self.sessions[session].is_busy {
            return false;
        }
        self.leave(session);
        self.sessions[session] = Session::new(self.sessions[session].client);
        true
    }

    /// Sessions at a client that died begin there anew, with the bookmark that they saved.
    pub fn sessions_lost(&mut self, client: usize) {
        for session in self.sessions.iter_mut().filter(|session| session.client == client) {
            if session.id.take().is_some() {
                session.is_busy = false;
            }
        }
    }

    /// Saves the session's bookmark.
    pub fn save(&mut self, session: usize) {
        let id = self.session_id(session);
        let client = self.sessions[session].client;
        match self.clients[client].replica().bookmark(id) {
            Ok(bookmark) => {
                // As text and back, as on its way in a link.
                match bookmark.to_string().parse() {
                    Ok(parsed) => self.sessions[session].bookmark = parsed,
                    Err(error) => self.violate("bookmarks", || format!("a bookmark does not parse: {error}")),
                }
            }
            Err(error) => self.violate("bookmarks", || format!("session {session} has no bookmark: {error}")),
        }
    }

    fn reading(&self, session: usize, doc: usize, consistency: Consistency) -> Reading {
        let Session { own, seen, implied, .. } = &self.sessions[session];
        Reading {
            session,
            doc,
            consistency,
            own: own.clone(),
            seen: seen.clone(),
            implied: implied.clone(),
            at_quorum: self.oracle.at_quorum.clone(),
            at_leader: self.oracle.at_leader.clone(),
            epoch: self.record().map_or(0, |record| record.epoch.0),
            begun_at: self.now,
        }
    }

    /// A session reads a document at its client.
    pub fn read(&mut self, session: usize, doc: usize, consistency: Consistency, timeout: u64) -> bool {
        if self.sessions[session].is_busy {
            return false;
        }
        let id = self.session_id(session);
        let client = self.sessions[session].client;
        let reading = self.reading(session, doc, consistency);
        self.sessions[session].is_busy = true;
        self.note(|| format!("session {session} reads doc/{doc} at client {client}: {consistency:?}, {timeout} ms"));
        let consistency = match consistency {
            Consistency::Strong if self.has(Bug::StrongAsSession) => Consistency::Session,
            other => other,
        };
        let wait = Wait::Read { session: id, doc: self.docs[doc].clone(), consistency };
        self.begin_wait(client, Awaited::Read(reading), wait, timeout);
        true
    }

    /// Somebody waits for a write's stage, at the client that wrote it.
    pub fn await_stage(&mut self, write: usize, stage: Stage, timeout: u64) {
        let written = &self.oracle.writes[write];
        let wait = Wait::Stage { origin: written.origin, seq: written.seq, stage };
        self.begin_wait(written.client, Awaited::Stage(write, stage), wait, timeout);
    }

    /// A wait has ended.
    pub fn wait_ended(&mut self, client: usize, id: u64, result: Result<(), Error>) {
        let Some(waiting) = self.clients[client].waits.remove(&id) else {
            return self.violate("waits", || format!("wait {id} of client {client} ended twice"));
        };
        if let Err(error) = &result {
            self.check_wait_error(client, &waiting, error);
        }
        match (waiting.what, result) {
            (Awaited::Read(reading), Ok(())) => self.read_now(client, &reading),
            (Awaited::Read(reading), Err(error)) => {
                self.sessions[reading.session].is_busy = false;
                self.has_failed_to_read = true;
                self.note(|| format!("session {} may not read: {error}", reading.session));
            }
            (Awaited::Stage(write, stage), Ok(())) => self.check_stage_reached(client, write, stage),
            (Awaited::Stage(..), Err(_)) => {}
        }
    }

    fn read_now(&mut self, client: usize, reading: &Reading) {
        let session = reading.session;
        self.sessions[session].is_busy = false;
        let now = self.clock_of_client(client);
        let Some(id) = self.sessions[session].id.filter(|_| self.sessions[session].client == client) else { return };
        let shown = self.clients[client].docs[reading.doc].clone();
        let doc = self.docs[reading.doc].clone();
        let meta: ReadMeta = match self.clients[client].replica().note_read(id, &doc, now) {
            Ok(meta) => meta,
            Err(error) => return self.violate("reads", || format!("session {session} cannot note a read: {error}")),
        };
        self.check_staleness(client, reading, &shown, meta.lag.staleness);
        self.check_read(reading, &shown, &format!("client {client}"));
        // What is still on its way from here may be rejected, and then nobody has to see what it was built on.
        self.was_shown(session, &shown);
        self.save(session);
    }

    fn was_shown(&mut self, session: usize, shown: &Bits) {
        let implied = self.oracle.implied(shown);
        let state = &mut self.sessions[session];
        state.seen.join(shown);
        state.implied.join(&implied);
    }

    /// A session reads over HTTP, at any member.
    pub fn query(&mut self, session: usize, doc: usize, member: usize, strong: bool, timeout: u64) -> bool {
        self.wake(member);
        if self.sessions[session].is_busy || !self.is_running(member) {
            return false;
        }
        let consistency = if strong { Consistency::Strong } else { Consistency::Session };
        let reading = self.reading(session, doc, consistency);
        self.commands.last_query += 1;
        let id = self.commands.last_query;
        self.sessions[session].is_busy = true;
        self.note(|| format!("session {session} asks m{member} for doc/{doc}: {consistency:?}, {timeout} ms"));
        // Until its storage is read a member looks at nothing: how long it waits counts from then.
        let is_loaded = self.status_of(member).is_some_and(|status| status.is_loaded);
        let patience = timeout + if is_loaded { 0 } else { LOAD_MS_MAX };
        let deadline = self.clock_of(member).after(Millis(patience));
        self.members[member].queries.insert(id, Querying { reading, shown: Bits::default(), deadline });
        let bookmark = self.sessions[session].bookmark.clone();
        let strong = strong && !self.has(Bug::StrongAsSession);
        let query =
            Query { id, doc: Some(self.docs[doc].clone()), bookmark, strong, timeout: Millis(timeout), at: None };
        self.feed(member, node::Input::Query(query));
        true
    }

    /// A part of a query's answer.
    pub fn query_content(&mut self, member: usize, query: u64, updates: &[Rc<[u8]>]) {
        let Some(querying) = self.members[member].queries.get_mut(&query) else { return };
        let writes = updates.iter().flat_map(|update| super::oracle::writes_of(update));
        writes.flatten().for_each(|write| querying.shown.set(write));
    }

    /// The end of a query's answer.
    pub fn query_answered(&mut self, member: usize, query: u64, result: Result<Bookmark, Error>) {
        let Some(Querying { reading, shown, .. }) = self.members[member].queries.remove(&query) else {
            return self.violate("waits", || format!("query {query} at m{member} is answered twice"));
        };
        let session = reading.session;
        self.sessions[session].is_busy = false;
        match result {
            Err(error) => {
                self.note(|| format!("session {session} may not read at m{member}: {error}"));
                self.check_query_error(member, &error);
            }
            Ok(bookmark) => {
                let leads = self.members[member].leads.is_some();
                self.coverage.saw(if leads { Moment::LeaderQuery } else { Moment::FollowerQuery });
                let loose = shown.without(&self.oracle.stable).without(&self.oracle.of_multi);
                if !loose.is_empty() {
                    let names = self.oracle.names(&loose);
                    return self.violate("visible", || format!("m{member} shows {names}, which no quorum holds"));
                }
                self.check_read(&reading, &shown, &format!("m{member}"));
                self.was_shown(session, &shown);
                // The answer's bookmark joins the session's own.
                match self.sessions[session].bookmark.merge(&bookmark) {
                    Ok(merged) => {
                        self.leave(session);
                        self.sessions[session].bookmark = merged;
                    }
                    Err(error) => self.violate("bookmarks", || format!("bookmarks do not merge: {error}")),
                }
            }
        }
    }

    fn check_query_error(&mut self, member: usize, error: &Error) {
        let is_usual = matches!(
            error.code,
            Code::Timeout
                | Code::Busy
                | Code::StorageUnavailable
                | Code::NotLeader
                | Code::BookmarkLost
                | Code::StrongUnavailable
                | Code::Offline
        );
        if !is_usual {
            self.violate("waits", || format!("a query at m{member} ends in {error}"));
        }
    }

    /// Nobody answers the queries of an instance that is gone.
    pub fn queries_lost(&mut self, member: usize) {
        for (_, querying) in std::mem::take(&mut self.members[member].queries) {
            self.sessions[querying.reading.session].is_busy = false;
        }
    }

    /// A client hears of nothing any more, and its reads end when they may.
    pub fn pause(&mut self, client: usize, span: u64) {
        self.feed_client(client, Input::Pause { is_paused: true });
        self.after(span, super::world::Event::Resume(client));
    }
}
