//! Calls between members as a reader of a timeline wants to see them: short, and each thing by one name.

use headwater_core::node::group::message::{Answer, Append, Ask, Call, Outcome, Reply};
use headwater_core::store::{StoreOp, Table};
use headwater_core::{Frontier, Segment};

/// A question.
pub fn call(bytes: &[u8]) -> String {
    let Call { epoch, ask, .. } = match Call::decode(bytes) {
        Ok(call) => call,
        Err(error) => return format!("undecodable: {error}"),
    };
    let text = match ask {
        Ask::Append(Append { leader, stable, rows, next_ms, .. }) => {
            let who = leader.map_or("candidate".into(), |name| format!("for {name}"));
            format!("append {who}, stable {}, next {next_ms} ms: {}", logs(&stable), segments(&rows))
        }
        Ask::Promise => "promise".into(),
        Ask::Fetch { of, after } => format!("fetch {of} after {after}"),
        Ask::Misses => "misses".into(),
        Ask::Forward { pushes } => format!("forward {} pushes", pushes.len()),
        Ask::Barrier { frontier } => format!("barrier at {}", logs(&frontier)),
        Ask::News => "news".into(),
        Ask::Copy(copy) => format!("{} rows of a copy up to {}", copy.rows.len(), logs(&copy.folded)),
    };
    format!("[{epoch}] {text}")
}

/// An answer.
pub fn reply(bytes: &[u8]) -> String {
    let Reply { epoch, leader, answer } = match Reply::decode(bytes) {
        Ok(reply) => reply,
        Err(error) => return format!("undecodable: {error}"),
    };
    let text = match answer {
        Answer::Held { frontier, applied, is_joined, .. } => {
            let joined = if is_joined { "" } else { ", not joined" };
            format!("holds {}, shows {}{joined}", logs(&frontier), logs(&applied))
        }
        Answer::Rows { rows } => format!("rows {}", segments(&rows)),
        Answer::Misses { is_missed } => format!("misses: {is_missed}"),
        Answer::Forwarded { outcomes } => {
            let taken = outcomes.iter().filter(|outcome| **outcome == Outcome::Taken).count();
            format!("{taken} of {} pushes taken", outcomes.len())
        }
        Answer::At { frontier } => format!("at {}", logs(&frontier)),
        Answer::Noted => "noted".into(),
        Answer::Refused { error } => format!("refused: {error}"),
    };
    let leader = leader.map_or("nobody".into(), |name| name.to_string());
    format!("[{epoch}, {leader} leads] {text}")
}

/// The changes of a member's commit.
pub fn ops(ops: &[StoreOp]) -> String {
    let text = |op: &StoreOp| match op {
        StoreOp::Put { table: Table::Log, value, .. } => segment(value),
        StoreOp::Put { table, key, .. } => format!("{} {}", table.as_str(), String::from_utf8_lossy(key)),
        StoreOp::Delete { table, key } => format!("less {} {}", table.as_str(), String::from_utf8_lossy(key)),
        StoreOp::DeleteRange { table, .. } => format!("fewer {}", table.as_str()),
    };
    ops.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn segments(rows: &[Vec<u8>]) -> String {
    match rows {
        [] => "nothing".into(),
        rows => rows.iter().map(|row| segment(row)).collect::<Vec<_>>().join(", "),
    }
}

fn segment(row: &[u8]) -> String {
    match Segment::from_bytes(row) {
        Ok(segment) => format!("{}/{}–{}", segment.epoch, segment.first, segment.last()),
        Err(error) => format!("undecodable: {error}"),
    }
}

/// A frontier over leaders' logs.
pub fn logs(frontier: &Frontier) -> String {
    let epochs: Vec<String> = frontier.epochs().map(|(epoch, lsn)| format!("{epoch}/{lsn}")).collect();
    if epochs.is_empty() { "zero".into() } else { epochs.join(" ") }
}
