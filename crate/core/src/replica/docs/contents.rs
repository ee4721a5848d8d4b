//! Taking in what a node keeps of documents, in place of the entries that it comes from: whole documents, and large
//! snapshots piece by piece. A snapshot that is cut off goes on where it was, on the next connection.

use super::super::persist::Updates;
use super::super::{Output, Replica};
use super::{Doc, Docs, Follows, Stream};
use crate::checksum::Checksum;
use crate::error::{Code, Error};
use crate::frame::{ClientFrame, Content};
use crate::frontier::Frontier;
use crate::ids::DocName;
use std::rc::Rc;

/// The most bytes of one snapshot: what a replica can hold of it in memory.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;

/// A snapshot of which the beginning has arrived.
#[derive(Debug)]
pub(super) struct Partial {
    checksum: u64,
    sum: Checksum,
    bytes: Vec<u8>,
}

/// A piece of a snapshot.
pub(in crate::replica) struct Piece {
    pub(in crate::replica) doc: DocName,
    pub(in crate::replica) frontier: Frontier,
    pub(in crate::replica) checksum: u64,
    pub(in crate::replica) total: u64,
    pub(in crate::replica) offset: u64,
    pub(in crate::replica) bytes: Vec<u8>,
}

impl Docs {
    fn follows_group(&self, doc: &DocName, group: u64) -> bool {
        match self.open.get(doc).map(|doc| doc.follows) {
            Some(Follows::Stream) => self.stream_is == Stream::CatchingUp(group),
            Some(Follows::Group(own)) => own == group,
            _ => false,
        }
    }

    /// A document that is known to be held this far, by itself.
    fn advance_doc(&mut self, name: &DocName, frontier: &Frontier) -> bool {
        // What shares the stream's frontier holds more once all that share it do.
        let own = |doc: &&mut Doc| doc.follows != Follows::Stream;
        self.open.get_mut(name).filter(own).map(|doc| doc.frontier.join(frontier)).is_some()
    }
}

impl Replica {
    /// What is kept of documents of a group.
    pub(in crate::replica) fn contents(&mut self, group: u64, contents: Vec<Content>) {
        for Content { doc, frontier, updates } in contents {
            if self.docs.follows_group(&doc, group) {
                self.link.leader_holds(&frontier);
                self.take_content(doc, &frontier, updates);
            }
        }
        self.send(&ClientFrame::Credit { group, frames: 1 });
        self.reads_may_end();
    }

    /// A piece of a snapshot.
    pub(in crate::replica) fn snapshot_piece(&mut self, group: u64, piece: Piece) -> Result<(), Error> {
        let Piece { doc: name, frontier, checksum, total, offset, bytes } = piece;
        self.send(&ClientFrame::Credit { group, frames: 1 });
        if !self.docs.follows_group(&name, group) {
            return Ok(());
        }
        let Some(doc) = self.docs.open.get_mut(&name) else { return Ok(()) };
        if total > SNAPSHOT_BYTES_MAX {
            return Err(Error::too_large("a snapshot in bytes", total as usize, SNAPSHOT_BYTES_MAX as usize));
        }
        let is_begun = doc.partial.as_ref().is_some_and(|partial| partial.checksum == checksum && offset > 0);
        if !is_begun {
            doc.partial = Some(Partial { checksum, sum: Checksum::default(), bytes: Vec::new() });
        }
        let partial = doc.partial.as_mut().expect("made above");
        if partial.bytes.len() as u64 != offset || offset + bytes.len() as u64 > total {
            doc.partial = None;
            return Err(Error::new(
                Code::Resume,
                format!("a piece of the snapshot of {name:?} is missing; it is sent anew"),
            ));
        }
        partial.sum.add(&bytes);
        partial.bytes.extend(bytes);
        let received = partial.bytes.len() as u64;
        self.outputs.push_back(Output::Progress { doc: name.clone(), received, total });
        if received < total {
            return Ok(());
        }
        let partial = doc.partial.take().expect("it is whole");
        if partial.sum.value() != checksum {
            return Err(Error::new(
                Code::Corrupt,
                format!("the snapshot of {name:?} arrived damaged; it is sent anew"),
            ));
        }
        self.link.leader_holds(&frontier);
        self.take_content(name, &frontier, vec![partial.bytes.into()]);
        self.reads_may_end();
        Ok(())
    }

    /// Says which parts of snapshots are here of documents that are about to be asked for.
    pub(in crate::replica) fn say_what_is_here(&mut self, docs: &[DocName]) {
        let part = |name: &DocName| {
            let partial = self.docs.open.get(name)?.partial.as_ref()?;
            let (checksum, bytes) = (partial.checksum, partial.bytes.len() as u64);
            Some(ClientFrame::Have { doc: name.clone(), checksum, bytes })
        };
        let parts: Vec<ClientFrame> = docs.iter().filter_map(part).collect();
        parts.iter().for_each(|frame| self.send(frame));
    }

    fn take_content(&mut self, doc: DocName, frontier: &Frontier, updates: Vec<Rc<[u8]>>) {
        let content = Updates { reach: frontier.clone(), updates: updates.clone() };
        self.persister.add_updates(doc.clone(), content.clone());
        if self.docs.advance_doc(&doc, frontier) {
            self.persister.doc_changed(doc.clone());
        }
        self.docs.open.get_mut(&doc).expect("it follows a group").reach.join(frontier);
        self.tell_contents(&doc, content);
        if self.docs.is_shown(&doc) {
            self.outputs.push_back(Output::Apply { doc, updates, origins: Vec::new() });
        }
        self.is_changed = true;
    }
}
