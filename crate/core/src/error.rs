//! One error type for everything that crosses an interface: a stable code, and a message that says what to do.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $byte:literal, $text:literal;)*) => {
        /// What went wrong, stable across versions, in the API, on the wire and in HTTP answers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as users meet it.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// The code on the wire.
            pub fn to_byte(self) -> u8 {
                match self { $(Code::$name => $byte,)* }
            }

            /// The code of a wire byte.
            pub fn from_byte(byte: u8) -> Option<Code> {
                match byte { $($byte => Some(Code::$name),)* _ => None }
            }
        }
    };
}

codes! {
    /// The wait ended before what it waited for happened. The outcome is unknown, not failed.
    Timeout = 1, "TIMEOUT";
    /// The wait ended and there was no connection to the leader.
    Offline = 2, "OFFLINE";
    /// The caller aborted the wait.
    Aborted = 3, "ABORTED";
    /// Bytes, text or options that do not have the shape they must have.
    Malformed = 4, "MALFORMED";
    /// Something is above a named limit.
    TooLarge = 5, "TOO_LARGE";
    /// Frames that are well-formed but may not come in this order.
    OutOfOrder = 6, "OUT_OF_ORDER";
    /// The two sides have no protocol version in common.
    Version = 7, "VERSION";
    /// The leader's storage is another one than the replica synced with before.
    DatabaseReset = 8, "DATABASE_RESET";
    /// A bookmark names a position that no longer exists, or one of another database.
    BookmarkLost = 9, "BOOKMARK_LOST";
    /// A strong read cannot be proved now.
    StrongUnavailable = 10, "STRONG_UNAVAILABLE";
    /// Storage cannot be opened or has failed for good.
    StorageUnavailable = 11, "STORAGE_UNAVAILABLE";
    /// Storage is full.
    Quota = 12, "QUOTA";
    /// A write builds on a rejected one and was rejected with it.
    DependsOnRejected = 13, "DEPENDS_ON_REJECTED";
    /// The other side is at a limit; try again later.
    Busy = 14, "BUSY";
    /// The handle was closed.
    Closed = 15, "CLOSED";
    /// The database or document does not exist here.
    NotFound = 16, "NOT_FOUND";
    /// A connection must resume: the node could not keep its state.
    Resume = 17, "RESUME";
    /// Stored bytes that do not decode.
    Corrupt = 18, "CORRUPT";
    /// A broken invariant on the other side.
    Internal = 19, "INTERNAL";
    /// The node does not lead; the message says who does, if it knows.
    NotLeader = 20, "NOT_LEADER";
    /// Whoever asks may not.
    Unauthorized = 21, "UNAUTHORIZED";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A coded error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What went wrong.
    pub code: Code,
    /// What happened, with the offending value, and what to do about it.
    pub message: String,
}

impl Error {
    /// An error with its code and message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Bytes or text of the wrong shape.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(Code::Malformed, message)
    }

    /// Something above a named limit.
    pub fn too_large(what: &str, actual: usize, max: usize) -> Self {
        Self::new(Code::TooLarge, format!("{what} is {actual}, the limit is {max}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {}
