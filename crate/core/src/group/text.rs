//! The record as text: one fact on each line, so that an operator can read what the lease store holds.

use super::member::{Member, MemberName, Role};
use super::record::{Lead, LossWindow, Record, State};
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{Epoch, Generation, Lsn};
use crate::limits::{FRONTIER_LOGS_MAX, GROUP_MEMBERS_MAX, LOSS_WINDOWS_MAX, RECORD_BYTES_MAX};
use std::fmt;

const TITLE: &str = "headwater-group";
const VERSION: u64 = 1;
/// Beyond it numbers are no longer exact everywhere; and there must be one more for the next election.
const EPOCH_MAX: u64 = (1 << 53) - 2;

pub(super) fn write(record: &Record, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "{TITLE} {VERSION}")?;
    writeln!(f, "generation {:016x}", record.generation.0)?;
    writeln!(f, "epoch {}", record.epoch)?;
    match &record.state {
        State::Active { leader } => writeln!(f, "active {leader}")?,
        State::Electing { candidate, is_forced: false } => writeln!(f, "electing {candidate}")?,
        State::Electing { candidate, is_forced: true } => writeln!(f, "forcing {candidate}")?,
        State::Multi { since } => writeln!(f, "multi {since}")?,
    }
    for Lead { member, epoch } in &record.leads {
        writeln!(f, "leads {member} {epoch}")?;
    }
    writeln!(f, "led {}", record.led)?;
    writeln!(f, "quorum {}", record.quorum)?;
    for Member { name, role, address } in &record.members {
        match role {
            Role::Voter { priority } => writeln!(f, "voter {name} priority {priority} at {address}")?,
            Role::Observer { delay_ms, via: None } => {
                writeln!(f, "observer {name} delay_ms {delay_ms} at {address}")?;
            }
            Role::Observer { delay_ms, via: Some(via) } => {
                writeln!(f, "observer {name} delay_ms {delay_ms} via {via} at {address}")?;
            }
        }
    }
    for voter in &record.joined {
        writeln!(f, "joined {voter}")?;
    }
    for (epoch, length) in record.sealed.epochs() {
        writeln!(f, "sealed {epoch} {length}")?;
    }
    for LossWindow { epoch, after, unix_ms } in &record.losses {
        writeln!(f, "loss {epoch} after {after} unix_ms {unix_ms}")?;
    }
    Ok(())
}

pub(super) fn read(text: &str) -> Result<Record, Error> {
    if text.len() > RECORD_BYTES_MAX {
        return Err(Error::too_large("the group's record in bytes", text.len(), RECORD_BYTES_MAX));
    }
    let mut lines = text.lines();
    match words(lines.next().unwrap_or_default())[..] {
        [TITLE, version] => match number(version)? {
            VERSION => {}
            version => {
                let message = format!("the group's record has version {version}, newer than this node; update it");
                return Err(Error::new(Code::Version, message));
            }
        },
        _ => return Err(Error::malformed("the lease store holds something else than a group's record")),
    }
    let mut draft = Draft::default();
    lines.try_for_each(|line| draft.line(line))?;
    draft.finish()
}

#[derive(Default)]
struct Draft {
    generation: Option<Generation>,
    epoch: Option<Epoch>,
    state: Option<State>,
    led: Option<Epoch>,
    leads: Vec<Lead>,
    quorum: Option<usize>,
    members: Vec<Member>,
    joined: Vec<MemberName>,
    sealed: Frontier,
    losses: Vec<LossWindow>,
}

impl Draft {
    fn line(&mut self, line: &str) -> Result<(), Error> {
        match words(line)[..] {
            ["generation", id] => once(&mut self.generation, Generation(hex(id)?), line),
            ["epoch", epoch] => once(&mut self.epoch, Epoch(number(epoch)?), line),
            ["active", leader] => once(&mut self.state, State::Active { leader: MemberName::new(leader)? }, line),
            [state @ ("electing" | "forcing"), candidate] => {
                let (candidate, is_forced) = (MemberName::new(candidate)?, state == "forcing");
                once(&mut self.state, State::Electing { candidate, is_forced }, line)
            }
            ["multi", since] => once(&mut self.state, State::Multi { since: Epoch(number(since)?) }, line),
            ["leads", member, epoch] if self.leads.len() < GROUP_MEMBERS_MAX => {
                self.leads.push(Lead { member: MemberName::new(member)?, epoch: Epoch(number(epoch)?) });
                Ok(())
            }
            ["led", epoch] => once(&mut self.led, Epoch(number(epoch)?), line),
            ["quorum", quorum] => {
                once(&mut self.quorum, usize::try_from(number(quorum)?).map_err(|_| odd(line))?, line)
            }
            ["voter", name, "priority", priority, "at", address] => {
                self.member(name, Role::Voter { priority: number(priority)? }, address)
            }
            ["observer", name, "delay_ms", delay_ms, "at", address] => {
                self.member(name, Role::Observer { delay_ms: number(delay_ms)?, via: None }, address)
            }
            ["observer", name, "delay_ms", delay_ms, "via", via, "at", address] => {
                let via = Some(MemberName::new(via)?);
                self.member(name, Role::Observer { delay_ms: number(delay_ms)?, via }, address)
            }
            ["joined", voter] if self.joined.len() < GROUP_MEMBERS_MAX => {
                self.joined.push(MemberName::new(voter)?);
                Ok(())
            }
            ["sealed", epoch, length] => {
                let (epoch, length) = (Epoch(number(epoch)?), Lsn(number(length)?));
                let is_next = self.sealed.epochs().last().is_none_or(|(last, _)| last < epoch);
                if !is_next || length == Lsn(0) || self.sealed.logs() >= FRONTIER_LOGS_MAX {
                    return Err(odd(line));
                }
                self.sealed.advance_epoch(epoch, length);
                Ok(())
            }
            ["loss", epoch, "after", lsn, "unix_ms", unix_ms] if self.losses.len() < LOSS_WINDOWS_MAX => {
                let (epoch, after) = (Epoch(number(epoch)?), Lsn(number(lsn)?));
                self.losses.push(LossWindow { epoch, after, unix_ms: number(unix_ms)? });
                Ok(())
            }
            _ => Err(odd(line)),
        }
    }

    fn member(&mut self, name: &str, role: Role, address: &str) -> Result<(), Error> {
        if self.members.len() >= GROUP_MEMBERS_MAX {
            return Err(Error::too_large("the number of members", self.members.len() + 1, GROUP_MEMBERS_MAX));
        }
        self.members.push(Member { name: MemberName::new(name)?, role, address: address.into() });
        Ok(())
    }

    fn finish(self) -> Result<Record, Error> {
        let missing = |what: &str| Error::malformed(format!("the group's record names no {what}"));
        Ok(Record {
            generation: self.generation.ok_or_else(|| missing("generation"))?,
            epoch: self.epoch.filter(|epoch| (1..=EPOCH_MAX).contains(&epoch.0)).ok_or_else(|| missing("epoch"))?,
            state: self.state.ok_or_else(|| missing("leader or candidate"))?,
            led: self.led.ok_or_else(|| missing("epoch that had a leader"))?,
            leads: self.leads,
            quorum: self.quorum.ok_or_else(|| missing("quorum"))?,
            members: self.members,
            joined: self.joined,
            sealed: self.sealed,
            losses: self.losses,
        })
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn once<T>(place: &mut Option<T>, value: T, line: &str) -> Result<(), Error> {
    if place.replace(value).is_some() {
        return Err(Error::malformed(format!("the group's record says twice what {line:?} says")));
    }
    Ok(())
}

// No sign, no leading zero: one value has one text.
fn number(text: &str) -> Result<u64, Error> {
    let is_plain = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| is_plain).ok_or_else(|| odd(text))
}

fn hex(text: &str) -> Result<u64, Error> {
    let is_plain = text.len() == 16 && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    u64::from_str_radix(text, 16).ok().filter(|_| is_plain).ok_or_else(|| odd(text))
}

fn odd(text: &str) -> Error {
    let cut: String = text.chars().take(80).collect();
    Error::malformed(format!(
        "the group's record has {cut:?}, which this node does not understand; update the older one"
    ))
}
