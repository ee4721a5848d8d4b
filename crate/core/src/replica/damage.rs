//! Rows that do not read back. **A damaged row costs what is in it, and nothing else.**
//!
//! - Of a document: what is readable is shown, and what it holds counts as nothing, in the commit that takes the damaged rows
//!   away; the leader sends it again from the start. Without a leader, and in a tab that does not store it, nothing is
//!   overwritten: the document cannot be opened.
//! - Of a stream: documents on it hold what their own rows say.
//! - Of the outbox: unsent writes are lost. The row is set aside under `damaged/…`, and the application is told.
//! - Of a fact: storage as a whole does not read back, and is not written to.

use super::{Output, Replica};
use crate::error::{Code, Error};
use crate::ids::DocName;
use crate::store::{self, Row, StoreOp, Table};

/// What damaged rows of unsent writes are kept under.
const DAMAGED: &[u8] = b"damaged/";

/// What was found damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The document, if it is one: the leader sends it again.
    pub doc: Option<DocName>,
    /// Rows of unsent writes that are lost, each at least one write.
    pub lost_rows: usize,
    /// What does not read back.
    pub error: Error,
}

impl Replica {
    /// Rows of a document do not read back. Answers whether it is had all the same; otherwise it cannot be.
    pub(super) fn doc_is_damaged(&mut self, name: &DocName, damaged: Vec<Vec<u8>>, error: &Error) -> bool {
        if !self.config.has_leader || !self.tabs.stores_all() || self.persister.failure().is_some() {
            let message = format!(
                "what is stored of document {name:?} does not read back ({}); nothing is overwritten",
                error.message
            );
            self.doc_cannot_load(name, &Error::new(Code::Corrupt, message));
            return false;
        }
        let delete = |key| StoreOp::Delete { table: Table::Updates, key };
        self.persister.add_ops(damaged.into_iter().map(delete));
        self.follow_from_zero(name);
        self.compactor.forget(name);
        self.tell_damage(Some(name.clone()), 0, error);
        true
    }

    /// A document does not take what was read of it, though each row reads back: all of them go, and it is followed from zero.
    /// It is closed; whoever opens it again has it from the leader.
    pub(super) fn doc_is_unreadable(&mut self, name: &DocName, error: &Error) {
        if !self.config.has_leader || !self.tabs.stores_all() || self.persister.failure().is_some() {
            return;
        }
        let rows = self.compactor.keys_of(name);
        self.doc_is_damaged(name, rows, error);
    }

    pub(super) fn outbox_row_is_damaged(&mut self, row: &Row, error: &Error) {
        if !self.persister.is_new_damage(&row.key) {
            return;
        }
        let key = [DAMAGED, &row.key].concat();
        self.persister.add_ops([
            StoreOp::Put { table: Table::Meta, key, value: row.value.clone() },
            StoreOp::Delete { table: Table::Outbox, key: row.key.clone() },
        ]);
        self.tell_damage(None, 1, error);
    }

    pub(super) fn stream_row_is_damaged(&mut self, row: &Row, error: &Error) {
        if store::origin_of_key(&row.key).is_none() {
            return;
        }
        self.persister.add_ops([StoreOp::Delete { table: Table::Streams, key: row.key.clone() }]);
        self.tell_damage(None, 0, error);
    }

    fn tell_damage(&mut self, doc: Option<DocName>, lost_rows: usize, error: &Error) {
        let error = Error::new(Code::Corrupt, format!("a stored row does not read back: {}", error.message));
        self.outputs.push_back(Output::Damaged(Damage { doc, lost_rows, error }));
        self.is_changed = true;
    }
}
