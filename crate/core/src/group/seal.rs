//! Sealing: finding, before a new epoch opens, how long the logs of the earlier ones are.
//!
//! A write at `quorum` is held by Q of N voters. Any N - Q + 1 voters have one of them among them, so once that many
//! have promised to append nothing below the new epoch, nothing more can reach `quorum` in an old one, and the longest
//! log among them has everything that ever did. Entries are identified by `(epoch, LSN)` and a voter holds a log without
//! gaps, so the union of what they hold is simply, for each epoch, the longest.

use super::concern::held_by;
use super::member::{Member, MemberName};
use super::record::Record;
use crate::frontier::Frontier;
use crate::ids::{Epoch, Lsn};

/// The promises that a candidate has collected for its epoch.
#[derive(Clone, Debug)]
pub struct Seal {
    epoch: Epoch,
    voters: Vec<MemberName>,
    quorum: usize,
    promised: Vec<(MemberName, Frontier)>,
}

impl Seal {
    /// Begins to seal what came before the record's epoch.
    pub fn new(record: &Record) -> Self {
        let voters = record.members.iter().filter(|member| member.is_voter());
        let voters = voters.map(|member: &Member| member.name.clone()).collect();
        Self { epoch: record.epoch, voters, quorum: record.quorum, promised: Vec::new() }
    }

    /// A voter has promised the epoch, durably, and holds this much. What others answer counts for nothing. A voter that
    /// answers again has fetched more meanwhile; nobody holds less than it did.
    pub fn promised(&mut self, voter: &MemberName, epoch: Epoch, held: &Frontier) {
        if epoch != self.epoch || !self.voters.contains(voter) {
            return;
        }
        match self.promised.iter_mut().find(|(name, _)| name == voter) {
            Some((_, known)) => known.join(&held.epochs_only()),
            None => self.promised.push((voter.clone(), held.epochs_only())),
        }
    }

    /// How many promises are needed: one voter of every possible quorum is among so many.
    pub fn needed(&self) -> usize {
        self.voters.len() - self.quorum + 1
    }

    /// Whether enough have promised.
    pub fn is_enough(&self) -> bool {
        self.promised.len() >= self.needed()
    }

    /// What those who promised hold together.
    pub fn union(&self) -> Frontier {
        let mut union = Frontier::default();
        self.promised.iter().for_each(|(_, held)| union.join(held));
        union
    }

    /// Who can hand out the epoch's entries up to `lsn`.
    pub fn holders(&self, epoch: Epoch, lsn: Lsn) -> impl Iterator<Item = &MemberName> {
        self.promised.iter().filter(move |(_, held)| held.lsn(epoch) >= lsn).map(|(name, _)| name)
    }

    /// The lengths that the record may be given, once a quorum holds all that those who promised hold together: before
    /// that, the next failure could lose again what this election found.
    pub fn proven(&self) -> Option<Frontier> {
        let union = self.union();
        let is_held = |(epoch, end)| held_by(self.promised.iter().map(|(_, held)| held.lsn(epoch)), self.quorum) >= end;
        (self.is_enough() && union.epochs().all(is_held)).then_some(union)
    }
}
