//! Calls between members: each has one answer or one failure, and what was given up may still be handled late.

use super::coverage::Moment;
use super::world::{Event, World};
use headwater_core::node::Input;
use headwater_core::node::group::message::{Answer, Ask, Call as Question, Reply};
use headwater_core::{Code, Error};
use std::collections::BTreeMap;

/// How long it takes to learn that nobody listens.
const REFUSED_MS_MAX: u64 = 40;

/// A call on its way.
#[derive(Debug)]
pub struct Call {
    /// Who asks.
    pub from: usize,
    from_life: u64,
    /// The asking machine's number for it.
    number: u64,
    /// Whom.
    pub to: usize,
    is_over: bool,
    /// The question.
    pub question: Option<Question>,
}

/// All calls, and which ways are cut.
#[derive(Debug)]
pub struct Calls {
    calls: BTreeMap<u64, Call>,
    last: u64,
    /// Until when nothing gets from one member to another.
    cut_until: Vec<Vec<u64>>,
    /// Until when calls are slow and get lost.
    lossy_until: u64,
}

impl Calls {
    /// No calls among so many members.
    pub fn new(members: usize) -> Self {
        Self { calls: BTreeMap::new(), last: 0, cut_until: vec![vec![0; members]; members], lossy_until: 0 }
    }

    /// Nothing gets from one to the other until then.
    pub fn cut(&mut self, from: usize, to: usize, until: u64) {
        let way = &mut self.cut_until[from][to];
        *way = (*way).max(until);
    }

    /// Calls are slow and get lost until then.
    pub fn lossy(&mut self, until: u64) {
        self.lossy_until = self.lossy_until.max(until);
    }

    /// A call by its number.
    pub fn get(&self, id: u64) -> &Call {
        &self.calls[&id]
    }

    /// How many calls were ever made.
    pub fn made(&self) -> u64 {
        self.last
    }

    /// Every way is as it should be.
    pub fn heal(&mut self) {
        self.cut_until.iter_mut().flatten().for_each(|until| *until = 0);
        self.lossy_until = 0;
    }
}

impl World {
    fn is_lost(&mut self, from: usize, to: usize) -> bool {
        let is_cut = self.calls.cut_until[from][to] > self.now;
        let is_lossy = self.calls.lossy_until > self.now;
        let is_lost = is_cut || (is_lossy && self.rng.chance(30));
        if is_lost {
            self.coverage.saw(Moment::CallLost);
        }
        is_lost
    }

    fn call_delay(&mut self) -> u64 {
        let slowness = if self.calls.lossy_until > self.now { 10 } else { 1 };
        self.about(self.plan.shape.delay_ms) * slowness
    }

    /// A member asks another one something.
    pub fn call(&mut self, from: usize, number: u64, to: usize, bytes: Vec<u8>, timeout: u64) {
        self.calls.last += 1;
        let id = self.calls.last;
        self.trace.event(self.now, "call", from as u64, &bytes);
        let question = Question::decode(&bytes);
        match &question {
            Ok(question) => self.asks(from, question),
            Err(error) => self.violate("calls", || format!("m{from} asks m{to} what does not decode: {error}")),
        }
        if self.trace.is_verbose() {
            let text = super::timeline::call(&bytes);
            self.note(|| format!("m{from} → m{to} #{id} {text}"));
        }
        if self.members[from].calling.insert(number, id).is_some() {
            self.violate("calls", || format!("m{from} numbers two calls {number}"));
        }
        let from_life = self.members[from].life;
        let call = Call { from, from_life, number, to, is_over: false, question: question.ok() };
        self.calls.calls.insert(id, call);
        let late = Error::new(Code::Timeout, "the call was not answered in time");
        self.after(timeout, Event::CallFails(id, late));
        if !self.is_lost(from, to) {
            let span = self.call_delay();
            self.after(span, Event::CallArrives(id, bytes));
        }
    }

    fn asks(&mut self, from: usize, question: &Question) {
        match question.ask {
            Ask::Forward { .. } => self.coverage.saw(Moment::Forward),
            Ask::Barrier { .. } => self.coverage.saw(Moment::ForwardBarrier),
            Ask::Fetch { .. } if self.members[from].stands.is_some() => self.coverage.saw(Moment::SealFetch),
            _ => {}
        }
    }

    /// A call reaches whom it is for.
    pub fn call_arrives(&mut self, id: u64, bytes: Vec<u8>) {
        let Call { from, to, .. } = self.calls.calls[&id];
        // It may have been under way when the way was cut.
        if self.calls.cut_until[from][to] > self.now {
            return self.coverage.saw(Moment::CallLost);
        }
        self.wake(to);
        if self.members[to].core.is_none() {
            if self.calls.cut_until[to][from] <= self.now {
                let span = self.rng.below(REFUSED_MS_MAX);
                self.after(span, Event::CallFails(id, Error::new(Code::Offline, "nobody listens there")));
            }
            return;
        }
        let bytes = self.bug_in_call(to, bytes);
        let call = self.calls.calls.get_mut(&id).expect("calls are kept until they are over");
        if call.is_over {
            self.coverage.saw(Moment::CallLate);
        }
        self.members[to].answering.insert(id);
        self.feed(to, Input::Called { call: id, bytes });
    }

    /// A member answers.
    pub fn reply(&mut self, member: usize, id: u64, bytes: Vec<u8>) {
        if !self.members[member].answering.remove(&id) {
            return self.violate("calls", || format!("m{member} answers call {id}, which it was not asked, or twice"));
        }
        let Call { from, to, .. } = self.calls.calls[&id];
        match Reply::decode(&bytes) {
            Err(error) => self.violate("calls", || format!("m{member} answers what does not decode: {error}")),
            Ok(reply) => {
                if matches!(reply.answer, Answer::Refused { .. }) {
                    self.coverage.saw(Moment::CallRefused);
                }
                if let Some(question) = self.calls.calls[&id].question.clone() {
                    self.check_promise(member, &question, &reply);
                }
            }
        }
        self.trace.event(self.now, "reply", member as u64, &bytes);
        if self.trace.is_verbose() {
            let text = super::timeline::reply(&bytes);
            self.note(|| format!("m{from} ← m{to} #{id} {text}"));
        }
        let bytes = self.bug_in_reply(id, bytes);
        if !self.is_lost(to, from) {
            let span = self.call_delay();
            self.after(span, Event::ReplyArrives(id, bytes));
        }
    }

    /// Who asked hears how it ended, once.
    pub fn call_ends(&mut self, id: u64, result: Result<Vec<u8>, Error>) {
        let Some(call) = self.calls.calls.get_mut(&id) else { return };
        let Call { from, from_life, number, to, .. } = *call;
        // An answer may have been under way when the way was cut.
        if call.is_over || (result.is_ok() && self.calls.cut_until[to][from] > self.now) {
            return;
        }
        let result = match result {
            Err(error) => match self.bug_in_failure(id) {
                Some(forged) => Ok(forged),
                None => Err(error),
            },
            answered => answered,
        };
        let call = self.calls.calls.get_mut(&id).expect("it was there");
        call.is_over = true;
        if self.members[from].life == from_life {
            self.members[from].calling.remove(&number);
            self.feed(from, Input::Answered { call: number, result });
        }
    }
}
