//! A run of a leader's log: what one group commit stores as one row.

use crate::batch::Batch;
use crate::error::Error;
use crate::ids::{Epoch, Lsn};
use crate::wire::{Reader, Writer};

const VERSION: u8 = 1;

/// Consecutive entries of one epoch's log. The n-th write of the batch has LSN `first + n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The log it belongs to.
    pub epoch: Epoch,
    /// The place of its first entry.
    pub first: Lsn,
    /// The entries.
    pub batch: Batch,
}

impl Segment {
    /// The place of its last entry.
    pub fn last(&self) -> Lsn {
        Lsn(self.first.0 + self.batch.writes.len() as u64 - 1)
    }

    /// The row's value. Its key is repeated here, so that a row in the wrong place shows.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(VERSION).uint(self.epoch.0).uint(self.first.0);
        self.batch.encode(&mut out);
        out.0
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut input = Reader::new(bytes);
        match input.byte()? {
            VERSION => {}
            version => return Err(Error::malformed(format!("log row version {version} is unknown; update the node"))),
        }
        let (epoch, first) = (Epoch(input.uint()?), Lsn(input.uint()?));
        let batch = Batch::decode(&mut input)?;
        input.end()?;
        if first == Lsn(0) || batch.writes.is_empty() || first.0.checked_add(batch.writes.len() as u64).is_none() {
            return Err(Error::malformed(format!("log row {epoch}/{first} holds no possible run of entries")));
        }
        Ok(Self { epoch, first, batch })
    }
}
