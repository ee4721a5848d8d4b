//! An update in pieces: each an update in encoding v1 of at most a given size, together the same.
//!
//! Blocks name what they follow by id, so that an update may end after any of them; a long block of characters or of plain
//! values is cut as yrs would cut it, with its second half following its first. Somebody who has applied some of the pieces
//! shows as much of the document as stands by itself; the rest waits inside the document until it is complete.

use crate::error::Malformed;
use crate::scan::{Block, Blocks, HAS_ORIGIN, HAS_PARENT_KEY, HAS_RIGHT_ORIGIN, scan_blocks, value_end};
use crate::varint::Reader;

const STRING: u8 = 4;
const VALUES: u8 = 8;

/// What a piece has besides blocks, at most: counts, and for each section a client and a clock.
const SECTION_BYTES: usize = 32;

/// Cuts an update into pieces of at most `bytes_max` bytes, which is at least a kilobyte. A single value that is larger than
/// that cannot be cut; its piece is larger.
pub fn split_update(update: &[u8], bytes_max: usize) -> Result<Vec<Vec<u8>>, Malformed> {
    let Blocks { blocks, deletions } = scan_blocks(update)?;
    if update.len() <= bytes_max {
        return Ok(vec![update.to_vec()]);
    }
    let mut pieces = Pieces { bytes_max, done: Vec::new(), sections: Vec::new(), weight: SECTION_BYTES };
    for block in blocks {
        match block.end - block.begin + SECTION_BYTES > bytes_max {
            true => pieces.cut(update, &block)?,
            false => pieces.add(&block, &update[block.begin..block.end]),
        }
    }
    pieces.deletions(&update[deletions..])?;
    Ok(pieces.done)
}

struct Section {
    client: u64,
    clock: u64,
    next: u64,
    count: u64,
    blocks: Vec<u8>,
}

struct Pieces {
    bytes_max: usize,
    done: Vec<Vec<u8>>,
    sections: Vec<Section>,
    weight: usize,
}

impl Pieces {
    fn add(&mut self, block: &Block, bytes: &[u8]) {
        if self.weight + bytes.len() + SECTION_BYTES > self.bytes_max {
            self.close(&[0]);
        }
        let follows = self.sections.last().is_some_and(|last| last.client == block.client && last.next == block.clock);
        if !follows {
            let Block { client, clock, .. } = *block;
            self.sections.push(Section { client, clock, next: clock, count: 0, blocks: Vec::new() });
            self.weight += SECTION_BYTES;
        }
        let section = self.sections.last_mut().expect("pushed above if there was none");
        section.next += block.length;
        section.count += 1;
        section.blocks.extend_from_slice(bytes);
        self.weight += bytes.len();
    }

    fn close(&mut self, deletions: &[u8]) {
        let mut piece = Vec::with_capacity(self.weight + deletions.len());
        var(&mut piece, self.sections.len() as u64);
        for Section { client, clock, count, blocks, .. } in self.sections.drain(..) {
            var(&mut piece, count);
            var(&mut piece, client);
            var(&mut piece, clock);
            piece.extend(blocks);
        }
        piece.extend_from_slice(deletions);
        self.done.push(piece);
        self.weight = SECTION_BYTES;
    }

    // Cuts a block that is too long by itself, if its content can be cut.
    fn cut(&mut self, update: &[u8], block: &Block) -> Result<(), Malformed> {
        let (head, content) = (&update[block.begin..block.content], &update[block.content..block.end]);
        let room = self.bytes_max.saturating_sub(head.len() + 2 * SECTION_BYTES).max(1);
        let mut reader = Reader::new(content);
        match head[0] & 0x0f {
            STRING => {
                let mut rest = reader.string()?;
                let mut clock = block.clock;
                while !rest.is_empty() {
                    let mut end = room.min(rest.len());
                    while !rest.is_char_boundary(end) {
                        end -= 1;
                    }
                    let (part, left) = rest.split_at(if end == 0 { rest.len() } else { end });
                    let mut bytes = head_at(head, block, clock)?;
                    var(&mut bytes, part.len() as u64);
                    bytes.extend_from_slice(part.as_bytes());
                    let length = part.encode_utf16().count() as u64;
                    self.add(&Block { clock, length, ..*block }, &bytes);
                    clock += length;
                    rest = left;
                }
            }
            VALUES => {
                let mut left = reader.count(1)? as u64;
                let (mut values, mut clock) = (reader.rest(), block.clock);
                while left > 0 {
                    let (mut end, mut count) = (0, 0);
                    while count < left {
                        let next = end + value_end(&values[end..])?;
                        if count > 0 && next > room {
                            break;
                        }
                        (end, count) = (next, count + 1);
                    }
                    let mut bytes = head_at(head, block, clock)?;
                    var(&mut bytes, count);
                    bytes.extend_from_slice(&values[..end]);
                    self.add(&Block { clock, length: count, ..*block }, &bytes);
                    (values, clock, left) = (&values[end..], clock + count, left - count);
                }
            }
            _ => self.add(block, &update[block.begin..block.end]),
        }
        Ok(())
    }

    // The deletions come last: what they delete has to be there.
    fn deletions(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if self.weight + bytes.len() <= self.bytes_max {
            self.close(bytes);
            return Ok(());
        }
        if !self.sections.is_empty() {
            self.close(&[0]);
        }
        let mut reader = Reader::new(bytes);
        for _ in 0..reader.count(2)? {
            let client = reader.client()?;
            let mut left = reader.count(2)?;
            while left > 0 {
                let (begin, mut count) = (reader.at(), 0u64);
                while left > 0 && reader.at() - begin + SECTION_BYTES < self.bytes_max {
                    reader.var()?;
                    reader.var()?;
                    (left, count) = (left - 1, count + 1);
                }
                let mut set = vec![1];
                var(&mut set, client);
                var(&mut set, count);
                set.extend_from_slice(reader.since(begin));
                self.close(&set);
            }
        }
        Ok(())
    }
}

/// The head of a block, or that of the part of it which begins at a later clock: that follows what was cut off before it.
fn head_at(head: &[u8], block: &Block, clock: u64) -> Result<Vec<u8>, Malformed> {
    if clock == block.clock {
        return Ok(head.to_vec());
    }
    let info = head[0];
    let mut reader = Reader::new(&head[1..]);
    if info & HAS_ORIGIN != 0 {
        reader.client()?;
        reader.var()?;
    }
    let right = reader.at();
    if info & HAS_RIGHT_ORIGIN != 0 {
        reader.client()?;
        reader.var()?;
    }
    let mut part = vec![info & (0x0f | HAS_RIGHT_ORIGIN | HAS_PARENT_KEY) | HAS_ORIGIN];
    var(&mut part, block.client);
    var(&mut part, clock - 1);
    part.extend_from_slice(reader.since(right));
    Ok(part)
}

fn var(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
