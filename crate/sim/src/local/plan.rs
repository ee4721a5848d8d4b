//! The plan of a run of tabs and peers: the shape of the world, and what is done to it and when.
//!
//! A step names its targets by random numbers that are taken modulo what is there, so that any part of a plan is a plan.

use crate::rng::Rng;
use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $text:literal $weight:literal $is_fault:literal;)*) => {
        /// What a step does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// Every kind there is.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// Its name in traces.
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$name => $text,)* }
            }

            /// Whether it is a fault, and not something that applications and users do.
            pub fn is_fault(self) -> bool {
                match self { $(Kind::$name => $is_fault,)* }
            }

            fn weight(self) -> u64 {
                match self { $(Kind::$name => $weight,)* }
            }
        }
    };
}

kinds! {
    /// One write.
    Write "write" 300 false;
    /// Many writes at once.
    Burst "burst" 30 false;
    /// A write that the leader refuses.
    Forbidden "forbidden" 10 false;
    /// A read through a session.
    Read "read" 160 false;
    /// A session goes on in another tab, of this device or another.
    Hop "hop" 80 false;
    /// Somebody waits for a write's stage.
    AwaitStage "await-stage" 40 false;
    /// Somebody waits for peers to have a write.
    AwaitPeers "await-peers" 40 false;
    /// A tab opens a document.
    OpenDoc "open-doc" 40 false;
    /// A tab closes a document.
    CloseDoc "close-doc" 30 false;
    /// A tab is opened.
    OpenTab "open-tab" 50 false;
    /// A tab is closed.
    CloseTab "close-tab" 24 false;
    /// A tab is closed and another opened in its place.
    Reload "reload" 24 false;
    /// All tabs of a device are closed, and one is opened, with a leader or without.
    Reopen "reopen" 12 false;
    /// Two devices are linked.
    Link "link" 60 false;
    /// A copy of a device's storage is opened alone.
    Probe "probe" 60 false;

    /// A tab is killed.
    Kill "kill" 30 true;
    /// All tabs of a device are killed at once.
    KillDevice "kill-device" 8 true;
    /// A tab is frozen for a while.
    Freeze "freeze" 30 true;
    /// The tab that has the lock is frozen for a while.
    FreezeHolder "freeze-holder" 24 true;
    /// The tab that has the lock is killed.
    KillHolder "kill-holder" 24 true;
    /// A link between devices breaks.
    Part "part" 40 true;
    /// A socket breaks.
    Cut "cut" 30 true;
    /// The node is killed, and starts again after a while.
    Restart "restart" 16 true;
    /// A device's storage is slow for a while.
    SlowDisk "slow-disk" 12 true;
}

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Devices.
    pub devices: u32,
    /// The most tabs of one of them.
    pub tabs_max: u32,
    /// Documents.
    pub docs: u32,
    /// Sessions.
    pub sessions: u32,
    /// What a message takes, about.
    pub delay_ms: u32,
    /// What a commit takes, about.
    pub disk_ms: u32,
    /// Devices that have a leader at first, as bits; all of them without a node have none.
    pub leaders: u32,
    /// Whether there is a node.
    pub has_node: bool,
    /// Pairs of devices that may be linked, as bits in the order (0, 1), (0, 2), (1, 2), (0, 3) …
    pub links: u32,
    /// Whether devices change between having a leader and having none.
    pub changes: bool,
}

/// A whole run, derived from its seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The shape of the world.
    pub shape: Shape,
    /// When the faults end.
    pub heal_at: u64,
    /// What is done, in the order of time.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x7461_6273);
        let shape = shape(&mut rng);
        let heal_at = [5_000, 20_000, 60_000][rng.below(3) as usize];
        // Some things often, some never.
        let taste: Vec<u64> = Kind::ALL
            .iter()
            .map(|kind| {
                let is_allowed = match kind {
                    Kind::Link | Kind::Part | Kind::AwaitPeers => shape.links != 0,
                    Kind::Cut | Kind::Restart => shape.has_node,
                    // Who is refused what in a mesh is not settled yet: replicas take back different writes.
                    Kind::Forbidden => shape.has_node && shape.links == 0 && seed.is_multiple_of(4),
                    _ => true,
                };
                let times = match kind {
                    Kind::Write | Kind::Probe => 2,
                    _ => [0, 1, 1, 2, 6][rng.below(5) as usize],
                };
                if is_allowed { kind.weight() * times } else { 0 }
            })
            .collect();
        let crowds: Vec<u64> = (0..rng.below(6)).map(|_| rng.below(heal_at)).collect();
        let count = rng.within(20, 160);
        let mut steps: Vec<Step> = (0..count).map(|_| step(&mut rng, &taste, &crowds, heal_at)).collect();
        steps.sort_by_key(|step| step.at);
        Self { seed, shape, heal_at, steps }
    }
}

fn shape(rng: &mut Rng) -> Shape {
    let devices = rng.within(1, 4) as u32;
    let has_node = rng.chance(75);
    let pairs = devices * (devices - 1) / 2;
    let links = match rng.below(4) {
        0 => 0,
        1 => rng.bits() as u32,
        2 => u32::MAX,
        // A chain: (0, 1), (1, 2), (2, 3).
        _ => 0b10_0101,
    };
    Shape {
        devices,
        tabs_max: rng.within(1, 4) as u32,
        docs: rng.within(1, 3) as u32,
        sessions: rng.within(1, 5) as u32,
        delay_ms: [1, 5, 30][rng.below(3) as usize],
        disk_ms: [1, 4, 30][rng.below(3) as usize],
        leaders: if has_node { 1 | rng.bits() as u32 | if rng.chance(40) { u32::MAX } else { 0 } } else { 0 },
        has_node,
        links: links & ((1 << pairs) - 1),
        changes: rng.chance(40),
    }
}

fn step(rng: &mut Rng, taste: &[u64], crowds: &[u64], heal_at: u64) -> Step {
    let mut at = rng.below(taste.iter().sum());
    let place = taste.iter().position(|weight| {
        let is_it = at < *weight;
        at = at.saturating_sub(*weight);
        is_it
    });
    let kind = Kind::ALL[place.expect("the weights add up to the total")];
    let args = std::array::from_fn(|_| rng.bits() as u32);
    let at = match crowds {
        [] => rng.below(heal_at),
        crowds => crowds[rng.below(crowds.len() as u64) as usize] + rng.below(400),
    };
    Step { at: at.min(heal_at - 1), kind, args }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "local {} {} {:?}", self.seed, self.heal_at, self.shape)?;
        for Step { at, kind, args: [a, b, c, d] } in &self.steps {
            writeln!(f, "{at} {} {a} {b} {c} {d}", kind.as_str())?;
        }
        Ok(())
    }
}
