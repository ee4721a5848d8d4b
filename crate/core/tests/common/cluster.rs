//! Members of a group, their lease store, and replicas, joined in memory. Calls between members that are cut apart are
//! lost, and end after their time as a host's do.

use super::{Client, Disk, doc, part};
use headwater_core::error::{Code, Error};
use headwater_core::frame::NodeFrame;
use headwater_core::group::{GroupConfig, Member, MemberName, Record, Role, Settings, Topology};
use headwater_core::node::{Admin, Config, Done, GroupStatus, Held, Input, Node, Output, Query, Retention, Swap};
use headwater_core::replica;
use headwater_core::{Bookmark, ConnId, Generation, Millis, Origin, Seq, Stage};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The generation of every group.
pub const GROUP_GENERATION: Generation = Generation(0x6e);
const STEP_MS: u64 = 25;

pub struct Peer {
    pub node: Option<Node>,
    pub disk: Disk,
    starts: u64,
    pub admin: Vec<Result<Done, Error>>,
    pub answers: BTreeMap<u64, Result<Bookmark, Error>>,
    pub content: BTreeMap<u64, Vec<String>>,
    calls: BTreeMap<u64, (usize, u64)>,
}

/// A replica and the only member that it knows.
pub struct Replica {
    pub client: Client,
    pub at: usize,
}

pub struct Cluster {
    pub now: Millis,
    pub peers: Vec<Peer>,
    pub replicas: Vec<Replica>,
    pub record: Option<(String, u64)>,
    pub is_store_up: bool,
    /// Who does not reach whom.
    pub cut: BTreeSet<(usize, usize)>,
    members: Vec<Member>,
    pub settings: Settings,
    pub retention: Retention,
    quorum: usize,
    late: VecDeque<(Millis, usize, u64)>,
    next: u64,
}

pub fn name(place: usize) -> MemberName {
    MemberName::new(["paris", "tokyo", "ohio", "oslo", "lima"][place]).unwrap()
}

pub fn voter(place: usize, priority: u64) -> Member {
    Member { name: name(place), role: Role::Voter { priority }, address: "x".into() }
}

impl Cluster {
    pub fn new(topology: Topology) -> Self {
        Self::with(vec![voter(0, 2), voter(1, 1), voter(2, 1)], topology)
    }

    pub fn with(members: Vec<Member>, topology: Topology) -> Self {
        let quorum = members.iter().filter(|member| member.is_voter()).count() / 2 + 1;
        let settings = Settings { topology, ..Settings::default() };
        let mut cluster = Self {
            now: Millis(1000),
            peers: Vec::new(),
            replicas: Vec::new(),
            record: None,
            is_store_up: true,
            cut: BTreeSet::new(),
            members,
            settings,
            retention: Retention::default(),
            quorum,
            late: VecDeque::new(),
            next: 0,
        };
        for _ in 0..cluster.members.len() {
            cluster.peers.push(Peer {
                node: None,
                disk: Disk::default(),
                starts: 0,
                admin: Vec::new(),
                answers: BTreeMap::new(),
                content: BTreeMap::new(),
                calls: BTreeMap::new(),
            });
        }
        (0..cluster.members.len()).for_each(|place| cluster.start(place));
        cluster
    }

    // ---- members ----

    /// Starts a member on its disk.
    pub fn start(&mut self, place: usize) {
        let peer = &mut self.peers[place];
        peer.starts += 1;
        let group = GroupConfig {
            me: name(place),
            members: self.members.clone(),
            quorum: self.quorum,
            settings: self.settings,
            jitter_seed: peer.starts * 10 + place as u64,
        };
        let fresh_generation = GROUP_GENERATION;
        let config = Config { fresh_generation, group: Some(group), ..super::host::config(&self.retention) };
        peer.node = Some(Node::new(config));
        self.feed(place, Input::Tick);
    }

    /// Ends it in the middle of whatever it does.
    pub fn kill(&mut self, place: usize) {
        self.peers[place].node = None;
        self.peers[place].calls.clear();
        for at in 0..self.replicas.len() {
            if self.replicas[at].at == place {
                self.disconnect(at);
            }
        }
    }

    /// Ends it, and gives it an empty disk.
    pub fn wipe(&mut self, place: usize) {
        self.kill(place);
        self.peers[place].disk = Disk::default();
    }

    pub fn isolate(&mut self, place: usize) {
        for other in (0..self.peers.len()).filter(|other| *other != place) {
            self.cut.insert((place, other));
            self.cut.insert((other, place));
        }
    }

    pub fn record(&self) -> Record {
        self.record.as_ref().expect("there is a record").0.parse().expect("it reads back")
    }

    pub fn status(&self, place: usize) -> GroupStatus {
        self.peers[place].node.as_ref().expect("it runs").status_at(self.now).group.expect("it is a member")
    }

    /// An operator's command; how it ended.
    pub fn admin(&mut self, place: usize, command: Admin) -> Result<Done, Error> {
        let before = self.peers[place].admin.len();
        self.feed(place, Input::Admin { id: 1, command });
        for _ in 0..2_000 {
            if let Some(result) = self.peers[place].admin.get(before) {
                return result.clone();
            }
            self.step();
        }
        panic!("the command did not end");
    }

    pub fn change(&mut self, place: usize, to: Topology) -> Result<Done, Error> {
        self.admin(place, Admin::Topology { to, timeout: Millis(20_000) })
    }

    /// A read over HTTP; how it ended, and what it showed.
    pub fn read(
        &mut self,
        place: usize,
        bookmark: Bookmark,
        strong: bool,
        ms: u64,
    ) -> (Result<Bookmark, Code>, Vec<String>) {
        self.next += 1;
        let id = self.next;
        let query = Query { id, doc: Some(doc("d")), bookmark, strong, timeout: Millis(ms), at: None };
        self.feed(place, Input::Query(query));
        while !self.peers[place].answers.contains_key(&id) {
            self.step();
        }
        let mut shown = self.peers[place].content.remove(&id).unwrap_or_default();
        shown.sort();
        (self.peers[place].answers.remove(&id).unwrap().map_err(|error| error.code), shown)
    }

    /// What it shows without waiting for anything.
    pub fn shown(&mut self, place: usize) -> Vec<String> {
        let mut shown = self.read(place, Bookmark::default(), false, 1_000).1;
        shown.dedup();
        shown
    }

    // ---- replicas ----

    /// A replica that knows one member, and has document `d` open.
    pub fn replica(&mut self, at: usize) -> usize {
        let origin = Origin(0xa000 + self.replicas.len() as u64);
        let mut client = Client::new(Disk::default(), origin, self.now);
        client.open(doc("d"), self.now);
        self.replicas.push(Replica { client, at });
        self.replicas.len() - 1
    }

    pub fn write(&mut self, replica: usize, text: &str) -> Seq {
        let now = self.now;
        self.replicas[replica].client.write(vec![part("d", text)], now)
    }

    pub fn stage(&self, replica: usize, seq: Seq) -> Result<Stage, Code> {
        let client = &self.replicas[replica].client;
        client.replica.stage(client.origin, seq).map_err(|error| error.code)
    }

    pub fn bookmark(&mut self, replica: usize) -> Bookmark {
        let client = &mut self.replicas[replica].client;
        let session = client.replica.begin_session(None);
        client.replica.bookmark(session).expect("the session is there")
    }

    /// The replica goes to another member.
    pub fn go(&mut self, replica: usize, to: usize) {
        self.replicas[replica].at = to;
        self.disconnect(replica);
    }

    fn disconnect(&mut self, replica: usize) {
        let now = self.now;
        let client = &mut self.replicas[replica].client;
        if let Some(conn) = client.conn.take() {
            client.handle(replica::Input::Disconnected, now);
            for place in 0..self.peers.len() {
                self.feed(place, Input::Closed { conn });
            }
        }
    }

    // ---- running ----

    pub fn run(&mut self, ms: u64) {
        (0..ms.div_ceil(STEP_MS)).for_each(|_| self.step());
    }

    /// Runs until it is so.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        for _ in 0..4_000 {
            if is_so(self) {
                return;
            }
            self.step();
        }
        for place in 0..self.peers.len() {
            println!("{}: {:?}", name(place), self.peers[place].node.as_ref().map(|node| node.status_at(self.now)));
        }
        panic!("it never was so: {what}\n{:?}", self.record);
    }

    /// Runs until every member that may lead does.
    pub fn all_lead(&mut self) {
        self.until("all lead", |cluster| {
            (0..cluster.peers.len())
                .filter(|place| cluster.members[*place].can_lead())
                .all(|place| cluster.leads(place))
        });
    }

    pub fn leads(&self, place: usize) -> bool {
        self.peers[place].node.is_some() && self.status(place).role.as_str() == "leader"
    }

    /// Runs until all members that run hold the same.
    pub fn converged(&mut self) {
        self.until("all hold the same", |cluster| {
            let up = (0..cluster.peers.len()).filter(|place| cluster.peers[*place].node.is_some());
            let held: Vec<_> = up.map(|place| cluster.status(place)).collect();
            held.iter().all(|status| status.held == held[0].held && status.visible == held[0].held)
        });
    }

    pub fn step(&mut self) {
        self.now = Millis(self.now.0 + STEP_MS);
        while self.late.front().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, place, call) = self.late.pop_front().expect("looked at above");
            self.feed(place, Input::Answered { call, result: Err(Error::new(Code::Offline, "cut")) });
        }
        for place in 0..self.peers.len() {
            self.feed(place, Input::Tick);
        }
        for at in 0..self.replicas.len() {
            self.run_replica(at);
        }
    }

    fn run_replica(&mut self, at: usize) {
        let (now, place) = (self.now, self.replicas[at].at);
        let client = &mut self.replicas[at].client;
        client.handle(replica::Input::Tick, now);
        client.drain(now);
        if std::mem::take(&mut client.wants_disconnect)
            && let Some(conn) = client.conn.take()
        {
            self.feed(place, Input::Closed { conn });
        }
        let client = &mut self.replicas[at].client;
        if std::mem::take(&mut client.wants_connect) {
            if self.peers[place].node.is_none() {
                client.handle(replica::Input::Disconnected, now);
            } else {
                self.next += 1;
                let conn = ConnId(self.next);
                client.conn = Some(conn);
                client.up.clear();
                client.handle(replica::Input::Connected, now);
                client.drain(now);
                self.feed(place, Input::Opened { conn });
            }
        }
        let client = &mut self.replicas[at].client;
        let Some(conn) = client.conn else { return };
        for bytes in std::mem::take(&mut client.up) {
            self.feed(place, Input::Frame { conn, bytes });
        }
    }

    fn feed(&mut self, place: usize, input: Input) {
        let Some(node) = &mut self.peers[place].node else { return };
        node.handle(input, self.now);
        self.drain(place);
    }

    fn drain(&mut self, place: usize) {
        while let Some(output) = self.peers[place].node.as_mut().and_then(Node::poll) {
            self.perform(place, output);
        }
    }

    fn perform(&mut self, place: usize, output: Output) {
        let now = self.now;
        match output {
            Output::Send { conn, bytes } => self.hear(conn, &bytes),
            Output::Close { conn, .. } => {
                if let Some(replica) = self.replicas.iter_mut().find(|replica| replica.client.conn == Some(conn)) {
                    replica.client.conn = None;
                    replica.client.handle(replica::Input::Disconnected, now);
                }
            }
            Output::Persist { token, ops } => {
                self.peers[place].disk.commit(&ops);
                self.peers[place].node.as_mut().unwrap().handle(Input::Persisted { token }, now);
            }
            Output::Scan { token, scan } => {
                let rows = self.peers[place].disk.scan(&scan);
                self.peers[place].node.as_mut().unwrap().handle(Input::Scanned { token, rows }, now);
            }
            Output::Call { call, to, bytes, timeout, .. } => self.call(place, call, &to, bytes, timeout),
            Output::Reply { call, bytes } => {
                if let Some((to, answers)) = self.peers[place].calls.remove(&call)
                    && !self.cut.contains(&(place, to))
                {
                    self.feed(to, Input::Answered { call: answers, result: Ok(bytes) });
                }
            }
            Output::ReadRecord { token } => {
                let held = self.record.clone().map(|(text, at)| Held { text, revision: at.to_string() });
                let result = if self.is_store_up { Ok(held) } else { Err(store_away()) };
                self.peers[place].node.as_mut().unwrap().handle(Input::Record { token, result }, now);
            }
            Output::SwapRecord { token, expected, text } => {
                let result = self.swap(expected, text);
                self.peers[place].node.as_mut().unwrap().handle(Input::Swapped { token, result }, now);
            }
            Output::AdminDone { result, .. } => self.peers[place].admin.push(result),
            Output::Content { query, updates } => {
                let texts = updates.iter().flat_map(|update| super::parts_of(update));
                let texts = texts.map(|update| String::from_utf8_lossy(&update).into_owned());
                self.peers[place].content.entry(query).or_default().extend(texts);
            }
            Output::Answer { query, result } => {
                self.peers[place].answers.insert(query, result);
            }
            // A member that has got a copy begins anew from it.
            Output::Failed { error } if error.code == Code::Resume => {
                self.kill(place);
                self.start(place);
            }
            Output::Failed { error } => panic!("{} failed: {error:?}", name(place)),
            Output::Attach { .. } | Output::Event(_) | Output::Docs { .. } => {}
        }
    }

    fn hear(&mut self, conn: ConnId, bytes: &[u8]) {
        let now = self.now;
        if let Some(replica) = self.replicas.iter_mut().find(|replica| replica.client.conn == Some(conn)) {
            replica.client.heard.push(NodeFrame::decode(bytes).expect("a node sends what decodes"));
            replica.client.handle(replica::Input::Frame { bytes: bytes.to_vec() }, now);
            replica.client.drain(now);
        }
    }

    fn call(&mut self, place: usize, call: u64, to: &MemberName, bytes: Vec<u8>, timeout: Millis) {
        let other = (0..self.peers.len()).find(|other| name(*other) == *to).expect("members call members");
        let is_lost = self.cut.contains(&(place, other)) || self.peers[other].node.is_none();
        // An answer that came before has ended the call: another end is no news to its node.
        self.late.push_back((self.now.after(timeout), place, call));
        if !is_lost {
            self.next += 1;
            let id = self.next;
            self.peers[other].calls.insert(id, (place, call));
            self.feed(other, Input::Called { call: id, bytes });
        }
    }

    fn swap(&mut self, expected: Option<String>, text: String) -> Result<Swap, Error> {
        let current = self.record.clone().map(|(text, at)| Held { text, revision: at.to_string() });
        if !self.is_store_up {
            return Err(store_away());
        }
        if expected != current.as_ref().map(|held| held.revision.clone()) {
            return Ok(Swap::Lost { current });
        }
        let revision = self.record.as_ref().map_or(1, |(_, at)| at + 1);
        self.record = Some((text, revision));
        Ok(Swap::Made { revision: revision.to_string() })
    }
}

fn store_away() -> Error {
    Error::new(Code::StorageUnavailable, "the store is away")
}
