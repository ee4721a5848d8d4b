//! Waits for what no acknowledgement tells: concerns beyond the stages, and stages of writes that have left the outbox
//! before they got there. Each is a question to the node, put again on every connection until it is answered: it never
//! becomes a weaker one by itself.

use super::{Replica, Wait};
use crate::error::Error;
use crate::frame::ClientFrame;
use crate::group::Concern;
use crate::ids::{Millis, Origin, Seq};
use crate::stage::Stage;

/// What to ask the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) origin: Origin,
    pub(super) seq: Seq,
    concern: Concern,
    /// Its number on this connection, once it is put.
    asked: Option<u64>,
}

impl Question {
    /// The stage that its answer proves.
    fn stage(&self) -> Option<Stage> {
        stage_of(&self.concern)
    }
}

impl Replica {
    pub(super) fn begin_concern(&mut self, id: u64, wait: (Origin, Seq, Concern), timeout: Millis, now: Millis) {
        let (origin, seq, concern) = wait;
        // What acknowledgements tell needs no question.
        if let Some(stage) = stage_of(&concern) {
            return self.begin_wait(id, Wait::Stage { origin, seq, stage }, timeout, now);
        }
        self.waits.insert_question(id, Question { origin, seq, concern, asked: None }, Some(now.after(timeout)));
        if let Err(error) = self.outbox.stage(origin, seq) {
            self.end_wait(id, Err(error));
        }
    }

    /// Asks for a stage that would come by itself only if the write were still sent.
    pub(super) fn ask_for_stage(&mut self, id: u64, origin: Origin, seq: Seq, stage: Stage) {
        let concern = match stage {
            Stage::Quorum => Concern::Quorum,
            Stage::All => Concern::All,
            Stage::Applied | Stage::Local | Stage::Leader => return,
        };
        if self.outbox.is_settled(origin, seq) {
            self.waits.insert_question(id, Question { origin, seq, concern, asked: None }, None);
        }
    }

    /// A connection begins: whatever is waited for and was not answered on the last one is asked for on this one.
    pub(super) fn ask_concerns_again(&mut self) {
        for (id, (origin, stage, seq)) in self.waits.stage_waits() {
            self.ask_for_stage(id, origin, seq, stage);
        }
    }

    pub(super) fn concerns_are_lost(&mut self) {
        self.waits.questions_mut().for_each(|(_, question)| question.asked = None);
    }

    /// How many questions the node has not answered.
    pub(super) fn concerns_asked(&mut self) -> usize {
        self.waits.questions_mut().filter(|(_, question)| question.asked.is_some()).count()
    }

    /// Puts as many questions as there is room for.
    pub(super) fn ask_concerns(&mut self, room: usize) {
        let mut frames = Vec::new();
        for (_, question) in self.waits.questions_mut().filter(|(_, question)| question.asked.is_none()).take(room) {
            let id = self.reads.next_question();
            question.asked = Some(id);
            let Question { origin, seq, concern, .. } = question.clone();
            frames.push(ClientFrame::Await { id, origin, seq, concern });
        }
        frames.iter().for_each(|frame| self.send(frame));
    }

    /// The node has answered a question.
    pub(super) fn concern_answered(&mut self, asked: u64, result: Result<(), Error>) {
        let mut questions = self.waits.questions_mut();
        let Some((id, question)) = questions.find(|(_, question)| question.asked == Some(asked)) else { return };
        question.asked = None;
        let Question { origin, seq, .. } = *question;
        let stage = question.stage();
        drop(questions);
        let is_met = result.is_ok();
        self.end_wait(id, result);
        if let Some(stage) = stage.filter(|_| is_met) {
            self.outbox.advance(origin, seq, stage);
            self.stage_reached(origin, seq, stage);
            self.is_changed = true;
        }
    }

    /// Nobody waits for the answer any more.
    pub(super) fn forget_question(&mut self, question: &Question) {
        if let Some(id) = question.asked.filter(|_| self.link.can_ask()) {
            self.send(&ClientFrame::Cancel { id });
        }
    }
}

fn stage_of(concern: &Concern) -> Option<Stage> {
    match concern {
        Concern::Leader => Some(Stage::Leader),
        Concern::Quorum => Some(Stage::Quorum),
        Concern::All => Some(Stage::All),
        Concern::Count(_) | Concern::Any { .. } | Concern::First { .. } => None,
    }
}
