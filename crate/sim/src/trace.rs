//! What happened, as one number and, if somebody wants to read it, as lines.

use std::fmt::Write;

// FNV-1a, 64 bits (Fowler, Noll, Vo): the same everywhere, and it need not resist anybody.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// A hash of bytes.
pub fn hash_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

/// The trace of a run.
#[derive(Debug)]
pub struct Trace {
    /// The hash of everything so far.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    lines: Option<String>,
}

impl Trace {
    /// An empty trace; with lines if they are wanted.
    pub fn new(has_lines: bool) -> Self {
        Self { hash: BASIS, events: 0, lines: has_lines.then(String::new) }
    }

    /// An event: what kind, where, and its content.
    pub fn event(&mut self, at: u64, kind: &str, place: u64, content: &[u8]) {
        self.events += 1;
        for word in [at, hash_of(kind.as_bytes()), place, hash_of(content)] {
            self.hash = (self.hash ^ word).wrapping_mul(PRIME).rotate_left(23);
        }
    }

    /// Whether lines are wanted.
    pub fn is_verbose(&self) -> bool {
        self.lines.is_some()
    }

    /// A line of the timeline. It is made only if it is wanted.
    pub fn line(&mut self, at: u64, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let _ = writeln!(lines, "{:>8}.{:03}  {}", at / 1000, at % 1000, text());
        }
    }

    /// The timeline.
    pub fn take_lines(&mut self) -> String {
        self.lines.take().unwrap_or_default()
    }
}
