//! System calls about single threads: signals, stacks, and what only foreign code would do to a thread.
#![allow(unsafe_code, dead_code)] // each test file uses its part

use super::sys::errno;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// The number of the calling thread.
pub fn tid() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

fn all_signals() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::zeroed();
    // SAFETY: the pointer is to live memory of the type asked for.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    // SAFETY: all-zero is a valid value, and the call made a whole one.
    unsafe { set.assume_init() }
}

/// Blocks every signal for the calling thread.
pub fn block_all_signals() {
    change_mask(libc::SIG_BLOCK);
}

/// Lets every signal through to the calling thread again.
pub fn unblock_all_signals() {
    change_mask(libc::SIG_UNBLOCK);
}

fn change_mask(how: i32) {
    let all = all_signals();
    // SAFETY: the set is initialised; no old mask is asked for.
    assert_eq!(unsafe { libc::pthread_sigmask(how, &raw const all, std::ptr::null_mut()) }, 0);
}

/// Whether the calling thread blocks this signal.
pub fn blocks(signal: i32) -> bool {
    let mut mask = all_signals();
    // SAFETY: nothing is set; the pointer is to a live set.
    assert_eq!(unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask) }, 0);
    // SAFETY: the set is initialised.
    unsafe { libc::sigismember(&raw const mask, signal) == 1 }
}

fn set_handler(signal: i32, handler: usize, flags: i32) {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all-zero is a valid value.
    let mut action = unsafe { action.assume_init_mut() }.to_owned();
    (action.sa_sigaction, action.sa_flags) = (handler, flags);
    // SAFETY: callers pass handlers that make async-signal-safe calls alone; the struct lives through the call.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }, 0);
}

extern "C" fn nothing(_: i32) {}

/// A handler that does nothing, with `SA_RESTART` or without.
pub fn interrupt_by(signal: i32, flags: i32) {
    set_handler(signal, nothing as extern "C" fn(i32) as usize, flags);
}

pub fn ignore(signal: i32) {
    set_handler(signal, libc::SIG_IGN, 0);
}

extern "C" fn spin(_: i32) {
    loop {
        // SAFETY: takes nothing.
        unsafe { libc::sched_yield() };
    }
}

/// A handler that never returns.
pub fn never_return_from(signal: i32) {
    set_handler(signal, spin as extern "C" fn(i32) as usize, 0);
}

/// What [`wait_in_handler`] waits for: this descriptor's end.
static WAITED_FOR: AtomicI32 = AtomicI32::new(-1);
static IN_HANDLER: AtomicU32 = AtomicU32::new(0);

extern "C" fn wait(_: i32) {
    let mut poll = libc::pollfd { fd: WAITED_FOR.load(Ordering::SeqCst), events: 0, revents: 0 };
    IN_HANDLER.fetch_add(1, Ordering::SeqCst);
    loop {
        // SAFETY: the pointer is to one live struct.
        if unsafe { libc::poll(&raw mut poll, 1, -1) } == 1 {
            return;
        }
    }
}

/// Raises a signal whose handler, on a stack of its own, waits until the other end of the pipe is closed.
pub fn wait_in_handler(pipe: i32) {
    let stack: &'static mut [u8] = Box::leak(vec![0u8; 64 * 1024].into_boxed_slice());
    let new = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
    let mut before = new;
    // SAFETY: the stack is never freed.
    assert_eq!(unsafe { libc::sigaltstack(&raw const new, &raw mut before) }, 0);
    WAITED_FOR.store(pipe, Ordering::SeqCst);
    set_handler(libc::SIGUSR2, wait as extern "C" fn(i32) as usize, libc::SA_ONSTACK);
    super::sys::raise(libc::SIGUSR2);
    // SAFETY: what was there before is std's, which lives as long as the thread.
    assert_eq!(unsafe { libc::sigaltstack(&raw const before, std::ptr::null_mut()) }, 0);
}

/// How many threads have come into that handler.
pub fn in_handler() -> u32 {
    IN_HANDLER.load(Ordering::SeqCst)
}

/// SIGALRM for the process every millisecond.
pub fn start_timer() {
    let often = libc::timeval { tv_sec: 0, tv_usec: 1000 };
    let timer = libc::itimerval { it_interval: often, it_value: often };
    // SAFETY: the pointer is to a live struct.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) }, 0);
}

/// A signal for one thread of this process.
pub fn signal_thread(tid: i32, signal: i32) -> Result<(), i32> {
    // SAFETY: takes integers.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), tid, signal) };
    if sent < 0 { Err(errno()) } else { Ok(()) }
}

/// Ends the calling thread and nothing else, by the kernel's `exit(2)`. No destructor runs.
pub fn exit_thread() -> ! {
    // SAFETY: the thread's stack stays where it is, so what others borrow from it stays too.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("exit(2) does not return");
}

extern "C" fn nap(milliseconds: *mut libc::c_void) -> i32 {
    let time = libc::timespec { tv_sec: 0, tv_nsec: milliseconds.addr() as i64 * 1_000_000 };
    // SAFETY: the pointer is to a live struct.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
    0
}

/// A child that shares this process's memory and naps; the calling thread waits in the kernel as after `vfork(2)`,
/// where no signal but a deadly one reaches it.
pub fn wait_for_vfork(milliseconds: usize) {
    let mut stack = vec![0u128; 4096];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let argument = std::ptr::without_provenance_mut(milliseconds);
    // SAFETY: the end of a buffer, in bounds.
    let top = unsafe { stack.as_mut_ptr().add(stack.len()) };
    // SAFETY: the child runs on a stack that outlives it, since the parent waits, and makes one system call.
    let child = unsafe { libc::clone(nap, top.cast(), flags, argument) };
    assert!(child > 0, "clone: {}", std::io::Error::last_os_error());
    super::sys::wait_for(child);
}

/// Traces one thread of another process, which goes on.
pub fn trace_thread(tid: i32) {
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: with this request the kernel reads and writes no memory of ours.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, null, null) };
    assert_eq!(seized, 0, "PTRACE_SEIZE: {}", std::io::Error::last_os_error());
}

/// Waits until a traced thread stops or has ended.
pub fn wait_for_thread(tid: i32) {
    // SAFETY: no status is asked for.
    assert_eq!(unsafe { libc::waitpid(tid, std::ptr::null_mut(), libc::__WALL) }, tid);
}

/// Stops one thread of another process, by tracing it.
pub fn stop_thread(tid: i32) {
    trace_thread(tid);
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: as in `trace_thread`.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, tid, null, null) }, 0);
    wait_for_thread(tid);
}

/// Lets a thread go on that [`stop_thread`] stopped.
pub fn let_go(tid: i32) {
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: as in `trace_thread`.
    let done = unsafe { libc::ptrace(libc::PTRACE_DETACH, tid, null, null) };
    assert_eq!(done, 0, "PTRACE_DETACH: {}", std::io::Error::last_os_error());
}

/// Numbers that a process and its forked children share.
pub fn shared_numbers() -> &'static [AtomicU32; 16] {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, where the kernel likes.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    // SAFETY: a zeroed page is a valid array of such numbers; it is never unmapped.
    unsafe { &*page.cast() }
}
