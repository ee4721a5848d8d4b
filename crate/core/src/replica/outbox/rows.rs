//! How writes lie in storage, and how many go together.

use crate::batch::{Batch, Write};
use crate::error::Error;
use crate::limits::{BATCH_BYTES_TARGET, BATCH_WRITES_MAX};
use crate::wire::{Reader, Writer};

const ROW_VERSION: u8 = 1;

/// As many writes as one frame or row takes; at least one.
pub(in crate::replica) fn fill<'a>(writes: impl Iterator<Item = &'a Write>) -> Vec<Write> {
    let mut weight = 0;
    let mut taken: Vec<Write> = Vec::new();
    for write in writes {
        weight += write.weight();
        if !taken.is_empty() && (weight > BATCH_BYTES_TARGET || taken.len() >= BATCH_WRITES_MAX) {
            break;
        }
        taken.push(write.clone());
    }
    taken
}

/// An outbox row: when it was written, and the writes.
pub(in crate::replica) fn encode_row(unix_ms: u64, batch: &Batch) -> Vec<u8> {
    let mut out = Writer::default();
    batch.encode(out.byte(ROW_VERSION).uint(unix_ms));
    out.0
}

pub(super) fn decode_row(value: &[u8]) -> Result<(u64, Batch), Error> {
    let mut input = Reader::new(value);
    match input.byte()? {
        ROW_VERSION => {}
        version => return Err(Error::malformed(format!("outbox row version {version} is newer than this library"))),
    }
    let unix_ms = input.uint()?;
    let batch = Batch::decode(&mut input)?;
    input.end()?;
    Ok((unix_ms, batch))
}
