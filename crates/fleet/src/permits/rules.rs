//! How much of a role may be disturbed at once: shares and numbers to whole hosts. It counts, and knows no host.

use std::{collections::BTreeMap, fmt};

use ansai_model::units::Percent;
use ansai_protocol::link::Short;

/// So many hosts, or so many of a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// So many.
    Hosts(u32),
    /// This share of all.
    Percent(Percent),
}

impl Share {
    /// Of so many, rounded up: what must stay.
    #[must_use]
    pub fn at_least(self, all: usize) -> usize {
        match self {
            Self::Hosts(hosts) => hosts as usize,
            Self::Percent(share) => all.saturating_mul(share.hundredths() as usize).div_ceil(10_000),
        }
    }

    /// Of so many, rounded down: what may go.
    #[must_use]
    pub fn at_most(self, all: usize) -> usize {
        match self {
            Self::Hosts(hosts) => hosts as usize,
            Self::Percent(share) => all.saturating_mul(share.hundredths() as usize) / 10_000,
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts(hosts) => write!(f, "{hosts}"),
            Self::Percent(share) => write!(f, "{share}"),
        }
    }
}

/// What holds for one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleRule {
    /// How many of its members must stay healthy.
    pub healthy_min: Share,
    /// Whether more than half of its members must.
    pub is_quorum: bool,
    /// How many members it has; more when more have joined.
    pub members: u32,
    /// How many of them may be disturbed at once; one always may, as far as enough stay healthy.
    pub disturbed_max: Share,
}

impl RoleRule {
    /// How many of so many must stay healthy.
    #[must_use]
    pub fn healthy_min(&self, members: usize) -> usize {
        match self.is_quorum {
            true => members / 2 + 1,
            false => self.healthy_min.at_least(members),
        }
    }
}

impl Default for RoleRule {
    fn default() -> Self {
        Self {
            healthy_min: Share::Percent(Percent::of(50, 100)),
            is_quorum: false,
            members: 0,
            disturbed_max: Share::Percent(Percent::of(10, 100)),
        }
    }
}

/// What holds for the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermitRules {
    /// Roles by their names; of another one what holds by itself.
    pub roles: BTreeMap<Short, RoleRule>,
    /// How many of the hosts without a role may be disturbed at once; one always may.
    pub disturbed_max: Share,
}

impl Default for PermitRules {
    fn default() -> Self {
        Self { roles: BTreeMap::new(), disturbed_max: RoleRule::default().disturbed_max }
    }
}

impl PermitRules {
    /// What holds for a role.
    #[must_use]
    pub fn of(&self, role: &Short) -> RoleRule {
        self.roles.get(role).copied().unwrap_or_default()
    }
}

/// One always may be, and no more than the share.
pub(crate) fn disturbed_max(share: Share, all: usize) -> usize {
    share.at_most(all).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_stay_rounds_up_and_what_may_go_rounds_down() {
        let percent = |share| Share::Percent(Percent::of(share, 100));
        for (share, all, stay, go) in [
            (percent(70), 10, 7, 7),
            (percent(70), 3, 3, 2),
            (percent(50), 3, 2, 1),
            (percent(10), 9, 1, 0),
            (percent(100), 4, 4, 4),
            (percent(0), 4, 0, 0),
            (Share::Hosts(2), 10, 2, 2),
        ] {
            assert_eq!((share.at_least(all), share.at_most(all)), (stay, go), "{share} of {all}");
        }
        assert_eq!(disturbed_max(percent(10), 9), 1, "one may always go");
    }

    #[test]
    fn a_quorum_is_more_than_half_of_all_members() {
        let rule = RoleRule { is_quorum: true, ..RoleRule::default() };
        for (members, needed) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)] {
            assert_eq!(rule.healthy_min(members), needed, "of {members}");
        }
    }
}
