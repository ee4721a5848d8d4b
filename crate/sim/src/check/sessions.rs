//! The session guarantees (Terry et al., 1994), read by read: own writes, what was read before, and what all that
//! builds on.

use crate::bits::Bits;
use crate::coverage::Moment;
use crate::session::Reading;
use crate::world::World;
use headwater_core::session::Consistency;

impl World {
    /// A read shows this much; compares it with what its consistency promises.
    pub fn check_read(&mut self, reading: &Reading, shown: &Bits, place: &str) {
        let of_doc = &self.oracle.of_doc[reading.doc];
        let due = |writes: &Bits| writes.within(of_doc).without(shown).without(&self.oracle.rejected);
        let (own, seen, implied) = (due(&reading.own), due(&reading.seen), due(&reading.implied));
        let (stored, acked) = (due(&reading.stored), due(&reading.acked));
        let missed = [&own, &seen, &implied, &stored, &acked].map(|writes| !writes.is_empty());
        self.tally.read(reading.consistency, self.had_fault, missed);
        let evident = self.oracle.evident(reading.doc, shown);
        if let Some(write) = evident.iter().find(|write| self.oracle.writes[*write].rejected.is_some()) {
            let name = self.oracle.name(write);
            return self
                .violate("sessions", || format!("session {} is shown {name}, which was rejected", reading.session));
        }
        if self.trace.is_verbose() {
            let text = format!(
                "session {} has read at {place}, missing own {}, seen {}, implied {}, acknowledged {}",
                reading.session,
                own.iter().count(),
                seen.iter().count(),
                implied.iter().count(),
                acked.iter().count()
            );
            self.note(|| text);
        }
        if reading.consistency == Consistency::Eventual {
            return;
        }
        for (guarantee, missing) in
            [("read-your-writes", own), ("monotonic reads", seen), ("writes-follow-reads", implied)]
        {
            if !missing.is_empty() {
                let names = self.oracle.names(&missing);
                return self.violate("sessions", || {
                    format!("{guarantee}: session {} at {place} misses {names}", reading.session)
                });
            }
        }
        match reading.consistency {
            Consistency::Session => self.coverage.saw(Moment::SessionRead),
            Consistency::Strong => {
                self.coverage.saw(Moment::StrongRead);
                self.check_strong(reading, shown, &acked);
            }
            Consistency::Eventual | Consistency::MaxStaleness(_) => {}
        }
    }
}
