//! The world of one run: everything there is, and the queue of what will happen when.

use super::bug::Bug;
use super::coverage::Coverage;
use super::edge::{Conn, Edge};
use super::oracle::Oracle;
use super::peer::Link;
use super::plan::Plan;
use super::session::Session;
use super::tab::{Device, Tab};
use crate::net::Message;
use crate::rng::Rng;
use crate::trace::Trace;
use crate::world::Violation;
use headwater_core::replica::Input;
use headwater_core::store::Scan;
use headwater_core::{DocName, Token, node};
use std::collections::BTreeMap;

/// Something that will happen. Tabs have numbers that are never used again, and nothing happens to dead ones.
#[derive(Debug)]
pub enum Event {
    /// A step of the plan.
    Step(usize),
    /// A tab's machine gets an input.
    Feed(usize, Input),
    /// A tab's machine is drained.
    Drain(usize),
    /// A tab's timer.
    Tick(usize),
    /// Storage answers a tab's question.
    Scan(usize, Token, Scan),
    /// A tab's commit lands, unless it is held.
    Land(usize, u64),
    /// A frozen tab goes on.
    Thaw(usize),
    /// A tab that is being closed is gone, stored or not.
    Gone(usize),
    /// A device's storage is as fast as usual again.
    DiskWell(usize),
    /// A tab is opened on a device.
    OpenTab(usize),
    /// A link's message reaches that end.
    Peer(usize, usize, Vec<u8>),
    /// An end of a link hears that it is over.
    Parted(usize, usize),
    /// A connection attempt reaches the node.
    Arrive(usize),
    /// A message reaches the node, or the tab.
    Up(usize, Message),
    /// The same, the other way.
    Down(usize, Message),
    /// The tab learns that the connection is gone.
    TabLost(usize),
    /// The node does.
    NodeLost(usize),
    /// The node starts.
    NodeStart,
    /// The node's machine gets an input, in that life.
    NodeFeed(u64, node::Input),
    /// The node's storage answers.
    NodeScan(u64, Token, Scan),
    /// The node's oldest commit lands.
    NodeLand(u64),
    /// The node's timer.
    NodeTick(u64),
}

/// Devices, what is between them, and perhaps a node.
pub struct World {
    /// What will be done to it.
    pub plan: Plan,
    /// The bug that is switched on.
    pub bug: Option<Bug>,
    /// The time, in milliseconds.
    pub now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    /// The world's own randomness: delays, ids, losses.
    pub rng: Rng,
    /// Every document there is.
    pub docs: Vec<DocName>,
    /// Devices.
    pub devices: Vec<Device>,
    /// Tabs, dead ones included.
    pub tabs: Vec<Tab>,
    /// Links between devices, gone ones included.
    pub links: Vec<Link>,
    /// The node.
    pub edge: Edge,
    /// Connections to it, gone ones included.
    pub conns: Vec<Conn>,
    /// Sessions.
    pub sessions: Vec<Session>,
    /// What really happened.
    pub oracle: Oracle,
    /// What happened, to read.
    pub trace: Trace,
    /// What the run went through.
    pub coverage: Coverage,
    /// The first promise that was not kept.
    pub violation: Option<Violation>,
    /// Whether the faults are over.
    pub is_healing: bool,
    /// Whether a read ended in an error since somebody last looked.
    pub has_failed_to_read: bool,
}

impl World {
    /// The world of a plan, at rest.
    pub fn new(plan: Plan, bug: Option<Bug>, is_verbose: bool) -> Self {
        let name = |place| DocName::parse(&format!("doc/{place}")).expect("a short name");
        let docs: Vec<DocName> = (0..plan.shape.docs).map(name).collect();
        let mut rng = Rng::new(plan.seed.rotate_left(32) ^ 0x6c6f_6361);
        let device = |place: u32| Device::new(&mut rng, plan.shape.leaders >> place & 1 == 1);
        let devices: Vec<Device> = (0..plan.shape.devices).map(device).collect();
        let mut world = Self {
            bug,
            now: 0,
            queue: BTreeMap::new(),
            queued: 0,
            oracle: Oracle::new(docs.len(), devices.len()),
            docs,
            devices,
            tabs: Vec::new(),
            links: Vec::new(),
            edge: Edge::new(),
            conns: Vec::new(),
            sessions: Vec::new(),
            trace: Trace::new(is_verbose),
            coverage: Coverage::default(),
            violation: None,
            is_healing: false,
            has_failed_to_read: false,
            rng,
            plan,
        };
        if world.plan.shape.has_node {
            world.start_node();
        }
        for device in 0..world.devices.len() {
            for _ in 0..world.rng.within(1, u64::from(world.plan.shape.tabs_max)) {
                let span = world.rng.below(300);
                world.after(span, Event::OpenTab(device));
            }
            world.open_tab(device);
        }
        for place in 0..world.plan.shape.sessions as usize {
            world.sessions.push(Session::new(place % world.devices.len()));
        }
        for place in 0..world.plan.steps.len() {
            world.at(world.plan.steps[place].at, Event::Step(place));
        }
        world
    }

    /// Has something happen at a moment.
    pub fn at(&mut self, at: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((at.max(self.now), self.queued), event);
    }

    /// Has something happen after a while.
    pub fn after(&mut self, span: u64, event: Event) {
        self.at(self.now + span, event);
    }

    /// Lets everything happen up to a moment, or until a promise is broken.
    pub fn run_until(&mut self, end: u64) {
        while self.violation.is_none() {
            match self.queue.first_key_value() {
                Some(((at, _), _)) if *at <= end => {}
                _ => break,
            }
            let ((at, _), event) = self.queue.pop_first().expect("it has a first entry");
            self.now = at;
            self.happen(event);
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Step(place) if !self.is_healing => self.step(place),
            Event::Step(_) => {}
            Event::Feed(tab, input) => self.feed(tab, input),
            Event::Drain(tab) => self.drain(tab),
            Event::Tick(tab) => self.tick(tab),
            Event::Scan(tab, token, scan) => self.scan(tab, token, &scan),
            Event::Land(tab, commit) => self.land(tab, commit),
            Event::Thaw(tab) => self.thaw(tab),
            Event::Gone(tab) => self.end_tab(tab),
            Event::DiskWell(device) => self.devices[device].disk.slowness = 1,
            Event::OpenTab(device) => _ = self.open_tab_if_room(device),
            Event::Peer(link, end, bytes) => self.deliver_to_peer(link, end, bytes),
            Event::Parted(link, end) => self.parted(link, end),
            Event::Arrive(conn) => self.arrive(conn),
            Event::Up(conn, message) => self.deliver_up(conn, message),
            Event::Down(conn, message) => self.deliver_down(conn, message),
            Event::TabLost(conn) => self.tab_lost(conn),
            Event::NodeLost(conn) => self.node_lost(conn),
            Event::NodeStart => self.start_node(),
            Event::NodeFeed(life, input) if self.edge.life == life => self.feed_node(input),
            Event::NodeScan(life, token, scan) if self.edge.life == life => self.scan_node(token, &scan),
            Event::NodeLand(life) if self.edge.life == life => self.land_node(),
            Event::NodeTick(life) if self.edge.life == life => self.tick_node(),
            Event::NodeFeed(..) | Event::NodeScan(..) | Event::NodeLand(..) | Event::NodeTick(..) => {}
        }
    }

    /// Notes a broken promise, if it is the first.
    pub fn violate(&mut self, checker: &'static str, text: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let violation = Violation { checker, at: self.now, text: text() };
            self.trace.line(self.now, || format!("VIOLATION  {checker}: {}", violation.text));
            self.violation = Some(violation);
        }
    }

    /// Notes a line of the timeline.
    pub fn note(&mut self, text: impl FnOnce() -> String) {
        self.trace.line(self.now, text);
    }

    /// Whether this bug is switched on.
    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// A duration around `usual`, now and then much longer.
    pub fn about(&mut self, usual: u32) -> u64 {
        let usual = u64::from(usual);
        let span = usual / 2 + self.rng.below(usual + 1);
        if self.rng.chance(3) { span * 8 } else { span }
    }

    /// What a message takes.
    pub fn message_delay(&mut self) -> u64 {
        self.about(self.plan.shape.delay_ms)
    }
}
