//! The stream of rows to other members: one call in flight to each, and what comes meanwhile gathers behind it. From the
//! answers follows what a quorum holds.

use super::calls::Pending;
use super::copy::Copying;
use super::message::{Answer, Append, Ask};
use super::multi::Stuck;
use super::{Node, Role};
use crate::error::Error;
use crate::frontier::Frontier;
use crate::group::concern::{Progress, held_by};
use crate::group::{MemberName, Role as MemberRole};
use crate::ids::{Epoch, Lsn, Millis};
use crate::node::catch_up::Reader;
use crate::node::io::Event;
use crate::sorted::Map;
use crate::store::Row;
use std::collections::VecDeque;

/// The longest pause before a member that does not answer is tried again.
const RETRY_MS_MAX: u64 = 5_000;
/// How many moments of the log's growth are remembered, and how far apart they are at least.
const MOMENTS_MAX: usize = 1024;
const MOMENT_MS: u64 = 50;

/// Another member, as the one that streams to it knows it.
#[derive(Default)]
pub(super) struct Peer {
    /// What it holds durably; `None` before it has said so.
    pub(super) held: Option<Frontier>,
    /// What it shows its clients.
    pub(super) applied: Frontier,
    /// What was sent to it.
    pub(super) written: Frontier,
    /// The call that it has not answered.
    pub(super) in_flight: Option<u64>,
    pub(super) is_reading: bool,
    pub(super) is_fetching: bool,
    /// Whether what it keeps of documents is not whole.
    needs_copy: bool,
    /// A copy of what is kept that it gets.
    pub(super) copying: Option<Copying>,
    /// Where several lead: the logs in which it stays behind although others should be sending them.
    pub(super) stuck: Map<Epoch, Stuck>,
    /// The highest round that it has confirmed, and when that call was sent.
    confirmed: u64,
    confirmed_at: Option<Millis>,
    /// When the last call was sent that failed.
    failed: Option<Millis>,
    failures: u32,
    retry_at: Option<Millis>,
    pub(super) last_sent: Option<Millis>,
    has_clients: bool,
    /// Whether its promises count, by its own word.
    is_joined: bool,
    /// What it was told last.
    told: Option<(Frontier, Frontier, Vec<Progress>, u64)>,
    is_alarmed: bool,
}

impl Peer {
    pub(super) fn is_connected(&self) -> bool {
        self.held.is_some() && self.failures == 0
    }

    /// Tries it at once, whatever happened before.
    pub(super) fn try_now(&mut self) {
        self.retry_at = None;
    }

    /// Has it told everything again.
    pub(super) fn forget_told(&mut self) {
        self.told = None;
    }

    /// A promise or rows were answered: how far it is.
    pub(super) fn holds(&mut self, frontier: Frontier) {
        self.held = Some(frontier);
        self.failures = 0;
        self.retry_at = None;
    }
}

/// How the log has grown, for the lag in time and bytes.
#[derive(Default)]
pub(in crate::node) struct Growth {
    moments: VecDeque<(Lsn, Millis, u64)>,
    bytes: u64,
}

impl Growth {
    pub(in crate::node) fn clear(&mut self) {
        self.moments.clear();
    }

    pub(in crate::node) fn grew(&mut self, end: Lsn, bytes: usize, now: Millis) {
        match self.moments.back_mut() {
            Some((last, at, _)) if now.since(*at).0 < MOMENT_MS => *last = end,
            _ => self.moments.push_back((end, now, self.bytes)),
        }
        self.bytes += bytes as u64;
        if self.moments.len() > MOMENTS_MAX {
            self.moments.pop_front();
        }
    }

    /// For how long somebody has been without what follows `held`, and how many bytes that is at most.
    pub(super) fn lag(&self, held: Lsn, now: Millis) -> (Millis, u64) {
        let missing = self.moments.iter().find(|(end, ..)| *end > held);
        missing.map_or((Millis(0), 0), |(_, since, before)| (now.since(*since), self.bytes - before))
    }
}

impl Node {
    /// The members' list may have changed.
    pub(super) fn adopt_members(&mut self) {
        let group = self.g();
        let names: Vec<MemberName> = group.members.iter().map(|member| member.name.clone()).collect();
        group.peers.retain(|name, _| names.contains(name));
        for name in names {
            if name != group.config.me {
                group.peers.get_or_default(name);
            }
        }
    }

    // Whom this member streams to.
    fn targets(&self) -> Vec<MemberName> {
        let group = self.g_ref();
        let is_fed = |name: &MemberName| match group.member(name).map(|member| &member.role) {
            Some(MemberRole::Observer { via: Some(via), .. }) => *via == group.config.me,
            Some(MemberRole::Observer { via: None, .. }) => group.is_leading(),
            Some(MemberRole::Voter { .. }) => !matches!(group.role, Role::Following { .. }),
            None => false,
        };
        group.peers.keys().filter(|name| is_fed(name)).cloned().collect()
    }

    pub(super) fn feed_all(&mut self) {
        if self.generation.0 != 0 {
            self.targets().iter().for_each(|name| self.feed(name));
        }
    }

    fn feed(&mut self, name: &MemberName) {
        let (now, next_ms, beat) = (self.g_ref().now, self.next_beat().0, self.g_ref().settings().beat);
        let (needs_round, is_candidate) = (self.needs_round(), matches!(self.g_ref().role, Role::Candidate(_)));
        let progress = self.progress_list();
        let missing = self.next_missing(name);
        let trimmed = self.compactor.trimmed.clone();
        let group = self.g();
        let (stable, all, round) = (group.stable.clone(), group.all.clone(), group.round);
        let is_leading = group.is_leading();
        let is_co_leader = group.is_co_leader(name);
        let Some(peer) = group.peers.get_mut(name) else { return };
        if peer.in_flight.is_some() || peer.is_reading || peer.retry_at.is_some_and(|at| now < at) {
            return;
        }
        // A candidate hands on only to those who have promised, which is when it hears what they hold.
        if is_candidate && peer.held.is_none() {
            return;
        }
        let is_trimmed = missing.is_some_and(|(epoch, after)| after < trimmed.lsn(epoch));
        let gets_copy = is_trimmed || peer.needs_copy;
        if gets_copy && self.copy_to(name) {
            return;
        }
        let Some(peer) = self.g().peers.get_mut(name) else { return };
        if !gets_copy {
            peer.copying = None;
        }
        if let Some((epoch, after)) = missing.filter(|_| !is_trimmed) {
            peer.is_reading = true;
            return self.read_log_after(epoch, after, Reader::Member(name.clone()));
        }
        if is_candidate {
            return;
        }
        let news = (stable, all, progress, next_ms);
        let is_news = peer.told.as_ref() != Some(&news);
        let is_new_beat = peer.told.as_ref().is_none_or(|told| told.3 != next_ms);
        // Another leader counts for itself what a quorum holds.
        let is_eager = (peer.has_clients || next_ms == 0) && !is_co_leader;
        let is_due = peer.held.is_none()
            || (needs_round && peer.confirmed < round)
            || (is_leading && is_new_beat)
            || (is_news && is_eager)
            || (next_ms > 0 && peer.last_sent.is_none_or(|sent| now.since(sent) >= beat));
        if is_due {
            self.send_rows(name, Vec::new());
        }
    }

    /// The rows that a member lacks have been read.
    pub(in crate::node) fn feed_rows(&mut self, name: &MemberName, rows: Vec<Row>) {
        let held = self.log.held.clone();
        let Some(peer) = self.g().peers.get_mut(name) else { return };
        peer.is_reading = false;
        // A commit that is under way may show already.
        let committed: Vec<Row> = rows.into_iter().filter(|row| is_committed(row, &held)).collect();
        if let Some((epoch, last)) = committed.last().and_then(|row| crate::store::log_place(&row.key)) {
            peer.written.advance_epoch(epoch, last);
        }
        if !matches!(self.g_ref().role, Role::Following { .. }) || !committed.is_empty() {
            self.send_rows(name, committed.into_iter().map(|row| row.value).collect());
        }
    }

    fn send_rows(&mut self, name: &MemberName, rows: Vec<Vec<u8>>) {
        let held = self.log.held.clone();
        let (next_ms, progress) = (self.next_beat().0, self.progress_list());
        let group = self.g();
        let leader = group.leader().cloned();
        let instance = if group.is_leading() { group.config.jitter_seed } else { group.told.instance };
        let (stable, all) = (group.stable.clone(), group.all.clone());
        let (round, sent) = (group.round, group.now);
        let is_deaf = group.is_isolated;
        let of = self.is_multi().then_some(self.log.epoch);
        let shown = if of.is_some() { self.visible.epochs_only() } else { Frontier::default() };
        let news = (stable.clone(), all.clone(), progress.clone(), next_ms);
        let ask =
            Ask::Append(Append { leader, of, shown, instance, held, stable, all, progress, is_deaf, next_ms, rows });
        let call = self.call(name, ask, Pending::Append { to: name.clone(), round, sent });
        if let Some(peer) = self.g().peers.get_mut(name) {
            peer.in_flight = call;
            peer.last_sent = Some(sent);
            peer.told = Some(news);
        }
    }

    pub(super) fn append_answered(
        &mut self,
        name: &MemberName,
        round: u64,
        sent: Millis,
        answer: Result<Answer, Error>,
    ) {
        let beat = self.g_ref().settings().beat.0;
        if let Ok(Answer::Held { applied, .. }) = &answer {
            self.hear_cut(name, applied);
        }
        let group = self.g();
        let now = group.now;
        let Some(peer) = group.peers.get_mut(name) else { return };
        peer.in_flight = None;
        let Ok(Answer::Held { frontier, applied, has_clients, is_joined, needs_copy }) = answer else {
            peer.failed = Some(sent);
            peer.failures = peer.failures.saturating_add(1);
            let pause = beat.saturating_mul(1 << peer.failures.min(6)).min(RETRY_MS_MAX) / 2;
            peer.retry_at = Some(now.after(Millis(pause)));
            peer.told = None;
            return self.watch_lag(name);
        };
        (peer.applied, peer.has_clients, peer.is_joined) = (applied, has_clients, is_joined);
        peer.needs_copy = needs_copy;
        peer.confirmed = round.max(peer.confirmed);
        peer.confirmed_at = Some(sent).max(peer.confirmed_at);
        peer.holds(frontier.clone());
        let promised = group.promised;
        if let Some(candidate) = group.candidate().filter(|_| is_joined) {
            candidate.seal.promised(name, promised, &frontier);
        }
        self.notice_stuck(name);
        self.compare(name, &frontier);
        self.watch_lag(name);
    }

    // A member may hold what the leader does not: the tail of an epoch that was sealed without it.
    fn compare(&mut self, name: &MemberName, theirs: &Frontier) {
        if !self.g_ref().is_leading() || self.has_let_go() {
            return;
        }
        if self.is_multi() {
            return self.compare_multi(name, theirs);
        }
        let epoch = self.log.epoch;
        if theirs.lsn(epoch) > self.held(epoch) {
            // This storage went back in time: what was appended since may stand elsewhere under the same numbers.
            self.step_down();
            return self.miss_leader_now();
        }
        let more = theirs.epochs().find(|(of, lsn)| *of < epoch && self.log.held.lsn(*of) < *lsn);
        if let Some((of, _)) = more {
            self.fetch(name, of);
        }
    }

    /// Asks a member for rows that this one lacks.
    pub(super) fn fetch(&mut self, from: &MemberName, of: Epoch) {
        if self.g_ref().peers.get(from).is_none_or(|peer| peer.is_fetching) {
            return;
        }
        let after = self.held(of);
        let called = self.call(from, Ask::Fetch { of, after }, Pending::Fetch { from: from.clone(), of });
        if let Some(peer) = self.g().peers.get_mut(from) {
            peer.is_fetching = called.is_some();
        }
    }

    pub(super) fn fetch_failed(&mut self, from: &MemberName) {
        if let Some(peer) = self.g().peers.get_mut(from) {
            peer.is_fetching = false;
        }
    }

    /// Counts who holds what, and which rounds are confirmed.
    pub(in crate::node) fn count_holders(&mut self) {
        let Some(group) = &self.group else {
            self.waiters.confirmed(u64::MAX);
            return;
        };
        if !group.is_leading() || self.has_let_go() {
            return;
        }
        let held = &self.log.held;
        let (mut stable, mut all) = (group.stable.clone(), group.all.clone());
        for (epoch, end) in held.epochs().filter(|(epoch, end)| group.all.lsn(*epoch) < *end) {
            let theirs = |name: &MemberName| match group.peers.get(name) {
                // It counts once the record says so: until then it may start anew and know of nothing.
                Some(_) if !group.counts(name) => Lsn(0),
                Some(peer) => peer.held.as_ref().map_or(Lsn(0), |held| held.lsn(epoch)).min(end),
                None => end,
            };
            stable.advance_epoch(epoch, held_by(group.voters().map(theirs), group.quorum));
            all.advance_epoch(epoch, group.voters().map(theirs).min().unwrap_or_default());
        }
        let group = self.g();
        (group.stable, group.all) = (stable, all);
    }

    pub(super) fn confirm_rounds(&mut self) {
        let group = self.g_ref();
        if !group.is_leading() {
            return;
        }
        let mut confirmed: Vec<u64> = group.counted().map(|peer| peer.confirmed).collect();
        confirmed.sort_unstable_by(|a, b| b.cmp(a));
        let others = group.quorum - 1;
        let round = if others == 0 { u64::MAX } else { confirmed.get(others - 1).copied().unwrap_or(0) };
        self.waiters.confirmed(round);
        if self.waiters.has_proof() {
            self.answer_waiters();
        }
    }

    // How far each member holds the leader's epoch.
    fn progress_list(&self) -> Vec<Progress> {
        self.member_progress(self.log.epoch)
    }

    /// How far each member holds an epoch; a follower was told of its leader's own.
    pub(in crate::node) fn member_progress(&self, epoch: Epoch) -> Vec<Progress> {
        let group = self.g_ref();
        if !group.is_leading() {
            return group.told.progress.clone();
        }
        let of = |name: &MemberName| match group.peers.get(name) {
            Some(peer) => (peer.held.as_ref().map_or(Lsn(0), |held| held.lsn(epoch)), peer.is_connected()),
            None => (self.held(epoch), true),
        };
        let progress = |name: MemberName| {
            let (durable, is_connected) = of(&name);
            Progress { name, durable, is_connected }
        };
        group.members.iter().map(|member| progress(member.name.clone())).collect()
    }

    // How soon the next sign of life follows; zero while there is nothing to be alive for.
    fn next_beat(&self) -> Millis {
        let group = self.g_ref();
        if !group.is_leading() {
            return Millis(0);
        }
        let is_behind = |peer: &Peer| {
            peer.needs_copy || peer.held.as_ref().is_none_or(|held| !held.dominates_epochs(&self.log.held))
        };
        let is_active = !self.conns.is_empty()
            || self.log.is_gathering()
            || self.waiters.is_waiting()
            // Another leader's clients have it for themselves.
            || group.peers.iter().any(|(name, peer)| (peer.has_clients && !group.is_co_leader(name)) || is_behind(peer));
        if is_active { group.settings().beat } else { Millis(0) }
    }

    fn needs_round(&self) -> bool {
        let is_checking = matches!(&self.g_ref().role, Role::Leading(leading) if leading.check.is_some());
        is_checking || self.waiters.needs_round()
    }

    /// When a member is to be sent something next.
    pub(super) fn next_feed(&self) -> Option<Millis> {
        let group = self.group.as_ref()?;
        if self.generation.0 == 0 {
            return None;
        }
        let beat = self.next_beat();
        let due = |name: MemberName| {
            let peer = group.peers.get(&name)?;
            if peer.in_flight.is_some() || peer.is_reading {
                return None;
            }
            let next = peer.last_sent.filter(|_| beat.0 > 0).map(|sent| sent.after(beat));
            next.max(peer.retry_at).or(peer.retry_at)
        };
        self.targets().into_iter().filter_map(due).min()
    }

    fn watch_lag(&mut self, name: &MemberName) {
        let held = self.log.held.clone();
        let group = self.g();
        let limit = group.settings().lag_alarm_entries;
        let Some(peer) = group.peers.get_mut(name) else { return };
        // One that has not answered this leader yet may hold nothing.
        let theirs = peer.held.clone().unwrap_or_default();
        let entries = held.entries_beyond(&theirs);
        let is_alarm = if peer.is_alarmed { entries > limit / 2 } else { entries > limit };
        if std::mem::replace(&mut peer.is_alarmed, is_alarm) != is_alarm {
            self.event(Event::Lag { member: name.clone(), entries, is_alarm });
        }
    }

    /// A new tenure or none: what calls of the last one say does not count any more.
    pub(super) fn forget_streams(&mut self) {
        let group = self.g();
        for peer in group.peers.values_mut() {
            let held = peer.held.take();
            *peer = Peer { held, is_alarmed: peer.is_alarmed, is_reading: peer.is_reading, ..Peer::default() };
        }
        let is_of_stream = |pending: &Pending| {
            matches!(pending, Pending::Append { .. } | Pending::Fetch { .. } | Pending::Copy { .. })
        };
        group.calls.retain(|_, pending| !is_of_stream(pending));
    }
}

impl super::Group {
    /// Whether the voter counts for the quorum, as far as the record is known.
    fn has_joined(&self, voter: &MemberName) -> bool {
        self.record.as_ref().is_none_or(|record| record.has_joined(voter))
    }

    // Whether what a voter says counts: with new storage it has to catch up first, and the record has to know of it.
    fn counts(&self, voter: &MemberName) -> bool {
        self.peers.get(voter).is_some_and(|peer| peer.is_joined) && self.has_joined(voter)
    }

    fn counted(&self) -> impl Iterator<Item = &Peer> {
        self.voters().filter(|name| self.counts(name)).filter_map(|name| self.peers.get(name))
    }

    /// Voters whose promises count and of whom the record does not know it.
    pub(super) fn newly_joined(&self) -> Vec<MemberName> {
        let is_new =
            |name: &&MemberName| self.peers.get(*name).is_some_and(|peer| peer.is_joined) && !self.has_joined(name);
        self.voters().filter(is_new).cloned().collect()
    }

    /// When a quorum was last heard of, counted from the question and not from the answer.
    pub(super) fn last_quorum(&self) -> Option<Millis> {
        let others = self.quorum - 1;
        let mut heard: Vec<Millis> = self.counted().filter_map(|peer| peer.confirmed_at).collect();
        heard.sort_unstable_by(|a, b| b.cmp(a));
        if others == 0 { Some(self.now) } else { heard.get(others - 1).copied() }
    }

    /// Whether no other leader can have been elected without this one knowing.
    pub(super) fn is_sure_to_lead(&self) -> bool {
        self.is_isolated || self.is_quorum_recent()
    }

    pub(super) fn is_quorum_recent(&self) -> bool {
        let limit = self.settings().timeout.0 * 3 / 4;
        self.last_quorum().is_some_and(|heard| self.now.since(heard).0 <= limit)
    }

    /// Whether every voter has answered a question of that round, or failed to answer one since then.
    pub(super) fn is_round_over(&self, round: u64, since: Millis) -> bool {
        let is_over = |peer: &Peer| peer.confirmed >= round || peer.failed.is_some_and(|sent| sent >= since);
        self.voters().filter_map(|name| self.peers.get(name)).all(is_over)
    }
}

fn is_committed(row: &Row, held: &Frontier) -> bool {
    crate::store::log_place(&row.key).is_some_and(|(epoch, last)| last <= held.lsn(epoch))
}
