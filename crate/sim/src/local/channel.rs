//! What a browser gives the tabs of a device: a channel, a lock, and news of their ends.

use super::coverage::Moment;
use super::world::{Event, World};
use headwater_core::Origin;
use headwater_core::replica::Input;
use headwater_core::wire::Reader;

const KINDS: [&str; 26] = [
    "hello",
    "bye",
    "writes",
    "stored",
    "undone",
    "want",
    "unwant",
    "doc",
    "updates",
    "committed",
    "acked",
    "rejected",
    "state",
    "held",
    "ask",
    "answer",
    "pause",
    "ping",
    "pong",
    "signal",
    "signalled",
    "retained",
    "nudge",
    "peer-doc",
    "peer-stored",
    "settled",
];

/// What kind of message it is, by its number in the channel's format.
pub fn kind_of(bytes: &[u8]) -> Option<(usize, &'static str)> {
    let mut input = Reader::new(bytes);
    let kind = input.byte().and_then(|_| input.fixed()).and_then(|_| input.uint()).and_then(|_| input.byte()).ok()?;
    Some((usize::from(kind), KINDS.get(usize::from(kind))?))
}

impl World {
    /// A message goes to all other tabs of the device.
    pub(super) fn tell_tabs(&mut self, tab: usize, bytes: &[u8]) {
        self.trace.event(self.now, "tell", tab as u64, bytes);
        if self.trace.is_verbose() {
            let kind = kind_of(bytes).map_or("?", |(_, kind)| kind);
            self.note(|| format!("tab {tab} tells: {kind} ({} bytes)", bytes.len()));
        }
        for other in self.tabs_of(self.tabs[tab].device) {
            if other == tab {
                continue;
            }
            let bytes = self.bug_in_channel(bytes);
            let at = self.now + self.rng.below(u64::from(self.plan.shape.delay_ms) + 1);
            // A browser has one queue for all of a channel: everybody hears everything in the same order.
            let last = &mut self.tabs[other].channel_at;
            let at = at.max(*last);
            *last = at;
            self.at(at, Event::Feed(other, Input::Tab { bytes }));
        }
    }

    pub(super) fn request_lock(&mut self, tab: usize) {
        let device = &mut self.devices[self.tabs[tab].device];
        if device.holder != Some(tab) && !device.queue.contains(&tab) {
            device.queue.push_back(tab);
        }
        self.give_lock(self.tabs[tab].device);
    }

    fn give_lock(&mut self, device: usize) {
        if self.devices[device].holder.is_some() {
            return;
        }
        let Some(next) = self.devices[device].queue.pop_front() else { return };
        self.devices[device].holder = Some(next);
        self.note(|| format!("tab {next} has the lock"));
        let span = self.rng.below(5);
        self.after(span, Event::Feed(next, Input::Hold));
    }

    pub(super) fn release_lock(&mut self, tab: usize) {
        let device = self.tabs[tab].device;
        self.devices[device].queue.retain(|other| *other != tab);
        if self.devices[device].holder == Some(tab) {
            self.devices[device].holder = None;
            self.give_lock(device);
        }
    }

    pub(super) fn steal_lock(&mut self, tab: usize) {
        let device = self.tabs[tab].device;
        self.note(|| format!("tab {tab} steals the lock"));
        self.coverage.saw(Moment::Stolen);
        self.devices[device].queue.retain(|other| *other != tab);
        let before = self.devices[device].holder.replace(tab);
        if let Some(robbed) = before.filter(|robbed| *robbed != tab) {
            let span = self.rng.below(20);
            self.after(span, Event::Feed(robbed, Input::Unhold));
        }
        let span = self.rng.below(5);
        self.after(span, Event::Feed(tab, Input::Hold));
    }

    pub(super) fn watch(&mut self, tab: usize, origin: Origin) {
        if self.tabs.iter().any(|other| other.is_alive && other.origin == origin) {
            self.tabs[tab].watches.insert(origin);
        } else {
            self.tell_gone(tab, origin);
        }
    }

    pub(super) fn tell_watchers(&mut self, gone: usize) {
        let origin = self.tabs[gone].origin;
        for tab in self.tabs_of(self.tabs[gone].device) {
            if self.tabs[tab].watches.remove(&origin) {
                self.tell_gone(tab, origin);
            }
        }
    }

    fn tell_gone(&mut self, tab: usize, origin: Origin) {
        let span = self.rng.below(60);
        self.after(span, Event::Feed(tab, Input::TabGone { origin }));
    }
}
