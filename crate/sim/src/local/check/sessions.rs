//! The session guarantees across tabs and devices.

use crate::bits::Bits;
use crate::local::world::World;

impl World {
    /// A read shows this much; compares it with what the session must see.
    pub fn check_read(&mut self, session: usize, tab: usize, doc: usize, shown: &Bits, must: &Bits) {
        let missing = must.without(shown).without(&self.oracle.rejected).without(&self.oracle.forbidden);
        if !missing.is_empty() {
            let names = self.oracle.names(&missing);
            self.violate("sessions", || format!("session {session} in tab {tab} misses {names} of doc/{doc}"));
        }
    }
}
