//! At most one instance leads in an epoch, and epochs only grow: once a newer instance has read the log or written to it,
//! an older one commits nothing any more.

use crate::world::World;
use headwater_core::Epoch;
use headwater_core::segment::Segment;
use headwater_core::store::{StoreOp, Table};

/// The newest tenure that has shown itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tenure {
    epoch: Epoch,
    node: usize,
}

impl World {
    /// An instance has loaded its storage, and leads for all it knows.
    pub fn check_epoch(&mut self, node: usize) {
        let epoch = self.edge.instances[node].core.status().epoch;
        let Tenure { epoch: newest, node: leader } = self.oracle.tenure;
        if node >= leader && epoch < newest {
            return self.violate("leaders", || format!("node {node} leads in epoch {epoch}, after epoch {newest}"));
        }
        self.oracle.tenure = Tenure { epoch: epoch.max(newest), node: node.max(leader) };
    }

    /// A commit of an instance lands.
    pub fn check_leader(&mut self, node: usize, ops: &[StoreOp]) {
        let Tenure { epoch: newest, node: leader } = self.oracle.tenure;
        if node < leader {
            return self.violate("leaders", || format!("node {node} commits while node {leader} leads"));
        }
        for op in ops {
            let StoreOp::Put { table: Table::Log, value, .. } = op else { continue };
            let Ok(segment) = Segment::from_bytes(value) else { continue };
            if segment.epoch < newest {
                let epoch = segment.epoch;
                return self
                    .violate("leaders", || format!("node {node} appends to epoch {epoch}, after epoch {newest}"));
            }
        }
        self.oracle.tenure.node = node;
    }
}
