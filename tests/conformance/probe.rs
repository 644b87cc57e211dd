//! One act for each promise, inside the grants and outside.

use crate::stage::{Place, View};
use crate::{raw, sys};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use rustix::process::{Pid, test_kill_process};
use sandboxed::{Access, NetAccess, Promise};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    Inside,
    Outside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub promise: Promise,
    pub side: Side,
}

impl Probe {
    pub fn of(promise: Promise) -> impl Iterator<Item = Probe> {
        let sides: &[Side] = match promise {
            // It takes mounts to be shown: `landlock_files` does.
            Promise::DisconnectedDirectories => &[],
            // It takes renames without a right to make files: likewise.
            Promise::Whiteouts => &[],
            // It takes a death to be shown: `limits` does.
            Promise::Cpu => &[],
            // Its allowed twin is the granted `bind_tcp`.
            Promise::Listen => &[Side::Outside],
            _ => &[Side::Inside, Side::Outside],
        };
        sides.iter().map(move |side| Probe { promise, side: *side })
    }

    /// The rights that the act of a file promise asks for.
    pub fn needs(&self) -> Access {
        match self.promise {
            Promise::File(Access::EXECUTE) => Access::EXECUTE | Access::READ_FILE,
            Promise::File(Access::REFER) => Access::REFER | Access::MAKE_REG,
            Promise::File(Access::IOCTL_DEV) => Access::IOCTL_DEV | Access::READ_FILE,
            Promise::File(right) => right,
            _ => Access::NONE,
        }
    }
}

/// The errno of each; 0 for success.
pub fn attempt_all(view: &View, probes: &[Probe]) -> Vec<i32> {
    let errno = |error: io::Error| error.raw_os_error().unwrap_or_else(|| panic!("no errno in {error:?}"));
    probes.iter().map(|probe| attempt(view, *probe).map_or_else(errno, |()| 0)).collect()
}

fn attempt(view: &View, Probe { promise, side }: Probe) -> io::Result<()> {
    let place = view.place(side);
    let inside = side == Side::Inside;
    match promise {
        Promise::File(right) => file(place, right),
        Promise::Port(access) => port(view, place, access),
        Promise::Listen => listen_unbound(),
        Promise::OtherSockets if inside => Ok(std::os::unix::net::UnixStream::pair().map(drop)?),
        Promise::OtherSockets => Ok(socket(AddressFamily::NETLINK, SocketType::RAW).map(drop)?),
        Promise::IoUring if inside => {
            Ok(rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).map(drop)?)
        }
        Promise::IoUring => io_uring_setup(),
        Promise::AbstractUnixSocket => abstract_socket(view, inside),
        Promise::Signal => {
            Ok(test_kill_process(pid(if inside { std::process::id() } else { view.bystander }))?)
        }
        Promise::Ptrace => get_robust_list(if inside { 0 } else { view.bystander }),
        Promise::Metadata if inside => {
            rustix::process::umask(rustix::process::umask(Mode::empty()));
            Ok(())
        }
        Promise::Metadata => Ok(rustix::fs::chmod(place.dir.join("file"), Mode::RUSR | Mode::WUSR)?),
        Promise::Existence if inside => Ok(rustix::fs::fstat(io::stdout()).map(drop)?),
        Promise::Existence => std::fs::symlink_metadata(place.dir.join("file")).map(drop),
        Promise::Threads if inside => {
            rustix::thread::sched_yield();
            Ok(())
        }
        Promise::Threads => std::thread::Builder::new().spawn(|| ()).map(drop),
        Promise::NewProcesses if inside => std::thread::Builder::new().spawn(|| ()).map(drop),
        Promise::NewProcesses if view.is_host => Ok(()),
        Promise::NewProcesses => sys::try_fork(|| ()).map(|child| assert!(sys::wait_for(child).success())),
        Promise::OtherSystemCalls => {
            let of = if inside { None } else { Some(pid(view.bystander)) };
            Ok(rustix::process::getpriority_process(of).map(drop)?)
        }
        Promise::Memory => sys::map(if inside { 1 << 20 } else { 8 << 30 }),
        Promise::UncountedMemory if inside => sys::map(1 << 20),
        Promise::UncountedMemory => shared_memory(),
        // Who may signal the forkserver may stop it.
        Promise::Timeout if inside || view.is_host => Ok(test_kill_process(pid(std::process::id()))?),
        Promise::Timeout => Ok(test_kill_process(pid(std::os::unix::process::parent_id()))?),
        Promise::OpenFiles => open_many(if inside { 10 } else { 400 }),
        Promise::FileSize => lengthen(&view.inside, if inside { 4096 } else { 2 << 20 }),
        Promise::HostStdio if inside => Ok(rustix::io::write(io::stdout(), b"").map(drop)?),
        Promise::HostStdio => {
            let stat = rustix::fs::fstat(io::stdout())?;
            found((stat.st_dev, stat.st_ino) == view.stdout)
        }
        Promise::Environment => found(std::env::var_os(&place.variable).is_some()),
        other => panic!("{other:?} is new: say here how it is tried"),
    }
}

/// Of serial lines, so no request that may be made of any descriptor.
const TIOCGSERIAL: u64 = 0x541e;

/// Has so many descriptors more, all at once.
fn open_many(count: usize) -> io::Result<()> {
    let open = |_| Ok(rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?);
    (0..count).map(open).collect::<io::Result<Vec<_>>>().map(drop)
}

fn lengthen(place: &Place, bytes: u64) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(place.dir.join("file"))?.set_len(bytes)
}

fn found(is_there: bool) -> io::Result<()> {
    if is_there { Ok(()) } else { Err(Errno::NOENT.into()) }
}

fn pid(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).unwrap()
}

fn file(place: &Place, right: Access) -> io::Result<()> {
    let at = |name: &str| place.dir.join(name);
    let open = |name: &str, flags| Ok(rustix::fs::open(at(name), flags, Mode::empty()).map(drop)?);
    // Not number 0: that is an overlay's whiteout, which some kernels take for a file.
    let make = |name: &str, kind| {
        Ok(rustix::fs::mknodat(CWD, at(name), kind, Mode::RUSR, rustix::fs::makedev(1, 3))?)
    };
    match right {
        Access::EXECUTE => execute(place),
        Access::WRITE_FILE => open("file", OFlags::WRONLY),
        Access::READ_FILE => open("file", OFlags::RDONLY),
        Access::READ_DIR => open("from", OFlags::RDONLY | OFlags::DIRECTORY),
        Access::REMOVE_DIR => std::fs::remove_dir(at("empty")),
        Access::REMOVE_FILE => std::fs::remove_file(at("victim")),
        Access::MAKE_CHAR => make("char", FileType::CharacterDevice),
        Access::MAKE_DIR => std::fs::create_dir(at("dir")),
        Access::MAKE_REG => make("reg", FileType::RegularFile),
        Access::MAKE_SOCK => make("sock", FileType::Socket),
        Access::MAKE_FIFO => make("fifo", FileType::Fifo),
        Access::MAKE_BLOCK => make("block", FileType::BlockDevice),
        Access::MAKE_SYM => std::os::unix::fs::symlink("file", at("sym")),
        Access::REFER => std::fs::hard_link(at("from/file"), at("to/link")),
        Access::TRUNCATE => raw::truncate(&at("long"), 1).map(drop),
        Access::IOCTL_DEV => {
            // ENOTTY is the device's own answer.
            let device = std::fs::File::open(&place.device)?;
            let fd = device.as_raw_fd().into();
            let size = [0u8; 8].as_slice().into();
            raw::syscall(libc::SYS_ioctl, [fd, TIOCGSERIAL.into(), size]).map(drop)
        }
        Access::RESOLVE_UNIX => {
            let socket = socket(AddressFamily::UNIX, SocketType::STREAM)?;
            Ok(connect(&socket, &SocketAddrUnix::new(at("socket"))?)?)
        }
        other => panic!("{other} is new: say here how it is tried"),
    }
}

/// In a process of its own: while one thread executes, the kernel lets no other start threads.
fn execute(place: &Place) -> io::Result<()> {
    loop {
        match Command::new(place.dir.join("program")).status() {
            // A test beside this one has just forked, and its child holds the file as it was written.
            Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) => std::thread::yield_now(),
            done => return done.map(drop),
        }
    }
}

fn close(fd: i64) -> io::Result<()> {
    raw::syscall(libc::SYS_close, [fd.cast_unsigned().into()]).map(drop)
}

fn io_uring_setup() -> io::Result<()> {
    // `struct io_uring_params` has 120 bytes.
    close(raw::syscall(libc::SYS_io_uring_setup, [1.into(), [0u8; 128].as_slice().into()])?)
}

/// Where a process has its list of robust futexes, which only who may trace it is told.
fn get_robust_list(pid: u32) -> io::Result<()> {
    let word = || [0u8; 8].as_slice().into();
    raw::syscall(libc::SYS_get_robust_list, [u64::from(pid).into(), word(), word()]).map(drop)
}

/// Makes a System V segment and removes it.
fn shared_memory() -> io::Result<()> {
    let flags = libc::IPC_CREAT | 0o600;
    let id = raw::syscall(libc::SYS_shmget, [libc::IPC_PRIVATE.into(), 4096.into(), flags.into()])?;
    let arguments = [id.cast_unsigned().into(), libc::IPC_RMID.into(), 0.into()];
    raw::syscall(libc::SYS_shmctl, arguments).map(drop)
}

fn socket(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    Ok(socket_with(family, kind, SocketFlags::CLOEXEC, None)?)
}

fn port(view: &View, place: &Place, access: NetAccess) -> io::Result<()> {
    let kind = match access {
        NetAccess::BindTcp | NetAccess::ConnectTcp => SocketType::STREAM,
        NetAccess::BindUdp | NetAccess::ConnectSendUdp => SocketType::DGRAM,
    };
    let socket = socket(AddressFamily::INET, kind)?;
    let to = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let done = match access {
        NetAccess::BindTcp | NetAccess::BindUdp => {
            bind(&socket, &SocketAddrV4::new(view.address.into(), place.bind))
        }
        NetAccess::ConnectTcp => connect(&socket, &to(place.tcp)),
        NetAccess::ConnectSendUdp => connect(&socket, &to(place.udp)),
    };
    Ok(done?)
}

fn listen_unbound() -> io::Result<()> {
    Ok(listen(socket(AddressFamily::INET, SocketType::STREAM)?, 1)?)
}

/// Of the host, or one that was made in the sandbox: of datagrams, since `listen` is a promise of its own.
fn abstract_socket(view: &View, inside: bool) -> io::Result<()> {
    if !inside {
        let address = SocketAddrUnix::new_abstract_name(view.abstract_name.as_bytes())?;
        return Ok(connect(socket(AddressFamily::UNIX, SocketType::STREAM)?, &address)?);
    }
    let own = format!("{}-{:?}", view.abstract_name, view.address);
    let own = SocketAddrUnix::new_abstract_name(own.as_bytes())?;
    let [server, client] = [(); 2].map(|()| socket(AddressFamily::UNIX, SocketType::DGRAM));
    let server = server?;
    bind(&server, &own)?;
    Ok(connect(client?, &own)?)
}
