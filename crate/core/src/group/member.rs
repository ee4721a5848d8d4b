//! The members of a group, and what each of them is for.

use crate::error::Error;
use crate::limits::{GROUP_MEMBERS_MAX, MEMBER_ADDRESS_BYTES_MAX, MEMBER_NAME_BYTES_MAX};
use std::fmt;
use std::rc::Rc;

/// A member's name: what stays the same when its address changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberName(Rc<str>);

impl MemberName {
    /// Refuses names that would not survive a URL, a log line or the record.
    pub fn new(name: &str) -> Result<Self, Error> {
        if name.len() > MEMBER_NAME_BYTES_MAX {
            return Err(Error::too_large("the member's name in bytes", name.len(), MEMBER_NAME_BYTES_MAX));
        }
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(Error::malformed(format!(
                "{name:?} is no member's name; use lower-case letters, digits and hyphens"
            )));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a member may do besides holding the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Counts for the quorum, and can lead. Of several that could, the one with the highest priority should.
    Voter {
        /// Zero: counts for the quorum, and never leads.
        priority: u64,
    },
    /// Serves reads, and counts for no quorum.
    Observer {
        /// How long it holds back what it has received, in milliseconds: a member to recover from mistakes with.
        delay_ms: u64,
        /// Which member feeds it; the leader does if it is none.
        via: Option<MemberName>,
    },
}

/// A member as the record names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: MemberName,
    /// What it may do.
    pub role: Role,
    /// Where the others find it; its host knows what that means. No whitespace, and never empty.
    pub address: Rc<str>,
}

impl Member {
    /// Whether it counts for the quorum.
    pub fn is_voter(&self) -> bool {
        matches!(self.role, Role::Voter { .. })
    }

    /// How much it is preferred as leader; zero for those who cannot be.
    pub fn priority(&self) -> u64 {
        match self.role {
            Role::Voter { priority } => priority,
            Role::Observer { .. } => 0,
        }
    }

    /// Whether another member than the leader feeds it.
    pub fn is_fed_by_another(&self) -> bool {
        matches!(self.role, Role::Observer { via: Some(_), .. })
    }

    /// Whether it may lead.
    pub fn can_lead(&self) -> bool {
        self.priority() > 0
    }
}

/// Refuses sets of members and quorums that could not work.
pub(super) fn check(members: &[Member], quorum: usize) -> Result<(), Error> {
    if members.len() > GROUP_MEMBERS_MAX {
        return Err(Error::too_large("the number of members", members.len(), GROUP_MEMBERS_MAX));
    }
    for (place, member) in members.iter().enumerate() {
        if members[..place].iter().any(|other| other.name == member.name) {
            return Err(Error::malformed(format!("the group names member {} twice", member.name)));
        }
        if let Role::Observer { via: Some(via), .. } = &member.role {
            // Chains end at a voter: two observers that feed each other would wait for ever.
            let feeder = members.iter().find(|other| other.name == *via);
            let is_possible = feeder.is_some_and(|other| match &other.role {
                Role::Voter { .. } => true,
                Role::Observer { via, .. } => via.is_none(),
            });
            if !is_possible {
                return Err(Error::malformed(format!(
                    "{} is fed by {via}, which is neither a voter nor an observer that the leader feeds",
                    member.name
                )));
            }
        }
        let address = &member.address;
        if address.len() > MEMBER_ADDRESS_BYTES_MAX {
            return Err(Error::too_large("a member's address in bytes", address.len(), MEMBER_ADDRESS_BYTES_MAX));
        }
        if address.is_empty() || address.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Error::malformed(format!("{address:?} is no address of a member")));
        }
    }
    let voters = members.iter().filter(|member| member.is_voter()).count();
    if quorum == 0 || quorum > voters {
        return Err(Error::malformed(format!("a quorum of {quorum} cannot be had from {voters} voters")));
    }
    if !members.iter().any(Member::can_lead) {
        return Err(Error::malformed("no member may lead: give at least one voter a priority above zero"));
    }
    Ok(())
}
