//! The rights that Landlock knows, by their kernel names, and the ABI that brought each.
//!
//! Source: `linux/landlock.h` and <https://docs.kernel.org/userspace-api/landlock.html>.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A set of Landlock file system rights.
///
/// ```
/// use sandboxed_runtime::Access;
/// let both = Access::READ_FILE | Access::READ_DIR;
/// assert!(both.contains(Access::READ_DIR));
/// assert_eq!(both.to_string(), "read_file, read_dir");
/// assert_eq!(Access::TRUNCATE.least_abi(), 3);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Access(u32);

macro_rules! rights {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $kernel:literal, $abi:literal;)*) => {
        impl Access {
            $($(#[$doc])* pub const $name: Access = Access(1 << $bit);)*

            /// Every right: itself, its kernel name, the least ABI that has it.
            pub const ALL: &'static [(Access, &'static str, u32)] =
                &[$((Access::$name, $kernel, $abi),)*];
        }
    };
}

rights! {
    /// Execute a file (`execve(2)`). ABI 1.
    EXECUTE = 0, "execute", 1;
    /// Open a file for writing. ABI 1.
    WRITE_FILE = 1, "write_file", 1;
    /// Open a file for reading. ABI 1.
    READ_FILE = 2, "read_file", 1;
    /// Open a directory, list it. ABI 1.
    READ_DIR = 3, "read_dir", 1;
    /// Remove or rename a directory. ABI 1.
    REMOVE_DIR = 4, "remove_dir", 1;
    /// Unlink or rename a file. ABI 1.
    REMOVE_FILE = 5, "remove_file", 1;
    /// Make a character device. ABI 1.
    MAKE_CHAR = 6, "make_char", 1;
    /// Make a directory. ABI 1.
    MAKE_DIR = 7, "make_dir", 1;
    /// Make a regular file. ABI 1.
    MAKE_REG = 8, "make_reg", 1;
    /// Make a pathname socket (`bind(2)` to a path). ABI 1.
    MAKE_SOCK = 9, "make_sock", 1;
    /// Make a named pipe. ABI 1.
    MAKE_FIFO = 10, "make_fifo", 1;
    /// Make a block device. ABI 1.
    MAKE_BLOCK = 11, "make_block", 1;
    /// Make a symbolic link. ABI 1.
    MAKE_SYM = 12, "make_sym", 1;
    /// Rename or link across directories. ABI 2; refused by ABI 1 wherever files are restricted.
    REFER = 13, "refer", 2;
    /// Truncate a file. ABI 3; before it a system call filter refuses `truncate(2)`.
    TRUNCATE = 14, "truncate", 3;
    /// `ioctl(2)` on a device that was opened inside the sandbox. ABI 5.
    IOCTL_DEV = 15, "ioctl_dev", 5;
    /// Connect or send to a pathname socket. ABI 9.
    RESOLVE_UNIX = 16, "resolve_unix", 9;
}

impl Access {
    /// No right.
    pub const NONE: Access = Access(0);
    /// What the key `read` grants: files and directories, no execution.
    pub const READ: Access = Access(Access::READ_FILE.0 | Access::READ_DIR.0);
    /// What the key `execute` grants: run and read.
    pub const RUN: Access = Access(Access::READ.0 | Access::EXECUTE.0);
    /// What the key `write` grants: write, truncate, make, remove and rename within. No devices.
    pub const WRITE: Access = Access(
        Access::WRITE_FILE.0
            | Access::TRUNCATE.0
            | Access::MAKE_REG.0
            | Access::MAKE_DIR.0
            | Access::MAKE_SYM.0
            | Access::MAKE_FIFO.0
            | Access::MAKE_SOCK.0
            | Access::REMOVE_FILE.0
            | Access::REMOVE_DIR.0
            | Access::REFER.0,
    );
    /// The rights that a rule on something other than a directory may carry; the kernel answers
    /// `EINVAL` to the others.
    pub const OF_FILES: Access = Access(
        Access::EXECUTE.0
            | Access::WRITE_FILE.0
            | Access::READ_FILE.0
            | Access::TRUNCATE.0
            | Access::IOCTL_DEV.0
            | Access::RESOLVE_UNIX.0,
    );

    /// Whether every right of `other` is in this set.
    pub const fn contains(self, other: Access) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kernel's bits (`LANDLOCK_ACCESS_FS_*`).
    pub const fn bits(self) -> u64 {
        self.0 as u64
    }

    /// The rights that have these bits of the kernel.
    pub(crate) fn of_bits(bits: u64) -> Access {
        let known = Access::ALL.iter().filter(|right| right.0.bits() & bits != 0);
        known.fold(Access::NONE, |rights, right| rights | right.0)
    }

    /// The key of the attribute that grants one right; `None` of those that `fs(...)` alone does.
    pub(crate) const fn key(self) -> Option<&'static str> {
        match self {
            Access::READ_FILE | Access::READ_DIR => Some("read"),
            Access::EXECUTE => Some("execute"),
            Access::RESOLVE_UNIX => Some("unix"),
            Access::MAKE_CHAR | Access::MAKE_BLOCK | Access::IOCTL_DEV => None,
            _ => Some("write"),
        }
    }

    /// The rights in the set, one by one.
    pub fn each(self) -> impl Iterator<Item = Access> {
        Access::ALL.iter().map(|right| right.0).filter(move |right| self.contains(*right))
    }

    /// The least ABI that has every right of the set.
    pub fn least_abi(self) -> u32 {
        Access::ALL.iter().filter(|right| self.contains(right.0)).map(|right| right.2).max().unwrap_or(1)
    }

    /// The right with this kernel name.
    pub fn by_name(name: &str) -> Option<Access> {
        Access::ALL.iter().find(|right| right.1 == name).map(|right| right.0)
    }
}

impl std::ops::BitOr for Access {
    type Output = Access;
    fn bitor(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }
}

impl std::ops::BitAnd for Access {
    type Output = Access;
    fn bitand(self, other: Access) -> Access {
        Access(self.0 & other.0)
    }
}

/// The kernel names, comma separated.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            Access::ALL.iter().filter(|right| self.contains(right.0)).map(|right| right.1).collect();
        f.write_str(&names.join(", "))
    }
}

/// A Landlock right on ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NetAccess {
    /// Bind a TCP socket to a port. ABI 4.
    BindTcp,
    /// Connect a TCP socket to a port. ABI 4.
    ConnectTcp,
    /// Bind a UDP socket to a port. ABI 10.
    BindUdp,
    /// Connect a UDP socket to, or send to, a port. ABI 10.
    ConnectSendUdp,
}

impl NetAccess {
    /// All four.
    pub const ALL: [NetAccess; 4] =
        [NetAccess::BindTcp, NetAccess::ConnectTcp, NetAccess::BindUdp, NetAccess::ConnectSendUdp];

    /// The key of the attribute that grants it.
    pub const fn key(self) -> &'static str {
        match self {
            NetAccess::BindTcp => "tcp_bind",
            NetAccess::ConnectTcp => "tcp_connect",
            NetAccess::BindUdp => "udp_bind",
            NetAccess::ConnectSendUdp => "udp_connect",
        }
    }

    /// The kernel's name.
    pub const fn name(self) -> &'static str {
        match self {
            NetAccess::BindTcp => "bind_tcp",
            NetAccess::ConnectTcp => "connect_tcp",
            NetAccess::BindUdp => "bind_udp",
            NetAccess::ConnectSendUdp => "connect_send_udp",
        }
    }

    /// The kernel's bit (`LANDLOCK_ACCESS_NET_*`).
    pub const fn bit(self) -> u64 {
        1 << self as u64
    }

    /// The least ABI that has it.
    pub const fn least_abi(self) -> u32 {
        match self {
            NetAccess::BindTcp | NetAccess::ConnectTcp => 4,
            NetAccess::BindUdp | NetAccess::ConnectSendUdp => 10,
        }
    }
}
