//! Who must hold a write, beyond what acknowledgements tell.

use crate::common::{Line, World, at};
use headwater_core::error::{Code, Error};
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::group::{Concern, MemberName};
use headwater_core::replica::{Input, Wait};
use headwater_core::{Millis, Seq, Stage};

fn any(names: &[&str], n: usize) -> Concern {
    Concern::Any { names: names.iter().map(|name| MemberName::new(name).unwrap()).collect(), n }
}

/// The questions among what is said: their ids, writes and concerns.
fn asked(frames: &[ClientFrame]) -> Vec<(u64, u64, Concern)> {
    let questions = frames.iter().filter_map(|frame| match frame {
        ClientFrame::Await { id, seq, concern, .. } => Some((*id, seq.0, concern.clone())),
        _ => None,
    });
    questions.collect()
}

fn connected() -> Line {
    let mut line = Line::new(&["a"]);
    line.welcome(5, &[]);
    line.hear(NodeFrame::Live { group: 1, frontier: Default::default() });
    line
}

fn wait(line: &mut Line, seq: Seq, concern: Concern) -> u64 {
    line.wait(Wait::Concern { origin: line.client.origin, seq, concern })
}

#[test]
fn the_node_is_asked_after_the_write_and_its_answer_ends_the_wait() {
    let mut line = connected();
    let seq = line.write("a", "x");
    let waiting = wait(&mut line, seq, any(&["tokyo", "ohio"], 1));
    let said = line.said();
    assert!(matches!(said[0], ClientFrame::Push { .. }), "{said:?}");
    assert_eq!(asked(&said), [(1, 1, any(&["tokyo", "ohio"], 1))]);
    line.ack(seq, Stage::Quorum, (5, 1), 1);
    assert_eq!(line.done(waiting), None, "a quorum is not what was asked for");
    line.hear(NodeFrame::Reached { id: 1, frontier: at(&[(5, 1)]) });
    assert_eq!(line.done(waiting), Some(Ok(())));
}

#[test]
fn it_is_asked_again_after_a_reconnect_and_never_for_less() {
    let mut line = connected();
    let seq = line.write("a", "x");
    let waiting = wait(&mut line, seq, Concern::Count(3));
    assert_eq!(asked(&line.said()), [(1, 1, Concern::Count(3))]);
    line.ack(seq, Stage::Quorum, (5, 1), 1);
    line.hear(NodeFrame::Failed { id: 1, error: Error::new(Code::NotLeader, "ask another one") });
    assert_eq!(line.done(waiting), None);
    let said = line.welcome(6, &[(5, 1)]);
    assert_eq!(asked(&said), [(2, 1, Concern::Count(3))], "also after the write has left the outbox");
    line.cut();
    line.now = line.now.after(Millis(60_000));
    line.client.handle(Input::Tick, line.now);
    assert_eq!(line.done(waiting), Some(Err(Code::Offline)), "unknown, not failed");
    assert_eq!(asked(&line.welcome(6, &[(5, 1)])), []);
}

#[test]
fn a_concern_that_cannot_be_met_says_so() {
    let mut line = connected();
    let seq = line.write("a", "x");
    let waiting = wait(&mut line, seq, any(&["atlantis"], 1));
    line.said();
    line.hear(NodeFrame::Failed { id: 1, error: Error::malformed("the concern names atlantis, which is no member") });
    assert_eq!(line.done(waiting), Some(Err(Code::Malformed)));
}

#[test]
fn who_waits_no_more_takes_the_question_back() {
    let mut line = connected();
    let seq = line.write("a", "x");
    let waiting = wait(&mut line, seq, Concern::Count(2));
    line.said();
    line.client.handle(Input::Cancel { id: waiting }, line.now);
    assert_eq!(line.said(), [ClientFrame::Cancel { id: 1 }]);
    assert_eq!(line.done(waiting), Some(Err(Code::Aborted)));
}

#[test]
fn a_rejected_write_meets_no_concern() {
    let mut line = connected();
    let seq = line.write("a", "x");
    let waiting = wait(&mut line, seq, Concern::Count(2));
    line.said();
    let origin = line.client.origin;
    let said = line.hear(NodeFrame::Rejected { origin, seq, error: Error::malformed("bad") });
    assert_eq!(line.done(waiting), Some(Err(Code::Malformed)));
    assert_eq!(said, [ClientFrame::Cancel { id: 1 }]);
    let late = wait(&mut line, seq, Concern::Count(2));
    assert_eq!((line.done(late), line.said()), (Some(Err(Code::Malformed)), vec![]));
}

#[test]
fn stages_need_no_question_while_the_write_is_on_its_way() {
    let mut line = connected();
    let seq = line.write("a", "x");
    let quorum = wait(&mut line, seq, Concern::Quorum);
    let all = line.wait_stage(seq, Stage::All);
    assert_eq!(asked(&line.said()), []);
    line.ack(seq, Stage::Quorum, (5, 1), 1);
    assert_eq!((line.done(quorum), line.done(all)), (Some(Ok(())), None));
    line.ack(seq, Stage::All, (5, 1), 1);
    assert_eq!(line.done(all), Some(Ok(())));
}

#[test]
fn a_settled_write_is_asked_for_since_nobody_will_acknowledge_it_again() {
    let mut line = connected();
    let seq = line.write("a", "x");
    let all = line.wait_stage(seq, Stage::All);
    line.said();
    line.ack(seq, Stage::Quorum, (5, 1), 1);
    line.refuse(Code::NotLeader);
    assert_eq!(asked(&line.welcome(6, &[(5, 1)])), [(1, 1, Concern::All)]);
    let late = line.wait_stage(seq, Stage::All);
    assert_eq!(asked(&line.said()), [(2, 1, Concern::All)]);
    let said = line.hear(NodeFrame::Reached { id: 1, frontier: at(&[(5, 1)]) });
    assert_eq!((line.done(all), line.done(late)), (Some(Ok(())), Some(Ok(()))));
    assert_eq!(said, [ClientFrame::Cancel { id: 2 }], "the answer to one was that to the other");
    assert_eq!(line.stage(seq), Ok(Stage::All));
}

#[test]
fn more_than_a_node_takes_at_once_are_asked_when_there_is_room() {
    let mut line = connected();
    let seq = line.write("a", "x");
    let waits: Vec<u64> = (0..1030).map(|_| wait(&mut line, seq, Concern::Count(2))).collect();
    assert_eq!(asked(&line.said()).len(), 1024);
    let mut said = Vec::new();
    for id in 1..=10 {
        said.extend(line.hear(NodeFrame::Reached { id, frontier: at(&[(5, 1)]) }));
    }
    assert_eq!(asked(&said).len(), 6);
    assert_eq!((line.done(waits[9]), line.done(waits[10])), (Some(Ok(())), None));
}

#[test]
fn a_node_without_a_group_does_not_claim_what_it_cannot_know() {
    let mut world = World::with(1, &["a"]);
    let seq = world.write(0, "a", "x");
    let origin = world.clients[0].origin;
    let waiting = world.wait(0, Wait::Concern { origin, seq, concern: any(&["tokyo"], 1) }, 1000);
    world.settle();
    assert!(matches!(world.done(0, waiting), Some(Err(_))), "{:?}", world.done(0, waiting));
}
