//! What is encoded comes back; what is cut short or goes on does not.

use crate::samples;
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::limits::{BATCH_WRITES_MAX, FRAME_BYTES_MAX, WRITE_BYTES_MAX, WRITE_PARTS_MAX};
use headwater_core::{Batch, Code, DocName, Frontier, Lsn, Origin, Part, Segment, Seq, Write};
use proptest::prelude::*;

/// Every prefix of a valid encoding, and the encoding with a byte more, is refused.
fn assert_exact<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, headwater_core::Error>) {
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err(), "{end} of {} bytes decode", bytes.len());
    }
    assert!(decode(&[bytes, &[0]].concat()).is_err(), "a byte too many decodes");
}

proptest! {
    #[test]
    fn client_frames_round_trip(frame in samples::client_frame()) {
        let bytes = frame.encode();
        prop_assert_eq!(ClientFrame::decode(&bytes).unwrap(), frame);
        assert_exact(&bytes, ClientFrame::decode);
    }

    #[test]
    fn node_frames_round_trip(frame in samples::node_frame()) {
        let bytes = frame.encode();
        prop_assert_eq!(NodeFrame::decode(&bytes).unwrap(), frame);
        assert_exact(&bytes, NodeFrame::decode);
    }

    #[test]
    fn batches_round_trip(batch in samples::batch()) {
        prop_assert_eq!(Batch::from_bytes(&batch.to_bytes()).unwrap(), batch.clone());
        assert_exact(&batch.to_bytes(), Batch::from_bytes);
    }

    #[test]
    fn segments_round_trip(segment in samples::segment()) {
        prop_assert_eq!(Segment::from_bytes(&segment.to_bytes()).unwrap(), segment.clone());
        assert_exact(&segment.to_bytes(), Segment::from_bytes);
    }

    #[test]
    fn frontiers_round_trip(frontier in samples::frontier()) {
        prop_assert_eq!(Frontier::from_bytes(&frontier.to_bytes()).unwrap(), frontier.clone());
        assert_exact(&frontier.to_bytes(), Frontier::from_bytes);
    }

    #[test]
    fn any_bytes_give_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        // What decodes encodes to something that means the same.
        if let Ok(frame) = ClientFrame::decode(&bytes) {
            prop_assert_eq!(ClientFrame::decode(&frame.encode()).unwrap(), frame);
        }
        if let Ok(frame) = NodeFrame::decode(&bytes) {
            prop_assert_eq!(NodeFrame::decode(&frame.encode()).unwrap(), frame);
        }
    }
}

#[test]
fn a_frame_above_the_limit_is_too_large() {
    let bytes = vec![1; FRAME_BYTES_MAX + 1];
    assert_eq!(ClientFrame::decode(&bytes).unwrap_err().code, Code::TooLarge);
    assert_eq!(NodeFrame::decode(&bytes).unwrap_err().code, Code::TooLarge);
}

#[test]
fn the_largest_write_fits_a_frame_and_a_row() {
    // All documents that a write may touch, and the rest of its weight in one update.
    let named = |n: usize, update: Vec<u8>| {
        let doc = DocName::parse(&format!("{n:0>256}")).unwrap();
        Part { doc, update: update.into() }
    };
    let mut parts: Vec<Part> = (1..WRITE_PARTS_MAX).map(|n| named(n, vec![])).collect();
    let left = WRITE_BYTES_MAX - 8 - WRITE_PARTS_MAX * 260;
    parts.push(named(0, vec![7; left]));
    let write = Write { origin: Origin(u64::MAX), seq: Seq(u64::MAX), parts };
    assert_eq!(write.weight(), WRITE_BYTES_MAX);
    let batch = Batch { writes: vec![write] };
    let frame = ClientFrame::Push { resume: true, prev: Seq(u64::MAX - 1), batch: batch.clone() };
    let bytes = frame.encode();
    assert!(bytes.len() <= FRAME_BYTES_MAX, "{} bytes", bytes.len());
    assert_eq!(ClientFrame::decode(&bytes).unwrap(), frame);
    let segment = Segment { epoch: headwater_core::Epoch(u64::MAX), first: Lsn(u64::MAX - 9), batch };
    assert!(segment.to_bytes().len() <= FRAME_BYTES_MAX);
    assert_eq!(Segment::from_bytes(&segment.to_bytes()).unwrap(), segment);
}

/// A batch that is gathered up to its target weight must read back, whatever it is made of: it may be a log row.
#[test]
fn the_most_varied_batch_under_the_target_weight_reads_back() {
    let mut batch = Batch::default();
    let mut name = 0;
    for seq in 1..=BATCH_WRITES_MAX as u64 {
        let parts = (0..WRITE_PARTS_MAX).map(|_| {
            name += 1;
            Part { doc: DocName::parse(&format!("{name:x}")).unwrap(), update: [].into() }
        });
        batch.writes.push(Write { origin: Origin(seq), seq: Seq(seq), parts: parts.collect() });
        if batch.weight() > headwater_core::limits::BATCH_BYTES_TARGET {
            batch.writes.pop();
            break;
        }
    }
    assert!(batch.writes.len() > 100);
    assert_eq!(Batch::from_bytes(&batch.to_bytes()).unwrap(), batch);
}
