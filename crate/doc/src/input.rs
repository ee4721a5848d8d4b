//! What goes in: plain data, or shared types described before they exist.
//!
//! An [`Input`] becomes part of a document when it is set or inserted; the tree of shared types that it describes is
//! then created in the order in which it is written here, so that equal calls give equal updates.

use yrs::block::{EmbedPrelim, ItemContent, Prelim, Unused};
use yrs::branch::{Branch, BranchPtr};
use yrs::types::{Attrs, Delta, TypeRef};
use yrs::{Any, Array, ArrayRef, Map, MapRef, Text, TextRef, TransactionMut};

use crate::scan::has_wide_characters;

/// A value to set, insert or embed.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Plain data.
    Any(Any),
    /// A new map with these entries.
    Map(Vec<(String, Input)>),
    /// A new array with these values.
    Array(Vec<Input>),
    /// A new text made of these pieces.
    Text(Vec<TextPiece>),
}

/// A piece of a new text: a string or an embedded value, with its formatting.
#[derive(Debug, Clone, PartialEq)]
pub struct TextPiece {
    /// What to insert. A plain string is text.
    pub insert: Input,
    /// Its formatting.
    pub attrs: Option<Box<Attrs>>,
}

impl Input {
    /// Whether it would put a character of two UTF-16 units into some text. A plain string only does as part of one.
    pub(crate) fn has_wide_characters(&self, in_text: bool) -> bool {
        match self {
            Input::Any(Any::String(text)) => in_text && has_wide_characters(text),
            Input::Any(_) => false,
            Input::Map(entries) => entries.iter().any(|(_, value)| value.has_wide_characters(false)),
            Input::Array(values) => values.iter().any(|value| value.has_wide_characters(false)),
            Input::Text(pieces) => pieces.iter().any(|piece| piece.insert.has_wide_characters(true)),
        }
    }
}

impl<T: Into<Any>> From<T> for Input {
    fn from(value: T) -> Self {
        Input::Any(value.into())
    }
}

/// One step of a change to a text. `V` is [`Input`] on the way in and [`crate::Value`] on the way out.
#[derive(Debug, Clone, PartialEq)]
pub enum TextDelta<V> {
    /// New text or a new embedded value. A plain string is text.
    Insert(V, Option<Box<Attrs>>),
    /// Goes on over this many UTF-16 units, and formats them if there are attributes.
    Retain(u32, Option<Box<Attrs>>),
    /// Removes this many UTF-16 units.
    Delete(u32),
}

/// A step of a change to a text, on the way in.
pub type DeltaOp = TextDelta<Input>;

impl From<DeltaOp> for Delta<Input> {
    fn from(op: DeltaOp) -> Self {
        match op {
            TextDelta::Insert(value, attrs) => Delta::Inserted(value, attrs),
            TextDelta::Retain(count, attrs) => Delta::Retain(count, attrs),
            TextDelta::Delete(count) => Delta::Deleted(count),
        }
    }
}

impl Prelim for Input {
    type Return = Unused;

    fn into_content(self, _txn: &mut TransactionMut) -> (ItemContent, Option<Self>) {
        let type_ref = match &self {
            Input::Any(_) => None,
            Input::Map(_) => Some(TypeRef::Map),
            Input::Array(_) => Some(TypeRef::Array),
            Input::Text(_) => Some(TypeRef::Text),
        };
        match (self, type_ref) {
            (Input::Any(any), _) => (ItemContent::Any(vec![any]), None),
            (shared, Some(type_ref)) => (ItemContent::Type(Branch::new(type_ref)), Some(shared)),
            (_, None) => unreachable!("only plain data has no type"),
        }
    }

    fn integrate(self, txn: &mut TransactionMut, inner: BranchPtr) {
        match self {
            Input::Any(_) => {}
            Input::Map(entries) => {
                let map = MapRef::from(inner);
                for (key, value) in entries {
                    map.insert(txn, key, value);
                }
            }
            Input::Array(values) => insert_values(&ArrayRef::from(inner), txn, 0, values),
            Input::Text(pieces) => {
                let delta = pieces.into_iter().map(|piece| Delta::Inserted(piece.insert, piece.attrs));
                TextRef::from(inner).apply_delta(txn, delta);
            }
        }
    }
}

impl From<Input> for EmbedPrelim<Input> {
    fn from(value: Input) -> Self {
        match value {
            Input::Any(any) => EmbedPrelim::Primitive(any),
            shared => EmbedPrelim::Shared(shared),
        }
    }
}

/// Inserts in order, with each run of plain values as one block. The index must be within the array.
pub(crate) fn insert_values(array: &ArrayRef, txn: &mut TransactionMut, mut index: u32, values: Vec<Input>) {
    let mut run: Vec<Any> = Vec::new();
    for value in values {
        match value {
            Input::Any(any) => run.push(any),
            shared => {
                index += insert_run(array, txn, index, &mut run);
                array.insert(txn, index, shared);
                index += 1;
            }
        }
    }
    insert_run(array, txn, index, &mut run);
}

fn insert_run(array: &ArrayRef, txn: &mut TransactionMut, index: u32, run: &mut Vec<Any>) -> u32 {
    let count = run.len() as u32;
    array.insert_range(txn, index, run.drain(..));
    count
}
