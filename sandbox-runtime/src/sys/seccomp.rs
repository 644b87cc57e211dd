//! System call filters: installing one, and answering what one traps.
//!
//! <https://man7.org/linux/man-pages/man2/seccomp.2.html>
#![allow(unsafe_code)]

use libc::{c_int, c_long, c_void, siginfo_t, sock_filter, ucontext_t};
use rustix::io::Errno;
use std::io;
use std::mem::MaybeUninit;

/// `SECCOMP_FILTER_FLAG_TSYNC`: every thread at once, or none.
pub(crate) const TSYNC: u64 = libc::SECCOMP_FILTER_FLAG_TSYNC;

/// Why a filter is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotInstalled {
    /// This thread has a filter that the caller lacks.
    Thread(i64),
    Errno(Errno),
}

/// Installs a filter; no_new_privs must be set. Allocates nothing, so a handler of signals may call it.
pub(crate) fn install(program: &[sock_filter], flags: u64) -> Result<(), NotInstalled> {
    let Ok(len) = u16::try_from(program.len()) else { return Err(NotInstalled::Errno(Errno::INVAL)) };
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: the pointer is to a live program of the length that it says; the kernel copies and checks it, and never
    // writes to it.
    let installed =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    match installed {
        0 => Ok(()),
        thread @ 1.. => Err(NotInstalled::Thread(thread)),
        _ => Err(NotInstalled::Errno(
            Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL),
        )),
    }
}

/// Whether the kernel has system call filters with the actions that ours use (`SECCOMP_GET_ACTION_AVAIL`).
pub(crate) fn is_there() -> bool {
    let actions = [libc::SECCOMP_RET_ERRNO, libc::SECCOMP_RET_TRAP, libc::SECCOMP_RET_KILL_PROCESS];
    actions.into_iter().all(|action| {
        // SAFETY: the pointer is to a live u32, which the kernel only reads.
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
    })
}

/// From now on a trapped `newfstatat(fd, "", ..., AT_EMPTY_PATH)` is made the `fstat(2)` that it means; what else is
/// trapped fails with `EACCES`. glibc 2.33 to 2.38 has no other `fstat`, and a filter cannot see that a path is empty.
///
/// Nothing depends on the handler: it makes a call that the filter allows, and a body may replace it.
pub(crate) fn answer_fstat() -> io::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all-zero is a valid value: no flags, an empty mask, the default action.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = on_trap as extern "C" fn(_, _, _) as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the handler has the signature of SA_SIGINFO and calls only what may be called in one; no old action is
    // asked for.
    match unsafe { libc::sigaction(libc::SIGSYS, action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The registers of a call: its first three arguments, its result.
#[cfg(target_arch = "x86_64")]
const REGISTERS: [usize; 4] =
    [libc::REG_RDI as usize, libc::REG_RSI as usize, libc::REG_RDX as usize, libc::REG_RAX as usize];

/// `SYS_SECCOMP` of `siginfo.h`: a filter sent it, not somebody by `kill`.
const SYS_SECCOMP: c_int = 1;

extern "C" fn on_trap(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes what it knows of the signal, which nobody changes meanwhile.
    let info = unsafe { &*info };
    if info.si_code != SYS_SECCOMP {
        super::process::end_by(signal);
    }
    // SAFETY: the kernel passes the context of the interrupted thread, which this thread alone may change meanwhile.
    let context = unsafe { &mut *context.cast::<ucontext_t>() };
    #[cfg(target_arch = "x86_64")]
    let (registers, [first, second, third, result]) = (&mut context.uc_mcontext.gregs, REGISTERS);
    #[cfg(target_arch = "aarch64")]
    let (registers, [first, second, third, result]) = (&mut context.uc_mcontext.regs, [0, 1, 2, 0]);
    // As the kernel would have found them.
    let (fd, path, buffer) = (registers[first], registers[second], registers[third]);
    let is_empty = path == 0 || {
        // SAFETY: the caller passed it as a path: where it is no memory, the worker crashes instead of an EFAULT.
        unsafe { *(path as *const u8) == 0 }
    };
    let answer = if is_empty { fstat(fd as c_long, buffer as c_long) } else { -c_long::from(libc::EACCES) };
    #[allow(clippy::unnecessary_cast)] // u64 on aarch64
    {
        registers[result] = answer as _;
    }
}

/// As the kernel answers, and without a trace in errno: the thread may be anywhere.
fn fstat(fd: c_long, buffer: c_long) -> c_long {
    // SAFETY: only asks where this thread's errno is.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it is aligned and lives as long as the thread, and nothing else refers to it here.
    let errno = unsafe { &mut *errno };
    let before = *errno;
    // SAFETY: the kernel checks the number and the buffer, which are the caller's.
    let answer = match unsafe { libc::syscall(libc::SYS_fstat, fd, buffer) } {
        0 => 0,
        _ => -c_long::from(*errno),
    };
    *errno = before;
    answer
}
