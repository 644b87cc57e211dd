//! Mounts, by the old calls and the new.

use crate::attempt::{Attempt, Stage, Tried, refused};
use crate::raw::syscall;
use libc::{AT_FDCWD, EBADF, EFAULT, EINVAL, ENOENT, EPERM};

/// In a mount namespace of its own, so that the machine's stay as they are.
fn apart(act: fn(&Stage) -> Tried, s: &Stage) -> Tried {
    call!(SYS_unshare, libc::CLONE_NEWNS)?;
    call!(SYS_mount, "none", "/", "", libc::MS_REC | libc::MS_PRIVATE, 0)?;
    act(s)
}

fn mount_tmpfs(s: &Stage) -> Tried {
    syscall(
        libc::SYS_mount,
        ["x".into(), (&*s.world.directory.join("other")).into(), "tmpfs".into(), 0.into(), 0.into()],
    )
}

fn bind_mount(s: &Stage) -> Tried {
    let flags = libc::MS_BIND.into();
    syscall(
        libc::SYS_mount,
        [(&*s.world.directory).into(), (&*s.world.granted()).into(), "".into(), flags, 0.into()],
    )
}

fn open_tree(s: &Stage) -> Tried {
    // OPEN_TREE_CLONE
    syscall(libc::SYS_open_tree, [AT_FDCWD.into(), (&*s.world.directory).into(), 1.into()])
}

pub fn attempts() -> Vec<Attempt> {
    vec![
        refused("mount", EPERM, mount_tmpfs).outside(|s| apart(mount_tmpfs, s)),
        refused("bind_mount", EPERM, bind_mount)
            .under(|w| sandboxed::Policy::new().read(w.granted()))
            .outside(|s| apart(bind_mount, s)),
        refused("remount", EPERM, |_| call!(SYS_mount, "none", "/", "", libc::MS_PRIVATE, 0))
            .outside(|s| apart(|_| Ok(0), s)),
        refused("umount", EPERM, |_| call!(SYS_umount2, "/missing", libc::MNT_DETACH)).reaches(ENOENT),
        refused("pivot_root", EPERM, |_| call!(SYS_pivot_root, "/missing", "/missing")).reaches(ENOENT),
        refused("chroot", EPERM, |_| call!(SYS_chroot, "/")),
        refused("fsopen", EPERM, |_| call!(SYS_fsopen, "tmpfs", 0)),
        refused("fsconfig", EPERM, |_| call!(SYS_fsconfig, -1, 0, 0, 0, 0)).reaches(EINVAL),
        refused("fsmount", EPERM, |_| call!(SYS_fsmount, -1, 0, 0)).reaches(EBADF),
        refused("fspick", EPERM, |_| call!(SYS_fspick, AT_FDCWD, "/missing", 0)).reaches(ENOENT),
        refused("open_tree", EPERM, open_tree),
        refused("move_mount", EPERM, |_| call!(SYS_move_mount, -1, "x", -1, "x", 0)).reaches(EBADF),
        refused("mount_setattr", EPERM, |_| {
            syscall(442, [(-1).into(), "".into(), 0x1000.into(), [0u8; 32][..].into(), 32.into()])
        })
        // Nothing to set: the kernel looks no further.
        .or_not_here(&[EINVAL, EBADF]),
        refused("statmount", EPERM, |_| syscall(457, [0.into(), 0.into(), 0.into(), 0.into()]))
            .reaches(EFAULT),
        refused("listmount", EPERM, |_| syscall(458, [0.into(), 0.into(), 0.into(), 0.into()]))
            .reaches(EFAULT),
    ]
}
