//! The capabilities that grants cannot be used without.

use crate::policy::{Access, NetAccess, Policy};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A capability that a worker keeps, where whoever started it has it. All others are dropped: a worker that root started
/// may do no more than root's files let it. (So it reads what root owns or everybody may read, and no longer what only its
/// owner may; hand over an open `File` instead.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Capability {
    /// `CAP_MKNOD`, for `fs(make_char = ...)` and `fs(make_block = ...)`.
    Mknod,
    /// `CAP_NET_BIND_SERVICE`, for `tcp_bind` and `udp_bind` of ports below 1024.
    NetBindService,
}

/// The kernel's name.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Capability::Mknod => "CAP_MKNOD",
            Capability::NetBindService => "CAP_NET_BIND_SERVICE",
        })
    }
}

impl Capability {
    pub(super) fn needed_by(policy: &Policy) -> Vec<Capability> {
        let makes_devices = policy.names_right(Access::MAKE_CHAR) || policy.names_right(Access::MAKE_BLOCK);
        let binds_low = policy.ports.iter().any(|grant| {
            let binds = matches!(grant.access, NetAccess::BindTcp | NetAccess::BindUdp);
            binds && *grant.ports.start() < 1024 && *grant.ports.end() > 0
        });
        let needed = [(makes_devices, Capability::Mknod), (binds_low, Capability::NetBindService)];
        needed.into_iter().filter(|(is_needed, _)| *is_needed).map(|(_, capability)| capability).collect()
    }
}
