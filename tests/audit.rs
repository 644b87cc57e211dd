//! What the kernel records of refusals, and that listening leaves the machine as it was. Needs root: as another user, and
//! below Landlock ABI 7, it is said that it is not checked.

#[path = "support/audit.rs"]
mod audit;
#[path = "support/bystander.rs"]
mod bystander;
#[path = "support/container.rs"]
mod container;
#[path = "support/raw.rs"]
mod raw;
mod support;

use bystander::Bystander;
use libc::{EACCES, EPERM, EXDEV};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use sandboxed::__private::audit::{By, Enable, Event, Listener, Object, Refused, SandboxName, Unavailable};
use sandboxed::{Access, Denial, Policy, sandboxed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// The number of `/dev/full`.
const FULL: u64 = 0x107;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Act {
    Open(PathBuf, u32),
    Truncate(PathBuf),
    Execute(PathBuf),
    MakeDirectory(PathBuf),
    MakeLink(PathBuf),
    /// With the type's bits of its mode.
    MakeNode(PathBuf, u32),
    Remove(PathBuf),
    RemoveDirectory(PathBuf),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Ioctl(PathBuf),
    Bind(SocketAddr),
    Connect(SocketAddr),
    /// To the abstract name; to one of its own where it is empty.
    ConnectUnix(String),
    /// Of itself where it is 0.
    Signal(u32),
    SignalByDescriptor(u32),
    /// What only who may trace it can ask.
    Trace(u32),
}
use Act::*;

impl Act {
    fn attempt(&self) -> std::io::Result<()> {
        let own = |pid: &u32| u64::from(if *pid == 0 { std::process::id() } else { *pid });
        match self {
            Open(path, flags) => {
                let flags = OFlags::from_bits_retain(*flags) | OFlags::CLOEXEC;
                rustix::fs::openat(CWD, path, flags, Mode::RUSR).map(drop)?;
            }
            Truncate(path) => raw::truncate(path, 0).map(drop)?,
            // Without arguments and environment: it never comes to run.
            Execute(path) => {
                raw::syscall(libc::SYS_execve, [path.as_path().into(), 0.into(), 0.into()]).map(drop)?
            }
            MakeDirectory(path) => rustix::fs::mkdirat(CWD, path, Mode::RWXU)?,
            MakeLink(path) => rustix::fs::symlinkat("target", CWD, path)?,
            MakeNode(path, kind) => {
                rustix::fs::mknodat(CWD, path, FileType::from_raw_mode(*kind), Mode::RUSR, FULL)?
            }
            Remove(path) => rustix::fs::unlinkat(CWD, path, AtFlags::empty())?,
            RemoveDirectory(path) => rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR)?,
            Rename(from, to) => rustix::fs::renameat(CWD, from, CWD, to)?,
            Link(from, to) => rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty())?,
            Ioctl(path) => {
                let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
                // No device has that command.
                raw::syscall(libc::SYS_ioctl, [file.as_raw_fd().into(), 0x5a5a.into(), 0.into()]).map(drop)?
            }
            Bind(address) => rustix::net::bind(&tcp(address)?, address)?,
            Connect(address) => rustix::net::connect(&tcp(address)?, address)?,
            ConnectUnix(name) => {
                let own = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
                let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
                rustix::net::bind(&own, &SocketAddrUnix::new_unnamed())?;
                rustix::net::listen(&own, 1)?;
                match name.as_str() {
                    "" => rustix::net::connect(&socket, &rustix::net::getsockname(&own)?)?,
                    name => {
                        rustix::net::connect(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?
                    }
                }
            }
            Signal(pid) => raw::syscall(libc::SYS_kill, [own(pid).into(), 0.into()]).map(drop)?,
            SignalByDescriptor(pid) => {
                let pidfd = raw::owned(raw::syscall(libc::SYS_pidfd_open, [own(pid).into(), 0.into()])?);
                let call = [pidfd.as_raw_fd().into(), 0.into(), 0.into(), 0.into()];
                raw::syscall(libc::SYS_pidfd_send_signal, call).map(drop)?
            }
            Trace(pid) => {
                let [list, length] = [&[0u8; 8][..], &[0; 8]].map(raw::Argument::from);
                raw::syscall(libc::SYS_get_robust_list, [own(pid).into(), list, length]).map(drop)?
            }
        }
        Ok(())
    }
}

fn tcp(address: &SocketAddr) -> rustix::io::Result<std::os::fd::OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    rustix::net::socket(family, SocketType::STREAM, None)
}

/// The errno of each, and the process that it was.
fn attempt(acts: &[Act]) -> (Vec<i32>, u32) {
    let errno = |act: &Act| act.attempt().map_or_else(|error| error.raw_os_error().unwrap(), |()| 0);
    (acts.iter().map(errno).collect(), std::process::id())
}

#[sandboxed(policy = &policy)]
fn in_process(policy: Policy, acts: &[Act]) -> (Vec<i32>, u32) {
    attempt(acts)
}

#[sandboxed(thread, policy = policy)]
fn in_thread(policy: Policy, acts: &[Act]) -> (Vec<i32>, u32) {
    attempt(acts)
}

#[sandboxed(in_place, thread_sync = "signal", policy = policy)]
fn restrict(policy: Policy) {}

/// What there is to be refused, and beside it what is granted.
struct World {
    all: tempfile::TempDir,
    bystander: Bystander,
    /// Two that nobody has: the first is granted.
    ports: [u16; 2],
    server: TcpListener,
    /// With a name in the abstract namespace.
    unix: UnixListener,
}

impl World {
    fn new() -> World {
        let all = tempfile::tempdir().unwrap();
        for name in ["outside", "granted", "devices", "from", "to"] {
            let directory = all.path().join(name);
            std::fs::create_dir(&directory).unwrap();
            for file in ["file", "other", "an odd \"name"] {
                std::fs::write(directory.join(file), "no program").unwrap();
                rustix::fs::chmod(directory.join(file), Mode::RWXU).unwrap();
            }
            std::fs::create_dir(directory.join("directory")).unwrap();
            let device = directory.join("device");
            rustix::fs::mknodat(CWD, device, FileType::CharacterDevice, Mode::RUSR, FULL).unwrap();
        }
        let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [port(), port()];
        let name = format!("a name {}", ports[0]);
        let unix = UnixListener::bind_addr(&UnixAddress::from_abstract_name(name).unwrap()).unwrap();
        World { all, bystander: Bystander::new(), ports, server, unix }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.all.path().join(path)
    }

    fn object(&self, path: &str) -> Object {
        Object::Path(self.at(path).to_str().unwrap().to_owned())
    }

    fn policy(&self) -> Policy {
        let nodes = Access::MAKE_CHAR | Access::MAKE_BLOCK | Access::IOCTL_DEV;
        Policy::new()
            .read([self.at("granted"), self.at("devices")])
            .write(self.at("granted"))
            .execute(self.at("granted"))
            .fs(nodes, self.at("granted"))
            .fs(Access::MAKE_REG | Access::REMOVE_FILE, [self.at("from"), self.at("to")])
            .tcp_bind(self.ports[0])
            .tcp_connect(self.server.local_addr().unwrap().port())
            // So that there are Unix sockets. Kernels before ABI 9 cannot tell whose.
            .unix(self.at("granted"))
            .best_effort()
    }
}

/// One act that is refused.
struct Row {
    act: Act,
    errno: i32,
    operation: &'static str,
    call: &'static str,
    object: Object,
    /// What is allowed, and what it fails with all the same.
    twin: (Act, i32),
    /// The worker's filter refuses act and twin with this before Landlock sees them.
    filtered: Option<i32>,
}

fn row(act: Act, errno: i32, operation: &'static str, call: &'static str, object: Object, twin: Act) -> Row {
    Row { act, errno, operation, call, object, twin: (twin, 0), filtered: None }
}

fn files(world: &World) -> Vec<Row> {
    let out = |name: &str| world.at("outside").join(name);
    let inn = |name: &str| world.at("granted").join(name);
    let here = || world.object("outside");
    let file = || world.object("outside/file");
    let refused = |act, operation, call, object, twin| row(act, EACCES, operation, call, object, twin);
    let open = |flags: OFlags, operation, object| {
        let path = Path::new(match &object {
            Object::Path(path) => path,
            _ => unreachable!(),
        });
        let twin = inn(path.file_name().unwrap().to_str().unwrap());
        refused(
            Open(path.into(), flags.bits()),
            operation,
            "openat",
            object.clone(),
            Open(twin, flags.bits()),
        )
    };
    let node = |name: &str, kind: u32, operation| {
        refused(MakeNode(out(name), kind), operation, "mknodat", here(), MakeNode(inn(name), kind))
    };
    let both = |from: &str, to: &str| match (world.object(from), world.object(to)) {
        (Object::Path(from), Object::Path(to)) => Object::Paths(from, to),
        _ => unreachable!(),
    };
    let at = |path: &str| world.at(path);
    vec![
        open(OFlags::RDONLY, "read_file", file()),
        open(OFlags::RDONLY, "read_file", world.object("outside/an odd \"name")),
        open(OFlags::WRONLY, "write_file", file()),
        open(OFlags::RDWR, "write_file+read_file", file()),
        open(OFlags::RDONLY | OFlags::DIRECTORY, "read_dir", world.object("outside/directory")),
        refused(
            Open(out("new"), (OFlags::CREATE | OFlags::WRONLY).bits()),
            "make_reg",
            "openat",
            here(),
            Open(inn("new"), (OFlags::CREATE | OFlags::WRONLY).bits()),
        ),
        refused(Truncate(out("file")), "truncate", "truncate", file(), Truncate(inn("other"))),
        Row {
            // What it is granted, it cannot run: it is no program.
            twin: (Execute(inn("file")), libc::ENOEXEC),
            ..refused(Execute(out("file")), "execute+read_file", "execve", file(), Execute(inn("file")))
        },
        refused(MakeDirectory(out("d")), "make_dir", "mkdirat", here(), MakeDirectory(inn("d"))),
        refused(MakeLink(out("l")), "make_sym", "symlinkat", here(), MakeLink(inn("l"))),
        node("fifo", libc::S_IFIFO, "make_fifo"),
        node("socket", libc::S_IFSOCK, "make_sock"),
        node("char", libc::S_IFCHR, "make_char"),
        node("block", libc::S_IFBLK, "make_block"),
        refused(Remove(out("other")), "remove_file", "unlinkat", here(), Remove(inn("other"))),
        refused(
            RemoveDirectory(out("directory")),
            "remove_dir",
            "unlinkat",
            here(),
            RemoveDirectory(inn("directory")),
        ),
        row(
            Rename(at("from/file"), at("to/new")),
            EXDEV,
            "refer",
            "renameat",
            both("from", "to"),
            Rename(at("from/file"), at("from/new")),
        ),
        row(
            Link(at("from/other"), at("to/link")),
            EXDEV,
            "refer",
            "linkat",
            both("from", "to"),
            Link(at("from/other"), at("from/link")),
        ),
        refused(
            Rename(out("file"), out("directory/file")),
            "remove_file+refer+make_reg",
            "renameat",
            both("outside", "outside/directory"),
            Rename(inn("file"), inn("d/file")),
        ),
        // In one directory nothing is referred.
        refused(
            Rename(out("file"), out("renamed")),
            "remove_file+make_reg",
            "renameat",
            here(),
            Rename(inn("an odd \"name"), inn("renamed")),
        ),
        Row {
            twin: (Ioctl(inn("device")), libc::ENOTTY),
            ..refused(
                Ioctl(at("devices/device")),
                "ioctl_dev",
                "ioctl",
                world.object("devices/device"),
                Ioctl(inn("device")),
            )
        },
    ]
}

fn others(world: &World) -> Vec<Row> {
    let other = |host: &str| SocketAddr::new(host.parse().unwrap(), world.ports[1]);
    let granted = |host: &str| SocketAddr::new(host.parse().unwrap(), world.ports[0]);
    let server = world.server.local_addr().unwrap();
    let address = |address: SocketAddr| Object::Address(address.to_string());
    let pid = world.bystander.pid();
    let process = || Object::Process(pid.cast_signed());
    let mut rows = Vec::new();
    for host in ["127.0.0.1", "::1"] {
        if TcpListener::bind(granted(host)).is_err() {
            eprintln!("not checked: {host} is none here");
            continue;
        }
        let bind = Bind(other(host));
        rows.push(row(bind, EACCES, "bind_tcp", "bind", address(other(host)), Bind(granted(host))));
        let connect = Connect(other(host));
        rows.push(row(connect, EACCES, "connect_tcp", "connect", address(other(host)), Connect(server)));
    }
    // Of no address the kernel writes the port alone, and does not say which family it is.
    let any = Object::Address(format!("*:{}", world.ports[1]));
    rows.push(row(Bind(other("0.0.0.0")), EACCES, "bind_tcp", "bind", any, Bind(granted("0.0.0.0"))));
    let name = world.unix.local_addr().unwrap();
    let name = std::str::from_utf8(name.as_abstract_name().unwrap()).unwrap().to_owned();
    let object = Object::Address(format!("@{name}"));
    let connect = ConnectUnix(name);
    let to_own = ConnectUnix(String::new());
    rows.push(row(connect, EPERM, "abstract_unix_socket", "connect", object, to_own));
    rows.push(row(Signal(pid), EPERM, "signal", "kill", process(), Signal(0)));
    let by_descriptor = SignalByDescriptor(pid);
    let refused_by_filter = [
        row(by_descriptor, EPERM, "signal", "pidfd_send_signal", process(), SignalByDescriptor(0)),
        row(Trace(pid), EPERM, "ptrace", "get_robust_list", process(), Trace(0)),
    ];
    rows.extend(refused_by_filter.map(|row| Row { filtered: Some(EPERM), ..row }));
    rows
}

fn refused_in(events: &[Event], pid: u32) -> Vec<Refused> {
    let is_its = |refused: &&Refused| refused.pid == Some(pid.cast_signed());
    let refused = events.iter().filter_map(|event| match event {
        Event::Refused(refused) => Some(refused),
        Event::Ended { .. } => None,
    });
    refused.filter(is_its).cloned().collect()
}

/// The records up to the end of this domain, and how many refusals it says that there were.
fn until_the_end(listener: &mut Listener, events: &mut Vec<Event>, domain: u64) -> u64 {
    for _ in 0..2000 {
        let end = events.iter().find_map(|event| match event {
            Event::Ended { domain: ended, denials } if *ended == domain => Some(*denials),
            _ => None,
        });
        if let Some(denials) = end {
            return denials;
        }
        // The kernel takes a domain apart when it has time.
        std::thread::sleep(Duration::from_millis(10));
        events.extend(listener.drain());
    }
    panic!("domain {domain:x} does not end: {events:?}");
}

type Call = fn(Policy, &[Act]) -> (Vec<i32>, u32);

/// Tries the rows in a sandbox, and compares what came of them with what was recorded.
fn compare(listener: &mut Listener, world: &World, rows: &[Row], call: Call, is_process: bool) {
    let seen: Vec<&Row> = rows.iter().filter(|row| !is_process || row.filtered.is_none()).collect();
    let acts: Vec<Act> = rows.iter().map(|row| row.act.clone()).collect();
    let (errnos, pid) = call(world.policy(), &acts);
    let mut events = listener.drain();
    for (row, errno) in rows.iter().zip(errnos) {
        let expected = if is_process { row.filtered.unwrap_or(row.errno) } else { row.errno };
        assert_eq!(errno, expected, "{:?}", row.act);
    }
    let refused = refused_in(&events, pid);
    let domain = refused.first().expect("a record").domain;
    for (at, row) in seen.iter().enumerate() {
        let expected = Refused {
            operation: row.operation.into(),
            call: Some(row.call.into()),
            object: row.object.clone(),
            errno: Some(row.errno),
            by: By::Landlock,
            count: 1,
            pid: Some(pid.cast_signed()),
            domain,
        };
        assert_eq!(refused.get(at), Some(&expected), "of {:?}", row.act);
    }
    assert_eq!(refused.len(), seen.len(), "{:?}", refused.last());
    let denials = until_the_end(listener, &mut events, domain.expect("a domain"));
    // Each of the two directories of a rename or a link is refused by itself.
    let of_two = seen.iter().filter(|row| matches!(row.object, Object::Paths(..))).count();
    assert_eq!(denials, (seen.len() + of_two) as u64);
    assert!(
        SandboxName::of(domain.unwrap()).unwrap().to_string().starts_with(&format!("{:x}@", domain.unwrap()))
    );
    // The twins, of which nothing is recorded.
    let acts: Vec<Act> = rows.iter().map(|row| row.twin.0.clone()).collect();
    let (errnos, pid) = call(world.policy(), &acts);
    for (row, errno) in rows.iter().zip(errnos) {
        let expected = row.filtered.filter(|_| is_process).unwrap_or(row.twin.1);
        assert_eq!(errno, expected, "{:?}", row.twin.0);
    }
    assert_eq!(refused_in(&listener.drain(), pid), []);
    assert!(!listener.gaps().unwrap().off);
}

#[test]
fn each_refusal_is_recorded_as_what_it_was() {
    let _turn = audit::turn();
    let Some(mut listener) = audit::listener() else { return };
    for (call, is_process) in [(in_process as Call, true), (in_thread, false)] {
        for rows in [files, others] {
            let world = World::new();
            compare(&mut listener, &world, &rows(&world), call, is_process);
        }
    }
}

/// Whether the tracer and the kernel's record mean the same. Of what is made or removed the kernel names the directory;
/// of no address the port alone.
fn agree(denial: &Denial, refused: &Refused) -> bool {
    let rights = |operation: &str| operation.split('+').map(str::to_owned).collect::<BTreeSet<_>>();
    let same = |seen: &str, recorded: &str| {
        seen == recorded || Path::new(seen).parent().is_some_and(|parent| parent == Path::new(recorded))
    };
    let is_same_object = match (&denial.object, &refused.object) {
        (Object::Path(seen), Object::Path(recorded)) => same(seen, recorded),
        (Object::Paths(from, to), Object::Paths(one, other)) => same(from, one) && same(to, other),
        (Object::Paths(from, to), Object::Path(recorded)) => same(from, recorded) && same(to, recorded),
        (Object::Address(seen), Object::Address(recorded)) => {
            seen == recorded || recorded.strip_prefix('*').is_some_and(|port| seen.ends_with(port))
        }
        (seen, recorded) => seen == recorded,
    };
    is_same_object
        && rights(&denial.operation) == rights(&refused.operation)
        && Some(denial.errno) == refused.errno
        && Some(&denial.call) == refused.call.as_ref()
        && denial.by == refused.by
}

#[test]
fn the_tracer_and_the_kernels_records_agree() {
    let _turn = audit::turn();
    let Some(mut listener) = audit::listener() else { return };
    for (call, is_process) in [(in_process as Call, true), (in_thread, false)] {
        for rows in [files, others] {
            let world = World::new();
            for row in rows(&world).into_iter().filter(|row| !is_process || row.filtered.is_none()) {
                listener.drain();
                let acts = std::slice::from_ref(&row.act);
                let ((errnos, pid), denials) = sandboxed::observe(|| call(world.policy(), acts));
                let refused = refused_in(&listener.drain(), pid);
                let seen: Vec<&Denial> = denials.iter().filter(|denial| denial.by.is_sandbox()).collect();
                assert_eq!(errnos, [row.errno]);
                let ([denial], [refused]) = (&seen[..], &refused[..]) else {
                    panic!("{:?}: seen {denials:#?}, recorded {refused:#?}", row.act)
                };
                assert!(agree(denial, refused), "{denial:#?} is not {refused:#?}");
            }
        }
    }
}

#[test]
fn a_sandbox_is_named_in_the_log() {
    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    struct Lines;
    impl log::Log for Lines {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            LINES.lock().unwrap().push(record.args().to_string());
        }
        fn flush(&self) {}
    }
    support::in_child("a_sandbox_is_named_in_the_log", || {
        let _turn = audit::turn();
        log::set_logger(&Lines).unwrap();
        log::set_max_level(log::LevelFilter::Info);
        let refused = || {
            let world = World::new();
            let acts = [Open(world.at("outside/file"), OFlags::RDONLY.bits())];
            sandboxed::observe(|| in_process(world.policy(), &acts)).1.len()
        };
        let named = || {
            LINES.lock().unwrap().iter().filter(|line| line.contains(" is ") && line.contains('@')).count()
        };
        let Some(mut listener) = audit::listener() else { return };
        assert_eq!((refused(), named()), (1, 1), "{:?}", LINES.lock().unwrap());
        let line = LINES.lock().unwrap().iter().find(|line| line.contains('@')).unwrap().clone();
        let domain = listener.drain().into_iter().find_map(|event| match event {
            Event::Refused(refused) => refused.domain,
            Event::Ended { .. } => None,
        });
        let name = SandboxName::of(domain.unwrap()).unwrap().to_string();
        assert!(line.contains("`audit::in_process`") && line.ends_with(&name), "{line}: {name}");
        // Where auditing is off nothing is switched on for it.
        drop(listener);
        if audit::settings().unwrap().enabled == 0 {
            assert_eq!((refused(), named()), (1, 1));
            assert_eq!(audit::settings().unwrap().enabled, 0);
        }
    });
}

/// Where nobody may trace, what Landlock refused a worker comes from the records.
#[test]
fn records_tell_where_nobody_may_trace() {
    support::in_child("records_tell_where_nobody_may_trace", || {
        let _turn = audit::turn();
        let Some(_listener) = audit::listener() else { return };
        container::refuse(libc::SYS_ptrace).unwrap();
        let world = World::new();
        let acts = ["outside/file", "granted/file"].map(|file| Open(world.at(file), OFlags::RDONLY.bits()));
        let ((errnos, _), denials) = sandboxed::observe(|| in_process(world.policy(), &acts));
        let [denial] = &denials[..] else { panic!("{denials:#?}") };
        assert_eq!(errnos, [EACCES, 0]);
        let path = world.at("outside/file").to_str().unwrap().to_owned();
        assert_eq!((&*denial.operation, &*denial.call, denial.by), ("read_file", "openat", By::Landlock));
        assert_eq!(denial.grant, Some(format!("read = {path:?}")));
        assert_eq!((&denial.object, denial.errno), (&Object::Path(path), EACCES));
    });
}

#[test]
fn in_place_is_recorded_too() {
    support::in_child("in_place_is_recorded_too", || {
        let _turn = audit::turn();
        let Some(mut listener) = audit::listener() else { return };
        let all = tempfile::tempdir().unwrap();
        let file = all.path().join("file");
        std::fs::write(&file, "").unwrap();
        restrict(Policy::new().read("/usr"));
        assert_eq!(support::errno(std::fs::read(&file)), EACCES);
        let mut refused = refused_in(&listener.drain(), std::process::id());
        // The look at the other threads, by their status in /proc, is refused and recorded, too.
        refused.retain(|refused| refused.object == Object::Path(file.to_str().unwrap().to_owned()));
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert_eq!(
            (refused[0].operation.as_str(), refused[0].call.as_deref()),
            ("read_file", Some("openat"))
        );
    });
}

/// As many as do not fit into what the kernel keeps by default.
#[test]
fn a_flood_is_counted_by_its_domain() {
    const FLOOD: usize = 1000;
    let _turn = audit::turn();
    let Some(mut listener) = audit::listener() else { return };
    let world = World::new();
    let acts = vec![Open(world.at("outside/file"), OFlags::RDONLY.bits()); FLOOD];
    let (errnos, pid) = in_process(world.policy(), &acts);
    assert_eq!(errnos, vec![EACCES; FLOOD]);
    let mut events = listener.drain();
    let refused = refused_in(&events, pid);
    let counted: u64 = refused.iter().map(|refused| refused.count).sum();
    let domain = refused[0].domain.expect("a domain");
    assert_eq!(until_the_end(&mut listener, &mut events, domain), FLOOD as u64);
    let gaps = listener.gaps().unwrap();
    assert!(counted <= FLOOD as u64, "{refused:?}");
    assert!(counted == FLOOD as u64 || gaps.lost > 0 || gaps.overrun, "{counted} are recorded: {gaps:?}");
    // Equal ones are counted together; of some a record may have been lost that says more.
    assert!(refused.len() <= 4, "{refused:?}");
}

#[test]
fn what_is_changed_is_put_back() {
    let _turn = audit::turn();
    let Ok(before) = audit::settings() else {
        return eprintln!("not checked: whether auditing is on cannot be asked here");
    };
    let Some(first) = audit::listener() else { return };
    let second = audit::listener().expect("a second listener");
    let during = audit::settings().unwrap();
    assert!(during.enabled > 0 && during.backlog >= before.backlog, "{during:?}");
    drop(first);
    assert_eq!(audit::settings().unwrap(), during, "somebody still listens");
    drop(second);
    assert_eq!(audit::settings().unwrap(), before);
    let panicked = std::panic::catch_unwind(|| {
        let _listener = audit::listener();
        assert_eq!(audit::settings().unwrap(), during);
        panic!("as a body might");
    });
    assert!(panicked.is_err());
    assert_eq!(audit::settings().unwrap(), before);
    if before.enabled == 0 {
        assert_eq!(Listener::new(Enable::Never).err(), Some(Unavailable::Off));
    }
}

#[test]
fn rules_that_hide_records_are_seen() {
    const SECCOMP: u32 = 1326;
    const LANDLOCK_ACCESS: u32 = 1423;
    let _turn = audit::turn();
    let Some(mut listener) = audit::listener() else { return };
    let before = listener.gaps().unwrap().hidden;
    let rule = audit::Exclude::records(SECCOMP).unwrap();
    assert!(listener.gaps().unwrap().hidden.contains(&1326));
    drop(rule);
    let rule = audit::Exclude::records(LANDLOCK_ACCESS).unwrap();
    assert!(listener.gaps().unwrap().hidden.contains(&1423));
    assert_eq!(Listener::new(Enable::IfNeeded).err(), Some(Unavailable::Excluded));
    drop(rule);
    assert_eq!(listener.gaps().unwrap().hidden, before);
    // And the twin: without the rule there is a listener.
    Listener::new(Enable::IfNeeded).map(drop).unwrap();
}

#[test]
fn who_may_not_is_told_why() {
    if rustix::process::geteuid().is_root() {
        return eprintln!("not checked: what another user than root is told");
    }
    let why = Listener::new(Enable::IfNeeded).expect_err("no listener");
    let expected = match sandboxed::kernel().abi {
        abi @ ..7 => Unavailable::Abi { abi },
        _ => Unavailable::NotPermitted { needs: "CAP_AUDIT_READ" },
    };
    assert_eq!(why, expected);
}
