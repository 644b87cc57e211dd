//! System call filters: installing one, answering what one traps, and what one asks who listens.
//!
//! <https://man7.org/linux/man-pages/man2/seccomp.2.html>
#![allow(unsafe_code)]

use libc::{c_int, c_long, c_void, siginfo_t, sock_filter, ucontext_t};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::Pid;
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
    match set_mode_filter(program, flags)? {
        0 => Ok(()),
        thread => Err(NotInstalled::Thread(thread)),
    }
}

/// Installs a filter, and returns what leads to the calls that it asks about. Only one in a thread can have such a
/// listener (`EBUSY`). All threads at once since Linux 5.7.
pub(crate) fn listen(program: &[sock_filter], flags: u64) -> Result<OwnedFd, NotInstalled> {
    // Where it is not for all, the kernel would have a thread's number and a descriptor for one answer.
    let all = if flags & TSYNC != 0 { libc::SECCOMP_FILTER_FLAG_TSYNC_ESRCH } else { 0 };
    let fd = set_mode_filter(program, flags | all | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?;
    let fd = i32::try_from(fd).map_err(|_| NotInstalled::Errno(Errno::BADF))?;
    // SAFETY: the kernel has just opened it, close-on-exec, for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_mode_filter(program: &[sock_filter], flags: u64) -> Result<i64, NotInstalled> {
    let Ok(len) = u16::try_from(program.len()) else { return Err(NotInstalled::Errno(Errno::INVAL)) };
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: the pointer is to a live program of the length that it says; the kernel copies and checks it, and never
    // writes to it.
    let installed =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    match installed {
        0.. => Ok(installed),
        _ => Err(NotInstalled::Errno(last_errno())),
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// A system call that somebody makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) arguments: [u64; 6],
}

/// A call that a filter asks about; its thread waits for the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    id: u64,
    pub(crate) thread: Option<Pid>,
    pub(crate) call: Call,
}

/// What comes next of those who are under a filter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    Asked(Asked),
    /// The process that was named has ended. Until it is waited for the filter counts it as there, before Linux 6.11.
    Ended,
    /// Nobody is left who could ask (Linux 5.9).
    Nobody,
}

/// Waits for the next call that a filter asks about, or for the end of a process, by its descriptor.
pub(crate) fn next_asked(listener: BorrowedFd<'_>, process: Option<BorrowedFd<'_>>) -> Result<Next, Errno> {
    loop {
        let fds = [Some(listener), process].into_iter().flatten();
        let mut ready: Vec<PollFd<'_>> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut ready, None) {
            Err(Errno::INTR) => continue,
            polled => polled?,
        };
        let [asks, end] = [0, 1].map(|index| ready.get(index).map_or(PollFlags::empty(), PollFd::revents));
        if !asks.contains(PollFlags::IN) {
            return Ok(if end.is_empty() { Next::Nobody } else { Next::Ended });
        }
        let mut notice = MaybeUninit::<libc::seccomp_notif>::zeroed();
        // SAFETY: the pointer is to live memory of the type that the request has, which is all-zero as it asks for.
        let received = unsafe { ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, notice.as_mut_ptr().cast()) };
        // SAFETY: all-zero is a valid value, and the kernel wrote numbers if it wrote.
        let notice = unsafe { notice.assume_init() };
        match received {
            Ok(()) => {
                let call = Call { number: notice.data.nr.unsigned_abs().into(), arguments: notice.data.args };
                let thread = i32::try_from(notice.pid).ok().and_then(Pid::from_raw);
                return Ok(Next::Asked(Asked { id: notice.id, thread, call }));
            }
            // Its thread was killed meanwhile, or a signal came.
            Err(Errno::NOENT | Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Whether the thread waits still. If so, what was read of it meanwhile was its.
pub(crate) fn still_waits(listener: BorrowedFd<'_>, asked: &Asked) -> bool {
    let mut id = asked.id;
    // SAFETY: the pointer is to live memory of the type that the request has.
    unsafe { ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_ID_VALID, (&raw mut id).cast()) }.is_ok()
}

/// Makes the call fail.
pub(crate) fn refuse(listener: BorrowedFd<'_>, asked: &Asked, errno: i32) -> Result<(), Errno> {
    let mut answer = libc::seccomp_notif_resp { id: asked.id, val: 0, error: -errno, flags: 0 };
    // SAFETY: the pointer is to live memory of the type that the request has.
    unsafe { ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, (&raw mut answer).cast()) }
}

/// # Safety
///
/// The pointer is to live memory of the type that the request has.
unsafe fn ioctl(listener: BorrowedFd<'_>, request: libc::Ioctl, argument: *mut c_void) -> Result<(), Errno> {
    // SAFETY: as the caller says.
    match unsafe { libc::ioctl(listener.as_raw_fd(), request, argument) } {
        0 => Ok(()),
        _ => Err(last_errno()),
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
    // SAFETY: takes nothing.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: this thread's own, which lives as long as it does; nobody else has its address.
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
