//! Replacing a document's content in place: what takes back a write that yrs cannot take back.
//!
//! Handles and observers stay; nested types that only the taken-back write had made answer `DELETED` from then on.

use crate::document::Document;
use crate::error::DocError;

impl Document {
    /// Makes the content anew from `updates`, under a client id that was never used. On an error nothing has changed.
    pub fn rebuild(&mut self, client_id: u64, updates: &[&[u8]]) -> Result<(), DocError> {
        if self.is_open() {
            return Err(DocError::Busy);
        }
        let mut fresh = Document::new(client_id);
        fresh.apply(updates)?;
        for (name, kind) in self.handles.borrow().roots() {
            // A root that cannot be of its kind any more answers with an error when it is used.
            let _ = fresh.root(kind, name);
        }
        self.held = fresh.held;
        self.wide_characters = fresh.wide_characters;
        self.attach_again();
        self.watch_again();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Any, Document, Input, Kind};

    #[test]
    fn handles_and_observers_outlive_a_rebuild_and_what_was_taken_back_is_gone() {
        let mut doc = Document::new(1);
        let map = doc.root(Kind::Map, "cards").unwrap();
        doc.observe(map, true).unwrap();
        doc.map_set(map, "kept", Input::Any(Any::Bool(true))).unwrap();
        let kept = doc.commit().unwrap();
        doc.map_set(map, "taken back", Input::Any(Any::Bool(true))).unwrap();
        doc.commit().unwrap();
        doc.take_events();

        doc.rebuild(2, &[&kept]).unwrap();
        assert_eq!(doc.to_json_string(), r#"{"cards":{"kept":true}}"#);
        doc.map_set(map, "after", Input::Any(Any::Bool(true))).unwrap();
        doc.commit().unwrap();
        assert_eq!(doc.take_events().len(), 1);
    }
}
