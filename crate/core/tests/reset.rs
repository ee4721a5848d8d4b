//! A leader whose storage is another one, or an older one: told apart, and nothing here is given up.

use crate::common::World;
use headwater_core::Code;
use headwater_core::replica::Phase;

#[test]
fn another_generation_blocks_and_keeps_unsent_writes() {
    let mut world = World::with(1, &["a"]);
    world.write(0, "a", "synced");
    world.settle();
    world.offline(0);
    world.write(0, "a", "unsent");
    world.settle();
    world.replace_storage(0x7777);
    world.online(0);
    assert_eq!(world.clients[0].replica.phase(), Phase::Blocked);
    assert_eq!(world.clients[0].replica.trouble().unwrap().code, Code::DatabaseReset);
    assert_eq!(world.content(0, "a"), ["synced", "unsent"]);
    assert_eq!(world.pending(0), 1);
    world.reopen(0);
    world.settle();
    assert_eq!(world.content(0, "a"), ["synced", "unsent"]);
    assert_eq!((world.pending(0), world.clients[0].replica.phase()), (1, Phase::Blocked));
    assert_eq!(world.node.node.status().lsn, headwater_core::Lsn(0), "nothing was pushed into the wrong database");
}

#[test]
fn storage_that_went_back_in_time_blocks() {
    let mut world = World::with(1, &["a"]);
    world.write(0, "a", "old");
    world.settle();
    let old = world.node.disk.snapshot();
    world.write(0, "a", "new");
    world.settle();
    world.node.disk.revert(old);
    world.restart_node();
    assert_eq!(world.clients[0].replica.trouble().unwrap().code, Code::DatabaseReset);
    assert_eq!(world.content(0, "a"), ["new", "old"]);
}

#[test]
fn a_wait_while_blocked_ends_with_the_reason() {
    let mut world = World::with(1, &["a"]);
    world.replace_storage(0x7777);
    let seq = world.write(0, "a", "x");
    let wait = world.wait_stage(0, seq, headwater_core::Stage::Leader, 100);
    world.advance(100);
    assert_eq!(world.done(0, wait), Some(Err(Code::DatabaseReset)));
}
