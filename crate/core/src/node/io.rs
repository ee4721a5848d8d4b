//! What a node is told, what it wants done, and what it says of itself.

use super::compact::{Compacted, Merge, Retention};
use crate::batch::Batch;
use crate::bookmark::Bookmark;
use crate::error::Error;
use crate::frontier::Frontier;
use crate::group::record::LossWindow;
use crate::group::{GroupConfig, Lead, MemberName, Topology};
use crate::ids::{ConnId, DocName, Epoch, Generation, Lsn, Millis, Token};
use crate::store::{Row, Scan, StoreOp};
use std::rc::Rc;

/// What a node is told when it is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// The generation for a database that has no storage yet: a random number, used once.
    pub fresh_generation: Generation,
    /// Whether an update decodes. The node looks no further into updates.
    pub check: fn(&[u8]) -> Result<(), String>,
    /// The group that it is a member of; `None` leads alone.
    pub group: Option<GroupConfig>,
    /// How updates become one. The node calls it off the path of writes.
    pub merge: fn() -> Box<dyn Merge>,
    /// How much is kept.
    pub retention: Retention,
}

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Input {
    /// A replica connected.
    Opened {
        /// The connection, numbered by the host and never reused by this node.
        conn: ConnId,
    },
    /// A connection is still there after the node was away; `state` is what `Output::Attach` left last.
    Restored {
        /// The connection.
        conn: ConnId,
        /// What was attached to it.
        state: Vec<u8>,
    },
    /// A frame arrived.
    Frame {
        /// The connection.
        conn: ConnId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// A connection is gone.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// The commit is durable.
    Persisted {
        /// Which.
        token: Token,
    },
    /// The rows that a scan asked for.
    Scanned {
        /// Which.
        token: Token,
        /// The rows in key order.
        rows: Vec<Row>,
    },
    /// Storage failed. The node serves no more; the host makes a new one.
    StorageFailed {
        /// How.
        error: Error,
    },
    /// A read over HTTP.
    Query(Query),
    /// Name the documents that have entries up to a position, in order. `Output::Docs` answers.
    ListDocs {
        /// The host's number for it, as of a query.
        id: u64,
        /// The last name of the page before.
        after: Option<DocName>,
        /// A position that a query answered.
        at: Frontier,
    },
    /// Append writes of the host's own, all of one origin that was never used before, in one commit or not at all.
    /// `Output::Answer` comes when they are shown; if it says `TIMEOUT`, they may still come.
    Append {
        /// The host's number for it, as of a query.
        id: u64,
        /// The writes.
        batch: Batch,
        /// How long to wait at most.
        timeout: Millis,
    },
    /// Nobody waits for that query any more.
    CancelQuery {
        /// Which.
        id: u64,
    },
    /// Time has passed.
    Tick,
    /// Another member asks something. `Output::Reply` answers.
    Called {
        /// The host's number for it.
        call: u64,
        /// The question.
        bytes: Vec<u8>,
    },
    /// What became of an `Output::Call`. The host answers each, within its timeout.
    Answered {
        /// Which.
        call: u64,
        /// The answer, or why there is none.
        result: Result<Vec<u8>, Error>,
    },
    /// What the lease store holds: answers `Output::ReadRecord`.
    Record {
        /// Which.
        token: Token,
        /// The record, if there is one; or why the store did not say.
        result: Result<Option<Held>, Error>,
    },
    /// Answers `Output::SwapRecord`.
    Swapped {
        /// Which.
        token: Token,
        /// What the store holds now. After an error it is unknown whether the swap was made.
        result: Result<Swap, Error>,
    },
    /// An operator wants something done. `Output::AdminDone` answers.
    Admin {
        /// The host's number for it.
        id: u64,
        /// What.
        command: Admin,
    },
}

/// A record as the lease store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The record's text.
    pub text: String,
    /// The store's name for this state of it.
    pub revision: String,
}

/// What became of a swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// It was made.
    Made {
        /// The new state's name.
        revision: String,
    },
    /// Another record was there.
    Lost {
        /// It.
        current: Option<Held>,
    },
}

/// What an operator may ask of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// Hand over to another member, without loss. Asked of the leader.
    Switchover {
        /// To whom; `None` for the most preferred of those who hold the log to its end.
        to: Option<MemberName>,
        /// Give up, and go on leading, if it is not done by then.
        timeout: Millis,
    },
    /// Make this member the leader, even if acknowledged writes are lost by it.
    Promote {
        /// The clock on the wall, for the record.
        unix_ms: u64,
        /// That the operator accepts it.
        accept_data_loss: bool,
    },
    /// Have several members lead, or this one alone. Nothing is lost; writes wait for a moment.
    Topology {
        /// Which.
        to: Topology,
        /// When to answer that the outcome is unknown.
        timeout: Millis,
    },
}

/// A read over HTTP.
#[derive(Clone, Debug)]
pub struct Query {
    /// The host's number for it.
    pub id: u64,
    /// The document to read; `None` asks for the frontier alone.
    pub doc: Option<DocName>,
    /// What the node must hold before it answers.
    pub bookmark: Bookmark,
    /// Whether the node must prove that it still leads.
    pub strong: bool,
    /// How long to wait at most.
    pub timeout: Millis,
    /// Read what was shown then, instead of what is shown now; the answer's bookmark names the position taken.
    pub at: Option<At>,
}

/// A moment of a database's past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// A position, which must be shown by now. An epoch of a single leader stands for all of those before it.
    Position(Frontier),
    /// What the node showed at that time by its host's clock, or up to a second before it: nothing that came later.
    Time(Millis),
}

/// What a node wants done, in this order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a frame.
    Send {
        /// The connection.
        conn: ConnId,
        /// The frame, shared among receivers.
        bytes: Rc<[u8]>,
    },
    /// Close a connection.
    Close {
        /// The connection.
        conn: ConnId,
        /// Why; the WebSocket close code is 4000 plus its byte.
        error: Error,
    },
    /// Keep this with the connection across hibernation.
    Attach {
        /// The connection.
        conn: ConnId,
        /// What to keep.
        state: Vec<u8>,
    },
    /// Commit these changes, then answer `Persisted`.
    Persist {
        /// For the answer.
        token: Token,
        /// All or none of them.
        ops: Vec<StoreOp>,
    },
    /// Read rows, then answer `Scanned`.
    Scan {
        /// For the answer.
        token: Token,
        /// What to read.
        scan: Scan,
    },
    /// A part of a queried document's content: updates to apply to an empty document.
    Content {
        /// The query.
        query: u64,
        /// Updates in log order.
        updates: Vec<Rc<[u8]>>,
    },
    /// A page of names: those after the page before. An empty one is the end.
    Docs {
        /// The query.
        query: u64,
        /// The names in order.
        names: Vec<DocName>,
    },
    /// The end of a query.
    Answer {
        /// The query.
        query: u64,
        /// The frontier that the answer holds.
        result: Result<Bookmark, Error>,
    },
    /// The node cannot go on; the host discards it.
    Failed {
        /// Why.
        error: Error,
    },
    /// Ask another member something, then answer `Answered`, with an error after `timeout` at the latest.
    Call {
        /// For the answer.
        call: u64,
        /// Whom.
        to: MemberName,
        /// Where it is.
        address: Rc<str>,
        /// The question.
        bytes: Vec<u8>,
        /// How long it may take.
        timeout: Millis,
    },
    /// The answer to a `Called`.
    Reply {
        /// Which.
        call: u64,
        /// The answer.
        bytes: Vec<u8>,
    },
    /// Read the database's record from the lease store, then answer `Record`.
    ReadRecord {
        /// For the answer.
        token: Token,
    },
    /// Put a record in place of the one with that revision (`None`: where there is none), then answer `Swapped`.
    SwapRecord {
        /// For the answer.
        token: Token,
        /// The record to replace.
        expected: Option<String>,
        /// The new one.
        text: String,
    },
    /// The end of an operator's command.
    AdminDone {
        /// Which.
        id: u64,
        /// What was done, or why not.
        result: Result<Done, Error>,
    },
    /// Something that an operator wants to hear of.
    Event(Event),
}

/// What an operator's command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The epoch that it began.
    pub epoch: Epoch,
    /// Who leads it.
    pub leader: MemberName,
    /// For how long no write was taken; zero for a promotion, where nobody can say.
    pub pause: Millis,
}

/// Something that an operator wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The node has another role or follows another leader.
    Role {
        /// Its role.
        role: RoleName,
        /// In which epoch.
        epoch: Epoch,
        /// Who leads, if somebody is known to.
        leader: Option<MemberName>,
    },
    /// Entries of a sealed epoch came back with a member and were taken in.
    TailMerged {
        /// Whose.
        from: MemberName,
        /// Of which epoch.
        epoch: Epoch,
        /// After which entry.
        after: Lsn,
        /// How many.
        entries: u64,
    },
    /// A forced promotion may have lost what stood after this entry.
    LossWindow {
        /// Of which epoch.
        epoch: Epoch,
        /// After which entry.
        after: Lsn,
    },
    /// A member's lag has come above the alarm's limit, or back below half of it.
    Lag {
        /// Whose.
        member: MemberName,
        /// In entries.
        entries: u64,
        /// Whether it is above now.
        is_alarm: bool,
    },
    /// The node reaches too few of the group, or enough again.
    Isolated {
        /// Whether it is too few.
        is_isolated: bool,
    },
}

/// A role as operators meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// It takes writes.
    Leader,
    /// It replicates a leader, or looks for one.
    Follower,
    /// It seals the epochs before its own.
    Candidate,
}

impl RoleName {
    /// The role as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
        }
    }
}

/// How far a member is, as the node that streams to it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Who.
    pub name: MemberName,
    /// Whether it counts for the quorum.
    pub is_voter: bool,
    /// Whether its last call was answered.
    pub is_connected: bool,
    /// What was sent to it (written), what it has stored (durable), and what it shows its clients (applied).
    pub written: Frontier,
    /// See `written`.
    pub durable: Frontier,
    /// See `written`.
    pub applied: Frontier,
    /// Entries that it does not hold durably.
    pub lag_entries: u64,
    /// What those weigh, at most.
    pub lag_bytes: u64,
    /// For how long it has been behind; `None` if it never answered.
    pub lag: Option<Millis>,
}

/// Figures of a group, for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// This member.
    pub me: MemberName,
    /// Its role.
    pub role: RoleName,
    /// Who leads, if somebody is known to.
    pub leader: Option<MemberName>,
    /// The highest epoch that this member has promised.
    pub promised: Epoch,
    /// How many voters make a quorum.
    pub quorum: usize,
    /// What a quorum holds, as far as is known here.
    pub stable: Frontier,
    /// What is held here durably.
    pub held: Frontier,
    /// What clients are shown.
    pub visible: Frontier,
    /// How long ago this member asked the question whose answer it shows; `None` if it never was told.
    pub staleness: Option<Millis>,
    /// Whether it reaches too few of the group.
    pub is_isolated: bool,
    /// The members that this one streams to.
    pub members: Vec<MemberStatus>,
    /// Entries that came back from sealed epochs.
    pub merged_entries: u64,
    /// Elections in which this member was a candidate.
    pub elections: u64,
    /// How many lead, as far as is known here.
    pub topology: Topology,
    /// Of several leaders, whose epoch is whose.
    pub leads: Vec<Lead>,
    /// What forced promotions may have lost.
    pub losses: Vec<LossWindow>,
}

/// Figures for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether the node serves, and if not why.
    pub failure: Option<Error>,
    /// Whether storage has been read.
    pub is_loaded: bool,
    /// The database's generation.
    pub generation: Generation,
    /// The leader's tenure.
    pub epoch: Epoch,
    /// The last committed entry.
    pub lsn: Lsn,
    /// Replicas connected now.
    pub connections: usize,
    /// Log rows committed by this instance.
    pub rows_committed: u64,
    /// Entries committed by this instance.
    pub entries_committed: u64,
    /// How far storage is compacted.
    pub compacted: Compacted,
    /// The group, if it is a member of one.
    pub group: Option<GroupStatus>,
}
