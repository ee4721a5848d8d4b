//! After healing nothing is under way, whoever is connected shows the same, all tabs agree on what is pending, and nothing is
//! where there is a leader.

use crate::bits::Bits;
use crate::local::world::World;
use headwater_core::replica::{Phase, TabRole};
use headwater_core::{Code, Stage};

impl World {
    /// Devices by what connects them: links, and the leader that they have.
    pub fn components(&self) -> Vec<Vec<usize>> {
        let mut of: Vec<usize> = (0..self.devices.len()).collect();
        let mut join = |a: usize, b: usize| {
            let (from, to) = (of[a].max(of[b]), of[a].min(of[b]));
            of.iter_mut().filter(|at| **at == from).for_each(|at| *at = to);
        };
        self.pairs().into_iter().for_each(|(a, b)| join(a, b));
        let led: Vec<usize> = (0..self.devices.len()).filter(|device| self.devices[*device].has_leader).collect();
        led.windows(2).for_each(|pair| join(pair[0], pair[1]));
        let all = 0..self.devices.len();
        let roots = all.clone().filter(|at| of[*at] == *at);
        roots.map(|root| all.clone().filter(|at| of[*at] == root).collect()).collect()
    }

    fn is_led(&self, component: &[usize]) -> bool {
        component.iter().any(|device| self.devices[*device].has_leader)
    }

    /// What is not at rest yet, if anything.
    pub fn unrest(&mut self) -> Option<String> {
        for component in self.components() {
            let is_led = self.is_led(&component);
            for device in component {
                let tabs = self.tabs_of(device);
                let holders = tabs.iter().filter(|tab| self.tabs[**tab].core.tab_role() == TabRole::Holder).count();
                if holders != 1 {
                    return Some(format!("device {device} has {holders} holders"));
                }
                let sockets = tabs.iter().filter(|tab| self.tabs[**tab].conn.is_some()).count();
                if sockets != usize::from(self.devices[device].has_leader) {
                    return Some(format!("device {device} has {sockets} sockets"));
                }
                let pending: Vec<usize> = tabs.iter().map(|tab| self.tabs[*tab].core.pending().count).collect();
                if pending.iter().any(|count| *count != pending[0] || (is_led && *count > 0)) {
                    return Some(format!("the tabs {tabs:?} of device {device} say {pending:?} writes are pending"));
                }
                if let Some(trouble) = tabs.into_iter().find_map(|tab| self.unrest_of(tab, is_led)) {
                    return Some(trouble);
                }
            }
        }
        None
    }

    fn unrest_of(&self, tab: usize, is_led: bool) -> Option<String> {
        let state = &self.tabs[tab];
        let core = &state.core;
        let has_leader = self.devices[state.device].has_leader;
        let expected = if has_leader { Phase::Live } else { Phase::LocalOnly };
        let least = if is_led { Stage::Leader } else { Stage::Local };
        let open = state.receipts.iter().find(|(_, stage)| **stage < least);
        let trouble = if core.phase() != expected {
            format!("is {:?}: {:?}", core.phase(), core.trouble())
        } else if let Some((write, stage)) = open {
            format!("has a receipt that does not end: {} at {stage:?}", self.oracle.name(*write))
        } else if !core.is_stored() || !state.commits.is_empty() {
            "has not stored everything".into()
        } else if let Some(waiting) = state.waits.values().next() {
            format!("waits: {:?}", waiting.what)
        } else if state.docs.iter().any(|doc| doc.as_ref().is_none_or(|doc| !doc.is_loaded)) {
            "has not loaded everything".into()
        } else {
            return None;
        };
        Some(format!("tab {tab} {trouble}"))
    }

    /// Where a copy differs from what it must show, if any does.
    pub fn difference(&self) -> Option<(&'static str, String)> {
        for component in self.components() {
            let tabs: Vec<usize> = component.iter().flat_map(|device| self.tabs_of(*device)).collect();
            let mut due = Bits::default();
            component.iter().for_each(|device| due.join(&self.oracle.local[*device]));
            let due = due.without(&self.oracle.rejected).without(&self.oracle.forbidden);
            let is_led = self.is_led(&component);
            let lost = due.without(&self.oracle.logged);
            if is_led && !lost.is_empty() {
                return Some(("durability", format!("{} was stored, and is not in the log", self.oracle.names(&lost))));
            }
            for doc in 0..self.docs.len() {
                let due = if is_led { &self.oracle.logged } else { &due }.within(&self.oracle.of_doc[doc]);
                let first = self.shown(tabs[0], doc);
                for tab in &tabs {
                    let shown = self.shown(*tab, doc);
                    let mut beyond = shown.without(&first);
                    if is_led {
                        beyond.join(&shown.without(&due));
                    }
                    for (checker, text, writes) in [
                        ("durability", "misses", due.without(&shown)),
                        ("convergence", "alone shows", beyond),
                        ("convergence", "does not show, as others do,", first.without(&shown)),
                    ] {
                        if !writes.is_empty() {
                            let names = self.oracle.names(&writes);
                            return Some((checker, format!("tab {tab} {text} {names} of doc/{doc}")));
                        }
                    }
                }
            }
        }
        None
    }

    fn shown(&self, tab: usize, doc: usize) -> Bits {
        self.tabs[tab].docs[doc].as_ref().map(|opened| opened.shown.clone()).unwrap_or_default()
    }

    /// Whether everything that the session's bookmark names is where the tab is, so that it may read there.
    pub fn may_read(&self, session: usize, tab: usize) -> bool {
        let device = self.tabs[tab].device;
        let component = self.components().into_iter().find(|component| component.contains(&device));
        let is_led = component.is_some_and(|component| self.is_led(&component));
        let has_leader = self.devices[device].has_leader;
        let bookmark = &self.sessions[session].bookmark.frontier;
        if bookmark.epochs().next().is_some() && !is_led {
            return false;
        }
        let is_here = |(origin, seq)| {
            let Some(write) = self.oracle.find(origin, seq) else { return false };
            let docs = &self.oracle.writes[write].docs;
            let core = &self.tabs[tab].core;
            // Without a leader, nobody knows where a write stands whose log was not kept.
            let is_known = core.stage(origin, seq).map_or_else(
                |error| has_leader && error.code == Code::NotFound,
                |stage| has_leader || stage >= Stage::Local,
            );
            is_known && docs.iter().all(|doc| self.shown(tab, *doc).has(write))
        };
        bookmark.origins().all(is_here)
    }
}
