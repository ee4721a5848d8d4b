//! After the faults: everything is repaired, and everything must come to rest, soon and equal.

use crate::net::Way;
use crate::world::World;
use headwater_core::replica::Input;

/// How long the cluster may take to come to rest: a silent connection given up, the longest backoff, waits.
const REST_MS_MAX: u64 = 180_000;
const LOOK_EVERY_MS: u64 = 1_000;

impl World {
    /// Lets the plan happen, then heals and demands that every promise is kept.
    pub fn run(&mut self) {
        self.run_until(self.plan.shape.heal_at);
        if self.violation.is_some() {
            return;
        }
        self.heal();
        self.come_to_rest("after healing");
        // Once more from what is stored alone. What a dying tab stored after the next one had read is found only now.
        self.is_over = true;
        for tab in 0..self.openings.len() {
            if self.violation.is_none() && self.openings[tab].is_alive {
                self.kill_tab(tab, true);
            }
        }
        for device in 0..self.devices.len() {
            if self.violation.is_none() {
                self.open_everything(device);
            }
        }
        self.come_to_rest("after a reload");
        if self.violation.is_none() {
            self.check_survival();
        }
    }

    fn heal(&mut self) {
        self.is_healing = true;
        self.note(|| "== healing".into());
        for device in 0..self.devices.len() {
            self.disk_well(Some(device));
            self.devices[device].cut_until = 0;
        }
        self.disk_well(None);
        self.edge.is_sleepy = false;
        for conn in 0..self.conns.len() {
            for way in [Way::Up, Way::Down] {
                self.conns[conn].channel(way).stalled_until = 0;
                self.unstall(conn, way);
            }
        }
        for node in 0..self.edge.instances.len() {
            if self.edge.instances[node].is_stale {
                self.kill_node(node);
            }
        }
        for tab in 0..self.openings.len() {
            if self.openings[tab].is_alive && self.openings[tab].has_failed_storage {
                self.kill_tab(tab, true);
            }
        }
        for tab in 0..self.openings.len() {
            if self.openings[tab].is_alive {
                self.openings[tab].frozen_until = self.now;
                self.thaw(tab);
                self.feed(tab, Input::Pause { is_paused: false });
            }
        }
        for device in 0..self.devices.len() {
            self.open_everything(device);
        }
    }

    fn open_everything(&mut self, device: usize) {
        self.reopen_if_empty(device);
        for tab in self.tabs_of(device) {
            for doc in 0..self.docs.len() {
                self.open_doc(tab, doc);
            }
        }
    }

    fn come_to_rest(&mut self, when: &str) {
        let end = self.now + REST_MS_MAX;
        let mut trouble = None;
        while self.violation.is_none() && self.now < end {
            self.run_until(self.now + LOOK_EVERY_MS);
            self.check_overdue();
            trouble = self.unrest();
            if trouble.is_none() {
                trouble = self.difference();
            }
            if trouble.is_none() {
                return;
            }
        }
        if let Some(trouble) = trouble {
            let checker = if self.unrest().is_some() { "liveness" } else { "convergence" };
            self.violate(checker, || format!("{when}: {trouble}"));
        }
    }
}
