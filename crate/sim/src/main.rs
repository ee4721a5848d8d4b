//! The simulator from the command line; `cargo xtask sim` runs it.

use headwater_sim::plan::Plan;
use headwater_sim::run::{quiet_panics, run};
use headwater_sim::shrink::shrink;
use headwater_sim::suite::run_seeds;
use std::time::Instant;

fn main() {
    quiet_panics();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1)).cloned();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    if let Some(seed) = value("--seed") {
        let mut plan = Plan::of(seed.parse().expect("a number"));
        if has("--shrink") {
            plan = shrink(&plan, None);
            println!("{plan}");
        }
        let report = run(&plan, None, has("--trace"));
        print!("{}", report.lines);
        println!("{:?} hash {:016x} events {}", report.violation, report.hash, report.events);
        return;
    }
    let seeds: u64 = value("--seeds").map_or(100, |text| text.parse().expect("a number"));
    let start = Instant::now();
    let sums = run_seeds(0..seeds, None, 2, |_| true);
    for report in &sums.failures {
        let v = report.violation.as_ref().unwrap();
        println!("seed {} {} at {}: {:.300}", report.seed, v.checker, v.at, v.text);
    }
    for (name, count) in sums.coverage.rows() {
        print!("{name} {count}; ");
    }
    println!("\n{:?}", sums.tally);
    println!("{} seeds, {} failures, {} events in {:?}", sums.runs, sums.failures.len(), sums.events, start.elapsed());
}
