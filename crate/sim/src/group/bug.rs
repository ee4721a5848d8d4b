//! Deliberate bugs of a group: each is switched on alone, and the suite fails if the checkers miss it.

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident $text:literal;)*) => {
        /// A deliberate bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug { $($(#[$doc])* $name,)* }

        impl Bug {
            /// Every one there is.
            pub const ALL: &'static [Bug] = &[$(Bug::$name,)*];

            /// Its name in reports.
            pub fn as_str(self) -> &'static str {
                match self { $(Bug::$name => $text,)* }
            }
        }
    };
}

bugs! {
    /// A voter takes what a leader sends that has been replaced.
    NoFencing "no-fencing";
    /// A candidate counts the promise of a voter that never heard of it.
    SealTooSmall "seal-too-small";
    /// A voter that is started again has forgotten what it promised.
    PromiseForgotten "promise-forgotten";
    /// A member that is started again has dropped what it held beyond a sealed log.
    TailDropped "tail-dropped";
    /// A leader is not given what others hold beyond a sealed log.
    TailNotMerged "tail-not-merged";
    /// A leader hands over before the next one holds its log.
    SwitchoverTooEarly "switchover-too-early";
    /// A member is told that a commit is durable before it is.
    AckBeforeCommit "ack-before-commit";
    /// The lease store puts a record in place of whatever is there.
    SwapWithoutCompare "swap-without-compare";
    /// The lease store says of a swap that was not made that it was.
    SwapSaidMade "swap-said-made";
    /// A strong read is served as one at level `session`.
    StrongAsSession "strong-as-session";
    /// A bookmark that is handed on names only the writes on their way to the log.
    BookmarkWithoutLog "bookmark-without-log";
    /// A write leaves the stored outbox when it is sent.
    OutboxTrimmedEarly "outbox-trimmed-early";
    /// What a leader answers to a forwarded strong read is proved by nobody.
    BarrierFromHearsay "barrier-from-hearsay";
    /// Whoever ends several leaders takes what it found for what a quorum holds.
    UnionNotHandedOn "union-not-handed-on";
    /// One of several leaders that lost its disk goes on in the epoch that it led.
    EpochReused "epoch-reused";
    /// What another leader shows is taken for nothing, so that its entries are shown as they come.
    CutsIgnored "cuts-ignored";
}

impl Bug {
    /// The bug of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| bug.as_str() == text)
    }
}
