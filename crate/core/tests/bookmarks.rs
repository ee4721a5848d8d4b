//! What others wait for: acknowledged writes, unacknowledged ones, deletions, and positions that are gone.

use crate::common::{World, doc};
use headwater_core::node::{Input, Query};
use headwater_core::session::Consistency;
use headwater_core::{Bookmark, Code, Epoch, Frontier, Generation, Lsn, Millis, Origin, Seq};

/// Asks the node as HTTP does; the answer's code, if there is one yet.
fn query(world: &mut World, id: u64, bookmark: &Bookmark, strong: bool) -> Option<Result<Bookmark, Code>> {
    let query = Query { id, doc: Some(doc("a")), bookmark: bookmark.clone(), strong, timeout: Millis(1000), at: None };
    world.node.handle(Input::Query(query), world.now);
    world.settle();
    answer(world, id)
}

fn answer(world: &World, id: u64) -> Option<Result<Bookmark, Code>> {
    world.node.answers.get(&id).map(|answer| answer.clone().map_err(|error| error.code))
}

fn bookmark(world: &mut World, client: usize) -> Bookmark {
    let session = world.clients[client].replica.begin_session(None);
    world.clients[client].replica.bookmark(session).unwrap()
}

#[test]
fn a_bookmark_taken_before_the_answer_is_honoured() {
    let mut world = World::with(2, &["a"]);
    world.node.holds_commits = true;
    world.write(0, "a", "x");
    let taken = bookmark(&mut world, 0);
    assert_eq!(taken.frontier, Frontier::of_origin(world.clients[0].origin, Seq(1)));
    let session = world.clients[1].replica.begin_session(Some(taken.clone()));
    let wait = world.wait_read(1, session, "a", Consistency::Session, 1000);
    assert_eq!(query(&mut world, 1, &taken, false), None);
    assert_eq!(world.done(1, wait), None);
    world.node.release_commits(world.now);
    world.settle();
    assert_eq!((world.done(1, wait), world.content(1, "a")), (Some(Ok(())), vec!["x".to_owned()]));
    assert_eq!(answer(&world, 1).unwrap().unwrap().frontier, Frontier::at(Epoch(1), Lsn(1)));
    assert_eq!(world.node.content[&1], [b"x"]);
}

#[test]
fn a_bookmark_is_honoured_while_its_origin_goes_on_writing() {
    let mut world = World::with(2, &["a"]);
    world.node.holds_commits = true;
    world.write(0, "a", "0");
    let taken = bookmark(&mut world, 0);
    world.settle();
    assert_eq!(query(&mut world, 1, &taken, false), None);
    for n in 1..10 {
        // There is always a younger write of the origin that is not committed yet.
        world.write(0, "a", format!("{n}"));
        world.settle();
        world.node.commit_next(world.now);
        world.settle();
    }
    assert!(answer(&world, 1).is_some(), "the write itself is committed long since");
}

#[test]
fn an_acknowledged_write_is_named_by_its_place() {
    let mut world = World::with(1, &["a"]);
    world.write(0, "a", "x");
    world.settle();
    assert_eq!(bookmark(&mut world, 0).frontier, Frontier::at(Epoch(1), Lsn(1)));
}

#[test]
fn any_write_moves_the_bookmark_be_it_a_deletion_alone() {
    // The core does not look into updates: one that only deletes counts like any other.
    let mut doc_a = headwater_doc::Document::new(1);
    let map = doc_a.root(headwater_doc::Kind::Map, "m").unwrap();
    doc_a.map_set(map, "k", "v".into()).unwrap();
    let insert = doc_a.commit().unwrap();
    let before = doc_a.state_vector();
    doc_a.map_delete(map, "k").unwrap();
    let delete = doc_a.commit().unwrap();
    assert_eq!(doc_a.state_vector(), before, "a state vector would not show it");

    let mut world = World::with(2, &["a"]);
    world.write(0, "a", insert);
    world.settle();
    let first = bookmark(&mut world, 0);
    world.clients[1].is_deaf = true;
    world.write(0, "a", &delete);
    world.settle();
    let second = bookmark(&mut world, 0);
    assert!(second > first);
    let session = world.clients[1].replica.begin_session(Some(second));
    let wait = world.wait_read(1, session, "a", Consistency::Session, 1000);
    world.settle();
    assert_eq!(world.done(1, wait), None);
    world.clients[1].is_deaf = false;
    world.settle();
    assert_eq!(world.done(1, wait), Some(Ok(())));
    assert!(world.clients[1].docs[&doc("a")].contains(&delete));
}

#[test]
fn a_place_that_the_leader_does_not_have_is_lost() {
    let mut world = World::with(1, &["a"]);
    let generation = world.clients[0].replica.generation();
    let lost = Bookmark::new(generation, Frontier::at(Epoch(1), Lsn(99)));
    assert_eq!(query(&mut world, 1, &lost, false), Some(Err(Code::BookmarkLost)));
    let unknown_epoch = Bookmark::new(generation, Frontier::at(Epoch(2), Lsn(1)));
    assert_eq!(query(&mut world, 2, &unknown_epoch, true), Some(Err(Code::BookmarkLost)));
}

#[test]
fn a_bookmark_of_another_database_is_lost_everywhere() {
    let mut world = World::with(1, &["a"]);
    let foreign = Bookmark::new(Generation(4711), Frontier::at(Epoch(1), Lsn(0)));
    assert_eq!(query(&mut world, 1, &foreign, false), Some(Err(Code::BookmarkLost)));
    let session = world.clients[0].replica.begin_session(Some(foreign));
    let wait = world.wait_read(0, session, "a", Consistency::Session, 1000);
    world.settle();
    assert_eq!(world.done(0, wait), Some(Err(Code::BookmarkLost)));
    // Mixed with a place of this database, it would be a bookmark of neither.
    let replica = &mut world.clients[0].replica;
    assert_eq!(replica.bookmark(session).unwrap_err().code, Code::BookmarkLost);
    assert_eq!(replica.note_read(session, &doc("a"), world.now).unwrap_err().code, Code::BookmarkLost);
}

#[test]
fn a_query_for_a_write_that_never_comes_ends_at_its_time() {
    let mut world = World::with(1, &["a"]);
    let never = Bookmark::new(Generation(0), Frontier::of_origin(Origin(77), Seq(1)));
    assert_eq!(query(&mut world, 1, &never, false), None);
    world.advance(999);
    assert_eq!(answer(&world, 1), None);
    world.advance(1);
    assert_eq!(answer(&world, 1), Some(Err(Code::Timeout)));
}

#[test]
fn a_bookmark_survives_a_reload_of_its_writer() {
    let mut world = World::new();
    world.add(&["a"]);
    world.add(&["a"]);
    world.offline(0);
    world.write(0, "a", "x");
    let taken = bookmark(&mut world, 0);
    world.settle();
    world.reopen(0);
    world.settle();
    let session = world.clients[1].replica.begin_session(Some(taken.clone()));
    let wait = world.wait_read(1, session, "a", Consistency::Session, 60_000);
    world.settle();
    // At home it is met at once: the write is in the outbox and so in the document.
    let session = world.clients[0].replica.begin_session(Some(taken));
    let home = world.wait_read(0, session, "a", Consistency::Session, 1000);
    world.settle();
    assert_eq!((world.done(0, home), world.done(1, wait)), (Some(Ok(())), None));
    world.online(0);
    assert_eq!((world.done(1, wait), world.content(1, "a")), (Some(Ok(())), vec!["x".to_owned()]));
}

#[test]
fn a_bookmark_names_the_place_of_a_write_once_the_leader_has_told_it() {
    let mut world = World::with(1, &["a"]);
    world.node.holds_commits = true;
    world.write(0, "a", "x");
    let session = world.clients[0].replica.begin_session(None);
    // The session has read the write while it was on its way.
    world.clients[0].replica.note_read(session, &doc("a"), world.now).unwrap();
    world.settle();
    world.node.release_commits(world.now);
    world.settle();
    let taken = world.clients[0].replica.bookmark(session).unwrap();
    assert_eq!(taken.frontier, Frontier::at(Epoch(1), Lsn(1)));
}

#[test]
fn a_bookmark_names_what_earlier_openings_wrote_and_could_not_send() {
    let mut world = World::with(2, &["a"]);
    world.offline(0);
    world.write(0, "a", "x");
    world.settle();
    let earlier = world.clients[0].origin;
    world.reopen(0);
    world.settle();
    assert_eq!(bookmark(&mut world, 0).frontier.seq(earlier), Seq(1));
}
