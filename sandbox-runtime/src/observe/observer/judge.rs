//! Who refused a call, what it was about, and the smallest grant that would allow it.
//!
//! The filter says so itself. Of what the kernel refused, the same is asked again from here, outside of the sandbox and
//! with equal credentials: what is allowed here Landlock refused there. What cannot be asked without effects is left
//! undecided.

use super::call::Ask;
use super::needs::{Need, needs};
use super::path::{Found, Named, has_our_root};
use super::probe::Probe;
use super::program::run_by;
use crate::denial::{By, Object};
use crate::enforce::is_looked_at;
use crate::observe::report::Seen;
use crate::plan::{Limits, Placement};
use crate::policy::{Access, NetAccess, Policy};
use crate::sys::process::parent_of;
use rustix::fs::{Access as Mode, FileType};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::iter::successors;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

/// What an observer knows of the sandbox that it looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) placement: Placement,
    /// Landlock's, of this kernel.
    pub(crate) abi: u32,
    /// The observer is itself in what `in_place` did to the host.
    pub(crate) restricted: bool,
    /// Those of the sandbox.
    pub(crate) limits: Limits,
    /// `threads`, where the sandbox limits them.
    pub(crate) threads: Option<u64>,
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
    pub(super) probe: Option<&'a Probe>,
}

/// Whether the kernel would allow it outside. Of several the greatest is that of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outside {
    Allowed,
    /// It cannot be asked.
    Unknown,
    Refused,
}

impl From<bool> for Outside {
    fn from(allowed: bool) -> Outside {
        if allowed { Outside::Allowed } else { Outside::Refused }
    }
}

/// What was asked for, as a report has it.
struct Said {
    operation: String,
    object: Object,
    grant: Option<String>,
    note: Option<String>,
    outside: Outside,
}

impl Said {
    fn new(operation: impl Into<String>, object: Object, grant: Option<String>, outside: Outside) -> Said {
        Said { operation: operation.into(), object, grant, note: None, outside }
    }
}

/// The errnos that a refusal can have, and that of what is not there. `EXDEV` says something in a rename or a link alone,
/// `EAGAIN` where a thread begins. Calls that are looked at for a limit's sake have those of limits alone.
pub(super) fn is_looked_into(name: &str, errno: i32, limits: &Limits) -> bool {
    match errno {
        libc::EMFILE => true,
        libc::EFBIG => limits.file_size.is_some(),
        libc::ENOMEM => limits.memory.is_some() && matches!(name, "mmap" | "mremap"),
        _ if !is_looked_at(name) => false,
        libc::EACCES | libc::EPERM | libc::ENOENT => true,
        libc::EXDEV => name.starts_with("rename") || name.starts_with("link"),
        libc::EAGAIN => name == "clone",
        _ => false,
    }
}

impl Refused<'_> {
    /// What there is to say of it; `None` where it is our own asking.
    pub(super) fn seen(self) -> Option<Seen> {
        if let libc::EMFILE | libc::EFBIG | libc::ENOMEM | libc::EAGAIN = self.errno {
            return Some(self.limited());
        }
        if self.errno == libc::ENOENT {
            return self.missing();
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
        Some(Seen {
            operation: said.operation,
            call: self.name.into(),
            object: said.object,
            errno: self.errno,
            by,
            grant,
            note,
        })
    }

    fn limited(&self) -> Seen {
        let Facts { limits, threads, .. } = self.facts;
        type Key = fn(u64) -> Policy;
        let (limit, key, or): (_, Key, _) = match self.errno {
            libc::EMFILE => {
                (limits.open_files, |most| Policy::new().open_files(most), "RLIMIT_NOFILE of the program")
            }
            libc::EFBIG => {
                (limits.file_size, |most| Policy::new().file_size(most), "RLIMIT_FSIZE of the program")
            }
            libc::ENOMEM => (limits.memory, |most| Policy::new().memory(most), "RLIMIT_AS of the program"),
            _ => (*threads, |most| Policy::new().threads(most), "the limit of the user's processes"),
        };
        let (by, grant, note) = match limit {
            Some(limit) => {
                let more = key(limit.saturating_mul(2)).to_string();
                (By::Limit, Some(more), format!("the limit is `{}`", key(limit)))
            }
            None => (By::Permissions, None, or.to_owned()),
        };
        let (operation, call) = (self.name.into(), self.name.into());
        Seen { operation, call, object: Object::Nothing, errno: self.errno, by, grant, note: Some(note) }
    }

    /// What is not there. The kernel has looked for it, and so may we.
    fn missing(&self) -> Option<Seen> {
        // A root of its own may lack what is there outside.
        if self.by_filter || !has_our_root(self.thread) {
            return None;
        }
        let needs = self.needs();
        let missing = needs.iter().find_map(Need::missing)?;
        let rights = needs.iter().filter(|need| need.missing() == Some(missing)).filter_map(Need::right);
        let rights: Vec<Access> = rights.collect();
        Some(Seen {
            operation: if rights.is_empty() { self.name.into() } else { joined(&rights) },
            call: self.name.into(),
            object: Object::Path(text(missing)),
            errno: self.errno,
            by: By::Missing,
            grant: None,
            note: None,
        })
    }

    /// Whether a signal of a worker's is to its template or forkserver, or to all: what the filter refuses under each
    /// policy.
    fn is_to_who_forked_it(&self, pid: Option<i32>) -> bool {
        let parents = successors(parent_of(self.thread), |parent| parent_of(*parent));
        let mut forked_it = parents.take(2).map(Pid::as_raw_pid);
        let is_it =
            |pid: i32| pid == -1 || forked_it.any(|forked| forked.unsigned_abs() == pid.unsigned_abs());
        self.by_filter && self.facts.placement == Placement::Process && pid.is_some_and(is_it)
    }

    fn needs(&self) -> Vec<Need> {
        needs(self.thread, &self.ask, |named, bare| self.find(named, bare))
    }

    /// What a path leads to. What the filter refused the kernel has not looked for, and so nobody does: a sandbox without
    /// files could have us walk where it may not.
    fn find(&self, named: &Named, bare: bool) -> Found {
        if self.by_filter { named.written(self.thread) } else { named.find(self.thread, bare) }
    }

    fn said(&self) -> Option<Said> {
        // How it is asked whether any path may be named.
        if matches!(&self.ask, Ask::Look(named) if named.path == "/" && self.name.starts_with("faccessat")) {
            return None;
        }
        let needs = self.needs();
        Some(match &needs[..] {
            [] => Said::new(self.name, Object::Nothing, None, Outside::Unknown),
            [Need::Port(right, address), ..] => self.port(*right, *address),
            [Need::Abstract(name), ..] => {
                let grant = Some("allow(abstract_unix_socket)".into());
                let outside = if self.errno == libc::EPERM { Outside::Allowed } else { Outside::Unknown };
                Said::new("abstract_unix_socket", Object::Address(name.clone()), grant, outside)
            }
            [Need::Signal(pid), ..] => {
                let may = |pid| rustix::process::test_kill_process(pid).is_ok();
                let outside = self.asked(*pid).map_or(Outside::Unknown, |pid| may(pid).into());
                let grant = (!self.is_to_who_forked_it(*pid)).then(|| "allow(signal)".into());
                Said::new("signal", process(*pid), grant, outside)
            }
            [Need::Trace(pid), ..] => {
                // A link that only who may trace it may read.
                let link = |pid: Pid| format!("/proc/{}/exe", pid.as_raw_pid());
                let may = |pid| rustix::fs::readlink(link(pid), Vec::new()).is_ok();
                let outside = self.asked(*pid).map_or(Outside::Unknown, |pid| may(pid).into());
                Said::new("ptrace", process(*pid), None, outside)
            }
            // Landlock never looks at it.
            [Need::Look(found), ..] => {
                let path_in_grant = found.shown.to_str().filter(|_| found.shown.is_absolute());
                let grant = path_in_grant.map(|path| format!("read = {path:?}"));
                self.noted(Said::new(self.name, path(found), grant, Outside::Refused), found)
            }
            [Need::Metadata(found), ..] => {
                Said::new(self.name, path(found), Some("allow(metadata)".into()), Outside::Refused)
            }
            [Need::Ioctl(request, found), ..] => {
                Said::new(format!("ioctl({request:#x})"), path(found), None, Outside::Unknown)
            }
            [Need::Unread(call), ..] => {
                let said = Said::new(call.clone(), Object::Nothing, None, Outside::Unknown);
                Said { note: Some("what it names cannot be read".into()), ..said }
            }
            [Need::Other(text), ..] => {
                let (grant, note) = grant_of(text);
                let grant = grant.map(str::to_owned);
                let said = Said::new(text.clone(), Object::Nothing, grant, Outside::Unknown);
                Said { note: note.map(str::to_owned), ..said }
            }
            [Need::File(Access::EXECUTE, found), ..] if !self.by_filter => self.of_program(found),
            [Need::File(Access::EXECUTE, found), ..] => self.of_file(&needs, found),
            [Need::File(_, found), ..] if self.may_make(found) => {
                let said = self.of_file(&needs, found);
                Said { note: Some("its directory, if it is to be made".into()), ..said }
            }
            [Need::File(_, found) | Need::New(_, found), ..] => {
                self.noted(self.of_file(&needs, found), found)
            }
            [Need::Entry(..) | Need::Linked(_), ..] => self.of_entries(&needs),
        })
    }

    /// A process of which something can be asked: not a group, nor by one that is restricted too.
    fn asked(&self, pid: Option<i32>) -> Option<Pid> {
        let may_ask = !self.by_filter && !self.facts.restricted;
        pid.filter(|pid| *pid > 0 && may_ask).and_then(Pid::from_raw)
    }

    /// Whether it is opened, or made where it is not there, which was not looked for.
    fn may_make(&self, found: &Found) -> bool {
        !found.is_sought && matches!(&self.ask, Ask::Open(_, flags) if flags & libc::O_CREAT != 0)
    }

    fn of_file(&self, needs: &[Need], found: &Found) -> Said {
        let outside = self.outside(needs.iter());
        let mut rights: Vec<Access> = needs.iter().filter_map(Need::right).collect();
        if rights == [Access::EXECUTE] {
            rights = PROGRAM.to_vec();
        }
        if outside == Outside::Allowed && needs.iter().all(|need| matches!(need, Need::File(..))) {
            match self.lacking(&rights, found) {
                // By what, then, nobody says.
                lacking if lacking.is_empty() => {
                    return Said::new(joined(&rights), path(found), None, Outside::Unknown);
                }
                lacking => rights = lacking,
            }
        }
        let lacking = needs.iter().filter(|need| need.right().is_some_and(|right| rights.contains(&right)));
        Said::new(joined(&rights), path(found), keys(lacking), outside)
    }

    /// The program, or what runs it: of them it is the first that is refused. What runs it is read from what the sandbox may
    /// read alone.
    fn of_program(&self, program: &Rc<Found>) -> Said {
        /// Itself, four scripts that name one another, what runs the last, and its loader: more the kernel refuses.
        const MOST: usize = 7;
        let mut unsure = Vec::new();
        let mut next = Some(Rc::clone(program));
        for _ in 0..MOST {
            let Some(file) = next else { break };
            let need = Need::File(Access::EXECUTE, Rc::clone(&file));
            let outside = self.outside(std::iter::once(&need));
            let refuses = PROGRAM.map(|right| self.refuses(right, &file));
            match (outside, refuses) {
                (Outside::Allowed, [Some(false), Some(false)]) => {}
                // The kernel cannot be asked.
                (Outside::Allowed, [None, Some(false)]) => unsure.push(need),
                _ => {
                    let operation = joined(&self.lacking(&PROGRAM, &file));
                    let said = Said::new(operation, path(&file), keys(std::iter::once(&need)), outside);
                    let runs = !Rc::ptr_eq(&file, program);
                    return Said { note: runs.then(|| format!("it runs {}", text(&program.shown))), ..said };
                }
            }
            next = self.what_runs(&file);
        }
        let note = "which of them is refused cannot be asked before Linux 6.14".to_owned();
        let note = (!unsure.is_empty()).then_some(note);
        let (operation, grant) = (Access::EXECUTE.to_string(), keys(unsure.iter()));
        Said { note, ..Said::new(operation, path(program), grant, Outside::Unknown) }
    }

    fn what_runs(&self, file: &Found) -> Option<Rc<Found>> {
        let path = run_by(file)?;
        let found = self.find(&Named { directory: libc::AT_FDCWD, path: path.clone() }, false);
        // What it is named there is the same in other versions of the system.
        let shown = if Path::new(&path).is_absolute() { path.into() } else { found.shown.clone() };
        Some(Rc::new(Found { shown, ..found }))
    }

    /// The kernel asks for entries first, and for nothing else where they are refused.
    fn of_entries(&self, needs: &[Need]) -> Said {
        let mut rights: Vec<Access> = Vec::new();
        let mut named: Vec<&Found> = Vec::new();
        for need in needs {
            let (right, found) = match need {
                Need::Entry(right, found) => (Some(*right), &**found),
                Need::Linked(found) => (None, &**found),
                _ => continue,
            };
            rights.extend(right.filter(|right| !rights.contains(right)));
            if !named.iter().any(|known| std::ptr::eq(*known, found)) {
                named.push(found);
            }
        }
        let (object, mounts) = match named[..] {
            [from, to] => (Object::Paths(text(&from.shown), text(&to.shown)), [from.mount(), to.mount()]),
            _ => (named.first().map_or(Object::Nothing, |found| path(found)), [None; 2]),
        };
        let (outside, note) = match (self.errno, mounts) {
            (libc::EXDEV, [Some(one), Some(other)]) if one == other => (Outside::Allowed, None),
            (libc::EXDEV, [Some(_), Some(_)]) => {
                (Outside::Refused, Some("the two are on different mounts".to_owned()))
            }
            (libc::EXDEV, _) => (Outside::Unknown, None),
            _ => (self.outside(needs.iter().filter(|need| matches!(need, Need::Entry(..)))), None),
        };
        if self.errno == libc::EXDEV {
            rights = vec![Access::REFER];
        }
        Said { note, ..Said::new(joined(&rights), object, keys(needs.iter()), outside) }
    }

    /// Whether all of it would be allowed outside.
    fn outside<'a>(&self, needs: impl Iterator<Item = &'a Need>) -> Outside {
        // Of files Landlock never says so.
        if self.errno == libc::EPERM {
            return Outside::Refused;
        }
        let outside = needs.map(|need| match need {
            // File permissions know no such thing.
            Need::Entry(Access::REFER, _) => Outside::Allowed,
            Need::Entry(_, found) => found.may_change_entry().into(),
            Need::File(right, found) | Need::New(right, found) => match *right {
                Access::EXECUTE => {
                    (found.kind() == Some(FileType::RegularFile) && found.may(Mode::EXEC_OK)).into()
                }
                Access::IOCTL_DEV if self.facts.abi >= 5 => Outside::Allowed,
                Access::IOCTL_DEV => Outside::Unknown,
                Access::RESOLVE_UNIX if self.facts.abi < 9 => Outside::Unknown,
                Access::READ_FILE | Access::READ_DIR => opened(found, Mode::READ_OK),
                _ => opened(found, Mode::WRITE_OK),
            },
            _ => Outside::Unknown,
        });
        outside.max().unwrap_or(Outside::Unknown)
    }

    /// The rights that are refused inside, or may be.
    fn lacking(&self, rights: &[Access], found: &Found) -> Vec<Access> {
        let is_lacking = |right: &Access| self.refuses(*right, found) != Some(false);
        let lacking: Vec<Access> = rights.iter().copied().filter(is_lacking).collect();
        // It is not truncated that is not opened.
        match lacking.iter().any(|right| *right != Access::TRUNCATE) {
            true => lacking.into_iter().filter(|right| *right != Access::TRUNCATE).collect(),
            false => lacking,
        }
    }

    /// Whether it is refused inside, as far as that can be tried.
    fn refuses(&self, right: Access, found: &Found) -> Option<bool> {
        self.probe.filter(|_| !self.by_filter)?.refuses(right, found)
    }

    /// What may be said of a file that is not there, or is another for everybody.
    fn noted(&self, mut said: Said, found: &Found) -> Said {
        if found.is_in_proc() && of_a_process(&found.shown) && self.facts.placement == Placement::Process {
            said.note = Some("a worker's own directory in /proc has no name before the call".into());
            said.grant = Some("read = \"/proc\"".into());
        }
        said
    }

    fn port(&self, right: Option<NetAccess>, address: SocketAddr) -> Said {
        let object = Object::Address(address.to_string());
        let Some(right) = right else { return Said::new(self.name, object, None, Outside::Unknown) };
        let binds = matches!(right, NetAccess::BindTcp | NetAccess::BindUdp);
        let is_udp = matches!(right, NetAccess::BindUdp | NetAccess::ConnectSendUdp);
        let has = self.facts.abi >= right.least_abi();
        let grant = match is_udp && !has {
            true => "allow(udp)".to_owned(),
            false => format!("{} = {}", right.key(), address.port()),
        };
        let outside = match has {
            true if binds && is_privileged(address.port()) => Outside::Refused,
            // Filters of packets answer EPERM.
            true if self.errno != libc::EACCES => Outside::Unknown,
            true => Outside::Allowed,
            false => Outside::Unknown,
        };
        Said::new(right.name(), object, Some(grant), outside)
    }
}

/// What a program needs, and what runs it: they are opened too. The key `execute` grants both.
const PROGRAM: [Access; 2] = [Access::EXECUTE, Access::READ_FILE];

/// The arguments of the attribute that would grant it all; `None` where one is of a name that it cannot hold.
fn keys<'a>(needs: impl Iterator<Item = &'a Need>) -> Option<String> {
    let mut keys: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for need in needs {
        let Some((right, place)) = need.right().zip(need.place()) else { continue };
        let key = right.key().map_or_else(|| right.to_string(), str::to_owned);
        let place = place.to_str().filter(|_| place.is_absolute())?;
        let paths = keys.entry(key).or_default();
        if !paths.contains(&place) {
            paths.push(place);
        }
    }
    let keys = keys.into_iter().map(|(key, paths)| {
        let argument = match paths[..] {
            [path] => format!("{key} = {path:?}"),
            _ => format!("{key} = {paths:?}"),
        };
        let is_in_fs = Access::by_name(&key).is_some_and(|right| right.key().is_none());
        if is_in_fs { format!("fs({argument})") } else { argument }
    });
    Some(keys.collect::<Vec<_>>().join(", ")).filter(|keys| !keys.is_empty())
}

fn joined(rights: &[Access]) -> String {
    rights.iter().map(Access::to_string).collect::<Vec<_>>().join("+")
}

/// Whether it might be opened outside, asked in a way that has no effect and that Landlock does not look at.
fn opened(found: &Found, mode: Mode) -> Outside {
    if found.is_in_proc() && depends_on_who_asks(&found.shown) {
        return Outside::Unknown;
    }
    found.may(mode).into()
}

fn process(pid: Option<i32>) -> Object {
    pid.map_or(Object::Nothing, Object::Process)
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
    match found.shown.as_os_str().is_empty() {
        true => Object::Nothing,
        false => Object::Path(text(&found.shown)),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn keys_are_those_of_the_attribute() {
        let need = |right, path: &str| {
            let found = Found { shown: path.into(), file: Err(Errno::NOENT), parent: None, is_sought: true };
            Need::File(right, found.into())
        };
        for (needs, expected) in [
            (vec![need(Access::READ_FILE, "/a"), need(Access::READ_DIR, "/a")], "read = \"/a\""),
            (vec![need(Access::READ_FILE, "/a"), need(Access::READ_DIR, "/b")], "read = [\"/a\", \"/b\"]"),
            (
                vec![need(Access::WRITE_FILE, "/a"), need(Access::EXECUTE, "/b")],
                "execute = \"/b\", write = \"/a\"",
            ),
            (vec![need(Access::RESOLVE_UNIX, "/a")], "unix = \"/a\""),
            (vec![need(Access::IOCTL_DEV, "/dev/x")], "fs(ioctl_dev = \"/dev/x\")"),
        ] {
            assert_eq!(keys(needs.iter()).as_deref(), Some(expected));
        }
    }
}
