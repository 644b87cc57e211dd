//! What a container does to those in it.
#![allow(dead_code)] // each test file uses its part
#![allow(unsafe_code)] // no crate offers a filter of one call without another's policy

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Has the kernel refuse a system call with `EPERM` to the calling thread and all that it starts.
pub fn refuse(call: libc::c_long) -> io::Result<()> {
    refuse_with(call, libc::EPERM)
}

/// And with any errno. Sets no_new_privs, unless the caller has the privilege to do without.
pub fn refuse_with(call: libc::c_long, errno: i32) -> io::Result<()> {
    install(call, libc::SECCOMP_RET_ERRNO | errno.unsigned_abs(), 0).map(drop)
}

/// Has somebody asked about `swapon`, as those do who answer calls for a container: nobody else can be asked then.
pub fn listen() -> io::Result<OwnedFd> {
    let fd = install(libc::SYS_swapon, libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?;
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor")) })
}

fn install(call: libc::c_long, answer: u32, flags: libc::c_ulong) -> io::Result<i64> {
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
    let mut steps = [
        step(LOAD, 0, 0),
        step(EQUAL, 1, u32::try_from(call).expect("a number of a call")),
        step(RETURN, 0, answer),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: steps.as_mut_ptr() };
    let install = || {
        // SAFETY: the program and its steps live through the call, which copies them.
        checked(unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
        })
    };
    install().or_else(|error| match error.raw_os_error() {
        Some(libc::EACCES) => {
            // SAFETY: takes numbers alone.
            checked(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
            install()
        }
        _ => Err(error),
    })
}

fn checked(done: i64) -> io::Result<i64> {
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done) }
}
