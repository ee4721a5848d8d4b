//! Which address a replica goes to, and how soon.

use crate::common::Line;
use headwater_core::backoff::BACKOFF_BASE_MS;
use headwater_core::error::{Code, Error};
use headwater_core::frame::{NodeFrame, Served};
use headwater_core::group::MemberName;
use headwater_core::node::RoleName;
use headwater_core::replica::{Input, Phase};
use headwater_core::session::Consistency;

fn fail(line: &mut Line, times: usize) {
    for _ in 0..times {
        line.wait_for_attempt();
        line.client.wants_connect = false;
        line.cut();
    }
}

#[test]
fn an_address_that_works_is_kept_and_one_that_does_not_is_left() {
    let mut line = Line::new(&[]);
    line.welcome(1, &[]);
    assert_eq!(line.client.attempt, 0);
    line.cut();
    line.welcome(1, &[]);
    assert_eq!(line.client.attempt, 0, "a connection that worked and broke says nothing against its node");
    line.cut();
    fail(&mut line, 2);
    line.wait_for_attempt();
    assert_eq!(line.client.attempt, 2);
    line.welcome(1, &[]);
    line.refuse(Code::Busy);
    line.wait_for_attempt();
    assert_eq!(line.client.attempt, 2);
}

#[test]
fn a_node_that_does_not_welcome_or_falls_silent_is_left() {
    let mut line = Line::new(&[]);
    line.greet();
    line.refuse(Code::Busy);
    line.wait_for_attempt();
    assert_eq!(line.client.attempt, 1);
    line.welcome(1, &[]);
    line.client.answers_pings = false;
    line.wait_for_attempt();
    assert_eq!((line.client.pings, line.client.attempt), (1, 2));
}

#[test]
fn who_is_sent_on_goes_to_the_next_address_at_once() {
    let mut line = Line::new(&[]);
    fail(&mut line, 8);
    line.greet();
    line.refuse(Code::NotLeader);
    assert!(line.wait_for_attempt() <= BACKOFF_BASE_MS, "and not after the delay that eight failures have led to");
    assert_eq!(line.client.attempt, 9);
    line.welcome(1, &[]);
    line.refuse(Code::NotLeader);
    assert!(line.wait_for_attempt() <= BACKOFF_BASE_MS);
    assert_eq!(line.client.attempt, 10);
}

#[test]
fn who_is_sent_on_by_everybody_waits_longer_and_longer() {
    for refuses_at_once in [true, false] {
        let mut line = Line::new(&[]);
        let mut waited = 0;
        for _ in 0..12 {
            match refuses_at_once {
                true => line.greet(),
                false => drop(line.welcome(1, &[])),
            }
            line.refuse(Code::NotLeader);
            waited = line.wait_for_attempt().max(waited);
        }
        assert!(waited > 4 * BACKOFF_BASE_MS, "{waited} ms: nobody leads, and everybody asks and asks");
        assert_eq!(line.client.attempt, 12);
    }
}

#[test]
fn what_a_node_cannot_answer_is_asked_of_the_next_one() {
    let mut line = Line::new(&["a"]);
    line.welcome(1, &[]);
    line.hear(NodeFrame::Live { group: 1, frontier: Default::default() });
    let session = line.client.replica.begin_session(None);
    let read = line.wait_read(session, "a", Consistency::Strong);
    line.said();
    line.hear(NodeFrame::Failed { id: 1, error: Error::new(Code::NotLeader, "ask paris") });
    assert_eq!((line.done(read), line.client.replica.phase()), (None, Phase::Offline));
    assert!(line.client.wants_disconnect);
    line.welcome(2, &[]);
    assert_eq!(line.client.attempt, 1);
    line.hear(NodeFrame::Live { group: 1, frontier: Default::default() });
    line.hear(NodeFrame::Reached { id: 2, frontier: Default::default() });
    assert_eq!(line.done(read), Some(Ok(())));
}

#[test]
fn refusals_that_pass_do_not_block() {
    for code in [Code::NotLeader, Code::Resume, Code::Busy] {
        let mut line = Line::new(&[]);
        line.welcome(1, &[]);
        line.refuse(code);
        assert_eq!(line.client.replica.phase(), Phase::Offline, "{code}");
        line.welcome(1, &[]);
        assert_eq!(line.client.replica.phase(), Phase::Live, "{code}");
    }
}

#[test]
fn a_node_says_who_it_is_for_as_long_as_it_serves() {
    let served = Served { role: Some(RoleName::Follower), member: MemberName::new("tokyo-2").ok() };
    let mut line = Line::new(&[]);
    assert_eq!(line.client.replica.served(), None);
    line.welcome_with(1, &[], served.to_extensions());
    assert_eq!(line.client.replica.served(), Some(&served));
    line.client.handle(Input::Disconnected, line.now);
    assert_eq!(line.client.replica.served(), None);
    // Later versions may say what this one cannot read.
    line.welcome_with(1, &[], vec![(1, vec![9, 9]), (2, vec![0xff]), (77, Vec::new())]);
    assert_eq!(line.client.replica.served(), Some(&Served::default()));
}
