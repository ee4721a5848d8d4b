//! After the faults: everything is repaired, and everything must come to rest, soon and equal; and once more from what is
//! stored alone.

use super::world::World;
use headwater_core::session::Consistency;

/// How long everything may take to come to rest.
const REST_MS_MAX: u64 = 120_000;
const LOOK_EVERY_MS: u64 = 1_000;
/// How long a session may take to read what it may, once everything is at rest.
const READ_MS: u64 = 60_000;

impl World {
    /// Lets the plan happen, then heals and demands that every promise is kept.
    pub fn run(&mut self) {
        self.run_until(self.plan.heal_at);
        if self.violation.is_some() {
            return;
        }
        self.note(|| "== healing".into());
        self.heal();
        self.come_to_rest("after healing");
        self.read_everywhere();
        if self.violation.is_some() {
            return;
        }
        self.note(|| "== everything is restarted".into());
        for tab in self.open_tabs() {
            self.end_tab(tab);
        }
        self.heal();
        self.come_to_rest("after a restart of everything");
        for device in 0..self.devices.len() {
            self.probe(device);
        }
    }

    fn heal(&mut self) {
        self.is_healing = true;
        if self.plan.shape.has_node {
            self.start_node();
        }
        for device in 0..self.devices.len() {
            self.devices[device].disk.slowness = 1;
            for tab in self.tabs_of(device) {
                if self.tabs[tab].is_leaving {
                    self.end_tab(tab);
                }
            }
            if self.tabs_of(device).is_empty() {
                for _ in 0..self.rng.within(1, u64::from(self.plan.shape.tabs_max)) {
                    self.open_tab(device);
                }
            }
        }
        for tab in self.open_tabs() {
            self.tabs[tab].frozen_until = self.now;
            self.thaw(tab);
            (0..self.docs.len()).for_each(|doc| _ = self.open_doc(tab, doc));
        }
    }

    fn keep_linked(&mut self) {
        for (one, other) in self.pairs() {
            self.link_devices(one, other);
        }
    }

    fn come_to_rest(&mut self, when: &str) {
        let end = self.now + REST_MS_MAX;
        let mut trouble = None;
        while self.violation.is_none() && self.now < end {
            self.keep_linked();
            self.run_until(self.now + LOOK_EVERY_MS);
            self.check_overdue();
            trouble = self.unrest().map(|text| ("liveness", text));
            trouble = trouble.or_else(|| self.difference());
            if trouble.is_none() {
                return;
            }
        }
        if let Some((checker, text)) = trouble {
            self.violate(checker, || format!("{when}: {text}"));
        }
    }

    // A session may read wherever everything is that its bookmark names.
    fn read_everywhere(&mut self) {
        for session in 0..self.sessions.len() {
            let tabs = self.open_tabs();
            for tab in tabs {
                if self.violation.is_some() {
                    return;
                }
                self.hop(session, tab);
                for doc in 0..self.docs.len() {
                    self.has_failed_to_read = false;
                    if !self.may_read(session, tab) || !self.read(session, doc, Consistency::Session, READ_MS) {
                        continue;
                    }
                    let end = self.now + 2 * READ_MS;
                    while self.sessions[session].is_busy && self.now < end && self.violation.is_none() {
                        self.run_until(self.now + 100);
                    }
                    if self.has_failed_to_read {
                        self.violate("liveness", || {
                            format!("session {session} cannot read doc/{doc} in tab {tab} though all is well")
                        });
                        return;
                    }
                }
            }
        }
    }
}
