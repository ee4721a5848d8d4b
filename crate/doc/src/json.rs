//! Documents as plain data, without a schema.
//!
//! A root type that arrived in an update has no kind until somebody asks for it by one. Until then its kind follows
//! from what is in it: entries make an object, characters a string, other values an array, and entries besides a
//! sequence an object of both.

use std::collections::HashMap;
use std::fmt::Write;

use yrs::branch::{Branch, BranchPtr};
use yrs::types::ToJson;
use yrs::types::text::YChange;
use yrs::{Any, Array, ArrayRef, GetString, Map, MapRef, Number, Out, ReadTxn, Text, TextRef, TransactionMut};

use crate::error::DocError;
use crate::handle::{Kind, name_of};
use crate::order::sort_by_key;

/// The keys under which a root that is both shows its parts.
const ENTRIES_KEY: &str = "entries";
const SEQUENCE_KEY: &str = "sequence";

/// How deep shared types may nest before what is deeper shows as null. Only a hostile writer nests that deep.
pub(crate) const MAX_SHARED_DEPTH: usize = 200;

pub(crate) fn whole_document(txn: &TransactionMut<'_>) -> Any {
    let roots = txn.root_refs().map(|(name, out)| (name.to_owned(), to_json(out, txn)));
    Any::from(roots.collect::<HashMap<_, _>>())
}

pub(crate) fn to_json(out: Out, txn: &TransactionMut<'_>) -> Any {
    nested(out, txn, 0)
}

fn nested(out: Out, txn: &TransactionMut<'_>, depth: usize) -> Any {
    if depth > MAX_SHARED_DEPTH {
        return Any::Null;
    }
    match out {
        Out::YMap(map) => entries(&map, txn, depth),
        Out::YArray(array) => sequence(BranchPtr::from(AsRef::<Branch>::as_ref(&array)), txn, depth),
        Out::UndefinedRef(branch) => inferred(branch, txn, depth),
        other => other.to_json(txn),
    }
}

fn inferred(branch: BranchPtr, txn: &TransactionMut<'_>, depth: usize) -> Any {
    let map = MapRef::from(branch);
    match (map.len(txn) > 0, branch.len() > 0) {
        (_, false) => entries(&map, txn, depth),
        (false, true) => sequence(branch, txn, depth),
        (true, true) => Any::from(HashMap::from([
            (ENTRIES_KEY.to_owned(), entries(&map, txn, depth)),
            (SEQUENCE_KEY.to_owned(), sequence(branch, txn, depth)),
        ])),
    }
}

fn entries(map: &MapRef, txn: &TransactionMut<'_>, depth: usize) -> Any {
    let entries = map.iter(txn).map(|(key, out)| (key.to_owned(), nested(out, txn, depth + 1)));
    Any::from(entries.collect::<HashMap<_, _>>())
}

/// An array that holds characters shows as them: yrs cannot iterate over one.
fn sequence(branch: BranchPtr, txn: &TransactionMut<'_>, depth: usize) -> Any {
    match holds_text(branch, txn) {
        true => Any::from(TextRef::from(branch).get_string(txn)),
        false => {
            let values = ArrayRef::from(branch).iter(txn).map(|out| nested(out, txn, depth + 1)).collect::<Vec<_>>();
            Any::Array(values.into())
        }
    }
}

/// Arrays hold strings as values, never blocks of characters, unless somebody wrote to the same name as to a text.
pub(crate) fn holds_text(branch: BranchPtr, txn: &TransactionMut<'_>) -> bool {
    !TextRef::from(branch).get_string(txn).is_empty()
}

/// Refuses a root of another kind, and one without a kind whose content the asked kind cannot hold: yrs would
/// reinterpret it and then lose count.
pub(crate) fn check_root(txn: &TransactionMut<'_>, name: &str, asked: Kind) -> Result<(), DocError> {
    let Some(branch) = yrs::BranchID::get_root(txn, name) else {
        return Ok(());
    };
    let found = match Kind::of(branch.type_ref()) {
        Some(kind) if kind == asked => return Ok(()),
        None if *branch.type_ref() == yrs::types::TypeRef::Undefined => match asked {
            Kind::Array if holds_text(branch, txn) => "a text",
            Kind::Text if holds_values(branch, txn) => "an array",
            _ => return Ok(()),
        },
        _ => name_of(branch.type_ref()),
    };
    Err(DocError::Type { asked, found })
}

/// Whether there is more in the sequence than characters, embedded values and shared types: what only arrays hold.
fn holds_values(branch: BranchPtr, txn: &TransactionMut<'_>) -> bool {
    let in_text: u32 =
        TextRef::from(branch).diff(txn, YChange::identity).iter().map(|chunk| units(&chunk.insert)).sum();
    in_text < ArrayRef::from(branch).len(txn)
}

pub(crate) fn units(value: &Out) -> u32 {
    match value {
        Out::Any(Any::String(text)) => text.encode_utf16().count() as u32,
        _ => 1,
    }
}

/// Plain data as JSON with sorted keys, so that equal values give equal strings.
///
/// As `JSON.stringify`: an undefined entry is left out, undefined in an array and numbers that JSON does not have are
/// null. Bytes are an array of numbers.
pub fn to_json_string(value: &Any) -> String {
    let mut out = String::new();
    write_json(value, &mut out);
    out
}

fn write_json(value: &Any, out: &mut String) {
    match value {
        Any::Null | Any::Undefined => out.push_str("null"),
        Any::Bool(true) => out.push_str("true"),
        Any::Bool(false) => out.push_str("false"),
        Any::Number(Number::Int(number)) => write!(out, "{number}").expect("writing to a string cannot fail"),
        Any::Number(Number::Float(number)) if number.is_finite() => {
            write!(out, "{number}").expect("writing to a string cannot fail");
        }
        Any::Number(Number::Float(_)) => out.push_str("null"),
        Any::String(text) => write_string(text, out),
        Any::Buffer(bytes) => write_list(bytes.iter(), '[', ']', out, |byte, out| {
            write!(out, "{byte}").expect("writing to a string cannot fail");
        }),
        Any::Array(values) => write_list(values.iter(), '[', ']', out, write_json),
        Any::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().filter(|(_, value)| !matches!(value, Any::Undefined)).collect();
            sort_by_key(&mut entries, |(key, _)| *key);
            write_list(entries.into_iter(), '{', '}', out, |(key, value), out| {
                write_string(key, out);
                out.push(':');
                write_json(value, out);
            });
        }
    }
}

fn write_list<T>(
    items: impl Iterator<Item = T>,
    open: char,
    close: char,
    out: &mut String,
    mut write_item: impl FnMut(T, &mut String),
) {
    out.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_item(item, out);
    }
    out.push(close);
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                write!(out, "\\u{:04x}", control as u32).expect("writing to a string cannot fail");
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
