//! A node: alone, or as a member of a group (`group`). Leading, it takes writes from replicas, gives each an LSN, commits
//! them in groups, and only then acknowledges them, and broadcasts them once a quorum has them.
//!
//! The invariants, and where they are kept:
//! - nothing is acknowledged before the storage commit that holds it (`log`, `acks`), and nothing is shown before a quorum
//!   holds it (`visible`);
//! - one effect for each `(origin, seq)`, however often it is pushed (`origins`);
//! - a replica is told "through LSN n" only after everything up to n that concerns it was sent (`conn`);
//! - a barrier is answered only when what it names is committed, a strong one only after a commit that began after it
//!   arrived (`barrier`).
//!
//! It deliberately knows no documents: updates are opaque after `check` has said that they decode.

mod acks;
mod barrier;
mod catch_up;
mod compact;
mod concerns;
mod conn;
mod content;
mod doubt;
mod fill;
pub mod group;
mod history;
mod io;
mod load;
mod log;
mod origins;
mod push;
mod signal;
mod visible;

use crate::error::{Code, Error};
use crate::frame::{ClientFrame, NodeFrame, PROTOCOL_VERSION};
use crate::frontier::Frontier;
use crate::ids::{ConnId, Epoch, Generation, Lsn, Millis, Origin, Token};
use crate::limits::LOADING_INPUTS_MAX;
use crate::sorted::Map;
use acks::Acks;
use barrier::Waiters;
use compact::Compactor;
pub use compact::{Compacted, Merge, Retention};
use concerns::Awaiting;
use conn::Conn;
use group::{Group, Growth};
pub use io::*;
use load::Loading;
use log::Log;
use origins::OriginTable;
use std::collections::VecDeque;
use std::rc::Rc;
use visible::Recent;

enum Phase {
    Loading(Loading),
    Serving,
    Failed(Error),
}

/// A node.
pub struct Node {
    config: Config,
    phase: Phase,
    generation: Generation,
    log: Log,
    /// What clients are shown.
    visible: Frontier,
    recent: Recent,
    is_reading_live: bool,
    acks: Acks,
    awaiting: Vec<Awaiting>,
    group: Option<Group>,
    growth: Growth,
    /// How far the start has read the log.
    load_at: (Epoch, Lsn),
    origins: OriginTable,
    compactor: Compactor,
    conns: Map<ConnId, Conn>,
    waiters: Waiters,
    scans: Map<Token, (catch_up::Reader, Epoch, Lsn)>,
    next_token: u64,
    /// The host's clock at the last input.
    now: Millis,
    marks: history::Marks,
    outputs: VecDeque<Output>,
}

impl Node {
    /// A node that begins by reading its storage.
    pub fn new(config: Config) -> Self {
        let group = config.group.clone().map(Group::new);
        let mut node = Self {
            config,
            phase: Phase::Loading(Loading::default()),
            generation: Generation(0),
            log: Log::default(),
            visible: Frontier::default(),
            recent: Recent::default(),
            is_reading_live: false,
            acks: Acks::default(),
            awaiting: Vec::new(),
            group,
            growth: Growth::default(),
            load_at: (Epoch(0), Lsn(0)),
            origins: OriginTable::default(),
            compactor: Compactor::default(),
            conns: Map::default(),
            waiters: Waiters::default(),
            scans: Map::default(),
            next_token: 0,
            now: Millis(0),
            marks: history::Marks::default(),
            outputs: VecDeque::new(),
        };
        node.begin_loading();
        node
    }

    /// Takes one input. Drain `poll` afterwards, at once or after more inputs: writes that are handled before the
    /// drain share a commit.
    pub fn handle(&mut self, input: Input, now: Millis) {
        self.now = now;
        if let Some(group) = &mut self.group {
            group.set_now(now);
        }
        match &mut self.phase {
            Phase::Loading(loading) => match input {
                Input::Scanned { rows, .. } => self.loaded_rows(rows, now),
                Input::Persisted { .. } => self.begin_serving(now),
                Input::StorageFailed { error } => self.fail(error),
                Input::Tick => self.expire_loading(now),
                input if loading.waiting.len() < LOADING_INPUTS_MAX => loading.waiting.push((input, now)),
                input => self.refuse(input, &Error::new(Code::Busy, "the database is still loading; try again soon")),
            },
            Phase::Serving => self.serve(input, now),
            Phase::Failed(error) => {
                let error = error.clone();
                self.refuse(input, &error);
            }
        }
    }

    /// The next thing to do; `None` when there is nothing more.
    pub fn poll(&mut self) -> Option<Output> {
        if self.outputs.is_empty() && matches!(self.phase, Phase::Serving) {
            self.begin_commit();
        }
        self.outputs.pop_front()
    }

    /// When to send `Tick` at the latest.
    pub fn next_timeout(&self) -> Option<Millis> {
        // Before storage has answered there is nothing that a tick could do.
        let group = if matches!(self.phase, Phase::Serving) { self.group_timeout() } else { None };
        let due = [self.waiters.next_deadline(), group, self.loading_timeout(), self.compaction_timeout()];
        due.into_iter().flatten().min()
    }

    /// Figures for an operator, as of the last input.
    pub fn status(&self) -> Status {
        self.status_at(self.group.as_ref().map_or(Millis(0), Group::now))
    }

    /// Figures for an operator.
    pub fn status_at(&self, now: Millis) -> Status {
        let failure = match &self.phase {
            Phase::Failed(error) => Some(error.clone()),
            _ => None,
        };
        Status {
            failure,
            is_loaded: !matches!(self.phase, Phase::Loading(_)),
            generation: self.generation,
            epoch: self.log.epoch,
            lsn: self.log.end(),
            connections: self.conns.len(),
            rows_committed: self.log.rows_committed,
            entries_committed: self.log.entries_committed,
            compacted: self.compaction_status(),
            group: self.group_status(now),
        }
    }

    fn serve(&mut self, input: Input, now: Millis) {
        match input {
            Input::Opened { conn } => {
                self.conns.insert(conn, Conn::default());
                self.client_came();
            }
            Input::Restored { conn, state } => self.restore(conn, &state),
            Input::Frame { conn, bytes } => self.frame(conn, &bytes, now),
            Input::Closed { conn } => {
                self.conns.remove(&conn);
                self.waiters.forget_conn(conn);
                self.forget_concern(conn, None);
                self.forget_forwarded(conn);
                self.advance_group();
            }
            Input::Persisted { token } => self.committed(token),
            Input::Scanned { token, rows } => self.scanned(token, rows),
            Input::StorageFailed { error } => self.fail(error),
            Input::Query(query) => match self.turns_away() {
                Some(error) => self.outputs.push_back(Output::Answer { query: query.id, result: Err(error) }),
                None => self.query(query, now),
            },
            Input::ListDocs { id, after, at } => self.list_docs(id, after, &at),
            Input::Append { id, batch, timeout } => self.append_own(id, batch, timeout, now),
            Input::CancelQuery { id } => self.waiters.forget_query(id),
            Input::Tick => {
                self.expire_queries(now);
                self.group_tick();
                self.compact(now);
            }
            Input::Called { call, bytes } => self.called(call, &bytes, now),
            Input::Answered { call, result } => self.answered(call, result),
            Input::Record { token, result } => self.record_read(token, result),
            Input::Swapped { token, result } => self.record_swapped(token, result),
            Input::Admin { id, command } => self.admin(id, command),
        }
    }

    fn frame(&mut self, conn: ConnId, bytes: &[u8], now: Millis) {
        if !self.conns.contains_key(&conn) {
            return; // Frames may still arrive after the close that an earlier one caused.
        }
        match ClientFrame::decode(bytes).and_then(|frame| self.take_frame(conn, frame, now)) {
            Ok(()) => self.attach_if_changed(conn),
            Err(error) => self.close(conn, error, Millis(0)),
        }
    }

    fn take_frame(&mut self, conn: ConnId, frame: ClientFrame, now: Millis) -> Result<(), Error> {
        if let ClientFrame::Hello { version, generation, origin, .. } = frame {
            return self.hello(conn, version, generation, origin);
        }
        if !self.conn(conn).is_greeted {
            return Err(Error::new(Code::OutOfOrder, "the first frame of a connection is hello"));
        }
        match frame {
            ClientFrame::Hello { .. } => unreachable!("handled above"),
            ClientFrame::Subscribe { group, frontier, docs } => self.subscribe(conn, group, frontier, docs),
            ClientFrame::Unsubscribe { docs } => {
                self.conn(conn).unsubscribe(&docs);
                self.end_empty_groups(conn);
                Ok(())
            }
            ClientFrame::Credit { group, frames } => self.credit(conn, group, frames),
            ClientFrame::Have { doc, checksum, bytes } => self.replica_has(conn, doc, checksum, bytes),
            ClientFrame::Push { resume, prev, batch } => self.push(conn, resume, prev, batch),
            ClientFrame::Barrier { id, strong, frontier } => self.barrier(conn, id, strong, frontier),
            ClientFrame::Cancel { id } => {
                self.waiters.forget_barrier(conn, id);
                self.forget_concern(conn, Some(id));
                Ok(())
            }
            ClientFrame::Await { id, origin, seq, concern } => {
                self.await_concern(conn, id, origin, seq, concern);
                Ok(())
            }
            ClientFrame::Signal { to, bytes } => self.signal(conn, to, bytes, now),
        }
    }

    fn hello(&mut self, conn: ConnId, version: u64, generation: Generation, origin: Origin) -> Result<(), Error> {
        if self.conn(conn).is_greeted {
            return Err(Error::new(Code::OutOfOrder, "a connection says hello once"));
        }
        if version == 0 {
            return Err(Error::new(Code::Version, "protocol version 0 does not exist"));
        }
        if let Some(error) = self.turns_away() {
            return Err(error);
        }
        if generation.0 != 0 && generation != self.generation {
            return Err(Error::new(
                Code::DatabaseReset,
                "the leader's storage is not the one this replica synced with; local data and unsent writes are kept. \
                 Restore the leader's storage, or open the database under a new local name",
            ));
        }
        let visible = self.visible.clone();
        let connection = self.conn(conn);
        connection.is_greeted = true;
        connection.origin = origin;
        connection.sent = visible;
        connection.is_changed = true;
        let welcome = NodeFrame::Welcome {
            version: version.min(PROTOCOL_VERSION),
            generation: self.generation,
            epoch: self.log.epoch,
            frontier: self.frontier(),
            voters: self.voters(),
            extensions: self.welcome_extensions(),
        };
        self.send(conn, &welcome);
        Ok(())
    }

    fn conn(&mut self, conn: ConnId) -> &mut Conn {
        self.conns.get_mut(&conn).expect("callers look a connection up before they work on it")
    }

    fn send(&mut self, conn: ConnId, frame: &NodeFrame) {
        self.send_bytes(conn, frame.encode().into());
    }

    fn send_bytes(&mut self, conn: ConnId, bytes: Rc<[u8]>) {
        self.outputs.push_back(Output::Send { conn, bytes });
    }

    fn close(&mut self, conn: ConnId, error: Error, retry_after: Millis) {
        self.conns.remove(&conn);
        self.waiters.forget_conn(conn);
        self.forget_concern(conn, None);
        self.forget_forwarded(conn);
        self.send(conn, &NodeFrame::Error { error: error.clone(), retry_after_ms: retry_after.0 });
        self.outputs.push_back(Output::Close { conn, error });
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    // The memory no longer agrees with storage: nothing is served from it any more.
    fn fail(&mut self, error: Error) {
        let waiting = match std::mem::replace(&mut self.phase, Phase::Failed(error.clone())) {
            Phase::Loading(loading) => loading.waiting.into_iter().map(|(input, _)| input).collect(),
            _ => Vec::new(),
        };
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        conns.into_iter().for_each(|conn| self.close(conn, error.clone(), Millis(1000)));
        for query in self.waiters.take_queries() {
            self.outputs.push_back(Output::Answer { query, result: Err(error.clone()) });
        }
        waiting.into_iter().for_each(|input| self.refuse(input, &error));
        self.outputs.push_back(Output::Failed { error });
    }

    fn refuse(&mut self, input: Input, error: &Error) {
        match input {
            Input::Opened { conn } | Input::Restored { conn, .. } | Input::Frame { conn, .. } => {
                self.close(conn, error.clone(), Millis(1000));
            }
            Input::Query(query) => {
                self.outputs.push_back(Output::Answer { query: query.id, result: Err(error.clone()) });
            }
            Input::ListDocs { id, .. } | Input::Append { id, .. } => {
                self.outputs.push_back(Output::Answer { query: id, result: Err(error.clone()) });
            }
            Input::Called { call, .. } if self.group.is_some() => self.refuse_call(call, error.clone()),
            Input::Admin { id, .. } => {
                self.outputs.push_back(Output::AdminDone { id, result: Err(error.clone()) });
            }
            _ => {}
        }
    }
}
