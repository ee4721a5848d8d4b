//! What a node says of itself, as plain JavaScript objects in the shapes of `pkg/src/effects.ts`. Nothing is decided here.

use crate::effect::{Effect, error_to_js};
use headwater_core::frontier::Frontier;
use headwater_core::group::Lead;
use headwater_core::group::record::LossWindow;
use headwater_core::node::{Compacted, Event, GroupStatus, MemberStatus, Status};
use js_sys::Array;
use wasm_bindgen::JsValue;

pub(crate) fn status_to_js(status: &Status) -> JsValue {
    Effect::plain()
        .with("isLoaded", status.is_loaded)
        .with("generation", status.generation.0)
        .with("epoch", status.epoch.0)
        .with("lsn", status.lsn.0)
        .with("connections", status.connections as f64)
        .with("rowsCommitted", status.rows_committed)
        .with("entriesCommitted", status.entries_committed)
        .with("compacted", compacted_to_js(&status.compacted))
        .with_some("failure", status.failure.as_ref().map(error_to_js))
        .with_some("group", status.group.as_ref().map(group_to_js))
        .done()
}

fn compacted_to_js(compacted: &Compacted) -> JsValue {
    Effect::plain()
        .with("folded", frontier_to_js(&compacted.folded))
        .with("trimmed", frontier_to_js(&compacted.trimmed))
        .with("unfoldedEntries", compacted.unfolded_entries as f64)
        .with("folds", compacted.folds as f64)
        .with("squashes", compacted.squashes as f64)
        .with("givenUp", compacted.given_up as f64)
        .done()
}

fn group_to_js(group: &GroupStatus) -> JsValue {
    Effect::plain()
        .with("me", group.me.as_str())
        .with("role", group.role.as_str())
        .with_some("leader", group.leader.as_ref().map(|leader| leader.as_str()))
        .with("promised", group.promised.0 as f64)
        .with("quorum", group.quorum as f64)
        .with("stable", frontier_to_js(&group.stable))
        .with("held", frontier_to_js(&group.held))
        .with("visible", frontier_to_js(&group.visible))
        .with_some("stalenessMs", group.staleness.map(|staleness| staleness.0 as f64))
        .with("isIsolated", group.is_isolated)
        .with("members", group.members.iter().map(member_to_js).collect::<Array>())
        .with("mergedEntries", group.merged_entries as f64)
        .with("elections", group.elections as f64)
        .with("topology", group.topology.as_str())
        .with("leads", leads_to_js(&group.leads))
        .with("losses", group.losses.iter().map(loss_to_js).collect::<Array>())
        .done()
}

fn member_to_js(member: &MemberStatus) -> JsValue {
    Effect::plain()
        .with("name", member.name.as_str())
        .with("isVoter", member.is_voter)
        .with("isConnected", member.is_connected)
        .with("written", frontier_to_js(&member.written))
        .with("durable", frontier_to_js(&member.durable))
        .with("applied", frontier_to_js(&member.applied))
        .with("lagEntries", member.lag_entries as f64)
        .with("lagBytes", member.lag_bytes as f64)
        .with_some("lagMs", member.lag.map(|lag| lag.0 as f64))
        .done()
}

/// `{ [member]: epoch }`.
fn leads_to_js(leads: &[Lead]) -> JsValue {
    leads.iter().fold(Effect::plain(), |all, lead| all.with(lead.member.as_str(), lead.epoch.0 as f64)).done()
}

fn loss_to_js(loss: &LossWindow) -> JsValue {
    Effect::plain()
        .with("epoch", loss.epoch.0 as f64)
        .with("after", loss.after.0 as f64)
        .with("unixMs", loss.unix_ms as f64)
        .done()
}

/// `{ [epoch]: lsn }`.
fn frontier_to_js(frontier: &Frontier) -> JsValue {
    let logs = frontier.epochs();
    logs.fold(Effect::plain(), |logs, (epoch, lsn)| logs.with(&epoch.to_string(), lsn.0 as f64)).done()
}

pub(crate) fn event_to_js(event: Event) -> Effect {
    let named = |name: &str| Effect::new("event").with("event", name);
    match event {
        Event::Role { role, epoch, leader } => named("role")
            .with("role", role.as_str())
            .with("epoch", epoch.0 as f64)
            .with_some("leader", leader.as_ref().map(|leader| leader.as_str())),
        Event::TailMerged { from, epoch, after, entries } => named("tail-merged")
            .with("from", from.as_str())
            .with("epoch", epoch.0 as f64)
            .with("after", after.0 as f64)
            .with("entries", entries as f64),
        Event::LossWindow { epoch, after } => {
            named("loss-window").with("epoch", epoch.0 as f64).with("after", after.0 as f64)
        }
        Event::Lag { member, entries, is_alarm } => {
            named("lag").with("of", member.as_str()).with("entries", entries as f64).with("isAlarm", is_alarm)
        }
        Event::Isolated { is_isolated } => named("isolated").with("isIsolated", is_isolated),
    }
}
