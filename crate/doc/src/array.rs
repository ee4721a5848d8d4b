//! Arrays: values in an order that concurrent inserts extend and never scramble.
//!
//! Positions are checked here, because yrs panics on a position past the end.

use yrs::branch::{Branch, BranchPtr};
use yrs::{Any, Array, ArrayRef, Out, TransactionMut};

use crate::document::Document;
use crate::error::DocError;
use crate::handle::{Handle, Kind, Value};
use crate::input::{Input, insert_values};
use crate::json::{holds_text, to_json};

impl Document {
    /// Inserts values before `index`, which may be the length.
    pub fn array_insert(&mut self, array: Handle, index: u32, values: Vec<Input>) -> Result<(), DocError> {
        within(index, 0, self.array_length(array)?)?;
        if values.is_empty() {
            return Ok(());
        }
        self.wide_characters |= values.iter().any(|value| value.has_wide_characters(false));
        self.write::<ArrayRef, _>(array, Kind::Array, |array, txn| {
            insert_values(&array, txn, index, values);
            Ok(())
        })
    }

    /// Appends values.
    pub fn array_push(&mut self, array: Handle, values: Vec<Input>) -> Result<(), DocError> {
        let length = self.array_length(array)?;
        self.array_insert(array, length, values)
    }

    /// Deletes `count` values from `index` on.
    pub fn array_delete(&mut self, array: Handle, index: u32, count: u32) -> Result<(), DocError> {
        within(index, count, self.array_length(array)?)?;
        if count == 0 {
            return Ok(());
        }
        self.write::<ArrayRef, _>(array, Kind::Array, |array, txn| {
            array.remove_range(txn, index, count);
            Ok(())
        })
    }

    /// The value at `index`, if the array reaches that far.
    pub fn array_get(&self, array: Handle, index: u32) -> Result<Option<Value>, DocError> {
        self.read_values::<ArrayRef, _>(array, Kind::Array, |array, txn, table| {
            if index >= array.len(txn) {
                return Ok(None);
            }
            without_text(&array, txn)?;
            Ok(array.get(txn, index).map(|out| table.value(out, txn)))
        })
    }

    /// All values.
    pub fn array_values(&self, array: Handle) -> Result<Vec<Value>, DocError> {
        self.read_values::<ArrayRef, _>(array, Kind::Array, |array, txn, table| {
            without_text(&array, txn)?;
            Ok(array.iter(txn).map(|out| table.value(out, txn)).collect())
        })
    }

    /// How many values there are.
    pub fn array_length(&self, array: Handle) -> Result<u32, DocError> {
        self.read::<ArrayRef, _>(array, Kind::Array, |array, txn| Ok(array.len(txn)))
    }

    /// The array and everything in it as plain data.
    pub fn array_to_json(&self, array: Handle) -> Result<Any, DocError> {
        self.read::<ArrayRef, _>(array, Kind::Array, |array, txn| Ok(to_json(Out::YArray(array), txn)))
    }
}

/// Refuses an array that holds characters because somebody wrote to it as to a text: yrs would iterate for ever.
fn without_text(array: &ArrayRef, txn: &TransactionMut<'_>) -> Result<(), DocError> {
    match holds_text(BranchPtr::from(AsRef::<Branch>::as_ref(array)), txn) {
        true => Err(DocError::Type { asked: Kind::Array, found: "a text" }),
        false => Ok(()),
    }
}

/// Checks that `count` places from `index` on lie within `length`.
pub(crate) fn within(index: u32, count: u32, length: u32) -> Result<(), DocError> {
    match index.checked_add(count) {
        Some(end) if end <= length => Ok(()),
        _ => Err(DocError::Range { index, count, length }),
    }
}
