//! Who a host is, as far as its forkserver took it over at the start. A worker must never be freer than its
//! host, so a host that has changed gets a new forkserver.
//!
//! A Landlock domain cannot be asked for: one that a host took on by itself, after the start and without this
//! library, is not noticed.

use crate::sys::process;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What the kernel says of the calling thread. System calls tell most of it, since after `in_place` a thread may
/// not read `/proc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Real, effective, saved: users, then groups.
    ids: [u32; 6],
    groups: Vec<u32>,
    /// Effective, permitted, inheritable, bounding, ambient.
    capabilities: [u64; 5],
    no_new_privs: bool,
    has_filters: bool,
    /// The lines of `/proc/thread-self/status` that no system call tells.
    status: Vec<String>,
    /// Device, inode and mount of the root.
    root: (u32, u32, u64, u64),
    /// Inodes of the namespaces.
    namespaces: Vec<u64>,
}

/// The umask; the mode and the number of filters.
const LINES: [&str; 2] = ["Umask:", "Seccomp"];
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

impl Identity {
    /// That of the calling thread. `leader` is what to read where `/proc` is out of reach (after `in_place`): the
    /// lines of the main thread.
    pub(super) fn of_caller(leader: Option<&File>) -> io::Result<Identity> {
        let status = match std::fs::read_to_string("/proc/thread-self/status") {
            Ok(status) => status,
            Err(error) => read_again(leader.ok_or(error)?)?,
        };
        let status = status.lines().filter(|line| LINES.iter().any(|name| line.starts_with(name)));
        let flags = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
        let root = rustix::fs::statx(CWD, "/", AtFlags::empty(), flags)?;
        Ok(Identity {
            ids: process::ids(),
            groups: rustix::process::getgroups()?.iter().map(|group| group.as_raw()).collect(),
            capabilities: capabilities()?,
            no_new_privs: rustix::thread::no_new_privs()?,
            has_filters: process::ask_prctl(libc::PR_GET_SECCOMP.unsigned_abs(), 0, 0) != Ok(0),
            status: status.map(str::to_owned).collect(),
            root: (root.stx_dev_major, root.stx_dev_minor, root.stx_ino, root.stx_mnt_id),
            namespaces: NAMESPACES.iter().map(|name| namespace(name)).collect(),
        })
    }

    /// Whether the calling thread has the same ids, and no filters: how many there are no system call tells. The rest
    /// makes no difference to a worker that has no capabilities, gains none, and is granted nothing.
    pub(super) fn has_credentials_of_caller(&self) -> bool {
        let has_filters = process::ask_prctl(libc::PR_GET_SECCOMP.unsigned_abs(), 0, 0) != Ok(0);
        self.ids == process::ids() && !has_filters && !self.has_filters
    }
}

fn capabilities() -> io::Result<[u64; 5]> {
    let sets = rustix::thread::capabilities(None)?;
    let asked = |option: i32, command: Option<i32>| -> u64 {
        let ask = |capability: u64| match command {
            None => process::ask_prctl(option.unsigned_abs(), capability, 0),
            Some(command) => {
                process::ask_prctl(option.unsigned_abs(), command.unsigned_abs().into(), capability)
            }
        };
        // An unknown capability, the first after the last, is EINVAL.
        (0..64)
            .filter(|capability| ask(*capability) == Ok(1))
            .fold(0, |set, capability| set | 1 << capability)
    };
    Ok([
        sets.effective.bits(),
        sets.permitted.bits(),
        sets.inheritable.bits(),
        asked(libc::PR_CAPBSET_READ, None),
        asked(libc::PR_CAP_AMBIENT, Some(libc::PR_CAP_AMBIENT_IS_SET)),
    ])
}

/// `stat` is something that Landlock never refuses. 0 where the kernel has no such namespace.
fn namespace(name: &str) -> u64 {
    rustix::fs::stat(format!("/proc/thread-self/ns/{name}")).map_or(0, |stat| stat.st_ino)
}

/// The kernel writes the file anew for each read from its start.
fn read_again(file: &File) -> io::Result<String> {
    let mut bytes = vec![0; 8192];
    let length = file.read_at(&mut bytes, 0)?;
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// The status of the main thread, to be opened while `/proc` can be read.
pub(super) fn open_leader_status() -> Option<File> {
    let fd = rustix::fs::open("/proc/self/status", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    fd.ok().map(File::from)
}
