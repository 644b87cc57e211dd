//! An io_uring whose requests a thread of the kernel takes from memory (`IORING_SETUP_SQPOLL`): no system call is made
//! for them. <https://man7.org/linux/man-pages/man2/io_uring_setup.2.html>
#![allow(unsafe_code, dead_code)] // each test file uses its part

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

const SETUP_SQPOLL: u32 = 1 << 1;
const OP_OPENAT: u8 = 18;
/// Where the requests are mapped from.
const REQUESTS: i64 = 0x1000_0000;

/// `struct io_uring_params`, the offsets of both rings as words.
#[repr(C)]
#[derive(Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    rest: [u32; 5],
    /// head, tail, ring_mask, ring_entries, flags, dropped, array
    sq_off: [u32; 10],
    /// head, tail, ring_mask, ring_entries, overflow, cqes
    cq_off: [u32; 10],
}

/// `struct io_uring_sqe`, up to where all opcodes differ.
#[repr(C)]
struct Request {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    off: u64,
    addr: u64,
    len: u32,
    open_flags: u32,
    user_data: u64,
    rest: [u64; 3],
}

/// The ring. Its thread ends when it is dropped.
pub struct Ring {
    fd: OwnedFd,
    rings: *mut u8,
    requests: *mut Request,
    params: Params,
}

impl Ring {
    /// One whose thread does not fall asleep while a test runs.
    pub fn new() -> io::Result<Ring> {
        let mut params = Params { flags: SETUP_SQPOLL, sq_thread_idle: 600_000, ..Params::default() };
        // SAFETY: the pointer is to a live struct of the layout that the call asks for.
        let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, &raw mut params) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        let map = |offset| {
            let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
            // SAFETY: a new mapping, where the kernel likes; both are smaller than this, and the rest is not touched.
            let map = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    4096,
                    libc::PROT_READ | libc::PROT_WRITE,
                    flags,
                    fd.as_raw_fd(),
                    offset,
                )
            };
            if map == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(map) }
        };
        let (rings, requests) = (map(0)?.cast(), map(REQUESTS)?.cast());
        Ok(Ring { fd, rings, requests, params })
    }

    fn unmap(&self) {
        for map in [self.rings.cast(), self.requests.cast()] {
            // SAFETY: mapped by us, of this size, and not used after this.
            unsafe { libc::munmap(map, 4096) };
        }
    }

    fn word(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: the kernel's offsets are within the mapping.
        let word = unsafe { self.rings.add(offset as usize) };
        // SAFETY: an aligned word of memory that is never unmapped and that both sides access as atomics.
        unsafe { &*word.cast() }
    }

    /// A new thread sleeps until it is first woken. Where the call is refused it had better be awake.
    fn wake(&self) {
        const ENTER_SQ_WAKEUP: u32 = 1 << 1;
        let nothing = std::ptr::null::<libc::c_void>();
        // SAFETY: nothing is handed over or waited for; there is no signal mask.
        unsafe {
            libc::syscall(libc::SYS_io_uring_enter, self.fd.as_raw_fd(), 0, 0, ENTER_SQ_WAKEUP, nothing, 0)
        };
    }

    /// Opens a file for reading by the kernel's thread: 0, or the errno. Only one request at a time.
    pub fn open(&self, path: &Path) -> i32 {
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        let request = Request {
            opcode: OP_OPENAT,
            flags: 0,
            ioprio: 0,
            fd: libc::AT_FDCWD,
            off: 0,
            addr: path.as_ptr() as u64,
            len: 0,
            open_flags: (libc::O_RDONLY | libc::O_CLOEXEC) as u32,
            user_data: 1,
            rest: [0; 3],
        };
        let [_, tail, mask, _, _, _, array, ..] = self.params.sq_off;
        let next = self.word(tail).load(Ordering::Acquire);
        let index = next & self.word(mask).load(Ordering::Relaxed);
        // SAFETY: the index is within the ring.
        let place = unsafe { self.requests.add(index as usize) };
        // SAFETY: the kernel reads it only once the tail has moved on.
        unsafe { place.write(request) };
        self.word(array + index * 4).store(index, Ordering::Relaxed);
        self.word(tail).store(next.wrapping_add(1), Ordering::Release);
        self.wake();
        self.answer()
    }

    fn answer(&self) -> i32 {
        let [head, tail, mask, _, _, answers, ..] = self.params.cq_off;
        let next = self.word(head).load(Ordering::Acquire);
        super::processes::wait_until("the ring answers", || self.word(tail).load(Ordering::Acquire) != next);
        // An answer is 16 bytes: the request's mark, the result, flags.
        let place = answers + (next & self.word(mask).load(Ordering::Relaxed)) * 16 + 8;
        let result = self.word(place).load(Ordering::Acquire).cast_signed();
        self.word(head).store(next.wrapping_add(1), Ordering::Release);
        (-result).max(0)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.unmap();
    }
}
