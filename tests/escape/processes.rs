//! New processes, and those that outlive their call.

use crate::attack;
use crate::attempt::{Attempt, Stage, Tried, refused};
use libc::{ENOSYS, EPERM, SIGCHLD};
use sandboxed::Policy;

fn clone(s: &Stage) -> Tried {
    attack::make_process(libc::SYS_clone as u64, s.number)
}

fn with(name: &str, flags: i32) -> Attempt {
    refused(format!("clone_{name}"), EPERM, clone).with(flags as u32)
}

pub fn attempts() -> Vec<Attempt> {
    let mut all = vec![
        with("child", SIGCHLD),
        with("that_nobody_waits_for", 0),
        with("with_another_signal", libc::SIGURG),
        with("sharing_memory", libc::CLONE_VM | SIGCHLD),
        with("like_vfork", libc::CLONE_VM | libc::CLONE_VFORK | SIGCHLD),
        with("sharing_files", libc::CLONE_FILES | libc::CLONE_FS | SIGCHLD),
        with("sibling", libc::CLONE_PARENT | SIGCHLD),
        with("sharing_signals", libc::CLONE_VM | libc::CLONE_SIGHAND | SIGCHLD),
        with("traced", libc::CLONE_PTRACE | SIGCHLD),
        with("untraced", libc::CLONE_UNTRACED | SIGCHLD),
        with("sharing_io", libc::CLONE_IO as u32 as i32 | SIGCHLD),
        // CLONE_PIDFD wants an address.
        with("with_a_pidfd", libc::CLONE_PIDFD | SIGCHLD).reaches(libc::EFAULT),
        refused("clone3", ENOSYS, |_| attack::make_process(libc::SYS_clone3 as u64, 0)).reaches(libc::EINVAL),
        refused("clone_with_files", EPERM, clone).with(SIGCHLD).under(|w| Policy::new().read(w.granted())),
        refused("clone_with_tcp", EPERM, clone).with(SIGCHLD).under(|_| Policy::new().tcp_connect(9)),
    ];
    #[cfg(target_arch = "x86_64")]
    all.extend([
        refused("fork", EPERM, |_| attack::make_process(libc::SYS_fork as u64, 0)),
        refused("vfork", EPERM, |_| attack::make_process(libc::SYS_vfork as u64, 0)),
    ]);
    all
}
