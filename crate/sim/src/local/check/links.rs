//! Nobody gives a link up for what another one said.

use crate::local::world::World;
use headwater_core::Error;

impl World {
    /// A replica gives a link to a peer up.
    pub fn check_given_up(&mut self, tab: usize, link: usize, error: &Error) {
        use headwater_core::Code;
        // The other side may have told the same.
        if error.code != Code::Closed {
            self.violate("links", || format!("tab {tab} gives link {link} up: {error}"));
        }
    }
}
