//! Making a failing plan small: steps are dropped, in ever smaller runs of them, for as long as it still fails alike.
//! (Zeller, Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002.)

use crate::bug::Bug;
use crate::plan::Plan;
use crate::run::run;

const RUNS_MAX: usize = 600;

/// The smallest plan found that still breaks the same promise.
pub fn shrink(plan: &Plan, bug: Option<Bug>) -> Plan {
    let Some(first) = run(plan, bug, false).violation else { return plan.clone() };
    let mut small = plan.clone();
    small.steps.retain(|step| step.at <= first.at);
    let mut runs = 0;
    let mut fails = |candidate: &Plan| {
        runs += 1;
        runs <= RUNS_MAX && run(candidate, bug, false).violation.is_some_and(|v| v.checker == first.checker)
    };
    if !fails(&small) {
        small = plan.clone();
    }
    let mut width = small.steps.len().div_ceil(2).max(1);
    loop {
        let mut start = 0;
        let mut has_shrunk = false;
        while start < small.steps.len() {
            let mut candidate = small.clone();
            candidate.steps.drain(start..(start + width).min(small.steps.len()));
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
