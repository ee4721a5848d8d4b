//! A node's group as its host describes it, one fact on each line, as in the group's record. What a group does is the
//! core's matter.
//!
//! ```text
//! me paris
//! jitter 9112233445566778899
//! quorum 2
//! voter paris priority 2 at http://paris:8787
//! observer archive delay_ms 3600000 at http://archive:8787
//! observer reports delay_ms 0 via tokyo at http://reports:8787
//! beatMs 400
//! minority read-only
//! ```

use headwater_core::group::{GroupConfig, Member, MemberName, Minority, Record, Role, Settings, Topology};
use headwater_core::{Error, Generation, Millis};

/// Reads it, and refuses groups that cannot be.
pub(crate) fn parse(text: &str) -> Result<GroupConfig, Error> {
    let (mut me, mut jitter_seed, mut quorum) = (None, 0, 0);
    let (mut members, mut settings) = (Vec::new(), Settings::default());
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["me", name] => me = Some(MemberName::new(name)?),
            ["jitter", seed] => jitter_seed = number(seed)?,
            ["quorum", voters] => quorum = usize::try_from(number(voters)?).unwrap_or(usize::MAX),
            ["voter", name, "priority", priority, "at", address] => {
                members.push(member(name, Role::Voter { priority: number(priority)? }, address)?);
            }
            ["observer", name, "delay_ms", delay_ms, "at", address] => {
                members.push(member(name, Role::Observer { delay_ms: number(delay_ms)?, via: None }, address)?);
            }
            ["observer", name, "delay_ms", delay_ms, "via", via, "at", address] => {
                let via = Some(MemberName::new(via)?);
                members.push(member(name, Role::Observer { delay_ms: number(delay_ms)?, via }, address)?);
            }
            [name, value] => set(&mut settings, name, value)?,
            _ => return Err(Error::malformed(format!("{line:?} says nothing of a group"))),
        }
    }
    let me = me.ok_or_else(|| Error::malformed("the group does not say which member this one is"))?;
    check(GroupConfig { me, members, quorum, settings, jitter_seed })
}

fn set(settings: &mut Settings, name: &str, value: &str) -> Result<(), Error> {
    match name {
        "beatMs" => settings.beat = Millis(number(value)?),
        "timeoutMs" => settings.timeout = Millis(number(value)?),
        "callMs" => settings.call = Millis(number(value)?),
        "electionSpanMs" => settings.election_span = Millis(number(value)?),
        "maxLag" => settings.lag_entries_max = number(value)?,
        "lagAlarm" => settings.lag_alarm_entries = number(value)?,
        "topology" => settings.topology = Topology::parse(value).ok_or_else(|| odd(value))?,
        "minority" => settings.minority = Minority::parse(value).ok_or_else(|| odd(value))?,
        _ => return Err(Error::malformed(format!("{name:?} is no setting of a group"))),
    }
    Ok(())
}

fn check(config: GroupConfig) -> Result<GroupConfig, Error> {
    let leader = config.first_leader().cloned();
    let leader =
        leader.ok_or_else(|| Error::malformed("no member may lead: give at least one voter a priority above zero"))?;
    // The group's first record: what cannot be written down now would fail on the first day.
    Record::new(Generation(1), leader, config.members.clone(), config.quorum)?;
    if !config.members.iter().any(|member| member.name == config.me) {
        return Err(Error::malformed(format!("{} is no member of its own group", config.me)));
    }
    let Settings { beat, timeout, call, election_span, .. } = config.settings;
    if [beat, call, election_span].contains(&Millis(0)) || beat >= timeout {
        return Err(Error::malformed(format!(
            "spans are above zero, and timeoutMs, which is {timeout}, is above beatMs, which is {beat}"
        )));
    }
    Ok(config)
}

fn member(name: &str, role: Role, address: &str) -> Result<Member, Error> {
    Ok(Member { name: MemberName::new(name)?, role, address: address.into() })
}

fn number(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| odd(text))
}

fn odd(text: &str) -> Error {
    Error::malformed(format!("a group cannot be described with {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "me b\njitter 18446744073709551615\nquorum 2\nvoter a priority 2 at http://a\n\
        voter b priority 1 at http://b\nobserver c delay_ms 60000 at http://c\n\
        observer d delay_ms 0 via c at http://d\n";

    #[test]
    fn a_group_is_read_line_by_line() {
        let config = parse(&format!("{GROUP}beatMs 100\nmaxLag 7\nminority read-only\ntopology multi-leader")).unwrap();
        assert_eq!((config.me.as_str(), config.quorum, config.jitter_seed), ("b", 2, u64::MAX));
        assert_eq!(config.first_leader().unwrap().as_str(), "a");
        assert_eq!(config.members[2].role, Role::Observer { delay_ms: 60_000, via: None });
        assert_eq!(config.members[3].role, Role::Observer { delay_ms: 0, via: Some(config.members[2].name.clone()) });
        let changed = Settings {
            beat: Millis(100),
            lag_entries_max: 7,
            minority: Minority::ReadOnly,
            topology: Topology::MultiLeader,
            ..Settings::default()
        };
        assert_eq!(config.settings, changed);
    }

    #[test]
    fn groups_that_cannot_be_are_refused() {
        let broken = [
            ("me b", "me x"),
            ("via c", "via x"),
            ("me b\n", ""),
            ("quorum 2", "quorum 3"),
            ("quorum 2", "quorum 99999999999999999999999"),
            ("voter b", "voter a"),
            ("voter b", "voter B"),
            ("http://b", "http://b c"),
            ("jitter", "jitters"),
        ];
        for (from, to) in broken {
            assert!(parse(&GROUP.replace(from, to)).is_err(), "{from:?} became {to:?}");
        }
        for line in ["beatMs 1500", "beatMs 0", "callMs x", "minority gone", "topology ring", "lag 1"] {
            assert!(parse(&format!("{GROUP}{line}")).is_err(), "{line:?}");
        }
        assert!(parse(&GROUP.replace("priority 2", "priority 0").replace("priority 1", "priority 0")).is_err());
    }
}
