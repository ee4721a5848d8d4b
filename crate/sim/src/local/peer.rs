//! Links between devices: a port in a tab at each end, with messages in order, until it breaks.

use super::coverage::Moment;
use super::world::{Event, World};
use headwater_core::Error;
use headwater_core::replica::{Input, PeerFrame};

/// A link. The port at each end has the number of the link.
#[derive(Debug)]
pub struct Link {
    /// The tabs.
    pub ends: [usize; 2],
    /// Whether messages pass.
    pub is_up: bool,
    /// Whether the end still believes in it.
    pub is_open: [bool; 2],
    /// When the last message reaches each end.
    last_at: [u64; 2],
}

impl World {
    /// Pairs of devices that may be linked.
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        let all = (1..self.devices.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let is_meant = |(at, _): &(usize, (usize, usize))| self.plan.shape.links >> at & 1 == 1;
        all.enumerate().filter(is_meant).map(|(_, pair)| pair).collect()
    }

    /// Whether two devices have a link.
    pub fn is_linked(&self, a: usize, b: usize) -> bool {
        let device = |link: &Link, end: usize| self.tabs[link.ends[end]].device;
        let are_they = |link: &&Link| (device(link, 0), device(link, 1)) == (a, b) && link.is_up;
        self.links.iter().any(|link| are_they(&link))
    }

    /// Links two tabs.
    pub fn link(&mut self, a: usize, b: usize) {
        let link = self.links.len();
        let devices = (self.tabs[a].device, self.tabs[b].device);
        let is_again =
            self.links.iter().any(|link| (self.tabs[link.ends[0]].device, self.tabs[link.ends[1]].device) == devices);
        self.coverage.saw(if is_again { Moment::LinkedAgain } else { Moment::Linked });
        self.note(|| format!("link {link} between tab {a} and tab {b}"));
        self.links.push(Link { ends: [a, b], is_up: true, is_open: [true; 2], last_at: [self.now; 2] });
        for (end, tab) in [a, b].into_iter().enumerate() {
            let span = self.message_delay();
            self.links[link].last_at[end] = self.now + span;
            let needs_approval = self.rng.chance(20);
            let peer = link as u64;
            self.after(span, Event::Feed(tab, Input::PeerOpened { peer, token: None, needs_approval }));
        }
    }

    pub(super) fn send_peer(&mut self, tab: usize, peer: u64, bytes: Vec<u8>) {
        let link = peer as usize;
        let end = usize::from(self.links[link].ends[0] == tab);
        if !self.links[link].is_up {
            return;
        }
        let Some(bytes) = self.bug_in_peer_frame(bytes) else { return };
        self.trace.event(self.now, "peer", peer << 1 | end as u64, &bytes);
        if self.trace.is_verbose() {
            let text = PeerFrame::decode(&bytes).map_or_else(|error| error.to_string(), |frame| format!("{frame:?}"));
            let text: String = text.chars().take(200).collect();
            self.note(|| format!("tab {tab} says by link {link}: {text}"));
        }
        let at = self.now + self.message_delay();
        let at = at.max(self.links[link].last_at[end]);
        self.links[link].last_at[end] = at;
        self.at(at, Event::Peer(link, end, bytes));
    }

    pub(super) fn deliver_to_peer(&mut self, link: usize, end: usize, bytes: Vec<u8>) {
        if !self.links[link].is_up {
            return self.coverage.saw(Moment::PeerFrameLost);
        }
        if self.links[link].is_open[end] {
            let tab = self.links[link].ends[end];
            self.feed(tab, Input::PeerFrame { peer: link as u64, bytes });
        }
    }

    /// A replica gives a link up; the other end hears of it after what was sent before.
    pub(super) fn close_peer(&mut self, tab: usize, peer: u64, error: Option<Error>) {
        let link = peer as usize;
        let end = usize::from(self.links[link].ends[1] == tab);
        self.links[link].is_open[end] = false;
        self.note(|| format!("tab {tab} gives link {link} up: {error:?}"));
        if let Some(error) = error {
            self.check_given_up(tab, link, &error);
        }
        let at = self.links[link].last_at[1 - end].max(self.now);
        self.at(at, Event::Parted(link, 1 - end));
    }

    /// A link breaks; what is on its way is lost, and each end hears of it in its own time.
    pub fn part(&mut self, link: usize) {
        if std::mem::replace(&mut self.links[link].is_up, false) {
            self.note(|| format!("link {link} breaks"));
            for end in 0..2 {
                let span = self.rng.below(1_000);
                self.after(span, Event::Parted(link, end));
            }
        }
    }

    pub(super) fn parted(&mut self, link: usize, end: usize) {
        self.links[link].is_up = false;
        if std::mem::replace(&mut self.links[link].is_open[end], false) {
            let tab = self.links[link].ends[end];
            self.feed(tab, Input::PeerClosed { peer: link as u64 });
        }
    }

    pub(super) fn part_all(&mut self, tab: usize) {
        for link in 0..self.links.len() {
            if self.links[link].ends.contains(&tab) {
                self.part(link);
            }
        }
    }
}
