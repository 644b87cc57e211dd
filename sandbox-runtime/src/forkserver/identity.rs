//! Who a host is, as far as its forkserver took it over at the start. A worker must never be freer than its
//! host, so a host that has changed gets a new forkserver.
//!
//! A Landlock domain cannot be asked for: one that a host took on by itself, after the start and without this
//! library, is not noticed.

use rustix::fs::{CWD, Mode, OFlags, StatxFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Ids, groups, capabilities, no_new_privs and filters of the calling thread; root and namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The lines of `/proc/thread-self/status` that matter.
    status: Vec<String>,
    /// Device, inode and mount of the root.
    root: (u32, u32, u64, u64),
    /// Inodes of the namespaces.
    namespaces: Vec<u64>,
}

const LINES: [&str; 10] =
    ["Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp"];
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

impl Identity {
    /// That of the calling thread. `leader` is what to read where `/proc` is out of reach (after `in_place`).
    pub(super) fn of_caller(leader: Option<&File>) -> io::Result<Identity> {
        let status = match std::fs::read_to_string("/proc/thread-self/status") {
            Ok(status) => status,
            Err(error) => read_again(leader.ok_or(error)?)?,
        };
        let status = status.lines().filter(|line| LINES.iter().any(|name| line.starts_with(name)));
        let root = rustix::fs::statx(CWD, "/", rustix::fs::AtFlags::empty(), StatxFlags::BASIC_STATS | StatxFlags::MNT_ID)?;
        Ok(Identity {
            status: status.map(str::to_owned).collect(),
            root: (root.stx_dev_major, root.stx_dev_minor, root.stx_ino, root.stx_mnt_id),
            namespaces: NAMESPACES.iter().map(|name| namespace(name)).collect(),
        })
    }
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
