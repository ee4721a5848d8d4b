//! One run of a group: a plan, and what came of it.

use super::bug::Bug;
use super::coverage::Coverage;
use super::plan::Plan;
use super::tally::Tally;
use super::world::World;
use crate::run::guarded;
use crate::world::Violation;

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// The hash of everything that happened.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// How many writes.
    pub writes: u64,
    /// What it went through.
    pub coverage: Coverage,
    /// What reads and writes were worth.
    pub tally: Tally,
    /// Whether several led, at times or always.
    pub leads_several: bool,
    /// The promise that was not kept.
    pub violation: Option<Violation>,
    /// The timeline, if it was asked for.
    pub lines: String,
}

/// Runs a plan. A panic of a machine is a broken promise like any other.
pub fn run(plan: &Plan, bug: Option<Bug>, is_verbose: bool) -> Report {
    let mut world = World::new(plan.clone(), bug, is_verbose);
    if let Err(text) = guarded(|| world.run()) {
        world.violation = None;
        world.violate("panic", || text);
    }
    Report {
        seed: plan.seed,
        hash: world.trace.hash,
        events: world.trace.events,
        writes: world.oracle.writes.len() as u64,
        coverage: std::mem::take(&mut world.coverage),
        tally: std::mem::take(&mut world.tally),
        leads_several: plan.shape.multi > 0,
        violation: world.violation.take(),
        lines: world.trace.take_lines(),
    }
}

/// The smallest plan found that still breaks the same promise.
pub fn shrink(plan: &Plan, bug: Option<Bug>) -> Plan {
    let Some(first) = run(plan, bug, false).violation else { return plan.clone() };
    let fails = |steps: &[_]| {
        let candidate = Plan { steps: steps.to_vec(), ..plan.clone() };
        run(&candidate, bug, false).violation.is_some_and(|violation| violation.checker == first.checker)
    };
    let steps = crate::shrink::least(plan.steps.clone(), |step| step.at <= first.at, fails);
    Plan { steps, ..plan.clone() }
}
