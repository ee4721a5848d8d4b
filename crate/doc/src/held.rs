//! The one place with `unsafe`: a yrs document together with its open transaction, held across calls.
//!
//! A `TransactionMut<'doc>` borrows from its `Doc`, and yrs has no owned form of it, so a struct with both would have to
//! borrow from itself. The borrow is extended to `'static` here and never leaves: callers see it for the length of a
//! closure only.

use yrs::{Doc, Transact, TransactionMut};

/// A document, and its open write transaction if there is one.
///
/// Fields drop in the order in which they are declared: the transaction first, which commits and releases the lock on
/// the store, then the document that owns the store.
pub(crate) struct HeldDoc {
    txn: Option<TransactionMut<'static>>,
    doc: Doc,
}

impl HeldDoc {
    pub(crate) fn new(doc: Doc) -> Self {
        HeldDoc { txn: None, doc }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.txn.is_some()
    }

    /// The open transaction; opened now if there is none. Users within this crate must not move it out or swap it.
    pub(crate) fn open(&mut self) -> &mut TransactionMut<'static> {
        let doc = &self.doc;
        self.txn.get_or_insert_with(|| {
            // SAFETY: the transaction borrows the lock that lives in the heap allocation which `doc` shares by `Arc`;
            // moving `HeldDoc` does not move that lock. `self.doc` is never replaced, and by the order of the fields it
            // outlives `self.txn`. `take` shortens the lifetime again before it hands the transaction out by value.
            unsafe { std::mem::transmute::<TransactionMut<'_>, TransactionMut<'static>>(transact(doc)) }
        })
    }

    /// Takes the open transaction out, so that the caller decides when it commits. It cannot outlive `self`.
    pub(crate) fn take(&mut self) -> Option<TransactionMut<'_>> {
        self.txn.take().map(|txn| txn as TransactionMut<'_>)
    }

    /// Reads through the open transaction, so that a transaction sees its own writes, or through a passing one.
    ///
    /// The passing one is a write transaction too: nothing else can hold the lock, it commits nothing, and the reading
    /// code is compiled for one type instead of two.
    pub(crate) fn read<R>(&self, f: impl FnOnce(&TransactionMut<'_>) -> R) -> R {
        match &self.txn {
            Some(txn) => f(txn),
            None => f(&transact(&self.doc)),
        }
    }

    /// Runs `f` in the open transaction or in a passing one, without leaving one open: for what changes no data, such
    /// as naming a root type.
    pub(crate) fn touch<R>(&mut self, f: impl FnOnce(&mut TransactionMut<'_>) -> R) -> R {
        match self.txn.is_some() {
            true => f(self.open()),
            false => f(&mut transact(&self.doc)),
        }
    }
}

fn transact(doc: &Doc) -> TransactionMut<'_> {
    doc.try_transact_mut().expect("only HeldDoc opens transactions on this document, and none is open")
}
