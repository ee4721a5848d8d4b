//! A reader over bytes that nobody vouches for.
//!
//! It allocates nothing, never reads past the end, and checks every count against the bytes that are left before
//! anyone loops or reserves by it. It knows lib0's primitives and nothing of updates.

use crate::error::Malformed;

/// The largest integer that JavaScript counts exactly; client ids lie below it.
pub(crate) const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// What is still to be read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// What was read since then.
    pub(crate) fn since(&self, begin: usize) -> &'a [u8] {
        &self.bytes[begin..self.at]
    }

    pub(crate) fn fail<T>(&self, reason: &'static str) -> Result<T, Malformed> {
        Err(Malformed { offset: self.at, reason })
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        match self.remaining() {
            0 => Ok(()),
            _ => self.fail("bytes after the end of the update"),
        }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        match self.bytes.get(self.at) {
            Some(&byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => self.fail("the bytes end too early"),
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        if count > self.remaining() {
            return self.fail("a length larger than what is left");
        }
        let slice = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(slice)
    }

    /// An unsigned integer of seven bits per byte, which must fit 64 bits.
    pub(crate) fn var(&mut self) -> Result<u64, Malformed> {
        let mut value: u64 = 0;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift > 63 || (bits << shift) >> shift != bits {
                return self.fail("an integer that does not fit 64 bits");
            }
            value |= bits << shift;
            shift += 7;
            if byte < 0x80 {
                return Ok(value);
            }
        }
    }

    /// A signed integer, six bits in its first byte and seven in each further one.
    pub(crate) fn signed_var(&mut self) -> Result<(), Malformed> {
        let mut byte = self.byte()?;
        let mut shift = 6;
        while byte >= 0x80 {
            byte = self.byte()?;
            let bits = i64::from(byte & 0x7f);
            if shift > 62 || (bits << shift) >> shift != bits || bits << shift < 0 {
                return self.fail("an integer that does not fit 64 bits");
            }
            shift += 7;
        }
        Ok(())
    }

    /// A count of things that take at least `min_bytes` each, checked against what is left.
    pub(crate) fn count(&mut self, min_bytes: usize) -> Result<usize, Malformed> {
        let count = self.var()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.remaining() / min_bytes => Ok(count),
            _ => self.fail("a count larger than what is left"),
        }
    }

    pub(crate) fn buffer(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.count(1)?;
        self.take(length)
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.buffer()?;
        match std::str::from_utf8(bytes) {
            Ok(string) => Ok(string),
            Err(_) => self.fail("a string that is not UTF-8"),
        }
    }

    pub(crate) fn client(&mut self) -> Result<u64, Malformed> {
        match self.var()? {
            client if client <= MAX_SAFE_INTEGER => Ok(client),
            _ => self.fail("a client id above 53 bits"),
        }
    }
}
