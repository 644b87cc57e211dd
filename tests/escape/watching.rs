//! What tells of others' files: inotify, fanotify, dnotify, counters.

use crate::attempt::{Attempt, refused};
use libc::{EBADF, EPERM};
use sandboxed::Policy;

pub fn attempts() -> Vec<Attempt> {
    let inotify = |_: &crate::attempt::Stage| call!(SYS_inotify_init1, libc::O_CLOEXEC);
    vec![
        refused("inotify", EPERM, inotify),
        refused("inotify_with_files", EPERM, inotify).under(|w| Policy::new().read(w.granted())),
        #[cfg(target_arch = "x86_64")]
        refused("old_inotify", EPERM, |_| call!(SYS_inotify_init)),
        refused("inotify_watch", EPERM, |_| call!(SYS_inotify_add_watch, -1, "/", 1)).reaches(EBADF),
        refused("inotify_handed_over", EPERM, |s| {
            crate::raw::syscall(
                libc::SYS_inotify_add_watch,
                [s.given.into(), (&*s.world.directory).into(), 0x100.into()],
            )
        })
        .given(|_| rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::CLOEXEC).unwrap()),
        refused("fanotify", EPERM, |_| call!(SYS_fanotify_init, 0, 0)),
        refused("fanotify_by_identity", EPERM, |_| call!(SYS_fanotify_init, 0x200, 0))
            .or_not_here(&[libc::EINVAL]),
        refused("fanotify_mark", EPERM, |_| call!(SYS_fanotify_mark, -1, 1, 0x20, libc::AT_FDCWD, "/"))
            .reaches(EBADF),
        refused("quota", EPERM, |_| call!(SYS_quotactl, 0x8000_0700_u64, "/missing", 0, 0))
            .reaches(libc::EINVAL)
            .or_not_here(&[libc::ENOENT, libc::ENOTBLK, libc::ESRCH]),
        refused("quota_by_descriptor", EPERM, |_| {
            crate::raw::syscall(443, [(-1).into(), 0.into(), 0.into(), 0.into()])
        })
        .reaches(EBADF),
    ]
}
