//! Reads of the past by position and by time, listings of documents, and what a host appends by itself.

use crate::common::{BAD, World, doc, part};
use headwater_core::limits::DOCS_LISTED_MAX;
use headwater_core::node::{At, Input, Query, Retention};
use headwater_core::store::Table;
use headwater_core::{Batch, Bookmark, Code, Epoch, Frontier, Lsn, Millis, Origin, Part, Seq, Write};

fn ask(world: &mut World, name: Option<&str>, at: At) -> (Result<Frontier, Code>, Vec<Vec<u8>>) {
    let id = world.node.answers.len() as u64 + 1;
    let (name, bookmark) = (name.map(doc), Bookmark::default());
    let query = Query { id, doc: name, bookmark, strong: false, timeout: Millis(1000), at: Some(at) };
    world.node.handle(Input::Query(query), world.now);
    world.settle();
    let result = world.node.answers[&id].clone().map(|bookmark| bookmark.frontier).map_err(|error| error.code);
    (result, world.node.content.remove(&id).unwrap_or_default())
}

fn position(lsn: u64) -> At {
    At::Position(Frontier::at(Epoch(1), Lsn(lsn)))
}

/// Writes one after the other, each in a commit of its own and this long after the one before.
fn write_all(world: &mut World, updates: &[&str], apart: u64) {
    for update in updates {
        world.now = world.now.after(Millis(apart));
        world.write(0, "a", update);
        world.settle();
    }
}

fn append(world: &mut World, id: u64, origin: u64, writes: Vec<Vec<Part>>) {
    let seqs = (1..).map(Seq);
    let writes = writes.into_iter().zip(seqs).map(|(parts, seq)| Write { origin: Origin(origin), seq, parts });
    let batch = Batch { writes: writes.collect() };
    world.node.handle(Input::Append { id, batch, timeout: Millis(1000) }, world.now);
}

#[test]
fn a_read_at_a_position_has_the_entries_up_to_it_also_out_of_the_middle_of_a_row() {
    let mut world = World::with(1, &["a"]);
    for update in ["1", "2", "3"] {
        world.write(0, "a", update);
    }
    world.settle();
    assert_eq!(world.node.log_rows.last(), Some(&1), "all three are in one row");
    write_all(&mut world, &["4"], 0);
    for lsn in 1..=4 {
        let (at, content) = ask(&mut world, Some("a"), position(lsn));
        assert_eq!((at, content.len() as u64), (Ok(Frontier::at(Epoch(1), Lsn(lsn))), lsn));
    }
    assert_eq!(ask(&mut world, Some("a"), At::Position(Frontier::default())).1, Vec::<Vec<u8>>::new());
    assert_eq!(ask(&mut world, Some("a"), position(5)).0, Err(Code::BookmarkLost));
}

#[test]
fn a_position_that_is_named_by_a_write_is_where_that_write_stands() {
    let mut world = World::with(1, &["a"]);
    write_all(&mut world, &["1", "2", "3"], 0);
    let written = Frontier::of_origin(world.clients[0].origin, Seq(3));
    assert_eq!(ask(&mut world, Some("a"), At::Position(written)).0, Ok(Frontier::at(Epoch(1), Lsn(3))));
    let unknown = Frontier::of_origin(Origin(5), Seq(1));
    assert_eq!(ask(&mut world, Some("a"), At::Position(unknown)).0, Err(Code::BookmarkLost));
}

#[test]
fn a_time_names_a_position_that_holds_nothing_younger_and_all_that_is_a_second_older() {
    for apart in [50, 300, 999, 1000, 1001, 2500] {
        let mut world = World::with(1, &["a"]);
        let begin = world.now;
        let updates: Vec<String> = (1..=30).map(|n| n.to_string()).collect();
        write_all(&mut world, &updates.iter().map(String::as_str).collect::<Vec<_>>(), apart);
        for ms in (0..world.now.since(begin).0 + 3000).step_by(70) {
            let unix = begin.after(Millis(ms));
            let (at, content) = ask(&mut world, Some("a"), At::Time(unix));
            let count = content.len() as u64;
            assert_eq!(at.unwrap().lsn(Epoch(1)), Lsn(count));
            assert!(count <= ms / apart, "{apart}: {count} at {ms}");
            assert!(count >= (ms.saturating_sub(1000) / apart).min(30), "{apart}: {count} at {ms}");
        }
    }
}

#[test]
fn marks_survive_restarts_and_one_is_written_each_second() {
    let mut world = World::with(1, &["a"]);
    write_all(&mut world, &["1", "2", "3", "4", "5"], 400);
    let marks = |world: &World| world.node.disk.rows(Table::Times).len();
    assert_eq!(marks(&world), 2, "of the first write and of one 1,200 ms later");
    let then = world.now;
    world.now = world.now.after(Millis(60_000));
    world.node.hibernate(world.now);
    world.settle();
    write_all(&mut world, &["6", "7"], 10);
    assert_eq!(ask(&mut world, None, At::Time(then.after(Millis(1000)))).0, Ok(Frontier::at(Epoch(1), Lsn(5))));
}

#[test]
fn a_listing_names_what_there_was_at_a_position_a_page_at_a_time() {
    let mut world = World::with(1, &[]);
    let count = DOCS_LISTED_MAX + 7;
    let names: Vec<String> = (0..count).map(|n| format!("d{:05}", (n * 7919) % count)).collect();
    for (at, chunk) in names.chunks(200).enumerate() {
        append(&mut world, 500 + at as u64, 9000 + at as u64, vec![chunk.iter().map(|name| part(name, "x")).collect()]);
        world.settle();
    }
    let end = Frontier::at(Epoch(1), Lsn(names.len().div_ceil(200) as u64));
    append(&mut world, 600, 9999, vec![vec![part("late", "x")]]);
    world.settle();
    let (mut after, mut listed) = (None, Vec::new());
    for id in 1000.. {
        world.node.handle(Input::ListDocs { id, after: after.clone(), at: end.clone() }, world.now);
        world.settle();
        let page = world.node.names.remove(&id).expect("a listing is answered");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= DOCS_LISTED_MAX);
        after = Some(last.clone());
        listed.extend(page.iter().map(|name| name.as_str().to_owned()));
    }
    let mut sorted = names;
    sorted.sort();
    assert_eq!(listed, sorted);
}

#[test]
fn an_append_of_the_host_is_one_commit_and_replicas_get_it() {
    let mut world = World::with(1, &["a"]);
    world.node.holds_commits = true;
    let many = (0..40).map(|n| vec![part("a", vec![b'a' + n; 100_000])]).collect();
    append(&mut world, 1, 77, many);
    world.settle();
    assert_eq!(world.node.commits.len(), 1);
    assert!(!world.node.answers.contains_key(&1), "not before it is durable");
    world.node.release_commits(world.now);
    world.settle();
    assert_eq!(world.node.answers[&1].as_ref().unwrap().frontier, Frontier::at(Epoch(1), Lsn(40)));
    assert_eq!(world.content(0, "a").len(), 40);
}

#[test]
fn an_append_with_a_bad_update_leaves_nothing() {
    let mut world = World::with(1, &["a"]);
    append(&mut world, 1, 77, vec![vec![part("a", "good")], vec![part("a", BAD)]]);
    world.settle();
    assert_eq!(world.node.answers[&1].as_ref().unwrap_err().code, Code::Malformed);
    assert_eq!(world.node_entries(), 0);
}

/// Folds at once, and keeps all of the past.
fn hoarding() -> Retention {
    Retention {
        fold_rows: 4,
        history: Millis(u64::MAX),
        history_bytes: usize::MAX,
        log_entries_min: 0,
        ..Retention::default()
    }
}

#[test]
fn what_has_left_the_log_is_read_at_any_position() {
    let mut world = World::new();
    world.node.retain(hoarding());
    world.add(&["a", "b"]);
    world.settle();
    for n in 1..=600 {
        world.write(0, if n % 3 == 0 { "b" } else { "a" }, n.to_string());
        if n % 4 != 1 {
            world.settle();
        }
    }
    world.settle();
    world.advance(500);
    let left = world.node.disk.rows(Table::Log).len();
    assert!(left < 250, "{left} of 450 rows are left in the log");
    for lsn in (1..=600).step_by(7) {
        assert_eq!(ask(&mut world, Some("a"), position(lsn)).1.len() as u64, lsn - lsn / 3, "at {lsn}");
        assert_eq!(ask(&mut world, Some("b"), position(lsn)).1.len() as u64, lsn / 3, "at {lsn}");
    }
}

#[test]
fn a_position_before_the_horizon_of_a_document_is_gone() {
    let mut world = World::new();
    world.node.retain(Retention { history: Millis(0), history_bytes: 0, squash_bytes: 1, ..hoarding() });
    world.add(&["a"]);
    world.settle();
    write_all(&mut world, &["1", "2", "3", "4", "5", "6", "7", "8", "9"], 0);
    world.advance(500);
    assert_eq!(ask(&mut world, Some("a"), position(3)).0, Err(Code::BookmarkLost));
    assert_eq!(ask(&mut world, Some("a"), position(9)).0, Ok(Frontier::at(Epoch(1), Lsn(9))));
    assert_eq!(ask(&mut world, Some("never"), position(3)).0, Ok(Frontier::at(Epoch(1), Lsn(3))));
}

#[test]
fn a_listing_has_what_is_folded_and_what_is_not() {
    for fold_rows in [1, 3, 10, 1000] {
        let mut world = World::new();
        world.node.retain(Retention { fold_rows, ..hoarding() });
        world.settle();
        let mut names: Vec<String> = (0..1300).map(|n| format!("d{:04}", (n * 769) % 1300)).collect();
        for (at, chunk) in names.chunks(100).enumerate() {
            let id = 1 + at as u64;
            append(&mut world, id, 700 + id, vec![chunk.iter().map(|name| part(name, "x")).collect()]);
            world.settle();
            world.advance(20);
        }
        let at = Frontier::at(Epoch(1), Lsn(13));
        let (mut after, mut listed) = (None, Vec::new());
        for id in 1000.. {
            world.node.handle(Input::ListDocs { id, after: after.clone(), at: at.clone() }, world.now);
            world.settle();
            let page = world.node.names.remove(&id).expect("a listing is answered");
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            listed.extend(page.iter().map(|name| name.as_str().to_owned()));
        }
        names.sort();
        assert_eq!(listed, names, "{fold_rows}");
    }
}
