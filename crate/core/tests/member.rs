//! One member of a group, with its peers, its lease store and its disk played by hand: what went wrong once, step by step.

use crate::common::{Disk, part, refuse_bad};
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::group::{GroupConfig, Member, MemberName, Record, Role, Settings};
use headwater_core::node::group::message::{Answer, Append, Ask, Call, Reply};
use headwater_core::node::{Admin, Config, Done, Event, Held, Input, Node, Output, Query, Retention, Swap};
use headwater_core::store::{StoreOp, Table, meta_key};
use headwater_core::{
    Batch, Bookmark, Code, ConnId, Epoch, Error, Frontier, Generation, Lsn, Millis, Origin, Segment, Seq, Stage, Token,
    Write,
};
use std::collections::VecDeque;

/// What other members answer; nothing for those that keep silent.
type Answering<'a> = dyn FnMut(&str, &Call) -> Option<Result<Reply, Error>> + 'a;

/// The member and everything around it.
struct Rig {
    node: Node,
    disk: Disk,
    now: Millis,
    record: Option<(String, u64)>,
    store_up: bool,
    calls: VecDeque<(u64, String, Call)>,
    swaps: VecDeque<(Token, Option<String>, String)>,
    holds_swaps: bool,
    holds_commits: bool,
    commits: VecDeque<(Token, Vec<StoreOp>)>,
    said: Vec<(ConnId, NodeFrame)>,
    replies: Vec<(u64, Reply)>,
    closed: Vec<(ConnId, Error)>,
    events: Vec<Event>,
    admin: Vec<Result<Done, Error>>,
}
fn name(n: &str) -> MemberName {
    MemberName::new(n).unwrap()
}
fn config(me: &str) -> Config {
    let v = |n: &str, p| Member { name: name(n), role: Role::Voter { priority: p }, address: "x".into() };
    Config {
        fresh_generation: Generation(7),
        check: refuse_bad,
        group: Some(GroupConfig {
            me: name(me),
            members: vec![v("a", 2), v("b", 1), v("c", 1)],
            quorum: 2,
            settings: Settings::default(),
            jitter_seed: 5,
        }),
        ..crate::common::config(&Retention::default())
    }
}
/// A member holds these rows, too.
fn take_in(state: &mut Frontier, rows: &[Vec<u8>]) {
    for row in rows {
        let segment = Segment::from_bytes(row).unwrap();
        state.advance_epoch(segment.epoch, segment.last());
    }
}
impl Rig {
    fn new(me: &str, disk: Disk, record: Option<(String, u64)>, now: u64) -> Self {
        Self {
            node: Node::new(config(me)),
            disk,
            now: Millis(now),
            record,
            store_up: true,
            calls: Default::default(),
            swaps: Default::default(),
            holds_swaps: false,
            holds_commits: false,
            commits: Default::default(),
            said: vec![],
            replies: vec![],
            closed: vec![],
            events: vec![],
            admin: vec![],
        }
    }
    fn put(&mut self, input: Input) {
        self.node.handle(input, self.now);
        self.drain();
    }
    fn drain(&mut self) {
        while let Some(out) = self.node.poll() {
            match out {
                Output::Send { conn, bytes } => self.said.push((conn, NodeFrame::decode(&bytes).unwrap())),
                Output::Close { conn, error } => self.closed.push((conn, error)),
                Output::Persist { token, ops } => {
                    self.commits.push_back((token, ops));
                    if !self.holds_commits {
                        self.commit();
                    }
                }
                Output::Scan { token, scan } => {
                    let rows = self.disk.scan(&scan);
                    self.node.handle(Input::Scanned { token, rows }, self.now);
                }
                Output::Call { call, to, bytes, .. } => {
                    self.calls.push_back((call, to.as_str().into(), Call::decode(&bytes).unwrap()))
                }
                Output::Reply { call, bytes } => self.replies.push((call, Reply::decode(&bytes).unwrap())),
                Output::ReadRecord { token } => {
                    let result = if self.store_up {
                        Ok(self.record.clone().map(|(text, r)| Held { text, revision: r.to_string() }))
                    } else {
                        Err(Error::new(Code::StorageUnavailable, "away"))
                    };
                    self.node.handle(Input::Record { token, result }, self.now);
                }
                Output::SwapRecord { token, expected, text } => {
                    self.swaps.push_back((token, expected, text));
                    if !self.holds_swaps {
                        self.swap();
                    }
                }
                Output::AdminDone { result, .. } => self.admin.push(result),
                Output::Event(e) => self.events.push(e),
                Output::Failed { error } => panic!("{error:?}"),
                _ => {}
            }
        }
    }
    fn swap(&mut self) {
        let (token, expected, text) = self.swaps.pop_front().unwrap();
        let result = if !self.store_up {
            Err(Error::new(Code::StorageUnavailable, "away"))
        } else if expected == self.record.as_ref().map(|r| r.1.to_string()) {
            let r = self.record.as_ref().map_or(1, |r| r.1 + 1);
            self.record = Some((text, r));
            Ok(Swap::Made { revision: r.to_string() })
        } else {
            Ok(Swap::Lost { current: self.record.clone().map(|(text, r)| Held { text, revision: r.to_string() }) })
        };
        self.node.handle(Input::Swapped { token, result }, self.now);
    }
    fn commit(&mut self) {
        let (token, ops) = self.commits.pop_front().unwrap();
        self.disk.commit(&ops);
        self.node.handle(Input::Persisted { token }, self.now);
    }
    fn tick(&mut self, ms: u64) {
        self.now = Millis(self.now.0 + ms);
        self.put(Input::Tick);
    }
    fn answer(&mut self, call: u64, reply: Result<Reply, Error>) {
        self.put(Input::Answered { call, result: reply.map(|r| r.encode()) });
    }
    fn record(&self) -> Record {
        self.record.as_ref().unwrap().0.parse().unwrap()
    }
    fn open(&mut self, conn: u64) {
        self.put(Input::Opened { conn: ConnId(conn) });
        let f =
            ClientFrame::Hello { version: 1, generation: Generation(0), origin: Origin(conn), extensions: Vec::new() };
        self.put(Input::Frame { conn: ConnId(conn), bytes: f.encode() });
    }
    fn push(&mut self, conn: u64, origin: u64, seq: u64, text: &str) {
        let write = Write { origin: Origin(origin), seq: Seq(seq), parts: vec![part("d", text)] };
        let f = ClientFrame::Push { resume: true, prev: Seq(seq - 1), batch: Batch { writes: vec![write] } };
        self.put(Input::Frame { conn: ConnId(conn), bytes: f.encode() });
    }
    fn log(&self) -> Vec<(u64, u64, u64)> {
        self.disk
            .rows(Table::Log)
            .iter()
            .flat_map(|r| {
                let s = Segment::from_bytes(&r.value).unwrap();
                let (e, f) = (s.epoch.0, s.first.0);
                s.batch.writes.iter().enumerate().map(|(i, w)| (e, f + i as u64, w.origin.0)).collect::<Vec<_>>()
            })
            .collect()
    }
    /// Answers whatever is asked, with `f` for each.
    fn answer_all(&mut self, f: &mut Answering<'_>) {
        for _ in 0..20 {
            let calls: Vec<_> = self.calls.drain(..).collect();
            if calls.is_empty() {
                return;
            }
            for (call, to, c) in calls {
                if let Some(r) = f(&to, &c) {
                    self.answer(call, r);
                }
            }
        }
    }
}
fn held(epoch: u64, leader: &str, f: Frontier) -> Result<Reply, Error> {
    Ok(Reply {
        epoch: Epoch(epoch),
        leader: Some(name(leader)),
        answer: Answer::Held {
            frontier: f.clone(),
            applied: f,
            has_clients: false,
            is_joined: true,
            needs_copy: false,
        },
    })
}
fn off() -> Result<Reply, Error> {
    Err(Error::new(Code::Offline, "off"))
}

/// A peer that takes everything in.
fn mirror(state: &mut Frontier, c: &Call) -> Option<Result<Reply, Error>> {
    match &c.ask {
        Ask::Append(a) => {
            take_in(state, &a.rows);
            Some(held(c.epoch.0, "a", state.clone()))
        }
        _ => Some(off()),
    }
}

#[test]
fn a_checkpoint_knows_no_write_that_has_only_gathered() {
    let disk = Disk::default();
    let mut a = Rig::new("a", disk.clone(), None, 1000);
    a.drain();
    a.open(1);
    for ms in 0..5 {
        a.answer_all(&mut |_, _| Some(off()));
        a.tick(400 + ms);
    }
    a.answer_all(&mut |_, _| Some(off()));
    for n in 1..=300 {
        a.push(1, 1, n, "x");
    }
    assert_eq!(a.log().len(), 300);
    let record = a.record.clone();
    // power cut, restart
    let mut a = Rig::new("a", disk.clone(), record.clone(), 10_000);
    a.drain();
    a.open(2);
    a.push(2, 0xbad, 1, "precious");
    assert_eq!(a.log().len(), 300, "not taken before the others were asked");
    a.put(Input::Query(Query {
        id: 1,
        doc: None,
        bookmark: Bookmark::new(Generation(7), Frontier::default()),
        strong: true,
        timeout: Millis(1000),
        at: None,
    }));
    assert_eq!(a.log().len(), 300);
    // power cut again
    let mut a = Rig::new("a", disk.clone(), record, 20_000);
    a.drain();
    let mut b = Frontier::default();
    let step =
        |a: &mut Rig, b: &mut Frontier| a.answer_all(&mut |to, c| if to == "b" { mirror(b, c) } else { Some(off()) });
    step(&mut a, &mut b);
    a.open(3);
    a.push(3, 0xbad, 1, "precious");
    step(&mut a, &mut b);
    a.open(4);
    a.push(4, 0xcafe, 1, "other");
    for _ in 0..10 {
        step(&mut a, &mut b);
        a.tick(400);
    }
    step(&mut a, &mut b);
    a.said.clear();
    a.open(5); // it reconnects, and sends again
    a.push(5, 0xbad, 1, "precious");
    let acks: Vec<_> = a.said.iter().filter(|(c, f)| c.0 == 5 && matches!(f, NodeFrame::Ack { .. })).collect();
    let is_there = a.log().iter().any(|(_, _, o)| *o == 0xbad);
    assert!(is_there || acks.is_empty(), "acknowledged and nowhere: {acks:?}");
    assert!(is_there, "sent again and never appended");
}

#[test]
fn a_leader_that_lost_its_disk_does_not_vote_for_itself_as_if_it_were_new() {
    let members = config("a").group.unwrap().members;
    let r = Record::new(Generation(7), name("a"), members, 2).unwrap();
    let next = r.elect(&name("b"), Epoch(0)).unwrap().activate(&name("b"), &Frontier::default()).unwrap();
    // b leads epoch 2; a takes its entries: they are at quorum (a and b).
    let disk = Disk::default();
    let mut b = Rig::new("b", disk.clone(), Some((r.elect(&name("b"), Epoch(0)).unwrap().to_string(), 1)), 1000);
    b.drain();
    let mut state = Frontier::default();
    for _ in 0..10 {
        b.answer_all(&mut |to, c| match (&c.ask, to) {
            (_, "c") => Some(off()),
            (Ask::Promise, _) => Some(held(c.epoch.0, "b", state.clone())),
            (Ask::Append(x), _) => {
                take_in(&mut state, &x.rows);
                Some(held(c.epoch.0, "b", state.clone()))
            }
            _ => Some(off()),
        });
        b.tick(400);
    }
    b.open(1);
    b.push(1, 1, 1, "precious");
    for _ in 0..5 {
        b.answer_all(&mut |to, c| match (&c.ask, to) {
            (Ask::Append(x), "a") => {
                take_in(&mut state, &x.rows);
                Some(held(c.epoch.0, "b", state.clone()))
            }
            _ => Some(off()),
        });
        b.tick(400);
    }
    let at_quorum = b.said.iter().any(|(_, f)| matches!(f, NodeFrame::Ack { stage: Stage::Quorum, .. }));
    assert!(at_quorum);
    // b's disk is lost; a is down. b and c elect.
    let record = b.record.clone();
    let mut b = Rig::new("b", Disk::default(), record, 50_000);
    b.drain();
    for _ in 0..40 {
        b.answer_all(&mut |to, c| match (&c.ask, to) {
            (_, "a") => Some(off()),
            (Ask::Promise, "c") => Some(held(c.epoch.0, "b", Frontier::default())),
            (Ask::Misses, "c") => {
                Some(Ok(Reply { epoch: Epoch(2), leader: None, answer: Answer::Misses { is_missed: true } }))
            }
            (Ask::Append(_), "c") => Some(held(c.epoch.0, "b", Frontier::default())),
            _ => Some(off()),
        });
        b.tick(400);
    }
    assert!(
        !(b.record().epoch > next.epoch && b.record().leader().is_some()),
        "an epoch was opened without the write that a quorum had"
    );
}

#[test]
fn a_leader_that_is_heard_stays_when_the_lease_store_comes_back() {
    let members = config("a").group.unwrap().members;
    let r = Record::new(Generation(7), name("a"), members, 2).unwrap();
    let mut b = Rig::new("b", Disk::default(), Some((r.to_string(), 1)), 1000);
    b.drain();
    let beat = |b: &mut Rig, n: u64| {
        let ask = Ask::Append(Append { leader: Some(name("a")), instance: 1, next_ms: 400, ..Append::default() });
        let bytes = Call { from: name("a"), generation: Generation(7), epoch: Epoch(1), ask }.encode();
        b.put(Input::Called { call: n, bytes });
    };
    beat(&mut b, 1);
    b.store_up = false;
    // One long silence (say, a stall): b misses a, and so does c.
    for _ in 0..8 {
        b.tick(400);
        b.answer_all(&mut |to, c| match (&c.ask, to) {
            (Ask::Misses, "c") => {
                Some(Ok(Reply { epoch: Epoch(1), leader: None, answer: Answer::Misses { is_missed: true } }))
            }
            _ => Some(off()),
        });
    }
    // a is heard again, for ten minutes
    for n in 0..1500 {
        b.now = Millis(b.now.0 + 400);
        beat(&mut b, 10 + n);
        b.put(Input::Tick);
    }
    b.store_up = true;
    for n in 0..10 {
        b.now = Millis(b.now.0 + 400);
        if b.record().epoch == Epoch(1) {
            beat(&mut b, 5000 + n);
        }
        b.put(Input::Tick);
    }
    assert_eq!(b.record().epoch, Epoch(1), "a leader that is heard was replaced once the store came back");
}

#[test]
fn a_handover_seals_what_was_drained_and_no_tail_that_came_since() {
    let members = config("a").group.unwrap().members;
    let r = Record::new(Generation(7), name("b"), members, 2).unwrap();
    let r = r.admit([name("a"), name("c")].into_iter());
    let mut a = Rig::new("a", Disk::default(), Some((r.elect(&name("a"), Epoch(0)).unwrap().to_string(), 1)), 1000);
    a.disk.commit(&[StoreOp::Put { table: Table::Meta, key: meta_key("member"), value: vec![1, 0, 1] }]);
    a.disk.commit(&[StoreOp::Put {
        table: Table::Meta,
        key: meta_key("generation"),
        value: [7u64.to_le_bytes().to_vec(), vec![1]].concat(),
    }]);
    a = Rig::new("a", a.disk.clone(), a.record.clone(), 1000);
    a.drain();
    // c promises; a is elected for epoch 2 with nothing sealed, b is away with a tail of epoch 1.
    for _ in 0..6 {
        a.answer_all(&mut |to, c| {
            if to == "c" { Some(held(c.epoch.0, "a", Frontier::default())) } else { Some(off()) }
        });
        a.tick(400);
    }
    assert_eq!(a.record().leader(), Some(&name("a")));
    // b is back: it holds 1/1. a fetches.
    let tail = Segment {
        epoch: Epoch(1),
        first: Lsn(1),
        batch: Batch { writes: vec![Write { origin: Origin(9), seq: Seq(1), parts: vec![part("d", "tail")] }] },
    };
    let mut fetch = None;
    for _ in 0..8 {
        a.answer_all(&mut |to, c| match (&c.ask, to) {
            (Ask::Append(_), "c") => Some(held(2, "a", Frontier::default())),
            (Ask::Append(_), "b") => Some(held(2, "a", Frontier::at(Epoch(1), Lsn(1)))),
            (Ask::Fetch { .. }, _) => {
                fetch = Some(());
                None
            }
            _ => Some(off()),
        });
        if fetch.is_some() {
            break;
        }
        a.tick(400);
    }
    assert!(fetch.is_some());
    // An operator hands over to c; the store does not answer the swap.
    a.holds_swaps = true;
    a.put(Input::Admin { id: 1, command: Admin::Switchover { to: Some(name("c")), timeout: Millis(20_000) } });
    for _ in 0..4 {
        a.answer_all(&mut |to, c| match (&c.ask, to) {
            (Ask::Append(_) | Ask::Promise, "c") => Some(held(c.epoch.0, "a", Frontier::default())),
            (Ask::Append(_), "b") => Some(held(2, "a", Frontier::at(Epoch(1), Lsn(1)))),
            _ => None,
        });
        a.tick(100);
    }
    assert_eq!(a.swaps.len(), 1);
    a.store_up = false;
    a.swap();
    a.drain();
    // now the rows come
    for call in 1..200 {
        a.answer(
            call,
            Ok(Reply {
                epoch: Epoch(2),
                leader: Some(name("a")),
                answer: Answer::Rows { rows: vec![tail.to_bytes()] },
            }),
        );
        if !a.log().is_empty() {
            break;
        }
    }
    a.store_up = true;
    a.holds_swaps = false;
    for _ in 0..4 {
        a.tick(700);
    }
    assert_eq!(
        a.record().sealed.lsn(Epoch(1)),
        Lsn(0),
        "sealed although neither c nor a quorum of joined voters was told to hold it"
    );
}

#[test]
fn a_follower_that_is_gone_raises_an_alarm() {
    let mut a = Rig::new("a", Disk::default(), None, 1000);
    a.drain();
    a.open(1);
    let mut b = Frontier::default();
    let mut c = Frontier::default();
    a.answer_all(&mut |to, q| mirror(if to == "b" { &mut b } else { &mut c }, q));
    for n in 1..=12_000u64 {
        a.push(1, 1, n, "x");
        if n % 50 == 0 {
            a.answer_all(&mut |to, q| if to == "b" { mirror(&mut b, q) } else { Some(off()) });
            a.tick(50);
        }
    }
    assert!(
        a.events.iter().any(|e| matches!(e, Event::Lag { is_alarm: true, .. })),
        "a follower that is gone is 12,000 entries behind and nobody is told"
    );
}

#[test]
fn a_leader_that_was_only_just_elected_gets_its_time() {
    let members = config("a").group.unwrap().members;
    let r = Record::new(Generation(7), name("a"), members, 2).unwrap();
    let r = r.admit([name("b"), name("c")].into_iter());
    let mut b = Rig::new("b", Disk::default(), Some((r.to_string(), 1)), 1000);
    b.drain();
    let ask = Ask::Append(Append { leader: Some(name("a")), instance: 1, next_ms: 400, ..Append::default() });
    b.put(Input::Called {
        call: 1,
        bytes: Call { from: name("a"), generation: Generation(7), epoch: Epoch(1), ask }.encode(),
    });
    for n in 0..20 {
        b.now = Millis(b.now.0 + 400);
        let ask = Ask::Append(Append { leader: Some(name("a")), instance: 1, next_ms: 400, ..Append::default() });
        b.put(Input::Called {
            call: 2 + n,
            bytes: Call { from: name("a"), generation: Generation(7), epoch: Epoch(1), ask }.encode(),
        });
        b.put(Input::Tick);
    }
    // a dies. c misses it, and has been elected by the time b reads the record.
    let next = r.elect(&name("c"), Epoch(0)).unwrap().activate(&name("c"), &Frontier::default()).unwrap();
    b.record = Some((next.to_string(), 2));
    for _ in 0..8 {
        b.tick(400);
        b.answer_all(&mut |to, c| match (&c.ask, to) {
            (Ask::Misses, "c") => {
                Some(Ok(Reply { epoch: Epoch(1), leader: None, answer: Answer::Misses { is_missed: true } }))
            }
            _ => Some(off()),
        });
        if !b.swaps.is_empty() || b.record().epoch > Epoch(2) {
            break;
        }
    }
    assert_eq!(b.record().epoch, Epoch(2), "c leads since a moment ago, and gets its time first");
}
