//! The steps of a plan, carried out: whom each concerns, and whether it did anything.

use super::plan::{Kind, Step};
use super::session::Awaited;
use super::world::{Event, World};
use headwater_core::Stage;
use headwater_core::replica::Wait;
use headwater_core::session::Consistency;

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

    /// One of the open tabs.
    pub(super) fn pick(&self, number: u32) -> Option<usize> {
        let tabs = self.open_tabs();
        tabs.get(number as usize % tabs.len().max(1)).copied()
    }

    fn work(&mut self, step: Step) -> bool {
        let [a, b, c, d] = step.args;
        let session = a as usize % self.sessions.len();
        let doc = b as usize % self.docs.len();
        let device = a as usize % self.devices.len();
        match step.kind {
            Kind::Write | Kind::Burst | Kind::Forbidden => {
                let mut docs: Vec<usize> = (0..self.docs.len()).collect();
                docs.rotate_left(doc);
                if c % 4 > 0 {
                    docs.truncate(1);
                }
                let rounds = if step.kind == Kind::Burst { 2 + d % 30 } else { 1 };
                let is_forbidden = step.kind == Kind::Forbidden;
                (0..rounds).filter(|_| self.write(session, &docs, is_forbidden)).count() > 0
            }
            Kind::Read => {
                let consistency = if c % 5 == 0 { Consistency::Eventual } else { Consistency::Session };
                self.read(session, doc, consistency, [0, 100, 2_000, 20_000][d as usize % 4])
            }
            Kind::Hop => {
                let Some(tab) = self.pick(b) else { return false };
                let has_hopped = self.hop(session, tab);
                // Who follows a link looks at once.
                if has_hopped && c & 1 == 0 {
                    self.read(session, d as usize % self.docs.len(), Consistency::Session, 5_000);
                }
                has_hopped
            }
            Kind::AwaitStage => self.await_stage(a, b, c),
            Kind::AwaitPeers => self.await_peers(a, b, c),
            Kind::OpenDoc | Kind::CloseDoc => {
                let Some(tab) = self.pick(a).filter(|tab| self.is_awake(*tab)) else { return false };
                match step.kind {
                    Kind::OpenDoc => self.open_doc(tab, doc),
                    _ => self.close_doc(tab, doc),
                }
            }
            Kind::OpenTab => self.open_tab_if_room(device),
            Kind::CloseTab | Kind::Reload => {
                let Some(tab) = self.pick(a).filter(|tab| self.is_awake(*tab)) else { return false };
                self.leave_tab(tab);
                if step.kind == Kind::Reload {
                    self.after(u64::from(b % 500), Event::OpenTab(self.tabs[tab].device));
                }
                true
            }
            Kind::Reopen => {
                self.tabs_of(device).into_iter().for_each(|tab| self.end_tab(tab));
                self.may_change_leader(device);
                self.open_tab(device);
                true
            }
            Kind::Link => {
                let pairs = self.pairs();
                let Some((one, other)) = pairs.get(a as usize % pairs.len().max(1)).copied() else { return false };
                self.link_devices(one, other)
            }
            Kind::Probe => {
                self.probe(device);
                true
            }
            _ => unreachable!("the others are faults"),
        }
    }

    fn may_change_leader(&mut self, device: usize) {
        if self.plan.shape.changes && self.plan.shape.has_node {
            self.devices[device].has_leader ^= true;
            self.coverage.saw(super::coverage::Moment::LeaderChanged);
        }
    }

    /// Links two devices if they are not, by whichever tabs.
    pub(super) fn link_devices(&mut self, one: usize, other: usize) -> bool {
        if self.is_linked(one, other) {
            return false;
        }
        let mut ends = Vec::new();
        for device in [one, other] {
            let tabs: Vec<usize> = self.tabs_of(device).into_iter().filter(|tab| !self.tabs[*tab].is_leaving).collect();
            if tabs.is_empty() {
                return false;
            }
            ends.push(tabs[self.rng.below(tabs.len() as u64) as usize]);
        }
        self.link(ends[0], ends[1]);
        true
    }

    // A write of the last ones whose tab is still there.
    fn recent(&self, pick: u32) -> Option<usize> {
        let recent = self.oracle.writes.len().min(20);
        let write = self.oracle.writes.len().checked_sub(1 + pick as usize % recent.max(1))?;
        Some(write).filter(|write| self.is_awake(self.oracle.writes[*write].tab))
    }

    fn await_stage(&mut self, pick: u32, stage: u32, timeout: u32) -> bool {
        let Some(write) = self.recent(pick) else { return false };
        let written = &self.oracle.writes[write];
        let stage = [Stage::Local, Stage::Leader][stage as usize % 2];
        let wait = Wait::Stage { origin: written.origin, seq: written.seq, stage };
        self.begin_wait(written.tab, Awaited::Stage(write, stage), wait, [0, 100, 2_000, 20_000][timeout as usize % 4]);
        true
    }

    fn await_peers(&mut self, pick: u32, count: u32, timeout: u32) -> bool {
        let Some(write) = self.recent(pick) else { return false };
        let written = &self.oracle.writes[write];
        let count = 1 + count as usize % (self.devices.len().max(2) - 1);
        let wait = Wait::Peers { origin: written.origin, seq: written.seq, count };
        self.begin_wait(written.tab, Awaited::Peers(write, count), wait, [0, 100, 2_000, 20_000][timeout as usize % 4]);
        true
    }
}
