//! One function for a JavaScript engine: the trace hash of a seed. See `tests/trace_hash.mjs`.

/// The hash of everything that happens in the run of `seed`.
// SAFETY: no other symbol of this name is linked into this module.
#[unsafe(no_mangle)]
pub extern "C" fn trace_hash(seed: u64) -> u64 {
    headwater_sim::run::run(&headwater_sim::plan::Plan::of(seed), None, false).hash
}
