//! The Landlock system calls, for what the crate `landlock` does not know: UDP ports (ABI 10), an erratum's
//! raw bits, and restricting by a descriptor that came from another process.
//!
//! <https://docs.kernel.org/userspace-api/landlock.html>
#![allow(unsafe_code)]

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

const CREATE_RULESET_VERSION: u32 = 1 << 0;
const CREATE_RULESET_ERRATA: u32 = 1 << 1;
const RULE_PATH_BENEATH: u32 = 1;
const RULE_NET_PORT: u32 = 2;
/// `LANDLOCK_RESTRICT_SELF_TSYNC`: every thread at once, ABI 8.
pub(crate) const RESTRICT_SELF_TSYNC: u32 = 1 << 3;

/// `struct landlock_ruleset_attr` up to ABI 4.
#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

/// `struct landlock_net_port_attr`.
#[repr(C)]
struct NetPortAttr {
    allowed_access: u64,
    port: u64,
}

fn checked(result: libc::c_long) -> Result<i32> {
    match i32::try_from(result) {
        Ok(value) if value >= 0 => Ok(value),
        _ => Err(errno()),
    }
}

fn errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

fn ask(flags: u32) -> Result<i32> {
    // SAFETY: with these flags the kernel requires a null attribute of size 0 and reads no memory.
    let answer = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<RulesetAttr>(), 0usize, flags)
    };
    checked(answer)
}

/// The ABI; `ENOSYS` where Landlock is not built, `EOPNOTSUPP` where it is not enabled at boot.
pub(crate) fn abi() -> Result<u32> {
    ask(CREATE_RULESET_VERSION).map(i32::unsigned_abs)
}

/// The fixed errata; none where the kernel cannot say.
pub(crate) fn errata() -> u32 {
    ask(CREATE_RULESET_ERRATA).map_or(0, i32::unsigned_abs)
}

/// A ruleset that handles these rights.
pub(crate) fn create_ruleset(handled_access_fs: u64, handled_access_net: u64) -> Result<OwnedFd> {
    let attr = RulesetAttr { handled_access_fs, handled_access_net };
    // SAFETY: the pointer is to a live struct of the size given; the kernel only reads it.
    let fd = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attr, size_of_val(&attr), 0u32)
    };
    let fd = checked(fd)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Grants rights at and below a path.
pub(crate) fn add_path(ruleset: BorrowedFd<'_>, allowed_access: u64, path: BorrowedFd<'_>) -> Result<()> {
    let attr = PathBeneathAttr { allowed_access, parent_fd: path.as_raw_fd() };
    let ruleset = ruleset.as_raw_fd();
    // SAFETY: the pointer is to a live struct of the type that the rule's kind asks for; the kernel only reads it.
    let done = unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &raw const attr, 0u32)
    };
    checked(done).map(drop)
}

/// Grants rights on a port.
pub(crate) fn add_port(ruleset: BorrowedFd<'_>, allowed_access: u64, port: u16) -> Result<()> {
    let attr = NetPortAttr { allowed_access, port: u64::from(port) };
    let ruleset = ruleset.as_raw_fd();
    // SAFETY: the pointer is to a live struct of the type that the rule's kind asks for; the kernel only reads it.
    let done =
        unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &raw const attr, 0u32) };
    checked(done).map(drop)
}

/// Restricts the calling thread, or with [`RESTRICT_SELF_TSYNC`] all of them. Needs no_new_privs.
pub(crate) fn restrict_self(ruleset: BorrowedFd<'_>, flags: u32) -> Result<()> {
    // SAFETY: the call takes two integers and touches no memory of ours.
    let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), flags) };
    checked(done).map(drop)
}
