//! A member and its host: runs instances of the node, as the edge worker does, and decides nothing.
//!
//! One instance runs at a time. What a real host leaves to chance is left to the world's randomness: how long a commit
//! takes, whether the machine is drained at once or after further inputs, how much of what was on its way to the disk
//! survives a crash.

use super::bug::Bug;
use super::coverage::Moment;
use super::drive::Drive;
use super::oracle::{check_update, merge};
use super::plan::Shape;
use super::session::Querying;
use super::world::{Event, World};
use crate::clock::Clock;
use crate::disk::{Disk, Trouble};
use crate::rng::Rng;
use headwater_core::group::{GroupConfig, Member as Described, MemberName, Minority, Role, Settings, Topology};
use headwater_core::node::{Config, Input, Node, Output, RoleName, Status};
use headwater_core::store::{Scan, StoreOp, Table, meta_key};
use headwater_core::wire::Reader;
use headwater_core::{Code, ConnId, Epoch, Error, Frontier, Generation, Millis, Token};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How long a host may leave a machine undrained at most.
const DRAIN_MS_MAX: u64 = 4;
/// How long a member that failed stays away.
const RESTART_MS: u64 = 500;

/// A member.
pub struct Member {
    /// How it belongs to the group.
    pub config: GroupConfig,
    /// Its storage.
    pub drive: Drive,
    /// Its clock.
    pub clock: Clock,
    /// The machine under test; none while it is down or asleep.
    pub core: Option<Node>,
    /// Whether it is down, and not only asleep.
    pub is_down: bool,
    /// Numbers its instances.
    pub life: u64,
    /// Until when it stands still.
    pub frozen_until: u64,
    missed: VecDeque<Input>,
    /// Commits, scans and questions to the lease store that it waits for.
    pub asked: u32,
    /// Calls of others that it has not answered.
    pub answering: BTreeSet<u64>,
    /// Its own calls that are not answered.
    pub calling: BTreeMap<u64, u64>,
    /// Queries that it has not answered.
    pub queries: BTreeMap<u64, Querying>,
    /// Whether it goes to sleep as soon as it has nothing to do.
    pub is_sleepy: bool,
    /// Whether it sleeps.
    pub is_asleep: bool,
    /// Until when it does not reach the lease store.
    pub lease_cut_until: u64,
    /// The epoch that it leads, for all that it has said.
    pub leads: Option<Epoch>,
    /// The epoch for which it stands, likewise.
    pub stands: Option<Epoch>,
    /// The highest epoch that it has promised to anybody, before its disk was lost.
    pub has_promised: Epoch,
    /// What its disk holds of the logs.
    pub held: Frontier,
    /// What its disk has ever held, before it was lost.
    pub ever_held: Frontier,
    tick_at: Option<u64>,
    is_drain_due: bool,
}

impl Member {
    /// The members of a group, the voters first.
    pub fn all(shape: &Shape, rng: &mut Rng) -> Vec<Member> {
        let describe = |place: u32| {
            let priority = u64::from(shape.priorities / 10u32.pow(place.min(9)) % 10);
            let role = match place.checked_sub(shape.voters) {
                None => Role::Voter { priority },
                Some(0) => Role::Observer { delay_ms: u64::from(shape.observer_delay_ms), via: None },
                Some(_) => Role::Observer { delay_ms: 0, via: None },
            };
            Described { name: name(place as usize), role, address: format!("sim://{place}").into() }
        };
        let members: Vec<Described> = (0..shape.voters + shape.observers).map(describe).collect();
        let beat = u64::from(shape.beat_ms);
        let settings = Settings {
            beat: Millis(beat),
            timeout: Millis(beat * 4),
            call: Millis(beat * 4),
            election_span: Millis(beat * 8),
            lag_entries_max: u64::from(shape.lag_max),
            lag_alarm_entries: 10,
            minority: [Minority::Writable, Minority::ReadOnly, Minority::Offline][shape.minority as usize % 3],
            topology: if shape.multi == 2 { Topology::MultiLeader } else { Topology::SingleLeader },
        };
        let quorum = shape.quorum as usize;
        let make = |described: &Described| {
            let config =
                GroupConfig { me: described.name.clone(), members: members.clone(), quorum, settings, jitter_seed: 0 };
            Member::new(config, Clock::new(rng.within(1_000, 1_000_000), rng.below(300), 0))
        };
        members.iter().map(make).collect()
    }

    fn new(config: GroupConfig, clock: Clock) -> Self {
        Self {
            config,
            drive: Drive::new(),
            clock,
            core: None,
            is_down: true,
            life: 0,
            frozen_until: 0,
            missed: VecDeque::new(),
            asked: 0,
            answering: BTreeSet::new(),
            calling: BTreeMap::new(),
            queries: BTreeMap::new(),
            is_sleepy: false,
            is_asleep: false,
            lease_cut_until: 0,
            leads: None,
            stands: None,
            has_promised: Epoch(0),
            held: Frontier::default(),
            ever_held: Frontier::default(),
            tick_at: None,
            is_drain_due: false,
        }
    }

    /// Its name.
    pub fn name(&self) -> &MemberName {
        &self.config.me
    }

    /// Whether it counts for the quorum.
    pub fn is_voter(&self) -> bool {
        self.config.members.iter().any(|member| member.name == self.config.me && member.is_voter())
    }
}

fn name(place: usize) -> MemberName {
    MemberName::new(&format!("m{place}")).expect("it is plain")
}

impl World {
    /// The member of that name.
    pub fn member_named(&self, name: &MemberName) -> usize {
        self.members.iter().position(|member| member.name() == name).expect("groups here do not change")
    }

    /// Whether a member's instance runs and does not stand still.
    pub fn is_running(&self, member: usize) -> bool {
        self.members[member].core.is_some() && self.members[member].frozen_until <= self.now
    }

    /// A member that was down is up: it runs as soon as somebody wants something of it, and now.
    pub fn start(&mut self, member: usize) {
        self.members[member].is_down = false;
        self.wake(member);
    }

    /// An instance runs from here on, if the member is not down. Connections of the one before it are handed over.
    pub fn wake(&mut self, member: usize) {
        if self.members[member].is_down || self.members[member].core.is_some() {
            return;
        }
        self.note(|| format!("m{member} starts"));
        if std::mem::take(&mut self.members[member].is_asleep) {
            self.coverage.saw(Moment::Woken);
        }
        let fresh_generation = Generation(self.rng.bits() | 1);
        let jitter_seed = self.rng.bits();
        let state = &mut self.members[member];
        let group = Some(GroupConfig { jitter_seed, ..state.config.clone() });
        let retention = crate::retention::of(self.plan.seed);
        state.life += 1;
        state.core = Some(Node::new(Config { fresh_generation, check: check_update, group, merge, retention }));
        self.restore_conns(member);
        self.drain(member);
    }

    /// A member is killed: memory is lost, the disk kept. Of what was on its way there, a beginning has landed.
    pub fn kill(&mut self, member: usize, span: u64) {
        if self.members[member].is_down {
            return;
        }
        self.note(|| format!("m{member} is killed"));
        self.instance_is_gone(member);
        self.members[member].is_down = true;
        self.after(span, Event::Start(member));
    }

    fn instance_is_gone(&mut self, member: usize) {
        while self.members[member].drive.in_flight() > 0 && self.rng.chance(50) {
            self.coverage.saw(Moment::CommitLanded);
            self.land_next(member);
        }
        let state = &mut self.members[member];
        if state.drive.in_flight() > 0 {
            self.coverage.saw(Moment::CommitLost);
        }
        state.drive.crash();
        state.core = None;
        state.is_asleep = false;
        state.life += 1;
        state.frozen_until = 0;
        state.missed.clear();
        state.asked = 0;
        state.answering.clear();
        state.calling.clear();
        state.leads = None;
        state.stands = None;
        state.is_sleepy = false;
        state.tick_at = None;
        state.is_drain_due = false;
        self.queries_lost(member);
        self.conns_of_dead(member);
        self.bug_at_restart(member);
    }

    /// A member's disk is gone, and with it the instance that knew what was on it.
    pub fn lose_disk(&mut self, member: usize, span: u64) {
        self.kill(member, span);
        self.note(|| format!("m{member} has lost its disk"));
        let facts = self.bug_keeps_facts(member);
        self.members[member].drive.disk = Disk::new();
        self.members[member].drive.disk.land(&facts);
        self.members[member].held = Frontier::default();
        self.members[member].has_promised = Epoch(0);
        self.oracle.is_disk_lost = true;
    }

    /// A member stands still: nothing is handled, and commits are not heard of.
    pub fn freeze(&mut self, member: usize, span: u64) {
        self.members[member].frozen_until = self.now + span;
        self.after(span, Event::Thaw(member));
    }

    /// It goes on, with everything that it missed, unless it was frozen again meanwhile.
    pub fn thaw(&mut self, member: usize) {
        if self.members[member].frozen_until > self.now {
            return;
        }
        let missed = std::mem::take(&mut self.members[member].missed);
        missed.into_iter().for_each(|input| self.feed(member, input));
        self.feed(member, Input::Tick);
        self.drain(member);
    }

    /// A member's clock; it never leaves the machine.
    pub fn clock_of(&self, member: usize) -> Millis {
        Millis(self.members[member].clock.monotonic(self.now))
    }

    /// Hands an input to a member's instance, if one runs.
    pub fn feed(&mut self, member: usize, input: Input) {
        let (now, clock) = (self.now, self.clock_of(member));
        let state = &mut self.members[member];
        let Some(core) = &mut state.core else { return };
        if state.frozen_until > now {
            return state.missed.push_back(input);
        }
        let is_answer = matches!(
            input,
            Input::Scanned { .. } | Input::Persisted { .. } | Input::Record { .. } | Input::Swapped { .. }
        );
        if is_answer {
            state.asked -= 1;
        }
        core.handle(input, clock);
        if self.rng.chance(75) {
            self.drain(member);
        } else if !std::mem::replace(&mut self.members[member].is_drain_due, true) {
            let span = self.rng.below(DRAIN_MS_MAX);
            self.after(span, Event::Drain(member, self.members[member].life));
        }
    }

    /// Does everything that an instance wants done.
    pub fn drain(&mut self, member: usize) {
        self.members[member].is_drain_due = false;
        let life = self.members[member].life;
        while self.violation.is_none() && self.is_running(member) && self.members[member].life == life {
            let Some(output) = self.members[member].core.as_mut().and_then(Node::poll) else { break };
            self.execute(member, output);
        }
        if !self.is_running(member) || self.members[member].life != life {
            return;
        }
        self.check_role(member);
        self.arm(member);
        self.sleep_if_idle(member);
    }

    fn arm(&mut self, member: usize) {
        let clock = self.clock_of(member);
        let state = &mut self.members[member];
        let Some(due) = state.core.as_ref().and_then(Node::next_timeout) else { return };
        let at = self.now + due.since(clock).0.max(1);
        if state.tick_at.is_none_or(|armed| armed > at) {
            state.tick_at = Some(at);
            let life = state.life;
            self.at(at, Event::Tick(member, life));
        }
    }

    /// A member's timer fires.
    pub fn tick(&mut self, member: usize) {
        if self.members[member].tick_at == Some(self.now) {
            self.members[member].tick_at = None;
            self.feed(member, Input::Tick);
        }
    }

    fn sleep_if_idle(&mut self, member: usize) {
        let state = &self.members[member];
        if !state.is_sleepy {
            return;
        }
        let Some(core) = &state.core else { return };
        // A host that has a timer, or waits for anything, is kept awake by its platform.
        let is_busy = state.asked > 0
            || state.is_drain_due
            || !state.answering.is_empty()
            || !state.calling.is_empty()
            || !state.queries.is_empty()
            || self.commands.is_waiting_for(member)
            || core.next_timeout().is_some();
        if is_busy || !core.status().is_loaded || core.status().failure.is_some() {
            return;
        }
        self.note(|| format!("m{member} hibernates"));
        self.coverage.saw(Moment::Hibernated);
        let state = &mut self.members[member];
        state.is_sleepy = false;
        state.is_asleep = true;
        state.core = None;
        state.life += 1;
        state.leads = None;
        state.tick_at = None;
    }

    fn execute(&mut self, member: usize, output: Output) {
        match output {
            Output::Send { conn, bytes } => self.member_sends(member, (conn.0 - 1) as usize, bytes),
            Output::Close { conn, error } => self.member_closes(member, (conn.0 - 1) as usize, &error),
            Output::Attach { conn: ConnId(conn), state } => self.conns[(conn - 1) as usize].attachment = state,
            Output::Persist { token, ops } => self.persist(member, token, ops),
            Output::Scan { token, scan } => {
                self.members[member].asked += 1;
                let at = self.now + self.disk_delay(member);
                let at = self.members[member].drive.ask(at);
                self.at(at, Event::Scan(member, self.members[member].life, token, scan));
            }
            Output::Content { query, updates } => self.query_content(member, query, &updates),
            Output::Answer { query, result } => self.query_answered(member, query, result),
            Output::Docs { .. } => unreachable!("nobody asks which documents there are"),
            Output::Failed { error } => {
                self.note(|| format!("m{member} fails: {error}"));
                if error.code == Code::Corrupt {
                    self.violate("storage", || format!("m{member} cannot read its storage: {error}"));
                }
                self.instance_is_gone(member);
                self.members[member].is_down = true;
                self.after(RESTART_MS, Event::Start(member));
            }
            Output::Call { call, to, bytes, timeout, .. } => {
                let to = self.member_named(&to);
                self.call(member, call, to, bytes, timeout.0);
            }
            Output::Reply { call, bytes } => self.reply(member, call, bytes),
            Output::ReadRecord { token } => self.read_record(member, token),
            Output::SwapRecord { token, expected, text } => self.swap_record(member, token, expected, text),
            Output::AdminDone { id, result } => self.command_done(member, id, result),
            Output::Event(event) => self.heard(member, event),
        }
    }

    fn disk_delay(&mut self, member: usize) -> u64 {
        let slowness = self.members[member].drive.disk.slowness;
        self.about(self.plan.shape.disk_ms) * slowness
    }

    /// A member's storage answers a question.
    pub fn scan(&mut self, member: usize, token: Token, scan: &Scan) {
        let rows = self.members[member].drive.disk.scan(scan);
        self.feed(member, Input::Scanned { token, rows });
    }

    fn persist(&mut self, member: usize, token: Token, ops: Vec<StoreOp>) {
        let at = self.now + self.disk_delay(member);
        let life = self.members[member].life;
        if self.members[member].drive.has_failed {
            return;
        }
        self.members[member].asked += 1;
        match std::mem::take(&mut self.members[member].drive.disk.trouble) {
            Trouble::None => {}
            trouble => {
                self.coverage.saw(Moment::CommitFailed);
                // It may be there all the same, behind everything that was on its way before.
                while self.members[member].drive.in_flight() > 0 {
                    self.land_next(member);
                }
                if trouble == Trouble::FailNextStored {
                    self.members[member].drive.begin(token, ops, at);
                    self.land_next(member);
                }
                self.members[member].drive.has_failed = true;
                let error = Error::new(Code::StorageUnavailable, "the simulated storage failed");
                return self.at(at, Event::Feed(member, life, Input::StorageFailed { error }));
            }
        }
        if self.has(Bug::AckBeforeCommit) {
            self.after(0, Event::Feed(member, life, Input::Persisted { token }));
        }
        if self.trace.is_verbose() {
            let text = super::timeline::ops(&ops);
            self.note(|| format!("m{member} commits {text}"));
        }
        let at = self.members[member].drive.begin(token, ops, at);
        self.at(at, Event::Land(member, life));
    }

    /// A member's oldest commit lands, and is told to be there a moment later.
    pub fn land(&mut self, member: usize) {
        let Some(token) = self.land_next(member) else { return };
        if !self.has(Bug::AckBeforeCommit) {
            let at = self.now + self.rng.below(u64::from(self.plan.shape.disk_ms) + 1);
            let at = self.members[member].drive.tell(at);
            self.at(at, Event::Feed(member, self.members[member].life, Input::Persisted { token }));
        }
    }

    fn land_next(&mut self, member: usize) -> Option<Token> {
        let (token, ops) = self.members[member].drive.land_next()?;
        self.trace.event(self.now, "land", member as u64, &[ops.len() as u8]);
        self.check_landed(member, &ops);
        Some(token)
    }

    /// A member's disk is as it should be again.
    pub fn disk_well(&mut self, member: usize) {
        let disk = &mut self.members[member].drive.disk;
        disk.trouble = Trouble::None;
        disk.slowness = 1;
    }

    /// What a member's instance says of itself.
    pub fn status_of(&self, member: usize) -> Option<Status> {
        self.members[member].core.as_ref().map(Node::status)
    }

    /// The facts on a member's disk: what it promised, the newest epoch that it led, and whether its promises count.
    pub fn facts_of(&self, member: usize) -> Option<[u64; 3]> {
        let key = meta_key("member");
        let mut rows = self.members[member].drive.disk.table(Table::Meta);
        let mut row = Reader::new(rows.find(|(name, _)| *name == key)?.1);
        Some([row.uint().ok()?, row.uint().ok()?, row.uint().ok()?])
    }

    /// Who leads, for all that members say of themselves.
    pub fn leaders(&self) -> Vec<usize> {
        let leads = |place: &usize| {
            self.status_of(*place).and_then(|status| status.group).is_some_and(|group| group.role == RoleName::Leader)
        };
        (0..self.members.len()).filter(leads).collect()
    }
}
