//! A group without clients and without anything to do is silent: no timers, no calls, so that its members can sleep.

use crate::group::world::World;

impl World {
    /// Nothing was called since there were so many calls, and nobody means to.
    pub fn check_silence(&mut self, before: u64) {
        let made = self.calls.made() - before;
        if made > 0 {
            return self.violate("silence", || format!("members without clients made {made} calls in a minute"));
        }
        for member in 0..self.members.len() {
            let timeout = self.members[member].core.as_ref().and_then(headwater_core::node::Node::next_timeout);
            if timeout.is_some() {
                return self.violate("silence", || format!("m{member} has a timer though there is nothing to do"));
            }
        }
    }
}
