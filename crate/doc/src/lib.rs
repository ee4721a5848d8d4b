//! Documents: one yrs `Doc` behind the few operations that replication and the shared types need.
//!
//! A [`Document`] holds at most one open write transaction. Every operation that changes something opens it when
//! none is open, and [`Document::commit`] closes it and answers the bytes that the rest of the world needs. Updates
//! from elsewhere come in through [`Document::apply`], which refuses while a local transaction is open.
//!
//! This crate knows nothing of replication, storage, JavaScript or clocks. It hands out [`Handle`]s, never pointers:
//! whatever a handle named may be gone by the next call, and then the call says [`DocError::Deleted`].
//!
//! ```
//! use headwater_doc::{Document, Input, Kind};
//!
//! let mut left = Document::new(1);
//! let cards = left.root(Kind::Map, "cards")?;
//! left.map_set(cards, "title", Input::from("Ship"))?;
//! let update = left.commit().expect("something was set");
//!
//! let mut right = Document::new(2);
//! right.apply(&[&update])?;
//! assert_eq!(right.to_json_string(), r#"{"cards":{"title":"Ship"}}"#);
//! # Ok::<(), headwater_doc::DocError>(())
//! ```

mod array;
mod conflict;
mod document;
mod error;
mod handle;
mod held;
mod input;
mod json;
mod map;
mod observe;
mod order;
mod paths;
mod rebuild;
mod registers;
mod restore;
mod scan;
mod split;
mod text;
mod varint;

pub use conflict::{Conflict, ConflictSide, ConflictValue};
pub use document::Document;
pub use error::{DocError, Malformed};
pub use handle::{Handle, Kind, Value};
pub use input::{DeltaOp, Input, TextDelta, TextPiece};
pub use json::to_json_string;
pub use observe::{ArrayDelta, Change, Event, EventBatch, KeyAction, KeyChange, ObserverId, PathStep};
pub use order::sort_by_key;
pub use scan::{MAX_CLOCK, MAX_SUBDOCS_PER_UPDATE, MAX_VALUE_DEPTH, check_update};
pub use split::split_update;
pub use yrs::types::Attrs;
pub use yrs::{Any, Number};
