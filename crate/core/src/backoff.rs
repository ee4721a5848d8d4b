//! Reconnect delays: exponential with full jitter, so that a thousand clients of a restarted leader do not return at
//! once. (Brooker, "Exponential Backoff and Jitter", 2015.)
//!
//! The seed is passed in; from it on the sequence is determined.

use crate::ids::Millis;

/// The first delay's upper bound.
pub const BACKOFF_BASE_MS: u64 = 250;
/// No delay's upper bound is above this.
pub const BACKOFF_MS_MAX: u64 = 15_000;

/// A sequence of delays.
#[derive(Clone, Debug)]
pub struct Backoff {
    state: u64,
    attempt: u32,
}

impl Backoff {
    /// A sequence derived from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed, attempt: 0 }
    }

    /// The next delay: anywhere between zero and the bound of this attempt.
    pub fn next_delay(&mut self) -> Millis {
        let bound = BACKOFF_BASE_MS.saturating_mul(1 << self.attempt.min(16)).min(BACKOFF_MS_MAX);
        self.attempt = self.attempt.saturating_add(1);
        Millis(self.random() % (bound + 1))
    }

    /// A number up to and including `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.random() % (bound + 1)
    }

    /// Starts over after a connection that worked.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    // SplitMix64 (Steele, Lea, Flood 2014): enough for jitter, and eight bytes of state.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_below_a_growing_bound_and_start_over() {
        let mut backoff = Backoff::new(7);
        for attempt in 0..40u32 {
            let bound = (BACKOFF_BASE_MS << attempt.min(16)).min(BACKOFF_MS_MAX);
            assert!(backoff.next_delay().0 <= bound);
        }
        backoff.reset();
        assert!(backoff.next_delay().0 <= BACKOFF_BASE_MS);
    }

    #[test]
    fn two_seeds_part() {
        let (mut a, mut b) = (Backoff::new(1), Backoff::new(2));
        assert!((0..8).any(|_| a.next_delay() != b.next_delay()));
    }
}
