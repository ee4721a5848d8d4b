//! Fuzz targets: functions that take any bytes and must return.
//!
//! They know no fuzzer. The test beside them runs them over the golden frames, damaged in random ways; under libFuzzer
//! a target is one line, `fuzz_target!(|bytes: &[u8]| headwater_fuzz::frames(bytes))`, in a crate of its own, since that
//! needs a nightly compiler and this workspace does not.

use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::group::Record;
use headwater_core::node::group::message::{Call, Reply};
use headwater_core::node::{Config, Input, Node, Output, Retention};
use headwater_core::store::{Scan, Table};
use headwater_core::{Batch, Bookmark, ConnId, Frontier, Generation, Millis, Origin, Segment};

/// A target.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const TARGETS: [(&str, Target); 5] = [
    ("frames", frames),
    ("bookmarks", bookmarks),
    ("segments", segments),
    ("connection", connection),
    ("calls", calls),
];

/// Frames of both sides: what decodes means the same after another trip.
pub fn frames(bytes: &[u8]) {
    if let Ok(frame) = ClientFrame::decode(bytes) {
        assert_eq!(ClientFrame::decode(&frame.encode()).as_ref(), Ok(&frame));
    }
    if let Ok(frame) = NodeFrame::decode(bytes) {
        assert_eq!(NodeFrame::decode(&frame.encode()).as_ref(), Ok(&frame));
    }
}

/// Bookmarks as text, and what two of them make together.
pub fn bookmarks(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(bookmark) = text.parse::<Bookmark>() {
        assert_eq!(bookmark.to_string(), text, "one bookmark has one text");
        assert_eq!(bookmark.merge(&bookmark).as_ref(), Ok(&bookmark));
    }
}

/// Everything that is stored: log rows, batches, frontiers.
pub fn segments(bytes: &[u8]) {
    if let Ok(segment) = Segment::from_bytes(bytes) {
        assert!(segment.last() >= segment.first);
        assert_eq!(Segment::from_bytes(&segment.to_bytes()).as_ref(), Ok(&segment));
    }
    if let Ok(batch) = Batch::from_bytes(bytes) {
        assert_eq!(Batch::from_bytes(&batch.to_bytes()).as_ref(), Ok(&batch));
    }
    if let Ok(frontier) = Frontier::from_bytes(bytes) {
        assert_eq!(frontier.to_bytes(), bytes, "one frontier has one encoding");
    }
}

/// What members of a group say to each other, and the record that they share.
pub fn calls(bytes: &[u8]) {
    if let Ok(call) = Call::decode(bytes) {
        assert_eq!(Call::decode(&call.encode()).as_ref(), Ok(&call));
    }
    if let Ok(reply) = Reply::decode(bytes) {
        assert_eq!(Reply::decode(&reply.encode()).as_ref(), Ok(&reply));
    }
    if let Ok(record) = String::from_utf8_lossy(bytes).parse::<Record>() {
        assert_eq!(record.to_string().parse().as_ref(), Ok(&record));
    }
}

/// A connection of a node: the bytes are cut into frames by a length byte before each, after a valid hello.
pub fn connection(bytes: &[u8]) {
    let (conn, now) = (ConnId(1), Millis(0));
    let mut node = Node::new(Config {
        fresh_generation: Generation(1),
        check: |_| Ok(()),
        group: None,
        merge: || unreachable!("so little is never merged"),
        retention: Retention::default(),
    });
    let mut log: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    node.handle(Input::Opened { conn }, now);
    let hello = ClientFrame::Hello { version: 1, generation: Generation(0), origin: Origin(1), extensions: Vec::new() };
    node.handle(Input::Frame { conn, bytes: hello.encode() }, now);
    run(&mut node, &mut log);
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first() {
        let (frame, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        node.handle(Input::Frame { conn, bytes: frame.to_vec() }, now);
        run(&mut node, &mut log);
    }
    assert!(node.status().failure.is_none(), "a client has brought the node down");
    // Whatever was written reads back.
    for (_, value) in log {
        Segment::from_bytes(&value).expect("the node writes rows that decode");
    }
}

// Storage that never fails and answers at once. The keys of the log are in order, since they only grow.
fn run(node: &mut Node, log: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    use headwater_core::store::{Row, StoreOp};
    while let Some(output) = node.poll() {
        match output {
            Output::Persist { token, ops } => {
                for op in ops {
                    if let StoreOp::Put { table: Table::Log, key, value } = op {
                        log.push((key, value));
                    }
                }
                node.handle(Input::Persisted { token }, Millis(0));
            }
            Output::Scan { token, scan: Scan { table, from, .. } } => {
                let is_asked = |row: &&(Vec<u8>, Vec<u8>)| table == Table::Log && row.0 >= from;
                let rows =
                    log.iter().filter(is_asked).map(|(key, value)| Row { key: key.clone(), value: value.clone() });
                node.handle(Input::Scanned { token, rows: rows.collect() }, Millis(0));
            }
            Output::Send { bytes, .. } => {
                NodeFrame::decode(&bytes).expect("a node sends what decodes");
            }
            _ => {}
        }
    }
}
