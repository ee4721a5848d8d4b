//! The write concern: which members must hold a write durably before it counts as done.
//!
//! A concern that cannot be met now is not met: it never turns into a weaker one by itself.

use super::member::{Member, MemberName};
use crate::error::Error;
use crate::ids::Lsn;

/// How many, or which, members must hold a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concern {
    /// The leader alone.
    Leader,
    /// As many voters as the group's quorum.
    Quorum,
    /// Every voter.
    All,
    /// That many members, the leader and observers among them.
    Count(usize),
    /// That many of the named ones, whichever they are (as in PostgreSQL's `ANY n (…)`).
    Any {
        /// The candidates.
        names: Vec<MemberName>,
        /// How many of them.
        n: usize,
    },
    /// The first that many of the named ones which are connected, in this order (as in PostgreSQL's `FIRST n (…)`).
    First {
        /// The candidates, the preferred ones first.
        names: Vec<MemberName>,
        /// How many of them.
        n: usize,
    },
}

/// What a leader knows of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Who.
    pub name: MemberName,
    /// How far it holds the leader's epoch durably.
    pub durable: Lsn,
    /// Whether it answers at present. The leader counts as connected.
    pub is_connected: bool,
}

impl Concern {
    /// Refuses a concern that this group can never meet, so that nobody waits for it.
    pub fn check(&self, members: &[Member]) -> Result<(), Error> {
        match self {
            Concern::Leader | Concern::Quorum | Concern::All => Ok(()),
            Concern::Count(n) => in_range(*n, members.len(), "members"),
            Concern::Any { names, n } | Concern::First { names, n } => {
                for (place, name) in names.iter().enumerate() {
                    if !members.iter().any(|member| member.name == *name) {
                        return Err(Error::malformed(format!("the concern names {name}, which is no member")));
                    }
                    if names[..place].contains(name) {
                        return Err(Error::malformed(format!("the concern names {name} twice")));
                    }
                }
                in_range(*n, names.len(), "named members")
            }
        }
    }

    /// How far the log is held as this concern asks for: every entry up to there counts as done.
    ///
    /// `progress` has one item for each member, `leader` among them.
    pub fn reached(&self, members: &[Member], quorum: usize, leader: &MemberName, progress: &[Progress]) -> Lsn {
        let durable = |name: &MemberName| {
            let of = progress.iter().find(|member| member.name == *name);
            of.map_or(Lsn(0), |member| member.durable)
        };
        let voters = || members.iter().filter(|member| member.is_voter()).map(|member| durable(&member.name));
        match self {
            Concern::Leader => durable(leader),
            Concern::Quorum => held_by(voters(), quorum),
            Concern::All => voters().min().unwrap_or_default(),
            Concern::Count(n) => held_by(members.iter().map(|member| durable(&member.name)), *n),
            Concern::Any { names, n } => held_by(names.iter().map(durable), *n),
            Concern::First { names, n } => {
                let is_connected =
                    |name: &&MemberName| progress.iter().any(|member| member.name == **name && member.is_connected);
                let first: Vec<Lsn> = names.iter().filter(is_connected).take(*n).map(durable).collect();
                if first.len() < *n { Lsn(0) } else { first.into_iter().min().unwrap_or_default() }
            }
        }
    }
}

/// How far at least `n` of them hold the log.
pub(crate) fn held_by(held: impl Iterator<Item = Lsn>, n: usize) -> Lsn {
    let mut held: Vec<Lsn> = held.collect();
    held.sort_unstable_by(|a, b| b.cmp(a));
    n.checked_sub(1).and_then(|place| held.get(place).copied()).unwrap_or_default()
}

fn in_range(n: usize, of: usize, what: &str) -> Result<(), Error> {
    if n == 0 || n > of {
        return Err(Error::malformed(format!("a concern of {n} cannot be met by {of} {what}")));
    }
    Ok(())
}
