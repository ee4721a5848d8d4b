//! How a replica starts: its facts, the outbox and the streams of earlier openings; then documents one by one.

use super::outbox::Mark;
use super::peers::Wanted;
use super::{Input, Output, Replica};
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{DocName, Generation, Millis, Origin, ReplicaId, Seq, Token};
use crate::sorted::sort_by_key;
use crate::store::{self, Row, Scan, Table};
use crate::wire::Reader;

pub(super) const GENERATION: &str = "generation";
/// Whose storage it is, once it has had peers.
pub(super) const REPLICA: &str = "replica";
/// What is remembered of each origin's log then.
const LANE: &[u8] = b"lane/";

pub(super) fn lane_key(origin: Origin) -> Vec<u8> {
    [LANE, &store::origin_key(origin)].concat()
}

/// What a scan was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Meta,
    Streams,
    Outbox,
    /// For which reading of the document, too: it may have been closed and opened again meanwhile.
    DocRow(DocName, u64),
    DocUpdates(DocName, u64),
    /// The row of tabs.
    Term,
    /// Outbox rows of one origin, or of all.
    Rows(Option<Origin>),
    /// All documents' rows, to offer them to peers.
    PeerDocs,
    /// A document's updates, for a peer.
    PeerDoc(Wanted),
    /// A document's updates, to merge them.
    Compact(DocName),
    /// Documents' rows, for the streams that they name.
    StreamsNamed,
}

impl Replica {
    pub(super) fn begin_opening(&mut self) {
        self.scan(Asked::Meta, Scan::all(Table::Meta));
        self.scan(Asked::Streams, Scan::all(Table::Streams));
        self.scan(Asked::Outbox, Scan::all(Table::Outbox));
    }

    pub(super) fn ask_for_doc(&mut self, name: DocName, reading: u64, with_updates: bool) {
        let from = store::doc_key(&name);
        let to = Some([from.as_slice(), &[0]].concat());
        let row = Scan { table: Table::Docs, from, to, limit: None };
        self.scan(Asked::DocRow(name.clone(), reading), row);
        if with_updates {
            let updates = store::updates_of(&name);
            self.scan(Asked::DocUpdates(name, reading), updates);
        }
    }

    pub(super) fn scanned(&mut self, token: Token, rows: Vec<Row>, now: Millis) {
        let Some(asked) = self.scans.remove(&token) else { return };
        if let Err(error) = self.take_rows(&asked, &rows) {
            let message = format!("storage does not read back ({}); nothing is overwritten", error.message);
            return self.storage_failed(Error::new(Code::Corrupt, message));
        }
        if self.is_ready {
            return;
        }
        let is_opening = self.scans.values().any(|asked| matches!(asked, Asked::Meta | Asked::Streams | Asked::Outbox));
        if !is_opening {
            self.is_ready = true;
            self.outbox.loaded(!self.tabs.stores_all());
            if !self.marks.is_empty() && !self.peers.retains() {
                // Whoever left them died before the name was stored.
                self.retain(ReplicaId(self.config.origin.0), true);
            }
            for (origin, mark) in std::mem::take(&mut self.marks) {
                self.outbox.mark(origin, mark);
            }
            self.greet_peers();
            self.is_changed = true;
            self.outputs.push_back(Output::Ready);
            self.say_hello();
            self.greet_tabs(now);
            self.handle(Input::Tick, now);
        }
    }

    fn take_rows(&mut self, asked: &Asked, rows: &[Row]) -> Result<(), Error> {
        match asked {
            Asked::Meta => {
                if let Some(row) = rows.iter().find(|row| row.key == GENERATION.as_bytes()) {
                    let bytes = row.value.as_slice().try_into();
                    let bytes = bytes.map_err(|_| Error::malformed("the generation row is damaged"))?;
                    self.generation = Generation(u64::from_be_bytes(bytes));
                }
                self.peers_read(rows)?;
            }
            Asked::Streams => {
                for row in rows {
                    let origin = store::origin_of_key(&row.key);
                    let origin = origin.ok_or_else(|| Error::malformed("a stream row has no origin"))?;
                    match Frontier::from_bytes(&row.value) {
                        Ok(frontier) => _ = self.docs.earlier.insert(origin, frontier),
                        Err(error) => self.stream_row_is_damaged(row, &error),
                    }
                }
            }
            Asked::Outbox => {
                for row in rows {
                    match self.outbox.load(&row.value) {
                        Err(error) if error.code != Code::Internal => self.outbox_row_is_damaged(row, &error),
                        loaded => loaded?,
                    }
                }
            }
            Asked::Compact(doc) => self.compact_read(doc.clone(), rows),
            Asked::StreamsNamed => self.streams_named(rows),
            Asked::PeerDocs => self.docs_read(rows)?,
            Asked::PeerDoc(wanted) => self.doc_read_for_peer(wanted.clone(), rows)?,
            Asked::Term => self.term_read(rows)?,
            Asked::Rows(of) => self.rows_read(*of, rows)?,
            Asked::DocRow(name, reading) => {
                let row = rows.first().map(|row| row.value.as_slice());
                if let Err(error) = self.doc_row_read(name, *reading, row)
                    && self.docs.is_being_read(name, *reading)
                    && self.doc_is_damaged(name, Vec::new(), &error)
                {
                    self.doc_row_read(name, *reading, None)?;
                }
            }
            Asked::DocUpdates(name, reading) => {
                let mut updates = Vec::new();
                let (mut damaged, mut damage) = (Vec::new(), None);
                for row in rows {
                    match super::persist::decode_updates(&row.value) {
                        Ok(read) => updates.push(read),
                        Err(error) => {
                            damaged.push(row.key.clone());
                            damage = Some(error);
                        }
                    }
                }
                self.compactor.read(name, rows);
                if let Some(error) = damage.filter(|_| self.docs.is_being_read(name, *reading))
                    && !self.doc_is_damaged(name, damaged, &error)
                {
                    return Ok(());
                }
                // Keys begin with origins, which are random. In the order of the log no update waits for another.
                sort_by_key(&mut updates, |updates| updates.reach.epochs().last());
                self.doc_part_read(name, *reading, updates);
            }
        }
        Ok(())
    }

    fn peers_read(&mut self, rows: &[Row]) -> Result<(), Error> {
        if let Some(row) = rows.iter().find(|row| row.key == REPLICA.as_bytes()) {
            let bytes = row.value.as_slice().try_into();
            let bytes = bytes.map_err(|_| Error::malformed("the replica row is damaged"))?;
            self.retain(ReplicaId(u64::from_be_bytes(bytes)), false);
        }
        for row in rows {
            let Some(origin) = row.key.strip_prefix(LANE).and_then(store::origin_of_key) else { continue };
            let mut input = Reader::new(&row.value);
            let (forgotten, partial) = (Seq(input.uint()?), Frontier::decode(&mut input)?);
            let (settled, place) = (Seq(input.uint()?), Frontier::decode(&mut input)?);
            self.marks.push((origin, Mark { forgotten, partial, settled, place }));
        }
        Ok(())
    }

    pub(super) fn scan(&mut self, asked: Asked, scan: Scan) {
        let token = self.token();
        self.scans.insert(token, asked);
        self.outputs.push_back(Output::Scan { token, scan });
    }
}
