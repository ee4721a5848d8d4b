//! Texts: characters with formatting, and embedded values between them.
//!
//! Positions count UTF-16 units, as JavaScript does; an embedded value counts one. A position between the two halves of
//! a character is refused: yrs would replace the character by two others here, and elsewhere only if an operation that
//! needs the split arrives there, so replicas would differ.

use yrs::types::text::YChange;
use yrs::types::{Attrs, Delta};
use yrs::{Any, GetString, Out, Text, TextRef};

use crate::array::within;
use crate::document::Document;
use crate::error::DocError;
use crate::handle::{Handle, Kind, Value};
use crate::input::{DeltaOp, Input, TextDelta};
use crate::scan::has_wide_characters;

impl Document {
    /// Inserts text before `index`. Without attributes it takes on the formatting to its left; with attributes it has
    /// exactly those.
    pub fn text_insert(&mut self, text: Handle, index: u32, chunk: &str, attrs: Option<Attrs>) -> Result<(), DocError> {
        self.check_span(text, index, 0)?;
        if chunk.is_empty() {
            return Ok(());
        }
        self.wide_characters |= has_wide_characters(chunk);
        self.write::<TextRef, _>(text, Kind::Text, |text, txn| {
            match attrs {
                Some(attrs) => text.insert_with_attributes(txn, index, chunk, attrs),
                None => text.insert(txn, index, chunk),
            }
            Ok(())
        })
    }

    /// Deletes `count` units from `index` on.
    pub fn text_delete(&mut self, text: Handle, index: u32, count: u32) -> Result<(), DocError> {
        self.check_span(text, index, count)?;
        if count == 0 {
            return Ok(());
        }
        self.write::<TextRef, _>(text, Kind::Text, |text, txn| {
            text.remove_range(txn, index, count);
            Ok(())
        })
    }

    /// Formats `count` units from `index` on. A null attribute takes the formatting away.
    pub fn text_format(&mut self, text: Handle, index: u32, count: u32, attrs: Attrs) -> Result<(), DocError> {
        self.check_span(text, index, count)?;
        if count == 0 || attrs.is_empty() {
            return Ok(());
        }
        self.write::<TextRef, _>(text, Kind::Text, |text, txn| {
            text.format(txn, index, count, attrs);
            Ok(())
        })
    }

    /// Inserts a value, plain or shared but not a string, as one unit before `index`.
    pub fn text_insert_embed(
        &mut self,
        text: Handle,
        index: u32,
        value: Input,
        attrs: Option<Attrs>,
    ) -> Result<(), DocError> {
        self.check_span(text, index, 0)?;
        if matches!(value, Input::Any(Any::String(_))) {
            return Err(DocError::EmbeddedString);
        }
        self.wide_characters |= value.has_wide_characters(false);
        self.write::<TextRef, _>(text, Kind::Text, |text, txn| {
            match attrs {
                Some(attrs) => text.insert_embed_with_attributes(txn, index, value, attrs),
                None => text.insert_embed(txn, index, value),
            };
            Ok(())
        })
    }

    /// Applies a whole change, walking the text once.
    pub fn text_apply_delta(&mut self, text: Handle, delta: Vec<DeltaOp>) -> Result<(), DocError> {
        let positions = positions(&delta, self.text_length(text)?)?;
        self.check_unsplit(text, &positions)?;
        if delta.is_empty() {
            return Ok(());
        }
        self.wide_characters |=
            delta.iter().any(|op| matches!(op, TextDelta::Insert(value, _) if value.has_wide_characters(true)));
        self.write::<TextRef, _>(text, Kind::Text, |text, txn| {
            text.apply_delta(txn, delta.into_iter().map(Delta::from));
            Ok(())
        })
    }

    /// The characters, without formatting and embedded values.
    pub fn text_string(&self, text: Handle) -> Result<String, DocError> {
        self.read::<TextRef, _>(text, Kind::Text, |text, txn| Ok(text.get_string(txn)))
    }

    /// The whole content as the change that would create it.
    pub fn text_delta(&self, text: Handle) -> Result<Vec<TextDelta<Value>>, DocError> {
        self.read_values::<TextRef, _>(text, Kind::Text, |text, txn, table| {
            let chunks = text.diff(txn, YChange::identity);
            Ok(chunks
                .into_iter()
                .map(|chunk| TextDelta::Insert(table.value(chunk.insert, txn), chunk.attributes))
                .collect())
        })
    }

    /// How many UTF-16 units there are, counting one for each embedded value.
    pub fn text_length(&self, text: Handle) -> Result<u32, DocError> {
        self.read::<TextRef, _>(text, Kind::Text, |text, txn| Ok(text.len(txn)))
    }

    fn check_span(&self, text: Handle, index: u32, count: u32) -> Result<(), DocError> {
        within(index, count, self.text_length(text)?)?;
        self.check_unsplit(text, &[index, index + count])
    }

    /// Checks that none of these positions, in order, is inside a character.
    fn check_unsplit(&self, text: Handle, positions: &[u32]) -> Result<(), DocError> {
        if !self.wide_characters {
            return Ok(());
        }
        self.read::<TextRef, _>(text, Kind::Text, |text, txn| {
            let mut at = 0;
            let mut inside = None;
            for chunk in text.diff(txn, YChange::identity) {
                let Out::Any(Any::String(chunk)) = chunk.insert else {
                    at += 1;
                    continue;
                };
                for character in chunk.chars() {
                    if character.len_utf16() == 2 && positions.binary_search(&(at + 1)).is_ok() {
                        inside = Some(at + 1);
                    }
                    at += character.len_utf16() as u32;
                }
            }
            match inside {
                // Strings that others embedded count differently than they look, and then nothing can be said.
                Some(index) if at == text.len(txn) => Err(DocError::SplitsCharacter { index }),
                _ => Ok(()),
            }
        })
    }
}

/// Where the steps of a change begin and end, in order, if all of that lies within `length`.
fn positions(delta: &[DeltaOp], length: u32) -> Result<Vec<u32>, DocError> {
    let mut index = 0;
    let mut positions = Vec::new();
    for op in delta {
        if let TextDelta::Retain(count, _) | TextDelta::Delete(count) = op {
            within(index, *count, length)?;
            index += count;
            positions.push(index);
        }
    }
    Ok(positions)
}
