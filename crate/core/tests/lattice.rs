//! Frontiers and bookmarks are lattices, and a bookmark survives its trip as text or is refused.

use crate::samples;
use headwater_core::limits::FRONTIER_LOGS_MAX;
use headwater_core::{Bookmark, Code, Epoch, Frontier, Generation, Lsn, Origin, Seq};
use proptest::prelude::*;
use std::cmp::Ordering;

fn join(a: &Frontier, b: &Frontier) -> Frontier {
    let mut join = a.clone();
    join.join(b);
    join
}

/// Equal bookmarks, or two refusals.
fn merge(a: Option<&Bookmark>, b: Option<&Bookmark>) -> Option<Bookmark> {
    a?.merge(b?).ok()
}

fn is_at_most(a: &Bookmark, b: &Bookmark) -> bool {
    matches!(a.partial_cmp(b), Some(Ordering::Less | Ordering::Equal))
}

proptest! {
    #[test]
    fn frontiers_form_a_lattice(a in samples::frontier(), b in samples::frontier(), c in samples::frontier()) {
        prop_assert_eq!(join(&a, &b), join(&b, &a));
        prop_assert_eq!(a.meet(&b), b.meet(&a));
        prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
        prop_assert_eq!(a.meet(&b).meet(&c), a.meet(&b.meet(&c)));
        prop_assert_eq!(join(&a, &a), a.clone());
        prop_assert_eq!(a.meet(&a), a.clone());
        prop_assert_eq!(join(&a, &a.meet(&b)), a.clone());
        prop_assert_eq!(a.meet(&join(&a, &b)), a.clone());
    }

    #[test]
    fn domination_is_a_partial_order(a in samples::frontier(), b in samples::frontier(), c in samples::frontier()) {
        prop_assert!(a.dominates(&a));
        prop_assert_eq!(a.dominates(&b) && b.dominates(&a), a == b);
        prop_assert!(!(a.dominates(&b) && b.dominates(&c)) || a.dominates(&c));
        // The order is the one that join and meet induce.
        prop_assert_eq!(a.dominates(&b), join(&a, &b) == a);
        prop_assert_eq!(a.dominates(&b), a.meet(&b) == b);
        // Join is the least upper bound, meet the greatest lower one.
        prop_assert!(join(&a, &b).dominates(&a) && join(&a, &b).dominates(&b));
        prop_assert!(!(c.dominates(&a) && c.dominates(&b)) || c.dominates(&join(&a, &b)));
        prop_assert!(!(a.dominates(&c) && b.dominates(&c)) || a.meet(&b).dominates(&c));
    }

    #[test]
    fn bookmarks_form_a_lattice_within_a_generation(
        a in samples::bookmark(), b in samples::bookmark(), c in samples::bookmark(),
    ) {
        prop_assert_eq!(merge(Some(&a), Some(&b)), merge(Some(&b), Some(&a)));
        prop_assert_eq!(merge(Some(&a), Some(&a)), Some(a.clone()));
        let left = merge(merge(Some(&a), Some(&b)).as_ref(), Some(&c));
        let right = merge(Some(&a), merge(Some(&b), Some(&c)).as_ref());
        prop_assert_eq!(left, right);
        prop_assert_eq!(a.partial_cmp(&b), b.partial_cmp(&a).map(Ordering::reverse));
        prop_assert_eq!(a.partial_cmp(&b) == Some(Ordering::Equal), a == b);
        prop_assert!(!(is_at_most(&a, &b) && is_at_most(&b, &c)) || is_at_most(&a, &c));
        // The order is the one that merging induces.
        prop_assert_eq!(is_at_most(&a, &b), merge(Some(&a), Some(&b)).as_ref() == Some(&b));
    }

    #[test]
    fn bookmarks_of_two_generations_do_not_merge(a in samples::bookmark(), b in samples::bookmark()) {
        let is_foreign = a.generation != b.generation && a.generation.0 != 0 && b.generation.0 != 0;
        prop_assert_eq!(a.merge(&b).is_err(), is_foreign);
        if let Err(error) = a.merge(&b) {
            prop_assert_eq!(error.code, Code::BookmarkLost);
            prop_assert_eq!(a.partial_cmp(&b), None);
        }
    }

    #[test]
    fn a_bookmark_survives_as_text(bookmark in samples::bookmark()) {
        let text = bookmark.to_string();
        prop_assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        prop_assert_eq!(text.parse::<Bookmark>().unwrap(), bookmark);
    }

    #[test]
    fn a_damaged_bookmark_is_refused(bookmark in samples::bookmark(), replacement in "[A-Za-z0-9_=. ü-]") {
        let text = bookmark.to_string();
        for place in 0..text.len() {
            let changed = format!("{}{replacement}{}", &text[..place], &text[place + 1..]);
            prop_assert!(changed.parse::<Bookmark>().is_err() || changed.parse() == Ok(bookmark.clone()));
            prop_assert!(text[..place].parse::<Bookmark>().is_err(), "the first {} characters", place);
            let lost = format!("{}{}", &text[..place], &text[place + 1..]);
            prop_assert!(lost.parse::<Bookmark>().is_err() || lost.parse() == Ok(bookmark.clone()));
        }
    }
}

/// Every character against every other one, for one bookmark with everything in it.
#[test]
fn no_single_character_can_change_unseen() {
    let mut frontier = Frontier::at(Epoch(3), Lsn(70_000));
    frontier.advance_origin(Origin(0x0123_4567_89ab_cdef), Seq(300));
    let bookmark = Bookmark::new(Generation(0xfeed), frontier);
    let text = bookmark.to_string();
    for place in 0..text.len() {
        for byte in (0..128u8).filter(|byte| *byte != text.as_bytes()[place]) {
            let changed = format!("{}{}{}", &text[..place], char::from(byte), &text[place + 1..]);
            assert!(changed.parse::<Bookmark>().is_err(), "{changed} for {text}");
        }
    }
}

#[test]
fn the_largest_bookmark_parses() {
    let mut frontier = Frontier::default();
    for log in 0..FRONTIER_LOGS_MAX as u64 {
        frontier.advance_epoch(Epoch(u64::MAX - log), Lsn(u64::MAX));
        frontier.advance_origin(Origin(u64::MAX - log), Seq(u64::MAX));
    }
    let bookmark = Bookmark::new(Generation(u64::MAX), frontier);
    assert_eq!(bookmark.to_string().parse::<Bookmark>().unwrap(), bookmark);
}
