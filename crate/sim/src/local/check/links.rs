//! One tab of a device has a socket, and nobody gives a link up for what another one said.

use crate::local::world::World;
use headwater_core::Error;

impl World {
    /// A tab opens a socket.
    pub fn check_links(&mut self, tab: usize) {
        let has_lock = self.devices[self.tabs[tab].device].holder == Some(tab);
        let others = self.tabs_of(self.tabs[tab].device);
        // Who was robbed of the lock is told soon, and a frozen tab keeps its socket.
        let is_other = |other: &&usize| **other != tab && self.tabs[**other].conn.is_some() && self.is_awake(**other);
        if let Some(other) = others.iter().find(is_other)
            && self.devices[self.tabs[tab].device].holder == Some(*other)
        {
            let text = format!("tab {tab} opens a socket ({has_lock}), and tab {other}, which has the lock, has one");
            self.violate("links", || text);
        }
    }

    /// A replica gives a link to a peer up.
    pub fn check_given_up(&mut self, tab: usize, link: usize, error: &Error) {
        use headwater_core::Code;
        // The other side may have told the same.
        if error.code != Code::Closed {
            self.violate("links", || format!("tab {tab} gives link {link} up: {error}"));
        }
    }
}
