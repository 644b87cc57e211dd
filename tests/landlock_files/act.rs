//! What a row does inside a sandbox, as data that crosses into a worker, and what does it: each act gives 0 or the
//! errno of the call that failed.

use crate::mounts::Mounting;
use crate::raw;
use rustix::fs::{AtFlags, CWD, FileType, MemfdFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A name of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Place {
    /// Below the layout's directory, or anywhere if absolute.
    Path(String),
    /// Below a directory that was opened outside, by its number in the layout's `given`.
    Below(usize, String),
    /// Below the working directory.
    Here(String),
}

impl From<&str> for Place {
    fn from(path: &str) -> Place {
        Place::Path(path.to_owned())
    }
}

impl From<String> for Place {
    fn from(path: String) -> Place {
        Place::Path(path)
    }
}

/// Where a descriptor comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Source {
    Open(Place, u32),
    /// Opened outside, handed over.
    Given(usize),
    /// Opened again through `/proc/self/fd`.
    Reopened(Box<Source>, u32),
    /// Opened; then its name is removed.
    Unlinked(Place, u32),
    /// A memory file.
    Memory,
    PipeReader,
    PipeWriter,
    /// One of a connected pair.
    Socket,
}

/// What is done with a descriptor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Use {
    Nothing,
    /// Its text is this; `EBADMSG` where it is another.
    Read(String),
    Write,
    Truncate,
    /// With a zeroed buffer as the argument.
    Ioctl(u64),
    /// Gives it a name.
    Link(Place),
    Execute,
    Stat,
    List,
    Chmod,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Reg,
    Dir,
    Fifo,
    Sock,
    Char,
    Block,
    Sym,
    /// A character device of number 0, which an overlay takes for a removed file.
    Whiteout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link {
    Stream,
    Seqpacket,
    /// Connected, then sent over.
    Datagram,
    /// Sent to by name.
    DatagramTo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    Mode,
    Owner,
    Times,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Act {
    On(Source, Use),
    Make(Place, Kind),
    Unlink(Place),
    Rmdir(Place),
    Rename(Place, Place, u32),
    Link(Place, Place),
    Truncate(Place),
    Execute(Place),
    Stat(Place),
    Readlink(Place),
    Change(Place, Change),
    /// Only in a process of its own.
    Chdir(Place),
    /// Only in a process of its own.
    Chroot(Place),
    Connect(Place, Link),
    /// Binds a datagram socket, and sends to it. (The filter refuses `listen(2)`.)
    Serve(Place),
    Mount(Mounting),
}

impl Act {
    /// Whether it names a file by a path. (Sockets are refused as such.)
    pub fn names_a_path(&self) -> bool {
        match self {
            Act::On(source, what) => source.names_a_path() || matches!(what, Use::Link(_)),
            Act::Connect(..) | Act::Serve(_) | Act::Mount(_) => false,
            _ => true,
        }
    }
}

impl Source {
    pub fn is_opened_for_writing(&self) -> bool {
        match self {
            Source::Open(_, flags) | Source::Reopened(_, flags) | Source::Unlinked(_, flags) => {
                [OFlags::WRONLY, OFlags::RDWR].map(|flag| flag.bits()).contains(&(flags & 3))
            }
            _ => false,
        }
    }

    fn names_a_path(&self) -> bool {
        matches!(self, Source::Open(..) | Source::Reopened(..) | Source::Unlinked(..))
    }
}

/// What acts refer to.
pub struct Room<'a> {
    pub dir: &'a Path,
    pub given: &'a [File],
}

/// A descriptor, and what must stay open for it to be of use.
struct Held(OwnedFd, #[allow(dead_code)] Vec<OwnedFd>);

impl Held {
    fn alone(fd: impl Into<OwnedFd>) -> Held {
        Held(fd.into(), Vec::new())
    }

    fn link(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}

impl Place {
    fn at<'a>(&self, room: &Room<'a>) -> (BorrowedFd<'a>, PathBuf) {
        match self {
            Place::Path(path) => (CWD, room.dir.join(path)),
            Place::Here(path) => (CWD, path.into()),
            Place::Below(given, path) => (room.given[*given].as_fd(), path.into()),
        }
    }

    /// For calls that take no directory's descriptor.
    fn path(&self, room: &Room<'_>) -> PathBuf {
        let (_, path) = self.at(room);
        path
    }

    fn open(&self, room: &Room<'_>, flags: u32) -> Result<OwnedFd, Errno> {
        let (dir, path) = self.at(room);
        let flags = OFlags::from_bits_retain(flags) | OFlags::CLOEXEC;
        rustix::fs::openat(dir, path, flags, Mode::RUSR | Mode::WUSR)
    }
}

impl Source {
    fn get(&self, room: &Room<'_>) -> Result<Held, Errno> {
        Ok(match self {
            Source::Open(place, flags) => Held::alone(place.open(room, *flags)?),
            Source::Given(number) => Held::alone(room.given[*number].try_clone().map_err(errno_of)?),
            Source::Reopened(source, flags) => {
                let first = source.get(room)?;
                let again = Place::Here(first.link()).open(room, *flags)?;
                let mut behind = first.1;
                behind.push(first.0);
                Held(again, behind)
            }
            Source::Unlinked(place, flags) => {
                let fd = place.open(room, *flags)?;
                let (dir, path) = place.at(room);
                rustix::fs::unlinkat(dir, path, AtFlags::empty())?;
                Held::alone(fd)
            }
            Source::Memory => {
                let memory = rustix::fs::memfd_create("memory", MemfdFlags::CLOEXEC)?;
                rustix::io::write(&memory, b"plain text")?;
                Held::alone(memory)
            }
            Source::PipeReader => {
                let (reader, writer) = rustix::pipe::pipe()?;
                Held(reader, vec![writer])
            }
            Source::PipeWriter => {
                let (reader, writer) = rustix::pipe::pipe()?;
                Held(writer, vec![reader])
            }
            Source::Socket => {
                let (kind, flags) = (SocketType::STREAM, SocketFlags::CLOEXEC);
                let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None)?;
                Held(one, vec![other])
            }
        })
    }
}

impl Use {
    fn of(&self, held: &Held, room: &Room<'_>) -> Result<(), Errno> {
        let fd = held.0.as_fd();
        match self {
            Use::Nothing => Ok(()),
            Use::Read(expected) => {
                let mut text = vec![0; expected.len() + 1];
                let length = rustix::io::read(fd, &mut text)?;
                if text[..length] == *expected.as_bytes() { Ok(()) } else { Err(Errno::BADMSG) }
            }
            Use::Write => rustix::io::write(fd, b"x").map(drop),
            Use::Truncate => rustix::fs::ftruncate(fd, 1),
            Use::Ioctl(request) => {
                let buffer = [0u8; 4096];
                let arguments = [fd.as_raw_fd().into(), (*request).into(), buffer.as_slice().into()];
                raw::syscall(libc::SYS_ioctl, arguments).map(drop).map_err(errno_of)
            }
            Use::Link(to) => {
                let (dir, path) = to.at(room);
                rustix::fs::linkat(CWD, held.link(), dir, path, AtFlags::SYMLINK_FOLLOW)
            }
            Use::Execute => {
                let how = libc::AT_EMPTY_PATH.into();
                let arguments = [fd.as_raw_fd().into(), "".into(), 0.into(), 0.into(), how];
                raw::syscall(libc::SYS_execveat, arguments).map(drop).map_err(errno_of)
            }
            Use::Stat => rustix::fs::fstat(fd).map(drop),
            Use::List => {
                let mut buffer = [std::mem::MaybeUninit::<u8>::uninit(); 1024];
                let mut entries = rustix::fs::RawDir::new(fd, &mut buffer);
                entries.next().map_or(Ok(()), |entry| entry.map(drop))
            }
            Use::Chmod => rustix::fs::fchmod(fd, Mode::RUSR | Mode::WUSR),
        }
    }
}

impl Act {
    /// 0, or the errno.
    pub fn attempt(&self, room: &Room<'_>) -> i32 {
        self.run(room).map_or_else(Errno::raw_os_error, |()| 0)
    }

    fn run(&self, room: &Room<'_>) -> Result<(), Errno> {
        match self {
            Act::On(source, what) => what.of(&source.get(room)?, room),
            Act::Make(place, kind) => make_node(place.at(room), *kind),
            Act::Unlink(place) => {
                let (dir, path) = place.at(room);
                rustix::fs::unlinkat(dir, path, AtFlags::empty())
            }
            Act::Rmdir(place) => {
                let (dir, path) = place.at(room);
                rustix::fs::unlinkat(dir, path, AtFlags::REMOVEDIR)
            }
            Act::Rename(from, to, flags) => {
                let ((from_dir, from), (to_dir, to)) = (from.at(room), to.at(room));
                rustix::fs::renameat_with(from_dir, from, to_dir, to, RenameFlags::from_bits_retain(*flags))
            }
            Act::Link(from, to) => {
                let ((from_dir, from), (to_dir, to)) = (from.at(room), to.at(room));
                rustix::fs::linkat(from_dir, from, to_dir, to, AtFlags::empty())
            }
            Act::Truncate(place) => raw::truncate(&place.path(room), 1).map(drop).map_err(errno_of),
            Act::Execute(place) => execute(&place.path(room)),
            Act::Stat(place) => {
                let (dir, path) = place.at(room);
                rustix::fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW).map(drop)
            }
            Act::Readlink(place) => {
                let (dir, path) = place.at(room);
                rustix::fs::readlinkat(dir, path, Vec::new()).map(drop)
            }
            Act::Change(place, change) => change_metadata(place.at(room), *change),
            Act::Chdir(place) => rustix::process::chdir(place.path(room)),
            Act::Chroot(place) => rustix::process::chroot(place.path(room)),
            Act::Connect(place, link) => connect(&place.path(room), *link),
            Act::Serve(place) => serve(&place.path(room)),
            Act::Mount(mounting) => mounting.run(room.dir).map_err(errno_of),
        }
    }
}

pub fn attempt_all(acts: &[Act], room: &Room<'_>) -> Vec<i32> {
    acts.iter().map(|act| act.attempt(room)).collect()
}

fn errno_of(error: io::Error) -> Errno {
    Errno::from_io_error(&error).expect("an errno")
}

fn make_node((dir, path): (BorrowedFd<'_>, PathBuf), kind: Kind) -> Result<(), Errno> {
    let node = |kind, device| rustix::fs::mknodat(dir, &path, kind, Mode::RUSR | Mode::WUSR, device);
    // The null device, and for a block device a number that nobody opens.
    let number = rustix::fs::makedev(1, 3);
    match kind {
        Kind::Reg => node(FileType::RegularFile, 0),
        Kind::Fifo => node(FileType::Fifo, 0),
        Kind::Sock => node(FileType::Socket, 0),
        Kind::Char => node(FileType::CharacterDevice, number),
        Kind::Block => node(FileType::BlockDevice, number),
        Kind::Whiteout => node(FileType::CharacterDevice, 0),
        Kind::Dir => rustix::fs::mkdirat(dir, &path, Mode::RWXU),
        Kind::Sym => rustix::fs::symlinkat("f", dir, &path),
    }
}

/// Starts a program in a process of its own: while one thread executes, the kernel lets no other start threads.
fn execute(program: &Path) -> Result<(), Errno> {
    loop {
        match Command::new(program).status() {
            // A case beside this one has just forked, and its child holds the file as it was written here.
            Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) => std::thread::yield_now(),
            done => return done.map(drop).map_err(errno_of),
        }
    }
}

fn change_metadata((dir, path): (BorrowedFd<'_>, PathBuf), change: Change) -> Result<(), Errno> {
    match change {
        Change::Mode => rustix::fs::chmodat(dir, path, Mode::RUSR | Mode::WUSR, AtFlags::empty()),
        Change::Owner => rustix::fs::chownat(dir, path, None, None, AtFlags::empty()),
        Change::Times => {
            let now = rustix::fs::Timespec { tv_sec: 1, tv_nsec: 0 };
            let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
            rustix::fs::utimensat(dir, path, &times, AtFlags::empty())
        }
    }
}

fn socket(kind: SocketType) -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
}

fn connect(path: &Path, link: Link) -> Result<(), Errno> {
    let address = SocketAddrUnix::new(path)?;
    match link {
        Link::Stream => rustix::net::connect(socket(SocketType::STREAM)?, &address),
        Link::Seqpacket => rustix::net::connect(socket(SocketType::SEQPACKET)?, &address),
        Link::Datagram => {
            let socket = socket(SocketType::DGRAM)?;
            rustix::net::connect(&socket, &address)?;
            rustix::net::send(&socket, b"x", SendFlags::empty()).map(drop)
        }
        Link::DatagramTo => {
            let socket = socket(SocketType::DGRAM)?;
            rustix::net::sendto(&socket, b"x", SendFlags::empty(), &address).map(drop)
        }
    }
}

fn serve(path: &Path) -> Result<(), Errno> {
    let server = socket(SocketType::DGRAM)?;
    rustix::net::bind(&server, &SocketAddrUnix::new(path)?)?;
    connect(path, Link::DatagramTo)
}
