//! A frontier: how far one holds each log. A version vector over `{epoch -> LSN}` and `{origin -> seq}`.
//!
//! Frontiers form a lattice: `join` is the least upper bound, `meet` the greatest lower one, `dominates` the partial
//! order. A log that is not named is held up to zero.

use crate::error::Error;
use crate::ids::{Epoch, Lsn, Origin, Seq};
use crate::limits::FRONTIER_LOGS_MAX;
use crate::sorted::Map;
use crate::wire::{Reader, Writer};

/// A version vector over logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    epochs: Map<Epoch, Lsn>,
    origins: Map<Origin, Seq>,
}

impl Frontier {
    /// The frontier that holds one epoch's log up to `lsn`.
    pub fn at(epoch: Epoch, lsn: Lsn) -> Self {
        let mut frontier = Self::default();
        frontier.advance_epoch(epoch, lsn);
        frontier
    }

    /// The frontier that holds one origin's writes up to `seq`.
    pub fn of_origin(origin: Origin, seq: Seq) -> Self {
        let mut frontier = Self::default();
        frontier.advance_origin(origin, seq);
        frontier
    }

    /// How far the epoch's log is held.
    pub fn lsn(&self, epoch: Epoch) -> Lsn {
        self.epochs.get(&epoch).copied().unwrap_or_default()
    }

    /// How far the origin's writes are held.
    pub fn seq(&self, origin: Origin) -> Seq {
        self.origins.get(&origin).copied().unwrap_or_default()
    }

    /// The epochs it names, in order.
    pub fn epochs(&self) -> impl Iterator<Item = (Epoch, Lsn)> + '_ {
        self.epochs.iter().map(|(epoch, lsn)| (*epoch, *lsn))
    }

    /// The origins it names, in order.
    pub fn origins(&self) -> impl Iterator<Item = (Origin, Seq)> + '_ {
        self.origins.iter().map(|(origin, seq)| (*origin, *seq))
    }

    /// How many logs it names.
    pub fn logs(&self) -> usize {
        self.epochs.len() + self.origins.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.epochs.is_empty() && self.origins.is_empty()
    }

    /// Raises one epoch; never lowers it.
    pub fn advance_epoch(&mut self, epoch: Epoch, lsn: Lsn) {
        raise(&mut self.epochs, epoch, lsn);
    }

    /// Raises one origin; never lowers it.
    pub fn advance_origin(&mut self, origin: Origin, seq: Seq) {
        raise(&mut self.origins, origin, seq);
    }

    /// Forgets an origin whose writes another part of the frontier covers.
    pub fn drop_origin(&mut self, origin: Origin) {
        self.origins.remove(&origin);
    }

    /// The least frontier that dominates both, in place.
    pub fn join(&mut self, other: &Self) {
        other.epochs().for_each(|(epoch, lsn)| self.advance_epoch(epoch, lsn));
        other.origins().for_each(|(origin, seq)| self.advance_origin(origin, seq));
    }

    /// The greatest frontier that both dominate.
    pub fn meet(&self, other: &Self) -> Self {
        let mut meet = Self::default();
        self.epochs().for_each(|(epoch, lsn)| meet.advance_epoch(epoch, lsn.min(other.lsn(epoch))));
        self.origins().for_each(|(origin, seq)| meet.advance_origin(origin, seq.min(other.seq(origin))));
        meet
    }

    /// Whether it holds everything that `other` names.
    pub fn dominates(&self, other: &Self) -> bool {
        self.dominates_epochs(other) && other.origins().all(|(origin, seq)| self.seq(origin) >= seq)
    }

    /// Whether it holds everything that `other` names of leaders' logs.
    pub fn dominates_epochs(&self, other: &Self) -> bool {
        other.epochs().all(|(epoch, lsn)| self.lsn(epoch) >= lsn)
    }

    /// The part that names leaders' logs.
    pub fn epochs_only(&self) -> Self {
        Self { epochs: self.epochs.clone(), origins: Map::default() }
    }

    /// How many entries of leaders' logs `self` names that `held` does not hold.
    pub fn entries_beyond(&self, held: &Self) -> u64 {
        self.epochs().map(|(epoch, lsn)| lsn.0.saturating_sub(held.lsn(epoch).0)).fold(0, u64::saturating_add)
    }

    /// Appends the encoding to `out`.
    pub fn encode(&self, out: &mut Writer) {
        out.uint(self.epochs.len() as u64);
        for (epoch, lsn) in self.epochs() {
            out.uint(epoch.0).uint(lsn.0);
        }
        out.uint(self.origins.len() as u64);
        for (origin, seq) in self.origins() {
            out.fixed(origin.0).uint(seq.0);
        }
    }

    /// Takes one frontier from the front.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        let mut frontier = Self::default();
        for _ in 0..input.count("epochs in a frontier", FRONTIER_LOGS_MAX)? {
            let (epoch, lsn) = (Epoch(input.uint()?), Lsn(input.uint()?));
            ascending(&mut frontier.epochs, epoch, lsn)?;
        }
        for _ in 0..input.count("origins in a frontier", FRONTIER_LOGS_MAX)? {
            let (origin, seq) = (input.origin()?, Seq(input.uint()?));
            ascending(&mut frontier.origins, origin, seq)?;
        }
        Ok(frontier)
    }

    /// The encoding alone, as storage keeps it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.encode(&mut out);
        out.0
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut input = Reader::new(bytes);
        let frontier = Self::decode(&mut input)?;
        input.end()?;
        Ok(frontier)
    }
}

fn raise<K: Ord, V: Ord + Default>(logs: &mut Map<K, V>, log: K, to: V) {
    // A log held up to zero is not named, so that equal frontiers are equal maps.
    if to > V::default() {
        let held = logs.get_or_default(log);
        if *held < to {
            *held = to;
        }
    }
}

fn ascending<K: Ord, V: Ord + Default>(logs: &mut Map<K, V>, log: K, to: V) -> Result<(), Error> {
    let sorted = logs.last().is_none_or(|(last, _)| *last < log);
    if !sorted || to == V::default() {
        return Err(Error::malformed("a frontier names its logs in ascending order, once each and above zero"));
    }
    logs.insert(log, to);
    Ok(())
}
