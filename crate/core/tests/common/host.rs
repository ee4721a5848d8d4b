//! A node and the little that a host does for it.

use super::{Disk, join, refuse_bad};
use headwater_core::error::Error;
use headwater_core::node::{Config, Input, Node, Output, Retention};
use headwater_core::store::{StoreOp, Table};
use headwater_core::{Bookmark, ConnId, DocName, Generation, Millis, Token};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// The generation that databases get unless a test says another one.
pub const GENERATION: Generation = Generation(0x9e37);

/// What a node that leads alone is made with.
pub fn config(retention: &Retention) -> Config {
    let retention = retention.clone();
    Config { fresh_generation: GENERATION, check: refuse_bad, group: None, merge: join, retention }
}

pub struct Host {
    pub node: Node,
    pub disk: Disk,
    pub check: fn(&[u8]) -> Result<(), String>,
    pub retention: Retention,
    /// Whether commits wait for `commit_next`.
    pub holds_commits: bool,
    pub commits: VecDeque<(Token, Vec<StoreOp>)>,
    /// Log rows of each commit so far.
    pub log_rows: Vec<usize>,
    pub down: BTreeMap<ConnId, Vec<Rc<[u8]>>>,
    pub closed: BTreeMap<ConnId, Error>,
    pub attached: BTreeMap<ConnId, Vec<u8>>,
    pub answers: BTreeMap<u64, Result<Bookmark, Error>>,
    pub content: BTreeMap<u64, Vec<Vec<u8>>>,
    pub names: BTreeMap<u64, Vec<DocName>>,
    pub failure: Option<Error>,
    pub scans: usize,
}

impl Host {
    pub fn new(disk: Disk) -> Self {
        Self::with_check(disk, refuse_bad)
    }

    pub fn with_check(disk: Disk, check: fn(&[u8]) -> Result<(), String>) -> Self {
        Self::make(disk, check, GENERATION)
    }

    pub fn make(disk: Disk, check: fn(&[u8]) -> Result<(), String>, fresh_generation: Generation) -> Self {
        Self {
            node: Node::new(Config { fresh_generation, check, ..config(&Retention::default()) }),
            disk,
            retention: Retention::default(),
            check,
            holds_commits: false,
            commits: VecDeque::new(),
            log_rows: Vec::new(),
            down: BTreeMap::new(),
            closed: BTreeMap::new(),
            attached: BTreeMap::new(),
            answers: BTreeMap::new(),
            content: BTreeMap::new(),
            names: BTreeMap::new(),
            failure: None,
            scans: 0,
        }
    }

    pub fn handle(&mut self, input: Input, now: Millis) {
        if let Input::Closed { conn } = input {
            self.attached.remove(&conn);
        }
        self.node.handle(input, now);
    }

    /// Begins anew with that retention. Nobody is connected.
    pub fn retain(&mut self, retention: Retention) {
        self.retention = retention;
        self.node = Node::new(Config { check: self.check, ..config(&self.retention) });
    }

    /// Forgets everything but storage, sockets and what is attached to them.
    pub fn hibernate(&mut self, now: Millis) {
        assert!(self.commits.is_empty(), "a node with work to do does not sleep");
        self.node = Node::new(Config { check: self.check, ..config(&self.retention) });
        for (conn, state) in self.attached.clone() {
            self.node.handle(Input::Restored { conn, state }, now);
        }
    }

    /// Makes the oldest held commit durable.
    pub fn commit_next(&mut self, now: Millis) {
        let (token, ops) = self.commits.pop_front().expect("a commit is held");
        self.disk.commit(&ops);
        self.handle(Input::Persisted { token }, now);
    }

    pub fn release_commits(&mut self, now: Millis) {
        self.holds_commits = false;
        while !self.commits.is_empty() {
            self.commit_next(now);
        }
    }

    /// Does what the node wants; whether it wanted anything.
    pub fn drain(&mut self, now: Millis) -> bool {
        let mut moved = false;
        while let Some(output) = self.node.poll() {
            moved = true;
            self.perform(output, now);
        }
        moved
    }

    fn perform(&mut self, output: Output, now: Millis) {
        match output {
            Output::Send { conn, bytes } => self.down.entry(conn).or_default().push(bytes),
            Output::Close { conn, error } => {
                self.closed.insert(conn, error);
            }
            Output::Attach { conn, state } => {
                self.attached.insert(conn, state);
            }
            Output::Persist { token, ops } => {
                let is_log = |op: &&StoreOp| matches!(op, StoreOp::Put { table: Table::Log, .. });
                self.log_rows.push(ops.iter().filter(is_log).count());
                self.commits.push_back((token, ops));
                if !self.holds_commits {
                    self.commit_next(now);
                }
            }
            Output::Scan { token, scan } => {
                self.scans += 1;
                let rows = self.disk.scan(&scan);
                self.handle(Input::Scanned { token, rows }, now);
            }
            Output::Content { query, updates } => {
                self.content
                    .entry(query)
                    .or_default()
                    .extend(updates.iter().flat_map(|update| super::parts_of(update)));
            }
            Output::Answer { query, result } => {
                self.answers.insert(query, result);
            }
            Output::Docs { query, names } => {
                self.names.insert(query, names);
            }
            Output::Call { .. }
            | Output::Reply { .. }
            | Output::ReadRecord { .. }
            | Output::SwapRecord { .. }
            | Output::AdminDone { .. }
            | Output::Event(_) => unreachable!("this node leads alone"),
            Output::Failed { error } => self.failure = Some(error),
        }
    }
}
