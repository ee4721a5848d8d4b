//! Tenures: how one begins, how it ends, and how a leader makes sure that it is still one.

use super::follow::Storing;
use super::{Leading, Node, Role, Told};
use crate::error::Error;
use crate::group::MemberName;
use crate::ids::{ConnId, Epoch, Millis};
use crate::node::io::{Event, RoleName};

impl Node {
    /// This member leads that epoch from here on: alone, or as one of several that began with the epoch `since`.
    pub(super) fn begin_tenure(&mut self, epoch: Epoch, since: Option<Epoch>) {
        let is_elected = !matches!(&self.g_ref().role, Role::Following { .. });
        self.log.begin_epoch(epoch);
        let visible = self.visible.clone();
        let group = self.g();
        group.cuts.shown(&visible);
        if since.is_none() {
            self.origins.forget_moves();
        }
        let group = self.g();
        let is_alone = group.quorum == 1;
        group.role = Role::Leading(Leading { is_checked: is_elected || is_alone, since, ..Leading::default() });
        group.promised = since.unwrap_or(epoch).max(group.promised);
        (group.led, group.is_joined) = (epoch, true);
        group.epoch_since = Some(group.now);
        group.asking = None;
        group.missed = None;
        group.told = Told::default();
        group.asked_epoch = None;
        let fence = since.unwrap_or(epoch);
        if let Some(record) = group.record.as_ref().filter(|record| record.is_active() && record.fence() == fence) {
            // What a forced promotion sealed, the promoted member alone may hold.
            let is_proven = |of: &Epoch| record.losses.iter().all(|loss| loss.epoch != *of);
            let sealed = record.sealed.epochs().filter(|(of, _)| is_proven(of));
            sealed.for_each(|(of, length)| group.stable.advance_epoch(of, length));
        }
        self.growth.clear();
        self.forget_streams();
        let row = self.promise_row();
        self.store(vec![row], Storing::Tenure { epoch });
        self.waiters.prove_anew();
        self.take_own_forwarded();
        self.tell_role();
        self.set_isolated(false);
    }

    /// This member leads no more, and stands for no election. What it had not committed is nobody's; what it had is kept.
    pub(super) fn step_down(&mut self) {
        let group = self.g();
        if matches!(group.role, Role::Following { .. }) {
            return;
        }
        let was_leading = group.is_leading();
        let timeout = group.settings().timeout;
        self.end_handing_over();
        self.end_candidacy();
        self.g().role = Role::Following { leader: None, deadline: None };
        self.look_now_and_then(false);
        self.g().told = Told::default();
        self.forget_streams();
        self.miss_leader_in(timeout);
        if was_leading {
            for (write, before) in self.log.drop_gathered() {
                self.origins.set(write.origin, before);
            }
            self.acks.clear();
            let error = self.g_ref().not_leader();
            self.close_all(&error);
            self.fail_members(&error);
            self.waiters.prove_anew();
        }
        self.tell_role();
    }

    /// This member follows, and perhaps knows whom.
    pub(super) fn follow(&mut self, leader: Option<MemberName>) {
        self.step_down();
        let timeout = self.g_ref().settings().timeout;
        let group = self.g();
        if matches!(&group.role, Role::Following { leader: Some(known), .. } if Some(known) == leader.as_ref()) {
            return;
        }
        let is_changed = group.leader() != leader.as_ref();
        group.role = Role::Following { leader, deadline: None };
        self.miss_leader_in(timeout);
        if is_changed {
            self.recall_forwarded();
            self.tell_role();
        }
    }

    pub(super) fn tell_role(&mut self) {
        let group = self.g_ref();
        let role = match &group.role {
            Role::Leading(_) => RoleName::Leader,
            Role::Following { .. } => RoleName::Follower,
            Role::Candidate(_) => RoleName::Candidate,
        };
        let (epoch, leader) = (group.promised.max(self.log.epoch), group.leader().cloned());
        self.event(Event::Role { role, epoch, leader });
    }

    pub(super) fn close_all(&mut self, error: &Error) {
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        conns.into_iter().for_each(|conn| self.close(conn, error.clone(), Millis(0)));
    }

    /// A leader that has not heard from a quorum for a while asks before it acknowledges anything. If too few answer, it is
    /// cut off, or they are: it goes on alone as far as the settings allow, and nothing reaches `quorum`.
    pub(super) fn check_lead(&mut self) {
        let is_wanted = self.acks.is_leader_owed()
            || self.log.is_gathering()
            || self.waiters.is_waiting()
            || !self.conns.is_empty();
        if !self.g_ref().is_leading() {
            return;
        }
        self.look_now_and_then(is_wanted);
        let group = self.g();
        let is_recent = group.is_quorum_recent();
        let (is_isolated, now) = (group.is_isolated, group.now);
        if is_recent {
            let leading = group.leading().expect("looked at above");
            let was_unchecked = !std::mem::replace(&mut leading.is_checked, true) | leading.check.take().is_some();
            self.set_isolated(false);
            if was_unchecked {
                self.send_acks();
            }
            return;
        }
        let is_checked = group.leading().is_some_and(|leading| leading.is_checked);
        match group.leading().and_then(|leading| leading.check) {
            Some((round, since)) if group.is_round_over(round, since) => {
                let leading = group.leading().expect("looked at above");
                leading.check = None;
                leading.is_checked = true;
                self.set_isolated(true);
                self.send_acks();
            }
            None if is_isolated => {
                self.fail_strong();
                self.look_if_isolated();
            }
            None if is_wanted || !is_checked => {
                group.round += 1;
                let round = group.round;
                group.leading().expect("looked at above").check = Some((round, now));
                group.peers.values_mut().for_each(super::Peer::try_now);
            }
            Some(_) | None => {}
        }
    }
}
