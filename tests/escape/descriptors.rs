//! Descriptors: those of the host, those that are handed over, and the files behind them, opened anew.

use crate::attempt::{Attempt, Tried, harmless, refused};
use crate::sys;
use libc::{EACCES, EBADF, EPERM};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open, seek};
use sandboxed::Policy;
use std::os::fd::OwnedFd;

use crate::world::World;

fn opened(at: std::path::PathBuf, flags: OFlags) -> OwnedFd {
    open(at, flags | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

fn memory_file(_: &World) -> OwnedFd {
    let writable = memfd_create("handed-over", MemfdFlags::CLOEXEC).unwrap();
    rustix::io::write(&writable, b"read this").unwrap();
    open(
        format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writable)),
        OFlags::RDONLY,
        Mode::empty(),
    )
    .unwrap()
}

fn pipe(_: &World) -> OwnedFd {
    std::io::pipe().unwrap().0.into()
}

fn nonblocking(_: &crate::attempt::Stage) -> Tried {
    (0..3).for_each(sys::set_nonblocking);
    Ok(0)
}

/// Whether one beyond those that a worker has is open, by the errno of the last that is not.
fn any_open(beyond: i32) -> Tried {
    for fd in beyond..1024 {
        if sys::is_open(fd) {
            return Ok(i64::from(fd));
        }
    }
    Err(std::io::Error::from_raw_os_error(EBADF))
}

pub fn attempts() -> Vec<Attempt> {
    let read_proc = |_: &World| Policy::new().read("/proc");
    let reopen = |s: &crate::attempt::Stage| {
        call!(SYS_openat, libc::AT_FDCWD, &*format!("/proc/self/fd/{}", s.given), s.flag())
    };
    vec![
        refused("inherited", EBADF, |_| any_open(4)).outside(|_| {
            sys::leak_over_exec(0);
            any_open(0)
        }),
        refused("memory_file_reopened_for_writing", EACCES, reopen).with(libc::O_RDWR).given(memory_file),
        refused("memory_file_reopened_for_writing_with_proc", EACCES, reopen)
            .with(libc::O_RDWR)
            .given(memory_file)
            .under(read_proc),
        refused("memory_file_written", EBADF, |s| call!(SYS_write, s.given, &b"x"[..], 1))
            .given(memory_file)
            .beside(|s| call!(SYS_read, s.given, &[0u8; 4][..], 4)),
        refused("memory_file_reopened_truncating_with_proc", EACCES, reopen)
            .with(libc::O_TRUNC)
            .given(memory_file)
            .under(read_proc),
        refused("memory_file_truncated_with_proc", EACCES, |s| {
            call!(SYS_truncate, &*format!("/proc/self/fd/{}", s.given), 0)
        })
        .given(memory_file)
        .under(read_proc),
        refused("file_reopened_for_writing", EACCES, reopen)
            .with(libc::O_RDWR)
            .given(|w| opened(w.secret(), OFlags::RDONLY))
            .under(read_proc),
        refused("file_reopened_for_reading", EACCES, reopen)
            .with(libc::O_RDONLY)
            .given(|w| opened(w.secret(), OFlags::WRONLY))
            .under(read_proc),
        refused("path_descriptor_opened", EACCES, reopen)
            .with(libc::O_RDONLY)
            .given(|w| opened(w.secret(), OFlags::PATH))
            .under(read_proc),
        refused("pipe_reopened_for_writing", EACCES, reopen).with(libc::O_WRONLY).given(pipe),
        refused("stdout_reopened", EACCES, |_| {
            call!(SYS_openat, libc::AT_FDCWD, "/proc/self/fd/1", libc::O_RDONLY | libc::O_NONBLOCK)
        }),
        refused("dev_fd", EACCES, |_| {
            call!(SYS_openat, libc::AT_FDCWD, "/dev/fd/1", libc::O_RDONLY | libc::O_NONBLOCK)
        }),
        refused("below_a_directory", EACCES, |s| call!(SYS_openat, s.given, "secret", libc::O_RDONLY))
            .given(|w| opened(w.directory.clone(), OFlags::DIRECTORY)),
        refused("beside_a_directory", EACCES, |s| call!(SYS_openat, s.given, "../secret", libc::O_RDONLY))
            .given(|w| opened(w.granted(), OFlags::DIRECTORY)),
        refused("below_a_directory_with_files", EACCES, |s| {
            call!(SYS_openat, s.given, "secret", libc::O_RDONLY)
        })
        .given(|w| opened(w.directory.clone(), OFlags::DIRECTORY))
        .under(|_| Policy::new().read("/usr")),
        refused("removed_below_a_directory", EACCES, |s| call!(SYS_unlinkat, s.given, "missing", 0))
            .given(|w| opened(w.directory.clone(), OFlags::DIRECTORY))
            .reaches(libc::ENOENT),
        refused("grown_though_read_only", libc::EINVAL, |s| call!(SYS_ftruncate, s.given, 100u64))
            .given(|w| opened(w.secret(), OFlags::RDONLY))
            .beside(|s| call!(SYS_fstat, s.given, &[0u8; 256][..])),
        refused("owner_of_a_pipe", EPERM, |s| call!(SYS_fcntl, s.given, libc::F_SETOWN, s.world.host))
            .given(pipe),
        refused("size_of_a_pipe", EPERM, |s| call!(SYS_fcntl, s.given, 1031, 65536)).given(pipe),
        refused("lease", EPERM, |s| call!(SYS_fcntl, s.given, 1024, libc::F_RDLCK))
            .given(|w| opened(w.secret(), OFlags::RDONLY)),
        refused("watched_directory", EPERM, |s| call!(SYS_fcntl, s.given, 1026, 1))
            .given(|w| opened(w.directory.clone(), OFlags::DIRECTORY)),
        harmless("flags_of_the_hosts_streams", nonblocking, |world| {
            assert_eq!([0, 1, 2].map(sys::is_nonblocking), world.nonblocking);
        }),
        harmless(
            "offset_of_the_hosts_stdin",
            // It may be a pipe of its own.
            |_| Ok(call!(SYS_lseek, 0, 1, libc::SEEK_SET).map_or(0, |_| 0)),
            |_| {
                // Where it is a file at all.
                let now = seek(rustix::stdio::stdin(), rustix::fs::SeekFrom::Current(0));
                assert!(now.unwrap_or(0) != 1);
            },
        )
        .outside(|_| Ok(0)),
    ]
}
