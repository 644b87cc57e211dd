//! What the running kernel has, asked once.

use crate::plan::Kernel;
use crate::sys;
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
