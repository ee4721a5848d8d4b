//! Several tabs on one database: they share its storage, and talk on a channel.
//!
//! One of them, the *holder*, has the lock, and with it the link to the leader and the storing of what comes from there. The
//! others are *members*: each stores its own writes, tells the others of them, and shows what it hears. Every tab knows all
//! unsettled writes, whosever they are, so that each can tell what is pending, and any can go on as the holder.
//!
//! - The lock says who should hold, the *term* who does: a number in storage that every holder raises before it does anything,
//!   and without which none of its commits happens. A holder that was frozen and woke is fenced by it.
//! - **A write leaves its writer's outbox only after the holder's commit that stores it as settled.**
//! - A document is read from storage only after the holder has told what storage lacks; what passes by meanwhile joins it.
//! - What the holder has told and not stored yet is kept by every member: the next holder stores it with the frontier that
//!   it has heard of, which is therefore never ahead of the data.
//! - Messages of a tab are numbered. Whoever misses one asks everybody where they stand, and reads its documents again.

mod frame;
mod holder;
mod member;
mod role;

use super::persist::Updates;
use super::{Output, Replica};
use crate::frontier::Frontier;
use crate::ids::{DocName, Millis, Origin, Seq, Token};
use crate::sorted::{Map, Set};
use crate::stage::Stage;
use frame::Envelope;
pub(super) use frame::{State, TabFrame};

/// How long a member hears nothing of its holder before it asks for a sign of life.
pub const TAB_PING_INTERVAL: Millis = Millis(1_000);
/// How long it waits for that before it takes the lock.
pub const TAB_ANSWER_MS_MAX: Millis = Millis(2_000);
/// Messages that are kept until storage has been read.
const EARLY_MAX: usize = 65_536;

/// What a tab is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TabRole {
    /// There is nobody to share with, or no way to.
    Alone,
    /// It has the link, and stores what comes.
    Holder,
    /// Another tab does that for it.
    Member,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Alone,
    Member,
    /// It has the lock and reads what storage says by now.
    Taking,
    /// It raises the term.
    Claiming(Token),
    Holder,
}

/// Another tab.
#[derive(Debug, Default)]
struct Other {
    wants: Set<DocName>,
    /// Its last message.
    number: u64,
}

#[derive(Debug)]
pub(super) struct Tabs {
    role: Role,
    own: Origin,
    /// The newest term that was heard of.
    term: u64,
    /// The newest that was stored when this tab began to take it, and rows about older ones that nobody needs any more.
    stored_term: u64,
    outdated: Vec<Vec<u8>>,
    others: Map<Origin, Other>,
    holder: Option<Origin>,
    /// The last message of this tab.
    number: u64,
    early: Vec<Vec<u8>>,
    /// How far this tab's writes were told.
    told: Seq,
    is_paused: bool,
    is_leaving: bool,
    /// As a member: what was told by the holder and is not durable yet, with the message's number.
    uncommitted: Vec<(u64, DocName, Updates)>,
    heard: Millis,
    pinged: Option<Millis>,
    /// As the holder: what the others were told last.
    told_state: Option<State>,
    told_held: (Frontier, Frontier),
    told_docs: Map<DocName, Option<Frontier>>,
    /// Settled writes that the next commit stores, and those that the running one does, with the last message before it.
    settling: Vec<(Origin, Seq, Frontier)>,
    storing: (u64, Vec<(Origin, Seq, Frontier)>),
    /// Questions put to the leader for others.
    relayed: Map<u64, (Origin, u64)>,
    asks: Vec<(Origin, Vec<u8>)>,
    /// Whether rows of rejected writes leave storage with the next commit, and with the running one.
    undoes: (bool, bool),
    /// The last message of each tab, this one too, that told of a rejection, and whether the others wait to hear that what
    /// follows from them is done.
    rejecters: Map<Origin, u64>,
    owes_undone: bool,
}

impl Tabs {
    pub(super) fn new(own: Origin, shares_storage: bool) -> Self {
        Self {
            role: if shares_storage { Role::Member } else { Role::Alone },
            own,
            term: 0,
            stored_term: 0,
            outdated: Vec::new(),
            others: Map::default(),
            holder: None,
            number: 0,
            early: Vec::new(),
            told: Seq(0),
            is_paused: false,
            is_leaving: false,
            uncommitted: Vec::new(),
            heard: Millis(0),
            pinged: None,
            told_state: None,
            told_held: Default::default(),
            told_docs: Map::default(),
            settling: Vec::new(),
            storing: Default::default(),
            relayed: Map::default(),
            asks: Vec::new(),
            undoes: (false, false),
            rejecters: Map::default(),
            owes_undone: false,
        }
    }

    /// Whether this tab stores what is nobody else's: remote updates, frontiers, writes that earlier openings left.
    pub(super) fn stores_all(&self) -> bool {
        matches!(self.role, Role::Alone | Role::Holder)
    }

    pub(super) fn is_holder(&self) -> bool {
        self.role == Role::Holder
    }

    pub(super) fn role(&self) -> TabRole {
        match self.role {
            Role::Alone => TabRole::Alone,
            Role::Holder => TabRole::Holder,
            Role::Member | Role::Taking | Role::Claiming(_) => TabRole::Member,
        }
    }

    /// What the holder has told of a document and not stored yet.
    pub(super) fn uncommitted_of<'a>(&'a self, doc: &'a DocName) -> impl Iterator<Item = Updates> + 'a {
        self.uncommitted.iter().filter(move |(_, name, _)| name == doc).map(|(.., updates)| updates.clone())
    }

    /// Rows of rejected writes leave storage with the next commit.
    pub(super) fn removes_rows(&mut self, origin: Origin) {
        self.undoes.0 |= origin == self.own && self.role != Role::Alone;
    }

    /// Storage takes nothing more: there is nothing to wait for.
    pub(super) fn removes_no_rows(&mut self) {
        self.undoes = (false, false);
    }

    /// Whether that is still to be told.
    pub(super) fn undoes(&self) -> bool {
        self.undoes.0
    }

    fn has_others(&self) -> bool {
        !self.others.is_empty()
    }

    /// The number of this tab's last message.
    pub(super) fn told_messages(&self) -> u64 {
        self.number
    }

    /// Whether the database is being closed.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// Whether that opening is a tab that lives.
    pub(super) fn is_alive(&self, origin: Origin) -> bool {
        self.others.contains_key(&origin)
    }

    /// Whether another tab wants the document.
    pub(super) fn wants(&self, doc: &DocName) -> bool {
        self.others.values().any(|other| other.wants.contains(doc))
    }

    /// When a member looks after its holder at the latest.
    pub(super) fn next_timeout(&self) -> Option<Millis> {
        match (self.role, self.pinged) {
            (Role::Member, Some(pinged)) => Some(pinged.after(TAB_ANSWER_MS_MAX)),
            (Role::Member, None) => Some(self.heard.after(TAB_PING_INTERVAL)),
            _ => None,
        }
    }
}

impl Replica {
    /// What this tab is to the others.
    pub fn tab_role(&self) -> TabRole {
        self.tabs.role()
    }

    pub(super) fn tell_tabs(&mut self, frame: TabFrame) {
        if self.tabs.role == Role::Alone || self.tabs.is_leaving {
            return;
        }
        self.tabs.number += 1;
        let envelope = Envelope { from: self.tabs.own, number: self.tabs.number, frame };
        self.outputs.push_back(Output::TellTabs { bytes: envelope.encode() });
    }

    pub(super) fn tell_others(&mut self, frame: impl FnOnce() -> TabFrame) {
        if self.tabs.has_others() {
            self.tell_tabs(frame());
        }
    }

    /// The database is being closed.
    pub(super) fn leave(&mut self, now: Millis) {
        if !self.tabs.is_holder() && self.tabs.role != Role::Alone {
            self.tell_new_writes();
        } else {
            self.drop_link(now);
            self.link.pause();
        }
        self.tell_tabs(TabFrame::Bye);
        self.tabs.is_leaving = true;
    }

    pub(super) fn tab_message(&mut self, bytes: Vec<u8>, now: Millis) {
        if self.tabs.role == Role::Alone || self.tabs.is_leaving {
            return;
        }
        if !self.is_ready {
            if self.tabs.early.len() < EARLY_MAX {
                self.tabs.early.push(bytes);
            }
            return;
        }
        // A tab of another version is passed over: it works on its own.
        let Ok(Envelope { from, number, frame }) = Envelope::decode(&bytes) else { return };
        if from == self.tabs.own {
            return;
        }
        if matches!(frame, TabFrame::Bye) {
            return self.tab_gone(from, now);
        }
        let is_new = !self.tabs.others.contains_key(&from);
        if is_new {
            self.outputs.push_back(Output::WatchTab { origin: from });
        }
        let other = self.tabs.others.get_or_default(from);
        let has_missed = !is_new && number > other.number + 1;
        other.number = number;
        if is_new {
            self.tab_appeared(from);
            // It slept while others came and went, and does not know that it has missed anything.
            if !matches!(frame, TabFrame::Hello) {
                self.tell_where_this_stands();
            }
        }
        if has_missed {
            // It may have been asked where it stands.
            self.tell_where_this_stands();
            self.resynchronise();
        }
        if self.tabs.holder == Some(from) {
            self.tabs.heard = now;
            self.tabs.pinged = None;
        }
        self.take_tab_frame(from, number, frame, now);
    }

    /// What came while storage was read.
    pub(super) fn take_early_messages(&mut self, now: Millis) {
        for bytes in std::mem::take(&mut self.tabs.early) {
            self.tab_message(bytes, now);
        }
    }

    fn take_tab_frame(&mut self, from: Origin, number: u64, frame: TabFrame, now: Millis) {
        match frame {
            TabFrame::Hello => self.tell_where_this_stands(),
            TabFrame::Bye => {}
            TabFrame::Writes { prev, unix_ms, batch } => self.take_writes(prev, unix_ms, batch),
            TabFrame::Stored { origin, seq } => self.other_reached(origin, seq, Stage::Local),
            TabFrame::Undone { of } => self.rows_are_undone(from, &of),
            TabFrame::Want { docs } => self.tab_wants(from, docs),
            TabFrame::Unwant { docs } => self.tab_wants_no_more(from, &docs),
            TabFrame::Doc { to, heard, doc, updates } if to == self.tabs.own => {
                self.take_doc(from, number, heard, doc, updates);
            }
            TabFrame::Doc { .. } => {}
            TabFrame::Contents { doc, updates } => self.take_contents(number, doc, updates),
            TabFrame::Updates { epoch, through, batch } => self.take_updates(number, epoch, through, batch),
            TabFrame::Settled { settled } => self.take_settled(from, settled),
            TabFrame::Committed { through, settled } => self.take_committed(from, through, settled),
            TabFrame::Acked { origin, seq, stage } => self.take_acked(origin, seq, stage),
            TabFrame::Rejected { origin, seq, error } => self.tab_rejects(from, number, (origin, seq, error)),
            TabFrame::State(state) => self.take_state(from, state, now),
            TabFrame::Held { stream, leader_end, docs } => self.take_held(from, stream, &leader_end, docs),
            TabFrame::Ask { frame } => self.tab_asks(from, frame),
            TabFrame::Answer { to, frame } => self.take_answer(to, &frame, now),
            TabFrame::Pause { is_paused } => self.tabs_pause(is_paused, now),
            TabFrame::Ping => {
                if self.tabs.is_holder() {
                    self.tell_tabs(TabFrame::Pong);
                }
            }
            TabFrame::Pong => {}
            TabFrame::PeerStored { replica, origins } => self.peer_has_stored(None, replica, origins),
            TabFrame::Nudge => self.nudge_link(now),
            TabFrame::Retained { replica } => self.replica_is_named(replica),
            TabFrame::PeerDoc { doc, updates, frontier } => self.take_peer_doc(doc, updates, frontier),
            TabFrame::Signal { to, bytes } => {
                if self.tabs.is_holder() {
                    self.signal(to, bytes);
                }
            }
            TabFrame::Signalled { from, bytes } => self.outputs.push_back(Output::Signalled { from, bytes }),
        }
    }

    // A lane of a tab that lives is stored by that tab.
    fn tab_appeared(&mut self, origin: Origin) {
        self.outbox.lane_of(origin).is_foreign = true;
        if self.tabs.is_holder() {
            // It may have missed what was told while nobody was known to listen.
            self.tabs.told_state = None;
            self.tabs.told_held = Default::default();
        }
    }

    /// Answers a tab that asks where everybody stands.
    fn tell_where_this_stands(&mut self) {
        let is_holder = self.tabs.is_holder();
        // A tab that is frozen tells nobody what others have heard of it.
        let mine = |origin: Origin| origin == self.tabs.own || is_holder;
        let lanes: Vec<Origin> =
            self.outbox.lanes().filter(|(origin, _)| mine(*origin)).map(|(origin, _)| origin).collect();
        let settled = |origin: &Origin| {
            let (seq, place) = self.outbox.get(*origin)?.settled();
            (seq > Seq(0)).then(|| (*origin, seq, place.clone()))
        };
        // As the holder it knows this of every lane; what it has not stored yet is told with the commit.
        let unstored = |origin: Origin| {
            let storing = self.tabs.settling.iter().chain(&self.tabs.storing.1);
            storing.into_iter().any(|(other, ..)| *other == origin)
        };
        let known: Vec<Origin> = match is_holder {
            true => self.outbox.lanes().map(|(origin, _)| origin).filter(|origin| !unstored(*origin)).collect(),
            false => lanes.clone(),
        };
        let leads: Vec<_> = match is_holder {
            true => lanes.iter().filter(|origin| unstored(**origin)).filter_map(settled).collect(),
            false => Vec::new(),
        };
        let settled: Vec<_> = known.iter().filter_map(settled).collect();
        if is_holder {
            // Before anything else: what a holder says counts only if it is known to be the holder.
            self.tell_state();
        }
        // Before what is settled: that goes beyond them.
        self.tell_all_rejections();
        if !leads.is_empty() {
            self.tell_tabs(TabFrame::Settled { settled: leads });
        }
        if let Some(replica) = self.peers.replica() {
            self.tell_tabs(TabFrame::Retained { replica });
        }
        self.tell_tabs(TabFrame::Committed { through: 0, settled });
        self.tabs.owes_undone = true;
        for origin in known {
            if let Some((stage, seq)) = self.outbox.get(origin).and_then(|lane| lane.best_stage()) {
                self.tell_tabs(TabFrame::Acked { origin, seq, stage });
            }
        }
        for origin in lanes {
            self.tell_writes_after(origin, Seq(0));
            let Some(lane) = self.outbox.get(origin) else { continue };
            let reached = |stage| (stage, lane.reached(stage));
            let (reached, settled) = ([reached(Stage::Local), reached(Stage::Leader)], lane.settled().0);
            for (stage, seq) in reached {
                if seq > settled {
                    self.tell_tabs(TabFrame::Acked { origin, seq, stage });
                }
            }
        }
        self.tabs.told = self.outbox.next_before();
        self.tell_tabs_what_peers_stored();
        if is_holder {
            self.tabs.told_held = Default::default();
            self.tabs.told_docs.clear();
        } else {
            self.want_documents();
        }
    }

    /// Writes that were rejected lately: all that the holder knows of, or this tab's own.
    fn tell_all_rejections(&mut self) {
        let (own, is_holder) = (self.tabs.own, self.tabs.is_holder());
        for (origin, seq, error) in self.outbox.all_rejections() {
            if is_holder || origin == own {
                self.tell_tabs_rejected(origin, seq, &error);
            }
        }
    }

    /// Something that others told was not heard here.
    fn resynchronise(&mut self) {
        self.say_hello();
        if !self.tabs.stores_all() {
            let own = self.tabs.own;
            let was_foreign = std::mem::take(&mut self.outbox.lane_of(own).is_foreign);
            self.outbox.forget_foreign();
            self.outbox.lane_of(own).is_foreign = was_foreign;
            self.read_documents_again();
            self.want_documents();
        }
    }
}
