//! A copy of a device's storage, opened alone: what it says that it holds is there, and nothing that was told to be stored
//! is missing.

use super::coverage::Moment;
use super::oracle::writes_of;
use super::world::World;
use crate::bits::Bits;
use crate::disk::Disk;
use headwater_core::replica::{Config, Input, Output, Replica, Wait};
use headwater_core::session::Consistency;
use headwater_core::{Bookmark, DocName, Epoch, Frontier, Generation, Millis, Origin};
use std::collections::{BTreeMap, VecDeque};

/// A replica whose storage answers at once.
struct Alone {
    core: Replica,
    disk: Disk,
    docs: BTreeMap<DocName, Bits>,
    done: BTreeMap<u64, bool>,
    error: Option<String>,
}

impl Alone {
    fn drain(&mut self) {
        let now = Millis(1);
        let mut inputs = VecDeque::new();
        loop {
            while let Some(output) = self.core.poll(now) {
                match output {
                    Output::Scan { token, scan } => {
                        inputs.push_back(Input::Scanned { token, rows: self.disk.scan(&scan) });
                    }
                    Output::Persist { token, ops, .. } => {
                        self.disk.land(&ops);
                        inputs.push_back(Input::Persisted { token });
                    }
                    Output::Load { doc, updates } | Output::Apply { doc, updates, .. } => {
                        let shown = self.docs.entry(doc).or_default();
                        updates
                            .iter()
                            .flat_map(|update| writes_of(update))
                            .flatten()
                            .for_each(|write| shown.set(write));
                    }
                    Output::Done { id, result } => _ = self.done.insert(id, result.is_ok()),
                    Output::OpenFailed { error } | Output::Unloadable { error, .. } => {
                        self.error = Some(error.to_string());
                    }
                    _ => {}
                }
            }
            let Some(input) = inputs.pop_front() else { return };
            self.core.handle(input, now);
        }
    }
}

impl World {
    /// Opens a copy of a device's storage alone, and looks at it.
    pub fn probe(&mut self, device: usize) {
        let origin = Origin(self.rng.bits());
        let config = Config {
            origin,
            has_leader: false,
            is_durable: true,
            jitter_seed: 0,
            shares_storage: false,
            check: |_| Ok(()),
        };
        let mut alone = Alone {
            core: Replica::new(config),
            disk: self.devices[device].disk.clone(),
            docs: BTreeMap::new(),
            done: BTreeMap::new(),
            error: None,
        };
        alone.drain();
        for doc in &self.docs {
            alone.core.handle(Input::OpenDoc { doc: doc.clone() }, Millis(1));
        }
        alone.drain();
        if let Some(error) = alone.error {
            return self.violate("storage", || format!("a copy of device {device} cannot be opened: {error}"));
        }
        for doc in 0..self.docs.len() {
            self.probe_doc(device, doc, &mut alone);
        }
    }

    fn probe_doc(&mut self, device: usize, doc: usize, alone: &mut Alone) {
        let name = self.docs[doc].clone();
        let Some(shown) = alone.docs.get(&name).cloned() else {
            return self.violate("storage", || format!("a copy of device {device} does not load doc/{doc}"));
        };
        if !shown.within(&self.oracle.logged).is_empty() {
            self.coverage.saw(Moment::ProbeSettled);
        }
        let held = alone.core.doc_frontier(&name).lsn(Epoch(1)).0 as usize;
        let mut claimed = Bits::default();
        self.oracle.log.iter().take(held).for_each(|write| claimed.set(*write));
        let missing = claimed.within(&self.oracle.of_doc[doc]).without(&shown);
        if !missing.is_empty() {
            let names = self.oracle.names(&missing);
            return self.violate("frontiers", || {
                format!("the storage of device {device} claims doc/{doc} up to entry {held}, and misses {names}")
            });
        }
        let local = self.oracle.local[device].within(&self.oracle.of_doc[doc]);
        let lost = local.without(&shown).without(&self.oracle.rejected).without(&self.oracle.forbidden);
        if !lost.is_empty() {
            let names = self.oracle.names(&lost);
            return self.violate("durability", || {
                format!("{names} of doc/{doc} was stored on device {device}, and is not there")
            });
        }
        self.probe_reads(device, doc, &shown, alone);
    }

    // A read by a bookmark of a write ends at once only if the write is there.
    fn probe_reads(&mut self, device: usize, doc: usize, shown: &Bits, alone: &mut Alone) {
        let of_doc: Vec<usize> = self.oracle.of_doc[doc].iter().collect();
        for _ in 0..of_doc.len().min(8) {
            let write = of_doc[self.rng.below(of_doc.len() as u64) as usize];
            let written = &self.oracle.writes[write];
            let mut frontier = Frontier::default();
            frontier.advance_origin(written.origin, written.seq);
            let session = alone.core.begin_session(Some(Bookmark::new(Generation(0), frontier)));
            let id = alone.done.len() as u64 + 1;
            let wait = Wait::Read { session, doc: self.docs[doc].clone(), consistency: Consistency::Session };
            alone.core.handle(Input::Wait { id, wait, timeout: Millis(0) }, Millis(1));
            alone.drain();
            let is_excused = self.oracle.rejected.has(write) || self.oracle.forbidden.has(write);
            if alone.done.get(&id) == Some(&true) && !shown.has(write) && !is_excused {
                let name = self.oracle.name(write);
                return self.violate("sessions", || {
                    format!("the storage of device {device} passes for a copy with {name}, and misses it")
                });
            }
        }
    }
}
