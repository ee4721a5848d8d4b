//! A replica's stored documents stay small, and nothing of them is lost on the way.

use crate::common::{World, doc};
use headwater_core::replica::{COMPACT_ROWS_MIN, STREAMS_MAX};
use headwater_core::store::Table;

/// Updates here are opaque: merged, they are one after the other.
fn merge(updates: &[&[u8]]) -> Option<Vec<u8>> {
    Some(updates.join(&b'+'))
}

fn rows(world: &World, table: Table) -> usize {
    world.clients[0].disk.rows(table).len()
}

/// What a document shows, whether merged or not.
fn shown(world: &World, name: &str) -> Vec<String> {
    let content = world.content(0, name);
    let mut writes: Vec<String> = content.iter().flat_map(|update| update.split('+')).map(str::to_owned).collect();
    writes.sort();
    writes.dedup();
    writes
}

fn write_many(world: &mut World, name: &str, range: std::ops::Range<usize>) {
    for n in range {
        world.write(0, name, format!("{n:04}"));
        world.settle();
    }
}

fn expected(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n:04}")).collect()
}

#[test]
fn rows_of_an_open_document_do_not_grow_without_end() {
    let mut world = World::with(2, &["a"]);
    world.clients[0].replica.compact_with(merge);
    let count = COMPACT_ROWS_MIN * 4;
    let mut most = 0;
    for n in 0..count {
        world.write(0, "a", format!("{n:04}"));
        world.settle();
        most = most.max(rows(&world, Table::Updates));
    }
    assert!(most <= COMPACT_ROWS_MIN + 1, "{most} rows");
    world.reopen(0);
    world.settle();
    assert_eq!(shown(&world, "a"), expected(count));
    world.write(0, "a", "9999");
    world.settle();
    assert!(world.content(1, "a").contains(&"9999".to_owned()), "and it goes on");
}

#[test]
fn what_earlier_openings_left_is_merged_when_it_is_read() {
    let mut world = World::with(1, &["a"]);
    write_many(&mut world, "a", 0..COMPACT_ROWS_MIN + 6);
    assert!(rows(&world, Table::Updates) >= COMPACT_ROWS_MIN);
    world.reopen(0);
    world.clients[0].replica.compact_with(merge);
    world.settle();
    assert_eq!(rows(&world, Table::Updates), 1, "one row, which one read gets");
    let frontier = world.clients[0].replica.doc_frontier(&doc("a"));
    world.reopen(0);
    world.settle();
    assert_eq!(shown(&world, "a"), expected(COMPACT_ROWS_MIN + 6));
    assert!(
        world.clients[0].replica.doc_frontier(&doc("a")).dominates_epochs(&frontier),
        "what is held is what was held"
    );
}

#[test]
fn what_is_stored_meanwhile_stays() {
    let mut world = World::with(1, &["a"]);
    write_many(&mut world, "a", 0..COMPACT_ROWS_MIN + 6);
    world.reopen(0);
    world.clients[0].replica.compact_with(merge);
    world.clients[0].holds_commits = true;
    world.settle();
    world.write(0, "a", "9999");
    world.settle();
    while !world.clients[0].commits.is_empty() {
        world.clients[0].commit_next(world.now);
        world.settle();
    }
    world.clients[0].holds_commits = false;
    world.reopen(0);
    world.settle();
    let mut expected = expected(COMPACT_ROWS_MIN + 6);
    expected.push("9999".into());
    assert_eq!(shown(&world, "a"), expected);
}

#[test]
fn a_document_that_does_not_merge_is_left_alone() {
    let mut world = World::with(1, &["a"]);
    write_many(&mut world, "a", 0..COMPACT_ROWS_MIN + 6);
    world.reopen(0);
    world.clients[0].replica.compact_with(|_| None);
    let before = world.clients[0].disk.rows(Table::Updates);
    world.settle();
    assert_eq!(world.clients[0].disk.rows(Table::Updates), before);
    assert_eq!(world.clients[0].replica.trouble(), None);
}

#[test]
fn streams_of_openings_that_are_over_are_cleared_away() {
    let mut world = World::with(1, &["a", "b"]);
    world.write(0, "a", "x");
    world.write(0, "b", "y");
    world.settle();
    for n in 0..STREAMS_MAX * 3 {
        world.reopen(0);
        world.write(0, "a", format!("{n}"));
        world.settle();
        assert!(rows(&world, Table::Streams) <= STREAMS_MAX + 2, "{} streams", rows(&world, Table::Streams));
    }
    world.reopen(0);
    world.settle();
    assert_eq!(world.content(0, "b"), ["y"]);
    assert_eq!(world.content(0, "a").len(), STREAMS_MAX * 3 + 1);
}
