//! Waits end, in time, and in errors that fit.

use crate::coverage::Moment;
use crate::session::{Awaited, Waiting};
use crate::world::World;
use headwater_core::{Code, Error};

/// How late a wait may end: as long as the host may leave the machine undrained.
const GRACE_MS: u64 = 50;

impl World {
    /// A wait has ended in an error.
    pub fn check_wait_error(&mut self, tab: usize, waiting: &Waiting, error: &Error) {
        let now = self.clock_of(tab);
        let is_rejected = match waiting.what {
            Awaited::Stage(write, _) => {
                let written = &self.oracle.writes[write];
                self.openings[tab].core.stage(written.origin, written.seq).is_err()
            }
            Awaited::Read(_) => false,
        };
        let fits = match error.code {
            Code::Timeout | Code::Offline => {
                let moment = if error.code == Code::Timeout { Moment::Timeout } else { Moment::Offline };
                self.coverage.saw(moment);
                now >= waiting.deadline
            }
            Code::Aborted => {
                self.coverage.saw(Moment::Aborted);
                waiting.is_aborted
            }
            Code::StorageUnavailable | Code::Quota => self.openings[tab].has_failed_storage,
            _ => is_rejected,
        };
        if !fits {
            let text = format!("a wait of tab {tab} for {:?} ended in {error}", waiting.what);
            self.violate("waits", || text);
        }
    }

    /// No wait is open past its deadline.
    pub fn check_overdue(&mut self) {
        for tab in 0..self.openings.len() {
            let opening = &self.openings[tab];
            if !opening.is_alive || opening.frozen_until > 0 && opening.frozen_until + GRACE_MS > self.now {
                continue;
            }
            let now = self.clock_of(tab);
            let overdue = opening.waits.values().find(|waiting| now.since(waiting.deadline).0 > GRACE_MS);
            if let Some(waiting) = overdue {
                let text = format!("tab {tab} still waits at {now}: {waiting:?}");
                return self.violate("waits", || text);
            }
        }
    }
}
