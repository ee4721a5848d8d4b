//! A replica: a client's local copy of a database, its unsent writes, its link to a leader and its sessions.
//!
//! The invariants, and where they are kept:
//! - a write leaves the outbox only in the commit that stores it as settled (`persist`);
//! - a stored frontier is never ahead of the stored data: both are one commit (`persist`);
//! - writes of an origin reach the leader in order, those of earlier openings before those of this one (`outbox`);
//! - a read ends only when the document's frontier dominates what the read needs (`reads`);
//! - every wait ends: by what it waits for, by its deadline, or by being cancelled (`waits`).
//!
//! It deliberately knows no documents' content: it moves updates between the host, storage and the leader.

mod compact;
mod concerns;
mod damage;
mod docs;
mod link;
mod open;
mod outbox;
mod peers;
mod persist;
mod reads;
mod reject;
mod salvage;
mod signal;
mod tabs;
mod waits;

use crate::batch::{Part, Write};
use crate::bookmark::Bookmark;
use crate::error::{Code, Error};
use crate::frame::Served;
use crate::frontier::Frontier;
use crate::group::Concern;
use crate::ids::{DocName, Epoch, Generation, Millis, Origin, Seq, Token};
use crate::limits::{FRONTIER_LOGS_MAX, OUTBOX_BYTES_MAX};
use crate::session::{Consistency, Session};
use crate::sorted::Map;
use crate::stage::Stage;
use crate::store::{Guard, Row, Scan, StoreOp};
use compact::Compactor;
pub use compact::{COMPACT_BYTES_MAX, COMPACT_ROWS_MAX, COMPACT_ROWS_MIN, Merge, STREAMS_MAX};
pub use damage::Damage;
use docs::Docs;
use link::Link;
pub use link::Phase;
use open::Asked;
use outbox::{Mark, Outbox};
use peers::Peers;
pub use peers::{PEER_VERSION, Peer, PeerFrame};
use persist::Persister;
use reads::Reads;
use std::collections::VecDeque;
use std::rc::Rc;
use tabs::Tabs;
pub use tabs::{TAB_ANSWER_MS_MAX, TAB_PING_INTERVAL, TabRole};
use waits::Waits;

/// What a replica is told when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// This opening: a random number, never used before.
    pub origin: Origin,
    /// Whether there is a leader to sync with.
    pub has_leader: bool,
    /// Whether a commit of the storage survives the process, so that it counts as stage `local`.
    pub is_durable: bool,
    /// A random number from which the reconnect delays are derived.
    pub jitter_seed: u64,
    /// Whether other tabs may have the same storage open, with a channel to them and a lock that one of them holds.
    pub shares_storage: bool,
    /// Whether bytes are an update; asked of what peers send, which no node has looked at.
    pub check: fn(&[u8]) -> Result<(), String>,
}

/// What happens to a replica.
#[derive(Clone, Debug)]
pub enum Input {
    /// The rows that a scan asked for.
    Scanned {
        /// Which.
        token: Token,
        /// The rows in key order.
        rows: Vec<Row>,
    },
    /// The commit is durable.
    Persisted {
        /// Which.
        token: Token,
    },
    /// The commit did not happen, since its guard did not hold.
    Fenced {
        /// Which.
        token: Token,
    },
    /// A message from another tab.
    Tab {
        /// The message.
        bytes: Vec<u8>,
    },
    /// The lock is this tab's.
    Hold,
    /// The lock was taken from this tab.
    Unhold,
    /// A tab is closed, or dead.
    TabGone {
        /// Which.
        origin: Origin,
    },
    /// The database is being closed: nothing is sent any more, and what is not stored yet is stored.
    Leave,
    /// Storage has failed for good; nothing more is written to it.
    StorageFailed {
        /// How.
        error: Error,
    },
    /// The socket is open.
    Connected,
    /// A frame arrived.
    Frame {
        /// The frame.
        bytes: Vec<u8>,
    },
    /// The answer to `Output::Ping`.
    Pong,
    /// The socket is closed, or could not be opened.
    Disconnected,
    /// The host believes that the network is back, or the page woke: try at once.
    Nudge,
    /// The application wants no connection, or wants one again.
    Pause {
        /// Which of the two.
        is_paused: bool,
    },
    /// The application opens a document. `Output::Load` answers.
    OpenDoc {
        /// Which.
        doc: DocName,
    },
    /// A document does not take what `Output::Load` had of it. `CloseDoc` follows.
    Unreadable {
        /// Which.
        doc: DocName,
        /// Why.
        error: Error,
    },
    /// The application has closed a document.
    CloseDoc {
        /// Which.
        doc: DocName,
    },
    /// Somebody waits. `Output::Done` answers.
    Wait {
        /// The host's number for it.
        id: u64,
        /// What for.
        wait: Wait,
        /// How long at most.
        timeout: Millis,
    },
    /// There is a port to a peer.
    PeerOpened {
        /// The host's number for it, never used before.
        peer: u64,
        /// What is shown to be let in.
        token: Option<String>,
        /// Whether the application is asked before the peer is let in.
        needs_approval: bool,
    },
    /// A message came from a peer.
    PeerFrame {
        /// By which port.
        peer: u64,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The port is closed.
    PeerClosed {
        /// Which.
        peer: u64,
    },
    /// The answer to `Output::AskPeer`.
    PeerApproved {
        /// Which.
        peer: u64,
        /// Whether it is let in.
        is_approved: bool,
    },
    /// The application gives the link up.
    ClosePeer {
        /// Which.
        peer: u64,
    },
    /// Nobody waits for that any more.
    Cancel {
        /// Which.
        id: u64,
    },
    /// The application has a message for other clients of the node. It is dropped if there is no connection.
    Signal {
        /// The origin of whom it is for; zero for all others.
        to: Origin,
        /// What it says, at most `SIGNAL_BYTES_MAX`.
        bytes: Vec<u8>,
    },
    /// Time has passed.
    Tick,
}

/// What can be waited for.
#[derive(Clone, Debug)]
pub enum Wait {
    /// A write's stage.
    Stage {
        /// The write's origin.
        origin: Origin,
        /// The write.
        seq: Seq,
        /// The stage.
        stage: Stage,
    },
    /// That those hold a write whom the writer names.
    Concern {
        /// The write's origin.
        origin: Origin,
        /// The write.
        seq: Seq,
        /// Who they are.
        concern: Concern,
    },
    /// That so many other replicas have stored a write.
    Peers {
        /// The write's origin.
        origin: Origin,
        /// The write.
        seq: Seq,
        /// How many.
        count: usize,
    },
    /// That a document may be read.
    Read {
        /// The session that reads.
        session: u64,
        /// The document.
        doc: DocName,
        /// How consistent the read must be.
        consistency: Consistency,
    },
}

/// What a replica wants done, in this order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Read rows, then answer `Scanned`.
    Scan {
        /// For the answer.
        token: Token,
        /// What to read.
        scan: Scan,
    },
    /// Commit these changes, then answer `Persisted`.
    Persist {
        /// For the answer.
        token: Token,
        /// All or none of them.
        ops: Vec<StoreOp>,
        /// What must not stand in storage; otherwise nothing is changed, and the answer is `Fenced`.
        guard: Option<Guard>,
    },
    /// Tell all other tabs.
    TellTabs {
        /// The message.
        bytes: Vec<u8>,
    },
    /// Take the lock from whoever has it, then answer `Hold`.
    Steal,
    /// Answer `TabGone` once that tab is not there any more.
    WatchTab {
        /// Which.
        origin: Origin,
    },
    /// Open a socket to a node of the database. With several addresses it is the one at `attempt` modulo their number:
    /// the same one for as long as connections work, and the next one after each that did not.
    Connect {
        /// How many connections have not worked so far.
        attempt: u64,
    },
    /// Close the socket.
    Disconnect,
    /// Send a frame.
    Send {
        /// The frame.
        bytes: Vec<u8>,
    },
    /// Ask for a sign of life that costs the node nothing.
    Ping,
    /// Send a message to a peer.
    SendPeer {
        /// By which port.
        peer: u64,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The link is over: close the port.
    ClosePeer {
        /// Which.
        peer: u64,
        /// Why, unless the application wanted it.
        error: Option<Error>,
    },
    /// Ask the application whether this peer is let in, then answer `PeerApproved`.
    AskPeer {
        /// Which.
        peer: u64,
        /// What it shows.
        token: Option<String>,
    },
    /// Storage has been read; documents can be opened.
    Ready,
    /// Storage could not be read; the replica is of no use.
    OpenFailed {
        /// Why.
        error: Error,
    },
    /// A document's stored content.
    Load {
        /// The document.
        doc: DocName,
        /// Updates to apply to an empty document.
        updates: Vec<Rc<[u8]>>,
    },
    /// A document cannot be opened, since what is stored of it does not read back.
    Unloadable {
        /// The document.
        doc: DocName,
        /// Why.
        error: Error,
    },
    /// Something in storage does not read back, and the replica goes on without it.
    Damaged(Damage),
    /// Content from elsewhere. Consecutive ones belong together.
    Apply {
        /// The document.
        doc: DocName,
        /// Updates to apply.
        updates: Vec<Rc<[u8]>>,
        /// Who wrote each of them; none where that is not known.
        origins: Vec<Origin>,
    },
    /// A rejected write is undone: the document is to be made anew, with a fresh yrs client id.
    Rebuild {
        /// The document.
        doc: DocName,
        /// Updates to apply to an empty document.
        updates: Vec<Rc<[u8]>>,
    },
    /// A wait has ended.
    Done {
        /// Which.
        id: u64,
        /// How.
        result: Result<(), Error>,
    },
    /// Another client of the node has a message for this one.
    Signalled {
        /// The origin of whose it is.
        from: Origin,
        /// What it says.
        bytes: Vec<u8>,
    },
    /// A large document is arriving.
    Progress {
        /// The document.
        doc: DocName,
        /// How many bytes are here.
        received: u64,
        /// Of how many.
        total: u64,
    },
    /// Stages, pending writes or the status may have changed.
    Changed,
}

/// Unsent writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// How many.
    pub count: usize,
    /// What they weigh.
    pub bytes: usize,
    /// When the oldest was written, in milliseconds of the writer's wall clock.
    pub oldest_unix_ms: Option<u64>,
}

/// How far behind the leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Entries of the leader's log not held yet, as far as is known.
    pub entries: u64,
    /// For how long at most the copy may have been out of date; `None` if the leader was never asked.
    pub staleness: Option<Millis>,
}

/// What a read was worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadMeta {
    /// The session's bookmark, with this read in it.
    pub bookmark: Bookmark,
    /// How far behind the leader the document was.
    pub lag: Lag,
}

/// A replica.
pub struct Replica {
    config: Config,
    generation: Generation,
    is_ready: bool,
    outbox: Outbox,
    docs: Docs,
    link: Link,
    persister: Persister,
    compactor: Compactor,
    tabs: Tabs,
    peers: Peers,
    /// Where lanes stood, as storage has it, until the lanes are there.
    marks: Vec<(Origin, Mark)>,
    waits: Waits,
    reads: Reads,
    sessions: Map<u64, Session>,
    next_session: u64,
    scans: Map<Token, Asked>,
    next_token: u64,
    outputs: VecDeque<Output>,
    is_changed: bool,
}

impl Replica {
    /// A replica that begins by reading its storage.
    pub fn new(config: Config) -> Self {
        let mut replica = Self {
            config,
            generation: Generation(0),
            is_ready: false,
            outbox: Outbox::new(config.origin),
            docs: Docs::default(),
            link: Link::new(config.has_leader, config.shares_storage, config.jitter_seed),
            persister: Persister::default(),
            compactor: Compactor::default(),
            tabs: Tabs::new(config.origin, config.shares_storage),
            peers: Peers::default(),
            marks: Vec::new(),
            waits: Waits::default(),
            reads: Reads::default(),
            sessions: Map::default(),
            next_session: 1,
            scans: Map::default(),
            next_token: 0,
            outputs: VecDeque::new(),
            is_changed: false,
        };
        replica.begin_opening();
        replica
    }

    /// Takes one input. Drain `poll` afterwards, at once or after more inputs: writes that are handled before the
    /// drain share frames and commits.
    pub fn handle(&mut self, input: Input, now: Millis) {
        match input {
            Input::Scanned { token, rows } => self.scanned(token, rows, now),
            Input::Persisted { token } => self.persisted(token, now),
            Input::Fenced { token } => self.fenced(token, now),
            Input::Tab { bytes } => self.tab_message(bytes, now),
            Input::Hold => self.hold(now),
            Input::Unhold => self.step_down(now),
            Input::TabGone { origin } => self.tab_gone(origin, now),
            Input::Leave => self.leave(now),
            Input::StorageFailed { error } => self.storage_failed(error),
            Input::Connected => self.connected(now),
            Input::Frame { bytes } => self.frame(&bytes, now),
            Input::Pong => self.link.heard(now),
            Input::Disconnected => self.disconnected(now),
            Input::Nudge => self.nudge(now),
            Input::Pause { is_paused } => self.pause(is_paused, now),
            Input::OpenDoc { doc } => self.open_doc(doc),
            Input::CloseDoc { doc } => {
                self.compactor.forget(&doc);
                self.close_doc(&doc);
            }
            Input::Unreadable { doc, error } => self.doc_is_unreadable(&doc, &error),
            Input::Wait { id, wait, timeout } => self.begin_wait(id, wait, timeout, now),
            Input::PeerOpened { peer, token, needs_approval } => self.peer_opened(peer, token, needs_approval),
            Input::PeerFrame { peer, bytes } => self.peer_frame(peer, &bytes),
            Input::PeerClosed { peer } => self.peer_closed(peer),
            Input::PeerApproved { peer, is_approved } => self.approve_peer(peer, is_approved),
            Input::ClosePeer { peer } => self.close_peer(peer),
            Input::Cancel { id } => self.cancel_wait(id),
            Input::Signal { to, bytes } => self.signal(to, bytes),
            Input::Tick => self.tick(now),
        }
    }

    /// The next thing to do; `None` when there is nothing more.
    pub fn poll(&mut self, now: Millis) -> Option<Output> {
        if self.outputs.is_empty() && self.is_ready {
            self.tell_members();
            self.feed_peers();
            self.send_unsent();
            self.subscribe_unsubscribed();
            self.ask_leader(now);
            // Before the next commit, or a steady stream of commits would keep documents waiting.
            self.read_documents();
            self.begin_commit();
            self.compact();
            self.tell_rejections();
            self.link.note_sent(now);
            if std::mem::take(&mut self.is_changed) {
                self.outputs.push_back(Output::Changed);
            }
        }
        let output = self.outputs.pop_front();
        if let Some(Output::Rebuild { doc, .. }) = &output {
            self.rebuilt(doc);
        }
        output
    }

    /// When to send `Tick` at the latest.
    pub fn next_timeout(&self) -> Option<Millis> {
        // Before storage has answered there is nothing that a tick could do for the link.
        let link = if self.is_ready { self.link.next_timeout() } else { None };
        let tabs = if self.is_ready { self.tabs.next_timeout() } else { None };
        [self.waits.next_deadline(), link, tabs].into_iter().flatten().min()
    }

    /// Whether a transaction may begin now; asked before, since an applied one cannot be taken back.
    pub fn check_writable(&self) -> Result<(), Error> {
        if !self.is_ready {
            return Err(Error::new(Code::Busy, "the database is still opening; await open() first"));
        }
        // Without a leader there is nobody to wait for.
        if self.config.has_leader && self.outbox.pending().bytes > OUTBOX_BYTES_MAX {
            return Err(Error::new(
                Code::Busy,
                format!(
                    "more than {OUTBOX_BYTES_MAX} bytes are unsent; wait for db.pending to shrink before writing on"
                ),
            ));
        }
        Ok(())
    }

    /// Takes a write that has been applied to the local documents, and numbers it.
    pub fn write(&mut self, parts: Vec<Part>, unix_ms: u64) -> Seq {
        self.is_changed = true;
        let write = Write { origin: self.config.origin, seq: self.outbox.next_seq(), parts };
        let seq = write.seq;
        let refusal = write.check_size().err().or_else(|| self.docs.refusal_of(&write));
        self.outbox.add(write, unix_ms);
        if let Some(error) = refusal {
            self.reject(self.config.origin, seq, error);
        }
        seq
    }

    /// The stage of a write, or why it was rejected.
    pub fn stage(&self, origin: Origin, seq: Seq) -> Result<Stage, Error> {
        self.outbox.stage(origin, seq)
    }

    /// Writes that are not settled, of this opening and of earlier ones: no leader, or in a group no quorum, has
    /// acknowledged them.
    pub fn pending(&self) -> Pending {
        self.outbox.pending()
    }

    /// The same writes, one by one.
    pub fn pending_writes(&self) -> impl Iterator<Item = (Origin, Seq)> + '_ {
        self.outbox.pending_writes()
    }

    /// The documents of writes that are kept by themselves, because they are not settled or for peers. The others have rows.
    pub fn docs_in_outbox(&self) -> crate::sorted::Set<DocName> {
        self.outbox.docs()
    }

    /// Begins a session, from a bookmark if it goes on where another one was.
    pub fn begin_session(&mut self, from: Option<Bookmark>) -> u64 {
        let id = self.next_session;
        self.next_session += 1;
        self.sessions.insert(id, Session::new(from.unwrap_or_default()));
        id
    }

    /// Ends a session.
    pub fn end_session(&mut self, session: u64) {
        self.sessions.remove(&session);
    }

    /// What others must wait for to see what this session has written and read. A session covers every write of its
    /// replica.
    pub fn bookmark(&self, session: u64) -> Result<Bookmark, Error> {
        let session = self.sessions.get(&session).ok_or_else(session_ended)?;
        session.check(self.generation)?;
        let mut bookmark = session.bookmark();
        // Writes whose place is known for good, or that do not stand, need not be asked for by others.
        let origins: Vec<(Origin, Seq)> = bookmark.frontier.origins().collect();
        for (origin, seq) in origins {
            // Peers know a write by its origin alone.
            if self.outbox.retains() {
                continue;
            }
            if let Some(place) = self.outbox.settled(origin, seq) {
                bookmark.frontier.drop_origin(origin);
                bookmark.frontier.join(&place);
            }
        }
        bookmark.generation = bookmark.generation.max(self.generation);
        bookmark.frontier.join(&self.outbox.written());
        if bookmark.frontier.logs() > FRONTIER_LOGS_MAX {
            let logs = bookmark.frontier.logs();
            return Err(Error::too_large("the number of logs that a bookmark names", logs, FRONTIER_LOGS_MAX));
        }
        Ok(bookmark)
    }

    /// Notes that the session has read the document as it is now. Called in the same turn in which it is read.
    pub fn note_read(&mut self, session: u64, doc: &DocName, now: Millis) -> Result<ReadMeta, Error> {
        let mut seen = self.docs.reach(doc);
        seen.join(&self.outbox.unsettled_in(doc));
        let generation = self.generation;
        let noted = self.sessions.get_mut(&session).ok_or_else(session_ended)?;
        noted.check(generation)?;
        noted.observe(generation, &seen);
        Ok(ReadMeta { bookmark: self.bookmark(session)?, lag: self.lag(&self.docs.frontier(doc), now) })
    }

    /// Where the link to the leader stands.
    pub fn phase(&self) -> Phase {
        self.link.phase()
    }

    /// Why the replica does not sync, or does not store, if that is so.
    pub fn trouble(&self) -> Option<&Error> {
        self.link.blocked().or(self.persister.failure())
    }

    /// What the node that this replica is connected to says of itself.
    pub fn served(&self) -> Option<&Served> {
        self.link.served()
    }

    /// The leader's tenure, once known.
    pub fn epoch(&self) -> Option<Epoch> {
        self.link.epoch()
    }

    /// The database's generation; zero before a leader has told it.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// How far behind the leader what is live here is.
    pub fn database_lag(&self, now: Millis) -> Lag {
        self.lag(self.docs.stream(), now)
    }

    /// What the replica holds of a document.
    pub fn doc_frontier(&self, doc: &DocName) -> Frontier {
        self.docs.frontier(doc)
    }

    /// Whether everything that was handed over has been stored.
    pub fn is_stored(&self) -> bool {
        // Which of its own writes are stored, a tab that has just stepped down does not know yet.
        let own = Asked::Rows(Some(self.config.origin));
        self.persister.is_idle() && !self.has_unstored() && !self.scans.values().any(|asked| *asked == own)
    }

    fn lag(&self, held: &Frontier, now: Millis) -> Lag {
        Lag { entries: self.link.leader_end().entries_beyond(held), staleness: self.reads.staleness(held, now) }
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }
}

fn session_ended() -> Error {
    Error::new(Code::Closed, "the session has ended; begin another one")
}
