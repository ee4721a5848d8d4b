//! Frames that no honest peer sends: a coded error and a close for that connection, and for nobody else.
//!
//! Each run takes a fixed seed and a fresh one, which it prints; `HEADWATER_SEED` names another.

use crate::common::{Client, Disk, World, doc, part};
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::limits::{FRAME_BYTES_MAX, SUBSCRIPTIONS_MAX};
use headwater_core::replica::{Config, Input, Phase};
use headwater_core::{Batch, Code, ConnId, Epoch, Frontier, Generation, Lsn, Millis, Origin, Seq, Stage, Write, node};
use std::hash::{BuildHasher, RandomState};

const FRAMES: usize = 10_000;
const FIXED_SEED: u64 = 0x6865_6164;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Small most of the time, and anything now and then.
    fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.next(),
            1 => u64::MAX - self.next() % 3,
            _ => self.next() % 8,
        }
    }

    fn frontier(&mut self) -> Frontier {
        let mut frontier = Frontier::default();
        for _ in 0..self.below(3) {
            frontier.advance_epoch(Epoch(self.number()), Lsn(self.number()));
            frontier.advance_origin(Origin(self.number()), Seq(self.number()));
        }
        frontier
    }

    /// Damages an encoding in one of several ways.
    fn damage(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        match self.below(5) {
            0 => bytes.truncate(self.below(bytes.len())),
            1 => {
                let more = 1 + self.below(9);
                bytes.extend(self.bytes(more));
            }
            2 => {
                let (from, length) = (self.below(bytes.len()), self.below(9));
                bytes.drain(from..(from + length).min(bytes.len()));
            }
            3 => {
                let (at, noise) = (self.below(bytes.len()), self.bytes(3));
                bytes.splice(at..at, noise);
            }
            _ => {
                for _ in 0..=self.below(3) {
                    let at = self.below(bytes.len());
                    bytes[at] = self.next() as u8;
                }
            }
        }
        bytes
    }
}

fn seeds() -> Vec<u64> {
    let fresh = match std::env::var("HEADWATER_SEED") {
        Ok(seed) => seed.parse().expect("HEADWATER_SEED is a number"),
        Err(_) => RandomState::new().hash_one(0),
    };
    vec![FIXED_SEED, fresh]
}

fn hello() -> ClientFrame {
    ClientFrame::Hello { version: 1, generation: Generation(0), origin: Origin(0xbad), extensions: Vec::new() }
}

fn push(random: &mut Random) -> ClientFrame {
    let prev = random.number() / 2;
    let write = Write { origin: Origin(0xbad), seq: Seq(prev + 1), parts: vec![part("a", random.bytes(20))] };
    ClientFrame::Push { resume: random.below(2) == 0, prev: Seq(prev), batch: Batch { writes: vec![write] } }
}

fn client_frame(random: &mut Random) -> ClientFrame {
    match random.below(7) {
        0 => hello(),
        1 => {
            ClientFrame::Subscribe { group: random.number().max(1), frontier: random.frontier(), docs: vec![doc("a")] }
        }
        2 => ClientFrame::Unsubscribe { docs: vec![doc("a"), doc("zz")] },
        3 => ClientFrame::Credit { group: random.number().max(1), frames: random.number() },
        4 => ClientFrame::Barrier { id: random.number(), strong: random.below(2) == 0, frontier: random.frontier() },
        5 => ClientFrame::Cancel { id: random.number() },
        _ => push(random),
    }
}

/// Frames on one connection, the last of which is hostile, or at least not a push that stands by itself.
fn attack(random: &mut Random) -> Vec<Vec<u8>> {
    let mut frames = vec![hello().encode()];
    match random.below(16) {
        0 => return vec![client_frame(random).encode()],
        1 => {
            let length = random.below(200);
            frames.push(random.bytes(length));
        }
        2 => frames.push(vec![random.next() as u8; FRAME_BYTES_MAX + 1 + random.below(9)]),
        3 => {
            // Two subscriptions of one group number.
            let frame = ClientFrame::Subscribe { group: 3, frontier: Frontier::default(), docs: vec![doc("q")] };
            frames.extend([frame.encode(), frame.encode()]);
        }
        4 => {
            // What follows a write that never came.
            let write = Write { origin: Origin(0xbad), seq: Seq(9), parts: vec![part("a", "x")] };
            frames
                .push(ClientFrame::Push { resume: false, prev: Seq(8), batch: Batch { writes: vec![write] } }.encode());
        }
        5 => {
            let docs = (0..SUBSCRIPTIONS_MAX).map(|n| doc(&n.to_string())).collect();
            frames.push(ClientFrame::Subscribe { group: 1, frontier: Frontier::default(), docs }.encode());
            let more = ClientFrame::Subscribe { group: 2, frontier: Frontier::default(), docs: vec![doc("more")] };
            frames.push(more.encode());
        }
        6 => {
            for _ in 0..random.below(20) {
                let frame = client_frame(random);
                frames.extend((!matches!(frame, ClientFrame::Push { .. })).then(|| frame.encode()));
            }
        }
        _ => {
            let bytes = client_frame(random).encode();
            frames.push(random.damage(bytes));
        }
    }
    // A push that survived its damage is a valid push, and may be written.
    if matches!(ClientFrame::decode(frames.last().unwrap()), Ok(ClientFrame::Push { prev, .. }) if prev != Seq(8)) {
        frames.pop();
    }
    frames
}

fn attack_node(seed: u64) -> (usize, usize) {
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut world = World::with(2, &["a"]);
    let (mut refused, mut honest) = (0, 0);
    for n in 0..FRAMES {
        let conn = ConnId(1_000_000 + n as u64);
        let rows: usize = world.node.log_rows.iter().sum();
        let frames = attack(&mut random);
        let is_malformed = frames.iter().any(|bytes| ClientFrame::decode(bytes).is_err());
        world.node.handle(node::Input::Opened { conn }, world.now);
        for bytes in frames {
            world.node.handle(node::Input::Frame { conn, bytes }, world.now);
            world.node.drain(world.now);
        }
        let closed = world.node.closed.remove(&conn);
        assert!(world.node.closed.is_empty(), "somebody else was closed: {:?}", world.node.closed);
        assert!(closed.is_some() || !is_malformed, "a malformed frame was passed over");
        if let Some(error) = closed {
            refused += 1;
            let known =
                [Code::Malformed, Code::TooLarge, Code::OutOfOrder, Code::Version, Code::DatabaseReset, Code::Resume];
            assert!(known.contains(&error.code), "{error}");
            let sent = world.node.down[&conn].last().expect("an error is told before the close");
            assert!(
                matches!(NodeFrame::decode(sent), Ok(NodeFrame::Error { error: told, .. }) if told.code == error.code)
            );
        }
        world.node.down.remove(&conn);
        world.node.handle(node::Input::Closed { conn }, world.now);
        assert_eq!(world.node.log_rows.iter().sum::<usize>(), rows, "something was written");
        assert!(world.node.failure.is_none());
        if n % 100 == 0 {
            honest += 1;
            world.write(n / 100 % 2, "a", format!("{n}"));
            world.settle();
            world.assert_converged("a");
        }
    }
    assert_eq!(world.node.node.status().lsn, Lsn(honest));
    assert!(world.clients.iter().all(|client| client.connects == 1), "honest connections stayed");
    (FRAMES, refused)
}

#[test]
fn hostile_frames_cost_their_sender_the_connection_and_nobody_else_anything() {
    for seed in seeds() {
        let (frames, refused) = attack_node(seed);
        println!("{frames} attacks, {refused} closed, 0 written, 0 others affected");
        assert!(refused > frames / 2);
    }
}

fn node_frame(random: &mut Random) -> NodeFrame {
    let write = Write { origin: Origin(7), seq: Seq(1), parts: vec![part("a", random.bytes(9))] };
    let error = headwater_core::Error::new(Code::Busy, "no");
    match random.below(9) {
        0 => welcome(random.frontier()),
        1 => NodeFrame::Entries {
            group: random.number(),
            epoch: Epoch(random.number()),
            through: Lsn(random.number()),
            batch: Batch { writes: vec![write] },
        },
        2 => NodeFrame::Live { group: random.number().max(1), frontier: random.frontier() },
        3 => NodeFrame::Ack {
            origin: Origin(random.number()),
            seq: Seq(random.number()),
            stage: Stage::ALL[random.below(5)],
            epoch: Epoch(random.number()),
            lsn: Lsn(random.number()),
            through: Lsn(random.number()),
        },
        4 => NodeFrame::Rejected { origin: Origin(random.number()), seq: Seq(random.number()), error },
        5 => NodeFrame::Reached { id: random.number(), frontier: random.frontier() },
        6 => NodeFrame::Failed { id: random.number(), error },
        7 => NodeFrame::Signal { from: Origin(random.number()), bytes: random.bytes(9) },
        _ => NodeFrame::Error { error, retry_after_ms: random.number() },
    }
}

fn welcome(frontier: Frontier) -> NodeFrame {
    let (generation, epoch, extensions) = (Generation(5), Epoch(1), Vec::new());
    NodeFrame::Welcome { version: 1, generation, epoch, frontier, voters: 1, extensions }
}

fn attack_replica(seed: u64) -> usize {
    println!("seed {seed}");
    let now = Millis(1000);
    let mut random = Random(seed);
    let mut blocked = 0;
    for n in 0..FRAMES as u64 {
        let config = Config {
            origin: Origin(1 + n),
            has_leader: true,
            is_durable: true,
            jitter_seed: n,
            shares_storage: false,
            check: |_| Ok(()),
        };
        let mut client = Client::with(config, Disk::default(), now);
        client.handle(Input::Tick, now);
        client.open(doc("a"), now);
        client.write(vec![part("a", "unsent")], now);
        client.handle(Input::Connected, now);
        if random.below(8) > 0 {
            let frontier = random.frontier();
            client.handle(Input::Frame { bytes: welcome(frontier).encode() }, now);
        }
        client.drain(now);
        let mut is_malformed = false;
        for _ in 0..=random.below(4) {
            let frame = node_frame(&mut random).encode();
            let bytes = if random.below(2) == 0 { frame } else { random.damage(frame) };
            is_malformed |= NodeFrame::decode(&bytes).is_err();
            client.handle(Input::Frame { bytes }, now);
            client.drain(now);
            client.replica.database_lag(now);
        }
        if client.replica.phase() == Phase::Blocked {
            blocked += 1;
            assert!(client.replica.trouble().is_some());
        }
        assert!(!is_malformed || client.replica.phase() == Phase::Blocked, "a malformed frame was passed over");
        // Whatever was said, the storage reads back and the replica opens.
        let config = Config { origin: Origin(u64::MAX - n), ..config };
        let again = Client::with(config, client.disk.clone(), now);
        assert!(again.is_ready, "{:?}", again.open_failed);
    }
    blocked
}

#[test]
fn hostile_frames_from_a_node_block_a_replica_and_leave_its_storage_whole() {
    for seed in seeds() {
        let blocked = attack_replica(seed);
        println!("{FRAMES} attacks, {blocked} blocked, 0 panics, 0 damaged stores");
        assert!(blocked > FRAMES / 2);
    }
}

/// Every barrier is legal by itself; together they would fill the node's memory.
#[test]
fn what_waits_at_a_node_is_limited_in_all() {
    let mut world = World::with(1, &["a"]);
    let conn = ConnId(77);
    world.node.handle(node::Input::Opened { conn }, world.now);
    let hello =
        ClientFrame::Hello { version: 1, generation: Generation(0), origin: Origin(77), extensions: Vec::new() };
    world.node.handle(node::Input::Frame { conn, bytes: hello.encode() }, world.now);
    let mut frontier = Frontier::default();
    (1..=1000).for_each(|origin| frontier.advance_origin(Origin(origin), Seq(u64::MAX)));
    for id in 0..100 {
        let barrier = ClientFrame::Barrier { id, strong: false, frontier: frontier.clone() };
        world.node.handle(node::Input::Frame { conn, bytes: barrier.encode() }, world.now);
    }
    world.node.drain(world.now);
    let answers = world.node.down[&conn].iter().map(|bytes| NodeFrame::decode(bytes).unwrap());
    let busy = answers.filter(|frame| matches!(frame, NodeFrame::Failed { error, .. } if error.code == Code::Busy));
    assert_eq!(busy.count(), 100 - 65);
    assert!(world.node.closed.is_empty());
    world.write(0, "a", "honest");
    world.settle();
    assert_eq!(world.pending(0), 0);
}
