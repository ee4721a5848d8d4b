//! Storage that does not read back: damaged, or compacted by another instance that has taken this one's place. What is stored
//! tells, because every step of compaction leaves its number there.

use super::catch_up::Reader;
use super::compact::COMPACTED;
use super::{Node, Output};
use crate::error::{Code, Error};
use crate::ids::{Epoch, Lsn};
use crate::store::{self, Row, Scan, Table};

impl Node {
    /// Something is missing or does not decode. The node is of no use any more; why, storage tells.
    pub(super) fn doubt_storage(&mut self, what: &str, error: &Error) {
        let error = Error::new(Code::Corrupt, format!("{what}: {}", error.message));
        let token = self.token();
        self.scans.insert(token, (Reader::Doubt(error), Epoch(0), Lsn(0)));
        self.outputs.push_back(Output::Scan { token, scan: Scan::all(Table::Meta) });
    }

    pub(super) fn doubted(&mut self, error: Error, rows: &[Row]) {
        let stored = rows.iter().find(|row| row.key == store::meta_key(COMPACTED)).map(|row| &row.value);
        if stored.is_none_or(|stored| self.is_compacted_so(stored)) {
            return self.fail(error);
        }
        let message = "another instance of this node has compacted the storage since this one began";
        self.fail(Error::new(Code::StorageUnavailable, message));
    }
}
