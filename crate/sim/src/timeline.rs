//! Frames as a reader of a timeline wants to see them.

use headwater_core::Batch;
use headwater_core::frame::{ClientFrame, NodeFrame};
use headwater_core::store::StoreOp;

/// A frame of a replica.
pub fn client_frame(bytes: &[u8]) -> String {
    match ClientFrame::decode(bytes) {
        Ok(ClientFrame::Push { resume, prev, batch }) => format!("Push resume={resume} prev={prev} {}", writes(&batch)),
        Ok(frame) => format!("{frame:?}"),
        Err(error) => format!("undecodable: {error}"),
    }
}

/// A frame of a node.
pub fn node_frame(bytes: &[u8]) -> String {
    match NodeFrame::decode(bytes) {
        Ok(NodeFrame::Entries { group, through, batch, .. }) => {
            format!("Entries group={group} through={through} {}", writes(&batch))
        }
        Ok(frame) => format!("{frame:?}"),
        Err(error) => format!("undecodable: {error}"),
    }
}

fn writes(batch: &Batch) -> String {
    let name = |write: &headwater_core::Write| {
        let docs: Vec<&str> = write.parts.iter().map(|part| part.doc.as_str()).collect();
        format!("{:.4}…/{}({})", write.origin.to_string(), write.seq, docs.join("+"))
    };
    format!("[{}]", batch.writes.iter().map(name).collect::<Vec<_>>().join(" "))
}

/// The changes of a commit.
pub fn ops(ops: &[StoreOp]) -> String {
    let text = |op: &StoreOp| match op {
        StoreOp::Put { table, key, value } => format!("{}/{}={}", table.as_str(), hex(key), value.len()),
        StoreOp::Delete { table, key } => format!("-{}/{}", table.as_str(), hex(key)),
    };
    ops.iter().map(text).collect::<Vec<_>>().join(" ")
}

fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
