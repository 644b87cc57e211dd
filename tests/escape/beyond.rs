//! What is on nobody's list of ways out.

use crate::attack;
use crate::attempt::{Attempt, Stage, Tried, harmless, refused};
use crate::raw::{Argument, owned, syscall};
use crate::world::World;
use libc::{EACCES, EPERM};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use sandboxed::{Access, Allow, Memory, Policy};
use std::io::{self, Error, PipeReader, PipeWriter};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

const MUCH: usize = 256 << 20;

fn small(_: &World) -> Policy {
    Policy::new().memory(Memory::Bytes(64 << 20))
}

fn errno<T>(errno: i32) -> io::Result<T> {
    Err(Error::from_raw_os_error(errno))
}

/// As many descriptors as the hard limit lets one have.
fn raise_open_files() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, most).unwrap_or_default();
}

/// Fills what `make` makes until it holds much, or no more can be made.
fn hoard(mut make: impl FnMut() -> io::Result<Vec<OwnedFd>>) -> Tried {
    raise_open_files();
    let (mut kept, mut held) = (Vec::new(), 0);
    let piece = [0u8; 1 << 14];
    while held < MUCH {
        let made = make()?;
        for end in &made {
            rustix::io::ioctl_fionbio(end, true)?;
            while let Ok(length) = rustix::io::write(end, &piece) {
                held += length;
            }
        }
        kept.push(made);
    }
    Ok(held as i64)
}

fn sockets_hold_memory(_: &Stage) -> Tried {
    hoard(|| {
        let (a, b) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        Ok(vec![a, b])
    })
}

fn pipes_hold_memory(_: &Stage) -> Tried {
    let mut readers: Vec<PipeReader> = Vec::new();
    hoard(|| {
        let (from, to): (PipeReader, PipeWriter) = io::pipe()?;
        readers.push(from);
        Ok(vec![to.into()])
    })
}

fn changing(w: &World) -> Policy {
    Policy::new().read(w.granted()).write(w.granted())
}

fn new(s: &Stage, what: &str) -> PathBuf {
    s.world.granted().join(format!("{what}-{}", std::process::id()))
}

/// Makes a file with the set-user-ID bit at once, where its mode may not be changed later, and gives it content in the
/// ways that do not write.
fn set_user_id_from_the_start(s: &Stage) -> Tried {
    let path = new(s, "privileged");
    let flags = libc::O_CREAT | libc::O_RDWR | libc::O_EXCL;
    let file = owned(syscall(
        libc::SYS_openat,
        [libc::AT_FDCWD.into(), Argument::from(&*path), flags.into(), 0o4777.into()],
    )?);
    rustix::io::write(&file, b"#!/bin/sh\n")?;
    let mode = rustix::fs::fstat(&file)?.st_mode;
    if mode & 0o6000 != 0 { Ok(i64::from(mode)) } else { errno(EACCES) }
}

/// Grows by a map of the file, which no write clears the bit for.
fn set_user_id_by_a_map(s: &Stage) -> Tried {
    let path = new(s, "mapped");
    let flags = libc::O_CREAT | libc::O_RDWR | libc::O_EXCL;
    let file = owned(syscall(
        libc::SYS_openat,
        [libc::AT_FDCWD.into(), Argument::from(&*path), flags.into(), 0o4777.into()],
    )?);
    rustix::fs::ftruncate(&file, 4096)?;
    attack::map(file.as_raw_fd(), libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED)?;
    let mode = rustix::fs::fstat(&file)?.st_mode;
    if mode & 0o6000 != 0 { Ok(i64::from(mode)) } else { errno(EACCES) }
}

/// A pair's end whose peer is gone.
fn widowed() -> io::Result<OwnedFd> {
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    drop(theirs);
    Ok(ours)
}

fn connect(s: &Stage, socket: &OwnedFd) -> Tried {
    let path = s.world.directory.join("stream");
    let address = crate::sockets::unix(&[path.to_str().unwrap().as_bytes(), b"\0"].concat());
    call!(SYS_connect, socket.as_raw_fd(), &address[..], address.len() as u64)
}

const TAKEN: &[u8] = b"\0sandboxed-escape-taken";

fn bind(name: &[u8]) -> Tried {
    let (ours, _theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let address = crate::sockets::unix(name);
    call!(SYS_bind, ours.as_raw_fd(), &address[..], address.len() as u64)
}

/// `clock_getcpuclockid(3)`.
fn clock_of(pid: i32) -> i32 {
    const CPUCLOCK_SCHED: i32 = 2;
    (!pid << 3) | CPUCLOCK_SCHED
}

fn processor_time_of_host(s: &Stage) -> Tried {
    call!(SYS_clock_gettime, clock_of(s.world.host), &[0u8; 16][..])
}

/// Such a timer is looked after by the host, at each tick: enough of them leave it no time for itself.
fn timer_in_host(s: &Stage) -> Tried {
    call!(SYS_timer_create, clock_of(s.world.host), 0, &[0u8; 4][..])
}

fn open_kmsg(_: &Stage) -> Tried {
    let fd = owned(call!(SYS_openat, libc::AT_FDCWD, "/proc/kmsg", libc::O_RDONLY)?);
    call!(SYS_read, fd.as_raw_fd(), &[0u8; 64][..], 64)
}

pub fn attempts() -> Vec<Attempt> {
    // From ABI 9 on Landlock looks at the path first.
    let still_connected = if sandboxed::kernel().abi >= 9 { EACCES } else { libc::EISCONN };
    let read_proc = |_: &World| Policy::new().read("/proc");
    vec![
        refused("memory_in_sockets", libc::EMFILE, sockets_hold_memory)
            .under(small)
            .or_not_here(&[libc::EMFILE]),
        refused("memory_in_pipes", libc::EMFILE, pipes_hold_memory).under(small).or_not_here(&[libc::EMFILE]),
        refused("set_user_id_from_the_start", EACCES, set_user_id_from_the_start).under(changing),
        refused("set_user_id_by_a_map", EACCES, set_user_id_by_a_map).under(changing),
        refused("widowed_stream_with_tcp", still_connected, |s| connect(s, &widowed()?))
            .under(|_| Policy::new().tcp_connect(9))
            .outside(|s| connect(s, &rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?)),
        refused("existence_by_a_pair", EACCES, |s| {
            let (ours, _theirs) =
                rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            let path = s.world.directory.join("missing");
            let address = crate::sockets::unix(&[path.to_str().unwrap().as_bytes(), b"\0"].concat());
            call!(SYS_connect, ours.as_raw_fd(), &address[..], address.len() as u64)
        })
        .reaches(libc::ENOENT),
        // To root without capabilities by the log's own check, to others by the file's mode.
        refused("kmsg_with_proc", if crate::sys::is_root() { EPERM } else { EACCES }, open_kmsg)
            .under(read_proc),
        refused("tiocsti_where_ioctls_are_granted", EACCES, |s| {
            let terminal =
                owned(call!(SYS_openat, libc::AT_FDCWD, "/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY)?);
            syscall(libc::SYS_ioctl, [terminal.as_raw_fd().into(), s.number.into(), b"x"[..].into()])
        })
        .with(0x5412)
        .under(|_| Policy::new().read("/dev/ptmx").write("/dev/ptmx").fs(Access::IOCTL_DEV, "/dev/ptmx")),
        refused("pipe_reopened_for_writing_with_proc", EACCES, |s| {
            call!(SYS_openat, libc::AT_FDCWD, &*format!("/proc/self/fd/{}", s.given), libc::O_WRONLY)
        })
        .given(|_| io::pipe().unwrap().0.into())
        .under(read_proc),
        refused("processor_time_of_host", EPERM, processor_time_of_host),
        refused("timer_on_the_hosts_processor_time", EPERM, timer_in_host),
        refused("sleep_by_the_hosts_processor_time", EPERM, |s| {
            let long = [u64::MAX.to_ne_bytes(), u64::MAX.to_ne_bytes()].concat();
            call!(SYS_clock_nanosleep, clock_of(s.world.host), 0, &long[..], 0)
        })
        .reaches(libc::EINVAL),
        refused("bind_pair_to_a_path_with_udp", EACCES, |s| {
            let path = new(s, "socket");
            bind(&[path.to_str().unwrap().as_bytes(), b"\0"].concat())
        })
        .under(|_| Policy::new().allow(Allow::Udp)),
        // A filter cannot tell addresses apart, so it is taken; nobody can connect to it, and it is free again at the end.
        harmless("bind_pair_to_a_name_with_udp", |_| bind(TAKEN), |_| assert_eq!(bind(TAKEN).unwrap(), 0))
            .under(|_| Policy::new().allow(Allow::Udp)),
        refused("peer_as_pidfd_then_descriptor", EPERM, |s| {
            const SO_PEERPIDFD: i32 = 77;
            let fd = [0xffu8; 4];
            let length = 4u32.to_ne_bytes();
            // Linux 6.5.
            let _is_there =
                call!(SYS_getsockopt, s.given, libc::SOL_SOCKET, SO_PEERPIDFD, &fd[..], &length[..]);
            // Its number is not told here; none was open above those of a worker.
            call!(SYS_pidfd_getfd, s.given + 1, 0, 0)
        })
        .given(|_| {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            std::mem::forget(theirs);
            ours.into()
        })
        .or_not_here(&[libc::ENOPROTOOPT, libc::EBADF]),
    ]
}
