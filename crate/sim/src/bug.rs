//! Deliberate bugs: each is switched on alone, and the suite fails if the checkers miss it.

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
    /// The node is told that a commit is durable before it is.
    AckBeforeCommit "ack-before-commit";
    /// The node's storage says that it has synced, and loses the last commit in a crash.
    LostSyncOrder "lost-sync-order";
    /// A replica is told that a commit is durable before it is.
    LocalBeforeCommit "local-before-commit";
    /// A replica's frontiers are stored before the data they stand for.
    FrontierAheadOfData "frontier-ahead-of-data";
    /// A write leaves the stored outbox when it is sent.
    OutboxTrimmedEarly "outbox-trimmed-early";
    /// Every opening of a device writes under the same yrs client id.
    ReusedClientId "reused-client-id";
    /// Every opening of a device numbers its writes under the same origin.
    ReusedOrigin "reused-origin";
    /// A resumed stream starts at what the leader has, not at what the replica has.
    ResumeFromWrongFrontier "resume-from-wrong-frontier";
    /// A read at level `session` is served without waiting.
    StaleRead "stale-read";
    /// A strong read is served as one at level `session`.
    StrongAsSession "strong-as-session";
    /// A bookmark is saved before a write instead of after it.
    BookmarkBeforeWrite "bookmark-before-write";
    /// A bookmark that is handed on names the log only, not the writes on their way to it.
    BookmarkByLsnAlone "bookmark-by-lsn-alone";
    /// A transaction that leaves the state vector as it was is taken for none.
    DeleteByStateVector "delete-by-state-vector";
    /// The leader appends a repeated write again.
    NoDedupe "no-dedupe";
    /// A wait ends twice.
    ReceiptResolvedTwice "receipt-resolved-twice";
    /// A tab's timer fires late.
    LateTimer "late-timer";
    /// A receipt falls back when the connection is lost.
    ReceiptFallsBack "receipt-falls-back";
    /// A strong read is answered without a proof of leadership.
    StrongWithoutProof "strong-without-proof";
    /// Staleness counts from the answer instead of the question.
    StalenessFromAnswer "staleness-from-answer";
    /// A page of a catch-up is lost while the stream goes on.
    CatchUpSkipsPage "catch-up-skips-page";
    /// Only the first document's part of a write is sent.
    HalfAWrite "half-a-write";
    /// The platform lets a stale instance commit.
    NoFence "no-fence";
    /// The platform looks whether an instance is stale when a commit begins, and not when it lands.
    FenceAtStart "fence-at-start";
    /// A hibernated connection wakes with the state of before.
    OldAttachment "old-attachment";
    /// The oldest pending write is not counted.
    PendingLies "pending-lies";
    /// Lanes of earlier openings are sent in no particular order.
    LanesOutOfOrder "lanes-out-of-order";
}

impl Bug {
    /// The bug of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| bug.as_str() == text)
    }
}
