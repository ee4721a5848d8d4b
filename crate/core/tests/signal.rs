//! Messages that a node passes on between its clients: to whom they go, what is lost, and what a nap of the node changes.

use crate::common::World;
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::limits::{SIGNAL_BYTES_MAX, SIGNALS_BYTES_PER_SECOND};
use headwater_core::replica::Input;
use headwater_core::{Code, ConnId, Generation, Origin, node};

fn signal(world: &mut World, from: usize, to: Origin, bytes: &[u8]) {
    let now = world.now;
    world.clients[from].handle(Input::Signal { to, bytes: bytes.to_vec() }, now);
    world.settle();
}

/// What a client has got since it was asked last.
fn got(world: &mut World, client: usize) -> Vec<(Origin, Vec<u8>)> {
    std::mem::take(&mut world.clients[client].signalled)
}

#[test]
fn a_signal_reaches_whom_it_is_for() {
    let mut world = World::with(3, &[]);
    let [a, b, _] = [0, 1, 2].map(|index| world.clients[index].origin);
    signal(&mut world, 0, b, b"offer");
    assert_eq!(got(&mut world, 1), [(a, b"offer".to_vec())]);
    assert_eq!([got(&mut world, 0), got(&mut world, 2)], [vec![], vec![]]);
}

#[test]
fn a_signal_to_all_reaches_all_others() {
    let mut world = World::with(3, &[]);
    let a = world.clients[0].origin;
    signal(&mut world, 0, Origin(0), b"hello");
    assert_eq!(
        [1, 2].map(|index| got(&mut world, index)),
        [vec![(a, b"hello".to_vec())], vec![(a, b"hello".to_vec())]]
    );
    assert_eq!(got(&mut world, 0), []);
}

#[test]
fn a_signal_to_nobody_is_lost() {
    let mut world = World::with(2, &[]);
    let b = world.clients[1].origin;
    world.offline(1);
    signal(&mut world, 0, b, b"offer");
    signal(&mut world, 0, Origin(77), b"offer");
    // Nor does a replica without a connection keep any.
    signal(&mut world, 1, Origin(0), b"offer");
    world.online(1);
    assert_eq!([got(&mut world, 0), got(&mut world, 1)], [vec![], vec![]]);
    signal(&mut world, 0, b, b"again");
    assert_eq!(got(&mut world, 1).len(), 1);
}

#[test]
fn a_signal_asks_for_no_sign_of_life() {
    let mut world = World::with(2, &[]);
    signal(&mut world, 0, Origin(0), b"hello");
    world.advance(10_000);
    assert_eq!(world.clients[0].pings, 0);
}

#[test]
fn addresses_outlive_a_nap_of_the_node() {
    let mut world = World::with(2, &[]);
    let [a, b] = [0, 1].map(|index| world.clients[index].origin);
    world.hibernate();
    signal(&mut world, 0, b, b"offer");
    assert_eq!(got(&mut world, 1), [(a, b"offer".to_vec())]);
}

#[test]
fn a_connection_of_an_older_attachment_goes_on_and_resumes_when_it_signals() {
    let mut world = World::with(2, &["a"]);
    let conn = world.clients[0].conn.unwrap();
    // Version 1 had no origin: its eight bytes stand behind the version and whether it was greeted.
    let mut state = world.node.attached[&conn].clone();
    assert_eq!((state[0], &state[2..10]), (3, &world.clients[0].origin.0.to_le_bytes()[..]));
    state[0] = 1;
    state.drain(2..10);
    world.node.attached.insert(conn, state);
    world.hibernate();
    world.write(1, "a", "x");
    world.settle();
    assert_eq!(world.content(0, "a"), ["x"], "what it follows was kept");
    assert_eq!(world.clients[0].connects, 1);
    let b = world.clients[1].origin;
    signal(&mut world, 0, b, b"offer");
    assert!(matches!(&world.heard(0)[..], [.., NodeFrame::Error { error, .. }] if error.code == Code::Resume));
    world.advance(1000);
    signal(&mut world, 0, b, b"offer");
    assert_eq!(got(&mut world, 1).len(), 1);
}

#[test]
fn what_one_connection_may_have_passed_on_is_bounded() {
    let mut world = World::with(3, &[]);
    let message = vec![7; SIGNAL_BYTES_MAX];
    for _ in 0..100 {
        signal(&mut world, 0, Origin(0), &message);
    }
    let count = got(&mut world, 1).len();
    assert_eq!(got(&mut world, 2).len(), count);
    let relayed = 2 * count * message.len();
    assert!(
        relayed >= SIGNALS_BYTES_PER_SECOND - 2 * message.len()
            && relayed <= SIGNALS_BYTES_PER_SECOND + 2 * message.len()
    );
    // Another connection has its own measure, and the next second begins anew.
    let b = world.clients[1].origin;
    signal(&mut world, 2, b, b"offer");
    assert_eq!(got(&mut world, 1).len(), 1);
    world.advance(1000);
    signal(&mut world, 0, b, b"offer");
    assert_eq!(got(&mut world, 1).len(), 1);
}

#[test]
fn a_signal_above_the_limit_is_dropped_by_the_replica_and_refused_by_the_node() {
    let mut world = World::with(2, &[]);
    signal(&mut world, 0, Origin(0), &vec![7; SIGNAL_BYTES_MAX + 1]);
    assert_eq!(got(&mut world, 1), []);
    assert_eq!(world.clients[0].connects, 1);
    let bytes = ClientFrame::Signal { to: Origin(0), bytes: vec![7; SIGNAL_BYTES_MAX + 1] }.encode();
    let conn = world.clients[0].conn.unwrap();
    world.node.handle(node::Input::Frame { conn, bytes }, world.now);
    world.node.drain(world.now);
    assert_eq!(world.node.closed[&conn].code, Code::TooLarge);
}

#[test]
fn nobody_signals_before_hello_or_hears_of_it() {
    let mut world = World::with(1, &[]);
    let (stranger, early) = (ConnId(101), ConnId(102));
    for conn in [stranger, early] {
        world.node.handle(node::Input::Opened { conn }, world.now);
    }
    signal(&mut world, 0, Origin(0), b"hello");
    assert!(world.node.down.get(&stranger).is_none_or(Vec::is_empty));
    let bytes = ClientFrame::Signal { to: Origin(0), bytes: b"hello".to_vec() }.encode();
    world.node.handle(node::Input::Frame { conn: early, bytes }, world.now);
    world.node.drain(world.now);
    assert_eq!(world.node.closed[&early].code, Code::OutOfOrder);
    // An opening without a number has no address to answer to.
    let hello = ClientFrame::Hello { version: 1, generation: Generation(0), origin: Origin(0), extensions: Vec::new() };
    let signal = ClientFrame::Signal { to: Origin(0), bytes: Vec::new() };
    for frame in [hello, signal] {
        world.node.handle(node::Input::Frame { conn: stranger, bytes: frame.encode() }, world.now);
    }
    world.node.drain(world.now);
    assert_eq!(world.node.closed[&stranger].code, Code::Resume);
    assert_eq!(got(&mut world, 0), []);
}
