//! A replica and the little that a host does for it.

use super::Disk;
use headwater_core::error::Error;
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::replica::{Config, Input, Output, Replica};
use headwater_core::store::{Guard, Scan, StoreOp};
use headwater_core::{DocName, Millis, Origin, Part, Seq, Token};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub struct Client {
    pub replica: Replica,
    pub origin: Origin,
    pub disk: Disk,
    pub conn: Option<headwater_core::ConnId>,
    pub is_online: bool,
    /// Whether nothing of it runs, though it is there.
    pub is_frozen: bool,
    /// Whether frames from the node stay on their way.
    pub is_deaf: bool,
    /// Whether commits wait for `commit_next`.
    pub holds_commits: bool,
    pub commits: VecDeque<(Token, Vec<StoreOp>, Option<Guard>)>,
    /// Whether scans wait for `release_scans`.
    pub holds_scans: bool,
    pub scans: VecDeque<(Token, Scan)>,
    pub up: Vec<Vec<u8>>,
    /// Said to other tabs and not delivered yet.
    pub tabs: Vec<Vec<u8>>,
    pub watches: Vec<Origin>,
    pub steals: usize,
    /// Said to peers and not delivered yet.
    pub to_peers: Vec<(u64, Vec<u8>)>,
    pub closed_peers: Vec<(u64, Option<Error>)>,
    pub asked_peers: Vec<(u64, Option<String>)>,
    pub said: Vec<ClientFrame>,
    pub heard: Vec<NodeFrame>,
    pub docs: BTreeMap<DocName, BTreeSet<Vec<u8>>>,
    pub done: BTreeMap<u64, Result<(), Error>>,
    /// Runs of consecutive `Apply` outputs, by document.
    pub applied: Vec<DocName>,
    pub rebuilt: Vec<DocName>,
    pub unloadable: Vec<(DocName, Error)>,
    /// How snapshots came in.
    pub progress: Vec<(DocName, u64, u64)>,
    pub damages: Vec<headwater_core::replica::Damage>,
    /// What other clients of the node had for this one.
    pub signalled: Vec<(Origin, Vec<u8>)>,
    pub open_failed: Option<Error>,
    pub wants_connect: bool,
    pub wants_disconnect: bool,
    pub connects: usize,
    /// Which of its addresses the replica went to last.
    pub attempt: u64,
    pub pings: usize,
    pub answers_pings: bool,
    pub is_ready: bool,
}

impl Client {
    pub fn new(disk: Disk, origin: Origin, now: Millis) -> Self {
        let config = Config {
            origin,
            has_leader: true,
            is_durable: true,
            jitter_seed: origin.0,
            shares_storage: false,
            check: |_| Ok(()),
        };
        Self::with(config, disk, now)
    }

    pub fn with(config: Config, disk: Disk, now: Millis) -> Self {
        let mut client = Self {
            replica: Replica::new(config),
            origin: config.origin,
            disk,
            conn: None,
            is_online: true,
            is_frozen: false,
            is_deaf: false,
            holds_commits: false,
            commits: VecDeque::new(),
            holds_scans: false,
            scans: VecDeque::new(),
            up: Vec::new(),
            tabs: Vec::new(),
            watches: Vec::new(),
            steals: 0,
            to_peers: Vec::new(),
            closed_peers: Vec::new(),
            asked_peers: Vec::new(),
            said: Vec::new(),
            heard: Vec::new(),
            docs: BTreeMap::new(),
            done: BTreeMap::new(),
            applied: Vec::new(),
            rebuilt: Vec::new(),
            unloadable: Vec::new(),
            progress: Vec::new(),
            damages: Vec::new(),
            signalled: Vec::new(),
            open_failed: None,
            wants_connect: false,
            wants_disconnect: false,
            connects: 0,
            attempt: 0,
            pings: 0,
            answers_pings: true,
            is_ready: false,
        };
        client.drain(now);
        client
    }

    pub fn handle(&mut self, input: Input, now: Millis) {
        self.replica.handle(input, now);
    }

    pub fn open(&mut self, doc: DocName, now: Millis) {
        self.docs.entry(doc.clone()).or_default();
        self.handle(Input::OpenDoc { doc }, now);
        self.drain(now);
    }

    pub fn close(&mut self, doc: DocName, now: Millis) {
        self.docs.remove(&doc);
        self.handle(Input::CloseDoc { doc }, now);
        self.drain(now);
    }

    /// Applied locally first, as `transact` does.
    pub fn write(&mut self, parts: Vec<Part>, now: Millis) -> Seq {
        for part in &parts {
            self.docs.entry(part.doc.clone()).or_default().insert(part.update.to_vec());
        }
        self.replica.write(parts, now.0)
    }

    pub fn content(&self, doc: &DocName) -> Vec<String> {
        let updates = self.docs.get(doc).into_iter().flatten();
        updates.map(|update| String::from_utf8_lossy(update).into_owned()).collect()
    }

    /// Makes the oldest held commit durable.
    pub fn commit_next(&mut self, now: Millis) {
        let (token, ops, guard) = self.commits.pop_front().expect("a commit is held");
        if guard.is_some_and(|guard| self.disk.get(guard.table, &guard.key).is_some()) {
            return self.handle(Input::Fenced { token }, now);
        }
        self.disk.commit(&ops);
        self.handle(Input::Persisted { token }, now);
    }

    /// Answers what was asked of storage.
    pub fn release_scans(&mut self, now: Millis) {
        self.holds_scans = false;
        while let Some((token, scan)) = self.scans.pop_front() {
            let rows = self.disk.scan(&scan);
            self.handle(Input::Scanned { token, rows }, now);
        }
    }

    /// Does what the replica wants; whether it wanted anything.
    pub fn drain(&mut self, now: Millis) -> bool {
        if self.is_frozen {
            return false;
        }
        let mut moved = false;
        while let Some(output) = self.replica.poll(now) {
            moved = true;
            self.perform(output, now);
        }
        moved
    }

    fn perform(&mut self, output: Output, now: Millis) {
        match output {
            Output::Scan { token, scan } => {
                self.scans.push_back((token, scan));
                if !self.holds_scans {
                    self.release_scans(now);
                }
            }
            Output::Persist { token, ops, guard } => {
                self.commits.push_back((token, ops, guard));
                if !self.holds_commits {
                    self.commit_next(now);
                }
            }
            Output::Connect { attempt } => {
                self.connects += 1;
                self.attempt = attempt;
                self.wants_connect = true;
            }
            Output::Disconnect => {
                self.up.clear();
                self.wants_connect = false;
                self.wants_disconnect = true;
            }
            Output::Send { bytes } => self.up.push(bytes),
            Output::Ping => {
                self.pings += 1;
                if self.answers_pings {
                    self.handle(Input::Pong, now);
                }
            }
            Output::Ready => self.is_ready = true,
            Output::OpenFailed { error } => self.open_failed = Some(error),
            Output::Load { doc, updates } => {
                if let Some(content) = self.docs.get_mut(&doc) {
                    content.extend(updates.iter().flat_map(|update| super::parts_of(update)));
                }
            }
            Output::Rebuild { doc, updates } => {
                self.rebuilt.push(doc.clone());
                self.docs.insert(doc, updates.iter().flat_map(|update| super::parts_of(update)).collect());
            }
            Output::Progress { doc, received, total } => self.progress.push((doc, received, total)),
            Output::Damaged(damage) => self.damages.push(damage),
            Output::Unloadable { doc, error } => self.unloadable.push((doc, error)),
            Output::Apply { doc, updates, .. } => {
                self.applied.push(doc.clone());
                let content = self.docs.get_mut(&doc).expect("only open documents are written to");
                content.extend(updates.iter().flat_map(|update| super::parts_of(update)));
            }
            Output::Done { id, result } => {
                assert!(self.done.insert(id, result).is_none(), "wait {id} ended twice");
            }
            Output::Signalled { from, bytes } => self.signalled.push((from, bytes)),
            Output::Changed => {}
            Output::SendPeer { peer, bytes } => self.to_peers.push((peer, bytes)),
            Output::ClosePeer { peer, error } => self.closed_peers.push((peer, error)),
            Output::AskPeer { peer, token } => self.asked_peers.push((peer, token)),
            Output::TellTabs { bytes } => self.tabs.push(bytes),
            Output::Steal => self.steals += 1,
            Output::WatchTab { origin } => self.watches.push(origin),
        }
    }
}
