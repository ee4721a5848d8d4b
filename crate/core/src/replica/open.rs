//! How a replica starts: its facts, the outbox and the streams of earlier openings; then documents one by one.

use super::{Input, Output, Replica};
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{DocName, Generation, Millis, Token};
use crate::store::{self, Row, Scan, Table};

pub(super) const GENERATION: &str = "generation";

/// What a scan was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Meta,
    Streams,
    Outbox,
    /// For which reading of the document, too: it may have been closed and opened again meanwhile.
    DocRow(DocName, u64),
    DocUpdates(DocName, u64),
}

impl Replica {
    pub(super) fn begin_opening(&mut self) {
        self.scan(Asked::Meta, Scan::all(Table::Meta));
        self.scan(Asked::Streams, Scan::all(Table::Streams));
        self.scan(Asked::Outbox, Scan::all(Table::Outbox));
    }

    pub(super) fn ask_for_doc(&mut self, name: DocName, reading: u64) {
        let from = store::doc_key(&name);
        let to = Some([from.as_slice(), &[0]].concat());
        let row = Scan { table: Table::Docs, from, to, limit: None };
        self.scan(Asked::DocRow(name.clone(), reading), row);
        let updates = store::updates_of(&name);
        self.scan(Asked::DocUpdates(name, reading), updates);
    }

    pub(super) fn scanned(&mut self, token: Token, rows: Vec<Row>, now: Millis) {
        let Some(asked) = self.scans.remove(&token) else { return };
        if let Err(error) = self.take_rows(&asked, &rows) {
            let message = format!("storage does not read back ({}); nothing is overwritten", error.message);
            return self.storage_failed(Error::new(Code::Corrupt, message));
        }
        let is_opening = self.scans.values().any(|asked| matches!(asked, Asked::Meta | Asked::Streams | Asked::Outbox));
        if !self.is_ready && !is_opening {
            self.is_ready = true;
            self.outbox.loaded();
            self.is_changed = true;
            self.outputs.push_back(Output::Ready);
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
            }
            Asked::Streams => {
                for row in rows {
                    let origin = store::origin_of_key(&row.key);
                    let origin = origin.ok_or_else(|| Error::malformed("a stream row has no origin"))?;
                    self.docs.earlier.insert(origin, Frontier::from_bytes(&row.value)?);
                }
            }
            Asked::Outbox => rows.iter().try_for_each(|row| self.outbox.load(&row.value))?,
            Asked::DocRow(name, reading) => {
                self.doc_row_read(name, *reading, rows.first().map(|row| row.value.as_slice()))?
            }
            Asked::DocUpdates(name, reading) => {
                let decoded = rows.iter().map(|row| super::persist::decode_updates(&row.value));
                let mut updates = decoded.collect::<Result<Vec<_>, Error>>()?;
                // Keys begin with origins, which are random. In the order of the log no update waits for another.
                updates.sort_by_key(|updates| updates.reach.epochs().last());
                self.doc_part_read(name, *reading, updates);
            }
        }
        Ok(())
    }

    fn scan(&mut self, asked: Asked, scan: Scan) {
        let token = self.token();
        self.scans.insert(token, asked);
        self.outputs.push_back(Output::Scan { token, scan });
    }
}
