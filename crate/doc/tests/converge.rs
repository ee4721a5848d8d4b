//! Documents that have the same updates are the same, whatever the order and however often each arrived.

use std::sync::Arc;

use headwater_doc::{Any, DocError, Document, Handle, Input, Kind, TextDelta, TextPiece, Value};
use proptest::prelude::*;

/// One edit by one of the documents. Positions are taken modulo what is there.
#[derive(Debug, Clone)]
enum Edit {
    MapSet(u8, i32),
    MapNest(u8),
    MapDelete(u8),
    MapClear,
    ArrayInsert(u16, Vec<i32>),
    ArrayNest(u16, String),
    ArrayDelete(u16, u16),
    TextInsert(u16, String, bool),
    TextDelete(u16, u16),
    TextFormat(u16, u16, Option<bool>),
    TextEmbed(u16, i32),
    TextDelta(u16, u16, String),
    Inner(i32),
}

fn edit() -> impl Strategy<Value = Edit> {
    let word = "[ab😀]{0,4}";
    prop_oneof![
        (0..4_u8, any::<i32>()).prop_map(|(key, value)| Edit::MapSet(key, value)),
        (0..4_u8).prop_map(Edit::MapNest),
        (0..4_u8).prop_map(Edit::MapDelete),
        Just(Edit::MapClear),
        (any::<u16>(), proptest::collection::vec(any::<i32>(), 0..4))
            .prop_map(|(at, values)| Edit::ArrayInsert(at, values)),
        (any::<u16>(), word).prop_map(|(at, text)| Edit::ArrayNest(at, text)),
        (any::<u16>(), 0..4_u16).prop_map(|(at, count)| Edit::ArrayDelete(at, count)),
        (any::<u16>(), word, any::<bool>()).prop_map(|(at, text, bold)| Edit::TextInsert(at, text, bold)),
        (any::<u16>(), 0..5_u16).prop_map(|(at, count)| Edit::TextDelete(at, count)),
        (any::<u16>(), 0..5_u16, any::<Option<bool>>()).prop_map(|(at, count, bold)| Edit::TextFormat(at, count, bold)),
        (any::<u16>(), any::<i32>()).prop_map(|(at, value)| Edit::TextEmbed(at, value)),
        (any::<u16>(), 0..5_u16, word).prop_map(|(at, count, text)| Edit::TextDelta(at, count, text)),
        any::<i32>().prop_map(Edit::Inner),
    ]
}

struct Replica {
    doc: Document,
    map: Handle,
    array: Handle,
    text: Handle,
}

impl Replica {
    fn new(client_id: u64) -> Self {
        let mut doc = Document::new(client_id);
        let map = doc.root(Kind::Map, "map").unwrap();
        let array = doc.root(Kind::Array, "array").unwrap();
        let text = doc.root(Kind::Text, "text").unwrap();
        doc.observe(map, true).unwrap();
        doc.observe(array, true).unwrap();
        doc.observe(text, true).unwrap();
        Replica { doc, map, array, text }
    }

    fn edit(&mut self, edit: Edit) {
        let doc = &mut self.doc;
        let (map, array, text) = (self.map, self.array, self.text);
        let place = |at: u16, length: u32| u32::from(at) % (length + 1);
        let span = |at: u16, count: u16, length: u32| {
            let index = place(at, length);
            (index, u32::from(count).min(length - index))
        };
        let bold = |value: Any| [(Arc::from("bold"), value)].into();
        let outcome = match edit {
            Edit::MapSet(key, value) => doc.map_set(map, &key.to_string(), Input::from(value)),
            Edit::MapNest(key) => {
                let text = Input::Text(vec![TextPiece { insert: Input::from("t"), attrs: None }]);
                doc.map_set(map, &key.to_string(), Input::Map(vec![("inner".into(), text)]))
            }
            Edit::MapDelete(key) => doc.map_delete(map, &key.to_string()).map(drop),
            Edit::MapClear => doc.map_clear(map),
            Edit::ArrayInsert(at, values) => {
                let at = place(at, doc.array_length(array).unwrap());
                doc.array_insert(array, at, values.into_iter().map(Input::from).collect())
            }
            Edit::ArrayNest(at, text) => {
                let at = place(at, doc.array_length(array).unwrap());
                let text = Input::Text(vec![TextPiece { insert: Input::from(text), attrs: None }]);
                doc.array_insert(array, at, vec![Input::from(0), text, Input::from(1)])
            }
            Edit::ArrayDelete(at, count) => {
                let (at, count) = span(at, count, doc.array_length(array).unwrap());
                doc.array_delete(array, at, count)
            }
            Edit::TextInsert(at, chunk, formatted) => {
                let at = place(at, doc.text_length(text).unwrap());
                doc.text_insert(text, at, &chunk, formatted.then(|| bold(Any::from(true))))
            }
            Edit::TextDelete(at, count) => {
                let (at, count) = span(at, count, doc.text_length(text).unwrap());
                doc.text_delete(text, at, count)
            }
            Edit::TextFormat(at, count, value) => {
                let (at, count) = span(at, count, doc.text_length(text).unwrap());
                doc.text_format(text, at, count, bold(value.map_or(Any::Null, Any::from)))
            }
            Edit::TextEmbed(at, value) => {
                let at = place(at, doc.text_length(text).unwrap());
                doc.text_insert_embed(text, at, Input::from(value), None)
            }
            Edit::TextDelta(at, count, chunk) => {
                let (at, count) = span(at, count, doc.text_length(text).unwrap());
                let insert = TextDelta::Insert(Input::from(chunk), None);
                doc.text_apply_delta(text, vec![TextDelta::Retain(at, None), insert, TextDelta::Delete(count)])
            }
            Edit::Inner(value) => {
                for (_, entry) in doc.map_entries(map).unwrap() {
                    if let Value::Shared(inner) = entry {
                        doc.map_set(inner, "value", Input::from(value)).unwrap();
                    }
                }
                Ok(())
            }
        };
        match outcome {
            Ok(()) | Err(DocError::SplitsCharacter { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Everything that two replicas must agree on.
    fn state(&mut self) -> (String, yrs::Snapshot, String) {
        let (json, snapshot) = self.doc.fingerprint();
        // Handles differ between documents: a delta is compared by what it shows.
        let delta = self.doc.text_delta(self.text).unwrap();
        (json, snapshot, format!("{delta:?}"))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_any_repetition_converge(
        rounds in proptest::collection::vec(
            (proptest::collection::vec((0..2_usize, edit(), any::<bool>()), 1..12), any::<bool>()),
            1..5,
        ),
        shuffles in proptest::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let mut replicas = [Replica::new(1), Replica::new(2)];
        let mut updates: Vec<Vec<u8>> = Vec::new();
        for (edits, exchange) in rounds {
            for (who, edit, commit) in edits {
                replicas[who].edit(edit);
                if commit {
                    updates.extend(replicas[who].doc.commit());
                }
            }
            for replica in &mut replicas {
                updates.extend(replica.doc.commit());
                if exchange {
                    let all: Vec<&[u8]> = updates.iter().map(Vec::as_slice).collect();
                    replica.doc.apply(&all).unwrap();
                }
            }
        }
        // A late comer gets them one by one, shuffled, some of them twice.
        let mut late = Replica::new(3);
        let mut order: Vec<usize> = (0..updates.len()).chain(0..updates.len() / 2).collect();
        for (place, shuffle) in shuffles.iter().enumerate().take(order.len()) {
            let other = shuffle.index(order.len());
            order.swap(place, other);
        }
        for index in order {
            late.doc.apply(&[&updates[index]]).unwrap();
        }
        let all: Vec<&[u8]> = updates.iter().map(Vec::as_slice).collect();
        let [left, right] = &mut replicas;
        left.doc.apply(&all).unwrap();
        right.doc.apply(&[&left.doc.encode_state()]).unwrap();
        let states = [left.state(), right.state(), late.state()];
        prop_assert_eq!(&states[0], &states[1]);
        prop_assert_eq!(&states[0], &states[2]);
        // And from a snapshot alone.
        let mut copy = Replica::new(4);
        copy.doc.apply(&[&left.doc.encode_state()]).unwrap();
        prop_assert_eq!(&states[0], &copy.state());
        prop_assert!(!copy.doc.has_pending());
    }
}
