//! Messages to other clients of the node, and from them. They are no part of replication: one that cannot be sent now is
//! dropped, and whoever sends such messages repeats them.

use super::tabs::{TabFrame, TabRole};
use super::{Output, Replica};
use crate::frame::ClientFrame;
use crate::ids::Origin;
use crate::limits::SIGNAL_BYTES_MAX;

impl Replica {
    pub(super) fn signal(&mut self, to: Origin, bytes: Vec<u8>) {
        if self.tabs.role() == TabRole::Member {
            return self.tell_tabs(TabFrame::Signal { to, bytes });
        }
        if self.link.is_greeted() && bytes.len() <= SIGNAL_BYTES_MAX {
            // Nothing answers it, so it is no reason to ask for a sign of life.
            self.outputs.push_back(Output::Send { bytes: ClientFrame::Signal { to, bytes }.encode() });
        }
    }

    pub(super) fn signalled(&mut self, from: Origin, bytes: Vec<u8>) {
        // All tabs share one address: whom it is for, the message says.
        self.tell_others(|| TabFrame::Signalled { from, bytes: bytes.clone() });
        self.outputs.push_back(Output::Signalled { from, bytes });
    }
}
