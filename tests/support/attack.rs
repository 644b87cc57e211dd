//! What no library offers, because only an attacker wants it: calls by other tables, children that share everything,
//! mappings that may be executed.
#![allow(unsafe_code, dead_code)] // each test file uses its part

use std::io;

/// A system call that may make a process; the child ends at once, whatever it shares with its parent. The flags are
/// those of `clone(2)`; calls that take none do not look at them.
#[cfg(target_arch = "x86_64")]
pub fn make_process(number: u64, flags: u64) -> io::Result<i64> {
    let result: i64;
    // SAFETY: the child uses registers alone, so nothing of its parent's changes, and ends; the registers that the
    // kernel may change are named.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor edi, edi",
            "mov eax, 60", // exit
            "syscall",
            "2:",
            inlateout("rax") number => result,
            inlateout("rdi") flags => _,
            in("rsi") 0u64, in("rdx") 0u64, in("r10") 0u64, in("r8") 0u64,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    if result < 0 { Err(io::Error::from_raw_os_error(-result as i32)) } else { Ok(result) }
}

/// As above.
#[cfg(target_arch = "aarch64")]
pub fn make_process(number: u64, flags: u64) -> io::Result<i64> {
    let result: i64;
    // SAFETY: the child uses registers alone, so nothing of its parent's changes, and ends.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x0, 0",
            "mov x8, 93", // exit
            "svc 0",
            "2:",
            inlateout("x0") flags => result,
            in("x1") 0u64, in("x2") 0u64, in("x3") 0u64, in("x4") 0u64,
            inlateout("x8") number => _,
        );
    }
    if result < 0 { Err(io::Error::from_raw_os_error(-result as i32)) } else { Ok(result) }
}

/// A call by the gate of 32-bit programs, without arguments that are addresses.
#[cfg(target_arch = "x86_64")]
pub fn int_0x80(number: i64, first: i64) -> io::Result<i64> {
    let result: i64;
    // SAFETY: callers pass calls that touch no memory. LLVM keeps rbx for itself, so it is exchanged and put back.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {first}",
            "int 0x80",
            "xchg rbx, {first}",
            first = inout(reg) first => _,
            inlateout("rax") number => result,
            in("rcx") 0u64, in("rdx") 0u64, in("rsi") 0u64, in("rdi") 0u64,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    // 32 bits, sign and all.
    let result = i64::from(result as i32);
    if result < 0 { Err(io::Error::from_raw_os_error(-result as i32)) } else { Ok(result) }
}

/// Maps one page, of a file or (-1) of nothing, and leaves it there.
pub fn map(fd: i32, protection: i32, flags: i32) -> io::Result<i64> {
    // SAFETY: a new mapping, where the kernel likes, which nothing refers to.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, fd, 0) };
    if page == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(page.addr() as i64) }
}

/// Changes the protection of a page from [`map`].
pub fn protect(page: i64, protection: i32) -> io::Result<i64> {
    let page = std::ptr::without_provenance_mut::<libc::c_void>(page as usize);
    // SAFETY: callers pass a page of their own that nothing refers to.
    let done = unsafe { libc::mprotect(page, 4096, protection) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(0) }
}

/// Moves so many bytes between this process and another, from or to its memory.
pub fn remote_memory(pid: i32, address: u64, buffer: &mut [u8], write: bool) -> io::Result<i64> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let there = std::ptr::without_provenance_mut(address as usize);
    let remote = libc::iovec { iov_base: there, iov_len: buffer.len() };
    let call = if write { libc::process_vm_writev } else { libc::process_vm_readv };
    // SAFETY: both lists have one entry; the local one is of live memory.
    let moved = unsafe { call(pid, &raw const local, 1, &raw const remote, 1, 0) };
    if moved < 0 { Err(io::Error::last_os_error()) } else { Ok(moved as i64) }
}

/// Sends a message with `sendmsg(2)`: to an address, or with a descriptor, or neither.
pub fn send_message(socket: i32, address: &mut [u8], fd: Option<i32>) -> io::Result<i64> {
    let mut byte = *b"x";
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // `struct cmsghdr` with one descriptor: 16 bytes and 4, padded to 24.
    let mut control = [0u64; 3];
    if let Some(fd) = fd {
        control[0] = 20;
        control[1] = (libc::SOL_SOCKET as u64) | ((libc::SCM_RIGHTS as u64) << 32);
        control[2] = fd as u64;
    }
    let mut message = std::mem::MaybeUninit::<libc::msghdr>::zeroed();
    // SAFETY: all-zero is a valid value.
    let message = unsafe { message.assume_init_mut() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    if !address.is_empty() {
        (message.msg_name, message.msg_namelen) = (address.as_mut_ptr().cast(), address.len() as u32);
    }
    if fd.is_some() {
        (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), 24);
    }
    // SAFETY: everything that the message points to lives through the call.
    let sent = unsafe { libc::sendmsg(socket, message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as i64) }
}
