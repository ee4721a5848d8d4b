//! The world: virtual time, its events, and everything in it. It decides nothing; it calls whoever an event concerns.

use crate::bug::Bug;
use crate::coverage::Coverage;
use crate::device::{Device, Opening};
use crate::edge::Edge;
use crate::net::{Conn, Message, Way};
use crate::oracle::Oracle;
use crate::plan::Plan;
use crate::rng::Rng;
use crate::session::Session;
use crate::table::Tally;
use crate::trace::Trace;
use headwater_core::store::{Scan, StoreOp};
use headwater_core::{DocName, Token, node, replica};
use std::collections::BTreeMap;

/// Something that will happen.
#[derive(Debug)]
pub enum Event {
    /// A step of the plan.
    Step(usize),
    /// A tab's machine gets an input.
    Feed(usize, replica::Input),
    /// A tab's machine is drained.
    Drain(usize),
    /// A tab is frozen no longer.
    Thaw(usize),
    /// A tab's timer.
    Tick(usize),
    /// A tab's storage answers a question.
    Scan(usize, Token, Scan),
    /// A tab's commit lands; whether the last part of it, whose landing is reported.
    Land(usize, Token, Vec<StoreOp>, bool),
    /// A node instance gets an input.
    NodeFeed(usize, node::Input),
    /// A node instance is drained.
    NodeDrain(usize),
    /// A node instance's timer.
    NodeTick(usize),
    /// The node's storage answers a question.
    NodeScan(usize, Token, Scan),
    /// A node instance's commit lands.
    NodeLand(usize, Token, Vec<StoreOp>),
    /// A connection attempt reaches the node.
    Arrive(usize),
    /// A message arrives.
    Deliver(usize, Way, Message),
    /// A stalled direction moves again.
    Unstall(usize, Way),
    /// One end learns that the connection is gone.
    Lost(usize, Way),
    /// A device's storage is as fast as usual again, or no longer full.
    DiskWell(Option<usize>),
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Who noticed.
    pub checker: &'static str,
    /// When.
    pub at: u64,
    /// What.
    pub text: String,
}

/// A whole cluster.
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
    /// Every document there may be.
    pub docs: Vec<DocName>,
    /// Devices.
    pub devices: Vec<Device>,
    /// Tabs, dead ones included.
    pub openings: Vec<Opening>,
    /// The node.
    pub edge: Edge,
    /// Connections, gone ones included.
    pub conns: Vec<Conn>,
    /// Sessions.
    pub sessions: Vec<Session>,
    /// What really happened.
    pub oracle: Oracle,
    /// What happened, to read.
    pub trace: Trace,
    /// Which faults fired.
    pub coverage: Coverage,
    /// What reads and writes were worth.
    pub tally: Tally,
    /// The first promise that was not kept.
    pub violation: Option<Violation>,
    /// Whether the faults are over.
    pub is_healing: bool,
    /// Whether everything has come to rest once: what ends from here on was not killed.
    pub is_over: bool,
    /// Whether a fault has happened.
    pub had_fault: bool,
}

impl World {
    /// The world of a plan, at rest.
    pub fn new(plan: Plan, bug: Option<Bug>, is_verbose: bool) -> Self {
        let docs: Vec<DocName> =
            (0..plan.shape.docs).map(|place| DocName::parse(&format!("doc/{place}")).expect("a short name")).collect();
        let mut world = Self {
            bug,
            now: 0,
            queue: BTreeMap::new(),
            queued: 0,
            rng: Rng::new(plan.seed.rotate_left(32) ^ 0x7261_6e64),
            oracle: Oracle::new(docs.len()),
            docs,
            devices: Vec::new(),
            openings: Vec::new(),
            edge: Edge::new(),
            conns: Vec::new(),
            sessions: Vec::new(),
            trace: Trace::new(is_verbose),
            coverage: Coverage::default(),
            tally: Tally::default(),
            violation: None,
            is_healing: false,
            is_over: false,
            had_fault: false,
            plan,
        };
        for _ in 0..world.plan.shape.devices {
            let device = Device::new(&mut world.rng);
            world.devices.push(device);
            world.open_tab(world.devices.len() - 1);
        }
        for place in 0..world.plan.shape.sessions as usize {
            world.begin_session(place % world.devices.len());
        }
        for place in 0..world.plan.steps.len() {
            let at = world.plan.steps[place].at;
            world.at(at, Event::Step(place));
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
            Event::Feed(opening, input) => self.feed(opening, input),
            Event::Drain(opening) => self.drain(opening),
            Event::Thaw(opening) => self.thaw(opening),
            Event::Tick(opening) => self.tick(opening),
            Event::Scan(opening, token, scan) => self.scan(opening, token, &scan),
            Event::Land(opening, token, ops, is_last) => self.land(opening, token, &ops, is_last),
            Event::NodeFeed(node, input) => self.node_feed(node, input),
            Event::NodeDrain(node) => self.node_drain(node),
            Event::NodeTick(node) => self.node_tick(node),
            Event::NodeScan(node, token, scan) => self.node_scan(node, token, &scan),
            Event::NodeLand(node, token, ops) => self.node_land(node, token, &ops),
            Event::Arrive(conn) => self.arrive(conn),
            Event::Deliver(conn, way, message) => self.deliver(conn, way, message),
            Event::Unstall(conn, way) => self.unstall(conn, way),
            Event::Lost(conn, way) => self.lost(conn, way),
            Event::DiskWell(device) => self.disk_well(device),
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
    pub fn about(&mut self, usual: u64) -> u64 {
        let span = usual / 2 + self.rng.below(usual + 1);
        if self.rng.chance(3) { span * 8 } else { span }
    }
}
