//! Bytes in and out: unsigned LEB128 integers, fixed 64-bit ids, length-prefixed bytes and text.
//!
//! A reader checks every length against what is there and against a named limit before anything is allocated.

use crate::error::{Code, Error};
use crate::ids::{DocName, Origin};

/// Appends encoded values.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// One byte.
    pub fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// An unsigned integer in 1 to 10 bytes.
    pub fn uint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8)
    }

    /// An id in 8 bytes, little-endian: random ids do not get shorter as integers.
    pub fn fixed(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Bytes with their length before them.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.uint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Text with its length in bytes before it.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }
}

/// Takes encoded values from the front of a slice.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.0.split_first().ok_or_else(truncated)?;
        self.0 = rest;
        Ok(*first)
    }

    /// An unsigned integer. Encodings that are longer than needed are refused, so that equal values have equal bytes.
    pub fn uint(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(Error::malformed("an integer is encoded in more bytes than it needs"));
                }
                return Ok(value);
            }
        }
        Err(Error::malformed("an integer is above 64 bits"))
    }

    /// A number of things of which each takes at least one byte, at most `max` of them.
    pub fn count(&mut self, what: &str, max: usize) -> Result<usize, Error> {
        let count = self.uint()?;
        if count > max as u64 {
            return Err(Error::too_large(&format!("the number of {what}"), clamp(count), max));
        }
        if count > self.0.len() as u64 {
            return Err(truncated());
        }
        Ok(count as usize)
    }

    /// An id in 8 bytes.
    pub fn fixed(&mut self) -> Result<u64, Error> {
        let (id, rest) = self.0.split_first_chunk::<8>().ok_or_else(truncated)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*id))
    }

    /// An origin.
    pub fn origin(&mut self) -> Result<Origin, Error> {
        Ok(Origin(self.fixed()?))
    }

    /// Bytes of at most `max`.
    pub fn bytes(&mut self, what: &str, max: usize) -> Result<&'a [u8], Error> {
        let length = self.uint()?;
        if length > max as u64 {
            return Err(Error::too_large(&format!("{what} in bytes"), clamp(length), max));
        }
        let (head, rest) = self.0.split_at_checked(length as usize).ok_or_else(truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// Text of at most `max` bytes.
    pub fn text(&mut self, what: &str, max: usize) -> Result<&'a str, Error> {
        std::str::from_utf8(self.bytes(what, max)?)
            .map_err(|cause| Error::malformed(format!("{what} is not UTF-8: {cause}")))
    }

    /// The name of a document.
    pub fn doc_name(&mut self) -> Result<DocName, Error> {
        DocName::parse(self.text("a document name", crate::limits::DOC_NAME_BYTES_MAX)?)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Ends the reading; bytes that are left over are an error.
    pub fn end(&self) -> Result<(), Error> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(Error::malformed(format!("{left} bytes are left over at the end"))),
        }
    }
}

fn truncated() -> Error {
    Error::new(Code::Malformed, "the bytes end in the middle of a value")
}

fn clamp(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
