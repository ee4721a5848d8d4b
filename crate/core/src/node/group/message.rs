//! What members ask each other, and the answers. One request, one answer; `docs/group.md` says what each is for.
//!
//! Like the frames of replicas, decoding is total: any bytes give a message or a coded error.

pub use super::copy::Copy;
use crate::batch::Batch;
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::group::MemberName;
use crate::group::concern::Progress;
use crate::ids::{Epoch, Generation, Lsn, Origin, Seq};
use crate::limits::{
    CALL_BYTES_MAX, DOC_NAME_BYTES_MAX, FORWARDED_PUSHES_MAX, FRAME_BYTES_MAX, GROUP_MEMBERS_MAX,
    MEMBER_NAME_BYTES_MAX, MESSAGE_BYTES_MAX, ORIGINS_MAX, SCAN_ROWS_MAX,
};
use crate::store::Table;
use crate::wire::{Reader, Writer};

/// The tables of which a copy is made.
const COPIED: [Table; 3] = [Table::Contents, Table::Docs, Table::Origins];
/// The newest version of these messages.
const VERSION: u8 = 1;

/// A question, and who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The asking member.
    pub from: MemberName,
    /// The database's generation as it knows it; zero if it does not.
    pub generation: Generation,
    /// The highest epoch that it knows.
    pub epoch: Epoch,
    /// What it asks.
    pub ask: Ask,
}

/// A question.
#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::large_enum_variant, reason = "it lives from the wire to its handling, and most are this one")
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Take these rows in. Without rows it shows that the leader is there. From the leader of the call's epoch, from its
    /// candidate, or from the member that an observer is fed by.
    Append(Append),
    /// A part of a copy of what the sender keeps.
    Copy(Copy),
    /// Promise to take nothing below the call's epoch.
    Promise,
    /// Rows of an epoch's log.
    Fetch {
        /// The epoch.
        of: Epoch,
        /// After which entry.
        after: Lsn,
    },
    /// Whether the leader of the call's epoch is missed.
    Misses,
    /// Pushes of replicas, for the leader to append.
    Forward {
        /// In this order.
        pushes: Vec<Forwarded>,
    },
    /// What the leader holds, once it has proved that it leads, and once it holds `frontier`.
    Barrier {
        /// What must be held.
        frontier: Frontier,
    },
    /// The record has changed: worth a look.
    News,
}

/// Rows to take in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Append {
    /// Who leads the call's epoch; nobody while its candidate seals the earlier ones.
    pub leader: Option<MemberName>,
    /// Where several lead: the epoch that the sender appends to itself. The call's own is the one that they all began with.
    pub of: Option<Epoch>,
    /// Where several lead: what the sender shows its clients. Whoever holds all of that may show it as well.
    pub shown: Frontier,
    /// The start of the leader, so that a follower notices one that forgot what had not been committed.
    pub instance: u64,
    /// What the sender holds.
    pub held: Frontier,
    /// What a quorum holds, as far as the sender knows.
    pub stable: Frontier,
    /// What every voter holds.
    pub all: Frontier,
    /// How far each member holds the epoch that is appended to.
    pub progress: Vec<Progress>,
    /// Whether the leader has not heard from a quorum lately: then that it is heard does not count for it.
    pub is_deaf: bool,
    /// When the next one comes at the latest, in milliseconds; zero if nobody can say.
    pub next_ms: u64,
    /// Log rows as the leader cut them, each following what is held of its epoch.
    pub rows: Vec<Vec<u8>>,
}

/// A replica's push that a follower passes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The follower's number for the connection.
    pub conn: u64,
    /// As in the push.
    pub resume: bool,
    /// As in the push.
    pub prev: Seq,
    /// As in the push.
    pub batch: Batch,
}

/// What became of a forwarded push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the leader's hands; what it becomes shows in the log.
    Taken,
    /// One of its writes is refused for good, and what follows it was ignored.
    Rejected {
        /// The origin.
        origin: Origin,
        /// The write.
        seq: Seq,
        /// Why.
        error: Error,
    },
    /// The connection must end.
    Closed {
        /// Why.
        error: Error,
    },
}

/// An answer, and what its sender knows of epochs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The highest epoch that it has promised.
    pub epoch: Epoch,
    /// Who leads, if it knows.
    pub leader: Option<MemberName>,
    /// What it answers.
    pub answer: Answer,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `Append` and `Promise`: what is held durably.
    Held {
        /// What is held.
        frontier: Frontier,
        /// What clients are shown.
        applied: Frontier,
        /// Whether clients are connected there.
        has_clients: bool,
        /// Whether its promises count: a voter with fresh storage has to catch up first.
        is_joined: bool,
        /// Whether what it keeps of documents is not whole, whatever its log holds: a copy of them has broken off.
        needs_copy: bool,
    },
    /// To `Fetch`.
    Rows {
        /// Rows of the log.
        rows: Vec<Vec<u8>>,
    },
    /// To `Misses`.
    Misses {
        /// Whether it does.
        is_missed: bool,
    },
    /// To `Forward`: one outcome for each push.
    Forwarded {
        /// The outcomes.
        outcomes: Vec<Outcome>,
    },
    /// To `Barrier`.
    At {
        /// What the leader held.
        frontier: Frontier,
    },
    /// To `News`.
    Noted,
    /// It is not done.
    Refused {
        /// Why.
        error: Error,
    },
}

impl Call {
    /// The bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(VERSION).text(self.from.as_str()).fixed(self.generation.0).uint(self.epoch.0);
        match &self.ask {
            Ask::Append(Append {
                leader,
                of,
                shown,
                instance,
                held,
                stable,
                all,
                progress,
                is_deaf,
                next_ms,
                rows,
            }) => {
                match of {
                    None => {
                        out.byte(1);
                    }
                    Some(of) => shown.encode(out.byte(8).uint(of.0)),
                }
                out.text(leader.as_ref().map_or("", MemberName::as_str)).fixed(*instance);
                held.encode(&mut out);
                stable.encode(&mut out);
                all.encode(&mut out);
                out.uint(progress.len() as u64);
                for Progress { name, durable, is_connected } in progress {
                    out.text(name.as_str()).uint(durable.0).byte(u8::from(*is_connected));
                }
                encode_rows(out.byte(u8::from(*is_deaf)).uint(*next_ms), rows);
            }
            Ask::Copy(Copy { is_first, is_last, folded, last_number, rows }) => {
                folded.encode(out.byte(9).byte(u8::from(*is_first)).byte(u8::from(*is_last)));
                out.uint(*last_number).uint(rows.len() as u64);
                for (table, key, value) in rows {
                    let table = COPIED.iter().position(|of| of == table).expect("nothing else is copied");
                    out.byte(table as u8).bytes(key).bytes(value);
                }
            }
            Ask::Promise => {
                out.byte(2);
            }
            Ask::Fetch { of, after } => {
                out.byte(3).uint(of.0).uint(after.0);
            }
            Ask::Misses => {
                out.byte(4);
            }
            Ask::Forward { pushes } => {
                out.byte(5).uint(pushes.len() as u64);
                for Forwarded { conn, resume, prev, batch } in pushes {
                    out.uint(*conn).byte(u8::from(*resume)).uint(prev.0).bytes(&batch.to_bytes());
                }
            }
            Ask::Barrier { frontier } => frontier.encode(out.byte(6)),
            Ask::News => {
                out.byte(7);
            }
        }
        out.0
    }

    /// Reads what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut input = sized(bytes)?;
        let from = member(&mut input)?;
        let (generation, epoch) = (Generation(input.fixed()?), Epoch(input.uint()?));
        let ask = match input.byte()? {
            kind @ (1 | 8) => Ask::Append(Append {
                of: if kind == 8 { Some(Epoch(input.uint()?)) } else { None },
                shown: if kind == 8 { Frontier::decode(&mut input)? } else { Frontier::default() },
                leader: leader(&mut input)?,
                instance: input.fixed()?,
                held: Frontier::decode(&mut input)?,
                stable: Frontier::decode(&mut input)?,
                all: Frontier::decode(&mut input)?,
                progress: decode_progress(&mut input)?,
                is_deaf: flag(&mut input)?,
                next_ms: input.uint()?,
                rows: decode_rows(&mut input)?,
            }),
            2 => Ask::Promise,
            3 => Ask::Fetch { of: Epoch(input.uint()?), after: Lsn(input.uint()?) },
            4 => Ask::Misses,
            5 => Ask::Forward { pushes: decode_pushes(&mut input)? },
            6 => Ask::Barrier { frontier: Frontier::decode(&mut input)? },
            7 => Ask::News,
            9 => Ask::Copy(decode_copy(&mut input)?),
            kind => return Err(unknown(kind)),
        };
        input.end()?;
        Ok(Self { from, generation, epoch, ask })
    }
}

impl Reply {
    /// The bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(VERSION).uint(self.epoch.0).text(self.leader.as_ref().map_or("", MemberName::as_str));
        match &self.answer {
            Answer::Held { frontier, applied, has_clients, is_joined, needs_copy } => {
                frontier.encode(out.byte(65));
                applied.encode(&mut out);
                out.byte(u8::from(*has_clients)).byte(u8::from(*is_joined)).byte(u8::from(*needs_copy));
            }
            Answer::Rows { rows } => encode_rows(out.byte(66), rows),
            Answer::Misses { is_missed } => {
                out.byte(67).byte(u8::from(*is_missed));
            }
            Answer::Forwarded { outcomes } => {
                out.byte(68).uint(outcomes.len() as u64);
                outcomes.iter().for_each(|outcome| encode_outcome(&mut out, outcome));
            }
            Answer::At { frontier } => frontier.encode(out.byte(69)),
            Answer::Noted => {
                out.byte(70);
            }
            Answer::Refused { error } => encode_error(out.byte(71), error),
        }
        out.0
    }

    /// Reads what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut input = sized(bytes)?;
        let epoch = Epoch(input.uint()?);
        let leader = leader(&mut input)?;
        let answer = match input.byte()? {
            65 => Answer::Held {
                frontier: Frontier::decode(&mut input)?,
                applied: Frontier::decode(&mut input)?,
                has_clients: flag(&mut input)?,
                is_joined: flag(&mut input)?,
                needs_copy: flag(&mut input)?,
            },
            66 => Answer::Rows { rows: decode_rows(&mut input)? },
            67 => Answer::Misses { is_missed: flag(&mut input)? },
            68 => Answer::Forwarded {
                outcomes: (0..input.count("outcomes", FORWARDED_PUSHES_MAX)?)
                    .map(|_| decode_outcome(&mut input))
                    .collect::<Result<_, _>>()?,
            },
            69 => Answer::At { frontier: Frontier::decode(&mut input)? },
            70 => Answer::Noted,
            71 => Answer::Refused { error: decode_error(&mut input)? },
            kind => return Err(unknown(kind)),
        };
        input.end()?;
        Ok(Self { epoch, leader, answer })
    }
}

fn sized(bytes: &[u8]) -> Result<Reader<'_>, Error> {
    if bytes.len() > CALL_BYTES_MAX {
        return Err(Error::too_large("a call between members in bytes", bytes.len(), CALL_BYTES_MAX));
    }
    let mut input = Reader::new(bytes);
    match input.byte()? {
        VERSION => Ok(input),
        version => Err(Error::new(
            Code::Version,
            format!(
                "the other member speaks version {version} of calls between members, this one {VERSION}; update the older"
            ),
        )),
    }
}

fn member(input: &mut Reader<'_>) -> Result<MemberName, Error> {
    MemberName::new(input.text("a member's name", MEMBER_NAME_BYTES_MAX)?)
}

// No name at all stands for nobody.
fn leader(input: &mut Reader<'_>) -> Result<Option<MemberName>, Error> {
    let name = input.text("a member's name", MEMBER_NAME_BYTES_MAX)?;
    if name.is_empty() { Ok(None) } else { MemberName::new(name).map(Some) }
}

fn decode_progress(input: &mut Reader<'_>) -> Result<Vec<Progress>, Error> {
    let count = input.count("members in a call", GROUP_MEMBERS_MAX)?;
    let one = |_| Ok(Progress { name: member(input)?, durable: Lsn(input.uint()?), is_connected: flag(input)? });
    (0..count).map(one).collect()
}

fn flag(input: &mut Reader<'_>) -> Result<bool, Error> {
    match input.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Error::malformed(format!("{other} is no flag"))),
    }
}

fn decode_copy(input: &mut Reader<'_>) -> Result<Copy, Error> {
    let (is_first, is_last, folded) = (flag(input)?, flag(input)?, Frontier::decode(input)?);
    let last_number = input.uint()?;
    let row = |input: &mut Reader<'_>| {
        let table = input.byte()?;
        let table = COPIED.get(usize::from(table)).ok_or_else(|| unknown(table))?;
        let key = input.bytes("a key", 2 * DOC_NAME_BYTES_MAX)?.to_vec();
        Ok((*table, key, input.bytes("a row", CALL_BYTES_MAX)?.to_vec()))
    };
    let rows = (0..input.count("rows of a copy", ORIGINS_MAX)?).map(|_| row(input)).collect::<Result<_, Error>>()?;
    Ok(Copy { is_first, is_last, folded, last_number, rows })
}

fn encode_rows(out: &mut Writer, rows: &[Vec<u8>]) {
    out.uint(rows.len() as u64);
    for row in rows {
        out.bytes(row);
    }
}

fn decode_rows(input: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, Error> {
    let count = input.count("rows in a call", SCAN_ROWS_MAX)?;
    (0..count).map(|_| Ok(input.bytes("a log row", FRAME_BYTES_MAX)?.to_vec())).collect()
}

fn decode_pushes(input: &mut Reader<'_>) -> Result<Vec<Forwarded>, Error> {
    let count = input.count("forwarded pushes", FORWARDED_PUSHES_MAX)?;
    let push = |_| {
        let (conn, resume, prev) = (input.uint()?, flag(input)?, Seq(input.uint()?));
        let batch = Batch::from_bytes(input.bytes("a push", FRAME_BYTES_MAX)?)?;
        batch.check_push(prev)?;
        Ok(Forwarded { conn, resume, prev, batch })
    };
    (0..count).map(push).collect()
}

fn encode_outcome(out: &mut Writer, outcome: &Outcome) {
    match outcome {
        Outcome::Taken => {
            out.byte(0);
        }
        Outcome::Rejected { origin, seq, error } => encode_error(out.byte(1).fixed(origin.0).uint(seq.0), error),
        Outcome::Closed { error } => encode_error(out.byte(2), error),
    }
}

fn decode_outcome(input: &mut Reader<'_>) -> Result<Outcome, Error> {
    match input.byte()? {
        0 => Ok(Outcome::Taken),
        1 => Ok(Outcome::Rejected { origin: input.origin()?, seq: Seq(input.uint()?), error: decode_error(input)? }),
        2 => Ok(Outcome::Closed { error: decode_error(input)? }),
        other => Err(Error::malformed(format!("{other} is no outcome of a forwarded push"))),
    }
}

fn encode_error(out: &mut Writer, error: &Error) {
    let message: String = error.message.chars().take(MESSAGE_BYTES_MAX / 4).collect();
    out.byte(error.code.to_byte()).text(&message);
}

fn decode_error(input: &mut Reader<'_>) -> Result<Error, Error> {
    // A code of a later version is still a failure.
    let code = Code::from_byte(input.byte()?).unwrap_or(Code::Internal);
    Ok(Error::new(code, input.text("a message", MESSAGE_BYTES_MAX)?))
}

fn unknown(kind: u8) -> Error {
    Error::malformed(format!("message kind {kind} between members is unknown; update the older one"))
}
