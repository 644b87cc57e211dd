//! What a call needs: rights of Landlock's, each on a file, a directory, a port or a process; and what it asks for beside
//! them, which only a filter refuses. Who refused it, which grants it used and what is to be learned from it all begin
//! here.
//!
//! Things are taken as the call finds them: before it is made, or after it has failed and so changed nothing.

use super::call::{Address, Ask};
use super::path::{Found, Named};
use crate::policy::{Access, NetAccess};
use crate::sys::process::process_of;
use rustix::fs::FileType;
use rustix::process::{Pid, PidfdFlags};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

/// One of them. A right is a single one.
#[derive(Debug)]
pub(super) enum Need {
    /// On what a path leads to.
    File(Access, Rc<Found>),
    /// On a file that comes to be as it is opened, and so has its grants from its directory.
    New(Access, Rc<Found>),
    /// On the directory that has the entry.
    Entry(Access, Rc<Found>),
    /// What a link leads to: it takes no right.
    Linked(Rc<Found>),
    /// `None` for sockets of which Landlock knows no ports.
    Port(Option<NetAccess>, SocketAddr),
    /// A name of an abstract socket.
    Abstract(String),
    /// See [`Ask::Signal`].
    Signal(Option<i32>),
    /// See [`Ask::Trace`].
    Trace(Option<i32>),
    Look(Rc<Found>),
    Metadata(Rc<Found>),
    /// Of what is no device.
    Ioctl(u32, Rc<Found>),
    /// See [`Ask::Unread`].
    Unread(String),
    /// See [`Ask::Other`].
    Other(String),
}

impl Need {
    pub(super) fn right(&self) -> Option<Access> {
        match self {
            Need::File(right, _) | Need::New(right, _) | Need::Entry(right, _) => Some(*right),
            _ => None,
        }
    }

    /// Where what grants it is.
    pub(super) fn place(&self) -> Option<&Path> {
        match self {
            Need::File(_, found) | Need::Look(found) | Need::Metadata(found) => Some(&found.shown),
            Need::New(_, found) => Some(found.home()),
            Need::Entry(_, found) => Some(found.place()),
            _ => None,
        }
    }

    /// What would have to be there, and is not.
    pub(super) fn missing(&self) -> Option<&Path> {
        match self {
            Need::File(_, found)
            | Need::Look(found)
            | Need::Metadata(found)
            | Need::Linked(found)
            | Need::Entry(Access::REMOVE_FILE | Access::REMOVE_DIR, found) => {
                found.is_missing().then_some(&found.shown)
            }
            Need::Entry(Access::REFER, _) => None,
            // What is made needs its directory alone.
            Need::New(_, found) | Need::Entry(_, found) => {
                (found.is_missing() && found.parent.is_none()).then(|| found.place())
            }
            _ => None,
        }
    }
}

/// What a call needs, in the order in which the kernel asks for it. `find` says where a path leads to, without the last link
/// if that is wanted.
pub(super) fn needs(thread: Pid, ask: &Ask, find: impl Fn(&Named, bool) -> Found) -> Vec<Need> {
    let whole = |named: &Named| Rc::new(find(named, false));
    let bare = |named: &Named| Rc::new(find(named, true));
    match ask {
        Ask::Open(named, flags) => {
            let found = if flags & libc::O_NOFOLLOW != 0 { bare(named) } else { whole(named) };
            opening(&found, *flags)
        }
        Ask::Execute(named) => vec![Need::File(Access::EXECUTE, whole(named))],
        Ask::Make(named, right) | Ask::Remove(named, right) => vec![Need::Entry(*right, bare(named))],
        Ask::Move { from, to, link } => moving(&bare(from), &bare(to), *link),
        Ask::Truncate(named) => vec![Need::File(Access::TRUNCATE, whole(named))],
        Ask::Look(named) => vec![Need::Look(whole(named))],
        Ask::Metadata(named) => vec![Need::Metadata(whole(named))],
        Ask::Ioctl(fd, request) => {
            let found = whole(&Named::open(*fd));
            match found.kind() {
                Some(FileType::CharacterDevice | FileType::BlockDevice) => {
                    vec![Need::File(Access::IOCTL_DEV, found)]
                }
                _ => vec![Need::Ioctl(*request, found)],
            }
        }
        Ask::Bind(_, Address::Path(named)) => vec![Need::Entry(Access::MAKE_SOCK, bare(named))],
        Ask::Connect(_, Address::Path(named)) | Ask::Send(_, Address::Path(named)) => {
            vec![Need::File(Access::RESOLVE_UNIX, whole(named))]
        }
        Ask::Bind(fd, Address::Ip(address)) => vec![Need::Port(port_right(thread, *fd, true), *address)],
        Ask::Connect(fd, Address::Ip(address)) | Ask::Send(fd, Address::Ip(address)) => {
            vec![Need::Port(port_right(thread, *fd, false), *address)]
        }
        Ask::Bind(_, Address::Abstract(name))
        | Ask::Connect(_, Address::Abstract(name))
        | Ask::Send(_, Address::Abstract(name)) => {
            vec![Need::Abstract(format!("@{}", String::from_utf8_lossy(name)))]
        }
        Ask::Bind(_, Address::Other) | Ask::Connect(_, Address::Other) | Ask::Send(_, Address::Other) => {
            Vec::new()
        }
        Ask::Signal(process) => vec![Need::Signal(*process)],
        Ask::Trace(process) => vec![Need::Trace(*process)],
        Ask::Unread(call) => vec![Need::Unread(call.clone())],
        Ask::Other(text) => vec![Need::Other(text.clone())],
    }
}

fn opening(found: &Rc<Found>, flags: i32) -> Vec<Need> {
    let found = || Rc::clone(found);
    // Landlock looks at it when more than the name is opened.
    if flags & libc::O_PATH != 0 {
        return vec![Need::Look(found())];
    }
    let is_there = found().is_there();
    let (reads, writes) = match flags & libc::O_ACCMODE {
        libc::O_RDONLY => (true, false),
        libc::O_WRONLY => (false, true),
        _ => (true, true),
    };
    let is_nameless = flags & libc::O_TMPFILE == libc::O_TMPFILE;
    let is_directory = found().kind() == Some(FileType::Directory) || flags & libc::O_DIRECTORY != 0;
    // What was not looked for may be there.
    let may_be_there = !found().is_sought && flags & libc::O_EXCL == 0;
    let is_made = flags & libc::O_CREAT != 0 && !is_there && !may_be_there;
    let on = if is_made || (is_nameless && is_there) { Need::New } else { Need::File };
    let read = if is_directory && !is_nameless { Access::READ_DIR } else { Access::READ_FILE };
    [
        is_made.then(|| Need::Entry(Access::MAKE_REG, found())),
        reads.then(|| on(read, found())),
        writes.then(|| on(Access::WRITE_FILE, found())),
        (flags & libc::O_TRUNC != 0 && is_there).then(|| on(Access::TRUNCATE, found())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn moving(from: &Rc<Found>, to: &Rc<Found>, link: bool) -> Vec<Need> {
    let refers = (from.place() != to.place()).then_some(Access::REFER);
    let (removed, made) = match from.kind() {
        Some(FileType::Directory) => (Access::REMOVE_DIR, Access::MAKE_DIR),
        Some(FileType::Symlink) => (Access::REMOVE_FILE, Access::MAKE_SYM),
        Some(FileType::Fifo) => (Access::REMOVE_FILE, Access::MAKE_FIFO),
        Some(FileType::Socket) => (Access::REMOVE_FILE, Access::MAKE_SOCK),
        Some(FileType::CharacterDevice) => (Access::REMOVE_FILE, Access::MAKE_CHAR),
        Some(FileType::BlockDevice) => (Access::REMOVE_FILE, Access::MAKE_BLOCK),
        _ => (Access::REMOVE_FILE, Access::MAKE_REG),
    };
    let entry = |right, found: &Rc<Found>| Need::Entry(right, Rc::clone(found));
    let old = if link { Need::Linked(Rc::clone(from)) } else { entry(removed, from) };
    let refer = |found| refers.map(|right| entry(right, found));
    [Some(old), refer(from), Some(entry(made, to)), refer(to)].into_iter().flatten().collect()
}

fn port_right(thread: Pid, fd: i32, binds: bool) -> Option<NetAccess> {
    match (socket_type(thread, fd)?, binds) {
        (libc::SOCK_STREAM, true) => Some(NetAccess::BindTcp),
        (libc::SOCK_STREAM, false) => Some(NetAccess::ConnectTcp),
        (libc::SOCK_DGRAM, true) => Some(NetAccess::BindUdp),
        (libc::SOCK_DGRAM, false) => Some(NetAccess::ConnectSendUdp),
        _ => None,
    }
}

fn socket_type(thread: Pid, fd: i32) -> Option<i32> {
    // The observed may say any number, and rustix asserts that it is one.
    let group = process_of(thread).filter(|_| fd >= 0)?;
    let process = rustix::process::pidfd_open(Pid::from_raw(group)?, PidfdFlags::empty()).ok()?;
    let socket =
        rustix::process::pidfd_getfd(&process, fd, rustix::process::PidfdGetfdFlags::empty()).ok()?;
    let kind = rustix::net::sockopt::socket_type(&socket).ok()?;
    i32::try_from(kind.as_raw()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rights and the names of places, as this process would call.
    fn said(ask: &Ask, find: impl Fn(&Named, bool) -> Found) -> Vec<String> {
        let needs = needs(rustix::process::getpid(), ask, find);
        let said = needs.iter().filter_map(|need| {
            let place = need.place()?.file_name()?.display();
            let kind = match need {
                Need::New(..) => "new ",
                Need::Entry(..) => "in ",
                _ => "",
            };
            Some(format!("{kind}{} {place}", need.right()?))
        });
        said.collect()
    }

    #[test]
    fn what_an_open_needs_depends_on_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("at");
        std::fs::create_dir(&at).unwrap();
        std::fs::write(at.join("file"), "").unwrap();
        let this = rustix::process::getpid();
        let find = |named: &Named, bare| named.find(this, bare);
        let open = |path: &Path, flags| {
            let ask = Ask::Open(Named { directory: libc::AT_FDCWD, path: path.into() }, flags);
            (said(&ask, find), said(&ask, |named, _| named.written(this)))
        };
        let (file, new) = (at.join("file"), at.join("new"));
        let rows: [(&Path, i32, &[&str], &[&str]); 8] = [
            (&file, libc::O_RDONLY, &["read_file file"], &["read_file file"]),
            (
                &file,
                libc::O_RDWR | libc::O_TRUNC,
                &["read_file file", "write_file file", "truncate file"],
                &["read_file file", "write_file file"],
            ),
            (&file, libc::O_WRONLY | libc::O_CREAT, &["write_file file"], &["write_file file"]),
            (
                &new,
                libc::O_WRONLY | libc::O_CREAT,
                &["in make_reg at", "new write_file at"],
                &["write_file new"],
            ),
            (
                &new,
                libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC,
                &["in make_reg at", "new read_file at", "new write_file at"],
                &["in make_reg at", "new read_file at", "new write_file at"],
            ),
            (&new, libc::O_RDONLY, &["read_file new"], &["read_file new"]),
            (&at, libc::O_RDONLY | libc::O_DIRECTORY, &["read_dir at"], &["read_dir at"]),
            (&at, libc::O_WRONLY | libc::O_TMPFILE, &["new write_file at"], &["write_file at"]),
        ];
        for (path, flags, sought, written) in rows {
            let (found, unsought) = open(path, flags);
            assert_eq!(found, sought, "{path:?} {flags:#o}");
            assert_eq!(unsought, written, "{path:?} {flags:#o}");
        }
    }

    #[test]
    fn what_is_moved_is_removed_here_and_made_there() {
        let directory = tempfile::tempdir().unwrap();
        let [here, there] = ["here", "there"].map(|name| directory.path().join(name));
        for at in [&here, &there] {
            std::fs::create_dir(at).unwrap();
        }
        std::fs::write(here.join("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", here.join("link")).unwrap();
        let named = |path: &Path| Named { directory: libc::AT_FDCWD, path: path.into() };
        let this = rustix::process::getpid();
        let moved = |from: &Path, to: &Path, link| {
            let ask = Ask::Move { from: named(from), to: named(to), link };
            said(&ask, |named, bare| named.find(this, bare))
        };
        let (file, link) = (here.join("file"), here.join("link"));
        assert_eq!(moved(&file, &here.join("x"), false), ["in remove_file here", "in make_reg here"]);
        assert_eq!(moved(&file, &here.join("x"), true), ["in make_reg here"]);
        assert_eq!(
            moved(&link, &there.join("x"), false),
            ["in remove_file here", "in refer here", "in make_sym there", "in refer there"]
        );
        assert_eq!(
            moved(&here, &there.join("x"), false)[0],
            format!("in remove_dir {}", directory.path().file_name().unwrap().display())
        );
        assert_eq!(
            moved(&file, &there.join("x"), true),
            ["in refer here", "in make_reg there", "in refer there"]
        );
    }

    #[test]
    fn a_port_is_of_its_sockets_kind() {
        use std::os::fd::AsRawFd;
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let this = rustix::process::getpid();
        let right = |ask: Ask| match &needs(this, &ask, |named, bare| named.find(this, bare))[..] {
            [Need::Port(right, of)] if *of == address => *right,
            other => panic!("{other:?}"),
        };
        let ip = || Address::Ip(address);
        assert_eq!(right(Ask::Bind(tcp.as_raw_fd(), ip())), Some(NetAccess::BindTcp));
        assert_eq!(right(Ask::Connect(tcp.as_raw_fd(), ip())), Some(NetAccess::ConnectTcp));
        assert_eq!(right(Ask::Bind(udp.as_raw_fd(), ip())), Some(NetAccess::BindUdp));
        assert_eq!(right(Ask::Send(udp.as_raw_fd(), ip())), Some(NetAccess::ConnectSendUdp));
        assert_eq!(right(Ask::Bind(-1, ip())), None);
    }
}
