//! io_uring, whose requests are no system calls, and the older asynchronous input and output.

use crate::attempt::{Attempt, refused};
use libc::{EBADF, EPERM};

pub fn attempts() -> Vec<Attempt> {
    vec![
        refused("io_uring_setup", EPERM, |_| call!(SYS_io_uring_setup, 4, &[0u8; 256][..])),
        refused("io_uring_setup_of_nothing", EPERM, |_| call!(SYS_io_uring_setup, 4, 0))
            .reaches(libc::EFAULT),
        refused("io_uring_setup_polled", EPERM, |_| {
            let mut params = [0u8; 256];
            params[8] = 2;
            call!(SYS_io_uring_setup, 4, &params[..])
        }),
        refused("io_uring_enter", EPERM, |_| call!(SYS_io_uring_enter, -1, 0, 0, 0, 0, 0)).reaches(EBADF),
        refused("io_uring_register", EPERM, |_| call!(SYS_io_uring_register, 1000, 0, 0, 0)).reaches(EBADF),
        refused("io_uring", EPERM, |_| call!(SYS_io_uring_setup, 4, &[0u8; 256][..])).in_place(),
        refused("io_setup", EPERM, |_| call!(SYS_io_setup, 4, &[0u8; 8][..])),
        refused("io_submit", EPERM, |_| call!(SYS_io_submit, 0, 0, 0)).reaches(libc::EINVAL),
    ]
}
