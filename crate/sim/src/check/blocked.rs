//! No fault makes a replica give up on its leader: the leader's storage is never another one here.

use crate::world::World;
use headwater_core::Error;
use headwater_core::replica::Phase;

impl World {
    /// Whether a tab is where nothing helps.
    pub fn check_blocked(&mut self, tab: usize) {
        let core = &self.openings[tab].core;
        if core.phase() == Phase::Blocked {
            let text = core.trouble().map(Error::to_string).unwrap_or_default();
            self.violate("blocked", || format!("tab {tab} gave up on the leader: {text}"));
        }
    }
}
