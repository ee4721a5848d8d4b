//! The lease store: one record, changed by compare-and-set alone. It may be slow, silent, or keep its answers to itself.

use super::bug::Bug;
use super::coverage::Moment;
use super::world::{Event, World};
use headwater_core::node::{Held, Input, Swap};
use headwater_core::{Code, Error, Token};

/// How long a host waits for the store.
const PATIENCE_MS: u64 = 2_000;

/// The store.
#[derive(Debug, Default)]
pub struct LeaseStore {
    /// What it holds.
    pub held: Option<Held>,
    revisions: u64,
    /// Until when it does not answer anybody.
    pub down_until: u64,
    /// Until when the answers to swaps are lost.
    pub mute_until: u64,
}

/// A request on its way.
#[derive(Debug)]
pub struct Request {
    member: usize,
    life: u64,
    token: Token,
    ask: Ask,
    /// Whether anybody waits for the answer.
    is_awaited: bool,
}

#[derive(Debug)]
enum Ask {
    Read,
    Swap { expected: Option<String>, text: String },
}

impl World {
    /// A member reads the record.
    pub fn read_record(&mut self, member: usize, token: Token) {
        self.note(|| format!("m{member} reads the record"));
        self.send_request(member, token, Ask::Read);
    }

    /// A member wants to put a record in place of another.
    pub fn swap_record(&mut self, member: usize, token: Token, expected: Option<String>, text: String) {
        self.note(|| format!("m{member} swaps {expected:?} for {}", one_line(&text)));
        self.trace.event(self.now, "swap", member as u64, text.as_bytes());
        self.send_request(member, token, Ask::Swap { expected, text });
    }

    fn send_request(&mut self, member: usize, token: Token, ask: Ask) {
        self.members[member].asked += 1;
        let life = self.members[member].life;
        let is_late = self.lease.mute_until > self.now && matches!(ask, Ask::Swap { .. }) && self.rng.chance(40);
        let mut span = self.about(self.plan.shape.delay_ms);
        if is_late {
            // It is made when nobody counts on it any more.
            self.unanswered(member, life, token, false);
            span += PATIENCE_MS + self.rng.below(PATIENCE_MS);
        }
        self.after(span, Event::Lease(Request { member, life, token, ask, is_awaited: !is_late }));
    }

    fn unanswered(&mut self, member: usize, life: u64, token: Token, is_read: bool) {
        let error = Error::new(Code::StorageUnavailable, "the lease store did not answer");
        let input = match is_read {
            true => Input::Record { token, result: Err(error) },
            false => Input::Swapped { token, result: Err(error) },
        };
        self.after(PATIENCE_MS, Event::Feed(member, life, input));
    }

    /// A request reaches the store.
    pub fn lease_request(&mut self, request: Request) {
        let Request { member, life, token, ask, is_awaited } = request;
        // Once all is well, nothing is left on its way from instances that are gone.
        if self.is_healing && self.members[member].life != life {
            return;
        }
        let is_out = self.lease.down_until > self.now || self.members[member].lease_cut_until > self.now;
        if is_out {
            self.coverage.saw(Moment::LeaseOutage);
            if is_awaited {
                self.unanswered(member, life, token, matches!(ask, Ask::Read));
            }
            return;
        }
        let input = match ask {
            Ask::Read => Input::Record { token, result: Ok(self.lease.held.clone()) },
            Ask::Swap { expected, text } => {
                let swap = self.swap(member, expected, text);
                if !is_awaited {
                    return self.coverage.saw(Moment::SwapLate);
                }
                if self.lease.mute_until > self.now {
                    if matches!(swap, Swap::Made { .. }) {
                        self.coverage.saw(Moment::SwapUnknown);
                    }
                    return self.unanswered(member, life, token, false);
                }
                Input::Swapped { token, result: Ok(swap) }
            }
        };
        let span = self.about(self.plan.shape.delay_ms);
        self.after(span, Event::Feed(member, life, input));
    }

    fn swap(&mut self, member: usize, expected: Option<String>, text: String) -> Swap {
        let is_it = self.lease.held.as_ref().map(|held| &held.revision) == expected.as_ref();
        if !is_it && !self.has(Bug::SwapWithoutCompare) {
            self.coverage.saw(Moment::SwapLost);
            if self.has(Bug::SwapSaidMade) {
                return Swap::Made { revision: self.lease.held.as_ref().map_or(String::new(), |h| h.revision.clone()) };
            }
            return Swap::Lost { current: self.lease.held.clone() };
        }
        self.lease.revisions += 1;
        let revision = format!("r{}", self.lease.revisions);
        let before = self.lease.held.replace(Held { text: text.clone(), revision: revision.clone() });
        self.note(|| format!("the record is now {}, by m{member}", one_line(&text)));
        self.check_record(member, before.as_ref().map(|held| &*held.text), &text);
        Swap::Made { revision }
    }
}

fn one_line(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !["headwater", "generation", "voter", "observer"].iter().any(|w| line.starts_with(w)));
    lines.collect::<Vec<_>>().join(", ")
}
