//! What peers say to each other. Both sides say the same things; neither leads.

use crate::batch::Batch;
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{DocName, Generation, Origin, ReplicaId, Seq};
use crate::limits::{
    DOCS_TOLD_MAX, FRAME_BYTES_MAX, MESSAGE_BYTES_MAX, PEER_ORIGINS_MAX, PEER_TOKEN_BYTES_MAX, WRITE_BYTES_MAX,
};
use crate::stage::Stage;
use crate::wire::{Reader, Writer};
use std::rc::Rc;

/// The newest version of what peers say.
pub const PEER_VERSION: u64 = 1;
/// The first two bytes of a hello between peers.
const MAGIC: [u8; 2] = *b"HP";

/// A message between peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerFrame {
    /// First, from both sides.
    Hello {
        /// The newest version that it speaks.
        version: u64,
        /// The database's generation; zero if no leader was ever met.
        generation: Generation,
        /// Whose storage this is.
        replica: ReplicaId,
        /// What its user shows to be let in.
        token: Option<String>,
    },
    /// You are let in: what is sent from here on is taken.
    Ready {
        /// How far the one who says so holds the log of each origin.
        held: Vec<(Origin, Seq)>,
    },
    /// Writes of one origin, without a gap after `prev`.
    Writes {
        /// The write before them.
        prev: Seq,
        /// When the first of them was made, by its writer's clock.
        unix_ms: u64,
        /// The writes.
        batch: Batch,
    },
    /// What a replica has stored of origins.
    Stored {
        /// Which.
        replica: ReplicaId,
        /// How far.
        origins: Vec<(Origin, Seq)>,
    },
    /// A stage that an origin's writes have reached at a leader.
    Acked {
        /// The origin.
        origin: Origin,
        /// Everything up to here.
        seq: Seq,
        /// The stage.
        stage: Stage,
    },
    /// Writes of an origin stand in a leader's log for good.
    Settled {
        /// The origin.
        origin: Origin,
        /// Everything up to here.
        seq: Seq,
        /// Where the log holds them.
        place: Frontier,
    },
    /// A leader refuses a write.
    Rejected {
        /// Its origin.
        origin: Origin,
        /// The write.
        seq: Seq,
        /// Why.
        error: Error,
    },
    /// What is held of leaders' logs, by document.
    Docs {
        /// Documents, and how far each is held without a gap.
        docs: Vec<(DocName, Frontier)>,
    },
    /// Asks for what is missing of a document.
    WantDoc {
        /// Which.
        doc: DocName,
        /// What the one who asks holds of it.
        held: Frontier,
    },
    /// Updates of a document; with the last of them it is held up to the frontier.
    DocUpdates {
        /// Which.
        doc: DocName,
        /// How far in leaders' logs single ones of these updates reach.
        reach: Frontier,
        /// The updates.
        updates: Vec<Rc<[u8]>>,
        /// With the last ones: how far they lead.
        frontier: Option<Frontier>,
    },
    /// The link is given up.
    Close {
        /// Why.
        error: Error,
    },
}

impl PeerFrame {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Hello { version, generation, replica, token } => {
                out.byte(1).byte(MAGIC[0]).byte(MAGIC[1]).uint(*version).fixed(generation.0).fixed(replica.0);
                out.byte(u8::from(token.is_some())).text(token.as_deref().unwrap_or_default());
            }
            Self::Ready { held } => encode_origins(out.byte(2), held),
            Self::Writes { prev, unix_ms, batch } => batch.encode(out.byte(3).uint(prev.0).uint(*unix_ms)),
            Self::Stored { replica, origins } => encode_origins(out.byte(4).fixed(replica.0), origins),
            Self::Acked { origin, seq, stage } => {
                out.byte(5).fixed(origin.0).uint(seq.0).byte(*stage as u8);
            }
            Self::Settled { origin, seq, place } => place.encode(out.byte(6).fixed(origin.0).uint(seq.0)),
            Self::Rejected { origin, seq, error } => {
                out.byte(7).fixed(origin.0).uint(seq.0).byte(error.code.to_byte()).text(short(&error.message));
            }
            Self::Docs { docs } => {
                out.byte(8).uint(docs.len() as u64);
                for (doc, frontier) in docs {
                    frontier.encode(out.text(doc.as_str()));
                }
            }
            Self::WantDoc { doc, held } => held.encode(out.byte(9).text(doc.as_str())),
            Self::DocUpdates { doc, reach, updates, frontier } => {
                reach.encode(out.byte(10).text(doc.as_str()));
                out.uint(updates.len() as u64);
                for update in updates {
                    out.bytes(update);
                }
                out.byte(u8::from(frontier.is_some()));
                frontier.iter().for_each(|frontier| frontier.encode(&mut out));
            }
            Self::Close { error } => {
                out.byte(11).byte(error.code.to_byte()).text(short(&error.message));
            }
        }
        out.0
    }

    /// Reads one message. Any bytes give a message or a coded error.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        // A document's updates come in pieces of the target weight; one update may be as long as a write.
        if bytes.len() > 2 * FRAME_BYTES_MAX {
            return Err(Error::too_large("a message of a peer in bytes", bytes.len(), 2 * FRAME_BYTES_MAX));
        }
        let mut input = Reader::new(bytes);
        let frame = Self::decode_from(&mut input)?;
        input.end()?;
        Ok(frame)
    }

    fn decode_from(input: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(match input.byte()? {
            1 => {
                if [input.byte()?, input.byte()?] != MAGIC {
                    return Err(Error::malformed("this is no peer of this library"));
                }
                let (version, generation, replica) = (input.uint()?, input.fixed()?, input.fixed()?);
                let has_token = flag(input)?;
                let token = input.text("a token", PEER_TOKEN_BYTES_MAX)?;
                let token = has_token.then(|| token.to_owned());
                let (generation, replica) = (Generation(generation), ReplicaId(replica));
                Self::Hello { version, generation, replica, token }
            }
            2 => Self::Ready { held: decode_origins(input)? },
            3 => {
                let (prev, unix_ms, batch) = (Seq(input.uint()?), input.uint()?, Batch::decode(input)?);
                batch.check_push(prev)?;
                Self::Writes { prev, unix_ms, batch }
            }
            4 => Self::Stored { replica: ReplicaId(input.fixed()?), origins: decode_origins(input)? },
            5 => {
                let (origin, seq, stage) = (input.origin()?, Seq(input.uint()?), input.byte()?);
                let stage = Stage::ALL.get(usize::from(stage)).copied();
                let stage = stage.ok_or_else(|| Error::malformed("a peer tells of a stage that is not known"))?;
                Self::Acked { origin, seq, stage }
            }
            6 => Self::Settled {
                origin: input.origin()?,
                seq: Seq(input.uint()?),
                place: Frontier::decode(input)?.epochs_only(),
            },
            7 => Self::Rejected { origin: input.origin()?, seq: Seq(input.uint()?), error: error(input)? },
            8 => {
                let docs = 0..input.count("documents", DOCS_TOLD_MAX)?;
                let docs = docs.map(|_| Ok((input.doc_name()?, Frontier::decode(input)?.epochs_only())));
                Self::Docs { docs: docs.collect::<Result<_, Error>>()? }
            }
            9 => Self::WantDoc { doc: input.doc_name()?, held: Frontier::decode(input)?.epochs_only() },
            10 => {
                let doc = input.doc_name()?;
                let reach = Frontier::decode(input)?.epochs_only();
                let updates = 0..input.count("updates", 2 * FRAME_BYTES_MAX)?;
                let updates = updates.map(|_| Ok(input.bytes("an update", WRITE_BYTES_MAX)?.into()));
                let updates = updates.collect::<Result<_, Error>>()?;
                let frontier = if flag(input)? { Some(Frontier::decode(input)?.epochs_only()) } else { None };
                Self::DocUpdates { doc, reach, updates, frontier }
            }
            11 => Self::Close { error: error(input)? },
            other => return Err(Error::malformed(format!("message {other} of a peer is not known"))),
        })
    }
}

fn encode_origins(out: &mut Writer, origins: &[(Origin, Seq)]) {
    out.uint(origins.len() as u64);
    for (origin, seq) in origins {
        out.fixed(origin.0).uint(seq.0);
    }
}

fn decode_origins(input: &mut Reader<'_>) -> Result<Vec<(Origin, Seq)>, Error> {
    let count = input.count("origins", PEER_ORIGINS_MAX)?;
    (0..count).map(|_| Ok((input.origin()?, Seq(input.uint()?)))).collect()
}

fn flag(input: &mut Reader<'_>) -> Result<bool, Error> {
    match input.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Error::malformed(format!("a flag is 0 or 1, not {other}"))),
    }
}

fn error(input: &mut Reader<'_>) -> Result<Error, Error> {
    let code = Code::from_byte(input.byte()?).unwrap_or(Code::Internal);
    Ok(Error::new(code, input.text("a message", MESSAGE_BYTES_MAX)?))
}

fn short(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}
