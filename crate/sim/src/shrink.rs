//! Making a failing plan small: steps are dropped, in ever smaller runs of them, for as long as it still fails alike.
//! (Zeller, Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002.)

use crate::bug::Bug;
use crate::plan::{Plan, Step};
use crate::run::run;

const RUNS_MAX: usize = 600;

/// The smallest plan found that still breaks the same promise.
pub fn shrink(plan: &Plan, bug: Option<Bug>) -> Plan {
    let Some(first) = run(plan, bug, false).violation else { return plan.clone() };
    let fails = |steps: &[Step]| {
        let candidate = Plan { steps: steps.to_vec(), ..plan.clone() };
        run(&candidate, bug, false).violation.is_some_and(|violation| violation.checker == first.checker)
    };
    let steps = least(plan.steps.clone(), |step| step.at <= first.at, fails);
    Plan { steps, ..plan.clone() }
}

/// The fewest steps found that still fail. What `is_before` the failure says no of is dropped first.
pub fn least<S: Clone>(all: Vec<S>, is_before: impl Fn(&S) -> bool, fails: impl Fn(&[S]) -> bool) -> Vec<S> {
    let mut runs = 0;
    let mut fails = |candidate: &[S]| {
        runs += 1;
        runs <= RUNS_MAX && fails(candidate)
    };
    let mut small = all.clone();
    small.retain(is_before);
    if !fails(&small) {
        small = all;
    }
    let mut width = small.len().div_ceil(2).max(1);
    loop {
        let mut start = 0;
        let mut has_shrunk = false;
        while start < small.len() {
            let mut candidate = small.clone();
            candidate.drain(start..(start + width).min(small.len()));
            if fails(&candidate) {
                small = candidate;
                has_shrunk = true;
            } else {
                start += width;
            }
        }
        if width == 1 && !has_shrunk {
            return small;
        }
        width = (width / 2).max(1);
    }
}
