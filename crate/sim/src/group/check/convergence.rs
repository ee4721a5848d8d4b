//! After healing there is one leader, everybody is in sync with it, all tails are taken in, nothing is pending, and every
//! copy is the log's.

use crate::bits::Bits;
use crate::group::oracle::writes_of;
use crate::group::world::World;
use crate::kept::kept;
use headwater_core::Stage;
use headwater_core::replica::Phase;

impl World {
    /// What is not at rest yet, if anything.
    pub fn unrest(&mut self) -> Option<String> {
        self.unrest_of_members().or_else(|| self.unrest_of_clients())
    }

    fn unrest_of_members(&self) -> Option<String> {
        let record = self.record().filter(headwater_core::group::Record::is_active);
        let Some(record) = record else { return Some("the record names no leader".into()) };
        let leaders = self.leaders();
        let due = if record.is_multi() { record.leads.len() } else { 1 };
        let Some(leader) = leaders.first().copied().filter(|_| leaders.len() == due) else {
            return Some(format!("{leaders:?} lead"));
        };
        if let Some(other) = leaders.iter().find(|at| {
            let name = self.members[**at].name();
            record.leader() != Some(name) && record.lead_of(name) != self.members[**at].leads
        }) {
            return Some(format!("m{other} leads, the record says {:?}", record.state));
        }
        let held = &self.members[leader].held;
        for (place, member) in self.members.iter().enumerate() {
            let Some(status) = self.status_of(place) else { return Some(format!("m{place} does not run")) };
            let Some(group) = status.group.filter(|_| status.is_loaded) else {
                return Some(format!("m{place} has not loaded"));
            };
            if let Some(error) = status.failure {
                return Some(format!("m{place} has failed: {error}"));
            }
            if member.held != *held {
                let [its, all] = [&member.held, held].map(super::logs::text);
                return Some(format!("m{place} holds {its}, the leader m{leader} {all}"));
            }
            if group.visible.epochs_only() != *held {
                let [its, all] = [&group.visible, held].map(super::logs::text);
                return Some(format!("m{place} shows {its}, and the log is {all}"));
            }
            if leaders.contains(&place)
                && let Some(lost) = group.members.iter().find(|member| !member.is_connected)
            {
                return Some(format!("m{leader} does not reach {}", lost.name));
            }
        }
        // Those of leaders are open; all other logs are sealed to their end.
        let led = record.open_epochs();
        let open = held.epochs().find(|(epoch, end)| !led.contains(epoch) && record.sealed.lsn(*epoch) != *end);
        open.map(|(epoch, end)| format!("epoch {epoch} is held to {end}, sealed at {}", record.sealed.lsn(epoch)))
    }

    fn unrest_of_clients(&mut self) -> Option<String> {
        for (place, client) in self.clients.iter_mut().enumerate() {
            let core = client.core.as_ref().expect("clients are open");
            let unacked = client.receipts.iter().find(|(_, stage)| **stage < Stage::Quorum);
            let trouble = if core.phase() != Phase::Live {
                format!("is {:?}", core.phase())
            } else if core.pending().count > 0 {
                format!("has {} pending writes: {:?}", core.pending().count, core.pending_writes().next())
            } else if let Some((write, stage)) = unacked {
                format!("has a receipt that does not end: {} at {stage:?}", self.oracle.name(*write))
            } else if !core.is_stored() {
                "has not stored everything".into()
            } else if let Some((id, waiting)) = client.waits.iter().next() {
                format!("waits ({id}): {:?}", waiting.what)
            } else if client.loaded.contains(&false) {
                "has not loaded everything".into()
            } else {
                continue;
            };
            return Some(format!("client {place} {trouble}"));
        }
        None
    }

    /// Where a copy differs from the log, if any does.
    pub fn difference(&self) -> Option<String> {
        let log = self.held_writes(&self.members[self.leaders().first().copied()?].held);
        self.difference_on_disks(&log).or_else(|| self.difference_of_clients(&log))
    }

    // What members keep of documents is what the log said of them, however it is kept.
    fn difference_on_disks(&self, log: &Bits) -> Option<String> {
        for (place, member) in self.members.iter().enumerate() {
            for (doc, name) in self.docs.iter().enumerate() {
                let updates = match kept(&member.drive.disk, name) {
                    Ok(updates) => updates,
                    Err(error) => return Some(format!("m{place} cannot read doc/{doc}: {error}")),
                };
                let mut found = Bits::default();
                let writes = updates.iter().flat_map(|update| writes_of(update));
                writes.flatten().for_each(|write| found.set(write));
                let due = log.within(&self.oracle.of_doc[doc]);
                let (less, more) = (due.without(&found), found.without(&due));
                if !less.is_empty() || !more.is_empty() {
                    let [less, more] = [&less, &more].map(|writes| self.oracle.names(writes));
                    return Some(format!(
                        "m{place} keeps doc/{doc} without [{less}], and with [{more}] beyond the log"
                    ));
                }
            }
        }
        None
    }

    fn difference_of_clients(&self, log: &Bits) -> Option<String> {
        for (place, client) in self.clients.iter().enumerate() {
            for (doc, shown) in client.docs.iter().enumerate() {
                let due = log.within(&self.oracle.of_doc[doc]);
                let (less, more) = (due.without(shown), shown.without(&due));
                if !less.is_empty() || !more.is_empty() {
                    let [less, more] = [&less, &more].map(|writes| self.oracle.names(writes));
                    return Some(format!(
                        "client {place} misses [{less}] of doc/{doc}, and shows [{more}] beyond the log"
                    ));
                }
            }
        }
        None
    }
}
