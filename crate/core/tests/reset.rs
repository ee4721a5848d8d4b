//! A leader whose storage is another one, or an older one: told apart, and nothing here is given up.

use crate::common::{World, doc};
use headwater_core::frame::ClientFrame;
use headwater_core::node::Input;
use headwater_core::replica::Phase;
use headwater_core::{Code, ConnId, Epoch, Frontier, Generation, Lsn, Origin, Seq};

#[test]
fn another_generation_blocks_and_keeps_unsent_writes() {
    let mut world = World::with(1, &["a"]);
    world.write(0, "a", "synced");
    world.settle();
    world.offline(0);
    world.write(0, "a", "unsent");
    world.settle();
    world.replace_storage(0x7777);
    world.online(0);
    assert_eq!(world.clients[0].replica.phase(), Phase::Blocked);
    assert_eq!(world.clients[0].replica.trouble().unwrap().code, Code::DatabaseReset);
    assert_eq!(world.content(0, "a"), ["synced", "unsent"]);
    assert_eq!(world.pending(0), 1);
    world.reopen(0);
    world.settle();
    assert_eq!(world.content(0, "a"), ["synced", "unsent"]);
    assert_eq!((world.pending(0), world.clients[0].replica.phase()), (1, Phase::Blocked));
    assert_eq!(world.node.node.status().lsn, Lsn(0), "nothing was pushed into the wrong database");
}

#[test]
fn storage_that_went_back_in_time_blocks() {
    let mut world = World::with(1, &["a"]);
    world.write(0, "a", "old");
    world.settle();
    let old = world.node.disk.snapshot();
    world.write(0, "a", "new");
    world.settle();
    world.node.disk.revert(old);
    world.restart_node();
    assert_eq!(world.clients[0].replica.trouble().unwrap().code, Code::DatabaseReset);
    assert_eq!(world.content(0, "a"), ["new", "old"]);
}

#[test]
fn a_wait_while_blocked_ends_with_the_reason() {
    let mut world = World::with(1, &["a"]);
    world.replace_storage(0x7777);
    let seq = world.write(0, "a", "x");
    let wait = world.wait_stage(0, seq, headwater_core::Stage::Leader, 100);
    world.advance(100);
    assert_eq!(world.done(0, wait), Some(Err(Code::DatabaseReset)));
}

/// The answer to the doubt closes the connection whose questions wait behind it.
#[test]
fn a_replica_that_is_ahead_costs_the_others_nothing_whatever_it_asks() {
    let mut world = World::with(2, &["a"]);
    world.write(0, "a", "old");
    world.settle();
    let conn = ConnId(77);
    world.node.handle(Input::Opened { conn }, world.now);
    let ahead = Frontier::at(Epoch(1), Lsn(9));
    let hello =
        ClientFrame::Hello { version: 1, generation: Generation(0), origin: Origin(77), extensions: Vec::new() };
    let subscribe = ClientFrame::Subscribe { group: 1, frontier: ahead.clone(), docs: vec![doc("a")] };
    let barrier = |id, strong| ClientFrame::Barrier { id, strong, frontier: Frontier::of_origin(Origin(5), Seq(1)) };
    for frame in [hello, subscribe, barrier(1, true), barrier(2, false)] {
        world.node.handle(Input::Frame { conn, bytes: frame.encode() }, world.now);
    }
    world.settle();
    assert_eq!(world.node.closed.remove(&conn).unwrap().code, Code::DatabaseReset);
    world.write(1, "a", "new");
    world.settle();
    world.assert_converged("a");
}
