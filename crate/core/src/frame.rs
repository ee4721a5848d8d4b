//! The frames of the sync protocol. `docs/protocol.md` says what each is for; this file says what bytes it has.
//!
//! Decoding is total: any bytes give a frame or a coded error, never a panic, and never more memory than the frame has
//! bytes. Golden frames in `crate/core/fixtures` pin the encoding.

mod concern;
mod served;

use crate::batch::Batch;
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::group::Concern;
use crate::ids::{DocName, Epoch, Generation, Lsn, Origin, Seq};
use crate::limits::{
    CONTENT_CHUNK_BYTES, EXTENSION_BYTES_MAX, EXTENSIONS_MAX, FRAME_BYTES_MAX, MESSAGE_BYTES_MAX, SIGNAL_BYTES_MAX,
    SUBSCRIPTIONS_MAX,
};
use crate::stage::Stage;
use crate::wire::{Reader, Writer};
pub use served::Served;
use std::rc::Rc;

/// The newest protocol version.
pub const PROTOCOL_VERSION: u64 = 1;
/// The first two bytes of a hello, so that a stranger's connection is told apart at once.
pub const MAGIC: [u8; 2] = *b"HW";

/// Fields of a handshake that this version does not know yet. They are passed over, so that old nodes meet new clients.
pub type Extensions = Vec<(u64, Vec<u8>)>;

/// What a replica says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientFrame {
    /// First on every connection.
    Hello {
        /// The newest version the replica speaks.
        version: u64,
        /// The generation it synced with before; zero if never.
        generation: Generation,
        /// This opening of the replica.
        origin: Origin,
        /// Fields of later versions.
        extensions: Extensions,
    },
    /// Documents to follow, all from one frontier on.
    Subscribe {
        /// The replica's number for this group; above all it used before on this connection.
        group: u64,
        /// What the replica holds of these documents.
        frontier: Frontier,
        /// The documents.
        docs: Vec<DocName>,
    },
    /// Documents to follow no more.
    Unsubscribe {
        /// The documents.
        docs: Vec<DocName>,
    },
    /// Catch-up frames of a group that the replica has taken in; the node sends as many more.
    Credit {
        /// The group.
        group: u64,
        /// How many frames.
        frames: u64,
    },
    /// Writes of one origin, in order.
    Push {
        /// Whether `prev` is a claim that everything up to it is settled: after a connect or a rejection.
        resume: bool,
        /// The write of this origin before the first one here.
        prev: Seq,
        /// The writes, all of one origin.
        batch: Batch,
    },
    /// Asks for the node's frontier once it holds `frontier`.
    Barrier {
        /// The replica's number for this question.
        id: u64,
        /// Whether the node must prove that it still leads.
        strong: bool,
        /// What the node must hold before it answers.
        frontier: Frontier,
    },
    /// The replica waits for this barrier, or for this concern, no more.
    Cancel {
        /// The question.
        id: u64,
    },
    /// Asks to be told once a write is held as its writer wants it to be.
    Await {
        /// The replica's number for this question, one of those of its barriers.
        id: u64,
        /// The write's origin.
        origin: Origin,
        /// The write.
        seq: Seq,
        /// Who must hold it durably.
        concern: Concern,
    },
    /// A part of a document's snapshot is here: what a subscription brings may begin after it.
    Have {
        /// The document.
        doc: DocName,
        /// The snapshot's checksum.
        checksum: u64,
        /// How many of its bytes, from its beginning on.
        bytes: u64,
    },
    /// A message for another client of this node, which passes it on and keeps nothing of it.
    Signal {
        /// The origin that the other one named in its hello; zero for all others.
        to: Origin,
        /// What the node does not read.
        bytes: Vec<u8>,
    },
}

/// A part of what is kept of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The document.
    pub doc: DocName,
    /// What the replica holds of it with these updates, if it held what came before.
    pub frontier: Frontier,
    /// Updates.
    pub updates: Vec<Rc<[u8]>>,
}

/// What a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeFrame {
    /// Answers hello.
    Welcome {
        /// The version both sides use from here on.
        version: u64,
        /// The database's generation.
        generation: Generation,
        /// The leader's tenure.
        epoch: Epoch,
        /// What the node holds; the live stream begins there.
        frontier: Frontier,
        /// How many voters the database has.
        voters: u64,
        /// Fields of later versions.
        extensions: Extensions,
    },
    /// Entries of the log that concern a group's documents. Group 0 is the live stream.
    Entries {
        /// The group.
        group: u64,
        /// The log.
        epoch: Epoch,
        /// With this frame the replica holds all that concerns it up to here.
        through: Lsn,
        /// The entries.
        batch: Batch,
    },
    /// The group has caught up with the live stream and is part of it from here on.
    Live {
        /// The group.
        group: u64,
        /// What the replica now holds of its documents.
        frontier: Frontier,
    },
    /// Everything of the origin up to `seq` has reached the stage.
    Ack {
        /// The origin.
        origin: Origin,
        /// The last write that it is about.
        seq: Seq,
        /// The stage.
        stage: Stage,
        /// The log that holds the write.
        epoch: Epoch,
        /// Where in the log.
        lsn: Lsn,
        /// The live stream has been sent up to here.
        through: Lsn,
    },
    /// A write is refused for good. Later writes of the origin are ignored until a push with `resume`.
    Rejected {
        /// The origin.
        origin: Origin,
        /// The write.
        seq: Seq,
        /// Why.
        error: Error,
    },
    /// Answers a barrier, or says that a concern is met.
    Reached {
        /// The question.
        id: u64,
        /// What the node holds.
        frontier: Frontier,
    },
    /// A barrier that cannot be answered, or a concern that cannot be met.
    Failed {
        /// The question.
        id: u64,
        /// Why.
        error: Error,
    },
    /// Why the node closes the connection.
    Error {
        /// What happened.
        error: Error,
        /// Not to come back before; zero if it does not matter.
        retry_after_ms: u64,
    },
    /// What is kept of a group's documents, in place of the entries that it comes from.
    Contents {
        /// The group.
        group: u64,
        /// Of each document.
        contents: Vec<Content>,
    },
    /// A piece of a document's snapshot. With the last one the replica holds the document up to the frontier.
    Chunk {
        /// The group.
        group: u64,
        /// The document.
        doc: DocName,
        /// What the snapshot holds.
        frontier: Frontier,
        /// The snapshot's checksum.
        checksum: u64,
        /// How many bytes the snapshot has.
        total: u64,
        /// Where in it the piece begins.
        offset: u64,
        /// The piece.
        bytes: Vec<u8>,
    },
    /// A message of another client of this node.
    Signal {
        /// The origin that the other one named in its hello.
        from: Origin,
        /// What the node did not read.
        bytes: Vec<u8>,
    },
}

impl ClientFrame {
    /// The bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Hello { version, generation, origin, extensions } => {
                out.byte(1).byte(MAGIC[0]).byte(MAGIC[1]).uint(*version).fixed(generation.0).fixed(origin.0);
                encode_extensions(&mut out, extensions);
            }
            Self::Subscribe { group, frontier, docs } => {
                out.byte(2).uint(*group);
                frontier.encode(&mut out);
                encode_docs(&mut out, docs);
            }
            Self::Unsubscribe { docs } => encode_docs(out.byte(3), docs),
            Self::Credit { group, frames } => {
                out.byte(4).uint(*group).uint(*frames);
            }
            Self::Push { resume, prev, batch } => {
                out.byte(5).byte(u8::from(*resume)).uint(prev.0);
                batch.encode(&mut out);
            }
            Self::Barrier { id, strong, frontier } => {
                frontier.encode(out.byte(6).uint(*id).byte(u8::from(*strong)));
            }
            Self::Cancel { id } => {
                out.byte(7).uint(*id);
            }
            Self::Await { id, origin, seq, concern } => {
                concern::encode(out.byte(8).uint(*id).fixed(origin.0).uint(seq.0), concern);
            }
            Self::Have { doc, checksum, bytes } => {
                out.byte(10).text(doc.as_str()).fixed(*checksum).uint(*bytes);
            }
            Self::Signal { to, bytes } => {
                out.byte(9).fixed(to.0).bytes(bytes);
            }
        }
        out.0
    }

    /// Reads one frame; every byte must belong to it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut input = sized(bytes)?;
        let frame = match input.byte()? {
            1 => decode_hello(&mut input)?,
            2 => decode_subscribe(&mut input)?,
            3 => Self::Unsubscribe { docs: decode_docs(&mut input)? },
            4 => Self::Credit { group: group(&mut input)?, frames: input.uint()? },
            5 => decode_push(&mut input)?,
            6 => {
                Self::Barrier { id: input.uint()?, strong: flag(&mut input)?, frontier: Frontier::decode(&mut input)? }
            }
            7 => Self::Cancel { id: input.uint()? },
            8 => Self::Await {
                id: input.uint()?,
                origin: input.origin()?,
                seq: Seq(input.uint()?),
                concern: concern::decode(&mut input)?,
            },
            9 => Self::Signal { to: input.origin()?, bytes: decode_signal(&mut input)? },
            10 => Self::Have { doc: input.doc_name()?, checksum: input.fixed()?, bytes: input.uint()? },
            kind => return Err(unknown(kind)),
        };
        input.end()?;
        Ok(frame)
    }
}

impl NodeFrame {
    /// The bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Welcome { version, generation, epoch, frontier, voters, extensions } => {
                frontier.encode(out.byte(65).uint(*version).fixed(generation.0).uint(epoch.0));
                encode_extensions(out.uint(*voters), extensions);
            }
            Self::Entries { group, epoch, through, batch } => {
                batch.encode(out.byte(66).uint(*group).uint(epoch.0).uint(through.0));
            }
            Self::Live { group, frontier } => frontier.encode(out.byte(67).uint(*group)),
            Self::Ack { origin, seq, stage, epoch, lsn, through } => {
                out.byte(68).fixed(origin.0).uint(seq.0).byte(stage.to_byte());
                out.uint(epoch.0).uint(lsn.0).uint(through.0);
            }
            Self::Rejected { origin, seq, error } => {
                encode_error(out.byte(69).fixed(origin.0).uint(seq.0), error);
            }
            Self::Reached { id, frontier } => frontier.encode(out.byte(70).uint(*id)),
            Self::Failed { id, error } => encode_error(out.byte(71).uint(*id), error),
            Self::Error { error, retry_after_ms } => {
                out.byte(72);
                encode_error(&mut out, error);
                out.uint(*retry_after_ms);
            }
            Self::Contents { group, contents } => encode_contents(out.byte(74).uint(*group), contents),
            Self::Chunk { group, doc, frontier, checksum, total, offset, bytes } => {
                frontier.encode(out.byte(75).uint(*group).text(doc.as_str()));
                out.fixed(*checksum).uint(*total).uint(*offset).bytes(bytes);
            }
            Self::Signal { from, bytes } => {
                out.byte(73).fixed(from.0).bytes(bytes);
            }
        }
        out.0
    }

    /// Reads one frame; every byte must belong to it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut input = sized(bytes)?;
        let frame = match input.byte()? {
            65 => Self::Welcome {
                version: input.uint()?,
                generation: Generation(input.fixed()?),
                epoch: Epoch(input.uint()?),
                frontier: Frontier::decode(&mut input)?,
                voters: input.uint()?,
                extensions: decode_extensions(&mut input)?,
            },
            66 => Self::Entries {
                group: input.uint()?,
                epoch: Epoch(input.uint()?),
                through: Lsn(input.uint()?),
                batch: Batch::decode(&mut input)?,
            },
            67 => Self::Live { group: group(&mut input)?, frontier: Frontier::decode(&mut input)? },
            68 => Self::Ack {
                origin: input.origin()?,
                seq: Seq(input.uint()?),
                stage: Stage::from_byte(input.byte()?)?,
                epoch: Epoch(input.uint()?),
                lsn: Lsn(input.uint()?),
                through: Lsn(input.uint()?),
            },
            69 => Self::Rejected { origin: input.origin()?, seq: Seq(input.uint()?), error: decode_error(&mut input)? },
            70 => Self::Reached { id: input.uint()?, frontier: Frontier::decode(&mut input)? },
            71 => Self::Failed { id: input.uint()?, error: decode_error(&mut input)? },
            72 => Self::Error { error: decode_error(&mut input)?, retry_after_ms: input.uint()? },
            73 => Self::Signal { from: input.origin()?, bytes: decode_signal(&mut input)? },
            74 => Self::Contents { group: group(&mut input)?, contents: decode_contents(&mut input)? },
            75 => Self::Chunk {
                group: group(&mut input)?,
                doc: input.doc_name()?,
                frontier: Frontier::decode(&mut input)?,
                checksum: input.fixed()?,
                total: input.uint()?,
                offset: input.uint()?,
                bytes: input.bytes("a piece of a snapshot", CONTENT_CHUNK_BYTES)?.to_vec(),
            },
            kind => return Err(unknown(kind)),
        };
        input.end()?;
        Ok(frame)
    }
}

fn sized(bytes: &[u8]) -> Result<Reader<'_>, Error> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(Error::too_large("the frame in bytes", bytes.len(), FRAME_BYTES_MAX));
    }
    Ok(Reader::new(bytes))
}

fn decode_hello(input: &mut Reader<'_>) -> Result<ClientFrame, Error> {
    if [input.byte()?, input.byte()?] != MAGIC {
        return Err(Error::malformed("the first frame is no Headwater hello; is this the right endpoint?"));
    }
    Ok(ClientFrame::Hello {
        version: input.uint()?,
        generation: Generation(input.fixed()?),
        origin: input.origin()?,
        extensions: decode_extensions(input)?,
    })
}

fn decode_subscribe(input: &mut Reader<'_>) -> Result<ClientFrame, Error> {
    let (group, frontier) = (group(input)?, Frontier::decode(input)?);
    let docs = decode_docs(input)?;
    if docs.is_empty() {
        return Err(Error::malformed("a group names at least one document"));
    }
    Ok(ClientFrame::Subscribe { group, frontier, docs })
}

fn decode_push(input: &mut Reader<'_>) -> Result<ClientFrame, Error> {
    let (resume, prev, batch) = (flag(input)?, Seq(input.uint()?), Batch::decode(input)?);
    batch.check_push(prev)?;
    Ok(ClientFrame::Push { resume, prev, batch })
}

fn decode_signal(input: &mut Reader<'_>) -> Result<Vec<u8>, Error> {
    Ok(input.bytes("a signal", SIGNAL_BYTES_MAX)?.to_vec())
}

fn encode_contents(out: &mut Writer, contents: &[Content]) {
    out.uint(contents.len() as u64);
    for Content { doc, frontier, updates } in contents {
        frontier.encode(out.text(doc.as_str()));
        out.uint(updates.len() as u64);
        updates.iter().for_each(|update| {
            out.bytes(update);
        });
    }
}

fn decode_contents(input: &mut Reader<'_>) -> Result<Vec<Content>, Error> {
    (0..input.count("documents", SUBSCRIPTIONS_MAX)?)
        .map(|_| {
            let (doc, frontier) = (input.doc_name()?, Frontier::decode(input)?);
            let updates = (0..input.count("updates", FRAME_BYTES_MAX)?)
                .map(|_| Ok(input.bytes("an update", FRAME_BYTES_MAX)?.into()))
                .collect::<Result<_, Error>>()?;
            Ok(Content { doc, frontier, updates })
        })
        .collect()
}

fn group(input: &mut Reader<'_>) -> Result<u64, Error> {
    match input.uint()? {
        0 => Err(Error::malformed("group 0 is the live stream")),
        group => Ok(group),
    }
}

fn flag(input: &mut Reader<'_>) -> Result<bool, Error> {
    match input.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        byte => Err(Error::malformed(format!("flag byte {byte} is neither 0 nor 1"))),
    }
}

fn encode_docs(out: &mut Writer, docs: &[DocName]) {
    out.uint(docs.len() as u64);
    for doc in docs.iter() {
        out.text(doc.as_str());
    }
}

fn decode_docs(input: &mut Reader<'_>) -> Result<Vec<DocName>, Error> {
    (0..input.count("documents", SUBSCRIPTIONS_MAX)?).map(|_| input.doc_name()).collect()
}

fn encode_extensions(out: &mut Writer, extensions: &Extensions) {
    out.uint(extensions.len() as u64);
    for (tag, value) in extensions.iter() {
        out.uint(*tag).bytes(value);
    }
}

fn decode_extensions(input: &mut Reader<'_>) -> Result<Extensions, Error> {
    (0..input.count("extensions", EXTENSIONS_MAX)?)
        .map(|_| Ok((input.uint()?, input.bytes("an extension", EXTENSION_BYTES_MAX)?.to_vec())))
        .collect()
}

fn encode_error(out: &mut Writer, error: &Error) {
    let mut end = error.message.len().min(MESSAGE_BYTES_MAX);
    while !error.message.is_char_boundary(end) {
        end -= 1;
    }
    out.byte(error.code.to_byte()).text(&error.message[..end]);
}

fn decode_error(input: &mut Reader<'_>) -> Result<Error, Error> {
    let byte = input.byte()?;
    // A code of a later version is still an error, so it must not be refused.
    let code = Code::from_byte(byte).unwrap_or(Code::Internal);
    Ok(Error::new(code, input.text("an error message", MESSAGE_BYTES_MAX)?))
}

fn unknown(kind: u8) -> Error {
    Error::malformed(format!("frame type {kind} is unknown"))
}
