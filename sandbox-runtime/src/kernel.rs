//! What the running kernel has, asked once.

use crate::error::Error;
use crate::plan::Kernel;
use crate::policy::Policy;
use crate::{pool, sys};
use std::sync::OnceLock;

/// What the running kernel has: Landlock's ABI and fixed errata, and system call filters. Found by asking
/// (`landlock_create_ruleset(2)`, `prctl(2)`), never from the version.
///
/// ```
/// let kernel = sandboxed_runtime::kernel();
/// println!("Landlock ABI {}, errata {:#b}, seccomp {}", kernel.abi, kernel.errata, kernel.seccomp);
/// ```
pub fn kernel() -> Kernel {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    *KERNEL.get_or_init(|| {
        Kernel::with(sys::landlock::abi().unwrap_or(0), sys::landlock::errata(), sys::seccomp::is_there())
    })
}

/// As [`kernel`], and for a policy that says `namespaces` whether a worker can have them. Only a trial tells, by a child of
/// the forkserver, which is started for it.
///
/// # Errors
///
/// As for [`start`](crate::start).
pub fn kernel_for(policy: &Policy) -> Result<Kernel, Error> {
    if !policy.namespaces {
        return Ok(kernel());
    }
    pool::kernel_for(policy)
        .map_err(|error| Error::launch("sandboxed::kernel_for", error.to_string(), error.cause()))
}
