//! A run's row: what a stretch of the log says of one document, each update with its LSN, so that those who hold a part of
//! it are sent the rest, and so that the document can be read as of any of them.

use crate::checksum::Checksum;
use crate::error::Error;
use crate::ids::Lsn;
use crate::wire::{Reader, Writer};
use std::rc::Rc;

const VERSION: u8 = 1;

/// An update and its place in the run's epoch.
pub(in crate::node) type Entry = (Lsn, Rc<[u8]>);

/// What the entries take, about.
pub(super) fn weight(entries: &[Entry]) -> usize {
    entries.iter().map(|(_, update)| update.len() + 4).sum()
}

pub(super) fn to_bytes(entries: &[Entry]) -> Vec<u8> {
    let mut out = Writer::default();
    let mut before = Lsn(0);
    for (lsn, update) in entries {
        out.uint(lsn.0 - before.0).bytes(update);
        before = *lsn;
    }
    let mut row = Writer::default();
    row.byte(VERSION).fixed(Checksum::of(&out.0));
    row.0.extend(out.0);
    row.0
}

pub(in crate::node) fn from_bytes(bytes: &[u8]) -> Result<Vec<Entry>, Error> {
    let mut input = Reader::new(bytes);
    match input.byte()? {
        VERSION => {}
        version => return Err(Error::malformed(format!("version {version} of a run is unknown; update the node"))),
    }
    let checksum = input.fixed()?;
    let rest = input.rest();
    if Checksum::of(rest) != checksum {
        return Err(Error::malformed("the checksum of a run does not match its bytes"));
    }
    let mut input = Reader::new(rest);
    let mut entries = Vec::new();
    let mut before = 0u64;
    while input.end().is_err() {
        before = before.checked_add(input.uint()?).ok_or_else(|| Error::malformed("a run has no such entry"))?;
        entries.push((Lsn(before), input.bytes("an update of a run", usize::MAX)?.into()));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_reads_back_and_damage_is_noticed() {
        let entries: Vec<Entry> =
            vec![(Lsn(7), vec![1, 2].into()), (Lsn(7), vec![3].into()), (Lsn(900), vec![].into())];
        let bytes = to_bytes(&entries);
        assert_eq!(from_bytes(&bytes), Ok(entries));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(from_bytes(&damaged).is_err());
        }
    }
}
