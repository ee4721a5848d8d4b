//! One run: a plan, and what came of it.

use crate::bug::Bug;
use crate::coverage::Coverage;
use crate::plan::Plan;
use crate::table::Tally;
use crate::world::{Violation, World};
use headwater_core::bugs;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

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
    /// Which faults fired.
    pub coverage: Coverage,
    /// What reads and writes were worth.
    pub tally: Tally,
    /// The promise that was not kept.
    pub violation: Option<Violation>,
    /// The timeline, if it was asked for.
    pub lines: String,
}

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
    static IS_RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a plan. A panic of a machine is a broken promise like any other.
pub fn run(plan: &Plan, bug: Option<Bug>, is_verbose: bool) -> Report {
    bugs::switch(match bug {
        Some(Bug::NoDedupe) => Some(bugs::Bug::NoDedupe),
        Some(Bug::LanesOutOfOrder) => Some(bugs::Bug::LanesOutOfOrder),
        _ => None,
    });
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
        violation: world.violation.take(),
        lines: world.trace.take_lines(),
    }
}

/// Does something that may panic; what the panic said, if it did.
pub fn guarded(run: impl FnOnce()) -> Result<(), String> {
    IS_RUNNING.set(true);
    let ended = catch_unwind(AssertUnwindSafe(run));
    IS_RUNNING.set(false);
    ended.map_err(|_| PANIC.with_borrow_mut(std::mem::take))
}

/// Keeps panics of runs for their reports instead of printing them.
pub fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| match IS_RUNNING.get() {
            true => PANIC.set(info.to_string()),
            false => usual(info),
        }));
    });
}
