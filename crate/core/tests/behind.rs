//! Nodes that are behind the replica: followers, and nodes that have just started. What the replica holds stays, and no
//! frontier says more than is held.

use crate::common::{Line, at, doc, entries};
use headwater_core::Millis;
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::replica::{Input, Phase};
use headwater_core::session::Consistency;

fn live(line: &mut Line, group: u64, frontier: &[(u64, u64)]) {
    line.hear(NodeFrame::Live { group, frontier: at(frontier) });
}

fn frontier(line: &Line, name: &str) -> headwater_core::Frontier {
    line.client.replica.doc_frontier(&doc(name))
}

/// What a reload of the same storage asks for.
fn stored(line: &Line, name: &str) -> headwater_core::Frontier {
    let mut reloaded = Line::on(line.client.disk.clone(), 0xb0b, &[name]);
    let said = reloaded.welcome(5, &[(5, 1000)]);
    match &said[..] {
        [ClientFrame::Subscribe { frontier, .. }] => frontier.clone(),
        _ => panic!("{said:?}"),
    }
}

/// Document `a` holds 5/100, and the replica has come to a follower that holds 5/90.
fn at_a_follower(docs: &[&str]) -> Line {
    let mut line = Line::new(&["a"]);
    line.welcome(5, &[(5, 100)]);
    live(&mut line, 1, &[(5, 100)]);
    line.cut();
    for name in docs {
        line.client.open(doc(name), line.now);
    }
    let said = line.welcome(5, &[(5, 90)]);
    let [ClientFrame::Subscribe { group: 1, frontier, docs }] = &said[..] else { panic!("{said:?}") };
    assert_eq!((frontier, &docs[..]), (&at(&[(5, 100)]), &[doc("a")][..]));
    line
}

#[test]
fn what_is_held_stays_held() {
    let mut line = at_a_follower(&[]);
    assert_eq!((frontier(&line, "a"), line.client.replica.phase()), (at(&[(5, 100)]), Phase::Live));
    live(&mut line, 1, &[(5, 90)]);
    assert_eq!(frontier(&line, "a"), at(&[(5, 100)]));
    line.hear(entries(0, (5, 95), "a", &["again"]));
    assert_eq!(frontier(&line, "a"), at(&[(5, 100)]));
    line.hear(entries(0, (5, 101), "a", &["new"]));
    assert_eq!((frontier(&line, "a"), stored(&line, "a")), (at(&[(5, 101)]), at(&[(5, 101)])));
}

#[test]
fn a_document_that_joins_a_stream_which_holds_more_claims_only_what_it_holds() {
    let mut line = at_a_follower(&["b"]);
    live(&mut line, 1, &[(5, 90)]);
    let said = line.said();
    assert!(said.is_empty(), "it was said with the answer to the frame before");
    line.hear(entries(2, (5, 90), "b", &["old"]));
    live(&mut line, 2, &[(5, 90)]);
    assert_eq!(frontier(&line, "b"), at(&[(5, 90)]), "5/91 to 5/100 are still to come");
    assert_eq!(stored(&line, "b"), at(&[(5, 90)]), "and after a reload they have to be asked for");
    let session = line.client.replica.begin_session(None);
    line.client.replica.note_read(session, &doc("a"), line.now).unwrap();
    let read = line.wait_read(session, "b", Consistency::Session);
    assert_eq!(line.done(read), None, "the session has seen 5/100");
    line.hear(entries(0, (5, 95), "b", &["missing"]));
    assert_eq!((frontier(&line, "b"), stored(&line, "b")), (at(&[(5, 95)]), at(&[(5, 95)])));
    assert_eq!(line.client.content(&doc("b")), ["missing", "old"]);
    line.hear(entries(0, (5, 100), "other", &[]));
    assert_eq!((line.done(read), stored(&line, "b")), (Some(Ok(())), at(&[(5, 100)])));
    line.hear(entries(0, (5, 101), "a", &["both"]));
    assert_eq!(frontier(&line, "b"), at(&[(5, 101)]), "from here on they share one");
}

#[test]
fn a_document_that_holds_more_than_the_stream_keeps_it() {
    let mut line = at_a_follower(&[]);
    line.client.close(doc("a"), line.now);
    line.cut();
    line.welcome(5, &[(5, 90)]);
    line.client.open(doc("a"), line.now);
    let said = line.said();
    let [ClientFrame::Subscribe { group: 1, frontier: asked, .. }] = &said[..] else { panic!("{said:?}") };
    assert_eq!(*asked, at(&[(5, 100)]));
    live(&mut line, 1, &[(5, 90)]);
    assert_eq!((frontier(&line, "a"), stored(&line, "a")), (at(&[(5, 100)]), at(&[(5, 100)])));
    line.hear(entries(0, (5, 102), "a", &["new"]));
    assert_eq!((frontier(&line, "a"), stored(&line, "a")), (at(&[(5, 102)]), at(&[(5, 102)])));
    assert_eq!(line.client.content(&doc("a")), ["new"]);
}

#[test]
fn one_that_follows_the_stream_alone_catches_up_anew_after_a_reconnect() {
    let mut line = at_a_follower(&["b"]);
    live(&mut line, 1, &[(5, 90)]);
    live(&mut line, 2, &[(5, 90)]);
    line.cut();
    line.welcome(5, &[(5, 92)]);
    let said = line.hear(NodeFrame::Live { group: 1, frontier: at(&[(5, 92)]) });
    let [ClientFrame::Subscribe { group: 2, frontier, docs }] = &said[..] else { panic!("{said:?}") };
    assert_eq!((frontier, &docs[..]), (&at(&[(5, 90)]), &[doc("b")][..]));
}

#[test]
fn how_far_behind_a_copy_is_does_not_get_better_by_asking_who_knows_less() {
    let mut line = Line::new(&[]);
    line.welcome(5, &[(5, 100)]);
    line.cut();
    line.client.open(doc("a"), line.now);
    line.welcome(5, &[(5, 90)]);
    live(&mut line, 1, &[(5, 90)]);
    let lag = |line: &Line| line.client.replica.database_lag(line.now).entries;
    assert_eq!(lag(&line), 10);
    line.hear(entries(0, (5, 97), "a", &[]));
    assert_eq!(lag(&line), 3);
}

#[test]
fn staleness_counts_from_what_the_leader_proved_and_not_from_what_a_follower_holds() {
    let mut line = at_a_follower(&[]);
    live(&mut line, 1, &[(5, 90)]);
    let session = line.client.replica.begin_session(None);
    let read = line.wait_read(session, "a", Consistency::MaxStaleness(Millis(500)));
    let asked = line.now;
    line.said();
    line.now = line.now.after(Millis(40));
    line.hear(NodeFrame::Reached { id: 1, frontier: at(&[(5, 120)]) });
    assert_eq!(line.done(read), None, "the leader held 5/120 when it was asked");
    line.now = line.now.after(Millis(10));
    line.hear(entries(0, (5, 120), "a", &["late"]));
    assert_eq!(line.done(read), Some(Ok(())));
    let lag = line.client.replica.database_lag(line.now);
    assert_eq!((lag.entries, lag.staleness), (0, Some(line.now.since(asked))));
    line.client.handle(Input::Disconnected, line.now);
    assert_eq!(line.client.replica.database_lag(line.now).staleness, Some(line.now.since(asked)));
}
