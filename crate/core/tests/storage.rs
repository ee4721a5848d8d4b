//! Storage that fails, or does not read back: said aloud, and nothing is overwritten.

use crate::common::{World, broken, doc};
use headwater_core::frame::NodeFrame;
use headwater_core::replica::Input;
use headwater_core::session::Consistency;
use headwater_core::store::{Row, Table};
use headwater_core::{Code, Lsn, Stage, node};

#[test]
fn a_replica_whose_storage_failed_tells_local_waiters_and_goes_on_syncing() {
    let mut world = World::with(2, &["a"]);
    world.clients[0].holds_commits = true;
    let seq = world.write(0, "a", "x");
    world.clients[0].drain(world.now);
    let local = world.wait_stage(0, seq, Stage::Local, 5000);
    world.clients[0].commits.clear();
    world.clients[0].handle(Input::StorageFailed { error: broken() }, world.now);
    world.clients[0].drain(world.now);
    assert_eq!(world.done(0, local), Some(Err(Code::StorageUnavailable)));
    assert_eq!(world.clients[0].replica.trouble().unwrap().code, Code::StorageUnavailable);
    let later = world.write(0, "a", "y");
    let local = world.wait_stage(0, later, Stage::Local, 5000);
    assert_eq!(world.done(0, local), Some(Err(Code::StorageUnavailable)));
    world.settle();
    assert_eq!(world.stage(0, later), Ok(Stage::All));
    assert!(world.clients[0].commits.is_empty(), "nothing more is written to it");
    world.assert_converged("a");
}

#[test]
fn a_node_whose_storage_failed_closes_everybody_and_refuses() {
    let mut world = World::with(2, &["a"]);
    world.node.holds_commits = true;
    world.write(0, "a", "x");
    world.settle();
    world.heard(1);
    world.node.commits.clear();
    world.node.handle(node::Input::StorageFailed { error: broken() }, world.now);
    world.settle();
    assert!(matches!(
        &world.heard(1)[..],
        [NodeFrame::Error { error, retry_after_ms: 1000 }] if error.code == Code::StorageUnavailable
    ));
    assert_eq!(world.node.failure.as_ref().unwrap().code, Code::StorageUnavailable);
    world.nudge_all();
    assert!(world.clients.iter().all(|client| client.conn.is_none()), "new connections are refused");
    assert_eq!(world.pending(0), 1);
    world.restart_node();
    world.assert_converged("a");
}

#[test]
fn a_failed_node_answers_its_queries() {
    let mut world = World::with(1, &["a"]);
    world.node.handle(node::Input::StorageFailed { error: broken() }, world.now);
    let query = node::Query {
        id: 5,
        doc: None,
        bookmark: Default::default(),
        strong: false,
        timeout: headwater_core::Millis(100),
        at: None,
    };
    world.node.handle(node::Input::Query(query), world.now);
    world.settle();
    assert_eq!(world.node.answers[&5].as_ref().unwrap_err().code, Code::StorageUnavailable);
}

/// Damages each stored row of the table in turn, each in three ways.
pub fn damages(rows: &[Row]) -> impl Iterator<Item = Row> + '_ {
    rows.iter().flat_map(|row| {
        let cut = Row { key: row.key.clone(), value: row.value[..row.value.len() - 1].to_vec() };
        let longer = Row { key: row.key.clone(), value: [&row.value[..], &[0x80]].concat() };
        let empty = Row { key: row.key.clone(), value: Vec::new() };
        [cut, longer, empty]
    })
}

#[test]
fn a_node_with_a_damaged_row_serves_nothing_and_writes_nothing() {
    // What is kept of documents is read when somebody asks for one: see `compaction`.
    for table in [Table::Meta, Table::Log, Table::Origins] {
        let mut world = World::with(1, &["a"]);
        for n in 0..260 {
            world.write(0, "a", format!("{n}"));
            world.settle();
        }
        let whole = world.node.disk.snapshot();
        // Of the log, a start reads the rows after the last checkpoint.
        let mut rows = world.node.disk.rows(table);
        rows.retain(|row| {
            table != Table::Log || row.key > headwater_core::store::log_key(headwater_core::Epoch(1), Lsn(257))
        });
        rows.retain(|row| row.key != b"fence");
        assert!(!rows.is_empty());
        for row in damages(&rows) {
            world.node.disk.revert(whole.clone());
            world.node.disk.put(table, row.key.clone(), row.value);
            let damaged = world.node.disk.snapshot();
            world.restart_node();
            let failure = world.node.failure.as_ref().map(|error| error.code);
            assert_eq!(failure, Some(Code::Corrupt), "{} {:?}", table.as_str(), row.key);
            assert_eq!(world.node.disk.snapshot(), damaged, "nothing is overwritten");
        }
    }
}

#[test]
fn what_was_in_a_failed_commit_is_still_shown_after_a_rebuild() {
    let mut world = World::with(2, &["a"]);
    world.clients[1].holds_commits = true;
    world.write(0, "a", "from elsewhere");
    world.settle();
    world.write(1, "a", "own");
    world.settle();
    world.clients[1].commits.clear();
    world.clients[1].handle(Input::StorageFailed { error: broken() }, world.now);
    world.write(1, "a", crate::common::BAD);
    world.settle();
    assert_eq!(world.clients[1].rebuilt, [doc("a")]);
    world.assert_converged("a");
}

/// Every drain has something to commit, as in an import; the document is opened all the same.
#[test]
fn a_document_opens_while_commits_never_pause() {
    let mut world = World::with(1, &["a"]);
    world.clients[0].holds_commits = true;
    world.write(0, "a", "0");
    world.settle();
    world.clients[0].open(doc("b"), world.now);
    let session = world.clients[0].replica.begin_session(None);
    let loaded = world.wait_read(0, session, "b", Consistency::Eventual, 60_000);
    let mut rounds = 0;
    while world.done(0, loaded).is_none() {
        rounds += 1;
        assert!(rounds < 10, "the document waits for a pause that does not come");
        world.write(0, "a", format!("{rounds}"));
        world.clients[0].commit_next(world.now);
        world.settle();
    }
}
