//! How deliberate bugs are done: by what the harness forges, drops and alters on its way to the machines.

use super::bug::Bug;
use super::channel::kind_of;
use super::world::World;
use headwater_core::Frontier;
use headwater_core::replica::PeerFrame;
use headwater_core::wire::{Reader, Writer};

const DOC: usize = 7;
const COMMITTED: u8 = 9;
const ACKED: usize = 10;

impl World {
    /// A message between tabs as it is heard.
    pub(super) fn bug_in_channel(&mut self, bytes: &[u8]) -> Vec<u8> {
        match (self.bug, kind_of(bytes)) {
            (Some(Bug::SettledOnAcked), Some((ACKED, _))) => settled(bytes).unwrap_or_else(|| bytes.to_vec()),
            (Some(Bug::DocReplyEmpty), Some((DOC, _))) => emptied(bytes).unwrap_or_else(|| bytes.to_vec()),
            _ => bytes.to_vec(),
        }
    }

    /// A message between peers as it is heard, if it is.
    pub(super) fn bug_in_peer_frame(&mut self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        if !self.has(Bug::PeerTakesGap) {
            return Some(bytes);
        }
        match PeerFrame::decode(&bytes) {
            Ok(PeerFrame::Writes { .. }) if self.rng.chance(20) => None,
            Ok(PeerFrame::Writes { unix_ms, batch, .. }) => {
                Some(PeerFrame::Writes { prev: headwater_core::Seq(0), unix_ms, batch }.encode())
            }
            _ => Some(bytes),
        }
    }
}

// The version, who sends, and the number.
fn head(input: &mut Reader<'_>) -> Option<Writer> {
    let mut out = Writer::default();
    out.byte(input.byte().ok()?).fixed(input.fixed().ok()?).uint(input.uint().ok()?);
    Some(out)
}

fn settled(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut input = Reader::new(bytes);
    let mut out = head(&mut input)?;
    input.byte().ok()?;
    let (origin, seq) = (input.fixed().ok()?, input.uint().ok()?);
    out.byte(COMMITTED).uint(0).uint(1).fixed(origin).uint(seq);
    Frontier::default().encode(&mut out);
    Some(out.0)
}

fn emptied(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut input = Reader::new(bytes);
    let mut out = head(&mut input)?;
    out.byte(input.byte().ok()?).fixed(input.fixed().ok()?).text(input.text("a name", 1024).ok()?);
    let mut nothing = Writer::default();
    Frontier::default().encode(&mut nothing);
    out.bytes(&nothing.0);
    Some(out.0)
}
