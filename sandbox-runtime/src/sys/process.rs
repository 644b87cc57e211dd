//! Processes: fork, exit, wait, signals, environment, descriptors by number.
#![allow(unsafe_code)]

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::process::Pid;
use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// Which side of a fork this is.
pub(crate) enum Fork {
    Child,
    Parent(Pid),
}

/// Forks this process, which must have one thread (`fork(2)`; libc's own, so its locks are as the child needs).
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: the caller is single-threaded (checked at the forkserver's start), so the child may do anything.
    match unsafe { libc::fork() } {
        0 => Ok(Fork::Child),
        pid => positive(pid).map(Fork::Parent).ok_or_else(io::Error::last_os_error),
    }
}

/// Ends this process without destructors or exit handlers.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; nothing runs afterwards.
    unsafe { libc::_exit(code) }
}

/// Whether the kernel would let this process execute a file, which it does not begin to do; `EINVAL` before Linux 6.14.
///
/// <https://docs.kernel.org/userspace-api/check_exec.html>
pub(crate) fn may_execute(file: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let arguments = [c"".as_ptr(), std::ptr::null()];
    // SAFETY: the path, the arguments and the environment are live and end as the kernel wants it; it only reads them.
    let done = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            arguments.as_ptr(),
            arguments[1..].as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_EXECVE_CHECK,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

/// Writes out what C code left in its stdio buffers.
pub(crate) fn flush_c_stdio() {
    // SAFETY: null means every output stream.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// A child that ended.
pub(crate) struct Ended {
    pub(crate) pid: Pid,
    /// As of `wait(2)`.
    pub(crate) status: i32,
    /// The most memory that was resident, in KiB.
    pub(crate) max_rss: u64,
    /// The processor time that it and the children that it waited for used.
    pub(crate) cpu: Duration,
}

impl Ended {
    /// `wait` also tells of a traced child that stopped.
    pub(crate) fn has_ended(&self) -> bool {
        libc::WIFEXITED(self.status) || libc::WIFSIGNALED(self.status)
    }
}

/// Reaps one child that has ended, if there is one (`wait4(2)`).
pub(crate) fn reap_any() -> Option<Ended> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live memory of the types asked for.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG | libc::__WALL, usage.as_mut_ptr()) };
    // SAFETY: all-zero is a valid value, and the kernel wrote a whole one if it wrote.
    let usage = unsafe { usage.assume_init() };
    let cpu = time(usage.ru_utime).saturating_add(time(usage.ru_stime));
    Some(Ended { pid: positive(pid)?, status, max_rss: usage.ru_maxrss.unsigned_abs(), cpu })
}

fn time(value: libc::timeval) -> Duration {
    let (seconds, microseconds) = (value.tv_sec.unsigned_abs(), value.tv_usec.unsigned_abs());
    Duration::from_secs(seconds).saturating_add(Duration::from_micros(microseconds))
}

/// The processor time that all threads of a process have used so far (`clock_getcpuclockid(3)`); `None` where it has
/// ended.
pub(crate) fn cpu_time(pid: Pid) -> Option<Duration> {
    // What that function computes: `MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)` of the kernel.
    let clock = !pid.as_raw_nonzero().get() << 3 | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec; a clock that is none is refused.
    let asked = unsafe { libc::clock_gettime(clock, &raw mut time) };
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    (asked == 0).then(|| Duration::new(time.tv_sec.unsigned_abs(), nanoseconds))
}

/// Nanoseconds of the monotonic clock, which is one for all processes.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec. The clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.unsigned_abs().saturating_mul(1_000_000_000).saturating_add(time.tv_nsec.unsigned_abs())
}

/// Waits for the end of this child; its exit code, if it has one.
pub(crate) fn wait_for(child: Pid) -> Option<i32> {
    let mut status = 0;
    loop {
        // SAFETY: the pointer is to a live number.
        let waited = unsafe { libc::waitpid(child.as_raw_pid(), &raw mut status, 0) };
        match io::Error::last_os_error().raw_os_error() {
            _ if waited > 0 => return libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
            Some(libc::EINTR) => {}
            _ => return None,
        }
    }
}

/// Runs a function when this program ends by itself (`atexit(3)`).
pub(crate) fn at_exit(function: extern "C" fn()) {
    // SAFETY: the function is there for as long as the program is. Where there is no room it is not run.
    unsafe { libc::atexit(function) };
}

/// Waits until a child has ended; false if there is none.
pub(crate) fn wait_any() -> bool {
    // SAFETY: no status is asked for.
    let waited = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::__WALL) };
    waited > 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
}

/// `Pid::from_raw` itself panics on -1 in debug builds.
fn positive(pid: libc::pid_t) -> Option<Pid> {
    if pid > 0 { Pid::from_raw(pid) } else { None }
}

/// A set of signals.
pub(crate) fn signal_set(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the pointer is to memory for a set, which this initialises.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the line above.
    let mut set = unsafe { set.assume_init() };
    for signal in signals {
        // SAFETY: the set is initialised; a number out of range is refused.
        unsafe { libc::sigaddset(&raw mut set, *signal) };
    }
    set
}

/// Every signal's default disposition, nothing blocked, `SIGPIPE` ignored (as Rust programs have it).
pub(crate) fn reset_signals() {
    // The kernel's `struct sigaction`, of four words at most: default, no flags, nothing masked. glibc's own call would
    // leave out the two signals that it keeps for itself, which somebody may have ignored.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SAFETY: the pointer is to live memory of the size that the kernel reads; no old disposition is asked for. It
        // refuses the signals that have no other.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, std::ptr::null::<u64>(), 8)
        };
    }
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    unblock_signals();
}

/// Has the kernel answer `EFBIG` where it would kill (`SIGXFSZ`).
pub(crate) fn ignore_too_long_files() {
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Runs this process in slices that are short, so that it is let in soon where every processor is busy
/// (`sched_setattr(2)`; Linux 6.12, without effect before). It has no more time by that, and its children have ordinary
/// slices again.
pub(crate) fn run_in_short_slices() {
    const FLAG_RESET_ON_FORK: u64 = 1;
    const SLICE: u64 = 100_000;
    // struct sched_attr: size and policy; flags; nice and priority; runtime, deadline, period.
    let nice = rustix::process::getpriority_process(None).unwrap_or_default();
    let nice = u64::from(nice.cast_unsigned());
    let first = u64::from(48_u32) | (libc::SCHED_OTHER as u64) << 32;
    let attributes = [first, FLAG_RESET_ON_FORK, nice, SLICE, 0, 0];
    // SAFETY: the pointer is to 48 bytes, as their first word says; 0 is the caller. A refusal changes nothing.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, attributes.as_ptr(), 0) };
}

/// The ordinary policy for processor, disk and want of memory, where the host has a better one: what runs away in a
/// worker must not take the machine. No alternate stack, and memory that is executable only where it is said to be.
pub(crate) fn reset_scheduling() -> io::Result<()> {
    // SAFETY: takes an integer; 0 is the caller.
    let policy = unsafe { libc::sched_getscheduler(0) } & !libc::SCHED_RESET_ON_FORK;
    if [libc::SCHED_FIFO, libc::SCHED_RR, libc::SCHED_DEADLINE].contains(&policy) {
        let ordinary = libc::sched_param { sched_priority: 0 };
        // SAFETY: the pointer is to a live parameter; 0 is the caller.
        checked(unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const ordinary) }.into())?;
    }
    if rustix::process::getpriority_process(None)? < 0 {
        rustix::process::setpriority_process(None, 0)?;
    }
    // IOPRIO_WHO_PROCESS, the caller. Kernels may lack it.
    // SAFETY: takes integers.
    let disk = unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) };
    // IOPRIO_CLASS_RT; then IOPRIO_CLASS_NONE.
    if disk >> 13 == 1 {
        // SAFETY: takes integers.
        checked(unsafe { libc::syscall(libc::SYS_ioprio_set, 1, 0, 0) })?;
    }
    // SAFETY: takes an integer; this one only asks.
    let personality = unsafe { libc::personality(0xffff_ffff) };
    // SAFETY: takes an integer; what is mapped already stays as it is.
    unsafe { libc::personality((personality & !libc::READ_IMPLIES_EXEC) as libc::c_ulong) };
    let none = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    // SAFETY: no handler is running on one; no old stack is asked for.
    checked(unsafe { libc::sigaltstack(&raw const none, std::ptr::null_mut()) }.into())?;
    // Where /proc is not to be had, or may not be written, it stays as it is.
    let spared =
        std::fs::read_to_string("/proc/self/oom_score_adj").is_ok_and(|score| score.starts_with('-'));
    if spared {
        std::fs::write("/proc/self/oom_score_adj", "0").unwrap_or_default();
    }
    Ok(())
}

fn checked(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets every signal through to this thread.
pub(crate) fn unblock_signals() {
    let none = signal_set(&[]);
    // SAFETY: the set is initialised; no old mask is asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
}

/// Ends this process by a signal, as if it had been hit by it, without a core dump of its own.
pub(crate) fn die_by(signal: i32) -> ! {
    // What crashed is the worker; this program's memory shows nothing of it. Where that cannot be said, it dies anyway.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .unwrap_or_default();
    end_by(signal)
}

/// Ends this process by a signal, past any handler of its own.
pub(crate) fn end_by(signal: i32) -> ! {
    // SAFETY: sets a default disposition.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    let set = signal_set(&[signal]);
    // SAFETY: the set is initialised; no old mask is asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
    // SAFETY: takes an integer.
    unsafe { libc::raise(signal) };
    exit_now(128 + signal)
}

/// Replaces the whole environment. The process must have one thread.
pub(crate) fn set_environment(variables: &[(CString, CString)]) -> io::Result<()> {
    // SAFETY: no other thread reads the environment: the caller has none.
    if unsafe { libc::clearenv() } != 0 {
        return Err(io::Error::from_raw_os_error(libc::ENOMEM));
    }
    for (name, value) in variables {
        let (name, value): (&CStr, &CStr) = (name, value);
        // SAFETY: both are C strings, which the call copies; no other thread reads the environment.
        if unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Makes `number` refer to what `fd` does; it survives `exec` (`dup2(2)`).
pub(crate) fn dup_to(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: takes two integers; what `number` was is closed, which callers intend: they own the numbers of
    // their process (a worker or the forkserver at its start).
    match unsafe { libc::dup2(fd.as_raw_fd(), number) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Closes every descriptor from `first` on (`close_range(2)`, Linux 5.9).
pub(crate) fn close_from(first: RawFd) -> io::Result<()> {
    close_range(first.unsigned_abs(), u32::MAX)
}

/// Closes every descriptor but stdio and these.
pub(crate) fn close_all_but(kept: &[&OwnedFd]) -> io::Result<()> {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().unsigned_abs()).collect();
    kept.sort_unstable();
    let mut first = 3;
    for number in kept.into_iter().filter(|number| *number >= 3) {
        if number > first {
            close_range(first, number - 1)?;
        }
        first = number + 1;
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: takes integers; callers own the descriptors of their process and hold none in the range.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Takes over a descriptor by its number, if it is open.
pub(crate) fn take_fd(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes integers and only asks.
    if number < 0 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is open, and callers name a number that was left to them (the forkserver's socket, a worker's
    // channel) and that they take once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// What a body finds at the number of the bell, whatever it has made of that.
pub(crate) fn borrow_fd(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the worker put a descriptor there for as long as it lives. Where a body closed it, a write fails.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// `prctl(2)` with options that only ask, or that no kernel knows.
pub(crate) fn ask_prctl(option: u32, second: u64, third: u64) -> Result<i32, Errno> {
    // SAFETY: passes integers only.
    match unsafe { libc::syscall(libc::SYS_prctl, option, second, third, 0, 0) } {
        -1 => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
        value => Ok(value as i32),
    }
}

/// Real, effective and saved user and group of the calling thread.
pub(crate) fn ids() -> [u32; 6] {
    let mut ids = [u32::MAX; 6];
    let [ruid, euid, suid, rgid, egid, sgid] = &mut ids;
    // SAFETY: the pointers are to live numbers. It cannot fail.
    unsafe { libc::getresuid(ruid, euid, suid) };
    // SAFETY: as above.
    unsafe { libc::getresgid(rgid, egid, sgid) };
    ids
}

/// The process that a thread is of.
pub(crate) fn process_of(thread: Pid) -> Option<i32> {
    status_number(thread, "Tgid:")
}

/// Who traces a thread; 0 is nobody.
pub(crate) fn tracer_of(thread: Pid) -> Option<i32> {
    status_number(thread, "TracerPid:")
}

/// `None` also where that one is of another pid namespace.
pub(crate) fn parent_of(process: Pid) -> Option<Pid> {
    status_number(process, "PPid:").and_then(Pid::from_raw)
}

/// The number behind a name in `/proc/<pid>/status`.
fn status_number(thread: Pid, name: &str) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", thread.as_raw_pid())).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

/// How many threads this process has. `stat` is something that Landlock never refuses.
pub(crate) fn threads() -> Option<u64> {
    rustix::fs::stat("/proc/self/task").ok().and_then(threads_of)
}

/// As [`threads`], of an opened `/proc/self/task`.
pub(crate) fn threads_in(tasks: BorrowedFd<'_>) -> Option<u64> {
    rustix::fs::fstat(tasks).ok().and_then(threads_of)
}

/// The directory of threads has a link from each, beside its own two.
fn threads_of(tasks: rustix::fs::Stat) -> Option<u64> {
    #[allow(clippy::unnecessary_cast)] // u32 on aarch64
    (tasks.st_nlink as u64).checked_sub(2)
}

/// Who made the other end of a socket (`SO_PEERCRED`). The pid is 0 where it cannot be seen from here, which is
/// why this is not rustix's.
pub(crate) fn peer(socket: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of_val(&peer) as libc::socklen_t;
    let fd = socket.as_raw_fd();
    // SAFETY: the pointers are to live memory of the size that `length` says.
    let asked = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut peer).cast(), &raw mut length)
    };
    if asked < 0 { Err(io::Error::last_os_error()) } else { Ok(peer) }
}

/// How many processors there may be.
pub(crate) fn processors() -> u32 {
    // SAFETY: takes an integer.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
    u32::try_from(count).unwrap_or(1).max(1)
}

/// The size of a page, in bytes. Not rustix's, which reads the auxiliary vector in a way that crashes under valgrind.
pub(crate) fn page_size() -> usize {
    // SAFETY: takes an integer.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// Sees to it that the calling thread does not run on this processor for the moment; says whether that can be.
pub(crate) fn avoid_processor(processor: usize) -> bool {
    if rustix::thread::sched_getcpu() != processor {
        return true;
    }
    let Ok(all) = rustix::thread::sched_getaffinity(None) else { return false };
    let mut others = all;
    others.unset(processor);
    // Afterwards it may run where it could before; the scheduler leaves it where it is.
    others.count() > 0
        && rustix::thread::sched_setaffinity(None, &others).is_ok()
        && rustix::thread::sched_setaffinity(None, &all).is_ok()
}
