//! Schedules that once showed a bug in our own code, each with a sentence on it. They stay green from then on.

/// Name and text of each.
pub const ALL: &[(&str, &str)] = &[
    ("clock-set-back", include_str!("../scenarios/clock-set-back.txt")),
    ("refused-again", include_str!("../scenarios/refused-again.txt")),
    ("replaced-leader-says-reset", include_str!("../scenarios/replaced-leader-says-reset.txt")),
    ("stale-leader-vouches", include_str!("../scenarios/stale-leader-vouches.txt")),
    ("strong-shows-own-pending", include_str!("../scenarios/strong-shows-own-pending.txt")),
    ("two-wait-for-each-other", include_str!("../scenarios/two-wait-for-each-other.txt")),
    ("write-before-the-rebuild", include_str!("../scenarios/write-before-the-rebuild.txt")),
];

/// What a scenario says of itself.
pub fn sentence(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    lines.map(|line| line.trim_start_matches(['#', ' '])).collect::<Vec<_>>().join(" ")
}
