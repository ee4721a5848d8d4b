//! Deliberate bugs of tabs and peers: each is switched on alone, and the suite fails if the checkers miss it.

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
    /// A commit happens whatever its guard says.
    NoTabFence "no-tab-fence";
    /// A tab takes an acknowledgement for the news that the write is stored as settled.
    SettledOnAcked "settled-on-acked";
    /// The holder tells nothing of what storage lacks of a document.
    DocReplyEmpty "doc-reply-empty";
    /// A peer takes the log of an origin with a gap.
    PeerTakesGap "peer-takes-gap";
    /// A peer says that it has stored what it has only heard.
    PeerAcksEarly "peer-acks-early";
    /// A write that is known to have a place in the leader's log passes for one that is here.
    ResolvedByPlace "resolved-by-place";
}

impl Bug {
    /// The bug of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| bug.as_str() == text)
    }
}
