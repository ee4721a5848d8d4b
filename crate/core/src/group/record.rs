//! The coordinator's record: who leads in which epoch, and how long the sealed logs are. It changes by compare-and-set
//! alone, and only by the transitions here.
//!
//! Epochs only grow, and an epoch has one candidate, hence at most one leader, for ever. Sealed lengths only grow.

use super::member::{self, Member, MemberName};
use super::text;
use crate::error::Error;
use crate::frontier::Frontier;
use crate::ids::{Epoch, Generation, Lsn};
use crate::limits::{FRONTIER_LOGS_MAX, LOSS_WINDOWS_MAX};
use std::fmt;
use std::str::FromStr;

/// Where the epoch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// A candidate seals the epochs before it. Nobody acknowledges anything.
    Electing {
        /// The only one who may become this epoch's leader.
        candidate: MemberName,
        /// Whether an operator accepted that writes are lost, so that fewer promises are enough.
        is_forced: bool,
    },
    /// The leader takes writes.
    Active {
        /// Who.
        leader: MemberName,
    },
    /// Several leaders take writes, each in the epoch of its own that `leads` names.
    Multi {
        /// The epoch whose election began this: members promise it, and calls of these leaders are made in its name.
        since: Epoch,
    },
}

/// An epoch of a multi-leader database, and who appends to its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lead {
    /// Who.
    pub member: MemberName,
    /// The epoch, which has no other leader, ever.
    pub epoch: Epoch,
}

/// What a forced promotion may have lost, kept until an operator takes note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossWindow {
    /// The epoch whose end nobody could prove.
    pub epoch: Epoch,
    /// Entries after this one may have been acknowledged and be lost.
    pub after: Lsn,
    /// When, by the clock of who did it: for people, never compared.
    pub unix_ms: u64,
}

/// The record of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The database's generation.
    pub generation: Generation,
    /// The newest epoch.
    pub epoch: Epoch,
    /// Where it stands.
    pub state: State,
    /// The newest epoch that had a leader. Those between it and `epoch` were given up before they had one, and are empty.
    pub led: Epoch,
    /// The open epochs of several leaders, in ascending order; still there while the election that ends them goes on.
    pub leads: Vec<Lead>,
    /// Who belongs to the group.
    pub members: Vec<Member>,
    /// How many voters make a quorum.
    pub quorum: usize,
    /// Voters that have counted for the quorum. One of them whose storage is new has lost what it held, and promises nothing
    /// before it has caught up; one that is not among them is as new as its storage.
    pub joined: Vec<MemberName>,
    /// How long the logs of earlier epochs are. An epoch that is not named has no entries.
    pub sealed: Frontier,
    /// What forced promotions may have lost, the latest last.
    pub losses: Vec<LossWindow>,
}

/// Why a transition is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The member is not in the group, or may not lead.
    CannotLead(MemberName),
    /// Somebody else is the candidate, there is another epoch, or the election is over.
    NotTheCandidate(MemberName),
    /// Somebody else leads, or nobody does.
    NotTheLeader(MemberName),
    /// A sealed log would get shorter.
    Shorter {
        /// Which.
        epoch: Epoch,
        /// How long it is.
        sealed: Lsn,
        /// How long it would be.
        proposed: Lsn,
    },
    /// Lengths are given for an epoch that is not sealed by this.
    NotSealed(Epoch),
    /// An operator has to say first that writes may be lost.
    NotForced,
    /// One leads, or nobody does, and not several.
    NotMulti,
    /// There are as many epochs with entries as a frontier can name.
    TooManyEpochs,
}

impl Record {
    /// The record of a new group, which begins in epoch 1.
    pub fn new(generation: Generation, leader: MemberName, members: Vec<Member>, quorum: usize) -> Result<Self, Error> {
        member::check(&members, quorum)?;
        let state = State::Active { leader: leader.clone() };
        let (sealed, losses) = (Frontier::default(), Vec::new());
        let (epoch, led) = (Epoch(1), Epoch(1));
        let joined = vec![leader.clone()];
        let leads = Vec::new();
        let record = Self { generation, epoch, state, led, leads, members, quorum, joined, sealed, losses };
        record.can_lead(&leader).map_err(|refusal| Error::malformed(refusal.to_string()))?;
        Ok(record)
    }

    /// A member by its name.
    pub fn member(&self, name: &MemberName) -> Option<&Member> {
        self.members.iter().find(|member| member.name == *name)
    }

    /// Who leads, if somebody does.
    pub fn leader(&self) -> Option<&MemberName> {
        match &self.state {
            State::Active { leader } => Some(leader),
            State::Electing { .. } | State::Multi { .. } => None,
        }
    }

    /// Whether writes are taken: no candidate stands between two leaders.
    pub fn is_active(&self) -> bool {
        !matches!(self.state, State::Electing { .. })
    }

    /// A candidate opens the next epoch. Everybody below it is fenced as soon as enough voters have promised it. `known` is the
    /// newest epoch that the candidate has heard of: a store that was put back may say less.
    pub fn elect(&self, candidate: &MemberName, known: Epoch) -> Result<Self, Refusal> {
        self.open(candidate, known, false)
    }

    /// The same by an operator who accepts that acknowledged writes may be lost.
    pub fn force(&self, candidate: &MemberName, known: Epoch) -> Result<Self, Refusal> {
        self.open(candidate, known, true)
    }

    /// The candidate becomes the leader: `proven` is what `Seal::proven` said.
    pub fn activate(&self, candidate: &MemberName, proven: &Frontier) -> Result<Self, Refusal> {
        self.is_candidate(candidate)?;
        self.succeed(candidate, self.epoch, proven)
    }

    /// The candidate of a forced promotion becomes the leader with what it holds. Where that is less than was acknowledged,
    /// or nobody can prove that it is not, a loss window says so; the sealed lengths stay, for whoever returns with the rest.
    pub fn activate_forced(&self, candidate: &MemberName, held: &Frontier, unix_ms: u64) -> Result<Self, Refusal> {
        if !self.is_candidate(candidate)? {
            return Err(Refusal::NotForced);
        }
        // What it holds beyond sealed lengths of earlier epochs is a tail, which a quorum has to hold first.
        let open = self.open_epochs();
        let mut all = self.sealed.clone();
        open.iter().for_each(|epoch| all.advance_epoch(*epoch, held.lsn(*epoch)));
        let mut record = self.succeed(candidate, self.epoch, &all)?;
        let is_in_doubt = |epoch| open.contains(&epoch) || held.lsn(epoch) < self.sealed.lsn(epoch);
        let sealed = self.sealed.epochs().map(|(epoch, _)| epoch).filter(|epoch| !open.contains(epoch));
        for epoch in sealed.chain(open.iter().copied()).filter(|epoch| is_in_doubt(*epoch)) {
            record.losses.push(LossWindow { epoch, after: held.lsn(epoch), unix_ms });
        }
        let surplus = record.losses.len().saturating_sub(LOSS_WINDOWS_MAX);
        record.losses.drain(..surplus);
        Ok(record)
    }

    /// The leader hands over: it appends nothing any more, and the next leader and a quorum hold its log to the end. Nobody
    /// else can have appended, so no election is needed.
    pub fn hand_over(&self, from: &MemberName, to: &MemberName, held: &Frontier) -> Result<Self, Refusal> {
        if self.leader() != Some(from) {
            return Err(Refusal::NotTheLeader(from.clone()));
        }
        self.can_lead(to)?;
        self.succeed(to, Epoch(self.epoch.0 + 1), held)
    }

    /// Whether the voter has counted for the quorum.
    pub fn has_joined(&self, voter: &MemberName) -> bool {
        self.joined.contains(voter)
    }

    /// The leader lets voters count for the quorum from here on.
    pub fn admit(&self, voters: impl Iterator<Item = MemberName>) -> Self {
        let mut record = self.clone();
        for voter in voters.filter(|voter| self.member(voter).is_some_and(Member::is_voter)) {
            if !record.has_joined(&voter) {
                record.joined.push(voter);
            }
        }
        record
    }

    /// A returned leader's tail is held by a quorum: the sealed log is that much longer.
    pub fn extend(&self, epoch: Epoch, length: Lsn) -> Result<Self, Refusal> {
        let is_open = match self.state {
            State::Active { .. } => epoch >= self.epoch,
            // Of an epoch that its leader gave up for another one, the log is over.
            State::Electing { .. } | State::Multi { .. } => epoch > self.led || self.open_epochs().contains(&epoch),
        };
        if is_open {
            return Err(Refusal::NotSealed(epoch));
        }
        let sealed = self.sealed.lsn(epoch);
        if length < sealed {
            return Err(Refusal::Shorter { epoch, sealed, proposed: length });
        }
        let mut record = self.clone();
        record.sealed.advance_epoch(epoch, length);
        Ok(record)
    }

    fn open(&self, candidate: &MemberName, known: Epoch, is_forced: bool) -> Result<Self, Refusal> {
        self.can_lead(candidate)?;
        let state = State::Electing { candidate: candidate.clone(), is_forced };
        Ok(Self { epoch: Epoch(self.epoch.max(known).0 + 1), state, ..self.clone() })
    }

    // The next leader's record, with the logs of all earlier epochs sealed.
    fn succeed(&self, leader: &MemberName, epoch: Epoch, sealed: &Frontier) -> Result<Self, Refusal> {
        self.check_sealed(sealed, 1)?;
        let state = State::Active { leader: leader.clone() };
        // What it appends counts from here on.
        let next = self.admit([leader.clone()].into_iter());
        Ok(Self { epoch, state, led: epoch, leads: Vec::new(), sealed: sealed.epochs_only(), ..next })
    }

    /// Refuses lengths for what is open, and shorter ones than are known; `opened` epochs follow.
    pub(super) fn check_sealed(&self, sealed: &Frontier, opened: usize) -> Result<(), Refusal> {
        if let Some((beyond, _)) = sealed.epochs().find(|(sealed, _)| *sealed > self.led) {
            return Err(Refusal::NotSealed(beyond));
        }
        // What was sealed before must be in what is found now: it was held by a quorum.
        if let Some((epoch, length)) = self.sealed.epochs().find(|(epoch, length)| sealed.lsn(*epoch) < *length) {
            return Err(Refusal::Shorter { epoch, sealed: length, proposed: sealed.lsn(epoch) });
        }
        // One more than can be named could be read by nobody.
        if sealed.epochs().count() + opened > FRONTIER_LOGS_MAX {
            return Err(Refusal::TooManyEpochs);
        }
        Ok(())
    }

    pub(super) fn can_lead(&self, name: &MemberName) -> Result<(), Refusal> {
        let member = self.member(name).filter(|member| member.can_lead());
        member.map(|_| ()).ok_or_else(|| Refusal::CannotLead(name.clone()))
    }

    // Whether the election is a forced one.
    pub(super) fn is_candidate(&self, name: &MemberName) -> Result<bool, Refusal> {
        match &self.state {
            State::Electing { candidate, is_forced } if candidate == name => Ok(*is_forced),
            _ => Err(Refusal::NotTheCandidate(name.clone())),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::CannotLead(name) => write!(f, "{name} is no voter of this group with a priority above zero"),
            Refusal::NotTheCandidate(name) => write!(f, "{name} is not the candidate of the newest epoch"),
            Refusal::NotTheLeader(name) => write!(f, "{name} does not lead"),
            Refusal::Shorter { epoch, sealed, proposed } => {
                write!(f, "epoch {epoch} is sealed at {sealed} entries and cannot be cut to {proposed}")
            }
            Refusal::NotSealed(epoch) => write!(f, "epoch {epoch} is not over"),
            Refusal::TooManyEpochs => write!(
                f,
                "the database has had {FRONTIER_LOGS_MAX} leaders that wrote, as many as a frontier names; keep the one it has"
            ),
            Refusal::NotMulti => f.write_str("the database has one leader, and not several"),
            Refusal::NotForced => f.write_str("the election is no forced one: data loss was not accepted"),
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(self, f)
    }
}

impl FromStr for Record {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let record = text::read(text)?;
        member::check(&record.members, record.quorum)?;
        if let State::Electing { candidate: name, .. } | State::Active { leader: name } = &record.state {
            record.can_lead(name).map_err(|refusal| Error::malformed(refusal.to_string()))?;
        }
        record.check_leads()?;
        for (place, voter) in record.joined.iter().enumerate() {
            let is_voter = record.member(voter).is_some_and(Member::is_voter);
            if !is_voter || record.joined[..place].contains(voter) {
                return Err(Error::malformed(format!("{voter} has joined the quorum twice, or is no voter")));
            }
        }
        let is_led = record.is_active();
        if (record.led == record.epoch) != is_led || record.led > record.epoch || record.led == Epoch(0) {
            return Err(Error::malformed(format!("epoch {} cannot be the newest that had a leader", record.led)));
        }
        if record.sealed.epochs().any(|(epoch, _)| epoch >= record.epoch) {
            return Err(Error::malformed("the record seals an epoch that is not over"));
        }
        Ok(record)
    }
}
