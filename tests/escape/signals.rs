//! Signals to others: by every call that sends one, by owners of descriptors, by timers.

use crate::attempt::{Attempt, Stage, Tried, refused};
use crate::memory::{TARGETS, target};
use crate::raw::{owned, syscall};
use libc::{EACCES, EBADF, EINVAL, EPERM};
use rustix::fd::OwnedFd;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// Ignored unless it is asked for.
const SIGNAL: i32 = libc::SIGURG;

/// `siginfo_t` of `sigqueue(3)`.
fn queued() -> Vec<u8> {
    const SI_QUEUE: i32 = -1;
    let mut info = vec![0; 128];
    info[..4].copy_from_slice(&SIGNAL.to_ne_bytes());
    info[8..12].copy_from_slice(&SI_QUEUE.to_ne_bytes());
    info
}

fn socket(_: &crate::world::World) -> OwnedFd {
    UnixStream::pair().unwrap().0.into()
}

/// `struct sigevent` for one thread.
fn event_for(thread: i32) -> Vec<u8> {
    const SIGEV_THREAD_ID: i32 = 4;
    let mut event = vec![0; 64];
    event[8..12].copy_from_slice(&SIGNAL.to_ne_bytes());
    event[12..16].copy_from_slice(&SIGEV_THREAD_ID.to_ne_bytes());
    event[16..20].copy_from_slice(&thread.to_ne_bytes());
    event
}

fn timer_for(thread: i32) -> Tried {
    call!(SYS_timer_create, libc::CLOCK_MONOTONIC, &event_for(thread)[..], &[0u8; 4][..])
}

/// A pidfd may already be refused; then this says so.
fn by_pidfd(s: &Stage) -> Tried {
    let pidfd = owned(call!(SYS_pidfd_open, target(s), 0)?);
    call!(SYS_pidfd_send_signal, pidfd.as_raw_fd(), SIGNAL, 0, 0)
}

pub fn attempts() -> Vec<Attempt> {
    let mut all = Vec::new();
    for who in TARGETS {
        all.extend([
            refused(format!("kill_{who}"), EPERM, |s| call!(SYS_kill, target(s), SIGNAL)).at(who),
            refused(format!("kill_{who}_with_no_signal"), EPERM, |s| call!(SYS_kill, target(s), 0)).at(who),
            refused(format!("tkill_{who}"), EPERM, |s| call!(SYS_tkill, target(s), SIGNAL)).at(who),
            refused(format!("tgkill_{who}"), EPERM, |s| call!(SYS_tgkill, target(s), target(s), SIGNAL))
                .at(who),
            refused(format!("rt_sigqueueinfo_{who}"), EPERM, |s| {
                call!(SYS_rt_sigqueueinfo, target(s), SIGNAL, &queued()[..])
            })
            .at(who),
            refused(format!("rt_tgsigqueueinfo_{who}"), EPERM, |s| {
                call!(SYS_rt_tgsigqueueinfo, target(s), target(s), SIGNAL, &queued()[..])
            })
            .at(who),
            refused(format!("pidfd_{who}"), EPERM, by_pidfd).at(who),
        ]);
    }
    let kill_own = |_: &Stage| call!(SYS_kill, std::process::id().cast_signed(), 0);
    all.extend([
        refused("kill_own_pid_with_high_bits_of_others", EPERM, |s| {
            // The kernel takes 32 bits of a pid.
            syscall(libc::SYS_kill, [((1u64 << 32) | s.world.host as u64).into(), 0.into()])
        }),
        refused("kill_everybody", EPERM, |_| call!(SYS_kill, -1, 0)).beside(kill_own),
        refused("kill_the_first_process", EPERM, |_| call!(SYS_kill, 1, 0)).beside(kill_own),
        refused("kill_group_of_host", EPERM, |s| call!(SYS_kill, -s.world.host, 0))
            .outside(|_| call!(SYS_kill, -(std::process::id().cast_signed()), 0)),
        refused("tgkill_in_own_process_another", EPERM, |s| call!(SYS_tgkill, -1, s.world.host, 0))
            .reaches(EINVAL),
        refused("pidfd_send_signal_alone", EPERM, |_| call!(SYS_pidfd_send_signal, -1, 0, 0, 0))
            .reaches(EBADF),
        refused("owner", EPERM, |s| call!(SYS_fcntl, s.given, libc::F_SETOWN, s.world.host)).given(socket),
        refused("owner_ex", EPERM, |s| {
            let owner = [1i32.to_ne_bytes(), s.world.host.to_ne_bytes()].concat();
            call!(SYS_fcntl, s.given, 15, &owner[..])
        })
        .given(socket),
        refused("owners_signal", EPERM, |s| call!(SYS_fcntl, s.given, 10, libc::SIGKILL)).given(socket),
        refused("owner_by_ioctl", EACCES, |s| {
            // FIOSETOWN
            call!(SYS_ioctl, s.given, 0x8901, &s.world.host.to_ne_bytes()[..])
        })
        .given(socket),
        refused("owner_by_another_ioctl", EACCES, |s| {
            // SIOCSPGRP
            call!(SYS_ioctl, s.given, 0x8902, &s.world.host.to_ne_bytes()[..])
        })
        .given(socket),
        // The kernel itself lets a timer signal the threads of its own process alone.
        refused("timer_for_host", EINVAL, |s| timer_for(s.world.host))
            .outside(|_| timer_for(rustix::thread::gettid().as_raw_pid())),
        refused("timer_for_sibling", EINVAL, |s| timer_for(s.world.sibling))
            .outside(|_| timer_for(rustix::thread::gettid().as_raw_pid())),
        refused("death_signal", EPERM, |_| call!(SYS_prctl, libc::PR_SET_PDEATHSIG, 0, 0, 0, 0)),
        refused("restart_with_a_siginfo_of_the_kernels", EPERM, |_| {
            let mut info = queued();
            // SI_USER, which only the kernel may claim towards others.
            info[8..12].copy_from_slice(&0i32.to_ne_bytes());
            call!(SYS_rt_sigqueueinfo, 1, 0, &info[..])
        })
        .beside(kill_own),
    ]);
    if sandboxed::kernel().abi >= 6 {
        all.extend([
            refused("kill_bystander", EPERM, |s| call!(SYS_kill, s.world.bystander, 0)).in_place(),
            refused("kill_forkserver", EPERM, |s| call!(SYS_kill, s.world.forkserver, 0)).in_place(),
            refused("kill_host", EPERM, |s| call!(SYS_kill, s.world.host, 0)).in_place(),
        ]);
    }
    all
}
