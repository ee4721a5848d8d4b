//! The steps of a plan, carried out: whom each concerns, and whether it did anything.

use super::plan::{Kind, Step};
use super::world::World;
use crate::bits::Bits;
use headwater_core::group::Topology;
use headwater_core::node::Admin;
use headwater_core::session::Consistency;
use headwater_core::{Millis, Stage};

impl World {
    /// Carries out a step.
    pub fn step(&mut self, place: usize) {
        let step = self.plan.steps[place];
        self.note(|| format!("-- {}", step.kind.as_str()));
        self.check_overdue();
        let did = if step.kind.is_fault() { self.fault(step) } else { self.work(step) };
        if did {
            self.coverage.did(step.kind);
        }
    }

    fn work(&mut self, step: Step) -> bool {
        let [a, b, c, d] = step.args;
        let session = a as usize % self.sessions.len();
        let doc = b as usize % self.docs.len();
        let client = a as usize % self.clients.len();
        let member = c as usize % self.members.len();
        match step.kind {
            Kind::Write | Kind::Burst | Kind::Forbidden => self.write_step(session, step),
            Kind::Read => self.read_step(session, step),
            Kind::Query => self.query(session, doc, member, d & 1 == 0, [50, 1_000, 10_000][(d >> 1) as usize % 3]),
            Kind::Hop => {
                let has_hopped = self.hop(session, b as usize % self.clients.len());
                // Who follows a link looks at once.
                if has_hopped && c & 1 == 0 {
                    self.read_step(session, step);
                }
                has_hopped
            }
            Kind::Renew => self.renew(session),
            Kind::Await => self.await_step(a, b, c),
            Kind::Move => {
                let Some(conn) = self.clients[client].conn else { return false };
                self.clients[client].home += 1 + b as usize % self.members.len();
                self.cut(conn);
                true
            }
            Kind::Pause => {
                self.pause(client, 200 + u64::from(b % 20_000));
                true
            }
            Kind::Switchover => {
                let Some(leader) = self.leaders().first().copied().filter(|at| self.is_running(*at)) else {
                    return false;
                };
                let to = (b % 3 > 0).then(|| self.members[member].name().clone());
                self.command(leader, Admin::Switchover { to, timeout: World::switchover_timeout(d) });
                true
            }
            Kind::Promote => {
                if !self.is_running(member) {
                    return false;
                }
                self.oracle.is_forced = true;
                let unix_ms = self.members[member].clock.wall(self.now);
                self.command(member, Admin::Promote { unix_ms, accept_data_loss: true });
                true
            }
            Kind::Topology => {
                let Some(record) = self.record().filter(|_| self.is_running(member)) else { return false };
                let to = if record.is_multi() { Topology::SingleLeader } else { Topology::MultiLeader };
                self.command(member, Admin::Topology { to, timeout: World::switchover_timeout(d) });
                true
            }
            _ => unreachable!("the others are faults"),
        }
    }

    fn read_step(&mut self, session: usize, step: Step) -> bool {
        let [_, b, c, d] = step.args;
        let timeout = [0, 50, 500, 5_000, 30_000][d as usize % 5];
        let consistency = match (c >> 1) % 8 {
            0 => Consistency::Eventual,
            1 | 2 => Consistency::MaxStaleness(Millis([20, 300, 2_000, 20_000][(c >> 8) as usize % 4])),
            3..=5 => Consistency::Strong,
            _ => Consistency::Session,
        };
        self.read(session, b as usize % self.docs.len(), consistency, timeout)
    }

    fn write_step(&mut self, session: usize, step: Step) -> bool {
        let [_, b, c, d] = step.args;
        let mut docs: Vec<usize> = (0..self.docs.len()).collect();
        docs.rotate_left(b as usize % self.docs.len());
        if c % 4 > 0 {
            docs.truncate(1);
        }
        let rounds = if step.kind == Kind::Burst { 2 + d % 30 } else { 1 };
        let is_forbidden = step.kind == Kind::Forbidden;
        let has_written =
            (0..rounds).filter(|_| self.write_if_arrived(session, docs.clone(), is_forbidden)).count() > 0;
        if !has_written && c.is_multiple_of(3) {
            self.renew(session);
        }
        has_written
    }

    /// A session writes, unless its earlier writes and reads are not on their way here yet: then it must arrive first, and
    /// reads at level `session`. Without that, writes from two clients have no order that anybody promised.
    pub fn write_if_arrived(&mut self, session: usize, docs: Vec<usize>, is_forbidden: bool) -> bool {
        let client = self.sessions[session].client;
        let mut here = Bits::default();
        let pending: Vec<_> = self.clients[client].replica().pending_writes().collect();
        for (origin, seq) in pending {
            self.oracle.find(origin, seq).into_iter().for_each(|write| here.set(write));
        }
        for doc in &self.clients[client].docs {
            here.join(&doc.within(&self.oracle.stable));
        }
        let loose = self.sessions[session].must().without(&self.oracle.rejected).without(&here);
        if let Some(write) = loose.iter().next() {
            self.read(session, self.oracle.writes[write].docs[0], Consistency::Session, 5_000);
            return false;
        }
        // What a read is shown is looked at in the turn in which it ends: the application cannot write in between.
        self.drain_client(client);
        self.write(session, docs, is_forbidden)
    }

    fn await_step(&mut self, pick: u32, stage: u32, timeout: u32) -> bool {
        let recent = self.oracle.writes.len().min(20);
        if recent == 0 {
            return false;
        }
        let write = self.oracle.writes.len() - 1 - pick as usize % recent;
        let written = &self.oracle.writes[write];
        if self.clients[written.client].origin != written.origin {
            return false;
        }
        let timeout = [0, 100, 2_000, 20_000][timeout as usize % 4];
        self.await_stage(write, Stage::ALL[stage as usize % Stage::ALL.len()], timeout);
        true
    }
}
