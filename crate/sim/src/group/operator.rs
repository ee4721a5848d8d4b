//! Operators: what they ask of members, how it ends, and what members tell them.

use super::coverage::Moment;
use super::world::World;
use headwater_core::node::{Admin, Done, Event, Input, RoleName};
use headwater_core::{Error, Millis};
use std::collections::BTreeMap;

/// How much longer than its timeout a command may take: once the swap is asked for, only the lease store tells.
const GRACE_MS: u64 = 60_000;

/// Commands under way.
#[derive(Debug, Default)]
pub struct Commands {
    waiting: BTreeMap<u64, Command>,
    last: u64,
    /// Numbers queries.
    pub last_query: u64,
}

#[derive(Debug)]
struct Command {
    member: usize,
    life: u64,
    is_switchover: bool,
    is_topology: bool,
    deadline: u64,
}

impl Commands {
    /// Whether a member has one to do.
    pub fn is_waiting_for(&self, member: usize) -> bool {
        self.waiting.values().any(|command| command.member == member)
    }

    /// Whether a member has been asked to hand over.
    pub fn is_handing_over(&self, member: usize) -> bool {
        self.waiting.values().any(|command| command.member == member && command.is_switchover)
    }
}

impl World {
    /// An operator asks a member for something.
    pub fn command(&mut self, member: usize, command: Admin) {
        self.wake(member);
        if !self.is_running(member) {
            return;
        }
        self.commands.last += 1;
        let id = self.commands.last;
        self.note(|| format!("m{member} is asked for {command:?}"));
        let (is_switchover, timeout) = match &command {
            Admin::Switchover { timeout, .. } => (true, timeout.0),
            Admin::Promote { .. } => (false, 60_000),
            Admin::Topology { timeout, .. } => (false, timeout.0),
        };
        let is_topology = matches!(command, Admin::Topology { .. });
        let life = self.members[member].life;
        let deadline = self.now + timeout + GRACE_MS;
        self.commands.waiting.insert(id, Command { member, life, is_switchover, is_topology, deadline });
        self.feed(member, Input::Admin { id, command });
    }

    /// A command has ended.
    pub fn command_done(&mut self, member: usize, id: u64, result: Result<Done, Error>) {
        self.note(|| format!("m{member}: command {id} ends: {result:?}"));
        let Some(Command { is_switchover, is_topology, .. }) = self.commands.waiting.remove(&id) else {
            return self.violate("waits", || format!("m{member} ends command {id} twice"));
        };
        match (result, is_switchover) {
            (Ok(_), _) if is_topology => self.coverage.saw(Moment::TopologyChanged),
            (Err(_), _) if is_topology => self.coverage.saw(Moment::TopologyKept),
            (Ok(done), _) => {
                if self.oracle.leaders.get(&done.epoch) != Some(&done.leader) {
                    let Done { epoch, leader, .. } = &done;
                    self.violate("epochs", || format!("a command made {leader} lead epoch {epoch}, says m{member}"));
                }
                self.coverage.saw(if is_switchover { Moment::SwitchedOver } else { Moment::Promoted });
            }
            (Err(_), true) => self.coverage.saw(Moment::SwitchoverFailed),
            (Err(_), false) => {}
        }
    }

    /// Commands whose member died are nobody's any more; of the others none may be overdue.
    pub fn check_commands(&mut self) {
        let lives: Vec<u64> = self.members.iter().map(|member| member.life).collect();
        self.commands.waiting.retain(|_, command| lives[command.member] == command.life);
        let now = self.now;
        let is_overdue = |command: &&Command| command.deadline < now;
        if let Some(command) = self.commands.waiting.values().find(is_overdue).filter(|c| self.is_running(c.member)) {
            let text = format!("m{} does not end what it was asked for: {command:?}", command.member);
            self.violate("waits", || text);
        }
    }

    /// A member tells its operator something.
    pub fn heard(&mut self, member: usize, event: Event) {
        self.note(|| format!("m{member} says {event:?}"));
        match event {
            Event::Role { role: RoleName::Candidate, .. } => self.coverage.saw(Moment::Election),
            Event::Role { .. } => {}
            Event::TailMerged { .. } => self.coverage.saw(Moment::TailMerged),
            Event::LossWindow { .. } => self.coverage.saw(Moment::LossWindow),
            Event::Lag { .. } => self.coverage.saw(Moment::LagAlarm),
            Event::Isolated { is_isolated: true } if self.members[member].leads.is_some() => {
                self.coverage.saw(Moment::Isolated);
            }
            Event::Isolated { .. } => {}
        }
    }

    /// How long an operator waits for a switchover.
    pub fn switchover_timeout(pick: u32) -> Millis {
        Millis([300, 2_000, 10_000][pick as usize % 3])
    }
}
