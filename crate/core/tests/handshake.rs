//! Hello and welcome: versions, order, extensions.

use crate::common::{Client, Disk, Host, World};
use headwater_core::frame::{ClientFrame, NodeFrame, PROTOCOL_VERSION};
use headwater_core::replica::{Config, Input, Phase};
use headwater_core::{Code, ConnId, Epoch, Frontier, Generation, Millis, Origin, node};

const NOW: Millis = Millis(5);

fn hello(version: u64) -> ClientFrame {
    ClientFrame::Hello {
        version,
        generation: Generation(0),
        origin: Origin(1),
        extensions: vec![(9, b"later".to_vec())],
    }
}

/// What a fresh node answers to these frames on one connection.
fn answers(frames: &[ClientFrame]) -> (Vec<NodeFrame>, Option<Code>) {
    let conn = ConnId(1);
    let mut host = Host::new(Disk::default());
    host.handle(node::Input::Opened { conn }, NOW);
    for frame in frames {
        host.handle(node::Input::Frame { conn, bytes: frame.encode() }, NOW);
    }
    host.drain(NOW);
    let sent = host.down.remove(&conn).unwrap_or_default();
    (sent.iter().map(|bytes| NodeFrame::decode(bytes).unwrap()).collect(), host.closed.get(&conn).map(|e| e.code))
}

#[test]
fn a_hello_is_welcomed_while_storage_is_still_loading_and_extensions_are_passed_over() {
    let (frames, closed) = answers(&[hello(1)]);
    assert!(matches!(frames[..], [NodeFrame::Welcome { version: 1, epoch: Epoch(1), voters: 1, .. }]));
    assert_eq!(closed, None);
}

#[test]
fn a_newer_replica_is_answered_with_the_nodes_version() {
    let (frames, _) = answers(&[hello(900)]);
    assert!(matches!(frames[..], [NodeFrame::Welcome { version: PROTOCOL_VERSION, .. }]));
}

#[test]
fn version_zero_does_not_exist() {
    assert_eq!(answers(&[hello(0)]).1, Some(Code::Version));
}

#[test]
fn anything_before_hello_and_a_second_hello_are_out_of_order() {
    assert_eq!(answers(&[ClientFrame::Cancel { id: 1 }]).1, Some(Code::OutOfOrder));
    let (frames, closed) = answers(&[hello(1), hello(1)]);
    assert_eq!(closed, Some(Code::OutOfOrder));
    assert!(matches!(&frames[1], NodeFrame::Error { error, .. } if error.code == Code::OutOfOrder));
}

#[test]
fn a_replica_refuses_a_version_it_does_not_speak_and_stays_blocked() {
    let mut world = World::new();
    world.add(&[]);
    world.clients[0].drain(world.now);
    world.clients[0].handle(Input::Connected, world.now);
    let welcome = NodeFrame::Welcome {
        version: 2,
        generation: Generation(7),
        epoch: Epoch(1),
        frontier: Frontier::default(),
        voters: 1,
        extensions: Vec::new(),
    };
    world.clients[0].handle(Input::Frame { bytes: welcome.encode() }, world.now);
    let replica = &world.clients[0].replica;
    assert_eq!(replica.phase(), Phase::Blocked);
    assert_eq!(replica.trouble().unwrap().code, Code::Version);
    assert_eq!(replica.generation(), Generation(0));
    assert_eq!(replica.next_timeout(), None, "nothing to try again");
}

#[test]
fn a_replica_without_a_leader_never_connects() {
    let config = Config {
        origin: Origin(1),
        has_leader: false,
        is_durable: true,
        jitter_seed: 1,
        shares_storage: false,
        check: |_| Ok(()),
    };
    let mut client = Client::with(config, Disk::default(), NOW);
    client.handle(Input::Nudge, NOW);
    client.drain(NOW);
    assert_eq!((client.connects, client.replica.phase()), (0, Phase::LocalOnly));
}

#[test]
fn a_replica_that_is_still_opening_asks_for_no_tick() {
    let config = Config {
        origin: Origin(1),
        has_leader: true,
        is_durable: true,
        jitter_seed: 1,
        shares_storage: false,
        check: |_| Ok(()),
    };
    let replica = headwater_core::replica::Replica::new(config);
    assert_eq!(replica.next_timeout(), None, "there is nothing to do before storage has answered");
}

#[test]
fn a_replica_says_hello_first_and_nothing_before_the_welcome() {
    let mut world = World::new();
    world.add(&["a"]);
    world.write(0, "a", "1");
    world.clients[0].is_deaf = true;
    world.settle();
    assert!(matches!(world.said(0)[..], [ClientFrame::Hello { version: PROTOCOL_VERSION, .. }]));
    world.clients[0].is_deaf = false;
    world.settle();
    assert_eq!(world.pending(0), 0);
}
