//! Faults: what breaks, and for how long.

use super::plan::{Kind, Step};
use super::world::{Event, World};

impl World {
    /// Does what breaks something; whether there was something to break.
    pub fn fault(&mut self, step: Step) -> bool {
        let [a, b, ..] = step.args;
        let device = a as usize % self.devices.len();
        // Some sleep for longer than others wait for a sign of life.
        let span = [20, 300, 2_500, 4_000, 8_000, 15_000][b as usize % 6] + u64::from(b % 97);
        let is_deaf = (b / 6).is_multiple_of(3);
        match step.kind {
            Kind::Kill => {
                let Some(tab) = self.pick(a) else { return false };
                self.end_tab(tab);
                true
            }
            Kind::KillDevice => {
                let tabs = self.tabs_of(device);
                tabs.iter().for_each(|tab| self.end_tab(*tab));
                self.after(u64::from(b % 2_000), Event::OpenTab(device));
                !tabs.is_empty()
            }
            Kind::Freeze => {
                let Some(tab) = self.pick(a).filter(|tab| self.is_awake(*tab)) else { return false };
                self.freeze(tab, span, is_deaf);
                true
            }
            Kind::FreezeHolder => {
                let Some(tab) = self.devices[device].holder.filter(|tab| self.is_awake(*tab)) else { return false };
                self.freeze(tab, span, is_deaf);
                true
            }
            Kind::KillHolder => {
                let Some(tab) = self.devices[device].holder else { return false };
                self.end_tab(tab);
                true
            }
            Kind::Part => {
                let up: Vec<usize> = (0..self.links.len()).filter(|link| self.links[*link].is_up).collect();
                let Some(link) = up.get(a as usize % up.len().max(1)) else { return false };
                self.part(*link);
                true
            }
            Kind::Cut => {
                let up: Vec<usize> = (0..self.conns.len()).filter(|conn| self.conns[*conn].is_up).collect();
                let Some(conn) = up.get(a as usize % up.len().max(1)) else { return false };
                self.cut(*conn);
                true
            }
            Kind::Restart => {
                let was_up = self.edge.core.is_some();
                self.kill_node();
                self.after(u64::from(b % 5_000), Event::NodeStart);
                was_up
            }
            Kind::SlowDisk => {
                self.devices[device].disk.slowness = 20;
                self.after(u64::from(b % 4_000), Event::DiskWell(device));
                true
            }
            _ => unreachable!("the others are work"),
        }
    }
}
