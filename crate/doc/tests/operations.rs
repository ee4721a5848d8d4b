//! What each operation does, and how each refuses.

use std::sync::Arc;

use headwater_doc::{Any, Attrs, DocError, Document, Handle, Input, Kind, TextDelta, TextPiece, Value, to_json_string};

fn attrs(pairs: &[(&str, Any)]) -> Attrs {
    pairs.iter().map(|(key, value)| (Arc::from(*key), value.clone())).collect()
}

fn code<T: std::fmt::Debug>(result: Result<T, DocError>) -> &'static str {
    result.expect_err("should have been refused").code()
}

fn shared(value: Option<Value>) -> Handle {
    match value {
        Some(Value::Shared(handle)) => handle,
        other => panic!("expected a shared type, got {other:?}"),
    }
}

fn doc(kind: Kind) -> (Document, Handle) {
    let mut doc = Document::new(1);
    let root = doc.root(kind, "root").unwrap();
    (doc, root)
}

#[test]
fn a_map_sets_gets_lists_and_deletes() {
    let (mut doc, map) = doc(Kind::Map);
    doc.map_set(map, "b", Input::from(2)).unwrap();
    doc.map_set(map, "a", Input::from("one")).unwrap();
    doc.map_set(map, "b", Input::from(3)).unwrap();
    assert_eq!(doc.map_get(map, "b").unwrap(), Some(Value::Any(Any::from(3))));
    assert_eq!(doc.map_get(map, "z").unwrap(), None);
    assert_eq!(doc.map_keys(map).unwrap(), ["a", "b"]);
    assert_eq!(doc.map_entries(map).unwrap()[0], ("a".into(), Value::Any(Any::from("one"))));
    assert_eq!(doc.map_size(map).unwrap(), 2);
    assert!(doc.map_has(map, "a").unwrap());
    assert!(doc.map_delete(map, "a").unwrap());
    assert!(!doc.map_delete(map, "a").unwrap());
    assert!(!doc.map_has(map, "a").unwrap());
    assert_eq!(to_json_string(&doc.map_to_json(map).unwrap()), r#"{"b":3}"#);
    doc.map_clear(map).unwrap();
    assert_eq!(doc.map_size(map).unwrap(), 0);
}

#[test]
fn an_array_inserts_many_reads_and_deletes() {
    let (mut doc, array) = doc(Kind::Array);
    doc.array_push(array, vec![Input::from(1), Input::Map(vec![]), Input::from(4)]).unwrap();
    doc.array_insert(array, 1, vec![Input::from(2), Input::from(3)]).unwrap();
    assert_eq!(doc.array_length(array).unwrap(), 5);
    assert_eq!(doc.array_get(array, 2).unwrap(), Some(Value::Any(Any::from(3))));
    assert_eq!(doc.array_get(array, 5).unwrap(), None);
    assert!(matches!(doc.array_values(array).unwrap()[3], Value::Shared(Handle { kind: Kind::Map, .. })));
    doc.array_delete(array, 1, 3).unwrap();
    assert_eq!(to_json_string(&doc.array_to_json(array).unwrap()), "[1,4]");
    doc.array_insert(array, 2, vec![]).unwrap();
    doc.array_delete(array, 2, 0).unwrap();
}

#[test]
fn a_text_inserts_formats_embeds_and_deletes() {
    let (mut doc, text) = doc(Kind::Text);
    let bold = attrs(&[("bold", Any::from(true))]);
    doc.text_insert(text, 0, "hello world", None).unwrap();
    doc.text_format(text, 0, 5, bold.clone()).unwrap();
    doc.text_insert(text, 11, "!", Some(bold.clone())).unwrap();
    let image = Any::Map(Arc::new([("src".to_owned(), Any::from("x.png"))].into()));
    doc.text_insert_embed(text, 5, Input::Any(image.clone()), Some(bold.clone())).unwrap();
    assert_eq!(code(doc.text_insert_embed(text, 5, Input::from("a string"), None)), "TYPE");
    doc.text_delete(text, 6, 1).unwrap();
    assert_eq!(doc.text_string(text).unwrap(), "helloworld!");
    assert_eq!(doc.text_length(text).unwrap(), 12);
    let bold = Some(Box::new(bold));
    let piece = |text: &str, attrs| TextDelta::Insert(Value::Any(Any::from(text)), attrs);
    assert_eq!(
        doc.text_delta(text).unwrap(),
        [
            piece("hello", bold.clone()),
            TextDelta::Insert(Value::Any(image), bold.clone()),
            piece("world", None),
            piece("!", bold)
        ]
    );
}

#[test]
fn a_delta_walks_a_text_once() {
    let (mut doc, text) = doc(Kind::Text);
    doc.text_apply_delta(text, vec![TextDelta::Insert(Input::from("one two"), None)]).unwrap();
    let italic = Some(Box::new(attrs(&[("italic", Any::from(true))])));
    doc.text_apply_delta(
        text,
        vec![
            TextDelta::Retain(3, italic.clone()),
            TextDelta::Delete(1),
            TextDelta::Insert(Input::Map(vec![("k".into(), Input::from(1))]), None),
            TextDelta::Insert(Input::from("-"), None),
        ],
    )
    .unwrap();
    assert_eq!(doc.text_string(text).unwrap(), "one-two");
    assert_eq!(doc.text_length(text).unwrap(), 8);
    let delta = doc.text_delta(text).unwrap();
    assert_eq!(delta[0], TextDelta::Insert(Value::Any(Any::from("one")), italic));
    let TextDelta::Insert(Value::Shared(map), None) = delta[1] else { panic!("{delta:?}") };
    assert_eq!(doc.map_get(map, "k").unwrap(), Some(Value::Any(Any::from(1))));
}

#[test]
fn new_shared_types_nest() {
    let (mut doc, map) = doc(Kind::Map);
    let bold = Some(Box::new(attrs(&[("bold", Any::from(true))])));
    let piece = |text: &str, attrs| TextPiece { insert: Input::from(text), attrs };
    let tree = Input::Array(vec![
        Input::from(1),
        Input::Map(vec![("text".into(), Input::Text(vec![piece("bo", bold.clone()), piece("ld", None)]))]),
        Input::from(2),
    ]);
    doc.map_set(map, "tree", tree).unwrap();
    assert_eq!(doc.to_json_string(), r#"{"root":{"tree":[1,{"text":"bold"},2]}}"#);
    let array = shared(doc.map_get(map, "tree").unwrap());
    let inner = shared(doc.array_get(array, 1).unwrap());
    let text = shared(doc.map_get(inner, "text").unwrap());
    assert_eq!(doc.text_delta(text).unwrap().len(), 2);
    assert_eq!(shared(doc.map_get(map, "tree").unwrap()), array, "a handle is the same at every reading");
}

#[test]
fn positions_past_the_end_are_refused() {
    let (mut doc, array) = doc(Kind::Array);
    let text = doc.root(Kind::Text, "text").unwrap();
    assert_eq!(code(doc.array_insert(array, 1, vec![Input::from(1)])), "RANGE");
    assert_eq!(code(doc.array_delete(array, 0, 1)), "RANGE");
    assert_eq!(code(doc.array_delete(array, u32::MAX, u32::MAX)), "RANGE");
    assert_eq!(code(doc.text_insert(text, 1, "x", None)), "RANGE");
    assert_eq!(code(doc.text_delete(text, 0, 1)), "RANGE");
    assert_eq!(code(doc.text_format(text, 0, 1, attrs(&[("b", Any::Null)]))), "RANGE");
    assert_eq!(code(doc.text_insert_embed(text, 1, Input::from(1), None)), "RANGE");
    assert_eq!(code(doc.text_apply_delta(text, vec![TextDelta::Retain(1, None)])), "RANGE");
    assert_eq!(code(doc.text_apply_delta(text, vec![TextDelta::Delete(1)])), "RANGE");
    assert!(!doc.is_open(), "a refused operation opens nothing");
}

#[test]
fn a_character_is_never_cut_in_half() {
    let (mut left, text) = doc(Kind::Text);
    let mut right = Document::new(2);
    left.text_insert(text, 0, "a😀b", None).unwrap();
    left.text_insert_embed(text, 0, Input::from(vec![1_u8]), None).unwrap();
    right.apply(&[&left.commit().unwrap()]).unwrap();
    let there = right.root(Kind::Text, "root").unwrap();
    for (doc, text) in [(&mut left, text), (&mut right, there)] {
        assert_eq!(doc.text_length(text).unwrap(), 5);
        assert_eq!(code(doc.text_insert(text, 3, "x", None)), "RANGE");
        assert_eq!(code(doc.text_delete(text, 2, 1)), "RANGE");
        assert_eq!(code(doc.text_format(text, 3, 2, attrs(&[("b", Any::from(2))]))), "RANGE");
        assert_eq!(code(doc.text_insert_embed(text, 3, Input::from(1), None)), "RANGE");
        assert_eq!(code(doc.text_apply_delta(text, vec![TextDelta::Retain(3, None)])), "RANGE");
        doc.text_insert(text, 2, "x", None).unwrap();
        doc.text_delete(text, 3, 2).unwrap();
        assert_eq!(doc.text_string(text).unwrap(), "axb");
    }
}

#[test]
fn a_deleted_type_says_so() {
    let (mut doc, map) = doc(Kind::Map);
    doc.map_set(map, "inner", Input::Map(vec![("deep".into(), Input::Array(vec![]))])).unwrap();
    let inner = shared(doc.map_get(map, "inner").unwrap());
    let deep = shared(doc.map_get(inner, "deep").unwrap());
    doc.map_delete(map, "inner").unwrap();
    assert_eq!(code(doc.map_get(inner, "deep")), "DELETED");
    doc.commit();
    assert_eq!(code(doc.map_set(inner, "x", Input::from(1))), "DELETED");
    assert_eq!(code(doc.array_push(deep, vec![])), "DELETED");
    assert_eq!(code(doc.observe(inner, false)), "DELETED");
    let forged = Handle { index: 999, kind: Kind::Map };
    assert_eq!(code(doc.map_size(forged)), "DELETED");
}

#[test]
fn a_root_has_one_kind() {
    let (mut doc, map) = doc(Kind::Map);
    assert_eq!(code(doc.root(Kind::Array, "root")), "TYPE");
    assert_eq!(code(doc.root(Kind::Text, "root")), "TYPE");
    assert_eq!(code(doc.array_length(Handle { kind: Kind::Array, ..map })), "TYPE");
    assert_eq!(doc.root(Kind::Map, "root").unwrap(), map);
}

#[test]
fn a_root_that_arrived_has_the_kind_of_its_content() {
    let mut there = Document::new(1);
    let (array, text) = (there.root(Kind::Array, "array").unwrap(), there.root(Kind::Text, "text").unwrap());
    there.array_push(array, vec![Input::from("not text"), Input::from(1)]).unwrap();
    there.text_insert(text, 0, "text", None).unwrap();
    there.text_insert_embed(text, 0, Input::from(1), None).unwrap();
    let mut here = Document::new(2);
    here.apply(&[&there.commit().unwrap()]).unwrap();
    assert_eq!(here.to_json_string(), r#"{"array":["not text",1],"text":"text"}"#);
    assert_eq!(code(here.root(Kind::Text, "array")), "TYPE");
    assert_eq!(code(here.root(Kind::Array, "text")), "TYPE");
    let text = here.root(Kind::Text, "text").unwrap();
    assert_eq!(here.text_length(text).unwrap(), 5);
    assert!(here.root(Kind::Array, "array").is_ok());
    assert_eq!(here.to_json_string(), there.to_json_string());
}

#[test]
fn commit_answers_what_changed_or_nothing() {
    let (mut doc, map) = doc(Kind::Map);
    assert_eq!(doc.commit(), None);
    doc.begin();
    assert!(doc.is_open());
    assert_eq!(doc.commit(), None);
    doc.map_set(map, "k", Input::from(1)).unwrap();
    let set = doc.commit().expect("something was set");
    assert!(!doc.map_delete(map, "other").unwrap());
    assert_eq!(doc.commit(), None);
    let before = doc.state_vector();
    doc.map_delete(map, "k").unwrap();
    let deleted = doc.commit().expect("a deletion is a change");
    assert_eq!(doc.state_vector(), before, "though a state vector does not show it");
    let mut other = Document::new(2);
    other.apply(&[&deleted, &set]).unwrap();
    assert_eq!(other.fingerprint(), doc.fingerprint());
}

#[test]
fn a_transaction_reads_its_own_writes_and_keeps_others_out() {
    let (mut doc, map) = doc(Kind::Map);
    let empty = Document::new(2).encode_state();
    doc.map_set(map, "k", Input::from(1)).unwrap();
    assert_eq!(doc.map_size(map).unwrap(), 1);
    assert_eq!(doc.to_json_string(), r#"{"root":{"k":1}}"#);
    assert_eq!(code(doc.apply(&[&empty])), "BUSY");
    doc.commit();
    doc.apply(&[&empty]).unwrap();
}

#[test]
fn an_open_transaction_may_be_moved_and_dropped() {
    let (mut doc, map) = doc(Kind::Map);
    doc.map_set(map, "k", Input::from(1)).unwrap();
    let mut boxed = Box::new(doc);
    boxed.map_set(map, "l", Input::from(2)).unwrap();
    let moved = *boxed;
    assert_eq!(moved.map_size(map).unwrap(), 2);
    drop(moved);
}

#[test]
fn a_diff_brings_the_rest() {
    let (mut left, map) = doc(Kind::Map);
    left.map_set(map, "a", Input::from(1)).unwrap();
    let first = left.commit().unwrap();
    left.map_set(map, "b", Input::from(2)).unwrap();
    left.map_delete(map, "a").unwrap();
    left.commit();
    let mut right = Document::new(2);
    right.apply(&[&first]).unwrap();
    let diff = left.encode_diff(&right.state_vector()).unwrap();
    assert!(diff.len() < left.encode_state().len());
    right.apply(&[&diff]).unwrap();
    assert_eq!(left.fingerprint(), right.fingerprint());
    assert_eq!(code(left.encode_diff(&[0xff, 0xff, 0xff, 0xff, 0x0f])), "MALFORMED");
}

#[test]
fn an_update_without_its_predecessor_waits() {
    let (mut left, text) = doc(Kind::Text);
    left.text_insert(text, 0, "one", None).unwrap();
    let first = left.commit().unwrap();
    left.text_insert(text, 3, "two", None).unwrap();
    let second = left.commit().unwrap();
    let mut right = Document::new(2);
    right.apply(&[&second]).unwrap();
    assert!(right.has_pending());
    let mut third = Document::new(3);
    third.apply(&[&right.encode_state()]).unwrap();
    for doc in [&mut right, &mut third] {
        doc.apply(&[&first]).unwrap();
        assert!(!doc.has_pending());
        assert_eq!(doc.fingerprint(), left.fingerprint());
    }
}

#[test]
fn one_bad_update_keeps_the_good_ones_out() {
    let (mut left, map) = doc(Kind::Map);
    left.map_set(map, "k", Input::from(1)).unwrap();
    let good = left.commit().unwrap();
    let mut right = Document::new(2);
    let (mut longer, shorter) = (good.clone(), &good[..good.len() - 1]);
    longer.push(0);
    for bad in [&longer, shorter, &[], &[1]] {
        assert_eq!(code(right.apply(&[&good, bad])), "MALFORMED");
        assert_eq!(right.to_json_string(), "{}");
    }
}

#[test]
fn values_keep_their_types() {
    let (mut left, array) = doc(Kind::Array);
    // Not a double. (yrs writes an integer that is exactly one as one.)
    let big = (1_i64 << 60) + 1;
    let values = [
        Any::Null,
        Any::Undefined,
        Any::from(true),
        Any::from(-7),
        Any::from(0.5),
        Any::from(big),
        Any::from("s\u{0}\"😀"),
        Any::from(vec![0_u8, 255]),
        Any::from(vec![Any::from(1)]),
    ];
    left.array_push(array, values.iter().cloned().map(Input::Any).collect()).unwrap();
    let mut right = Document::new(2);
    right.apply(&[&left.commit().unwrap()]).unwrap();
    let array = right.root(Kind::Array, "root").unwrap();
    let read: Vec<_> = right.array_values(array).unwrap();
    assert_eq!(read, values.map(Value::Any));
    assert_eq!(
        right.to_json_string(),
        r#"{"root":[null,null,true,-7,0.5,1152921504606846977,"s\u0000\"😀",[0,255],[1]]}"#
    );
}
