//! How much simulated nodes keep: so little that compaction and everything that follows from it happens in short runs.

use crate::rng::Rng;
use headwater_core::Millis;
use headwater_core::node::Retention;

/// What the nodes of a seed's run keep. Some never compact.
pub fn of(seed: u64) -> Retention {
    let mut rng = Rng::new(seed ^ 0x7265_7461_696e);
    if rng.below(5) == 0 {
        return Retention::default();
    }
    Retention {
        checkpoint_rows: 1 + rng.below(40),
        fold_rows: 1 + rng.below(24) as usize,
        fold_bytes: 1 << 20,
        history: Millis(rng.below(20_000)),
        history_bytes: rng.below(600) as usize,
        squash_bytes: 1 + rng.below(300) as usize,
        merge_bytes: if rng.below(4) == 0 { 300 } else { 1 << 20 },
        log_entries_min: rng.below(30),
        log_entries_max: 1 + rng.below(200),
    }
}
