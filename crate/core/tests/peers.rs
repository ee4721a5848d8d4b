//! Replicas that exchange their logs, with a leader and without.

use crate::common::{BAD, Disk, World};
use headwater_core::error::Code;
use headwater_core::replica::{Input, PeerFrame, Wait};
use headwater_core::session::Consistency;
use headwater_core::store::Table;
use headwater_core::{Millis, Origin, Stage};

/// A chain of so many peers.
fn chain(peers: usize) -> World {
    let mut world = World::new();
    for _ in 0..peers {
        world.add_peer(Disk::default(), &["a"]);
    }
    for at in 1..peers {
        world.join(at - 1, at);
    }
    world.settle();
    world
}

fn peers_wait(world: &mut World, client: usize, seq: headwater_core::Seq, count: usize) -> u64 {
    let origin = world.clients[client].origin;
    world.wait(client, Wait::Peers { origin, seq, count }, 1_000)
}

#[test]
fn a_chain_converges_and_counts_whoever_stores() {
    let mut world = chain(3);
    let seq = world.write(0, "a", "from a");
    let wait = peers_wait(&mut world, 0, seq, 2);
    let never = peers_wait(&mut world, 0, seq, 3);
    world.write(2, "a", "from c");
    world.settle();
    for client in 0..3 {
        assert_eq!(world.content(client, "a"), ["from a", "from c"]);
    }
    assert_eq!(world.done(0, wait), Some(Ok(())));
    assert_eq!(world.done(0, never), None);
    world.advance(2_000);
    assert_eq!(world.done(0, never), Some(Err(Code::Offline)));
    let peers = world.clients[0].replica.peers();
    assert_eq!(peers.len(), 2);
    assert!(peers.iter().all(|peer| peer.behind == 0), "{peers:?}");
    assert_eq!(peers.iter().filter(|peer| peer.link.is_some()).count(), 1);
}

#[test]
fn whoever_does_not_store_is_not_counted() {
    let mut world = chain(2);
    world.clients[1].holds_commits = true;
    let seq = world.write(0, "a", "x");
    let wait = peers_wait(&mut world, 0, seq, 1);
    world.settle();
    assert_eq!(world.content(1, "a"), ["x"]);
    assert_eq!(world.done(0, wait), None);
    world.clients[1].holds_commits = false;
    while !world.clients[1].commits.is_empty() {
        let now = world.now;
        world.clients[1].commit_next(now);
        world.settle();
    }
    assert_eq!(world.done(0, wait), Some(Ok(())));
}

#[test]
fn a_bookmark_of_one_is_honoured_by_another() {
    let mut world = chain(3);
    world.part(1);
    world.write(0, "a", "x");
    world.settle();
    let session = world.clients[0].replica.begin_session(None);
    let bookmark = world.clients[0].replica.bookmark(session).expect("a session has one");
    let reader = world.clients[2].replica.begin_session(Some(bookmark));
    let wait = world.wait_read(2, reader, "a", Consistency::Session, 10_000);
    world.settle();
    assert_eq!(world.done(2, wait), None);
    world.join(1, 2);
    world.settle();
    assert_eq!(world.done(2, wait), Some(Ok(())));
    assert_eq!(world.content(2, "a"), ["x"]);
}

#[test]
fn nobody_proves_freshness_without_a_leader() {
    let mut world = chain(2);
    let session = world.clients[0].replica.begin_session(None);
    for consistency in [Consistency::Strong, Consistency::MaxStaleness(Millis(5))] {
        let wait = world.wait_read(0, session, "a", consistency, 10_000);
        assert_eq!(world.done(0, wait), Some(Err(Code::StrongUnavailable)));
    }
}

#[test]
fn with_a_leader_a_strong_read_ends_though_logs_are_kept_for_peers() {
    let mut world = World::new();
    for _ in 0..2 {
        world.add_peer_with(Disk::default(), &["a"], true);
    }
    world.join(0, 1);
    for n in 0..4 {
        world.write(n % 2, "a", format!("{n}"));
    }
    world.advance(10_000);
    for client in 0..2 {
        for consistency in [Consistency::Strong, Consistency::MaxStaleness(Millis(5))] {
            let session = world.clients[client].replica.begin_session(None);
            let wait = world.wait_read(client, session, "a", consistency, 10_000);
            world.settle();
            assert_eq!(world.done(client, wait), Some(Ok(())));
        }
    }
    assert_eq!(world.node_entries(), 4);
}

#[test]
fn what_a_leader_said_while_there_was_no_link_is_told_by_the_next_one() {
    let mut world = World::new();
    for has_leader in [false, true] {
        world.add_peer_with(Disk::default(), &["a", "b"], has_leader);
    }
    world.offline(1);
    let first = world.join(0, 1);
    let (good, bad) = (world.write(0, "a", "good"), world.write(0, "b", BAD));
    world.settle();
    world.part(first);
    world.online(1);
    world.advance(10_000);
    assert_eq!((world.node_entries(), world.pending(1)), (1, 0));
    assert_eq!((world.stage(0, good), world.pending(0)), (Ok(Stage::Local), 2), "nobody could tell");
    world.join(0, 1);
    world.settle();
    assert_eq!(world.pending(0), 0);
    assert!(world.stage(0, good).is_ok_and(|stage| stage >= Stage::Leader));
    assert_eq!(world.stage(0, bad), Err(Code::Malformed));
    assert_eq!([0, 1].map(|client| world.content(client, "b").len()), [0, 0]);
}

#[test]
fn who_joins_late_or_again_is_sent_what_it_lacks_and_no_more() {
    let mut world = chain(2);
    for n in 0..500 {
        world.write(0, "a", format!("{n}"));
    }
    world.settle();
    world.part(0);
    for n in 500..1_000 {
        world.write(n % 2, "a", format!("{n}"));
    }
    world.settle();
    let late = world.add_peer(Disk::default(), &["a"]);
    world.join(1, late);
    world.join(0, 1);
    world.join(late, 0); // A loop.
    world.settle();
    for client in 0..3 {
        assert_eq!(world.content(client, "a").len(), 1_000);
    }
    let applied = world.clients[0].applied.len();
    world.write(0, "a", "once");
    world.settle();
    assert_eq!(world.clients[0].applied.len(), applied, "nobody is shown its own write");
    assert_eq!(world.content(late, "a").len(), 1_001);
}

#[test]
fn logs_survive_a_reload() {
    let mut world = chain(2);
    world.write(0, "a", "x");
    world.settle();
    let disk = world.clients[1].disk.clone();
    let again = world.add_peer(disk, &["a"]);
    world.settle();
    assert_eq!(world.content(again, "a"), ["x"]);
    let late = world.add_peer(Disk::default(), &["a"]);
    world.join(again, late);
    world.settle();
    assert_eq!(world.content(late, "a"), ["x"]);
}

#[test]
fn one_of_them_joins_a_leader_and_everything_arrives_once() {
    let mut world = chain(3);
    for n in 0..30 {
        world.write(n % 3, "a", format!("{n}"));
        world.settle();
    }
    let (seq, origin) = (world.write(0, "a", "last"), world.clients[0].origin);
    world.settle();
    // The third one is opened again, with a leader.
    let disk = world.clients[2].disk.clone();
    world.part(1);
    let joined = world.add_peer_with(disk.clone(), &["a"], true);
    world.join(1, joined);
    world.advance(10_000);
    assert_eq!(world.pending(joined), 0);
    assert_eq!(world.node_entries(), 31);
    // The writers hear of it.
    assert!(world.clients[0].replica.stage(origin, seq).expect("it stands") >= Stage::Leader);
    assert_eq!(world.pending(0), 0);
    let reader = world.add(&["a"]);
    world.settle();
    assert_eq!(world.content(reader, "a").len(), 31);
    // Others join as well: nothing comes twice.
    let disk = world.clients[0].disk.clone();
    let first = world.add_peer_with(disk, &["a"], true);
    world.advance(10_000);
    assert_eq!((world.node_entries(), world.pending(first)), (31, 0));
    // What came by the leader alone reaches those who have none.
    world.write(reader, "a", "by the leader");
    world.advance(10_000);
    assert_eq!(world.content(joined, "a").len(), 32);
    assert_eq!(world.content(1, "a").len(), 32);
    // And back: opened without a leader, it serves what it knows.
    let back = world.add_peer(disk_of(&world, joined), &["a"]);
    let late = world.add_peer(Disk::default(), &["a"]);
    world.join(back, late);
    world.settle();
    assert_eq!(world.content(late, "a").len(), 32);
    // A session that has read there goes on here.
    let session = world.clients[back].replica.begin_session(None);
    let (name, now) = (crate::common::doc("a"), world.now);
    let meta = world.clients[back].replica.note_read(session, &name, now).expect("a read is noted");
    let reader = world.clients[late].replica.begin_session(Some(meta.bookmark));
    let wait = world.wait_read(late, reader, "a", Consistency::Session, 1_000);
    world.settle();
    assert_eq!(world.done(late, wait), Some(Ok(())));
}

fn disk_of(world: &World, client: usize) -> Disk {
    world.clients[client].disk.clone()
}

#[test]
fn content_from_before_there_were_peers_is_passed_on() {
    let mut world = World::new();
    let joined = world.add(&["a", "b"]);
    world.write(joined, "a", "old");
    world.write(joined, "b", "other");
    world.advance(1_000);
    assert_eq!(world.pending(joined), 0);
    let peer = world.add_peer(Disk::default(), &["a"]);
    world.join(joined, peer);
    world.write(joined, "a", "new");
    world.advance(1_000);
    assert_eq!(world.content(peer, "a"), ["new", "old"]);
    world.open(peer, "b");
    world.settle();
    assert_eq!(world.content(peer, "b"), ["other"]);
    // By way of the peer, one further on.
    let far = world.add_peer(Disk::default(), &["a", "b"]);
    world.join(peer, far);
    world.settle();
    assert_eq!(world.content(far, "a"), ["new", "old"]);
    assert_eq!(world.content(far, "b"), ["other"]);
}

#[test]
fn a_rejection_reaches_peers() {
    let mut world = chain(2);
    world.write(0, "a", "good");
    world.write(0, "a", "bad");
    world.settle();
    world.node.check = crate::common::refuse_bad;
    world.restart_node();
    let disk = disk_of(&world, 1);
    world.part(0);
    let joined = world.add_peer_with(disk, &["a"], true);
    world.join(0, joined);
    world.advance(10_000);
    assert_eq!(world.content(joined, "a"), ["good"]);
    assert_eq!(world.content(0, "a"), ["good"]);
}

#[test]
fn peers_are_let_in_by_both_sides() {
    let mut world = World::new();
    for _ in 0..2 {
        world.add_peer(Disk::default(), &["a"]);
    }
    world.write(0, "a", "secret");
    world.settle();
    world.links.push([(0, 0), (1, 1)]);
    let now = world.now;
    world.clients[0].handle(Input::PeerOpened { peer: 0, token: None, needs_approval: true }, now);
    world.clients[1].handle(Input::PeerOpened { peer: 1, token: Some("t".into()), needs_approval: false }, now);
    world.settle();
    assert_eq!(world.clients[0].asked_peers, [(0, Some("t".into()))]);
    assert_eq!(world.content(1, "a").len(), 0);
    world.clients[0].handle(Input::PeerApproved { peer: 0, is_approved: false }, now);
    world.settle();
    let refused = |client: usize| world.clients[client].closed_peers[0].1.as_ref().map(|error| error.code);
    assert_eq!((refused(0), refused(1)), (Some(Code::Unauthorized), Some(Code::Unauthorized)));
    world.links.push([(0, 2), (1, 3)]);
    world.clients[0].handle(Input::PeerOpened { peer: 2, token: None, needs_approval: true }, now);
    world.clients[1].handle(Input::PeerOpened { peer: 3, token: Some("t".into()), needs_approval: false }, now);
    world.settle();
    world.clients[0].handle(Input::PeerApproved { peer: 2, is_approved: true }, now);
    world.settle();
    assert_eq!(world.content(1, "a"), ["secret"]);
}

#[test]
fn what_is_no_peer_is_given_up() {
    let mut world = chain(2);
    let own = world.clients[0].origin;
    let hello = |generation| PeerFrame::Hello {
        version: 1,
        generation: headwater_core::Generation(generation),
        replica: headwater_core::ids::ReplicaId(9),
        token: None,
    };
    let ready = PeerFrame::Ready { held: vec![(Origin(7), headwater_core::Seq(3)), (own, headwater_core::Seq(99))] };
    let cases: [(Vec<Vec<u8>>, Code); 5] = [
        (vec![vec![]], Code::Malformed),
        (vec![b"GET / HTTP/1.1".to_vec()], Code::Malformed),
        (vec![ready.encode()], Code::OutOfOrder),
        (vec![hello(0).encode(), hello(0).encode()], Code::OutOfOrder),
        (vec![hello(0).encode(), ready.encode(), vec![3, 0, 0, 0, 0, 0]], Code::Malformed),
    ];
    for (at, (messages, code)) in cases.into_iter().enumerate() {
        let (peer, now) = (100 + at as u64, world.now);
        world.links.push([(0, peer), (usize::MAX, 0)]);
        world.clients[0].handle(Input::PeerOpened { peer, token: None, needs_approval: false }, now);
        for bytes in messages {
            world.clients[0].handle(Input::PeerFrame { peer, bytes }, now);
        }
        world.clients[0].drain(now);
        world.clients[0].to_peers.retain(|(to, _)| *to != peer);
        let closed = world.clients[0].closed_peers.last().expect("it was given up");
        assert_eq!((closed.0, closed.1.as_ref().map(|error| error.code)), (peer, Some(code)), "case {at}");
    }
    world.write(0, "a", "fine");
    world.settle();
    assert_eq!(world.content(1, "a"), ["fine"]);
    assert!(!world.clients[0].disk.rows(Table::Outbox).is_empty());
}

#[test]
fn tabs_share_their_peers() {
    let mut world = World::new();
    let disk = Disk::default();
    for _ in 0..2 {
        world.add_tab(&disk, &["a"]);
        world.settle();
    }
    let far = world.add_peer(Disk::default(), &["a"]);
    world.offline(0);
    world.join(1, far); // The member has the port.
    world.settle();
    world.write(far, "a", "from afar");
    let seq = world.write(0, "a", "from the holder");
    world.settle();
    for client in [0, 1, far] {
        assert_eq!(world.content(client, "a"), ["from afar", "from the holder"], "{client}");
    }
    // The holder stores what the member has received, and the writer hears of it.
    let behind = world.clients[far].replica.peers().iter().map(|peer| peer.behind).sum::<u64>();
    assert_eq!(behind, 0);
    let _ = seq;
}

#[test]
fn who_is_not_let_in_leaves_nothing_behind() {
    let mut world = World::new();
    world.add_peer_with(Disk::default(), &["a"], true);
    world.clients[0].is_online = false;
    world.settle();
    let now = world.now;
    world.clients[0].handle(Input::PeerOpened { peer: 7, token: None, needs_approval: true }, now);
    let (version, token, replica) = (1, None, headwater_core::ids::ReplicaId(9));
    let generation = headwater_core::Generation(0xbad);
    let hello = PeerFrame::Hello { version, generation, replica, token };
    world.clients[0].handle(Input::PeerFrame { peer: 7, bytes: hello.encode() }, now);
    world.clients[0].handle(Input::PeerApproved { peer: 7, is_approved: false }, now);
    world.clients[0].drain(now);
    world.clients[0].to_peers.clear();
    world.online(0);
    world.advance(20_000);
    assert_eq!(world.clients[0].replica.phase(), headwater_core::replica::Phase::Live, "its leader is not another one");
}

#[test]
fn peers_cannot_write_for_the_tabs_of_another_storage() {
    let mut world = chain(2);
    let own = world.clients[0].origin;
    let write = headwater_core::Write {
        origin: own,
        seq: headwater_core::Seq(9),
        parts: vec![crate::common::part("a", "forged")],
    };
    let batch = headwater_core::Batch { writes: vec![write] };
    let now = world.now;
    for frame in [
        PeerFrame::Writes { prev: headwater_core::Seq(0), unix_ms: 1, batch },
        PeerFrame::Settled {
            origin: own,
            seq: headwater_core::Seq(u64::MAX),
            place: headwater_core::Frontier::default(),
        },
        PeerFrame::Stored {
            replica: headwater_core::ids::ReplicaId(3),
            origins: vec![(own, headwater_core::Seq(u64::MAX))],
        },
    ] {
        world.clients[0].handle(Input::PeerFrame { peer: 0, bytes: frame.encode() }, now);
    }
    world.write(0, "a", "own");
    world.settle();
    assert_eq!(world.content(0, "a"), ["own"]);
    assert_eq!(world.content(1, "a"), ["own"]);
    assert_eq!(world.pending(0), 1);
}

#[test]
fn every_tab_knows_what_peers_have_stored() {
    let mut world = World::new();
    let disk = Disk::default();
    for _ in 0..2 {
        world.add_tab(&disk, &["a"]);
        world.settle();
    }
    let far = world.add_peer(Disk::default(), &["a"]);
    world.offline(0);
    world.join(1, far);
    world.settle();
    let seq = world.write(0, "a", "of the tab without the port");
    let wait = peers_wait(&mut world, 0, seq, 1);
    world.settle();
    assert_eq!(world.done(0, wait), Some(Ok(())));
}

#[test]
fn what_was_stored_before_a_reload_is_said_to_be() {
    let mut world = World::new();
    world.add_peer(Disk::default(), &["a"]);
    let seq = world.write(0, "a", "x");
    let (far, link) = (world.add_peer(Disk::default(), &["a"]), world.join(0, 1));
    world.settle();
    world.part(link);
    let disk = disk_of(&world, far);
    let (again, late) = (world.add_peer(disk, &["a"]), world.add_peer(Disk::default(), &["a"]));
    world.join(again, late);
    world.settle();
    let behind: u64 = world.clients[late].replica.peers().iter().map(|peer| peer.behind).sum();
    assert_eq!((behind, world.content(late, "a")), (0, vec!["x".to_owned()]));
    let _ = seq;
}

#[test]
fn what_is_no_update_is_not_taken_from_a_peer() {
    let mut world = chain(2);
    let write = headwater_core::Write {
        origin: Origin(77),
        seq: headwater_core::Seq(1),
        parts: vec![crate::common::part("a", "no update")],
    };
    let batch = headwater_core::Batch { writes: vec![write] };
    let now = world.now;
    let bytes = PeerFrame::Writes { prev: headwater_core::Seq(0), unix_ms: 1, batch }.encode();
    world.clients[0].handle(Input::PeerFrame { peer: 0, bytes }, now);
    world.settle();
    assert_eq!(world.clients[0].closed_peers[0].1.as_ref().map(|error| error.code), Some(Code::Malformed));
    assert!(world.content(0, "a").is_empty() && world.content(1, "a").is_empty());
}

#[test]
fn a_members_port_keeps_logs_for_good_and_passes_documents_on() {
    let mut world = World::new();
    let disk = Disk::default();
    for _ in 0..2 {
        world.add_tab(&disk, &["a"]);
        world.settle();
    }
    // From before there were peers: in documents alone.
    world.write(0, "a", "before");
    world.settle();
    let far = world.add_peer(Disk::default(), &["a"]);
    world.join(1, far); // The member has the port.
    world.settle();
    let seq = world.write(0, "a", "after");
    world.settle();
    assert_eq!(world.content(far, "a"), ["after", "before"]);
    assert_eq!(world.stage(0, seq), Ok(Stage::All));
    assert_eq!(world.pending(far), 0, "who is told that a write is settled counts it no more");
    // What is settled is kept in its log, which the next opening knows to be one.
    let again = world.add_peer(disk.clone(), &["a"]);
    world.settle();
    assert_eq!(world.content(again, "a"), ["after", "before"]);
}

#[test]
fn who_links_late_hears_what_is_settled() {
    let mut world = World::new();
    let first = world.add_peer_with(Disk::default(), &["a"], true);
    let second = world.add_peer(Disk::default(), &["a"]);
    world.join(first, second);
    world.settle();
    world.write(first, "a", "x");
    world.settle();
    let late = world.add_peer(Disk::default(), &["a"]);
    world.join(second, late);
    world.settle();
    assert_eq!(world.content(late, "a"), ["x"]);
    assert_eq!(world.pending(late), 0);
}

#[test]
fn a_port_that_is_opened_before_storage_is_read_says_hello_first() {
    let mut world = World::new();
    let first = world.add_peer(Disk::default(), &["a"]);
    world.settle();
    let second = world.add_peer(Disk::default(), &[]);
    let numbers = [(first, 100), (second, 101)];
    world.links.push(numbers);
    for (client, peer) in numbers {
        world.clients[client].handle(Input::PeerOpened { peer, token: None, needs_approval: false }, world.now);
    }
    world.write(first, "a", "x");
    world.settle();
    assert!(world.clients[first].closed_peers.is_empty() && world.clients[second].closed_peers.is_empty());
    world.open(second, "a");
    world.settle();
    assert_eq!(world.content(second, "a"), ["x"]);
}
