//! What observers are told, when, and in which order.

use std::sync::Arc;

use headwater_doc::{
    Any, ArrayDelta, Change, Document, Event, EventBatch, Handle, Input, KeyAction, KeyChange, Kind, PathStep,
    TextDelta, Value,
};

fn any(value: impl Into<Any>) -> Value {
    Value::Any(value.into())
}

fn only(mut batches: Vec<EventBatch>) -> Event {
    assert_eq!(batches.len(), 1, "{batches:?}");
    assert_eq!(batches[0].events.len(), 1, "{batches:?}");
    batches.remove(0).events.remove(0)
}

fn inner(value: Option<Value>) -> Handle {
    match value {
        Some(Value::Shared(handle)) => handle,
        other => panic!("expected a shared type, got {other:?}"),
    }
}

#[test]
fn a_map_tells_what_happened_to_each_key() {
    let mut doc = Document::new(1);
    let map = doc.root(Kind::Map, "map").unwrap();
    doc.map_set(map, "gone", Input::from(1)).unwrap();
    doc.map_set(map, "kept", Input::from(2)).unwrap();
    doc.commit();
    doc.observe(map, false).unwrap();
    doc.map_set(map, "new", Input::from(3)).unwrap();
    doc.map_set(map, "kept", Input::from(4)).unwrap();
    doc.map_delete(map, "gone").unwrap();
    assert!(doc.take_events().is_empty(), "nothing before the commit");
    doc.commit();
    let event = only(doc.take_events());
    let change = |key: &str, action, old| KeyChange { key: key.into(), action, old };
    assert_eq!((event.target, event.path.len(), event.local), (map, 0, true));
    assert_eq!(
        event.change,
        Change::Map(vec![
            change("gone", KeyAction::Delete, Some(any(1))),
            change("kept", KeyAction::Update, Some(any(2))),
            change("new", KeyAction::Add, None),
        ])
    );
    assert!(doc.take_events().is_empty(), "each event is handed out once");
}

#[test]
fn sequences_tell_the_steps_and_remote_changes_say_so() {
    let mut left = Document::new(1);
    let mut right = Document::new(2);
    let (array, text) = (left.root(Kind::Array, "array").unwrap(), left.root(Kind::Text, "text").unwrap());
    left.array_push(array, vec![Input::from(1), Input::from(2), Input::from(3)]).unwrap();
    left.text_insert(text, 0, "abc", None).unwrap();
    right.apply(&[&left.commit().unwrap()]).unwrap();
    let (array_there, text_there) =
        (right.root(Kind::Array, "array").unwrap(), right.root(Kind::Text, "text").unwrap());
    let first = right.observe(array_there, false).unwrap();
    let second = right.observe(text_there, false).unwrap();
    left.array_delete(array, 1, 1).unwrap();
    left.array_insert(array, 1, vec![Input::from("x")]).unwrap();
    left.text_insert(text, 3, "d", Some([(Arc::from("b"), Any::from(true))].into())).unwrap();
    right.apply(&[&left.commit().unwrap()]).unwrap();
    let events = right.take_events();
    assert_eq!(events.iter().map(|batch| batch.observer).collect::<Vec<_>>(), [first, second]);
    assert!(events.iter().all(|batch| !batch.events[0].local));
    let Change::Array(steps) = &events[0].events[0].change else { panic!("{events:?}") };
    assert_eq!(steps[0], ArrayDelta::Retain(1));
    assert!(steps.contains(&ArrayDelta::Insert(vec![any("x")])) && steps.contains(&ArrayDelta::Delete(1)));
    let bold = Some(Box::new([(Arc::from("b"), Any::from(true))].into()));
    assert_eq!(
        events[1].events[0].change,
        Change::Text(vec![TextDelta::Retain(3, None), TextDelta::Insert(any("d"), bold)])
    );
}

#[test]
fn a_deep_observer_hears_of_everything_within() {
    let mut doc = Document::new(1);
    let map = doc.root(Kind::Map, "map").unwrap();
    doc.map_set(map, "list", Input::Array(vec![Input::from(0), Input::Map(vec![])])).unwrap();
    let list = inner(doc.map_get(map, "list").unwrap());
    let leaf = inner(doc.array_get(list, 1).unwrap());
    doc.commit();
    let id = doc.observe(map, true).unwrap();
    doc.map_set(leaf, "k", Input::from(1)).unwrap();
    doc.map_set(map, "top", Input::from(1)).unwrap();
    doc.commit();
    let batches = doc.take_events();
    assert_eq!(batches.len(), 1);
    let events: Vec<_> = batches[0].events.iter().map(|event| (event.target, event.path.clone())).collect();
    assert_eq!(events, [(map, vec![]), (leaf, vec![PathStep::Key("list".into()), PathStep::Index(1)])]);
    assert!(doc.unobserve(id));
    assert!(!doc.unobserve(id));
    doc.map_set(leaf, "k", Input::from(2)).unwrap();
    doc.commit();
    assert!(doc.take_events().is_empty());
}

#[test]
fn a_deleted_type_is_named_and_its_observer_can_end() {
    let mut doc = Document::new(1);
    let map = doc.root(Kind::Map, "map").unwrap();
    doc.map_set(map, "list", Input::Array(vec![])).unwrap();
    let list = inner(doc.map_get(map, "list").unwrap());
    doc.commit();
    let on_list = doc.observe(list, false).unwrap();
    doc.observe(map, false).unwrap();
    doc.map_delete(map, "list").unwrap();
    doc.commit();
    let event = only(doc.take_events());
    assert_eq!(
        event.change,
        Change::Map(vec![KeyChange { key: "list".into(), action: KeyAction::Delete, old: Some(Value::Shared(list)) }])
    );
    assert!(doc.unobserve(on_list));
}

#[test]
fn an_open_transaction_may_be_observed() {
    let mut doc = Document::new(1);
    let map = doc.root(Kind::Map, "map").unwrap();
    doc.map_set(map, "k", Input::from(1)).unwrap();
    doc.observe(map, false).unwrap();
    doc.commit();
    assert_eq!(doc.take_events().len(), 1);
}
