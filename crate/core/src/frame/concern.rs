//! A write concern on the wire: a byte that says which, then what it needs. Whether a group can meet it is the node's
//! matter; here only what no group could ever meet is refused.

use crate::error::Error;
use crate::group::{Concern, MemberName};
use crate::limits::{GROUP_MEMBERS_MAX, MEMBER_NAME_BYTES_MAX};
use crate::wire::{Reader, Writer};

pub(super) fn encode(out: &mut Writer, concern: &Concern) {
    match concern {
        Concern::Leader => out.byte(0),
        Concern::Quorum => out.byte(1),
        Concern::All => out.byte(2),
        Concern::Count(n) => out.byte(3).uint(*n as u64),
        Concern::Any { names, n } => encode_names(out.byte(4), names).uint(*n as u64),
        Concern::First { names, n } => encode_names(out.byte(5), names).uint(*n as u64),
    };
}

pub(super) fn decode(input: &mut Reader<'_>) -> Result<Concern, Error> {
    Ok(match input.byte()? {
        0 => Concern::Leader,
        1 => Concern::Quorum,
        2 => Concern::All,
        3 => Concern::Count(decode_n(input, GROUP_MEMBERS_MAX)?),
        kind @ (4 | 5) => {
            let names = decode_names(input)?;
            let n = decode_n(input, names.len())?;
            if kind == 4 { Concern::Any { names, n } } else { Concern::First { names, n } }
        }
        kind => return Err(Error::malformed(format!("concern {kind} is unknown"))),
    })
}

fn encode_names<'a>(out: &'a mut Writer, names: &[MemberName]) -> &'a mut Writer {
    let out = out.uint(names.len() as u64);
    names.iter().fold(out, |out, name| out.text(name.as_str()))
}

fn decode_names(input: &mut Reader<'_>) -> Result<Vec<MemberName>, Error> {
    let count = input.count("members that a concern names", GROUP_MEMBERS_MAX)?;
    (0..count).map(|_| MemberName::new(input.text("a member's name", MEMBER_NAME_BYTES_MAX)?)).collect()
}

fn decode_n(input: &mut Reader<'_>, of: usize) -> Result<usize, Error> {
    let n = input.uint()?;
    match usize::try_from(n) {
        Ok(n) if (1..=of).contains(&n) => Ok(n),
        _ => Err(Error::malformed(format!("a concern of {n} cannot be met by {of} members"))),
    }
}
