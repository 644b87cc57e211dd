//! Running something in every thread of the process, by a signal: what the kernel does by itself from Landlock
//! ABI 8 on.
//!
//! The threads are first gathered: each is sent a signal, whose handler waits. When every thread that
//! `/proc/self/task` lists waits there, none can be born or end, so none can be missed. Then each runs the
//! action, and all must say that they did.
//!
//! A gathered thread may hold any lock, that of the allocator included: nothing between the first signal and the
//! release allocates, locks or prints.
#![allow(unsafe_code)]

use rustix::fd::{AsRawFd, BorrowedFd};
use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long threads may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What each thread runs: async-signal-safe, and true if it worked.
pub(crate) trait Action: Sync {
    fn run(&self) -> bool;
}

/// Why not every thread did it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreached {
    /// This thread did not answer (it blocks the signal); none has run the action.
    Silent(i32),
    /// So many threads failed or never came back from the action; the others are done.
    Failed(u32),
}

static RELEASE: AtomicU32 = AtomicU32::new(HOLD);
static SUCCEEDED: AtomicU32 = AtomicU32::new(0);
static FAILED: AtomicU32 = AtomicU32::new(0);
/// The threads that wait: their numbers, in `capacity` slots, of which zero is free.
static GATHERED: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());
static CAPACITY: AtomicU64 = AtomicU64::new(0);
/// What they wait for.
static ACTION: AtomicPtr<&dyn Action> = AtomicPtr::new(std::ptr::null_mut());

const HOLD: u32 = 0;
const RUN: u32 = 1;
const GO_HOME: u32 = 2;

/// Runs `action` in every thread but this one. `tasks` is `/proc/self/task`, opened for reading.
///
/// Only one call at a time: callers hold a lock.
pub(crate) fn run_in_others(tasks: BorrowedFd<'_>, action: &dyn Action) -> io::Result<Result<(), Unreached>> {
    let slots: Vec<AtomicU32> = (0..64 * 1024).map(|_| AtomicU32::new(0)).collect();
    GATHERED.store(slots.as_ptr().cast_mut(), Ordering::Release);
    CAPACITY.store(slots.len() as u64, Ordering::Release);
    ACTION.store((&raw const action).cast_mut().cast(), Ordering::Release);
    SUCCEEDED.store(0, Ordering::Release);
    FAILED.store(0, Ordering::Release);
    RELEASE.store(HOLD, Ordering::Release);
    let handler = Handler::install()?;
    let gathered = gather(tasks, handler.signal, &slots);
    let result = match gathered {
        Ok(count) => {
            RELEASE.store(RUN, Ordering::Release);
            finish(count)
        }
        Err(silent) => {
            RELEASE.store(GO_HOME, Ordering::Release);
            Err(Unreached::Silent(silent))
        }
    };
    // A late thread finds nothing to do; what it reads must stay.
    std::mem::forget(slots);
    drop(handler);
    Ok(result)
}

/// Signals until every listed thread waits; the number of the first that does not come.
fn gather(tasks: BorrowedFd<'_>, signal: c_int, slots: &[AtomicU32]) -> Result<u32, i32> {
    let started = Instant::now();
    let me = own_tid();
    let process = rustix::process::getpid().as_raw_nonzero().get();
    loop {
        let (mut count, mut missing) = (0, 0);
        each_tid(tasks, |tid| {
            if tid == me {
                return;
            }
            count += 1;
            if !waits(tid, slots) {
                missing = tid;
                // SAFETY: takes integers. A thread that has ended meanwhile is not there any more.
                unsafe { libc::syscall(libc::SYS_tgkill, process, tid, signal) };
            }
        });
        if missing == 0 {
            return Ok(count);
        }
        if started.elapsed() > PATIENCE {
            return Err(missing);
        }
        std::thread::yield_now();
    }
}

fn waits(tid: i32, slots: &[AtomicU32]) -> bool {
    let taken = slots.iter().map(|slot| slot.load(Ordering::Acquire)).take_while(|taken| *taken != 0);
    taken.into_iter().any(|taken| taken == tid.unsigned_abs())
}

fn finish(count: u32) -> Result<(), Unreached> {
    let started = Instant::now();
    loop {
        let (done, failed) = (SUCCEEDED.load(Ordering::Acquire), FAILED.load(Ordering::Acquire));
        if done >= count {
            return Ok(());
        }
        if failed > 0 || started.elapsed() > PATIENCE {
            return Err(Unreached::Failed(count - done));
        }
        std::thread::yield_now();
    }
}

fn own_tid() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// `getdents64(2)` into the stack, since the allocator may be locked by a thread that waits.
fn each_tid(tasks: BorrowedFd<'_>, mut each: impl FnMut(i32)) {
    // SAFETY: takes integers; a directory is read anew from its start.
    unsafe { libc::lseek(tasks.as_raw_fd(), 0, libc::SEEK_SET) };
    let mut entries = [0u8; 8192];
    loop {
        // SAFETY: the pointer is to memory of the length given, which the kernel fills.
        let length = unsafe {
            libc::syscall(libc::SYS_getdents64, tasks.as_raw_fd(), entries.as_mut_ptr(), entries.len())
        };
        let Some(mut rest) = usize::try_from(length)
            .ok()
            .filter(|length| *length > 0)
            .and_then(|length| entries.get(..length))
        else {
            return;
        };
        // struct linux_dirent64: inode 8, offset 8, length 2, type 1, name
        while let Some(record) =
            rest.get(16..18).map(|size| usize::from(u16::from_ne_bytes([size[0], size[1]])))
        {
            let Some(name) = rest.get(19..record) else { return };
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            if let Some(tid) = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()) {
                each(tid);
            }
            rest = &rest[record..];
        }
    }
}

/// The handler of a real-time signal that nobody uses, as long as this lives.
struct Handler {
    signal: c_int,
    before: libc::sigaction,
}

impl Handler {
    fn install() -> io::Result<Handler> {
        (libc::SIGRTMIN()..=libc::SIGRTMAX())
            .rev()
            .find_map(Handler::take_over)
            .ok_or_else(|| io::Error::other("every real-time signal has a handler"))
    }

    fn take_over(signal: c_int) -> Option<Handler> {
        // SAFETY: all-zero is a valid `sigaction`.
        let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: only asks; the pointer is to a live struct.
        let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut before) };
        if asked != 0 || before.sa_sigaction != libc::SIG_DFL {
            return None;
        }
        // SAFETY: as above.
        let mut ours: libc::sigaction = unsafe { std::mem::zeroed() };
        ours.sa_sigaction = on_signal as extern "C" fn(c_int) as usize;
        ours.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        ours.sa_mask = {
            let mut all = super::process::signal_set(&[]);
            // SAFETY: the set is initialised.
            unsafe { libc::sigfillset(&raw mut all) };
            all
        };
        // SAFETY: the handler makes async-signal-safe calls only; the struct lives through the call.
        let set = unsafe { libc::sigaction(signal, &raw const ours, std::ptr::null_mut()) };
        (set == 0).then_some(Handler { signal, before })
    }
}

impl Drop for Handler {
    /// Ignored, not default: a signal that is still on its way to a thread that blocks it must not end the process.
    fn drop(&mut self) {
        self.before.sa_sigaction = libc::SIG_IGN;
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { libc::sigaction(self.signal, &raw const self.before, std::ptr::null_mut()) };
    }
}

/// Waits for the release. Async-signal-safe: atomics, `gettid`, `sched_yield`, and the action's system calls.
extern "C" fn on_signal(_: c_int) {
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    let tid = own_tid().unsigned_abs();
    if RELEASE.load(Ordering::Acquire) == HOLD && arrive(tid) {
        while RELEASE.load(Ordering::Acquire) == HOLD {
            // SAFETY: takes nothing.
            unsafe { libc::sched_yield() };
        }
        if RELEASE.load(Ordering::Acquire) == RUN {
            run_action();
        }
    }
    // SAFETY: takes nothing.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the location is this thread's own.
    unsafe { *place = errno };
}

/// Takes a slot; false where the thread waits already (a second signal was on its way) or there is no slot.
fn arrive(tid: u32) -> bool {
    let slots = GATHERED.load(Ordering::Acquire);
    let capacity = CAPACITY.load(Ordering::Acquire) as usize;
    if slots.is_null() {
        return false;
    }
    // SAFETY: the slots are never freed once published, and so many they are.
    let slots = unsafe { std::slice::from_raw_parts(slots, capacity) };
    for slot in slots {
        match slot.compare_exchange(0, tid, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return true,
            Err(taken) if taken == tid => return false,
            Err(_) => {}
        }
    }
    false
}

fn run_action() {
    let action = ACTION.load(Ordering::Acquire).cast::<&dyn Action>();
    if action.is_null() {
        return;
    }
    // SAFETY: `run_in_others` keeps the action until every gathered thread is done with it, or aborts.
    let action: &dyn Action = unsafe { *action };
    let counter = if action.run() { &SUCCEEDED } else { &FAILED };
    counter.fetch_add(1, Ordering::AcqRel);
}
