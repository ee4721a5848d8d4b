//! Storage as `store.rs` describes it, in memory. Clones share it, as tabs share a browser profile.

use headwater_core::store::{Row, Scan, StoreOp, Table};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

#[derive(Clone, Debug, Default)]
pub struct Disk(Rc<RefCell<Rows>>);

impl Disk {
    pub fn commit(&self, ops: &[StoreOp]) {
        let mut rows = self.0.borrow_mut();
        for op in ops.iter().cloned() {
            match op {
                StoreOp::Put { table, key, value } => {
                    rows.insert((table, key), value);
                }
                StoreOp::Delete { table, key } => {
                    rows.remove(&(table, key));
                }
                StoreOp::DeleteRange { table, from, to } => {
                    rows.retain(|(of, key), _| *of != table || *key < from || *key >= to);
                }
            }
        }
    }

    pub fn scan(&self, scan: &Scan) -> Vec<Row> {
        let (rows_max, bytes_max) = scan.limit.unwrap_or((usize::MAX, usize::MAX));
        let mut bytes = 0;
        let mut found = Vec::new();
        for ((table, key), value) in self.0.borrow().range((scan.table, scan.from.clone())..) {
            let is_beyond = *table != scan.table || scan.to.as_ref().is_some_and(|to| key >= to);
            if is_beyond || found.len() >= rows_max || bytes >= bytes_max {
                break;
            }
            bytes += value.len();
            found.push(Row { key: key.clone(), value: value.clone() });
        }
        found
    }

    pub fn rows(&self, table: Table) -> Vec<Row> {
        self.scan(&Scan::all(table))
    }

    pub fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        self.0.borrow().get(&(table, key.to_vec())).cloned()
    }

    pub fn put(&self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.0.borrow_mut().insert((table, key), value);
    }

    /// A copy of its own, to compare with later.
    pub fn snapshot(&self) -> Rows {
        self.0.borrow().clone()
    }

    /// Storage that went back in time.
    pub fn revert(&self, to: Rows) {
        *self.0.borrow_mut() = to;
    }
}
