//! After the faults: everything is repaired, and everything must come to rest, soon and equal; once more from what is
//! stored alone; and then, without clients, be silent.

use super::world::World;
use headwater_core::replica::Input;
use headwater_core::session::Consistency;

/// How long the group may take to come to rest.
const REST_MS_MAX: u64 = 180_000;
const LOOK_EVERY_MS: u64 = 1_000;
/// How long a session may take to read what it may, once everything is at rest.
const READ_MS: u64 = 60_000;
/// How long after its last client a group may be busy, and for how long it is listened to then.
const WIND_DOWN_MS: u64 = 120_000;
const SILENCE_MS: u64 = 60_000;

impl World {
    /// Lets the plan happen, then heals and demands that every promise is kept.
    pub fn run(&mut self) {
        self.run_until(self.plan.heal_at);
        if self.violation.is_some() {
            return;
        }
        self.heal();
        self.come_to_rest("after healing");
        self.read_everywhere();
        if self.violation.is_some() {
            return;
        }
        self.note(|| "== everything is restarted".into());
        for client in 0..self.clients.len() {
            self.kill_client(client);
            self.open_client(client);
        }
        for member in 0..self.members.len() {
            self.kill(member, 10);
        }
        self.come_to_rest("after a restart of everything");
        self.check_survival();
        self.fall_silent();
    }

    fn heal(&mut self) {
        self.is_healing = true;
        self.note(|| "== healing".into());
        self.calls.heal();
        self.lease.down_until = 0;
        self.lease.mute_until = 0;
        self.unstall_all();
        for member in 0..self.members.len() {
            self.disk_well(member);
            self.members[member].lease_cut_until = 0;
            self.members[member].is_sleepy = false;
            self.members[member].frozen_until = self.now;
            self.thaw(member);
            self.start(member);
        }
        for client in 0..self.clients.len() {
            self.clients[client].drive.disk.slowness = 1;
            self.feed_client(client, Input::Pause { is_paused: false });
        }
    }

    fn come_to_rest(&mut self, when: &str) {
        let end = self.now + REST_MS_MAX;
        let mut trouble = None;
        while self.violation.is_none() && self.now < end {
            self.run_until(self.now + LOOK_EVERY_MS);
            self.check_overdue();
            trouble = self.unrest().map(|text| ("liveness", text));
            trouble = trouble.or_else(|| self.difference().map(|text| ("convergence", text)));
            if trouble.is_none() {
                return;
            }
        }
        if let Some((checker, text)) = trouble {
            self.violate(checker, || format!("{when}: {text}"));
        }
    }

    // Whatever a session's bookmark names is there again, unless a disk took it along: the session may read, anywhere.
    fn read_everywhere(&mut self) {
        self.has_failed_to_read = false;
        for session in 0..self.sessions.len() {
            if self.violation.is_some() {
                return;
            }
            let client = session % self.clients.len();
            self.hop(session, client);
            let is_lost = self.names_lost_writes(session);
            for doc in 0..self.docs.len() {
                if is_lost || !self.read(session, doc, Consistency::Session, READ_MS) {
                    continue;
                }
                let end = self.now + 2 * READ_MS;
                while self.sessions[session].is_busy && self.now < end && self.violation.is_none() {
                    self.run_until(self.now + LOOK_EVERY_MS);
                }
                if self.has_failed_to_read {
                    self.violate("liveness", || format!("session {session} cannot read doc/{doc} though all is well"));
                }
            }
        }
    }

    fn fall_silent(&mut self) {
        if self.violation.is_some() {
            return;
        }
        self.note(|| "== the clients go".into());
        for client in 0..self.clients.len() {
            self.feed_client(client, Input::Pause { is_paused: true });
        }
        self.run_until(self.now + WIND_DOWN_MS);
        let before = self.calls.made();
        self.run_until(self.now + SILENCE_MS);
        self.check_silence(before);
    }
}
