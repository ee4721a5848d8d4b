//! How a tab becomes the holder, and how it is one no more.

use super::{Role, State, TabFrame};
use crate::error::Error;
use crate::ids::{Millis, Origin, Seq, Token};
use crate::replica::docs::News;
use crate::replica::open::Asked;
use crate::replica::persist::Updates;
use crate::replica::{Output, Replica};
use crate::stage::Stage;
use crate::store::{self, Guard, Row, Scan, StoreOp, Table};

/// The newest term, and who holds it.
const TERM: &str = "tabs";
/// A row for each term that is over, from before the next one has begun.
const OVER: &str = "tabs/over/";
/// So many of them are kept. A holder that sleeps through more terms than that would not be fenced by its row.
const OVER_MAX: usize = 256;

impl Replica {
    /// Storage has been read, and this tab begins to talk.
    pub(in crate::replica) fn greet_tabs(&mut self, now: Millis) {
        if self.tabs.role == Role::Alone {
            return;
        }
        self.tabs.heard = now;
        if self.tabs.role == Role::Taking {
            self.begin_taking();
        }
        self.take_early_messages(now);
    }

    /// The lock is this tab's.
    pub(in crate::replica) fn hold(&mut self, _now: Millis) {
        if self.tabs.role != Role::Member || self.tabs.is_leaving {
            return;
        }
        self.tabs.role = Role::Taking;
        if self.is_ready {
            self.begin_taking();
        }
    }

    // The holder before this one has stored more since this tab has looked.
    fn begin_taking(&mut self) {
        self.scan(Asked::Term, term_range());
        self.scan(Asked::Streams, Scan::all(Table::Streams));
        self.scan(Asked::Rows(None), Scan::all(Table::Outbox));
    }

    pub(in crate::replica) fn term_read(&mut self, rows: &[Row]) -> Result<(), Error> {
        let (mut stored, mut over) = (Vec::new(), Vec::new());
        for Row { key, value } in rows {
            match key.strip_prefix(OVER.as_bytes()) {
                Some(_) => over.push(key.clone()),
                None => stored = value.clone(),
            }
        }
        self.tabs.stored_term = match stored.first_chunk::<8>() {
            Some(term) => u64::from_be_bytes(*term),
            None if stored.is_empty() => 0,
            None => return Err(Error::malformed("the row of tabs is damaged")),
        };
        self.tabs.term = self.tabs.term.max(self.tabs.stored_term);
        // Oldest first, as their keys are.
        over.truncate((over.len() + 1).saturating_sub(OVER_MAX));
        self.tabs.outdated = over;
        Ok(())
    }

    /// Outbox rows, of one origin or of all. Those of tabs that live are theirs; the others are this tab's from here on.
    pub(in crate::replica) fn rows_read(&mut self, of: Option<Origin>, rows: &[Row]) -> Result<(), Error> {
        let own = self.tabs.own;
        let others: Vec<Origin> = self.tabs.others.keys().copied().collect();
        let may_adopt = self.tabs.role == Role::Taking || self.tabs.stores_all();
        let is_adopted = |origin: Origin| match of {
            Some(of) => of == origin && (of == own || (may_adopt && !others.contains(&origin))),
            None => may_adopt && origin != own && !others.contains(&origin),
        };
        let adopted: Vec<Origin> = self.outbox.lanes().map(|(origin, _)| origin).filter(|o| is_adopted(*o)).collect();
        for origin in adopted {
            let lane = self.outbox.lane_of(origin);
            lane.is_foreign = false;
            lane.rows.clear();
            lane.rowed = Seq(0);
            lane.held_by.clear();
        }
        for row in rows {
            let Some(origin) = store::origin_of_key(&row.key) else { continue };
            let is_adopted = is_adopted(origin);
            let taken = match self.outbox.take_row(&row.value, is_adopted) {
                Ok(taken) => taken,
                Err(error) => {
                    self.outbox_row_is_damaged(row, &error);
                    continue;
                }
            };
            if is_adopted && !taken.stands {
                self.outbox_rows_are_stale(origin, self.persister.after_next());
            }
            let mut news = News::default();
            for write in &taken.new {
                write.parts.iter().for_each(|part| news.add(Some(write.origin), part));
            }
            self.show(news);
        }
        if of.is_none() && self.tabs.role == Role::Taking {
            self.claim();
        } else if self.tabs.is_holder() {
            self.tell_adopted(of);
        }
        Ok(())
    }

    /// Others that came while its tab was going have heard of a lane from nobody.
    fn tell_adopted(&mut self, of: Option<Origin>) {
        let is_meant = |origin: Origin| of.is_none_or(|of| of == origin) && origin != self.tabs.own;
        let lanes = self.outbox.lanes().filter(|(origin, lane)| is_meant(*origin) && !lane.is_foreign);
        let lanes: Vec<Origin> = lanes.map(|(origin, _)| origin).collect();
        if self.tabs.has_others() {
            lanes.into_iter().for_each(|origin| self.tell_writes_after(origin, Seq(0)));
        }
    }

    fn claim(&mut self) {
        self.tabs.term += 1;
        let table = Table::Meta;
        let value = [self.tabs.term.to_be_bytes(), self.tabs.own.0.to_be_bytes()].concat();
        let over = over_key(self.tabs.stored_term);
        let guard = Guard { table, key: over.clone() };
        let mut ops = vec![
            StoreOp::Put { table, key: store::meta_key(TERM), value },
            StoreOp::Put { table, key: over, value: Vec::new() },
        ];
        ops.extend(std::mem::take(&mut self.tabs.outdated).into_iter().map(|key| StoreOp::Delete { table, key }));
        let token = self.token();
        self.tabs.role = Role::Claiming(token);
        self.outputs.push_back(Output::Persist { token, ops, guard: Some(guard) });
    }

    /// What must not be stored so that a commit of this tab may happen.
    pub(in crate::replica) fn guard(&self) -> Option<Guard> {
        self.tabs.is_holder().then(|| Guard { table: Table::Meta, key: over_key(self.tabs.term) })
    }

    /// The term is this tab's; false if the commit was about something else.
    pub(in crate::replica) fn is_claimed(&mut self, token: Token, now: Millis) -> bool {
        if self.tabs.role != Role::Claiming(token) {
            return false;
        }
        self.tabs.role = Role::Holder;
        self.tabs.holder = Some(self.tabs.own);
        self.tabs.told_held = Default::default();
        self.tabs.told_docs.clear();
        self.link.take_over(self.config.has_leader, self.tabs.is_paused || self.tabs.is_leaving, now);
        // First, since others begin anew with another holder, and forget what they have heard before.
        self.tell_state();
        for (_, doc, updates) in std::mem::take(&mut self.tabs.uncommitted) {
            self.persister.add_updates(doc, updates);
        }
        if self.generation.0 != 0 {
            self.persister.generation_changed();
        }
        self.store_acknowledged();
        self.docs.hold(&mut self.persister);
        // Before it answers for any document: of writes of a tab that froze, a later one may have heard from nobody.
        if self.tabs.has_others() {
            let lanes: Vec<Origin> = self.outbox.lanes().map(|(origin, _)| origin).collect();
            lanes.into_iter().for_each(|origin| self.tell_writes_after(origin, Seq(0)));
        }
        self.hold_peers();
        // Of tabs that have gone since storage was read.
        let gone =
            self.outbox.lanes().filter(|(origin, lane)| lane.is_foreign && !self.tabs.others.contains_key(origin));
        let gone: Vec<Origin> = gone.map(|(origin, _)| origin).collect();
        gone.into_iter().for_each(|origin| self.adopt(origin));
        self.tell_adopted(None);
        let wanted: Vec<_> = self
            .tabs
            .others
            .iter()
            .flat_map(|(origin, other)| other.wants.iter().map(|doc| (*origin, doc.clone())))
            .collect();
        wanted.into_iter().for_each(|(origin, doc)| self.serve_doc(origin, doc));
        self.questions_are_lost();
        self.check_link(now);
        self.is_changed = true;
        true
    }

    /// The frontier that this tab has heard of covers what the leader has acknowledged, and not all of that need be stored.
    fn store_acknowledged(&mut self) {
        let reach = self.docs.stream().clone();
        let own = self.tabs.own;
        let lanes = self.outbox.lanes().filter(|(origin, _)| *origin != own);
        let writes = lanes.flat_map(|(_, lane)| {
            let acked = lane.reached(Stage::Leader);
            lane.writes_after(lane.stored).map(|entry| &entry.write).take_while(move |write| write.seq <= acked)
        });
        let parts: Vec<_> = writes.flat_map(|write| write.parts.iter().cloned()).collect();
        for part in parts {
            self.persister.add_updates(part.doc, Updates { reach: reach.clone(), updates: vec![part.update] });
        }
    }

    /// A commit did not happen: another tab is the holder.
    pub(in crate::replica) fn fenced(&mut self, token: Token, now: Millis) {
        if self.tabs.role == Role::Claiming(token) {
            self.tabs.role = Role::Member;
            return;
        }
        if self.is_compaction_fenced(token, now) {
            return;
        }
        if self.persister.forget(token) {
            self.step_down(now);
        }
    }

    /// The lock was taken from this tab, or its commits do not happen any more. What it had told and not stored, the next
    /// holder stores.
    pub(in crate::replica) fn step_down(&mut self, now: Millis) {
        if matches!(self.tabs.role, Role::Alone | Role::Member) {
            return;
        }
        let was_holder = self.tabs.is_holder();
        self.tabs.role = Role::Member;
        self.tabs.holder = None;
        self.tabs.heard = now;
        self.tabs.pinged = None;
        if !was_holder {
            return;
        }
        self.drop_link(now);
        self.link.mirror(State::unknown(self.config.has_leader));
        self.persister.leave_to_others();
        self.tabs.settling.clear();
        self.tabs.storing = Default::default();
        for (_, lane) in self.outbox.lanes_mut() {
            lane.is_foreign = true;
            lane.rows.clear();
        }
        // What of its own writes is stored, storage tells.
        self.adopt(self.tabs.own);
        self.docs.leave_to_others();
        self.resynchronise();
        self.is_changed = true;
    }

    /// That tab is closed, or dead: what it left is the holder's.
    pub(in crate::replica) fn tab_gone(&mut self, origin: Origin, now: Millis) {
        let Some(gone) = self.tabs.others.remove(&origin) else { return };
        if self.tabs.holder == Some(origin) {
            self.tabs.holder = None;
            self.tabs.heard = now;
        }
        self.tabs.rejecters.remove(&origin);
        let held = self.outbox.lanes_mut().filter_map(|(_, lane)| lane.held_by.remove(&origin)).count();
        if held > 0 {
            // Who has missed what it told of refusals hears it from this one.
            self.tell_all_rejections();
        }
        if self.tabs.is_holder() {
            self.adopt(origin);
            let docs: Vec<_> = gone.wants.iter().cloned().collect();
            self.close_unwanted(&docs);
        }
    }

    fn adopt(&mut self, origin: Origin) {
        let (from, to) = (store::outbox_key(origin, Seq(0)), store::outbox_key(origin, Seq(u64::MAX)));
        self.scan(Asked::Rows(Some(origin)), Scan { table: Table::Outbox, from, to: Some(to), limit: None });
    }

    pub(in crate::replica) fn say_hello(&mut self) {
        self.tell_tabs(TabFrame::Hello);
    }
}

fn over_key(term: u64) -> Vec<u8> {
    [OVER.as_bytes(), &term.to_be_bytes()].concat()
}

fn term_range() -> Scan {
    // Nothing else begins like that.
    let (from, to) = (store::meta_key(TERM), Some([TERM.as_bytes(), b"0"].concat()));
    Scan { table: Table::Meta, from, to, limit: None }
}
