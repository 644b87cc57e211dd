//! Landlock domains that other code than this library makes: by raw system calls, for the calling thread alone.
#![allow(dead_code)] // each test file uses its part

use super::{raw, sys};
use std::io;

/// `LANDLOCK_ACCESS_FS_READ_FILE`
pub const READ_FILE: u64 = 1 << 2;
/// `LANDLOCK_ACCESS_FS_MAKE_CHAR`
pub const MAKE_CHAR: u64 = 1 << 6;

/// One more layer, which refuses these rights on files everywhere.
pub fn restrict_thread(refused: u64) -> io::Result<()> {
    let attr = [refused.to_ne_bytes(), 0u64.to_ne_bytes()].concat();
    // Kernels before ABI 4 know the first field alone.
    let fd = raw::syscall(libc::SYS_landlock_create_ruleset, [attr[..].into(), 8.into(), 0.into()])?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(io::Error::from_raw_os_error)?;
    let restricted =
        raw::syscall(libc::SYS_landlock_restrict_self, [raw::Argument::Number(fd as u64), 0.into()]);
    raw::syscall(libc::SYS_close, [raw::Argument::Number(fd as u64)])?;
    restricted.map(drop)
}
