//! Starting a program without forking this one: `clone(2)` with `CLONE_VM | CLONE_VFORK`, as `posix_spawn`
//! does, since a fork costs a copy of the page tables and copies locks and secrets. `posix_spawn` itself can
//! neither set no_new_privs nor leave the child to init.
//!
//! Two steps: an intermediate process, whose end sends no signal and is seen by no `wait` that does not ask for
//! it, starts the program and ends. So the program is nobody's child here.
#![allow(unsafe_code)]

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::fcntl_dupfd_cloexec;
use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

/// Where the program finds its socket; the descriptors 0 and 1 are `/dev/null`, 2 is the caller's.
pub(crate) const SOCKET: c_int = 3;
const EXE: c_int = 4;
/// The children's calls need little; each stack is a mapping of its own, above a guard page.
const STACK: usize = 64 * 1024;

fn mapping_size() -> usize {
    STACK + super::process::page_size()
}

struct Program {
    exe: c_int,
    null: c_int,
    socket: c_int,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    stack: *mut c_void,
    /// The errno of what failed. The children share our memory.
    failed: AtomicI32,
}

/// Starts `exe` with nothing but a socket, and detached: in its own session, no child of ours.
pub(crate) fn detached(
    exe: BorrowedFd<'_>,
    null: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
    args: &[CString],
    env: &[CString],
) -> io::Result<()> {
    // Numbers above those that the child assigns, so that no assignment closes one that is still needed.
    let (exe, null) = (fcntl_dupfd_cloexec(exe, EXE + 1)?, fcntl_dupfd_cloexec(null, EXE + 1)?);
    let socket = fcntl_dupfd_cloexec(socket, EXE + 1)?;
    let stacks = [Stack::new()?, Stack::new()?];
    let pointers = |strings: &[CString]| {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let program = Program {
        exe: exe.as_raw_fd(),
        null: null.as_raw_fd(),
        socket: socket.as_raw_fd(),
        argv: pointers(args),
        envp: pointers(env),
        stack: stacks[1].top(),
        failed: AtomicI32::new(0),
    };
    let blocked = BlockedSignals::all()?;
    // Exit signal 0: no SIGCHLD, and only __WCLONE or __WALL waits for it.
    let flags = libc::CLONE_VM | libc::CLONE_VFORK;
    // SAFETY: the function and its argument outlive the child's use of them, since CLONE_VFORK lets us go on
    // only when the child is gone; the stack is its own; it makes only async-signal-safe calls.
    let pid =
        unsafe { libc::clone(intermediate, stacks[0].top(), flags, (&raw const program).cast_mut().cast()) };
    let cloned = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    drop(blocked);
    cloned?;
    reap(pid);
    match program.failed.load(Ordering::Relaxed) {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

fn reap(pid: libc::pid_t) {
    loop {
        // SAFETY: no status is asked for.
        let waited = unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WCLONE) };
        // ECHILD: somebody who waits for everything (__WALL) was faster.
        if waited >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return;
        }
    }
}

extern "C" fn intermediate(program: *mut c_void) -> c_int {
    // SAFETY: `detached` passes its program, which lives until this process is gone; only shared access follows.
    let this = unsafe { &*program.cast::<Program>() };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: as in `detached`; the second stack is used by this child alone.
    if unsafe { libc::clone(run, this.stack, flags, program) } < 0 {
        this.fail();
    }
    super::process::exit_now(0)
}

extern "C" fn run(program: *mut c_void) -> c_int {
    // SAFETY: as in `intermediate`.
    let this = unsafe { &*program.cast::<Program>() };
    this.become_program();
    this.fail();
    super::process::exit_now(127)
}

impl Program {
    fn fail(&self) {
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
        self.failed.store(errno, Ordering::Relaxed);
    }

    /// Returns only on failure, with errno set. Async-signal-safe calls only: the memory is the host's.
    fn become_program(&self) -> Option<()> {
        for signal in 1..=64 {
            // SAFETY: the table of dispositions is a copy, without CLONE_SIGHAND.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        // So that a Ctrl-C meant for the host does not reach it.
        // SAFETY: takes nothing.
        done(unsafe { libc::setsid() })?;
        // Before exec, so that a set-user-ID program gains nothing.
        // SAFETY: takes integers.
        done(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
        self.assign_descriptors()?;
        // SAFETY: the vectors end with null and live in the host, which waits; the path is empty, so the
        // descriptor is what is executed (it works when the file has been deleted).
        done(unsafe {
            libc::syscall(
                libc::SYS_execveat,
                EXE,
                c"".as_ptr(),
                self.argv.as_ptr(),
                self.envp.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        } as c_int)
    }

    fn assign_descriptors(&self) -> Option<()> {
        // SAFETY: takes integers; the table of descriptors is a copy, without CLONE_FILES.
        done(unsafe { libc::dup2(self.null, 0) })?;
        // SAFETY: as above.
        done(unsafe { libc::dup2(self.null, 1) })?;
        // The loader's complaints go to the host's stderr, if it has one.
        // SAFETY: as above.
        if unsafe { libc::fcntl(2, libc::F_GETFD) } < 0 {
            // SAFETY: as above.
            done(unsafe { libc::dup2(self.null, 2) })?;
        }
        // SAFETY: as above.
        done(unsafe { libc::dup2(self.socket, SOCKET) })?;
        // SAFETY: as above.
        done(unsafe { libc::dup3(self.exe, EXE, libc::O_CLOEXEC) })?;
        // SAFETY: as above.
        done(unsafe { libc::syscall(libc::SYS_close_range, EXE + 1, u32::MAX, 0) } as c_int)
    }
}

fn done(result: c_int) -> Option<()> {
    (result >= 0).then_some(())
}

/// A mapping for a child's stack, with a guard page below it.
struct Stack {
    base: *mut c_void,
}

impl Stack {
    fn new() -> io::Result<Stack> {
        use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
        let base =
            unsafe { mmap_anonymous(std::ptr::null_mut(), mapping_size(), access, MapFlags::PRIVATE) }?;
        let stack = Stack { base };
        // SAFETY: the first page of our own mapping, which nobody uses yet.
        unsafe { mprotect(base, super::process::page_size(), MprotectFlags::empty()) }?;
        Ok(stack)
    }

    /// Stacks grow down; the end of a mapping is aligned more than enough.
    fn top(&self) -> *mut c_void {
        self.base.wrapping_byte_add(mapping_size())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: our own mapping, whose user is gone when it is dropped. A failure would only leak it.
        unsafe { rustix::mm::munmap(self.base, mapping_size()) }.unwrap_or_default();
    }
}

/// This thread's signals are blocked, so that no handler of the host runs in a child that shares its memory.
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn all() -> io::Result<BlockedSignals> {
        let mut all = super::process::signal_set(&[]);
        // SAFETY: the set is initialised.
        unsafe { libc::sigfillset(&raw mut all) };
        let mut before = super::process::signal_set(&[]);
        // SAFETY: both sets are initialised.
        match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) } {
            0 => Ok(BlockedSignals(before)),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set is what the kernel gave; no old mask is asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}
