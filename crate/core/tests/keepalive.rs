//! Silent sockets and reconnects.

use crate::common::World;
use headwater_core::backoff::BACKOFF_MS_MAX;
use headwater_core::replica::{Input, Phase};

#[test]
fn a_quiet_socket_is_pinged_and_an_answer_keeps_it() {
    let mut world = World::with(1, &["a"]);
    world.advance(25_000 * 4);
    assert_eq!((world.clients[0].pings, world.clients[0].connects), (4, 1));
}

#[test]
fn a_socket_without_an_answer_is_given_up_and_another_one_opened() {
    let mut world = World::with(1, &["a"]);
    world.clients[0].answers_pings = false;
    world.advance(25_000);
    assert_eq!(world.clients[0].replica.phase(), Phase::Live);
    world.advance(10_000);
    world.clients[0].answers_pings = true;
    world.advance(250);
    assert_eq!((world.clients[0].replica.phase(), world.clients[0].connects), (Phase::Live, 2));
}

#[test]
fn frames_count_as_signs_of_life() {
    let mut world = World::with(2, &["a"]);
    for n in 0..20 {
        world.advance(10_000);
        world.write(0, "a", format!("{n}"));
        world.settle();
    }
    assert_eq!(world.clients[1].pings, 0);
}

#[test]
fn attempts_grow_apart_and_never_stop() {
    let mut world = World::new();
    world.add(&[]);
    world.offline(0);
    world.advance(10_000);
    let early = world.clients[0].connects;
    world.advance(600_000);
    let late = world.clients[0].connects - early;
    assert!(early >= 3, "{early} in the first ten seconds");
    assert!((600_000 / BACKOFF_MS_MAX as usize..200).contains(&late), "{late} in ten minutes");
    world.clients[0].is_online = true;
    world.advance(BACKOFF_MS_MAX);
    assert_eq!(world.clients[0].replica.phase(), Phase::Live);
}

#[test]
fn a_welcome_that_does_not_come_is_not_awaited_for_ever() {
    let mut world = World::new();
    world.add(&[]);
    world.clients[0].is_deaf = true;
    world.settle();
    assert_eq!(world.clients[0].replica.phase(), Phase::Connecting);
    world.advance(10_000);
    assert!(world.clients[0].replica.phase() == Phase::Offline || world.clients[0].connects > 1);
}

#[test]
fn paused_means_no_connection_until_told_otherwise() {
    let mut world = World::with(1, &["a"]);
    world.clients[0].handle(Input::Pause { is_paused: true }, world.now);
    world.advance(100_000);
    assert_eq!((world.clients[0].conn, world.clients[0].connects), (None, 1));
    world.nudge_all();
    assert_eq!(world.clients[0].connects, 1, "a nudge is not a word of the application");
    world.clients[0].handle(Input::Pause { is_paused: false }, world.now);
    world.settle();
    assert_eq!(world.clients[0].replica.phase(), Phase::Live);
}
