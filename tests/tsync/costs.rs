//! What `thread_sync = "signal"` costs: each thread is in a domain of its own, so some of what threads do with each
//! other's is refused. From Landlock ABI 8 on all are in one, and nothing is.

use crate::cases::Case;
use crate::places::Places;
use crate::{ANY, TSYNC, abi, case, restrict_by_signal, sys, threads};
use libc::EPERM;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, socket};
use sandboxed::{Error, sandboxed};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

pub fn cases() -> Vec<Case> {
    vec![
        case("costs::signals_between_threads", ANY, signals),
        case("costs::children_of_other_threads", ANY, children),
        case("costs::abstract_sockets", ANY, abstract_sockets),
        case("costs::abstract_sockets_allowed", ANY, abstract_sockets_allowed),
    ]
}

/// Erratum 2: the scope of signals let no signal pass between threads of one process that are in domains of their own.
const SIGNALS_WITHIN_PROCESS: u32 = 1 << 1;

/// Another thread: its number, jobs for it, and what they return.
struct Other {
    tid: i32,
    give: Sender<Box<dyn FnOnce() -> i32 + Send>>,
    answers: Receiver<i32>,
}

impl Other {
    fn new() -> Other {
        let (give, jobs) = channel::<Box<dyn FnOnce() -> i32 + Send>>();
        let (answer, answers) = channel();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            tell.send(threads::tid()).unwrap();
            jobs.into_iter().for_each(|job| answer.send(job()).unwrap());
        });
        Other { tid: told.recv().unwrap(), give, answers }
    }

    fn run(&self, job: impl FnOnce() -> i32 + Send + 'static) -> i32 {
        self.give.send(Box::new(job)).unwrap();
        self.answers.recv().unwrap()
    }
}

fn errno(result: Result<(), i32>) -> i32 {
    result.err().unwrap_or(0)
}

/// Whether the scope of signals (ABI 6) tells the threads apart.
fn is_apart() -> bool {
    (6..TSYNC).contains(&abi())
}

fn signals(places: &Places) {
    threads::interrupt_by(libc::SIGUSR1, libc::SA_RESTART);
    let other = Other::new();
    let (first, process) = (threads::tid(), std::process::id().cast_signed());
    restrict_by_signal(&places.kept).unwrap();
    let is_fixed = sandboxed::kernel().errata & SIGNALS_WITHIN_PROCESS != 0;
    let between = if is_apart() && !is_fixed { EPERM } else { 0 };
    assert_eq!(errno(threads::signal_thread(first, libc::SIGUSR1)), 0, "oneself");
    assert_eq!(errno(threads::signal_thread(other.tid, libc::SIGUSR1)), between, "another");
    // The process is looked at as its first thread, which this is.
    assert_eq!(errno(sys::kill(process, libc::SIGUSR1)), 0);
    assert_eq!(other.run(move || errno(threads::signal_thread(first, libc::SIGUSR1))), between);
    assert_eq!(other.run(move || errno(sys::kill(process, libc::SIGUSR1))), between);
}

/// A child is in the domain of the thread that forked it.
fn children(places: &Places) {
    let other = Other::new();
    restrict_by_signal(&places.kept).unwrap();
    let fork = || sys::fork(|| std::thread::sleep(std::time::Duration::from_secs(3600)));
    let of_other = other.run(fork);
    assert_eq!(errno(sys::kill(of_other, libc::SIGTERM)), if is_apart() { EPERM } else { 0 });
    assert_eq!(other.run(move || errno(sys::kill(of_other, libc::SIGTERM))), 0, "the thread's own");
    sys::wait_for(of_other);
    let own = fork();
    assert_eq!(errno(sys::kill(own, libc::SIGTERM)), 0);
    sys::wait_for(own);
}

#[sandboxed(in_place, thread_sync = "signal", allow(abstract_unix_socket))]
fn restrict_but_abstract_sockets() -> Result<(), Error> {
    Ok(())
}

/// Sockets may be made, while those of other processes are out of reach. Before ABI 9 no path can be held, hence best
/// effort.
#[sandboxed(in_place, thread_sync = "signal", best_effort, unix = directory)]
fn restrict_but_pathname_sockets(directory: &Path) -> Result<(), Error> {
    Ok(())
}

fn datagram_socket() -> rustix::io::Result<OwnedFd> {
    socket(AddressFamily::UNIX, SocketType::DGRAM, None)
}

/// 0, or the errno.
fn connect_to(address: &SocketAddrUnix) -> i32 {
    connect(datagram_socket().unwrap(), address).map_or_else(|errno| errno.raw_os_error(), |()| 0)
}

/// What a thread can do about its own abstract socket, and another thread about that.
fn own_and_other(restrict: impl FnOnce()) -> [i32; 2] {
    let other = Other::new();
    restrict();
    let name = format!("sandboxed-test-{}", std::process::id());
    let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap();
    let socket = datagram_socket().unwrap();
    bind(&socket, &address).unwrap();
    [connect_to(&address), other.run(move || connect_to(&address))]
}

/// A thread of the process is refused as another process would be.
fn abstract_sockets(places: &Places) {
    let tried = own_and_other(|| restrict_but_pathname_sockets(&places.kept).unwrap());
    assert_eq!(tried, [0, if is_apart() { EPERM } else { 0 }]);
}

fn abstract_sockets_allowed(_: &Places) {
    assert_eq!(own_and_other(|| restrict_but_abstract_sockets().unwrap()), [0, 0]);
}
