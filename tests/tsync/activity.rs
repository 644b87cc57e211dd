//! What a thread may be busy with when it is restricted.

use crate::crew::{Shared, Tried};
use crate::threads;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::futex;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Barrier, Mutex};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Waits on a futex.
    Futex,
    /// Waits in `read(2)`.
    Read,
    /// Waits in `poll(2)`.
    Poll,
    /// Sleeps, again and again.
    Sleep,
    /// Computes, without a system call.
    Busy,
    /// Makes system calls without a pause.
    Calls,
    /// Allocates and frees: what comes in between finds the allocator's lock held.
    Allocator,
    /// Holds the lock of stdout.
    Stdout,
    /// Is in a signal's handler, on a stack of its own.
    Handler,
    /// Waits for a child that shares its memory, where no signal reaches it.
    Vfork,
    /// Waits for a program's end.
    Command,
    /// Starts threads that start threads and end, and so on.
    Births,
    /// Starts threads that end at once, without a pause.
    Spawner,
    /// Waits with all signals blocked.
    Deaf,
    /// Sleeps with a lock, until a signal comes.
    Holder,
    /// Waits for that lock with all signals blocked.
    DeafForLock,
}

/// Those of which many make a crowd but no load: each is one thread, and waits.
pub const WAITING: [Activity; 4] = [Activity::Futex, Activity::Read, Activity::Poll, Activity::Sleep];

impl Activity {
    /// Is busy until the call is over.
    pub fn run(self, shared: &Arc<Shared>) {
        match self {
            Activity::Futex => until_over(shared, || wait_on_futex(shared)),
            Activity::Read => until_over(shared, || wait_in_read(shared)),
            Activity::Poll => until_over(shared, || wait_in_poll(shared)),
            Activity::Sleep => until_over(shared, || nap(20)),
            Activity::Busy => until_over(shared, std::hint::spin_loop),
            Activity::Calls => until_over(shared, || assert!(rustix::process::getppid().is_some())),
            Activity::Allocator => allocate(shared),
            Activity::Stdout => {
                let _lock = std::io::stdout().lock();
                until_over(shared, || wait_in_read(shared));
            }
            Activity::Handler => {
                shared.is_ready();
                threads::wait_in_handler(shared.pipe.as_raw_fd());
            }
            Activity::Vfork => until_over(shared, || threads::wait_for_vfork(50)),
            Activity::Command => wait_for_program(shared),
            Activity::Births => {
                shared.spawn_detached(give_birth);
                until_over(shared, || wait_in_poll(shared));
            }
            Activity::Spawner => until_over(shared, || {
                let shared = Arc::clone(shared);
                // Joined, or there would be ever more.
                std::thread::spawn(move || try_at(Activity::Spawner, &shared)).join().unwrap();
            }),
            Activity::Deaf => {
                threads::block_all_signals();
                until_over(shared, || wait_in_poll(shared));
            }
            Activity::Holder => {
                let lock = LOCK.lock().unwrap();
                BOTH.wait();
                BOTH.wait();
                shared.is_ready();
                nap(900);
                drop(lock);
                repeat_until_over(shared, || wait_in_poll(shared));
            }
            Activity::DeafForLock => {
                BOTH.wait();
                threads::block_all_signals();
                BOTH.wait();
                shared.is_ready();
                let lock = LOCK.lock().unwrap();
                threads::unblock_all_signals();
                drop(lock);
                repeat_until_over(shared, || wait_in_poll(shared));
            }
        }
    }
}

static LOCK: Mutex<()> = Mutex::new(());
/// Who holds it and who is deaf.
static BOTH: Barrier = Barrier::new(2);

fn until_over(shared: &Shared, once: impl FnMut()) {
    shared.is_ready();
    repeat_until_over(shared, once);
}

fn repeat_until_over(shared: &Shared, mut once: impl FnMut()) {
    while !shared.is_over() {
        once();
    }
}

fn wait_on_futex(shared: &Shared) {
    // Woken, interrupted, or over already: the caller looks.
    futex::wait(&shared.over, futex::Flags::PRIVATE, 0, None).unwrap_or_default();
}

fn wait_in_read(shared: &Shared) {
    // The end of the pipe or an interruption.
    rustix::io::read(&shared.pipe, &mut [0; 1]).unwrap_or_default();
}

fn wait_in_poll(shared: &Shared) {
    // As above.
    poll(&mut [PollFd::new(&shared.pipe, PollFlags::IN)], None).unwrap_or_default();
}

fn nap(milliseconds: i64) {
    let time = rustix::fs::Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
    let _interrupted_or_not = rustix::thread::nanosleep(&time);
}

fn allocate(shared: &Shared) {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut size = 1;
    until_over(shared, || {
        size = size * 7 % 100_003;
        kept.push(Vec::with_capacity(size));
        if kept.len() > 50 {
            kept.clear();
        }
    });
}

fn wait_for_program(shared: &Shared) {
    let stdin = shared.pipe.try_clone().unwrap();
    shared.is_ready();
    let output = std::process::Command::new("cat").stdin(stdin).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A thread that is born after the call must be restricted from its first instruction on.
fn try_at(activity: Activity, shared: &Shared) {
    // Looked at first: what begins before the end of the call may be free still.
    let is_over = shared.is_over();
    let tried = Tried::now(&shared.places);
    if is_over {
        shared.report(activity, tried);
    }
}

fn give_birth(shared: Arc<Shared>) {
    if shared.is_over() {
        try_at(Activity::Births, &shared);
    } else {
        shared.spawn_detached(give_birth);
    }
}
