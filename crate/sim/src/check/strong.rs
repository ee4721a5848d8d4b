//! `strong` is linearizable.
//!
//! The object is a document's log: a write appends to it, a strong read returns a part of it. A history of such
//! operations is linearizable exactly if the reads can be put into a chain by inclusion that respects real time: a read
//! shows every write that was acknowledged before it began and everything that a read showed which ended before it
//! began; two reads never show each something that the other does not; and no read shows what never gets into the log.
//! Each of the four is checked for each read against all earlier ones, so no search over orders is needed.

use crate::bits::Bits;
use crate::session::Reading;
use crate::world::World;

/// A strong read that has ended.
#[derive(Debug)]
pub struct StrongRead {
    doc: usize,
    ended_at: u64,
    shown: Bits,
}

impl World {
    /// A strong read shows this much.
    pub fn check_strong(&mut self, reading: &Reading, shown: &Bits, missing: &Bits) {
        let session = reading.session;
        if !missing.is_empty() {
            let names = self.oracle.names(missing);
            return self
                .violate("strong", || format!("session {session} misses {names}, acknowledged before it asked"));
        }
        let loose = self.oracle.evident(reading.doc, shown).without(&self.oracle.committed);
        if !loose.is_empty() {
            let names = self.oracle.names(&loose);
            return self
                .violate("strong", || format!("session {session} was shown {names}, which the leader does not have"));
        }
        let mut broken = None;
        for other in self.oracle.strong_reads.iter().filter(|other| other.doc == reading.doc) {
            let (more, less) = (shown.without(&other.shown), other.shown.without(shown));
            let is_behind = other.ended_at < reading.begun_at && !less.is_empty();
            if is_behind || !(more.is_empty() || less.is_empty()) {
                broken = Some((other.ended_at, less));
                break;
            }
        }
        if let Some((ended_at, less)) = broken {
            let names = self.oracle.names(&less);
            return self.violate("strong", || {
                format!("session {session} misses {names}, which the strong read that ended at {ended_at} showed")
            });
        }
        let read = StrongRead { doc: reading.doc, ended_at: self.now, shown: shown.clone() };
        self.oracle.strong_reads.push(read);
    }
}
