//! Keyrings, which processes of a user share, and through which Landlock could once be left (CVE-2024-42318).

use crate::attempt::{Attempt, refused};
use libc::EPERM;

const SESSION: i32 = -3;
const USER: i32 = -4;

pub fn attempts() -> Vec<Attempt> {
    vec![
        refused("session_to_parent", EPERM, |_| call!(SYS_keyctl, 18)).outside(|_| {
            // The parent's own session keyring is not for this, and must be its own; so only whether it is known.
            call!(SYS_keyctl, 0, SESSION, 1)
        }),
        refused("join_session", EPERM, |_| call!(SYS_keyctl, 1, 0)),
        refused("get_keyring", EPERM, |_| call!(SYS_keyctl, 0, USER, 1)),
        refused("describe", EPERM, |_| call!(SYS_keyctl, 6, USER, &[0u8; 256][..], 256)),
        refused("revoke_of_nothing", EPERM, |_| call!(SYS_keyctl, 3, 0)).reaches(libc::EINVAL),
        refused("set_timeout_of_nothing", EPERM, |_| call!(SYS_keyctl, 15, 0, 0)).reaches(libc::EINVAL),
        refused("persistent", EPERM, |_| call!(SYS_keyctl, 22, -1, SESSION)).or_not_here(&[libc::EOPNOTSUPP]),
        refused("capabilities", EPERM, |_| call!(SYS_keyctl, 31, &[0u8; 16][..], 16)),
        refused("add_key", EPERM, |_| {
            // -2: the process's own keyring, which ends with it.
            call!(SYS_add_key, "user", "sandboxed-escape", &b"x"[..], 1, -2)
        }),
        refused("request_key", EPERM, |_| call!(SYS_request_key, "user", "sandboxed-escape-missing", 0, 0))
            .reaches(libc::ENOKEY),
    ]
}
