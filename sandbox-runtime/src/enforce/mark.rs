//! How a thread learns that it is in a sandbox of ours: it asks the kernel.
//!
//! Each filter refuses one option of `prctl(2)` that no kernel knows: without it the answer is `EINVAL`, under
//! it `EACCES`. Threads and programs started inside inherit the filter, and with it the answer, where a
//! thread-local flag would be lost and a domain of Landlock cannot be seen.

use crate::plan::Placement;
use crate::sys;
use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;

/// "SBX" and the placement.
const OPTION: u32 = 0x5342_5800;

pub(super) const fn option(placement: Placement) -> u32 {
    OPTION | placement as u32
}

/// The option of [`learn::mark`](crate::learn::mark), which is no placement's.
#[cfg(feature = "learn")]
pub(crate) const LEARN: u32 = OPTION | 0x80;

/// By which a thread tells its observer that what follows is ours (1) or is not (0). The kernel refuses it as unknown.
pub(crate) const NOTE: u32 = OPTION | 0xf0;

/// An option that none of our filters refuses.
const CONTROL: u32 = OPTION | 0xff;

/// Why it cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a system call filter of somebody else's answers EACCES to unknown options of prctl, so it cannot be told whether \
     this thread is in a sandbox already"
)]
pub(crate) struct Ambiguous;

/// Whether this is a worker without grants of files: its filter refuses every path before anything else is looked at, the
/// root directory's too, which is there for everybody.
pub(crate) fn no_path_may_be_named() -> bool {
    let root = rustix::fs::accessat(CWD, "/", Access::EXISTS, AtFlags::empty());
    root == Err(Errno::ACCESS) && is_inside(Placement::Process) == Ok(true)
}

/// Whether the calling thread runs under a filter for this placement.
pub(crate) fn is_inside(placement: Placement) -> Result<bool, Ambiguous> {
    let is_refused = |option| sys::process::ask_prctl(option, 0, 0) == Err(Errno::ACCESS);
    match (is_refused(option(placement)), is_refused(CONTROL)) {
        (true, true) => Err(Ambiguous),
        (answer, _) => Ok(answer),
    }
}
