//! Ways to get memory from the kernel that neither std nor rustix offers safely, one function each. What they get
//! stays until [`Mapped`] is dropped, or the process ends.
#![allow(unsafe_code)] // mapping memory is what this file is about

use std::io;

/// A mapping of our own.
pub struct Mapped {
    at: *mut libc::c_void,
    bytes: usize,
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        assert_eq!(unsafe { libc::munmap(self.at, self.bytes) }, 0);
    }
}

/// Anonymous memory, private unless the flags say otherwise.
pub fn map(bytes: usize, flags: i32) -> io::Result<Mapped> {
    let flags =
        flags | libc::MAP_ANONYMOUS | if flags & libc::MAP_SHARED == 0 { libc::MAP_PRIVATE } else { 0 };
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a mapping of its own, which nothing refers to.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Mapped { at, bytes }) }
}

/// A page at this very address, which is read once: for that the kernel makes the page tables that lead to it.
pub fn map_and_read_page(address: usize) -> io::Result<Mapped> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let wanted = std::ptr::without_provenance_mut(address);
    // SAFETY: by its flags it replaces no mapping.
    let at = unsafe { libc::mmap(wanted, 4096, libc::PROT_READ, flags, -1, 0) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a readable page of our own.
    unsafe { at.cast::<u8>().read_volatile() };
    Ok(Mapped { at, bytes: 4096 })
}

impl Mapped {
    /// Makes it longer, wherever there is room.
    pub fn grow(&mut self, bytes: usize) -> io::Result<()> {
        // SAFETY: the mapping is ours; nothing refers to where it was.
        let at = unsafe { libc::mremap(self.at, self.bytes, self.bytes + bytes, libc::MREMAP_MAYMOVE) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        self.at = at;
        self.bytes += bytes;
        Ok(())
    }
}

/// Moves the end of the heap (`brk(2)`).
pub fn grow_heap(bytes: isize) -> io::Result<()> {
    // SAFETY: the allocator copes with strangers that move the break; what is added nobody uses.
    let before = unsafe { libc::sbrk(bytes) };
    if before.addr() == usize::MAX { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Uses so much stack.
#[inline(never)]
pub fn use_stack(bytes: usize) -> u8 {
    let page = std::hint::black_box([1u8; 4096]);
    if bytes <= page.len() { page[0] } else { use_stack(bytes - page.len()).max(page[bytes % page.len()]) }
}

/// A filter of the greatest length, under which everything passes.
pub fn install_long_filter() -> io::Result<()> {
    const LOAD: u16 = 0x20;
    const RETURN: u16 = 0x06;
    let step = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let mut steps = vec![step(LOAD, 0); 4096];
    steps[4095] = step(RETURN, libc::SECCOMP_RET_ALLOW);
    let program = libc::sock_fprog { len: 4096, filter: steps.as_mut_ptr() };
    // SAFETY: the program and its steps live through the call, which copies them.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A child that does this and ends. The process has one thread.
pub fn fork(body: impl FnOnce()) -> io::Result<()> {
    // SAFETY: with one thread the child may do anything.
    match unsafe { libc::fork() } {
        0 => {
            body();
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) }
        }
        child if child < 0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
