//! Numbers that a filter could overlook: the table of x32, the gate of 32-bit programs, upper bits, unknown ones.

use crate::attempt::{Attempt, refused};
use crate::{attack, raw};
use libc::{ENOSYS, EPERM};

pub fn attempts() -> Vec<Attempt> {
    let mut all = vec![
        refused("clone3", ENOSYS, |_| attack::make_process(libc::SYS_clone3 as u64, 0)).reaches(libc::EINVAL),
        refused("the_last_number", ENOSYS, |_| raw::syscall(0x3fff_ffff, [])).beside(|_| call!(SYS_getpid)),
        refused("a_number_of_the_future", ENOSYS, |_| raw::syscall(1000, [])).beside(|_| call!(SYS_getpid)),
        refused("a_number_of_the_past", ENOSYS, |_| {
            raw::syscall(if cfg!(target_arch = "x86_64") { 180 } else { 244 }, [])
        })
        .beside(|_| call!(SYS_getpid)),
        // The kernel looks at 32 bits of a number.
        refused("unshare_with_high_bits", EPERM, |_| {
            raw::syscall(((1u64 << 32) as i64) | libc::SYS_unshare, [0.into()])
        })
        .or_not_here(&[ENOSYS]),
        refused("ptrace_with_high_bits", EPERM, |_| {
            raw::syscall(
                ((7u64 << 60) as i64) | libc::SYS_ptrace,
                [(-1).into(), 0.into(), 0.into(), 0.into()],
            )
        })
        .reaches(libc::ESRCH)
        .or_not_here(&[ENOSYS]),
    ];
    #[cfg(target_arch = "x86_64")]
    all.extend(x86_64());
    all
}

#[cfg(target_arch = "x86_64")]
fn x86_64() -> Vec<Attempt> {
    use crate::attempt::{Stage, Tried, killed};
    use libc::SIGSYS;

    const X32: u64 = 1 << 30;
    fn by_x32(s: &Stage) -> Tried {
        raw::syscall((X32 | s.number) as i64, [])
    }
    fn by_gate(s: &Stage) -> Tried {
        attack::int_0x80(s.number as i64, 0)
    }
    // Where a kernel has no 32-bit programs, the gate is a fault.
    let mut all: Vec<Attempt> = [
        ("x32_getpid", libc::SYS_getpid),
        ("x32_getppid", libc::SYS_getppid),
        ("x32_fork", libc::SYS_sched_yield),
        ("x32_execve", 520),
        ("x32_ptrace", 521),
        ("x32_ioctl", 514),
        ("x32_rt_sigqueueinfo", 524),
        ("x32_process_vm_readv", 539),
        ("x32_unshare", libc::SYS_unshare),
    ]
    .into_iter()
    .map(|(name, number)| {
        killed(name, SIGSYS, by_x32).with(number as u64).or_not_here(&[
            libc::EFAULT,
            libc::ESRCH,
            libc::EBADF,
        ])
    })
    .collect();
    all.extend(
        [
            ("int_0x80_getpid", 20),
            ("int_0x80_getuid", 24),
            ("int_0x80_unshare", 310),
            ("int_0x80_sched_yield", 158),
        ]
        .into_iter()
        .map(|(name, number)| killed(name, SIGSYS, by_gate).with(number)),
    );
    all.push(killed("x32_getpid_at_its_highest", SIGSYS, |_| raw::syscall(0x7fff_ffff, [])).reaches(ENOSYS));
    all.push(
        refused("fork_with_high_bits", EPERM, |_| attack::make_process((1 << 32) | libc::SYS_fork as u64, 0))
            .or_not_here(&[ENOSYS]),
    );
    all
}
