//! Other processes: no signals to them, no abstract sockets of theirs, no tracing.

#[path = "support/bystander.rs"]
mod bystander;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/raw.rs"]
mod raw;
mod support;
#[path = "support/sys.rs"]
mod sys;

use bystander::Bystander;
use libc::{EACCES, EPERM};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use sandboxed::sandboxed;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use support::{errno, has_abi, in_child};

/// Every way to send a signal; 0, which only asks whether one could. `kill`, `tgkill` of the first thread,
/// `pidfd_send_signal`.
fn signal(pid: u32) -> [i32; 3] {
    let pid = || u64::from(pid).into();
    let by_pidfd = || {
        let pidfd = raw::syscall(libc::SYS_pidfd_open, [pid(), 0.into()])?;
        let sent =
            raw::syscall(libc::SYS_pidfd_send_signal, [(pidfd as u64).into(), 0.into(), 0.into(), 0.into()]);
        raw::syscall(libc::SYS_close, [(pidfd as u64).into()])?;
        sent
    };
    let sent = [
        raw::syscall(libc::SYS_kill, [pid(), 0.into()]),
        raw::syscall(libc::SYS_tgkill, [pid(), pid(), 0.into()]),
        by_pidfd(),
    ];
    sent.map(|sent: io::Result<i64>| sent.map_or_else(|error| error.raw_os_error().unwrap(), |_| 0))
}

fn signal_each(pids: &[u32]) -> Vec<[i32; 3]> {
    pids.iter().map(|pid| signal(*pid)).collect()
}

#[sandboxed]
fn in_process(pids: &[u32]) -> (Vec<[i32; 3]>, [i32; 3]) {
    (signal_each(pids), signal(std::process::id()))
}

#[sandboxed(thread)]
fn in_thread(pids: &[u32]) -> (Vec<[i32; 3]>, [i32; 3]) {
    (signal_each(pids), signal(std::process::id()))
}

#[sandboxed(allow(signal))]
fn in_process_allowed(pids: &[u32]) -> (Vec<[i32; 3]>, [i32; 3]) {
    (signal_each(pids), signal(std::process::id()))
}

#[sandboxed(thread, allow(signal))]
fn in_thread_allowed(pids: &[u32]) -> (Vec<[i32; 3]>, [i32; 3]) {
    (signal_each(pids), signal(std::process::id()))
}

#[sandboxed(in_place, thread_sync = "signal")]
fn restrict() {}

/// A worker that tells who it and its template are, and ends when it is told to.
#[sandboxed]
fn waits(mut host: UnixStream) {
    let parent = std::os::unix::process::parent_id();
    host.write_all(&[std::process::id().to_ne_bytes(), parent.to_ne_bytes()].concat()).unwrap();
    host.read_exact(&mut [0]).unwrap();
}

/// Runs `body` with the pids of a worker and of the forkserver.
fn beside_a_worker(body: impl FnOnce(u32, u32)) {
    let (mut host, theirs) = UnixStream::pair().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| waits(theirs));
        let mut pids = [[0; 4]; 2];
        pids.iter_mut().for_each(|pid| host.read_exact(pid).unwrap());
        let [worker, template] = pids.map(u32::from_ne_bytes);
        body(worker, processes::forkserver_of(template.cast_signed()).cast_unsigned());
        host.write_all(b"x").unwrap();
    });
}

#[test]
fn signals_stay_inside() {
    let bystander = Bystander::new();
    beside_a_worker(|sibling, forkserver| {
        let strangers = [std::process::id(), sibling, forkserver, bystander.pid()];
        assert_eq!(signal_each(&strangers), [[0; 3]; 4], "outside of a sandbox");
        // A filter cannot tell whose descriptor a pidfd is.
        assert_eq!(in_process(&strangers), (vec![[EPERM; 3]; 4], [0, 0, EPERM]));
        if !has_abi(6, "the scope of signals in `thread`") {
            return;
        }
        // The process of a thread is its own.
        assert_eq!(in_thread(&strangers[1..]), (vec![[EPERM; 3]; 3], [0; 3]));
    });
}

#[test]
fn allow_signal_opens_them() {
    let bystander = Bystander::new();
    beside_a_worker(|sibling, forkserver| {
        let strangers = [std::process::id(), sibling, forkserver, bystander.pid()];
        // Its deadline is kept by the forkserver.
        let allowed = [0, 0, EPERM];
        assert_eq!(in_process_allowed(&strangers), (vec![allowed, allowed, [EPERM; 3], allowed], allowed));
        assert_eq!(in_thread_allowed(&strangers), (vec![[0; 3]; 4], [0; 3]));
    });
}

#[test]
fn in_place_keeps_the_signals_of_every_thread_inside() {
    in_child("in_place_keeps_the_signals_of_every_thread_inside", || {
        if !has_abi(6, "the scope of signals") {
            return;
        }
        let harness = std::os::unix::process::parent_id();
        assert_eq!(signal(harness), [0; 3], "outside of a sandbox");
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let bystander = std::thread::spawn(move || {
            gone.recv().unwrap();
            signal(harness)
        });
        restrict();
        go.send(()).unwrap();
        assert_eq!(bystander.join().unwrap(), [EPERM; 3]);
        assert_eq!(signal(harness), [EPERM; 3]);
        assert_eq!(signal(std::process::id()), [0; 3]);
    });
}

/// An abstract name that no other test and no other run has.
fn abstract_name(what: &str) -> String {
    format!("sandboxed-test-{what}-{}", std::process::id())
}

fn unix(kind: SocketType) -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?)
}

fn listening(name: &str, kind: SocketType) -> OwnedFd {
    let socket = unix(kind).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap()).unwrap();
    if kind != SocketType::DGRAM {
        rustix::net::listen(&socket, 8).unwrap();
    }
    socket
}

/// Connects to a stream socket, connects to a datagram socket, sends to it.
fn reach(stream: &str, datagram: &str) -> [i32; 3] {
    let address = |name: &str| SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap();
    let connect =
        |kind, name: &str| -> io::Result<()> { Ok(rustix::net::connect(unix(kind)?, &address(name))?) };
    let send = || -> io::Result<()> {
        let socket = unix(SocketType::DGRAM)?;
        Ok(rustix::net::sendto(socket, b"x", SendFlags::empty(), &address(datagram)).map(drop)?)
    };
    let reached = [connect(SocketType::STREAM, stream), connect(SocketType::DGRAM, datagram), send()];
    reached.map(|reached| reached.map_or_else(|error| error.raw_os_error().unwrap(), |()| 0))
}

/// Sends from one socket to another, both made here.
fn reach_own(name: &str) -> i32 {
    let sent = unix(SocketType::DGRAM).and_then(|own| {
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
        rustix::net::bind(&own, &address)?;
        rustix::net::sendto(unix(SocketType::DGRAM)?, b"x", SendFlags::empty(), &address)?;
        Ok(rustix::io::read(own, &mut [0; 1])?)
    });
    sent.map_or_else(|error| error.raw_os_error().unwrap(), |_| 0)
}

#[sandboxed]
fn reach_without_sockets(stream: &str, datagram: &str, own: &str) -> ([i32; 3], i32) {
    (reach(stream, datagram), reach_own(own))
}

// Before ABI 9 a grant of pathname sockets cannot be held, but abstract ones are refused all the same.
#[sandboxed(best_effort, unix = "/usr")]
fn reach_in_process(stream: &str, datagram: &str, own: &str) -> ([i32; 3], i32) {
    (reach(stream, datagram), reach_own(own))
}

#[sandboxed(thread, best_effort, unix = "/usr")]
fn reach_in_thread(stream: &str, datagram: &str, own: &str) -> ([i32; 3], i32) {
    (reach(stream, datagram), reach_own(own))
}

#[sandboxed(best_effort, allow(abstract_unix_socket))]
fn reach_allowed(stream: &str, datagram: &str, own: &str) -> ([i32; 3], i32) {
    (reach(stream, datagram), reach_own(own))
}

#[sandboxed(thread, allow(abstract_unix_socket))]
fn reach_allowed_in_thread(stream: &str, datagram: &str, own: &str) -> ([i32; 3], i32) {
    (reach(stream, datagram), reach_own(own))
}

#[test]
fn abstract_sockets_stay_inside() {
    let [stream, datagram, own] = ["stream", "datagram", "own"].map(abstract_name);
    let _listening = [listening(&stream, SocketType::STREAM), listening(&datagram, SocketType::DGRAM)];
    assert_eq!(reach(&stream, &datagram), [0; 3], "outside of a sandbox");
    assert_eq!(reach_without_sockets(&stream, &datagram, &own), ([EACCES; 3], EACCES));
    if has_abi(6, "the scope of abstract sockets") {
        assert_eq!(reach_in_process(&stream, &datagram, &own), ([EPERM; 3], 0));
        assert_eq!(reach_in_thread(&stream, &datagram, &own), ([EPERM; 3], 0));
    }
}

#[test]
fn allow_abstract_unix_socket_opens_them() {
    let [stream, datagram, own] = ["stream-open", "datagram-open", "own-open"].map(abstract_name);
    let _listening = [listening(&stream, SocketType::STREAM), listening(&datagram, SocketType::DGRAM)];
    assert_eq!(reach_allowed(&stream, &datagram, &own), ([0; 3], 0));
    assert_eq!(reach_allowed_in_thread(&stream, &datagram, &own), ([0; 3], 0));
}

/// Four ways into another process: `ptrace`, taking its descriptors, comparing its memory, reading its list of locks.
fn trace(pid: u32) -> [i32; 4] {
    const PTRACE_SEIZE: u64 = 0x4206;
    const KCMP_VM: u64 = 1;
    let pid = || u64::from(pid).into();
    let pidfd_getfd = || {
        let pidfd = raw::syscall(libc::SYS_pidfd_open, [pid(), 0.into()])?;
        raw::syscall(libc::SYS_pidfd_getfd, [(pidfd as u64).into(), 0.into(), 0.into()])
    };
    let own = || u64::from(std::process::id()).into();
    let list = || [pid(), [0u8; 8].as_slice().into(), [0u8; 8].as_slice().into()];
    let done = [
        raw::syscall(libc::SYS_ptrace, [PTRACE_SEIZE.into(), pid(), 0.into(), 0.into()]),
        pidfd_getfd(),
        raw::syscall(libc::SYS_kcmp, [own(), pid(), KCMP_VM.into(), 0.into(), 0.into()]),
        raw::syscall(libc::SYS_get_robust_list, list()),
    ];
    done.map(|done: io::Result<i64>| done.map_or_else(|error| error.raw_os_error().unwrap(), |_| 0))
}

#[sandboxed]
fn trace_in_process(pids: &[u32]) -> Vec<[i32; 4]> {
    pids.iter().map(|pid| trace(*pid)).collect()
}

#[sandboxed(thread, allow(signal))]
fn trace_in_thread(pids: &[u32]) -> Vec<[i32; 4]> {
    pids.iter().map(|pid| trace(*pid)).collect()
}

#[sandboxed(thread)]
fn trace_self_in_thread() -> i32 {
    let own = || u64::from(std::process::id()).into();
    raw::syscall(libc::SYS_kcmp, [own(), own(), 1.into(), 0.into(), 0.into()])
        .map_or_else(|error| error.raw_os_error().unwrap(), |_| 0)
}

#[test]
fn strangers_cannot_be_traced() {
    let bystander = Bystander::new();
    beside_a_worker(|sibling, forkserver| {
        let strangers = [std::process::id(), sibling, forkserver, bystander.pid()];
        assert_eq!(trace_in_process(&strangers), [[EPERM; 4]; 4]);
        assert_eq!(trace_in_thread(&strangers[1..]), [[EPERM; 4]; 3]);
    });
    // Last, and in a thread that ends with its tracing.
    let pid = bystander.pid();
    assert_eq!(std::thread::spawn(move || trace(pid)).join().unwrap(), [0; 4], "outside of a sandbox");
    assert_eq!(trace_self_in_thread(), 0);
}

#[sandboxed(read = "/proc")]
fn open_memory(pids: &[u32]) -> Vec<i32> {
    let open = |pid: &u32| std::fs::OpenOptions::new().read(true).open(format!("/proc/{pid}/mem"));
    pids.iter().map(|pid| errno(open(pid))).collect()
}

#[test]
fn memory_of_strangers_cannot_be_opened() {
    let bystander = Bystander::new();
    let pids = [std::process::id(), bystander.pid()];
    // Also where the file itself is granted.
    assert_eq!(open_memory(&pids), [EACCES; 2]);
    assert!(std::fs::File::open(format!("/proc/{}/mem", pids[1])).is_ok(), "outside of a sandbox");
}

/// Makes its parent, the forkserver, its tracer, and stops.
#[sandboxed(timeout = "500ms")]
fn stops_under_its_parent() -> Result<i32, sandboxed::Error> {
    const PTRACE_TRACEME: u64 = 0;
    let traced = raw::syscall(libc::SYS_ptrace, [PTRACE_TRACEME.into(), 0.into(), 0.into(), 0.into()]);
    let errno = traced.map_or_else(|error| error.raw_os_error().unwrap(), |_| 0);
    raw::syscall(libc::SYS_kill, [u64::from(std::process::id()).into(), libc::SIGURG.into()]).unwrap();
    Ok(errno)
}

#[sandboxed]
fn add(a: u32, b: u32) -> u32 {
    a + b
}

/// Whatever the kernel lets it do, the host gets an answer in time, and the next call works.
#[test]
fn a_worker_that_stops_under_its_parent_ends() {
    match stops_under_its_parent() {
        Ok(errno) => assert_ne!(errno, 0, "it was traced and went on"),
        Err(error) => assert!(error.is_timeout() || error.signal().is_some(), "{error}"),
    }
    assert_eq!(add(1, 2), 3);
}
