//! What members of a group say to each other: every kind survives the wire, and any bytes give a message or an error.

use crate::common::{config, part};
use headwater_core::group::concern::Progress;
use headwater_core::group::{GroupConfig, Member, MemberName, Role, Settings};
use headwater_core::node::group::message::{Answer, Append, Ask, Call, Forwarded, Outcome, Reply};
use headwater_core::node::{Config, Input, Node, Output, Retention};
use headwater_core::store::Scan;
use headwater_core::{Batch, Code, Epoch, Error, Frontier, Generation, Lsn, Millis, Origin, Seq, Write};
use proptest::prelude::*;

fn name(name: &str) -> MemberName {
    MemberName::new(name).expect("tests name members properly")
}

fn push() -> Forwarded {
    let write = Write { origin: Origin(7), seq: Seq(3), parts: vec![part("a", "x")] };
    Forwarded { conn: 9, resume: true, prev: Seq(2), batch: Batch { writes: vec![write] } }
}

fn append() -> Append {
    Append {
        leader: Some(name("paris")),
        of: None,
        shown: Frontier::default(),
        instance: 77,
        held: Frontier::at(Epoch(2), Lsn(9)),
        stable: Frontier::at(Epoch(2), Lsn(8)),
        all: Frontier::at(Epoch(2), Lsn(7)),
        progress: vec![Progress { name: name("tokyo"), durable: Lsn(7), is_connected: true }],
        is_deaf: true,
        next_ms: 400,
        rows: vec![vec![1, 2, 3], Vec::new()],
    }
}

fn asks() -> Vec<Ask> {
    vec![
        Ask::Append(append()),
        Ask::Append(Append { of: Some(Epoch(9)), shown: Frontier::at(Epoch(9), Lsn(3)), ..append() }),
        Ask::Append(Append::default()),
        Ask::Promise,
        Ask::Fetch { of: Epoch(1), after: Lsn(4) },
        Ask::Misses,
        Ask::Forward { pushes: vec![push(), push()] },
        Ask::Barrier { frontier: Frontier::of_origin(Origin(1), Seq(2)) },
        Ask::News,
    ]
}

fn answers() -> Vec<Answer> {
    let frontier = Frontier::at(Epoch(3), Lsn(1));
    let error = Error::new(Code::Busy, "later");
    let rejected = Outcome::Rejected { origin: Origin(1), seq: Seq(2), error: error.clone() };
    let outcomes = vec![Outcome::Taken, rejected, Outcome::Closed { error: error.clone() }];
    vec![
        Answer::Held {
            frontier: frontier.clone(),
            applied: Frontier::default(),
            has_clients: true,
            is_joined: false,
            needs_copy: true,
        },
        Answer::Rows { rows: vec![vec![5; 300]] },
        Answer::Misses { is_missed: true },
        Answer::Forwarded { outcomes },
        Answer::At { frontier },
        Answer::Noted,
        Answer::Refused { error },
    ]
}

fn call(ask: Ask) -> Call {
    Call { from: name("ohio"), generation: Generation(5), epoch: Epoch(6), ask }
}

#[test]
fn every_call_and_reply_survives_the_wire_and_none_survives_being_cut() {
    for ask in asks() {
        let bytes = call(ask.clone()).encode();
        assert_eq!(Call::decode(&bytes), Ok(call(ask)));
        (0..bytes.len()).for_each(|end| assert!(Call::decode(&bytes[..end]).is_err(), "cut at {end}"));
    }
    for answer in answers() {
        let reply = Reply { epoch: Epoch(4), leader: Some(name("paris")), answer };
        let bytes = reply.encode();
        assert_eq!(Reply::decode(&bytes), Ok(reply));
        (0..bytes.len()).for_each(|end| assert!(Reply::decode(&bytes[..end]).is_err(), "cut at {end}"));
    }
}

#[test]
fn a_later_version_is_told_apart() {
    let mut bytes = call(Ask::Misses).encode();
    bytes[0] += 1;
    assert_eq!(Call::decode(&bytes).map_err(|error| error.code), Err(Code::Version));
}

/// A member that has read an empty storage, and whatever it asks of its host is answered with nothing.
fn member() -> Node {
    let member = |n: &str| Member {
        name: name(n),
        role: Role::Voter { priority: 1 },
        address: format!("http://{n}:8787").into(),
    };
    let group = GroupConfig {
        me: name("paris"),
        members: vec![member("paris"), member("tokyo"), member("ohio")],
        quorum: 2,
        settings: Settings::default(),
        jitter_seed: 1,
    };
    let (fresh_generation, group) = (Generation(5), Some(group));
    Node::new(Config { fresh_generation, check: |_| Ok(()), group, ..config(&Retention::default()) })
}

fn drain(node: &mut Node) -> Vec<Vec<u8>> {
    let mut replies = Vec::new();
    while let Some(output) = node.poll() {
        match output {
            Output::Scan { token, scan: Scan { .. } } => {
                node.handle(Input::Scanned { token, rows: Vec::new() }, Millis(1));
            }
            Output::Persist { token, .. } => node.handle(Input::Persisted { token }, Millis(1)),
            Output::ReadRecord { token } => node.handle(Input::Record { token, result: Ok(None) }, Millis(1)),
            Output::SwapRecord { token, .. } => {
                let made = headwater_core::node::Swap::Made { revision: "1".into() };
                node.handle(Input::Swapped { token, result: Ok(made) }, Millis(1));
            }
            Output::Reply { bytes, .. } => replies.push(bytes),
            Output::Failed { error } => panic!("the member failed: {error}"),
            _ => {}
        }
    }
    replies
}

#[test]
fn strangers_and_namesakes_are_refused_with_a_code() {
    let mut node = member();
    drain(&mut node);
    for (from, code) in [("berlin", Code::NotFound), ("paris", Code::Malformed)] {
        let bytes = Call { from: name(from), generation: Generation(5), epoch: Epoch(1), ask: Ask::Misses }.encode();
        node.handle(Input::Called { call: 1, bytes }, Millis(2));
        let reply = Reply::decode(&drain(&mut node)[0]).expect("a member answers what decodes");
        assert!(matches!(reply.answer, Answer::Refused { error } if error.code == code), "{from}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered_and_damage_nothing(
        place in 0..8usize,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        noise in proptest::collection::vec(any::<u8>(), 0..64),
        is_noise in any::<bool>(),
    ) {
        let mut bytes = if is_noise { noise } else { call(asks().swap_remove(place)).encode() };
        for (index, byte) in damage.iter().filter(|_| !bytes.is_empty()).collect::<Vec<_>>() {
            let at = index.index(bytes.len());
            bytes[at] = *byte;
        }
        let mut node = member();
        drain(&mut node);
        let before = node.status();
        node.handle(Input::Called { call: 3, bytes }, Millis(2));
        drain(&mut node);
        prop_assert_eq!(node.status().generation, before.generation);
        prop_assert!(node.status().failure.is_none());
        let _ = Reply::decode(&damage.iter().map(|(_, byte)| *byte).collect::<Vec<_>>());
    }
}
