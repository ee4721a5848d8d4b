//! Updates in pieces, and documents brought back to what they were.

use headwater_doc::{
    Any, Attrs, DeltaOp, Document, Input, Kind, TextDelta, TextPiece, Value, check_update, split_update, to_json_string,
};

fn of(updates: &[&[u8]]) -> Document {
    let mut doc = Document::new(0);
    doc.apply(updates).unwrap();
    doc
}

fn attrs(key: &str, value: bool) -> Option<Attrs> {
    Some([(key.into(), Any::from(value))].into_iter().collect())
}

/// Bits that look random, the same each time.
struct Bits(u64);

impl Bits {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

/// Writes something at random: three roots, nested types, text with formatting, wide characters, deletions.
fn scribble(doc: &mut Document, bits: &mut Bits) {
    let (map, list, text) = (
        doc.root(Kind::Map, "map").unwrap(),
        doc.root(Kind::Array, "list").unwrap(),
        doc.root(Kind::Text, "text").unwrap(),
    );
    let key = format!("k{}", bits.below(6));
    let length = doc.text_length(text).unwrap();
    let count = doc.array_length(list).unwrap();
    match bits.below(12) {
        0 => doc.map_set(map, &key, Input::from(bits.below(5) as f64)).unwrap(),
        1 => drop(doc.map_delete(map, &key).unwrap()),
        2 => doc.map_set(map, &key, Input::Map(vec![("in".into(), Input::Array(vec![Input::from("x")]))])).unwrap(),
        3 => {
            let piece = TextPiece { insert: Input::from("né"), attrs: attrs("b", true).map(Box::new) };
            doc.map_set(map, &key, Input::Text(vec![piece])).unwrap();
        }
        4 => {
            let Some(Value::Shared(inner)) = doc.map_get(map, &key).unwrap() else { return };
            match inner.kind {
                Kind::Map => doc.map_set(inner, "more", Input::from(bits.below(9) as f64)).unwrap(),
                Kind::Text => doc.text_insert(inner, 0, "z", None).unwrap(),
                Kind::Array => {}
            }
        }
        5 | 6 => {
            let at = bits.below(u64::from(count) + 1) as u32;
            let nested = Input::Map(vec![("n".into(), Input::from(bits.below(100) as f64))]);
            doc.array_insert(list, at, vec![Input::from(bits.below(4) as f64), nested, Input::from("s")]).unwrap();
        }
        7 if count > 2 => doc.array_delete(list, bits.below(u64::from(count) - 2) as u32, 2).unwrap(),
        8 if length > 4 => {
            let _ = doc.text_delete(text, bits.below(u64::from(length) - 3) as u32, 3);
        }
        9 if length > 4 => {
            let at = bits.below(u64::from(length) - 3) as u32;
            let _ = doc.text_format(text, at, 3, attrs("i", true).unwrap());
        }
        10 => {
            let _ = doc.text_insert_embed(text, bits.below(u64::from(length) + 1) as u32, Input::from(7.0), None);
        }
        _ => {
            let _ = doc.text_insert(text, bits.below(u64::from(length) + 1) as u32, "a😀bc", None);
        }
    }
}

/// What shows of the shared types, formatting included.
fn shown(doc: &mut Document) -> String {
    let text = doc.root(Kind::Text, "text").unwrap();
    let delta = doc.text_delta(text).unwrap().into_iter().flat_map(|op| match op {
        TextDelta::Insert(Value::Any(Any::String(text)), attrs) => {
            text.chars().map(|character| format!("{character}{attrs:?}")).collect()
        }
        TextDelta::Insert(value, attrs) => vec![format!("{value:?}{attrs:?}")],
        _ => unreachable!("a whole content only inserts"),
    });
    let delta: Vec<String> = delta.collect();
    // A root that was written once stays, if empty: it is asked for by its kind.
    let (map, list) = (doc.root(Kind::Map, "map").unwrap(), doc.root(Kind::Array, "list").unwrap());
    let (map, list) = (doc.map_to_json(map).unwrap(), doc.array_to_json(list).unwrap());
    format!("{} {} {delta:?}", to_json_string(&map), to_json_string(&list))
}

#[test]
fn pieces_have_the_size_asked_for_and_are_together_what_they_were_cut_from() {
    for seed in 0..40 {
        let mut bits = Bits(seed);
        let mut doc = Document::new(seed + 1);
        let text = doc.root(Kind::Text, "long").unwrap();
        doc.text_insert(text, 0, &"wörds and 😀 ".repeat(400), None).unwrap();
        let list = doc.root(Kind::Array, "values").unwrap();
        doc.array_push(list, (0..900).map(|n| Input::from(f64::from(n) + 0.5)).collect()).unwrap();
        doc.commit();
        let mut other = Document::new(seed + 1000);
        other.apply(&[&doc.encode_state()]).unwrap();
        for _ in 0..200 {
            scribble(&mut doc, &mut bits);
            doc.commit();
            scribble(&mut other, &mut bits);
            other.commit();
        }
        doc.apply(&[&other.encode_state()]).unwrap();
        let whole = doc.encode_state();
        for max in [1024, 1500, 5000, whole.len()] {
            let mut pieces = split_update(&whole, max).unwrap();
            assert!(pieces.iter().all(|piece| piece.len() <= max), "{max}");
            assert_eq!(pieces.len() == 1, max == whole.len());
            pieces.iter().for_each(|piece| check_update(piece).unwrap());
            let order: Vec<usize> = (0..pieces.len()).map(|_| bits.below(1 << 30) as usize).collect();
            let mut shuffled: Vec<(usize, Vec<u8>)> = order.into_iter().zip(pieces.drain(..)).collect();
            shuffled.sort();
            let copy = of(&shuffled.iter().map(|(_, piece)| piece.as_slice()).collect::<Vec<_>>());
            assert!(!copy.has_pending());
            assert_eq!(copy.fingerprint(), doc.fingerprint());
        }
    }
}

#[test]
fn many_deletions_are_cut_as_well() {
    let mut doc = Document::new(1);
    let text = doc.root(Kind::Text, "text").unwrap();
    doc.text_insert(text, 0, &"ab".repeat(4000), None).unwrap();
    doc.commit();
    for at in 0..3000 {
        doc.text_delete(text, at, 1).unwrap();
    }
    doc.commit();
    let whole = doc.encode_state();
    let pieces = split_update(&whole, 1024).unwrap();
    assert!(pieces.len() > 5 && pieces.iter().all(|piece| piece.len() <= 1024));
    let copy = of(&pieces.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!(copy.fingerprint(), doc.fingerprint());
}

#[test]
fn a_restored_document_shows_what_it_showed_then_and_another_restoration_does_nothing() {
    for seed in 0..300 {
        let mut bits = Bits(seed);
        let mut doc = Document::new(seed + 1);
        for _ in 0..bits.below(40) {
            scribble(&mut doc, &mut bits);
            doc.commit();
        }
        let mut then = of(&[&doc.encode_state()]);
        for _ in 0..bits.below(60) {
            scribble(&mut doc, &mut bits);
            doc.commit();
        }
        let now = doc.encode_state();
        let mut restoring = Document::new(5000 + seed);
        restoring.apply(&[&now]).unwrap();
        let update = restoring.restore(&then).unwrap();
        let mut restored = of(&[&now]);
        if let Some(update) = &update {
            restored.apply(&[update]).unwrap();
        }
        assert_eq!(shown(&mut restored), shown(&mut then), "seed {seed}");
        let mut again = Document::new(9000 + seed);
        again.apply(&[&restored.encode_state()]).unwrap();
        assert_eq!(again.restore(&then).unwrap(), None, "seed {seed}");
    }
}

#[test]
fn what_is_taken_in_is_a_write_of_what_was_not_there() {
    for seed in 0..60 {
        let mut bits = Bits(seed);
        let mut theirs = Document::new(seed + 1);
        let mut ours = Document::new(seed + 1000);
        for _ in 0..60 {
            scribble(&mut theirs, &mut bits);
            theirs.commit();
            if bits.below(4) == 0 {
                ours.apply(&[&theirs.encode_state()]).unwrap();
            }
            scribble(&mut ours, &mut bits);
            ours.commit();
        }
        let before = ours.encode_state();
        let update = theirs.encode_state();
        let news = ours.take_in(&update).unwrap();
        let mut other = of(&[&before]);
        news.iter().for_each(|news| other.apply(&[news]).unwrap());
        assert_eq!(other.fingerprint(), ours.fingerprint());
        assert_eq!(of(&[&before, &update]).fingerprint(), ours.fingerprint());
        assert_eq!(ours.take_in(&update).unwrap(), None, "seed {seed}");
    }
}

#[test]
fn what_is_as_it_was_is_not_written_and_what_others_write_meanwhile_stays() {
    let mut doc = Document::new(1);
    let text = doc.root(Kind::Text, "text").unwrap();
    doc.text_insert(text, 0, &"long ".repeat(1000), None).unwrap();
    let map = doc.root(Kind::Map, "map").unwrap();
    doc.map_set(map, "inner", Input::Map(vec![])).unwrap();
    doc.commit();
    let then = of(&[&doc.encode_state()]);
    doc.text_apply_delta(text, vec![DeltaOp::Retain(2500, None), DeltaOp::Insert(Input::from("oops"), None)]).unwrap();
    doc.commit();
    let now = doc.encode_state();
    // Somebody who has not heard of the restoration goes on.
    let mut other = Document::new(2);
    other.apply(&[&now]).unwrap();
    let theirs = other.root(Kind::Map, "map").unwrap();
    let Some(Value::Shared(inner)) = other.map_get(theirs, "inner").unwrap() else { panic!("a map") };
    other.map_set(inner, "later", Input::from(true)).unwrap();
    let later = other.commit().unwrap();
    let mut restoring = Document::new(3);
    restoring.apply(&[&now]).unwrap();
    let update = restoring.restore(&then).unwrap().unwrap();
    assert!(update.len() < 40, "it says only what differs: {} bytes", update.len());
    doc.apply(&[&update, &later]).unwrap();
    assert_eq!(doc.text_string(text).unwrap(), "long ".repeat(1000));
    assert!(doc.to_json_string().contains(r#""inner":{"later":true}"#));
}
