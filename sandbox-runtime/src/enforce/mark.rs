//! How a thread learns that it is in a sandbox of ours: it asks the kernel.
//!
//! Each filter refuses one option of `prctl(2)` that no kernel knows: without it the answer is `EINVAL`, under
//! it `EACCES`. Threads and programs started inside inherit the filter, and with it the answer, where a
//! thread-local flag would be lost and a domain of Landlock cannot be seen.

use crate::plan::Placement;
use crate::sys;

/// "SBX" and the placement.
const OPTION: u32 = 0x5342_5800;

pub(super) const fn option(placement: Placement) -> u32 {
    OPTION | placement as u32
}

/// Whether the calling thread runs under a filter for this placement.
pub(crate) fn is_inside(placement: Placement) -> bool {
    sys::process::prctl_errno(option(placement)) == Some(libc::EACCES)
}
