//! What an operator sees of a member.

use super::{Node, Role};
use crate::group::Topology;
use crate::ids::Millis;
use crate::node::io::{GroupStatus, MemberStatus, RoleName};

impl Role {
    pub(super) fn name(&self) -> RoleName {
        match self {
            Role::Leading(_) => RoleName::Leader,
            Role::Following { .. } => RoleName::Follower,
            Role::Candidate(_) => RoleName::Candidate,
        }
    }
}

impl Node {
    pub(in crate::node) fn group_status(&self, now: Millis) -> Option<GroupStatus> {
        let group = self.group.as_ref()?;
        let epoch = self.log.epoch;
        let members = group.peers.iter().map(|(name, peer)| {
            let held = peer.held.clone();
            let durable = held.clone().unwrap_or_default();
            let (lag, lag_bytes) = self.growth.lag(durable.lsn(epoch), now);
            let lag_entries = self.log.held.entries_beyond(&durable);
            MemberStatus {
                name: name.clone(),
                is_voter: group.member(name).is_some_and(crate::group::Member::is_voter),
                is_connected: peer.is_connected(),
                written: peer.written.clone(),
                durable,
                applied: peer.applied.clone(),
                lag_entries,
                lag_bytes: if lag_entries == 0 { 0 } else { lag_bytes },
                lag: held.map(|_| if lag_entries == 0 { Millis(0) } else { lag }),
            }
        });
        Some(GroupStatus {
            me: group.config.me.clone(),
            role: group.role.name(),
            leader: group.leader().cloned(),
            promised: group.promised,
            quorum: group.quorum,
            stable: group.stable.clone(),
            held: self.log.held.clone(),
            visible: self.visible.clone(),
            staleness: self.staleness(now),
            is_isolated: group.is_isolated,
            members: if matches!(group.role, Role::Following { .. }) { Vec::new() } else { members.collect() },
            merged_entries: group.merged_entries,
            elections: group.elections,
            topology: if group.is_multi() { Topology::MultiLeader } else { Topology::SingleLeader },
            leads: group.record.as_ref().map(|record| record.leads.clone()).unwrap_or_default(),
            losses: group.record.as_ref().map(|record| record.losses.clone()).unwrap_or_default(),
        })
    }

    // For how long at most what is shown may have been out of date: the leader's last word is newer than the answer to the
    // one before it. A leader that has a quorum is up to date.
    fn staleness(&self, now: Millis) -> Option<Millis> {
        // Of several leaders nobody knows what the others have.
        let group = self.group.as_ref().filter(|group| !group.is_multi())?;
        match &group.role {
            Role::Leading(_) if group.quorum == 1 => Some(Millis(0)),
            Role::Leading(_) => group.last_quorum().map(|heard| now.since(heard)),
            _ => group.told.as_of.filter(|_| self.visible.dominates_epochs(&group.told.stable)).map(|at| now.since(at)),
        }
    }
}
