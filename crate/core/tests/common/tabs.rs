//! The channel and the lock between tabs, as a browser gives them.

use super::{Client, Disk, World};
use headwater_core::Origin;
use headwater_core::replica::{Config, Input};
use std::collections::VecDeque;

#[derive(Default)]
pub struct Channel {
    /// The clients that are tabs, and what each has not been told yet.
    members: Vec<(usize, VecDeque<Vec<u8>>)>,
    pub holder: Option<usize>,
    /// Those that have lost the lock and were not told, since they are frozen.
    robbed: Vec<usize>,
    /// Messages that are lost on their way to this client.
    pub loses: Option<usize>,
}

impl World {
    /// A tab on that storage.
    pub fn add_tab(&mut self, disk: &Disk, docs: &[&str]) -> usize {
        let origin = self.fresh_origin();
        let config = Config {
            origin,
            has_leader: true,
            is_durable: true,
            jitter_seed: origin.0,
            shares_storage: true,
            check: |_| Ok(()),
        };
        let client = Client::with(config, disk.clone(), self.now);
        self.clients.push(client);
        let index = self.clients.len() - 1;
        self.tabs.members.push((index, VecDeque::new()));
        docs.iter().for_each(|name| self.open(index, name));
        index
    }

    /// A node and so many tabs on one storage.
    pub fn with_tabs(tabs: usize, docs: &[&str]) -> Self {
        let mut world = Self::new();
        let disk = Disk::default();
        for _ in 0..tabs {
            world.add_tab(&disk, docs);
            world.settle();
        }
        world
    }

    /// One exchange between tabs; whether anything moved.
    pub(super) fn step_tabs(&mut self) -> bool {
        let mut moved = false;
        let indexes: Vec<usize> = self.tabs.members.iter().map(|(index, _)| *index).collect();
        for &from in &indexes {
            let said = std::mem::take(&mut self.clients[from].tabs);
            for (to, queue) in self.tabs.members.iter_mut().filter(|(to, _)| *to != from) {
                if self.tabs.loses != Some(*to) {
                    queue.extend(said.iter().cloned());
                }
            }
        }
        for (index, queue) in &mut self.tabs.members {
            let client = &mut self.clients[*index];
            if client.is_frozen {
                continue;
            }
            for bytes in std::mem::take(queue) {
                client.handle(Input::Tab { bytes }, self.now);
                moved = true;
            }
        }
        moved |= self.give_lock();
        for index in indexes {
            for origin in std::mem::take(&mut self.clients[index].watches) {
                if !self.lives(origin) {
                    self.clients[index].handle(Input::TabGone { origin }, self.now);
                    moved = true;
                }
            }
        }
        moved
    }

    fn give_lock(&mut self) -> bool {
        let mut moved = false;
        let thief = self.tabs.members.iter().map(|(index, _)| *index).find(|index| self.clients[*index].steals > 0);
        if let Some(thief) = thief {
            self.clients[thief].steals = 0;
            self.tabs.robbed.extend(self.tabs.holder.replace(thief));
            self.clients[thief].handle(Input::Hold, self.now);
            moved = true;
        }
        if self.tabs.holder.is_none()
            && let Some((first, _)) = self.tabs.members.first()
        {
            self.tabs.holder = Some(*first);
            self.clients[*first].handle(Input::Hold, self.now);
            moved = true;
        }
        for index in std::mem::take(&mut self.tabs.robbed) {
            if self.clients[index].is_frozen {
                self.tabs.robbed.push(index);
            } else {
                self.clients[index].handle(Input::Unhold, self.now);
                moved = true;
            }
        }
        moved
    }

    fn lives(&self, origin: Origin) -> bool {
        self.tabs.members.iter().any(|(index, _)| self.clients[*index].origin == origin)
    }

    /// The tab is killed; what it had said is heard.
    pub fn kill_tab(&mut self, index: usize) {
        self.step_tabs();
        self.cut(index);
        self.tabs.members.retain(|(other, _)| *other != index);
        self.clients[index].is_frozen = true;
        self.clients[index].is_online = false;
        if self.tabs.holder == Some(index) {
            self.tabs.holder = None;
        }
        let origin = self.clients[index].origin;
        let others: Vec<usize> = self.tabs.members.iter().map(|(other, _)| *other).collect();
        for other in others {
            self.clients[other].handle(Input::TabGone { origin }, self.now);
        }
    }
}
