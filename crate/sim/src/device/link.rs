//! A tab's end of its connection.

use crate::bug::Bug;
use crate::coverage::Moment;
use crate::net::{Conn, Message, Way};
use crate::world::{Event, World};
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::replica::Input;
use headwater_core::store::Table;

/// How long a replica waits for the answer to a ping; its clock may leap, so half of that tells.
const PONG_MS_MAX: u64 = 10_000;

impl World {
    pub(super) fn connect(&mut self, opening: usize) {
        let conn = self.conns.len();
        self.conns.push(Conn::new(opening));
        let tab = &mut self.openings[opening];
        tab.socket = Some(conn);
        tab.connects += 1;
        let is_first = tab.connects == 1;
        self.coverage.saw(if is_first { Moment::Connected } else { Moment::Reconnected });
        self.note(|| format!("tab {opening}: connects as {conn}"));
        let span = self.message_delay();
        self.after(span, Event::Arrive(conn));
    }

    pub(super) fn disconnect(&mut self, opening: usize) {
        let Some(conn) = self.openings[opening].socket.take() else { return };
        if self.openings[opening].pinged_at.take().is_some_and(|at| self.now - at >= PONG_MS_MAX / 2) {
            self.coverage.saw(Moment::PingTimeout);
        }
        self.note(|| format!("tab {opening}: gives up connection {conn}"));
        self.send(conn, Way::Up, Message::Close);
        self.conns[conn].is_up = false;
    }

    pub(super) fn send_frame(&mut self, opening: usize, bytes: Vec<u8>) {
        let Some(conn) = self.openings[opening].socket else { return };
        self.note_push(&bytes);
        let bytes = self.bug_in_client_frame(opening, bytes);
        self.trace.event(self.now, "send", opening as u64, &bytes);
        if self.trace.is_verbose() {
            let text = crate::timeline::client_frame(&bytes);
            self.note(|| format!("tab {opening} → {text}"));
        }
        self.send(conn, Way::Up, Message::Frame(bytes.into()));
    }

    fn note_push(&mut self, bytes: &[u8]) {
        let Ok(ClientFrame::Push { batch, .. }) = ClientFrame::decode(bytes) else { return };
        for write in &batch.writes {
            if let Some(write) = self.oracle.find(write.origin, write.seq)
                && std::mem::replace(&mut self.oracle.writes[write].is_sent, true)
            {
                self.coverage.saw(Moment::Resent);
            }
        }
    }

    fn bug_in_client_frame(&mut self, opening: usize, bytes: Vec<u8>) -> Vec<u8> {
        let Some(bug) = self.bug else { return bytes };
        let Ok(frame) = ClientFrame::decode(&bytes) else { return bytes };
        let device = self.openings[opening].device;
        match (bug, frame) {
            (Bug::OutboxTrimmedEarly, ClientFrame::Push { batch, .. }) => {
                let origin = headwater_core::store::origin_key(batch.writes[0].origin);
                let is_sent = |table, key: &[u8]| table == Table::Outbox && key.starts_with(&origin);
                self.devices[device].disk.retain(|table, key| !is_sent(table, key));
                bytes
            }
            (Bug::HalfAWrite, ClientFrame::Push { resume, prev, mut batch }) => {
                batch.writes.iter_mut().for_each(|write| write.parts.truncate(1));
                ClientFrame::Push { resume, prev, batch }.encode()
            }
            (Bug::ResumeFromWrongFrontier, ClientFrame::Subscribe { group, mut frontier, docs }) => {
                if !frontier.is_empty() {
                    let end = self.oracle.log_end;
                    frontier.advance_epoch(headwater_core::Epoch(1), headwater_core::Lsn(end));
                }
                ClientFrame::Subscribe { group, frontier, docs }.encode()
            }
            (Bug::StrongWithoutProof, ClientFrame::Barrier { id, frontier, .. }) => {
                ClientFrame::Barrier { id, strong: false, frontier }.encode()
            }
            _ => bytes,
        }
    }

    /// What arrives at a tab.
    pub fn deliver_to_tab(&mut self, conn: usize, message: Message) {
        let opening = self.conns[conn].opening;
        let is_current = self.conns[conn].is_up && self.openings[opening].socket == Some(conn);
        if !is_current || !self.openings[opening].is_alive {
            return;
        }
        self.openings[opening].pinged_at = None;
        match message {
            Message::Frame(bytes) => {
                self.trace.event(self.now, "receive", opening as u64, &bytes);
                if self.trace.is_verbose() {
                    let text = crate::timeline::node_frame(&bytes);
                    self.note(|| format!("tab {opening} ← {text}"));
                }
                self.note_refusal(opening, &bytes);
                self.feed(opening, Input::Frame { bytes: bytes.to_vec() });
            }
            Message::Open => self.feed(opening, Input::Connected),
            Message::Pong => self.feed(opening, Input::Pong),
            Message::Close => self.tab_lost(conn),
            Message::Ping => {}
        }
    }

    fn note_refusal(&mut self, opening: usize, bytes: &[u8]) {
        if let Ok(NodeFrame::Rejected { origin, seq, .. }) = NodeFrame::decode(bytes)
            && let Some(write) = self.oracle.find(origin, seq)
        {
            let docs = self.oracle.writes[write].effects.iter().map(|effect| effect.doc);
            self.devices[self.openings[opening].device].refused.extend(docs);
        }
    }

    /// A tab learns that its connection is gone.
    pub fn tab_lost(&mut self, conn: usize) {
        let opening = self.conns[conn].opening;
        if std::mem::replace(&mut self.conns[conn].is_up, false) && self.openings[opening].socket == Some(conn) {
            self.openings[opening].socket = None;
            self.feed(opening, Input::Disconnected);
        }
    }
}
