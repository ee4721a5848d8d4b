//! The faults of a plan, carried out.

use super::plan::{Kind, Step};
use super::world::{Event, World};
use crate::disk::Trouble;
use headwater_core::node::Input;

impl World {
    /// Carries out a fault; whether there was anything to break.
    pub fn fault(&mut self, step: Step) -> bool {
        let [a, b, c, _] = step.args;
        let member = a as usize % self.members.len();
        let client = a as usize % self.clients.len();
        let span = [300, 2_000, 6_000, 15_000, 40_000][b as usize % 5] + u64::from(c % 1000);
        let until = self.now + span;
        match step.kind {
            Kind::KillClient => {
                self.kill_client(client);
                self.open_client(client);
                true
            }
            Kind::SlowClient => {
                self.clients[client].drive.disk.slowness = 30;
                self.after(span, Event::ClientDiskWell(client));
                true
            }
            Kind::Break | Kind::Stall => {
                let conns = self.open_conns();
                let Some(conn) = conns.get(a as usize % conns.len().max(1)).copied() else { return false };
                if step.kind == Kind::Break {
                    self.cut(conn)
                } else {
                    self.stall(conn, until)
                }
                true
            }
            Kind::Kill | Kind::Restart => {
                let is_up = !self.members[member].is_down;
                self.kill(member, if step.kind == Kind::Kill { span } else { 5 });
                is_up
            }
            Kind::Freeze => {
                self.freeze(member, span);
                true
            }
            Kind::Hibernate => {
                self.members[member].is_sleepy = true;
                // Somebody may look whether it is idle only when something happens.
                self.drain(member);
                true
            }
            Kind::Isolate => self.isolate(member, until),
            Kind::IsolateLeader => {
                let Some(leader) = self.leaders().last().copied() else { return false };
                self.isolate(leader, until)
            }
            Kind::Strike => {
                let Some(leader) = self.leaders().last().copied() else { return false };
                // Long enough for the others to elect.
                let until = until.max(self.now + 16 * u64::from(self.plan.shape.beat_ms));
                self.isolate(leader, until) && self.write_at(leader, 1 + c % 4)
            }
            Kind::KillLeader => {
                let Some(leader) = self.leaders().last().copied() else { return false };
                self.kill(leader, span);
                true
            }
            Kind::OneWay => {
                let other = c as usize % self.members.len();
                self.calls.cut(member, other, until);
                member != other
            }
            Kind::Split => {
                for (from, to) in self.pairs() {
                    if (a >> from ^ a >> to) & 1 == 1 {
                        self.calls.cut(from, to, until);
                    }
                }
                self.members.len() > 1
            }
            Kind::Lossy => {
                self.calls.lossy(until);
                true
            }
            Kind::SlowDisk => {
                self.members[member].drive.disk.slowness = 30;
                self.after(span, Event::DiskWell(member));
                true
            }
            Kind::DiskFails => {
                let disk = &mut self.members[member].drive.disk;
                disk.trouble = if c & 1 == 0 { Trouble::FailNext } else { Trouble::FailNextStored };
                true
            }
            Kind::LoseDisk => self.lose_disk_step(member, span),
            Kind::LeaseDown => {
                self.lease.down_until = self.lease.down_until.max(until);
                true
            }
            Kind::LeaseCut => {
                self.members[member].lease_cut_until = until;
                true
            }
            Kind::LeaseMute => {
                self.lease.mute_until = self.lease.mute_until.max(until);
                true
            }
            Kind::Leap => {
                self.members[member].clock.leap(self.now, span);
                self.feed(member, Input::Tick);
                true
            }
            _ => unreachable!("the others are no faults"),
        }
    }

    fn isolate(&mut self, member: usize, until: u64) -> bool {
        for (from, to) in self.pairs() {
            if from == member || to == member {
                self.calls.cut(from, to, until);
            }
        }
        self.members.len() > 1
    }

    // Every session whose client is connected to that member writes.
    fn write_at(&mut self, member: usize, writes: u32) -> bool {
        let mut has_written = false;
        for session in 0..self.sessions.len() {
            let conn = self.clients[self.sessions[session].client].conn;
            if conn.is_some_and(|conn| self.conns[conn].member == member) {
                let doc = session % self.docs.len();
                has_written |= (0..writes).filter(|_| self.write_if_arrived(session, vec![doc], false)).count() > 0;
            }
        }
        has_written
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        let all = 0..self.members.len();
        all.clone().flat_map(|from| all.clone().map(move |to| (from, to))).filter(|(from, to)| from != to).collect()
    }

    // One disk in a run, and only where those who are left can still prove everything that a quorum held: each quorum has
    // another one among its voters, the rest are enough to elect, and one of them may lead.
    fn lose_disk_step(&mut self, member: usize, span: u64) -> bool {
        let (voters, quorum) = (self.plan.shape.voters, self.plan.shape.quorum);
        let left = voters - 1;
        let is_fatal = quorum < 2 || left < quorum || left < voters - quorum + 1;
        // Promises of storage that is new do not count until it has caught up.
        let mut others = (0..voters as usize).filter(|other| *other != member);
        let is_alone = others.any(|other| self.facts_of(other).is_none_or(|[.., is_joined]| is_joined == 0));
        let described = &self.members[member].config.members;
        let can_lead = described.iter().enumerate().any(|(other, one)| other != member && one.can_lead());
        if self.oracle.is_disk_lost || is_fatal || is_alone || !can_lead || self.oracle.is_forced {
            return false;
        }
        self.lose_disk(member, span);
        true
    }
}
