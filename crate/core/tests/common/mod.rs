//! Replicas and a node joined in memory: storage, sockets and time are lists here, so every test decides what happens
//! when.
//!
//! Updates are opaque bytes; a document's content is the set of updates that were applied to it.

#![allow(dead_code, reason = "each test file uses a part of it")]

mod client;
mod cluster;
mod disk;
mod host;
mod line;
mod peers;
mod tabs;

pub use client::Client;
pub use cluster::{Cluster, name, voter};
pub use disk::Disk;
pub use host::{Host, config};
pub use line::{Line, at, entries};

use headwater_core::error::{Code, Error};
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::node::Merge;
use headwater_core::replica::{self, Wait};
use headwater_core::session::Consistency;
use headwater_core::{ConnId, DocName, Generation, Millis, Origin, Part, Seq, Stage, node};
use std::rc::Rc;

/// The update that `refuse_bad` refuses.
pub const BAD: &[u8] = b"bad";

/// A node's check that refuses exactly `BAD`.
pub fn refuse_bad(update: &[u8]) -> Result<(), String> {
    if update.starts_with(BAD) { Err("it is bad".into()) } else { Ok(()) }
}

/// Many updates as one: what the snapshots of these documents are.
#[derive(Default)]
pub struct Joined(Vec<u8>);

const JOINED: &[u8] = b"joined:";

pub fn join() -> Box<dyn Merge> {
    Box::new(Joined::default())
}

impl Merge for Joined {
    fn apply(&mut self, updates: &[Rc<[u8]>]) -> Result<(), String> {
        for update in updates.iter().flat_map(|update| parts_of(update)) {
            if update == b"unmergeable" {
                return Err("it does not apply".into());
            }
            self.0.extend((update.len() as u32).to_be_bytes());
            self.0.extend(update);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        [JOINED, &self.0].concat()
    }
}

/// The updates of which one was made.
pub fn parts_of(update: &[u8]) -> Vec<Vec<u8>> {
    let Some(mut rest) = update.strip_prefix(JOINED) else { return vec![update.to_vec()] };
    let mut parts = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (part, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        parts.push(part.to_vec());
        rest = after;
    }
    parts
}

/// What no document takes, and no peer passes on.
pub fn refuse_bad_format(update: &[u8]) -> Result<(), String> {
    if update == b"no update" { Err("it does not decode".into()) } else { Ok(()) }
}

pub fn doc(name: &str) -> DocName {
    DocName::parse(name).expect("tests name documents properly")
}

pub fn part(name: &str, update: impl AsRef<[u8]>) -> Part {
    Part { doc: doc(name), update: update.as_ref().into() }
}

/// Everything there is.
pub struct World {
    pub now: Millis,
    pub node: Host,
    pub clients: Vec<Client>,
    /// Clients that share their storage, if some do.
    pub tabs: tabs::Channel,
    /// Links between clients: the two, and the number of the link at each.
    pub links: Vec<[(usize, u64); 2]>,
    next_conn: u64,
    next_origin: u64,
    next_wait: u64,
}

impl World {
    pub fn new() -> Self {
        Self {
            now: Millis(1000),
            node: Host::new(Disk::default()),
            clients: Vec::new(),
            tabs: tabs::Channel::default(),
            links: Vec::new(),
            next_conn: 0,
            next_origin: 0,
            next_wait: 0,
        }
    }

    /// A node and so many replicas, each connected and with `docs` open.
    pub fn with(replicas: usize, docs: &[&str]) -> Self {
        let mut world = Self::new();
        for _ in 0..replicas {
            world.add(docs);
        }
        world.settle();
        world
    }

    /// A replica with storage of its own.
    pub fn add(&mut self, docs: &[&str]) -> usize {
        self.add_on(Disk::default(), docs)
    }

    /// A replica on that storage, which others may use as well.
    pub fn add_on(&mut self, disk: Disk, docs: &[&str]) -> usize {
        let origin = self.fresh_origin();
        self.clients.push(Client::new(disk, origin, self.now));
        let index = self.clients.len() - 1;
        for name in docs {
            self.open(index, name);
        }
        index
    }

    fn fresh_origin(&mut self) -> Origin {
        self.next_origin += 1;
        Origin(0xa000_0000_0000_0000 + self.next_origin)
    }

    pub fn open(&mut self, client: usize, name: &str) {
        self.clients[client].open(doc(name), self.now);
    }

    /// A write of one document.
    pub fn write(&mut self, client: usize, name: &str, update: impl AsRef<[u8]>) -> Seq {
        self.write_parts(client, vec![part(name, update)])
    }

    pub fn write_parts(&mut self, client: usize, parts: Vec<Part>) -> Seq {
        self.clients[client].write(parts, self.now)
    }

    pub fn stage(&self, client: usize, seq: Seq) -> Result<Stage, Code> {
        let client = &self.clients[client];
        client.replica.stage(client.origin, seq).map_err(|error| error.code)
    }

    pub fn pending(&self, client: usize) -> usize {
        self.clients[client].replica.pending().count
    }

    /// The updates applied to a document, sorted.
    pub fn content(&self, client: usize, name: &str) -> Vec<String> {
        self.clients[client].content(&doc(name))
    }

    /// How many entries the node's log has.
    pub fn node_entries(&self) -> u64 {
        let rows = self.node.disk.rows(headwater_core::store::Table::Log);
        let last = rows.last().and_then(|row| headwater_core::store::log_place(&row.key));
        last.map_or(0, |(_, lsn)| lsn.0)
    }

    // ---- waiting ----

    pub fn wait_read(&mut self, client: usize, session: u64, name: &str, consistency: Consistency, ms: u64) -> u64 {
        self.wait(client, Wait::Read { session, doc: doc(name), consistency }, ms)
    }

    pub fn wait_stage(&mut self, client: usize, seq: Seq, stage: Stage, ms: u64) -> u64 {
        let origin = self.clients[client].origin;
        self.wait(client, Wait::Stage { origin, seq, stage }, ms)
    }

    pub fn wait(&mut self, client: usize, wait: Wait, ms: u64) -> u64 {
        self.next_wait += 1;
        let input = replica::Input::Wait { id: self.next_wait, wait, timeout: Millis(ms) };
        self.clients[client].handle(input, self.now);
        self.clients[client].drain(self.now);
        self.next_wait
    }

    /// How a wait ended, if it has.
    pub fn done(&self, client: usize, wait: u64) -> Option<Result<(), Code>> {
        let result = self.clients[client].done.get(&wait)?;
        Some(result.clone().map_err(|error| error.code))
    }

    // ---- running ----

    /// Runs until nothing moves any more, at one moment of time.
    pub fn settle(&mut self) {
        while self.step() {}
    }

    /// One exchange of what has gathered; whether anything moved.
    pub fn step(&mut self) -> bool {
        let mut moved = false;
        for index in 0..self.clients.len() {
            moved |= self.clients[index].drain(self.now);
            moved |= self.connect(index);
            moved |= self.deliver_up(index);
        }
        moved |= self.step_tabs();
        moved |= self.step_peers();
        moved |= self.node.drain(self.now);
        for index in 0..self.clients.len() {
            moved |= self.deliver_down(index);
        }
        moved
    }

    fn connect(&mut self, index: usize) -> bool {
        let client = &mut self.clients[index];
        if std::mem::take(&mut client.wants_disconnect)
            && let Some(conn) = client.conn.take()
        {
            self.node.handle(node::Input::Closed { conn }, self.now);
        }
        if !std::mem::take(&mut client.wants_connect) {
            return false;
        }
        if !client.is_online {
            client.handle(replica::Input::Disconnected, self.now);
            return true;
        }
        self.next_conn += 1;
        client.conn = Some(ConnId(self.next_conn));
        client.up.clear();
        client.handle(replica::Input::Connected, self.now);
        self.node.handle(node::Input::Opened { conn: ConnId(self.next_conn) }, self.now);
        true
    }

    fn deliver_up(&mut self, index: usize) -> bool {
        let client = &mut self.clients[index];
        let Some(conn) = client.conn else {
            client.up.clear();
            return false;
        };
        let frames = std::mem::take(&mut client.up);
        let moved = !frames.is_empty();
        for bytes in frames {
            client.said.push(ClientFrame::decode(&bytes).expect("a replica sends what decodes"));
            self.node.handle(node::Input::Frame { conn, bytes }, self.now);
        }
        moved
    }

    fn deliver_down(&mut self, index: usize) -> bool {
        let client = &mut self.clients[index];
        let Some(conn) = client.conn else { return false };
        if client.is_deaf || client.is_frozen {
            return false;
        }
        let frames = self.node.down.remove(&conn).unwrap_or_default();
        let mut moved = !frames.is_empty();
        for bytes in frames {
            client.heard.push(NodeFrame::decode(&bytes).expect("a node sends what decodes"));
            client.handle(replica::Input::Frame { bytes: bytes.to_vec() }, self.now);
        }
        if self.node.closed.remove(&conn).is_some() {
            client.conn = None;
            client.handle(replica::Input::Disconnected, self.now);
            self.node.handle(node::Input::Closed { conn }, self.now);
            moved = true;
        }
        moved
    }

    /// Lets time pass, with every tick that is asked for on the way.
    pub fn advance(&mut self, ms: u64) {
        let target = self.now.after(Millis(ms));
        let mut ticked = None;
        loop {
            self.settle();
            let awake = self.clients.iter().filter(|client| !client.is_frozen);
            let next = awake.filter_map(|client| client.replica.next_timeout());
            let next = next.chain(self.node.node.next_timeout()).min();
            let Some(due) = next.filter(|due| *due <= target) else { break };
            self.now = due.max(self.now);
            assert_ne!(ticked, Some(self.now), "a timeout is due again and again at {due}");
            ticked = Some(self.now);
            self.tick();
        }
        self.now = target;
        self.tick();
        self.settle();
    }

    fn tick(&mut self) {
        for client in self.clients.iter_mut().filter(|client| !client.is_frozen) {
            client.handle(replica::Input::Tick, self.now);
        }
        self.node.handle(node::Input::Tick, self.now);
    }

    // ---- faults ----

    /// The socket breaks; frames on their way are lost.
    pub fn cut(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.up.clear();
        if let Some(conn) = client.conn.take() {
            self.node.down.remove(&conn);
            self.node.handle(node::Input::Closed { conn }, self.now);
            client.handle(replica::Input::Disconnected, self.now);
        }
    }

    pub fn offline(&mut self, index: usize) {
        self.clients[index].is_online = false;
        self.cut(index);
    }

    pub fn online(&mut self, index: usize) {
        self.clients[index].is_online = true;
        self.clients[index].handle(replica::Input::Nudge, self.now);
        self.settle();
    }

    /// The tab is killed and opened again: what was not durable is gone, the origin is a new one.
    pub fn reopen(&mut self, index: usize) {
        if let Some(conn) = self.clients[index].conn.take() {
            self.node.down.remove(&conn);
            self.node.handle(node::Input::Closed { conn }, self.now);
        }
        let origin = self.fresh_origin();
        let old = &self.clients[index];
        let (docs, is_online): (Vec<DocName>, _) = (old.docs.keys().cloned().collect(), old.is_online);
        let mut fresh = Client::new(old.disk.clone(), origin, self.now);
        fresh.is_online = is_online;
        docs.into_iter().for_each(|name| fresh.open(name, self.now));
        self.clients[index] = fresh;
    }

    /// The node is killed: commits that were not durable are gone, and so are the sockets.
    pub fn restart_node(&mut self) {
        let disk = self.node.disk.clone();
        let (check, retention) = (self.node.check, self.node.retention.clone());
        self.node = Host::with_check(disk, check);
        self.node.retain(retention);
        for client in &mut self.clients {
            if client.conn.take().is_some() {
                client.up.clear();
                client.handle(replica::Input::Disconnected, self.now);
            }
        }
        self.settle();
        self.nudge_all();
    }

    /// The node sleeps and wakes: sockets stay, memory goes, attachments come back.
    pub fn hibernate(&mut self) {
        self.settle();
        self.node.hibernate(self.now);
        self.settle();
    }

    /// The node's storage is another one from here on.
    pub fn replace_storage(&mut self, generation: u64) {
        let check = self.node.check;
        self.node = Host::make(Disk::default(), check, Generation(generation));
        for client in &mut self.clients {
            if client.conn.take().is_some() {
                client.handle(replica::Input::Disconnected, self.now);
            }
        }
        self.settle();
        self.nudge_all();
    }

    /// Everybody tries to connect at once.
    pub fn nudge_all(&mut self) {
        for client in &mut self.clients {
            client.handle(replica::Input::Nudge, self.now);
        }
        self.settle();
    }

    /// All that a client has heard since the last call.
    pub fn heard(&mut self, client: usize) -> Vec<NodeFrame> {
        std::mem::take(&mut self.clients[client].heard)
    }

    /// All that a client has said since the last call.
    pub fn said(&mut self, client: usize) -> Vec<ClientFrame> {
        std::mem::take(&mut self.clients[client].said)
    }

    /// Nobody waits, nothing is pending, and all replicas show the same in that document.
    pub fn assert_converged(&self, name: &str) {
        for index in 0..self.clients.len() {
            assert_eq!(self.pending(index), 0, "replica {index} has unsent writes");
            assert_eq!(self.content(index, name), self.content(0, name), "replica {index} differs");
        }
    }
}

/// The error of a storage that gave up.
pub fn broken() -> Error {
    Error::new(Code::StorageUnavailable, "the disk is gone")
}
