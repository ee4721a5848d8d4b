//! Reported staleness is never better than true staleness, measured on the reader's clock.

use crate::bits::Bits;
use crate::coverage::Moment;
use crate::device::DRAIN_MS_MAX;
use crate::session::Reading;
use crate::world::World;
use headwater_core::Millis;
use headwater_core::session::Consistency;

impl World {
    /// A read shows this much, and says that it is at most that stale.
    pub fn check_staleness(&mut self, tab: usize, reading: &Reading, shown: &Bits, reported: Option<Millis>) {
        if let Consistency::MaxStaleness(limit) = reading.consistency {
            self.coverage.saw(Moment::BoundedRead);
            if reported.is_none_or(|reported| reported.0 > limit.0 + DRAIN_MS_MAX) {
                return self.violate("staleness", || format!("a read bound to {limit} ms reports {reported:?}"));
            }
        }
        let Some(reported) = reported else { return };
        let missing = self.oracle.committed.within(&self.oracle.of_doc[reading.doc]).without(shown);
        let since = |write: usize| self.oracle.writes[write].committed.map(|(_, at)| (at, write));
        let Some((at, write)) = missing.iter().filter_map(since).min() else { return };
        let clock = &self.devices[self.openings[tab].device].clock;
        let truth = clock.monotonic(self.now) - clock.monotonic(at);
        if reported.0 < truth {
            let name = self.oracle.name(write);
            self.violate("staleness", || {
                format!("tab {tab} reports {reported} ms, and misses {name}, committed {truth} ms ago")
            });
        }
    }
}
