//! Sorting that costs few bytes of wasm. The core has the same for its own, and neither crate knows the other.

use std::cmp::Ordering;

/// Sorts by a key; equal ones keep their order.
///
/// Why not the standard sort: each type that it sorts compiles to some 6 KB of wasm. This sorts places, with one routine for
/// all types, and then moves.
pub fn sort_by_key<T, K: Ord>(items: &mut Vec<T>, key: impl Fn(&T) -> K) {
    let order = places(items.len(), &|left, right| key(&items[left]).cmp(&key(&items[right])));
    let mut taken: Vec<Option<T>> = items.drain(..).map(Some).collect();
    items.extend(order.into_iter().filter_map(|place| taken[place].take()));
}

/// A heap sort of the places 0, 1, 2 … below `count`.
fn places(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let is_before = |left: usize, right: usize| compare(left, right).then(left.cmp(&right)).is_lt();
    let sink = |places: &mut [usize], mut at: usize| {
        loop {
            let mut child = 2 * at + 1;
            if child + 1 < places.len() && is_before(places[child], places[child + 1]) {
                child += 1;
            }
            if child >= places.len() || !is_before(places[at], places[child]) {
                return;
            }
            places.swap(at, child);
            at = child;
        }
    };
    let mut places: Vec<usize> = (0..count).collect();
    (0..count / 2).rev().for_each(|at| sink(&mut places, at));
    for end in (1..count).rev() {
        places.swap(0, end);
        sink(&mut places[..end], 0);
    }
    places
}
