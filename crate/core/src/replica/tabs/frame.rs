//! What tabs say to each other on their channel. All tabs of a page's origin run what the same site served, but not always
//! at the same time: a tab of another version is not understood, and passed over.

use crate::batch::Batch;
use crate::error::{Code, Error};
use crate::frame::{Extensions, Served};
use crate::frontier::Frontier;
use crate::ids::{DocName, Epoch, Generation, Lsn, Origin, ReplicaId, Seq};
use crate::limits::{
    EXTENSION_BYTES_MAX, EXTENSIONS_MAX, FRAME_BYTES_MAX, MESSAGE_BYTES_MAX, PEER_ORIGINS_MAX, SIGNAL_BYTES_MAX,
    SUBSCRIPTIONS_MAX,
};
use crate::replica::link::Phase;
use crate::replica::persist::{Updates, decode_updates, encode_updates};
use crate::stage::Stage;
use crate::wire::{Reader, Writer};

const VERSION: u8 = 1;
/// No message between tabs is longer: a document's updates that storage does not have yet are the largest.
const TAB_FRAME_BYTES_MAX: usize = 256 << 20;

/// A message, who sent it, and the number that its sender gave it: 1, 2, 3 … without a gap.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) from: Origin,
    pub(super) number: u64,
    pub(super) frame: TabFrame,
}

/// What is said.
#[derive(Clone, Debug)]
pub(in crate::replica) enum TabFrame {
    /// I am here, and may have missed something: tell me where you stand.
    Hello,
    /// I am about to close.
    Bye,
    /// Writes that came to me, all of one origin. What I have not told of it before begins after `prev`.
    Writes { prev: Seq, unix_ms: u64, batch: Batch },
    /// What I store of this origin is durable up to here.
    Stored { origin: Origin, seq: Seq },
    /// What follows from rejections is done, also in storage, as far as these tabs have told of them up to these messages.
    Undone { of: Vec<(Origin, u64)> },
    /// I have these documents open.
    Want { docs: Vec<DocName> },
    /// I have closed these.
    Unwant { docs: Vec<DocName> },
    /// What storage does not have of a document yet, and the last message of that tab that I have heard. From the holder.
    Doc { to: Origin, heard: u64, doc: DocName, updates: Updates },
    /// What a node keeps of a document. From the holder.
    Contents { doc: DocName, updates: Updates },
    /// Writes from the leader's log, up to `through`. From the holder, as everything below.
    Updates { epoch: Epoch, through: Lsn, batch: Batch },
    /// These are settled and not durable as such yet: documents bring them, and I tell only what is after them.
    Settled { settled: Vec<(Origin, Seq, Frontier)> },
    /// What I had told up to this number is durable, and so these are settled.
    Committed { through: u64, settled: Vec<(Origin, Seq, Frontier)> },
    /// A stage of an origin's writes.
    Acked { origin: Origin, seq: Seq, stage: Stage },
    /// A write that the leader refuses.
    Rejected { origin: Origin, seq: Seq, error: Error },
    /// Where the link stands.
    State(State),
    /// How far the live stream has come, and the documents of which something else has changed: those that share its frontier,
    /// and those that have one of their own.
    Held { stream: Frontier, leader_end: Frontier, docs: Vec<(DocName, Option<Frontier>)> },
    /// A question for the leader: a frame of the protocol. To the holder.
    Ask { frame: Vec<u8> },
    /// Its answer: a frame of the protocol.
    Answer { to: Origin, frame: Vec<u8> },
    /// The application wants no connection, or wants one again.
    Pause { is_paused: bool },
    /// Are you alive?
    Ping,
    /// I am.
    Pong,
    /// The network may be back, or somebody looks at me: try at once. To the holder.
    Nudge,
    /// From here on logs are kept for peers, under this name; with no name, a question for it. Storage gets it from the holder.
    Retained { replica: ReplicaId },
    /// Updates of a document from a peer, and how far they lead if they are the last ones. To the holder.
    PeerDoc { doc: DocName, updates: Updates, frontier: Option<Frontier> },
    /// What another replica has stored of origins, as a peer of this tab says.
    PeerStored { replica: ReplicaId, origins: Vec<(Origin, Seq)> },
    /// A message for other clients of the node. To the holder.
    Signal { to: Origin, bytes: Vec<u8> },
    /// A message from another client of the node. From the holder.
    Signalled { from: Origin, bytes: Vec<u8> },
}

/// What the holder's link looks like to the others.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::replica) struct State {
    pub(in crate::replica) term: u64,
    pub(in crate::replica) phase: Phase,
    pub(in crate::replica) is_paused: bool,
    pub(in crate::replica) generation: Generation,
    pub(in crate::replica) epoch: Option<Epoch>,
    pub(in crate::replica) served: Served,
    pub(in crate::replica) voters: u64,
    pub(in crate::replica) error: Option<Error>,
}

impl Envelope {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(VERSION).fixed(self.from.0).uint(self.number);
        self.frame.encode(&mut out);
        out.0
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > TAB_FRAME_BYTES_MAX {
            return Err(Error::too_large("a message between tabs in bytes", bytes.len(), TAB_FRAME_BYTES_MAX));
        }
        let mut input = Reader::new(bytes);
        match input.byte()? {
            VERSION => {}
            version => return Err(Error::new(Code::Version, format!("a tab speaks version {version}"))),
        }
        let (from, number) = (input.origin()?, input.uint()?);
        let frame = TabFrame::decode(&mut input)?;
        input.end()?;
        Ok(Self { from, number, frame })
    }
}

impl TabFrame {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Hello => {
                out.byte(0);
            }
            Self::Bye => {
                out.byte(1);
            }
            Self::Writes { prev, unix_ms, batch } => batch.encode(out.byte(2).uint(prev.0).uint(*unix_ms)),
            Self::Stored { origin, seq } => {
                out.byte(3).fixed(origin.0).uint(seq.0);
            }
            Self::Undone { of } => {
                out.byte(4).uint(of.len() as u64);
                for (origin, number) in of {
                    out.fixed(origin.0).uint(*number);
                }
            }
            Self::Want { docs } => encode_docs(out.byte(5), docs),
            Self::Unwant { docs } => encode_docs(out.byte(6), docs),
            Self::Doc { to, heard, doc, updates } => {
                out.byte(7).fixed(to.0).uint(*heard).text(doc.as_str()).bytes(&encode_updates(updates));
            }
            Self::Contents { doc, updates } => {
                out.byte(26).text(doc.as_str()).bytes(&encode_updates(updates));
            }
            Self::Updates { epoch, through, batch } => batch.encode(out.byte(8).uint(epoch.0).uint(through.0)),
            Self::Committed { through, settled } => {
                encode_settled(out.byte(9).uint(*through), settled);
            }
            Self::Settled { settled } => encode_settled(out.byte(25), settled),
            Self::Acked { origin, seq, stage } => {
                out.byte(10).fixed(origin.0).uint(seq.0).byte(*stage as u8);
            }
            Self::Rejected { origin, seq, error } => encode_error(out.byte(11).fixed(origin.0).uint(seq.0), error),
            Self::State(state) => state.encode(out.byte(12)),
            Self::Held { stream, leader_end, docs } => {
                stream.encode(out.byte(13));
                leader_end.encode(out);
                out.uint(docs.len() as u64);
                for (doc, frontier) in docs {
                    out.text(doc.as_str()).byte(u8::from(frontier.is_some()));
                    frontier.iter().for_each(|frontier| frontier.encode(out));
                }
            }
            Self::Ask { frame } => {
                out.byte(14).bytes(frame);
            }
            Self::Answer { to, frame } => {
                out.byte(15).fixed(to.0).bytes(frame);
            }
            Self::Pause { is_paused } => {
                out.byte(16).byte(u8::from(*is_paused));
            }
            Self::Ping => {
                out.byte(17);
            }
            Self::Pong => {
                out.byte(18);
            }
            Self::PeerStored { replica, origins } => {
                out.byte(24).fixed(replica.0).uint(origins.len() as u64);
                for (origin, seq) in origins {
                    out.fixed(origin.0).uint(seq.0);
                }
            }
            Self::Nudge => {
                out.byte(22);
            }
            Self::Retained { replica } => {
                out.byte(21).fixed(replica.0);
            }
            Self::PeerDoc { doc, updates, frontier } => {
                out.byte(23).text(doc.as_str()).bytes(&encode_updates(updates)).byte(u8::from(frontier.is_some()));
                frontier.iter().for_each(|frontier| frontier.encode(out));
            }
            Self::Signal { to, bytes } => {
                out.byte(19).fixed(to.0).bytes(bytes);
            }
            Self::Signalled { from, bytes } => {
                out.byte(20).fixed(from.0).bytes(bytes);
            }
        }
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(match input.byte()? {
            0 => Self::Hello,
            1 => Self::Bye,
            2 => {
                let (prev, unix_ms) = (Seq(input.uint()?), input.uint()?);
                let batch = Batch::decode(input)?;
                let first =
                    batch.writes.first().ok_or_else(|| Error::malformed("a tab tells of at least one write"))?;
                if batch.writes.iter().any(|write| write.origin != first.origin) {
                    return Err(Error::malformed("a tab tells of one origin's writes at a time"));
                }
                Self::Writes { prev, unix_ms, batch }
            }
            3 => Self::Stored { origin: input.origin()?, seq: Seq(input.uint()?) },
            4 => {
                let of = 0..input.count("tabs", usize::MAX)?;
                Self::Undone { of: of.map(|_| Ok((input.origin()?, input.uint()?))).collect::<Result<_, Error>>()? }
            }
            5 => Self::Want { docs: decode_docs(input)? },
            6 => Self::Unwant { docs: decode_docs(input)? },
            7 => {
                let (to, heard, doc) = (input.origin()?, input.uint()?, input.doc_name()?);
                Self::Doc { to, heard, doc, updates: decode_updates(input.bytes("updates", TAB_FRAME_BYTES_MAX)?)? }
            }
            8 => {
                let (epoch, through) = (Epoch(input.uint()?), Lsn(input.uint()?));
                Self::Updates { epoch, through, batch: Batch::decode(input)? }
            }
            9 => {
                let through = input.uint()?;
                Self::Committed { through, settled: decode_settled(input)? }
            }
            25 => Self::Settled { settled: decode_settled(input)? },
            10 => Self::Acked { origin: input.origin()?, seq: Seq(input.uint()?), stage: stage(input.byte()?)? },
            11 => Self::Rejected { origin: input.origin()?, seq: Seq(input.uint()?), error: decode_error(input)? },
            12 => Self::State(State::decode(input)?),
            13 => {
                let (stream, leader_end) = (Frontier::decode(input)?, Frontier::decode(input)?);
                let docs = 0..input.count("documents", 2 * SUBSCRIPTIONS_MAX)?;
                let docs = docs.map(|_| {
                    let doc = input.doc_name()?;
                    Ok((doc, if flag(input)? { Some(Frontier::decode(input)?) } else { None }))
                });
                Self::Held { docs: docs.collect::<Result<_, Error>>()?, stream, leader_end }
            }
            14 => Self::Ask { frame: input.bytes("a question", FRAME_BYTES_MAX)?.to_vec() },
            15 => Self::Answer { to: input.origin()?, frame: input.bytes("an answer", FRAME_BYTES_MAX)?.to_vec() },
            16 => Self::Pause { is_paused: flag(input)? },
            17 => Self::Ping,
            18 => Self::Pong,
            19 => Self::Signal { to: input.origin()?, bytes: input.bytes("a signal", SIGNAL_BYTES_MAX)?.to_vec() },
            20 => Self::Signalled { from: input.origin()?, bytes: input.bytes("a signal", SIGNAL_BYTES_MAX)?.to_vec() },
            23 => {
                let doc = input.doc_name()?;
                let updates = decode_updates(input.bytes("updates", TAB_FRAME_BYTES_MAX)?)?;
                Self::PeerDoc {
                    doc,
                    updates,
                    frontier: if flag(input)? { Some(Frontier::decode(input)?) } else { None },
                }
            }
            21 => Self::Retained { replica: ReplicaId(input.fixed()?) },
            22 => Self::Nudge,
            24 => {
                let replica = ReplicaId(input.fixed()?);
                let origins = 0..input.count("origins", PEER_ORIGINS_MAX)?;
                let origins = origins.map(|_| Ok((input.origin()?, Seq(input.uint()?))));
                Self::PeerStored { replica, origins: origins.collect::<Result<_, Error>>()? }
            }
            26 => {
                let doc = input.doc_name()?;
                Self::Contents { doc, updates: decode_updates(input.bytes("updates", TAB_FRAME_BYTES_MAX)?)? }
            }
            other => return Err(Error::malformed(format!("message {other} of a tab is not known"))),
        })
    }
}

impl State {
    /// What is to be said of a link of which nothing is known.
    pub(in crate::replica) fn unknown(has_leader: bool) -> Self {
        Self {
            term: 0,
            phase: if has_leader { Phase::Connecting } else { Phase::LocalOnly },
            is_paused: false,
            generation: Generation(0),
            epoch: None,
            served: Served::default(),
            voters: 1,
            error: None,
        }
    }

    fn encode(&self, out: &mut Writer) {
        let phase = PHASES.iter().position(|phase| *phase == self.phase).unwrap_or_default();
        out.uint(self.term).byte(phase as u8).byte(u8::from(self.is_paused)).fixed(self.generation.0).uint(self.voters);
        out.uint(self.epoch.map_or(0, |epoch| epoch.0));
        let served = self.served.to_extensions();
        out.uint(served.len() as u64);
        for (tag, value) in &served {
            out.uint(*tag).bytes(value);
        }
        out.byte(u8::from(self.error.is_some()));
        self.error.iter().for_each(|error| encode_error(out, error));
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        let term = input.uint()?;
        let phase = PHASES.get(usize::from(input.byte()?)).copied();
        let phase = phase.ok_or_else(|| Error::malformed("a tab tells of a phase that is not known"))?;
        let (is_paused, generation, voters) = (flag(input)?, Generation(input.fixed()?), input.uint()?);
        let epoch = Some(Epoch(input.uint()?)).filter(|epoch| epoch.0 > 0);
        let mut served = Extensions::new();
        for _ in 0..input.count("extensions", EXTENSIONS_MAX)? {
            served.push((input.uint()?, input.bytes("an extension", EXTENSION_BYTES_MAX)?.to_vec()));
        }
        let error = if flag(input)? { Some(decode_error(input)?) } else { None };
        Ok(Self { term, phase, is_paused, generation, epoch, served: Served::of(&served), voters, error })
    }
}

const PHASES: [Phase; 5] = [Phase::LocalOnly, Phase::Offline, Phase::Connecting, Phase::Live, Phase::Blocked];

fn flag(input: &mut Reader<'_>) -> Result<bool, Error> {
    Ok(input.byte()? != 0)
}

fn encode_settled(out: &mut Writer, settled: &[(Origin, Seq, Frontier)]) {
    out.uint(settled.len() as u64);
    for (origin, seq, place) in settled {
        place.encode(out.fixed(origin.0).uint(seq.0));
    }
}

fn decode_settled(input: &mut Reader<'_>) -> Result<Vec<(Origin, Seq, Frontier)>, Error> {
    let settled = 0..input.count("settled origins", usize::MAX)?;
    settled.map(|_| Ok((input.origin()?, Seq(input.uint()?), Frontier::decode(input)?))).collect()
}

fn encode_docs(out: &mut Writer, docs: &[DocName]) {
    out.uint(docs.len() as u64);
    for doc in docs {
        out.text(doc.as_str());
    }
}

fn decode_docs(input: &mut Reader<'_>) -> Result<Vec<DocName>, Error> {
    (0..input.count("documents", SUBSCRIPTIONS_MAX)?).map(|_| input.doc_name()).collect()
}

fn stage(byte: u8) -> Result<Stage, Error> {
    let stage = Stage::ALL.get(usize::from(byte)).copied();
    stage.ok_or_else(|| Error::malformed(format!("stage {byte} is not known")))
}

fn encode_error(out: &mut Writer, error: &Error) {
    out.byte(error.code.to_byte()).text(&error.message);
}

fn decode_error(input: &mut Reader<'_>) -> Result<Error, Error> {
    let code = Code::from_byte(input.byte()?).unwrap_or(Code::Internal);
    Ok(Error::new(code, input.text("a message", 16 * MESSAGE_BYTES_MAX)?))
}
