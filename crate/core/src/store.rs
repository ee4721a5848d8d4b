//! Storage as both ends see it: named tables of ordered binary keys, atomic commits, range scans.
//!
//! IndexedDB, a Durable Object's SQLite and memory all offer that much, so an adapter is a few lines and holds no
//! decisions; which rows exist is decided by the machines.

use crate::ids::{DocName, Epoch, Lsn, Origin, Seq};

/// The tables of a replica and of a node. Each side uses its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Both: single facts by name, such as the database's generation.
    Meta,
    /// Replica: document name → its frontier, and the opening that keeps it live. Node: document name → its plan.
    Docs,
    /// Replica: document name, origin, counter → updates that are settled.
    Updates,
    /// Replica: origin, first seq → a batch of writes the leader has not acknowledged.
    Outbox,
    /// Replica: origin → the frontier that opening's live documents share.
    Streams,
    /// Node: epoch, last LSN → segment. Keyed by its last entry, the first row from (epoch, n + 1) on holds what
    /// follows entry n, wherever the row begins.
    Log,
    /// Node: origin → its highest seq and where it stands in the log, at the last checkpoint.
    Origins,
    /// Node: unix time in milliseconds → what was shown before the commit that wrote the mark.
    Times,
    /// Node: document name, number, chunk → a chunk of a snapshot, or a run. `Docs` says which there are of each document.
    Contents,
}

impl Table {
    /// The tables of a replica.
    pub const REPLICA: [Table; 5] = [Table::Meta, Table::Docs, Table::Updates, Table::Outbox, Table::Streams];
    /// The tables of a node.
    pub const NODE: [Table; 6] = [Table::Meta, Table::Log, Table::Origins, Table::Docs, Table::Contents, Table::Times];

    /// The table's name in storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Docs => "docs",
            Table::Updates => "updates",
            Table::Outbox => "outbox",
            Table::Streams => "streams",
            Table::Log => "log",
            Table::Origins => "origins",
            Table::Contents => "contents",
            Table::Times => "times",
        }
    }
}

/// One change of storage. All changes of a commit happen together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOp {
    /// Writes a row over what stood there.
    Put {
        /// Where.
        table: Table,
        /// The row's key.
        key: Vec<u8>,
        /// The row's value, under 1 MiB and a little.
        value: Vec<u8>,
    },
    /// Deletes a row; it need not be there.
    Delete {
        /// Where.
        table: Table,
        /// The row's key.
        key: Vec<u8>,
    },
    /// Deletes all rows from one key on, below another.
    DeleteRange {
        /// Where.
        table: Table,
        /// The first key that goes.
        from: Vec<u8>,
        /// The first key that stays.
        to: Vec<u8>,
    },
}

/// A row that must not be there for a commit to happen. Storage can tell that by itself, as part of the commit: whoever freezes
/// while it commits holds nobody up who waits for storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Where.
    pub table: Table,
    /// The row's key.
    pub key: Vec<u8>,
}

/// A question to storage: rows from `from` on, in key order, below `to`.
///
/// Questions are answered in the order in which they are asked, and none sees an older state than the one before it: a
/// document's row is asked for before its updates, so that it is never ahead of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Where.
    pub table: Table,
    /// The first key that counts.
    pub from: Vec<u8>,
    /// The first key that does not count any more; `None` for the end of the table.
    pub to: Option<Vec<u8>>,
    /// The most rows to answer with, and the weight in bytes after which no further row is added; `None` for all.
    pub limit: Option<(usize, usize)>,
}

/// A row as storage answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The row's key.
    pub key: Vec<u8>,
    /// The row's value.
    pub value: Vec<u8>,
}

impl Scan {
    /// All of a table.
    pub fn all(table: Table) -> Self {
        Self { table, from: Vec::new(), to: None, limit: None }
    }
}

/// The key of a single fact.
pub fn meta_key(name: &str) -> Vec<u8> {
    name.as_bytes().to_vec()
}

/// The key of an origin's row.
pub fn origin_key(origin: Origin) -> Vec<u8> {
    origin.0.to_be_bytes().to_vec()
}

/// The origin of an origin's row.
pub fn origin_of_key(key: &[u8]) -> Option<Origin> {
    Some(Origin(u64::from_be_bytes(key.get(..8)?.try_into().ok()?)))
}

/// The key of an outbox row.
pub fn outbox_key(origin: Origin, first: Seq) -> Vec<u8> {
    pair(origin.0, first.0)
}

/// The key of a log row.
pub fn log_key(epoch: Epoch, last: Lsn) -> Vec<u8> {
    pair(epoch.0, last.0)
}

/// The place of a log row.
pub fn log_place(key: &[u8]) -> Option<(Epoch, Lsn)> {
    let (epoch, last) = key.split_first_chunk::<8>()?;
    Some((Epoch(u64::from_be_bytes(*epoch)), Lsn(u64::from_be_bytes(last.try_into().ok()?))))
}

/// The key of a document's row.
pub fn doc_key(doc: &DocName) -> Vec<u8> {
    doc.as_str().as_bytes().to_vec()
}

/// The key of a run of settled updates. Origin and counter make it unique among tabs; their order means nothing.
pub fn update_key(doc: &DocName, origin: Origin, counter: u64) -> Vec<u8> {
    let mut key = doc_key(doc);
    key.push(0);
    key.extend(pair(origin.0, counter));
    key
}

/// The key of a chunk of what has a number among a document's contents.
pub fn content_key(doc: &DocName, number: u64, chunk: u64) -> Vec<u8> {
    let mut key = doc_key(doc);
    key.push(0);
    key.extend(pair(number, chunk));
    key
}

/// All settled updates of a document. Names hold no control characters, so no other name lies in this range.
pub fn updates_of(doc: &DocName) -> Scan {
    let bound = |last: u8| [doc.as_str().as_bytes(), &[last]].concat();
    Scan { table: Table::Updates, from: bound(0), to: Some(bound(1)), limit: None }
}

fn pair(high: u64, low: u64) -> Vec<u8> {
    [high.to_be_bytes(), low.to_be_bytes()].concat()
}
