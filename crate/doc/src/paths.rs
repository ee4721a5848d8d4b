//! Where nested types are: yrs tells the path of a type only to its observers, so the document is walked.

use std::collections::HashMap;

use yrs::branch::{Branch, BranchPtr};
use yrs::types::text::YChange;
use yrs::{Array, ArrayRef, BranchID, Map, MapRef, Out, ReadTxn, Text, TextRef, TransactionMut};

use crate::conflict::Paths;
use crate::json::{MAX_SHARED_DEPTH, holds_text, units};
use crate::observe::PathStep;

/// The paths of the nested types among these, in one walk. Those that are gone, or deeper than anything shows, have none.
pub(crate) fn find_nested<'a>(ids: impl Iterator<Item = &'a BranchID>, txn: &TransactionMut<'_>) -> Paths {
    let wanted: HashMap<BranchID, Vec<PathStep>> =
        ids.filter(|id| matches!(id, BranchID::Nested(_))).map(|id| (id.clone(), Vec::new())).collect();
    let mut walk = Walk { missing: wanted.len(), paths: wanted, path: Vec::new(), txn };
    for (name, root) in txn.root_refs() {
        walk.step(PathStep::Key(name.to_owned()), root);
    }
    // The path of a nested type has at least the name of a root type.
    walk.paths.retain(|_, path| !path.is_empty());
    walk.paths
}

struct Walk<'a, 'doc> {
    paths: Paths,
    /// How many are still to be found.
    missing: usize,
    /// Where the walk is.
    path: Vec<PathStep>,
    txn: &'a TransactionMut<'doc>,
}

impl Walk<'_, '_> {
    fn step(&mut self, step: PathStep, out: Out) {
        if self.missing == 0 || self.path.len() > MAX_SHARED_DEPTH {
            return;
        }
        self.path.push(step);
        match out {
            Out::YMap(map) => {
                self.found(map.as_ref());
                self.entries(&map);
            }
            Out::YArray(array) => {
                self.found(array.as_ref());
                self.sequence(BranchPtr::from(AsRef::<Branch>::as_ref(&array)));
            }
            Out::YText(text) => self.embedded(&text),
            Out::UndefinedRef(branch) => {
                self.entries(&MapRef::from(branch));
                self.sequence(branch);
            }
            _ => {}
        }
        self.path.pop();
    }

    fn found(&mut self, branch: &Branch) {
        if let Some(path) = self.paths.get_mut(&branch.id()) {
            path.clone_from(&self.path);
            self.missing -= 1;
        }
    }

    fn entries(&mut self, map: &MapRef) {
        let txn = self.txn;
        for (key, out) in map.iter(txn) {
            self.step(PathStep::Key(key.to_owned()), out);
        }
    }

    fn sequence(&mut self, branch: BranchPtr) {
        let txn = self.txn;
        if holds_text(branch, txn) {
            return self.embedded(&TextRef::from(branch));
        }
        for (index, out) in ArrayRef::from(branch).iter(txn).enumerate() {
            self.step(PathStep::Index(index as u32), out);
        }
    }

    fn embedded(&mut self, text: &TextRef) {
        let mut at = 0;
        for chunk in text.diff(self.txn, YChange::identity) {
            let length = units(&chunk.insert);
            self.step(PathStep::Index(at), chunk.insert);
            at += length;
        }
    }
}
