//! The plan of a group's run: the shape of the group, and what is done to it and when.
//!
//! As with a single node, a step names its targets by random numbers that are taken modulo what is there, so that any
//! part of a plan is a plan.

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

            /// Its name in traces and scenarios.
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$name => $text,)* }
            }

            /// Whether it is a fault, and not something that applications and operators do.
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
    Write "write" 260 false;
    /// Many writes at once.
    Burst "burst" 30 false;
    /// A write that the leader refuses.
    Forbidden "forbidden" 8 false;
    /// A read through a session.
    Read "read" 200 false;
    /// A read over HTTP, at any member.
    Query "query" 60 false;
    /// A session goes on at another client.
    Hop "hop" 60 false;
    /// A session ends and another begins.
    Renew "renew" 10 false;
    /// Somebody waits for a write's stage.
    Await "await" 60 false;
    /// A client leaves its node for another one.
    Move "move" 16 false;
    /// A client wants no connection for a while.
    Pause "pause" 12 false;
    /// An operator has the leader hand over.
    Switchover "switchover" 16 false;
    /// An operator makes a member the leader, whatever that loses.
    Promote "promote" 10 false;

    /// A client is killed and opened again.
    KillClient "kill-client" 16 true;
    /// A client's storage is slow for a while.
    SlowClient "slow-client" 5 true;
    /// A client's connection is lost; both sides hear of it, sooner or later.
    Break "break" 16 true;
    /// A client and its node do not reach each other for a while.
    Stall "stall" 10 true;
    /// A member is killed, and starts again after a while.
    Kill "kill" 26 true;
    /// A member is killed and starts again at once.
    Restart "restart" 16 true;
    /// A member stands still for a while, and then does everything at once.
    Freeze "freeze" 16 true;
    /// A member that has nothing to do is put to sleep; connections outlive it.
    Hibernate "hibernate" 20 true;
    /// A member is cut off from the others, its clients not.
    Isolate "isolate" 20 true;
    /// One member hears another no more, while the other still hears it.
    OneWay "one-way" 14 true;
    /// The members fall into two parts.
    Split "split" 16 true;
    /// The leader, whoever it is, is cut off from the others.
    IsolateLeader "isolate-leader" 14 true;
    /// The leader is cut off from the others, and its clients go on writing.
    Strike "strike" 40 true;
    /// The leader, whoever it is, is killed.
    KillLeader "kill-leader" 14 true;
    /// Calls between members are slow and get lost for a while.
    Lossy "lossy" 10 true;
    /// A member's storage is slow for a while.
    SlowDisk "slow-disk" 10 true;
    /// A member's storage fails a commit.
    DiskFails "disk-fails" 6 true;
    /// A member's storage is gone.
    LoseDisk "lose-disk" 3 true;
    /// The lease store does not answer for a while.
    LeaseDown "lease-down" 10 true;
    /// A member does not reach the lease store for a while.
    LeaseCut "lease-cut" 8 true;
    /// The answers to swaps are lost for a while, whether they were made or not.
    LeaseMute "lease-mute" 10 true;
    /// A member's clock leaps ahead.
    Leap "leap" 4 true;
    /// An operator has several members lead, or one. Only in plans that have several leaders at all.
    Topology "topology" 0 false;
}

/// The most of each thing, and the longest time, that a plan's text may ask for.
const COUNT_MAX: u32 = 64;
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

macro_rules! shape {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        /// The shape of the group and of who uses it.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Shape { $($(#[$doc])* pub $name: u32,)* }

        impl Shape {
            const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];

            fn numbers(&self) -> Vec<u32> {
                vec![$(self.$name,)*]
            }

            fn number(&mut self, name: &str) -> Option<&mut u32> {
                match name { $(stringify!($name) => Some(&mut self.$name),)* _ => None }
            }
        }
    };
}

shape! {
    /// Voters.
    voters;
    /// How many of them are a quorum.
    quorum;
    /// The voters' priorities, the first one's in the lowest decimal digit.
    priorities;
    /// Observers.
    observers;
    /// How long the first observer holds back what it receives.
    observer_delay_ms;
    /// Clients.
    clients;
    /// Documents.
    docs;
    /// Sessions.
    sessions;
    /// The usual delay of a message.
    delay_ms;
    /// The usual duration of a commit.
    disk_ms;
    /// How often a leader shows that it is there.
    beat_ms;
    /// What a member does that is cut off: nothing special, only reads, or neither.
    minority;
    /// How many entries the quorum may be behind before the leader takes no more; zero for any number.
    lag_max;
    /// Whether operators may promote by force, so that what is acknowledged may be lost.
    is_forced;
    /// Whether operators change how many lead; with 2, several do from the beginning.
    multi;
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What the world's own randomness is derived from.
    pub seed: u64,
    /// The world.
    pub shape: Shape,
    /// When healing begins.
    pub heal_at: u64,
    /// What happens, in order of time.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x6772_6f75_7073);
        let shape = shape(&mut rng);
        let heal_at = rng.within(10, 80) * 1000;
        let has_faults = !rng.chance(10);
        // A run has a taste of its own: some faults often, some never.
        let taste: Vec<u64> = Kind::ALL
            .iter()
            .map(|kind| match (kind, kind.is_fault()) {
                // Drawn apart from the rest, so that plans without it stay what they were.
                (Kind::Topology, _) => 0,
                (Kind::Promote, _) => kind.weight() * u64::from(shape.is_forced),
                (_, true) if !has_faults => 0,
                (_, true) => kind.weight() * [0, 0, 1, 3][rng.below(4) as usize],
                (_, false) => kind.weight() * [1, 1, 1, 3][rng.below(4) as usize],
            })
            .collect();
        // What nearly coincides finds more than what is spread out: some runs happen in a few short crowds.
        let crowds: Vec<u64> = match rng.chance(40) {
            true => (0..rng.within(2, 10)).map(|_| rng.below(heal_at)).collect(),
            false => Vec::new(),
        };
        let crowd_ms = 200 + 6 * u64::from(shape.delay_ms + shape.disk_ms) + 5 * u64::from(shape.beat_ms);
        let count = rng.within(30, 200);
        let mut steps: Vec<Step> = (0..count).map(|_| step(&mut rng, &taste, &crowds, crowd_ms, heal_at)).collect();
        let mut shape = shape;
        add_topology(seed, &mut shape, &mut steps, heal_at, has_faults);
        steps.sort_by_key(|step| step.at);
        Self { seed, shape, heal_at, steps }
    }

    /// Reads what `Display` wrote. Lines that begin with `#` are passed over.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let header = lines.next().ok_or("the scenario is empty")?;
        let mut words = header.strip_prefix("group ").ok_or("a group's scenario begins with its group")?.split(' ');
        let mut word = || words.next().ok_or("the group lacks something");
        let (seed, heal_at) = (number(word()?)?, number(word()?)?);
        let mut words = header.split(' ').skip(3);
        let mut shape = Shape::default();
        for name in Shape::NAMES {
            // Scenarios of the time before several leaders do not say it.
            let given = if *name == "multi" {
                words.next().unwrap_or("multi=0")
            } else {
                words.next().ok_or("the group lacks something")?
            };
            let value = given.strip_prefix(&format!("{name}=")).map(number).ok_or(format!("{name} is missing"))??;
            *shape.number(name).expect("it names a field") =
                u32::try_from(value).map_err(|_| "a number is too large")?;
        }
        let Shape { voters, quorum, clients, docs, sessions, observers, .. } = shape;
        let counts = [voters, quorum, clients, docs, sessions, observers + 1];
        if counts.iter().any(|count| !(1..=COUNT_MAX).contains(count)) || quorum > voters || voters > 9 {
            return Err(format!(
                "a group has 1 to 9 voters, 1 to {COUNT_MAX} of the rest, and a quorum that can be had"
            ));
        }
        if heal_at > HEAL_AT_MS_MAX {
            return Err(format!("healing begins within {HEAL_AT_MS_MAX} ms"));
        }
        Ok(Self { seed, shape, heal_at, steps: lines.map(|line| read_step(line, heal_at)).collect::<Result<_, _>>()? })
    }
}

// Some groups have several leaders, from the beginning or at times.
fn add_topology(seed: u64, shape: &mut Shape, steps: &mut Vec<Step>, heal_at: u64, has_faults: bool) {
    let mut rng = Rng::new(seed ^ 0x6d75_6c74_6900);
    if shape.is_forced > 0 || shape.voters < 2 || !rng.chance(35) {
        return;
    }
    shape.multi = rng.within(1, 2) as u32;
    let changes = rng.below(5) + u64::from(shape.multi == 1);
    let mut add = |kind: Kind, rng: &mut Rng| {
        let args = std::array::from_fn(|_| rng.bits() as u32);
        steps.push(Step { at: rng.below(heal_at), kind, args });
    };
    (0..changes).for_each(|_| add(Kind::Topology, &mut rng));
    if has_faults && rng.chance(30) {
        add(Kind::LoseDisk, &mut rng);
    }
}

fn shape(rng: &mut Rng) -> Shape {
    let voters = [1, 3, 3, 3, 3, 5][rng.below(6) as usize];
    let quorum = if rng.chance(12) { rng.within(1, voters) } else { voters / 2 + 1 };
    let priority = |rng: &mut Rng| [0, 1, 1, 1, 1, 2, 2][rng.below(7) as usize];
    let mut priorities = (0..voters - 1).fold(0, |digits, _| digits * 10 + priority(rng));
    // Somebody may lead.
    priorities = priorities * 10 + rng.within(1, 2);
    let observers = if voters > 1 && rng.chance(35) { rng.within(1, 2) } else { 0 };
    Shape {
        voters: voters as u32,
        quorum: quorum as u32,
        priorities: priorities as u32,
        observers: observers as u32,
        observer_delay_ms: [0, 0, 500, 10_000][rng.below(4) as usize],
        clients: rng.within(1, 4) as u32,
        docs: rng.within(1, 3) as u32,
        sessions: rng.within(1, 5) as u32,
        delay_ms: [1, 5, 20, 80][rng.below(4) as usize],
        disk_ms: [1, 2, 10, 40][rng.below(4) as usize],
        beat_ms: [200, 400, 1_000][rng.below(3) as usize],
        minority: [0, 0, 1, 2][rng.below(4) as usize],
        lag_max: [0, 0, 0, 20][rng.below(4) as usize],
        is_forced: u32::from(rng.chance(15)),
        multi: 0,
    }
}

fn step(rng: &mut Rng, taste: &[u64], crowds: &[u64], crowd_ms: u64, heal_at: u64) -> Step {
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
        crowds => crowds[rng.below(crowds.len() as u64) as usize] + rng.below(crowd_ms),
    };
    Step { at: at.min(heal_at - 1), kind, args }
}

fn read_step(line: &str, heal_at: u64) -> Result<Step, String> {
    let words: Vec<&str> = line.split(' ').collect();
    let [at, name, a, b, c, d] = words[..] else { return Err(format!("{line:?} is no step")) };
    let kind = Kind::ALL.iter().find(|kind| kind.as_str() == name);
    let kind = *kind.ok_or_else(|| format!("{name:?} is no kind of step"))?;
    let at = number(at)?;
    let mut args = [0; 4];
    for (arg, word) in args.iter_mut().zip([a, b, c, d]) {
        *arg = u32::try_from(number(word)?).map_err(|_| format!("{line:?} has a number that is too large"))?;
    }
    if at >= heal_at {
        return Err(format!("{line:?} is not before healing"));
    }
    Ok(Step { at, kind, args })
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("{word:?} is no number"))
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = Shape::NAMES.iter().zip(self.shape.numbers()).map(|(name, value)| format!("{name}={value}"));
        writeln!(f, "group {} {} {}", self.seed, self.heal_at, shape.collect::<Vec<_>>().join(" "))?;
        for Step { at, kind, args: [a, b, c, d] } in &self.steps {
            writeln!(f, "{at} {} {a} {b} {c} {d}", kind.as_str())?;
        }
        Ok(())
    }
}
