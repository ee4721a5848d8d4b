//! A write's receipt and its place while leaders change: what a leader alone has acknowledged may be lost with it, and
//! stand at another place with the next one.

use crate::common::{Line, doc, entries};
use headwater_core::error::{Code, Error};
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::session::Consistency;
use headwater_core::store::Table;
use headwater_core::{Bookmark, Frontier, Seq, Stage};

/// The writes that are pushed, and the one before them.
fn pushed(frames: &[ClientFrame]) -> Vec<(bool, u64, Vec<u64>)> {
    let pushes = frames.iter().filter_map(|frame| match frame {
        ClientFrame::Push { resume, prev, batch } => {
            Some((*resume, prev.0, batch.writes.iter().map(|write| write.seq.0).collect()))
        }
        _ => None,
    });
    pushes.collect()
}

/// Leader of epoch 5, on whose live stream document `a` is; write 1 is settled, write 2 is acknowledged by the leader alone.
fn at_the_old_leader() -> (Line, Seq) {
    let mut line = Line::new(&["a"]);
    line.welcome(5, &[(5, 10)]);
    line.hear(NodeFrame::Live { group: 1, frontier: crate::common::at(&[(5, 10)]) });
    let first = line.write("a", "first");
    line.said();
    line.ack(first, Stage::Quorum, (5, 11), 11);
    let seq = line.write("a", "x");
    assert_eq!(pushed(&line.said()), [(false, 1, vec![2])]);
    line.ack(seq, Stage::Leader, (5, 12), 11);
    (line, seq)
}

#[test]
fn what_the_leader_alone_has_is_named_by_origin_and_seq() {
    let (mut line, seq) = at_the_old_leader();
    assert_eq!(line.stage(seq), Ok(Stage::Leader));
    assert_eq!(line.client.replica.pending().count, 1, "it may have to be sent again");
    assert_eq!(line.bookmark(), (vec![(5, 11)], vec![2]), "5/12 may hold another entry after a failover, or none");
    line.ack(seq, Stage::Quorum, (5, 12), 12);
    assert_eq!(line.bookmark(), (vec![(5, 12)], vec![]));
    assert_eq!(line.client.replica.pending().count, 0);
}

#[test]
fn after_a_failover_it_is_sent_again_and_has_the_place_that_the_next_leader_gives_it() {
    let (mut line, seq) = at_the_old_leader();
    let quorum = line.wait_stage(seq, Stage::Quorum);
    let leader = line.wait_stage(seq, Stage::Leader);
    assert_eq!(line.done(leader), Some(Ok(())));
    line.refuse(Code::NotLeader);
    assert_eq!(line.stage(seq), Ok(Stage::Leader), "a stage does not fall back");
    let said = line.welcome(6, &[(5, 11)]);
    assert_eq!(pushed(&said), [(true, 1, vec![2])], "resumed from what is settled, not from what the old leader had");
    assert_eq!(line.stage(seq), Ok(Stage::Leader));
    line.ack(seq, Stage::Leader, (6, 3), 2);
    assert_eq!((line.bookmark(), line.done(quorum)), ((vec![(5, 11)], vec![2]), None));
    line.ack(seq, Stage::Quorum, (6, 3), 3);
    assert_eq!(line.stage(seq), Ok(Stage::Quorum));
    assert_eq!(line.done(quorum), Some(Ok(())));
    assert_eq!(line.bookmark(), (vec![(5, 11), (6, 3)], vec![]), "and not 5/12, which nobody may ever have");
    assert_eq!(line.client.disk.rows(Table::Outbox), []);
}

#[test]
fn a_session_resolves_it_to_its_last_place() {
    let (mut line, seq) = at_the_old_leader();
    let session = line.client.replica.begin_session(None);
    line.client.replica.note_read(session, &doc("a"), line.now).unwrap();
    line.refuse(Code::NotLeader);
    line.welcome(6, &[(5, 11)]);
    line.ack(seq, Stage::Quorum, (6, 3), 3);
    let frontier = line.client.replica.bookmark(session).unwrap().frontier;
    assert_eq!(frontier, crate::common::at(&[(5, 11), (6, 3)]));
}

#[test]
fn while_it_has_no_place_a_read_does_not_wait_for_one() {
    let (mut line, seq) = at_the_old_leader();
    line.client.open(doc("c"), line.now);
    line.said();
    let own = Frontier::of_origin(line.client.origin, seq);
    let session = line.client.replica.begin_session(Some(Bookmark::new(line.client.replica.generation(), own)));
    let read = line.wait_read(session, "c", Consistency::Session);
    assert_eq!(
        line.done(read),
        Some(Ok(())),
        "the write is in the outbox, and so in every local copy that it concerns"
    );
    line.ack(seq, Stage::Quorum, (5, 12), 12);
    let read = line.wait_read(session, "c", Consistency::Session);
    assert_eq!(line.done(read), None, "now it is in the log, and this document has not come so far");
}

#[test]
fn own_writes_are_read_at_once_and_strongly_only_when_they_are_settled() {
    let (mut line, seq) = at_the_old_leader();
    let session = line.client.replica.begin_session(None);
    line.client.replica.note_read(session, &doc("a"), line.now).unwrap();
    let read = line.wait_read(session, "a", Consistency::Session);
    assert_eq!(line.done(read), Some(Ok(())));
    let strong = line.wait_read(session, "a", Consistency::Strong);
    let said = line.said();
    let [ClientFrame::Barrier { id, strong: true, .. }] = said[..] else { panic!("{said:?}") };
    line.hear(NodeFrame::Reached { id, frontier: crate::common::at(&[(5, 11)]) });
    assert_eq!(line.done(strong), None, "the next strong read, elsewhere, may not show the write");
    line.ack(seq, Stage::Quorum, (5, 12), 12);
    assert_eq!(line.done(strong), Some(Ok(())));
}

#[test]
fn a_write_that_a_leader_took_and_the_next_one_refuses_is_taken_back() {
    let (mut line, seq) = at_the_old_leader();
    let kept = line.write("b", "kept");
    line.said();
    line.ack(kept, Stage::Leader, (5, 13), 11);
    line.refuse(Code::NotLeader);
    line.welcome(6, &[(5, 11)]);
    line.client.holds_scans = true;
    let origin = line.client.origin;
    let said = line.hear(NodeFrame::Rejected { origin, seq, error: Error::new(Code::TooLarge, "of another version") });
    assert_eq!(pushed(&said), [(true, 1, vec![3])], "once the removal is stored");
    assert_eq!(line.stage(seq), Ok(Stage::Leader), "what was told stands until no document shows the write");
    line.client.release_scans(line.now);
    line.said();
    assert_eq!(line.stage(seq), Err(Code::TooLarge));
    assert_eq!(line.client.content(&doc("a")), ["first"]);
    line.ack(kept, Stage::Quorum, (6, 1), 1);
    assert_eq!(line.bookmark(), (vec![(5, 11), (6, 1)], vec![]));
    assert_eq!((line.stage(seq), line.stage(kept)), (Err(Code::TooLarge), Ok(Stage::Quorum)));
}

#[test]
fn a_lost_leaders_tail_may_come_back_after_newer_entries() {
    let (mut line, seq) = at_the_old_leader();
    line.refuse(Code::NotLeader);
    line.welcome(6, &[(5, 11)]);
    line.hear(NodeFrame::Live { group: 1, frontier: crate::common::at(&[(5, 11), (6, 2)]) });
    line.ack(seq, Stage::Quorum, (6, 3), 3);
    line.hear(entries(0, (6, 4), "a", &["newer"]));
    line.hear(entries(0, (5, 13), "a", &["x", "tail"]));
    assert_eq!(line.client.content(&doc("a")), ["first", "newer", "tail", "x"]);
    assert_eq!(line.client.replica.doc_frontier(&doc("a")), crate::common::at(&[(5, 13), (6, 4)]));
    assert_eq!(line.client.replica.database_lag(line.now).entries, 0);
    // And it is all there after a reload, from where the replica goes on.
    let mut reloaded = Line::on(line.client.disk.clone(), 0xa2, &["a"]);
    assert_eq!(reloaded.client.content(&doc("a")), ["first", "newer", "tail", "x"]);
    let said = reloaded.welcome(6, &[(5, 13), (6, 4)]);
    let [ClientFrame::Subscribe { frontier, .. }] = &said[..] else { panic!("{said:?}") };
    assert_eq!(*frontier, crate::common::at(&[(5, 13), (6, 4)]));
}

#[test]
fn what_an_earlier_opening_left_is_sent_again_until_a_quorum_has_it() {
    let (line, _) = at_the_old_leader();
    let mut reloaded = Line::on(line.client.disk.clone(), 0xa2, &["a"]);
    assert_eq!(reloaded.client.replica.pending().count, 1, "the old leader's word is not enough to forget it");
    let said = reloaded.welcome(6, &[(5, 11)]);
    assert_eq!(pushed(&said), [(true, 0, vec![2])]);
}
