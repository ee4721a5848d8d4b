//! What the runs went through. A fault that never fired proves nothing, so the suite fails when one stays at zero.

use crate::plan::Kind;
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
    /// A tab connected.
    Connected "connected";
    /// A tab connected again.
    Reconnected "reconnected";
    /// A write was pushed again.
    Resent "resent writes";
    /// A tab died with a commit under way, which was lost.
    CommitLost "commits lost in a crash";
    /// A tab died with a commit under way, which landed.
    CommitLanded "commits landed after a crash";
    /// A tab died after a commit had landed and before it was told.
    CommitUntold "commits landed and untold";
    /// The node died with a commit under way.
    NodeCommitLost "node commits lost in a crash";
    /// The node died after a commit had landed and before it was told.
    NodeCommitUntold "node commits landed and untold";
    /// A tab's storage failed a commit, or was full.
    CommitFailed "failed commits";
    /// The node's storage failed a commit, or was full.
    NodeCommitFailed "failed node commits";
    /// A commit of a stale instance was refused.
    Fenced "fenced commits";
    /// A tab connected to a stale instance.
    StaleConnect "connections to a stale instance";
    /// A connection outlived its node instance.
    Restored "connections restored";
    /// A catch-up page was sent.
    CatchUp "catch-up pages";
    /// A write was rejected.
    Rejected "rejected writes";
    /// A document was made anew.
    Rebuilt "rebuilt documents";
    /// A message was still on its way on a connection that the replica had given up.
    LateFrame "frames from a lingering connection";
    /// Two tabs of a device were open at once.
    TwoTabs "duplicate tabs";
    /// A wait ended in TIMEOUT.
    Timeout "waits timed out";
    /// A wait ended in OFFLINE.
    Offline "waits ended offline";
    /// A wait was aborted.
    Aborted "waits aborted";
    /// A session went on elsewhere.
    Hopped "session hops";
    /// A bookmark named writes that no leader had answered.
    OpenBookmark "bookmarks with unanswered writes";
    /// A write that only deletes.
    DeleteOnly "delete-only writes";
    /// A write over several documents.
    MultiDoc "multi-document writes";
    /// The node wrote a checkpoint of its origins.
    Checkpoint "checkpoints";
    /// A strong read ended well.
    StrongRead "strong reads";
    /// A read with a bound on staleness ended well.
    BoundedRead "bounded reads";
    /// A session read ended well.
    SessionRead "session reads";
    /// A query ended well.
    Query "queries";
    /// A silent connection was given up.
    PingTimeout "silent connections given up";
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

    /// Adds what another run went through.
    pub fn add(&mut self, other: &Coverage) {
        other.kinds.iter().for_each(|(kind, count)| *self.kinds.entry(*kind).or_default() += count);
        other.moments.iter().for_each(|(moment, count)| *self.moments.entry(*moment).or_default() += count);
    }

    /// Names and counts, all of them.
    pub fn rows(&self) -> Vec<(&'static str, u64)> {
        let kinds = Kind::ALL.iter().map(|kind| (kind.as_str(), self.kinds.get(kind).copied().unwrap_or(0)));
        let moments =
            Moment::ALL.iter().map(|moment| (moment.as_str(), self.moments.get(moment).copied().unwrap_or(0)));
        kinds.chain(moments).collect()
    }
}
