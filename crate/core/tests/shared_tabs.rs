//! Tabs that share one storage, one link, and everything they know.

use crate::common::{Disk, World, doc};
use headwater_core::frame::ClientFrame;
use headwater_core::replica::{Input, Phase, TabRole};
use headwater_core::session::Consistency;
use headwater_core::store::Table;
use headwater_core::{Seq, Stage};

fn roles(world: &World) -> Vec<TabRole> {
    world.clients.iter().map(|client| client.replica.tab_role()).collect()
}

#[test]
fn one_tab_has_the_link_and_all_see_the_same() {
    let mut world = World::with_tabs(3, &["a"]);
    assert_eq!(roles(&world), [TabRole::Holder, TabRole::Member, TabRole::Member]);
    assert!(world.clients.iter().all(|client| client.replica.phase() == Phase::Live));
    let connects: Vec<usize> = world.clients.iter().map(|client| client.connects).collect();
    assert_eq!(connects, [1, 0, 0]);
    let seq = world.write(1, "a", "of a member");
    world.write(0, "a", "of the holder");
    world.settle();
    for client in 0..3 {
        assert_eq!(world.content(client, "a"), ["of a member", "of the holder"]);
        assert_eq!(world.pending(client), 0);
    }
    let origin = world.clients[1].origin;
    for client in &world.clients {
        assert_eq!(client.replica.stage(origin, seq).expect("it stands"), Stage::All);
    }
    // Another profile sees it as well.
    let other = world.add(&["a"]);
    world.settle();
    assert_eq!(world.content(other, "a"), ["of a member", "of the holder"]);
    world.write(other, "a", "from elsewhere");
    world.settle();
    for client in 0..4 {
        assert_eq!(world.content(client, "a").len(), 3);
    }
}

#[test]
fn a_write_is_seen_and_pending_in_every_tab_while_there_is_no_connection() {
    let mut world = World::with_tabs(3, &["a"]);
    world.offline(0);
    let seq = world.write(2, "a", "offline");
    world.settle();
    let origin = world.clients[2].origin;
    for client in &world.clients {
        assert_eq!(client.content(&doc("a")), ["offline"]);
        assert_eq!(client.replica.pending().count, 1);
        assert_eq!(client.replica.stage(origin, seq).expect("it stands"), Stage::Local);
        assert_eq!(client.replica.pending_writes().collect::<Vec<_>>(), [(origin, seq)]);
    }
    world.online(0);
    world.advance(20_000);
    assert!(world.clients.iter().all(|client| client.replica.pending().count == 0));
    assert!(world.clients[0].disk.rows(Table::Outbox).is_empty());
}

#[test]
fn a_tab_that_comes_later_shows_what_storage_lacks() {
    let mut world = World::with_tabs(2, &["a"]);
    let other = world.add(&["a"]);
    world.clients[0].holds_commits = true;
    world.offline(0);
    world.write(1, "a", "unsent");
    world.write(other, "a", "from elsewhere");
    world.settle();
    world.online(0);
    world.advance(20_000);
    // What came is not stored yet, and the write is not settled in its tab.
    let disk = world.clients[0].disk.clone();
    let late = world.add_tab(&disk, &["a"]);
    world.settle();
    assert_eq!(world.content(late, "a"), ["from elsewhere", "unsent"]);
    commit_all(&mut world, 0);
    assert_eq!(world.pending(late), 0);
    assert_eq!(world.pending(1), 0);
}

#[test]
fn a_document_that_only_a_member_has_open_is_followed() {
    let mut world = World::with_tabs(2, &[]);
    world.open(1, "b");
    let other = world.add(&["b"]);
    world.write(other, "b", "hello");
    world.settle();
    assert_eq!(world.content(1, "b"), ["hello"]);
    let now = world.now;
    world.clients[1].close(doc("b"), now);
    world.settle();
    let is_over = |frame: &ClientFrame| matches!(frame, ClientFrame::Unsubscribe { docs } if docs == &[doc("b")]);
    assert!(world.clients[0].said.iter().any(is_over));
    // Both have it, one closes it: the other goes on.
    world.open(0, "c");
    world.open(1, "c");
    world.settle();
    world.clients[0].close(doc("c"), now);
    world.settle();
    world.open(other, "c");
    world.write(other, "c", "still");
    world.settle();
    assert_eq!(world.content(1, "c"), ["still"]);
    world.open(0, "c");
    world.settle();
    assert_eq!(world.content(0, "c"), ["still"]);
}

#[test]
fn the_next_tab_goes_on_when_the_holder_is_killed() {
    let mut world = World::with_tabs(3, &["a"]);
    let other = world.add(&["a"]);
    world.settle();
    // The holder dies with everything that came last not stored.
    world.clients[0].holds_commits = true;
    world.write(other, "a", "from elsewhere");
    world.write(1, "a", "of a member");
    world.write(0, "a", "of the holder");
    world.settle();
    world.kill_tab(0);
    world.settle();
    world.advance(100);
    assert_eq!(world.clients[1].replica.tab_role(), TabRole::Holder);
    world.write(2, "a", "after");
    world.advance(1_000);
    for client in [1, 2, other] {
        assert_eq!(world.content(client, "a").len(), 4, "{client}");
        assert_eq!(world.pending(client), 0);
    }
    // All of it is stored, once nobody is there to remember.
    let disk = world.clients[1].disk.clone();
    let mut alone = World::new();
    alone.add_on(disk, &["a"]);
    assert_eq!(alone.content(0, "a").len(), 4);
}

#[test]
fn a_frozen_holder_is_replaced_and_fenced() {
    let mut world = World::with_tabs(3, &["a"]);
    let other = world.add(&["a"]);
    world.settle();
    world.clients[0].holds_commits = true;
    world.write(other, "a", "not stored");
    world.write(0, "a", "own");
    world.settle();
    world.clients[0].is_frozen = true;
    world.cut(0);
    world.clients[0].is_frozen = true;
    world.advance(10_000);
    let holder = world.tabs.holder.expect("somebody has it");
    assert_ne!(holder, 0);
    assert_eq!(world.clients[holder].replica.tab_role(), TabRole::Holder);
    world.write(2, "a", "meanwhile");
    world.advance(1_000);
    // It wakes into commits that it had begun, a lock that is gone, and messages that it has not read.
    world.clients[0].is_frozen = false;
    world.clients[0].holds_commits = false;
    while !world.clients[0].commits.is_empty() {
        let now = world.now;
        world.clients[0].commit_next(now);
    }
    world.write(0, "a", "awake");
    world.advance(5_000);
    assert_eq!(world.clients[0].replica.tab_role(), TabRole::Member);
    for client in [0, 1, 2, other] {
        assert_eq!(world.content(client, "a"), ["awake", "meanwhile", "not stored", "own"], "{client}");
        assert_eq!(world.pending(client), 0, "{client}");
    }
    assert!(world.clients[1].disk.rows(Table::Outbox).is_empty());
}

#[test]
fn a_member_that_wakes_has_the_holder_try_at_once() {
    let mut world = World::with_tabs(2, &["a"]);
    world.offline(0);
    world.advance(60_000);
    world.write(1, "a", "offline");
    world.settle();
    assert_eq!(world.pending(1), 1);
    // The network is back, and it is the member whom somebody looks at.
    world.clients[0].is_online = true;
    let now = world.now;
    world.clients[1].handle(Input::Nudge, now);
    world.settle();
    assert_eq!((world.pending(0), world.pending(1)), (0, 0));
}

#[test]
fn of_the_terms_that_are_over_storage_keeps_the_newest() {
    let mut world = World::with_tabs(2, &["a"]);
    let disk = world.clients[0].disk.clone();
    for _ in 0..300 {
        let holder = world.tabs.holder.expect("somebody has it");
        world.kill_tab(holder);
        world.add_tab(&disk, &["a"]);
        world.settle();
    }
    let rows = disk.rows(Table::Meta);
    let over: Vec<u64> = rows
        .iter()
        .filter_map(|row| row.key.strip_prefix(b"tabs/over/")?.first_chunk())
        .map(|term| u64::from_be_bytes(*term))
        .collect();
    assert_eq!(over, Vec::from_iter(45..=300));
    // The holder's own is none of them.
    let holder = world.tabs.holder.expect("somebody has it");
    world.write(holder, "a", "at the end");
    world.settle();
    assert_eq!(world.clients[holder].replica.tab_role(), TabRole::Holder);
    assert_eq!(world.pending(holder), 0);
}

#[test]
fn who_misses_messages_asks_and_reads_again() {
    let mut world = World::with_tabs(3, &["a"]);
    let other = world.add(&["a"]);
    world.settle();
    world.tabs.loses = Some(2);
    world.write(other, "a", "missed");
    world.write(1, "a", "missed too");
    world.settle();
    assert_eq!(world.content(2, "a").len(), 0);
    world.tabs.loses = None;
    world.write(1, "a", "heard");
    world.settle();
    assert_eq!(world.content(2, "a"), ["heard", "missed", "missed too"]);
    assert_eq!(world.pending(2), 0);
}

#[test]
fn who_asks_while_the_holder_has_settled_what_it_has_not_stored_misses_nothing_after_it() {
    let mut world = World::with_tabs(3, &["a"]);
    world.write(0, "a", "stored");
    world.settle();
    world.tabs.loses = Some(2);
    world.clients[0].holds_commits = true;
    for text in ["one", "two", "three"] {
        // The first of them is being stored, the others are acknowledged meanwhile.
        world.write(0, "a", text);
        world.settle();
    }
    world.tabs.loses = None;
    world.write(1, "a", "shows the gap");
    world.settle();
    world.write(0, "a", "after the answer");
    world.settle();
    commit_all(&mut world, 0);
    for client in 0..3 {
        assert_eq!(world.content(client, "a").len(), 6, "{client}: {:?}", world.content(client, "a"));
        assert_eq!(world.pending(client), 0);
    }
}

#[test]
fn who_misses_something_while_reading_begins_to_read_anew() {
    let mut world = World::with_tabs(3, &["a"]);
    let other = world.add(&["a"]);
    world.settle();
    let miss = |world: &mut World, missed: &str, heard: &str| {
        world.tabs.loses = Some(2);
        world.write(other, "a", missed);
        world.settle();
        world.tabs.loses = None;
        world.write(1, "a", heard);
        world.settle();
    };
    world.clients[2].holds_scans = true;
    miss(&mut world, "missed", "shows the gap");
    // Storage answers late what it held when it was asked.
    let disk = world.clients[2].disk.clone();
    let asked: Vec<_> = world.clients[2].scans.drain(..).map(|(token, scan)| (token, disk.scan(&scan))).collect();
    assert!(!asked.is_empty());
    miss(&mut world, "missed while reading", "shows it again");
    let now = world.now;
    for (token, rows) in asked {
        world.clients[2].handle(Input::Scanned { token, rows }, now);
    }
    world.clients[2].release_scans(now);
    world.settle();
    assert_eq!(world.content(2, "a").len(), 4, "{:?}", world.content(2, "a"));
}

/// Storage takes all that waits, and what follows from it.
fn commit_all(world: &mut World, client: usize) {
    world.clients[client].holds_commits = false;
    while !world.clients[client].commits.is_empty() {
        let now = world.now;
        world.clients[client].commit_next(now);
        world.settle();
    }
}

#[test]
fn members_read_with_every_consistency() {
    let mut world = World::with_tabs(2, &["a"]);
    let other = world.add(&["a"]);
    world.settle();
    let session = world.clients[other].replica.begin_session(None);
    world.write(other, "a", "x");
    world.settle();
    let bookmark = world.clients[other].replica.bookmark(session).expect("a session has one");
    let reader = world.clients[1].replica.begin_session(Some(bookmark));
    for consistency in
        [Consistency::Session, Consistency::Strong, Consistency::MaxStaleness(headwater_core::Millis(500))]
    {
        let wait = world.wait_read(1, reader, "a", consistency, 1_000);
        world.settle();
        assert_eq!(world.done(1, wait), Some(Ok(())), "{consistency:?}");
    }
    // The leader is asked by the holder alone.
    assert!(world.clients[1].said.is_empty());
}

#[test]
fn a_rejection_is_undone_in_every_tab() {
    let mut world = World::with_tabs(3, &["a", "b"]);
    world.offline(0);
    world.write(1, "a", "good");
    let bad = world.write(1, "a", "bad");
    world.settle();
    let after = world.write(2, "a", "builds on it");
    let aside = world.write(2, "b", "does not");
    world.settle();
    world.node.check = crate::common::refuse_bad;
    world.restart_node();
    world.online(0);
    world.advance(30_000);
    for client in 0..3 {
        assert_eq!(world.content(client, "a"), ["good"], "{client}");
        assert_eq!(world.content(client, "b"), ["does not"], "{client}");
        assert_eq!(world.pending(client), 0, "{client}");
        assert!(world.clients[client].replica.stage(world.clients[1].origin, bad).is_err());
        assert!(world.clients[client].replica.stage(world.clients[2].origin, after).is_err());
        assert!(world.clients[client].replica.stage(world.clients[2].origin, aside).is_ok());
    }
    assert!(world.clients[0].disk.rows(Table::Outbox).is_empty());
}

#[test]
fn what_a_killed_member_left_is_sent() {
    let mut world = World::with_tabs(2, &["a"]);
    world.offline(0);
    world.write(1, "a", "left behind");
    world.settle();
    world.kill_tab(1);
    world.settle();
    world.online(0);
    world.advance(20_000);
    assert_eq!(world.pending(0), 0);
    assert!(world.clients[0].disk.rows(Table::Outbox).is_empty());
    let other = world.add(&["a"]);
    world.settle();
    assert_eq!(world.content(other, "a"), ["left behind"]);
}

#[test]
fn tabs_pause_together() {
    let mut world = World::with_tabs(2, &["a"]);
    let now = world.now;
    world.clients[1].handle(Input::Pause { is_paused: true }, now);
    world.settle();
    assert!(world.clients.iter().all(|client| client.replica.phase() == Phase::Offline));
    world.clients[0].handle(Input::Pause { is_paused: false }, now);
    world.advance(100);
    assert!(world.clients.iter().all(|client| client.replica.phase() == Phase::Live));
}

#[test]
fn closing_hands_over_at_once() {
    let mut world = World::with_tabs(2, &["a"]);
    world.write(0, "a", "last words");
    let now = world.now;
    world.clients[0].handle(Input::Leave, now);
    world.settle();
    assert!(world.clients[0].replica.is_stored());
    world.kill_tab(0);
    world.advance(1_000);
    assert_eq!(world.clients[1].replica.tab_role(), TabRole::Holder);
    assert_eq!(world.content(1, "a"), ["last words"]);
    assert_eq!(world.pending(1), 0);
}

#[test]
fn tabs_write_into_one_log_in_the_order_in_which_they_saw_each_other() {
    let mut world = World::with_tabs(2, &["a"]);
    world.offline(0);
    for n in 0..6 {
        world.write(n % 2, "a", format!("{n}"));
        world.settle();
    }
    world.online(0);
    world.advance(20_000);
    let pushes = world.clients[0].said.iter().filter_map(|frame| match frame {
        ClientFrame::Push { batch, .. } => Some(batch.writes.iter().map(|write| write.seq).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(pushes.flatten().collect::<Vec<_>>(), [1, 1, 2, 2, 3, 3].map(Seq));
}

#[test]
fn messages_that_do_not_read_are_passed_over() {
    let mut world = World::with_tabs(2, &["a"]);
    let now = world.now;
    for bytes in [vec![], vec![1], vec![9; 40], vec![1; 18], [vec![1; 9], vec![0; 20]].concat()] {
        world.clients[0].handle(Input::Tab { bytes: bytes.clone() }, now);
        world.clients[1].handle(Input::Tab { bytes }, now);
        world.settle();
    }
    world.write(1, "a", "fine");
    world.settle();
    assert_eq!(world.content(0, "a"), ["fine"]);
    let _ = Disk::default();
}

#[test]
fn who_misses_what_a_dead_member_told_reads_it_again() {
    let mut world = World::with_tabs(3, &["a"]);
    world.tabs.loses = Some(2);
    world.write(1, "a", "missed");
    world.settle();
    world.kill_tab(1);
    world.tabs.loses = None;
    world.write(0, "a", "heard");
    world.advance(5_000);
    assert_eq!(world.content(2, "a"), ["heard", "missed"]);
}

#[test]
fn who_misses_what_a_dead_holder_told_reads_it_again() {
    let mut world = World::with_tabs(3, &["a"]);
    let other = world.add(&["a"]);
    world.settle();
    world.tabs.loses = Some(2);
    world.write(other, "a", "missed");
    world.write(0, "a", "missed too");
    world.settle();
    world.kill_tab(0);
    world.tabs.loses = None;
    world.advance(5_000);
    world.write(1, "a", "heard");
    world.advance(5_000);
    assert_eq!(world.content(2, "a"), ["heard", "missed", "missed too"]);
}

#[test]
fn what_goes_with_a_rejected_write_is_the_same_for_all() {
    let mut world = World::with_tabs(3, &["a"]);
    world.node.check = crate::common::refuse_bad;
    world.restart_node();
    world.offline(0);
    // Two tabs write at once: each has its own before the other's.
    let good = world.write(1, "a", "of the first");
    let bad = world.write(2, "a", "bad");
    world.settle();
    world.online(0);
    world.advance(30_000);
    let stages: Vec<_> = (0..3)
        .map(|client| {
            let replica = &world.clients[client].replica;
            let stage = |writer: usize, seq| replica.stage(world.clients[writer].origin, seq).is_ok();
            (stage(1, good), stage(2, bad), world.content(client, "a"), world.pending(client))
        })
        .collect();
    assert!(stages.iter().all(|stage| *stage == stages[0]), "{stages:?}");
    assert!(!stages[0].1);
    // Nobody is held up by it.
    world.write(1, "a", "after");
    world.write(2, "a", "after that");
    world.advance(30_000);
    for client in 0..3 {
        assert_eq!(world.pending(client), 0, "{client}");
        assert!(world.content(client, "a").contains(&"after that".to_owned()));
    }
}

#[test]
fn who_slept_while_others_came_and_went_hears_where_everybody_stands() {
    let mut world = World::with_tabs(2, &["a"]);
    world.offline(0);
    world.offline(1);
    let seq = world.write(1, "a", "x");
    world.settle();
    // It sleeps with its write stored and not settled; the only other one goes, and a new one settles it unheard.
    world.clients[1].is_frozen = true;
    world.kill_tab(0);
    let disk = world.clients[1].disk.clone();
    let third = world.add_tab(&disk, &["a"]);
    world.advance(20_000);
    assert_eq!(world.clients[third].replica.tab_role(), TabRole::Holder);
    assert_eq!(world.pending(third), 0);
    world.clients[1].is_frozen = false;
    world.advance(5_000);
    assert_eq!(world.pending(1), 0);
    assert!(world.stage(1, seq).is_ok_and(|stage| stage >= Stage::Leader));
}

#[test]
fn what_a_sleeper_told_last_is_not_lost_with_those_who_heard_it() {
    for (is_deaf, dies) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = World::with_tabs(3, &["a"]);
        world.clients[0].holds_commits = true;
        world.write(0, "a", "heard and not stored");
        world.settle();
        world.clients[0].is_frozen = true;
        world.tabs.loses = is_deaf.then_some(0);
        world.advance(5_000);
        let holder = world.tabs.holder.expect("somebody took the lock");
        assert_ne!(holder, 0);
        let mut awake = vec![1, 2];
        if dies {
            world.kill_tab(holder);
            world.advance(5_000);
            awake.retain(|client| *client != holder);
        }
        for client in &awake {
            assert_eq!(world.content(*client, "a"), ["heard and not stored"], "{is_deaf} {dies} {client}");
        }
        world.tabs.loses = None;
        world.clients[0].is_frozen = false;
        commit_all(&mut world, 0);
        world.write(0, "a", "after");
        world.advance(5_000);
        for client in [vec![0], awake].concat() {
            let content = world.content(client, "a");
            assert_eq!(content, ["after", "heard and not stored"], "{is_deaf} {dies} {client}");
            assert_eq!(world.pending(client), 0, "{is_deaf} {dies} {client}");
        }
    }
}

#[test]
fn who_wakes_deaf_tells_again_what_others_have_asked_for_meanwhile() {
    let mut world = World::with_tabs(3, &["a"]);
    world.clients[0].holds_commits = true;
    world.write(0, "a", "heard and not stored");
    world.settle();
    world.clients[0].is_frozen = true;
    world.tabs.loses = Some(0);
    world.advance(5_000);
    world.kill_tab(1);
    // Nobody is left that heard it.
    world.kill_tab(2);
    let disk = world.clients[0].disk.clone();
    let fresh = world.add_tab(&disk, &["a"]);
    world.advance(5_000);
    world.tabs.loses = None;
    world.clients[0].is_frozen = false;
    commit_all(&mut world, 0);
    world.write(0, "a", "after");
    world.advance(5_000);
    for client in [0, fresh] {
        assert_eq!(world.content(client, "a"), ["after", "heard and not stored"], "{client}");
        assert_eq!(world.pending(client), 0, "{client}");
    }
}

#[test]
fn what_builds_on_a_write_is_taken_back_also_where_its_refusal_was_missed() {
    let mut world = World::with_tabs(3, &["a"]);
    world.offline(0);
    world.write(1, "a", "good");
    let bad = world.write(1, "a", "bad");
    world.settle();
    assert_eq!(world.content(2, "a").len(), 2);
    world.node.check = crate::common::refuse_bad;
    world.restart_node();
    world.tabs.loses = Some(2);
    world.clients[2].is_frozen = true;
    world.online(0);
    world.advance(30_000);
    assert!(world.clients[0].replica.stage(world.clients[1].origin, bad).is_err());
    world.tabs.loses = None;
    world.clients[2].is_frozen = false;
    let upon = world.write(2, "a", "upon it");
    world.write(1, "a", "shows the gap");
    world.advance(30_000);
    for client in 0..3 {
        assert_eq!(world.content(client, "a"), ["good", "shows the gap"], "{client}");
        assert_eq!(world.pending(client), 0, "{client}");
        assert!(world.clients[client].replica.stage(world.clients[2].origin, upon).is_err(), "{client}");
    }
    // Nobody is held up by it.
    world.write(2, "a", "after");
    world.advance(30_000);
    assert!((0..3).all(|client| world.pending(client) == 0 && world.content(client, "a").len() == 3));
}

#[test]
fn a_tab_whose_storage_has_failed_holds_up_nobody_when_its_write_is_refused() {
    let mut world = World::with_tabs(2, &["a"]);
    world.offline(0);
    let error = headwater_core::Error::new(headwater_core::Code::Quota, "full");
    let now = world.now;
    world.clients[1].handle(Input::StorageFailed { error }, now);
    world.write(1, "a", "bad");
    world.settle();
    world.node.check = crate::common::refuse_bad;
    world.restart_node();
    world.online(0);
    world.advance(30_000);
    world.write(1, "a", "after");
    world.write(0, "a", "after that");
    world.advance(30_000);
    for client in 0..2 {
        assert_eq!(world.content(client, "a"), ["after", "after that"], "{client}");
        assert_eq!(world.pending(client), 0, "{client}");
    }
}

#[test]
fn what_a_tab_writes_before_it_hears_of_a_refusal_waits_until_it_has() {
    let mut world = World::with_tabs(2, &["a"]);
    world.offline(0);
    world.write(0, "a", "bad");
    world.settle();
    world.node.check = crate::common::refuse_bad;
    world.restart_node();
    world.clients[1].is_frozen = true;
    world.online(0);
    world.advance(30_000);
    // It wakes, and writes upon what it shows before it looks at what it was told.
    world.clients[1].is_frozen = false;
    let upon = world.write(1, "a", "upon it");
    world.settle();
    world.write(1, "a", "after");
    world.advance(30_000);
    let fresh = world.add(&["a"]);
    world.settle();
    for client in [0, 1, fresh] {
        assert_eq!(world.content(client, "a"), ["after"], "{client}");
        assert_eq!(world.pending(client), 0, "{client}");
    }
    assert!(world.stage(1, upon).is_err());
}
