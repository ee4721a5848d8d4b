//! Generated values of every wire type.

use headwater_core::error::{Code, Error};
use headwater_core::frame::{ClientFrame, Content, Extensions, NodeFrame};
use headwater_core::group::{Concern, MemberName};
use headwater_core::{
    Batch, Bookmark, DocName, Epoch, Frontier, Generation, Lsn, Origin, Part, Segment, Seq, Stage, Write,
};
use proptest::collection::vec;
use proptest::prelude::*;

pub fn frontier() -> impl Strategy<Value = Frontier> {
    // Few logs, so that two frontiers often name the same one, and now and then a far one.
    let log = prop_oneof![4 => 0..5u64, 1 => any::<u64>()];
    let place = prop_oneof![4 => 0..6u64, 1 => any::<u64>()];
    (vec((log.clone(), place.clone()), 0..5), vec((log, place), 0..5)).prop_map(|(epochs, origins)| {
        let mut frontier = Frontier::default();
        epochs.into_iter().for_each(|(epoch, lsn)| frontier.advance_epoch(Epoch(epoch), Lsn(lsn)));
        origins.into_iter().for_each(|(origin, seq)| frontier.advance_origin(Origin(origin), Seq(seq)));
        frontier
    })
}

pub fn bookmark() -> impl Strategy<Value = Bookmark> {
    let generation = prop_oneof![0..3u64, any::<u64>()];
    (generation, frontier()).prop_map(|(generation, frontier)| Bookmark::new(Generation(generation), frontier))
}

pub fn doc_name() -> impl Strategy<Value = DocName> {
    let dots = "a name with a part . or .. is refused";
    "[a-z0-9/ ü€🦀._-]{1,16}".prop_filter_map(dots, |name| DocName::parse(&name).ok())
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = (doc_name(), vec(any::<u8>(), 0..40)).prop_map(|(doc, update)| Part { doc, update: update.into() });
    vec(part, 1..4)
}

/// Writes of the given origins, each origin's ascending.
fn batch_of(origins: Vec<u64>) -> impl Strategy<Value = Batch> {
    vec((prop::sample::select(origins), 1..300u64, parts()), 1..12).prop_map(|writes| {
        let mut last = std::collections::BTreeMap::new();
        let writes = writes.into_iter().map(|(origin, step, parts)| {
            let seq = last.entry(origin).or_insert(0u64);
            *seq += step;
            Write { origin: Origin(origin), seq: Seq(*seq), parts }
        });
        Batch { writes: writes.collect() }
    })
}

pub fn batch() -> impl Strategy<Value = Batch> {
    prop_oneof![1 => Just(Batch::default()), 6 => vec(any::<u64>(), 1..4).prop_flat_map(batch_of)]
}

pub fn segment() -> impl Strategy<Value = Segment> {
    let epoch = prop_oneof![1..4u64, any::<u64>()];
    let first = prop_oneof![1..1000u64, 1..u64::MAX - 1000];
    (epoch, first, vec(any::<u64>(), 1..4).prop_flat_map(batch_of)).prop_map(|(epoch, first, batch)| Segment {
        epoch: Epoch(epoch),
        first: Lsn(first),
        batch,
    })
}

fn error() -> impl Strategy<Value = Error> {
    (prop::sample::select(Code::ALL), ".{0,60}").prop_map(|(code, message)| Error::new(code, message))
}

fn extensions() -> impl Strategy<Value = Extensions> {
    vec((any::<u64>(), vec(any::<u8>(), 0..20)), 0..4)
}

fn concern() -> impl Strategy<Value = Concern> {
    let name = "[a-z0-9-]{1,12}".prop_map(|name| MemberName::new(&name).expect("it is one"));
    let named = || {
        vec(name.clone(), 1..5).prop_flat_map(|names| {
            let of = names.len();
            (Just(names), 1..=of)
        })
    };
    prop_oneof![
        prop::sample::select(vec![Concern::Leader, Concern::Quorum, Concern::All]),
        (1..=64usize).prop_map(Concern::Count),
        named().prop_map(|(names, n)| Concern::Any { names, n }),
        named().prop_map(|(names, n)| Concern::First { names, n }),
    ]
}

pub fn client_frame() -> impl Strategy<Value = ClientFrame> {
    let docs = || vec(doc_name(), 1..5);
    let push = (any::<bool>(), any::<u64>().prop_flat_map(|origin| batch_of(vec![origin])), 0..1000u64);
    prop_oneof![
        (any::<u64>(), any::<u64>(), any::<u64>(), extensions()).prop_map(
            |(version, generation, origin, extensions)| {
                ClientFrame::Hello { version, generation: Generation(generation), origin: Origin(origin), extensions }
            }
        ),
        (1..u64::MAX, frontier(), docs()).prop_map(|(group, frontier, docs)| ClientFrame::Subscribe {
            group,
            frontier,
            docs
        }),
        vec(doc_name(), 0..5).prop_map(|docs| ClientFrame::Unsubscribe { docs }),
        (1..u64::MAX, any::<u64>()).prop_map(|(group, frames)| ClientFrame::Credit { group, frames }),
        push.prop_map(|(resume, batch, back)| {
            let prev = Seq(batch.writes[0].seq.0.saturating_sub(1 + back));
            ClientFrame::Push { resume, prev, batch }
        }),
        (any::<u64>(), any::<bool>(), frontier()).prop_map(|(id, strong, frontier)| ClientFrame::Barrier {
            id,
            strong,
            frontier
        }),
        any::<u64>().prop_map(|id| ClientFrame::Cancel { id }),
        (any::<u64>(), any::<u64>(), any::<u64>(), concern()).prop_map(|(id, origin, seq, concern)| {
            ClientFrame::Await { id, origin: Origin(origin), seq: Seq(seq), concern }
        }),
        (any::<u64>(), vec(any::<u8>(), 0..40)).prop_map(|(to, bytes)| ClientFrame::Signal { to: Origin(to), bytes }),
        (doc_name(), any::<u64>(), any::<u64>()).prop_map(|(doc, checksum, bytes)| ClientFrame::Have {
            doc,
            checksum,
            bytes
        }),
    ]
}

pub fn node_frame() -> impl Strategy<Value = NodeFrame> {
    let u = any::<u64>;
    prop_oneof![
        (u(), u(), u(), frontier(), u(), extensions()).prop_map(
            |(version, generation, epoch, frontier, voters, ext)| {
                NodeFrame::Welcome {
                    version,
                    generation: Generation(generation),
                    epoch: Epoch(epoch),
                    frontier,
                    voters,
                    extensions: ext,
                }
            }
        ),
        (0..9u64, 0..3u64, u(), batch()).prop_map(|(group, epoch, through, batch)| {
            NodeFrame::Entries { group, epoch: Epoch(epoch), through: Lsn(through), batch }
        }),
        (1..9u64, frontier()).prop_map(|(group, frontier)| NodeFrame::Live { group, frontier }),
        (u(), u(), prop::sample::select(&Stage::ALL[..]), 0..3u64, u(), u()).prop_map(
            |(origin, seq, stage, epoch, lsn, through)| NodeFrame::Ack {
                origin: Origin(origin),
                seq: Seq(seq),
                stage,
                epoch: Epoch(epoch),
                lsn: Lsn(lsn),
                through: Lsn(through),
            }
        ),
        (u(), u(), error()).prop_map(|(origin, seq, error)| NodeFrame::Rejected {
            origin: Origin(origin),
            seq: Seq(seq),
            error
        }),
        (u(), frontier()).prop_map(|(id, frontier)| NodeFrame::Reached { id, frontier }),
        (u(), error()).prop_map(|(id, error)| NodeFrame::Failed { id, error }),
        (error(), u()).prop_map(|(error, retry_after_ms)| NodeFrame::Error { error, retry_after_ms }),
        (u(), vec(any::<u8>(), 0..40)).prop_map(|(from, bytes)| NodeFrame::Signal { from: Origin(from), bytes }),
        (1..9u64, vec((doc_name(), frontier(), vec(vec(any::<u8>(), 0..20), 0..3)), 0..4)).prop_map(
            |(group, contents)| {
                let content = |(doc, frontier, updates): (_, _, Vec<Vec<u8>>)| Content {
                    doc,
                    frontier,
                    updates: updates.into_iter().map(Into::into).collect(),
                };
                NodeFrame::Contents { group, contents: contents.into_iter().map(content).collect() }
            }
        ),
        (1..9u64, doc_name(), frontier(), u(), u(), u(), vec(any::<u8>(), 0..40)).prop_map(
            |(group, doc, frontier, checksum, total, offset, bytes)| {
                NodeFrame::Chunk { group, doc, frontier, checksum, total, offset, bytes }
            }
        ),
    ]
}
