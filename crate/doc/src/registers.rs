//! Which writes of a map's key were made knowing which: the history of each key as a tree.
//!
//! Setting a key makes an operation that names as its origin the one that was current where it was made. So the writes of
//! one key form a tree, and two of them are concurrent if neither is an ancestor of the other. What a document shows is
//! found by going from the root to the child with the greatest client id, again and again (that is what Yjs's order of
//! siblings amounts to where nothing has a right origin). The writes on that way are the *current line*; all others were
//! beaten by a write that did not know them, for good: a line that was left never becomes current again.
//!
//! A write that arrives late may name any older one, so every write is kept, in a few words; neighbours that one client
//! made one after the other share an entry. Values are not kept. This file knows neither yrs documents nor updates.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use yrs::{BranchID, ID};

/// The writes of all keys of all maps of a document.
#[derive(Default)]
pub(crate) struct Registers {
    maps: Vec<BranchID>,
    map_numbers: HashMap<BranchID, u32>,
    by_key: BTreeMap<(u32, Arc<str>), u32>,
    registers: Vec<Register>,
    /// Runs of writes, each the child of the one before it, by the first.
    runs: BTreeMap<ID, Run>,
}

/// One key of one map.
struct Register {
    map: u32,
    key: Arc<str>,
    /// Where the current line begins and ends.
    first: ID,
    current: ID,
}

#[derive(Clone, Copy)]
struct Run {
    length: u32,
    register: u32,
    then: Then,
}

/// What follows a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Nothing: the current line ends here.
    End,
    /// The current line goes on there.
    Next(ID),
    /// It is not on the current line.
    Beaten,
}

/// Where a write belongs.
pub(crate) enum Place<'a> {
    /// It was made when the key had never been set.
    First(&'a BranchID, &'a str),
    /// It replaced this write.
    After(ID),
}

impl Registers {
    /// The map and the key of a register.
    pub(crate) fn key(&self, register: u32) -> (&BranchID, &str) {
        let Register { map, key, .. } = &self.registers[register as usize];
        (&self.maps[*map as usize], key)
    }

    /// The write whose value a register shows, unless that was deleted.
    pub(crate) fn current(&self, register: u32) -> ID {
        self.registers[register as usize].current
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// The register of a write that is here.
    pub(crate) fn register_of(&self, id: ID) -> Option<u32> {
        self.covering(id).map(|(_, run)| run.register)
    }

    /// The part of `length` writes from `start` on that is not here: its beginning and how many.
    pub(crate) fn missing(&self, start: ID, length: u32) -> Option<(ID, u32)> {
        let end = start.clock.saturating_add(length);
        let mut from = start;
        while let Some((first, run)) = self.covering(from) {
            from.clock = first.clock + run.length;
        }
        let next = self.runs.range(from..ID::new(from.client, end.max(from.clock))).next();
        let end = next.map_or(end, |(first, _)| first.clock);
        (from.clock < end).then(|| (from, end - from.clock))
    }

    /// The register that a write by this client at this place would take over from another one, not knowing it.
    pub(crate) fn would_beat(&self, place: &Place<'_>, id: ID) -> Option<u32> {
        let (register, rival) = match place {
            Place::First(map, key) => {
                let register = self.find(map, key)?;
                (register, self.registers[register as usize].first)
            }
            Place::After(origin) => {
                let (first, run) = self.covering(*origin)?;
                (run.register, rival(first, run, *origin)?)
            }
        };
        (id.client > rival.client).then_some(register)
    }

    /// Takes in `length` new writes from `start` on, each of which replaced the one before. Answers their register,
    /// unless what they replaced is not here.
    pub(crate) fn insert(&mut self, start: ID, length: u32, place: &Place<'_>) -> Option<u32> {
        let last = ID::new(start.client, start.clock + (length - 1));
        let (register, is_current) = match place {
            Place::First(map, key) => match self.find(map, key) {
                None => (self.create(map, key, start), true),
                Some(register) => {
                    let first = self.registers[register as usize].first;
                    let wins = start.client > first.client;
                    if wins {
                        self.registers[register as usize].first = start;
                        self.leave(first);
                    }
                    (register, wins)
                }
            },
            Place::After(origin) => {
                let (first, run) = self.covering(*origin)?;
                let is_last = origin.clock + 1 == first.clock + run.length;
                if is_last && !matches!(run.then, Then::Next(_)) && follows(*origin, start) {
                    self.run(first).length += length;
                    if run.then == Then::End {
                        self.registers[run.register as usize].current = last;
                    }
                    return Some(run.register);
                }
                let rival = rival(first, run, *origin);
                let wins = run.then != Then::Beaten && rival.is_none_or(|rival| start.client > rival.client);
                if wins {
                    if !is_last {
                        self.split(first, *origin);
                    }
                    self.run(first).then = Then::Next(start);
                    rival.into_iter().for_each(|rival| self.leave(rival));
                }
                (run.register, wins)
            }
        };
        let then = if is_current { Then::End } else { Then::Beaten };
        self.runs.insert(start, Run { length, register, then });
        if is_current {
            self.registers[register as usize].current = last;
        }
        Some(register)
    }

    fn find(&self, map: &BranchID, key: &str) -> Option<u32> {
        let map = *self.map_numbers.get(map)?;
        self.by_key.get(&(map, Arc::from(key))).copied()
    }

    fn create(&mut self, map: &BranchID, key: &str, start: ID) -> u32 {
        let maps = &mut self.maps;
        let map = *self.map_numbers.entry(map.clone()).or_insert_with_key(|map| {
            maps.push(map.clone());
            number(maps.len() - 1)
        });
        let key: Arc<str> = Arc::from(key);
        let register = number(self.registers.len());
        self.by_key.insert((map, key.clone()), register);
        self.registers.push(Register { map, key, first: start, current: start });
        register
    }

    fn covering(&self, id: ID) -> Option<(ID, Run)> {
        let (first, run) = self.runs.range(..=id).next_back()?;
        (first.client == id.client && id.clock - first.clock < run.length).then_some((*first, *run))
    }

    fn run(&mut self, first: ID) -> &mut Run {
        self.runs.get_mut(&first).expect("runs are never taken out, and this is where one begins")
    }

    /// Cuts a run in two behind `last`, which is in it and not at its end.
    fn split(&mut self, first: ID, last: ID) {
        let run = self.run(first);
        let kept = last.clock + 1 - first.clock;
        let rest = Run { length: run.length - kept, ..*run };
        run.length = kept;
        self.runs.insert(ID::new(last.client, last.clock + 1), rest);
    }

    /// Takes a run and what follows it off the current line.
    fn leave(&mut self, first: ID) {
        let mut next = Then::Next(first);
        while let Then::Next(first) = next {
            next = std::mem::replace(&mut self.run(first).then, Then::Beaten);
        }
    }
}

/// What followed `origin` on the current line until now, if anything did and it is on that line.
fn rival(first: ID, run: Run, origin: ID) -> Option<ID> {
    let next = ID::new(origin.client, origin.clock + 1);
    match run.then {
        Then::Beaten => None,
        _ if next.clock < first.clock + run.length => Some(next),
        Then::Next(next) => Some(next),
        Then::End => None,
    }
}

fn follows(left: ID, right: ID) -> bool {
    left.client == right.client && left.clock + 1 == right.clock
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a document has fewer than 2^32 operations")
}
