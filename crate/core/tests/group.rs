//! The arithmetic of a group: records, concerns, seals; and a small model in which voters, leaders and candidates do
//! nothing but follow it.

use headwater_core::group::concern::Progress;
use headwater_core::group::record::LossWindow;
use headwater_core::group::{Concern, Member, MemberName, Record, Refusal, Role, Seal, State};
use headwater_core::{Code, Epoch, Frontier, Generation, Lsn};
use proptest::prelude::*;

fn name(n: usize) -> MemberName {
    MemberName::new(&format!("node-{n}")).expect("it is plain")
}

fn voter(n: usize, priority: u64) -> Member {
    Member { name: name(n), role: Role::Voter { priority }, address: format!("http://node-{n}:8787").into() }
}

fn observer(n: usize) -> Member {
    Member {
        name: name(n),
        role: Role::Observer { delay_ms: 60_000, via: None },
        address: format!("http://node-{n}").into(),
    }
}

fn group(voters: usize, quorum: usize) -> Record {
    let members = (0..voters).map(|n| voter(n, 1)).collect();
    Record::new(Generation(7), name(0), members, quorum).expect("the group is sound")
}

fn logs(lengths: &[(u64, u64)]) -> Frontier {
    let mut frontier = Frontier::default();
    lengths.iter().for_each(|(epoch, lsn)| frontier.advance_epoch(Epoch(*epoch), Lsn(*lsn)));
    frontier
}

#[test]
fn a_record_reads_back_from_its_text_whatever_its_state() {
    let members = vec![voter(0, 2), voter(1, 1), voter(2, 0), observer(3)];
    let first = Record::new(Generation(0xfeed), name(0), members, 2).expect("the group is sound");
    let electing = first.elect(&name(1), Epoch(0)).expect("node-1 may lead");
    let active = electing.activate(&name(1), &logs(&[(1, 9)])).expect("it is the candidate");
    let forcing = active.force(&name(0), Epoch(0)).expect("node-0 may lead");
    let forced = forcing.activate_forced(&name(0), &logs(&[(1, 9), (2, 4)]), 1_700_000_000_000).expect("it was forced");
    for record in [first, electing, active, forcing, forced.clone()] {
        assert_eq!(record.to_string().parse(), Ok(record));
    }
    assert_eq!(
        forced.to_string(),
        "headwater-group 1\ngeneration 000000000000feed\nepoch 3\nactive node-0\nled 3\nquorum 2\n\
         voter node-0 priority 2 at http://node-0:8787\nvoter node-1 priority 1 at http://node-1:8787\n\
         voter node-2 priority 0 at http://node-2:8787\nobserver node-3 delay_ms 60000 at http://node-3\n\
         joined node-0\njoined node-1\nsealed 1 9\nsealed 2 4\nloss 2 after 4 unix_ms 1700000000000\n"
    );
}

#[test]
fn the_leader_admits_voters_once_and_observers_never() {
    let first = Record::new(Generation(0xfeed), name(0), group(3, 2).members, 2).expect("the group is sound");
    assert!(first.has_joined(&name(0)) && !first.has_joined(&name(1)));
    let next = first.admit([name(0), name(1), name(3), name(9)].into_iter());
    assert_eq!(next.joined, [name(0), name(1)]);
    assert_eq!(next.to_string().parse(), Ok(next.clone()));
    let twice = format!("{next}joined node-1\n").parse::<Record>();
    assert_eq!(twice.map_err(|error| error.code), Err(Code::Malformed));
}

#[test]
fn text_that_is_no_record_is_refused_with_a_code_and_no_panic() {
    let good = group(3, 2).to_string();
    let without = |word: &str| good.lines().filter(|line| !line.starts_with(word)).collect::<Vec<_>>().join("\n");
    let cases = [
        String::new(),
        "{\"epoch\":1}".into(),
        good.replace("epoch 1", "epoch 0"),
        good.replace("epoch 1", "epoch 01"),
        good.replace("epoch 1", "epoch +1"),
        good.replace("epoch 1", "epoch 99999999999999999999"),
        good.replace("quorum 2", "quorum 4"),
        good.replace("quorum 2", "quorum 0"),
        good.replace("active node-0", "active node-9"),
        good.replace("active node-0", "active node 0"),
        good.replace("active node-0", "electing node-0"),
        good.replace("led 1", "led 2"),
        good.replace("node-1", "node-0"),
        format!("{good}sealed 1 5\n"),
        format!("{good}sealed 0 0\n"),
        format!("{good}epoch 1\n"),
        format!("{good}surprise\n"),
        without("generation"),
        without("epoch"),
        without("active"),
        without("led"),
        without("quorum"),
        without("voter"),
    ];
    for text in cases {
        let error = text.parse::<Record>().expect_err(&text);
        assert_eq!(error.code, Code::Malformed, "{text}");
    }
    let newer = good.replace("headwater-group 1", "headwater-group 2").parse::<Record>();
    assert_eq!(newer.map_err(|error| error.code), Err(Code::Version));
    let huge = "x".repeat(1 << 20).parse::<Record>();
    assert_eq!(huge.map_err(|error| error.code), Err(Code::TooLarge));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(lines in prop::collection::vec("[ -~]{0,40}", 0..12)) {
        let _ = format!("headwater-group 1\n{}", lines.join("\n")).parse::<Record>();
    }
}

#[test]
fn an_epoch_has_one_candidate_and_is_never_handed_out_again() {
    let record = group(3, 2);
    let one = record.elect(&name(1), Epoch(0)).expect("node-1 may lead");
    assert_eq!((one.epoch, one.leader()), (Epoch(2), None));
    assert_eq!(one.activate(&name(2), &logs(&[])), Err(Refusal::NotTheCandidate(name(2))));
    let other = one.elect(&name(2), Epoch(0)).expect("an election that hangs is overtaken");
    let beyond = one.elect(&name(2), Epoch(40)).expect("a store that was put back says less");
    assert_eq!(beyond.epoch, Epoch(41));
    assert_eq!(other.epoch, Epoch(3));
    assert_eq!(other.activate(&name(1), &logs(&[])), Err(Refusal::NotTheCandidate(name(1))));
    let led = other.activate(&name(2), &logs(&[(1, 5)])).expect("it is the candidate");
    assert_eq!((led.leader(), led.led, led.sealed.lsn(Epoch(1))), (Some(&name(2)), Epoch(3), Lsn(5)));
}

#[test]
fn who_may_not_lead_is_not_elected() {
    let members = vec![voter(0, 1), voter(1, 0), observer(2)];
    let record = Record::new(Generation(1), name(0), members.clone(), 1).expect("the group is sound");
    for n in [1, 2, 9] {
        assert_eq!(record.elect(&name(n), Epoch(0)), Err(Refusal::CannotLead(name(n))));
        assert_eq!(record.force(&name(n), Epoch(0)), Err(Refusal::CannotLead(name(n))));
        assert_eq!(record.hand_over(&name(0), &name(n), &logs(&[])), Err(Refusal::CannotLead(name(n))));
    }
    assert!(Record::new(Generation(1), name(1), members, 1).is_err());
}

#[test]
fn a_sealed_log_only_grows() {
    let record = group(3, 2).elect(&name(1), Epoch(0)).and_then(|record| record.activate(&name(1), &logs(&[(1, 5)])));
    let record = record.expect("it is the candidate");
    let tail = record.extend(Epoch(1), Lsn(8)).expect("the old leader came back with three more");
    assert_eq!(tail.sealed.lsn(Epoch(1)), Lsn(8));
    let shorter = Refusal::Shorter { epoch: Epoch(1), sealed: Lsn(8), proposed: Lsn(5) };
    assert_eq!(tail.extend(Epoch(1), Lsn(5)), Err(shorter.clone()));
    let next = tail.elect(&name(2), Epoch(0)).expect("node-2 may lead");
    assert_eq!(next.activate(&name(2), &logs(&[(1, 5)])), Err(shorter));
    assert_eq!(tail.extend(Epoch(2), Lsn(1)), Err(Refusal::NotSealed(Epoch(2))), "it is still being written");
    assert_eq!(next.extend(Epoch(2), Lsn(1)), Err(Refusal::NotSealed(Epoch(2))), "it is being sealed");
    assert_eq!(next.activate(&name(2), &logs(&[(1, 8), (3, 1)])), Err(Refusal::NotSealed(Epoch(3))));
}

#[test]
fn a_switchover_is_the_leaders_to_make() {
    let record = group(3, 2);
    assert_eq!(record.hand_over(&name(1), &name(2), &logs(&[])), Err(Refusal::NotTheLeader(name(1))));
    let next = record.hand_over(&name(0), &name(2), &logs(&[(1, 40)])).expect("node-0 leads");
    assert_eq!((next.epoch, next.leader(), next.sealed.lsn(Epoch(1))), (Epoch(2), Some(&name(2)), Lsn(40)));
    assert_eq!(next.losses, []);
}

#[test]
fn a_forced_promotion_says_what_may_be_lost_and_keeps_the_sealed_lengths() {
    let record = group(3, 2).hand_over(&name(0), &name(1), &logs(&[(1, 40)])).expect("node-0 leads");
    let plain = record.elect(&name(2), Epoch(0)).expect("node-2 may lead");
    assert_eq!(plain.activate_forced(&name(2), &logs(&[(1, 40)]), 5), Err(Refusal::NotForced));
    let forced = record
        .force(&name(2), Epoch(0))
        .and_then(|record| record.activate_forced(&name(2), &logs(&[(1, 30), (2, 3)]), 5));
    let forced = forced.expect("it was forced");
    assert_eq!(forced.sealed, logs(&[(1, 40), (2, 3)]));
    let window = |epoch, after| LossWindow { epoch: Epoch(epoch), after: Lsn(after), unix_ms: 5 };
    assert_eq!(forced.losses, [window(1, 30), window(2, 3)]);
    assert_eq!(forced.state, State::Active { leader: name(2) });
}

fn progress(durable: &[(u64, bool)]) -> Vec<Progress> {
    let of = |(n, (lsn, is_connected)): (usize, &(u64, bool))| Progress {
        name: name(n),
        durable: Lsn(*lsn),
        is_connected: *is_connected,
    };
    durable.iter().enumerate().map(of).collect()
}

#[test]
fn each_concern_counts_whom_it_says() {
    let members = vec![voter(0, 1), voter(1, 1), voter(2, 1), observer(3)];
    let progress = progress(&[(9, true), (7, true), (4, false), (8, true)]);
    let reached = |concern: Concern| concern.reached(&members, 2, &name(0), &progress);
    assert_eq!(reached(Concern::Leader), Lsn(9));
    assert_eq!(reached(Concern::Quorum), Lsn(7), "the observer does not count");
    assert_eq!(reached(Concern::All), Lsn(4), "who is away is waited for");
    assert_eq!(reached(Concern::Count(1)), Lsn(9));
    assert_eq!(reached(Concern::Count(2)), Lsn(8), "the observer counts as a member");
    assert_eq!(reached(Concern::Count(4)), Lsn(4));
    let names = vec![name(1), name(2), name(3)];
    assert_eq!(reached(Concern::Any { names: names.clone(), n: 2 }), Lsn(7));
    assert_eq!(reached(Concern::First { names: names.clone(), n: 2 }), Lsn(7), "node-2 is away, so node-3 is asked");
    assert_eq!(reached(Concern::First { names: vec![name(2), name(1)], n: 2 }), Lsn(0), "too few are there");
    let nobody = Concern::Quorum.reached(&members, 2, &name(0), &[]);
    assert_eq!(nobody, Lsn(0));
}

#[test]
fn a_concern_that_can_never_be_met_is_refused() {
    let members = vec![voter(0, 1), voter(1, 1), observer(2)];
    let any = |names: &[usize], n| Concern::Any { names: names.iter().map(|n| name(*n)).collect(), n };
    for bad in [Concern::Count(0), Concern::Count(4), any(&[1], 2), any(&[1, 1], 1), any(&[7], 1), any(&[], 0)] {
        assert_eq!(bad.check(&members).map_err(|error| error.code), Err(Code::Malformed), "{bad:?}");
    }
    for good in [Concern::Leader, Concern::Quorum, Concern::All, Concern::Count(3), any(&[1, 2], 1)] {
        assert_eq!(good.check(&members), Ok(()), "{good:?}");
    }
}

#[test]
fn a_seal_is_proven_only_when_a_quorum_holds_what_was_found() {
    let record = group(3, 2).elect(&name(1), Epoch(0)).expect("node-1 may lead");
    let mut seal = Seal::new(&record);
    assert_eq!(seal.needed(), 2);
    seal.promised(&name(1), Epoch(2), &logs(&[(1, 5)]));
    seal.promised(&name(1), Epoch(2), &logs(&[(1, 5)]));
    seal.promised(&name(7), Epoch(2), &logs(&[(1, 99)]));
    seal.promised(&name(2), Epoch(3), &logs(&[(1, 99)]));
    assert!(!seal.is_enough(), "the same voter twice, a stranger, and a promise of another epoch are one promise");
    seal.promised(&name(2), Epoch(2), &logs(&[(1, 8)]));
    assert!(seal.is_enough());
    assert_eq!(seal.union(), logs(&[(1, 8)]));
    assert_eq!(seal.holders(Epoch(1), Lsn(8)).collect::<Vec<_>>(), [&name(2)]);
    assert_eq!(seal.proven(), None, "entries 6 to 8 are with one voter only");
    seal.promised(&name(1), Epoch(2), &logs(&[(1, 8)]));
    assert_eq!(seal.proven(), Some(logs(&[(1, 8)])));
}

/// A step of the model: who it is about, and chance.
#[derive(Clone, Debug)]
enum Step {
    /// A leader appends an entry to its own log.
    Append(usize),
    /// The voter fetches what the leader of `of` has, up to some point.
    Fetch { voter: usize, of: usize, entries: u64 },
    /// The voter asks for the next epoch.
    Elect(usize),
    /// A candidate is promised its epoch by a voter.
    Promise { candidate: usize, voter: usize },
    /// A candidate copies from the one who promised with the longest logs, or has a voter copy from it.
    Even { candidate: usize, voter: usize },
    /// A candidate tries to become the leader.
    Activate(usize),
    /// A leader hands over.
    HandOver { from: usize, to: usize },
}

fn steps(voters: usize) -> impl Strategy<Value = Vec<Step>> {
    let who = 0..voters;
    let step = prop_oneof![
        6 => who.clone().prop_map(Step::Append),
        8 => (who.clone(), who.clone(), 1..4u64).prop_map(|(voter, of, entries)| Step::Fetch { voter, of, entries }),
        1 => who.clone().prop_map(Step::Elect),
        6 => (who.clone(), who.clone()).prop_map(|(candidate, voter)| Step::Promise { candidate, voter }),
        4 => (who.clone(), who.clone()).prop_map(|(candidate, voter)| Step::Even { candidate, voter }),
        3 => who.clone().prop_map(Step::Activate),
        1 => (who.clone(), who).prop_map(|(from, to)| Step::HandOver { from, to }),
    ];
    prop::collection::vec(step, 0..250)
}

/// Voters that hold logs and promises, each with its own, perhaps outdated, idea of who leads.
struct Model {
    record: Record,
    /// What each voter holds, and the epoch that it promised: both durable.
    held: Vec<Frontier>,
    promised: Vec<Epoch>,
    /// The epoch that each leads, if it has not heard that it is over.
    leads: Vec<Option<Epoch>>,
    seals: Vec<Option<Seal>>,
    /// What was ever acknowledged at `quorum`.
    acknowledged: Frontier,
}

impl Model {
    fn new(voters: usize, quorum: usize) -> Self {
        let mut leads = vec![None; voters];
        leads[0] = Some(Epoch(1));
        Self {
            record: group(voters, quorum),
            held: vec![Frontier::default(); voters],
            promised: vec![Epoch(1); voters],
            leads,
            seals: vec![None; voters],
            acknowledged: Frontier::default(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(n) => {
                // It may have been replaced long ago. Its own promise is what stops it, if it gave one.
                let Some(epoch) = self.leads[n].filter(|epoch| self.promised[n] <= *epoch) else { return };
                let lsn = self.held[n].lsn(epoch).next();
                self.held[n].advance_epoch(epoch, lsn);
                self.acknowledge(n, epoch);
            }
            Step::Fetch { voter, of, entries } => {
                let Some(epoch) = self.leads[of].filter(|epoch| self.promised[voter] <= *epoch) else { return };
                self.promised[voter] = epoch;
                // All of the earlier logs first, then some of the leader's own.
                let mut earlier = self.held[of].clone();
                earlier = earlier.meet(&below(&earlier, epoch));
                self.held[voter].join(&earlier);
                let lsn = Lsn(self.held[voter].lsn(epoch).0 + entries).min(self.held[of].lsn(epoch));
                self.held[voter].advance_epoch(epoch, lsn);
                self.acknowledge(of, epoch);
            }
            Step::Elect(n) => {
                self.record = self.record.elect(&name(n), Epoch(0)).expect("every voter may lead");
                self.seals[n] = Some(Seal::new(&self.record));
            }
            Step::Promise { candidate, voter } => {
                let Some(seal) = &mut self.seals[candidate] else { return };
                let epoch = self.record.epoch; // A seal of an earlier epoch takes no notice of this.
                if self.promised[voter] <= epoch {
                    self.promised[voter] = epoch;
                    seal.promised(&name(voter), epoch, &self.held[voter]);
                }
            }
            Step::Even { candidate, voter } => {
                let Some(seal) = &mut self.seals[candidate] else { return };
                let union = seal.union();
                for n in [candidate, voter] {
                    if self.promised[n] == self.record.epoch {
                        self.held[n].join(&union);
                        seal.promised(&name(n), self.record.epoch, &self.held[n]);
                    }
                }
            }
            Step::Activate(n) => {
                let Some(proven) = self.seals[n].as_ref().and_then(Seal::proven) else { return };
                let record = match self.record.activate(&name(n), &proven) {
                    Ok(record) => record,
                    Err(Refusal::NotTheCandidate(_)) => return,
                    Err(refusal) => panic!("no election could ever succeed again: {refusal}"),
                };
                assert!(proven.dominates(&self.acknowledged), "the seal lost what a quorum held");
                self.record = record;
                self.held[n].join(&proven);
                self.leads[n] = Some(self.record.epoch);
                self.seals[n] = None;
            }
            Step::HandOver { from, to } => {
                let held = self.held[from].clone();
                let holders = self.held.iter().filter(|other| other.dominates(&held)).count();
                let is_drained = from != to && self.held[to].dominates(&held) && holders >= self.record.quorum;
                let is_in_charge = self.leads[from] == Some(self.record.epoch);
                if !is_drained || !is_in_charge {
                    return;
                }
                if let Ok(record) = self.record.hand_over(&name(from), &name(to), &held) {
                    assert!(held.dominates(&self.acknowledged));
                    self.record = record;
                    self.leads[from] = None;
                    self.leads[to] = Some(self.record.epoch);
                    self.promised[to] = self.record.epoch;
                }
            }
        }
    }

    /// What a leader may tell its clients now.
    fn acknowledge(&mut self, leader: usize, epoch: Epoch) {
        let of = |n: usize| {
            // A voter that has promised a later epoch answers no append any more.
            let durable = if self.promised[n] <= epoch { self.held[n].lsn(epoch) } else { Lsn(0) };
            Progress { name: name(n), durable, is_connected: true }
        };
        let progress: Vec<Progress> = (0..self.held.len()).map(of).collect();
        let end = Concern::Quorum.reached(&self.record.members, self.record.quorum, &name(leader), &progress);
        if end > self.acknowledged.lsn(epoch) {
            let is_over = self.record.leader().is_some() && self.record.led > epoch;
            assert!(!is_over, "epoch {epoch} acknowledged entry {end} at quorum after it was sealed");
            self.acknowledged.advance_epoch(epoch, end);
        }
    }
}

fn below(frontier: &Frontier, epoch: Epoch) -> Frontier {
    let mut earlier = Frontier::default();
    frontier.epochs().filter(|(of, _)| *of < epoch).for_each(|(of, lsn)| earlier.advance_epoch(of, lsn));
    earlier
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_a_quorum_held_is_in_every_later_seal_and_no_sealed_epoch_acknowledges(
        (voters, quorum, steps) in (1..6usize).prop_flat_map(|voters| (Just(voters), 1..=voters, steps(voters)))
    ) {
        let mut model = Model::new(voters, quorum);
        steps.into_iter().for_each(|step| model.step(step));
    }
}
