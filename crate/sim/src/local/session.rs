//! Sessions: who reads and writes, in which tab, and what they have a right to see.

use super::coverage::Moment;
use super::oracle::{Written, update_of};
use super::world::World;
use crate::bits::Bits;
use headwater_core::replica::{Input, Wait};
use headwater_core::session::Consistency;
use headwater_core::{Bookmark, Error, Millis, Part, Stage};
use std::rc::Rc;

/// A session, as an application holds it: in a cookie, or on its way in a link.
#[derive(Debug)]
pub struct Session {
    /// The device that it is on.
    pub device: usize,
    /// The tab that it is in, and its number there once it has one.
    pub tab: Option<usize>,
    id: Option<u64>,
    /// The device on which it read or wrote last.
    last_device: usize,
    /// Its bookmark, saved after everything it did.
    pub bookmark: Bookmark,
    /// What it wrote, and what it was shown.
    pub must: Bits,
    /// Whether it waits for a read.
    pub is_busy: bool,
}

impl Session {
    /// A session that knows nothing, on a device.
    pub fn new(device: usize) -> Self {
        let (bookmark, must) = (Bookmark::default(), Bits::default());
        Self { device, tab: None, id: None, last_device: device, bookmark, must, is_busy: false }
    }
}

/// Who waits in a tab.
#[derive(Debug)]
pub struct Waiting {
    /// What for.
    pub what: Awaited,
    /// Until when, on the device's clock.
    pub deadline: Millis,
}

/// What is waited for.
#[derive(Debug)]
pub enum Awaited {
    /// A read of a document by a session, that must show at least this.
    Read(usize, usize, Consistency, Bits),
    /// A write's stage.
    Stage(usize, Stage),
    /// So many peers that have a write.
    Peers(usize, usize),
}

impl World {
    /// The session's tab, if anything runs there; another one of its device if it has none.
    pub fn tab_of(&mut self, session: usize) -> Option<usize> {
        if self.sessions[session].tab.is_none() {
            let tabs = self.tabs_of(self.sessions[session].device);
            let tabs: Vec<usize> = tabs.into_iter().filter(|tab| !self.tabs[*tab].is_leaving).collect();
            self.sessions[session].tab = tabs.first().map(|_| tabs[self.rng.below(tabs.len() as u64) as usize]);
        }
        self.sessions[session].tab.filter(|tab| self.is_awake(*tab) && !self.tabs[*tab].is_leaving)
    }

    fn session_id(&mut self, session: usize, tab: usize) -> u64 {
        let state = &mut self.sessions[session];
        let from = state.bookmark.clone();
        *state.id.get_or_insert_with(|| self.tabs[tab].core.begin_session(Some(from)))
    }

    /// The session goes on in another tab, with its bookmark.
    pub fn hop(&mut self, session: usize, tab: usize) -> bool {
        let state = &mut self.sessions[session];
        if state.is_busy || state.tab == Some(tab) {
            return false;
        }
        if let (Some(id), Some(from)) = (state.id.take(), state.tab) {
            self.tabs[from].core.end_session(id);
        }
        state.tab = Some(tab);
        state.device = self.tabs[tab].device;
        self.note(|| format!("session {session} goes on in tab {tab}"));
        true
    }

    /// Sessions in a tab that is gone go on elsewhere, with the bookmarks that they saved.
    pub fn sessions_lost(&mut self, tab: usize) {
        for session in self.sessions.iter_mut().filter(|session| session.tab == Some(tab)) {
            (session.tab, session.id, session.is_busy) = (None, None, false);
        }
    }

    fn save(&mut self, session: usize, tab: usize) {
        let id = self.session_id(session, tab);
        match self.tabs[tab].core.bookmark(id) {
            // As text and back, as on its way in a link.
            Ok(bookmark) => match bookmark.to_string().parse() {
                Ok(parsed) => self.sessions[session].bookmark = parsed,
                Err(error) => self.violate("bookmarks", || format!("a bookmark does not parse: {error}")),
            },
            Err(error) => self.violate("bookmarks", || format!("session {session} has no bookmark: {error}")),
        }
        self.sessions[session].last_device = self.tabs[tab].device;
    }

    /// A session writes to documents of its tab; whether it could.
    pub fn write(&mut self, session: usize, docs: &[usize], is_forbidden: bool) -> bool {
        let Some(tab) = self.tab_of(session) else { return false };
        let is_loaded = |doc: &usize| self.tabs[tab].docs[*doc].as_ref().is_some_and(|opened| opened.is_loaded);
        let docs: Vec<usize> = docs.iter().copied().filter(is_loaded).collect();
        // The application is shown everything that is ready before it writes.
        self.drain(tab);
        if docs.is_empty() || !self.tabs[tab].is_alive || self.tabs[tab].core.check_writable().is_err() {
            return false;
        }
        let index = self.oracle.writes.len();
        let update: Rc<[u8]> = update_of(index, is_forbidden).into();
        let device = self.tabs[tab].device;
        let wall = self.devices[device].clock.wall(self.now);
        let part = |doc: &usize| Part { doc: self.docs[*doc].clone(), update: update.clone() };
        let parts: Vec<Part> = docs.iter().map(part).collect();
        let state = &mut self.tabs[tab];
        docs.iter().for_each(|doc| state.docs[*doc].iter_mut().for_each(|opened| opened.shown.set(index)));
        let seq = state.core.write(parts, wall);
        let origin = state.origin;
        state.receipts.insert(index, Stage::Applied);
        if is_forbidden {
            self.oracle.forbidden.set(index);
        }
        self.oracle.wrote(Written { origin, seq, device, tab, docs, told: Stage::Applied, place: None });
        self.trace.event(self.now, "write", tab as u64, &update);
        self.trace.line(self.now, || format!("session {session} in tab {tab}: {}", self.oracle.name(index)));
        self.sessions[session].must.set(index);
        self.save(session, tab);
        self.drain_soon(tab);
        true
    }

    /// A session reads a document in its tab; whether it could ask.
    pub fn read(&mut self, session: usize, doc: usize, consistency: Consistency, timeout: u64) -> bool {
        if self.sessions[session].is_busy {
            return false;
        }
        let Some(tab) = self.tab_of(session).filter(|tab| self.tabs[*tab].docs[doc].is_some()) else { return false };
        let id = self.session_id(session, tab);
        self.sessions[session].is_busy = true;
        self.note(|| format!("session {session} reads doc/{doc} in tab {tab}: {consistency:?}, {timeout} ms"));
        let must = self.sessions[session].must.within(&self.oracle.of_doc[doc]);
        let wait = Wait::Read { session: id, doc: self.docs[doc].clone(), consistency };
        self.begin_wait(tab, Awaited::Read(session, doc, consistency, must), wait, timeout);
        true
    }

    /// Somebody waits in a tab.
    pub fn begin_wait(&mut self, tab: usize, what: Awaited, wait: Wait, timeout: u64) {
        let deadline = self.clock_of(tab).after(Millis(timeout));
        let state = &mut self.tabs[tab];
        state.last_wait += 1;
        let id = state.last_wait;
        state.waits.insert(id, Waiting { what, deadline });
        self.feed(tab, Input::Wait { id, wait, timeout: Millis(timeout) });
    }

    /// A wait has ended.
    pub fn wait_ended(&mut self, tab: usize, id: u64, result: Result<(), Error>) {
        let Some(waiting) = self.tabs[tab].waits.remove(&id) else {
            return self.violate("waits", || format!("wait {id} of tab {tab} ended twice"));
        };
        if let Err(error) = &result {
            self.check_wait_error(tab, &waiting, error);
        }
        match (waiting.what, result) {
            (Awaited::Read(session, doc, consistency, must), Ok(())) => {
                self.read_now(tab, session, doc, consistency, &must);
            }
            (Awaited::Read(session, ..), Err(error)) => {
                self.sessions[session].is_busy = false;
                self.has_failed_to_read = true;
                self.note(|| format!("session {session} may not read: {error}"));
            }
            (Awaited::Stage(write, stage), Ok(())) => self.check_stage_reached(tab, write, stage),
            (Awaited::Peers(write, count), Ok(())) => self.check_peers_counted(write, count),
            (_, Err(_)) => {}
        }
    }

    fn read_now(&mut self, tab: usize, session: usize, doc: usize, consistency: Consistency, must: &Bits) {
        self.sessions[session].is_busy = false;
        let now = self.clock_of(tab);
        let Some(id) = self.sessions[session].id.filter(|_| self.sessions[session].tab == Some(tab)) else { return };
        let Some(opened) = self.tabs[tab].docs[doc].clone() else { return };
        if let Err(error) = self.tabs[tab].core.note_read(id, &self.docs[doc].clone(), now) {
            return self.violate("reads", || format!("session {session} cannot note a read: {error}"));
        }
        if consistency != Consistency::Eventual {
            self.coverage.saw(Moment::SessionRead);
            if self.sessions[session].last_device != self.tabs[tab].device {
                self.coverage.saw(Moment::ReadElsewhere);
            }
            self.check_read(session, tab, doc, &opened.shown, must);
        }
        self.sessions[session].must.join(&opened.shown);
        self.save(session, tab);
    }
}
