//! What namespaces need that no library wraps: leaving the present ones, and attributes of mounts.
#![allow(unsafe_code)]

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use rustix::process::Pid;
use std::io;

/// Leaves the namespaces that the flags (`CLONE_NEW*`) name for new ones (`unshare(2)`). That of processes is for the
/// children to come.
pub(crate) fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: takes an integer. The process has one thread, so nothing that threads share comes apart.
    match unsafe { libc::unshare(flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `struct mount_attr`.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Sets attributes (`MOUNT_ATTR_*`) of a mount and of those below it (`mount_setattr(2)`, Linux 5.12).
pub(crate) fn set_mount_attributes(mount: BorrowedFd<'_>, attr_set: u64) -> Result<(), Errno> {
    let attr = MountAttr { attr_set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the path is a C string; the attributes are live and as long as is said; both are only read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

/// Waits until a child has ended, or stopped because it is traced: its status, as of `wait(2)`.
pub(crate) fn wait_for(child: Pid) -> io::Result<i32> {
    loop {
        let mut status = 0;
        let pid = child.as_raw_nonzero().get();
        // SAFETY: the pointer is to a live number.
        if unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } == pid {
            return Ok(status);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Lets the kernel reap the children of this process.
pub(crate) fn ignore_children() {
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}
