//! Checks that bytes are a complete update in encoding v1, before yrs sees them.
//!
//! yrs reserves memory by the counts it reads and recurses as deep as values nest; a few hostile bytes could ask for
//! gigabytes or for the whole stack. This scanner walks the same format without allocating (but for embedded JSON),
//! believes no count, and bounds depth and clocks. What passes here decodes there. It checks form only: whether the
//! operations fit a document shows when they are applied.
//!
//! Format: <https://github.com/yjs/yjs/blob/main/INTERNALS.md> and the decoders of yrs 0.28.

use std::collections::HashSet;

use yrs::{Any, ClientID, ID};

use crate::error::Malformed;
use crate::varint::Reader;

/// How deep plain values may nest: arrays and objects within each other.
pub const MAX_VALUE_DEPTH: usize = 100;

/// The last clock of a client. yrs computes with clocks as signed 32-bit integers in places.
pub const MAX_CLOCK: u64 = i32::MAX as u64;

/// Each subdocument costs far more memory than the few bytes that describe it.
pub const MAX_SUBDOCS_PER_UPDATE: usize = 1000;

/// The smallest client section of an update: a count, a client id, a clock.
const MIN_SECTION_BYTES: usize = 3;
/// The smallest block: its kind and a length.
const MIN_BLOCK_BYTES: usize = 2;

const GC: u8 = 0;
const SKIP: u8 = 10;
pub(crate) const HAS_ORIGIN: u8 = 0x80;
pub(crate) const HAS_RIGHT_ORIGIN: u8 = 0x40;
pub(crate) const HAS_PARENT_KEY: u8 = 0x20;

/// Checks that `bytes` are one update in encoding v1, whole and with nothing after it.
pub fn check_update(bytes: &[u8]) -> Result<(), Malformed> {
    scan_update(bytes).map(drop)
}

/// What the scanner noticed on its way.
pub(crate) struct Noticed {
    /// Whether a text has characters of two UTF-16 units.
    pub(crate) wide_characters: bool,
}

pub(crate) fn scan_update(bytes: &[u8]) -> Result<Noticed, Malformed> {
    scan_writes(bytes, None)
}

/// As `scan_update`, and notes down what may be writes of maps.
pub(crate) fn scan_writes<'a>(bytes: &'a [u8], writes: Option<&mut Vec<Write<'a>>>) -> Result<Noticed, Malformed> {
    let mut scan = Scan { writes, ..Scan::new(bytes) };
    scan.sections()?;
    scan.delete_set()?;
    scan.reader.end()?;
    Ok(Noticed { wide_characters: scan.wide_characters })
}

/// One block of an update: whose it is, how many clocks it covers, and where its bytes and its content are.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    pub(crate) client: u64,
    pub(crate) clock: u64,
    pub(crate) length: u64,
    pub(crate) begin: usize,
    pub(crate) content: usize,
    pub(crate) end: usize,
}

/// The blocks of an update in order, and where its deletions begin.
pub(crate) struct Blocks {
    pub(crate) blocks: Vec<Block>,
    pub(crate) deletions: usize,
}

/// Checks an update, and tells what it is made of.
pub(crate) fn scan_blocks(bytes: &[u8]) -> Result<Blocks, Malformed> {
    let mut blocks = Vec::new();
    let mut scan = Scan { blocks: Some(&mut blocks), ..Scan::new(bytes) };
    scan.sections()?;
    let deletions = scan.reader.at();
    scan.delete_set()?;
    scan.reader.end()?;
    Ok(Blocks { blocks, deletions })
}

/// Where the plain value ends that the bytes begin with.
pub(crate) fn value_end(bytes: &[u8]) -> Result<usize, Malformed> {
    let mut scan = Scan::new(bytes);
    scan.value(0)?;
    Ok(scan.reader.at())
}

/// What may be the setting of a map's key, once or several times one after the other.
///
/// Where an update was merged by somebody who did not apply it, a write that has an origin does not say any more that it
/// has a key: the origin tells. What texts are made of is left out.
pub(crate) struct Write<'a> {
    pub(crate) id: ID,
    pub(crate) length: u32,
    pub(crate) place: WritePlace<'a>,
    /// The kind of the content, and its bytes.
    pub(crate) content: (u8, &'a [u8]),
}

/// What a write says of where it belongs.
#[derive(Clone, Copy)]
pub(crate) enum WritePlace<'a> {
    /// It was the first of this key of a root type.
    InRoot(&'a str, &'a str),
    /// It was the first of this key of a nested type.
    InNested(ID, &'a str),
    /// It replaced this one.
    After(ID),
}

/// Whether some character takes two UTF-16 units: those that take four bytes in UTF-8.
pub(crate) fn has_wide_characters(text: &str) -> bool {
    text.bytes().any(|byte| byte >= 0xf0)
}

/// Checks that `bytes` are one state vector in encoding v1.
pub(crate) fn check_state_vector(bytes: &[u8]) -> Result<(), Malformed> {
    let mut scan = Scan::new(bytes);
    for _ in 0..scan.reader.count(2)? {
        scan.id()?;
    }
    scan.reader.end()
}

struct Scan<'a, 's> {
    reader: Reader<'a>,
    subdocs: usize,
    wide_characters: bool,
    writes: Option<&'s mut Vec<Write<'a>>>,
    blocks: Option<&'s mut Vec<Block>>,
    /// Where the content of the last block began.
    content: usize,
}

impl<'a> Scan<'a, '_> {
    fn new(bytes: &'a [u8]) -> Self {
        Scan { reader: Reader::new(bytes), subdocs: 0, wide_characters: false, writes: None, blocks: None, content: 0 }
    }

    fn sections(&mut self) -> Result<(), Malformed> {
        let count = self.reader.count(MIN_SECTION_BYTES)?;
        let mut clients = HashSet::new();
        for _ in 0..count {
            let blocks = self.reader.count(MIN_BLOCK_BYTES)?;
            let client = self.reader.client()?;
            if !clients.insert(client) {
                return self.reader.fail("a client with two sections");
            }
            let mut clock = self.clock()?;
            for _ in 0..blocks {
                let id = id(client, clock);
                let (from, begin) = (clock, self.reader.at());
                clock = self.advance(clock, |scan| scan.block(id))?;
                let (content, end) = (self.content, self.reader.at());
                if let Some(blocks) = &mut self.blocks {
                    blocks.push(Block { client, clock: from, length: clock - from, begin, content, end });
                }
            }
        }
        Ok(())
    }

    fn delete_set(&mut self) -> Result<(), Malformed> {
        let count = self.reader.count(2)?;
        let mut clients = HashSet::new();
        for _ in 0..count {
            if !clients.insert(self.reader.client()?) {
                return self.reader.fail("a client with two sets of deletions");
            }
            for _ in 0..self.reader.count(2)? {
                let clock = self.clock()?;
                self.advance(clock, |scan| scan.reader.var())?;
            }
        }
        Ok(())
    }

    fn advance(
        &mut self,
        clock: u64,
        length: impl FnOnce(&mut Self) -> Result<u64, Malformed>,
    ) -> Result<u64, Malformed> {
        let length = length(self)?;
        match clock.checked_add(length) {
            Some(end) if end <= MAX_CLOCK => Ok(end),
            _ => self.reader.fail("a range that ends above the largest clock"),
        }
    }

    /// One block; answers how many clocks it covers.
    fn block(&mut self, id: ID) -> Result<u64, Malformed> {
        let info = self.reader.byte()?;
        if info == GC || info == SKIP {
            return match self.reader.var()? {
                0 => self.reader.fail("an empty block"),
                length => Ok(length),
            };
        }
        let mut place = None;
        if info & HAS_ORIGIN != 0 {
            place = Some(WritePlace::After(self.id()?));
        }
        if info & HAS_RIGHT_ORIGIN != 0 {
            self.id()?;
        }
        if info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN) == 0 {
            let parent = match self.reader.var()? {
                1 => Ok(self.reader.string()?),
                _ => Err(self.id()?),
            };
            if info & HAS_PARENT_KEY != 0 {
                let key = self.reader.string()?;
                place = Some(match parent {
                    Ok(root) => WritePlace::InRoot(root, key),
                    Err(nested) => WritePlace::InNested(nested, key),
                });
            }
        }
        let kind = info & 0x0f;
        let begin = self.reader.at();
        self.content = begin;
        let length = self.content(kind)?;
        // What stands in a map has nothing to its right when it is set, and is neither characters nor formatting.
        if let (Some(writes), Some(place), 0, 1..=3 | 5 | 7..=9) =
            (&mut self.writes, place, info & HAS_RIGHT_ORIGIN, kind)
        {
            let content = (kind, self.reader.since(begin));
            // A length that does not fit is refused by the caller.
            writes.push(Write { id, length: u32::try_from(length).unwrap_or(0), place, content });
        }
        Ok(length)
    }

    fn content(&mut self, kind: u8) -> Result<u64, Malformed> {
        match kind {
            1 => self.reader.var(),
            // Yjs wrote this before version 13; yrs misreads it.
            2 => self.reader.fail("content in the old JSON form, which is not supported"),
            3 => self.reader.buffer().map(|_| 1),
            4 => {
                let text = self.reader.string()?;
                self.wide_characters |= has_wide_characters(text);
                Ok(text.encode_utf16().count() as u64)
            }
            5 => self.json().map(|()| 1),
            6 => {
                self.reader.string()?;
                self.json().map(|()| 1)
            }
            7 => self.shared_type().map(|()| 1),
            8 => {
                let count = self.reader.count(1)?;
                for _ in 0..count {
                    self.value(0)?;
                }
                Ok(count as u64)
            }
            9 => self.subdocument().map(|()| 1),
            _ => self.reader.fail("a block of unknown content"),
        }
    }

    fn shared_type(&mut self) -> Result<(), Malformed> {
        match self.reader.byte()? {
            // Array, map, text, XML fragment, XML text, a type without a kind. (9 would be a subdocument as a type.)
            0 | 1 | 2 | 4 | 6 | 15 => Ok(()),
            3 => self.reader.string().map(drop),
            _ => self.reader.fail("a shared type of unknown kind"),
        }
    }

    fn subdocument(&mut self) -> Result<(), Malformed> {
        self.subdocs += 1;
        if self.subdocs > MAX_SUBDOCS_PER_UPDATE {
            return self.reader.fail("more subdocuments than one update may bring");
        }
        self.reader.string()?;
        self.value(0)
    }

    fn value(&mut self, depth: usize) -> Result<(), Malformed> {
        if depth > MAX_VALUE_DEPTH {
            return self.reader.fail("values nested too deep");
        }
        match self.reader.byte()? {
            120 | 121 | 126 | 127 => Ok(()),
            125 => self.reader.signed_var(),
            124 => self.reader.take(4).map(drop),
            122 | 123 => self.reader.take(8).map(drop),
            119 => self.reader.string().map(drop),
            116 => self.reader.buffer().map(drop),
            117 => {
                for _ in 0..self.reader.count(1)? {
                    self.value(depth + 1)?;
                }
                Ok(())
            }
            118 => {
                for _ in 0..self.reader.count(2)? {
                    self.reader.string()?;
                    self.value(depth + 1)?;
                }
                Ok(())
            }
            _ => self.reader.fail("a value of unknown type"),
        }
    }

    fn json(&mut self) -> Result<(), Malformed> {
        let text = self.reader.string()?;
        match Any::from_json(text) {
            Ok(_) => Ok(()),
            Err(_) => self.reader.fail("JSON that does not parse"),
        }
    }

    fn id(&mut self) -> Result<ID, Malformed> {
        let client = self.reader.client()?;
        Ok(id(client, self.clock()?))
    }

    fn clock(&mut self) -> Result<u64, Malformed> {
        match self.reader.var()? {
            clock if clock <= MAX_CLOCK => Ok(clock),
            _ => self.reader.fail("a clock above the largest clock"),
        }
    }
}

/// Both were checked against their limits.
fn id(client: u64, clock: u64) -> ID {
    ID::new(ClientID::new(client), clock as u32)
}
