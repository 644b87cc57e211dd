//! What a limit refuses is seen, with the key that would raise it; what is below it is no denial.

use sandboxed::{By, Denial, Error, Policy, observe, sandboxed};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// 0 where it succeeded.
fn errno<T>(result: io::Result<T>) -> i32 {
    result.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1))
}

/// Call, errno, and what would grant it, of each that a limit refused; nothing else was seen.
fn by_limits(denials: &[Denial]) -> Vec<(&str, i32, Option<&str>)> {
    assert!(denials.iter().all(|denial| denial.by == By::Limit), "{denials:#?}");
    denials.iter().map(|denial| (&*denial.call, denial.errno, denial.grant.as_deref())).collect()
}

#[sandboxed(memory = "64MiB")]
fn allocates(bytes: usize) -> Result<bool, Error> {
    Ok(Vec::<u8>::new().try_reserve_exact(bytes).is_ok())
}

#[test]
fn memory() {
    assert_eq!(observe(|| allocates(1 << 24).unwrap()), (true, Vec::new()));
    let (allocated, denials) = observe(|| allocates(1 << 28).unwrap());
    assert!(!allocated);
    let refused = by_limits(&denials);
    assert_eq!(refused[0], ("mmap", libc::ENOMEM, Some("memory = \"128MiB\"")));
    assert_eq!(denials[0].note.as_deref(), Some("the limit is `memory = \"64MiB\"`"));
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Grow {
    Write,
    WriteAt,
    Truncate,
    Allocate,
}

#[sandboxed(file_size = 4096)]
fn grows(mut file: File, how: Grow, to: usize) -> Result<i32, Error> {
    let bytes = vec![0; to];
    Ok(errno(match how {
        Grow::Write => file.write_all(&bytes),
        Grow::WriteAt => file.write_at(b"!", to as u64 - 1).map(drop),
        Grow::Truncate => file.set_len(to as u64),
        Grow::Allocate => {
            let flags = rustix::fs::FallocateFlags::empty();
            rustix::fs::fallocate(&file, flags, 0, to as u64).map_err(io::Error::from)
        }
    }))
}

#[test]
fn file_size() {
    for (how, call) in [
        (Grow::Write, "write"),
        (Grow::WriteAt, "pwrite64"),
        (Grow::Truncate, "ftruncate"),
        (Grow::Allocate, "fallocate"),
    ] {
        assert_eq!(observe(|| grows(tempfile::tempfile().unwrap(), how, 4096).unwrap()), (0, Vec::new()));
        let (errno, denials) = observe(|| grows(tempfile::tempfile().unwrap(), how, 4097).unwrap());
        assert_eq!(errno, libc::EFBIG, "{how:?}");
        assert_eq!(by_limits(&denials), [(call, libc::EFBIG, Some("file_size = \"8KiB\""))], "{how:?}");
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Open {
    Pipe,
    Event,
    Epoll,
    Dup,
    DupFrom,
    Memory,
    Pair,
    Accept,
}

impl Open {
    fn run(self, listener: &OwnedFd) -> io::Result<Vec<OwnedFd>> {
        use rustix::{event, fs, io, net};
        Ok(match self {
            Open::Pipe => std::io::pipe().map(|(read, write)| vec![read.into(), write.into()])?,
            Open::Event => vec![event::eventfd(0, event::EventfdFlags::empty())?],
            Open::Epoll => vec![event::epoll::create(event::epoll::CreateFlags::empty())?],
            Open::Dup => vec![io::dup(listener)?],
            Open::DupFrom => vec![listener.try_clone()?],
            Open::Memory => vec![fs::memfd_create("test", fs::MemfdFlags::empty())?],
            Open::Pair => {
                let (unix, stream) = (net::AddressFamily::UNIX, net::SocketType::STREAM);
                let (one, other) = net::socketpair(unix, stream, net::SocketFlags::empty(), None)?;
                vec![one, other]
            }
            Open::Accept => vec![net::accept(listener)?],
        })
    }
}

/// Opens so many, or until it is refused.
#[sandboxed(memory = "unlimited", open_files = 6)]
fn opens(listener: OwnedFd, how: Open, times: usize) -> Result<i32, Error> {
    let opened: io::Result<Vec<_>> = (0..times).map(|_| how.run(&listener)).collect();
    Ok(errno(opened))
}

#[test]
fn open_files() {
    for (how, call) in [
        (Open::Pipe, "pipe2"),
        (Open::Event, "eventfd2"),
        (Open::Epoll, "epoll_create1"),
        (Open::Dup, "dup"),
        (Open::DupFrom, "fcntl"),
        (Open::Memory, "memfd_create"),
        (Open::Pair, "socketpair"),
        (Open::Accept, "accept"),
    ] {
        let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let call_with = |times| {
            let listener = listen();
            let address = listener.local_addr().unwrap();
            let _callers: Vec<_> =
                (0..times).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
            observe(|| opens(listener.into(), how, times).unwrap())
        };
        assert_eq!(call_with(2), (0, Vec::new()), "{how:?}");
        let (errno, denials) = call_with(20);
        assert_eq!(errno, libc::EMFILE, "{how:?}");
        assert_eq!(by_limits(&denials), [(call, libc::EMFILE, Some("open_files = 12"))], "{how:?}");
    }
}

#[sandboxed(namespaces, threads = 2)]
fn start_threads(times: usize) -> Result<i32, Error> {
    let (closed, open) = std::io::pipe().unwrap();
    Ok(std::thread::scope(|scope| {
        let waits = || drop(io::Read::read(&mut &closed, &mut [0]));
        let started: io::Result<Vec<_>> =
            (0..times).map(|_| std::thread::Builder::new().spawn_scoped(scope, waits)).collect();
        drop(open);
        errno(started)
    }))
}

#[test]
fn threads() {
    if !sandboxed::kernel_for(&Policy::new().namespaces()).unwrap().thread_limit {
        return eprintln!("not checked: no limit of threads binds this user in namespaces here");
    }
    assert_eq!(observe(|| start_threads(1).unwrap()), (0, Vec::new()));
    let (errno, denials) = observe(|| start_threads(2).unwrap());
    assert_eq!(errno, libc::EAGAIN);
    assert_eq!(by_limits(&denials), [("clone", libc::EAGAIN, Some("threads = 4"))]);
}
