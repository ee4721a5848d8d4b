//! The document: its transaction, what comes in, and what goes out.
//!
//! Operations on shared types are in `map.rs`, `array.rs` and `text.rs`; each goes through `read` or `write` here.

use std::cell::RefCell;
use std::rc::Rc;

use yrs::branch::{Branch, BranchPtr};
use yrs::error::UpdateError;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{
    ClientID, Doc, IdSet, OffsetKind, Options, ReadTxn, Snapshot, StateVector, TransactionMut, Update, WriteTxn,
};

use crate::conflict::Watch;
use crate::error::{DocError, Malformed};
use crate::handle::{Handle, HandleTable, Kind};
use crate::held::HeldDoc;
use crate::json;
use crate::observe::Observers;
use crate::scan::{check_state_vector, scan_update, scan_writes};
use crate::varint::MAX_SAFE_INTEGER;

/// At its end a transaction merges what neighbouring blocks it brought, from right to left, copying what it has merged
/// so far each time: the cost grows with the square of their number. One transaction for each update, on the other
/// hand, would have observers compare the document as often.
const UPDATES_PER_TRANSACTION: usize = 256;

/// A document, with at most one open local transaction.
pub struct Document {
    pub(crate) held: HeldDoc,
    pub(crate) handles: Rc<RefCell<HandleTable>>,
    pub(crate) observers: Observers,
    /// Whether a text of this document ever had a character of two UTF-16 units. Only then do positions have to be
    /// checked against the characters around them.
    pub(crate) wide_characters: bool,
    /// What it takes to tell conflicts, if somebody wants to be told.
    pub(crate) watch: Option<Box<Watch>>,
}

impl Document {
    /// An empty document whose writes are marked with `client_id`.
    ///
    /// The id must be fresh for each opening and at most 53 bits: a replica restored from older storage that writes
    /// under an id it has used before diverges silently and for good.
    pub fn new(client_id: u64) -> Self {
        assert!(client_id <= MAX_SAFE_INTEGER, "a client id has at most 53 bits, this is {client_id}");
        let doc = Doc::with_options(Options {
            offset_kind: OffsetKind::Utf16,
            // Otherwise applying a remote change could delete formatting marks that it made redundant: deletions of
            // our own, which nobody else would hear of. What has been applied alone must decide what is here.
            cleanup_formatting: false,
            ..Options::with_guid_and_client_id("".into(), ClientID::new(client_id))
        });
        Document {
            held: HeldDoc::new(doc),
            handles: Rc::default(),
            observers: Observers::default(),
            wide_characters: false,
            watch: None,
        }
    }

    /// Opens the local transaction if none is open.
    pub fn begin(&mut self) {
        self.held.open();
    }

    /// Whether a local transaction is open.
    pub fn is_open(&self) -> bool {
        self.held.is_open()
    }

    /// Closes the local transaction: tells the observers, and answers what changed as an update in encoding v1, or
    /// nothing when nothing changed. Deletions alone are a change.
    pub fn commit(&mut self) -> Option<Vec<u8>> {
        let mut txn = self.held.take()?;
        self.observers.set_local(true);
        txn.commit();
        self.observers.settle();
        // Encoded after the commit, which has merged neighbouring blocks: the bytes are fewer and mean the same.
        let update = txn.has_changes().then(|| txn.encode_update_v1());
        drop(txn);
        if let (Some(watch), Some(update)) = (&mut self.watch, &update) {
            watch.note_written(update);
        }
        update
    }

    /// Applies updates from elsewhere, in any order and however often.
    ///
    /// All are decoded before the first is applied. Operations whose predecessors are missing wait inside the document.
    /// Observers are told of many updates together, not of each.
    pub fn apply(&mut self, updates: &[&[u8]]) -> Result<(), DocError> {
        self.apply_from(&updates.iter().map(|update| (None, *update)).collect::<Vec<_>>())
    }

    /// As `apply`, with the origin of each update where it is known: of one that a single origin wrote.
    pub fn apply_from(&mut self, updates: &[(Option<u64>, &[u8])]) -> Result<(), DocError> {
        if self.held.is_open() {
            return Err(DocError::Busy);
        }
        let mut wide_characters = false;
        let mut writes = Vec::new();
        let decoded = updates.iter().map(|(origin, bytes)| {
            let known = writes.len();
            let noticed = scan_writes(bytes, self.watch.is_some().then_some(&mut writes))?;
            if let Some(watch) = &mut self.watch {
                watch.note_origin(*origin, &writes[known..]);
            }
            wide_characters |= noticed.wide_characters;
            Update::decode_v1(bytes).map_err(|_| undecoded())
        });
        let decoded = decoded.collect::<Result<Vec<_>, _>>()?;
        self.wide_characters |= wide_characters;
        self.observers.set_local(false);
        let waiting = self.waiting().map_err(DocError::Inapplicable)?.unwrap_or_default();
        if !waiting.is_empty() {
            // What the document itself encodes, the scanner can read.
            let _ = scan_writes(&waiting, Some(&mut writes));
        }
        let is_watched = !writes.is_empty();
        let arrivals =
            self.watch.as_ref().filter(|_| is_watched).map(|watch| self.held.read(|txn| watch.expect(writes, txn)));
        let mut integrated = IdSet::new();
        let mut note = |txn: &TransactionMut<'_>| {
            if is_watched {
                integrated.merge_with(txn.insert_set().clone());
            }
        };
        let mut decoded = decoded.into_iter().peekable();
        let mut applied = Ok(());
        while applied.is_ok() && decoded.peek().is_some() {
            let mut batch = decoded.by_ref().take(UPDATES_PER_TRANSACTION);
            applied = self.held.touch(|txn| {
                let applied = batch.try_for_each(|update| txn.apply_update(update));
                note(txn);
                applied
            });
        }
        let applied = applied.and_then(|()| {
            self.held.touch(|txn| {
                let applied = retry_pending(txn);
                note(txn);
                applied
            })
        });
        self.observers.settle();
        if let (Some(watch), Some(arrivals)) = (&mut self.watch, arrivals) {
            watch.note_applied(arrivals, Some(&integrated));
        }
        applied.map_err(DocError::Inapplicable)
    }

    /// Writes what an update has that is not here, and answers that as the update of a write of our own; nothing if all of
    /// it is here. The document is as it was if the update contradicts it.
    pub fn take_in(&mut self, update: &[u8]) -> Result<Option<Vec<u8>>, DocError> {
        if self.held.is_open() {
            return Err(DocError::Busy);
        }
        Document::new(0).apply(&[&self.encode_state(), update])?;
        self.wide_characters |= scan_update(update)?.wide_characters;
        let decoded = Update::decode_v1(update).map_err(|_| undecoded())?;
        let txn = self.held.open();
        let applied = txn.apply_update(decoded).and_then(|()| retry_pending(txn));
        let news = self.commit();
        applied.map_err(DocError::Inapplicable).map(|()| news)
    }

    /// Everything, as one update in encoding v1, including operations that still wait for their predecessors.
    pub fn encode_state(&self) -> Vec<u8> {
        self.held.read(|txn| txn.encode_state_as_update_v1(&StateVector::default()))
    }

    /// Everything that shows, as one update in encoding v1: without operations that wait.
    pub fn encode_integrated(&self) -> Vec<u8> {
        self.held.read(|txn| txn.encode_diff_v1(&StateVector::default()))
    }

    /// What is here, as a state vector in encoding v1. Deletions do not show in it.
    pub fn state_vector(&self) -> Vec<u8> {
        self.held.read(|txn| txn.state_vector().encode_v1())
    }

    /// What somebody with this state vector lacks, with all deletions, as an update in encoding v1.
    pub fn encode_diff(&self, state_vector: &[u8]) -> Result<Vec<u8>, DocError> {
        check_state_vector(state_vector)?;
        let theirs = StateVector::decode_v1(state_vector).map_err(|_| undecoded())?;
        Ok(self.held.read(|txn| txn.encode_state_as_update_v1(&theirs)))
    }

    /// Whether operations wait for predecessors that have not arrived.
    pub fn has_pending(&self) -> bool {
        self.held.read(|txn| txn.has_missing_updates())
    }

    /// All root types as plain data, without being told their kinds; see [`crate::to_json_string`] for the text form.
    pub fn to_json(&self) -> yrs::Any {
        self.held.read(json::whole_document)
    }

    /// All root types as JSON with sorted keys: equal documents give equal strings.
    pub fn to_json_string(&self) -> String {
        json::to_json_string(&self.to_json())
    }

    /// What two documents that have converged agree on: content, what has been seen of each client, and deletions.
    pub fn fingerprint(&self) -> (String, Snapshot) {
        (self.to_json_string(), self.held.read(|txn| txn.snapshot()))
    }

    /// The root type `name`. It exists in every document; asking for it with two kinds is an error, as is asking for
    /// a kind that what has arrived under that name cannot be.
    pub fn root(&mut self, kind: Kind, name: &str) -> Result<Handle, DocError> {
        let id = self.held.touch(|txn| {
            json::check_root(txn, name, kind)?;
            Ok::<_, DocError>(match kind {
                Kind::Map => AsRef::<Branch>::as_ref(&txn.get_or_insert_map(name)).id(),
                Kind::Array => AsRef::<Branch>::as_ref(&txn.get_or_insert_array(name)).id(),
                Kind::Text => AsRef::<Branch>::as_ref(&txn.get_or_insert_text(name)).id(),
            })
        })?;
        Ok(self.handles.borrow_mut().intern(id, kind))
    }

    pub(crate) fn read<S: From<BranchPtr>, R>(
        &self,
        handle: Handle,
        kind: Kind,
        f: impl FnOnce(S, &TransactionMut<'_>) -> Result<R, DocError>,
    ) -> Result<R, DocError> {
        self.held.read(|txn| f(S::from(self.handles.borrow().resolve(handle, kind, txn)?), txn))
    }

    /// As `read`, with the table at hand to name the shared types that are read.
    pub(crate) fn read_values<S: From<BranchPtr>, R>(
        &self,
        handle: Handle,
        kind: Kind,
        f: impl FnOnce(S, &TransactionMut<'_>, &mut HandleTable) -> Result<R, DocError>,
    ) -> Result<R, DocError> {
        let handles = &mut *self.handles.borrow_mut();
        self.held.read(|txn| f(S::from(handles.resolve(handle, kind, txn)?), txn, handles))
    }

    /// Opens the transaction if need be, but not for a handle that does not resolve.
    pub(crate) fn write<S: From<BranchPtr>, R>(
        &mut self,
        handle: Handle,
        kind: Kind,
        f: impl FnOnce(S, &mut TransactionMut<'_>) -> Result<R, DocError>,
    ) -> Result<R, DocError> {
        let branch = self.held.read(|txn| self.handles.borrow().resolve(handle, kind, txn))?;
        f(S::from(branch), self.held.open())
    }
}

/// Offers what waits for predecessors to the document again, until that changes nothing.
///
/// yrs retries by itself only when an operation arrives of a client that it noted as missing. Of two that wait for each
/// other's clients it notes one, so that both could stay invisible although everything is here.
fn retry_pending(txn: &mut TransactionMut<'_>) -> Result<(), UpdateError> {
    let mut before = Vec::new();
    while let Some(pending) = txn.prune_pending() {
        let bytes = pending.encode_v1();
        let is_stuck = bytes == before;
        txn.apply_update(pending)?;
        if is_stuck {
            break;
        }
        before = bytes;
    }
    Ok(())
}

/// yrs says no to what the scanner let through. The tests look for such a case; there should be none.
fn undecoded() -> DocError {
    DocError::Malformed(Malformed { offset: 0, reason: "yrs cannot decode it" })
}
