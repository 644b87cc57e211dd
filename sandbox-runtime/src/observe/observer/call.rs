//! What a system call asks for: read from its arguments, and from the memory of who makes it.

use super::path::Named;
use crate::policy::Access;
use crate::sys::ptrace::{self, Call};
use rustix::process::Pid;
use std::cell::Cell;
use std::ffi::{CStr, OsString};
use std::os::unix::ffi::OsStringExt;

/// What a call is about, as far as a sandbox looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Its flags.
    Open(Named, i32),
    Execute(Named),
    /// The Landlock right that it needs in the directory.
    Make(Named, Access),
    Remove(Named, Access),
    /// A rename, or else a link: from, to.
    Move {
        from: Named,
        to: Named,
        link: bool,
    },
    Truncate(Named),
    /// Only asks about it.
    Look(Named),
    /// Mode, owner, times, attributes.
    Metadata(Named),
    /// Of a descriptor.
    Ioctl(i32, u32),
    /// A socket and an address.
    Bind(i32, Address),
    Connect(i32, Address),
    Send(i32, Address),
    /// To a process, a thread or a group, as `kill(2)` names them; `None` where that cannot be told.
    Signal(Option<i32>),
    /// What only who may trace a process may do.
    Trace(Option<i32>),
    /// What it is about cannot be read.
    Unread(String),
    /// What has no object; said as the call is.
    Other(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Ip(std::net::SocketAddr),
    Path(Named),
    Abstract(Vec<u8>),
    Other,
}

const CWD: i32 = libc::AT_FDCWD;

/// What a call asks for.
pub(super) fn ask(thread: Pid, name: &str, call: &Call) -> Ask {
    let memory = Memory { thread, is_lost: Cell::new(false) };
    let asked = ask_by(name, call, &memory);
    // It is none of ours to read any more, or what was passed is no memory: what it is about cannot be said.
    if memory.is_lost.get() { Ask::Unread(name.to_owned()) } else { asked }
}

fn ask_by(name: &str, call: &Call, memory: &Memory) -> Ask {
    let a = call.arguments;
    let int = |index: usize| a[index] as i32;
    let named = |directory: i32, index: usize| Named { directory, path: memory.string(a[index]) };
    let here = |index: usize| named(CWD, index);
    let at = |index: usize| named(int(index), index + 1);
    match name {
        "open" => Ask::Open(here(0), int(1)),
        "openat" => Ask::Open(at(0), int(2)),
        "openat2" => Ask::Open(at(0), memory.word(a[2]) as i32),
        "creat" => Ask::Open(here(0), libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC),
        "execve" => Ask::Execute(here(0)),
        "execveat" => Ask::Execute(at(0)),
        "mkdir" => Ask::Make(here(0), Access::MAKE_DIR),
        "mkdirat" => Ask::Make(at(0), Access::MAKE_DIR),
        "mknod" => Ask::Make(here(0), node(a[1])),
        "mknodat" => Ask::Make(at(0), node(a[2])),
        "symlink" => Ask::Make(here(1), Access::MAKE_SYM),
        "symlinkat" => Ask::Make(at(1), Access::MAKE_SYM),
        "rmdir" => Ask::Remove(here(0), Access::REMOVE_DIR),
        "unlink" => Ask::Remove(here(0), Access::REMOVE_FILE),
        "unlinkat" if int(2) & libc::AT_REMOVEDIR != 0 => Ask::Remove(at(0), Access::REMOVE_DIR),
        "unlinkat" => Ask::Remove(at(0), Access::REMOVE_FILE),
        "rename" => Ask::Move { from: here(0), to: here(1), link: false },
        "renameat" | "renameat2" => Ask::Move { from: at(0), to: at(2), link: false },
        "link" => Ask::Move { from: here(0), to: here(1), link: true },
        "linkat" => Ask::Move { from: at(0), to: at(2), link: true },
        "truncate" => Ask::Truncate(here(0)),
        "ftruncate" => Ask::Truncate(Named::open(int(0))),
        "stat" | "lstat" | "access" | "readlink" | "chdir" | "statfs" => Ask::Look(here(0)),
        "newfstatat" | "statx" | "faccessat" | "faccessat2" | "readlinkat" => Ask::Look(at(0)),
        "chmod" | "chown" | "lchown" | "utime" | "utimes" | "setxattr" | "lsetxattr" | "removexattr"
        | "lremovexattr" => Ask::Metadata(here(0)),
        "fchmodat" | "fchmodat2" | "fchownat" | "utimensat" | "futimesat" => Ask::Metadata(at(0)),
        "fchmod" | "fchown" | "fsetxattr" | "fremovexattr" => Ask::Metadata(Named::open(int(0))),
        "ioctl" => Ask::Ioctl(int(0), a[1] as u32),
        "bind" => Ask::Bind(int(0), memory.address(a[1], a[2])),
        "connect" => Ask::Connect(int(0), memory.address(a[1], a[2])),
        "sendto" if a[4] != 0 => Ask::Send(int(0), memory.address(a[4], a[5])),
        "sendmsg" | "sendmmsg" => {
            let [name, length] = [memory.word(a[1]), memory.word(a[1].wrapping_add(8))];
            Ask::Send(int(0), memory.address(name, length & 0xffff_ffff))
        }
        "kill" | "tkill" | "rt_sigqueueinfo" | "tgkill" | "rt_tgsigqueueinfo" => Ask::Signal(Some(int(0))),
        "pidfd_send_signal" => Ask::Signal(process_behind(memory.thread, int(0))),
        "get_robust_list" | "process_vm_readv" | "process_vm_writev" | "kcmp" => Ask::Trace(Some(int(0))),
        "ptrace" => Ask::Trace(Some(int(1))),
        "pidfd_getfd" => Ask::Trace(process_behind(memory.thread, int(0))),
        _ => Ask::Other(rendered(name, &a)),
    }
}

/// The calls whose arguments say what was wanted, with those.
fn rendered(name: &str, a: &[u64; 6]) -> String {
    let shown = |value: u64, names: &[(i32, &str)]| {
        let found = names.iter().find(|(number, _)| *number == value as i32);
        found.map_or_else(|| value.to_string(), |(_, name)| (*name).to_owned())
    };
    const FAMILIES: &[(i32, &str)] = &[
        (libc::AF_UNIX, "AF_UNIX"),
        (libc::AF_INET, "AF_INET"),
        (libc::AF_INET6, "AF_INET6"),
        (libc::AF_NETLINK, "AF_NETLINK"),
        (libc::AF_PACKET, "AF_PACKET"),
        (libc::AF_VSOCK, "AF_VSOCK"),
    ];
    const TYPES: &[(i32, &str)] = &[
        (libc::SOCK_STREAM, "SOCK_STREAM"),
        (libc::SOCK_DGRAM, "SOCK_DGRAM"),
        (libc::SOCK_RAW, "SOCK_RAW"),
        (libc::SOCK_SEQPACKET, "SOCK_SEQPACKET"),
    ];
    match name {
        "socket" | "socketpair" => {
            format!("{name}({}, {})", shown(a[0], FAMILIES), shown(a[1] & 0xf, TYPES))
        }
        "mmap" | "mprotect" if a[2] & libc::PROT_EXEC as u64 != 0 => format!("{name}(PROT_EXEC)"),
        "fcntl" | "prctl" | "setsockopt" | "clone" | "personality" => {
            let number = if name == "fcntl" { a[1] } else { a[0] };
            format!("{name}({number:#x})")
        }
        _ => name.to_owned(),
    }
}

fn node(mode: u64) -> Access {
    match mode as u32 & libc::S_IFMT {
        libc::S_IFCHR => Access::MAKE_CHAR,
        libc::S_IFBLK => Access::MAKE_BLOCK,
        libc::S_IFIFO => Access::MAKE_FIFO,
        libc::S_IFSOCK => Access::MAKE_SOCK,
        _ => Access::MAKE_REG,
    }
}

/// Whose process descriptor it is (`pidfd_open(2)`).
fn process_behind(thread: Pid, fd: i32) -> Option<i32> {
    let info = std::fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", thread.as_raw_pid())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
}

/// Of a thread.
struct Memory {
    thread: Pid,
    /// Whether something of it could not be read.
    is_lost: Cell<bool>,
}

impl Memory {
    fn read(&self, at: u64, buffer: &mut [u8]) -> usize {
        let read = ptrace::read(self.thread, at, buffer);
        self.is_lost.set(self.is_lost.get() || (read == 0 && !buffer.is_empty()));
        read
    }

    /// A word; 0 where there is none.
    fn word(&self, at: u64) -> u64 {
        let mut word = [0; 8];
        if self.read(at, &mut word) == word.len() { u64::from_ne_bytes(word) } else { 0 }
    }

    /// The C string at an address, as far as a path can go. Null is an empty one, as the kernel takes it where it may be.
    fn string(&self, address: u64) -> OsString {
        const MOST: usize = libc::PATH_MAX as usize;
        const PAGE: u64 = 4096;
        let mut bytes = Vec::new();
        let mut at = address;
        while address != 0 && bytes.len() < MOST {
            // Up to the end of a page: what follows may not be mapped.
            let mut piece = [0; PAGE as usize];
            let length = ((PAGE - at % PAGE) as usize).min(MOST - bytes.len());
            let read = self.read(at, &mut piece[..length]);
            bytes.extend_from_slice(&piece[..read]);
            if read < length || piece[..read].contains(&0) {
                break;
            }
            at += length as u64;
        }
        let end = CStr::from_bytes_until_nul(&bytes).map_or(bytes.len(), |text| text.to_bytes().len());
        bytes.truncate(end);
        OsString::from_vec(bytes)
    }

    fn address(&self, at: u64, length: u64) -> Address {
        let length = usize::try_from(length).unwrap_or(0).min(128);
        let mut bytes = [0; 128];
        let read = self.read(at, &mut bytes[..length]);
        address_of(&bytes[..read])
    }
}

/// A socket's address as it is in memory (`struct sockaddr`).
fn address_of(bytes: &[u8]) -> Address {
    let [low, high, rest @ ..] = bytes else { return Address::Other };
    let family = i32::from(u16::from_ne_bytes([*low, *high]));
    match (family, rest) {
        (libc::AF_INET, [p, q, a, b, c, d, ..]) => {
            Address::Ip((std::net::Ipv4Addr::new(*a, *b, *c, *d), u16::from_be_bytes([*p, *q])).into())
        }
        (libc::AF_INET6, [p, q, _, _, _, _, ip @ ..]) if ip.len() >= 16 => {
            let ip: [u8; 16] = ip[..16].try_into().unwrap_or_default();
            Address::Ip((std::net::Ipv6Addr::from(ip), u16::from_be_bytes([*p, *q])).into())
        }
        (libc::AF_UNIX, [0, name @ ..]) if !name.is_empty() => Address::Abstract(name.to_vec()),
        (libc::AF_UNIX, path) => {
            let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
            Address::Path(Named { directory: CWD, path: OsString::from_vec(path[..end].to_vec()) })
        }
        _ => Address::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_never_beyond_their_end() {
        let inet = [2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(address_of(&inet), Address::Ip("127.0.0.1:80".parse().unwrap()));
        let mut inet6 = [0; 28];
        (inet6[0], inet6[3], inet6[23]) = (10, 53, 1);
        assert_eq!(address_of(&inet6), Address::Ip("[::1]:53".parse().unwrap()));
        assert_eq!(address_of(b"\x01\0\0name"), Address::Abstract(b"name".to_vec()));
        let path = Named { directory: CWD, path: "/run/x".into() };
        assert_eq!(address_of(b"\x01\0/run/x\0garbage"), Address::Path(path));
        for length in 0..inet.len() {
            let found = address_of(&inet[..length]);
            assert_eq!(found == Address::Other, length < 8, "{length}");
        }
        for length in 0..24 {
            assert_eq!(address_of(&inet6[..length]), Address::Other, "{length}");
        }
    }

    #[test]
    fn calls_are_said_as_they_were_made() {
        let a = |first: i32, second: i32| [first as u64, second as u64, 0, 0, 0, 0];
        let socket = a(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC);
        assert_eq!(rendered("socket", &socket), "socket(AF_INET, SOCK_DGRAM)");
        assert_eq!(rendered("socket", &a(77, 9)), "socket(77, 9)");
        assert_eq!(rendered("mmap", &[0, 0, libc::PROT_EXEC as u64, 0, 0, 0]), "mmap(PROT_EXEC)");
        assert_eq!(rendered("swapon", &[0; 6]), "swapon");
    }
}
