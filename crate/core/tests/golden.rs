//! The encodings of version 1, pinned: each file in `fixtures/frames/v1` decodes to what is said here, and back.

use crate::common::{doc, part};
use headwater_core::frame::{ClientFrame, Content, NodeFrame, Served};
use headwater_core::group::{Concern, MemberName};
use headwater_core::ids::ReplicaId;
use headwater_core::node::RoleName;
use headwater_core::replica::PeerFrame;
use headwater_core::{
    Batch, Bookmark, Code, Epoch, Error, Frontier, Generation, Lsn, Origin, Segment, Seq, Stage, Write,
};
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/frames/v1")
}

fn to_hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}

/// The bytes of a file: hexadecimal digits, without the lines that begin with `#`.
fn read(name: &str) -> Option<Vec<u8>> {
    let text = fs::read_to_string(directory().join(format!("{name}.hex"))).ok()?;
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("two hexadecimal digits");
    Some((0..digits.len()).step_by(2).map(byte).collect())
}

fn check<T: Debug + PartialEq>(name: &str, value: &T, bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, Error>) {
    let Some(golden) = read(name) else {
        // A new frame gets its file once, on request; an existing file is never written.
        assert!(std::env::var_os("HEADWATER_NEW_GOLDEN").is_some(), "{name}.hex is missing");
        let text = format!("# {value:?}\n{}\n", to_hex(bytes));
        return fs::write(directory().join(format!("{name}.hex")), text).expect("the fixtures are writable");
    };
    assert_eq!(to_hex(bytes), to_hex(&golden), "{name} is encoded in another way than version 1 does");
    assert_eq!(&decode(&golden).unwrap(), value, "{name}");
}

fn frontier() -> Frontier {
    let mut frontier = Frontier::at(Epoch(1), Lsn(300));
    frontier.advance_epoch(Epoch(2), Lsn(7));
    frontier.advance_origin(Origin(0x0123_4567_89ab_cdef), Seq(128));
    frontier
}

fn batch(origins: [u64; 2]) -> Batch {
    let write = |origin, seq, parts| Write { origin: Origin(origin), seq: Seq(seq), parts };
    Batch {
        writes: vec![
            write(origins[0], 4, vec![part("boards/1", [1, 2, 3]), part("cards/ü", [])]),
            write(origins[1], 200, vec![part("cards/ü", [255; 130])]),
            write(origins[0], 300, vec![part("boards/1", [0])]),
        ],
    }
}

fn member(name: &str) -> MemberName {
    MemberName::new(name).expect("tests name members properly")
}

fn of_one_origin() -> Batch {
    let mut batch = batch([11, 11]);
    batch.writes.truncate(2);
    batch
}

#[test]
fn client_frames_are_as_they_were() {
    let origin = Origin(0xfedc_ba98_7654_3210);
    let frames = [
        (
            "client-hello",
            ClientFrame::Hello { version: 1, generation: Generation(0x5eed), origin, extensions: Vec::new() },
        ),
        (
            "client-hello-extensions",
            ClientFrame::Hello {
                version: 1,
                generation: Generation(0),
                origin,
                extensions: vec![(1, b"token".to_vec()), (300, Vec::new())],
            },
        ),
        (
            "client-subscribe",
            ClientFrame::Subscribe { group: 1, frontier: frontier(), docs: vec![doc("boards/1"), doc("cards/ü")] },
        ),
        ("client-unsubscribe", ClientFrame::Unsubscribe { docs: vec![doc("boards/1")] }),
        ("client-credit", ClientFrame::Credit { group: 2, frames: 3 }),
        ("client-push", ClientFrame::Push { resume: false, prev: Seq(3), batch: of_one_origin() }),
        ("client-push-resume", ClientFrame::Push { resume: true, prev: Seq(0), batch: of_one_origin() }),
        ("client-barrier", ClientFrame::Barrier { id: 9, strong: false, frontier: frontier() }),
        ("client-barrier-strong", ClientFrame::Barrier { id: 10, strong: true, frontier: Frontier::default() }),
        ("client-cancel", ClientFrame::Cancel { id: 9 }),
        ("client-await", ClientFrame::Await { id: 11, origin, seq: Seq(300), concern: Concern::Quorum }),
        ("client-await-count", ClientFrame::Await { id: 12, origin, seq: Seq(1), concern: Concern::Count(2) }),
        (
            "client-await-any",
            ClientFrame::Await {
                id: 13,
                origin,
                seq: Seq(1),
                concern: Concern::Any { names: vec![member("paris"), member("tokyo-2")], n: 1 },
            },
        ),
        (
            "client-await-first",
            ClientFrame::Await {
                id: 14,
                origin,
                seq: Seq(1),
                concern: Concern::First { names: vec![member("ohio"), member("paris")], n: 2 },
            },
        ),
        ("client-have", ClientFrame::Have { doc: doc("cards/ü"), checksum: 0x0102_0304_0506_0708, bytes: 524_288 }),
        ("client-signal", ClientFrame::Signal { to: origin, bytes: vec![0, 1, 255] }),
        ("client-signal-all", ClientFrame::Signal { to: Origin(0), bytes: Vec::new() }),
    ];
    for (name, frame) in frames {
        check(name, &frame, &frame.encode(), ClientFrame::decode);
    }
}

#[test]
fn node_frames_are_as_they_were() {
    let origin = Origin(0xfedc_ba98_7654_3210);
    let error = |code, message: &str| Error::new(code, message);
    let frames = [
        (
            "node-welcome",
            NodeFrame::Welcome {
                version: 1,
                generation: Generation(0x5eed),
                epoch: Epoch(2),
                frontier: frontier(),
                voters: 3,
                extensions: vec![(2, vec![0, 255])],
            },
        ),
        (
            "node-welcome-member",
            NodeFrame::Welcome {
                version: 1,
                generation: Generation(0x5eed),
                epoch: Epoch(2),
                frontier: frontier(),
                voters: 3,
                extensions: Served { role: Some(RoleName::Follower), member: Some(member("tokyo-2")) }.to_extensions(),
            },
        ),
        (
            "node-entries",
            NodeFrame::Entries { group: 1, epoch: Epoch(2), through: Lsn(70_000), batch: batch([11, 12]) },
        ),
        (
            "node-entries-none",
            NodeFrame::Entries { group: 0, epoch: Epoch(2), through: Lsn(8), batch: Batch::default() },
        ),
        ("node-live", NodeFrame::Live { group: 1, frontier: frontier() }),
        (
            "node-ack",
            NodeFrame::Ack { origin, seq: Seq(5), stage: Stage::All, epoch: Epoch(2), lsn: Lsn(17), through: Lsn(18) },
        ),
        (
            "node-rejected",
            NodeFrame::Rejected { origin, seq: Seq(6), error: error(Code::Malformed, "the update does not decode") },
        ),
        ("node-reached", NodeFrame::Reached { id: 9, frontier: frontier() }),
        ("node-failed", NodeFrame::Failed { id: 9, error: error(Code::BookmarkLost, "it is lost") }),
        ("node-error", NodeFrame::Error { error: error(Code::Busy, "später"), retry_after_ms: 1000 }),
        (
            "node-contents",
            NodeFrame::Contents {
                group: 3,
                contents: vec![
                    Content {
                        doc: doc("boards/1"),
                        frontier: frontier(),
                        updates: vec![vec![1, 2, 3].into(), vec![].into()],
                    },
                    Content { doc: doc("cards/ü"), frontier: Frontier::default(), updates: Vec::new() },
                ],
            },
        ),
        (
            "node-chunk",
            NodeFrame::Chunk {
                group: 3,
                doc: doc("boards/1"),
                frontier: frontier(),
                checksum: 0x0102_0304_0506_0708,
                total: 700_000,
                offset: 524_288,
                bytes: vec![255; 40],
            },
        ),
        ("node-signal", NodeFrame::Signal { from: origin, bytes: vec![0, 1, 255] }),
    ];
    for (name, frame) in frames {
        check(name, &frame, &frame.encode(), NodeFrame::decode);
    }
}

#[test]
fn stored_and_carried_values_are_as_they_were() {
    let segment = Segment { epoch: Epoch(2), first: Lsn(70_000), batch: batch([11, 12]) };
    check("segment", &segment, &segment.to_bytes(), Segment::from_bytes);
    check("frontier", &frontier(), &frontier().to_bytes(), Frontier::from_bytes);
    let bookmark = Bookmark::new(Generation(0x5eed), frontier());
    check("bookmark", &bookmark, bookmark.to_string().as_bytes(), |bytes| {
        std::str::from_utf8(bytes).expect("a bookmark is text").parse()
    });
}

#[test]
fn every_fixture_is_checked() {
    let files = fs::read_dir(directory()).expect("the fixtures are there");
    let count = files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "hex")).count();
    assert!(count == 0 || count == 45, "{count} files: one was added without a check, or lost");
}

#[test]
fn peer_frames_are_as_they_were() {
    let (origin, seq, place) = (Origin(0xfedc_ba98_7654_3210), Seq(300), Frontier::at(Epoch(2), Lsn(9)));
    let error = Error::new(Code::Malformed, "no");
    let held = vec![(Origin(1), Seq(2)), (origin, seq)];
    let (replica, generation) = (ReplicaId(7), Generation(0x5eed));
    let hello = |token: Option<&str>| {
        let token = token.map(str::to_owned);
        PeerFrame::Hello { version: 1, generation, replica, token }
    };
    let frames = [
        ("peer-hello", hello(None)),
        ("peer-hello-token", hello(Some("a.b.c"))),
        ("peer-ready", PeerFrame::Ready { held: held.clone() }),
        ("peer-writes", PeerFrame::Writes { prev: Seq(3), unix_ms: 1_700_000_000_000, batch: of_one_origin() }),
        ("peer-stored", PeerFrame::Stored { replica, origins: held.clone() }),
        ("peer-acked", PeerFrame::Acked { origin, seq, stage: Stage::Quorum }),
        ("peer-settled", PeerFrame::Settled { origin, seq, place: place.clone() }),
        ("peer-rejected", PeerFrame::Rejected { origin, seq, error: error.clone() }),
        ("peer-docs", PeerFrame::Docs { docs: vec![(doc("boards/1"), place.clone())] }),
        ("peer-wantdoc", PeerFrame::WantDoc { doc: doc("boards/1"), held: place.clone() }),
        (
            "peer-docupdates",
            PeerFrame::DocUpdates {
                doc: doc("boards/1"),
                reach: place.clone(),
                updates: vec![[1, 2, 3].into(), [255; 130].into()],
                frontier: Some(place),
            },
        ),
        ("peer-close", PeerFrame::Close { error }),
    ];
    for (name, frame) in frames {
        check(name, &frame, &frame.encode(), PeerFrame::decode);
    }
}
