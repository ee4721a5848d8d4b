//! What a read waits for at each consistency.

use crate::common::{World, doc};
use headwater_core::frame::ClientFrame;
use headwater_core::session::Consistency;
use headwater_core::{Code, Epoch, Lsn, Millis};

#[test]
fn eventual_answers_at_once_even_offline() {
    let mut world = World::new();
    world.add(&["a"]);
    world.offline(0);
    world.settle();
    let session = world.clients[0].replica.begin_session(None);
    let wait = world.wait_read(0, session, "a", Consistency::Eventual, 0);
    assert_eq!(world.done(0, wait), Some(Ok(())));
}

#[test]
fn a_session_reads_its_own_writes_at_once() {
    let mut world = World::with(1, &["a"]);
    world.offline(0);
    world.write(0, "a", "x");
    let session = world.clients[0].replica.begin_session(None);
    world.clients[0].replica.note_read(session, &doc("a"), world.now).unwrap();
    let wait = world.wait_read(0, session, "a", Consistency::Session, 0);
    assert_eq!(world.done(0, wait), Some(Ok(())));
}

#[test]
fn a_session_that_goes_on_elsewhere_waits_and_eventual_does_not() {
    let mut world = World::with(2, &["a"]);
    for n in 0..50 {
        world.clients[1].is_deaf = true;
        world.write(0, "a", format!("{n}"));
        if n % 2 == 0 {
            world.settle();
        }
        let from = world.clients[0].replica.begin_session(None);
        let bookmark = world.clients[0].replica.bookmark(from).unwrap();
        let session = world.clients[1].replica.begin_session(Some(bookmark));
        let eventual = world.wait_read(1, session, "a", Consistency::Eventual, 1000);
        let waits = world.wait_read(1, session, "a", Consistency::Session, 1000);
        world.settle();
        assert_eq!((world.done(1, eventual), world.done(1, waits)), (Some(Ok(())), None));
        assert!(!world.content(1, "a").contains(&n.to_string()), "the eventual read was older");
        world.clients[1].is_deaf = false;
        world.settle();
        assert_eq!(world.done(1, waits), Some(Ok(())));
        assert!(world.content(1, "a").contains(&n.to_string()));
    }
}

#[test]
fn reads_do_not_go_back_in_a_session_that_moves_on() {
    let mut world = World::with(3, &["a"]);
    world.clients[2].is_deaf = true;
    world.write(0, "a", "x");
    world.settle();
    // Read on replica 1, go on at replica 2, which has not heard of it.
    let session = world.clients[1].replica.begin_session(None);
    let meta = world.clients[1].replica.note_read(session, &doc("a"), world.now).unwrap();
    assert_eq!(meta.bookmark.frontier.lsn(Epoch(1)), Lsn(1));
    let session = world.clients[2].replica.begin_session(Some(meta.bookmark));
    let wait = world.wait_read(2, session, "a", Consistency::Session, 1000);
    world.settle();
    assert_eq!(world.done(2, wait), None);
    world.clients[2].is_deaf = false;
    world.settle();
    assert_eq!(world.done(2, wait), Some(Ok(())));
}

#[test]
fn strong_needs_no_bookmark_and_a_commit_of_its_own() {
    let mut world = World::with(2, &["a"]);
    world.clients[1].is_deaf = true;
    world.write(0, "a", "x");
    world.settle();
    let commits = world.node.log_rows.len();
    let session = world.clients[1].replica.begin_session(None);
    let wait = world.wait_read(1, session, "a", Consistency::Strong, 1000);
    world.settle();
    assert_eq!(world.node.log_rows[commits..], [0], "a commit that proves leadership, without a log row");
    assert_eq!(world.done(1, wait), None);
    world.clients[1].is_deaf = false;
    world.settle();
    assert_eq!((world.done(1, wait), world.content(1, "a")), (Some(Ok(())), vec!["x".to_owned()]));
}

#[test]
fn a_strong_read_waits_for_a_commit_that_began_after_it() {
    let mut world = World::with(2, &["a"]);
    world.node.holds_commits = true;
    world.write(0, "a", "x");
    world.settle();
    let session = world.clients[1].replica.begin_session(None);
    let wait = world.wait_read(1, session, "a", Consistency::Strong, 1000);
    world.settle();
    world.node.commit_next(world.now);
    world.settle();
    assert_eq!(world.done(1, wait), None, "the commit that was under way proves nothing of now");
    world.node.commit_next(world.now);
    world.settle();
    assert_eq!(world.done(1, wait), Some(Ok(())));
}

#[test]
fn staleness_is_measured_from_the_question_on_the_readers_clock() {
    let mut world = World::with(1, &["a"]);
    let session = world.clients[0].replica.begin_session(None);
    let limit = Consistency::MaxStaleness(Millis(100));
    assert_eq!(world.clients[0].replica.database_lag(world.now).staleness, None, "never asked");
    let first = world.wait_read(0, session, "a", limit, 1000);
    world.settle();
    assert_eq!(world.done(0, first), Some(Ok(())));
    world.said(0);
    world.advance(100);
    let second = world.wait_read(0, session, "a", limit, 1000);
    assert_eq!(world.done(0, second), Some(Ok(())), "still fresh, no question");
    world.advance(1);
    assert!(!world.said(0).iter().any(|frame| matches!(frame, ClientFrame::Barrier { .. })));
    let third = world.wait_read(0, session, "a", limit, 1000);
    assert_eq!(world.done(0, third), None);
    world.settle();
    assert_eq!(world.done(0, third), Some(Ok(())));
    assert_eq!(world.clients[0].replica.database_lag(world.now).staleness, Some(Millis(0)));
}

#[test]
fn max_staleness_waits_for_what_the_leader_then_held() {
    let mut world = World::with(2, &["a"]);
    world.clients[1].is_deaf = true;
    world.write(0, "a", "x");
    world.settle();
    let session = world.clients[1].replica.begin_session(None);
    let wait = world.wait_read(1, session, "a", Consistency::MaxStaleness(Millis(100)), 1000);
    world.settle();
    assert_eq!(world.done(1, wait), None);
    world.clients[1].is_deaf = false;
    world.settle();
    assert_eq!((world.done(1, wait), world.content(1, "a")), (Some(Ok(())), vec!["x".to_owned()]));
}

#[test]
fn a_question_is_put_again_after_a_reconnect() {
    let mut world = World::with(2, &["a"]);
    world.clients[1].is_deaf = true;
    let session = world.clients[1].replica.begin_session(None);
    let wait = world.wait_read(1, session, "a", Consistency::Strong, 60_000);
    world.settle();
    world.cut(1);
    world.write(0, "a", "x");
    world.settle();
    world.clients[1].is_deaf = false;
    world.nudge_all();
    assert_eq!((world.done(1, wait), world.content(1, "a")), (Some(Ok(())), vec!["x".to_owned()]));
}

#[test]
fn an_ended_session_cannot_read() {
    let mut world = World::with(1, &["a"]);
    let session = world.clients[0].replica.begin_session(None);
    world.clients[0].replica.end_session(session);
    let wait = world.wait_read(0, session, "a", Consistency::Eventual, 1000);
    world.settle();
    assert_eq!(world.done(0, wait), Some(Err(Code::Closed)));
}

#[test]
fn a_session_read_that_waits_for_what_does_not_concern_the_replica_ends() {
    let mut world = World::with(2, &["a"]);
    world.open(1, "b");
    world.settle();
    world.write(1, "b", "elsewhere");
    world.settle();
    let session = world.clients[1].replica.begin_session(None);
    let bookmark = world.clients[1].replica.bookmark(session).expect("the session goes on");
    // Nothing of what the bookmark names is of a document that this replica follows, so no frame brings it.
    let session = world.clients[0].replica.begin_session(Some(bookmark));
    let read = world.wait_read(0, session, "a", Consistency::Session, 1000);
    world.settle();
    assert_eq!(world.done(0, read), Some(Ok(())));
}
