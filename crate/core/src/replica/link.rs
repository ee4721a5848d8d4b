//! The link to the leader: when to connect, when to give up on a silent socket, when to try again.

use super::docs::Piece;
use super::{Output, Replica, tabs};
use crate::backoff::Backoff;
use crate::error::{Code, Error};
use crate::frame::{ClientFrame, NodeFrame, PROTOCOL_VERSION, Served};
use crate::frontier::Frontier;
use crate::ids::{Epoch, Generation, Millis};
use crate::stage::Stage;

/// How long a connection may take to be welcomed.
pub const CONNECT_MS_MAX: Millis = Millis(10_000);
/// How often a quiet connection is asked for a sign of life.
pub const PING_INTERVAL: Millis = Millis(25_000);
/// A leader that asks for more patience is asked again all the same.
pub const RETRY_AFTER_MAX: Millis = Millis(300_000);
/// How long a replica that has sent something waits for any sign of life before it asks for one.
pub const ANSWER_MS_MAX: Millis = Millis(3_000);
/// How long the answer may take.
pub const PONG_MS_MAX: Millis = Millis(10_000);

/// Where the link stands, as users meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is no leader to sync with.
    LocalOnly,
    /// Waiting to try again, or told not to connect.
    Offline,
    /// Connecting, or not welcomed yet.
    Connecting,
    /// In sync with the leader.
    Live,
    /// Trying again would not help; `trouble` says why.
    Blocked,
}

#[derive(Debug)]
enum State {
    LocalOnly,
    Paused,
    Waiting {
        until: Millis,
    },
    Connecting {
        since: Millis,
    },
    Greeting {
        since: Millis,
    },
    Live {
        epoch: Epoch,
        served: Served,
        heard: Millis,
        pinged: Option<Millis>,
    },
    Blocked(Error),
    /// Another tab has the link.
    Mirrored(tabs::State),
}

#[derive(Debug)]
pub(super) struct Link {
    state: State,
    backoff: Backoff,
    retry_after: Millis,
    /// How many connections have not worked: which address to go to.
    attempt: u64,
    /// Whether the node that was asked says that it does not lead, and so that another one may.
    is_sent_on: bool,
    /// Whether the one before it said so too, and nobody has welcomed the replica since.
    was_sent_on: bool,
    /// The farthest the leader is known to have come.
    leader_end: Frontier,
    voters: u64,
    /// Since when something that was sent has had no sign of life after it.
    awaits: Option<Millis>,
    has_sent: bool,
}

impl Link {
    pub(super) fn new(has_leader: bool, shares_storage: bool, jitter_seed: u64) -> Self {
        Self {
            state: match (shares_storage, has_leader) {
                (true, _) => State::Mirrored(tabs::State::unknown(has_leader)),
                (false, true) => State::Waiting { until: Millis(0) },
                (false, false) => State::LocalOnly,
            },
            backoff: Backoff::new(jitter_seed),
            retry_after: Millis(0),
            attempt: 0,
            is_sent_on: false,
            was_sent_on: false,
            leader_end: Frontier::default(),
            voters: 1,
            awaits: None,
            has_sent: false,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.state {
            State::LocalOnly => Phase::LocalOnly,
            State::Paused | State::Waiting { .. } => Phase::Offline,
            State::Connecting { .. } | State::Greeting { .. } => Phase::Connecting,
            State::Live { .. } => Phase::Live,
            State::Blocked(_) => Phase::Blocked,
            State::Mirrored(ref state) => state.phase,
        }
    }

    pub(super) fn blocked(&self) -> Option<&Error> {
        match &self.state {
            State::Blocked(error) => Some(error),
            State::Mirrored(state) => state.error.as_ref(),
            _ => None,
        }
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        match self.state {
            State::Live { epoch, .. } => Some(epoch),
            State::Mirrored(ref state) => state.epoch,
            _ => None,
        }
    }

    /// What the node that serves this replica says of itself.
    pub(super) fn served(&self) -> Option<&Served> {
        match &self.state {
            State::Live { served, .. } => Some(served),
            State::Mirrored(state) => Some(&state.served),
            _ => None,
        }
    }

    pub(super) fn is_greeted(&self) -> bool {
        matches!(self.state, State::Live { .. })
    }

    /// Whether questions reach the leader: by this link, or by another tab's.
    pub(super) fn can_ask(&self) -> bool {
        self.is_greeted() || matches!(&self.state, State::Mirrored(state) if state.phase == Phase::Live)
    }

    fn is_mirrored(&self) -> bool {
        matches!(self.state, State::Mirrored(_))
    }

    pub(super) fn voters(&self) -> u64 {
        self.voters
    }

    /// Another tab has the link, and this is what it says of it.
    pub(super) fn mirror(&mut self, state: tabs::State) {
        self.voters = state.voters;
        self.awaits = None;
        self.state = State::Mirrored(state);
    }

    /// The link is this tab's from here on.
    pub(super) fn take_over(&mut self, has_leader: bool, is_paused: bool, now: Millis) {
        self.state = match (has_leader, is_paused) {
            (false, _) => State::LocalOnly,
            (true, true) => State::Paused,
            (true, false) => State::Waiting { until: now },
        };
    }

    /// Nothing is sent any more.
    pub(super) fn pause(&mut self) {
        if !matches!(self.state, State::LocalOnly | State::Blocked(_)) {
            self.state = State::Paused;
        }
    }

    pub(super) fn leader_end(&self) -> &Frontier {
        &self.leader_end
    }

    pub(super) fn leader_holds(&mut self, frontier: &Frontier) {
        self.leader_end.join(&frontier.epochs_only());
    }

    pub(super) fn heard(&mut self, now: Millis) {
        self.awaits = None;
        if let State::Live { heard, pinged, .. } = &mut self.state {
            *heard = now;
            *pinged = None;
        }
    }

    /// Something was sent, or nothing.
    pub(super) fn note_sent(&mut self, now: Millis) {
        if std::mem::take(&mut self.has_sent) && self.is_greeted() && self.awaits.is_none() {
            self.awaits = Some(now);
        }
    }

    // Until when a ping may be unanswered: not so long while something waits for the node.
    fn silence_ends(&self, pinged: Millis) -> Millis {
        pinged.after(if self.awaits.is_some() { ANSWER_MS_MAX } else { PONG_MS_MAX })
    }

    /// The node did what only one that leads, or reaches who does, can do.
    pub(super) fn works(&mut self) {
        self.backoff.reset();
        self.was_sent_on = false;
    }

    /// The connection is over, or did not come about: when to try again, and where.
    fn ended(&mut self, now: Millis) {
        let has_worked = match self.state {
            State::Live { pinged: Some(pinged), .. } => self.silence_ends(pinged) > now,
            State::Live { .. } => true,
            State::Connecting { .. } | State::Greeting { .. } => false,
            State::LocalOnly | State::Paused | State::Waiting { .. } | State::Blocked(_) | State::Mirrored(_) => return,
        };
        let is_sent_on = std::mem::take(&mut self.is_sent_on);
        if !has_worked || is_sent_on {
            self.attempt += 1;
        }
        // Another node may lead already, whatever the ones before were like. But if that one sends the replica on as well,
        // the group is electing, and those who ask it more and more often do not help.
        if is_sent_on && !std::mem::replace(&mut self.was_sent_on, true) {
            self.backoff.reset();
        }
        let delay = self.backoff.next_delay().max(std::mem::take(&mut self.retry_after));
        self.state = State::Waiting { until: now.after(delay) };
    }

    pub(super) fn next_timeout(&self) -> Option<Millis> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Connecting { since } | State::Greeting { since } => Some(since.after(CONNECT_MS_MAX)),
            State::Live { pinged: Some(pinged), .. } => Some(self.silence_ends(pinged)),
            State::Live { heard, .. } => {
                let answer = self.awaits.map(|since| since.after(ANSWER_MS_MAX));
                answer.into_iter().chain([heard.after(PING_INTERVAL)]).min()
            }
            State::LocalOnly | State::Paused | State::Blocked(_) | State::Mirrored(_) => None,
        }
    }
}

impl Replica {
    pub(super) fn tick(&mut self, now: Millis) {
        self.expire_waits(now);
        self.check_holder(now);
        self.check_link(now);
    }

    pub(super) fn check_link(&mut self, now: Millis) {
        if !self.is_ready || self.link.next_timeout().is_none_or(|due| due > now) {
            return;
        }
        match &mut self.link.state {
            State::Waiting { .. } => self.connect(now),
            State::Live { pinged: pinged @ None, .. } => {
                *pinged = Some(now);
                self.outputs.push_back(Output::Ping);
            }
            _ => self.drop_link(now),
        }
    }

    pub(super) fn connect(&mut self, now: Millis) {
        self.link.state = State::Connecting { since: now };
        self.is_changed = true;
        self.outputs.push_back(Output::Connect { attempt: self.link.attempt });
    }

    pub(super) fn connected(&mut self, now: Millis) {
        if !matches!(self.link.state, State::Connecting { .. }) {
            return;
        }
        self.link.state = State::Greeting { since: now };
        self.send(&ClientFrame::Hello {
            version: PROTOCOL_VERSION,
            generation: self.generation,
            origin: self.config.origin,
            extensions: Vec::new(),
        });
    }

    pub(super) fn disconnected(&mut self, now: Millis) {
        self.link.ended(now);
        self.stream_is_down();
        self.questions_are_lost();
        self.is_changed = true;
    }

    /// Something has happened in this tab that speaks for trying; the link may be another one's.
    pub(super) fn nudge(&mut self, now: Millis) {
        if self.link.is_mirrored() && self.is_ready {
            return self.tell_tabs(tabs::TabFrame::Nudge);
        }
        self.nudge_link(now);
    }

    pub(super) fn nudge_link(&mut self, now: Millis) {
        match self.link.state {
            State::Waiting { .. } if self.is_ready => self.connect(now),
            // A socket that slept with the page may be dead; one question tells.
            State::Live { pinged: None, .. } => {
                if let State::Live { pinged, .. } = &mut self.link.state {
                    *pinged = Some(now);
                }
                self.outputs.push_back(Output::Ping);
            }
            _ => {}
        }
    }

    /// The application wants no connection, or wants one again. Tabs share it.
    pub(super) fn pause(&mut self, is_paused: bool, now: Millis) {
        if !self.tell_pause(is_paused) {
            self.pause_link(is_paused, now);
        }
    }

    pub(super) fn pause_link(&mut self, is_paused: bool, now: Millis) {
        match (&self.link.state, is_paused) {
            (State::LocalOnly | State::Blocked(_) | State::Paused, true) => {}
            (_, true) => {
                self.drop_link(now);
                self.link.state = State::Paused;
            }
            (State::Paused, false) => {
                self.link.backoff.reset();
                self.link.state = State::Waiting { until: now };
                self.check_link(now);
            }
            (_, false) => {}
        }
    }

    pub(super) fn frame(&mut self, bytes: &[u8], now: Millis) {
        self.link.heard(now);
        let taken = NodeFrame::decode(bytes).and_then(|frame| self.take_frame(frame, now));
        if let Err(error) = taken {
            let message =
                format!("the leader sent what this replica cannot use; update the older one: {}", error.message);
            self.block(Error::new(error.code, message), now);
        }
    }

    fn take_frame(&mut self, frame: NodeFrame, now: Millis) -> Result<(), Error> {
        if let NodeFrame::Error { error, retry_after_ms } = frame {
            self.refused(error, Millis(retry_after_ms), now);
            return Ok(());
        }
        match (&self.link.state, frame) {
            (
                State::Greeting { .. },
                NodeFrame::Welcome { version, generation, epoch, frontier, voters, extensions },
            ) => {
                self.check_welcome(version, generation)?;
                self.link.voters = voters;
                let served = Served::of(&extensions);
                self.link.state = State::Live { epoch, served, heard: now, pinged: None };
                self.link.awaits = None;
                self.welcomed(&frontier);
                Ok(())
            }
            (State::Live { .. }, frame) => self.take_live_frame(frame, now),
            // What was on its way when the link was given up.
            (_, _) => Ok(()),
        }
    }

    fn take_live_frame(&mut self, frame: NodeFrame, now: Millis) -> Result<(), Error> {
        match frame {
            NodeFrame::Entries { group, epoch, through, batch } => {
                self.link.leader_holds(&Frontier::at(epoch, through));
                self.entries(group, epoch, through, batch);
            }
            NodeFrame::Live { group, frontier } => self.group_is_live(group, &frontier)?,
            NodeFrame::Ack { origin, seq, stage, epoch, lsn, through } => {
                self.link.leader_holds(&Frontier::at(epoch, through));
                self.link.works();
                self.acknowledged(origin, seq, stage, epoch, lsn)?;
                self.stream_through_if_live(epoch, through);
                self.reads_may_end();
            }
            NodeFrame::Rejected { origin, seq, error } => {
                self.reject(origin, seq, error);
                // The node ignores what was sent behind it, also where this replica had taken it back before.
                self.outbox.rewind();
            }
            NodeFrame::Reached { id, frontier } => {
                self.link.works();
                if !self.answer_tab(id, &Ok(frontier.clone())) {
                    self.barrier_reached(id, &frontier, now);
                }
            }
            // What cannot be answered here may be answered elsewhere: the next node is asked again.
            NodeFrame::Failed { error, .. } if error.code == Code::NotLeader => {
                self.link.is_sent_on = true;
                self.drop_link(now);
            }
            NodeFrame::Failed { id, error } => {
                if !self.answer_tab(id, &Err(error.clone())) {
                    self.barrier_failed(id, &error);
                }
            }
            NodeFrame::Contents { group, contents } => self.contents(group, contents),
            NodeFrame::Chunk { group, doc, frontier, checksum, total, offset, bytes } => {
                self.snapshot_piece(group, Piece { doc, frontier, checksum, total, offset, bytes })?;
            }
            NodeFrame::Signal { from, bytes } => self.signalled(from, bytes),
            NodeFrame::Welcome { .. } | NodeFrame::Error { .. } => {
                return Err(Error::new(Code::OutOfOrder, "a connection is welcomed once"));
            }
        }
        Ok(())
    }

    fn check_welcome(&mut self, version: u64, generation: Generation) -> Result<(), Error> {
        if version != PROTOCOL_VERSION {
            return Err(Error::new(Code::Version, format!("the leader speaks protocol version {version}")));
        }
        if self.generation != Generation(0) && self.generation != generation {
            return Err(Error::new(Code::DatabaseReset, "the leader is of another generation than this replica"));
        }
        if self.generation != generation {
            self.generation = generation;
            self.persister.generation_changed();
        }
        Ok(())
    }

    fn welcomed(&mut self, frontier: &Frontier) {
        if !self.link.was_sent_on {
            self.link.backoff.reset();
        }
        self.link.leader_holds(frontier);
        self.is_changed = true;
        self.outbox.reconnected();
        self.resume_stream(frontier);
        self.ask_concerns_again();
        self.reads_may_end();
    }

    // Some refusals pass, others would be given again and again.
    fn refused(&mut self, error: Error, retry_after: Millis, now: Millis) {
        match error.code {
            Code::Version | Code::DatabaseReset | Code::Malformed | Code::OutOfOrder | Code::TooLarge => {
                self.block(error, now);
            }
            code => {
                self.link.is_sent_on |= code == Code::NotLeader;
                self.link.retry_after = retry_after.min(RETRY_AFTER_MAX);
            }
        }
    }

    fn block(&mut self, error: Error, now: Millis) {
        self.drop_link(now);
        self.link.state = State::Blocked(error);
    }

    pub(super) fn drop_link(&mut self, now: Millis) {
        if matches!(self.link.state, State::Connecting { .. } | State::Greeting { .. } | State::Live { .. }) {
            self.outputs.push_back(Output::Disconnect);
        }
        self.disconnected(now);
    }

    /// Writes that may be sent, sent.
    pub(super) fn send_unsent(&mut self) {
        if !self.link.is_greeted() {
            return;
        }
        while let Some(push) = self.outbox.next_push(self.persister.done()) {
            self.send(&ClientFrame::Push { resume: push.resume, prev: push.prev, batch: push.batch });
        }
    }

    pub(super) fn send(&mut self, frame: &ClientFrame) {
        if self.link.is_mirrored() {
            return self.ask_holder(frame.encode());
        }
        self.link.has_sent = true;
        self.outputs.push_back(Output::Send { bytes: frame.encode() });
    }

    /// The stage at which a write survives what the database is configured to survive, so that it may leave the outbox.
    pub(super) fn settles_at(&self) -> Stage {
        if self.link.voters > 1 { Stage::Quorum } else { Stage::Leader }
    }
}
