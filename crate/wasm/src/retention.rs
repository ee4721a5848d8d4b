//! How much a node keeps as its host says it, one fact on each line. What it means is the core's matter, what the values may be
//! is checked by the host, which knows what they are called there.
//!
//! ```text
//! historyMs 86400000
//! mergeBytes 4194304
//! ```

use headwater_core::node::Retention;
use headwater_core::{Error, Millis};

/// Reads it; what is not said is as by default.
pub(crate) fn parse(text: &str) -> Result<Retention, Error> {
    let mut retention = Retention::default();
    for line in text.lines() {
        let (name, value) = line.split_once(' ').ok_or_else(|| odd(line))?;
        let value: u64 = value.parse().map_err(|_| odd(line))?;
        let count = usize::try_from(value).unwrap_or(usize::MAX);
        match name {
            "foldRows" => retention.fold_rows = count,
            "foldBytes" => retention.fold_bytes = count,
            "historyMs" => retention.history = Millis(value),
            "historyBytes" => retention.history_bytes = count,
            "squashBytes" => retention.squash_bytes = count,
            "mergeBytes" => retention.merge_bytes = count,
            "logEntriesMin" => retention.log_entries_min = value,
            "logEntriesMax" => retention.log_entries_max = value,
            _ => return Err(odd(line)),
        }
    }
    Ok(retention)
}

fn odd(line: &str) -> Error {
    Error::malformed(format!("{line:?} says nothing of what is kept"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_taken_and_the_rest_is_as_by_default() {
        assert_eq!(parse(""), Ok(Retention::default()));
        let given = "foldRows 1\nfoldBytes 2\nhistoryMs 3\nhistoryBytes 4\nsquashBytes 5\nmergeBytes 6\nlogEntriesMin 7\n\
            logEntriesMax 8";
        let all = Retention {
            fold_rows: 1,
            fold_bytes: 2,
            history: Millis(3),
            history_bytes: 4,
            squash_bytes: 5,
            merge_bytes: 6,
            log_entries_min: 7,
            log_entries_max: 8,
            ..Retention::default()
        };
        assert_eq!(parse(given), Ok(all));
        for line in ["foldRows", "foldRows x", "foldRows -1", "rows 1", " 1"] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
