//! Real documents: any order, repetition and split of the same writes gives the same content.

use crate::common::{Disk, Host, World};
use headwater_core::{Millis, Origin};
use headwater_doc::{Document, Input, Kind};
use proptest::prelude::*;

/// Random edits by a few clients that hear of each other now and then: the updates, one per transaction.
fn updates(edits: &[(usize, u8, u8)]) -> (Vec<Vec<u8>>, String) {
    let mut docs: Vec<Document> = (1..=3).map(Document::new).collect();
    let mut log: Vec<Vec<u8>> = Vec::new();
    let mut heard = [0; 3];
    for (who, kind, at) in edits {
        let document = &mut docs[*who];
        let (at, key) = (u32::from(*at), format!("k{}", at % 5));
        match kind % 6 {
            0 | 1 => {
                let text = document.root(Kind::Text, "t").unwrap();
                let length = document.text_length(text).unwrap();
                document.text_insert(text, at % (length + 1), "héy", None).unwrap();
            }
            2 => {
                let text = document.root(Kind::Text, "t").unwrap();
                let length = document.text_length(text).unwrap();
                if length > 0 {
                    document.text_delete(text, at % length, 1).unwrap();
                }
            }
            3 => {
                let map = document.root(Kind::Map, "m").unwrap();
                document.map_set(map, &key, Input::from(at.to_string().as_str())).unwrap();
            }
            4 => {
                let map = document.root(Kind::Map, "m").unwrap();
                document.map_delete(map, &key).unwrap();
            }
            _ => {
                let news: Vec<&[u8]> = log[heard[*who]..].iter().map(Vec::as_slice).collect();
                document.apply(&news).unwrap();
                heard[*who] = log.len();
            }
        }
        log.extend(document.commit());
    }
    let all: Vec<&[u8]> = log.iter().map(Vec::as_slice).collect();
    let mut whole = Document::new(99);
    whole.apply(&all).unwrap();
    (log, whole.to_json_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_repetition_and_split_converges(
        edits in proptest::collection::vec((0..3usize, any::<u8>(), any::<u8>()), 1..60),
        order in any::<u64>(),
        sizes in proptest::collection::vec(1..9usize, 1..12),
    ) {
        let (mut log, expected) = updates(&edits);
        // Every third one twice, then shuffled.
        let repeated: Vec<Vec<u8>> = log.iter().step_by(3).cloned().collect();
        log.extend(repeated);
        let mut random = order | 1;
        for place in (1..log.len()).rev() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            log.swap(place, random as usize % (place + 1));
        }
        let mut document = Document::new(7);
        let mut sizes = sizes.iter().cycle();
        let mut rest = &log[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            document.apply(&now.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
            rest = later;
        }
        prop_assert_eq!(document.to_json_string(), expected);
    }

    /// The same through the machines: several origins, breaks at random moments, the node's own check.
    #[test]
    fn replicas_converge_whatever_breaks(
        edits in proptest::collection::vec((0..3usize, any::<u8>(), any::<u8>()), 1..40),
        faults in proptest::collection::vec(0..12u8, 1..60),
    ) {
        let (log, expected) = updates(&edits);
        let mut world = World::new();
        let check = |update: &[u8]| headwater_doc::check_update(update).map_err(|error| error.to_string());
        world.node = Host::with_check(Disk::default(), check);
        for _ in 0..3 {
            world.add(&["a"]);
        }
        let mut faults = faults.iter().cycle();
        for (n, update) in log.iter().enumerate() {
            world.write(n % 3, "a", update);
            match faults.next().unwrap() {
                0 => world.cut(n % 3),
                1 => {
                    // What was not local is lost with the tab, so it is made local first.
                    world.clients[n % 3].drain(world.now);
                    world.reopen(n % 3);
                }
                2 => world.restart_node(),
                3 => world.hibernate(),
                4 => world.advance(300),
                5..8 => {
                    world.step();
                }
                8 => world.settle(),
                _ => {}
            }
        }
        world.settle();
        world.nudge_all();
        world.assert_converged("a");
        for client in &world.clients {
            let updates: Vec<&[u8]> = client.docs.values().flatten().map(Vec::as_slice).collect();
            let mut document = Document::new(8);
            document.apply(&updates).unwrap();
            prop_assert_eq!(document.to_json_string(), expected.clone());
        }
    }
}

#[test]
fn origins_differ_between_openings() {
    let mut world = World::with(1, &["a"]);
    let first = world.clients[0].origin;
    world.reopen(0);
    assert_ne!(world.clients[0].origin, first);
    assert_ne!(first, Origin(0));
    assert!(world.now > Millis(0));
}
