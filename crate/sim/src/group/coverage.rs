//! What the runs of groups went through. What never happened proves nothing, so the suite fails when one stays at zero.

use super::plan::Kind;
use std::collections::BTreeMap;

macro_rules! moments {
    ($($(#[$doc:meta])* $name:ident $text:literal;)*) => {
        /// What may happen below the steps of a plan.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Moment { $($(#[$doc])* $name,)* }

        impl Moment {
            /// Every one there is.
            pub const ALL: &'static [Moment] = &[$(Moment::$name,)*];

            /// Its name in reports.
            pub fn as_str(self) -> &'static str {
                match self { $(Moment::$name => $text,)* }
            }
        }
    };
}

moments! {
    /// A member opened an epoch as its candidate.
    Election "elections";
    /// A candidate became the leader.
    Elected "elections won";
    /// An epoch was given up before it had a leader.
    GivenUp "elections given up";
    /// A candidate fetched what it lacked.
    SealFetch "seals that had to fetch";
    /// A sealed log grew by what came back.
    Extended "sealed logs extended";
    /// A leader took in what a member held beyond a sealed log.
    TailMerged "tails merged";
    /// A member to whom the log did not reach any more got a copy.
    Copied "copies";
    /// A follower passed pushes on.
    Forward "forwards";
    /// A follower passed the question of a strong read on.
    ForwardBarrier "forwarded strong reads";
    /// A leader handed over.
    SwitchedOver "switchovers";
    /// A switchover was given up.
    SwitchoverFailed "switchovers given up";
    /// An operator's promotion was done.
    Promoted "promotions";
    /// A promotion left a loss window.
    LossWindow "loss windows";
    /// A running leader heard that it is one no more.
    Fenced "fenced leaders";
    /// A leader reached too few others.
    Isolated "isolated leaders";
    /// The lease store did not answer.
    LeaseOutage "lease outages";
    /// A swap was made, and who asked for it was not told.
    SwapUnknown "unknown swaps";
    /// A swap was made after who asked for it had given up.
    SwapLate "late swaps";
    /// A swap lost against another.
    SwapLost "lost swaps";
    /// A member went to sleep.
    Hibernated "hibernations";
    /// A member woke.
    Woken "wakings";
    /// A connection outlived its node instance.
    Restored "connections restored";
    /// A call between members was lost, or its answer.
    CallLost "lost calls";
    /// A call was handled after who asked had given up.
    CallLate "late calls";
    /// A call was refused.
    CallRefused "refused calls";
    /// A member died with a commit under way, which was lost.
    CommitLost "commits lost in a crash";
    /// A member died with a commit under way, which landed.
    CommitLanded "commits landed in a crash";
    /// A member's storage failed a commit.
    CommitFailed "failed commits";
    /// A client connected to a member that does not lead.
    FollowerClient "connections to followers";
    /// A client connected again, elsewhere than before.
    Elsewhere "reconnections elsewhere";
    /// A client was turned away as by a node that does not lead, or cannot serve.
    TurnedAway "clients turned away";
    /// A write was pushed again.
    Resent "resent writes";
    /// A write stands in two places of the logs.
    Twice "writes logged twice";
    /// A write was rejected.
    Rejected "rejected writes";
    /// A write was told to be at the leader, and not yet at a quorum.
    LeaderFirst "leader before quorum";
    /// A wait ended in TIMEOUT.
    Timeout "waits timed out";
    /// A wait ended in OFFLINE.
    Offline "waits ended offline";
    /// A session went on elsewhere.
    Hopped "session hops";
    /// A strong read ended well.
    StrongRead "strong reads";
    /// A read with a bound on staleness ended well.
    BoundedRead "bounded reads";
    /// A session read ended well.
    SessionRead "session reads";
    /// A query ended well at the leader.
    LeaderQuery "queries at leaders";
    /// A query ended well at a member that does not lead.
    FollowerQuery "queries at followers";
    /// An observer held back what it had.
    Delayed "entries held back";
    /// A member's lag was reported.
    LagAlarm "lag alarms";
    /// An operator's change of the topology was done.
    TopologyChanged "topology changes";
    /// One was not, or nobody knows.
    TopologyKept "topology changes given up";
    /// Several came to lead.
    SeveralLead "phases of several leaders";
    /// One came to lead where several had.
    OneLeadsAgain "phases of several leaders that ended";
    /// A voter among several leaders took a new epoch.
    EpochTaken "epochs taken anew";
    /// A write was taken from a client that had seen more than the node that took it.
    Roamed "writes that came ahead of their causes";
}

/// How often each happened.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Steps that did something, by kind.
    pub kinds: BTreeMap<Kind, u64>,
    /// Moments.
    pub moments: BTreeMap<Moment, u64>,
}

impl Coverage {
    /// A step did something.
    pub fn did(&mut self, kind: Kind) {
        *self.kinds.entry(kind).or_default() += 1;
    }

    /// Something happened.
    pub fn saw(&mut self, moment: Moment) {
        *self.moments.entry(moment).or_default() += 1;
    }

    /// How often it happened.
    pub fn count(&self, moment: Moment) -> u64 {
        self.moments.get(&moment).copied().unwrap_or(0)
    }

    /// Adds what another run went through.
    pub fn add(&mut self, other: &Coverage) {
        other.kinds.iter().for_each(|(kind, count)| *self.kinds.entry(*kind).or_default() += count);
        other.moments.iter().for_each(|(moment, count)| *self.moments.entry(*moment).or_default() += count);
    }

    /// Names and counts, all of them.
    pub fn rows(&self) -> Vec<(&'static str, u64)> {
        let kinds = Kind::ALL.iter().map(|kind| (kind.as_str(), self.kinds.get(kind).copied().unwrap_or(0)));
        kinds.chain(Moment::ALL.iter().map(|moment| (moment.as_str(), self.count(*moment)))).collect()
    }
}
