//! A disk: rows that have landed. What was handed over and has not landed is lost with the process that did so.

use headwater_core::store::{Row, Scan, StoreOp, Table};
use std::collections::BTreeMap;
use std::rc::Rc;

type Rows = BTreeMap<(Table, Vec<u8>), Rc<[u8]>>;

/// How long the disk answers with errors instead of storing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    /// It works.
    #[default]
    None,
    /// The next commit fails, and nothing of it is stored.
    FailNext,
    /// The next commit is stored, and yet reported as failed.
    FailNextStored,
    /// It is full.
    Full,
}

/// One device's or the node's storage.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    rows: Rows,
    /// Earlier contents, for a profile that is restored from a backup. The first is the empty disk.
    images: Vec<Rows>,
    /// What is wrong with it.
    pub trouble: Trouble,
    /// How many times slower than usual it is.
    pub slowness: u64,
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Self {
        Self { images: vec![Rows::new()], slowness: 1, ..Self::default() }
    }

    /// A commit lands, whole.
    pub fn land(&mut self, ops: &[StoreOp]) {
        for op in ops {
            match op {
                StoreOp::Put { table, key, value } => {
                    self.rows.insert((*table, key.clone()), value.as_slice().into());
                }
                StoreOp::Delete { table, key } => {
                    self.rows.remove(&(*table, key.clone()));
                }
                StoreOp::DeleteRange { table, from, to } => {
                    self.rows.retain(|(of, key), _| of != table || key < from || key >= to);
                }
            }
        }
    }

    /// Answers a scan.
    pub fn scan(&self, scan: &Scan) -> Vec<Row> {
        let mut weight = 0;
        let mut rows = Vec::new();
        for ((table, key), value) in self.rows.range((scan.table, scan.from.clone())..) {
            let is_past = *table != scan.table || scan.to.as_ref().is_some_and(|to| key >= to);
            if is_past || scan.limit.is_some_and(|(count, bytes)| rows.len() >= count || weight >= bytes) {
                break;
            }
            weight += key.len() + value.len();
            rows.push(Row { key: key.clone(), value: value.to_vec() });
        }
        rows
    }

    /// All rows of a table.
    pub fn table(&self, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows
            .range((table, Vec::new())..)
            .take_while(move |((t, _), _)| *t == table)
            .map(|((_, k), v)| (&**k, &**v))
    }

    /// Deletes rows that the caller picks: for deliberate bugs.
    pub fn retain(&mut self, keep: impl Fn(Table, &[u8]) -> bool) {
        self.rows.retain(|(table, key), _| keep(*table, key));
    }

    /// Keeps an image of it.
    pub fn keep_image(&mut self) {
        self.images.push(self.rows.clone());
    }

    /// Goes back to an earlier image; whether that changed anything.
    pub fn roll_back(&mut self, pick: u64) -> bool {
        let image = self.images[(pick % self.images.len() as u64) as usize].clone();
        std::mem::replace(&mut self.rows, image) != self.rows
    }

    /// Everything is deleted, as a browser does under pressure; whether there was anything.
    pub fn wipe(&mut self) -> bool {
        !std::mem::take(&mut self.rows).is_empty()
    }
}
