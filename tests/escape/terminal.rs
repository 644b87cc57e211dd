//! The host's terminal.

use crate::attempt::{Attempt, refused};
use libc::{EACCES, ENOTTY, ENXIO};
use sandboxed::Policy;

pub fn attempts() -> Vec<Attempt> {
    let open_tty = |_: &crate::attempt::Stage| call!(SYS_openat, libc::AT_FDCWD, "/dev/tty", libc::O_RDWR);
    let own = |_: &crate::attempt::Stage| call!(SYS_fcntl, 1, libc::F_GETFD);
    let attributes = |s: &crate::attempt::Stage| call!(SYS_ioctl, s.flag(), 0x5401, &[0u8; 64][..]);
    let mut all = vec![
        refused("dev_tty", EACCES, open_tty).beside(own),
        // A worker has no controlling terminal, whatever is granted.
        refused("dev_tty_granted", ENXIO, open_tty)
            .under(|_| Policy::new().read("/dev/tty").write("/dev/tty"))
            .beside(own),
        refused("dev_console", EACCES, |_| call!(SYS_openat, libc::AT_FDCWD, "/dev/console", libc::O_RDWR))
            .beside(own),
        refused("pseudo_terminals", EACCES, |_| {
            call!(SYS_openat, libc::AT_FDCWD, "/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY)
        }),
        refused("foreground_group", EACCES, |_| call!(SYS_ioctl, 0, 0x540f, &[0u8; 4][..])).beside(own),
    ];
    all.extend(
        (0..3).map(|fd| refused(format!("descriptor_{fd}_is_none"), ENOTTY, attributes).with(fd).beside(own)),
    );
    all
}
