//! The columns: what a function may use, and which promises are about it.

use crate::denial::{By, Denial, Object};
use crate::enforce::filter::{Purpose, purpose};
use crate::plan::Promise;
use crate::policy::{Access, NetAccess};
use std::collections::BTreeSet;
use std::fmt;

/// What a function may use or not: a column of the table. Every [`Promise`] is about one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// Reading files, listing directories.
    Read,
    /// Writing, truncating, making, removing and renaming files.
    Write,
    /// Running programs, by their files.
    Execute,
    /// Making devices, and `ioctl(2)` on them.
    Devices,
    /// Mode, owner, times and extended attributes of files.
    Metadata,
    /// What can be known of files outside the grants.
    Outside,
    /// TCP ports.
    Tcp,
    /// UDP ports.
    Udp,
    /// Pathname sockets.
    Unix,
    /// Abstract Unix sockets.
    AbstractUnix,
    /// Sockets of other families and types, and io_uring.
    OtherSockets,
    /// Signals to other processes.
    Signals,
    /// Tracing other processes.
    Tracing,
    /// New processes and threads.
    Processes,
    /// Every other system call that reaches outside.
    OtherCalls,
    /// What of the host is passed on: environment variables, output streams, namespaces.
    Surroundings,
    /// Memory.
    Memory,
    /// Wall time and processor time.
    Time,
    /// How many descriptors.
    Descriptors,
    /// How long a file can be made.
    FileSize,
}

impl Resource {
    /// All of them, in the order of the table.
    pub const ALL: [Resource; 20] = [
        Resource::Read,
        Resource::Write,
        Resource::Execute,
        Resource::Devices,
        Resource::Metadata,
        Resource::Outside,
        Resource::Tcp,
        Resource::Udp,
        Resource::Unix,
        Resource::AbstractUnix,
        Resource::OtherSockets,
        Resource::Signals,
        Resource::Tracing,
        Resource::Processes,
        Resource::OtherCalls,
        Resource::Surroundings,
        Resource::Memory,
        Resource::Time,
        Resource::Descriptors,
        Resource::FileSize,
    ];

    /// The head of the column.
    pub const fn word(self) -> &'static str {
        match self {
            Resource::Read => "read",
            Resource::Write => "write",
            Resource::Execute => "execute",
            Resource::Devices => "devices",
            Resource::Metadata => "metadata",
            Resource::Outside => "other files",
            Resource::Tcp => "TCP",
            Resource::Udp => "UDP",
            Resource::Unix => "unix",
            Resource::AbstractUnix => "abstract sockets",
            Resource::OtherSockets => "other sockets",
            Resource::Signals => "signals",
            Resource::Tracing => "tracing",
            Resource::Processes => "processes",
            Resource::OtherCalls => "other calls",
            Resource::Surroundings => "surroundings",
            Resource::Memory => "memory",
            Resource::Time => "time",
            Resource::Descriptors => "descriptors",
            Resource::FileSize => "file size",
        }
    }

    /// What stands above some columns together.
    pub const fn group(self) -> &'static str {
        use Resource::*;
        match self {
            Read | Write | Execute | Devices | Metadata | Outside => "files",
            Tcp | Udp | Unix | AbstractUnix | OtherSockets => "network",
            Signals | Tracing | Processes | OtherCalls | Surroundings => "system",
            Memory | Time | Descriptors | FileSize => "limits",
        }
    }

    /// Whether it is limited rather than granted.
    pub const fn is_limit(self) -> bool {
        matches!(self, Resource::Memory | Resource::Time | Resource::Descriptors | Resource::FileSize)
    }

    /// What a promise is about.
    pub const fn of(promise: Promise) -> Resource {
        match promise {
            Promise::File(right) => of_right(right),
            Promise::Port(NetAccess::BindTcp | NetAccess::ConnectTcp) | Promise::Listen => Resource::Tcp,
            Promise::Port(NetAccess::BindUdp | NetAccess::ConnectSendUdp) => Resource::Udp,
            Promise::OtherSockets | Promise::IoUring => Resource::OtherSockets,
            Promise::AbstractUnixSocket => Resource::AbstractUnix,
            Promise::Signal => Resource::Signals,
            Promise::Ptrace => Resource::Tracing,
            Promise::Metadata => Resource::Metadata,
            Promise::Existence | Promise::DisconnectedDirectories => Resource::Outside,
            Promise::Whiteouts => Resource::Write,
            Promise::NewProcesses | Promise::Threads => Resource::Processes,
            Promise::OtherSystemCalls => Resource::OtherCalls,
            Promise::Memory | Promise::UncountedMemory => Resource::Memory,
            Promise::Timeout | Promise::Cpu => Resource::Time,
            Promise::OpenFiles => Resource::Descriptors,
            Promise::FileSize => Resource::FileSize,
            Promise::OwnNamespaces | Promise::HostStdio | Promise::Environment => Resource::Surroundings,
        }
    }

    /// What a denial is about.
    pub fn of_denial(denial: &Denial) -> BTreeSet<Resource> {
        if denial.by == By::Limit {
            return BTreeSet::from([of_limit(denial.errno)]);
        }
        let words = denial.operation.split('+').map(str::trim);
        words.map(|word| by_name(word).map_or_else(|| of_call(word, &denial.object), Resource::of)).collect()
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

const fn of_right(right: Access) -> Resource {
    match right {
        Access::READ_FILE | Access::READ_DIR => Resource::Read,
        Access::EXECUTE => Resource::Execute,
        Access::MAKE_CHAR | Access::MAKE_BLOCK | Access::IOCTL_DEV => Resource::Devices,
        Access::RESOLVE_UNIX => Resource::Unix,
        _ => Resource::Write,
    }
}

/// The promise about what has a name in Landlock.
fn by_name(word: &str) -> Option<Promise> {
    let port = || NetAccess::ALL.into_iter().find(|access| access.name() == word).map(Promise::Port);
    match word {
        "signal" => Some(Promise::Signal),
        "abstract_unix_socket" => Some(Promise::AbstractUnixSocket),
        "ptrace" => Some(Promise::Ptrace),
        _ => Access::by_name(word).map(Promise::File).or_else(port),
    }
}

fn of_limit(errno: i32) -> Resource {
    match errno {
        libc::EMFILE => Resource::Descriptors,
        libc::EFBIG => Resource::FileSize,
        libc::EAGAIN => Resource::Processes,
        _ => Resource::Memory,
    }
}

/// Of a call as it was made, by the filter's own table.
fn of_call(call: &str, object: &Object) -> Resource {
    let name = call.split('(').next().unwrap_or_default();
    match (name, purpose(name)) {
        ("kill" | "tkill" | "tgkill" | "rt_sigqueueinfo" | "rt_tgsigqueueinfo" | "pidfd_send_signal", _) => {
            Resource::Signals
        }
        ("process_vm_readv" | "process_vm_writev" | "pidfd_getfd" | "kcmp", _) => Resource::Tracing,
        ("listen", _) => Resource::Tcp,
        (_, Some(Purpose::Sockets)) => of_socket(call, object),
        (_, Some(Purpose::Uring)) => Resource::OtherSockets,
        (_, Some(Purpose::Paths)) => Resource::Outside,
        (_, Some(Purpose::Metadata)) => Resource::Metadata,
        (_, Some(Purpose::Execute)) => Resource::Execute,
        (_, Some(Purpose::Processes | Purpose::Sessions)) => Resource::Processes,
        (_, Some(Purpose::Memory | Purpose::SystemV)) => Resource::Memory,
        _ => Resource::OtherCalls,
    }
}

fn of_socket(call: &str, object: &Object) -> Resource {
    let has = |word| call.contains(word);
    match object {
        Object::Path(_) => Resource::Unix,
        Object::Address(address) if address.starts_with('@') => Resource::AbstractUnix,
        _ if has("AF_UNIX") => Resource::Unix,
        _ if has("AF_INET") && has("SOCK_STREAM") && !has("MPTCP") => Resource::Tcp,
        _ if has("AF_INET") && has("SOCK_DGRAM") => Resource::Udp,
        _ => Resource::OtherSockets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn denial(operation: &str, object: Object, by: By, errno: i32) -> Denial {
        Denial {
            function: "a::f".into(),
            place: "a.rs:1:1".into(),
            operation: operation.into(),
            call: String::new(),
            object,
            errno,
            by,
            count: 1,
            grant: None,
            note: None,
        }
    }

    #[test]
    fn denials_are_about_what_the_promise_is_about() {
        for (operation, expected) in [
            ("read_file", &[Resource::Read][..]),
            ("read_file+write_file", &[Resource::Read, Resource::Write]),
            ("make_block", &[Resource::Devices]),
            ("connect_send_udp", &[Resource::Udp]),
            ("resolve_unix", &[Resource::Unix]),
            ("signal", &[Resource::Signals]),
            ("kill(1, SIGTERM)", &[Resource::Signals]),
            ("socket(AF_INET, SOCK_STREAM)", &[Resource::Tcp]),
            ("socket(AF_INET6, SOCK_DGRAM|SOCK_CLOEXEC)", &[Resource::Udp]),
            ("socket(AF_NETLINK, SOCK_RAW)", &[Resource::OtherSockets]),
            ("fchmodat", &[Resource::Metadata]),
            ("clone(SIGCHLD)", &[Resource::Processes]),
            ("shmget(IPC_PRIVATE)", &[Resource::Memory]),
            ("io_uring_setup", &[Resource::OtherSockets]),
            ("statx", &[Resource::Outside]),
            ("keyctl(KEYCTL_SESSION_TO_PARENT)", &[Resource::OtherCalls]),
            ("", &[Resource::OtherCalls]),
        ] {
            let found = Resource::of_denial(&denial(operation, Object::Nothing, By::Filter, libc::EPERM));
            assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{operation}");
        }
        let connect = denial("connect", Object::Address("@x".into()), By::Filter, libc::EACCES);
        assert_eq!(Resource::of_denial(&connect), BTreeSet::from([Resource::AbstractUnix]));
        let limit = denial("openat", Object::Path("/a".into()), By::Limit, libc::EMFILE);
        assert_eq!(Resource::of_denial(&limit), BTreeSet::from([Resource::Descriptors]));
    }

    #[test]
    fn the_table_has_every_column_once_and_groups_together() {
        let all = BTreeSet::from(Resource::ALL);
        assert_eq!(all.len(), Resource::ALL.len());
        let mut groups: Vec<&str> = Resource::ALL.iter().map(|resource| resource.group()).collect();
        groups.dedup();
        assert_eq!(groups, ["files", "network", "system", "limits"]);
    }
}
