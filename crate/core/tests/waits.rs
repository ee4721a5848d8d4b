//! Every wait ends, once, and says how.

use crate::common::World;
use headwater_core::limits::WAITS_MAX;
use headwater_core::replica::Input;
use headwater_core::session::Consistency;
use headwater_core::{Code, Stage};

#[test]
fn offline_a_wait_ends_at_its_time_with_offline() {
    let mut world = World::with(1, &["a"]);
    world.offline(0);
    let seq = world.write(0, "a", "x");
    let session = world.clients[0].replica.begin_session(None);
    let stage = world.wait_stage(0, seq, Stage::Leader, 500);
    let read = world.wait_read(0, session, "a", Consistency::Strong, 500);
    world.advance(499);
    assert_eq!((world.done(0, stage), world.done(0, read)), (None, None));
    world.advance(1);
    assert_eq!((world.done(0, stage), world.done(0, read)), (Some(Err(Code::Offline)), Some(Err(Code::Offline))));
    assert_eq!(world.pending(0), 1, "unknown is not failed: it stays");
    world.online(0);
    assert_eq!(world.stage(0, seq), Ok(Stage::All));
}

#[test]
fn online_a_wait_ends_at_its_time_with_timeout() {
    let mut world = World::with(1, &["a"]);
    world.node.holds_commits = true;
    let seq = world.write(0, "a", "x");
    let stage = world.wait_stage(0, seq, Stage::Leader, 500);
    world.advance(499);
    assert_eq!(world.done(0, stage), None);
    world.advance(1);
    assert_eq!(world.done(0, stage), Some(Err(Code::Timeout)));
    world.node.release_commits(world.now);
    world.settle();
    assert_eq!(world.stage(0, seq), Ok(Stage::All));
}

#[test]
fn no_time_at_all_is_over_at_once() {
    let mut world = World::with(1, &["a"]);
    world.node.holds_commits = true;
    let seq = world.write(0, "a", "x");
    let wait = world.wait_stage(0, seq, Stage::Leader, 0);
    world.settle();
    assert_eq!(world.done(0, wait), Some(Err(Code::Timeout)));
}

#[test]
fn an_aborted_wait_ends_at_once_and_takes_its_question_back() {
    let mut world = World::with(1, &["a"]);
    world.node.holds_commits = true;
    let session = world.clients[0].replica.begin_session(None);
    let wait = world.wait_read(0, session, "a", Consistency::Strong, 5000);
    world.settle();
    world.said(0);
    world.clients[0].handle(Input::Cancel { id: wait }, world.now);
    world.settle();
    assert_eq!(world.done(0, wait), Some(Err(Code::Aborted)));
    let said = world.said(0);
    assert!(matches!(said[..], [headwater_core::frame::ClientFrame::Cancel { .. }]), "{said:?}");
}

#[test]
fn a_wait_for_a_stage_that_is_reached_ends_at_once() {
    let mut world = World::with(1, &["a"]);
    let seq = world.write(0, "a", "x");
    world.settle();
    for stage in Stage::ALL {
        let wait = world.wait_stage(0, seq, stage, 0);
        world.settle();
        assert_eq!(world.done(0, wait), Some(Ok(())), "{stage:?}");
    }
}

#[test]
fn waits_end_in_the_order_of_stages() {
    let mut world = World::with(1, &["a"]);
    world.clients[0].holds_commits = true;
    world.node.holds_commits = true;
    let seq = world.write(0, "a", "x");
    let local = world.wait_stage(0, seq, Stage::Local, 5000);
    let leader = world.wait_stage(0, seq, Stage::Leader, 5000);
    world.settle();
    assert_eq!((world.done(0, local), world.done(0, leader)), (None, None));
    world.clients[0].commit_next(world.now);
    world.settle();
    assert_eq!((world.done(0, local), world.done(0, leader)), (Some(Ok(())), None));
    world.node.release_commits(world.now);
    world.settle();
    assert_eq!(world.done(0, leader), Some(Ok(())));
}

#[test]
fn waits_are_limited() {
    let mut world = World::with(1, &["a"]);
    world.offline(0);
    let seq = world.write(0, "a", "x");
    for _ in 0..WAITS_MAX {
        world.wait_stage(0, seq, Stage::Leader, 5000);
    }
    let more = world.wait_stage(0, seq, Stage::Leader, 5000);
    world.settle();
    assert_eq!(world.done(0, more), Some(Err(Code::Busy)));
}

#[test]
fn a_wait_of_an_unknown_origin_says_so() {
    let mut world = World::with(1, &["a"]);
    let wait = headwater_core::replica::Wait::Stage {
        origin: headwater_core::Origin(5),
        seq: headwater_core::Seq(1),
        stage: Stage::Leader,
    };
    let wait = world.wait(0, wait, 100);
    world.settle();
    assert_eq!(world.done(0, wait), Some(Err(Code::NotFound)));
}
