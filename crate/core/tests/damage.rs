//! Damaged rows of a replica: each costs what is in it and nothing else, and it is told.

use crate::common::{Client, World, doc};
use crate::storage::damages;
use headwater_core::replica::{Config, Input};
use headwater_core::store::Table;
use headwater_core::{Code, Error, Millis};

/// A replica with something in each table.
fn world() -> World {
    let mut world = World::with(1, &["a", "b"]);
    world.write(0, "a", "synced");
    world.write(0, "b", "other");
    world.settle();
    world.offline(0);
    world.write(0, "a", "unsent");
    world.settle();
    world
}

#[test]
fn a_damaged_fact_is_said_and_nothing_is_written() {
    let mut world = world();
    let whole = world.clients[0].disk.snapshot();
    for row in damages(&world.clients[0].disk.rows(Table::Meta)) {
        let disk = world.clients[0].disk.clone();
        disk.revert(whole.clone());
        disk.put(Table::Meta, row.key.clone(), row.value);
        let damaged = disk.snapshot();
        world.reopen(0);
        world.write(0, "other", "x");
        world.advance(100);
        let client = &world.clients[0];
        assert_eq!(client.replica.trouble().map(|error| error.code), Some(Code::Corrupt), "{:?}", row.key);
        assert!(client.open_failed.is_some());
        assert_eq!(client.disk.snapshot(), damaged, "nothing is overwritten");
    }
}

#[test]
fn a_damaged_row_of_a_document_is_had_from_the_leader_again() {
    for table in [Table::Docs, Table::Updates, Table::Streams] {
        let mut world = world();
        world.reopen(0);
        world.settle();
        let whole = world.clients[0].disk.snapshot();
        for row in damages(&world.clients[0].disk.rows(table)) {
            // An empty row of updates or of a stream holds none: that is no damage one could see.
            if table != Table::Docs && row.value.is_empty() {
                continue;
            }
            let disk = world.clients[0].disk.clone();
            disk.revert(whole.clone());
            disk.put(table, row.key.clone(), row.value);
            world.offline(0);
            world.reopen(0);
            world.settle();
            let client = &world.clients[0];
            assert!(client.open_failed.is_none() && client.unloadable.is_empty(), "{} {:?}", table.as_str(), row.key);
            assert_eq!(client.replica.trouble(), None);
            assert_eq!(client.damages.len(), 1, "it is told once");
            assert_eq!(client.damages[0].error.code, Code::Corrupt);
            assert_eq!(world.pending(0), 1, "what is unsent is there");
            world.online(0);
            world.settle();
            assert_eq!(world.content(0, "a"), ["synced", "unsent"]);
            assert_eq!(world.content(0, "b"), ["other"]);
            world.reopen(0);
            world.settle();
            assert!(world.clients[0].damages.is_empty(), "the damage is gone: {} {:?}", table.as_str(), row.key);
            assert_eq!(world.content(0, "a"), ["synced", "unsent"]);
            assert_eq!(world.content(0, "b"), ["other"]);
        }
    }
}

#[test]
fn a_damaged_row_of_unsent_writes_is_set_aside_and_the_others_go_on() {
    let mut world = world();
    world.reopen(0);
    world.settle();
    world.write(0, "b", "unsent too");
    world.settle();
    let whole = world.clients[0].disk.snapshot();
    let rows = world.clients[0].disk.rows(Table::Outbox);
    assert_eq!(rows.len(), 2, "one of each opening");
    for row in damages(&rows) {
        let disk = world.clients[0].disk.clone();
        disk.revert(whole.clone());
        disk.put(Table::Outbox, row.key.clone(), row.value.clone());
        world.offline(0);
        world.reopen(0);
        world.settle();
        let client = &world.clients[0];
        assert_eq!(client.replica.trouble(), None);
        let [damage] = &client.damages[..] else { panic!("it is told once: {:?}", client.damages) };
        assert_eq!((damage.doc.clone(), damage.lost_rows), (None, 1));
        assert_eq!(world.pending(0), 1, "the other one is there");
        let aside = [b"damaged/", &row.key[..]].concat();
        assert_eq!(disk.get(Table::Meta, &aside), Some(row.value), "it is kept for whoever can read it");
        assert_eq!(disk.rows(Table::Outbox).len(), 1);
    }
}

#[test]
fn without_a_leader_a_damaged_document_cannot_be_opened_and_is_left_as_it_is() {
    let world = world();
    let row = world.clients[0].disk.rows(Table::Updates).remove(0);
    let disk = world.clients[0].disk.clone();
    disk.put(Table::Updates, row.key.clone(), row.value[..row.value.len() - 1].to_vec());
    let damaged = disk.snapshot();
    let config = Config {
        origin: headwater_core::Origin(7),
        has_leader: false,
        is_durable: true,
        jitter_seed: 7,
        shares_storage: false,
        check: |_| Ok(()),
    };
    let mut client = Client::with(config, disk.clone(), Millis(5000));
    for name in ["a", "b"] {
        client.open(doc(name), Millis(5000));
    }
    let [(name, error)] = &client.unloadable[..] else { panic!("one is unloadable: {:?}", client.unloadable) };
    assert_eq!((name.as_str(), error.code), ("a", Code::Corrupt));
    assert_eq!(client.content(&doc("b")), ["other"], "the other one is not concerned");
    assert_eq!(disk.rows(Table::Updates), {
        disk.revert(damaged);
        disk.rows(Table::Updates)
    });
}

#[test]
fn what_a_document_does_not_take_comes_from_the_leader_when_it_is_opened_again() {
    let mut world = world();
    world.reopen(0);
    world.settle();
    let error = Error::new(Code::Corrupt, "yrs says no");
    world.clients[0].handle(Input::Unreadable { doc: doc("a"), error }, world.now);
    world.clients[0].close(doc("a"), world.now);
    world.settle();
    assert!(world.clients[0].disk.rows(Table::Updates).iter().all(|row| !row.key.starts_with(b"a\0")));
    world.open(0, "a");
    world.online(0);
    world.settle();
    assert_eq!(world.content(0, "a"), ["synced", "unsent"]);
}
