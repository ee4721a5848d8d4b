//! Writes that cannot stand: told on the receipt, taken back whole, and nothing behind them is stuck or lost.

use crate::common::{BAD, World, doc, part};
use headwater_core::frame::ClientFrame;
use headwater_core::limits::WRITE_BYTES_MAX;
use headwater_core::{Code, Lsn, Stage};

#[test]
fn a_write_too_large_is_refused_before_it_is_sent() {
    let mut world = World::with(2, &["a", "b"]);
    let large = world.write(0, "a", vec![b'x'; WRITE_BYTES_MAX]);
    let fine = world.write(0, "b", "fine");
    world.settle();
    assert_eq!(world.stage(0, large), Err(Code::TooLarge));
    assert_eq!(world.stage(0, fine), Ok(Stage::All));
    assert_eq!(world.clients[0].rebuilt, [doc("a")]);
    world.assert_converged("a");
    world.assert_converged("b");
}

#[test]
fn what_is_written_after_a_rejection_follows_what_stands() {
    let mut world = World::with(1, &["a"]);
    let stands = world.write(0, "a", "stands");
    let large = world.write(0, "a", vec![b'x'; WRITE_BYTES_MAX]);
    let on_it = world.write(0, "a", "on it");
    world.settle();
    assert_eq!(world.stage(0, stands), Ok(Stage::All));
    assert_eq!(world.stage(0, large), Err(Code::TooLarge));
    assert_eq!(world.stage(0, on_it), Err(Code::DependsOnRejected));
    // The leader has never heard of the two before this one.
    let after = world.write(0, "a", "after");
    world.settle();
    assert_eq!(world.stage(0, after), Ok(Stage::All));
    world.assert_converged("a");
}

#[test]
fn what_the_node_refuses_is_taken_back_with_what_builds_on_it() {
    let mut world = World::with(2, &["a", "b", "c"]);
    let before = world.write(0, "a", "before");
    let bad = world.write(0, "a", BAD);
    let on_it = world.write_parts(0, vec![part("a", "on it"), part("b", "with it")]);
    let on_that = world.write(0, "b", "on that");
    let apart = world.write(0, "c", "apart");
    let wait = world.wait_stage(0, on_that, Stage::Leader, 1000);
    world.settle();
    assert_eq!(world.stage(0, before), Ok(Stage::All));
    assert_eq!(world.stage(0, bad), Err(Code::Malformed));
    assert_eq!(world.stage(0, on_it), Err(Code::DependsOnRejected));
    assert_eq!(world.stage(0, on_that), Err(Code::DependsOnRejected));
    assert_eq!(world.stage(0, apart), Ok(Stage::All));
    assert_eq!(world.done(0, wait), Some(Err(Code::DependsOnRejected)));
    assert_eq!(world.clients[0].rebuilt, [doc("a"), doc("b")]);
    assert_eq!(world.content(0, "a"), ["before"]);
    let after = world.write(0, "a", "after");
    world.settle();
    assert_eq!(world.stage(0, after), Ok(Stage::All));
    for name in ["a", "b", "c"] {
        world.assert_converged(name);
    }
    assert_eq!(world.clients[0].disk.rows(headwater_core::store::Table::Outbox), []);
}

#[test]
fn a_write_to_a_document_that_is_being_rebuilt_is_refused_at_once() {
    let mut world = World::with(1, &["a", "b"]);
    world.clients[0].holds_commits = true;
    world.write(0, "a", BAD);
    world.settle();
    let late = world.write(0, "a", "late");
    let apart = world.write(0, "b", "apart");
    world.settle();
    world.clients[0].holds_commits = false;
    while !world.clients[0].commits.is_empty() {
        world.clients[0].commit_next(world.now);
        world.settle();
    }
    assert_eq!(world.stage(0, late), Err(Code::DependsOnRejected));
    assert_eq!(world.stage(0, apart), Ok(Stage::All));
    assert_eq!(world.content(0, "a"), [""; 0]);
}

#[test]
fn a_later_acknowledgement_is_none_for_a_rejected_write_that_is_still_shown() {
    let mut world = World::with(1, &["a", "b"]);
    world.clients[0].holds_scans = true;
    let bad = world.write(0, "a", BAD);
    let apart = world.write(0, "b", "apart");
    let wait = world.wait_stage(0, bad, Stage::Leader, 5000);
    world.settle();
    // The document is still being read to be made anew when the leader acknowledges what came after.
    assert_eq!(world.stage(0, apart), Ok(Stage::All));
    assert_eq!((world.stage(0, bad), world.done(0, wait)), (Ok(Stage::Local), None));
    let late = world.wait_stage(0, bad, Stage::Leader, 5000);
    assert_eq!(world.done(0, late), None);
    world.clients[0].release_scans(world.now);
    world.settle();
    assert_eq!(world.stage(0, bad), Err(Code::Malformed));
    assert_eq!((world.done(0, wait), world.done(0, late)), (Some(Err(Code::Malformed)), Some(Err(Code::Malformed))));
}

/// Every kind of break after every number of steps: the outcome is the same.
#[test]
fn a_rejection_survives_a_break_at_any_step() {
    for steps in 0..12 {
        for fault in 0..4 {
            let mut world = World::with(2, &["a", "b"]);
            world.clients[0].holds_commits = steps % 2 == 1;
            world.write(0, "a", "stands");
            world.write(0, "a", BAD);
            world.write(0, "a", "built on bad");
            world.write(0, "b", "apart");
            let steps_to_do = steps;
            for _ in 0..steps_to_do {
                world.step();
                if !world.clients[0].commits.is_empty() && steps % 3 == 0 {
                    world.clients[0].commit_next(world.now);
                }
            }
            match fault {
                0 => world.cut(0),
                1 => world.restart_node(),
                2 => {
                    world.reopen(0);
                }
                _ => {}
            }
            world.clients[0].holds_commits = false;
            while !world.clients[0].commits.is_empty() {
                world.clients[0].commit_next(world.now);
            }
            world.settle();
            world.nudge_all();
            world.assert_converged("a");
            world.assert_converged("b");
            assert!(!world.content(1, "a").contains(&"bad".into()));
            if fault != 2 {
                assert_eq!(world.content(1, "a"), ["stands"], "fault {fault} after {steps} steps");
                assert_eq!(world.content(1, "b"), ["apart"]);
            }
        }
    }
}

#[test]
fn an_earlier_openings_bad_write_takes_this_ones_dependents_along() {
    let mut world = World::new();
    world.add(&["a", "b"]);
    world.offline(0);
    world.write(0, "a", BAD);
    world.settle();
    world.advance(5);
    world.reopen(0);
    world.settle();
    let on_it = world.write(0, "a", "on it");
    let apart = world.write(0, "b", "apart");
    world.online(0);
    assert_eq!(world.stage(0, on_it), Err(Code::DependsOnRejected));
    assert_eq!(world.stage(0, apart), Ok(Stage::All));
    assert_eq!(world.pending(0), 0);
    assert_eq!(world.clients[0].rebuilt, [doc("a")]);
}

#[test]
fn nothing_is_resent_before_the_removal_is_durable() {
    let mut world = World::with(1, &["a", "b"]);
    world.write(0, "a", BAD);
    world.clients[0].drain(world.now);
    world.clients[0].holds_commits = true;
    world.write(0, "b", "apart");
    world.settle();
    world.said(0);
    world.settle();
    assert!(world.said(0).is_empty());
    assert_eq!(world.pending(0), 1);
    world.clients[0].holds_commits = false;
    while !world.clients[0].commits.is_empty() {
        world.clients[0].commit_next(world.now);
        world.settle();
    }
    let pushes = world.said(0);
    assert!(pushes.iter().any(|frame| matches!(frame, ClientFrame::Push { resume: true, .. })), "{pushes:?}");
    assert_eq!(world.pending(0), 0);
}

#[test]
fn rejections_do_not_use_up_the_push_window() {
    let mut world = World::with(1, &["a", "b", "c"]);
    for round in 0..8 {
        // Three megabytes are on their way behind each rejected write, and are sent again.
        world.write(0, "c", [BAD, &[round]].concat());
        for n in 0..4 {
            world.write(0, "b", [vec![b'u', round, n], vec![0; 800 << 10]].concat());
        }
        world.settle();
    }
    let last = world.write(0, "a", "last");
    world.settle();
    assert_eq!(world.stage(0, last), Ok(Stage::All));
    assert_eq!(world.node.node.status().lsn, Lsn(33));
}
