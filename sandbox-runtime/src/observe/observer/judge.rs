//! Who refused a call, what it was about, and the smallest grant that would allow it.
//!
//! The filter says so itself. Of what the kernel refused, the same is asked again from here, outside of the sandbox and
//! with equal credentials: what is allowed here Landlock refused there. What cannot be asked without effects is left
//! undecided.

use super::call::{Address, Ask};
use super::path::{Found, Named, process_of};
use super::probe;
use crate::denial::{By, Object};
use crate::observe::report::Seen;
use crate::plan::Placement;
use rustix::fd::OwnedFd;
use rustix::fs::{Access, FileType};
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::Path;

/// What an observer knows of the sandbox that it looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) placement: Placement,
    /// Landlock's, of this kernel.
    pub(crate) abi: u32,
    /// The observer is itself in what `in_place` did to the host.
    pub(crate) restricted: bool,
    /// `open_files`, where the sandbox limits them.
    pub(crate) open_files: Option<u64>,
}

/// A call that failed.
pub(super) struct Refused<'a> {
    pub(super) thread: Pid,
    pub(super) name: &'static str,
    pub(super) ask: Ask,
    pub(super) errno: i32,
    /// A filter of ours refused it.
    pub(super) by_filter: bool,
    pub(super) facts: &'a Facts,
    pub(super) ruleset: Option<&'a OwnedFd>,
}

/// Whether the kernel would allow it outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outside {
    Allowed,
    Refused,
    /// It cannot be asked.
    Unknown,
}

impl From<bool> for Outside {
    fn from(allowed: bool) -> Outside {
        if allowed { Outside::Allowed } else { Outside::Refused }
    }
}

/// What was asked for, as a report has it.
struct Said {
    rights: Vec<String>,
    object: Object,
    grant: Option<String>,
    note: Option<String>,
    outside: Outside,
}

impl Said {
    fn new(right: impl Into<String>, object: Object, grant: Option<String>, outside: Outside) -> Said {
        Said { rights: vec![right.into()], object, grant, note: None, outside }
    }
}

/// The errnos that a refusal can have. `EXDEV` says something in a rename or a link alone, `EAGAIN` where a thread begins.
pub(super) fn may_be_refusal(name: &str, errno: i32) -> bool {
    match errno {
        libc::EACCES | libc::EPERM | libc::EMFILE => true,
        libc::EXDEV => name.starts_with("rename") || name.starts_with("link"),
        libc::EAGAIN => name == "clone",
        _ => false,
    }
}

impl Refused<'_> {
    /// What there is to say of it; `None` where it is our own asking.
    pub(super) fn seen(self) -> Option<Seen> {
        if self.errno == libc::EMFILE || self.errno == libc::EAGAIN {
            return Some(self.limited());
        }
        let said = self.said()?;
        let by = match (self.by_filter, said.outside) {
            (true, _) => By::Filter,
            // It has other credentials than we by now, so that our answer is not its.
            (false, _) if credentials(Some(self.thread)) != credentials(None) => By::Unknown,
            (false, Outside::Allowed) => By::Landlock,
            (false, Outside::Refused) => By::Permissions,
            (false, Outside::Unknown) => By::Unknown,
        };
        let grant = said.grant.filter(|_| by != By::Permissions);
        let note = said.note.or_else(|| match by {
            By::Landlock if self.facts.restricted => {
                Some("this program is restricted in place, so that its sandbox may lack the grant too".into())
            }
            by => (by.is_sandbox() && grant.is_none()).then(|| "nothing grants it".to_owned()),
        });
        let operation = said.rights.join("+");
        Some(Seen {
            operation,
            call: self.name.into(),
            object: said.object,
            errno: self.errno,
            by,
            grant,
            note,
        })
    }

    fn limited(&self) -> Seen {
        let (by, operation, grant, note) = match (self.errno, self.facts.open_files) {
            (libc::EMFILE, Some(limit)) => {
                let more = format!("open_files = {}", limit.saturating_mul(2));
                (By::Limit, self.name, Some(more), Some(format!("open_files is {limit}")))
            }
            (libc::EMFILE, None) => {
                (By::Permissions, self.name, None, Some("RLIMIT_NOFILE of the program".into()))
            }
            _ => {
                (By::Limit, self.name, None, Some("the limit of threads, or of the user's processes".into()))
            }
        };
        let (operation, call) = (operation.into(), self.name.into());
        Seen { operation, call, object: Object::Nothing, errno: self.errno, by, grant, note }
    }

    /// What a path leads to. What the filter refused the kernel has not looked for, and so nobody does: a sandbox without
    /// files could have us walk where it may not.
    fn find(&self, named: &Named, bare: bool) -> Found {
        if self.by_filter { named.written(self.thread) } else { named.find(self.thread, bare) }
    }

    fn said(&self) -> Option<Said> {
        Some(match &self.ask {
            Ask::Open(named, flags) => self.open(self.find(named, flags & libc::O_NOFOLLOW != 0), *flags),
            Ask::Execute(named) => {
                let found = self.find(named, false);
                let is_file = found.kind() == Some(FileType::RegularFile);
                let outside = (is_file && found.may(Access::EXEC_OK)).into();
                let mut rights = vec!["execute", "read_file"];
                self.narrow(&mut rights, &found, outside);
                let said = Said::new("execute", path(&found), self.key("execute", &found.shown), outside);
                Said { rights: owned(rights), ..said }
            }
            Ask::Make(named, right) => self.entry(right, &self.find(named, true)),
            Ask::Remove(named, right) => self.entry(right, &self.find(named, true)),
            Ask::Move { from, to, link } => self.moved(&self.find(from, true), &self.find(to, true), *link),
            Ask::Truncate(named) => {
                let found = self.find(named, false);
                let outside = found.may(Access::WRITE_OK).into();
                Said::new("truncate", path(&found), self.key("write", &found.shown), outside)
            }
            // How it is asked whether any path may be named.
            Ask::Look(named) if named.path == "/" && self.name.starts_with("faccessat") => return None,
            // Landlock never looks at it.
            Ask::Look(named) => {
                let found = self.find(named, false);
                let said =
                    Said::new(self.name, path(&found), self.key("read", &found.shown), Outside::Refused);
                self.noted(said, &found)
            }
            Ask::Metadata(named) => {
                let found = self.find(named, false);
                Said::new(self.name, path(&found), Some("allow(metadata)".into()), Outside::Refused)
            }
            Ask::Ioctl(fd, request) => self.ioctl(*fd, *request),
            Ask::Bind(fd, address) => self.address(*fd, address, true),
            Ask::Connect(fd, address) | Ask::Send(fd, address) => self.address(*fd, address, false),
            Ask::Signal(pid) => {
                let may = |pid| rustix::process::test_kill_process(pid).is_ok();
                let outside = self.asked(*pid).map_or(Outside::Unknown, |pid| may(pid).into());
                Said::new("signal", process(*pid), Some("allow(signal)".into()), outside)
            }
            Ask::Trace(pid) => {
                // A link that only who may trace it may read.
                let link = |pid: Pid| format!("/proc/{}/exe", pid.as_raw_pid());
                let may = |pid| rustix::fs::readlink(link(pid), Vec::new()).is_ok();
                let outside = self.asked(*pid).map_or(Outside::Unknown, |pid| may(pid).into());
                Said::new("ptrace", process(*pid), None, outside)
            }
            Ask::Unread(call) => {
                let mut said = Said::new(call.clone(), Object::Nothing, None, Outside::Unknown);
                said.note = Some("what it names cannot be read".into());
                said
            }
            Ask::Other(text) => {
                let (grant, note) = grant_of(text);
                let mut said =
                    Said::new(text.clone(), Object::Nothing, grant.map(str::to_owned), Outside::Unknown);
                said.note = note.map(str::to_owned);
                said
            }
        })
    }

    /// A process of which something can be asked: not a group, nor by one that is restricted too.
    fn asked(&self, pid: Option<i32>) -> Option<Pid> {
        let may_ask = !self.by_filter && !self.facts.restricted;
        pid.filter(|pid| *pid > 0 && may_ask).and_then(Pid::from_raw)
    }

    fn open(&self, found: Found, flags: i32) -> Said {
        let (reads, writes) = match flags & libc::O_ACCMODE {
            libc::O_RDONLY => (true, false),
            libc::O_WRONLY => (false, true),
            _ => (true, true),
        };
        let may_be_made = if self.by_filter { flags & libc::O_EXCL != 0 } else { !found.is_there() };
        let is_made = flags & libc::O_CREAT != 0 && may_be_made;
        let is_directory = match self.by_filter {
            true => flags & libc::O_DIRECTORY != 0,
            false => found.kind() == Some(FileType::Directory),
        };
        let mut rights: Vec<&str> = Vec::new();
        let mut add = |is_needed: bool, right| rights.extend(is_needed.then_some(right));
        // The kernel asks for it first, and for nothing else where it is refused.
        add(is_made, "make_reg");
        add(!is_made && reads && is_directory, "read_dir");
        add(!is_made && reads && !is_directory, "read_file");
        add(!is_made && writes, "write_file");
        add(flags & libc::O_TRUNC != 0 && found.is_there(), "truncate");
        if flags & libc::O_PATH != 0 {
            rights = vec!["open"];
        }
        let outside = match is_made {
            true => found.may_change_entry().into(),
            false => self.opened(&found, reads, writes),
        };
        self.narrow(&mut rights, &found, outside);
        // What is not there by then is made in its directory.
        let is_new = is_made || (self.by_filter && flags & libc::O_CREAT != 0);
        let place = if is_new { found.place() } else { &found.shown };
        let needs = |wanted: &[&str]| rights.iter().any(|right| wanted.contains(right));
        let keys = [
            ("read", needs(&["read_file", "read_dir", "open"]) || (is_made && reads)),
            ("write", needs(&["write_file", "truncate", "make_reg"])),
        ];
        let keys = keys.into_iter().filter(|key| key.1).filter_map(|(key, _)| self.key(key, place));
        let keys = keys.collect::<Vec<_>>().join(", ");
        let said =
            Said { rights: owned(rights), object: path(&found), grant: Some(keys), note: None, outside };
        if is_made { said } else { self.noted(said, &found) }
    }

    /// Leaves the rights that Landlock lacks, where it is Landlock and that can be found out.
    fn narrow(&self, rights: &mut Vec<&str>, found: &Found, outside: Outside) {
        if let (false, Some(ruleset), Outside::Allowed) = (self.by_filter, self.ruleset, outside) {
            probe::narrow(rights, found, ruleset);
        }
    }

    /// Whether it might be opened outside, asked in a way that has no effect and that Landlock does not look at.
    fn opened(&self, found: &Found, reads: bool, writes: bool) -> Outside {
        if found.is_in_proc() && depends_on_who_asks(&found.shown) {
            return Outside::Unknown;
        }
        let mode = match (reads, writes) {
            (true, true) => Access::READ_OK | Access::WRITE_OK,
            (false, true) => Access::WRITE_OK,
            _ => Access::READ_OK,
        };
        found.may(mode).into()
    }

    /// What may be said of a file that is not there, or is another for everybody.
    fn noted(&self, mut said: Said, found: &Found) -> Said {
        let is_in_proc = if self.by_filter { found.shown.starts_with("/proc") } else { found.is_in_proc() };
        if is_in_proc && of_a_process(&found.shown) && self.facts.placement == Placement::Process {
            said.note = Some("a worker's own directory in /proc has no name before the call".into());
            said.grant = Some("read = \"/proc\"".into());
        }
        said
    }

    fn entry(&self, right: &'static str, found: &Found) -> Said {
        let place = found.place();
        let grant = match right {
            "make_char" | "make_block" => Some(format!("fs({right} = {:?})", place.to_string_lossy())),
            _ => self.key("write", place),
        };
        Said::new(right, path(found), grant, found.may_change_entry().into())
    }

    fn moved(&self, from: &Found, to: &Found, link: bool) -> Said {
        let is_directory = from.kind() == Some(FileType::Directory);
        let refers = from.place() != to.place();
        let rights = match (self.errno, link, is_directory) {
            (libc::EXDEV, ..) => vec!["refer"],
            (_, true, _) if refers => vec!["refer", "make_reg"],
            (_, true, _) => vec!["make_reg"],
            (_, false, true) if refers => vec!["remove_dir", "refer", "make_dir"],
            (_, false, true) => vec!["remove_dir", "make_dir"],
            (_, false, false) if refers => vec!["remove_file", "refer", "make_reg"],
            (_, false, false) => vec!["remove_file", "make_reg"],
        };
        let (outside, note) = match (self.errno, from.mount(), to.mount()) {
            (libc::EXDEV, Some(one), Some(other)) if one == other => (Outside::Allowed, None),
            (libc::EXDEV, Some(_), Some(_)) => {
                (Outside::Refused, Some("the two are on different mounts".to_owned()))
            }
            (libc::EXDEV, ..) => (Outside::Unknown, None),
            _ => ((to.may_change_entry() && (link || from.may_change_entry())).into(), None),
        };
        let [one, other] = [from, to].map(|found| text(found.place()));
        let grant = match one == other {
            true => Some(format!("write = {one:?}")),
            false => Some(format!("write = [{one:?}, {other:?}]")),
        };
        let object = Object::Paths(text(&from.shown), text(&to.shown));
        Said { rights: owned(rights), object, grant, note, outside }
    }

    fn ioctl(&self, fd: i32, request: u32) -> Said {
        let named = Named { directory: fd, path: Default::default() };
        let found = self.find(&named, false);
        let is_device = matches!(found.kind(), Some(FileType::CharacterDevice | FileType::BlockDevice));
        match is_device {
            true => {
                let grant = format!("fs(ioctl_dev = {:?})", text(&found.shown));
                // A driver answers otherwise.
                let is_landlocks = self.facts.abi >= 5 && self.errno == libc::EACCES;
                let outside = if is_landlocks { Outside::Allowed } else { Outside::Unknown };
                Said::new("ioctl_dev", path(&found), Some(grant), outside)
            }
            false => Said::new(format!("ioctl({request:#x})"), path(&found), None, Outside::Unknown),
        }
    }

    fn address(&self, fd: i32, address: &Address, binds: bool) -> Said {
        match address {
            Address::Ip(address) => self.ip(fd, *address, binds),
            Address::Path(named) if binds => self.entry("make_sock", &self.find(named, true)),
            Address::Path(named) => {
                let found = self.find(named, false);
                let outside = match self.facts.abi >= 9 {
                    true => found.may(Access::WRITE_OK).into(),
                    false => Outside::Unknown,
                };
                let said = Said::new("resolve_unix", path(&found), self.key("unix", &found.shown), outside);
                self.noted(said, &found)
            }
            Address::Abstract(name) => {
                let name = Object::Address(format!("@{}", String::from_utf8_lossy(name)));
                let grant = Some("allow(abstract_unix_socket)".into());
                let outside = if self.errno == libc::EPERM { Outside::Allowed } else { Outside::Unknown };
                Said::new("abstract_unix_socket", name, grant, outside)
            }
            Address::Other => Said::new(self.name, Object::Nothing, None, Outside::Unknown),
        }
    }

    fn ip(&self, fd: i32, address: SocketAddr, binds: bool) -> Said {
        let port = address.port();
        let is_stream = match socket_type(self.thread, fd) {
            Some(libc::SOCK_STREAM) => Some(true),
            Some(libc::SOCK_DGRAM) => Some(false),
            _ => None,
        };
        let (right, key, least) = match (is_stream, binds) {
            (Some(true), true) => ("bind_tcp", "tcp_bind", 4),
            (Some(true), false) => ("connect_tcp", "tcp_connect", 4),
            (Some(false), true) => ("bind_udp", "udp_bind", 10),
            (Some(false), false) => ("connect_send_udp", "udp_connect", 10),
            (None, _) => (self.name, "", u32::MAX),
        };
        let has = self.facts.abi >= least;
        let grant = match key {
            "" => None,
            _ if is_stream == Some(false) && !has => Some("allow(udp)".to_owned()),
            key => Some(format!("{key} = {port}")),
        };
        let outside = match has {
            true if binds && is_privileged(port) => Outside::Refused,
            // Filters of packets answer EPERM.
            true if self.errno != libc::EACCES => Outside::Unknown,
            true => Outside::Allowed,
            false => Outside::Unknown,
        };
        Said::new(right, Object::Address(address.to_string()), grant, outside)
    }

    /// `None` for a name that the attribute cannot hold.
    fn key(&self, key: &str, path: &Path) -> Option<String> {
        path.to_str().map(|path| format!("{key} = {path:?}"))
    }
}

fn process(pid: Option<i32>) -> Object {
    pid.map_or(Object::Nothing, Object::Process)
}

fn owned(rights: Vec<&str>) -> Vec<String> {
    rights.into_iter().map(str::to_owned).collect()
}

/// What would let a call pass that has no object.
fn grant_of(call: &str) -> (Option<&'static str>, Option<&'static str>) {
    match call {
        "socket(AF_INET, SOCK_STREAM)" | "socket(AF_INET6, SOCK_STREAM)" => {
            (Some("tcp_connect = PORT"), Some("or `tcp_bind`; which port was not said yet"))
        }
        "socket(AF_INET, SOCK_DGRAM)" | "socket(AF_INET6, SOCK_DGRAM)" => (Some("allow(udp)"), None),
        _ if call.starts_with("socket(AF_UNIX") => {
            (Some("unix = PATH"), Some("or `allow(abstract_unix_socket)`; which socket was not said yet"))
        }
        "listen" => (Some("tcp_bind = PORT"), None),
        "memfd_create" => (Some("memory = \"unlimited\""), Some("`memory` would not count it")),
        "fork" | "vfork" => (Some("execute = PROGRAM"), Some("child processes come with programs")),
        _ if call.starts_with("clone(") => {
            (Some("execute = PROGRAM"), Some("child processes come with programs"))
        }
        "mmap(PROT_EXEC)" | "mprotect(PROT_EXEC)" => (Some("execute = LIBRARY"), None),
        _ => (None, None),
    }
}

fn path(found: &Found) -> Object {
    Object::Path(text(&found.shown))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// `/proc/77/...`, `/proc/self/...`
fn of_a_process(path: &Path) -> bool {
    let name = path.strip_prefix("/proc").ok().and_then(|rest| rest.iter().next());
    let is_number = |name: &str| name.parse::<u32>().is_ok();
    name.is_some_and(|name| name == "self" || name == "thread-self" || is_number(&name.to_string_lossy()))
}

/// Whether who asks makes a difference: a file of a process that shows more than everybody may know (`ptrace(2)` names the
/// rule), or is of another process.
fn depends_on_who_asks(path: &Path) -> bool {
    const OPEN: [&str; 12] = [
        "status",
        "stat",
        "statm",
        "cgroup",
        "cmdline",
        "comm",
        "limits",
        "mounts",
        "mountinfo",
        "mountstats",
        "oom_score",
        "schedstat",
    ];
    let is_own = path.starts_with("/proc/self") || path.starts_with("/proc/thread-self");
    let is_open = path.file_name().is_some_and(|name| OPEN.iter().any(|open| name == *open));
    of_a_process(path) && !(is_own && is_open)
}

/// Users, groups and capabilities of a thread, or our own.
fn credentials(thread: Option<Pid>) -> Option<Vec<String>> {
    let whose = thread.map_or("thread-self".to_owned(), |thread| thread.as_raw_pid().to_string());
    let status = std::fs::read_to_string(format!("/proc/{whose}/status")).ok()?;
    let is_one = |line: &&str| ["Uid:", "Gid:", "CapEff:"].iter().any(|name| line.starts_with(name));
    Some(status.lines().filter(is_one).map(str::to_owned).collect())
}

fn is_privileged(port: u16) -> bool {
    let least = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let least = least.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024);
    let sets = rustix::thread::capabilities(None);
    let has = sets.is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::NET_BIND_SERVICE));
    port != 0 && port < least && !has
}

pub(super) fn socket_type(thread: Pid, fd: i32) -> Option<i32> {
    let group = process_of(thread)?;
    let process = rustix::process::pidfd_open(Pid::from_raw(group)?, PidfdFlags::empty()).ok()?;
    let socket =
        rustix::process::pidfd_getfd(&process, fd, rustix::process::PidfdGetfdFlags::empty()).ok()?;
    let kind = rustix::net::sockopt::socket_type(&socket).ok()?;
    i32::try_from(kind.as_raw()).ok()
}
