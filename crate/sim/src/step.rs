//! The steps of a plan, carried out: whom each concerns, and whether it did anything.

use crate::bits::Bits;
use crate::coverage::Moment;
use crate::plan::{Kind, Step};
use crate::session::Awaited;
use crate::world::World;
use headwater_core::replica::Input;
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
            self.had_fault |= step.kind.is_fault();
        }
    }

    fn work(&mut self, step: Step) -> bool {
        let [a, b, c, d] = step.args;
        let session = a as usize % self.sessions.len();
        let doc = b as usize % self.docs.len();
        match step.kind {
            Kind::Write | Kind::Burst | Kind::Delete | Kind::Oversize | Kind::Forbidden => {
                self.write_step(session, step)
            }
            Kind::Read => self.read_step(session, step),
            Kind::Query => self.ask(session, doc, c.is_multiple_of(3), [50, 2_000, 20_000][d as usize % 3]),
            Kind::Hop => {
                let has_hopped = self.hop(session, b);
                // Who follows a link looks at once.
                if has_hopped && c & 1 == 0 {
                    self.read_step(session, step);
                }
                has_hopped
            }
            Kind::Renew => {
                let is_idle = !self.sessions[session].is_busy;
                if is_idle {
                    self.renew_session(session);
                }
                is_idle
            }
            Kind::Await => self.await_step(a, b, c),
            Kind::Abort => self.abort(a),
            _ => self.tab_step(step),
        }
    }

    fn read_step(&mut self, session: usize, step: Step) -> bool {
        let [_, b, c, d] = step.args;
        let timeout = [0, 50, 500, 5_000, 30_000][d as usize % 5];
        let consistency = match (c >> 1) % 8 {
            0 | 1 => Consistency::Eventual,
            2 | 3 => Consistency::MaxStaleness(Millis([0, 20, 300, 2_000, 20_000][(c >> 8) as usize % 5])),
            4 | 5 => Consistency::Strong,
            _ => Consistency::Session,
        };
        self.read(session, b as usize % self.docs.len(), consistency, timeout)
    }

    fn tab_step(&mut self, step: Step) -> bool {
        let [a, b, ..] = step.args;
        let device = a as usize % self.devices.len();
        if step.kind == Kind::Tab {
            let has_room = self.plan.shape.is_tabbed && self.tabs_of(device).len() < 3;
            if has_room {
                self.open_tab(device);
            }
            return has_room;
        }
        let Some(tab) = self.pick_tab(a) else { return false };
        let doc = b as usize % self.docs.len();
        let name = self.docs[doc].clone();
        match step.kind {
            Kind::Pause => self.feed(tab, Input::Pause { is_paused: true }),
            Kind::Resume => self.feed(tab, Input::Pause { is_paused: false }),
            Kind::Nudge => self.feed(tab, Input::Nudge),
            Kind::Close => {
                // Whoever may read by now does so before.
                self.drain(tab);
                self.openings[tab].docs.remove(&name);
                self.feed(tab, Input::CloseDoc { doc: name });
            }
            Kind::Open => self.open_doc(tab, doc),
            Kind::Leave => {
                self.kill_tab(tab, true);
                self.reopen_if_empty(self.openings[tab].device);
            }
            _ => unreachable!("the others are handled elsewhere"),
        }
        true
    }

    /// Some tab that runs and is not frozen.
    pub fn pick_tab(&self, pick: u32) -> Option<usize> {
        let runs = |tab: &usize| self.openings[*tab].is_alive && self.openings[*tab].frozen_until <= self.now;
        let alive: Vec<usize> = (0..self.openings.len()).filter(runs).collect();
        (!alive.is_empty()).then(|| alive[pick as usize % alive.len()])
    }

    /// A device without a tab gets one.
    pub fn reopen_if_empty(&mut self, device: usize) {
        if self.tabs_of(device).is_empty() {
            self.open_tab(device);
        }
    }

    fn write_step(&mut self, session: usize, step: Step) -> bool {
        let is_refused = matches!(step.kind, Kind::Oversize | Kind::Forbidden);
        if is_refused && self.plan.shape.is_tabbed {
            return false;
        }
        let Some((tab, _)) = self.tab_of(session) else { return false };
        if self.openings[tab].core.check_writable().is_err() {
            return false;
        }
        // A session whose earlier writes are not on their way here yet must arrive first: it reads at level `session`.
        // Without that, writes from two devices have no order that anybody promised.
        let mut here = Bits::default();
        for (origin, seq) in self.openings[tab].core.pending_writes() {
            self.oracle.find(origin, seq).into_iter().for_each(|write| here.set(write));
        }
        let must = self.sessions[session].must();
        let loose = must.without(&self.oracle.committed).without(&self.oracle.rejected).without(&here);
        if !loose.is_empty() {
            if step.args[2].is_multiple_of(3) && !self.sessions[session].is_busy {
                self.renew_session(session);
            } else {
                let doc = step.args[1] as usize % self.docs.len();
                self.read(session, doc, Consistency::Session, 5_000);
            }
            return false;
        }
        // What a strong read is shown is looked at in the turn in which it ends: the application cannot write in between.
        if self.open_reads(tab) > 0 {
            self.drain(tab);
        }
        let rounds = if step.kind == Kind::Burst { 2 + step.args[3] % 30 } else { 1 };
        (0..rounds).filter(|round| self.write(session, tab, step, *round)).count() > 0
    }

    fn hop(&mut self, session: usize, pick: u32) -> bool {
        let Some(tab) = self.pick_tab(pick) else { return false };
        let is_elsewhere = self.sessions[session].at.is_none_or(|(at, _)| at != tab);
        if !is_elsewhere || self.sessions[session].is_busy || !self.openings[tab].is_ready {
            return false;
        }
        self.note(|| format!("session {session} goes on at tab {tab}"));
        self.coverage.saw(Moment::Hopped);
        self.settle_in(session, tab).is_some()
    }

    fn await_step(&mut self, pick: u32, stage: u32, timeout: u32) -> bool {
        let recent = self.oracle.writes.len().min(20);
        if recent == 0 {
            return false;
        }
        let write = self.oracle.writes.len() - 1 - pick as usize % recent;
        let tab = &self.openings[self.oracle.writes[write].opening];
        if !tab.is_alive || tab.frozen_until > self.now {
            return false;
        }
        let timeout = [0, 100, 2_000, 20_000][timeout as usize % 4];
        self.await_stage(write, Stage::ALL[stage as usize % Stage::ALL.len()], timeout);
        true
    }

    fn abort(&mut self, pick: u32) -> bool {
        let Some(tab) = self.pick_tab(pick) else { return false };
        let opening = &mut self.openings[tab];
        let Some((id, waiting)) = opening.waits.iter_mut().next() else { return false };
        waiting.is_aborted = true;
        let id = *id;
        self.feed(tab, Input::Cancel { id });
        // It ends at once; until the machine is drained at the latest.
        self.drain(tab);
        if self.openings[tab].frozen_until <= self.now && self.openings[tab].waits.contains_key(&id) {
            self.violate("waits", || format!("wait {id} of tab {tab} goes on after it was aborted"));
        }
        true
    }

    /// Reads that a tab waits for.
    pub fn open_reads(&self, tab: usize) -> usize {
        self.openings[tab].waits.values().filter(|waiting| matches!(waiting.what, Awaited::Read(_))).count()
    }
}
