//! Writing as an application does: edits of open documents, ended as one transaction.

use crate::bug::Bug;
use crate::coverage::Moment;
use crate::edge::FORBIDDEN;
use crate::oracle::{Effect, Written, effect_of};
use crate::plan::{Kind, Step};
use crate::rng::Rng;
use crate::world::World;
use headwater_core::limits::WRITE_BYTES_MAX;
use headwater_core::{DocName, Part, Stage};
use headwater_doc::{Any, DocError, Document, Input, Kind as Shared};

impl World {
    /// One transaction of a session at a tab.
    pub fn write(&mut self, session: usize, tab: usize, step: Step, round: u32) -> bool {
        let mut rng = Rng::new(u64::from(step.args[2]) << 32 | u64::from(step.args[3]) ^ u64::from(round) << 16);
        let mut names: Vec<DocName> = self.docs.clone();
        let first = step.args[1] as usize % names.len();
        names.rotate_left(first);
        if !rng.chance(25) {
            names.truncate(1);
        }
        let is_heavy = self.plan.shape.is_heavy;
        let number = self.oracle.writes.len();
        let opening = &mut self.openings[tab];
        let mut parts = Vec::new();
        for name in names {
            let Some(opened) = opening.docs.get_mut(&name).filter(|opened| opened.is_loaded) else { continue };
            if edit(&mut opened.document, step.kind, number, is_heavy, &mut rng).is_err() {
                // A name that others gave another kind, or a value that is gone: the transaction goes without it.
            }
            let before = opened.document.state_vector();
            let update = opened.document.commit();
            let is_unseen = self.bug == Some(Bug::DeleteByStateVector) && before == opened.document.state_vector();
            if let Some(update) = update.filter(|_| !is_unseen) {
                parts.push(Part { doc: name, update: update.into() });
            }
        }
        if parts.is_empty() {
            return false;
        }
        self.enter(session, tab, parts);
        true
    }

    fn enter(&mut self, session: usize, tab: usize, parts: Vec<Part>) {
        let place = |part: &Part| self.docs.iter().position(|doc| *doc == part.doc).expect("a document of the world");
        let is_oversize = parts.iter().map(|part| part.update.len()).sum::<usize>() > WRITE_BYTES_MAX;
        let effects: Vec<Effect> = parts.iter().map(|part| effect_of(place(part), part)).collect();
        if parts.len() > 1 {
            self.coverage.saw(Moment::MultiDoc);
        }
        if effects.iter().all(|effect| effect.inserts.is_empty()) {
            self.coverage.saw(Moment::DeleteOnly);
        }
        if self.trace.is_verbose() {
            let texts: Vec<_> = effects.iter().map(|one| crate::timeline::effect(&self.docs[one.doc], one)).collect();
            texts.into_iter().for_each(|text| self.note(|| format!("   {text}")));
        }
        parts.iter().for_each(|part| self.trace.event(self.now, "write", tab as u64, &part.update));
        let opening = &mut self.openings[tab];
        let device = opening.device;
        let seq = opening.core.write(parts, self.devices[device].clock.wall(self.now));
        let written = Written {
            origin: opening.origin,
            seq,
            device,
            opening: tab,
            at: self.now,
            effects,
            is_sent: false,
            is_oversize,
            deps: self.sessions[session].must(),
            rejected: None,
            committed: None,
            acked_at: None,
            told: Stage::Applied,
            local_at: None,
            is_storage_lost: false,
            is_killed: false,
            told_then: Stage::Applied,
        };
        match self.oracle.wrote(written) {
            Err(text) => self.violate("effects", || text),
            Ok(write) => {
                self.trace.line(self.now, || format!("session {session} at tab {tab}: {}", self.oracle.name(write)));
                self.openings[tab].receipts.insert(write, Stage::Applied);
                self.sessions[session].own.set(write);
                if !self.has(Bug::BookmarkBeforeWrite) {
                    self.save(session);
                }
            }
        }
        self.drain_soon(tab);
    }
}

fn edit(document: &mut Document, kind: Kind, number: usize, is_heavy: bool, rng: &mut Rng) -> Result<(), DocError> {
    let map = document.root(Shared::Map, "map")?;
    let list = document.root(Shared::Array, "list")?;
    let text = document.root(Shared::Text, "text")?;
    if kind == Kind::Delete {
        let key = key(rng);
        let gone = document.map_delete(map, &key)?;
        let length = document.text_length(text)?;
        if length > 0 && (!gone || rng.chance(50)) {
            let at = rng.below(u64::from(length)) as u32;
            document.text_delete(text, at, 1 + rng.below(u64::from((length - at).min(5))) as u32)?;
        }
        let length = document.array_length(list)?;
        if length > 0 && rng.chance(50) {
            document.array_delete(list, rng.below(u64::from(length)) as u32, 1)?;
        }
        return Ok(());
    }
    let chunk = match kind {
        Kind::Oversize => "x".repeat(WRITE_BYTES_MAX + 1),
        Kind::Forbidden => FORBIDDEN.to_owned(),
        _ if is_heavy && rng.chance(40) => "h".repeat(rng.within(50_000, 400_000) as usize),
        _ => format!("[{number}]"),
    };
    for _ in 0..rng.within(1, 3) {
        match rng.below(5) {
            0 => document.map_set(map, &key(rng), Input::from(number as i64))?,
            1 => {
                let at = rng.below(u64::from(document.array_length(list)?) + 1) as u32;
                document.array_insert(list, at, vec![Input::Any(Any::from(number as i64)), Input::Map(Vec::new())])?;
            }
            2 => {
                let length = document.text_length(text)?;
                if length > 4 {
                    document.text_delete(text, rng.below(u64::from(length) - 3) as u32, 2)?;
                }
            }
            3 => {
                let nested = vec![("title".to_owned(), Input::from(format!("card {number}")))];
                document.map_set(map, &key(rng), Input::Map(nested))?;
            }
            _ => {
                let length = document.array_length(list)?;
                if length > 0 {
                    document.array_delete(list, rng.below(u64::from(length)) as u32, 1)?;
                }
            }
        }
    }
    let at = rng.below(u64::from(document.text_length(text)?) + 1) as u32;
    document.text_insert(text, at, &chunk, None)
}

fn key(rng: &mut Rng) -> String {
    format!("k{}", rng.below(6))
}
