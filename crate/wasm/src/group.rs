//! A node's group as its host describes it, checked before a node is made of it. What a group does is the core's.

use crate::host::{malformed, throw};
use headwater_core::group::{GroupConfig, Member, MemberName, Minority, Record, Role, Settings};
use headwater_core::{Error, Generation, Millis};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// What is counted exactly on both sides of the boundary.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;

/// A group under construction: describe every member, then make a node with it.
#[wasm_bindgen]
pub struct Group(GroupConfig);

#[wasm_bindgen]
impl Group {
    /// A group without members yet, as the member `me` sees it. `jitter_seed` is random.
    #[wasm_bindgen(constructor)]
    pub fn new(me: &str, quorum: f64, jitter_seed: u64) -> Result<Group, JsValue> {
        let me = member_name(me)?;
        let quorum = whole("quorum", quorum)? as usize;
        let (members, settings) = (Vec::new(), Settings::default());
        Ok(Self(GroupConfig { me, members, quorum, settings, jitter_seed }))
    }

    /// Adds a member that counts for the quorum; one with the priority zero never leads.
    pub fn voter(&mut self, name: &str, priority: f64, address: &str) -> Result<(), JsValue> {
        let priority = whole("priority", priority)?;
        self.add(name, Role::Voter { priority }, address)
    }

    /// Adds a member that serves reads alone, and what it has received only after `delay_ms`.
    pub fn observer(&mut self, name: &str, delay_ms: f64, address: &str) -> Result<(), JsValue> {
        let delay_ms = whole("delayMs", delay_ms)?;
        self.add(name, Role::Observer { delay_ms }, address)
    }

    /// Changes a span or a limit from its default.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), JsValue> {
        let value = whole(name, value)?;
        let settings = &mut self.0.settings;
        match name {
            "beatMs" => settings.beat = Millis(value),
            "timeoutMs" => settings.timeout = Millis(value),
            "callMs" => settings.call = Millis(value),
            "electionSpanMs" => settings.election_span = Millis(value),
            "maxLag" => settings.lag_entries_max = value,
            "lagAlarm" => settings.lag_alarm_entries = value,
            _ => return Err(malformed(format!("{name:?} is no setting of a group"))),
        }
        Ok(())
    }

    /// Says what to do when cut off: `writable`, `read-only` or `offline`.
    pub fn minority(&mut self, text: &str) -> Result<(), JsValue> {
        let minority = Minority::parse(text);
        self.0.settings.minority = minority.ok_or_else(|| {
            malformed(format!("minority is {text:?}; it can be \"writable\", \"read-only\" or \"offline\""))
        })?;
        Ok(())
    }

    fn add(&mut self, name: &str, role: Role, address: &str) -> Result<(), JsValue> {
        self.0.members.push(Member { name: member_name(name)?, role, address: address.into() });
        Ok(())
    }
}

impl Group {
    /// The configuration, if a group like this can be.
    pub(crate) fn finish(self) -> Result<GroupConfig, JsValue> {
        let Self(config) = self;
        let GroupConfig { me, members, quorum, settings, .. } = &config;
        let nobody_leads = || Error::malformed("no member may lead: give at least one voter a priority above zero");
        let leader = config.first_leader().ok_or_else(nobody_leads).map_err(throw)?;
        // The group's first record: what cannot be written down now would fail on the first day.
        Record::new(Generation(1), leader.clone(), members.clone(), *quorum).map_err(throw)?;
        if !members.iter().any(|member| member.name == *me) {
            return Err(malformed(format!("{me} is no member of its own group")));
        }
        let Settings { beat, timeout, call, election_span, .. } = settings;
        if [beat, timeout, call, election_span].contains(&&Millis(0)) || beat >= timeout {
            return Err(malformed("spans are above zero, and timeoutMs is above beatMs".to_owned()));
        }
        Ok(config)
    }
}

pub(crate) fn member_name(name: &str) -> Result<MemberName, JsValue> {
    MemberName::new(name).map_err(throw)
}

fn whole(name: &str, value: f64) -> Result<u64, JsValue> {
    let is_whole = value.fract() == 0.0 && (0.0..=WHOLE_MAX).contains(&value);
    is_whole.then_some(value as u64).ok_or_else(|| malformed(format!("{name} is {value}; it is a whole number")))
}
