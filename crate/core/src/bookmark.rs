//! A bookmark: a frontier to wait for, as text that survives a URL, a header and a cookie.
//!
//! It names acknowledged writes by `(epoch, LSN)` and writes that no leader has answered yet by `(origin, seq)`; both
//! are honoured. The database's generation goes with it, so that a bookmark of another database is told apart from
//! one that is merely ahead.

use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::Generation;
use crate::limits::FRONTIER_LOGS_MAX;
use crate::wire::{Reader, Writer};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

const VERSION: u8 = 1;
const CHECK_BYTES: usize = 4;
/// The longest bookmark, in characters.
pub const BOOKMARK_CHARS_MAX: usize = FRONTIER_LOGS_MAX * (20 + 18) * 4 / 3 + 64;

/// A frontier of one database, for somebody to wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bookmark {
    /// The database's generation; zero while no leader has told it.
    pub generation: Generation,
    /// What to wait for.
    pub frontier: Frontier,
}

impl Bookmark {
    /// A bookmark of `frontier` in that generation of the database.
    pub fn new(generation: Generation, frontier: Frontier) -> Self {
        Self { generation, frontier }
    }

    /// Whether both can be of one database: same generation, or one of them not told yet.
    pub fn is_comparable(&self, other: Generation) -> bool {
        self.generation == other || self.generation.0 == 0 || other.0 == 0
    }

    /// The bookmark that waits for both.
    pub fn merge(&self, other: &Self) -> Result<Self, Error> {
        if !self.is_comparable(other.generation) {
            return Err(foreign());
        }
        let mut frontier = self.frontier.clone();
        frontier.join(&other.frontier);
        Ok(Self { generation: self.generation.max(other.generation), frontier })
    }
}

/// The error for a bookmark of another generation.
pub fn foreign() -> Error {
    Error::new(
        Code::BookmarkLost,
        "the bookmark is of another database, or of this one before its storage was replaced; take a new bookmark",
    )
}

impl PartialOrd for Bookmark {
    /// Ordered if merging the two gives one of them; `None` otherwise. A generation that is not told yet comes before
    /// every one that is.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let is_at_most = |a: &Self, b: &Self| {
            (a.generation.0 == 0 || a.generation == b.generation) && b.frontier.dominates(&a.frontier)
        };
        match (is_at_most(self, other), is_at_most(other, self)) {
            (true, true) => Some(Ordering::Equal),
            (false, true) => Some(Ordering::Greater),
            (true, false) => Some(Ordering::Less),
            (false, false) => None,
        }
    }
}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Writer::default();
        out.byte(VERSION).fixed(self.generation.0);
        self.frontier.encode(&mut out);
        let check = checksum(&out.0);
        out.0.extend_from_slice(&check);
        f.write_str(&base64url::encode(&out.0))
    }
}

impl FromStr for Bookmark {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > BOOKMARK_CHARS_MAX {
            return Err(Error::too_large("the bookmark in characters", text.len(), BOOKMARK_CHARS_MAX));
        }
        let bytes = base64url::decode(text).ok_or_else(damaged)?;
        let (body, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or_else(damaged)?;
        if checksum(body) != *check {
            return Err(damaged());
        }
        let mut input = Reader::new(body);
        match input.byte()? {
            VERSION => {}
            version => {
                return Err(Error::new(
                    Code::Version,
                    format!("bookmark version {version} is newer than this library; update it"),
                ));
            }
        }
        let generation = Generation(input.fixed()?);
        let frontier = Frontier::decode(&mut input)?;
        input.end()?;
        Ok(Self { generation, frontier })
    }
}

fn damaged() -> Error {
    Error::malformed("this is no bookmark, or it was cut short or changed on its way; take it again from its source")
}

// FNV-1a (Fowler, Noll, Vo): it finds a truncated or mistyped bookmark; it is no protection against forgery, and a
// bookmark needs none, since it grants nothing.
fn checksum(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = bytes.iter().fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash.to_le_bytes()
}

/// RFC 4648 §5 without padding. Thirty lines here instead of a crate: the crates bring 4 to 9 KB of wasm for engines
/// and alphabets that nothing here uses.
mod base64url {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    pub fn encode(bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
        for chunk in bytes.chunks(3) {
            let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for place in 0..=chunk.len() {
                text.push(char::from(ALPHABET[(word >> (18 - 6 * place)) as usize & 63]));
            }
        }
        text
    }

    pub fn decode(text: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
        for chunk in text.as_bytes().chunks(4) {
            let mut word = 0u32;
            for character in chunk {
                let digit = ALPHABET.iter().position(|letter| letter == character)?;
                word = word << 6 | digit as u32;
            }
            word <<= 6 * (4 - chunk.len());
            let whole = chunk.len() - 1;
            // One character alone holds no byte, and spare bits must be zero, so that one value has one text.
            if whole == 0 || word & ((1 << (8 * (3 - whole))) - 1) != 0 {
                return None;
            }
            bytes.extend_from_slice(&word.to_be_bytes()[1..=whole]);
        }
        Some(bytes)
    }
}
