//! Waits end, in time, and in errors that fit.

use crate::local::coverage::Moment;
use crate::local::session::{Awaited, Waiting};
use crate::local::world::World;
use headwater_core::{Code, Error};

/// How late a wait may end: as long as hosts may leave machines undrained.
const GRACE_MS: u64 = 50;

impl World {
    /// A wait has ended in an error.
    pub fn check_wait_error(&mut self, tab: usize, waiting: &Waiting, error: &Error) {
        let now = self.clock_of(tab);
        let fits = match (error.code, &waiting.what) {
            (Code::Timeout | Code::Offline, _) => {
                self.coverage.saw(Moment::TimedOut);
                now >= waiting.deadline
            }
            (Code::Busy, Awaited::Read(..)) => true,
            (_, Awaited::Stage(write, _) | Awaited::Peers(write, _)) => {
                let (origin, seq) = (self.oracle.writes[*write].origin, self.oracle.writes[*write].seq);
                self.tabs[tab].core.stage(origin, seq).is_err()
            }
            _ => false,
        };
        if !fits {
            self.violate("waits", || format!("a wait of tab {tab} for {:?} ended in {error}", waiting.what));
        }
    }

    /// No wait is open past its deadline.
    pub fn check_overdue(&mut self) {
        for tab in self.open_tabs() {
            let now = self.clock_of(tab);
            let is_overdue = |waiting: &&Waiting| now.since(waiting.deadline).0 > GRACE_MS;
            if self.is_awake(tab)
                && let Some(waiting) = self.tabs[tab].waits.values().find(is_overdue)
            {
                let text = format!("tab {tab} still waits at {now}: {waiting:?}");
                return self.violate("waits", || text);
            }
        }
    }
}
