//! What a node's disk says of a document, asked of a node that has just started on a copy of it.

use crate::disk::Disk;
use headwater_core::node::{Config, Input, Merge, Node, Output, Query, Retention};
use headwater_core::{Bookmark, DocName, Error, Generation, Millis};
use std::rc::Rc;

/// The document's updates, or why there is no reading them.
pub fn kept(disk: &Disk, doc: &DocName) -> Result<Vec<Rc<[u8]>>, Error> {
    let now = Millis(0);
    let merge: fn() -> Box<dyn Merge> = || unreachable!("nobody ticks it");
    let fresh_generation = Generation(1);
    let config = Config { fresh_generation, check: |_| Ok(()), group: None, merge, retention: Retention::default() };
    let mut node = Node::new(config);
    let (id, doc, bookmark) = (1, Some(doc.clone()), Bookmark::default());
    node.handle(Input::Query(Query { id, doc, bookmark, strong: false, timeout: Millis(1), at: None }), now);
    let mut content = Vec::new();
    while let Some(output) = node.poll() {
        match output {
            Output::Scan { token, scan } => node.handle(Input::Scanned { token, rows: disk.scan(&scan) }, now),
            Output::Persist { token, .. } => node.handle(Input::Persisted { token }, now),
            Output::Content { updates, .. } => content.extend(updates),
            Output::Answer { result, .. } => return result.map(|_| content),
            _ => {}
        }
    }
    unreachable!("a query ends")
}
