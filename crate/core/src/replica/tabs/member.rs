//! What a tab does with what others tell, and what it tells of itself. Most of it goes for the holder too.

use super::{Role, State, TAB_ANSWER_MS_MAX, TabFrame};
use crate::batch::{Batch, Part, Write};
use crate::error::Error;
use crate::frame::NodeFrame;
use crate::frontier::Frontier;
use crate::ids::{DocName, Epoch, Lsn, Millis, Origin, Seq};
use crate::replica::docs::News;
use crate::replica::persist::Updates;
use crate::replica::{Output, Replica};
use crate::stage::Stage;

impl Replica {
    /// Tells the others of what was written here since.
    pub(in crate::replica) fn tell_new_writes(&mut self) {
        let (origin, told) = (self.tabs.own, self.tabs.told);
        let last = self.outbox.next_before();
        if last == told {
            return;
        }
        if self.tabs.has_others() {
            self.tell_writes_after(origin, told);
        }
        self.tabs.told = last;
    }

    pub(super) fn tell_writes_after(&mut self, origin: Origin, after: Seq) {
        let mut after = after;
        while let Some((prev, unix_ms, batch)) = self.outbox.batch_after(origin, after) {
            after = batch.writes.last().map_or(after, |write| write.seq);
            self.tell_tabs(TabFrame::Writes { prev, unix_ms, batch });
        }
    }

    pub(super) fn take_writes(&mut self, prev: Seq, unix_ms: u64, batch: Batch) {
        let Some(origin) = batch.writes.first().map(|write| write.origin) else { return };
        if origin == self.tabs.own {
            return;
        }
        self.hear_writes(prev, unix_ms, batch.writes);
    }

    /// Takes in writes of another opening that follow `prev`. Answers whether nothing is missing before them.
    pub(in crate::replica) fn hear_writes(&mut self, prev: Seq, unix_ms: u64, writes: Vec<Write>) -> bool {
        let Some(origin) = writes.first().map(|write| write.origin) else { return true };
        let is_known = self.outbox.get(origin).is_some();
        let is_foreign = !self.tabs.stores_all() || self.tabs.others.contains_key(&origin);
        let lane = self.outbox.lane_of(origin);
        if !is_known {
            lane.is_foreign = is_foreign;
        }
        if lane.heard < prev {
            return false; // Whoever has them tells them again from the start.
        }
        let mut news = News::default();
        for write in writes {
            if self.outbox.hear(&write, unix_ms) {
                write.parts.iter().for_each(|part| news.add(Some(write.origin), part));
            }
        }
        self.show(news);
        true
    }

    pub(in crate::replica) fn other_reached(&mut self, origin: Origin, seq: Seq, stage: Stage) {
        if self.outbox.get(origin).is_some() && !self.outbox.is_beyond(origin, seq) {
            self.outbox.advance(origin, seq, stage);
            if stage == Stage::Local {
                self.outbox.is_stored(origin, seq);
            }
            self.stage_reached(origin, seq, stage);
            self.is_changed = true;
        }
    }

    /// A stage of a write, as its tab or the holder has it, or a tab with a peer.
    pub(super) fn take_acked(&mut self, origin: Origin, seq: Seq, stage: Stage) {
        let is_news = self.outbox.get(origin).is_some_and(|lane| lane.reached(stage) < seq);
        self.other_reached(origin, seq, stage);
        if is_news {
            self.tell_peers_stage(origin, seq, stage);
        }
    }

    pub(super) fn tab_rejects(&mut self, from: Origin, number: u64, (origin, seq, error): (Origin, Seq, Error)) {
        self.follow_rejection(from, number);
        if self.reject_named(origin, seq, error.clone()) {
            self.tell_peers_rejected(origin, seq, &error);
        }
    }

    /// Tells the other tabs of a write that is taken back.
    pub(in crate::replica) fn tell_tabs_rejected(&mut self, origin: Origin, seq: Seq, error: &Error) {
        if self.tabs.has_others() {
            self.tell_tabs(TabFrame::Rejected { origin, seq, error: error.clone() });
            self.follow_rejection(self.tabs.own, self.tabs.number);
        }
    }

    /// What another tab writes before it has heard of a rejection may build on what was rejected: it waits until that tab
    /// says that it knows, and its storage too.
    fn follow_rejection(&mut self, by: Origin, number: u64) {
        self.tabs.rejecters.insert(by, number);
        self.tabs.owes_undone = true;
        let others = &self.tabs.others;
        let lanes = self.outbox.lanes_mut().filter(|(origin, lane)| lane.is_foreign && others.contains_key(origin));
        lanes.for_each(|(_, lane)| _ = lane.held_by.insert(by, number));
    }

    pub(super) fn rows_are_undone(&mut self, from: Origin, of: &[(Origin, u64)]) {
        if let Some(lane) = self.outbox.get_mut(from).filter(|lane| lane.is_foreign) {
            for (by, at) in of {
                if lane.held_by.get(by).is_some_and(|held| held <= at) {
                    lane.held_by.remove(by);
                }
            }
        }
    }

    /// Says that what follows from rejections is done, if it is.
    pub(super) fn tell_undone(&mut self) {
        if self.tabs.owes_undone && self.tabs.undoes == (false, false) {
            self.tabs.owes_undone = false;
            let of: Vec<_> = self.tabs.rejecters.iter().map(|(origin, number)| (*origin, *number)).collect();
            if !of.is_empty() {
                self.tell_others(|| TabFrame::Undone { of });
            }
        }
    }

    /// Writes that come with documents: those that the holder tells follow them.
    pub(super) fn take_settled(&mut self, from: Origin, settled: Vec<(Origin, Seq, Frontier)>) {
        if self.tabs.holder != Some(from) || self.tabs.stores_all() {
            return;
        }
        for (origin, seq, place) in settled {
            if origin != self.tabs.own {
                self.outbox.forget_unheard(origin, seq, &place);
                let lane = self.outbox.lane_of(origin);
                lane.heard = lane.heard.max(seq);
            }
        }
    }

    pub(super) fn take_committed(&mut self, from: Origin, through: u64, settled: Vec<(Origin, Seq, Frontier)>) {
        if self.tabs.holder == Some(from) {
            self.tabs.uncommitted.retain(|(number, ..)| *number > through);
        }
        for (origin, seq, place) in settled {
            if self.outbox.is_beyond(origin, seq) {
                continue; // Nobody can have settled what was not written.
            }
            let is_news = self.outbox.get(origin).is_none_or(|lane| lane.settled().0 < seq);
            self.outbox.forget_unheard(origin, seq, &place);
            for part in self.outbox.settle(origin, seq, &place).into_iter().flat_map(|write| write.parts) {
                place.epochs().for_each(|(epoch, lsn)| self.docs.reaches(&part.doc, epoch, lsn));
                let updates = Updates { reach: place.clone(), updates: vec![part.update] };
                self.docs.pass_by(&part.doc, updates);
            }
            if is_news {
                self.lane_is_settled(origin, seq, &place, None);
            }
        }
        self.is_changed = true;
        self.reads_may_end();
    }

    pub(super) fn take_updates(&mut self, number: u64, epoch: Epoch, through: Lsn, batch: Batch) {
        if self.tabs.stores_all() {
            return; // Of one that does not know yet that it is the holder no more.
        }
        let reach = Frontier::at(epoch, through);
        let mut news = News::default();
        for write in &batch.writes {
            for part in &write.parts {
                let updates = Updates { reach: reach.clone(), updates: vec![part.update.clone()] };
                self.tabs.uncommitted.push((number, part.doc.clone(), updates.clone()));
                self.docs.reaches(&part.doc, epoch, through);
                self.docs.pass_by(&part.doc, updates);
                news.add(Some(write.origin).filter(|origin| origin.0 != 0), part);
            }
        }
        self.show(news);
    }

    /// What a node keeps of a document, which the holder has taken in.
    pub(super) fn take_contents(&mut self, number: u64, doc: DocName, updates: Updates) {
        if self.tabs.stores_all() {
            return; // Of one that does not know yet that it is the holder no more.
        }
        self.tabs.uncommitted.push((number, doc.clone(), updates.clone()));
        updates.reach.epochs().for_each(|(epoch, lsn)| self.docs.reaches(&doc, epoch, lsn));
        self.docs.pass_by(&doc, updates.clone());
        if self.docs.is_shown(&doc) {
            self.outputs.push_back(Output::Apply { doc, updates: updates.updates, origins: Vec::new() });
        }
        self.is_changed = true;
        self.reads_may_end();
    }

    /// What storage lacks of a document: with it, the document can be read.
    pub(super) fn take_doc(&mut self, from: Origin, number: u64, heard: u64, doc: DocName, updates: Updates) {
        if self.tabs.holder != Some(from) || self.tabs.stores_all() {
            return;
        }
        if !updates.updates.is_empty() {
            self.tabs.uncommitted.push((number, doc.clone(), updates.clone()));
        }
        let shown = self.docs.answered(&doc, heard, updates);
        let mut news = News::default();
        for update in shown {
            news.add(None, &Part { doc: doc.clone(), update });
        }
        self.show(news);
    }

    pub(super) fn take_state(&mut self, from: Origin, state: State, now: Millis) {
        if state.term < self.tabs.term || from == self.tabs.own {
            return;
        }
        if self.tabs.stores_all() || matches!(self.tabs.role, Role::Claiming(_)) {
            if state.term == self.tabs.term {
                return;
            }
            self.step_down(now);
        }
        let is_new = self.tabs.holder != Some(from) || self.tabs.term != state.term;
        let had_another = self.tabs.term > 0;
        self.tabs.term = state.term;
        self.tabs.holder = Some(from);
        self.tabs.heard = now;
        self.tabs.pinged = None;
        self.tabs.is_paused = state.is_paused;
        if state.generation.0 != 0 {
            self.generation = state.generation;
        }
        let was_live = self.link.can_ask();
        self.link.mirror(state);
        let is_live = self.link.can_ask();
        if is_new || (was_live && !is_live) {
            self.questions_are_lost();
        }
        if is_new {
            self.docs.holder_changed();
            if had_another {
                // What the one before it told last may have been missed here, and it does not tell anything more that shows
                // the gap.
                self.resynchronise();
            } else {
                self.want_documents();
            }
            self.follow_peers();
        }
        if is_live && (is_new || !was_live) {
            self.ask_concerns_again();
        }
        self.is_changed = true;
        self.reads_may_end();
    }

    pub(super) fn take_held(
        &mut self,
        from: Origin,
        stream: Frontier,
        leader_end: &Frontier,
        docs: Vec<(DocName, Option<Frontier>)>,
    ) {
        if self.tabs.holder != Some(from) || self.tabs.stores_all() {
            return;
        }
        self.docs.mirror(stream, docs);
        self.link.leader_holds(leader_end);
        self.is_changed = true;
        self.reads_may_end();
    }

    pub(super) fn take_answer(&mut self, to: Origin, frame: &[u8], now: Millis) {
        if to != self.tabs.own || self.tabs.stores_all() {
            return;
        }
        match NodeFrame::decode(frame) {
            Ok(NodeFrame::Reached { id, frontier }) => self.barrier_reached(id, &frontier, now),
            Ok(NodeFrame::Failed { id, error }) => self.barrier_failed(id, &error),
            _ => {}
        }
    }

    /// Tells the holder of all documents that this tab has open.
    pub(super) fn want_documents(&mut self) {
        let docs = self.docs.shown();
        if !docs.is_empty() {
            self.tell_tabs(TabFrame::Want { docs });
        }
    }

    /// A question of this tab goes to the leader by way of the holder.
    pub(in crate::replica) fn ask_holder(&mut self, frame: Vec<u8>) {
        self.tell_tabs(TabFrame::Ask { frame });
    }

    /// Tells that the application wants no connection, or one again; true if this tab has none of its own.
    pub(in crate::replica) fn tell_pause(&mut self, is_paused: bool) -> bool {
        self.tabs.is_paused = is_paused;
        self.tell_others(|| TabFrame::Pause { is_paused });
        !self.tabs.stores_all()
    }

    pub(super) fn tabs_pause(&mut self, is_paused: bool, now: Millis) {
        self.tabs.is_paused = is_paused;
        if self.tabs.is_holder() {
            self.pause_link(is_paused, now);
        }
    }

    /// Looks after the holder: one that does not answer is frozen, or stuck, and the lock is taken from it.
    pub(in crate::replica) fn check_holder(&mut self, now: Millis) {
        if !self.is_ready || self.tabs.next_timeout().is_none_or(|due| due > now) {
            return;
        }
        match self.tabs.pinged {
            // Whoever slept through the answer has not been told of it yet.
            Some(pinged) if now.since(pinged) < Millis(2 * TAB_ANSWER_MS_MAX.0) => {
                self.tabs.pinged = None;
                self.tabs.heard = now;
                self.outputs.push_back(Output::Steal);
            }
            _ => {
                self.tabs.pinged = Some(now);
                self.tell_tabs(TabFrame::Ping);
            }
        }
    }
}
