//! What can go wrong with a document, each with a stable code.
//!
//! Nothing here knows who asked: the wasm surface turns these into JavaScript errors with the same code.

use std::fmt;

use crate::handle::Kind;

/// Why an operation on a document was refused. The document is as it was before, except for
/// [`DocError::Inapplicable`].
#[derive(Debug)]
pub enum DocError {
    /// An index or a length reaches past the end.
    Range {
        /// The first position that the call asked for.
        index: u32,
        /// How many places it asked for from there.
        count: u32,
        /// How many there are.
        length: u32,
    },
    /// An index lies between the two halves of a character outside the basic plane. Splitting one would replace it, and
    /// not alike everywhere.
    SplitsCharacter {
        /// The position of the second half.
        index: u32,
    },
    /// A handle or a root is not of the kind that the operation is for.
    Type {
        /// The kind that was asked for.
        asked: Kind,
        /// What is there instead.
        found: &'static str,
    },
    /// A plain string was to be embedded in a text, where it could not be told from text.
    EmbeddedString,
    /// The shared type that the handle names has been deleted, or was never here.
    Deleted,
    /// The bytes are not an update in encoding v1. Nothing was applied.
    Malformed(Malformed),
    /// The bytes decode but contradict the document (a block whose parent holds no children). What preceded the
    /// contradiction has been applied, so this document must be thrown away and loaded again from storage.
    Inapplicable(yrs::error::UpdateError),
    /// What was there cannot be made anew.
    Unrestorable {
        /// What it is.
        found: &'static str,
    },
    /// Updates from elsewhere cannot be applied while a local transaction is open: commit it first.
    Busy,
}

impl DocError {
    /// The code by which programs tell errors apart. It never changes.
    pub fn code(&self) -> &'static str {
        match self {
            DocError::Range { .. } | DocError::SplitsCharacter { .. } => "RANGE",
            DocError::Type { .. } | DocError::EmbeddedString | DocError::Unrestorable { .. } => "TYPE",
            DocError::Deleted => "DELETED",
            DocError::Malformed(_) => "MALFORMED",
            DocError::Inapplicable(_) => "INAPPLICABLE",
            DocError::Busy => "BUSY",
        }
    }
}

impl fmt::Display for DocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DocError::Range { index, count, length } => {
                write!(f, "{count} from index {index} reaches past the length {length}")
            }
            DocError::SplitsCharacter { index } => {
                write!(f, "index {index} is inside a character of two UTF-16 units; use the index before or after it")
            }
            DocError::Type { asked, found } => write!(f, "this is {found}, not {asked}; ask for it by its own kind"),
            DocError::EmbeddedString => write!(f, "a string cannot be embedded in a text; insert it as text"),
            DocError::Deleted => write!(f, "this shared type has been deleted; read it again from its parent"),
            DocError::Malformed(cause) => write!(f, "not an update in encoding v1: {cause}"),
            DocError::Inapplicable(cause) => write!(f, "the update contradicts the document: {cause}; load it again"),
            DocError::Unrestorable { found } => {
                write!(f, "the document had {found}, which cannot be made anew; copy it by hand")
            }
            DocError::Busy => write!(f, "a local transaction is open; commit it before applying updates"),
        }
    }
}

impl std::error::Error for DocError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DocError::Malformed(cause) => Some(cause),
            DocError::Inapplicable(cause) => Some(cause),
            _ => None,
        }
    }
}

/// Where and why bytes stopped being an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The byte at which the reader gave up.
    pub offset: usize,
    /// What it expected or met there.
    pub reason: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.offset)
    }
}

impl std::error::Error for Malformed {}

impl From<Malformed> for DocError {
    fn from(cause: Malformed) -> Self {
        DocError::Malformed(cause)
    }
}
