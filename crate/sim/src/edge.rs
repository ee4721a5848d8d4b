//! The edge: the platform that runs instances of the node, holds their connections, and fences stale ones.
//!
//! It models a Durable Object: one instance is in charge, a commit of any other is refused, connections outlive a
//! hibernating instance together with what the node attached to them.

use crate::bug::Bug;
use crate::coverage::Moment;
use crate::disk::{Disk, Trouble};
use crate::net::{Message, Way};
use crate::session::Querying;
use crate::world::{Event, World};
use headwater_core::frame::NodeFrame;
use headwater_core::node::{Config, Input, Merge, Node, Output};
use headwater_core::store::{Scan, StoreOp, Table};
use headwater_core::{Code, ConnId, Error, Generation, Millis, Token};
use headwater_doc::{Document, check_update};
use std::collections::BTreeMap;
use std::rc::Rc;

/// An update that holds this is refused by the simulated leader.
pub const FORBIDDEN: &str = "\u{1}forbidden";

/// An instance of the node.
pub struct Instance {
    /// The machine under test.
    pub core: Node,
    /// Whether it runs.
    pub is_alive: bool,
    /// Whether another one has taken over.
    pub is_stale: bool,
    /// Queries that it has not answered.
    pub queries: BTreeMap<u64, Querying>,
    /// Commits and scans that it waits for.
    pub in_flight: u32,
    is_untold: bool,
    tick_at: Option<u64>,
    is_drain_due: bool,
}

/// The platform.
pub struct Edge {
    /// The node's storage.
    pub disk: Disk,
    before_last_commit: Option<Disk>,
    /// Instances, dead ones included.
    pub instances: Vec<Instance>,
    /// The one in charge.
    pub current: Option<usize>,
    /// Whether it goes to sleep when it is idle.
    pub is_sleepy: bool,
    /// Numbers queries.
    pub last_query: u64,
}

impl Edge {
    /// A platform without a database yet.
    pub fn new() -> Self {
        Self {
            disk: Disk::new(),
            before_last_commit: None,
            instances: Vec::new(),
            current: None,
            is_sleepy: false,
            last_query: 0,
        }
    }
}

impl Default for Edge {
    fn default() -> Self {
        Self::new()
    }
}

fn check(update: &[u8]) -> Result<(), String> {
    if update.windows(FORBIDDEN.len()).any(|window| window == FORBIDDEN.as_bytes()) {
        return Err("it is forbidden".into());
    }
    check_update(update).map_err(|cause| cause.to_string())
}

/// Merges as nodes that ship do.
fn merge_documents() -> Box<dyn Merge> {
    Box::new(Merged(Document::new(0)))
}

struct Merged(Document);

impl Merge for Merged {
    fn apply(&mut self, updates: &[Rc<[u8]>]) -> Result<(), String> {
        let updates: Vec<&[u8]> = updates.iter().map(|update| &**update).collect();
        self.0.apply(&updates).map_err(|cause| cause.to_string())
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.encode_state()
    }
}

impl World {
    /// The instance in charge, started if there is none.
    pub fn node(&mut self) -> usize {
        if let Some(current) = self.edge.current {
            return current;
        }
        let node = self.edge.instances.len();
        let fresh_generation = Generation(self.rng.bits() | 1);
        let retention = crate::retention::of(self.plan.seed);
        let config = Config { fresh_generation, check, group: None, merge: merge_documents, retention };
        self.edge.instances.push(Instance {
            core: Node::new(config),
            is_alive: true,
            is_stale: false,
            queries: BTreeMap::new(),
            in_flight: 0,
            is_untold: false,
            tick_at: None,
            is_drain_due: false,
        });
        self.edge.current = Some(node);
        self.note(|| format!("node {node} starts"));
        for conn in 0..self.conns.len() {
            if self.conns[conn].is_held && self.conns[conn].node.is_none() {
                self.conns[conn].node = Some(node);
                self.coverage.saw(Moment::Restored);
                let is_old = self.has(Bug::OldAttachment);
                let held = &self.conns[conn];
                let state = if is_old { held.attachment_before.clone() } else { held.attachment.clone() };
                self.node_feed(node, Input::Restored { conn: ConnId(conn as u64 + 1), state });
            }
        }
        self.node_drain(node);
        node
    }

    /// A connection attempt reaches the platform.
    pub fn arrive(&mut self, conn: usize) {
        let device = self.openings[self.conns[conn].opening].device;
        if !self.conns[conn].is_up || self.devices[device].cut_until > self.now {
            return;
        }
        let stale = self.edge.instances.iter().position(|instance| instance.is_alive && instance.is_stale);
        let node = match stale {
            Some(stale) if self.rng.chance(20) => {
                self.coverage.saw(Moment::StaleConnect);
                stale
            }
            _ => self.node(),
        };
        self.conns[conn].node = Some(node);
        self.conns[conn].is_held = true;
        self.note(|| format!("node {node}: connection {conn} opens"));
        self.send(conn, Way::Down, Message::Open);
        self.node_feed(node, Input::Opened { conn: ConnId(conn as u64 + 1) });
    }

    /// A message arrives at the platform's end of a connection.
    pub fn deliver_to_node(&mut self, conn: usize, message: Message) {
        if !self.conns[conn].is_held {
            return;
        }
        match message {
            Message::Ping => self.send(conn, Way::Down, Message::Pong),
            Message::Close => self.node_lost(conn),
            Message::Frame(bytes) => {
                self.node();
                let Some(node) = self.conns[conn].node else { return };
                self.node_feed(node, Input::Frame { conn: ConnId(conn as u64 + 1), bytes: bytes.to_vec() });
            }
            Message::Open | Message::Pong => {}
        }
    }

    /// The node's clock; it never leaves the machine.
    fn node_clock(&self) -> Millis {
        Millis(self.now + 5_000)
    }

    /// Hands an input to an instance.
    pub fn node_feed(&mut self, node: usize, input: Input) {
        let clock = self.node_clock();
        let instance = &mut self.edge.instances[node];
        if !instance.is_alive {
            return;
        }
        match &input {
            Input::Persisted { .. } => {
                instance.in_flight -= 1;
                instance.is_untold = false;
            }
            Input::Scanned { .. } => instance.in_flight -= 1,
            _ => {}
        }
        instance.core.handle(input, clock);
        if self.rng.chance(75) {
            self.node_drain(node);
        } else if !std::mem::replace(&mut self.edge.instances[node].is_drain_due, true) {
            let span = self.rng.below(4);
            self.after(span, Event::NodeDrain(node));
        }
    }

    /// Does everything that an instance wants done.
    pub fn node_drain(&mut self, node: usize) {
        self.edge.instances[node].is_drain_due = false;
        while self.edge.instances[node].is_alive && self.violation.is_none() {
            let Some(output) = self.edge.instances[node].core.poll() else { break };
            self.node_execute(node, output);
        }
        if !self.edge.instances[node].is_alive {
            return;
        }
        self.check_log(node);
        if let Some(due) = self.edge.instances[node].core.next_timeout() {
            let at = self.now + due.since(self.node_clock()).0.max(1);
            if self.edge.instances[node].tick_at.is_none_or(|armed| armed > at) {
                self.edge.instances[node].tick_at = Some(at);
                self.at(at, Event::NodeTick(node));
            }
        }
        self.sleep_if_idle();
    }

    /// An instance's timer fires.
    pub fn node_tick(&mut self, node: usize) {
        if self.edge.instances[node].tick_at == Some(self.now) {
            self.edge.instances[node].tick_at = None;
            self.node_feed(node, Input::Tick);
        }
    }

    fn sleep_if_idle(&mut self) {
        let Some(node) = self.edge.current.filter(|_| self.edge.is_sleepy) else { return };
        let instance = &self.edge.instances[node];
        let is_busy = instance.in_flight > 0 || instance.is_drain_due || !instance.queries.is_empty();
        if is_busy || !instance.core.status().is_loaded || instance.core.status().failure.is_some() {
            return;
        }
        self.edge.is_sleepy = false;
        self.edge.instances[node].is_alive = false;
        self.edge.current = None;
        self.note(|| format!("node {node} hibernates"));
        for conn in self.conns.iter_mut().filter(|conn| conn.node == Some(node)) {
            conn.node = None;
        }
    }

    fn node_execute(&mut self, node: usize, output: Output) {
        // Whoever hears of an entry hears of one that is in the log.
        self.check_log(node);
        match output {
            Output::Send { conn, bytes } => {
                let conn = (conn.0 - 1) as usize;
                if self.conns[conn].is_held && self.conns[conn].node == Some(node) {
                    let frame = if self.bug.is_some() || self.trace.is_verbose() {
                        NodeFrame::decode(&bytes).ok()
                    } else {
                        None
                    };
                    if let Some(NodeFrame::Entries { group, batch, .. }) = &frame {
                        if *group > 0 {
                            self.coverage.saw(Moment::CatchUp);
                        }
                        if self.has(Bug::CatchUpSkipsPage)
                            && *group > 0
                            && !batch.writes.is_empty()
                            && self.rng.chance(30)
                        {
                            return;
                        }
                    } else if frame.is_none() && bytes.first() == Some(&66) && bytes.get(1) != Some(&0) {
                        self.coverage.saw(Moment::CatchUp);
                    }
                    self.send(conn, Way::Down, Message::Frame(bytes));
                }
            }
            Output::Close { conn, error } => {
                let conn = (conn.0 - 1) as usize;
                if self.conns[conn].node == Some(node) && std::mem::replace(&mut self.conns[conn].is_held, false) {
                    self.note(|| format!("node {node}: closes connection {conn}: {error}"));
                    self.send(conn, Way::Down, Message::Close);
                }
            }
            Output::Attach { conn, state } => {
                let held = &mut self.conns[(conn.0 - 1) as usize];
                held.attachment_before = std::mem::replace(&mut held.attachment, state);
            }
            Output::Persist { token, ops } => {
                self.edge.instances[node].in_flight += 1;
                self.node_persist(node, token, ops);
            }
            Output::Scan { token, scan } => {
                self.edge.instances[node].in_flight += 1;
                let span = self.node_disk_delay();
                self.after(span, Event::NodeScan(node, token, scan));
            }
            Output::Content { query, updates } => self.query_content(node, query, &updates),
            Output::Answer { query, result } => self.query_answered(node, query, result),
            Output::Call { .. }
            | Output::Reply { .. }
            | Output::ReadRecord { .. }
            | Output::SwapRecord { .. }
            | Output::AdminDone { .. }
            | Output::Event(_) => unreachable!("this node leads alone"),
            Output::Docs { .. } => unreachable!("nobody asks which documents there are"),
            Output::Failed { error } => {
                self.note(|| format!("node {node} fails: {error}"));
                if error.code == Code::Corrupt {
                    self.violate("storage", || format!("node {node} cannot read its storage: {error}"));
                }
                self.node_gone(node);
            }
        }
    }

    fn node_disk_delay(&mut self) -> u64 {
        let usual = u64::from(self.plan.shape.disk_ms);
        self.about(usual) * self.edge.disk.slowness
    }

    /// The node's storage answers a question.
    pub fn node_scan(&mut self, node: usize, token: Token, scan: &Scan) {
        if self.edge.instances[node].is_alive {
            let rows = self.edge.disk.scan(scan);
            self.node_feed(node, Input::Scanned { token, rows });
        }
    }

    fn node_persist(&mut self, node: usize, token: Token, ops: Vec<StoreOp>) {
        let span = self.node_disk_delay();
        if ops.iter().any(|op| matches!(op, StoreOp::Put { table: Table::Origins, .. })) {
            self.coverage.saw(Moment::Checkpoint);
        }
        if self.edge.instances[node].is_stale && !self.has(Bug::NoFence) {
            return self.fence(node);
        }
        match self.edge.disk.trouble {
            Trouble::None => {}
            trouble => {
                self.coverage.saw(Moment::NodeCommitFailed);
                if trouble == Trouble::FailNextStored {
                    self.check_leader(node, &ops);
                    self.edge.disk.land(&ops);
                }
                if trouble != Trouble::Full {
                    self.edge.disk.trouble = Trouble::None;
                }
                let error = Error::new(Code::StorageUnavailable, "the simulated storage failed");
                return self.after(span, Event::NodeFeed(node, Input::StorageFailed { error }));
            }
        }
        if self.has(Bug::AckBeforeCommit) {
            self.after(0, Event::NodeFeed(node, Input::Persisted { token }));
        }
        self.after(span, Event::NodeLand(node, token, ops));
    }

    fn fence(&mut self, node: usize) {
        self.coverage.saw(Moment::Fenced);
        let error = Error::new(Code::StorageUnavailable, "this instance is no longer in charge");
        self.node_feed(node, Input::StorageFailed { error });
    }

    /// An instance's commit lands, unless it died or another one took over.
    pub fn node_land(&mut self, node: usize, token: Token, ops: &[StoreOp]) {
        if !self.edge.instances[node].is_alive {
            return self.coverage.saw(Moment::NodeCommitLost);
        }
        if self.edge.instances[node].is_stale && !self.has(Bug::NoFence) && !self.has(Bug::FenceAtStart) {
            return self.fence(node);
        }
        self.check_leader(node, ops);
        if self.has(Bug::LostSyncOrder) {
            self.edge.before_last_commit = Some(self.edge.disk.clone());
        }
        self.trace.event(self.now, "commit", node as u64, &[ops.len() as u8]);
        self.edge.disk.land(ops);
        self.edge.instances[node].is_untold = true;
        if !self.has(Bug::AckBeforeCommit) {
            let span = self.rng.below(u64::from(self.plan.shape.disk_ms) + 1);
            self.after(span, Event::NodeFeed(node, Input::Persisted { token }));
        }
    }

    /// An instance is killed, and its connections with it.
    pub fn kill_node(&mut self, node: usize) {
        if !self.edge.instances[node].is_alive {
            return;
        }
        self.note(|| format!("node {node} is killed"));
        if self.edge.instances[node].is_untold {
            self.coverage.saw(Moment::NodeCommitUntold);
        }
        if let Some(before) = self.edge.before_last_commit.take() {
            self.edge.disk = before;
        }
        self.node_gone(node);
    }

    fn node_gone(&mut self, node: usize) {
        self.edge.instances[node].is_alive = false;
        if self.edge.current == Some(node) {
            self.edge.current = None;
        }
        self.queries_lost(node);
        for conn in 0..self.conns.len() {
            if self.conns[conn].node == Some(node) && std::mem::replace(&mut self.conns[conn].is_held, false) {
                self.conns[conn].up.is_cut = true;
                if !self.rng.chance(10) {
                    let span = self.rng.below(2000);
                    self.after(span, Event::Lost(conn, Way::Down));
                }
            }
        }
    }

    /// Another instance takes over while this one runs on.
    pub fn make_stale(&mut self) -> bool {
        let Some(node) = self.edge.current.take() else { return false };
        self.edge.instances[node].is_stale = true;
        self.note(|| format!("node {node} is stale from now on"));
        self.node();
        // What parts two instances parts some of the tabs from the old one as well.
        for conn in 0..self.conns.len() {
            if self.conns[conn].node == Some(node) && self.conns[conn].is_held && self.rng.chance(40) {
                self.cut(conn);
            }
        }
        true
    }
}
