//! Namespaces: a new one of any kind gives privileges in it, and with them ways to the kernel's less trodden code.

use crate::attack;
use crate::attempt::{Attempt, refused};
use crate::raw::owned;
use libc::{EBADF, EINVAL, ENOSYS, EPERM};
use rustix::fs::{Mode, OFlags, open};

const CLONE_NEWTIME: i32 = 0x80;

const FLAGS: [(&str, i32); 8] = [
    ("user", libc::CLONE_NEWUSER),
    ("mount", libc::CLONE_NEWNS),
    ("pid", libc::CLONE_NEWPID),
    ("net", libc::CLONE_NEWNET),
    ("ipc", libc::CLONE_NEWIPC),
    ("uts", libc::CLONE_NEWUTS),
    ("cgroup", libc::CLONE_NEWCGROUP),
    ("time", CLONE_NEWTIME),
];

pub fn attempts() -> Vec<Attempt> {
    let mut all = Vec::new();
    for (name, flag) in FLAGS {
        all.push(refused(format!("unshare_{name}"), EPERM, |s| call!(SYS_unshare, s.flag())).with(flag));
        all.push(
            refused(format!("unshare_user_and_{name}"), EPERM, |s| {
                call!(SYS_unshare, libc::CLONE_NEWUSER | s.flag())
            })
            .with(flag),
        );
        // A signal at the child's end takes the bit of a time namespace.
        if flag != CLONE_NEWTIME {
            all.push(
                refused(format!("clone_{name}"), EPERM, |s| {
                    attack::make_process(libc::SYS_clone as u64, s.number | libc::SIGCHLD as u64)
                })
                .with(flag),
            );
        }
    }
    all.extend([
        refused("unshare_files", EPERM, |_| call!(SYS_unshare, libc::CLONE_FILES)),
        refused("unshare_fs", EPERM, |_| call!(SYS_unshare, libc::CLONE_FS)),
        refused("clone_user_with_high_bits", EPERM, |_| {
            attack::make_process(
                libc::SYS_clone as u64,
                (1 << 32) | libc::CLONE_NEWUSER as u64 | libc::SIGCHLD as u64,
            )
        }),
        // As a thread's flags, so that a filter that looks for those alone lets it pass.
        refused("clone_thread_user", EPERM, |_| {
            let thread = libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
            attack::make_process(libc::SYS_clone as u64, (thread | libc::CLONE_NEWUSER) as u64)
        })
        .reaches(EINVAL),
        refused("setns", EPERM, |_| call!(SYS_setns, -1, 0)).reaches(EBADF),
        refused("setns_of_a_handed_over", EPERM, |s| call!(SYS_setns, s.given, 0))
            .given(|_| open("/proc/self/ns/uts", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap()),
        refused("setns_of_host", EPERM, |s| {
            let host = owned(call!(SYS_pidfd_open, s.world.host, 0)?);
            call!(SYS_setns, std::os::fd::AsRawFd::as_raw_fd(&host), libc::CLONE_NEWUTS)
        }),
        refused("clone3", ENOSYS, |_| attack::make_process(libc::SYS_clone3 as u64, 0)).reaches(EINVAL),
    ]);
    all
}
