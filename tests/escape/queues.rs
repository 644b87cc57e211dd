//! System V and POSIX queues, semaphores and memory: known by number or name to every process of the user.

use crate::attempt::{Attempt, refused};
use libc::{EBADF, EINVAL, ENOENT, EPERM};

const CREATE: i32 = 0o1000 | 0o600;

/// Made and removed, where it can be.
macro_rules! made {
    ($make:ident, $remove:ident $(, $argument:expr)*) => {{
        let id = call!($make, $($argument),*)? as i32;
        call!($remove, id, 0, 0)?;
        Ok(0)
    }};
}

pub fn attempts() -> Vec<Attempt> {
    vec![
        refused("shmget", EPERM, |_| made!(SYS_shmget, SYS_shmctl, 0, 4096, CREATE)),
        refused("shmget_of_another", EPERM, |_| call!(SYS_shmget, 0x5b5b_5b5bu64, 0, 0)).reaches(ENOENT),
        refused("shmat", EPERM, |_| call!(SYS_shmat, -1, 0, 0)).reaches(EINVAL),
        refused("shmctl", EPERM, |_| call!(SYS_shmctl, -1, 0, 0)).reaches(EINVAL),
        refused("shm_info", EPERM, |_| call!(SYS_shmctl, 0, 14, &[0u8; 256][..])),
        refused("semget", EPERM, |_| {
            let id = call!(SYS_semget, 0, 1, CREATE)? as i32;
            call!(SYS_semctl, id, 0, 0, 0)
        }),
        refused("semop", EPERM, |_| call!(SYS_semop, -1, &[0u8; 6][..], 1)).reaches(EINVAL),
        refused("semtimedop", EPERM, |_| call!(SYS_semtimedop, -1, &[0u8; 6][..], 1, 0)).reaches(EINVAL),
        refused("semctl", EPERM, |_| call!(SYS_semctl, -1, 0, 12, 0)).reaches(EINVAL),
        refused("msgget", EPERM, |_| made!(SYS_msgget, SYS_msgctl, 0, CREATE)),
        refused("msgsnd", EPERM, |_| call!(SYS_msgsnd, -1, &[1u8; 16][..], 1, 0)).reaches(EINVAL),
        refused("msgrcv", EPERM, |_| call!(SYS_msgrcv, -1, &[0u8; 16][..], 1, 0, 0)).reaches(EINVAL),
        refused("msgctl", EPERM, |_| call!(SYS_msgctl, -1, 0, 0)).reaches(EINVAL),
        refused("mq_open", EPERM, |_| {
            let name = format!("sandboxed-escape-{}", std::process::id());
            drop(crate::raw::owned(call!(SYS_mq_open, &*name, libc::O_CREAT | libc::O_RDWR, 0o600, 0)?));
            call!(SYS_mq_unlink, &*name)
        }),
        refused("mq_unlink", EPERM, |_| call!(SYS_mq_unlink, "sandboxed-escape-missing")).reaches(ENOENT),
        refused("mq_timedsend", EPERM, |_| call!(SYS_mq_timedsend, -1, &b"x"[..], 1, 0, 0)).reaches(EBADF),
        refused("mq_notify", EPERM, |_| call!(SYS_mq_notify, -1, 0)).reaches(EBADF),
    ]
}
