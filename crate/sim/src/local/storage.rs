//! The storage of a device: how long it takes, what lands, what is lost, and what is read when.
//!
//! As in IndexedDB, nobody reads past a commit that began before, whoever began it.

use super::bug::Bug;
use super::coverage::Moment;
use super::tab::Commit;
use super::world::{Event, World};
use headwater_core::batch::Batch;
use headwater_core::replica::Input;
use headwater_core::store::{Guard, Scan, StoreOp, Table};
use headwater_core::wire::Reader;
use headwater_core::{Frontier, Origin, Token};

impl World {
    fn disk_delay(&mut self, device: usize) -> u64 {
        self.about(self.plan.shape.disk_ms) * self.devices[device].disk.slowness
    }

    pub(super) fn ask_storage(&mut self, tab: usize, token: Token, scan: Scan) {
        let device = self.tabs[tab].device;
        let at = self.now + self.disk_delay(device);
        let at = at.max(self.devices[device].lands_at).max(self.tabs[tab].told_at);
        self.tabs[tab].told_at = at;
        self.at(at, Event::Scan(tab, token, scan));
    }

    /// Storage answers a question with what has landed by now.
    pub(super) fn scan(&mut self, tab: usize, token: Token, scan: &Scan) {
        if self.tabs[tab].is_alive {
            let rows = self.devices[self.tabs[tab].device].disk.scan(scan);
            self.feed(tab, Input::Scanned { token, rows });
        }
    }

    pub(super) fn persist(&mut self, tab: usize, token: Token, ops: Vec<StoreOp>, guard: Option<Guard>) {
        let device = self.tabs[tab].device;
        let state = &mut self.tabs[tab];
        state.begun += 1;
        let id = state.begun;
        state.commits.push_back(Commit { id, token, ops, guard, is_held: false });
        self.schedule(tab, device, id);
    }

    fn schedule(&mut self, tab: usize, device: usize, id: u64) {
        let at = self.now + self.disk_delay(device);
        let at = at.max(self.devices[device].lands_at);
        self.devices[device].lands_at = at;
        self.at(at, Event::Land(tab, id));
    }

    /// Commits that waited with their tab go on.
    pub(super) fn release_commits(&mut self, tab: usize) {
        let held = self.tabs[tab].commits.iter_mut().filter(|commit| commit.is_held);
        let held: Vec<u64> = held
            .map(|commit| {
                commit.is_held = false;
                commit.id
            })
            .collect();
        for id in held {
            self.coverage.saw(Moment::CommitHeld);
            self.schedule(tab, self.tabs[tab].device, id);
        }
    }

    /// The tab is gone: of what was under way, a beginning lands, when it would have.
    pub(super) fn commits_orphaned(&mut self, tab: usize) {
        let count = self.tabs[tab].commits.iter().take_while(|commit| !commit.is_held).count();
        let kept = self.rng.below(count as u64 + 1) as usize;
        let lost = self.tabs[tab].commits.len() - kept;
        self.tabs[tab].commits.truncate(kept);
        (0..lost).for_each(|_| self.coverage.saw(Moment::CommitLost));
        (0..kept).for_each(|_| self.coverage.saw(Moment::CommitLanded));
    }

    /// A tab's commit lands, if what it is guarded by still stands.
    pub(super) fn land(&mut self, tab: usize, id: u64) {
        let commits = &mut self.tabs[tab].commits;
        if commits.front().is_none_or(|commit| commit.id != id || commit.is_held) {
            return;
        }
        let Some(Commit { token, ops, guard, .. }) = commits.pop_front() else { return };
        let device = self.tabs[tab].device;
        let stands = |guard: &Guard| {
            let mut rows = self.devices[device].disk.table(guard.table);
            rows.all(|(key, _)| *key != guard.key)
        };
        let is_fenced = guard.as_ref().is_some_and(|guard| !stands(guard));
        if is_fenced && !self.has(Bug::NoTabFence) {
            self.coverage.saw(Moment::Fenced);
            self.note(|| format!("tab {tab}: a commit is fenced"));
            return self.tell_storage(tab, Input::Fenced { token });
        }
        self.check_commit(tab, &ops, guard.as_ref());
        if self.violation.is_some() {
            return;
        }
        self.trace.event(self.now, "land", tab as u64, &[ops.len() as u8]);
        if self.trace.is_verbose() {
            let text = super::check::commits::text(&ops);
            self.note(|| format!("tab {tab} stores {text}"));
        }
        self.devices[device].disk.land(&ops);
        for op in &ops {
            if let StoreOp::Put { table, value, .. } = op {
                self.note_landed(device, *table, value);
            }
        }
        self.tell_storage(tab, Input::Persisted { token });
    }

    fn tell_storage(&mut self, tab: usize, input: Input) {
        let at = self.now + self.rng.below(u64::from(self.plan.shape.disk_ms) + 1);
        let at = at.max(self.tabs[tab].told_at);
        self.tabs[tab].told_at = at;
        self.at(at, Event::Feed(tab, input));
    }

    fn note_landed(&mut self, device: usize, table: Table, value: &[u8]) {
        for write in writes_in(table, value) {
            let found = match write {
                Found::Named(origin, seq) => vec![self.oracle.find(origin, seq)],
                Found::Update(update) => super::oracle::writes_of(&update),
            };
            found.into_iter().flatten().for_each(|write| self.oracle.landed[device].set(write));
        }
    }
}

/// A write as a row shows it.
pub enum Found {
    /// By its name.
    Named(Origin, headwater_core::Seq),
    /// By its update.
    Update(Vec<u8>),
}

/// The writes in a row of the outbox, or of updates.
pub fn writes_in(table: Table, value: &[u8]) -> Vec<Found> {
    let mut input = Reader::new(value);
    match table {
        Table::Outbox => {
            let batch = input.byte().and_then(|_| input.uint()).and_then(|_| Batch::decode(&mut input));
            let batch = batch.expect("a replica stores what it can read");
            batch.writes.iter().map(|write| Found::Named(write.origin, write.seq)).collect()
        }
        Table::Updates => {
            Frontier::decode(&mut input).expect("a replica stores what it can read");
            let mut found = Vec::new();
            while let Ok(update) = input.bytes("an update", usize::MAX) {
                found.push(Found::Update(update.to_vec()));
            }
            found
        }
        _ => Vec::new(),
    }
}
