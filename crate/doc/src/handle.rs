//! Handles: small numbers that name shared types, valid for as long as the document is open.
//!
//! A handle holds no pointer. It stands for a root name or for the id of the operation that created a nested type, and
//! is looked up again at every use, so that a type which somebody else deleted answers with an error.

use std::collections::HashMap;
use std::fmt;

use yrs::branch::{Branch, BranchPtr};
use yrs::types::ToJson;
use yrs::types::TypeRef;
use yrs::{Any, BranchID, Out, TransactionMut};

use crate::error::DocError;

/// The kinds of shared types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Keys to values.
    Map,
    /// Values in order.
    Array,
    /// Text with formatting and embedded values.
    Text,
}

impl Kind {
    pub(crate) fn of(type_ref: &TypeRef) -> Option<Kind> {
        match type_ref {
            TypeRef::Map => Some(Kind::Map),
            TypeRef::Array => Some(Kind::Array),
            TypeRef::Text => Some(Kind::Text),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Map => "a map",
            Kind::Array => "an array",
            Kind::Text => "a text",
        })
    }
}

/// Names one shared type of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    /// Its place in the document's table.
    pub index: u32,
    /// Its kind, which never changes.
    pub kind: Kind,
}

/// What stands in a map entry, an array place or a text embed.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Plain data.
    Any(Any),
    /// A shared type to go on with.
    Shared(Handle),
}

/// The shared types of a document that somebody has asked about.
///
/// It only grows, by one small entry for each shared type that was ever handed out: handles stay comparable.
#[derive(Default)]
pub(crate) struct HandleTable {
    ids: Vec<(BranchID, Kind)>,
    by_id: HashMap<BranchID, u32>,
}

impl HandleTable {
    pub(crate) fn intern(&mut self, id: BranchID, kind: Kind) -> Handle {
        if let Some(&index) = self.by_id.get(&id) {
            return Handle { index, kind };
        }
        let index = u32::try_from(self.ids.len()).expect("a document has fewer than 2^32 operations");
        self.by_id.insert(id.clone(), index);
        self.ids.push((id, kind));
        Handle { index, kind }
    }

    pub(crate) fn id(&self, handle: Handle) -> Option<&BranchID> {
        self.ids.get(handle.index as usize).map(|(id, _)| id)
    }

    /// The root types that somebody has asked about.
    pub(crate) fn roots(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.ids.iter().filter_map(|(id, kind)| match id {
            BranchID::Root(name) => Some((&**name, *kind)),
            BranchID::Nested(_) => None,
        })
    }

    /// The branch a handle names now. The reference is good for as long as the transaction is not written to.
    pub(crate) fn resolve(&self, handle: Handle, asked: Kind, txn: &TransactionMut<'_>) -> Result<BranchPtr, DocError> {
        let branch = self.id(handle).and_then(|id| id.get_branch(txn)).ok_or(DocError::Deleted)?;
        if branch.is_deleted() {
            return Err(DocError::Deleted);
        }
        match Kind::of(branch.type_ref()) {
            Some(kind) if kind == asked => Ok(branch),
            _ => Err(DocError::Type { asked, found: name_of(branch.type_ref()) }),
        }
    }

    /// A value as callers see it: plain data as it is, shared types by handle, and what this crate does not offer
    /// (XML, subdocuments) by its JSON form.
    pub(crate) fn value(&mut self, out: Out, txn: &TransactionMut<'_>) -> Value {
        match out {
            Out::Any(any) => Value::Any(any),
            Out::YMap(map) => self.shared(map.as_ref(), Kind::Map),
            Out::YArray(array) => self.shared(array.as_ref(), Kind::Array),
            Out::YText(text) => self.shared(text.as_ref(), Kind::Text),
            other => Value::Any(other.to_json(txn)),
        }
    }

    fn shared(&mut self, branch: &Branch, kind: Kind) -> Value {
        Value::Shared(self.intern(branch.id(), kind))
    }
}

pub(crate) fn name_of(type_ref: &TypeRef) -> &'static str {
    match type_ref {
        TypeRef::Map => "a map",
        TypeRef::Array => "an array",
        TypeRef::Text => "a text",
        TypeRef::XmlElement(_) | TypeRef::XmlFragment | TypeRef::XmlHook | TypeRef::XmlText => "an XML type",
        TypeRef::SubDoc => "a subdocument",
        TypeRef::Undefined => "a type without a kind",
    }
}
