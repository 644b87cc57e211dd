//! Limits, priorities and scheduling of others; one's own limits, upwards.

use crate::attempt::{Attempt, Stage, Tried, refused};
use crate::memory::{TARGETS, target};
use crate::raw::{Argument, syscall};
use libc::EPERM;
use sandboxed::{Memory, Policy};

const PROCESS: i32 = 0;
const GROUP: i32 = 1;
const USER: i32 = 2;

/// `struct rlimit64` of so much.
fn limit(most: u64) -> Argument {
    Argument::Bytes([most.to_ne_bytes(), most.to_ne_bytes()].concat())
}

/// What would end a process that computes for long: tried with what changes nothing.
fn cpu_of(s: &Stage) -> Tried {
    syscall(
        libc::SYS_prlimit64,
        [target(s).into(), (libc::RLIMIT_CPU as u64).into(), limit(u64::MAX), 0.into()],
    )
}

fn scheduled(s: &Stage) -> Tried {
    // SCHED_OTHER, priority 0: as it is.
    syscall(libc::SYS_sched_setscheduler, [target(s).into(), 0.into(), [0u8; 4][..].into()])
}

/// `struct sched_attr` of the least size, for SCHED_OTHER.
fn attributes() -> Argument {
    let mut attr = vec![0; 48];
    attr[..4].copy_from_slice(&48u32.to_ne_bytes());
    Argument::Bytes(attr)
}

fn all_processors() -> Argument {
    Argument::Bytes(vec![0xff; 128])
}

fn unlimited(resource: u64) -> Tried {
    syscall(libc::SYS_prlimit64, [0.into(), resource.into(), limit(u64::MAX), 0.into()])
}

pub fn attempts() -> Vec<Attempt> {
    let own_limits = |_: &Stage| call!(SYS_prlimit64, 0, libc::RLIMIT_CPU as u64, 0, &[0u8; 16][..]);
    let mut all = Vec::new();
    for who in TARGETS {
        all.extend([
            refused(format!("prlimit_{who}"), EPERM, cpu_of).at(who),
            refused(format!("read_prlimit_{who}"), EPERM, |s| {
                call!(SYS_prlimit64, target(s), libc::RLIMIT_CPU as u64, 0, &[0u8; 16][..])
            })
            .at(who),
            refused(format!("setpriority_{who}"), EPERM, |s| call!(SYS_setpriority, PROCESS, target(s), 0))
                .at(who),
            refused(format!("ioprio_set_{who}"), EPERM, |s| call!(SYS_ioprio_set, 1, target(s), 0)).at(who),
            refused(format!("sched_setscheduler_{who}"), EPERM, scheduled).at(who),
            refused(format!("sched_setaffinity_{who}"), EPERM, |s| {
                syscall(libc::SYS_sched_setaffinity, [target(s).into(), 128.into(), all_processors()])
            })
            .at(who),
        ]);
    }
    all.extend([
        refused("getpriority_host", EPERM, |s| call!(SYS_getpriority, PROCESS, s.world.host)),
        refused("setpriority_of_the_group", EPERM, |s| call!(SYS_setpriority, GROUP, s.world.host, 0))
            .outside(|_| call!(SYS_setpriority, GROUP, 0, 0)),
        refused("setpriority_of_the_user", EPERM, |_| call!(SYS_setpriority, USER, 0, 19))
            .outside(|_| call!(SYS_getpriority, USER, 0)),
        refused("ioprio_of_the_user", EPERM, |_| call!(SYS_ioprio_set, 3, 0, 0x6007))
            .outside(|_| call!(SYS_ioprio_get, 3, 0)),
        refused("ioprio_get_host", EPERM, |s| call!(SYS_ioprio_get, 1, s.world.host)),
        refused("sched_setparam_host", EPERM, |s| {
            syscall(libc::SYS_sched_setparam, [s.world.host.into(), [0u8; 4][..].into()])
        }),
        refused("sched_setattr_host", EPERM, |s| {
            syscall(libc::SYS_sched_setattr, [s.world.host.into(), attributes(), 0.into()])
        }),
        refused("real_time", EPERM, |_| {
            // SCHED_FIFO: a loop in it stops the machine.
            let first: [u8; 4] = 1i32.to_ne_bytes();
            syscall(libc::SYS_sched_setscheduler, [0.into(), 1.into(), first[..].into()])
        }),
        refused("setpgid_host", EPERM, |s| call!(SYS_setpgid, s.world.host, 0)).reaches(libc::ESRCH),
        refused("group_of_the_host", EPERM, |s| call!(SYS_setpgid, 0, s.world.host))
            .outside(|_| call!(SYS_getpgid, 0)),
        refused("session", EPERM, |_| call!(SYS_setsid)).outside(|_| {
            let child = crate::sys::fork(|| assert!(call!(SYS_setsid).is_ok()));
            assert!(crate::sys::wait_for(child).success());
            Ok(0)
        }),
        refused("more_memory", EPERM, |_| unlimited(libc::RLIMIT_AS as u64))
            .under(|_| Policy::new().memory(Memory::Bytes(256 << 20)))
            .beside(own_limits),
        refused("core_dumps", EPERM, |_| unlimited(libc::RLIMIT_CORE as u64)).beside(own_limits),
        refused("prlimit_with_high_bits", EPERM, |s| {
            let pid = (1u64 << 32) | s.world.host as u64;
            syscall(
                libc::SYS_prlimit64,
                [pid.into(), (libc::RLIMIT_CPU as u64).into(), limit(u64::MAX), 0.into()],
            )
        }),
    ]);
    all
}
