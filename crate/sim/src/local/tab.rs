//! A device and its tabs: the host of replicas' machines that share a storage, as a page and its browser drive them.
//!
//! It decides nothing about replication. What a real host leaves to chance is left to the world's randomness.

use super::coverage::Moment;
use super::oracle::writes_of;
use super::session::Waiting;
use super::world::{Event, World};
use crate::bits::Bits;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::rng::Rng;
use headwater_core::replica::{Config, Input, Output, Replica};
use headwater_core::store::{Guard, StoreOp};
use headwater_core::{DocName, Millis, Origin, Stage, Token};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

/// How long a host may leave a machine undrained at most.
pub const DRAIN_MS_MAX: u64 = 6;
/// How long a tab that is being closed may take to store what it has.
const CLOSE_MS_MAX: u64 = 4_000;

/// A device.
#[derive(Debug)]
pub struct Device {
    /// Its storage, shared by its tabs.
    pub disk: Disk,
    /// Its clocks.
    pub clock: Clock,
    /// Whether its tabs are opened with a leader.
    pub has_leader: bool,
    /// Who has the lock.
    pub holder: Option<usize>,
    /// Who waits for it.
    pub queue: VecDeque<usize>,
    /// When the last commit lands that has begun.
    pub lands_at: u64,
    /// The last term that was claimed.
    pub term: u64,
    /// By which opening.
    pub claimed_by: u64,
}

impl Device {
    /// A device with an empty disk.
    pub fn new(rng: &mut Rng, has_leader: bool) -> Self {
        Self {
            disk: Disk::new(),
            clock: Clock::new(rng.within(1000, 1_000_000), rng.below(300), 0),
            has_leader,
            holder: None,
            queue: VecDeque::new(),
            lands_at: 0,
            term: 0,
            claimed_by: 0,
        }
    }
}

/// A commit under way.
#[derive(Debug)]
pub struct Commit {
    /// Numbers a tab's commits.
    pub id: u64,
    /// The machine's number for it.
    pub token: Token,
    /// What changes.
    pub ops: Vec<StoreOp>,
    /// What must stand.
    pub guard: Option<Guard>,
    /// Whether it waits for its tab to go on.
    pub is_held: bool,
}

/// A document that a tab has open.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// What it shows.
    pub shown: Bits,
    /// Whether it may be written to.
    pub is_loaded: bool,
}

/// A tab.
pub struct Tab {
    /// Its device.
    pub device: usize,
    /// Its origin.
    pub origin: Origin,
    /// The machine under test.
    pub core: Replica,
    /// Whether it is there.
    pub is_alive: bool,
    /// Until when nothing of it runs.
    pub frozen_until: u64,
    /// Whether what others tell it meanwhile is lost.
    pub is_deaf: bool,
    /// What came while it was frozen.
    pub missed: VecDeque<Input>,
    /// Whether it is being closed.
    pub is_leaving: bool,
    /// Documents.
    pub docs: Vec<Option<Opened>>,
    /// Commits under way, in order.
    pub commits: VecDeque<Commit>,
    /// How many commits it has begun.
    pub begun: u64,
    /// When its last question to storage is answered, and its last commit is told.
    pub told_at: u64,
    /// When the last message of the channel reaches it.
    pub channel_at: u64,
    /// Tabs whose end it wants to hear of.
    pub watches: BTreeSet<Origin>,
    /// Its connection.
    pub conn: Option<usize>,
    /// Who waits.
    pub waits: BTreeMap<u64, Waiting>,
    /// Numbers waits.
    pub last_wait: u64,
    /// Receipts that are not at their end: the write, and the farthest stage that was told.
    pub receipts: BTreeMap<usize, Stage>,
    tick_at: Option<u64>,
    is_drain_due: bool,
}

impl World {
    /// Opens a tab on a device; its number.
    pub fn open_tab(&mut self, device: usize) -> usize {
        let (origin, jitter_seed) = (Origin(self.rng.bits()), self.rng.bits());
        let has_leader = self.devices[device].has_leader;
        let config =
            Config { origin, has_leader, is_durable: true, jitter_seed, shares_storage: true, check: |_| Ok(()) };
        let tab = self.tabs.len();
        self.tabs.push(Tab {
            device,
            origin,
            core: Replica::new(config),
            is_alive: true,
            frozen_until: 0,
            is_deaf: false,
            missed: VecDeque::new(),
            is_leaving: false,
            docs: vec![None; self.docs.len()],
            commits: VecDeque::new(),
            begun: 0,
            told_at: 0,
            channel_at: 0,
            watches: BTreeSet::new(),
            conn: None,
            waits: BTreeMap::new(),
            last_wait: 0,
            receipts: BTreeMap::new(),
            tick_at: None,
            is_drain_due: false,
        });
        self.note(|| format!("device {device}: tab {tab} opens, origin {origin}, leader: {has_leader}"));
        self.request_lock(tab);
        for doc in 0..self.docs.len() {
            if self.is_healing || self.rng.chance(70) {
                self.open_doc(tab, doc);
            }
        }
        self.drain(tab);
        tab
    }

    /// Opens a tab if there may be another one.
    pub fn open_tab_if_room(&mut self, device: usize) -> bool {
        let has_room = self.tabs_of(device).len() < self.plan.shape.tabs_max as usize;
        if has_room && !self.is_healing {
            self.open_tab(device);
        }
        has_room
    }

    /// The tabs of a device that are there.
    pub fn tabs_of(&self, device: usize) -> Vec<usize> {
        (0..self.tabs.len()).filter(|tab| self.tabs[*tab].is_alive && self.tabs[*tab].device == device).collect()
    }

    /// All tabs that are there and not being closed.
    pub fn open_tabs(&self) -> Vec<usize> {
        (0..self.tabs.len()).filter(|tab| self.tabs[*tab].is_alive && !self.tabs[*tab].is_leaving).collect()
    }

    /// Whether something runs in the tab.
    pub fn is_awake(&self, tab: usize) -> bool {
        self.tabs[tab].is_alive && self.tabs[tab].frozen_until <= self.now
    }

    /// A tab opens a document; whether it was not open.
    pub fn open_doc(&mut self, tab: usize, doc: usize) -> bool {
        if self.tabs[tab].docs[doc].is_some() {
            return false;
        }
        self.tabs[tab].docs[doc] = Some(Opened::default());
        let name = self.docs[doc].clone();
        self.feed(tab, Input::OpenDoc { doc: name });
        true
    }

    /// A tab closes a document; whether it was open.
    pub fn close_doc(&mut self, tab: usize, doc: usize) -> bool {
        let was_open = self.tabs[tab].docs[doc].take().is_some();
        if was_open {
            let name = self.docs[doc].clone();
            self.feed(tab, Input::CloseDoc { doc: name });
        }
        was_open
    }

    /// A tab's monotonic clock.
    pub fn clock_of(&self, tab: usize) -> Millis {
        Millis(self.devices[self.tabs[tab].device].clock.monotonic(self.now))
    }

    /// Hands an input to a tab's machine; it is drained now, or soon.
    pub fn feed(&mut self, tab: usize, input: Input) {
        if !self.tabs[tab].is_alive {
            return;
        }
        if !self.is_awake(tab) {
            if matches!(input, Input::Tab { .. }) && self.rng.chance(3) {
                return self.coverage.saw(Moment::MessageLost);
            }
            return self.tabs[tab].missed.push_back(input);
        }
        let now = self.clock_of(tab);
        let is_robbed = matches!(input, Input::Unhold);
        if let Input::Wait { id, timeout, .. } = &input {
            // A frozen tab begins to wait when it goes on.
            let deadline = now.after(*timeout);
            self.tabs[tab].waits.get_mut(id).into_iter().for_each(|waiting| waiting.deadline = deadline);
        }
        self.tabs[tab].core.handle(input, now);
        if is_robbed {
            self.request_lock(tab);
        }
        self.drain_soon(tab);
    }

    /// Drains a tab's machine now or after further inputs.
    pub fn drain_soon(&mut self, tab: usize) {
        if self.rng.chance(75) {
            self.drain(tab);
        } else if !std::mem::replace(&mut self.tabs[tab].is_drain_due, true) {
            let span = self.rng.below(DRAIN_MS_MAX);
            self.after(span, Event::Drain(tab));
        }
    }

    /// Does everything that a tab's machine wants done.
    pub fn drain(&mut self, tab: usize) {
        if !self.is_awake(tab) {
            return;
        }
        self.tabs[tab].is_drain_due = false;
        let now = self.clock_of(tab);
        let mut has_changed = false;
        while self.violation.is_none() && self.tabs[tab].is_alive {
            let Some(output) = self.tabs[tab].core.poll(now) else { break };
            has_changed |= matches!(output, Output::Changed);
            self.execute(tab, output);
        }
        if has_changed && self.violation.is_none() {
            self.check_receipts(tab);
        }
        let state = &self.tabs[tab];
        if state.is_leaving && state.core.is_stored() && state.commits.is_empty() {
            return self.end_tab(tab);
        }
        let Some(due) = state.core.next_timeout() else { return };
        let at = self.now + due.since(now).0.max(1);
        if state.tick_at.is_none_or(|armed| armed > at || armed < self.now) {
            self.tabs[tab].tick_at = Some(at);
            self.at(at, Event::Tick(tab));
        }
    }

    /// A tab's timer fires.
    pub fn tick(&mut self, tab: usize) {
        if self.tabs[tab].tick_at == Some(self.now) && self.is_awake(tab) {
            self.tabs[tab].tick_at = None;
            self.feed(tab, Input::Tick);
            self.drain(tab);
        }
    }

    /// Nothing of a tab runs for a while. What is told meanwhile waits for it; if it is deaf, nobody keeps that, as where a
    /// debugger halts a page.
    pub fn freeze(&mut self, tab: usize, span: u64, is_deaf: bool) {
        self.note(|| format!("tab {tab} is frozen{} for {span} ms", if is_deaf { ", deaf" } else { "" }));
        self.tabs[tab].is_deaf = is_deaf;
        self.tabs[tab].frozen_until = self.now + span;
        // What its page had not handed over yet waits with it.
        let first = self.rng.below(self.tabs[tab].commits.len() as u64 + 1) as usize;
        self.tabs[tab].commits.iter_mut().skip(first).for_each(|commit| commit.is_held = true);
        self.after(span, Event::Thaw(tab));
    }

    /// A frozen tab goes on, with everything that it missed, unless it was frozen again meanwhile.
    pub fn thaw(&mut self, tab: usize) {
        if !self.is_awake(tab) {
            return;
        }
        self.note(|| format!("tab {tab} goes on"));
        self.tabs[tab].frozen_until = 0;
        self.release_commits(tab);
        let is_deaf = std::mem::take(&mut self.tabs[tab].is_deaf);
        let missed = std::mem::take(&mut self.tabs[tab].missed);
        let missed = missed.into_iter().filter(|input| !is_deaf || !matches!(input, Input::Tab { .. }));
        missed.for_each(|input| self.feed(tab, input));
        if self.tabs[tab].is_alive {
            self.feed(tab, Input::Tick);
            self.drain(tab);
        }
    }

    /// A tab is being closed by its page; it is gone once it has stored what it has.
    pub fn leave_tab(&mut self, tab: usize) {
        self.note(|| format!("tab {tab} is being closed"));
        self.feed(tab, Input::Leave);
        self.tabs[tab].is_leaving = true;
        self.after(CLOSE_MS_MAX, Event::Gone(tab));
        self.drain(tab);
    }

    /// A tab is gone: killed, or closed.
    pub fn end_tab(&mut self, tab: usize) {
        if !std::mem::replace(&mut self.tabs[tab].is_alive, false) {
            return;
        }
        self.note(|| format!("tab {tab} is gone"));
        self.commits_orphaned(tab);
        let state = &mut self.tabs[tab];
        state.waits.clear();
        state.receipts.clear();
        state.missed.clear();
        self.leave_conn(tab);
        self.part_all(tab);
        self.release_lock(tab);
        self.tell_watchers(tab);
        self.sessions_lost(tab);
    }

    fn execute(&mut self, tab: usize, output: Output) {
        match output {
            Output::Scan { token, scan } => self.ask_storage(tab, token, scan),
            Output::Persist { token, ops, guard } => self.persist(tab, token, ops, guard),
            Output::TellTabs { bytes } => self.tell_tabs(tab, &bytes),
            Output::Steal => self.steal_lock(tab),
            Output::WatchTab { origin } => self.watch(tab, origin),
            Output::Connect { .. } => self.connect(tab),
            Output::Disconnect => self.leave_conn(tab),
            Output::Send { bytes } => self.send_up(tab, bytes),
            Output::Ping => self.ping(tab),
            Output::SendPeer { peer, bytes } => self.send_peer(tab, peer, bytes),
            Output::ClosePeer { peer, error } => self.close_peer(tab, peer, error),
            Output::AskPeer { peer, .. } => self.feed(tab, Input::PeerApproved { peer, is_approved: true }),
            Output::Load { doc, updates } => {
                let doc = self.place_of(&doc);
                if let Some(opened) = &mut self.tabs[tab].docs[doc] {
                    opened.is_loaded = true;
                    self.apply(tab, doc, &updates);
                }
            }
            Output::Apply { doc, updates, .. } => {
                let doc = self.place_of(&doc);
                self.apply(tab, doc, &updates);
            }
            Output::Rebuild { doc, updates } => {
                let doc = self.place_of(&doc);
                let Some(opened) = &mut self.tabs[tab].docs[doc] else { return };
                let before = std::mem::take(&mut opened.shown);
                self.apply(tab, doc, &updates);
                if let Some(opened) = &self.tabs[tab].docs[doc] {
                    let gone = before.without(&opened.shown);
                    self.check_taken_back(tab, doc, &gone);
                }
            }
            Output::Done { id, result } => self.wait_ended(tab, id, result),
            Output::OpenFailed { error } | Output::Unloadable { error, .. } => {
                self.violate("storage", || format!("tab {tab} cannot read its storage: {error}"));
            }
            Output::Ready | Output::Changed | Output::Progress { .. } | Output::Signalled { .. } => {}
            Output::Damaged(damage) => {
                self.violate("storage", || format!("tab {tab} finds rows damaged: {damage:?}"));
            }
        }
    }

    /// A document's place in the world's list.
    pub fn place_of(&self, doc: &DocName) -> usize {
        self.docs.iter().position(|name| name == doc).expect("only these are used")
    }

    fn apply(&mut self, tab: usize, doc: usize, updates: &[Rc<[u8]>]) {
        let Some(opened) = &mut self.tabs[tab].docs[doc] else { return };
        for write in updates.iter().flat_map(|update| writes_of(update)) {
            match write {
                Some(write) => opened.shown.set(write),
                None => return self.violate("documents", || format!("tab {tab} is given an update that nobody wrote")),
            }
        }
        if self.trace.is_verbose() {
            let writes: Vec<usize> = updates.iter().flat_map(|update| writes_of(update)).flatten().collect();
            self.note(|| format!("tab {tab}: doc/{doc} gets {writes:?}"));
        }
    }
}
