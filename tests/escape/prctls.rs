//! `prctl`: few options are a computation's business.

use crate::attempt::{Attempt, Stage, Tried, refused};
use crate::raw::syscall;
use libc::{EACCES, EINVAL, EPERM};

/// The option is the row's, the arguments are the upper half.
fn with(s: &Stage) -> Tried {
    syscall(libc::SYS_prctl, [s.flag().into(), (s.number >> 32).into(), 0.into(), 0.into(), 0.into()])
}

fn option(name: &str, option: i32, argument: u64) -> Attempt {
    refused(name, EPERM, with).with(option as u32 as u64 | argument << 32)
}

pub fn attempts() -> Vec<Attempt> {
    let ambient = |argument: u64| (libc::PR_CAP_AMBIENT as u64) | argument << 32;
    vec![
        option("ptracer", libc::PR_SET_PTRACER, 0).or_not_here(&[EINVAL]),
        option("subreaper", libc::PR_SET_CHILD_SUBREAPER, 0),
        option("dumpable", libc::PR_SET_DUMPABLE, 1),
        option("keep_capabilities", libc::PR_SET_KEEPCAPS, 1),
        option("securebits", libc::PR_SET_SECUREBITS, 0),
        option("drop_from_bounding_set", libc::PR_CAPBSET_DROP, 0),
        refused("clear_ambient", EPERM, with).with(ambient(4)),
        option("death_signal", libc::PR_SET_PDEATHSIG, 0),
        option("time_stamp_counter", libc::PR_SET_TSC, 1).or_not_here(&[EINVAL]),
        option("machine_check", libc::PR_MCE_KILL, 0),
        option("io_flusher", 57, 0),
        option("timing", libc::PR_SET_TIMING, 0),
        option("mm_brk", libc::PR_SET_MM, 0).reaches(EINVAL),
        option("mm_exe_file", libc::PR_SET_MM, 13).reaches(EINVAL),
        option("syscall_user_dispatch", 59, 0).or_not_here(&[EINVAL]),
        option("core_scheduling", 62, 7).reaches(EINVAL),
        option("old_seccomp", libc::PR_SET_SECCOMP, 9).reaches(EINVAL),
        option("an_option_of_the_future", 0x0fff_ffff, 0).reaches(EINVAL),
        refused("dumpable_with_high_bits", EPERM, |_| {
            syscall(
                libc::SYS_prctl,
                [
                    ((1u64 << 32) | libc::PR_SET_DUMPABLE as u64).into(),
                    1.into(),
                    0.into(),
                    0.into(),
                    0.into(),
                ],
            )
        }),
        // Set once, for good: the kernel itself.
        refused("new_privileges", EINVAL, |_| call!(SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0))
            .beside(|_| call!(SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)),
        // The marks by which this library knows its own sandboxes.
        refused("mark", EACCES, |_| call!(SYS_prctl, 0x5342_5800, 0, 0, 0, 0)).reaches(EINVAL),
        refused("name_of_memory_outside", EPERM, |_| call!(SYS_prctl, 35, 99, 0, 0, 0)).reaches(EINVAL),
    ]
}
