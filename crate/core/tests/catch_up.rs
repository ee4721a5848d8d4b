//! Reading the log back: only the difference, in pages, with credit, in several groups, and no gap to the live stream.

use crate::common::{World, doc};
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::limits::CATCH_UP_FRAMES_AHEAD;
use headwater_core::replica::Input;
use headwater_core::session::Consistency;
use headwater_core::{ConnId, Epoch, Frontier, Generation, Lsn, Origin, node};

fn entries(frames: &[NodeFrame]) -> Vec<(u64, usize)> {
    let of = |frame: &NodeFrame| match frame {
        NodeFrame::Entries { group, batch, .. } => Some((*group, batch.writes.len())),
        _ => None,
    };
    frames.iter().filter_map(of).collect()
}

#[test]
fn after_a_reconnect_only_the_difference_is_sent() {
    let mut world = World::with(2, &["a"]);
    for n in 0..20 {
        world.write(0, "a", format!("before {n}"));
    }
    world.settle();
    world.offline(1);
    for n in 0..5 {
        world.write(0, "a", format!("during {n}"));
    }
    world.settle();
    world.heard(1);
    world.online(1);
    assert_eq!(entries(&world.heard(1)).iter().map(|(_, writes)| writes).sum::<usize>(), 5);
    world.assert_converged("a");
}

#[test]
fn after_a_reload_only_the_difference_is_sent() {
    let mut world = World::with(2, &["a", "b"]);
    for n in 0..20 {
        world.write(0, ["a", "b"][n % 2], format!("before {n}"));
    }
    world.settle();
    world.reopen(1);
    world.settle();
    assert_eq!(entries(&world.heard(1)), []);
    world.assert_converged("a");
    world.assert_converged("b");
}

#[test]
fn a_late_document_joins_the_live_stream_without_a_gap() {
    let mut world = World::with(2, &["a"]);
    world.add(&["other"]);
    world.settle();
    for n in 0..40 {
        world.write(0, "a", format!("{n}"));
        if n == 20 {
            world.open(2, "a");
        }
        world.step();
    }
    world.settle();
    world.assert_converged("a");
}

/// A node whose log has `frames` catch-up frames' worth of one document, and a connection that has said hello.
fn long_log(frames: usize) -> (World, ConnId) {
    let mut world = World::with(1, &["a"]);
    for n in 0..frames {
        let mut update = vec![b'x'; 200 << 10];
        update[..8].copy_from_slice(format!("{n:08}").as_bytes());
        world.write(0, "a", update);
        world.settle();
    }
    let conn = ConnId(900);
    world.node.handle(node::Input::Opened { conn }, world.now);
    let hello = ClientFrame::Hello { version: 1, generation: Generation(0), origin: Origin(1), extensions: Vec::new() };
    world.node.handle(node::Input::Frame { conn, bytes: hello.encode() }, world.now);
    (world, conn)
}

fn say(world: &mut World, conn: ConnId, frame: &ClientFrame) -> Vec<NodeFrame> {
    world.node.handle(node::Input::Frame { conn, bytes: frame.encode() }, world.now);
    world.node.drain(world.now);
    let sent = world.node.down.remove(&conn).unwrap_or_default();
    sent.iter().map(|bytes| NodeFrame::decode(bytes).unwrap()).collect()
}

#[test]
fn no_page_is_read_without_credit() {
    let (mut world, conn) = long_log(40);
    let subscribe = ClientFrame::Subscribe { group: 1, frontier: Frontier::default(), docs: vec![doc("a")] };
    let mut sent = entries(&say(&mut world, conn, &subscribe)).len();
    // A page is a mebibyte, five or six frames; the last one may go over what was granted.
    let ahead = CATCH_UP_FRAMES_AHEAD as usize;
    assert!((ahead..ahead + 6).contains(&sent), "{sent} frames without credit");
    let mut confirmed = 0;
    while confirmed < 40 {
        let frames = say(&mut world, conn, &ClientFrame::Credit { group: 1, frames: 1 });
        confirmed += 1;
        sent += entries(&frames).len();
        assert!(sent < confirmed + ahead + 6, "{sent} sent, {confirmed} confirmed");
        if frames.iter().any(|frame| matches!(frame, NodeFrame::Live { group: 1, .. })) {
            break;
        }
    }
    assert_eq!(sent, 40);
}

#[test]
fn more_than_the_frames_ahead_arrive_in_a_replica() {
    let (mut world, _) = long_log(40);
    world.add(&["a"]);
    world.settle();
    assert_eq!(entries(&world.heard(1)).len(), 40);
    world.assert_converged("a");
}

#[test]
fn documents_of_different_age_catch_up_as_groups_of_their_own() {
    let mut world = World::with(1, &["a", "b", "c"]);
    world.add(&["a"]);
    world.settle();
    for n in 0..6 {
        world.write(0, ["a", "b", "c"][n % 3], format!("{n}"));
    }
    world.settle();
    world.heard(1);
    world.said(1);
    // `a` is closed at LSN 6 and holds that much; `b` and `c` hold nothing.
    world.clients[1].close(doc("a"), world.now);
    world.settle();
    for name in ["a", "b", "c"] {
        world.clients[1].docs.entry(doc(name)).or_default();
        world.clients[1].handle(Input::OpenDoc { doc: doc(name) }, world.now);
    }
    world.settle();
    let groups: Vec<_> = world
        .said(1)
        .into_iter()
        .filter_map(|frame| match frame {
            ClientFrame::Subscribe { group, frontier, docs } => Some((group, frontier.lsn(Epoch(1)), docs.len())),
            _ => None,
        })
        .collect();
    assert_eq!(groups, [(2, Lsn(6), 1), (3, Lsn(0), 2)]);
    for name in ["a", "b", "c"] {
        world.assert_converged(name);
    }
}

#[test]
fn a_barrier_during_the_catch_up_does_not_let_the_stream_jump_ahead() {
    let (mut world, _) = long_log(3);
    world.add(&["a"]);
    world.settle();
    world.offline(1);
    for n in 0..30 {
        let mut update = vec![b'y'; 200 << 10];
        update[..8].copy_from_slice(format!("{n:08}").as_bytes());
        world.write(0, "a", update);
        world.settle();
    }
    let session = world.clients[1].replica.begin_session(None);
    let wait = world.wait_read(1, session, "a", Consistency::Strong, 60_000);
    world.clients[1].is_online = true;
    world.clients[1].handle(Input::Nudge, world.now);
    for n in 0..200 {
        world.step();
        world.clients[1].drain(world.now);
        // Commits of another document move the leader's end while the stream is behind it.
        world.write(0, "b", format!("{n}"));
        let held = world.clients[1].replica.doc_frontier(&doc("a")).lsn(Epoch(1));
        let behind = world.content(0, "a").len() - world.content(1, "a").len();
        assert!(held < Lsn(33) || behind == 0, "held up to {held} with {behind} updates missing");
        if let Some(result) = world.done(1, wait) {
            assert_eq!((result, behind), (Ok(()), 0));
        }
    }
    assert_eq!(world.done(1, wait), Some(Ok(())));
}

#[test]
fn a_break_at_any_step_of_a_catch_up_loses_nothing() {
    for steps in 0..25 {
        for reload in [false, true] {
            let (mut world, _) = long_log(12);
            world.add(&["a"]);
            for _ in 0..steps {
                world.step();
            }
            if reload {
                world.reopen(1);
            } else {
                world.cut(1);
            }
            world.settle();
            world.nudge_all();
            world.assert_converged("a");
        }
    }
}

#[test]
fn a_document_closed_while_it_catches_up_keeps_what_it_has() {
    let (mut world, _) = long_log(40);
    world.add(&["a"]);
    while world.content(1, "a").is_empty() {
        world.step();
        world.clients[1].drain(world.now);
    }
    let some = world.content(1, "a").len();
    assert!(some < 40, "{some} of 40");
    world.clients[1].close(doc("a"), world.now);
    world.settle();
    world.heard(1);
    world.open(1, "a");
    world.settle();
    world.assert_converged("a");
    let again: usize = entries(&world.heard(1)).iter().map(|(_, writes)| writes).sum();
    assert!(again <= 40 - some, "{again} sent again although {some} of 40 were stored");
}

#[test]
fn a_missing_log_row_is_corrupt_and_not_passed_over() {
    let (mut world, conn) = long_log(3);
    let key = headwater_core::store::log_key(Epoch(1), Lsn(2));
    let table = headwater_core::store::Table::Log;
    world.node.disk.commit(&[headwater_core::store::StoreOp::Delete { table, key }]);
    let subscribe = ClientFrame::Subscribe { group: 1, frontier: Frontier::default(), docs: vec![doc("a")] };
    let frames = say(&mut world, conn, &subscribe);
    assert!(matches!(&frames[..], [.., NodeFrame::Error { error, .. }] if error.code == headwater_core::Code::Corrupt));
    assert_eq!(entries(&frames), []);
}

#[test]
fn a_subscription_to_nothing_is_malformed() {
    let (mut world, conn) = long_log(1);
    let subscribe = ClientFrame::Subscribe { group: 1, frontier: Frontier::default(), docs: Vec::new() };
    let frames = say(&mut world, conn, &subscribe);
    assert!(
        matches!(&frames[..], [.., NodeFrame::Error { error, .. }] if error.code == headwater_core::Code::Malformed)
    );
}
