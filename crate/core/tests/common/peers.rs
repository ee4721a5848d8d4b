//! Ports between peers: what goes in at one end comes out at the other, in order.

use super::{Client, Disk, World};
use headwater_core::replica::{Config, Input};

impl World {
    /// A replica that has no leader.
    pub fn add_peer(&mut self, disk: Disk, docs: &[&str]) -> usize {
        self.add_peer_with(disk, docs, false)
    }

    pub fn add_peer_with(&mut self, disk: Disk, docs: &[&str], has_leader: bool) -> usize {
        let origin = self.fresh_origin();
        let config = Config {
            origin,
            has_leader,
            is_durable: true,
            jitter_seed: origin.0,
            shares_storage: false,
            check: super::refuse_bad_format,
        };
        self.clients.push(Client::with(config, disk, self.now));
        let index = self.clients.len() - 1;
        docs.iter().for_each(|name| self.open(index, name));
        index
    }

    pub fn join(&mut self, a: usize, b: usize) -> usize {
        let link = self.links.len();
        let number = 2 * link as u64;
        self.links.push([(a, number), (b, number + 1)]);
        for (client, peer) in self.links[link] {
            self.clients[client].handle(Input::PeerOpened { peer, token: None, needs_approval: false }, self.now);
        }
        link
    }

    /// The port breaks; what is on its way is lost.
    pub fn part(&mut self, link: usize) {
        for (client, peer) in self.links[link] {
            self.clients[client].to_peers.retain(|(to, _)| *to != peer);
            self.clients[client].handle(Input::PeerClosed { peer }, self.now);
        }
    }

    pub(super) fn step_peers(&mut self) -> bool {
        let mut moved = false;
        for index in 0..self.clients.len() {
            for (from, bytes) in std::mem::take(&mut self.clients[index].to_peers) {
                let ends = self.links.iter().find_map(|[a, b]| match (index, from) {
                    at if at == *a => Some(*b),
                    at if at == *b => Some(*a),
                    _ => None,
                });
                let (to, peer) = ends.expect("a link has two ends");
                self.clients[to].handle(Input::PeerFrame { peer, bytes }, self.now);
                moved = true;
            }
        }
        moved
    }
}
