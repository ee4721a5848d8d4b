//! What the runs went through. What never happened proves nothing, so the suite fails when one stays at zero.

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
    /// A holder raised the term.
    Claimed "terms";
    /// A commit did not happen, since its guard did not hold.
    Fenced "fenced commits";
    /// The lock was taken from a tab.
    Stolen "stolen locks";
    /// A message to a frozen tab was lost.
    MessageLost "messages lost to frozen tabs";
    /// A tab died with a commit under way, which was lost.
    CommitLost "commits lost with a tab";
    /// A tab died with a commit under way, which landed.
    CommitLanded "commits landed after a tab";
    /// A commit of a frozen tab landed when it woke.
    CommitHeld "commits held by freezing";
    /// A link between devices was made.
    Linked "links made";
    /// A link was made again.
    LinkedAgain "links made again";
    /// A message between peers was lost with its link.
    PeerFrameLost "peer messages lost";
    /// A connection to the node was made.
    Connected "connections";
    /// A write was rejected.
    Rejected "rejected writes";
    /// Peers were counted.
    PeersCounted "waits for peers that ended well";
    /// A session read ended well.
    SessionRead "session reads";
    /// The same on another device than where the session was before.
    ReadElsewhere "session reads on other devices";
    /// A wait ended in TIMEOUT or OFFLINE.
    TimedOut "waits timed out";
    /// A device changed between having a leader and having none.
    LeaderChanged "devices opened with or without leader";
    /// A replica opened from a copy of a disk showed a write that had been settled.
    ProbeSettled "probes with settled writes";
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
