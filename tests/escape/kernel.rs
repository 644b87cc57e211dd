//! The kernel's own doors: programs for it, modules, its clock, its log, the machine.

use crate::attempt::{Attempt, refused};
use crate::raw::syscall;
use libc::{EBADF, EFAULT, EINVAL, EPERM};

/// The call is of the few that answer with 32 bits.
#[cfg(target_arch = "x86_64")]
fn as_int(value: i64) -> crate::attempt::Tried {
    match value as i32 {
        error if error < 0 => Err(std::io::Error::from_raw_os_error(-error)),
        value => Ok(i64::from(value)),
    }
}

pub fn attempts() -> Vec<Attempt> {
    let mut all = vec![
        refused("bpf_map", EPERM, |_| {
            // BPF_MAP_CREATE: an array of one entry of 4 bytes.
            let mut attr = [0u8; 128];
            [(0, 2u32), (4, 4), (8, 4), (12, 1)].into_iter().for_each(|(at, value): (usize, u32)| {
                attr[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            });
            call!(SYS_bpf, 0, &attr[..], 128)
        }),
        refused("bpf", EPERM, |_| call!(SYS_bpf, 0x7fff, &[0u8; 128][..], 128)).reaches(EINVAL),
        refused("perf", EPERM, |_| {
            // PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, of oneself and of user code alone.
            let mut attr = [0u8; 112];
            attr[0] = 1;
            attr[4] = 112;
            attr[40] = 0x60;
            call!(SYS_perf_event_open, &attr[..], 0, -1, -1, 0)
        }),
        refused("perf_of_host", EPERM, |s| {
            let mut attr = [0u8; 112];
            attr[0] = 1;
            attr[4] = 112;
            attr[40] = 0x60;
            call!(SYS_perf_event_open, &attr[..], s.world.host, -1, -1, 0)
        }),
        // Its flag is of Linux 5.11.
        refused("userfaultfd", EPERM, |_| call!(SYS_userfaultfd, libc::O_CLOEXEC | 1)).or_not_here(&[EINVAL]),
        refused("userfaultfd_with_unknown_flags", EPERM, |_| call!(SYS_userfaultfd, 0x4000_0000))
            .reaches(EINVAL),
        refused("seccomp_listener", EPERM, |_| call!(SYS_seccomp, 1, 8, 0)).reaches(EFAULT),
        refused("seccomp_strict_with_flags", EPERM, |_| call!(SYS_seccomp, 0, 1, 0)).reaches(EINVAL),
        refused("kexec_load", EPERM, |_| call!(SYS_kexec_load, 0, 0, 0, 0x8000_0000u64)).reaches(EINVAL),
        refused("kexec_file_load", EPERM, |_| call!(SYS_kexec_file_load, -1, -1, 0, 0, 0x8000u64))
            .reaches(EINVAL),
        refused("init_module", EPERM, |_| call!(SYS_init_module, 0, 0, "")).reaches(libc::ENOEXEC),
        refused("finit_module", EPERM, |_| call!(SYS_finit_module, -1, "", 0)).reaches(EBADF),
        refused("delete_module", EPERM, |_| call!(SYS_delete_module, "sandboxed-escape-missing", 0))
            .reaches(libc::ENOENT),
        refused("acct", EPERM, |_| call!(SYS_acct, "/missing")).reaches(libc::ENOENT),
        refused("syslog", EPERM, |_| call!(SYS_syslog, 10, 0, 0)),
        refused("syslog_read_all", EPERM, |_| call!(SYS_syslog, 3, &[0u8; 64][..], 64)),
        refused("sethostname", EPERM, |_| call!(SYS_sethostname, "", -1)).reaches(EINVAL),
        refused("setdomainname", EPERM, |_| call!(SYS_setdomainname, "", -1)).reaches(EINVAL),
        refused("clock_settime", EPERM, |_| call!(SYS_clock_settime, 99, &[0u8; 16][..])).reaches(EINVAL),
        refused("settimeofday", EPERM, |_| call!(SYS_settimeofday, 0, 0)),
        refused("adjtimex", EPERM, |_| call!(SYS_adjtimex, &[0u8; 256][..])),
        refused("clock_adjtime", EPERM, |_| call!(SYS_clock_adjtime, 0, &[0u8; 256][..])),
        refused("reboot", EPERM, |_| call!(SYS_reboot, 0, 0, 0, 0)).reaches(EINVAL),
        refused("swapon", EPERM, |_| call!(SYS_swapon, "/missing", 0x4000_0000)).reaches(EINVAL),
        refused("swapoff", EPERM, |_| call!(SYS_swapoff, "/missing")).reaches(libc::ENOENT),
        refused("vhangup", EPERM, |_| call!(SYS_vhangup)),
        refused("vmsplice", EPERM, |_| call!(SYS_vmsplice, -1, 0, 0, 0)).reaches(EBADF).or_not_here(&[EBADF]),
        refused("lsm_set_self_attr", EPERM, |_| syscall(460, [0.into(), 0.into(), 0.into(), 1.into()]))
            .reaches(EINVAL),
    ];
    #[cfg(target_arch = "x86_64")]
    all.extend([
        refused("modify_ldt", EPERM, |_| call!(SYS_modify_ldt, 0, &[0u8; 16][..], 16)),
        refused("modify_ldt_write", EPERM, |_| as_int(call!(SYS_modify_ldt, 1, &[0u8; 16][..], 15)?))
            .reaches(EINVAL),
        refused("iopl", EPERM, |_| call!(SYS_iopl, 0)),
        refused("iopl_of_the_machine", EPERM, |_| call!(SYS_iopl, 4)).reaches(EINVAL),
        refused("ioperm", EPERM, |_| call!(SYS_ioperm, 0, 0, 1)).reaches(EINVAL),
    ]);
    all
}
