//! Writes survive what their stage promises, asked once more when everything is over.

use crate::bits::Bits;
use crate::group::oracle::Written;
use crate::group::world::World;
use headwater_core::Stage;

impl World {
    /// After healing: what became of every write.
    pub fn check_survival(&mut self) {
        let Some(leader) = self.leaders().first().copied() else { return };
        let log = self.held_writes(&self.members[leader].held);
        for (write, written) in self.oracle.writes.iter().enumerate() {
            let is_excused = self.oracle.rejected.has(write) || self.oracle.doomed.has(write) || written.is_forbidden;
            if log.has(write) || is_excused {
                continue;
            }
            // In the log at the end is what a quorum had, what was on its writer's disk, what its writer kept in memory, and,
            // since all disks are back, what the leader had. Only a lost disk takes something along, and no quorum's write.
            let was_held = !written.places.is_empty() && !self.oracle.is_disk_lost;
            let is_due = written.told >= Stage::Quorum || written.is_stored || was_held;
            if is_due {
                let text = format!("{} was told {:?} and is lost", self.oracle.name(write), written.told);
                return self.violate("durability", || text);
            }
        }
        self.tally_writes(2, &log);
        let shown = self.sessions.iter().fold(Bits::default(), |mut all, session| {
            all.join(&session.seen);
            all
        });
        let lost = shown.without(&log).without(&self.oracle.rejected).within(&self.oracle.stable);
        if !lost.is_empty() {
            let names = self.oracle.names(&lost);
            self.violate("durability", || format!("{names} was visible and is lost"));
        }
    }

    /// Whether a session's bookmark names something that died with its writer or a disk before anybody else had it.
    pub fn names_lost_writes(&self, session: usize) -> bool {
        let Some(leader) = self.leaders().first().copied() else { return true };
        let log = self.held_writes(&self.members[leader].held);
        // A bookmark covers all writes of its replica, whichever session wrote them.
        let named = &self.sessions[session].bookmark.frontier;
        let is_named = |one: &Written| one.seq <= named.seq(one.origin);
        let mut lost = self.oracle.writes.iter().enumerate().filter(|(write, one)| is_named(one) && !log.has(*write));
        self.oracle.is_disk_lost || lost.next().is_some()
    }
}
