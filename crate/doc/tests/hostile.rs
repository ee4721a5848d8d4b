//! Bytes from anybody: nothing panics, nothing asks for memory that the bytes do not warrant, and what passes the check
//! decodes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use headwater_doc::{
    Any, Document, Input, Kind, MAX_CLOCK, MAX_SUBDOCS_PER_UPDATE, MAX_VALUE_DEPTH, TextDelta, check_update,
};
use proptest::prelude::*;
use yrs::updates::decoder::Decode;

/// What one input may allocate in all, whatever it is: the largest input here is about a kilobyte.
const ALLOCATED_BYTES_MAX: usize = 4 << 20;

struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: hands every call on to the system allocator unchanged and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has no counter any more, and need not be counted.
        let _ = ALLOCATED.try_with(|total| total.set(total.get() + layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocated(f: impl FnOnce()) -> usize {
    let before = ALLOCATED.get();
    f();
    ALLOCATED.get() - before
}

/// Checks, and where that passes decodes and applies to a document that has something in it.
fn survives(bytes: &[u8]) {
    let spent = allocated(|| {
        let checked = check_update(bytes);
        if checked.is_ok() {
            assert!(yrs::Update::decode_v1(bytes).is_ok(), "passed the check but does not decode: {bytes:?}");
        }
    });
    assert!(spent < ALLOCATED_BYTES_MAX, "{spent} bytes for {bytes:?}");
}

fn applies(bytes: &[u8]) {
    if check_update(bytes).is_err() {
        return;
    }
    let mut doc = Document::new(9);
    doc.apply(&[&rich_update()]).unwrap();
    let _ = doc.apply(&[bytes]);
    doc.to_json_string();
    doc.encode_state();
}

/// An update with every kind of content.
fn rich_update() -> Vec<u8> {
    let mut doc = Document::new(1);
    let map = doc.root(Kind::Map, "map").unwrap();
    let array = doc.root(Kind::Array, "array").unwrap();
    let text = doc.root(Kind::Text, "text").unwrap();
    let nested = Any::from(vec![Any::from(1), Any::from(0.1), Any::from(true), Any::Null, Any::Undefined]);
    doc.map_set(map, "plain", Input::Any(nested)).unwrap();
    doc.map_set(map, "bytes", Input::from(vec![1_u8, 2, 3])).unwrap();
    doc.map_set(map, "shared", Input::Map(vec![("k".into(), Input::Array(vec![Input::from("v")]))])).unwrap();
    doc.array_push(array, vec![Input::from(1_i64 << 40), Input::Map(vec![]), Input::from((1_i64 << 60) + 1)]).unwrap();
    doc.array_delete(array, 1, 1).unwrap();
    let bold = Some(Box::new([(Arc::from("bold"), Any::from(true))].into()));
    let delta = vec![
        TextDelta::Insert(Input::from("hello 😀"), bold),
        TextDelta::Insert(Input::Any(Any::Map(Arc::new([("src".to_owned(), Any::from("x"))].into()))), None),
    ];
    doc.text_apply_delta(text, delta).unwrap();
    doc.text_delete(text, 1, 2).unwrap();
    doc.commit().unwrap()
}

fn var(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// An update of one block by client 1, from what follows the block's info byte.
fn one_block(info: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1, 1, 1, 0, info];
    if info & 0xc0 == 0 && info != 0 && info != 10 {
        bytes.extend([1, 1, b'r']);
    }
    bytes.extend(rest);
    bytes.push(0);
    bytes
}

fn refused(bytes: &[u8]) -> &'static str {
    let mut outcome = Ok(());
    let spent = allocated(|| outcome = check_update(bytes));
    assert!(spent < 64 << 10, "{spent} bytes to refuse {} bytes", bytes.len());
    outcome.expect_err("should have been refused").reason
}

#[test]
fn what_yrs_writes_passes() {
    check_update(&rich_update()).unwrap();
    check_update(&Document::new(1).encode_state()).unwrap();
    check_update(&[0, 0]).unwrap();
}

#[test]
fn every_prefix_and_every_suffix_is_refused() {
    let update = rich_update();
    for end in 0..update.len() {
        assert!(check_update(&update[..end]).is_err(), "the first {end} bytes");
    }
    for more in [&[0][..], &[0, 0]] {
        assert_eq!(refused(&[&update[..], more].concat()), "bytes after the end of the update");
    }
}

#[test]
fn counts_are_not_believed() {
    let mut huge = Vec::new();
    var(u64::from(u32::MAX), &mut huge);
    let too_many = "a count larger than what is left";
    assert_eq!(refused(&huge), too_many);
    assert_eq!(refused(&[&[1][..], &huge, &[1, 0]].concat()), too_many);
    assert_eq!(refused(&[&[0][..], &huge].concat()), too_many);
    assert_eq!(refused(&one_block(8, &huge)), too_many);
    assert_eq!(refused(&one_block(8, &[&[1, 117][..], &huge].concat())), too_many);
    assert_eq!(refused(&one_block(8, &[&[1, 118][..], &huge].concat())), too_many);
    assert_eq!(refused(&one_block(4, &huge)), too_many);
    assert_eq!(refused(&one_block(3, &huge)), too_many);
    assert_eq!(refused(&[0xff; 64]), "an integer that does not fit 64 bits");
}

#[test]
fn depth_is_bounded() {
    let nest = |depth: usize| one_block(8, &[&[1][..], &[117, 1].repeat(depth), &[126]].concat());
    check_update(&nest(MAX_VALUE_DEPTH)).unwrap();
    survives(&nest(MAX_VALUE_DEPTH));
    assert_eq!(refused(&nest(MAX_VALUE_DEPTH + 1)), "values nested too deep");
    assert_eq!(refused(&nest(1 << 20)), "values nested too deep");
    let mut json = Vec::new();
    var(200_000, &mut json);
    json.extend([b'['; 200_000]);
    assert_eq!(refused(&one_block(5, &json)), "JSON that does not parse");
}

#[test]
fn clocks_and_clients_are_bounded() {
    let mut edge = Vec::new();
    var(MAX_CLOCK, &mut edge);
    check_update(&one_block(0, &edge)).unwrap();
    applies(&one_block(0, &edge));
    let mut beyond = Vec::new();
    var(MAX_CLOCK + 1, &mut beyond);
    assert_eq!(refused(&one_block(0, &beyond)), "a range that ends above the largest clock");
    assert_eq!(refused(&one_block(1, &beyond)), "a range that ends above the largest clock");
    assert_eq!(refused(&[&[0, 1, 1, 1][..], &[1], &edge].concat()), "a range that ends above the largest clock");
    assert_eq!(refused(&[&[1, 0, 1][..], &beyond, &[0]].concat()), "a clock above the largest clock");
    assert_eq!(refused(&one_block(0, &[0])), "an empty block");
    let mut client = vec![1, 0];
    var(1 << 53, &mut client);
    client.extend([0, 0]);
    assert_eq!(refused(&client), "a client id above 53 bits");
    assert_eq!(refused(&[2, 0, 1, 0, 0, 1, 0, 0]), "a client with two sections");
}

#[test]
fn subdocuments_are_counted() {
    let many = |count: u64| {
        let mut bytes = vec![1];
        var(count, &mut bytes);
        bytes.extend([1, 0]);
        for _ in 0..count {
            bytes.extend([9, 1, 1, b'r', 1, b'g', 118, 0]);
        }
        bytes.push(0);
        bytes
    };
    check_update(&many(MAX_SUBDOCS_PER_UPDATE as u64)).unwrap();
    assert!(check_update(&many(MAX_SUBDOCS_PER_UPDATE as u64 + 1)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_survive(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes);
        applies(&bytes);
    }

    #[test]
    fn mutated_updates_survive(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..5),
    ) {
        let mut bytes = rich_update();
        for (at, byte, how) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte & 7),
                2 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        survives(&bytes);
        applies(&bytes);
    }
}
