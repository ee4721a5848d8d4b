//! The world of one run: everything there is, and the queue of what will happen when.

use super::bug::Bug;
use super::calls::Calls;
use super::client::Client;
use super::coverage::Coverage;
use super::lease::{LeaseStore, Request};
use super::link::Conn;
use super::member::Member;
use super::operator::Commands;
use super::oracle::Oracle;
use super::plan::Plan;
use super::session::Session;
use super::tally::Tally;
use crate::net::{Message, Way};
use crate::rng::Rng;
use crate::trace::Trace;
use crate::world::Violation;
use headwater_core::store::Scan;
use headwater_core::{DocName, Error, Token, node, replica};
use std::collections::BTreeMap;

/// Something that will happen. What concerns an instance of a machine names its life, and is nothing after its death.
#[derive(Debug)]
pub enum Event {
    /// A step of the plan.
    Step(usize),
    /// A member's machine gets an input.
    Feed(usize, u64, node::Input),
    /// A member's machine is drained.
    Drain(usize, u64),
    /// A member's timer.
    Tick(usize, u64),
    /// A member's storage answers a question.
    Scan(usize, u64, Token, Scan),
    /// A member's oldest commit lands.
    Land(usize, u64),
    /// A member starts.
    Start(usize),
    /// A member stands still no more.
    Thaw(usize),
    /// A member's storage is as fast as usual again.
    DiskWell(usize),
    /// A call reaches whom it is for.
    CallArrives(u64, Vec<u8>),
    /// Its answer reaches who asked.
    ReplyArrives(u64, Vec<u8>),
    /// Who asked is told that there is no answer.
    CallFails(u64, Error),
    /// A request reaches the lease store.
    Lease(Request),
    /// A client's machine gets an input.
    ClientFeed(usize, u64, replica::Input),
    /// A client's machine is drained.
    ClientDrain(usize, u64),
    /// A client's timer.
    ClientTick(usize, u64),
    /// A client's storage answers a question.
    ClientScan(usize, u64, Token, Scan),
    /// A client's oldest commit lands.
    ClientLand(usize, u64),
    /// A client's storage is as fast as usual again.
    ClientDiskWell(usize),
    /// A client wants a connection again.
    Resume(usize),
    /// A connection attempt reaches its member.
    Arrive(usize),
    /// A message arrives.
    Deliver(usize, Way, Message),
    /// A stalled direction moves again.
    Unstall(usize, Way),
    /// One end learns that the connection is gone.
    Lost(usize, Way),
}

/// A group and its clients.
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
    /// Members, the voters first.
    pub members: Vec<Member>,
    /// Calls between them.
    pub calls: Calls,
    /// The lease store.
    pub lease: LeaseStore,
    /// What operators asked for.
    pub commands: Commands,
    /// Replicas.
    pub clients: Vec<Client>,
    /// Connections, gone ones included.
    pub conns: Vec<Conn>,
    /// Sessions.
    pub sessions: Vec<Session>,
    /// What really happened.
    pub oracle: Oracle,
    /// What happened, to read.
    pub trace: Trace,
    /// What the run went through.
    pub coverage: Coverage,
    /// What reads and writes were worth.
    pub tally: Tally,
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
        let mut rng = Rng::new(plan.seed.rotate_left(32) ^ 0x6772_6f75);
        let members = Member::all(&plan.shape, &mut rng);
        let mut world = Self {
            bug,
            now: 0,
            queue: BTreeMap::new(),
            queued: 0,
            oracle: Oracle::new(docs.len()),
            docs,
            calls: Calls::new(members.len()),
            members,
            lease: LeaseStore::default(),
            commands: Commands::default(),
            clients: Vec::new(),
            conns: Vec::new(),
            sessions: Vec::new(),
            trace: Trace::new(is_verbose),
            coverage: Coverage::default(),
            tally: Tally::default(),
            violation: None,
            is_healing: false,
            has_failed_to_read: false,
            rng,
            plan,
        };
        for member in 0..world.members.len() {
            let span = world.rng.below(200);
            world.after(span, Event::Start(member));
        }
        for _ in 0..world.plan.shape.clients {
            let client = Client::new(&mut world.rng, world.members.len(), world.docs.len());
            world.clients.push(client);
            world.open_client(world.clients.len() - 1);
        }
        for place in 0..world.plan.shape.sessions as usize {
            world.sessions.push(Session::new(place % world.clients.len()));
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
            Event::Feed(member, life, input) if self.members[member].life == life => self.feed(member, input),
            Event::Drain(member, life) if self.members[member].life == life => self.drain(member),
            Event::Tick(member, life) if self.members[member].life == life => self.tick(member),
            Event::Scan(member, life, token, scan) if self.members[member].life == life => {
                self.scan(member, token, &scan);
            }
            Event::Land(member, life) if self.members[member].life == life => self.land(member),
            Event::Feed(..) | Event::Drain(..) | Event::Tick(..) | Event::Scan(..) | Event::Land(..) => {}
            Event::Start(member) => self.start(member),
            Event::Thaw(member) => self.thaw(member),
            Event::DiskWell(member) => self.disk_well(member),
            Event::CallArrives(call, bytes) => self.call_arrives(call, bytes),
            Event::ReplyArrives(call, bytes) => self.call_ends(call, Ok(bytes)),
            Event::CallFails(call, error) => self.call_ends(call, Err(error)),
            Event::Lease(request) => self.lease_request(request),
            Event::ClientFeed(client, life, input) if self.clients[client].life == life => {
                self.feed_client(client, input);
            }
            Event::ClientDrain(client, life) if self.clients[client].life == life => self.drain_client(client),
            Event::ClientTick(client, life) if self.clients[client].life == life => self.tick_client(client),
            Event::ClientScan(client, life, token, scan) if self.clients[client].life == life => {
                self.scan_client(client, token, &scan);
            }
            Event::ClientLand(client, life) if self.clients[client].life == life => self.land_client(client),
            Event::ClientFeed(..)
            | Event::ClientDrain(..)
            | Event::ClientTick(..)
            | Event::ClientScan(..)
            | Event::ClientLand(..) => {}
            Event::ClientDiskWell(client) => self.clients[client].drive.disk.slowness = 1,
            Event::Resume(client) if !self.is_healing => {
                self.feed_client(client, replica::Input::Pause { is_paused: false });
            }
            Event::Resume(_) => {}
            Event::Arrive(conn) => self.arrive(conn),
            Event::Deliver(conn, way, message) => self.deliver(conn, way, message),
            Event::Unstall(conn, way) => self.unstall(conn, way),
            Event::Lost(conn, way) => self.lost(conn, way),
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
}
