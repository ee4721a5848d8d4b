//! A device's clocks: one that never goes back, one on the wall. Both run askew, and both jump.

const MILLION: u64 = 1_000_000;

/// The clocks of one device, as functions of the world's time.
#[derive(Clone, Debug)]
pub struct Clock {
    offset_ms: u64,
    /// How much faster than the world it runs, in millionths.
    drift_ppm: u64,
    /// Leaps of the monotonic clock: when, and how far.
    leaps: Vec<(u64, u64)>,
    wall_offset_ms: i64,
}

impl Clock {
    /// Clocks that began long before the world did.
    pub fn new(offset_ms: u64, drift_ppm: u64, wall_offset_ms: i64) -> Self {
        Self { offset_ms, drift_ppm, leaps: Vec::new(), wall_offset_ms }
    }

    /// The monotonic clock at a moment of the world, past or present.
    pub fn monotonic(&self, world_ms: u64) -> u64 {
        let leapt: u64 = self.leaps.iter().filter(|(at, _)| *at <= world_ms).map(|(_, by)| by).sum();
        self.offset_ms + world_ms + world_ms * self.drift_ppm / MILLION + leapt
    }

    /// The wall clock.
    pub fn wall(&self, world_ms: u64) -> u64 {
        (1_700_000_000_000 + world_ms as i64 + self.wall_offset_ms) as u64
    }

    /// The monotonic clock leaps ahead, as after a sleep.
    pub fn leap(&mut self, world_ms: u64, by_ms: u64) {
        self.leaps.push((world_ms, by_ms));
    }

    /// The wall clock is set, ahead or back.
    pub fn set_wall(&mut self, by_ms: i64) {
        self.wall_offset_ms += by_ms;
    }
}
