//! Catching up with what is kept of documents, in place of the log: a group whose replica holds less than the log reaches
//! back, or so little that most of what it would be sent is of other documents.
//!
//! Document by document: the snapshot unless the replica holds it, then of the runs what is after what it holds. Small
//! documents share a frame, large snapshots come in chunks. With the last document the group holds what was folded when it
//! began, and goes on with the log.

use super::catch_up::Reader;
use super::compact::{Plan, chunk_scan, entries_of, plan_in, plan_scan, run_scan};
use super::{Node, Output};
use crate::error::{Code, Error};
use crate::frame::{Content, NodeFrame};
use crate::frontier::Frontier;
use crate::ids::{ConnId, DocName, Epoch, Lsn};
use crate::limits::{BATCH_BYTES_TARGET, CONTENT_CHUNK_BYTES, DOC_NAME_BYTES_MAX};
use crate::store::{Row, Scan};
use crate::wire::{Reader as Input, Writer};
use std::rc::Rc;

/// A document of which the replica has a part of a snapshot: its checksum, and how many bytes.
type Have = (DocName, (u64, u64));

/// How far a group's documents have been sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filling {
    /// What the replica holds of all of them at the end.
    target: Frontier,
    /// The last document that was sent whole.
    after: Option<DocName>,
    doc: Option<Sending>,
    /// What the next frame has.
    contents: Vec<Content>,
    weight: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Sending {
    name: DocName,
    plan: Plan,
    step: Step,
    /// What the replica holds of it.
    at: Frontier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Plan,
    Chunk(u64),
    Run(usize),
}

impl Filling {
    /// What is worth keeping across a sleep: where it was, and how much of a snapshot has been sent.
    pub(super) fn encode(&self, out: &mut Writer) {
        self.target.encode(out);
        out.text(self.after.as_ref().map_or("", |after| after.as_str()));
        let partial = self.doc.as_ref().and_then(|doc| match (&doc.plan.snapshot, doc.step) {
            (Some(snapshot), Step::Chunk(chunk)) if chunk > 0 => Some((&doc.name, snapshot.checksum, chunk)),
            _ => None,
        });
        match partial {
            None => out.byte(0),
            Some((name, checksum, chunk)) => out.byte(1).text(name.as_str()).fixed(checksum).uint(chunk),
        };
    }

    /// Reads what `encode` wrote, and what the replica has of a snapshot by then.
    pub(super) fn decode(input: &mut Input<'_>) -> Result<(Self, Option<Have>), Error> {
        let target = Frontier::decode(input)?;
        let after = Some(input.text("a document name", DOC_NAME_BYTES_MAX)?).filter(|name| !name.is_empty());
        let after = after.map(DocName::parse).transpose()?;
        let have = match input.byte()? {
            0 => None,
            _ => {
                let (name, checksum, chunk) = (input.doc_name()?, input.fixed()?, input.uint()?);
                Some((name, (checksum, chunk.saturating_mul(CONTENT_CHUNK_BYTES as u64))))
            }
        };
        Ok((Self { target, after, ..Self::default() }, have))
    }
}

impl Node {
    /// A replica has a part of a snapshot.
    pub(super) fn replica_has(&mut self, conn: ConnId, doc: DocName, checksum: u64, bytes: u64) -> Result<(), Error> {
        let have = &mut self.conn(conn).have;
        if have.len() >= crate::limits::SUBSCRIPTIONS_MAX {
            return Err(Error::new(Code::Busy, "parts of too many snapshots are named before they are asked for"));
        }
        have.insert(doc, (checksum, bytes));
        Ok(())
    }

    /// Takes the next step for a group that gets what is kept of its documents.
    pub(super) fn fill(&mut self, conn: ConnId, group: u64) {
        let folded = self.compactor.folded.clone();
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let Some(waiting) = state.groups.get_mut(&group).filter(|waiting| !waiting.is_reading) else { return };
        if waiting.credit <= 0 {
            return;
        }
        let filling = waiting.filling.get_or_insert_with(|| Filling { target: folded, ..Filling::default() });
        if filling.doc.is_none() {
            let next = waiting.docs.iter().find(|doc| filling.after.as_ref().is_none_or(|after| *doc > after));
            let at = waiting.at.clone();
            filling.doc = next.map(|name| Sending { name: name.clone(), plan: Plan::default(), step: Step::Plan, at });
        }
        let Some(doc) = &filling.doc else { return self.is_filled(conn, group) };
        let Some(scan) = doc.next_scan() else {
            filling.after = Some(doc.name.clone());
            // Whoever is cut off from here on need not be sent this one again.
            let is_last = |content: &&mut Content| content.doc == doc.name;
            if let Some(content) = filling.contents.last_mut().filter(is_last) {
                content.frontier.join(&filling.target);
            }
            filling.doc = None;
            return self.fill(conn, group);
        };
        waiting.is_reading = true;
        let token = self.token();
        self.scans.insert(token, (Reader::Filling { conn, group }, Epoch(0), Lsn(0)));
        self.outputs.push_back(Output::Scan { token, scan });
    }

    /// What is kept of the next document has been read.
    pub(super) fn fill_read(&mut self, conn: ConnId, group: u64, rows: &[Row]) {
        self.fill_with(conn, group, rows);
        self.attach_if_changed(conn);
    }

    fn fill_with(&mut self, conn: ConnId, group: u64, rows: &[Row]) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let have = &mut state.have;
        let Some(waiting) = state.groups.get_mut(&group) else { return };
        waiting.is_reading = false;
        let Some(filling) = &mut waiting.filling else { return };
        let Some(doc) = filling.doc.as_mut().filter(|doc| waiting.docs.contains(&doc.name)) else {
            // It was unsubscribed while it was read.
            filling.doc = None;
            return self.fill(conn, group);
        };
        let taken = match rows.first() {
            Some(row) => doc.take(row, have),
            None => doc.lacks(),
        };
        match taken {
            Err(error) => {
                self.doubt_storage("storage does not read back", &error);
            }
            Ok(Taken::Nothing) => self.fill(conn, group),
            Ok(Taken::Contents(contents)) => {
                contents.into_iter().for_each(|content| self.add_content(conn, group, content));
                self.fill(conn, group);
            }
            Ok(Taken::Chunk { frontier, checksum, total, offset, bytes }) => {
                let doc = doc.name.clone();
                self.flush_contents(conn, group);
                self.send_filling(conn, group, |group| NodeFrame::Chunk {
                    group,
                    doc,
                    frontier,
                    checksum,
                    total,
                    offset,
                    bytes,
                });
                self.fill(conn, group);
            }
        }
    }

    fn add_content(&mut self, conn: ConnId, group: u64, content: Content) {
        let weight = content.doc.as_str().len() + content.updates.iter().map(|update| update.len() + 4).sum::<usize>();
        if self.filling(conn, group).is_some_and(|filling| filling.weight + weight > BATCH_BYTES_TARGET) {
            self.flush_contents(conn, group);
        }
        if let Some(filling) = self.filling(conn, group) {
            filling.weight += weight;
            filling.contents.push(content);
        }
    }

    fn filling(&mut self, conn: ConnId, group: u64) -> Option<&mut Filling> {
        self.conns.get_mut(&conn)?.groups.get_mut(&group)?.filling.as_mut()
    }

    fn flush_contents(&mut self, conn: ConnId, group: u64) {
        let Some(filling) = self.filling(conn, group).filter(|filling| !filling.contents.is_empty()) else { return };
        filling.weight = 0;
        let contents = std::mem::take(&mut filling.contents);
        self.send_filling(conn, group, |group| NodeFrame::Contents { group, contents });
    }

    fn send_filling(&mut self, conn: ConnId, group: u64, frame: impl FnOnce(u64) -> NodeFrame) {
        if let Some(waiting) = self.conns.get_mut(&conn).and_then(|state| state.groups.get_mut(&group)) {
            waiting.credit -= 1;
            self.conn(conn).is_changed = true;
            self.send(conn, &frame(group));
        }
    }

    // All documents are sent: the group goes on with the log.
    fn is_filled(&mut self, conn: ConnId, group: u64) {
        self.flush_contents(conn, group);
        let Some(waiting) = self.conns.get_mut(&conn).and_then(|state| state.groups.get_mut(&group)) else { return };
        let Some(filling) = waiting.filling.take() else { return };
        let news: Vec<(Epoch, Lsn)> =
            filling.target.epochs().filter(|(epoch, lsn)| waiting.at.lsn(*epoch) < *lsn).collect();
        waiting.at.join(&filling.target);
        waiting.credit -= news.len() as i64;
        self.conn(conn).is_changed = true;
        for (epoch, through) in news {
            let batch = crate::batch::Batch::default();
            self.send(conn, &NodeFrame::Entries { group, epoch, through, batch });
        }
        self.advance_catch_up(conn, group);
        self.attach_if_changed(conn);
    }
}

/// What a row brought.
enum Taken {
    Nothing,
    Contents(Vec<Content>),
    Chunk { frontier: Frontier, checksum: u64, total: u64, offset: u64, bytes: Vec<u8> },
}

impl Sending {
    // What to read next; nothing when it is sent.
    fn next_scan(&self) -> Option<Scan> {
        let number = self.plan.snapshot.as_ref().map_or(0, |snapshot| snapshot.number);
        match self.step {
            Step::Plan => Some(plan_scan(&self.name)),
            Step::Chunk(chunk) => Some(chunk_scan(&self.name, number, chunk)),
            Step::Run(at) => {
                let run = self.plan.runs[at..].iter().find(|run| self.at.lsn(run.epoch) < run.last)?;
                Some(run_scan(&self.name, run.number))
            }
        }
    }

    fn take(&mut self, row: &Row, have: &mut crate::sorted::Map<DocName, (u64, u64)>) -> Result<Taken, Error> {
        match self.step {
            Step::Plan => {
                let plan = plan_in(std::slice::from_ref(row))?;
                if plan == self.plan {
                    return Err(missing(&self.name));
                }
                self.plan = plan;
                self.step = Step::Run(0);
                if let Some(snapshot) = self.plan.snapshot.as_ref().filter(|kept| !self.at.dominates(&kept.frontier)) {
                    let held = have.remove(&self.name).filter(|(checksum, _)| *checksum == snapshot.checksum);
                    let held = held.map_or(0, |(_, bytes)| bytes / CONTENT_CHUNK_BYTES as u64);
                    self.step = Step::Chunk(if held < snapshot.chunks() { held } else { 0 });
                }
                Ok(Taken::Nothing)
            }
            Step::Chunk(chunk) => {
                let snapshot = self.plan.snapshot.as_ref().expect("its chunks are read");
                let is_last = chunk + 1 == snapshot.chunks();
                let (frontier, checksum, total) = (snapshot.frontier.clone(), snapshot.checksum, snapshot.bytes as u64);
                self.step = if is_last { Step::Run(0) } else { Step::Chunk(chunk + 1) };
                if is_last {
                    self.at.join(&frontier);
                }
                if snapshot.chunks() == 1 {
                    super::compact::check(snapshot, &row.value, &self.name)?;
                    let update: Rc<[u8]> = row.value.as_slice().into();
                    let content = Content { doc: self.name.clone(), frontier: self.at.clone(), updates: vec![update] };
                    return Ok(Taken::Contents(vec![content]));
                }
                let offset = chunk * CONTENT_CHUNK_BYTES as u64;
                Ok(Taken::Chunk { frontier, checksum, total, offset, bytes: row.value.clone() })
            }
            Step::Run(from) => {
                let is_next = |run: &super::compact::Run| self.at.lsn(run.epoch) < run.last;
                let at = from + self.plan.runs[from..].iter().position(is_next).expect("it was asked for");
                let (epoch, last) = (self.plan.runs[at].epoch, self.plan.runs[at].last);
                let entries = entries_of(&row.value)?;
                let contents = self.cut(epoch, entries);
                self.at.advance_epoch(epoch, last);
                self.step = Step::Run(at + 1);
                Ok(Taken::Contents(contents))
            }
        }
    }

    // What is not held of a run, in pieces that fit a frame. Entries of one place stay together.
    fn cut(&mut self, epoch: Epoch, entries: Vec<(Lsn, Rc<[u8]>)>) -> Vec<Content> {
        let mut contents: Vec<Content> = Vec::new();
        let (mut weight, mut before) = (usize::MAX, Lsn(0));
        let held = self.at.lsn(epoch);
        for (lsn, update) in entries.into_iter().filter(|(lsn, _)| *lsn > held) {
            let added = update.len() + 4;
            self.at.advance_epoch(epoch, lsn);
            match contents.last_mut() {
                Some(content) if lsn == before || weight.saturating_add(added) <= BATCH_BYTES_TARGET => {
                    content.frontier.advance_epoch(epoch, lsn);
                    content.updates.push(update);
                    weight += added;
                }
                _ => {
                    let (doc, frontier) = (self.name.clone(), self.at.clone());
                    contents.push(Content { doc, frontier, updates: vec![update] });
                    weight = added;
                }
            }
            before = lsn;
        }
        contents
    }

    // The row is not there: nothing is kept of the document, or it was compacted while it was read, which its plan tells.
    fn lacks(&mut self) -> Result<Taken, Error> {
        match self.step {
            Step::Plan if self.plan == Plan::default() => self.step = Step::Run(0),
            Step::Plan => return Err(missing(&self.name)),
            _ => self.step = Step::Plan,
        }
        Ok(Taken::Nothing)
    }
}

fn missing(doc: &DocName) -> Error {
    Error::malformed(format!("a row that the plan of {doc:?} names is missing"))
}
