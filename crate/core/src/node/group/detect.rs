//! Missing a leader. A follower that has not heard from it in time asks the other voters, and the leader itself: only if
//! so many miss it that no quorum can be with it, it is replaced.

use super::calls::Pending;
use super::lease::Reading;
use super::message::Ask;
use super::{Node, Role};
use crate::group::{Member, MemberName};
use crate::ids::Millis;
use crate::node::io::Event;

/// A round of asking.
pub(super) struct Asking {
    missing: Vec<MemberName>,
    /// Voters that answered at all, this one included.
    reached: usize,
    open: usize,
}

impl Node {
    /// Looks for news of the leader until `span` from now, and then misses it.
    pub(super) fn miss_leader_in(&mut self, span: Millis) {
        let group = self.g();
        let jitter = group.jitter.below(group.settings().beat.0 / 2);
        // The less preferred let the others go first.
        let is_preferred = |member: &&Member| {
            let mine = group.members.iter().find(|member| member.name == group.config.me).map_or(0, Member::priority);
            member.priority() > mine && Some(&member.name) != group.leader()
        };
        let rank = group.members.iter().filter(is_preferred).count() as u64;
        let due = group.now.after(span).after(Millis(jitter + rank * group.settings().beat.0 / 2));
        if let Role::Following { deadline, .. } = &mut group.role {
            *deadline = Some(due);
        }
    }

    pub(super) fn miss_leader_now(&mut self) {
        let now = self.g_ref().now;
        if let Role::Following { deadline, .. } = &mut self.g().role {
            *deadline = Some(now);
        }
    }

    /// There is something to do with a leader: it is to show that it is there.
    pub(super) fn want_beats(&mut self) {
        let timeout = self.g_ref().settings().timeout;
        let group = self.g_ref();
        let Role::Following { leader, deadline: None } = &group.role else { return };
        if group.member(&group.config.me).is_some_and(|me| !me.is_voter() && me.is_fed_by_another()) {
            return;
        }
        let leader = leader.clone();
        self.miss_leader_in(timeout);
        if let Some(leader) = leader {
            self.call(&leader, Ask::Misses, Pending::Misses { of: leader.clone() });
        }
    }

    pub(super) fn detect_tick(&mut self) {
        let group = self.g_ref();
        match &group.role {
            Role::Following { deadline: Some(deadline), .. } if *deadline <= group.now => self.miss_leader(),
            _ => {}
        }
    }

    fn can_stand(&self) -> bool {
        let group = self.g_ref();
        group.member(&group.config.me).is_some_and(Member::can_lead)
    }

    fn miss_leader(&mut self) {
        let group = self.g_ref();
        let (timeout, call) = (group.settings().timeout, group.settings().call);
        if group.record.is_none() {
            self.read_record(Reading::Look);
            return self.miss_leader_in(timeout);
        }
        if group.is_multi() {
            // Nobody is elected in its place: whichever leader is heard next is followed.
            self.follow(None);
            self.read_record(Reading::Look);
            let is_new = !self.g_ref().is_joined && self.g_ref().is_voter();
            if !is_new && self.conns.is_empty() && !self.waiters.is_waiting() && self.g_ref().forwarding.is_empty() {
                if let Role::Following { deadline, .. } = &mut self.g().role {
                    *deadline = None; // Nothing is wanted of a leader.
                }
                return;
            }
            self.wake_leads(is_new);
            return self.miss_leader_in(timeout);
        }
        let others: Vec<MemberName> = group.voters().filter(|name| **name != group.config.me).cloned().collect();
        let missing = if self.can_stand() { vec![group.config.me.clone()] } else { Vec::new() };
        self.g().asking = Some(Asking { missing, reached: 1, open: others.len() });
        self.g().calls.retain(|_, pending| !matches!(pending, Pending::Misses { .. }));
        self.miss_leader_in(Millis(timeout.0.max(call.0)));
        for name in others {
            self.call(&name, Ask::Misses, Pending::Misses { of: name.clone() });
        }
        self.count_misses();
    }

    pub(super) fn misses_answered(&mut self, of: &MemberName, is_missed: Option<bool>) {
        let timeout = self.g_ref().settings().timeout;
        let is_leader = self.g_ref().leader() == Some(of);
        let Some(asking) = &mut self.g().asking else {
            if is_leader && is_missed.is_none() {
                self.miss_leader_now();
            }
            return;
        };
        asking.open -= 1;
        asking.reached += usize::from(is_missed.is_some());
        match is_missed {
            Some(false) if is_leader => {
                // It is there, and sends what there is to send.
                self.g().asking = None;
                self.g().missed = None;
                self.set_isolated(false);
                let is_needed = !self.conns.is_empty() || !self.g_ref().forwarding.is_empty();
                if is_needed {
                    return self.miss_leader_in(timeout);
                }
                if let Role::Following { deadline, .. } = &mut self.g().role {
                    *deadline = None;
                }
                return;
            }
            Some(true) if !is_leader => asking.missing.push(of.clone()),
            _ => {}
        }
        self.count_misses();
    }

    fn count_misses(&mut self) {
        let (needed, quorum) = (self.g_ref().promises_needed(), self.g_ref().quorum);
        let Some(asking) = &self.g_ref().asking else { return };
        if asking.missing.len() >= needed {
            self.g().asking = None;
            let record = self.g_ref().record.as_ref();
            let missed = record.map(|record| (record.epoch, record.leader().cloned()));
            self.g().missed = missed;
            // Those who may lead have heard that somebody misses the leader, and miss it as well.
            return self.read_record(if self.can_stand() { Reading::Elect } else { Reading::Look });
        }
        if asking.open == 0 {
            let is_isolated = asking.reached < quorum;
            self.g().asking = None;
            self.set_isolated(is_isolated);
            // Somebody may know of another leader.
            self.read_record(Reading::Look);
        }
    }

    pub(super) fn set_isolated(&mut self, is_isolated: bool) {
        if std::mem::replace(&mut self.g().is_isolated, is_isolated) == is_isolated {
            return;
        }
        self.event(Event::Isolated { is_isolated });
        if is_isolated {
            self.fail_strong();
            if let Some(error) = self.turns_away() {
                self.close_all(&error);
            }
        }
    }
}
