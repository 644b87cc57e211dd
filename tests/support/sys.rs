//! System calls that tests make and that neither std nor rustix offers safely, one function each.
#![allow(unsafe_code, dead_code)] // each test file uses its part

#[path = "container.rs"]
pub mod container;

use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};

pub const NOBODY: u32 = 65534;

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Forks; the child runs `body` and ends with 0, or with 101 if that panics. Not to be used in the harness's own
/// process, which has threads.
pub fn fork(body: impl FnOnce()) -> i32 {
    try_fork(body).unwrap_or_else(|error| panic!("fork: {error}"))
}

/// As [`fork`], where it may be refused.
pub fn try_fork(body: impl FnOnce()) -> std::io::Result<i32> {
    // SAFETY: callers have one thread, so the child may do anything.
    match unsafe { libc::fork() } {
        0 => {
            let code = catch_unwind(AssertUnwindSafe(body)).map_or(101, |()| 0);
            exit_now(code)
        }
        -1 => Err(std::io::Error::last_os_error()),
        pid => Ok(pid),
    }
}

pub fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// Waits for a child made by [`fork`].
pub fn wait_for(pid: i32) -> ExitStatus {
    let mut status = 0;
    // SAFETY: the pointer is to a live int.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid, "waitpid: {}", std::io::Error::last_os_error());
    ExitStatus::from_raw(status)
}

/// `waitpid(-1)` with these flags, not waiting: the pid, or the errno.
pub fn wait_for_any(flags: i32) -> Result<i32, i32> {
    // SAFETY: no status is asked for.
    let waited = unsafe { libc::waitpid(-1, std::ptr::null_mut(), flags | libc::WNOHANG) };
    if waited < 0 { Err(errno()) } else { Ok(waited) }
}

pub fn kill(pid: i32, signal: i32) -> Result<(), i32> {
    // SAFETY: takes integers.
    let done = unsafe { libc::kill(pid, signal) };
    if done < 0 { Err(errno()) } else { Ok(()) }
}

pub fn raise(signal: i32) {
    // SAFETY: takes an integer.
    unsafe { libc::raise(signal) };
}

/// Gives a signal its default disposition.
pub fn reset(signal: i32) {
    // SAFETY: sets a default disposition.
    assert_ne!(unsafe { libc::signal(signal, libc::SIG_DFL) }, libc::SIG_ERR);
}

pub fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap()
}

/// Gives up root for good: groups and all ids.
pub fn become_user(id: u32) {
    // SAFETY: no list is read, its length is 0.
    assert_eq!(unsafe { libc::setgroups(0, std::ptr::null()) }, 0);
    // SAFETY: takes integers.
    assert_eq!(unsafe { libc::setresgid(id, id, id) }, 0);
    // SAFETY: takes integers.
    assert_eq!(unsafe { libc::setresuid(id, id, id) }, 0);
}

/// `setresuid(2)`, `None` for an id that stays.
pub fn set_user(real: Option<u32>, effective: Option<u32>, saved: Option<u32>) {
    let [real, effective, saved] = [real, effective, saved].map(|id| id.unwrap_or(u32::MAX));
    // SAFETY: takes integers.
    assert_eq!(unsafe { libc::setresuid(real, effective, saved) }, 0);
}

pub fn drop_groups() {
    // SAFETY: no list is read, its length is 0.
    assert_eq!(unsafe { libc::setgroups(0, std::ptr::null()) }, 0);
}

pub fn prctl(option: i32, argument: u64) -> Result<i32, i32> {
    // SAFETY: callers pass options that take integers.
    let done = unsafe { libc::prctl(option, argument, 0, 0, 0) };
    if done < 0 { Err(errno()) } else { Ok(done) }
}

/// `unshare(2)` with namespaces alone.
pub fn unshare(namespaces: i32) -> Result<(), i32> {
    // SAFETY: takes an integer; no flag here parts what threads share.
    let done = unsafe { libc::unshare(namespaces) };
    if done < 0 { Err(errno()) } else { Ok(()) }
}

/// Whether a descriptor of this number is open.
pub fn is_open(fd: i32) -> bool {
    // SAFETY: takes integers and only asks.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// Clears close-on-exec, as careless code does.
pub fn leak_over_exec(fd: i32) {
    // SAFETY: takes integers.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }, 0);
}

/// Writes to a descriptor by its number.
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize, i32> {
    // SAFETY: the pointer and the length are of live memory.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written).map_err(|_| errno())
}

pub fn set_nonblocking(fd: i32) {
    // SAFETY: takes integers.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) }, 0);
}

pub fn is_nonblocking(fd: i32) -> bool {
    // SAFETY: takes integers and only asks.
    unsafe { libc::fcntl(fd, libc::F_GETFL) & libc::O_NONBLOCK != 0 }
}

/// The disposition of a signal, as a number (`SIG_DFL` is 0, `SIG_IGN` 1).
pub fn disposition(signal: i32) -> usize {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is set; the pointer is to live memory of the type asked for.
    assert_eq!(unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) }, 0);
    // SAFETY: all-zero is a valid value, and the kernel wrote a whole one.
    unsafe { action.assume_init() }.sa_sigaction
}

static CAUGHT: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: i32) {
    CAUGHT.fetch_add(1, Ordering::SeqCst);
}

/// Counts a signal from now on; see [`caught`].
pub fn catch(signal: i32) {
    // SAFETY: the handler only adds to an atomic.
    assert_ne!(unsafe { libc::signal(signal, count as extern "C" fn(i32) as usize) }, libc::SIG_ERR);
}

pub fn caught() -> u32 {
    CAUGHT.load(Ordering::SeqCst)
}

/// The processor time of this process so far, all its threads together.
pub fn cpu_time() -> std::time::Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) }, 0);
    std::time::Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// The policy, flags, nice and, since Linux 6.12, the slice of this thread (`sched_getattr(2)`).
pub fn scheduling() -> Vec<u8> {
    let mut attributes = vec![0u8; 48];
    // SAFETY: the pointer is to as many bytes as the call is told; 0 is the caller.
    let done = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, attributes.as_mut_ptr(), 48, 0) };
    assert_eq!(done, 0, "sched_getattr: {}", std::io::Error::last_os_error());
    attributes
}

/// The minor page faults of this process so far.
pub fn minor_faults() -> i64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to live memory of the type asked for.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) }, 0);
    // SAFETY: all-zero is a valid value, and the kernel wrote a whole one.
    unsafe { usage.assume_init() }.ru_minflt
}

/// Keeps huge pages out of a buffer, so that its page tables have their full size.
pub fn forbid_huge_pages(bytes: &mut [u8]) {
    let start = bytes.as_mut_ptr().map_addr(|address| address.next_multiple_of(4096));
    let length = (bytes.len() - 4096) & !4095;
    // SAFETY: whole pages of the buffer; the advice changes no content.
    assert_eq!(unsafe { libc::madvise(start.cast(), length, libc::MADV_NOHUGEPAGE) }, 0);
}

/// Sets a limit of another process of ours.
pub fn limit_process(pid: i32, resource: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit64 { rlim_cur: most, rlim_max: most };
    // SAFETY: the pointer is to a live limit; the old one is not asked for.
    let done = unsafe { libc::prlimit64(pid, resource, &raw const limit, std::ptr::null_mut()) };
    assert_eq!(done, 0, "prlimit: {}", std::io::Error::last_os_error());
}

/// A filter under which one system call fails with `errno` and all others pass.
pub fn refuse_call(number: i64, errno: i32) {
    container::refuse_with(number, errno).unwrap();
}

/// `uname(2)`, or its errno.
pub fn uname() -> Result<(), i32> {
    let mut name = std::mem::MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: the pointer is to live memory of the type asked for.
    let done = unsafe { libc::uname(name.as_mut_ptr()) };
    if done < 0 { Err(errno()) } else { Ok(()) }
}

/// Makes a number refer to what `file` does.
pub fn replace(number: i32, file: &std::fs::File) {
    // SAFETY: takes integers; callers own the number.
    let done = unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(file), number) };
    assert_eq!(done, number);
}

/// Sets a number in somebody's memory.
pub fn poke((start, length): (*mut u8, usize), offset: usize, number: u64) {
    assert!(offset + 8 <= length);
    let at = start.wrapping_add(offset).cast::<u64>();
    // SAFETY: within the memory that the caller names, which is mapped and read by others as numbers.
    unsafe { at.write_volatile(number) };
}

pub fn peek((start, length): (*mut u8, usize), offset: usize) -> u64 {
    assert!(offset + 8 <= length);
    // SAFETY: as above.
    unsafe { start.wrapping_add(offset).cast::<u64>().read_volatile() }
}

pub fn fill((start, length): (*mut u8, usize), byte: u8) {
    // SAFETY: as above.
    unsafe { start.write_bytes(byte, length) };
}

/// Repeats bytes from an offset on.
pub fn fill_behind((start, length): (*mut u8, usize), offset: usize, bytes: &[u8]) {
    for at in (offset..=length - bytes.len()).step_by(bytes.len()) {
        // SAFETY: within the memory that the caller names.
        unsafe { start.wrapping_add(at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
}

pub fn unmap((start, length): (*mut u8, usize)) {
    // SAFETY: what refers to it crashes, which is wanted.
    unsafe { libc::munmap(start.cast(), length) };
}

/// Whether bytes are somewhere in memory from an address on, as far as it is mapped.
pub fn find_from(address: usize, length: usize, bytes: &[u8]) -> bool {
    let page = 4096;
    let start = address / page * page;
    // SAFETY: asks whether pages are mapped.
    let is_mapped = |at: usize| unsafe { libc::mincore(at as *mut _, page, &mut 0) } == 0;
    let end = (start..start + length).step_by(page).find(|at| !is_mapped(*at)).unwrap_or(start + length);
    // SAFETY: all of it is mapped, and nobody writes it meanwhile.
    let memory = unsafe { std::slice::from_raw_parts(start as *const u8, end - start) };
    memory.windows(bytes.len()).any(|window| window == bytes)
}

/// Asks for the right to write a page.
pub fn make_writable(address: usize) -> std::io::Result<()> {
    let (page, both) = (address / 4096 * 4096, libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: what is mapped there stays; only rights are asked for.
    match unsafe { libc::mprotect(page as *mut _, 4096, both) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Of a process with one thread.
pub fn set_variable(name: &str, value: &str) {
    // SAFETY: nobody else reads the environment meanwhile.
    unsafe { std::env::set_var(name, value) };
}

/// Writes where nothing is mapped.
pub fn write_to_null() {
    let nowhere = std::hint::black_box(std::ptr::without_provenance_mut::<u8>(16));
    // SAFETY: none: this is what crashes look like.
    unsafe { nowhere.write_volatile(1) };
}

/// A pair of sockets that keep messages apart.
pub fn seqpacket_pair() -> (std::os::unix::net::UnixStream, std::os::fd::OwnedFd) {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let (ours, theirs) = pair.unwrap();
    (ours.into(), theirs)
}

/// `seteuid(2)` for this thread alone, as the kernel has it.
pub fn set_effective_user_of_thread(user: u32) {
    // SAFETY: takes integers; libc, which would change all threads, is passed by.
    let done = unsafe { libc::syscall(libc::SYS_setresuid, u32::MAX, user, u32::MAX) };
    assert_eq!(done, 0, "setresuid: {}", std::io::Error::last_os_error());
}

/// Lets a command have one of our descriptors under a number.
pub fn hand_over(command: &mut std::process::Command, fd: i32, number: i32) {
    let give = move || {
        // SAFETY: takes integers; nothing else has the number in the child, or it has close-on-exec set.
        match unsafe { libc::dup2(fd, number) } {
            -1 => Err(std::io::Error::last_os_error()),
            // `dup2` of a number to itself leaves close-on-exec as it was.
            // SAFETY: takes integers.
            _ => match unsafe { libc::fcntl(number, libc::F_SETFD, 0) } {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            },
        }
    };
    // SAFETY: the closure makes two async-signal-safe calls.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, give) };
}

/// Whether the set-user-ID and set-group-ID bits of a file have an effect: not on a file system mounted nosuid, nor
/// under no_new_privs.
pub fn gains_privileges(file: &std::path::Path) -> bool {
    let flags = rustix::fs::statvfs(file).unwrap().f_flag;
    !flags.contains(rustix::fs::StatVfsMountFlags::NOSUID) && !rustix::thread::no_new_privs().unwrap()
}

/// Maps so much anonymous memory, without touching it, and unmaps it.
pub fn map(bytes: usize) -> std::io::Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a mapping of its own, which nothing refers to.
    let mapped = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: it is the mapping just made.
    assert_eq!(unsafe { libc::munmap(mapped, bytes) }, 0);
    Ok(())
}

/// A socket that keeps messages apart and waits for connections at a path.
pub fn seqpacket_server(path: &std::path::Path) -> std::os::fd::OwnedFd {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
    let server = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    bind(&server, &SocketAddrUnix::new(path).unwrap()).unwrap();
    listen(&server, 8).unwrap();
    server
}

/// A child that keeps every signal pending and does nothing until the pipe is closed. Also for processes with threads.
/// (`PR_SET_PDEATHSIG` would not do: it is refused where the parent may not signal the child.)
pub fn fork_and_wait() -> Result<(i32, std::io::PipeWriter), i32> {
    let (until, writer) = std::io::pipe().map_err(|error| error.raw_os_error().unwrap())?;
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the pointer is to live memory of the type asked for.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: the first set is initialised, the second live memory.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    // SAFETY: the child only makes calls that are async-signal-safe.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        wait_until_closed(std::os::fd::AsRawFd::as_raw_fd(&until));
    }
    let forked = errno_if(pid < 0);
    // SAFETY: the call above wrote the set.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    forked.map(|()| (pid, writer))
}

/// Keeps nothing else open, which others might wait for.
fn wait_until_closed(pipe: i32) -> ! {
    // SAFETY: takes integers.
    unsafe { libc::dup2(pipe, 0) };
    // SAFETY: takes integers; nothing uses these descriptors any more.
    unsafe { libc::syscall(libc::SYS_close_range, 1, u32::MAX, 0) };
    let mut byte = 0u8;
    // SAFETY: the pointer is to live memory of this length.
    unsafe { libc::read(0, (&raw mut byte).cast(), 1) };
    exit_now(0)
}

/// What `PTRACE_TRACEME` answers to a child: 0, or the errno. Also for processes with threads.
pub fn trace_me_in_child() -> i32 {
    // SAFETY: the child only makes calls that are async-signal-safe.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: takes no pointer that would be looked at.
        let traced = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        exit_now(if traced < 0 { errno() } else { 0 });
    }
    errno_if(pid < 0).map_or_else(|errno| errno, |()| wait_for(pid).code().expect("an exit code"))
}

fn errno_if(failed: bool) -> Result<(), i32> {
    if failed { Err(errno()) } else { Ok(()) }
}

/// Reads a byte at an address where nothing is mapped, or writes there: `EFAULT`, or why not even that.
pub fn touch_memory(pid: i32, write: bool) -> i32 {
    let mut byte = 0u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(16), iov_len: 1 };
    let call = if write { libc::process_vm_writev } else { libc::process_vm_readv };
    // SAFETY: both lists have one entry; the local one is of live memory.
    let touched = unsafe { call(pid, &raw const local, 1, &raw const remote, 1, 0) };
    if touched < 0 { errno() } else { 0 }
}

/// Has the kernel signal a process when this descriptor can be read.
pub fn signal_when_ready(fd: i32, pid: i32) -> Result<(), i32> {
    // SAFETY: takes integers.
    errno_if(unsafe { libc::fcntl(fd, libc::F_SETOWN, pid) } < 0)?;
    // SAFETY: takes integers.
    errno_if(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK) } < 0)
}

/// Closes a number.
pub fn close(fd: i32) {
    // SAFETY: takes an integer; callers give up what uses it.
    assert_eq!(unsafe { libc::close(fd) }, 0);
}

/// Makes the second number refer to what the first does.
pub fn duplicate(from: i32, to: i32) {
    // SAFETY: takes integers; callers own the second number.
    assert_eq!(unsafe { libc::dup2(from, to) }, to);
}

/// What a number refers to, if it is open.
pub fn file_type(fd: i32) -> Option<rustix::fs::FileType> {
    // SAFETY: it is only asked about, and closed by nobody meanwhile.
    let fd = is_open(fd).then(|| unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) })?;
    let stat = rustix::fs::fstat(fd).unwrap();
    Some(rustix::fs::FileType::from_raw_mode(stat.st_mode))
}

/// Maps a page that children would share.
pub fn share_memory() {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a mapping of its own, at an address of the kernel's choice.
    let mapped = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
    assert_ne!(mapped, libc::MAP_FAILED);
}

/// Whether the calling thread has an alternate stack for handlers of signals.
pub fn has_alternate_stack() -> bool {
    let mut stack = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    // SAFETY: sets none, and writes the present one to live memory of its type.
    assert_eq!(unsafe { libc::sigaltstack(std::ptr::null(), &raw mut stack) }, 0);
    stack.ss_flags & libc::SS_DISABLE == 0
}

pub fn block(signal: i32) {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the pointer is to live memory for a set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the line above.
    unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
    // SAFETY: the set is initialised; no old mask is asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) };
}

pub fn ignore(signal: i32) {
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Takes `SCHED_FIFO`, with the least priority that it has.
pub fn become_realtime() -> Result<(), i32> {
    let least = libc::sched_param { sched_priority: 1 };
    // SAFETY: the pointer is to a live parameter; 0 is the caller.
    errno_if(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const least) } < 0)
}

/// What is mapped from now on as readable is executable too.
pub fn make_readable_executable() {
    // SAFETY: takes an integer.
    assert!(unsafe { libc::personality(libc::READ_IMPLIES_EXEC as libc::c_ulong) } >= 0);
}

/// The allocator gives blocks of a mebibyte and more back to the kernel when they are freed, however often there were
/// such (`mallopt(3)`).
pub fn give_back_large_blocks() {
    // SAFETY: takes numbers only.
    let done = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20) };
    assert_eq!(done, 1);
}

/// The descriptors of files in memory that can be written.
pub fn writable_memory_files() -> Vec<i32> {
    // SAFETY: asks about descriptors.
    let seals = |fd| unsafe { libc::fcntl(fd, libc::F_GET_SEALS) };
    (0..256).filter(|fd| is_open(*fd) && seals(*fd) >= 0 && seals(*fd) & libc::F_SEAL_WRITE == 0).collect()
}

/// Adds a seal to a file in memory.
pub fn seal(fd: i32, seal: i32) {
    // SAFETY: changes a file.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seal) }, 0);
}

/// A mapping of a file that is writable, and stays.
pub fn map_file(fd: i32, length: usize) -> (*mut u8, usize) {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, which nothing refers to.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), length, access, libc::MAP_SHARED, fd, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    (at.cast(), length)
}

/// Writes at an offset of a file.
pub fn write_at(fd: i32, bytes: &[u8], offset: i64) -> Result<usize, i32> {
    // SAFETY: reads `bytes`.
    let written = unsafe { libc::pwrite(fd, bytes.as_ptr().cast(), bytes.len(), offset) };
    usize::try_from(written).map_err(|_| errno())
}

/// How much memory a file takes, in bytes.
pub fn memory_of(fd: i32) -> i64 {
    // SAFETY: all zeros are a valid value, and it is written before it is read.
    let mut stat = unsafe { std::mem::zeroed::<libc::stat>() };
    // SAFETY: writes to `stat`.
    assert_eq!(unsafe { libc::fstat(fd, &mut stat) }, 0);
    stat.st_blocks * 512
}
