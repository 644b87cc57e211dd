//! The memory and the state of other processes: by tracing, by `/proc`, by pidfds.

use crate::attack;
use crate::attempt::{Attempt, Stage, Tried, refused};
use crate::raw::{Argument, owned, syscall};
use libc::{EACCES, EBADF, EINVAL, EPERM};
use sandboxed::Policy;
use std::os::fd::AsRawFd;

/// Since Linux 5.10, and 5.8 the memory.
const SYS_PROCESS_MADVISE: i64 = 440;
const SYS_PROCESS_MRELEASE: i64 = 448;

const SEIZE: u64 = 0x4206;
const DETACH: u64 = 17;

pub fn target(s: &Stage) -> i32 {
    match s.text.as_str() {
        "host" => s.world.host,
        "forkserver" => s.world.forkserver,
        "sibling" => s.world.sibling,
        "bystander" => s.world.bystander,
        other => panic!("who is {other}?"),
    }
}

pub const TARGETS: [&str; 4] = ["host", "forkserver", "sibling", "bystander"];

fn ptrace(request: u64, pid: i32) -> Tried {
    syscall(libc::SYS_ptrace, [request.into(), pid.into(), 0.into(), 0.into()])
}

fn seize(s: &Stage) -> Tried {
    let seized = ptrace(SEIZE, target(s))?;
    // Only what has stopped can be let go; the end of this process lets go the rest.
    ptrace(DETACH, target(s)).unwrap_or_default();
    Ok(seized)
}

/// Opens a file of `/proc/PID` by its name.
fn open_of(pid: i32, name: &str) -> Tried {
    let file = owned(call!(SYS_openat, libc::AT_FDCWD, &*format!("/proc/{pid}/{name}"), libc::O_RDONLY)?);
    Ok(i64::from(file.as_raw_fd()))
}

fn of_host(name: &'static str) -> Attempt {
    refused(format!("{name}_of_host"), EACCES, |s| open_of(s.world.host, &s.text)).at(name)
}

/// Some files of `/proc/PID` can be opened by anybody, and only reading them is refused.
fn read_of(pid: i32, name: &str) -> Tried {
    // The host's stdout may be a pipe or a terminal, where nothing is to be read for long.
    let flags = libc::O_RDONLY | libc::O_NONBLOCK;
    let file = owned(call!(SYS_openat, libc::AT_FDCWD, &*format!("/proc/{pid}/{name}"), flags)?);
    let fd = file.as_raw_fd();
    match call!(SYS_read, fd, &[0u8; 256][..], 256) {
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(0),
        Err(error) if error.raw_os_error() == Some(libc::EISDIR) => {
            call!(SYS_getdents64, fd, &[0u8; 512][..], 512)
        }
        read => read,
    }
}

fn with_proc(name: &'static str) -> Attempt {
    refused(format!("{name}_of_host_with_proc"), EACCES, |s| read_of(s.world.host, &s.text))
        .at(name)
        .under(|_| Policy::new().read("/proc"))
}

fn pidfd(pid: i32) -> Tried {
    call!(SYS_pidfd_open, pid, 0).map(|fd| i64::from(owned(fd).as_raw_fd()))
}

fn steal(s: &Stage) -> Tried {
    let pidfd = owned(call!(SYS_pidfd_open, s.world.host, 0)?);
    call!(SYS_pidfd_getfd, pidfd.as_raw_fd(), 0, 0).map(|fd| i64::from(owned(fd).as_raw_fd()))
}

fn read_host(s: &Stage) -> Tried {
    let mut found = [0; 8];
    attack::remote_memory(s.world.host, s.world.address, &mut found, false)?;
    assert_eq!(&found, b"in here.");
    Ok(8)
}

/// The page is read-only, so writing comes as far as that.
fn write_host(s: &Stage) -> Tried {
    attack::remote_memory(s.world.host, s.world.address, &mut [0; 1], true)
}

pub fn attempts() -> Vec<Attempt> {
    let mut all = Vec::new();
    for who in TARGETS {
        all.extend([
            refused(format!("ptrace_seize_{who}"), EPERM, seize).at(who),
            refused(format!("mem_of_{who}"), EACCES, |s| open_of(target(s), "mem")).at(who),
            refused(format!("environ_of_{who}"), EACCES, |s| open_of(target(s), "environ")).at(who),
            refused(format!("mem_of_{who}_with_proc"), EACCES, |s| open_of(target(s), "mem"))
                .at(who)
                .under(|_| Policy::new().read("/proc")),
            refused(format!("pidfd_{who}"), EPERM, |s| pidfd(target(s))).at(who),
            refused(format!("kcmp_{who}"), EPERM, |s| {
                call!(SYS_kcmp, std::process::id().cast_signed(), target(s), 1, 0, 0)
            })
            .at(who),
        ]);
    }
    all.extend(
        ["maps", "fd", "root/etc", "cwd", "auxv", "task", "stat", "cmdline", "fdinfo", "ns", "status"]
            .map(of_host),
    );
    all.extend(
        ["environ", "maps", "auxv", "root/etc", "cwd", "fd/1", "exe", "pagemap", "smaps", "io", "stack"]
            .map(with_proc),
    );
    all.extend([
        refused("syscall_of_host_with_proc", EPERM, |s| read_of(s.world.host, "syscall"))
            .under(|_| Policy::new().read("/proc")),
        refused("mem_of_self", EACCES, |_| open_of(std::process::id().cast_signed(), "mem")),
        refused("mem_of_self_for_writing_with_proc", EACCES, |_| {
            call!(SYS_openat, libc::AT_FDCWD, "/proc/self/mem", libc::O_RDWR)
        })
        .under(|_| Policy::new().read("/proc")),
        refused("mem_by_thread_self", EACCES, |_| {
            call!(SYS_openat, libc::AT_FDCWD, "/proc/thread-self/mem", libc::O_RDONLY)
        }),
        refused("oom_score_of_self_with_proc", EACCES, |_| {
            call!(SYS_openat, libc::AT_FDCWD, "/proc/self/oom_score_adj", libc::O_WRONLY)
        })
        .under(|_| Policy::new().read("/proc")),
        refused("sysctl_with_proc", EACCES, |_| {
            call!(SYS_openat, libc::AT_FDCWD, "/proc/sys/kernel/core_pattern", libc::O_WRONLY)
        })
        .under(|_| Policy::new().read("/proc")),
        refused("ptrace_attach", EPERM, |s| ptrace(16, s.world.bystander)).outside(|s| {
            ptrace(16, s.world.bystander)?;
            call!(SYS_wait4, s.world.bystander, 0, libc::__WALL, 0)?;
            ptrace(DETACH, s.world.bystander)
        }),
        refused("ptrace_traceme", EPERM, |_| ptrace(0, 0)),
        refused("process_vm_readv", EPERM, read_host),
        refused("process_vm_writev", EPERM, write_host).reaches(libc::EFAULT),
        refused("process_madvise", EPERM, |_| {
            let words = |count| vec![Argument::from(-1), 0.into(), 0.into(), count, 0.into()];
            let [a, b, c, d, e]: [Argument; 5] = words(Argument::from(libc::MADV_COLD)).try_into().unwrap();
            syscall(SYS_PROCESS_MADVISE, [a, b, c, d, e])
        })
        .reaches(EBADF),
        refused("process_mrelease", EPERM, |_| syscall(SYS_PROCESS_MRELEASE, [(-1).into(), 0.into()]))
            .reaches(EBADF),
        refused("pidfd_getfd", EPERM, steal),
        refused("pidfd_getfd_alone", EPERM, |_| call!(SYS_pidfd_getfd, -1, 0, 0)).reaches(EBADF),
        refused("move_pages", EPERM, |s| call!(SYS_move_pages, s.world.host, 0, 0, 0, 0, 0)),
        refused("migrate_pages", EPERM, |s| {
            call!(SYS_migrate_pages, s.world.host, 8, &[1u8; 8][..], &[1u8; 8][..])
        }),
        // Its flag is of Linux 5.11.
        refused("userfaultfd", EPERM, |_| call!(SYS_userfaultfd, libc::O_CLOEXEC | 1)).or_not_here(&[EINVAL]),
        refused("robust_list", EPERM, |s| {
            call!(SYS_get_robust_list, s.world.host, &[0u8; 8][..], &[0u8; 8][..])
        }),
    ]);
    all
}
