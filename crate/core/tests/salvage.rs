//! What is put into new storage when a replica's own was lost while it was open.

use crate::common::{Disk, World, doc};
use headwater_core::store::{StoreOp, Table};

/// What the documents of a client show, each as one update.
fn salvage(world: &World) -> Vec<StoreOp> {
    let client = &world.clients[0];
    let docs = client.docs.keys().map(|name| (name.clone(), client.content(name).join("+").into_bytes()));
    client.replica.salvage(docs)
}

#[test]
fn unsent_writes_and_settled_documents_are_saved() {
    let mut world = World::with(2, &["a", "b"]);
    world.write(0, "a", "settled a");
    world.write(1, "b", "settled b");
    world.settle();
    world.offline(0);
    world.write(0, "a", "unsent");
    world.settle();
    let ops = salvage(&world);
    world.clients[0].disk.revert(Default::default());
    world.clients[0].disk.commit(&ops);
    world.reopen(0);
    world.settle();
    assert_eq!(world.pending(0), 1);
    assert_eq!(world.content(0, "b"), ["settled b"], "also without a connection");
    assert!(
        world.clients[0].replica.doc_frontier(&doc("a")).is_empty(),
        "what may be refused comes from the leader again"
    );
    assert!(!world.clients[0].replica.doc_frontier(&doc("b")).is_empty(), "the other is held");
    world.online(0);
    world.settle();
    world.assert_converged("a");
    world.assert_converged("b");
    assert_eq!(world.content(1, "a"), ["settled a", "unsent"]);
    assert_eq!(world.pending(0), 0);
}

#[test]
fn two_that_save_the_same_storage_lose_nothing_and_double_nothing() {
    let mut world = World::with(2, &["a"]);
    world.offline(0);
    world.write(0, "a", "one");
    world.write(0, "a", "two");
    world.settle();
    let before = salvage(&world);
    world.write(0, "a", "three");
    world.settle();
    let after = salvage(&world);
    world.clients[0].disk.revert(Default::default());
    world.clients[0].disk.commit(&after);
    world.clients[0].disk.commit(&before);
    world.reopen(0);
    world.online(0);
    world.settle();
    world.assert_converged("a");
    assert_eq!(world.content(1, "a"), ["one", "three", "two"]);
    assert_eq!(world.node_entries(), 3);
}

#[test]
fn nothing_is_made_of_nothing() {
    let world = World::with(1, &[]);
    let ops = salvage(&world);
    let disk = Disk::default();
    disk.commit(&ops);
    assert!(disk.rows(Table::Outbox).is_empty() && disk.rows(Table::Updates).is_empty());
}
