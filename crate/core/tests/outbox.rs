//! What is `local` is never lost, is sent in order, and what an earlier opening left goes first.

use crate::common::World;
use headwater_core::frame::ClientFrame;
use headwater_core::{Lsn, Origin, Stage};

fn pushed(frames: &[ClientFrame]) -> Vec<(Origin, u64)> {
    let writes = frames.iter().filter_map(|frame| match frame {
        ClientFrame::Push { batch, .. } => Some(batch.writes.iter().map(|write| (write.origin, write.seq.0))),
        _ => None,
    });
    writes.flatten().collect()
}

#[test]
fn local_means_durable() {
    let mut world = World::new();
    world.add(&["a"]);
    world.offline(0);
    world.settle();
    world.clients[0].holds_commits = true;
    let seq = world.write(0, "a", "x");
    world.settle();
    assert_eq!(world.stage(0, seq), Ok(Stage::Applied));
    world.clients[0].commit_next(world.now);
    assert_eq!(world.stage(0, seq), Ok(Stage::Local));
}

#[test]
fn writes_go_to_storage_and_to_the_leader_side_by_side() {
    let mut world = World::with(1, &["a"]);
    world.clients[0].holds_commits = true;
    let seq = world.write(0, "a", "x");
    world.settle();
    assert_eq!(world.stage(0, seq), Ok(Stage::All), "the leader does not wait for the local disk");
}

#[test]
fn the_outbox_of_an_earlier_opening_is_sent_before_this_ones() {
    let mut world = World::new();
    world.add(&["a"]);
    world.offline(0);
    let mut origins = Vec::new();
    for round in 0..3 {
        origins.push(world.clients[0].origin);
        for n in 0..2 {
            world.write(0, "a", format!("{round} {n}"));
            world.settle();
        }
        assert_eq!(world.pending(0), 2 * (round + 1));
        world.advance(10);
        world.reopen(0);
        world.settle();
    }
    world.write(0, "a", "now");
    origins.push(world.clients[0].origin);
    world.online(0);
    let order: Vec<Origin> = pushed(&world.said(0)).into_iter().map(|(origin, _)| origin).collect();
    assert_eq!(order, [0, 0, 1, 1, 2, 2, 3].map(|round| origins[round]));
    assert_eq!(world.pending(0), 0);
    assert_eq!(world.clients[0].disk.rows(headwater_core::store::Table::Outbox), [], "and the stored outbox is empty");
    world.add(&["a"]);
    world.settle();
    world.assert_converged("a");
}

#[test]
fn killed_at_any_moment_nothing_that_was_local_is_lost() {
    for steps in 0..30 {
        for wait_for_disk in [false, true] {
            let mut world = World::with(1, &["a"]);
            world.clients[0].holds_commits = !wait_for_disk;
            let mut local = Vec::new();
            for n in 0..steps {
                let update = format!("{n}");
                let seq = world.write(0, "a", &update);
                world.clients[0].drain(world.now);
                if n % 3 == 0 && !world.clients[0].commits.is_empty() {
                    world.clients[0].commit_next(world.now);
                }
                if n % 4 == 0 {
                    world.step();
                }
                local.push((seq, update));
            }
            local.retain(|(seq, _)| world.stage(0, *seq).unwrap() >= Stage::Local);
            world.reopen(0);
            world.settle();
            world.add(&["a"]);
            world.settle();
            for (_, update) in local {
                assert!(world.content(0, "a").contains(&update), "{update} of {steps} is lost here");
                assert!(world.content(1, "a").contains(&update), "{update} of {steps} is lost there");
            }
            world.assert_converged("a");
        }
    }
}

#[test]
fn a_thousand_openings_offline_are_all_sent() {
    let mut world = World::new();
    world.add(&["a"]);
    world.offline(0);
    for n in 0..1100 {
        world.write(0, "a", format!("{n}"));
        world.settle();
        world.reopen(0);
        world.settle();
    }
    assert_eq!(world.pending(0), 1100);
    world.online(0);
    for _ in 0..5 {
        world.advance(20_000);
    }
    assert_eq!((world.pending(0), world.node.node.status().lsn), (0, Lsn(1100)));
}

#[test]
fn pending_tells_the_truth_before_and_after_a_reload() {
    let mut world = World::new();
    world.add(&["a"]);
    world.offline(0);
    for n in 0..7 {
        world.write(0, "a", format!("{n}"));
    }
    world.settle();
    let before = world.clients[0].replica.pending();
    world.reopen(0);
    world.settle();
    assert_eq!(world.clients[0].replica.pending(), before);
    assert_eq!(world.content(0, "a").len(), 7, "and the document shows them");
}
