//! The log: one effect for each `(origin, seq)`, whole and unchanged, no entry lost, causes before effects.

use crate::trace::hash_of;
use crate::world::World;
use headwater_core::segment::Segment;
use headwater_core::store::{Scan, Table, log_key};
use headwater_core::{Epoch, Lsn, Write};

impl World {
    /// Takes in what a node instance has committed since.
    pub fn check_log(&mut self, node: usize) {
        let status = self.edge.instances[node].core.status();
        if !status.is_loaded {
            return;
        }
        self.check_epoch(node);
        if !self.edge.instances[node].is_stale && status.lsn.0 < self.oracle.log_end {
            let text = format!("node {node} ends at {}, the log had {} entries", status.lsn, self.oracle.log_end);
            return self.violate("durability", || text);
        }
        if status.lsn.0 <= self.oracle.log_end {
            return;
        }
        let from = log_key(Epoch(1), Lsn(self.oracle.log_end + 1));
        let rows = self.edge.disk.scan(&Scan { table: Table::Log, from, to: None, limit: None });
        for row in rows {
            let segment = match Segment::from_bytes(&row.value) {
                Ok(segment) => segment,
                Err(error) => return self.violate("storage", || format!("a log row is damaged: {error}")),
            };
            if segment.epoch != status.epoch || segment.first.0 != self.oracle.log_end + 1 {
                let text =
                    format!("a log row of {}/{} follows entry {}", segment.epoch, segment.first, self.oracle.log_end);
                return self.violate("effects", || text);
            }
            if segment.first > status.lsn {
                break;
            }
            segment.batch.writes.iter().for_each(|write| self.check_entry(write));
        }
        if self.oracle.log_end < status.lsn.0 {
            let text = format!("node {node} shows entry {}, its storage holds {}", status.lsn, self.oracle.log_end);
            self.violate("durability", || text);
        }
    }

    fn check_entry(&mut self, entry: &Write) {
        self.oracle.log_end += 1;
        let lsn = self.oracle.log_end;
        let Some(write) = self.oracle.find(entry.origin, entry.seq) else {
            return self.violate("effects", || format!("entry {lsn} is a write that nobody wrote"));
        };
        if self.oracle.committed.has(write) {
            let text = format!("entry {lsn} repeats {}", self.oracle.name(write));
            return self.violate("effects", || text);
        }
        if self.oracle.rejected.has(write) {
            let text = format!("entry {lsn} is {}, which was rejected", self.oracle.name(write));
            return self.violate("effects", || text);
        }
        let effects = &self.oracle.writes[write].effects;
        let is_same = effects.len() == entry.parts.len()
            && effects
                .iter()
                .zip(&entry.parts)
                .all(|(effect, part)| self.docs[effect.doc] == part.doc && effect.hash == hash_of(&part.update));
        if !is_same {
            let text = format!("entry {lsn} is not what {} wrote", self.oracle.name(write));
            return self.violate("effects", || text);
        }
        self.oracle.committed.set(write);
        self.oracle.writes[write].committed = Some((lsn, self.now));
        self.oracle.log.push(write);
        self.trace.line(self.now, || format!("entry {lsn}: {}", self.oracle.name(write)));
        // A write whose causes come later breaks monotonic writes, or writes-follow-reads, for everybody.
        if let Some(effect) = self.oracle.overtaken.remove(&write) {
            let text = format!(
                "{} follows {}, and was before it in its session",
                self.oracle.name(write),
                self.oracle.name(effect)
            );
            return self.violate("sessions", || text);
        }
        let causes = self.oracle.writes[write].deps.without(&self.oracle.committed).without(&self.oracle.rejected);
        for cause in causes.iter() {
            self.oracle.overtaken.entry(cause).or_insert(write);
        }
    }
}
