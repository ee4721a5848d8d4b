//! Who a welcome comes from: two extensions that a node of a group adds. They are only shown, so what does not read is
//! passed over like a tag that is not known.

use super::Extensions;
use crate::group::MemberName;
use crate::node::RoleName;

const ROLE: u64 = 1;
const MEMBER: u64 = 2;

/// What a node says of itself in a welcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// What it is in its group.
    pub role: Option<RoleName>,
    /// Its name there.
    pub member: Option<MemberName>,
}

impl Served {
    /// The extensions that say so.
    pub fn to_extensions(&self) -> Extensions {
        let role = self.role.map(|role| (ROLE, vec![byte_of(role)]));
        let member = self.member.as_ref().map(|name| (MEMBER, name.as_str().as_bytes().to_vec()));
        role.into_iter().chain(member).collect()
    }

    /// What the extensions of a welcome say; of a tag that comes twice, the first.
    pub fn of(extensions: &Extensions) -> Self {
        let value = |tag| extensions.iter().find(|(other, _)| *other == tag).map(|(_, value)| value.as_slice());
        let role = value(ROLE).and_then(|value| ROLES.into_iter().find(|role| value == [byte_of(*role)]));
        let name = value(MEMBER).and_then(|value| std::str::from_utf8(value).ok());
        Self { role, member: name.and_then(|name| MemberName::new(name).ok()) }
    }
}

const ROLES: [RoleName; 3] = [RoleName::Leader, RoleName::Follower, RoleName::Candidate];

fn byte_of(role: RoleName) -> u8 {
    match role {
        RoleName::Leader => 1,
        RoleName::Follower => 2,
        RoleName::Candidate => 3,
    }
}
