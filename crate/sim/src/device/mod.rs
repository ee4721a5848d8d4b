//! A device and its tabs: the host of a replica's machine, exactly as the wasm surface and its adapters drive it.
//!
//! It decides nothing about replication. What a real host leaves to chance is left to the world's randomness: how long
//! a commit takes, and whether the machine is drained at once or after further inputs.

mod link;
mod storage;

use crate::bug::Bug;
use crate::clock::Clock;
use crate::coverage::Moment;
use crate::disk::Disk;
use crate::net::{Message, Way};
use crate::rng::Rng;
use crate::session::Waiting;
use crate::world::{Event, World};
use headwater_core::replica::{Config, Input, Output, Replica};
use headwater_core::{DocName, Millis, Origin, Stage};
use headwater_doc::{Document, Kind};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

/// How long a host may leave a machine undrained at most, give or take the drift of its clock.
pub const DRAIN_MS_MAX: u64 = 6;

/// A device.
#[derive(Debug)]
pub struct Device {
    /// Its storage, shared by its tabs.
    pub disk: Disk,
    /// Its clocks.
    pub clock: Clock,
    /// Until when nothing gets in or out.
    pub cut_until: u64,
    /// Documents in which a write was ever refused.
    pub refused: BTreeSet<usize>,
    /// For two deliberate bugs: ids that should have been fresh.
    fixed_id: u64,
}

impl Device {
    /// A device with an empty disk.
    pub fn new(rng: &mut Rng) -> Self {
        let wall = rng.within(0, 4_000_000) as i64 - 2_000_000;
        let clock = Clock::new(rng.within(1000, 1_000_000), rng.below(300), wall);
        Self { disk: Disk::new(), clock, cut_until: 0, refused: BTreeSet::new(), fixed_id: rng.bits() }
    }
}

/// A document that a tab has open.
pub struct Opened {
    /// Its place in the world's list.
    pub place: usize,
    /// The content.
    pub document: Document,
    /// Whether it may be written to.
    pub is_loaded: bool,
}

/// One tab: one opening of a device's replica.
pub struct Opening {
    /// Its device.
    pub device: usize,
    /// Since when it is open.
    pub opened_at: u64,
    /// Its origin.
    pub origin: Origin,
    /// The machine under test.
    pub core: Replica,
    /// Open documents.
    pub docs: BTreeMap<DocName, Opened>,
    /// Whether it runs.
    pub is_alive: bool,
    /// Whether storage has been read.
    pub is_ready: bool,
    /// Its connection.
    pub socket: Option<usize>,
    /// Who waits.
    pub waits: BTreeMap<u64, Waiting>,
    /// Numbers waits.
    pub last_wait: u64,
    /// Until when it is frozen.
    pub frozen_until: u64,
    /// What came while it was frozen.
    missed: VecDeque<Input>,
    /// Whether its storage has failed for good.
    pub has_failed_storage: bool,
    /// Receipts that are not at their end: the write, and the farthest stage that was told.
    pub receipts: BTreeMap<usize, Stage>,
    /// Whether a commit under way survives the tab.
    lands_after_death: bool,
    committing: Option<bool>,
    lands_at: u64,
    scanned_at: u64,
    entropy: Rng,
    tick_at: Option<u64>,
    is_drain_due: bool,
    connects: u64,
    pinged_at: Option<u64>,
}

/// Names the roots that the workload uses: an empty root shows in one copy's JSON only once it is named there.
pub fn name_roots(document: &mut Document) {
    for (kind, name) in [(Kind::Map, "map"), (Kind::Array, "list"), (Kind::Text, "text")] {
        // What has arrived under that name is of that kind, since every writer names it so.
        let _ = document.root(kind, name);
    }
}

impl World {
    /// Opens a tab on a device; its number.
    pub fn open_tab(&mut self, device: usize) -> usize {
        let mut entropy = self.rng.fork();
        let fixed = self.devices[device].fixed_id;
        let origin = Origin(if self.has(Bug::ReusedOrigin) { fixed } else { entropy.bits() });
        let config = Config {
            origin,
            has_leader: true,
            is_durable: true,
            jitter_seed: entropy.bits(),
            shares_storage: false,
            check: |_| Ok(()),
        };
        if self.has(Bug::ReusedClientId) {
            entropy = Rng::new(fixed);
        }
        let opening = self.openings.len();
        self.openings.push(Opening {
            device,
            opened_at: self.now,
            origin,
            core: Replica::new(config),
            docs: BTreeMap::new(),
            is_alive: true,
            is_ready: false,
            socket: None,
            waits: BTreeMap::new(),
            last_wait: 0,
            frozen_until: 0,
            missed: VecDeque::new(),
            has_failed_storage: false,
            receipts: BTreeMap::new(),
            lands_after_death: false,
            committing: None,
            lands_at: 0,
            scanned_at: 0,
            entropy,
            tick_at: None,
            is_drain_due: false,
            connects: 0,
            pinged_at: None,
        });
        self.note(|| format!("device {device}: tab {opening} opens, origin {origin}"));
        if self.tabs_of(device).len() > 1 {
            self.coverage.saw(Moment::TwoTabs);
        }
        for doc in 0..self.docs.len() {
            if self.rng.chance(85) {
                self.open_doc(opening, doc);
            }
        }
        self.drain(opening);
        opening
    }

    /// Opens a document in a tab.
    pub fn open_doc(&mut self, opening: usize, place: usize) {
        let name = self.docs[place].clone();
        let tab = &mut self.openings[opening];
        let client_id = tab.entropy.bits() >> 11;
        tab.docs.entry(name.clone()).or_insert_with(|| Opened {
            place,
            document: Document::new(client_id),
            is_loaded: false,
        });
        self.feed(opening, Input::OpenDoc { doc: name });
    }

    /// The tabs of a device that run.
    pub fn tabs_of(&self, device: usize) -> Vec<usize> {
        (0..self.openings.len())
            .filter(|at| self.openings[*at].is_alive && self.openings[*at].device == device)
            .collect()
    }

    /// The monotonic clock of a tab.
    pub fn clock_of(&self, opening: usize) -> Millis {
        Millis(self.devices[self.openings[opening].device].clock.monotonic(self.now))
    }

    /// Hands an input to a tab's machine; it is drained now, or soon.
    pub fn feed(&mut self, opening: usize, input: Input) {
        if !self.openings[opening].is_alive {
            return;
        }
        if self.openings[opening].frozen_until > self.now {
            return self.openings[opening].missed.push_back(input);
        }
        let now = self.clock_of(opening);
        let tab = &mut self.openings[opening];
        match &input {
            Input::Persisted { .. } => tab.committing = None,
            // A frozen tab begins to wait when it thaws.
            Input::Wait { id, timeout, .. } => {
                tab.waits.get_mut(id).into_iter().for_each(|waiting| waiting.deadline = now.after(*timeout));
            }
            _ => {}
        }
        tab.core.handle(input, now);
        self.drain_soon(opening);
    }

    /// A frozen tab goes on, with everything it missed, unless it was frozen again meanwhile.
    pub fn thaw(&mut self, opening: usize) {
        if self.openings[opening].frozen_until > self.now {
            return;
        }
        let missed = std::mem::take(&mut self.openings[opening].missed);
        missed.into_iter().for_each(|input| self.feed(opening, input));
        if self.openings[opening].is_alive {
            self.feed(opening, Input::Tick);
            self.drain(opening);
        }
    }

    /// Drains a tab's machine now or after further inputs.
    pub fn drain_soon(&mut self, opening: usize) {
        if self.rng.chance(75) {
            self.drain(opening);
        } else if !std::mem::replace(&mut self.openings[opening].is_drain_due, true) {
            let span = self.rng.below(DRAIN_MS_MAX);
            self.after(span, Event::Drain(opening));
        }
    }

    /// Does everything that a tab's machine wants done.
    pub fn drain(&mut self, opening: usize) {
        self.openings[opening].is_drain_due = false;
        if self.openings[opening].frozen_until > self.now {
            return;
        }
        let now = self.clock_of(opening);
        let mut has_changed = false;
        while self.openings[opening].is_alive && self.violation.is_none() {
            let Some(output) = self.openings[opening].core.poll(now) else { break };
            has_changed |= matches!(output, Output::Changed);
            self.execute(opening, output);
        }
        if !self.openings[opening].is_alive {
            return;
        }
        if has_changed {
            self.check_receipts(opening);
        }
        self.arm(opening);
    }

    fn arm(&mut self, opening: usize) {
        let Some(due) = self.openings[opening].core.next_timeout() else { return };
        let late = if self.has(Bug::LateTimer) { 1_000 } else { 0 };
        let at = self.now + due.since(self.clock_of(opening)).0.max(1) + late;
        if self.openings[opening].tick_at.is_none_or(|armed| armed > at) {
            self.openings[opening].tick_at = Some(at);
            self.at(at, Event::Tick(opening));
        }
    }

    /// A tab's timer fires.
    pub fn tick(&mut self, opening: usize) {
        if self.openings[opening].tick_at == Some(self.now) {
            self.openings[opening].tick_at = None;
            self.feed(opening, Input::Tick);
            if self.openings[opening].is_alive {
                self.arm(opening);
            }
        }
    }

    fn execute(&mut self, opening: usize, output: Output) {
        match output {
            Output::Scan { token, scan } => {
                // Questions are answered in the order in which they were asked, or a row of a document could be newer than
                // its updates.
                let at = self.now + self.disk_delay(opening);
                let at = at.max(self.openings[opening].scanned_at).max(self.landed_by(opening));
                self.openings[opening].scanned_at = at;
                self.at(at, Event::Scan(opening, token, scan));
            }
            Output::Persist { token, ops, .. } => self.persist(opening, token, ops),
            Output::Connect { .. } => self.connect(opening),
            Output::Disconnect => self.disconnect(opening),
            Output::Send { bytes } => self.send_frame(opening, bytes),
            Output::Ping => {
                self.openings[opening].pinged_at.get_or_insert(self.now);
                if let Some(conn) = self.openings[opening].socket {
                    self.send(conn, Way::Up, Message::Ping);
                }
            }
            Output::Ready => {
                self.openings[opening].is_ready = true;
                self.note(|| format!("tab {opening}: ready"));
                self.check_reopened(opening);
            }
            Output::Load { doc, updates } => {
                self.apply(opening, &doc, &updates);
                if let Some(opened) = self.openings[opening].docs.get_mut(&doc) {
                    opened.is_loaded = true;
                    name_roots(&mut opened.document);
                }
            }
            Output::Apply { doc, updates, .. } => self.apply(opening, &doc, &updates),
            Output::Rebuild { doc, updates } => {
                self.coverage.saw(Moment::Rebuilt);
                self.note(|| format!("tab {opening}: rebuilds {doc:?}"));
                let client_id = self.openings[opening].entropy.bits() >> 11;
                let updates: Vec<&[u8]> = updates.iter().map(|update| &**update).collect();
                if let Some(opened) = self.openings[opening].docs.get_mut(&doc)
                    && let Err(cause) = opened.document.rebuild(client_id, &updates)
                {
                    self.violate("documents", || format!("tab {opening}: {doc:?} cannot be made anew: {cause}"));
                }
            }
            Output::Done { id, result } => {
                if self.has(Bug::ReceiptResolvedTwice) {
                    self.wait_ended(opening, id, result.clone());
                }
                self.wait_ended(opening, id, result);
            }
            Output::OpenFailed { error } => {
                self.violate("storage", || format!("tab {opening} cannot read its storage: {error}"));
            }
            Output::Unloadable { doc, error } => {
                // Documents that were being read when storage failed for good cannot be opened; others can.
                if !self.openings[opening].has_failed_storage {
                    self.violate("storage", || format!("tab {opening} cannot load {doc:?}: {error}"));
                }
                self.openings[opening].docs.remove(&doc);
            }
            Output::Changed | Output::Progress { .. } | Output::Signalled { .. } => {}
            Output::Damaged(damage) => {
                self.violate("storage", || format!("tab {opening} finds rows damaged: {damage:?}"));
            }
            Output::TellTabs { .. }
            | Output::Steal
            | Output::WatchTab { .. }
            | Output::SendPeer { .. }
            | Output::ClosePeer { .. }
            | Output::AskPeer { .. } => {
                unreachable!("it has neither tabs nor peers")
            }
        }
    }

    fn apply(&mut self, opening: usize, doc: &DocName, updates: &[Rc<[u8]>]) {
        let updates: Vec<&[u8]> = updates.iter().map(|update| &**update).collect();
        let Some(opened) = self.openings[opening].docs.get_mut(doc) else { return };
        if let Err(cause) = opened.document.apply(&updates) {
            self.violate("documents", || format!("tab {opening}: {doc:?} does not take what it is given: {cause}"));
        }
    }

    /// All tabs of a device die at once, and what their commits have not stored by now is lost.
    pub fn kill_device(&mut self, device: usize) {
        for opening in 0..self.openings.len() {
            if self.openings[opening].device == device {
                self.kill_tab(opening, false);
                self.openings[opening].lands_after_death = false;
            }
        }
    }

    /// A tab dies at once, or is closed.
    pub fn kill_tab(&mut self, opening: usize, lands: bool) {
        let tab = &mut self.openings[opening];
        if !std::mem::replace(&mut tab.is_alive, false) {
            return;
        }
        tab.lands_after_death = lands;
        let is_untold = tab.committing == Some(true);
        tab.docs.clear();
        let socket = tab.socket.take();
        if is_untold {
            self.coverage.saw(Moment::CommitUntold);
        }
        self.note(|| format!("tab {opening}: dies"));
        self.tab_died(opening);
        if let Some(conn) = socket {
            self.conns[conn].is_up = false;
            // The platform hears of it at once, late, or with what was sent before still on its way.
            match self.rng.below(3) {
                0 => self.send(conn, Way::Up, Message::Close),
                1 => {
                    let span = self.rng.below(30_000);
                    self.after(span, Event::Lost(conn, Way::Up));
                }
                _ => self.linger(conn),
            }
        }
    }
}
