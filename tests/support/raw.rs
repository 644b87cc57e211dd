//! System calls by number, for those that no library offers, or not with the arguments that a test wants to try.
#![allow(dead_code)] // each test file uses its part
#![allow(unsafe_code)] // `syscall(2)` is what this file is about

use std::ffi::CString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// An argument of a system call.
#[derive(Clone, Debug)]
pub enum Argument {
    /// A number.
    Number(u64),
    /// The address of these bytes.
    Bytes(Vec<u8>),
}

impl From<u64> for Argument {
    fn from(number: u64) -> Argument {
        Argument::Number(number)
    }
}

impl From<i32> for Argument {
    fn from(number: i32) -> Argument {
        // Sign-extended, as a C caller would.
        Argument::Number(number as i64 as u64)
    }
}

impl From<&str> for Argument {
    fn from(text: &str) -> Argument {
        Argument::Bytes(CString::new(text).unwrap().into_bytes_with_nul())
    }
}

impl From<&Path> for Argument {
    fn from(path: &Path) -> Argument {
        Argument::Bytes(CString::new(path.as_os_str().as_bytes()).unwrap().into_bytes_with_nul())
    }
}

impl From<&[u8]> for Argument {
    fn from(bytes: &[u8]) -> Argument {
        Argument::Bytes(bytes.to_owned())
    }
}

/// Makes a system call. Not for those that map, unmap or write memory elsewhere than in their arguments.
pub fn syscall<const N: usize>(number: libc::c_long, mut arguments: [Argument; N]) -> io::Result<i64> {
    let mut words = [0u64; 6];
    for (word, argument) in words.iter_mut().zip(&mut arguments) {
        *word = match argument {
            Argument::Number(number) => *number,
            Argument::Bytes(bytes) => bytes.as_mut_ptr() as u64,
        };
    }
    let [a, b, c, d, e, f] = words;
    // SAFETY: what is passed by address lives until the call returns, and the calls made here write no further
    // than the buffers are long.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The descriptor that a system call has just returned.
pub fn owned(fd: i64) -> OwnedFd {
    let fd = i32::try_from(fd).expect("a descriptor");
    // SAFETY: callers pass what the kernel has just made for them, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Truncates a file by its path.
pub fn truncate(path: &Path, length: u64) -> io::Result<i64> {
    syscall(libc::SYS_truncate, [path.into(), length.into()])
}

/// Makes a socket and closes it. All 64 bits of the arguments reach the kernel.
pub fn socket(family: u64, kind: u64, protocol: u64) -> io::Result<()> {
    let fd = syscall(libc::SYS_socket, [family.into(), kind.into(), protocol.into()])?;
    syscall(libc::SYS_close, [Argument::Number(fd as u64)]).map(drop)
}

/// `getpid` by the gate of 32-bit programs.
#[cfg(target_arch = "x86_64")]
pub fn getpid_by_int_0x80() -> i64 {
    const GETPID: i64 = 20;
    let result;
    // SAFETY: the call takes no arguments and touches no memory; the registers that the gate may change are named.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") GETPID => result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    result
}

/// Sets a variable of this process's environment, in a child that runs one test.
pub fn set_variable(name: &str, value: impl AsRef<std::ffi::OsStr>) {
    assert!(std::env::var_os("SANDBOXED_TEST_CHILD").is_some(), "other tests run in this process");
    // SAFETY: the only other thread is the harness's first, which waits for the test.
    unsafe { std::env::set_var(name, value) };
}
