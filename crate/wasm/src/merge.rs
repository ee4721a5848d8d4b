//! How a node merges updates: in a document that is there for as long as that takes.

use headwater_core::node::Merge;
use headwater_doc::Document;
use std::rc::Rc;

/// A merging that has nothing yet.
pub(crate) fn documents() -> Box<dyn Merge> {
    // Nothing is written to it, so it needs no client id.
    Box::new(Merged(Document::new(0)))
}

struct Merged(Document);

impl Merge for Merged {
    fn apply(&mut self, updates: &[Rc<[u8]>]) -> Result<(), String> {
        let updates: Vec<&[u8]> = updates.iter().map(|update| &**update).collect();
        self.0.apply(&updates).map_err(|cause| cause.to_string())
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.encode_state()
    }
}
