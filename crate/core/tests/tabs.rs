//! Two tabs on one storage, each with a socket of its own: what a user may do before tabs share one.

use crate::common::{World, doc};
use headwater_core::store::Table;

#[test]
fn a_second_tab_sees_what_the_first_goes_on_writing() {
    let mut world = World::new();
    world.add(&["a"]);
    world.offline(0);
    world.write(0, "a", "before");
    world.settle();
    // The second tab finds an unsent write of the first and pushes it: the node then sees that origin twice.
    world.add_on(world.clients[0].disk.clone(), &["a"]);
    world.settle();
    world.online(0);
    for n in 0..5 {
        world.write(0, "a", format!("{n}"));
        world.settle();
    }
    world.assert_converged("a");
    assert_eq!(world.content(1, "a").len(), 6);
}

#[test]
fn one_storage_reads_back_whatever_two_tabs_did_to_it() {
    for order in 0..64u32 {
        let mut world = World::new();
        world.add(&["a"]);
        world.offline(0);
        world.add(&["a"]);
        let disk = world.clients[0].disk.clone();
        for n in 0..6 {
            world.write(0, "a", format!("{n}"));
            if n % 2 == 0 {
                world.clients[0].drain(world.now);
            }
        }
        world.settle();
        let second = world.add_on(disk.clone(), &["a"]);
        world.clients[0].is_online = true;
        world.clients[0].handle(headwater_core::replica::Input::Nudge, world.now);
        world.node.holds_commits = true;
        for bit in 0..12 {
            let tab = if order >> (bit % 6) & 1 == 0 { 0 } else { second };
            world.clients[tab].is_deaf = bit % 3 == 0;
            world.write(tab, "a", format!("tab {tab} bit {bit}"));
            world.step();
            if bit % 2 == 0 && !world.node.commits.is_empty() {
                world.node.commit_next(world.now);
            }
        }
        // Both are killed, and a third one opens what is left.
        for tab in [0, second] {
            world.offline(tab);
        }
        world.node.release_commits(world.now);
        world.settle();
        let third = world.add_on(disk.clone(), &["a"]);
        world.settle();
        assert!(world.clients[third].replica.trouble().is_none(), "{:?}", world.clients[third].replica.trouble());
        assert_eq!((world.pending(third), world.clients[third].replica.trouble()), (0, None));
        world.settle();
        assert_eq!(world.content(third, "a"), world.content(1, "a"));
    }
}

#[test]
fn overlapping_outbox_rows_are_read_once() {
    let mut world = World::new();
    world.add(&["a"]);
    world.offline(0);
    for n in 0..6 {
        world.write(0, "a", format!("{n}"));
    }
    world.settle();
    // One tab left [1..6], the other, which had heard further acknowledgements, [4..6].
    let disk = world.clients[0].disk.clone();
    let row = disk.rows(Table::Outbox).remove(0);
    let origin = world.clients[0].origin;
    let batch_of = |from: u64| {
        let parts = |n: u64| vec![crate::common::part("a", (n - 1).to_string())];
        let write = |n| headwater_core::Write { origin, seq: headwater_core::Seq(n), parts: parts(n) };
        headwater_core::Batch { writes: (from..=6).map(write).collect() }
    };
    let prefix = row.value.len() - batch_of(1).to_bytes().len();
    let value = [&row.value[..prefix], &batch_of(4).to_bytes()].concat();
    disk.put(Table::Outbox, headwater_core::store::outbox_key(origin, headwater_core::Seq(4)), value);
    world.reopen(0);
    world.settle();
    assert_eq!(world.pending(0), 6);
    world.online(0);
    assert_eq!((world.pending(0), world.clients[0].replica.trouble()), (0, None));
    assert_eq!(disk.rows(Table::Outbox), []);
    assert_eq!(world.clients[0].content(&doc("a")).len(), 6);
}
