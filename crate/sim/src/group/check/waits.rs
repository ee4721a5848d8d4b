//! Waits end, in time, and in errors that fit.

use crate::group::coverage::Moment;
use crate::group::session::{Awaited, Waiting};
use crate::group::world::World;
use headwater_core::{Code, Error};

/// How late a wait may end: as long as hosts may leave machines undrained.
const GRACE_MS: u64 = 50;
/// How late a query may end: what it asks for is read from the disk after its deadline as well, and disks are slow.
const QUERY_GRACE_MS: u64 = 30_000;

impl World {
    /// A wait has ended in an error.
    pub fn check_wait_error(&mut self, client: usize, waiting: &Waiting, error: &Error) {
        let now = self.clock_of_client(client);
        let fits = match (error.code, &waiting.what) {
            (Code::Timeout, _) => {
                self.coverage.saw(Moment::Timeout);
                now >= waiting.deadline
            }
            (Code::Offline, _) => {
                self.coverage.saw(Moment::Offline);
                now >= waiting.deadline
            }
            // What the bookmark names may be what a forced promotion gave up.
            (Code::BookmarkLost, Awaited::Read(_)) => self.oracle.is_forced || !self.oracle.multi.is_empty(),
            (Code::StrongUnavailable | Code::Busy, Awaited::Read(_)) => true,
            (_, Awaited::Stage(write, _)) => {
                let (origin, seq) = (self.oracle.writes[*write].origin, self.oracle.writes[*write].seq);
                self.clients[client].replica().stage(origin, seq).is_err()
            }
            _ => false,
        };
        if !fits {
            self.violate("waits", || format!("a wait of client {client} for {:?} ended in {error}", waiting.what));
        }
    }

    /// No wait is open past its deadline.
    pub fn check_overdue(&mut self) {
        self.check_commands();
        for place in 0..self.clients.len() {
            let now = self.clock_of_client(place);
            let is_overdue = |waiting: &&Waiting| now.since(waiting.deadline).0 > GRACE_MS;
            if let Some(waiting) = self.clients[place].waits.values().find(is_overdue) {
                let text = format!("client {place} still waits at {now}: {waiting:?}");
                return self.violate("waits", || text);
            }
        }
        for place in (0..self.members.len()).filter(|place| self.is_running(*place)) {
            let now = self.clock_of(place);
            let mut queries = self.members[place].queries.values();
            if let Some(querying) = queries.find(|querying| now.since(querying.deadline).0 > QUERY_GRACE_MS) {
                let reading = &querying.reading;
                let text = format!(
                    "m{place} still owes session {} an answer at {now}, {:?}, due at {}",
                    reading.session, reading.consistency, querying.deadline
                );
                return self.violate("waits", || text);
            }
        }
    }
}
