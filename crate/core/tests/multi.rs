//! Groups with several leaders: every one takes writes, none of them is lost whatever is cut or away, and the topology
//! changes under load.

use crate::common::{Cluster, name, voter};
use headwater_core::error::Code;
use headwater_core::frame::NodeFrame;
use headwater_core::group::{Lead, Member, MemberName, Record, Refusal, Role, State, Topology};
use headwater_core::node::Admin;
use headwater_core::{Bookmark, Epoch, Frontier, Generation, Lsn, Millis, Seq, Stage};

const MULTI: Topology = Topology::MultiLeader;
const SINGLE: Topology = Topology::SingleLeader;

/// Three leaders, and a replica at each.
fn three() -> Cluster {
    let mut cluster = Cluster::new(MULTI);
    cluster.all_lead();
    (0..3).for_each(|place| assert_eq!(cluster.replica(place), place));
    cluster.run(2_000);
    cluster
}

fn at_quorum(cluster: &mut Cluster, replica: usize, seq: Seq) {
    cluster.until("a write is at quorum", |c| c.stage(replica, seq).is_ok_and(|stage| stage >= Stage::Quorum));
}

/// Everything that was written is shown by every member and every replica.
fn everywhere(cluster: &mut Cluster, written: &[String]) {
    cluster.converged();
    let mut written = written.to_vec();
    written.sort();
    for place in 0..cluster.peers.len() {
        assert_eq!(cluster.shown(place), written, "{}", name(place));
    }
    cluster.until("every replica shows everything", |cluster| {
        let all = cluster.replicas.iter().map(|replica| replica.client.content(&crate::common::doc("d")));
        all.into_iter().all(|content| content == written)
    });
}

#[test]
fn each_takes_writes_in_an_epoch_of_its_own_and_all_come_to_hold_all() {
    let mut cluster = three();
    let record = cluster.record();
    let leads: Vec<_> = record.leads.iter().map(|lead| (lead.member.as_str().to_owned(), lead.epoch.0)).collect();
    assert_eq!(leads, [("paris".into(), 1), ("tokyo".into(), 2), ("ohio".into(), 3)]);
    assert_eq!((record.state, record.epoch, record.joined.len()), (State::Multi { since: Epoch(1) }, Epoch(3), 3));
    let mut written = Vec::new();
    for round in 0..20 {
        for replica in 0..3 {
            written.push(format!("{replica}-{round:02}"));
            let text = written.last().unwrap().clone();
            cluster.write(replica, &text);
        }
        cluster.run(50);
    }
    (0..3).for_each(|replica| at_quorum(&mut cluster, replica, Seq(20)));
    everywhere(&mut cluster, &written);
    let epochs: Vec<_> = cluster.status(0).held.epochs().map(|(epoch, lsn)| (epoch.0, lsn.0)).collect();
    assert_eq!(epochs, [(1, 20), (2, 20), (3, 20)]);
    cluster.until("all are told so", |c| {
        (0..3).all(|place| c.status(place).members.iter().all(|member| member.lag_entries == 0))
    });
    cluster.until("all stages are told", |c| (0..3).all(|r| c.stage(r, Seq(20)) == Ok(Stage::All)));
}

#[test]
fn all_sides_of_a_partition_take_writes_and_quorum_waits_where_there_is_none() {
    let mut cluster = three();
    cluster.isolate(2);
    let both: Vec<Seq> = (0..3).map(|replica| cluster.write(replica, &format!("cut-{replica}"))).collect();
    at_quorum(&mut cluster, 0, both[0]);
    at_quorum(&mut cluster, 1, both[1]);
    cluster.run(20_000);
    assert_eq!(cluster.stage(2, both[2]), Ok(Stage::Leader), "a minority is no quorum");
    assert!(cluster.status(2).is_isolated && !cluster.status(0).is_isolated);
    let behind = |cluster: &Cluster, of: usize, member: &MemberName| {
        cluster.status(of).members.iter().find(|other| other.name == *member).unwrap().lag_entries
    };
    assert_eq!((behind(&cluster, 0, &name(2)), behind(&cluster, 0, &name(1))), (2, 0));
    cluster.isolate(0);
    let apart: Vec<Seq> = (0..3).map(|replica| cluster.write(replica, &format!("apart-{replica}"))).collect();
    cluster.run(20_000);
    (0..3).for_each(|replica| assert_eq!(cluster.stage(replica, apart[replica]), Ok(Stage::Leader)));
    cluster.cut.clear();
    (0..3).for_each(|replica| at_quorum(&mut cluster, replica, apart[replica]));
    let written: Vec<String> = (0..3).flat_map(|r| [format!("cut-{r}"), format!("apart-{r}")]).collect();
    everywhere(&mut cluster, &written);
    assert_eq!(cluster.record().epoch, Epoch(3), "nobody was elected");
}

#[test]
fn what_its_leader_cannot_send_another_one_feeds_on() {
    let mut cluster = three();
    cluster.cut.extend([(1, 2), (2, 1)]);
    let mut written = Vec::new();
    for round in 0..30 {
        written.push(format!("round-{round:02}"));
        let text = written.last().unwrap().clone();
        cluster.write(1, &text);
        cluster.run(200);
    }
    cluster.until("it came around", |c| c.status(2).held.lsn(Epoch(2)) == Lsn(30));
    assert!(cluster.cut.len() == 2, "and not by the way that is cut");
    // Its leader goes away for good meanwhile: what one other has of it, all get.
    cluster.isolate(2);
    cluster.write(1, "last");
    cluster.until("one other has it", |c| c.status(0).held.lsn(Epoch(2)) == Lsn(31));
    cluster.kill(1);
    cluster.cut.clear();
    cluster.until("the third gets it", |c| c.status(2).held.lsn(Epoch(2)) == Lsn(31));
    cluster.start(1);
    written.push("last".into());
    everywhere(&mut cluster, &written);
}

#[test]
fn a_bookmark_of_one_leader_is_honoured_by_another() {
    let mut cluster = three();
    cluster.isolate(1);
    let seq = cluster.write(0, "x");
    at_quorum(&mut cluster, 0, seq);
    let bookmark = cluster.bookmark(0);
    assert!(!bookmark.frontier.is_empty());
    assert_eq!(cluster.read(1, bookmark.clone(), false, 3_000).0, Err(Code::Timeout), "it waits, and does not lie");
    cluster.cut.clear();
    let (read, shown) = cluster.read(1, bookmark, false, 10_000);
    assert_eq!(shown, ["x"]);
    let mine = cluster.write(1, "y");
    cluster.until("a leader has it", |c| c.stage(1, mine).is_ok_and(|stage| stage >= Stage::Leader));
    let before_ack =
        Bookmark::new(read.unwrap().generation, Frontier::of_origin(cluster.replicas[1].client.origin, mine));
    assert_eq!(cluster.read(2, before_ack, false, 10_000).1, ["x", "y"]);
}

#[test]
fn nobody_sees_an_effect_before_its_cause() {
    let mut cluster = three();
    cluster.cut.extend([(0, 2), (2, 0)]);
    let mut has_waited = false;
    for round in 0..20 {
        cluster.write(0, &format!("cause-{round:02}"));
        let (cause, effect) = (format!("cause-{round:02}"), format!("effect-{round:02}"));
        cluster.until("tokyo shows the cause", |c| c.shown(1).contains(&cause));
        cluster.write(1, &effect);
        for _ in 0..round * 3 {
            let shown = cluster.shown(2);
            let is_held = cluster.status(2).held.lsn(Epoch(2)) > cluster.status(2).visible.lsn(Epoch(2));
            has_waited |= is_held;
            for shown_effect in shown.iter().filter(|text| text.starts_with("effect")) {
                assert!(shown.contains(&shown_effect.replace("effect", "cause")), "{shown:?}");
            }
            cluster.step();
        }
    }
    assert!(has_waited, "ohio had effects whose causes were on their way around");
    cluster.cut.clear();
    cluster.converged();
    assert_eq!(cluster.shown(2).len(), 40);
    // Nor after a restart, and nor does anything stay hidden.
    cluster.isolate(2);
    (0..3).for_each(|place| cluster.kill(place));
    (0..3).for_each(|place| cluster.start(place));
    cluster.cut.clear();
    cluster.all_lead();
    cluster.converged();
    assert_eq!(cluster.shown(2).len(), 40);
}

#[test]
fn a_write_without_a_place_is_not_taken_for_there_because_a_later_one_is() {
    let mut cluster = three();
    cluster.isolate(1);
    let first = cluster.write(0, "first");
    let origin = cluster.replicas[0].client.origin;
    let unplaced = Bookmark::new(cluster.replicas[0].client.replica.generation(), Frontier::of_origin(origin, first));
    at_quorum(&mut cluster, 0, first);
    // Its client goes on at the one that was cut off, which knows nothing of it.
    cluster.go(0, 1);
    let second = cluster.write(0, "second");
    cluster.until("a leader has it", |c| c.stage(0, second).is_ok_and(|stage| stage >= Stage::Leader));
    assert_eq!(cluster.read(1, unplaced.clone(), false, 3_000).0, Err(Code::Timeout));
    cluster.cut.clear();
    assert_eq!(cluster.read(1, unplaced.clone(), false, 10_000).1, ["first", "second"]);
    cluster.converged();
    assert_eq!(cluster.read(2, unplaced, false, 10_000).1, ["first", "second"]);
}

#[test]
fn there_are_no_strong_reads_and_they_say_so_at_once() {
    let mut cluster = three();
    let before = cluster.now;
    assert_eq!(cluster.read(0, Bookmark::default(), true, 10_000).0, Err(Code::StrongUnavailable));
    assert_eq!(cluster.now, before, "at once");
    for topology in [SINGLE, MULTI] {
        cluster.change(0, topology).unwrap();
        cluster.run(3_000);
        let expected = if topology == MULTI { Err(Code::StrongUnavailable) } else { Ok(()) };
        for place in 0..3 {
            assert_eq!(cluster.read(place, Bookmark::default(), true, 10_000).0.map(|_| ()), expected);
        }
    }
}

#[test]
fn a_repeat_at_another_leader_is_forgiven_and_settled() {
    let mut cluster = three();
    cluster.isolate(0);
    let seqs: Vec<Seq> = (0..5).map(|n| cluster.write(0, &format!("r{n}"))).collect();
    cluster.until("its leader has them", |c| c.stage(0, seqs[4]) == Ok(Stage::Leader));
    cluster.go(0, 1);
    at_quorum(&mut cluster, 0, seqs[4]);
    let bookmark = cluster.bookmark(0);
    assert_eq!(bookmark.frontier.lsn(Epoch(2)), Lsn(5), "they stand in the log of the one that took them again");
    cluster.cut.clear();
    cluster.converged();
    assert_eq!(cluster.status(1).held.lsn(Epoch(1)), Lsn(5));
    // And once more where both logs are held already: nothing is appended to its own log twice.
    cluster.go(0, 2);
    let more = cluster.write(0, "more");
    at_quorum(&mut cluster, 0, more);
    cluster.go(0, 2);
    cluster.run(3_000);
    assert_eq!(cluster.status(2).held.lsn(Epoch(3)), Lsn(1));
    let written: Vec<String> = (0..5).map(|n| format!("r{n}")).chain(["more".into()]).collect();
    everywhere(&mut cluster, &written);
}

#[test]
fn a_restarted_leader_goes_on_in_its_epoch_and_new_storage_gets_another() {
    let mut cluster = three();
    let mut written = Vec::new();
    for replica in 0..3 {
        written.push(format!("a{replica}"));
        let seq = cluster.write(replica, &format!("a{replica}"));
        at_quorum(&mut cluster, replica, seq);
    }
    cluster.converged();
    cluster.kill(1);
    cluster.run(5_000);
    cluster.start(1);
    cluster.until("it leads again", |c| c.leads(1));
    assert_eq!(cluster.record().lead_of(&name(1)), Some(Epoch(2)));
    cluster.run(3_000);
    // What only it and its clients ever had is lost with its storage, and its places are nobody's any more.
    cluster.isolate(1);
    let seq = cluster.write(1, "only here");
    cluster.until("it has it", |c| c.stage(1, seq) == Ok(Stage::Leader));
    cluster.wipe(1);
    cluster.cut.clear();
    cluster.start(1);
    cluster.until("it leads again", |c| c.leads(1));
    assert_eq!(cluster.record().lead_of(&name(1)), Some(Epoch(4)));
    // Its client still has what it wrote, and sends it again.
    at_quorum(&mut cluster, 1, seq);
    written.push("only here".into());
    let seq = cluster.write(1, "after");
    at_quorum(&mut cluster, 1, seq);
    written.push("after".into());
    everywhere(&mut cluster, &written);
    // The first of them may have gone through another leader while it was catching up.
    assert!(cluster.status(1).held.lsn(Epoch(4)) >= Lsn(1));
    assert_eq!(cluster.status(0).held.lsn(Epoch(2)), Lsn(1), "and nothing was put into its old log");
    cluster.kill(1);
    cluster.start(1);
    cluster.until("it leads again", |c| c.leads(1));
    assert_eq!(cluster.record().epoch, Epoch(4), "its storage is the one that led epoch 4");
}

#[test]
fn new_storage_promises_nothing_before_it_has_what_both_others_had() {
    let mut cluster = three();
    cluster.isolate(0);
    // Held by ohio and tokyo alone, and so at quorum.
    let seq = cluster.write(2, "held by two");
    at_quorum(&mut cluster, 2, seq);
    cluster.wipe(1);
    cluster.isolate(2);
    cluster.cut.remove(&(0, 1));
    cluster.cut.remove(&(1, 0));
    cluster.start(1);
    cluster.run(20_000);
    assert!(!cluster.leads(1), "paris alone cannot give it back what it has forgotten");
    let refused = cluster.change(0, SINGLE);
    assert!(refused.is_err(), "{refused:?}");
    assert_ne!(cluster.record().leader(), Some(&name(0)));
    cluster.cut.clear();
    cluster.until("all is well again", |c| c.status(1).held.lsn(Epoch(3)) == Lsn(1));
    cluster.run(10_000);
    everywhere(&mut cluster, &["held by two".into()]);
}

#[test]
fn the_topology_changes_both_ways_under_load_and_nothing_is_lost() {
    let mut cluster = Cluster::new(SINGLE);
    cluster.until("one leads", |c| c.leads(0));
    (0..3).for_each(|place| assert_eq!(cluster.replica(place), place));
    cluster.run(2_000);
    let mut written = Vec::new();
    for (round, to) in [MULTI, SINGLE, MULTI, SINGLE, MULTI].into_iter().enumerate() {
        for n in 0..10 {
            for replica in 0..3 {
                written.push(format!("{round}-{n}-{replica}"));
                let text = written.last().unwrap().clone();
                cluster.write(replica, &text);
            }
            cluster.run(50);
        }
        let place = if to == MULTI { (0..3).find(|place| cluster.leads(*place)).unwrap() } else { round % 3 };
        let done = cluster.change(place, to).unwrap();
        assert_eq!(done.leader, name(place));
        let record = cluster.record();
        assert_eq!((record.epoch, record.is_multi()), (done.epoch, to == MULTI));
        assert_eq!(cluster.change(place, to).unwrap().epoch, done.epoch, "once more changes nothing");
    }
    cluster.all_lead();
    (0..3).for_each(|replica| at_quorum(&mut cluster, replica, Seq(50)));
    everywhere(&mut cluster, &written);
}

#[test]
fn one_that_misses_the_change_to_a_single_leader_acknowledges_no_quorum_and_hands_in_what_it_has() {
    let mut cluster = three();
    cluster.isolate(2);
    let missed = cluster.write(2, "on the other side");
    cluster.until("its leader has it", |c| c.stage(2, missed) == Ok(Stage::Leader));
    cluster.change(0, SINGLE).unwrap();
    let late = cluster.write(2, "and later");
    cluster.run(10_000);
    assert_eq!((cluster.stage(2, missed), cluster.stage(2, late)), (Ok(Stage::Leader), Ok(Stage::Leader)));
    // Its client leaves for good: only its log has these.
    let there = cluster.replicas[2].client.conn.take();
    assert!(there.is_some());
    cluster.replicas.truncate(2);
    cluster.cut.clear();
    everywhere(&mut cluster, &["on the other side".into(), "and later".into()]);
    assert!(cluster.status(0).merged_entries >= 2 && cluster.leads(0) && !cluster.leads(2));
    assert_eq!(cluster.record().sealed.lsn(Epoch(3)), Lsn(2), "the log is as long as it ever was");
}

#[test]
fn a_client_that_saw_what_is_away_is_served_by_the_single_leader_until_it_comes_back() {
    let mut cluster = three();
    cluster.isolate(2);
    let seq = cluster.write(2, "seen");
    cluster.until("its leader has it", |c| c.stage(2, seq) == Ok(Stage::Leader));
    let reader = cluster.replica(2);
    cluster.run(2_000);
    let content = |cluster: &Cluster| cluster.replicas[reader].client.content(&crate::common::doc("d"));
    assert_eq!(content(&cluster), ["seen"]);
    let bookmark = cluster.read(2, Bookmark::default(), false, 1_000).0.unwrap();
    cluster.change(0, SINGLE).unwrap();
    cluster.go(reader, 0);
    let next = cluster.write(0, "next");
    at_quorum(&mut cluster, 0, next);
    cluster.until("the reader follows", |c| content(c) == ["next", "seen"]);
    assert_eq!(cluster.replicas[reader].client.replica.phase(), headwater_core::replica::Phase::Live);
    assert_eq!(cluster.read(0, bookmark.clone(), false, 2_000).0, Err(Code::BookmarkLost), "and says what is missing");
    cluster.cut.clear();
    everywhere(&mut cluster, &["next".into(), "seen".into()]);
    assert!(cluster.read(0, bookmark, false, 2_000).0.is_ok(), "honoured once it is back");
}

#[test]
fn losing_the_lease_store_stops_no_writing_and_a_candidate_that_dies_leaves_one_leader() {
    let mut cluster = three();
    cluster.is_store_up = false;
    let seq = cluster.write(1, "x");
    at_quorum(&mut cluster, 1, seq);
    assert!(cluster.change(1, SINGLE).is_err());
    assert!((0..3).all(|place| cluster.leads(place)), "nothing has changed");
    cluster.is_store_up = true;
    cluster.run(20_000);
    assert!((0..3).all(|place| cluster.leads(place)));
    // A candidate that dies in the middle: the others elect one leader.
    cluster.isolate(1);
    let text = cluster.record().elect(&name(1), Epoch(0)).unwrap().to_string();
    cluster.record = Some((text, 99));
    cluster.kill(1);
    cluster.run(1_000);
    cluster.cut.clear();
    cluster.until("one of the others leads alone", |c| c.record().leader().is_some());
    cluster.start(1);
    everywhere(&mut cluster, &["x".into()]);
}

#[test]
fn voters_that_never_lead_and_observers_follow_several_leaders() {
    let observer = Member { name: name(3), role: Role::Observer { delay_ms: 0, via: None }, address: "x".into() };
    let mut cluster = Cluster::with(vec![voter(0, 2), voter(1, 1), voter(2, 0), observer], MULTI);
    cluster.all_lead();
    (0..4).for_each(|place| assert_eq!(cluster.replica(place), place));
    cluster.run(3_000);
    assert_eq!(cluster.record().leads.len(), 2);
    let seqs: Vec<Seq> = (0..4).map(|replica| cluster.write(replica, &format!("w{replica}"))).collect();
    (0..4).for_each(|replica| at_quorum(&mut cluster, replica, seqs[replica]));
    let written: Vec<String> = (0..4).map(|replica| format!("w{replica}")).collect();
    everywhere(&mut cluster, &written);
    assert_eq!(cluster.read(3, Bookmark::default(), true, 5_000).0, Err(Code::StrongUnavailable));
    // The leader that they follow goes away: they follow the other one.
    cluster.kill(0);
    let seq = cluster.write(3, "without paris");
    at_quorum(&mut cluster, 3, seq);
    cluster.start(0);
    let written: Vec<String> = written.into_iter().chain(["without paris".into()]).collect();
    everywhere(&mut cluster, &written);
}

#[test]
fn commands_that_make_no_sense_among_several_leaders_are_refused() {
    let mut cluster = three();
    let over = cluster.admin(0, Admin::Switchover { to: None, timeout: Millis(5_000) });
    assert_eq!(over.map_err(|error| error.code), Err(Code::Malformed));
    let promoted = cluster.admin(1, Admin::Promote { unix_ms: 1, accept_data_loss: true });
    assert_eq!(promoted.map_err(|error| error.code), Err(Code::Malformed));
    cluster.isolate(0);
    cluster.run(10_000);
    let refused = cluster.change(0, SINGLE);
    assert_eq!(refused.map_err(|error| error.code), Err(Code::Offline), "an election that cannot end is not begun");
    assert!(cluster.record().is_multi());
}

#[test]
fn a_single_leader_tells_its_clients_what_a_quorum_holds_and_one_of_several_what_it_holds() {
    let mut cluster = three();
    cluster.isolate(0);
    let reader = cluster.replica(0);
    cluster.run(2_000);
    cluster.write(0, "x");
    cluster.until("its other client sees it", |c| {
        c.replicas[reader]
            .client
            .heard
            .iter()
            .any(|frame| matches!(frame, NodeFrame::Entries { batch, .. } if !batch.writes.is_empty()))
    });
    // A restart does not take what was shown for what a quorum holds.
    cluster.kill(0);
    cluster.start(0);
    cluster.run(10_000);
    assert_eq!(cluster.status(0).stable.lsn(Epoch(1)), Lsn(0));
    assert_eq!(cluster.status(0).visible.lsn(Epoch(1)), Lsn(1));
}

// ---- the record ----

fn record() -> Record {
    let members = vec![voter(0, 2), voter(1, 1), voter(2, 1)];
    Record::new(Generation(7), name(0), members, 2).unwrap().into_multi().unwrap()
}

#[test]
fn the_record_of_several_leaders_reads_back_and_odd_ones_are_refused() {
    let record = record();
    let text = record.to_string();
    assert!(text.contains("\nmulti 1\nleads paris 1\nleads tokyo 2\nleads ohio 3\nled 3\n"), "{text}");
    assert_eq!(text.parse(), Ok(record.clone()));
    let electing = record.elect(&name(1), Epoch(0)).unwrap();
    assert_eq!(electing.to_string().parse(), Ok(electing.clone()));
    let odd = [
        ("leads tokyo 2\n", ""),
        ("leads ohio 3\n", ""),
        ("leads tokyo 2", "leads tokyo 1"),
        ("leads tokyo 2", "leads paris 2"),
        ("leads tokyo 2", "leads nobody 2"),
        ("leads tokyo 2", "leads tokyo 02"),
        ("leads ohio 3", "leads ohio 4"),
        ("multi 1", "multi 2"),
        ("multi 1", "multi 0"),
        ("multi 1", "active paris"),
        ("led 3", "led 2"),
        ("joined paris", "joined paris\nsealed 2 5"),
    ];
    for (from, to) in odd.into_iter().skip(1) {
        assert!(text.replace(from, to).parse::<Record>().is_err(), "{from:?} became {to:?}");
    }
    // One that lost its place among them is no error: it asks for another.
    assert!(text.replace(odd[0].0, odd[0].1).parse::<Record>().is_ok());
}

#[test]
fn epochs_of_several_leaders_only_grow_and_are_sealed_together() {
    let record = record();
    let again = record.take_epoch(&name(1), Epoch(2)).unwrap();
    assert_eq!(again.leads.last(), Some(&Lead { member: name(1), epoch: Epoch(4) }));
    assert_eq!((again.fence(), again.epoch, again.led), (Epoch(1), Epoch(4), Epoch(4)));
    assert_eq!(again.take_epoch(&name(0), Epoch(9)).unwrap().epoch, Epoch(10));
    assert!(again.extend(Epoch(2), Lsn(7)).is_ok(), "the log that tokyo gave up is over");
    assert_eq!(again.extend(Epoch(4), Lsn(7)), Err(Refusal::NotSealed(Epoch(4))));
    let candidate = again.elect(&name(2), Epoch(0)).unwrap();
    let mut proven = Frontier::default();
    [(1, 5), (2, 6), (3, 7), (4, 8)].iter().for_each(|(epoch, lsn)| proven.advance_epoch(Epoch(*epoch), Lsn(*lsn)));
    let single = candidate.activate(&name(2), &proven).unwrap();
    assert_eq!((single.epoch, single.leads.len(), single.sealed.clone()), (Epoch(5), 0, proven.clone()));
    assert_eq!(single.take_epoch(&name(1), Epoch(0)), Err(Refusal::NotMulti));
    let several = candidate.activate_multi(&name(2), &proven).unwrap();
    assert_eq!((several.fence(), several.epoch), (Epoch(5), Epoch(7)));
    assert_eq!(several.lead_of(&name(2)), Some(Epoch(5)));
    assert_eq!(candidate.activate_multi(&name(0), &proven), Err(Refusal::NotTheCandidate(name(0))));
    let forced = again.force(&name(0), Epoch(0)).unwrap().activate_forced(&name(0), &proven, 1).unwrap();
    assert_eq!(forced.losses.iter().map(|loss| loss.epoch.0).collect::<Vec<_>>(), [1, 3, 4]);
}
