//! A node that sleeps between two frames: what it knew of a connection comes back with the attachment.

use crate::common::{BAD, World, doc};
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::session::Consistency;
use headwater_core::{Batch, Code, ConnId, Frontier, Generation, Origin, Seq, Stage, Write, node};

#[test]
fn live_documents_stay_live() {
    let mut world = World::with(2, &["a", "b"]);
    for n in 0..10 {
        world.write(n % 2, ["a", "b"][n % 3 % 2], format!("{n}"));
        world.hibernate();
    }
    world.assert_converged("a");
    world.assert_converged("b");
    assert_eq!((world.clients[0].connects, world.clients[1].connects), (1, 1));
}

#[test]
fn a_barrier_goes_on_waiting() {
    let mut world = World::with(2, &["a"]);
    let session = world.clients[0].replica.begin_session(None);
    world.offline(0);
    world.write(0, "a", "x");
    let bookmark = world.clients[0].replica.bookmark(session).unwrap();
    let session = world.clients[1].replica.begin_session(Some(bookmark));
    let wait = world.wait_read(1, session, "a", Consistency::Session, 60_000);
    world.hibernate();
    assert_eq!(world.done(1, wait), None);
    world.online(0);
    assert_eq!((world.done(1, wait), world.content(1, "a")), (Some(Ok(())), vec!["x".to_owned()]));
}

fn frame(world: &mut World, conn: ConnId, frame: &ClientFrame) -> Vec<NodeFrame> {
    world.node.handle(node::Input::Frame { conn, bytes: frame.encode() }, world.now);
    world.node.drain(world.now);
    let sent = world.node.down.remove(&conn).unwrap_or_default();
    sent.iter().map(|bytes| NodeFrame::decode(bytes).unwrap()).collect()
}

fn push(resume: bool, prev: u64, seq: u64, update: &[u8]) -> ClientFrame {
    push_of(Origin(1), resume, prev, seq, update)
}

fn push_of(origin: Origin, resume: bool, prev: u64, seq: u64, update: &[u8]) -> ClientFrame {
    let parts = vec![crate::common::part("a", update)];
    ClientFrame::Push { resume, prev: Seq(prev), batch: Batch { writes: vec![Write { origin, seq: Seq(seq), parts }] } }
}

fn connect(world: &mut World) -> ConnId {
    let conn = ConnId(900);
    world.node.handle(node::Input::Opened { conn }, world.now);
    let hello = ClientFrame::Hello { version: 1, generation: Generation(0), origin: Origin(1), extensions: Vec::new() };
    frame(world, conn, &hello);
    conn
}

#[test]
fn a_halted_origin_stays_halted_until_it_resumes() {
    let mut world = World::new();
    let conn = connect(&mut world);
    assert!(matches!(frame(&mut world, conn, &push(false, 0, 1, BAD))[..], [NodeFrame::Rejected { .. }]));
    world.node.hibernate(world.now);
    world.node.drain(world.now);
    assert!(frame(&mut world, conn, &push(false, 1, 2, b"behind it")).is_empty());
    assert!(matches!(frame(&mut world, conn, &push(true, 1, 2, b"again"))[..], [NodeFrame::Ack { .. }]));
}

#[test]
fn a_refusal_halts_every_origin_of_its_connection() {
    let mut world = World::new();
    let (conn, tab) = (connect(&mut world), Origin(2));
    assert!(matches!(frame(&mut world, conn, &push_of(tab, true, 0, 1, b"good"))[..], [NodeFrame::Ack { .. }]));
    assert!(matches!(frame(&mut world, conn, &push(true, 0, 1, BAD))[..], [NodeFrame::Rejected { .. }]));
    world.node.hibernate(world.now);
    world.node.drain(world.now);
    assert!(frame(&mut world, conn, &push_of(tab, false, 1, 2, b"may build on it")).is_empty());
    assert!(matches!(frame(&mut world, conn, &push_of(tab, true, 1, 2, b"does not"))[..], [NodeFrame::Ack { .. }]));
}

#[test]
fn a_group_goes_on_where_it_was() {
    let mut world = World::with(1, &["a"]);
    for n in 0..20 {
        let mut update = vec![b'x'; 200 << 10];
        update[..8].copy_from_slice(format!("{n:08}").as_bytes());
        world.write(0, "a", update);
        world.settle();
    }
    let conn = connect(&mut world);
    let subscribe = ClientFrame::Subscribe { group: 1, frontier: Frontier::default(), docs: vec![doc("a")] };
    let mut frames = frame(&mut world, conn, &subscribe);
    for _ in 0..20 {
        world.node.hibernate(world.now);
        frames.extend(frame(&mut world, conn, &ClientFrame::Credit { group: 1, frames: 1 }));
    }
    let writes = frames.iter().filter_map(|frame| match frame {
        NodeFrame::Entries { batch, .. } => Some(batch.writes.iter().map(|write| write.seq.0)),
        _ => None,
    });
    assert_eq!(writes.flatten().collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>(), "each once, in order");
    assert!(matches!(frames.last(), Some(NodeFrame::Live { group: 1, .. })));
}

#[test]
fn a_connection_with_too_much_to_keep_resumes() {
    let names: Vec<String> = (0..100).map(|n| format!("a document with quite a long name, number {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::with(2, &names);
    world.hibernate();
    assert!(world.clients.iter().all(|client| client.conn.is_none()));
    assert!(matches!(&world.heard(0)[..], [.., NodeFrame::Error { error, .. }] if error.code == Code::Resume));
    let seq = world.write(0, names[7], "x");
    world.advance(1000);
    assert_eq!(world.stage(0, seq), Ok(Stage::All));
    names.iter().for_each(|name| world.assert_converged(name));
}

#[test]
fn a_damaged_attachment_resumes() {
    let world = World::with(1, &["a"]);
    let conn = world.clients[0].conn.unwrap();
    let state = world.node.attached[&conn].clone();
    for end in 0..state.len() {
        let mut host = crate::common::Host::new(world.node.disk.clone());
        host.handle(node::Input::Restored { conn, state: state[..end].to_vec() }, world.now);
        host.drain(world.now);
        assert_eq!(host.closed[&conn].code, Code::Resume);
    }
}
