//! Writes and how many of them share one run of bytes: a push frame, a log row, a broadcast, an outbox row.
//!
//! A batch names each document and origin once; a write then costs a handful of bytes over its update.

use crate::error::Error;
use crate::ids::{DocName, Origin, Seq};
use crate::limits::{BATCH_DOCS_MAX, BATCH_WRITES_MAX, WRITE_BYTES_MAX, WRITE_PARTS_MAX};
use crate::sorted::Map;
use crate::wire::{Reader, Writer};
use std::rc::Rc;

/// One document's share of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The document.
    pub doc: DocName,
    /// What changes in it: a yrs update, encoding v1, opaque here.
    pub update: Rc<[u8]>,
}

/// One transaction of one origin, over one or several documents. It is applied whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Who wrote it.
    pub origin: Origin,
    /// Its number within the origin.
    pub seq: Seq,
    /// What it changes.
    pub parts: Vec<Part>,
}

impl Write {
    /// What it weighs in a frame or row, give or take a few bytes.
    pub fn weight(&self) -> usize {
        8 + self.parts.iter().map(|part| part.update.len() + part.doc.as_str().len() + 4).sum::<usize>()
    }

    /// Whether it touches that document.
    pub fn touches(&self, doc: &DocName) -> bool {
        self.parts.iter().any(|part| part.doc == *doc)
    }

    /// Refuses what no leader would take.
    pub fn check_size(&self) -> Result<(), Error> {
        if self.parts.len() > WRITE_PARTS_MAX {
            return Err(Error::too_large("the number of documents in one write", self.parts.len(), WRITE_PARTS_MAX));
        }
        if self.weight() > WRITE_BYTES_MAX {
            return Err(Error::too_large("the write in bytes", self.weight(), WRITE_BYTES_MAX));
        }
        Ok(())
    }
}

/// Writes that travel or are stored together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order in which they take effect; those of one origin ascend.
    pub writes: Vec<Write>,
}

impl Batch {
    /// Whether a write may follow: one that was appended twice may stand behind later ones of its origin.
    pub fn takes(&self, write: &Write) -> bool {
        self.writes
            .iter()
            .rev()
            .find(|before| before.origin == write.origin)
            .is_none_or(|before| before.seq < write.seq)
    }

    /// What it weighs, give or take a few bytes for each write.
    pub fn weight(&self) -> usize {
        self.writes.iter().map(Write::weight).sum()
    }

    /// The writes of documents that `keep` accepts and origins that it accepts, with only those parts.
    pub fn filtered(&self, keep: impl Fn(&Write, &DocName) -> bool) -> Batch {
        let kept = |write: &Write| -> Option<Write> {
            let parts: Vec<Part> = write.parts.iter().filter(|part| keep(write, &part.doc)).cloned().collect();
            (!parts.is_empty()).then_some(Write { origin: write.origin, seq: write.seq, parts })
        };
        Batch { writes: self.writes.iter().filter_map(kept).collect() }
    }

    /// Refuses what is no push that follows the write `prev`.
    pub fn check_push(&self, prev: Seq) -> Result<(), Error> {
        let first = self.writes.first().ok_or_else(|| Error::malformed("a push holds at least one write"))?;
        if self.writes.iter().any(|write| write.origin != first.origin) || first.seq <= prev {
            return Err(Error::malformed("a push holds the writes of one origin, all after the one before it"));
        }
        Ok(())
    }

    /// Appends the encoding to `out`.
    pub fn encode(&self, out: &mut Writer) {
        let docs = dictionary(self.writes.iter().flat_map(|write| write.parts.iter().map(|part| &part.doc)));
        let origins = dictionary(self.writes.iter().map(|write| &write.origin));
        out.uint(docs.order.len() as u64);
        for doc in docs.order.iter() {
            out.text(doc.as_str());
        }
        out.uint(origins.order.len() as u64);
        for origin in origins.order.iter() {
            out.fixed(origin.0);
        }

        let mut last = vec![Seq(0); origins.order.len()];
        out.uint(self.writes.len() as u64);
        for write in &self.writes {
            let origin = origins.index[&&write.origin];
            out.uint(origin as u64).uint(write.seq.0 - last[origin].0).uint(write.parts.len() as u64);
            last[origin] = write.seq;
            for part in &write.parts {
                out.uint(docs.index[&&part.doc] as u64).bytes(&part.update);
            }
        }
    }

    /// Takes one batch from the front.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        let docs = (0..input.count("documents in a batch", BATCH_DOCS_MAX)?)
            .map(|_| input.doc_name())
            .collect::<Result<Vec<_>, _>>()?;
        let origins = (0..input.count("origins in a batch", BATCH_WRITES_MAX)?)
            .map(|_| input.origin())
            .collect::<Result<Vec<_>, _>>()?;
        let mut last = vec![Seq(0); origins.len()];
        let writes = (0..input.count("writes in a batch", BATCH_WRITES_MAX)?)
            .map(|_| decode_write(input, &docs, &origins, &mut last))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { writes })
    }

    /// The encoding alone, as storage keeps it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.encode(&mut out);
        out.0
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut input = Reader::new(bytes);
        let batch = Self::decode(&mut input)?;
        input.end()?;
        Ok(batch)
    }
}

fn decode_write(
    input: &mut Reader<'_>,
    docs: &[DocName],
    origins: &[Origin],
    last: &mut [Seq],
) -> Result<Write, Error> {
    let origin = index(input.uint()?, origins.len(), "origin")?;
    let seq = last[origin].0.checked_add(input.uint()?).filter(|seq| *seq > last[origin].0);
    let seq = Seq(seq.ok_or_else(|| Error::malformed("the writes of an origin must ascend"))?);
    last[origin] = seq;

    let count = input.count("documents in one write", WRITE_PARTS_MAX)?;
    if count == 0 {
        return Err(Error::malformed("a write changes at least one document"));
    }
    let mut parts = Vec::with_capacity(count);
    for _ in 0..count {
        let doc = docs[index(input.uint()?, docs.len(), "document")?].clone();
        parts.push(Part { doc, update: input.bytes("an update", WRITE_BYTES_MAX)?.into() });
    }
    let write = Write { origin: origins[origin], seq, parts };
    write.check_size()?;
    Ok(write)
}

fn index(value: u64, length: usize, what: &str) -> Result<usize, Error> {
    usize::try_from(value)
        .ok()
        .filter(|index| *index < length)
        .ok_or_else(|| Error::malformed(format!("{what} {value} of {length} in a batch")))
}

struct Dictionary<'a, T> {
    order: Vec<&'a T>,
    index: Map<&'a T, usize>,
}

fn dictionary<'a, T: Ord>(items: impl Iterator<Item = &'a T>) -> Dictionary<'a, T> {
    let mut dictionary = Dictionary { order: Vec::new(), index: Map::default() };
    for item in items {
        if !dictionary.index.contains_key(item) {
            dictionary.index.insert(item, dictionary.order.len());
            dictionary.order.push(item);
        }
    }
    dictionary
}
