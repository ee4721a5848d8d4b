//! A node as a member of a group: `docs/group.md` says what it does and why.
//!
//! - `peer` streams the log to other members and counts who holds what;
//! - `follow` takes rows in, promises epochs, and answers the other members;
//! - `forward` passes a replica's writes and questions on to the leader;
//! - `detect` misses a leader, `elect` replaces it;
//! - `lead` begins and ends a tenure, `hand_over` ends it on an operator's word;
//! - `multi` is what is different where several lead, `topology` changes between one and several;
//! - `lease` reads and swaps the coordinator's record.

mod calls;
mod copy;
pub(super) mod cuts;
mod detect;
mod elect;
mod follow;
mod forward;
mod hand_over;
mod lead;
mod lease;
pub mod message;
mod multi;
mod peer;
mod status;
mod topology;

use super::io::{Admin, Event};
use super::{Node, Output};
use crate::backoff::Backoff;
use crate::error::{Code, Error};
use crate::frame::{Extensions, Served};
use crate::frontier::Frontier;
use crate::group::concern::Progress;
use crate::group::{Concern, GroupConfig, Member, MemberName, Minority, Record, Role as MemberRole, Settings};
use crate::ids::{Epoch, Lsn, Millis, Token};
use crate::sorted::Map;
use crate::store::StoreOp;
use calls::Pending;
pub(super) use copy::COPYING;
use cuts::Cuts;
use detect::Asking;
use elect::Candidate;
use follow::Storing;
use forward::Forwarding;
use hand_over::Handing;
use lease::Lease;
pub(super) use peer::Growth;
use peer::Peer;
use std::collections::VecDeque;

/// What the member is for the group at present.
enum Role {
    /// It takes rows from a leader, or looks for one.
    Following {
        /// Who leads, if it is known.
        leader: Option<MemberName>,
        /// When to miss it; never, while it has nothing to show itself for.
        deadline: Option<Millis>,
    },
    /// It seals the earlier epochs.
    Candidate(Candidate),
    /// It takes writes.
    Leading(Leading),
}

/// A tenure.
#[derive(Default)]
struct Leading {
    /// Whether that it leads is durable.
    is_stored: bool,
    /// Whether the others have been asked since it began or woke: before that nothing is appended.
    is_checked: bool,
    /// A question to the voters whether it still leads: the round that answers it, and since when it is open.
    check: Option<(u64, Millis)>,
    /// A handover under way.
    handing: Option<Handing>,
    /// Where several lead: the epoch that they all began with, in whose name their calls are made.
    since: Option<Epoch>,
}

/// What the leader has told a follower.
#[derive(Default)]
struct Told {
    /// Whether several lead.
    is_multi: bool,
    /// What each of them held when it was heard first.
    firsts: Map<MemberName, Frontier>,
    instance: u64,
    stable: Frontier,
    all: Frontier,
    progress: Vec<Progress>,
    /// What the leader held when it was heard first: with that, new storage has what it may have forgotten.
    at_first: Option<Frontier>,
    /// When a leader that hears a quorum was last heard.
    heard: Option<Millis>,
    /// When the last answer went out: what came after it is not older than this.
    answered: Option<Millis>,
    /// The same for what was told last.
    as_of: Option<Millis>,
}

/// The state of a member.
pub(super) struct Group {
    config: GroupConfig,
    pub(super) members: Vec<Member>,
    pub(super) quorum: usize,
    record: Option<Record>,
    role: Role,
    /// Nothing below this epoch is taken in.
    promised: Epoch,
    /// The newest epoch that it has heard of.
    known: Epoch,
    /// The newest epoch that it has led.
    led: Epoch,
    /// The epoch and the leader that enough others miss as well, and that have not been heard since.
    missed: Option<(Epoch, Option<MemberName>)>,
    /// Whether its promises count: storage that is new has to hold what a quorum holds first.
    is_joined: bool,
    /// What a quorum holds, as far as is known here, and what every voter holds.
    stable: Frontier,
    all: Frontier,
    told: Told,
    peers: Map<MemberName, Peer>,
    calls: Map<u64, Pending>,
    next_call: u64,
    storing: Map<Token, Storing>,
    round: u64,
    asking: Option<Asking>,
    lease: Lease,
    forwarding: Forwarding,
    /// Where several lead: what was shown somewhere, and is held here.
    cuts: Cuts,
    /// What an observer holds back: since when it has had what.
    delayed: VecDeque<(Millis, Frontier)>,
    shown_late: Frontier,
    /// When the epoch last changed, as far as was seen here.
    epoch_since: Option<Millis>,
    is_isolated: bool,
    /// The epoch that this storage has asked the record for, because it lost what led before.
    asked_epoch: Option<Epoch>,
    jitter: Backoff,
    now: Millis,
    merged_entries: u64,
    elections: u64,
    /// Who sends a copy, and when its last part came.
    copied_from: Option<(MemberName, Millis)>,
}

impl Group {
    pub(super) fn new(config: GroupConfig) -> Self {
        Self {
            members: config.members.clone(),
            quorum: config.quorum,
            record: None,
            role: Role::Following { leader: None, deadline: None },
            promised: Epoch(0),
            known: Epoch(0),
            led: Epoch(0),
            missed: None,
            is_joined: false,
            stable: Frontier::default(),
            all: Frontier::default(),
            told: Told::default(),
            peers: Map::default(),
            calls: Map::default(),
            next_call: 0,
            storing: Map::default(),
            round: 0,
            asking: None,
            lease: Lease::default(),
            forwarding: Forwarding::default(),
            cuts: Cuts::default(),
            delayed: VecDeque::new(),
            shown_late: Frontier::default(),
            epoch_since: None,
            is_isolated: false,
            asked_epoch: None,
            jitter: Backoff::new(config.jitter_seed),
            now: Millis(0),
            merged_entries: 0,
            elections: 0,
            copied_from: None,
            config,
        }
    }

    /// What storage knows of earlier starts.
    pub(super) fn load(&mut self, promised: Epoch, led: Epoch, is_joined: bool, shown: &Frontier) {
        (self.promised, self.led, self.is_joined) = (promised, led, is_joined);
        self.known = promised.max(led);
        // What is kept as shown, a quorum held.
        self.stable.join(shown);
        self.shown_late.join(shown);
    }

    /// What was shown of several leaders' logs before the start.
    pub(super) fn load_cut(&mut self, cut: &Frontier) {
        self.cuts.shown(cut);
    }

    /// The record as it was known before the start.
    pub(super) fn load_record(&mut self, record: Record) {
        self.members = self.with_own_addresses(&record.members);
        self.quorum = record.quorum;
        self.known = record.epoch.max(self.known);
        self.record = Some(record);
    }

    pub(super) fn set_now(&mut self, now: Millis) {
        self.now = now;
    }

    pub(super) fn now(&self) -> Millis {
        self.now
    }

    fn me(&self) -> &MemberName {
        &self.config.me
    }

    fn settings(&self) -> Settings {
        self.config.settings
    }

    fn member(&self, name: &MemberName) -> Option<&Member> {
        self.members.iter().find(|member| member.name == *name)
    }

    // Where the others are, this member's own configuration says for those that it names: networks have more than one side.
    fn with_own_addresses(&self, members: &[Member]) -> Vec<Member> {
        let own = |name: &MemberName| self.config.members.iter().find(|member| member.name == *name);
        let with_own = |member: &Member| match own(&member.name) {
            Some(known) => Member { address: known.address.clone(), ..member.clone() },
            None => member.clone(),
        };
        members.iter().map(with_own).collect()
    }

    fn is_voter(&self) -> bool {
        self.member(self.me()).is_some_and(Member::is_voter)
    }

    fn voters(&self) -> impl Iterator<Item = &MemberName> {
        self.members.iter().filter(|member| member.is_voter()).map(|member| &member.name)
    }

    /// How many voters have one of every quorum among them.
    fn promises_needed(&self) -> usize {
        self.voters().count().saturating_sub(self.quorum) + 1
    }

    fn leading(&mut self) -> Option<&mut Leading> {
        match &mut self.role {
            Role::Leading(leading) => Some(leading),
            _ => None,
        }
    }

    fn is_leading(&self) -> bool {
        matches!(self.role, Role::Leading(_))
    }

    fn candidate(&mut self) -> Option<&mut Candidate> {
        match &mut self.role {
            Role::Candidate(candidate) => Some(candidate),
            _ => None,
        }
    }

    fn leader(&self) -> Option<&MemberName> {
        match &self.role {
            Role::Leading(_) => Some(self.me()),
            Role::Following { leader, .. } => leader.as_ref(),
            Role::Candidate(_) => None,
        }
    }

    /// How long an observer holds back what it has received.
    fn delay(&self) -> Option<Millis> {
        match self.member(self.me())?.role {
            MemberRole::Observer { delay_ms, .. } if delay_ms > 0 => Some(Millis(delay_ms)),
            _ => None,
        }
    }

    /// The error for whoever asks this member what only a leader can do.
    fn not_leader(&self) -> Error {
        let message = match self.leader().filter(|leader| *leader != self.me()).and_then(|name| self.member(name)) {
            Some(leader) => format!("{} does not lead; {} at {} does", self.me(), leader.name, leader.address),
            None => format!("{} does not lead, and nobody is known to; ask again in a moment", self.me()),
        };
        Error::new(Code::NotLeader, message)
    }
}

impl Node {
    fn g(&mut self) -> &mut Group {
        self.group.as_mut().expect("only members of a group get here")
    }

    fn g_ref(&self) -> &Group {
        self.group.as_ref().expect("only members of a group get here")
    }

    /// Whether the node takes writes: alone, or as the group's leader.
    pub(super) fn is_leading(&self) -> bool {
        self.group.as_ref().is_none_or(Group::is_leading)
    }

    /// Whether what has gathered may be committed.
    pub(super) fn takes_writes(&self) -> bool {
        let Some(group) = &self.group else { return true };
        let Role::Leading(leading) = &group.role else { return false };
        let is_held_up = group.is_isolated && group.settings().minority != Minority::Writable;
        let lag_max = group.settings().lag_entries_max;
        let lag = self.log.end().0 - group.stable.lsn(self.log.epoch).0;
        let is_in_step = lag_max == 0 || lag < lag_max;
        leading.is_stored && leading.is_checked && leading.handing.is_none() && !is_held_up && is_in_step
    }

    /// What a quorum holds.
    pub(super) fn stable(&self) -> &Frontier {
        self.group.as_ref().map_or(&self.log.held, |group| &group.stable)
    }

    /// What a quorum holds and its writers may be told of. They are told how far the stream has come with it, so it has to
    /// have come that far; but for a member that holds back, and whose clients are not kept waiting for their own writes.
    pub(super) fn quorum_to_tell(&self) -> Frontier {
        if self.is_late() { self.stable().clone() } else { self.stable().meet(&self.visible) }
    }

    /// Whether this member shows later what it holds.
    pub(super) fn is_late(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.delay().is_some())
    }

    /// What clients may be shown.
    pub(super) fn showable(&self) -> Frontier {
        match &self.group {
            None => self.log.held.clone(),
            Some(group) if group.delay().is_none() && group.is_multi() => self.showable_of_several(),
            Some(group) if group.delay().is_some() => group.shown_late.clone(),
            Some(group) => group.stable.meet(&self.log.held),
        }
    }

    /// What every voter holds.
    pub(super) fn held_by_all(&self) -> Frontier {
        self.group.as_ref().map_or_else(|| self.log.held.clone(), |group| group.all.clone())
    }

    /// Refuses a concern that can never be met here.
    pub(super) fn check_concern(&self, concern: &Concern) -> Result<(), Error> {
        match (&self.group, concern) {
            (Some(group), concern) => concern.check(&group.members),
            (None, Concern::Leader | Concern::Quorum | Concern::All | Concern::Count(1)) => Ok(()),
            (None, _) => {
                Err(Error::malformed("this database is led by one node alone; no other member can hold a write"))
            }
        }
    }

    /// How far a log is held as the concern asks for, as far as is known here.
    pub(super) fn reached(&self, concern: &Concern, epoch: Epoch) -> Lsn {
        let Some(group) = &self.group else { return self.log.held.lsn(epoch) };
        let (stable, all) = (group.stable.lsn(epoch), group.all.lsn(epoch));
        match (concern, group.leader()) {
            (Concern::Leader, _) => self.held_by_leader().lsn(epoch),
            (Concern::Quorum, _) => stable,
            (Concern::All, _) => all,
            (concern, Some(leader)) if epoch == self.log.epoch || group.is_leading() => {
                concern.reached(&group.members, group.quorum, leader, &self.member_progress(epoch))
            }
            // Of an earlier epoch it is known what a quorum holds, and what all voters do.
            (Concern::Count(n), _) if *n <= group.quorum => stable,
            (Concern::Count(n), _) if *n <= group.voters().count() => all,
            (Concern::Any { names, .. } | Concern::First { names, .. }, _)
                if names.iter().all(|name| group.voters().any(|voter| voter == name)) =>
            {
                all
            }
            _ => Lsn(0),
        }
    }

    /// What may be acknowledged as the leader's: of a leader that may have been replaced meanwhile, nothing.
    pub(super) fn held_by_leader(&self) -> Frontier {
        match &self.group {
            // Whoever else leads, this log is this member's own, and its tail is handed in even if the epoch is over.
            Some(group) if group.is_multi() => self.log.held.clone(),
            Some(group) if group.is_leading() && !group.is_sure_to_lead() => Frontier::default(),
            // Entries of an old epoch that no quorum holds may stand nowhere else: whoever sends them again is heard anew.
            Some(group) => {
                let mut held = group.stable.meet(&self.log.held);
                held.advance_epoch(self.log.epoch, self.log.end());
                held
            }
            None => self.log.held.clone(),
        }
    }

    /// Whether a replica that holds this much more than the node is a sign that the node's storage went back in time: a
    /// follower may simply be behind, and a forced promotion may have lost what somebody has seen.
    pub(super) fn is_doubtful(&self, frontier: &Frontier) -> bool {
        let record = self.group.as_ref().and_then(|group| group.record.as_ref());
        match &self.group {
            // Where several lead, the others are never known to have nothing more.
            Some(group) if !group.is_leading() || group.is_multi() => return false,
            _ => {}
        }
        let lost: &[_] = record.map_or(&[], |record| &record.losses);
        let is_missing = |(epoch, lsn): (Epoch, Lsn)| match record {
            // Of an earlier epoch, what is beyond its sealed length is a tail: one of several leaders has shown it to its
            // clients, and comes back with it.
            Some(record) if epoch < self.log.epoch => self.log.held.lsn(epoch) < lsn.min(record.sealed.lsn(epoch)),
            _ => self.log.held.lsn(epoch) < lsn,
        };
        frontier.epochs().filter(|at| is_missing(*at)).any(|(epoch, _)| lost.iter().all(|loss| loss.epoch != epoch))
    }

    /// How many voters there are.
    pub(super) fn voters(&self) -> u64 {
        self.group.as_ref().map_or(1, |group| group.voters().count() as u64)
    }

    /// Numbers a round of the quorum.
    pub(super) fn next_round(&mut self) -> u64 {
        self.group.as_mut().map_or(0, |group| {
            group.round += 1;
            group.round
        })
    }

    /// Storage has been read: the member goes on where it was, or finds out where the group is.
    pub(super) fn begin_group(&mut self, now: Millis) {
        if self.group.is_none() {
            return;
        }
        self.g().now = now;
        self.adopt_members();
        let group = self.g_ref();
        let own = group.own_multi_epoch();
        // Without the record nobody knows whom a quorum is made of.
        if let Some((since, epoch)) = own.filter(|(_, epoch)| group.led == *epoch) {
            self.begin_tenure(epoch, Some(since));
            self.g().leading().expect("a tenure has begun").is_stored = true;
        } else if group.led > Epoch(0) && group.led == group.promised && group.record.is_some() {
            let epoch = group.led;
            self.begin_tenure(epoch, None);
            self.g().leading().expect("a tenure has begun").is_stored = true;
        } else {
            self.follow(None);
        }
        self.read_record(lease::Reading::Look);
    }

    /// A client connected to a member.
    pub(super) fn client_came(&mut self) {
        if self.group.is_some() {
            self.want_beats();
            self.advance_group();
        }
    }

    /// What a replica is told of the member that it is connected to: its role, and its name.
    pub(super) fn welcome_extensions(&self) -> Extensions {
        let served =
            self.group.as_ref().map(|group| Served { role: Some(group.role.name()), member: Some(group.me().clone()) });
        served.unwrap_or_default().to_extensions()
    }

    /// Why no client is served now, if so.
    pub(super) fn turns_away(&self) -> Option<Error> {
        let group = self.group.as_ref()?;
        if self.generation.0 == 0 {
            return Some(Error::new(Code::Busy, "the group is being formed; try again in a moment"));
        }
        if self.compactor.is_copying {
            return Some(Error::new(Code::Busy, "this member was away for long, and is getting a copy; try another"));
        }
        let is_offline = group.is_isolated && group.settings().minority == Minority::Offline;
        is_offline
            .then(|| Error::new(Code::NotLeader, format!("{} reaches too few of its group; try another", group.me())))
    }

    /// Whatever the group can go on with.
    pub(super) fn advance_group(&mut self) {
        if self.group.is_none() {
            return;
        }
        self.confirm_rounds();
        self.check_lead();
        self.advance_multi();
        self.advance_candidate();
        self.advance_handing();
        self.feed_all();
        self.pass_on();
        self.extend_record();
    }

    pub(super) fn group_tick(&mut self) {
        if self.group.is_none() {
            return;
        }
        self.release_delayed();
        self.detect_tick();
        self.candidate_tick();
        self.handing_tick();
        self.topology_tick();
        self.lease_tick();
        self.progress();
    }

    /// When the group wants a tick.
    pub(super) fn group_timeout(&self) -> Option<Millis> {
        let group = self.group.as_ref()?;
        let role = match &group.role {
            Role::Following { deadline, .. } => *deadline,
            Role::Candidate(candidate) => Some(candidate.until),
            Role::Leading(leading) => leading.handing.as_ref().map(|handing| handing.until),
        };
        let delayed = group.delayed.front().zip(group.delay()).map(|((since, _), delay)| since.after(delay));
        let due = [
            role,
            delayed,
            group.lease.retry_at,
            group.lease.look_at,
            group.lease.routine_at,
            group.forwarding.retry_at,
            group.lease.changing.as_ref().map(|changing| changing.until),
            self.next_feed(),
        ];
        due.into_iter().flatten().min()
    }

    pub(super) fn admin(&mut self, id: u64, command: Admin) {
        if self.group.is_none() {
            let error = Error::malformed("this database is led by one node alone; there is nobody to hand over to");
            return self.outputs.push_back(Output::AdminDone { id, result: Err(error) });
        }
        match command {
            Admin::Switchover { to, timeout } => self.switch_over(id, to, timeout),
            Admin::Promote { unix_ms, accept_data_loss } => self.promote(id, unix_ms, accept_data_loss),
            Admin::Topology { to, timeout } => self.change_topology(id, to, timeout),
        }
        self.advance_group();
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn store(&mut self, ops: Vec<StoreOp>, storing: Storing) {
        let token = self.token();
        self.g().storing.insert(token, storing);
        self.outputs.push_back(Output::Persist { token, ops });
    }

    // The change that keeps what this member has promised.
    fn promise_row(&self) -> StoreOp {
        let group = self.g_ref();
        self.member_row(group.promised, group.led, group.is_joined)
    }

    // How far this member holds the epoch.
    fn held(&self, epoch: Epoch) -> Lsn {
        self.log.held.lsn(epoch)
    }
}
