//! How messages travel: in order, with delay, until somebody stalls or cuts the way.

use crate::coverage::Moment;
use crate::net::{Message, Way};
use crate::world::{Event, World};
use headwater_core::{ConnId, node};

impl World {
    /// The delay of one message.
    pub fn message_delay(&mut self) -> u64 {
        let usual = u64::from(self.plan.shape.delay_ms);
        self.about(usual)
    }

    /// Sends a message; none overtakes another.
    pub fn send(&mut self, conn: usize, way: Way, message: Message) {
        let delay = self.message_delay();
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
            Way::Down => self.deliver_to_tab(conn, message),
            Way::Up => {
                if !self.conns[conn].is_up && matches!(message, Message::Frame(_)) {
                    self.coverage.saw(Moment::LateFrame);
                }
                self.deliver_to_node(conn, message);
            }
        }
    }

    /// Nothing moves this way for a while; what is sent waits.
    pub fn stall(&mut self, conn: usize, way: Way, until: u64) {
        let channel = self.conns[conn].channel(way);
        channel.stalled_until = channel.stalled_until.max(until);
        self.at(until, Event::Unstall(conn, way));
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

    /// What a replica sent arrives late, long after it gave the connection up.
    pub fn linger(&mut self, conn: usize) {
        self.conns[conn].down.is_cut = true;
        let (stall, end) = (self.rng.within(500, 20_000), self.rng.within(20_000, 40_000));
        self.stall(conn, Way::Up, self.now + stall);
        self.after(end, Event::Lost(conn, Way::Up));
    }

    /// A connection is gone, with everything on its way. Each end hears of it in its own time.
    pub fn cut(&mut self, conn: usize) {
        self.conns[conn].up.is_cut = true;
        self.conns[conn].down.is_cut = true;
        if !self.rng.chance(15) {
            let span = self.rng.below(3000);
            self.after(span, Event::Lost(conn, Way::Down));
        }
        let span = self.rng.below(30_000);
        self.after(span, Event::Lost(conn, Way::Up));
    }

    /// One end hears that its connection is gone.
    pub fn lost(&mut self, conn: usize, way: Way) {
        match way {
            Way::Down => self.tab_lost(conn),
            Way::Up => self.node_lost(conn),
        }
    }

    /// The node's end of a connection is gone.
    pub fn node_lost(&mut self, conn: usize) {
        if !std::mem::replace(&mut self.conns[conn].is_held, false) {
            return;
        }
        if let Some(node) = self.conns[conn].node {
            self.node_feed(node, node::Input::Closed { conn: ConnId(conn as u64 + 1) });
        }
    }
}
