//! Ids and capabilities.

use crate::attempt::{Attempt, Stage, Tried, refused};
use crate::raw::syscall;
use libc::{EACCES, EINVAL, EPERM};
use sandboxed::Policy;

/// Capabilities of a set: `capget(2)`, of its effective, permitted and inheritable.
fn capabilities() -> [u64; 3] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    ["CapEff", "CapPrm", "CapBnd"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    })
}

/// Whether there is any in a set.
fn has_any(s: &Stage) -> Tried {
    match capabilities()[s.number as usize] {
        0 => Err(std::io::Error::from_raw_os_error(EPERM)),
        some => Ok((some & 0x7fff_ffff) as i64),
    }
}

pub fn attempts() -> Vec<Attempt> {
    let own = |_: &Stage| call!(SYS_getuid);
    let root_only = |name: &str, act| refused(name, EPERM, act);
    let mut all = vec![
        root_only("setuid", |_| call!(SYS_setuid, 0)),
        root_only("setuid_to_the_own", |_| call!(SYS_setuid, rustix::process::getuid().as_raw() as u64)),
        root_only("setgid", |_| call!(SYS_setgid, 0)),
        root_only("setreuid", |_| call!(SYS_setreuid, -1, 0)),
        root_only("setregid", |_| call!(SYS_setregid, -1, 0)),
        root_only("setresuid", |_| call!(SYS_setresuid, -1, 0, -1)),
        root_only("setresgid", |_| call!(SYS_setresgid, -1, 0, -1)),
        root_only("setgroups", |_| call!(SYS_setgroups, 0, 0)),
        root_only("setfsuid", |_| call!(SYS_setfsuid, 0)),
        root_only("setfsgid", |_| call!(SYS_setfsgid, 0)),
        root_only("capset", |_| {
            // Version 3; all sets empty: which anyone may ask for.
            let header = [0x2008_0522u32.to_ne_bytes(), 0u32.to_ne_bytes()].concat();
            syscall(libc::SYS_capset, [header[..].into(), [0u8; 24][..].into()])
        }),
        refused("set_user_id_bit", EACCES, |s| {
            let path = s.world.granted().join("program");
            syscall(libc::SYS_fchmodat, [libc::AT_FDCWD.into(), (&*path).into(), 0o4755.into()])
        })
        .under(|w| Policy::new().read(w.granted()).write(w.granted()))
        .outside(|s| {
            let path = s.world.granted().join("program");
            syscall(libc::SYS_fchmodat, [libc::AT_FDCWD.into(), (&*path).into(), 0o755.into()])
        }),
        refused("capability_header_of_the_host", EPERM, |s| {
            let header = [0x2008_0522u32.to_ne_bytes(), (s.world.host as u32).to_ne_bytes()].concat();
            syscall(libc::SYS_capset, [header[..].into(), [0u8; 24][..].into()])
        })
        .beside(own),
    ];
    // Who has no privileges cannot empty the bounding set, and has nothing from it.
    let sets = &["effective", "permitted", "bounding"][..if crate::sys::is_root() { 3 } else { 2 }];
    all.extend(sets.iter().enumerate().map(|(at, set)| {
        refused(format!("{set}_capabilities"), EPERM, has_any).with(at).under(|_| Policy::new().read("/proc"))
    }));
    all.extend([
        // Nobody may read it but who may read everything.
        refused("read_what_modes_forbid", EACCES, |s| {
            syscall(
                libc::SYS_openat,
                [libc::AT_FDCWD.into(), (&*s.world.granted().join("closed")).into(), 0.into()],
            )
        })
        .under(|w| Policy::new().read(w.granted())),
        refused("raw_socket_with_tcp", EACCES, |_| call!(SYS_socket, libc::AF_INET, libc::SOCK_RAW, 255))
            .under(|_| Policy::new().tcp_connect(9)),
        refused("lock_memory_beyond_limits", libc::ENOMEM, |_| {
            let page = crate::attack::map(-1, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)?;
            // Wrong on purpose: more than there is.
            call!(SYS_mlock, page as u64, 1u64 << 40)
        })
        .reaches(libc::ENOMEM)
        .beside(own),
        refused("tracing_of_what_has_no_name", EPERM, |_| call!(SYS_ptrace, 0x4206, -1, 0, 0))
            .reaches(libc::ESRCH),
        refused("set_time_slack_of_host", EPERM, |s| call!(SYS_sched_setattr, s.world.host, 0, 0))
            .reaches(EINVAL),
    ]);
    all
}
