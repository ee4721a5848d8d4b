//! Connections: two ordered channels each, with delay, stalls, and ends that learn of a loss at different times.

use std::collections::VecDeque;
use std::rc::Rc;

/// What travels.
#[derive(Clone, Debug)]
pub enum Message {
    /// The connection is open.
    Open,
    /// A binary frame.
    Frame(Rc<[u8]>),
    /// Asks for a sign of life; the platform answers, not the node.
    Ping,
    /// The sign.
    Pong,
    /// The end.
    Close,
}

/// One direction of a connection.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// When the last message arrives: none overtakes another.
    pub last_at: u64,
    /// Nothing arrives before this moment.
    pub stalled_until: u64,
    /// What waits for the stall to end.
    pub stalled: VecDeque<Message>,
    /// What is under way is lost.
    pub is_cut: bool,
}

/// A connection between a tab and the node.
#[derive(Clone, Debug)]
pub struct Conn {
    /// The opening at its one end.
    pub opening: usize,
    /// The instance at its other end; none while the node hibernates.
    pub node: Option<usize>,
    /// Whether the replica's end is open.
    pub is_up: bool,
    /// Whether the platform holds the node's end open.
    pub is_held: bool,
    /// What the node left with it.
    pub attachment: Vec<u8>,
    /// What it left with it before that: for a deliberate bug.
    pub attachment_before: Vec<u8>,
    /// From the replica to the node.
    pub up: Channel,
    /// From the node to the replica.
    pub down: Channel,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the node.
    Up,
    /// To the replica.
    Down,
}

impl Conn {
    /// A connection that nobody has lost yet.
    pub fn new(opening: usize) -> Self {
        Self {
            opening,
            node: None,
            is_up: true,
            is_held: false,
            attachment: Vec::new(),
            attachment_before: Vec::new(),
            up: Channel::default(),
            down: Channel::default(),
        }
    }

    /// One of its directions.
    pub fn channel(&mut self, way: Way) -> &mut Channel {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}
