//! A group without clients and without anything to do is silent: no timers, no calls, so that its members can sleep.

use crate::group::world::World;

impl World {
    /// Nothing was called since there were so many calls, and nobody means to.
    pub fn check_silence(&mut self, before: u64) {
        let made = self.calls.made() - before;
        if made > 0 {
            let count = |member| self.status_of(member).map_or(0, |status| status.connections);
            let conns: Vec<usize> = (0..self.members.len()).map(count).collect();
            return self.violate("silence", || {
                format!("members made {made} calls in a minute, though nobody is connected ({conns:?} connections)")
            });
        }
        for member in 0..self.members.len() {
            let timeout = self.members[member].core.as_ref().and_then(headwater_core::node::Node::next_timeout);
            if timeout.is_some() {
                return self.violate("silence", || format!("m{member} has a timer though there is nothing to do"));
            }
        }
    }
}
