//! What a node knows of one connection, and how that survives hibernation.

use super::fill::Filling;
use super::signal::Signalled;
use super::{Node, Output};
use crate::batch::Write;
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{ConnId, DocName, Millis, Origin, Seq};
use crate::limits::{ATTACHMENT_BYTES_MAX, BARRIERS_PER_CONNECTION_MAX, SUBSCRIPTIONS_MAX};
use crate::sorted::{Map, Set};
use crate::wire::{Reader, Writer};

const VERSION: u8 = 3;
/// Left by nodes that kept nothing of what is kept of documents: such a group begins anew.
const VERSION_WITHOUT_FILLING: u8 = 2;
/// Left by nodes that kept no origin: whoever slept with it goes on, and is asked to come anew if it signals.
const VERSION_WITHOUT_ORIGIN: u8 = 1;

/// One connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Conn {
    pub(super) is_greeted: bool,
    /// The origin of its hello, by which others signal to it; zero if it is not known.
    pub(super) origin: Origin,
    /// What it has had passed on to others lately.
    pub(super) signalled: Signalled,
    /// Origins that push here, and how far each has: what a replica pushed is not sent back to it. Another tab may push
    /// for the same origin and get further, so the origin alone does not tell.
    pub(super) own: Map<Origin, Seq>,
    /// Origins whose writes are ignored until they resume after a rejection.
    pub(super) halted: Set<Origin>,
    /// Documents on the live stream.
    pub(super) live: Set<DocName>,
    /// Documents that are catching up.
    pub(super) groups: Map<u64, Group>,
    pub(super) last_group: u64,
    /// Snapshots that the replica has a part of: their checksum, and how many bytes.
    pub(super) have: Map<DocName, (u64, u64)>,
    /// How far the replica has been told that the live stream has come.
    pub(super) sent: Frontier,
    /// Whether writes of its own have become visible since it was told how far the stream has come.
    pub(super) is_untold: bool,
    /// Whether the attachment is out of date.
    pub(super) is_changed: bool,
}

/// Documents that catch up together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) docs: Set<DocName>,
    /// What the replica holds of them once it has taken in all that was sent.
    pub(super) at: Frontier,
    /// Frames that may still be sent.
    pub(super) credit: i64,
    /// Whether rows for it are being read.
    pub(super) is_reading: bool,
    /// How far its documents have been sent as what is kept of them.
    pub(super) filling: Option<Filling>,
}

impl Conn {
    /// Whether the replica has this write because it pushed it here.
    pub(super) fn has_pushed(&self, write: &Write) -> bool {
        self.own.get(&write.origin).is_some_and(|pushed| write.seq <= *pushed)
    }

    pub(super) fn subscriptions(&self) -> usize {
        self.live.len() + self.groups.values().map(|group| group.docs.len()).sum::<usize>()
    }

    pub(super) fn unsubscribe(&mut self, docs: &[DocName]) {
        for doc in docs {
            self.live.remove(doc);
            for group in self.groups.values_mut() {
                group.docs.remove(doc);
            }
        }
        self.is_changed = true;
    }

    fn encode<'a>(&self, barriers: impl Iterator<Item = (u64, &'a Frontier)> + Clone) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(VERSION).byte(u8::from(self.is_greeted)).fixed(self.origin.0).uint(self.last_group);
        out.uint(self.halted.len() as u64);
        for origin in self.halted.iter() {
            out.fixed(origin.0);
        }
        encode_docs(&mut out, &self.live);
        out.uint(self.groups.len() as u64);
        for (id, group) in self.groups.iter() {
            group.at.encode(out.uint(*id).uint(group.credit.max(0) as u64));
            encode_docs(&mut out, &group.docs);
            out.byte(u8::from(group.filling.is_some()));
            group.filling.iter().for_each(|filling| filling.encode(&mut out));
        }
        out.uint(barriers.clone().count() as u64);
        for (id, frontier) in barriers {
            frontier.encode(out.uint(id));
        }
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<(Self, Vec<(u64, Frontier)>), Error> {
        let mut input = Reader::new(bytes);
        let version = input.byte()?;
        if !(VERSION_WITHOUT_ORIGIN..=VERSION).contains(&version) {
            return Err(Error::malformed("the connection's state is of another version"));
        }
        let mut conn = Conn { is_greeted: input.byte()? == 1, ..Conn::default() };
        if version > VERSION_WITHOUT_ORIGIN {
            conn.origin = input.origin()?;
        }
        conn.last_group = input.uint()?;
        for _ in 0..input.count("origins", ATTACHMENT_BYTES_MAX)? {
            conn.halted.insert(input.origin()?);
        }
        conn.live = decode_docs(&mut input)?;
        for _ in 0..input.count("groups", SUBSCRIPTIONS_MAX)? {
            let (id, credit) = (input.uint()?, input.uint()? as i64);
            let at = Frontier::decode(&mut input)?;
            let docs = decode_docs(&mut input)?;
            let mut filling = None;
            if version > VERSION_WITHOUT_FILLING && input.byte()? == 1 {
                let (begun, have) = Filling::decode(&mut input)?;
                filling = Some(begun);
                have.into_iter().for_each(|(doc, have)| _ = conn.have.insert(doc, have));
            }
            conn.groups.insert(id, Group { docs, at, credit, is_reading: false, filling });
        }
        let mut barriers = Vec::new();
        for _ in 0..input.count("barriers", BARRIERS_PER_CONNECTION_MAX)? {
            barriers.push((input.uint()?, Frontier::decode(&mut input)?));
        }
        input.end()?;
        Ok((conn, barriers))
    }
}

impl Node {
    /// Leaves the connection's state with the platform if it changed since the last time.
    pub(super) fn attach_if_changed(&mut self, conn: ConnId) {
        let Some(state) = self.conns.get_mut(&conn).filter(|state| state.is_changed) else { return };
        state.is_changed = false;
        let barriers = self.waiters.barriers_of(conn);
        let logs: usize = barriers.clone().map(|(_, frontier)| frontier.logs()).sum();
        // Too much to keep: the replica will be asked to resume.
        let mut bytes = if logs > ATTACHMENT_BYTES_MAX { Vec::new() } else { state.encode(barriers) };
        if bytes.len() > ATTACHMENT_BYTES_MAX {
            bytes.clear();
        }
        self.outputs.push_back(Output::Attach { conn, state: bytes });
    }

    /// Goes on with a connection that outlived the instance.
    pub(super) fn restore(&mut self, conn: ConnId, state: &[u8]) {
        let Ok((state, barriers)) = Conn::decode(state) else {
            let error = Error::new(Code::Resume, "the node slept and could not keep this connection; reconnect");
            return self.close(conn, error, Millis(0));
        };
        let groups: Vec<u64> = state.groups.keys().copied().collect();
        self.conns.insert(conn, state);
        barriers.into_iter().for_each(|(id, frontier)| self.waiters.restore_barrier(conn, id, frontier));
        self.answer_waiters();
        groups.into_iter().for_each(|group| self.advance_catch_up(conn, group));
    }
}

fn encode_docs(out: &mut Writer, docs: &Set<DocName>) {
    out.uint(docs.len() as u64);
    for doc in docs.iter() {
        out.text(doc.as_str());
    }
}

fn decode_docs(input: &mut Reader<'_>) -> Result<Set<DocName>, Error> {
    (0..input.count("documents", SUBSCRIPTIONS_MAX)?).map(|_| input.doc_name()).collect()
}
