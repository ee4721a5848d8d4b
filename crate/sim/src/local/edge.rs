//! The node that some devices have as their leader, its storage, and the connections to it.

use super::coverage::Moment;
use super::oracle::{check_update, merge};
use super::world::{Event, World};
use crate::group::drive::Drive;
use crate::net::Message;
use headwater_core::node::{Config, Input, Node, Output};
use headwater_core::store::{Scan, StoreOp};
use headwater_core::{ConnId, Generation, Millis, Token, replica};

/// The node and its platform.
pub struct Edge {
    /// The machine; none while it is down.
    pub core: Option<Node>,
    /// Its storage.
    pub drive: Drive,
    /// Numbers its instances.
    pub life: u64,
    tick_at: Option<u64>,
}

impl Edge {
    /// A node that has not been started.
    pub fn new() -> Self {
        Self { core: None, drive: Drive::new(), life: 0, tick_at: None }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Conn {
    /// Whose it is.
    pub tab: usize,
    /// Whether the tab's end is open.
    pub is_up: bool,
    /// Whether the node's end is.
    pub is_held: bool,
    /// Whether nothing arrives any more.
    pub is_cut: bool,
    up_at: u64,
    down_at: u64,
}

fn id(conn: usize) -> ConnId {
    ConnId(conn as u64 + 1)
}

impl World {
    /// The node starts, unless it runs.
    pub fn start_node(&mut self) {
        if self.edge.core.is_some() {
            return;
        }
        let fresh_generation = Generation(self.rng.bits() | 1);
        let retention = crate::retention::of(self.plan.seed);
        let config = Config { fresh_generation, check: check_update, group: None, merge, retention };
        self.edge.core = Some(Node::new(config));
        self.edge.life += 1;
        self.edge.tick_at = None;
        self.note(|| "the node starts".into());
        self.drain_node();
    }

    /// The node is killed, with everything that was not stored, and its connections with it.
    pub fn kill_node(&mut self) {
        if self.edge.core.take().is_none() {
            return;
        }
        self.note(|| "the node is killed".into());
        while self.edge.drive.in_flight() > 0 && self.rng.chance(50) {
            self.land_next_of_node();
        }
        self.edge.drive.crash();
        self.edge.life += 1;
        for conn in 0..self.conns.len() {
            if std::mem::replace(&mut self.conns[conn].is_held, false) {
                self.conns[conn].is_cut = true;
                let span = self.rng.below(500);
                self.after(span, Event::TabLost(conn));
            }
        }
    }

    fn node_clock(&self) -> Millis {
        Millis(self.now + 5_000)
    }

    pub(super) fn feed_node(&mut self, input: Input) {
        let now = self.node_clock();
        if let Some(core) = &mut self.edge.core {
            core.handle(input, now);
            self.drain_node();
        }
    }

    fn drain_node(&mut self) {
        while self.violation.is_none() {
            let Some(output) = self.edge.core.as_mut().and_then(Node::poll) else { break };
            self.execute_node(output);
        }
        let Some(due) = self.edge.core.as_ref().and_then(Node::next_timeout) else { return };
        let at = self.now + due.since(self.node_clock()).0.max(1);
        if self.edge.tick_at.is_none_or(|armed| armed > at) {
            self.edge.tick_at = Some(at);
            self.at(at, Event::NodeTick(self.edge.life));
        }
    }

    pub(super) fn tick_node(&mut self) {
        if self.edge.tick_at == Some(self.now) {
            self.edge.tick_at = None;
            self.feed_node(Input::Tick);
        }
    }

    fn execute_node(&mut self, output: Output) {
        match output {
            Output::Send { conn, bytes } => self.send_down((conn.0 - 1) as usize, Message::Frame(bytes)),
            Output::Close { conn, error } => {
                let conn = (conn.0 - 1) as usize;
                self.note(|| format!("the node closes connection {conn}: {error}"));
                self.send_down(conn, Message::Close);
                self.conns[conn].is_held = false;
            }
            Output::Persist { token, ops } => {
                let at = self.now + self.about(self.plan.shape.disk_ms);
                let at = self.edge.drive.begin(token, ops, at);
                self.at(at, Event::NodeLand(self.edge.life));
            }
            Output::Scan { token, scan } => {
                let at = self.now + self.about(self.plan.shape.disk_ms);
                let at = self.edge.drive.ask(at);
                self.at(at, Event::NodeScan(self.edge.life, token, scan));
            }
            Output::Failed { error } => self.violate("node", || format!("the node fails: {error}")),
            _ => {}
        }
    }

    pub(super) fn scan_node(&mut self, token: Token, scan: &Scan) {
        let rows = self.edge.drive.disk.scan(scan);
        self.feed_node(Input::Scanned { token, rows });
    }

    pub(super) fn land_node(&mut self) {
        let Some(token) = self.land_next_of_node() else { return };
        self.at(self.now, Event::NodeFeed(self.edge.life, Input::Persisted { token }));
    }

    fn land_next_of_node(&mut self) -> Option<Token> {
        let (token, ops): (Token, Vec<StoreOp>) = self.edge.drive.land_next()?;
        self.check_log(&ops);
        Some(token)
    }

    pub(super) fn connect(&mut self, tab: usize) {
        if !self.plan.shape.has_node {
            return self.violate("links", || format!("tab {tab} connects, and has no leader"));
        }
        let conn = self.conns.len();
        self.conns.push(Conn { tab, is_up: true, is_held: false, is_cut: false, up_at: 0, down_at: 0 });
        self.tabs[tab].conn = Some(conn);
        self.note(|| format!("tab {tab} connects as {conn}"));
        let span = self.message_delay();
        self.after(span, Event::Arrive(conn));
    }

    pub(super) fn arrive(&mut self, conn: usize) {
        if !self.conns[conn].is_up || self.conns[conn].is_cut {
            return;
        }
        if self.edge.core.is_none() {
            let span = self.message_delay();
            return self.after(span, Event::TabLost(conn));
        }
        self.coverage.saw(Moment::Connected);
        self.conns[conn].is_held = true;
        self.send_down(conn, Message::Open);
        self.feed_node(Input::Opened { conn: id(conn) });
    }

    pub(super) fn leave_conn(&mut self, tab: usize) {
        let Some(conn) = self.tabs[tab].conn.take() else { return };
        self.note(|| format!("tab {tab} gives connection {conn} up"));
        self.send(conn, Message::Close);
        self.conns[conn].is_up = false;
    }

    pub(super) fn ping(&mut self, tab: usize) {
        if let Some(conn) = self.tabs[tab].conn {
            self.send(conn, Message::Ping);
        }
    }

    pub(super) fn send_up(&mut self, tab: usize, bytes: Vec<u8>) {
        let Some(conn) = self.tabs[tab].conn else { return };
        self.trace.event(self.now, "up", tab as u64, &bytes);
        if self.trace.is_verbose() {
            let text = crate::timeline::client_frame(&bytes);
            self.note(|| format!("tab {tab} → {text}"));
        }
        self.send(conn, Message::Frame(bytes.into()));
    }

    fn send(&mut self, conn: usize, message: Message) {
        let at = (self.now + self.message_delay()).max(self.conns[conn].up_at);
        self.conns[conn].up_at = at;
        self.at(at, Event::Up(conn, message));
    }

    fn send_down(&mut self, conn: usize, message: Message) {
        let at = (self.now + self.message_delay()).max(self.conns[conn].down_at);
        self.conns[conn].down_at = at;
        self.at(at, Event::Down(conn, message));
    }

    pub(super) fn deliver_up(&mut self, conn: usize, message: Message) {
        if self.conns[conn].is_cut || !self.conns[conn].is_held {
            return;
        }
        match message {
            Message::Frame(bytes) => self.feed_node(Input::Frame { conn: id(conn), bytes: bytes.to_vec() }),
            Message::Ping => self.send_down(conn, Message::Pong),
            Message::Close => self.node_lost(conn),
            Message::Open | Message::Pong => {}
        }
    }

    pub(super) fn deliver_down(&mut self, conn: usize, message: Message) {
        let Conn { tab, is_up, is_cut, .. } = self.conns[conn];
        if is_cut || !is_up {
            return;
        }
        match message {
            Message::Frame(bytes) => {
                if self.trace.is_verbose() {
                    let text = crate::timeline::node_frame(&bytes);
                    self.note(|| format!("tab {tab} ← {text}"));
                }
                self.feed(tab, replica::Input::Frame { bytes: bytes.to_vec() });
            }
            Message::Open => self.feed(tab, replica::Input::Connected),
            Message::Pong => self.feed(tab, replica::Input::Pong),
            Message::Close => self.tab_lost(conn),
            Message::Ping => {}
        }
    }

    /// A connection breaks; each end hears of it in its own time, and the tab perhaps not at all.
    pub fn cut(&mut self, conn: usize) {
        if std::mem::replace(&mut self.conns[conn].is_cut, true) {
            return;
        }
        self.note(|| format!("connection {conn} breaks"));
        if !self.rng.chance(15) {
            let span = self.rng.below(2_000);
            self.after(span, Event::TabLost(conn));
        }
        let span = self.rng.below(20_000);
        self.after(span, Event::NodeLost(conn));
    }

    pub(super) fn tab_lost(&mut self, conn: usize) {
        let tab = self.conns[conn].tab;
        if std::mem::replace(&mut self.conns[conn].is_up, false) && self.tabs[tab].conn == Some(conn) {
            self.tabs[tab].conn = None;
            self.feed(tab, replica::Input::Disconnected);
        }
    }

    pub(super) fn node_lost(&mut self, conn: usize) {
        if std::mem::replace(&mut self.conns[conn].is_held, false) {
            self.feed_node(Input::Closed { conn: id(conn) });
        }
    }
}
