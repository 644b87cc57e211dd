//! Records joined to events, and what they say in the terms of [`Denial`](crate::Denial).

use super::records::{
    CWD, EOE, LANDLOCK_ACCESS, LANDLOCK_DOMAIN, PATH, Record, SECCOMP, SOCKADDR, SYSCALL, Stamp,
};
use super::{Event, Refused};
use crate::denial::{By, Object};
use crate::enforce::call_name;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Domains of which the process is remembered. One whose end was not recorded would be so for ever.
const DOMAINS: usize = 4096;

/// What is known so far.
#[derive(Default)]
pub(crate) struct Events {
    open: BTreeMap<Stamp, Open>,
    /// The process that took on a domain.
    processes: BTreeMap<u64, i32>,
}

/// An event that began with an access and has not ended.
#[derive(Default)]
struct Open {
    accesses: Vec<Access>,
    call: Option<Call>,
    /// Of a socket, as the call was given it.
    address: Option<Vec<u8>>,
    /// Inode and name of the files that the call named, and the directory that names begin at.
    files: Vec<(u64, Vec<u8>)>,
    directory: Option<Vec<u8>>,
}

/// `AUDIT_LANDLOCK_ACCESS`.
struct Access {
    domain: u64,
    operation: String,
    object: Object,
    /// Of an object of which there is only the last part of its name.
    inode: Option<u64>,
}

/// `AUDIT_SYSCALL`.
struct Call {
    name: String,
    pid: i32,
    exit: i64,
}

impl Events {
    /// Takes a record, by its type and text, and says what is complete with it. What cannot be read is left out.
    pub(crate) fn take(&mut self, kind: u16, text: &[u8]) -> Vec<Event> {
        let Some(record) = Record::parse(text) else { return Vec::new() };
        match kind {
            LANDLOCK_ACCESS => {
                if let Some(access) = Access::of(&record) {
                    self.open.entry(record.stamp).or_default().accesses.push(access);
                }
                Vec::new()
            }
            LANDLOCK_DOMAIN => self.domain(&record).unwrap_or_default(),
            SECCOMP => filtered(&record).map(Event::Refused).into_iter().collect(),
            EOE => self.open.remove(&record.stamp).map_or_else(Vec::new, |open| self.events_of(open)),
            _ => {
                if let Some(open) = self.open.get_mut(&record.stamp) {
                    open.add(kind, &record);
                }
                Vec::new()
            }
        }
    }

    /// The events that no record ends: without a call, or one that has not returned.
    pub(crate) fn rest(&mut self) -> Vec<Event> {
        let open = std::mem::take(&mut self.open);
        open.into_values().flat_map(|open| self.events_of(open)).collect()
    }

    fn domain(&mut self, record: &Record<'_>) -> Option<Vec<Event>> {
        let domain = record.field("domain")?.hexadecimal()?;
        match record.field("status")?.word()? {
            "allocated" => {
                self.processes.insert(domain, record.field("pid")?.number()?);
                if self.processes.len() > DOMAINS {
                    // Ids grow.
                    self.processes.pop_first();
                }
                None
            }
            "deallocated" => Some(self.ended(domain, record.field("denials")?.number()?)),
            _ => None,
        }
    }

    /// Nobody is in the domain any more, so what is open there has no call that could still end.
    fn ended(&mut self, domain: u64, denials: u64) -> Vec<Event> {
        let of_domain = |open: &Open| open.accesses.iter().all(|access| access.domain == domain);
        let (ended, open): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.open).into_iter().partition(|(_, open)| of_domain(open));
        self.open = open;
        let mut events: Vec<Event> = ended.into_values().flat_map(|open| self.events_of(open)).collect();
        self.processes.remove(&domain);
        events.push(Event::Ended { domain, denials });
        events
    }

    fn events_of(&self, open: Open) -> Vec<Event> {
        let Open { accesses, call, address, files, directory } = open;
        let named = |inode| {
            let (_, name) = files.iter().find(|(of, _)| *of == inode)?;
            Some(Object::Path(text(&path(directory.as_deref(), name))))
        };
        let of_access = |access: Access| {
            let object = match access.object {
                Object::Address(address_) if address_.starts_with('*') => {
                    Object::Address(address.as_deref().and_then(socket_address).unwrap_or(address_))
                }
                object => access.inode.and_then(named).unwrap_or(object),
            };
            let pid = call.as_ref().map(|call| call.pid);
            Refused {
                operation: access.operation,
                call: call.as_ref().map(|call| call.name.clone()),
                object,
                // A positive value is no error.
                errno: call.as_ref().and_then(|call| i32::try_from(call.exit.min(0).unsigned_abs()).ok()),
                by: By::Landlock,
                count: 1,
                pid: pid.or_else(|| self.processes.get(&access.domain).copied()),
                domain: Some(access.domain),
            }
        };
        let refused: Vec<Refused> = accesses.into_iter().map(of_access).collect();
        both_ends(refused).into_iter().map(Event::Refused).collect()
    }
}

impl Open {
    fn add(&mut self, kind: u16, record: &Record<'_>) {
        match kind {
            SYSCALL => self.call = self.call.take().or_else(|| Call::of(record)),
            SOCKADDR => self.address = record.field("saddr").and_then(|value| value.name()),
            CWD => self.directory = record.field("cwd").and_then(|value| value.name()),
            PATH => {
                let inode = record.field("inode").and_then(|value| value.number());
                let name = record.field("name").and_then(|value| value.name());
                self.files.extend(inode.zip(name));
            }
            _ => {}
        }
    }
}

impl Call {
    fn of(record: &Record<'_>) -> Option<Call> {
        Some(Call {
            name: name_of_call(record)?,
            pid: record.field("pid")?.number()?,
            exit: record.field("exit")?.number()?,
        })
    }
}

fn name_of_call(record: &Record<'_>) -> Option<String> {
    let arch = u32::try_from(record.field("arch")?.hexadecimal()?).ok()?;
    let number = record.field("syscall")?.number()?;
    Some(call_name(arch, number).map_or_else(|| number.to_string(), str::to_owned))
}

impl Access {
    fn of(record: &Record<'_>) -> Option<Access> {
        let blockers = record.field("blockers")?.word()?;
        Some(Access {
            domain: record.field("domain")?.hexadecimal()?,
            operation: operation(blockers)?,
            object: object(record, blockers),
            inode: record.field("name").and(record.field("ino")).and_then(|value| value.number()),
        })
    }
}

// Input: `fs.execute,fs.read_file`
// Output: `execute+read_file`
fn operation(blockers: &str) -> Option<String> {
    let name = |blocker: &'_ str| {
        let (_, name) = blocker.rsplit_once('.').unwrap_or(("", blocker));
        let is_kernels = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        (!name.is_empty() && name.bytes().all(is_kernels)).then(|| name.to_owned())
    };
    Some(blockers.split(',').map(name).collect::<Option<Vec<_>>>()?.join("+"))
}

fn object(record: &Record<'_>, blockers: &str) -> Object {
    let name = |field: &str| record.field(field).and_then(|value| value.name());
    if blockers.starts_with("net.") {
        return Object::Address(address(record));
    }
    if let Some(pid) = record.field("opid").and_then(|value| value.number()) {
        return Object::Process(pid);
    }
    match name("path").or_else(|| name("name")) {
        Some(path) => match path.strip_prefix(b"\0") {
            Some(name) => Object::Address(format!("@{}", text(name))),
            None => Object::Path(text(&path)),
        },
        None => Object::Nothing,
    }
}

/// Of a bound or a connected socket. The kernel writes neither an address nor a port that is 0.
fn address(record: &Record<'_>) -> String {
    let word = |field: &str| record.field(field).and_then(|value| value.word());
    let port: u16 = word("src").or(word("dest")).and_then(|port| port.parse().ok()).unwrap_or(0);
    let address: Option<IpAddr> = word("saddr").or(word("daddr")).and_then(|address| address.parse().ok());
    address.map_or_else(|| format!("*:{port}"), |address| SocketAddr::new(address, port).to_string())
}

/// `struct sockaddr_in` or `sockaddr_in6`.
fn socket_address(bytes: &[u8]) -> Option<String> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    let address: IpAddr = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::from(*bytes.get(4..)?.first_chunk::<4>()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(address, port).to_string())
}

/// `AUDIT_SECCOMP`; `None` where the call was not refused but logged, traced or handed to a supervisor.
fn filtered(record: &Record<'_>) -> Option<Refused> {
    const REFUSALS: [u32; 4] = [
        libc::SECCOMP_RET_KILL_PROCESS,
        libc::SECCOMP_RET_KILL_THREAD,
        libc::SECCOMP_RET_TRAP,
        libc::SECCOMP_RET_ERRNO,
    ];
    let code = record.field("code")?.word()?.strip_prefix("0x")?;
    u32::from_str_radix(code, 16).ok().filter(|code| REFUSALS.contains(code))?;
    let call = name_of_call(record)?;
    Some(Refused {
        operation: call.clone(),
        call: Some(call),
        object: Object::Nothing,
        errno: None,
        by: By::Filter,
        count: 1,
        pid: record.field("pid")?.number(),
        domain: None,
    })
}

/// A rename or a link is one refusal, though its two directories have a record each.
fn both_ends(refused: Vec<Refused>) -> Vec<Refused> {
    let is_of_two = |one: &Refused| {
        one.call.as_ref().is_some_and(|call| call.starts_with("rename") || call.starts_with("link"))
    };
    match &refused[..] {
        [from, to] if is_of_two(from) && from.domain == to.domain => match (&from.object, &to.object) {
            (Object::Path(a), Object::Path(b)) => {
                let mut names: Vec<&str> = from.operation.split('+').collect();
                names.extend(
                    to.operation.split('+').filter(|name| !from.operation.split('+').any(|has| has == *name)),
                );
                let object = Object::Paths(a.clone(), b.clone());
                vec![Refused { operation: names.join("+"), object, ..from.clone() }]
            }
            _ => refused,
        },
        _ => refused,
    }
}

fn path(directory: Option<&[u8]>, name: &[u8]) -> Vec<u8> {
    match directory {
        Some(directory) if !name.starts_with(b"/") => [directory, b"/", name].concat(),
        _ => name.to_owned(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<Event> {
        let mut events = Events::default();
        let mut found: Vec<Event> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (kind, body) = line.split_once(' ').unwrap();
            found.extend(events.take(kind.parse().unwrap(), body.as_bytes()));
        }
        found.extend(events.rest());
        found
    }

    fn shown(event: &Event) -> String {
        match event {
            Event::Refused(Refused { operation, call, object, errno, by, pid, domain, .. }) => format!(
                "{operation} | {} | {object} | {} | {by} | {} | {}",
                call.as_deref().unwrap_or("-"),
                errno.map_or("-".into(), |errno| errno.to_string()),
                pid.map_or("-".into(), |pid| pid.to_string()),
                domain.map_or("-".into(), |domain| format!("{domain:x}")),
            ),
            Event::Ended { domain, denials } => format!("ended | {domain:x} | {denials}"),
        }
    }

    /// Records of 6.18, and what they say.
    #[test]
    fn captured_records() {
        let found: Vec<String> = events(include_str!("captured.txt")).iter().map(shown).collect();
        assert_eq!(
            found,
            [
                // Of a process that began before auditing was switched on.
                "read_file | - | /etc/passwd | - | Landlock | 21722 | 17b5c4ea0",
                "ended | 17b5c4ea0 | 1",
                "read_file | openat | /etc/passwd | 13 | Landlock | 21723 | 17b5c4ea7",
                "write_file | openat | \"/tmp/aud/d d/x\" | 13 | Landlock | 21723 | 17b5c4ea7",
                "make_dir | mkdir | /tmp/aud | 13 | Landlock | 21723 | 17b5c4ea7",
                "remove_file+refer+make_reg | rename | /tmp/aud to \"/tmp/aud/d d\" | 13 | Landlock | 21723 | 17b5c4ea7",
                "refer | link | /tmp/aud to \"/tmp/aud/d d\" | 18 | Landlock | 22477 | 17b5c4eb2",
                "signal | kill | process 21680 | 1 | Landlock | 21723 | 17b5c4ea7",
                "execute+read_file | execve | /usr/bin/true | 13 | Landlock | 21723 | 17b5c4ea7",
                "bind_tcp | bind | 127.0.0.1:0 | 13 | Landlock | 21723 | 17b5c4ea7",
                "connect_tcp | connect | [::1]:9 | 13 | Landlock | 21723 | 17b5c4ea7",
                "bind_tcp | bind | 0.0.0.0:8080 | 13 | Landlock | 22477 | 17b5c4eb2",
                "bind_tcp | bind | [::]:8080 | 13 | Landlock | 22477 | 17b5c4eb2",
                "abstract_unix_socket | connect | \"@abs x\" | 1 | Landlock | 21723 | 17b5c4ea7",
                "ptrace | ptrace | process 21680 | 1 | Landlock | 21723 | 17b5c4ea7",
                "chdir | chdir |  | - | the sandbox's filter | 22477 | -",
                "1073742344 | 1073742344 |  | - | the sandbox's filter | 6617 | -",
            ]
        );
    }

    /// A domain's process ended before the records of its refusals are read to their end.
    #[test]
    fn a_call_that_has_not_returned_is_told_without_it() {
        let text = "1423 audit(1.1:1): domain=a blockers=fs.read_file path=\"/a\"\n";
        let [Event::Refused(refused)] = &events(text)[..] else { panic!() };
        assert_eq!((refused.pid, &refused.call, refused.errno), (None, &None, None));
        let denial = refused.denial("f", "a.rs:1:1");
        assert_eq!((denial.errno, denial.note.is_some()), (libc::EACCES, true));
    }

    #[test]
    fn what_only_ends_in_a_name_is_completed_by_the_files_of_the_call() {
        let text = "1423 audit(1.1:1): domain=a blockers=fs.change_topology name=\"mnt\" dev=\"vda\" ino=7\n\
                    1300 audit(1.1:1): arch=c000003e syscall=166 success=yes exit=0 pid=3\n\
                    1307 audit(1.1:1): cwd=\"/srv\"\n\
                    1302 audit(1.1:1): item=0 name=\"sub/mnt\" inode=7\n\
                    1320 audit(1.1:1): ";
        let found: Vec<String> = events(text).iter().map(shown).collect();
        assert_eq!(found, ["change_topology | umount2 | /srv/sub/mnt | 0 | Landlock | 3 | a"]);
    }

    #[test]
    fn only_the_kernels_words_are_operations() {
        for (blockers, expected) in [
            ("fs.read_file", Some("read_file")),
            ("fs.execute,fs.read_file", Some("execute+read_file")),
            ("ptrace", Some("ptrace")),
            ("", None),
            ("fs.", None),
            ("fs.execute,", None),
            ("fs.read file", None),
            ("\x1b[2J", None),
        ] {
            assert_eq!(operation(blockers).as_deref(), expected, "{blockers}");
        }
    }
}
