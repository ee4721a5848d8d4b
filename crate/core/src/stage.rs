//! How far a write has come, and how much a caller asks for.

use crate::error::Error;

/// The stage of a write. Later stages include the earlier ones, so stages compare.
///
/// `Local` is skipped where storage is memory: such a write goes from `Applied` to `Leader`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// In the local document, nowhere else.
    #[default]
    Applied,
    /// In the local storage, flushed to the device.
    Local,
    /// Committed by the leader.
    Leader,
    /// Committed by a quorum of the voters.
    Quorum,
    /// Applied by every member that is configured as required.
    All,
}

impl Stage {
    /// Every stage in order.
    pub const ALL: [Stage; 5] = [Stage::Applied, Stage::Local, Stage::Leader, Stage::Quorum, Stage::All];

    /// The stage as users meet it.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Applied => "applied",
            Stage::Local => "local",
            Stage::Leader => "leader",
            Stage::Quorum => "quorum",
            Stage::All => "all",
        }
    }

    /// Reads what users write.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str() == text)
            .ok_or_else(|| Error::malformed(format!("{text:?} is no stage; use applied, local, leader, quorum or all")))
    }

    pub(crate) fn to_byte(self) -> u8 {
        Self::ALL.iter().position(|stage| *stage == self).expect("ALL names every stage") as u8
    }

    pub(crate) fn from_byte(byte: u8) -> Result<Self, Error> {
        Self::ALL
            .get(usize::from(byte))
            .copied()
            .ok_or_else(|| Error::malformed(format!("stage byte {byte} is unknown")))
    }
}
