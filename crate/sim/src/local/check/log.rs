//! The leader's log has each write once, as it was written.

use crate::local::oracle::write_of;
use crate::local::world::World;
use headwater_core::Segment;
use headwater_core::store::{StoreOp, Table};

impl World {
    /// A commit of the node has landed.
    pub fn check_log(&mut self, ops: &[StoreOp]) {
        for op in ops {
            let StoreOp::Put { table: Table::Log, value, .. } = op else { continue };
            match Segment::from_bytes(value) {
                Ok(segment) if segment.first.0 == self.oracle.log.len() as u64 + 1 => {
                    for write in &segment.batch.writes {
                        let found = self.oracle.find(write.origin, write.seq);
                        let Some(index) = found.filter(|index| {
                            write.parts.iter().all(|part| write_of(&part.update) == Some(*index))
                                && write.parts.len() == self.oracle.writes[*index].docs.len()
                        }) else {
                            return self.violate("log", || "an entry is no write as it was written".into());
                        };
                        let name = self.oracle.name(index);
                        if self.oracle.logged.has(index) {
                            return self.violate("log", || format!("{name} enters the log again"));
                        }
                        self.oracle.log.push(index);
                        self.oracle.logged.set(index);
                        self.oracle.writes[index].place = Some(self.oracle.log.len() as u64);
                        if self.oracle.rejected.has(index) {
                            return self.violate("receipts", || format!("{name} enters the log, and was taken back"));
                        }
                    }
                }
                Ok(segment) => {
                    let end = self.oracle.log.len();
                    return self.violate("log", || format!("the log goes on at {} after {end}", segment.first));
                }
                Err(error) => return self.violate("log", || format!("a row of the log is damaged: {error}")),
            }
        }
    }
}
