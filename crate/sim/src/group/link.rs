//! Connections between clients and members: two ordered channels each, with delay, stalls, and ends that learn of a loss
//! at different times.

use super::coverage::Moment;
use super::world::{Event, World};
use crate::net::{Channel, Message, Way};
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::{ConnId, Error, node, replica};
use std::rc::Rc;

/// A connection.
#[derive(Debug)]
pub struct Conn {
    /// Who connected, in which of its lives.
    pub client: usize,
    client_life: u64,
    /// To whom.
    pub member: usize,
    /// Whether the client's end is open.
    pub is_up: bool,
    /// Whether the member's platform holds its end open.
    pub is_held: bool,
    /// What the node left with it.
    pub attachment: Vec<u8>,
    up: Channel,
    down: Channel,
}

impl Conn {
    fn channel(&mut self, way: Way) -> &mut Channel {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

fn id(conn: usize) -> ConnId {
    ConnId(conn as u64 + 1)
}

impl World {
    /// A client wants a connection: with its first member, or with the next one for each that did not work.
    pub fn connect(&mut self, client: usize, attempt: u64) {
        let place = self.clients[client].home as u64 + attempt;
        let member = (place % self.members.len() as u64) as usize;
        if self.clients[client].last_member.replace(member).is_some_and(|last| last != member) {
            self.coverage.saw(Moment::Elsewhere);
        }
        let client_life = self.clients[client].life;
        let conn = self.conns.len();
        self.conns.push(Conn {
            client,
            client_life,
            member,
            is_up: true,
            is_held: false,
            attachment: Vec::new(),
            up: Channel::default(),
            down: Channel::default(),
        });
        self.clients[client].conn = Some(conn);
        self.note(|| format!("client {client} connects to m{member} as {conn}"));
        let span = self.about(self.plan.shape.delay_ms);
        self.after(span, Event::Arrive(conn));
    }

    /// A connection attempt reaches its member.
    pub fn arrive(&mut self, conn: usize) {
        let member = self.conns[conn].member;
        if !self.conns[conn].is_up {
            return;
        }
        self.wake(member);
        if self.members[member].core.is_none() {
            let span = self.rng.below(100);
            return self.after(span, Event::Lost(conn, Way::Down));
        }
        if self.members[member].leads.is_none() {
            self.coverage.saw(Moment::FollowerClient);
        }
        self.conns[conn].is_held = true;
        self.send(conn, Way::Down, Message::Open);
        self.feed(member, node::Input::Opened { conn: id(conn) });
    }

    /// A client sends a frame.
    pub fn client_sends(&mut self, client: usize, bytes: Vec<u8>) {
        let Some(conn) = self.clients[client].conn else { return };
        if let Ok(ClientFrame::Push { batch, .. }) = ClientFrame::decode(&bytes) {
            for write in &batch.writes {
                if let Some(write) = self.oracle.find(write.origin, write.seq)
                    && std::mem::replace(&mut self.oracle.writes[write].is_sent, true)
                {
                    self.coverage.saw(Moment::Resent);
                }
            }
            self.trim_outbox(client, batch.writes[0].origin);
        }
        self.trace.event(self.now, "send", client as u64, &bytes);
        if self.trace.is_verbose() {
            let text = crate::timeline::client_frame(&bytes);
            self.note(|| format!("client {client} → {text}"));
        }
        self.send(conn, Way::Up, Message::Frame(bytes.into()));
    }

    /// A client asks for a sign of life.
    pub fn client_pings(&mut self, client: usize) {
        if let Some(conn) = self.clients[client].conn {
            self.send(conn, Way::Up, Message::Ping);
        }
    }

    /// A client's end of its connection is gone: it gave it up, or died.
    pub fn leave_conn(&mut self, client: usize) {
        let Some(conn) = self.clients[client].conn.take() else { return };
        self.conns[conn].is_up = false;
        if self.rng.chance(70) {
            self.send(conn, Way::Up, Message::Close);
        } else {
            // What was sent before may still arrive, and the member hears of the loss late.
            let span = self.rng.below(20_000);
            self.after(span, Event::Lost(conn, Way::Up));
        }
    }

    /// A member sends a frame.
    pub fn member_sends(&mut self, member: usize, conn: usize, bytes: Rc<[u8]>) {
        if !self.conns[conn].is_held || self.conns[conn].member != member {
            return;
        }
        if let Ok(frame) = NodeFrame::decode(&bytes) {
            self.check_frame(member, &frame);
        }
        self.send(conn, Way::Down, Message::Frame(bytes));
    }

    /// A member closes a connection.
    pub fn member_closes(&mut self, member: usize, conn: usize, error: &Error) {
        if self.conns[conn].member == member && std::mem::replace(&mut self.conns[conn].is_held, false) {
            self.note(|| format!("m{member} closes connection {conn}: {error}"));
            self.coverage.saw(Moment::TurnedAway);
            self.send(conn, Way::Down, Message::Close);
        }
    }

    /// Connections that outlived the instance before are handed to the one that starts.
    pub fn restore_conns(&mut self, member: usize) {
        for conn in self.held_by(member) {
            self.coverage.saw(Moment::Restored);
            let state = self.conns[conn].attachment.clone();
            self.feed(member, node::Input::Restored { conn: id(conn), state });
        }
    }

    /// A member died, and its connections with it. Clients hear of it soon, or when their patience is at its end.
    pub fn conns_of_dead(&mut self, member: usize) {
        for conn in self.held_by(member) {
            self.conns[conn].is_held = false;
            if self.rng.chance(85) {
                let span = self.rng.below(1_500);
                self.after(span, Event::Lost(conn, Way::Down));
            }
        }
    }

    fn held_by(&self, member: usize) -> Vec<usize> {
        (0..self.conns.len()).filter(|at| self.conns[*at].is_held && self.conns[*at].member == member).collect()
    }

    fn send(&mut self, conn: usize, way: Way, message: Message) {
        let delay = self.about(self.plan.shape.delay_ms);
        let now = self.now;
        let channel = self.conns[conn].channel(way);
        if channel.stalled_until > now {
            return channel.stalled.push_back(message);
        }
        let at = channel.last_at.max(now + delay);
        channel.last_at = at;
        self.at(at, Event::Deliver(conn, way, message));
    }

    /// A message arrives.
    pub fn deliver(&mut self, conn: usize, way: Way, message: Message) {
        if self.conns[conn].channel(way).is_cut {
            return;
        }
        match way {
            Way::Up => self.deliver_to_member(conn, message),
            Way::Down => self.deliver_to_client(conn, message),
        }
    }

    fn deliver_to_member(&mut self, conn: usize, message: Message) {
        if !self.conns[conn].is_held {
            return;
        }
        let member = self.conns[conn].member;
        match message {
            // The platform answers, whether the instance sleeps or not; a machine that stands still says nothing.
            Message::Ping if self.members[member].frozen_until <= self.now => self.send(conn, Way::Down, Message::Pong),
            Message::Close => self.lost(conn, Way::Up),
            Message::Frame(bytes) => {
                self.wake(member);
                self.feed(member, node::Input::Frame { conn: id(conn), bytes: bytes.to_vec() });
            }
            Message::Ping | Message::Open | Message::Pong => {}
        }
    }

    fn deliver_to_client(&mut self, conn: usize, message: Message) {
        let Conn { client, client_life, .. } = self.conns[conn];
        if !self.conns[conn].is_up || self.clients[client].life != client_life {
            return;
        }
        match message {
            Message::Open => self.feed_client(client, replica::Input::Connected),
            Message::Pong => self.feed_client(client, replica::Input::Pong),
            Message::Close => self.lost(conn, Way::Down),
            Message::Ping => {}
            Message::Frame(bytes) => {
                self.trace.event(self.now, "receive", client as u64, &bytes);
                if self.trace.is_verbose() {
                    let text = crate::timeline::node_frame(&bytes);
                    self.note(|| format!("client {client} ← {text}"));
                }
                match NodeFrame::decode(&bytes) {
                    Ok(NodeFrame::Ack { origin, seq, epoch, .. }) => self.oracle.acked(origin, seq, epoch),
                    Ok(NodeFrame::Rejected { origin, seq, .. }) => self.oracle.refused(origin, seq),
                    _ => {}
                }
                self.feed_client(client, replica::Input::Frame { bytes: bytes.to_vec() });
                self.check_blocked(client);
            }
        }
    }

    /// Nothing moves on a connection for a while; what is sent waits.
    pub fn stall(&mut self, conn: usize, until: u64) {
        for way in [Way::Up, Way::Down] {
            let channel = self.conns[conn].channel(way);
            channel.stalled_until = channel.stalled_until.max(until);
            self.at(until, Event::Unstall(conn, way));
        }
    }

    /// What waited moves on.
    pub fn unstall(&mut self, conn: usize, way: Way) {
        let now = self.now;
        let channel = self.conns[conn].channel(way);
        if channel.stalled_until > now {
            return;
        }
        channel.stalled_until = 0;
        let stalled = std::mem::take(&mut channel.stalled);
        stalled.into_iter().for_each(|message| self.send(conn, way, message));
    }

    /// A stall is over before its time.
    pub fn unstall_all(&mut self) {
        for conn in 0..self.conns.len() {
            for way in [Way::Up, Way::Down] {
                self.conns[conn].channel(way).stalled_until = 0;
                self.unstall(conn, way);
            }
        }
    }

    /// A connection is gone, with everything on its way. Each end hears of it in its own time.
    pub fn cut(&mut self, conn: usize) {
        self.conns[conn].up.is_cut = true;
        self.conns[conn].down.is_cut = true;
        let (down, up) = (self.rng.below(3_000), self.rng.below(30_000));
        self.after(down, Event::Lost(conn, Way::Down));
        self.after(up, Event::Lost(conn, Way::Up));
    }

    /// One end hears that its connection is gone.
    pub fn lost(&mut self, conn: usize, way: Way) {
        let Conn { client, client_life, member, .. } = self.conns[conn];
        match way {
            Way::Up => {
                if std::mem::replace(&mut self.conns[conn].is_held, false) {
                    self.wake(member);
                    self.feed(member, node::Input::Closed { conn: id(conn) });
                }
            }
            Way::Down => {
                let is_current = self.clients[client].life == client_life && self.clients[client].conn == Some(conn);
                if std::mem::replace(&mut self.conns[conn].is_up, false) && is_current {
                    self.clients[client].conn = None;
                    self.feed_client(client, replica::Input::Disconnected);
                }
            }
        }
    }

    /// Connections of clients that are open.
    pub fn open_conns(&self) -> Vec<usize> {
        self.clients.iter().filter_map(|client| client.conn).collect()
    }
}
