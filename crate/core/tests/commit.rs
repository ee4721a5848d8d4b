//! Group commit, and that nothing is known before it is durable; one effect for each write.

use crate::common::{World, doc, part};
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::{Lsn, Seq, Stage};

#[test]
fn writes_that_arrive_together_are_one_row_and_one_commit() {
    let mut world = World::with(1, &["a"]);
    world.node.log_rows.clear();
    for n in 0..50 {
        world.write(0, "a", format!("{n}"));
    }
    world.settle();
    assert_eq!(world.node.log_rows, [1]);
    assert_eq!(world.node.node.status().lsn, Lsn(50));
}

#[test]
fn what_arrives_during_a_commit_is_the_next_group() {
    let mut world = World::with(2, &["a"]);
    world.node.log_rows.clear();
    world.node.holds_commits = true;
    world.write(0, "a", "first");
    world.settle();
    for n in 0..10 {
        world.write(n % 2, "a", format!("{n}"));
        world.settle();
    }
    assert_eq!(world.node.log_rows, [1], "one commit at a time");
    world.node.commit_next(world.now);
    world.settle();
    assert_eq!(world.node.log_rows, [1, 1]);
    world.node.release_commits(world.now);
    world.settle();
    world.assert_converged("a");
    assert_eq!(world.node.node.status().lsn, Lsn(11));
}

#[test]
fn nothing_is_acknowledged_or_broadcast_before_the_commit() {
    let mut world = World::with(2, &["a"]);
    world.node.holds_commits = true;
    let seq = world.write(0, "a", "x");
    world.settle();
    assert_eq!(world.stage(0, seq), Ok(Stage::Local));
    assert_eq!(world.content(1, "a"), [""; 0]);
    world.node.release_commits(world.now);
    world.settle();
    assert_eq!(world.stage(0, seq), Ok(Stage::All), "one voter is its own quorum");
    assert_eq!(world.content(1, "a"), ["x"]);
}

#[test]
fn a_write_that_was_not_durable_when_the_node_died_is_sent_again() {
    let mut world = World::with(2, &["a"]);
    world.node.holds_commits = true;
    world.write(0, "a", "x");
    world.settle();
    world.restart_node();
    assert_eq!(world.node.node.status().lsn, Lsn(1), "written once, by the second push");
    world.assert_converged("a");
}

#[test]
fn a_lost_acknowledgement_leads_to_a_repeat_with_one_effect() {
    for restart in [false, true] {
        let mut world = World::with(2, &["a"]);
        world.clients[0].is_deaf = true;
        let seq = world.write(0, "a", "x");
        world.settle();
        assert_eq!((world.pending(0), world.node.node.status().lsn), (1, Lsn(1)));
        if restart {
            world.restart_node();
        } else {
            world.cut(0);
        }
        world.clients[0].is_deaf = false;
        world.said(0);
        world.nudge_all();
        assert!(world.said(0).iter().any(|frame| matches!(frame, ClientFrame::Push { .. })), "sent again");
        assert_eq!(world.stage(0, seq), Ok(Stage::All));
        assert_eq!(world.node.node.status().lsn, Lsn(1), "but not written again");
        world.assert_converged("a");
    }
}

#[test]
fn repeats_are_known_after_restarts_with_and_without_a_checkpoint() {
    let mut world = World::with(1, &["a"]);
    world.clients[0].is_deaf = true;
    // Each write is a row of its own; a checkpoint comes every 256 rows.
    for n in 0..300 {
        world.write(0, "a", format!("{n}"));
        world.settle();
    }
    world.restart_node();
    world.clients[0].is_deaf = false;
    world.nudge_all();
    assert_eq!((world.pending(0), world.node.node.status().lsn), (0, Lsn(300)));
}

#[test]
fn a_node_that_often_sleeps_still_writes_checkpoints() {
    let mut world = World::with(1, &["a"]);
    for n in 0..600 {
        world.write(0, "a", format!("{n}"));
        world.settle();
        if n % 100 == 99 {
            world.hibernate();
        }
    }
    let key = headwater_core::store::meta_key("held");
    let meta = world.node.disk.rows(headwater_core::store::Table::Meta);
    assert!(meta.iter().any(|row| row.key == key), "a start would read the whole log");
    world.node.scans = 0;
    world.hibernate();
    assert!(world.node.scans <= 5, "{} scans to start", world.node.scans);
}

#[test]
fn two_documents_of_one_write_arrive_together() {
    let mut world = World::with(2, &["a", "b"]);
    world.clients[1].applied.clear();
    world.heard(1);
    world.write_parts(0, vec![part("a", "1"), part("b", "2")]);
    world.settle();
    assert_eq!(world.clients[1].applied, [doc("a"), doc("b")]);
    let entries = world.heard(1).into_iter().filter(|frame| matches!(frame, NodeFrame::Entries { .. }));
    assert_eq!(entries.count(), 1, "one frame, so one turn of the host");
    world.assert_converged("a");
    world.assert_converged("b");
}

#[test]
fn a_replica_is_not_sent_what_it_has_pushed() {
    let mut world = World::with(2, &["a"]);
    world.heard(0);
    world.write(0, "a", "mine");
    world.settle();
    let frames = world.heard(0);
    assert!(matches!(frames[..], [NodeFrame::Ack { seq: Seq(1), lsn: Lsn(1), through: Lsn(1), .. }]), "{frames:?}");
}

#[test]
fn documents_that_nobody_follows_here_are_not_sent_here() {
    let mut world = World::new();
    world.add(&["a", "b"]);
    world.add(&["b"]);
    world.settle();
    world.heard(1);
    world.write(0, "a", "other");
    world.settle();
    assert!(world.heard(1).is_empty());
    world.write_parts(0, vec![part("a", "1"), part("b", "2")]);
    world.settle();
    assert_eq!(world.content(1, "b"), ["2"]);
    assert_eq!(world.clients[1].docs.len(), 1);
    let NodeFrame::Entries { batch, through, .. } = &world.heard(1)[0] else { panic!("entries were sent") };
    assert_eq!((batch.writes[0].parts.len(), *through), (1, Lsn(2)));
}

#[test]
fn many_writes_beyond_the_push_window_all_arrive() {
    let mut world = World::with(2, &["a"]);
    for n in 0..24u8 {
        let mut update = vec![n; 800 << 10];
        update[0] = b'u';
        world.write(0, "a", update);
    }
    world.settle();
    world.assert_converged("a");
    assert_eq!(world.node.node.status().lsn, Lsn(24));
}
