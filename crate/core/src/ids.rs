//! The identities and quantities of replication, each a type of its own so that no two can be confused.

use crate::error::{Code, Error};
use crate::limits::DOC_NAME_BYTES_MAX;
use std::fmt;
use std::rc::Rc;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// One leader's tenure. Only the coordinator hands it out, and never twice.
    Epoch
}
number! {
    /// The place of an entry in its epoch's log: 1, 2, 3 … Zero stands before the first entry.
    Lsn
}
number! {
    /// The number of a write within its origin: 1, 2, 3 … Zero stands before the first write.
    Seq
}
number! {
    /// One life of a database's storage. A leader that lost its storage comes back with another generation.
    Generation
}
number! {
    /// A moment or a span on the caller's own monotonic clock, in milliseconds. Moments of two clocks never meet.
    Millis
}
number! {
    /// One client connection of a node, numbered by the host.
    ConnId
}
number! {
    /// Ties the answer of a host (`Persisted`, `Scanned`) to the output that asked for it.
    Token
}

/// One opening of a replica (one tab, one process): a random 64-bit id, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(pub u64);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The storage that a replica's openings share: a random 64-bit id, that of the first opening with peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Lsn {
    /// The place after this one.
    pub fn next(self) -> Lsn {
        Lsn(self.0 + 1)
    }
}

impl Seq {
    /// The write after this one.
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl Millis {
    /// The moment `span` later.
    pub fn after(self, span: Millis) -> Millis {
        Millis(self.0.saturating_add(span.0))
    }

    /// The span since an earlier moment; zero if it is not earlier.
    pub fn since(self, earlier: Millis) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

/// The path-like name of a document, such as `boards/1`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocName(Rc<str>);

impl DocName {
    /// Accepts 1 to 256 bytes of UTF-8 without control characters, since names end with a zero byte in storage keys, and
    /// without the parts `.` and `..`, which the path of a URL cannot carry.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let fits = !name.is_empty() && name.len() <= DOC_NAME_BYTES_MAX;
        if fits && !name.chars().any(char::is_control) && !name.split('/').any(|part| part == "." || part == "..") {
            return Ok(Self(name.into()));
        }
        Err(Error::new(
            Code::Malformed,
            format!(
                "a document name has 1 to {DOC_NAME_BYTES_MAX} bytes, no control characters and no part . or ..; this one has \
                 {} bytes",
                name.len()
            ),
        ))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DocName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for DocName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
