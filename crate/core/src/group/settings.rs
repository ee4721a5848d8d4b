//! What an operator may set of a group's behaviour. Every span has a default that suits nodes in one region.

use super::member::{Member, MemberName};
use crate::ids::Millis;

/// What a node does for its own clients while it cannot reach enough of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Minority {
    /// A leader goes on taking writes at `leader`; nothing reaches `quorum` meanwhile. Followers go on serving reads.
    #[default]
    Writable,
    /// Writes wait; reads go on.
    ReadOnly,
    /// Clients are turned away, to find a node that reaches the others.
    Offline,
}

impl Minority {
    /// Reads what users write.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "writable" => Some(Self::Writable),
            "read-only" => Some(Self::ReadOnly),
            "offline" => Some(Self::Offline),
            _ => None,
        }
    }
}

/// How many of a group's members take writes at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Topology {
    /// One, and another one after a failover.
    #[default]
    SingleLeader,
    /// Every voter that may lead.
    MultiLeader,
}

impl Topology {
    /// Reads what users write.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "single-leader" => Some(Self::SingleLeader),
            "multi-leader" => Some(Self::MultiLeader),
            _ => None,
        }
    }

    /// The topology as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SingleLeader => "single-leader",
            Self::MultiLeader => "multi-leader",
        }
    }
}

/// The spans and limits of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often a leader that has something to do shows that it is there.
    pub beat: Millis,
    /// How long a follower misses it before it asks the others. A leader that has not heard from a quorum for three
    /// quarters of it acknowledges nothing before it has asked again.
    pub timeout: Millis,
    /// How long a call to another member may take.
    pub call: Millis,
    /// The shortest span between two automatic elections that a node takes part in.
    pub election_span: Millis,
    /// How many entries the quorum may be behind before the leader takes no more; zero for no limit.
    pub lag_entries_max: u64,
    /// Above how many entries a member's lag is reported as an alarm.
    pub lag_alarm_entries: u64,
    /// What to do when cut off.
    pub minority: Minority,
    /// The shape of a record that is made anew. What has one is changed by an operator alone.
    pub topology: Topology,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            beat: Millis(400),
            timeout: Millis(1_500),
            call: Millis(1_500),
            election_span: Millis(3_000),
            lag_entries_max: 0,
            lag_alarm_entries: 10_000,
            minority: Minority::Writable,
            topology: Topology::SingleLeader,
        }
    }
}

/// How a node belongs to a group.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// Its own name.
    pub me: MemberName,
    /// Who belongs to the group when its record is made. Afterwards the record says so.
    pub members: Vec<Member>,
    /// How many voters make a quorum when the record is made.
    pub quorum: usize,
    /// Spans and limits.
    pub settings: Settings,
    /// A random number from which delays are derived.
    pub jitter_seed: u64,
}

impl GroupConfig {
    /// Who leads a group that has no record yet: the first of those with the highest priority.
    pub fn first_leader(&self) -> Option<&MemberName> {
        let best = self.members.iter().filter(|member| member.can_lead()).map(Member::priority).max()?;
        self.members.iter().find(|member| member.can_lead() && member.priority() == best).map(|member| &member.name)
    }
}
