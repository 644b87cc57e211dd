//! The three Landlock system calls. By number: the crate `landlock` knows nothing past ABI 9, and what it lacks cannot
//! be added to its rulesets, since all that a ruleset handles is said when it is made.
//!
//! <https://docs.kernel.org/userspace-api/landlock.html>
#![allow(unsafe_code)]

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

const CREATE_RULESET_VERSION: u32 = 1 << 0;
const CREATE_RULESET_ERRATA: u32 = 1 << 1;
const RULE_PATH_BENEATH: u32 = 1;
const RULE_NET_PORT: u32 = 2;
/// `LANDLOCK_ADD_RULE_QUIET`: what this layer refuses there is not logged, ABI 10.
pub(crate) const ADD_RULE_QUIET: u32 = 1 << 0;
/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET`, ABI 6.
pub(crate) const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1 << 0;
/// `LANDLOCK_SCOPE_SIGNAL`, ABI 6.
pub(crate) const SCOPE_SIGNAL: u64 = 1 << 1;
/// `LANDLOCK_RESTRICT_SELF_TSYNC`: every thread at once, ABI 8.
pub(crate) const RESTRICT_SELF_TSYNC: u32 = 1 << 3;
/// `LANDLOCK_RESTRICT_SELF_NO_NEW_PRIVS`: sets no_new_privs, if the call succeeds, ABI 11.
pub(crate) const RESTRICT_SELF_NO_NEW_PRIVS: u32 = 1 << 4;

/// `struct landlock_ruleset_attr` of ABI 10. An older kernel takes it as long as what it does not know is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct RulesetAttr {
    pub(crate) handled_access_fs: u64,
    pub(crate) handled_access_net: u64,
    pub(crate) scoped: u64,
    pub(crate) quiet_access_fs: u64,
    pub(crate) quiet_access_net: u64,
    pub(crate) quiet_scoped: u64,
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
pub(crate) fn create_ruleset(attr: &RulesetAttr) -> Result<OwnedFd> {
    // SAFETY: the pointer is to a live struct of the size given; the kernel only reads it.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::from_ref(attr),
            size_of::<RulesetAttr>(),
            0u32,
        )
    };
    let fd = checked(fd)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Grants rights at and below a path. No rights make sense with [`ADD_RULE_QUIET`] alone.
pub(crate) fn add_path(
    ruleset: BorrowedFd<'_>,
    allowed_access: u64,
    path: BorrowedFd<'_>,
    flags: u32,
) -> Result<()> {
    let attr = PathBeneathAttr { allowed_access, parent_fd: path.as_raw_fd() };
    let ruleset = ruleset.as_raw_fd();
    // SAFETY: the pointer is to a live struct of the type that the rule's kind asks for; the kernel only reads it.
    let done = unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &raw const attr, flags)
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

/// Restricts the calling thread, or with [`RESTRICT_SELF_TSYNC`] all of them. Needs no_new_privs, or
/// [`RESTRICT_SELF_NO_NEW_PRIVS`].
pub(crate) fn restrict_self(ruleset: BorrowedFd<'_>, flags: u32) -> Result<()> {
    // SAFETY: the call takes two integers and touches no memory of ours.
    let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), flags) };
    checked(done).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;
    use rustix::thread::no_new_privs;

    fn alone<T: Send>(body: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(body).join().unwrap())
    }

    fn scoping_signals() -> OwnedFd {
        create_ruleset(&RulesetAttr { scoped: SCOPE_SIGNAL, ..RulesetAttr::default() }).unwrap()
    }

    fn has_abi(least: u32, what: &str) -> bool {
        let has = abi().unwrap_or(0);
        if has < least {
            eprintln!("not checked: {what} needs Landlock ABI {least}, this kernel has {has}");
        }
        has >= least
    }

    #[test]
    fn no_new_privs_comes_with_a_ruleset_and_only_if_it_is_taken_on() {
        if !has_abi(11, "no_new_privs in one call") {
            return;
        }
        alone(|| {
            let no_ruleset = rustix::pipe::pipe().unwrap().0;
            let refused = restrict_self(no_ruleset.as_fd(), RESTRICT_SELF_NO_NEW_PRIVS);
            assert_eq!(refused, Err(Errno::BADFD));
            assert!(!no_new_privs().unwrap());
            restrict_self(scoping_signals().as_fd(), RESTRICT_SELF_NO_NEW_PRIVS).unwrap();
            assert!(no_new_privs().unwrap());
        });
    }

    /// What a kernel does not know must be 0 in the struct, and then the struct may be longer than the kernel's own.
    #[test]
    fn a_longer_struct_is_taken_where_the_rest_is_0() {
        if !has_abi(1, "a ruleset") {
            return;
        }
        let read_file = RulesetAttr { handled_access_fs: 1 << 2, ..RulesetAttr::default() };
        create_ruleset(&read_file).unwrap();
        let quiet = RulesetAttr { quiet_access_fs: 1 << 2, ..read_file };
        let made = create_ruleset(&quiet);
        match abi().unwrap() {
            10.. => drop(made.unwrap()),
            _ => assert_eq!(made.unwrap_err(), Errno::TOOBIG),
        }
    }
}
