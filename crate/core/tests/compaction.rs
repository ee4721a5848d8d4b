//! Compaction of a node's storage: the log becomes runs, runs become snapshots, the log is trimmed; and documents come back
//! from all of them, whoever asks and whatever he holds.

use crate::common::{World, doc};
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::limits::CONTENT_CHUNK_BYTES;
use headwater_core::node::{Input, Query, Retention};
use headwater_core::store::Table;
use headwater_core::{Bookmark, Millis, Stage};

/// Folds at once, keeps no history, no log.
fn eager() -> Retention {
    Retention {
        checkpoint_rows: 256,
        fold_rows: 4,
        fold_bytes: 1 << 20,
        history: Millis(0),
        history_bytes: 0,
        squash_bytes: 1,
        merge_bytes: 64 << 20,
        log_entries_min: 0,
        log_entries_max: 1 << 20,
    }
}

/// The same, but nothing is old enough for a snapshot.
fn hoarding() -> Retention {
    Retention { history: Millis(u64::MAX), history_bytes: usize::MAX, ..eager() }
}

fn world(retention: Retention, replicas: usize, docs: &[&str]) -> World {
    let mut world = World::new();
    world.node.retain(retention);
    for _ in 0..replicas {
        world.add(docs);
    }
    world.settle();
    world
}

/// One row of the log for each write.
fn write_rows(world: &mut World, name: &str, rows: std::ops::Range<usize>) {
    for row in rows {
        world.write(0, name, format!("{name} {row:04}"));
        world.settle();
    }
}

fn expected(name: &str, rows: std::ops::Range<usize>) -> Vec<String> {
    rows.map(|row| format!("{name} {row:04}")).collect()
}

fn rows(world: &World, table: Table) -> usize {
    world.node.disk.rows(table).len()
}

/// What a query of the node answers.
fn queried(world: &mut World, name: &str) -> Vec<String> {
    let query = Query {
        id: 77,
        doc: Some(doc(name)),
        bookmark: Bookmark::default(),
        strong: false,
        timeout: Millis(1000),
        at: None,
    };
    let now = world.now;
    world.node.handle(Input::Query(query), now);
    world.node.drain(now);
    world.node.answers.remove(&77).expect("it is answered").expect("with the document");
    let content = world.node.content.remove(&77).unwrap_or_default();
    let mut content: Vec<String> = content.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect();
    content.sort();
    content
}

#[test]
fn what_is_folded_leaves_the_log_and_everything_is_still_there() {
    for retention in [eager(), hoarding()] {
        let mut world = world(retention.clone(), 1, &["a", "b"]);
        // A checkpoint comes after 256 rows; nothing is trimmed before that.
        write_rows(&mut world, "a", 0..300);
        write_rows(&mut world, "b", 0..300);
        world.advance(500);
        assert!(rows(&world, Table::Log) < 320, "{} rows are in the log", rows(&world, Table::Log));
        assert_eq!(rows(&world, Table::Docs), 2);
        let status = world.node.node.status().compacted;
        assert!(status.unfolded_entries < 8, "{status:?}");
        assert_eq!(queried(&mut world, "a"), expected("a", 0..300));
        assert_eq!(queried(&mut world, "b"), expected("b", 0..300));
        let fresh = world.add(&["a", "b"]);
        world.settle();
        assert_eq!(world.content(fresh, "a"), expected("a", 0..300));
        assert_eq!(world.content(fresh, "b"), expected("b", 0..300));
        if retention.history_bytes == 0 {
            assert!(rows(&world, Table::Contents) <= 6, "{} rows of contents", rows(&world, Table::Contents));
        }
    }
}

#[test]
fn a_document_costs_what_it_needs_and_not_what_the_database_holds() {
    let mut world = world(eager(), 1, &["large", "small"]);
    write_rows(&mut world, "small", 0..3);
    write_rows(&mut world, "large", 0..600);
    world.advance(500);
    let before = world.node.scans;
    let fresh = world.add(&["small"]);
    world.settle();
    assert_eq!(world.content(fresh, "small"), expected("small", 0..3));
    let asked = world.node.scans - before;
    assert!(asked < 8, "{asked} questions to storage");
    let heard: usize = world.heard(fresh).iter().map(|frame| frame.encode().len()).sum();
    assert!(heard < 2_000, "{heard} bytes for a small document");
}

#[test]
fn a_restart_at_every_step_loses_nothing() {
    let mut world = world(eager(), 1, &["a"]);
    let mut written = 0;
    for round in 0..60 {
        write_rows(&mut world, "a", written..written + 9);
        written += 9;
        // Some way into compaction, then killed with a commit under way.
        for _ in 0..round % 7 {
            world.advance(1);
        }
        world.node.holds_commits = true;
        world.advance(1);
        world.node.commits.clear();
        world.node.holds_commits = false;
        world.restart_node();
        world.settle();
    }
    world.advance(1000);
    assert_eq!(queried(&mut world, "a"), expected("a", 0..written));
    let fresh = world.add(&["a"]);
    world.settle();
    assert_eq!(world.content(fresh, "a"), expected("a", 0..written));
    // Nothing is left behind: one plan, the rows that it names.
    assert!(rows(&world, Table::Contents) <= 3, "{} rows of contents", rows(&world, Table::Contents));
}

#[test]
fn who_was_away_while_the_log_was_trimmed_gets_the_rest_of_it() {
    for retention in [eager(), hoarding()] {
        let mut world = world(retention, 2, &["a", "b"]);
        write_rows(&mut world, "a", 0..10);
        write_rows(&mut world, "b", 0..10);
        world.offline(1);
        write_rows(&mut world, "a", 10..700);
        world.advance(500);
        world.write(1, "b", "offline");
        world.online(1);
        world.settle();
        world.assert_converged("a");
        assert_eq!(world.content(1, "a"), expected("a", 0..700));
        assert_eq!(world.content(0, "b").len(), 11);
        // And it goes on with the live stream.
        write_rows(&mut world, "a", 700..720);
        assert_eq!(world.content(1, "a"), expected("a", 0..720));
        let seq = world.write(1, "a", "last");
        world.settle();
        assert_eq!(world.stage(1, seq), Ok(Stage::All));
    }
}

/// A document of which the snapshot takes many chunks.
fn large(world: &mut World) -> (String, Vec<String>) {
    let piece = "x".repeat(100_000);
    let contents: Vec<String> = (0..60).map(|n| format!("{n:02}{piece}")).collect();
    for content in &contents {
        world.write(0, "large", content);
        world.settle();
    }
    world.advance(500);
    (piece, contents)
}

fn chunks(heard: &[NodeFrame]) -> Vec<u64> {
    let offset = |frame: &NodeFrame| match frame {
        NodeFrame::Chunk { offset, .. } => Some(*offset / CONTENT_CHUNK_BYTES as u64),
        _ => None,
    };
    heard.iter().filter_map(offset).collect()
}

#[test]
fn a_large_snapshot_comes_in_chunks_with_progress_and_goes_on_in_the_middle() {
    let mut world = world(eager(), 1, &["large"]);
    let (_, contents) = large(&mut world);
    let fresh = world.add(&["large"]);
    // Until some of it is there.
    while world.clients[fresh].progress.len() < 2 {
        assert!(world.step(), "the snapshot comes");
    }
    let first = chunks(&world.heard(fresh));
    assert!(first.len() < 20, "all of it came at once: {first:?}");
    let held = world.clients[fresh].progress.last().unwrap().1;
    world.cut(fresh);
    world.nudge_all();
    let rest = chunks(&world.heard(fresh));
    assert_eq!(world.content(fresh, "large"), contents);
    let said = world.said(fresh);
    let had = said.iter().find_map(|frame| match frame {
        ClientFrame::Have { bytes, .. } => Some(*bytes),
        _ => None,
    });
    let had = had.expect("it says what it has");
    assert!(had >= held && held > 0);
    assert_eq!(rest.first().copied(), Some(had / CONTENT_CHUNK_BYTES as u64), "it begins anew: {rest:?}");
    let (_, received, total) = world.clients[fresh].progress.last().unwrap();
    assert_eq!(received, total);
}

#[test]
fn a_node_that_sleeps_between_chunks_goes_on_with_the_next_one() {
    let mut world = world(eager(), 1, &["large", "other"]);
    let (_, contents) = large(&mut world);
    let fresh = world.add(&["large", "other"]);
    for _ in 0..100 {
        if !world.step() {
            break;
        }
        let now = world.now;
        // Once some of it is there and not all.
        if world.clients[fresh].progress.last().is_some_and(|(_, received, total)| received < total) {
            world.node.hibernate(now);
        }
    }
    world.settle();
    let heard = world.heard(fresh);
    assert_eq!(world.content(fresh, "large"), contents);
    let sent = chunks(&heard);
    let mut once = sent.clone();
    once.dedup();
    assert_eq!(sent, once, "chunks came again");
    assert!(sent.len() > 16, "it was one burst: {sent:?}");
}

#[test]
fn a_snapshot_that_is_replaced_while_it_is_sent_is_sent_anew() {
    let mut world = world(eager(), 1, &["large"]);
    let (piece, mut contents) = large(&mut world);
    let fresh = world.add(&["large"]);
    while world.clients[fresh].progress.is_empty() {
        assert!(world.step(), "the snapshot comes");
    }
    world.clients[fresh].is_deaf = true;
    for n in 60..72 {
        contents.push(format!("{n:02}{piece}"));
        world.write(0, "large", contents.last().unwrap());
        world.settle();
    }
    world.advance(500);
    world.clients[fresh].is_deaf = false;
    world.settle();
    assert_eq!(world.content(fresh, "large"), contents);
}

#[test]
fn a_document_that_cannot_be_merged_stays_as_it_is_and_the_others_go_on() {
    let mut world = world(eager(), 1, &["bad", "good"]);
    world.write(0, "bad", "unmergeable");
    for _ in 0..20 {
        world.write(0, "bad", "more");
        world.settle();
        world.write(0, "good", "fine");
        world.settle();
        world.advance(50);
    }
    let status = world.node.node.status().compacted;
    assert!(status.given_up > 0 && status.squashes > 0, "{status:?}");
    assert_eq!(queried(&mut world, "bad").len(), 21);
    assert_eq!(queried(&mut world, "good").len(), 20);
}

#[test]
fn a_document_beyond_the_bound_of_memory_keeps_its_runs() {
    let mut world = world(Retention { merge_bytes: 10, ..eager() }, 1, &["a"]);
    write_rows(&mut world, "a", 0..40);
    world.advance(500);
    assert_eq!(world.node.node.status().compacted.squashes, 0);
    assert_eq!(queried(&mut world, "a"), expected("a", 0..40));
}

#[test]
fn when_everything_is_compacted_the_node_has_nothing_to_do() {
    let mut world = world(eager(), 1, &["a"]);
    write_rows(&mut world, "a", 0..50);
    world.advance(5_000);
    assert_eq!(world.node.node.next_timeout(), None, "it may sleep");
    world.hibernate();
    world.advance(5_000);
    assert_eq!(world.node.node.next_timeout(), None, "it may go on sleeping");
}

#[test]
fn what_a_checkpoint_has_passed_before_it_was_folded_is_folded_after_a_restart() {
    let lazy = Retention { fold_rows: 1 << 20, ..eager() };
    let mut world = world(lazy, 1, &["a"]);
    write_rows(&mut world, "a", 0..300);
    world.node.retain(eager());
    world.restart_node();
    world.advance(1_000);
    let status = world.node.node.status().compacted;
    assert!(status.unfolded_entries < 4, "{status:?}");
    assert_eq!(queried(&mut world, "a"), expected("a", 0..300));
}

#[test]
fn runs_that_grow_old_are_squashed_by_a_sweep_and_then_the_node_is_quiet() {
    let hour = Millis(3_600_000);
    let mut world = world(Retention { history: hour, history_bytes: 1 << 20, ..eager() }, 1, &["a"]);
    write_rows(&mut world, "a", 0..50);
    world.advance(5_000);
    assert_eq!(world.node.node.status().compacted.squashes, 0, "nothing is old yet");
    assert!(world.node.node.next_timeout().is_some(), "it has to come back");
    world.advance(3 * hour.0);
    assert_eq!(world.node.node.status().compacted.squashes, 1);
    assert_eq!(world.node.node.next_timeout(), None);
    assert_eq!(queried(&mut world, "a"), expected("a", 0..50));
}

#[test]
fn a_missing_or_damaged_row_of_contents_is_said_and_not_served_as_a_blank() {
    for damage in 0..2 {
        let mut world = world(hoarding(), 1, &["a"]);
        write_rows(&mut world, "a", 0..50);
        world.advance(500);
        let row = world.node.disk.rows(Table::Contents).remove(0);
        match damage {
            0 => world
                .node
                .disk
                .commit(&[headwater_core::store::StoreOp::Delete { table: Table::Contents, key: row.key }]),
            _ => world.node.disk.put(Table::Contents, row.key, row.value[..row.value.len() / 2].to_vec()),
        }
        world.restart_node();
        let fresh = world.add(&["a"]);
        world.settle();
        let failure = world.node.failure.clone().expect("it is said");
        assert_eq!(failure.code, headwater_core::Code::Corrupt, "{failure}");
        assert!(world.content(fresh, "a").is_empty());
    }
}

mod copies {
    use super::{eager, expected};
    use crate::common::{Cluster, doc};
    use headwater_core::Stage;
    use headwater_core::group::Topology;
    use headwater_core::node::Retention;
    use headwater_core::store::Table;

    /// Three members, of which the third was away for longer than the log is kept; and who writes.
    fn with_one_left_behind(is_wiped: bool) -> (Cluster, usize) {
        let mut cluster = Cluster::new(Topology::SingleLeader);
        cluster.retention = Retention { log_entries_max: 50, ..eager() };
        for place in 0..3 {
            cluster.kill(place);
            cluster.start(place);
        }
        cluster.until("the first leads", |cluster| cluster.leads(0));
        let client = cluster.replica(0);
        for n in 0..10 {
            cluster.write(client, &format!("d {n:04}"));
            cluster.run(10);
        }
        cluster.converged();
        cluster.kill(2);
        for n in 10..700 {
            cluster.write(client, &format!("d {n:04}"));
            cluster.run(10);
        }
        if is_wiped {
            cluster.wipe(2);
        }
        (cluster, client)
    }

    #[test]
    fn a_member_that_was_away_for_long_gets_a_copy_and_goes_on_with_the_log() {
        for is_wiped in [false, true] {
            let (mut cluster, _) = with_one_left_behind(is_wiped);
            let first = cluster.peers[0].disk.rows(Table::Log).remove(0);
            let (_, last) = headwater_core::store::log_place(&first.key).unwrap();
            assert!(last.0 > 300, "the log begins with {last}: nothing was trimmed");
            cluster.start(2);
            cluster.converged();
            assert_eq!(cluster.shown(2), expected("d", 0..700));
            // It serves, and what is written there reaches everybody.
            let other = cluster.replica(2);
            cluster.run(1_000);
            assert_eq!(cluster.replicas[other].client.content(&doc("d")), expected("d", 0..700));
            let seq = cluster.write(other, "d 0700");
            cluster.until("everybody has it", |cluster| cluster.stage(other, seq) == Ok(Stage::All));
            // It takes over.
            cluster.kill(0);
            cluster.until("another leads", |cluster| cluster.leads(1) || cluster.leads(2));
            cluster.converged();
            assert_eq!(cluster.shown(2), expected("d", 0..701));
        }
    }

    #[test]
    fn a_copy_that_breaks_off_begins_anew_and_nothing_of_it_is_shown_before() {
        for kill in 0..12 {
            let (mut cluster, client) = with_one_left_behind(false);
            cluster.start(2);
            for _ in 0..kill {
                cluster.step();
            }
            let (who, other) = if kill % 2 == 0 { (2, 0) } else { (0, 1) };
            cluster.kill(who);
            cluster.run(500);
            if cluster.peers[2].node.is_some() && !cluster.status(2).visible.is_empty() {
                let shown = cluster.shown(2);
                assert!(shown.len() <= 10 || shown.len() == 700, "{} are shown", shown.len());
            }
            cluster.start(who);
            cluster.until("somebody leads", |cluster| (0..3).any(|place| cluster.leads(place)));
            cluster.go(client, other);
            cluster.converged();
            for place in 0..3 {
                assert_eq!(cluster.shown(place), expected("d", 0..700), "member {place} after {kill}");
            }
        }
    }
}
