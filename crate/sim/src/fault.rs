//! The faults of a plan, carried out.

use crate::disk::Trouble;
use crate::net::Way;
use crate::plan::{Kind, Step};
use crate::world::{Event, World};
use headwater_core::replica::Input;

impl World {
    /// Carries out a fault; whether there was anything to break.
    pub fn fault(&mut self, step: Step) -> bool {
        let [a, b, c, _] = step.args;
        let device = a as usize % self.devices.len();
        let span = [300, 2_000, 8_000, 30_000, 60_000][b as usize % 5] + u64::from(c % 1000);
        match step.kind {
            Kind::Break | Kind::Linger | Kind::StallUp | Kind::StallDown => self.connection_fault(step, span),
            Kind::KillNode | Kind::Hibernate | Kind::Stale => self.node_fault(step.kind),
            Kind::NodeDiskFails | Kind::NodeDiskFull | Kind::NodeDiskSlow => self.node_disk_fault(step, span),
            Kind::KillTab => {
                let Some(tab) = self.pick_tab(a) else { return false };
                self.kill_tab(tab, b % 2 == 0);
                self.reopen_if_empty(self.openings[tab].device);
                true
            }
            Kind::KillDevice => {
                self.kill_device(device);
                self.open_tab(device);
                true
            }
            Kind::RollBack | Kind::Wipe => {
                self.kill_device(device);
                let disk = &mut self.devices[device].disk;
                let has_changed = if step.kind == Kind::Wipe { disk.wipe() } else { disk.roll_back(u64::from(b)) };
                if has_changed {
                    self.storage_is_lost(device);
                }
                self.open_tab(device);
                has_changed
            }
            Kind::Image => {
                self.devices[device].disk.keep_image();
                true
            }
            Kind::DiskFails | Kind::DiskFull => {
                let disk = &mut self.devices[device].disk;
                disk.trouble = match step.kind {
                    Kind::DiskFull => Trouble::Full,
                    _ if c % 2 == 0 => Trouble::FailNext,
                    _ => Trouble::FailNextStored,
                };
                self.after(span, Event::DiskWell(Some(device)));
                true
            }
            Kind::DiskSlow => {
                self.devices[device].disk.slowness = 30;
                self.after(span, Event::DiskWell(Some(device)));
                true
            }
            Kind::Freeze => {
                let Some(tab) = self.pick_tab(a) else { return false };
                self.openings[tab].frozen_until = self.now + span;
                self.after(span, Event::Thaw(tab));
                true
            }
            Kind::Leap => {
                self.devices[device].clock.leap(self.now, span);
                for tab in self.tabs_of(device) {
                    self.feed(tab, Input::Tick);
                    self.drain(tab);
                }
                true
            }
            Kind::SetWall => {
                let by = i64::from(c % 7_200_000) - 3_600_000;
                self.devices[device].clock.set_wall(by);
                true
            }
            Kind::Partition => {
                let until = self.now + span;
                self.devices[device].cut_until = until;
                for conn in self.open_conns(Some(device)) {
                    self.stall(conn, Way::Up, until);
                    self.stall(conn, Way::Down, until);
                }
                true
            }
            _ => unreachable!("the others are no faults"),
        }
    }

    fn open_conns(&self, device: Option<usize>) -> Vec<usize> {
        let is_open = |conn: &usize| {
            let conn = &self.conns[*conn];
            conn.is_up && conn.is_held && device.is_none_or(|device| self.openings[conn.opening].device == device)
        };
        (0..self.conns.len()).filter(is_open).collect()
    }

    fn connection_fault(&mut self, step: Step, span: u64) -> bool {
        let conns = self.open_conns(None);
        if conns.is_empty() {
            return false;
        }
        let conn = conns[step.args[0] as usize % conns.len()];
        self.note(|| format!("it is connection {conn}"));
        match step.kind {
            Kind::Break => self.cut(conn),
            Kind::Linger => {
                self.linger(conn);
                let soon = self.rng.below(500);
                self.after(soon, Event::Lost(conn, Way::Down));
            }
            Kind::StallUp => self.stall(conn, Way::Up, self.now + span),
            _ => self.stall(conn, Way::Down, self.now + span),
        }
        true
    }

    fn node_fault(&mut self, kind: Kind) -> bool {
        match (kind, self.edge.current) {
            (_, None) => return false,
            (Kind::KillNode, Some(node)) => self.kill_node(node),
            (Kind::Hibernate, _) => self.edge.is_sleepy = true,
            _ => return self.make_stale(),
        }
        true
    }

    fn node_disk_fault(&mut self, step: Step, span: u64) -> bool {
        let disk = &mut self.edge.disk;
        match step.kind {
            Kind::NodeDiskFull => disk.trouble = Trouble::Full,
            Kind::NodeDiskFails if step.args[2].is_multiple_of(2) => disk.trouble = Trouble::FailNext,
            Kind::NodeDiskFails => disk.trouble = Trouble::FailNextStored,
            _ => disk.slowness = 30,
        }
        self.after(span, Event::DiskWell(None));
        true
    }

    /// A disk is as it should be again.
    pub fn disk_well(&mut self, device: Option<usize>) {
        let disk = match device {
            Some(device) => &mut self.devices[device].disk,
            None => &mut self.edge.disk,
        };
        disk.trouble = Trouble::None;
        disk.slowness = 1;
    }

    fn storage_is_lost(&mut self, device: usize) {
        for written in self.oracle.writes.iter_mut().filter(|written| written.device == device) {
            if !std::mem::replace(&mut written.is_storage_lost, true) {
                written.told_then = written.told;
            }
        }
    }
}
