//! The session guarantees (Terry et al., 1994) across members and failovers, strong reads, and staleness.

use crate::bits::Bits;
use crate::group::client::DRAIN_MS_MAX;
use crate::group::coverage::Moment;
use crate::group::session::Reading;
use crate::group::world::World;
use headwater_core::Millis;
use headwater_core::session::Consistency;

impl World {
    /// A read shows this much; compares it with what its consistency promises.
    pub fn check_read(&mut self, reading: &Reading, shown: &Bits, place: &str) {
        let of_doc = self.oracle.of_doc[reading.doc].clone();
        let mut rejected = self.oracle.rejected.clone();
        rejected.join(&self.oracle.doomed);
        let due = |writes: &Bits| writes.within(&of_doc).without(shown).without(&rejected);
        let (own, seen, implied) = (due(&reading.own), due(&reading.seen), due(&reading.implied));
        let (at_leader, at_quorum) = (due(&reading.at_leader), due(&reading.at_quorum));
        self.tally_read(reading.consistency, [&own, &seen, &implied, &at_leader, &at_quorum]);
        if reading.consistency == Consistency::Eventual {
            return;
        }
        let guarantees = [("read-your-writes", own), ("monotonic reads", seen), ("writes-follow-reads", implied)];
        if let Some((guarantee, missing)) = guarantees.iter().find(|(_, missing)| !missing.is_empty()) {
            let names = self.oracle.names(missing);
            return self
                .violate("sessions", || format!("{guarantee}: session {} at {place} misses {names}", reading.session));
        }
        match reading.consistency {
            Consistency::Session => self.coverage.saw(Moment::SessionRead),
            Consistency::MaxStaleness(_) => self.coverage.saw(Moment::BoundedRead),
            Consistency::Strong => self.check_strong(reading, shown, &at_quorum, &at_leader),
            Consistency::Eventual => {}
        }
    }

    // A strong read has everything that was acknowledged before it began; what only the leader had, unless another epoch
    // began since. It shows what a quorum holds, and no less than a strong read that ended before it began.
    fn check_strong(&mut self, reading: &Reading, shown: &Bits, at_quorum: &Bits, at_leader: &Bits) {
        if self.oracle.multi_since.is_some_and(|since| since < reading.begun_at) {
            let session = reading.session;
            return self.violate("strong", || format!("session {session} read strongly while several lead"));
        }
        self.coverage.saw(Moment::StrongRead);
        let session = reading.session;
        // Who promotes by force accepts that what was acknowledged is not there for a while.
        if self.oracle.is_forced {
            return;
        }
        if !at_quorum.is_empty() {
            let names = self.oracle.names(at_quorum);
            return self.violate("strong", || format!("session {session} misses {names}, at a quorum before it asked"));
        }
        let epoch = self.record().map_or(0, |record| record.epoch.0);
        let is_still = |write: &usize| self.oracle.writes[*write].acked_in.is_some_and(|acked| acked.0 == epoch);
        if reading.epoch == epoch
            && let Some(write) = at_leader.iter().find(is_still)
        {
            let name = self.oracle.name(write);
            return self.violate("strong", || {
                format!("session {session} misses {name}, which its leader had acknowledged before it asked")
            });
        }
        let loose = shown.without(&self.oracle.stable).without(&self.oracle.of_multi);
        if !loose.is_empty() {
            let names = self.oracle.names(&loose);
            return self.violate("strong", || format!("session {session} was shown {names}, which no quorum holds"));
        }
        let before = self
            .oracle
            .strong_reads
            .iter()
            .filter(|(ended_at, doc, _)| *doc == reading.doc && *ended_at < reading.begun_at);
        let less = before.map(|(ended_at, _, other)| (*ended_at, other.without(shown))).find(|(_, l)| !l.is_empty());
        if let Some((ended_at, less)) = less {
            let names = self.oracle.names(&less);
            return self.violate("strong", || {
                format!("session {session} misses {names}, which the strong read that ended at {ended_at} showed")
            });
        }
        self.oracle.strong_reads.push((self.now, reading.doc, shown.clone()));
    }

    /// Reported staleness is never better than true staleness, measured on the reader's clock.
    pub fn check_staleness(&mut self, client: usize, reading: &Reading, shown: &Bits, reported: Option<Millis>) {
        if let Consistency::MaxStaleness(limit) = reading.consistency
            && reported.is_none_or(|reported| reported.0 > limit.0 + DRAIN_MS_MAX)
        {
            return self.violate("staleness", || format!("a read bound to {limit} ms reports {reported:?}"));
        }
        let Some(reported) = reported.filter(|_| !self.oracle.is_forced) else { return };
        let missing = self.oracle.at_quorum.within(&self.oracle.of_doc[reading.doc]).without(shown);
        let since = |write: usize| self.oracle.writes[write].at_quorum_since.map(|at| (at, write));
        let Some((at, write)) = missing.iter().filter_map(since).min() else { return };
        let clock = &self.clients[client].clock;
        let truth = clock.monotonic(self.now) - clock.monotonic(at);
        if reported.0 < truth {
            let name = self.oracle.name(write);
            self.violate("staleness", || {
                format!("client {client} reports {reported} ms, and misses {name}, at a quorum {truth} ms ago")
            });
        }
    }
}
