//! A disk and what is on its way to it: commits land in order, questions are answered in order.

use crate::disk::Disk;
use headwater_core::Token;
use headwater_core::store::StoreOp;
use std::collections::VecDeque;

type Commit = (Token, Vec<StoreOp>);

/// A disk with its queue.
#[derive(Debug)]
pub struct Drive {
    /// What has landed.
    pub disk: Disk,
    commits: VecDeque<Commit>,
    lands_at: u64,
    scans_at: u64,
    tells_at: u64,
    /// Whether a commit failed: nothing after it lands, until another process takes over.
    pub has_failed: bool,
}

impl Drive {
    /// An empty disk.
    pub fn new() -> Self {
        Self { disk: Disk::new(), commits: VecDeque::new(), lands_at: 0, scans_at: 0, tells_at: 0, has_failed: false }
    }

    /// Takes a commit that would be done at `at` if nothing was before it; when it lands.
    pub fn begin(&mut self, token: Token, ops: Vec<StoreOp>, at: u64) -> u64 {
        self.commits.push_back((token, ops));
        self.lands_at = self.lands_at.max(at);
        self.lands_at
    }

    /// The oldest commit lands.
    pub fn land_next(&mut self) -> Option<Commit> {
        let commit = self.commits.pop_front()?;
        self.disk.land(&commit.1);
        Some(commit)
    }

    /// Takes a question that would be answered at `at`; when it is.
    pub fn ask(&mut self, at: u64) -> u64 {
        self.scans_at = self.scans_at.max(at);
        self.scans_at
    }

    /// Takes the news of a commit that would be told at `at`; when it is: in the order of the commits.
    pub fn tell(&mut self, at: u64) -> u64 {
        self.tells_at = self.tells_at.max(at);
        self.tells_at
    }

    /// How many commits are on their way.
    pub fn in_flight(&self) -> usize {
        self.commits.len()
    }

    /// The process is gone: what is on its way does not land.
    pub fn crash(&mut self) {
        self.commits.clear();
        self.has_failed = false;
    }
}
