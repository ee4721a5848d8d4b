//! `strong` is linearizable, over the whole database and not document by document.
//!
//! The object is the leader's log: a write appends to it, a strong read shows what a prefix of it does to one document.
//! A history is linearizable in that order exactly if each read can be given a prefix that agrees with what it showed,
//! holds everything acknowledged before it began, and is no shorter than that of a read which ended before it began.
//!
//! A tester such as stateright's searches for an order of writes and reads; here the log is the order, so giving each read
//! the shortest prefix that is possible decides the same question for runs of any length, and asks more: that the order
//! is the leader's. The test below holds it against an exhaustive search, for which no crate and its HTTP server is needed.

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

/// The strong reads so far, each with the shortest prefix of the log that it can stand for.
#[derive(Debug, Default)]
pub struct Chain(Vec<(u64, u64)>);

impl Chain {
    /// Takes in a read, in the order in which reads end. It must stand for the first `least` entries or more, and for
    /// fewer than `missing`, the first entry that it does not show. If that cannot be, how many it must stand for.
    pub fn link(&mut self, begun_at: u64, ended_at: u64, least: u64, missing: Option<u64>) -> Result<(), u64> {
        let earlier = self.0.iter().filter(|(ended_at, _)| *ended_at < begun_at).map(|(_, through)| *through);
        let through = earlier.max().unwrap_or(0).max(least);
        if missing.is_some_and(|missing| missing <= through) {
            return Err(through);
        }
        self.0.push((ended_at, through));
        Ok(())
    }
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
        let evident = self.oracle.evident(reading.doc, shown);
        let loose = evident.without(&self.oracle.committed);
        if !loose.is_empty() {
            let names = self.oracle.names(&loose);
            return self
                .violate("strong", || format!("session {session} was shown {names}, which the leader does not have"));
        }
        self.check_prefix(reading, shown, &evident);
        self.check_deletions(reading, shown);
    }

    fn check_prefix(&mut self, reading: &Reading, shown: &Bits, evident: &Bits) {
        let place = |write: usize| self.oracle.writes[write].committed.map(|(lsn, _)| lsn);
        let least = evident.iter().chain(reading.acked.iter()).filter_map(place).max().unwrap_or(0);
        let hidden = self.oracle.committed.within(&self.oracle.of_doc[reading.doc]).without(shown);
        let missing = hidden.iter().filter_map(place).min();
        if let Err(through) = self.oracle.chain.link(reading.begun_at, self.now, least, missing) {
            let lsn = missing.unwrap_or_default();
            self.violate("strong", || {
                format!("session {} misses entry {lsn}, and must show the log up to {through}", reading.session)
            });
        }
    }

    // A deletion may be there because of another write, so the prefix says nothing of it. Yet what a read shows as deleted
    // the next one shows as deleted too, whoever did it.
    fn check_deletions(&mut self, reading: &Reading, shown: &Bits) {
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
            let (session, names) = (reading.session, self.oracle.names(&less));
            return self.violate("strong", || {
                format!("session {session} misses {names}, which the strong read that ended at {ended_at} showed")
            });
        }
        let read = StrongRead { doc: reading.doc, ended_at: self.now, shown: shown.clone() };
        self.oracle.strong_reads.push(read);
    }
}

#[cfg(test)]
mod tests {
    use super::Chain;
    use crate::rng::Rng;

    const DOCS: u64 = 2;

    /// Who began and ended when; the log holds the writes in their order here.
    #[derive(Clone, Debug)]
    struct Operation {
        begun_at: u64,
        ended_at: u64,
        doc: u64,
        /// What a read showed; nothing for a write.
        shown: Option<Vec<usize>>,
    }

    /// Writes that commit within their time, and reads that show some of what was committed by their end.
    fn history(rng: &mut Rng) -> (Vec<Operation>, Vec<Operation>) {
        let mut moments: Vec<u64> = (0..100).collect();
        let mut moment = || moments.swap_remove(rng.below(moments.len() as u64) as usize);
        let mut committed: Vec<[u64; 3]> = (0..4).map(|_| [moment(), moment(), moment()]).collect();
        let spans: Vec<[u64; 2]> = (0..3).map(|_| [moment(), moment()]).collect();
        committed.iter_mut().for_each(|times| times.sort_unstable());
        committed.sort_by_key(|[_, at, _]| *at);
        let mut write = |[begun_at, _, ended_at]: &[u64; 3]| Operation {
            begun_at: *begun_at,
            ended_at: *ended_at,
            doc: rng.below(DOCS),
            shown: None,
        };
        let writes: Vec<Operation> = committed.iter().map(&mut write).collect();
        let mut read = |[one, other]: &[u64; 2]| {
            let (begun_at, ended_at, doc) = (*one.min(other), *one.max(other), rng.below(DOCS));
            let is_lucky = rng.chance(70);
            let may_show = |write: &usize| {
                writes[*write].doc == doc && committed[*write][1] < ended_at && (is_lucky || rng.chance(60))
            };
            let shown = Some((0..writes.len()).filter(may_show).collect());
            Operation { begun_at, ended_at, doc, shown }
        };
        let mut reads: Vec<Operation> = spans.iter().map(&mut read).collect();
        reads.sort_by_key(|read| read.ended_at);
        (writes, reads)
    }

    fn chain_accepts(writes: &[Operation], reads: &[Operation]) -> bool {
        let mut chain = Chain::default();
        reads.iter().all(|read| {
            let shown = read.shown.as_ref().expect("it is a read");
            let acked = (0..writes.len()).filter(|write| writes[*write].ended_at < read.begun_at);
            let least = shown.iter().copied().chain(acked).map(|write| write as u64 + 1).max().unwrap_or(0);
            let missing = (0..writes.len()).find(|write| writes[*write].doc == read.doc && !shown.contains(write));
            // An entry that is not there when the read ends is not missing.
            chain.link(read.begun_at, read.ended_at, least, missing.map(|write| write as u64 + 1)).is_ok()
        })
    }

    /// Wing and Gong, 1993: whatever nothing else must come before may come next.
    fn search_accepts(writes: &[Operation], reads: &[Operation], taken: usize) -> bool {
        let Some(earliest_end) = writes[taken..].iter().chain(reads).map(|operation| operation.ended_at).min() else {
            return true;
        };
        let may_be_next = |operation: &Operation| operation.begun_at < earliest_end;
        let write_is_next = writes.get(taken).is_some_and(may_be_next) && search_accepts(writes, reads, taken + 1);
        write_is_next
            || reads.iter().enumerate().filter(|(_, read)| may_be_next(read)).any(|(place, read)| {
                let now: Vec<usize> = (0..taken).filter(|write| writes[*write].doc == read.doc).collect();
                let mut rest = reads.to_vec();
                rest.remove(place);
                read.shown.as_ref() == Some(&now) && search_accepts(writes, &rest, taken)
            })
    }

    #[test]
    fn a_chain_is_what_an_exhaustive_search_finds() {
        let mut rng = Rng::new(1);
        let mut accepted = 0;
        const HISTORIES: u32 = 20_000;
        for _ in 0..HISTORIES {
            let (writes, reads) = history(&mut rng);
            let found = search_accepts(&writes, &reads, 0);
            assert_eq!(chain_accepts(&writes, &reads), found, "{writes:?} {reads:?}");
            accepted += u32::from(found);
        }
        assert!((HISTORIES / 10..HISTORIES * 9 / 10).contains(&accepted), "{accepted} of {HISTORIES} are linearizable");
    }
}
