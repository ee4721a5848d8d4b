//! A document's plan: which snapshot and which runs hold it. It knows neither their bytes nor who reads them.

use crate::error::Error;
use crate::frontier::Frontier;
use crate::ids::{Epoch, Lsn, Millis};
use crate::limits::CONTENT_CHUNK_BYTES;
use crate::wire::{Reader, Writer};

const VERSION: u8 = 1;

/// Everything of a document up to a frontier, as one update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) struct Snapshot {
    /// Its number among the contents.
    pub(in crate::node) number: u64,
    pub(in crate::node) frontier: Frontier,
    pub(in crate::node) bytes: usize,
    pub(in crate::node) checksum: u64,
}

impl Snapshot {
    pub(in crate::node) fn chunks(&self) -> u64 {
        self.bytes.div_ceil(CONTENT_CHUNK_BYTES) as u64
    }
}

/// What a stretch of one epoch's log says of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) struct Run {
    /// Its number among the contents.
    pub(in crate::node) number: u64,
    pub(in crate::node) epoch: Epoch,
    /// Its last entry.
    pub(in crate::node) last: Lsn,
    pub(in crate::node) bytes: usize,
    /// When its last entry was folded.
    pub(in crate::node) at: Millis,
}

/// What holds a document, up to where its node has folded the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::node) struct Plan {
    pub(in crate::node) snapshot: Option<Snapshot>,
    /// In the order in which they were folded.
    pub(in crate::node) runs: Vec<Run>,
}

impl Plan {
    /// Where the document's history begins: what is there up to here has no places any more.
    pub(in crate::node) fn horizon(&self) -> Frontier {
        self.snapshot.as_ref().map(|snapshot| snapshot.frontier.clone()).unwrap_or_default()
    }

    pub(in crate::node) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(VERSION).byte(u8::from(self.snapshot.is_some()));
        if let Some(Snapshot { number, frontier, bytes, checksum }) = &self.snapshot {
            frontier.encode(out.uint(*number).uint(*bytes as u64).fixed(*checksum));
        }
        out.uint(self.runs.len() as u64);
        for Run { number, epoch, last, bytes, at } in &self.runs {
            out.uint(*number).uint(epoch.0).uint(last.0).uint(*bytes as u64).uint(at.0);
        }
        out.0
    }

    pub(in crate::node) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut input = Reader::new(bytes);
        match input.byte()? {
            VERSION => {}
            version => {
                return Err(Error::malformed(format!(
                    "version {version} of a document's plan is unknown; update the node"
                )));
            }
        }
        let snapshot = match input.byte()? {
            0 => None,
            _ => Some(Snapshot {
                number: input.uint()?,
                bytes: input.uint()? as usize,
                checksum: input.fixed()?,
                frontier: Frontier::decode(&mut input)?,
            }),
        };
        let runs = (0..input.count("runs of a document", usize::MAX)?)
            .map(|_| {
                Ok(Run {
                    number: input.uint()?,
                    epoch: Epoch(input.uint()?),
                    last: Lsn(input.uint()?),
                    bytes: input.uint()? as usize,
                    at: Millis(input.uint()?),
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        input.end()?;
        Ok(Self { snapshot, runs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_back_and_a_cut_one_is_refused() {
        let frontier = Frontier::at(Epoch(1), Lsn(9));
        let run = Run { number: 8, epoch: Epoch(2), last: Lsn(700), bytes: 90_000, at: Millis(1 << 41) };
        let plan = Plan { snapshot: Some(Snapshot { number: 3, frontier, bytes: 5, checksum: 77 }), runs: vec![run] };
        let bytes = plan.to_bytes();
        assert_eq!(Plan::from_bytes(&bytes), Ok(plan));
        for end in 0..bytes.len() {
            assert!(Plan::from_bytes(&bytes[..end]).is_err());
        }
    }
}
