//! Logs: `(epoch, LSN)` names the same write on every disk for ever, and no disk holds a log with gaps.

use crate::group::coverage::Moment;
use crate::group::world::World;
use headwater_core::store::{StoreOp, Table, log_key, meta_key};
use headwater_core::{Epoch, Frontier, Lsn, Segment};

pub use crate::group::timeline::logs as text;

impl World {
    /// A commit has landed on a member's disk.
    pub fn check_landed(&mut self, member: usize, ops: &[StoreOp]) {
        let mut epochs: Vec<Epoch> = Vec::new();
        for op in ops {
            match op {
                StoreOp::Put { table: Table::Log, key, value } => match Segment::from_bytes(value) {
                    Ok(segment) if *key == log_key(segment.epoch, segment.last()) => {
                        self.check_segment(member, &segment);
                        epochs.push(segment.epoch);
                    }
                    Ok(segment) => self.violate("logs", || format!("m{member} keeps {segment:?} under another key")),
                    Err(error) => self.violate("logs", || format!("m{member} keeps a damaged row: {error}")),
                },
                StoreOp::Delete { table: Table::Log, .. } => {
                    self.violate("logs", || format!("m{member} deletes a log row, and nothing compacts logs yet"));
                }
                // A copy of another member's storage is whole: what it holds is held here.
                StoreOp::Delete { table: Table::Meta, key } if *key == meta_key("copying") => {
                    self.note_copy(member, ops)
                }
                _ => {}
            }
        }
        epochs.into_iter().for_each(|epoch| self.note_held(epoch));
    }

    fn note_copy(&mut self, member: usize, ops: &[StoreOp]) {
        self.coverage.saw(Moment::Copied);
        let held = ops.iter().find_map(|op| match op {
            StoreOp::Put { table: Table::Meta, key, value } if *key == meta_key("held") => {
                Frontier::from_bytes(value).ok()
            }
            _ => None,
        });
        match held {
            Some(held) => {
                self.members[member].held.join(&held);
                self.members[member].ever_held.join(&held);
                held.epochs().for_each(|(epoch, _)| self.note_held(epoch));
            }
            None => self.violate("logs", || format!("m{member} ends a copy without saying what it holds")),
        }
    }

    fn check_segment(&mut self, member: usize, segment: &Segment) {
        let epoch = segment.epoch;
        let end = self.members[member].held.lsn(epoch);
        // What is there already may be put there again, as it is.
        if segment.last() > end && segment.first != end.next() {
            let (first, last) = (segment.first, segment.last());
            self.violate("logs", || format!("m{member} holds {epoch} to {end}, and then keeps {first} to {last}"));
        }
        for (place, write) in segment.batch.writes.iter().enumerate() {
            let lsn = Lsn(segment.first.0 + place as u64);
            let Some(index) = self.oracle.find(write.origin, write.seq) else {
                return self.violate("logs", || format!("entry {epoch}/{lsn} is a write that nobody wrote"));
            };
            let docs = write.parts.iter().map(|part| self.place_of(&part.doc));
            let is_whole = docs.eq(self.oracle.writes[index].docs.iter().copied());
            let is_its = write.parts.iter().all(|p| crate::group::oracle::write_of(&p.update) == Some(index));
            if !is_whole || !is_its {
                let name = self.oracle.name(index);
                return self.violate("logs", || format!("entry {epoch}/{lsn} is not what {name} was"));
            }
            self.check_entry(member, epoch, lsn, index);
        }
        let state = &mut self.members[member];
        state.held.advance_epoch(epoch, segment.last());
        state.ever_held.advance_epoch(epoch, segment.last());
    }

    fn check_entry(&mut self, member: usize, epoch: Epoch, lsn: Lsn, index: usize) {
        let log = self.oracle.logs.entry(epoch).or_default();
        let known = log.get(lsn.0 as usize - 1).copied();
        match known {
            Some(known) if known == index => {}
            Some(known) => {
                let (known, name) = (self.oracle.name(known), self.oracle.name(index));
                self.violate("logs", || format!("entry {epoch}/{lsn} is {known}, and on the disk of m{member} {name}"));
            }
            None if log.len() as u64 + 1 == lsn.0 => {
                log.push(index);
                self.excuse_roaming(member, epoch, index);
                let written = &mut self.oracle.writes[index];
                written.places.push((epoch, lsn));
                if written.places.len() == 2 {
                    self.coverage.saw(Moment::Twice);
                }
                if self.oracle.rejected.has(index) || self.oracle.writes[index].is_forbidden {
                    let name = self.oracle.name(index);
                    self.violate("logs", || format!("{name} is refused, and in the log"));
                }
                self.trace.line(self.now, || format!("entry {epoch}/{lsn}: {}", self.oracle.name(index)));
            }
            None => self.violate("logs", || format!("entry {epoch}/{lsn} is there before the one before it")),
        }
    }

    // A client that comes to one of several leaders may have seen what that one lacks, and writes all the same: there, what it
    // had seen is not promised to come before what it writes.
    fn excuse_roaming(&mut self, member: usize, epoch: Epoch, index: usize) {
        if !self.oracle.multi.contains(&epoch) {
            return;
        }
        self.oracle.of_multi.set(index);
        let here = self.held_writes(&self.members[member].held);
        let deps = self.oracle.writes[index].deps.clone();
        // What comes with it stands before it.
        let is_with = |dep: usize| self.oracle.writes[dep].places.iter().any(|(of, _)| *of == epoch);
        let is_missing = |dep: &usize| !here.has(*dep) && !is_with(*dep);
        if deps.without(&self.oracle.rejected).iter().any(|dep| is_missing(&dep)) {
            self.oracle.writes[index].deps = crate::bits::Bits::default();
            self.coverage.saw(Moment::Roamed);
        }
    }

    // How far a quorum has ever held the log by now.
    fn note_held(&mut self, epoch: Epoch) {
        let voters = self.members.iter().filter(|member| member.is_voter());
        let mut held: Vec<Lsn> = voters.map(|member| member.ever_held.lsn(epoch)).collect();
        held.sort_unstable_by(|one, other| other.cmp(one));
        let end = held[self.plan.shape.quorum as usize - 1];
        for lsn in self.oracle.held.lsn(epoch).0..end.0 {
            let write = self.oracle.logs[&epoch][lsn as usize];
            self.oracle.stable.set(write);
        }
        self.oracle.held.advance_epoch(epoch, end);
    }

    /// Everything that a member's disk holds.
    pub fn held_writes(&self, held: &Frontier) -> crate::bits::Bits {
        let mut writes = crate::bits::Bits::default();
        for (epoch, end) in held.epochs() {
            self.oracle.logs[&epoch][..end.0 as usize].iter().for_each(|write| writes.set(*write));
        }
        writes
    }
}
