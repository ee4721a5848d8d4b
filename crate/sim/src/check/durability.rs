//! Acknowledged writes survive what their stage promises, asked once more when everything is over.

use crate::world::World;
use headwater_core::Stage;

impl World {
    /// After healing: what became of every write.
    pub fn check_survival(&mut self) {
        for write in 0..self.oracle.writes.len() {
            let written = &self.oracle.writes[write];
            let is_kept = written.committed.is_some();
            if !self.oracle.rejected.has(write) {
                let told = if written.is_killed || written.is_storage_lost { written.told_then } else { written.told };
                self.tally.write(told, written.is_killed, written.is_storage_lost, is_kept);
            }
            let promises = match written.told {
                Stage::Applied => !written.is_killed && !written.is_storage_lost,
                Stage::Local => !written.is_storage_lost,
                _ => true,
            };
            if promises && !is_kept && !self.oracle.rejected.has(write) {
                let text = format!("{} reached {:?} and is lost", self.oracle.name(write), written.told);
                return self.violate("durability", || text);
            }
        }
    }
}
