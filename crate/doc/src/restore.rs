//! A document back to what it was: the changes that turn what is shown now into what was shown then.
//!
//! They are writes like any other, so that what others write meanwhile merges with them. What is as it was is not touched:
//! entries of maps are compared one by one, and of a text or an array the part between what both begin and end with is
//! replaced. A shared type that is still there is changed in place; one that is gone is made anew, with another identity.

use std::collections::HashMap;
use std::iter::zip;

use yrs::branch::{Branch, BranchPtr};
use yrs::types::text::{Diff, YChange};
use yrs::types::{Attrs, Delta};
use yrs::{Any, Array, ArrayRef, Map, MapRef, Out, ReadTxn, Text, TextRef, TransactionMut, WriteTxn};

use crate::document::Document;
use crate::error::DocError;
use crate::input::{Input, TextPiece, insert_values};
use crate::json::{MAX_SHARED_DEPTH, holds_text, units};
use crate::order::sort_by_key;

impl Document {
    /// Changes everything that shows to what shows in `then`, an earlier state of the same document, and answers the update
    /// that does it; nothing if nothing differs.
    ///
    /// Documents with XML types or subdocuments are refused where those would have to be made anew.
    pub fn restore(&mut self, then: &Document) -> Result<Option<Vec<u8>>, DocError> {
        then.held.read(|old| restore_roots(old, self.held.open()))?;
        Ok(self.commit())
    }
}

type Txn<'a> = TransactionMut<'a>;

fn restore_roots(old: &Txn<'_>, new: &mut Txn<'_>) -> Result<(), DocError> {
    let roots = |txn: &Txn<'_>| -> HashMap<String, BranchPtr> {
        txn.root_refs().filter_map(|(name, out)| Some((name.to_owned(), branch_of(&out)?))).collect()
    };
    let (before, now) = (roots(old), roots(new));
    for (name, branch) in &now {
        if !before.contains_key(name) {
            clear(*branch, new);
        }
    }
    let mut before: Vec<(String, BranchPtr)> = before.into_iter().collect();
    sort_by_key(&mut before, |(name, _)| name.clone());
    for (name, was) in before {
        // Whoever receives it knows a root by its name alone.
        let is = match now.get(&name) {
            Some(is) => *is,
            None if was.len() == 0 => ptr(new.get_or_insert_map(name.as_str())),
            None if holds_text(was, old) => ptr(new.get_or_insert_text(name.as_str())),
            None => ptr(new.get_or_insert_array(name.as_str())),
        };
        restore_branch(was, old, is, new, 0)?;
    }
    Ok(())
}

fn restore_branch(
    was: BranchPtr,
    old: &Txn<'_>,
    is: BranchPtr,
    new: &mut Txn<'_>,
    depth: usize,
) -> Result<(), DocError> {
    if depth > MAX_SHARED_DEPTH {
        return Err(DocError::Unrestorable { found: "a shared type that is nested too deep" });
    }
    restore_entries(&MapRef::from(was), old, &MapRef::from(is), new, depth)?;
    match holds_text(was, old) || holds_text(is, new) {
        true => restore_text(&TextRef::from(was), old, &TextRef::from(is), new),
        false if was.len() > 0 || is.len() > 0 => {
            restore_values(&ArrayRef::from(was), old, &ArrayRef::from(is), new, depth)
        }
        false => Ok(()),
    }
}

fn restore_entries(was: &MapRef, old: &Txn<'_>, is: &MapRef, new: &mut Txn<'_>, depth: usize) -> Result<(), DocError> {
    let before: HashMap<String, Out> = was.iter(old).map(|(key, out)| (key.to_owned(), out)).collect();
    let added: Vec<String> =
        is.iter(new).map(|(key, _)| key.to_owned()).filter(|key| !before.contains_key(key)).collect();
    for key in added {
        is.remove(new, &key);
    }
    let mut before: Vec<(String, Out)> = before.into_iter().collect();
    sort_by_key(&mut before, |(name, _)| name.clone());
    for (key, value) in before {
        let current = is.get(new, &key);
        match current.as_ref().map(|current| same(&value, old, current, new)).transpose()? {
            Some(Same::Equal) => {}
            Some(Same::Type(was, is)) => restore_branch(was, old, is, new, depth + 1)?,
            None | Some(Same::Other) => {
                let input = input_of(&value, old, depth)?;
                is.insert(new, key, input);
            }
        }
    }
    Ok(())
}

fn restore_values(
    was: &ArrayRef,
    old: &Txn<'_>,
    is: &ArrayRef,
    new: &mut Txn<'_>,
    depth: usize,
) -> Result<(), DocError> {
    let (before, now): (Vec<Out>, Vec<Out>) = (was.iter(old).collect(), is.iter(new).collect());
    let mut kept: Vec<(BranchPtr, BranchPtr)> = Vec::new();
    let mut count_same = |pairs: &mut dyn Iterator<Item = (&Out, &Out)>| -> Result<usize, DocError> {
        let mut count = 0;
        for (was, is) in pairs {
            match same(was, old, is, new)? {
                Same::Other => break,
                Same::Equal => {}
                Same::Type(was, is) => kept.push((was, is)),
            }
            count += 1;
        }
        Ok(count)
    };
    let begin = count_same(&mut zip(&before, &now))?;
    let end = count_same(&mut zip(before[begin..].iter().rev(), now[begin..].iter().rev()))?;
    let inputs = before[begin..before.len() - end].iter().map(|value| input_of(value, old, depth));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let gone = (now.len() - end - begin) as u32;
    if gone > 0 {
        is.remove_range(new, begin as u32, gone);
    }
    insert_values(is, new, begin as u32, inputs);
    kept.into_iter().try_for_each(|(was, is)| restore_branch(was, old, is, new, depth + 1))
}

fn restore_text(was: &TextRef, old: &Txn<'_>, is: &TextRef, new: &mut Txn<'_>) -> Result<(), DocError> {
    let (before, now) = (pieces(was, old)?, pieces(is, new)?);
    let length = |pieces: &[Piece]| pieces.iter().map(|piece| piece.units).sum::<u32>();
    if was.len(old) != length(&before) || is.len(new) != length(&now) {
        return Err(DocError::Unrestorable { found: "a text among other values" });
    }
    let same_from = |left: &mut dyn Iterator<Item = Unit<'_>>, right: &mut dyn Iterator<Item = Unit<'_>>| {
        zip(left, right).take_while(|(left, right)| left == right).map(|(unit, _)| unit.size()).sum::<u32>()
    };
    let begin = same_from(&mut before.iter().flat_map(Piece::forward), &mut now.iter().flat_map(Piece::forward));
    let backward = |pieces: &mut dyn Iterator<Item = Unit<'_>>, of: &mut dyn Iterator<Item = Unit<'_>>, room: u32| {
        let mut left = room;
        let fits = zip(pieces, of).take_while(|(unit, other)| {
            let is_same = unit == other && unit.size() <= left;
            left -= if is_same { unit.size() } else { 0 };
            is_same
        });
        fits.map(|(unit, _)| unit.size()).sum::<u32>()
    };
    let room = length(&before).min(length(&now)) - begin;
    let end = backward(
        &mut before.iter().rev().flat_map(Piece::backward),
        &mut now.iter().rev().flat_map(Piece::backward),
        room,
    );
    let gone = length(&now) - begin - end;
    let inserted = cut(before, begin, end);
    if gone == 0 && inserted.is_empty() {
        return Ok(());
    }
    let mut delta = vec![Delta::Retain(begin, None)];
    delta.extend(inserted.into_iter().map(|TextPiece { insert, attrs }| Delta::Inserted(insert, attrs)));
    // Last: where yrs has deleted, it has lost count of the formatting that goes on.
    delta.extend((gone > 0).then_some(Delta::Deleted(gone)));
    is.apply_delta(new, delta.into_iter().skip_while(|op| matches!(op, Delta::Retain(0, _))));
    Ok(())
}

/// A part of a text with one formatting: characters, or one embedded value.
struct Piece {
    insert: Input,
    attrs: Option<Box<Attrs>>,
    units: u32,
}

#[derive(PartialEq)]
enum Unit<'a> {
    Character(char, Option<&'a Attrs>),
    Value(&'a Input, Option<&'a Attrs>),
}

impl Unit<'_> {
    fn size(&self) -> u32 {
        match self {
            Unit::Character(character, _) => character.len_utf16() as u32,
            Unit::Value(..) => 1,
        }
    }
}

impl Piece {
    fn text(&self) -> &str {
        match &self.insert {
            Input::Any(Any::String(text)) => text,
            _ => "",
        }
    }

    fn value(&self) -> Option<Unit<'_>> {
        match &self.insert {
            Input::Any(Any::String(_)) => None,
            value => Some(Unit::Value(value, self.attrs.as_deref())),
        }
    }

    fn forward(&self) -> impl Iterator<Item = Unit<'_>> {
        let characters = self.text().chars().map(|character| Unit::Character(character, self.attrs.as_deref()));
        characters.chain(self.value())
    }

    fn backward(&self) -> impl Iterator<Item = Unit<'_>> {
        let characters = self.text().chars().rev().map(|character| Unit::Character(character, self.attrs.as_deref()));
        characters.chain(self.value())
    }
}

fn pieces(text: &TextRef, txn: &Txn<'_>) -> Result<Vec<Piece>, DocError> {
    let mut pieces: Vec<Piece> = Vec::new();
    for Diff { insert, attributes, .. } in text.diff(txn, YChange::identity) {
        let piece = Piece { units: units(&insert), insert: input_of(&insert, txn, 0)?, attrs: attributes };
        // Marks that change nothing part what looks the same.
        match (pieces.last_mut(), &piece.insert) {
            (Some(Piece { insert: Input::Any(Any::String(before)), attrs, units }), Input::Any(Any::String(after)))
                if *attrs == piece.attrs =>
            {
                *before = format!("{before}{after}").into();
                *units += piece.units;
            }
            _ => pieces.push(piece),
        }
    }
    Ok(pieces)
}

/// What is left of a text without so many units at its beginning and its end. Both lie between characters.
fn cut(pieces: Vec<Piece>, begin: u32, end: u32) -> Vec<TextPiece> {
    let total: u32 = pieces.iter().map(|piece| piece.units).sum();
    let (mut at, stop) = (0, total - end);
    let mut kept = Vec::new();
    for Piece { insert, attrs, units } in pieces {
        let (from, to) = (begin.max(at) - at.min(begin.max(at)), stop.min(at + units).saturating_sub(at));
        at += units;
        if from >= to {
            continue;
        }
        let insert = match &insert {
            Input::Any(Any::String(text)) => {
                let mut unit = 0;
                let within = text.chars().filter(|character| {
                    unit += character.len_utf16() as u32;
                    unit > from && unit <= to
                });
                Input::Any(Any::from(within.collect::<String>()))
            }
            _ => insert,
        };
        kept.push(TextPiece { insert, attrs });
    }
    kept
}

enum Same {
    Equal,
    /// One shared type, as it was and as it is.
    Type(BranchPtr, BranchPtr),
    Other,
}

fn same(was: &Out, old: &Txn<'_>, is: &Out, new: &Txn<'_>) -> Result<Same, DocError> {
    if let (Out::Any(was), Out::Any(is)) = (was, is) {
        return Ok(if was == is { Same::Equal } else { Same::Other });
    }
    let (Some(before), Some(now)) = (branch_of(was), branch_of(is)) else {
        // What cannot be looked into is left alone.
        let is_alike = std::mem::discriminant(was) == std::mem::discriminant(is);
        return Ok(if is_alike { Same::Equal } else { Same::Other });
    };
    if std::mem::discriminant(was) != std::mem::discriminant(is) {
        return Ok(Same::Other);
    }
    if before.id() == now.id() {
        return Ok(Same::Type(before, now));
    }
    Ok(if input_of(was, old, 0)? == input_of(is, new, 0)? { Same::Equal } else { Same::Other })
}

/// What is there as something to be made anew.
fn input_of(out: &Out, txn: &Txn<'_>, depth: usize) -> Result<Input, DocError> {
    if depth > MAX_SHARED_DEPTH {
        return Err(DocError::Unrestorable { found: "a shared type that is nested too deep" });
    }
    Ok(match out {
        Out::Any(any) => Input::Any(any.clone()),
        Out::YMap(map) => {
            let entries = map.iter(txn).map(|(key, out)| Ok((key.to_owned(), input_of(&out, txn, depth + 1)?)));
            let mut entries = entries.collect::<Result<Vec<_>, DocError>>()?;
            sort_by_key(&mut entries, |(key, _)| key.clone());
            Input::Map(entries)
        }
        Out::YArray(array) => {
            Input::Array(array.iter(txn).map(|out| input_of(&out, txn, depth + 1)).collect::<Result<_, _>>()?)
        }
        Out::YText(text) => {
            let piece = |Piece { insert, attrs, .. }| TextPiece { insert, attrs };
            Input::Text(pieces(text, txn)?.into_iter().map(piece).collect())
        }
        Out::YDoc(_) => return Err(DocError::Unrestorable { found: "a subdocument" }),
        _ => return Err(DocError::Unrestorable { found: "an XML type" }),
    })
}

/// Deletes all that a root has.
fn clear(branch: BranchPtr, txn: &mut Txn<'_>) {
    MapRef::from(branch).clear(txn);
    if branch.len() > 0 {
        ArrayRef::from(branch).remove_range(txn, 0, branch.len());
    }
}

fn branch_of(out: &Out) -> Option<BranchPtr> {
    Some(match out {
        Out::YMap(map) => ptr(map),
        Out::YArray(array) => ptr(array),
        Out::YText(text) => ptr(text),
        Out::UndefinedRef(branch) => *branch,
        _ => return None,
    })
}

fn ptr(shared: impl AsRef<Branch>) -> BranchPtr {
    BranchPtr::from(shared.as_ref())
}
