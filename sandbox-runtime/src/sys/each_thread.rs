//! Running something in every thread of the process, by a signal: what the kernel does by itself from Landlock
//! ABI 8 on.
//!
//! The threads are first gathered: each is sent a signal, whose handler waits. When every thread of the process waits
//! there, none can be born or end, so none can be missed. Then each runs the action, and all must say that they did.
//! Where one cannot, the process ends while the others are held: none goes on beside a thread that is free.
//!
//! One that waits may hold a lock that another, with its signals blocked, needs to go on: glibc's threads take its
//! locks so when they begin and end. That one can only come once the first has gone on. So where not all come soon,
//! all are let go for a moment, and gathered anew.
//!
//! A gathered thread may hold any lock, that of the allocator included: nothing between the first signal and the
//! release allocates, locks or prints.
#![allow(unsafe_code)]

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::{Mode, OFlags};
use rustix::thread::futex;
use std::ffi::{CStr, c_int};
use std::io::{self, Write};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long threads may take to come, and then to do what they came for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often they are gathered at most.
const ATTEMPTS: u32 = 5;

/// How long they are held for those that have not come. The last time is for who is rarely within reach.
fn hold_of(attempt: u32) -> Duration {
    if attempt + 1 < ATTEMPTS { Duration::from_millis(100 << attempt) } else { PATIENCE }
}

/// Between two looks at the threads.
const STEP: Duration = Duration::from_micros(50);

/// Between two signals to one that does not come: it may be another of the same number by now.
const AGAIN: Duration = Duration::from_millis(20);

/// What each thread runs: async-signal-safe, and true if it worked.
pub(crate) trait Action: Sync {
    fn run(&self) -> bool;
}

/// Whether those that wait go on waiting: they do as long as this is the attempt that they came for.
static TURN: AtomicU32 = AtomicU32::new(LET_GO);
/// They run the action.
const RUN: u32 = u32::MAX;
/// They go on as if nothing had been.
const LET_GO: u32 = u32::MAX - 1;

/// The threads that wait, in the order they came: the attempt, the number of each, and how far it is. Only who took a
/// slot gives it back. Zero ends the list.
static SLOTS: [AtomicU32; 64 * 1024] = [const { AtomicU32::new(0) }; 64 * 1024];
/// The action worked there.
const DONE: u32 = 1 << 30;
/// The action failed there.
const FAILED: u32 = 1 << 31;
/// The slot of no thread.
const FREE_AGAIN: u32 = DONE;
/// Numbers of threads are below (`PID_MAX_LIMIT`, `include/linux/threads.h`).
const TID: u32 = (1 << 22) - 1;

fn state_of(attempt: u32, tid: i32) -> u32 {
    (attempt << TID.count_ones()) | tid.unsigned_abs()
}

/// What they wait for.
static ACTION: AtomicPtr<&dyn Action> = AtomicPtr::new(std::ptr::null_mut());

/// Runs `action` in every thread, this one last. `tasks` is `/proc/self/task`, opened for reading. Ends the process
/// where a thread does not answer or fails.
///
/// Only one call at a time: callers hold a lock.
///
/// # Errors
///
/// No signal is free. Nothing was run then.
pub(crate) fn run_in_each(tasks: BorrowedFd<'_>, action: &dyn Action) -> io::Result<()> {
    // In the child of a program that forked meanwhile, the handler may be installed.
    release(LET_GO);
    taken().for_each(|slot| slot.store(0, Ordering::Release));
    ACTION.store((&raw const action).cast_mut().cast(), Ordering::Release);
    let handler = Handler::install()?;
    gather(tasks, handler.signal);
    release(RUN);
    until_all_are_done();
    if !action.run() {
        end_process(own_tid(), "cannot be restricted");
    }
    Ok(())
}

fn taken() -> impl Iterator<Item = &'static AtomicU32> {
    SLOTS.iter().take_while(|slot| slot.load(Ordering::Acquire) != 0)
}

fn release(turn: u32) {
    TURN.store(turn, Ordering::Release);
    // Nobody waits, or all are woken.
    futex::wake(&TURN, futex::Flags::PRIVATE, u32::MAX >> 1).unwrap_or_default();
}

/// Returns when every thread of the process waits.
fn gather(tasks: BorrowedFd<'_>, signal: c_int) {
    for attempt in 0..ATTEMPTS {
        TURN.store(attempt, Ordering::Release);
        let Err(missing) = hold(tasks, signal, attempt) else { return };
        if attempt + 1 == ATTEMPTS {
            end_process(missing, "does not answer a signal (does it block them all?)");
        }
        let_go(attempt);
    }
}

/// Signals until every thread waits. Or says which does not.
fn hold(tasks: BorrowedFd<'_>, signal: c_int, attempt: u32) -> Result<(), i32> {
    let mut patience = Patience::new(hold_of(attempt));
    let (me, process) = (own_tid(), rustix::process::getpid().as_raw_nonzero().get());
    // A thread that is late is not sent signal after signal. Others of the same remainder displace it, no more.
    let mut signalled = [0; 1024];
    let mut begun = Instant::now();
    let mut missing = 0;
    while !all_wait(tasks, attempt) {
        if patience.is_over() {
            return Err(missing);
        }
        if begun.elapsed() > AGAIN {
            signalled.fill(0);
            begun = Instant::now();
        }
        each_tid(tasks, |tid| {
            if tid == me || waiting(attempt).any(|waits| waits == tid) {
                return;
            }
            missing = tid;
            if std::mem::replace(&mut signalled[tid.unsigned_abs() as usize % 1024], tid) != tid {
                // SAFETY: takes integers. A thread that has ended meanwhile is not there any more.
                unsafe { libc::syscall(libc::SYS_tgkill, process, tid, signal) };
            }
        });
        std::thread::sleep(STEP);
    }
    Ok(())
}

/// Whether every thread but this one waits. Those that do are neither born nor end, so they are looked for before all are
/// counted: as many then are the same. The kernel's count is exact, its listing is not: a thread that ends while it is
/// read can hide the one behind it.
fn all_wait(tasks: BorrowedFd<'_>, attempt: u32) -> bool {
    let waiting = waiting(attempt).count() as u64;
    // Its number is the process's for good, so it cannot be another's meanwhile.
    let first = rustix::process::getpid().as_raw_nonzero().get();
    let ended = u64::from(first != own_tid() && has_ended(tasks, first));
    super::process::threads_in(tasks) == Some(1 + waiting + ended)
}

/// Those that wait for the end of an attempt.
fn waiting(attempt: u32) -> impl Iterator<Item = i32> {
    let of = move |state: u32| (state & !TID == state_of(attempt, 0)).then_some((state & TID).cast_signed());
    taken().filter_map(move |slot| of(slot.load(Ordering::Acquire)))
}

/// Has each go on that was held, for long enough that it has made use of it.
fn let_go(attempt: u32) {
    release(LET_GO);
    let mut patience = Patience::new(hold_of(attempt));
    while waiting(attempt).next().is_some() && !patience.is_over() {
        std::thread::sleep(STEP);
    }
    std::thread::sleep(hold_of(attempt) / 10);
}

/// The first thread can end and is counted still. It runs nothing any more.
fn has_ended(tasks: BorrowedFd<'_>, tid: i32) -> bool {
    let mut path = [0; 32];
    // There is room for a number, and a zero at the end.
    write!(&mut path[..31], "{tid}/stat").unwrap_or_default();
    let mut text = [0; 128];
    let read = CStr::from_bytes_until_nul(&path).ok().and_then(|path| {
        let file = rustix::fs::openat(tasks, path, OFlags::CLOEXEC, Mode::empty()).ok()?;
        rustix::io::read(&file, &mut text).ok()
    });
    // number (name) state; the name may hold anything, and is short.
    let stat = &text[..read.unwrap_or(0)];
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|end| stat.get(end + 2));
    matches!(state, Some(b'Z' | b'X'))
}

fn until_all_are_done() {
    let mut patience = Patience::new(PATIENCE);
    loop {
        let mut states = taken().map(|slot| slot.load(Ordering::Acquire));
        match states.find(|state| state & DONE == 0) {
            None => return,
            Some(state) if state & FAILED != 0 => {
                end_process((state & TID).cast_signed(), "cannot be restricted");
            }
            Some(late) if patience.is_over() => {
                end_process((late & TID).cast_signed(), "did not say that it is restricted")
            }
            Some(_) => std::thread::sleep(STEP),
        }
    }
}

/// What is left of it. Time in which this process did not run, stopped or starved, counts for little.
struct Patience {
    left: Duration,
    looked: Instant,
}

impl Patience {
    fn new(left: Duration) -> Patience {
        Patience { left, looked: Instant::now() }
    }

    fn is_over(&mut self) -> bool {
        let passed = self.looked.elapsed().min(Duration::from_millis(20));
        self.looked = Instant::now();
        self.left = self.left.saturating_sub(passed);
        self.left.is_zero()
    }
}

/// Says why and ends the process. What is held stays held, and with it any lock: nothing here takes one, and no handler
/// of the program's is run.
fn end_process(thread: i32, why: &str) -> ! {
    let mut line = [0; 160];
    let mut rest = &mut line[..];
    // It is shorter than that.
    writeln!(rest, "sandboxed: thread {thread} {why}, so this process ends").unwrap_or_default();
    let left = rest.len();
    let stderr = io::stderr();
    // A full pipe that nobody reads must not keep the process alive.
    let mut can_write = [rustix::event::PollFd::new(&stderr, rustix::event::PollFlags::OUT)];
    let soon = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
    if rustix::event::poll(&mut can_write, Some(&soon)) == Ok(1) {
        rustix::io::write(&stderr, &line[..line.len() - left]).unwrap_or_default();
    }
    super::process::end_by(libc::SIGABRT)
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

/// The handler of a real-time signal that the program does not handle, as long as this lives. Meanwhile this thread
/// takes no signal: a handler of the program's could wait for a thread that is held.
struct Handler {
    signal: c_int,
    mask: libc::sigset_t,
}

impl Handler {
    /// The last signal is the one that programs number from the other end.
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
        if asked != 0 || ![libc::SIG_DFL, libc::SIG_IGN].contains(&before.sa_sigaction) {
            return None;
        }
        let mut all = super::process::signal_set(&[]);
        // SAFETY: the set is initialised.
        unsafe { libc::sigfillset(&raw mut all) };
        // SAFETY: all-zero is a valid `sigaction`.
        let mut ours: libc::sigaction = unsafe { std::mem::zeroed() };
        ours.sa_sigaction = on_signal as extern "C" fn(c_int) as usize;
        ours.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        ours.sa_mask = all;
        // SAFETY: the handler makes async-signal-safe calls only; the struct lives through the call.
        if unsafe { libc::sigaction(signal, &raw const ours, std::ptr::null_mut()) } != 0 {
            return None;
        }
        let mut mask = super::process::signal_set(&[]);
        // SAFETY: both sets are initialised.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut mask) };
        Some(Handler { signal, mask })
    }
}

impl Drop for Handler {
    /// Ignored, not default: a signal that is still on its way (a tracer may hold it) must not end the process.
    fn drop(&mut self) {
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { libc::signal(self.signal, libc::SIG_IGN) };
        // SAFETY: the set is initialised; no old mask is asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.mask, std::ptr::null_mut()) };
    }
}

/// Waits for the release, then acts or just goes on. Async-signal-safe: atomics, `gettid`, `futex`, and the action's
/// system calls.
extern "C" fn on_signal(_: c_int) {
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    let turn = TURN.load(Ordering::Acquire);
    // Later, or a second signal that was on its way: nothing to do.
    if turn < ATTEMPTS
        && let state = state_of(turn, own_tid())
        && let Some(slot) = arrive(state)
    {
        while TURN.load(Ordering::Acquire) == turn {
            wait_while(turn);
        }
        if TURN.load(Ordering::Acquire) == RUN {
            act(slot, state);
        } else {
            slot.store(FREE_AGAIN, Ordering::Release);
        }
    }
    // SAFETY: takes nothing.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the location is this thread's own.
    unsafe { *place = errno };
}

fn act(slot: &AtomicU32, state: u32) {
    let worked = run_action();
    slot.store(state | if worked { DONE } else { FAILED }, Ordering::Release);
    if !worked {
        // The process is about to end, and this thread is not to go on free.
        loop {
            wait_while(RUN);
        }
    }
}

/// Sleeps as long as `TURN` says this, or not at all: callers look again.
fn wait_while(turn: u32) {
    futex::wait(&TURN, futex::Flags::PRIVATE, turn, None).unwrap_or_default();
}

/// Takes a slot; `None` where there is none.
fn arrive(state: u32) -> Option<&'static AtomicU32> {
    SLOTS.iter().find(|slot| {
        let free = slot.load(Ordering::Relaxed);
        [0, FREE_AGAIN].contains(&free)
            && slot.compare_exchange(free, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    })
}

fn run_action() -> bool {
    let action = ACTION.load(Ordering::Acquire).cast::<&dyn Action>();
    // SAFETY: `run_in_each` has set it, and keeps it until every gathered thread is done with it or the process ends.
    let action: &dyn Action = unsafe { *action };
    action.run()
}
