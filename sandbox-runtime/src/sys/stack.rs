//! Where the stack is.
#![allow(unsafe_code)]

/// The stack pointer. Not the address of a local: under AddressSanitizer locals live elsewhere, anew for each frame.
#[inline]
pub(crate) fn pointer() -> usize {
    let pointer;
    // SAFETY: it copies a register, and touches neither memory nor flags.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags))
    };
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags))
    };
    pointer
}
