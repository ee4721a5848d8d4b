//! A client: a device with one replica, and its host. It decides nothing but to which node it goes.

use super::bug::Bug;
use super::coverage::Moment;
use super::drive::Drive;
use super::oracle::{Written, update_of, writes_of};
use super::session::{Awaited, Waiting};
use super::world::{Event, World};
use crate::bits::Bits;
use crate::clock::Clock;
use crate::rng::Rng;
use headwater_core::batch::Batch;
use headwater_core::replica::{Config, Input, Output, Replica};
use headwater_core::store::{Scan, StoreOp, Table};
use headwater_core::wire::Reader;
use headwater_core::{DocName, Millis, Origin, Part, Stage, Token};
use std::collections::BTreeMap;
use std::rc::Rc;

/// How long a host may leave a machine undrained at most, give or take the drift of its clock.
pub const DRAIN_MS_MAX: u64 = 6;

/// A client.
pub struct Client {
    /// Its storage.
    pub drive: Drive,
    /// Its clocks.
    pub clock: Clock,
    /// The machine under test; none while nobody has opened it.
    pub core: Option<Replica>,
    /// Numbers its openings.
    pub life: u64,
    /// The origin of this opening.
    pub origin: Origin,
    /// What each document shows.
    pub docs: Vec<Bits>,
    /// Which documents may be written to.
    pub loaded: Vec<bool>,
    /// Its connection.
    pub conn: Option<usize>,
    /// The member that it goes to first.
    pub home: usize,
    /// The member that it went to last.
    pub last_member: Option<usize>,
    /// Who waits.
    pub waits: BTreeMap<u64, Waiting>,
    last_wait: u64,
    /// Receipts that are not at their end: the write, and the farthest stage that was told.
    pub receipts: BTreeMap<usize, Stage>,
    tick_at: Option<u64>,
    is_drain_due: bool,
}

impl Client {
    /// A client with an empty disk, somewhere.
    pub fn new(rng: &mut Rng, members: usize, docs: usize) -> Self {
        Self {
            drive: Drive::new(),
            clock: Clock::new(rng.within(1000, 1_000_000), rng.below(300), 0),
            core: None,
            life: 0,
            origin: Origin(0),
            docs: vec![Bits::default(); docs],
            loaded: vec![false; docs],
            conn: None,
            home: rng.below(members as u64) as usize,
            last_member: None,
            waits: BTreeMap::new(),
            last_wait: 0,
            receipts: BTreeMap::new(),
            tick_at: None,
            is_drain_due: false,
        }
    }

    /// The machine of a client that is open.
    pub fn replica(&mut self) -> &mut Replica {
        self.core.as_mut().expect("clients are open but in the instant of their reopening")
    }
}

impl World {
    /// Opens a client, with all documents.
    pub fn open_client(&mut self, place: usize) {
        let (origin, jitter_seed) = (Origin(self.rng.bits()), self.rng.bits());
        let client = &mut self.clients[place];
        client.life += 1;
        client.origin = origin;
        client.core = Some(Replica::new(Config {
            origin,
            has_leader: true,
            is_durable: true,
            jitter_seed,
            shares_storage: false,
            check: |_| Ok(()),
        }));
        client.docs.iter_mut().for_each(|doc| *doc = Bits::default());
        client.loaded.iter_mut().for_each(|is_loaded| *is_loaded = false);
        self.note(|| format!("client {place} opens, origin {origin}"));
        for doc in self.docs.clone() {
            self.feed_client(place, Input::OpenDoc { doc });
        }
        self.drain_client(place);
    }

    /// A client is killed: of what was on its way to its disk, a beginning has landed.
    pub fn kill_client(&mut self, place: usize) {
        self.note(|| format!("client {place} is killed"));
        while self.clients[place].drive.in_flight() > 0 && self.rng.chance(50) {
            self.land_next_of_client(place);
        }
        let client = &mut self.clients[place];
        client.drive.crash();
        client.core = None;
        client.life += 1;
        client.receipts.clear();
        client.waits.clear();
        client.tick_at = None;
        client.is_drain_due = false;
        let origin = client.origin;
        self.leave_conn(place);
        self.sessions_lost(place);
        self.oracle.writes.iter_mut().filter(|one| one.origin == origin).for_each(|one| one.is_killed = true);
    }

    /// A client's monotonic clock.
    pub fn clock_of_client(&self, place: usize) -> Millis {
        Millis(self.clients[place].clock.monotonic(self.now))
    }

    /// Hands an input to a client's machine; it is drained now, or soon.
    pub fn feed_client(&mut self, place: usize, input: Input) {
        let now = self.clock_of_client(place);
        self.clients[place].replica().handle(input, now);
        self.drain_client_soon(place);
    }

    fn drain_client_soon(&mut self, place: usize) {
        if self.rng.chance(75) {
            self.drain_client(place);
        } else if !std::mem::replace(&mut self.clients[place].is_drain_due, true) {
            let span = self.rng.below(DRAIN_MS_MAX);
            self.after(span, Event::ClientDrain(place, self.clients[place].life));
        }
    }

    /// Does everything that a client's machine wants done.
    pub fn drain_client(&mut self, place: usize) {
        self.clients[place].is_drain_due = false;
        let now = self.clock_of_client(place);
        let mut has_changed = false;
        while self.violation.is_none() {
            let Some(output) = self.clients[place].replica().poll(now) else { break };
            has_changed |= matches!(output, Output::Changed);
            self.execute_client(place, output);
        }
        if has_changed {
            self.check_receipts(place);
        }
        let Some(due) = self.clients[place].replica().next_timeout() else { return };
        let at = self.now + due.since(now).0.max(1);
        let client = &mut self.clients[place];
        if client.tick_at.is_none_or(|armed| armed > at) {
            client.tick_at = Some(at);
            let life = client.life;
            self.at(at, Event::ClientTick(place, life));
        }
    }

    /// A client's timer fires.
    pub fn tick_client(&mut self, place: usize) {
        if self.clients[place].tick_at == Some(self.now) {
            self.clients[place].tick_at = None;
            self.feed_client(place, Input::Tick);
            self.drain_client(place);
        }
    }

    fn execute_client(&mut self, place: usize, output: Output) {
        match output {
            Output::Scan { token, scan } => {
                let at = self.now + self.client_disk_delay(place);
                let at = self.clients[place].drive.ask(at);
                self.at(at, Event::ClientScan(place, self.clients[place].life, token, scan));
            }
            Output::Persist { token, ops, .. } => {
                let at = self.now + self.client_disk_delay(place);
                let at = self.clients[place].drive.begin(token, ops, at);
                self.at(at, Event::ClientLand(place, self.clients[place].life));
            }
            Output::Connect { attempt } => self.connect(place, attempt),
            Output::Disconnect => self.leave_conn(place),
            Output::Send { bytes } => self.client_sends(place, bytes),
            Output::Ping => self.client_pings(place),
            Output::Load { doc, updates } => {
                let doc = self.place_of(&doc);
                self.clients[place].loaded[doc] = true;
                self.apply(place, doc, &updates);
            }
            Output::Apply { doc, updates, .. } => {
                let doc = self.place_of(&doc);
                self.apply(place, doc, &updates);
            }
            Output::Rebuild { doc, updates } => {
                let doc = self.place_of(&doc);
                let before = std::mem::take(&mut self.clients[place].docs[doc]);
                self.apply(place, doc, &updates);
                let gone = before.without(&self.clients[place].docs[doc]);
                self.check_taken_back(place, &gone);
            }
            Output::Done { id, result } => self.wait_ended(place, id, result),
            Output::OpenFailed { error } | Output::Unloadable { error, .. } => {
                self.violate("storage", || format!("client {place} cannot read its storage: {error}"));
            }
            Output::Ready | Output::Changed | Output::Progress { .. } | Output::Signalled { .. } => {}
            Output::Damaged(damage) => {
                self.violate("storage", || format!("client {place} finds rows damaged: {damage:?}"));
            }
            Output::TellTabs { .. }
            | Output::Steal
            | Output::WatchTab { .. }
            | Output::SendPeer { .. }
            | Output::ClosePeer { .. }
            | Output::AskPeer { .. } => {
                unreachable!("it has neither tabs nor peers")
            }
        }
    }

    /// A document's place in the world's list.
    pub fn place_of(&self, doc: &DocName) -> usize {
        self.docs.iter().position(|name| name == doc).expect("only these are used")
    }

    fn apply(&mut self, place: usize, doc: usize, updates: &[Rc<[u8]>]) {
        for write in updates.iter().flat_map(|update| writes_of(update)) {
            match write {
                Some(write) => self.clients[place].docs[doc].set(write),
                None => self.violate("documents", || format!("client {place} is given an update that nobody wrote")),
            }
        }
    }

    fn client_disk_delay(&mut self, place: usize) -> u64 {
        let slowness = self.clients[place].drive.disk.slowness;
        self.about(self.plan.shape.disk_ms) * slowness
    }

    /// A client's storage answers a question.
    pub fn scan_client(&mut self, place: usize, token: Token, scan: &Scan) {
        let rows = self.clients[place].drive.disk.scan(scan);
        self.feed_client(place, Input::Scanned { token, rows });
    }

    /// A client's oldest commit lands.
    pub fn land_client(&mut self, place: usize) {
        let Some(token) = self.land_next_of_client(place) else { return };
        let at = self.now + self.rng.below(u64::from(self.plan.shape.disk_ms) + 1);
        let at = self.clients[place].drive.tell(at);
        self.at(at, Event::ClientFeed(place, self.clients[place].life, Input::Persisted { token }));
    }

    fn land_next_of_client(&mut self, place: usize) -> Option<Token> {
        let (token, ops) = self.clients[place].drive.land_next()?;
        self.trace.event(self.now, "store", place as u64, &[ops.len() as u8]);
        for op in &ops {
            if let StoreOp::Put { table: Table::Outbox, value, .. } = op {
                self.stored(value);
            }
        }
        Some(token)
    }

    // An outbox row: a version, a time, and a batch of writes.
    fn stored(&mut self, row: &[u8]) {
        let mut input = Reader::new(row);
        let batch = input.byte().and_then(|_| input.uint()).and_then(|_| Batch::decode(&mut input));
        for write in batch.expect("a replica stores what it can read").writes {
            if let Some(write) = self.oracle.find(write.origin, write.seq) {
                self.oracle.writes[write].is_stored = true;
            }
        }
    }

    /// A session writes at its client; whether it could.
    pub fn write(&mut self, session: usize, docs: Vec<usize>, is_forbidden: bool) -> bool {
        let place = self.sessions[session].client;
        let now = self.now;
        let index = self.oracle.writes.len();
        let update: Rc<[u8]> = update_of(index, is_forbidden).into();
        let client = &mut self.clients[place];
        if client.replica().check_writable().is_err() || docs.iter().any(|doc| !client.loaded[*doc]) {
            return false;
        }
        docs.iter().for_each(|doc| client.docs[*doc].set(index));
        let names = &self.docs;
        let part = |doc: &usize| Part { doc: names[*doc].clone(), update: update.clone() };
        let parts: Vec<Part> = docs.iter().map(part).collect();
        let wall = client.clock.wall(now);
        let seq = client.replica().write(parts, wall);
        let origin = client.origin;
        client.receipts.insert(index, Stage::Applied);
        let deps = self.sessions[session].must();
        self.oracle.wrote(Written {
            origin,
            seq,
            client: place,
            docs,
            deps,
            is_forbidden,
            is_sent: false,
            told: Stage::Applied,
            acked_in: None,
            at_quorum_since: None,
            is_stored: false,
            is_killed: false,
            places: Vec::new(),
        });
        self.oracle.doom_if_built_on_doomed(index);
        self.trace.event(self.now, "write", place as u64, &update);
        self.trace.line(self.now, || format!("session {session}: {}", self.oracle.name(index)));
        self.sessions[session].own.set(index);
        self.save(session);
        self.drain_client_soon(place);
        true
    }

    /// Somebody waits at a client.
    pub fn begin_wait(&mut self, place: usize, what: Awaited, wait: headwater_core::replica::Wait, timeout: u64) {
        let deadline = self.clock_of_client(place).after(Millis(timeout));
        let client = &mut self.clients[place];
        client.last_wait += 1;
        let id = client.last_wait;
        client.waits.insert(id, Waiting { what, deadline });
        self.feed_client(place, Input::Wait { id, wait, timeout: Millis(timeout) });
    }

    /// For a deliberate bug: the stored outbox is without what was sent.
    pub fn trim_outbox(&mut self, place: usize, origin: Origin) {
        if self.has(Bug::OutboxTrimmedEarly) {
            let key = headwater_core::store::origin_key(origin);
            let is_sent = |table, row: &[u8]| table == Table::Outbox && row.starts_with(&key);
            self.clients[place].drive.disk.retain(|table, row| !is_sent(table, row));
        }
    }

    /// Looks at all receipts of a client that are not at their end.
    fn check_receipts(&mut self, place: usize) {
        let receipts: Vec<(usize, Stage)> = self.clients[place].receipts.iter().map(|(w, s)| (*w, *s)).collect();
        for (write, before) in receipts {
            let (origin, seq) = (self.oracle.writes[write].origin, self.oracle.writes[write].seq);
            match self.clients[place].replica().stage(origin, seq) {
                Ok(stage) => self.check_stage(place, write, before, stage),
                Err(error) => {
                    self.clients[place].receipts.remove(&write);
                    self.coverage.saw(Moment::Rejected);
                    self.check_rejected(write, before, &error);
                }
            }
        }
    }
}
