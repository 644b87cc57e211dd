//! What `memory` bounds: 256 MiB, tried by every way to get memory from the kernel. Each row says how much a worker got,
//! and what stopped it. The table in `docs/limits.md` is printed from the rows.

#[path = "support/maps.rs"]
mod maps;
#[path = "support/raw.rs"]
mod raw;

use maps::{fork, grow_heap, install_long_filter, map, map_and_read_page, use_stack};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{FallocateFlags, MemfdFlags, fallocate};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use sandboxed::{Error, Placement, Policy, Promise, kernel, plan, sandboxed};
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

const MIB: usize = 1 << 20;
/// What the worker may have.
const LIMIT: usize = 256 * MIB;
/// What it tries to get.
const GOAL: usize = 512 * MIB;
/// The descriptors that a worker may have by default.
const DESCRIPTORS: usize = 256;

/// How many bytes there were, and the errno of the next; 0 where there was none.
type Got = (usize, i32);

/// What bounds a way.
enum Bound {
    /// The limit counts it: no more than that.
    Counted,
    /// It is refused as a whole where this promise is held; the limit does not count it.
    Refused(Promise),
    /// The limit does not count it; something else ends it, with this errno.
    Elsewhere { most: usize, errno: i32, by: &'static str },
    /// Nothing but the time that it takes.
    Time,
}

struct Way {
    name: &'static str,
    bound: Bound,
    /// What there is on this kernel to be got, in the documentation's words.
    measured: &'static str,
    get: fn() -> Got,
}

const fn way(name: &'static str, bound: Bound, measured: &'static str, get: fn() -> Got) -> Way {
    Way { name, bound, measured, get }
}

fn ways() -> Vec<Way> {
    use Bound::{Counted, Elsewhere, Refused, Time};
    let by_descriptors =
        |each| Elsewhere { most: DESCRIPTORS * each, errno: libc::EMFILE, by: "`open_files`" };
    let refused = || Refused(Promise::UncountedMemory);
    let all = "to the limit";
    vec![
        way("the heap", Counted, all, || repeat(MIB, || Ok(reserve(MIB)?))),
        way("`brk`", Counted, all, brk),
        way("`mmap`, private", Counted, all, || repeat(MIB, || map(MIB, 0))),
        way("`mmap`, shared", Counted, all, || repeat(MIB, || map(MIB, libc::MAP_SHARED))),
        way("`mmap`, one large", Counted, "nothing", || repeat(GOAL, || map(GOAL, 0))),
        way("`MAP_NORESERVE`", Counted, all, || repeat(MIB, || map(MIB, libc::MAP_NORESERVE))),
        way("`MAP_STACK`, `MAP_GROWSDOWN`", Counted, all, || {
            repeat(MIB, || map(MIB, libc::MAP_STACK | libc::MAP_GROWSDOWN))
        }),
        way("`MAP_HUGETLB`", Counted, "to the limit, where there are such pages", || {
            repeat(2 * MIB, || map(2 * MIB, libc::MAP_HUGETLB))
        }),
        way("`MAP_LOCKED`", Counted, "to the limit, or `RLIMIT_MEMLOCK`", || {
            repeat(MIB, || map(MIB, libc::MAP_LOCKED))
        }),
        way("`mremap`", Counted, all, remap),
        way("stacks of threads", Counted, all, stacks),
        way("memory files (`memfd_create`)", refused(), "no bound where it is not refused", memory_file),
        way("System V segments", refused(), "no bound where it is not refused", segment),
        way(
            "`fork`: the limit once more for each process",
            Refused(Promise::NewProcesses),
            "no bound where it is not refused",
            processes,
        ),
        way("`userfaultfd`", Refused(Promise::OtherSystemCalls), "", || call(libc::SYS_userfaultfd, 1)),
        way("`bpf`", Refused(Promise::OtherSystemCalls), "", || call(libc::SYS_bpf, 0)),
        way("`perf_event_open`", Refused(Promise::OtherSystemCalls), "", || {
            call(libc::SYS_perf_event_open, 0)
        }),
        way("`io_uring`", Refused(Promise::IoUring), "", || call(libc::SYS_io_uring_setup, 1)),
        way(
            "files in memory (`/dev/shm`, tmpfs) where `write` grants them",
            Time,
            "the size of the file system; `file_size` bounds each file",
            in_shm,
        ),
        way("full pipes", by_descriptors(64 * 1024), "17 MiB", pipes),
        way("full sockets (`socketpair`)", by_descriptors(256 * 1024), "54 MiB", sockets),
        way("larger pipes (`F_SETPIPE_SZ`)", refused(), "1 MiB each where it is not refused", || {
            let (_reader, writer) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
            fcntl_setpipe_size(&writer, MIB).map_or_else(|errno| (0, errno.raw_os_error()), |size| (size, 0))
        }),
        way(
            "larger sockets (`SO_SNDBUF`), unless TCP or UDP is granted",
            refused(),
            "`net.core.wmem_max`, twice, each where it is not refused",
            || {
                let flags = SocketFlags::CLOEXEC;
                let (socket, _) =
                    socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a pair");
                let grown = sockopt::set_socket_send_buffer_size(&socket, 8 * MIB);
                grown.map_or_else(|errno| (0, errno.raw_os_error()), |()| (8 * MIB, 0))
            },
        ),
        way("event descriptors", by_descriptors(512), "0.1 MiB", || {
            repeat(512, || Ok(eventfd(0, EventfdFlags::CLOEXEC)?))
        }),
        way("rulesets of Landlock, without rules", by_descriptors(512), "0.1 MiB", || {
            repeat(512, || ruleset().map(raw::owned))
        }),
        way(
            "rules of Landlock in one ruleset",
            Elsewhere { most: 65536 * 70, errno: libc::EINVAL, by: "the number of ports" },
            "4.5 MiB to a ruleset, so 1.2 GiB, at 0.15 s for each",
            rules,
        ),
        way(
            "filters of seccomp in one thread",
            Elsewhere { most: 8 * 4096 * 24, errno: libc::ENOMEM, by: "their length" },
            "0.7 MiB to a thread",
            filters,
        ),
        way(
            "timers",
            Elsewhere { most: PENDING * 512, errno: libc::EAGAIN, by: "`RLIMIT_SIGPENDING`" },
            "0.5 MiB",
            timers,
        ),
        way("locks of files", Time, "0.2 KiB each; ever slower, 5 MiB in 10 s", locks),
        way(
            "page tables",
            Elsewhere {
                most: 2 * LIMIT + 4 * MIB,
                errno: libc::ENOMEM,
                by: "`memory`, twice, and `vm.max_map_count`",
            },
            "512 MiB",
            page_tables,
        ),
    ]
}

/// What a worker may have of `RLIMIT_SIGPENDING`.
const PENDING: usize = 1024;

/// Takes pieces and keeps them, until there is enough or an error.
fn repeat<T>(bytes: usize, take: impl Fn() -> io::Result<T>) -> Got {
    // Its own memory is there before the pieces take all.
    let mut taken = Vec::with_capacity(GOAL.div_ceil(bytes).min(1 << 16));
    while taken.len() < taken.capacity() {
        match take() {
            Ok(piece) => taken.push(piece),
            Err(error) => return (taken.len() * bytes, error.raw_os_error().unwrap_or(-1)),
        }
    }
    (taken.len() * bytes, 0)
}

fn reserve(bytes: usize) -> Result<Vec<u8>, Errno> {
    let mut piece = Vec::new();
    piece.try_reserve_exact(bytes).map_err(|_| Errno::NOMEM)?;
    piece.resize(bytes, 1);
    Ok(piece)
}

/// Nothing is given back: the heap of this process has grown.
fn brk() -> Got {
    let got = repeat(MIB, || grow_heap(MIB as isize));
    grow_heap(-(got.0 as isize)).expect("it shrinks again");
    got
}

fn remap() -> Got {
    let mapped = std::cell::RefCell::new(map(MIB, 0).expect("a MiB"));
    repeat(MIB, || mapped.borrow_mut().grow(MIB))
}

/// Each with 8 MiB, of which it uses nothing.
fn stacks() -> Got {
    let (until, end) = io::pipe().expect("a pipe");
    let wait = || {
        let until = until.try_clone().expect("a descriptor");
        std::thread::Builder::new()
            .stack_size(8 * MIB)
            .spawn(move || drop(io::copy(&mut { until }, &mut io::sink())))
    };
    let got = repeat(8 * MIB, wait);
    drop(end);
    got
}

fn memory_file() -> Got {
    let file = match rustix::fs::memfd_create("memory", MemfdFlags::CLOEXEC) {
        Ok(file) => file,
        Err(errno) => return (0, errno.raw_os_error()),
    };
    fill(&file)
}

fn fill(file: impl AsFd) -> Got {
    match fallocate(file, FallocateFlags::empty(), 0, GOAL as u64) {
        Ok(()) => (GOAL, 0),
        Err(errno) => (0, errno.raw_os_error()),
    }
}

/// Not touched: that it may be made is what counts.
fn segment() -> Got {
    let flags = libc::IPC_CREAT | 0o600;
    match raw::syscall(libc::SYS_shmget, [libc::IPC_PRIVATE.into(), (GOAL as u64).into(), flags.into()]) {
        Ok(id) => {
            let remove = [id.cast_unsigned().into(), libc::IPC_RMID.into(), 0.into()];
            raw::syscall(libc::SYS_shmctl, remove).expect("it is ours");
            (GOAL, 0)
        }
        Err(error) => (0, error.raw_os_error().unwrap_or(-1)),
    }
}

/// Three children, each with most of the limit: together more than that.
fn processes() -> Got {
    const EACH: usize = LIMIT / 2;
    let (until, end) = io::pipe().expect("a pipe");
    let mut count = 0;
    for _ in 0..GOAL / EACH {
        let (report, mapped) = io::pipe().expect("a pipe");
        match fork(|| {
            let memory = map(EACH, 0);
            io::Write::write_all(&mut { &mapped }, &[u8::from(memory.is_ok())]).expect("the parent reads");
            io::Read::read(&mut { &until }, &mut [0]).ok();
        }) {
            Ok(()) => {
                let mut said = [0];
                io::Read::read_exact(&mut { report }, &mut said).expect("the child writes");
                count += usize::from(said[0]);
            }
            Err(error) => return (count * EACH, error.raw_os_error().unwrap_or(-1)),
        }
    }
    drop(end);
    (count * EACH, 0)
}

/// A call that would make kernel memory: whether it is let through to fail for its arguments.
fn call(number: libc::c_long, first: u64) -> Got {
    match raw::syscall(number, [first.into(), 0.into(), 0.into(), 0.into(), 0.into()]) {
        Ok(_) => (GOAL, 0),
        Err(error) => (0, error.raw_os_error().unwrap_or(-1)),
    }
}

fn in_shm() -> Got {
    let path = format!("/dev/shm/sandboxed-memory-{}", std::process::id());
    let file = match File::create(Path::new(&path)) {
        Ok(file) => file,
        Err(error) => return (0, error.raw_os_error().unwrap_or(-1)),
    };
    std::fs::remove_file(&path).expect("it is ours");
    fill(&file)
}

/// Writes until the kernel takes no more, and keeps the end that is read from alone.
fn pipes() -> Got {
    let mut kept: Vec<OwnedFd> = Vec::with_capacity(DESCRIPTORS);
    let mut bytes = 0;
    loop {
        let (reader, writer) = match pipe_with(PipeFlags::NONBLOCK) {
            Ok(pair) => pair,
            Err(errno) => return (bytes, errno.raw_os_error()),
        };
        bytes += write_all_that_fits(&writer);
        kept.push(reader);
    }
}

fn sockets() -> Got {
    let mut kept: Vec<OwnedFd> = Vec::with_capacity(DESCRIPTORS);
    let mut bytes = 0;
    loop {
        match socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None) {
            Ok(pair) => kept.extend([pair.0, pair.1]),
            Err(errno) => return (bytes, errno.raw_os_error()),
        }
        bytes += kept[kept.len() - 2..].iter().map(write_all_that_fits).sum::<usize>();
    }
}

fn write_all_that_fits(to: impl AsFd) -> usize {
    let piece = [1; 4096];
    let mut all = 0;
    while let Ok(written) = rustix::io::write(&to, &piece) {
        all += written;
    }
    all
}

/// Of the rights on TCP ports.
fn ruleset() -> io::Result<i64> {
    let attribute = [0u64, 3].map(u64::to_ne_bytes).concat();
    raw::syscall(libc::SYS_landlock_create_ruleset, [attribute.as_slice().into(), 16.into(), 0.into()])
}

/// One for each port, and for one that is none.
fn rules() -> Got {
    let ruleset = match ruleset() {
        Ok(ruleset) => raw::owned(ruleset),
        Err(error) => return (0, error.raw_os_error().unwrap_or(-1)),
    };
    let fd = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&ruleset)).expect("a number");
    let add = |port: u64| {
        let rule = [1, port].map(u64::to_ne_bytes).concat();
        raw::syscall(libc::SYS_landlock_add_rule, [fd.into(), 2.into(), rule.as_slice().into(), 0.into()])
    };
    for port in 0.. {
        if let Err(error) = add(port) {
            return (port as usize * 70, error.raw_os_error().unwrap_or(-1));
        }
    }
    unreachable!("a port has 16 bits")
}

/// Of 4096 steps each, which let everything pass.
fn filters() -> Got {
    repeat(4096 * 24, install_long_filter)
}

fn timers() -> Got {
    repeat(512, || {
        let id = [0u8; 8];
        raw::syscall(libc::SYS_timer_create, [libc::CLOCK_MONOTONIC.into(), 0.into(), id.as_slice().into()])
    })
}

/// On every other byte of a descriptor that every worker has.
fn locks() -> Got {
    let lock = |at: u64| {
        let (kind, from_start) = (libc::F_RDLCK as u16, 0u16);
        let mut flock = [kind.to_ne_bytes(), from_start.to_ne_bytes()].concat();
        flock.extend([0; 4]);
        flock.extend([2 * at, 1, 0].map(u64::to_ne_bytes).concat());
        raw::syscall(libc::SYS_fcntl, [0.into(), libc::F_SETLK.into(), flock.as_slice().into()])
    };
    let refused = (0..1000).find_map(|at| lock(at).err());
    refused.map_or((1000 * 200, 0), |error| (0, error.raw_os_error().unwrap_or(-1)))
}

/// Single pages, each in a gigabyte of its own, for which the kernel needs two pages of tables.
fn page_tables() -> Got {
    let mut taken = Vec::with_capacity(1 << 16);
    for at in 0..1 << 16 {
        match map_and_read_page((1 << 40) + (at << 30)) {
            Ok(page) => taken.push(page),
            Err(error) => return (tables(), error.raw_os_error().unwrap_or(-1)),
        }
    }
    (tables(), 0)
}

/// The size of this process's page tables, in bytes.
fn tables() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is granted");
    let line = status.lines().find_map(|line| line.strip_prefix("VmPTE:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[sandboxed(memory = "256MiB", timeout = "120s", write = "/dev/shm", read = "/proc")]
fn try_way(index: usize) -> Result<Got, Error> {
    Ok((ways()[index].get)())
}

#[test]
fn every_way_has_its_bound() {
    let policy = Policy::new().memory(LIMIT as u64).write("/dev/shm").read("/proc");
    let plan = plan(&policy, Placement::Process, kernel()).expect("this kernel can hold it");
    for (index, way) in ways().iter().enumerate() {
        let (bytes, errno) = try_way(index).unwrap_or_else(|error| panic!("{}: {error}", way.name));
        println!("{:70} {:6} KiB, then errno {errno}", way.name, bytes / 1024);
        let what = format!("{}: {bytes} bytes, then errno {errno}", way.name);
        match way.bound {
            Bound::Counted => {
                assert!(bytes <= LIMIT, "{what}");
                assert_ne!(errno, 0, "{what}");
            }
            Bound::Refused(promise) if plan.held.contains_key(&promise) => {
                assert_eq!((bytes, errno), (0, libc::EPERM), "{what}");
            }
            Bound::Refused(promise) => eprintln!("not checked: nothing holds `{promise}` on this kernel"),
            Bound::Elsewhere { most, errno: expected, .. } => {
                assert!((1..=most).contains(&bytes), "{what}");
                assert_eq!(errno, expected, "{what}");
            }
            Bound::Time => assert_eq!(errno, 0, "{what}"),
        }
    }
}

fn larger_socket() -> Result<(), Error> {
    let flags = SocketFlags::CLOEXEC;
    let (socket, _) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a pair");
    sockopt::set_socket_send_buffer_size(&socket, MIB).expect("it is not refused");
    Ok(())
}

#[sandboxed(tcp_connect = 80)]
fn larger_socket_beside_the_network() -> Result<(), Error> {
    larger_socket()
}

#[sandboxed(memory = "unlimited")]
fn larger_socket_without_a_limit() -> Result<(), Error> {
    larger_socket()
}

#[test]
fn buffers_grow_where_nothing_counts_them_anyway() {
    larger_socket_beside_the_network().unwrap();
    larger_socket_without_a_limit().unwrap();
}

/// Most of the limit can be had, in one piece and in many.
#[test]
fn what_is_below_the_limit_is_there() {
    let [heap, private] = ["the heap", "`mmap`, private"].map(|name| {
        let index = ways().iter().position(|way| way.name == name).expect("a row");
        try_way(index).unwrap()
    });
    for (bytes, errno) in [heap, private] {
        assert!(bytes >= LIMIT / 4 * 3, "{bytes}");
        assert_eq!(errno, libc::ENOMEM);
    }
    assert_eq!(allocate(LIMIT / 4 * 3).unwrap(), LIMIT / 4 * 3);
}

#[sandboxed(memory = "256MiB")]
fn allocate(bytes: usize) -> Result<usize, Error> {
    Ok(reserve(bytes).expect("there is room").len())
}

#[sandboxed(memory = "256MiB")]
fn recurse(bytes: usize) -> Result<u8, Error> {
    let unlimited = rustix::process::Rlimit { current: None, maximum: None };
    // Where the hard limit is lower, the stack ends earlier.
    rustix::process::setrlimit(rustix::process::Resource::Stack, unlimited).unwrap_or_default();
    Ok(use_stack(bytes))
}

/// The stack of the first thread grows by itself; at the limit the kernel refuses that by a signal.
#[test]
fn the_stack_is_counted() {
    recurse(4 * MIB).unwrap();
    assert_eq!(recurse(GOAL).unwrap_err().signal(), Some(libc::SIGSEGV));
}

/// A file in memory is not counted, but `file_size` bounds it.
#[sandboxed(memory = "256MiB", file_size = "1MiB", write = "/dev/shm")]
fn fill_a_short_file() -> Result<Got, Error> {
    Ok(in_shm())
}

#[test]
fn files_in_memory_are_bounded_by_file_size() {
    assert_eq!(fill_a_short_file().unwrap(), (0, libc::EFBIG));
}

const BEGIN: &str = "<!-- ways to get memory: SANDBOXED_BLESS=1 cargo test --test memory -->\n";
const END: &str = "<!-- end of ways -->";

fn table() -> String {
    let mut table = String::from("| way | bounded by | so at most |\n|---|---|---|\n");
    for Way { name, bound, measured, .. } in ways() {
        let by = match bound {
            Bound::Counted => "`memory`".to_owned(),
            Bound::Refused(promise) => format!("refused: {promise}"),
            Bound::Elsewhere { by, .. } => format!("not counted; {by}"),
            Bound::Time => "not counted; the time that it takes".into(),
        };
        writeln!(table, "| {name} | {by} | {measured} |").expect("a string grows");
    }
    table
}

#[test]
fn the_documented_table_is_that_of_the_rows() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let (before, rest) = page.split_once(BEGIN).expect("the table's beginning");
    let (found, after) = rest.split_once(END).expect("the table's end");
    let table = table();
    if std::env::var_os("SANDBOXED_BLESS").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).expect("the page is written");
    } else {
        assert_eq!(found, table, "stale: run SANDBOXED_BLESS=1 cargo test --test memory");
    }
}
