//! The plan of a run: the shape of the world, and what is done to it and when. A seed derives it; a text file keeps it.
//!
//! A step names its targets by random numbers that are taken modulo what is there when it happens, so any subset of a
//! plan is a plan too. That is what makes a failing one minimisable.

use crate::rng::Rng;
use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $text:literal $weight:literal $class:ident;)*) => {
        /// What a step does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// Every kind there is.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// Its name in traces and scenarios.
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$name => $text,)* }
            }

            /// Whether it is a fault, and not something that applications and users do.
            pub fn is_fault(self) -> bool {
                match self { $(Kind::$name => Class::$class == Class::Fault,)* }
            }

            fn weight(self) -> u64 {
                match self { $(Kind::$name => $weight,)* }
            }
        }
    };
}

#[derive(PartialEq)]
enum Class {
    Work,
    Fault,
}

kinds! {
    /// One transaction over one or several documents.
    Write "write" 260 Work;
    /// Many small writes at once.
    Burst "burst" 30 Work;
    /// A transaction that only deletes.
    Delete "delete" 60 Work;
    /// A write that is over the limit.
    Oversize "oversize" 6 Work;
    /// A write that the leader refuses.
    Forbidden "forbidden" 14 Work;
    /// A read through a session.
    Read "read" 260 Work;
    /// A read over HTTP.
    Query "query" 30 Work;
    /// A session goes on elsewhere, with its bookmark.
    Hop "hop" 70 Work;
    /// A session ends and another begins.
    Renew "renew" 12 Work;
    /// Somebody waits for a write's stage.
    Await "await" 60 Work;
    /// A wait is aborted.
    Abort "abort" 12 Work;
    /// The application wants no connection.
    Pause "pause" 8 Work;
    /// The application wants one again.
    Resume "resume" 12 Work;
    /// A document is closed.
    Close "close" 14 Work;
    /// A document is opened.
    Open "open" 24 Work;
    /// A tab is opened on a device.
    Tab "tab" 14 Work;
    /// A tab is closed in good order.
    Leave "leave" 8 Work;
    /// The host believes that the network is back.
    Nudge "nudge" 8 Work;

    /// A tab is killed.
    KillTab "kill-tab" 14 Fault;
    /// All tabs of a device are killed.
    KillDevice "kill-device" 10 Fault;
    /// A device's storage is put back to an older image.
    RollBack "roll-back" 5 Fault;
    /// A device's storage is deleted.
    Wipe "wipe" 2 Fault;
    /// An image of a device's storage is kept.
    Image "image" 8 Fault;
    /// A device's storage fails a commit.
    DiskFails "disk-fails" 4 Fault;
    /// A device's storage is full.
    DiskFull "disk-full" 3 Fault;
    /// A device's storage is slow for a while.
    DiskSlow "disk-slow" 6 Fault;
    /// A tab is frozen for a while.
    Freeze "freeze" 6 Fault;
    /// A device's monotonic clock leaps ahead.
    Leap "leap" 4 Fault;
    /// A device's wall clock is set.
    SetWall "set-wall" 6 Fault;
    /// A connection is lost; both sides hear of it, sooner or later.
    Break "break" 24 Fault;
    /// A connection is lost for the replica, and lingers at the node with frames still to come.
    Linger "linger" 12 Fault;
    /// What a replica sends does not arrive for a while.
    StallUp "stall-up" 8 Fault;
    /// What a node sends does not arrive for a while.
    StallDown "stall-down" 8 Fault;
    /// A device is cut off for a while.
    Partition "partition" 10 Fault;
    /// The node is killed.
    KillNode "kill-node" 12 Fault;
    /// The node is put to sleep as soon as it is idle; connections outlive it.
    Hibernate "hibernate" 16 Fault;
    /// Another instance of the node starts while the first runs on.
    Stale "stale" 14 Fault;
    /// The node's storage fails a commit.
    NodeDiskFails "node-disk-fails" 5 Fault;
    /// The node's storage is full for a while.
    NodeDiskFull "node-disk-full" 3 Fault;
    /// The node's storage is slow for a while.
    NodeDiskSlow "node-disk-slow" 6 Fault;
}

/// The bits of a read's third argument that choose its consistency, and their value for `strong`.
const STRICTNESS: u32 = 0b1110;
const STRICT: u32 = 0b1000;

/// The most of each thing, and the longest time, that a scenario may ask for.
const COUNT_MAX: u64 = 64;
const HEAL_AT_MS_MAX: u64 = 3_600_000;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, in the world's milliseconds.
    pub at: u64,
    /// What.
    pub kind: Kind,
    /// Which, how long, how much: random numbers.
    pub args: [u32; 4],
}

/// The shape of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Devices, each with storage and tabs.
    pub devices: u32,
    /// Documents.
    pub docs: u32,
    /// Sessions.
    pub sessions: u32,
    /// The usual delay of a message.
    pub delay_ms: u32,
    /// The usual duration of a commit.
    pub disk_ms: u32,
    /// Large updates happen.
    pub is_heavy: bool,
    /// Devices open several tabs. Then nothing is rejected: what one tab takes back another may still build on, until
    /// tabs tell each other.
    pub is_tabbed: bool,
    /// When healing begins.
    pub heal_at: u64,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What the world's own randomness is derived from.
    pub seed: u64,
    /// The world.
    pub shape: Shape,
    /// What happens, in order of time.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let has_faults = !rng.chance(15);
        let is_long = rng.chance(4);
        let mut shape = Shape {
            devices: rng.within(1, 4) as u32,
            docs: rng.within(1, 4) as u32,
            sessions: rng.within(1, 6) as u32,
            delay_ms: [2, 20, 80, 400][rng.below(4) as usize],
            disk_ms: [1, 2, 10, 60][rng.below(4) as usize],
            is_heavy: rng.chance(4),
            is_tabbed: rng.chance(40),
            heal_at: rng.within(5, 60) * 1000,
        };
        if is_long {
            // Long enough for checkpoints: as many commits as possible, on a fast disk.
            (shape.delay_ms, shape.disk_ms, shape.heal_at) = (2, 1, 120_000);
        }
        // Some runs read at level `strong` most of all, while leaders are replaced behind the readers' backs.
        let is_strict = rng.chance(25) && has_faults;
        // A run has a taste of its own: some faults often, some never.
        let mut taste: Vec<u64> = Kind::ALL
            .iter()
            .map(|kind| match kind.is_fault() {
                true if !has_faults => 0,
                true => kind.weight() * [0, 1, 2, 5][rng.below(4) as usize],
                false if is_long && *kind == Kind::Write => kind.weight() * 12,
                false => kind.weight() * [1, 1, 1, 3][rng.below(4) as usize],
            })
            .collect();
        if is_strict {
            taste[Kind::Stale as usize] = 10 * Kind::Stale.weight();
            taste[Kind::Read as usize] = 3 * Kind::Read.weight();
        }
        // What nearly coincides finds more than what is spread out: some runs happen in a few short crowds.
        let crowds: Vec<u64> = match rng.chance(40) && !is_long {
            true => (0..rng.within(2, 12)).map(|_| rng.below(shape.heal_at)).collect(),
            false => Vec::new(),
        };
        let crowd_ms = 50 + 4 * u64::from(shape.delay_ms + shape.disk_ms);
        let total: u64 = taste.iter().sum();
        let count = if is_long { 1_800 } else { rng.within(30, 220) };
        let mut steps: Vec<Step> = (0..count)
            .map(|_| {
                let mut at = rng.below(total);
                let place = taste.iter().position(|weight| {
                    let is_it = at < *weight;
                    at = at.saturating_sub(*weight);
                    is_it
                });
                let kind = Kind::ALL[place.expect("the weights add up to the total")];
                let mut args: [u32; 4] = std::array::from_fn(|_| rng.bits() as u32);
                if is_strict && kind == Kind::Read {
                    args[2] = args[2] & !STRICTNESS | STRICT;
                }
                let at = match &crowds[..] {
                    [] => rng.below(shape.heal_at),
                    crowds => crowds[rng.below(crowds.len() as u64) as usize] + rng.below(crowd_ms),
                };
                Step { at: at.min(shape.heal_at - 1), kind, args }
            })
            .collect();
        steps.sort_by_key(|step| step.at);
        Self { seed, shape, steps }
    }

    /// Reads what `Display` wrote. Lines that begin with `#` are passed over.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let header = lines.next().ok_or("the scenario is empty")?;
        let header = numbers(header.strip_prefix("world ").ok_or("a scenario begins with its world")?)?;
        let [seed, devices, docs, sessions, delay, disk, heavy, tabbed, heal_at] = header[..] else {
            return Err("a world has nine numbers".into());
        };
        if [devices, docs, sessions].iter().any(|count| !(1..=COUNT_MAX).contains(count)) {
            return Err(format!("a world has 1 to {COUNT_MAX} devices, documents and sessions"));
        }
        if heavy > 1 || tabbed > 1 || [delay, disk, heal_at].iter().any(|ms| *ms > HEAL_AT_MS_MAX) {
            return Err(format!("a world has flags of 0 or 1, and times up to {HEAL_AT_MS_MAX} ms"));
        }
        let shape = Shape {
            devices: devices as u32,
            docs: docs as u32,
            sessions: sessions as u32,
            delay_ms: delay as u32,
            disk_ms: disk as u32,
            is_heavy: heavy == 1,
            is_tabbed: tabbed == 1,
            heal_at,
        };
        let step = |line: &str| -> Result<Step, String> {
            let mut words = line.splitn(3, ' ');
            let at = words.next().unwrap_or_default().parse().map_err(|_| format!("no time in {line:?}"))?;
            let name = words.next().unwrap_or_default();
            let kind = Kind::ALL.iter().find(|kind| kind.as_str() == name);
            let args = numbers(words.next().unwrap_or_default())?;
            let [a, b, c, d] = args[..] else { return Err(format!("four numbers belong to {line:?}")) };
            let kind = *kind.ok_or_else(|| format!("{name:?} is no kind of step"))?;
            if at >= heal_at || args.iter().any(|arg| *arg > u64::from(u32::MAX)) {
                return Err(format!("{line:?} is not before healing, or has a number that is too large"));
            }
            Ok(Step { at, kind, args: [a, b, c, d].map(|arg| arg as u32) })
        };
        Ok(Self { seed, shape, steps: lines.map(step).collect::<Result<_, _>>()? })
    }
}

fn numbers(text: &str) -> Result<Vec<u64>, String> {
    text.split_whitespace().map(|word| word.parse().map_err(|_| format!("{word:?} is no number"))).collect()
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { devices, docs, sessions, delay_ms, disk_ms, is_heavy, is_tabbed, heal_at } = self.shape;
        let (heavy, tabbed) = (u8::from(is_heavy), u8::from(is_tabbed));
        writeln!(f, "# world: seed, devices, documents, sessions, delay, commit, heavy, tabbed, healing")?;
        writeln!(f, "world {} {devices} {docs} {sessions} {delay_ms} {disk_ms} {heavy} {tabbed} {heal_at}", self.seed)?;
        for Step { at, kind, args: [a, b, c, d] } in &self.steps {
            writeln!(f, "{at} {} {a} {b} {c} {d}", kind.as_str())?;
        }
        Ok(())
    }
}
