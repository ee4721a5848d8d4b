//! Frames, commits and writes as a reader of a timeline wants to see them: short, and each thing by one name.
//!
//! `2b92…/3` is the third write of the origin that begins with 2b92, `1/12` the twelfth entry of epoch 1.

use crate::oracle::Effect;
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::store::{StoreOp, Table, origin_of_key};
use headwater_core::{Batch, DocName, Frontier, Origin, Seq};

/// A frame of a replica.
pub fn client_frame(bytes: &[u8]) -> String {
    let frame = match ClientFrame::decode(bytes) {
        Ok(frame) => frame,
        Err(error) => return format!("undecodable: {error}"),
    };
    match frame {
        ClientFrame::Hello { origin, generation, .. } => {
            format!(
                "hello from {}, last synced with generation {}",
                short(origin),
                hex(&generation.0.to_be_bytes()[..2])
            )
        }
        ClientFrame::Subscribe { group, frontier, docs } => {
            format!("subscribe group {group} from {}: {}", logs(&frontier), names(docs.iter()))
        }
        ClientFrame::Unsubscribe { docs } => format!("unsubscribe: {}", names(docs.iter())),
        ClientFrame::Credit { group, frames } => format!("credit of {frames} for group {group}"),
        ClientFrame::Push { resume, prev, batch } => {
            format!("push{} after {prev}: {}", if resume { ", resumed," } else { "" }, writes(&batch))
        }
        ClientFrame::Barrier { id, strong, frontier } => {
            format!("barrier {id}{} at {}", if strong { ", strong," } else { "" }, logs(&frontier))
        }
        ClientFrame::Cancel { id } => format!("cancel barrier {id}"),
        ClientFrame::Await { id, origin, seq, concern } => {
            format!("await {id}: {concern:?} of {}", write(origin, seq))
        }
        ClientFrame::Have { doc, bytes, .. } => format!("has {bytes} bytes of the snapshot of {}", doc.as_str()),
        ClientFrame::Signal { to, bytes } => format!("a signal of {} bytes to {}", bytes.len(), short(to)),
    }
}

/// A frame of a node.
pub fn node_frame(bytes: &[u8]) -> String {
    let frame = match NodeFrame::decode(bytes) {
        Ok(frame) => frame,
        Err(error) => return format!("undecodable: {error}"),
    };
    match frame {
        NodeFrame::Welcome { generation, epoch, frontier, .. } => {
            let generation = hex(&generation.0.to_be_bytes()[..2]);
            format!("welcome to generation {generation}, epoch {epoch}, at {}", logs(&frontier))
        }
        NodeFrame::Entries { group, epoch, through, batch } => {
            let stream = if group == 0 { "live".into() } else { format!("group {group}") };
            format!("entries, {stream}, through {epoch}/{through}: {}", writes(&batch))
        }
        NodeFrame::Live { group, frontier } => format!("group {group} is live at {}", logs(&frontier)),
        NodeFrame::Ack { origin, seq, stage, epoch, lsn, through } => {
            format!("ack of {} as {stage:?} at {epoch}/{lsn}, through {epoch}/{through}", write(origin, seq))
        }
        NodeFrame::Rejected { origin, seq, error } => format!("{} is rejected: {error}", write(origin, seq)),
        NodeFrame::Reached { id, frontier } => format!("barrier {id} is reached at {}", logs(&frontier)),
        NodeFrame::Failed { id, error } => format!("barrier {id} fails: {error}"),
        NodeFrame::Error { error, retry_after_ms } => format!("error: {error}; again in {retry_after_ms} ms"),
        NodeFrame::Contents { group, contents } => {
            let of = |content: &headwater_core::frame::Content| {
                format!("{} to {}", content.doc.as_str(), logs(&content.frontier))
            };
            format!("contents for group {group}: {}", contents.iter().map(of).collect::<Vec<_>>().join(", "))
        }
        NodeFrame::Chunk { doc, offset, total, .. } => format!("chunk of {} at {offset} of {total}", doc.as_str()),
        NodeFrame::Signal { from, bytes } => format!("a signal of {} bytes from {}", bytes.len(), short(from)),
    }
}

/// The changes of a commit.
pub fn ops(ops: &[StoreOp]) -> String {
    let text = |op: &StoreOp| match op {
        StoreOp::Put { table, key, value } => {
            format!("{} {} ({} bytes)", table.as_str(), row(*table, key), value.len())
        }
        StoreOp::Delete { table, key } => format!("less {} {}", table.as_str(), row(*table, key)),
        StoreOp::DeleteRange { table, .. } => format!("fewer {}", table.as_str()),
    };
    ops.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// What a write does to a document: the operations of which client.
pub fn effect(doc: &DocName, effect: &Effect) -> String {
    let list = |runs: &[crate::oracle::Run]| runs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let parts = [("inserts", &effect.inserts), ("deletes", &effect.deletes)];
    let parts = parts.iter().filter(|(_, runs)| !runs.is_empty());
    let parts: Vec<String> = parts.map(|(verb, runs)| format!("{verb} {}", list(runs))).collect();
    format!("{}: {}", doc.as_str(), parts.join(", "))
}

fn short(origin: Origin) -> String {
    format!("{:.4}…", origin.to_string())
}

fn write(origin: Origin, seq: Seq) -> String {
    format!("{}/{seq}", short(origin))
}

fn writes(batch: &Batch) -> String {
    let name = |one: &headwater_core::Write| {
        format!("{} to {}", write(one.origin, one.seq), names(one.parts.iter().map(|part| &part.doc)))
    };
    match &batch.writes[..] {
        [] => "nothing".into(),
        writes => writes.iter().map(name).collect::<Vec<_>>().join(", "),
    }
}

fn names<'a>(docs: impl Iterator<Item = &'a DocName>) -> String {
    docs.map(DocName::as_str).collect::<Vec<_>>().join("+")
}

fn logs(frontier: &Frontier) -> String {
    let epochs = frontier.epochs().map(|(epoch, lsn)| format!("{epoch}/{lsn}"));
    let all: Vec<String> = epochs.chain(frontier.origins().map(|(origin, seq)| write(origin, seq))).collect();
    if all.is_empty() { "zero".into() } else { all.join(" ") }
}

// A row's key, as `headwater_core::store` makes it.
fn row(table: Table, key: &[u8]) -> String {
    let numbered = |key: &[u8]| {
        let number = key.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        Some(write(origin_of_key(key)?, Seq(number?)))
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let named = match table {
        Table::Meta | Table::Docs => Some(text(key)),
        Table::Outbox => numbered(key),
        Table::Streams | Table::Origins => origin_of_key(key).map(short),
        Table::Updates => key.iter().position(|byte| *byte == 0).and_then(|end| {
            let counted = numbered(&key[end + 1..])?;
            Some(format!("{} {counted}", text(&key[..end])))
        }),
        Table::Log | Table::Contents | Table::Times => None,
    };
    named.unwrap_or_else(|| hex(key))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
