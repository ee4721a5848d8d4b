//! Whole clusters under seeded faults: no promise is broken in a fixed set of seeds, nor in a fresh one each time.

use headwater_sim::run::quiet_panics;
use headwater_sim::suite::run_seeds;
use std::time::{SystemTime, UNIX_EPOCH};

const FIXED: u64 = 200;
const FIXED_FULL: u64 = 2000;

#[test]
fn no_promise_is_broken() {
    quiet_panics();
    let is_full = std::env::var("HEADWATER_FULL").is_ok_and(|value| value == "1");
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos() as u64;
    println!("fresh seed {fresh}: cargo xtask sim --seed {fresh} --trace replays it");
    let fixed = 0..if is_full { FIXED_FULL } else { FIXED };
    let sums = run_seeds(fixed.chain([fresh]), None, 2, |_| true);
    for report in &sums.failures {
        let violation = report.violation.as_ref().expect("a failure is a violation");
        println!("seed {}: {} at {}: {}", report.seed, violation.checker, violation.at, violation.text);
    }
    println!(
        "figures: sim: seeds {}, events {}, writes {}, violations {}",
        sums.runs,
        sums.events,
        sums.writes,
        sums.failures.len()
    );
    assert!(sums.failures.is_empty());
}
