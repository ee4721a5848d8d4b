//! A replica whose nodes are played by the test, frame by frame: for what no node of a `World` does.

use super::host::GENERATION;
use super::{Client, Disk, doc, part};
use headwater_core::error::{Code, Error};
use headwater_core::frame::{ClientFrame, Extensions, NodeFrame};
use headwater_core::replica::{Input, Wait};
use headwater_core::session::Consistency;
use headwater_core::{Batch, Epoch, Frontier, Lsn, Millis, Origin, Seq, Stage, Write};

pub struct Line {
    pub client: Client,
    pub now: Millis,
    waits: u64,
}

/// A frontier of leaders' logs.
pub fn at(logs: &[(u64, u64)]) -> Frontier {
    let mut frontier = Frontier::default();
    logs.iter().for_each(|(epoch, lsn)| frontier.advance_epoch(Epoch(*epoch), Lsn(*lsn)));
    frontier
}

/// What a node sends of one document.
pub fn entries(group: u64, (epoch, through): (u64, u64), name: &str, updates: &[&str]) -> NodeFrame {
    let write = |(place, update): (usize, &&str)| Write {
        origin: Origin(0xbeef),
        seq: Seq(place as u64 + 1),
        parts: vec![part(name, update)],
    };
    let writes = updates.iter().enumerate().map(write).collect();
    NodeFrame::Entries { group, epoch: Epoch(epoch), through: Lsn(through), batch: Batch { writes } }
}

impl Line {
    /// A replica that has opened these documents and wants to connect.
    pub fn new(docs: &[&str]) -> Self {
        Self::on(Disk::default(), 0xa1, docs)
    }

    pub fn on(disk: Disk, origin: u64, docs: &[&str]) -> Self {
        let now = Millis(1000);
        let mut line = Self { client: Client::new(disk, Origin(origin), now), now, waits: 0 };
        docs.iter().for_each(|name| line.client.open(doc(name), now));
        line
    }

    /// The socket opens, and a node of a group of three welcomes the replica. What it then says is answered.
    pub fn welcome(&mut self, epoch: u64, frontier: &[(u64, u64)]) -> Vec<ClientFrame> {
        self.welcome_with(epoch, frontier, Vec::new())
    }

    pub fn welcome_with(&mut self, epoch: u64, frontier: &[(u64, u64)], extensions: Extensions) -> Vec<ClientFrame> {
        self.greet();
        self.hear(NodeFrame::Welcome {
            version: 1,
            generation: GENERATION,
            epoch: Epoch(epoch),
            frontier: at(frontier),
            voters: 3,
            extensions,
        })
    }

    /// The socket opens.
    pub fn greet(&mut self) {
        self.wait_for_attempt();
        self.client.wants_connect = false;
        self.client.up.clear();
        self.client.handle(Input::Connected, self.now);
        let hello = self.said();
        assert!(matches!(hello[..], [ClientFrame::Hello { .. }]), "{hello:?}");
    }

    /// Time passes until the replica wants a socket; how much.
    pub fn wait_for_attempt(&mut self) -> u64 {
        let begin = self.now;
        while !self.client.wants_connect {
            self.now = self.client.replica.next_timeout().expect("the replica tries again").max(self.now);
            self.client.handle(Input::Tick, self.now);
            self.client.drain(self.now);
        }
        self.now.since(begin).0
    }

    /// A frame arrives; what the replica says then.
    pub fn hear(&mut self, frame: NodeFrame) -> Vec<ClientFrame> {
        self.client.handle(Input::Frame { bytes: frame.encode() }, self.now);
        self.said()
    }

    /// What the replica has to say.
    pub fn said(&mut self) -> Vec<ClientFrame> {
        self.client.drain(self.now);
        let frames = std::mem::take(&mut self.client.up);
        frames.iter().map(|bytes| ClientFrame::decode(bytes).expect("a replica sends what decodes")).collect()
    }

    /// The socket breaks.
    pub fn cut(&mut self) {
        self.client.handle(Input::Disconnected, self.now);
        self.client.drain(self.now);
    }

    /// The node refuses, and closes.
    pub fn refuse(&mut self, code: Code) {
        self.hear(NodeFrame::Error { error: Error::new(code, "told"), retry_after_ms: 0 });
        self.cut();
    }

    pub fn write(&mut self, name: &str, update: &str) -> Seq {
        self.client.write(vec![part(name, update)], self.now)
    }

    pub fn ack(&mut self, seq: Seq, stage: Stage, (epoch, lsn): (u64, u64), through: u64) -> Vec<ClientFrame> {
        let (origin, epoch, lsn, through) = (self.client.origin, Epoch(epoch), Lsn(lsn), Lsn(through));
        self.hear(NodeFrame::Ack { origin, seq, stage, epoch, lsn, through })
    }

    pub fn stage(&self, seq: Seq) -> Result<Stage, Code> {
        self.client.replica.stage(self.client.origin, seq).map_err(|error| error.code)
    }

    /// What a fresh session's bookmark names: the logs, and the writes that have no place.
    pub fn bookmark(&mut self) -> (Vec<(u64, u64)>, Vec<u64>) {
        let session = self.client.replica.begin_session(None);
        let frontier = self.client.replica.bookmark(session).expect("the session is there").frontier;
        let logs = frontier.epochs().map(|(epoch, lsn)| (epoch.0, lsn.0)).collect();
        (logs, frontier.origins().map(|(_, seq)| seq.0).collect())
    }

    pub fn wait(&mut self, wait: Wait) -> u64 {
        self.waits += 1;
        self.client.handle(Input::Wait { id: self.waits, wait, timeout: Millis(60_000) }, self.now);
        self.waits
    }

    pub fn wait_stage(&mut self, seq: Seq, stage: Stage) -> u64 {
        self.wait(Wait::Stage { origin: self.client.origin, seq, stage })
    }

    pub fn wait_read(&mut self, session: u64, name: &str, consistency: Consistency) -> u64 {
        self.wait(Wait::Read { session, doc: doc(name), consistency })
    }

    /// How a wait ended, if it has.
    pub fn done(&mut self, wait: u64) -> Option<Result<(), Code>> {
        self.client.drain(self.now);
        self.client.done.get(&wait).map(|result| result.clone().map_err(|error| error.code))
    }
}
