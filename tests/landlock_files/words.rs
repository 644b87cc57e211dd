//! The words of a table: rights by their kernel names, flags, and a function for each act.

pub use crate::act::{Act, Change, Kind, Link, Place, Source, Use};
use crate::mounts::Mounting;
pub use crate::need::Need;
pub use crate::row::{Row, Want};
use sandboxed::Access;

pub const EXECUTE: Access = Access::EXECUTE;
pub const WRITE_FILE: Access = Access::WRITE_FILE;
pub const READ_FILE: Access = Access::READ_FILE;
pub const READ_DIR: Access = Access::READ_DIR;
pub const REMOVE_DIR: Access = Access::REMOVE_DIR;
pub const REMOVE_FILE: Access = Access::REMOVE_FILE;
pub const MAKE_CHAR: Access = Access::MAKE_CHAR;
pub const MAKE_DIR: Access = Access::MAKE_DIR;
pub const MAKE_REG: Access = Access::MAKE_REG;
pub const MAKE_SOCK: Access = Access::MAKE_SOCK;
pub const MAKE_FIFO: Access = Access::MAKE_FIFO;
pub const MAKE_BLOCK: Access = Access::MAKE_BLOCK;
pub const MAKE_SYM: Access = Access::MAKE_SYM;
pub const REFER: Access = Access::REFER;
pub const TRUNCATE: Access = Access::TRUNCATE;
pub const IOCTL_DEV: Access = Access::IOCTL_DEV;
pub const RESOLVE_UNIX: Access = Access::RESOLVE_UNIX;
/// What the keys `read`, `write` and `execute` grant.
pub const READ: Access = Access::READ;
pub const WRITE: Access = Access::WRITE;
pub const RUN: Access = Access::RUN;

pub const R: u32 = libc::O_RDONLY as u32;
pub const W: u32 = libc::O_WRONLY as u32;
pub const RW: u32 = libc::O_RDWR as u32;
/// Both access bits, which the kernel takes for neither reading nor writing.
pub const NEITHER: u32 = libc::O_ACCMODE as u32;
pub const TRUNC: u32 = libc::O_TRUNC as u32;
pub const CREAT: u32 = libc::O_CREAT as u32;
pub const DIR: u32 = libc::O_DIRECTORY as u32;
pub const O_PATH: u32 = libc::O_PATH as u32;
pub const NONBLOCK: u32 = libc::O_NONBLOCK as u32;
pub const TMPFILE: u32 = libc::O_TMPFILE as u32;

pub fn below(given: usize, name: &str) -> Place {
    Place::Below(given, name.to_owned())
}

pub fn here(name: &str) -> Place {
    Place::Here(name.to_owned())
}

pub fn on(source: Source, what: Use) -> Act {
    Act::On(source, what)
}

pub fn opened(place: impl Into<Place>, flags: u32) -> Source {
    Source::Open(place.into(), flags)
}

pub fn reopened(source: Source, flags: u32) -> Source {
    Source::Reopened(Box::new(source), flags)
}

pub fn open(place: impl Into<Place>, flags: u32) -> Act {
    on(opened(place, flags), Use::Nothing)
}

pub fn list(place: impl Into<Place>) -> Act {
    on(opened(place, R | DIR), Use::List)
}

/// Reads a file of which the text is its own path, as layouts write them.
pub fn read(path: &str) -> Act {
    reads(path, path)
}

pub fn reads(place: impl Into<Place>, text: &str) -> Act {
    on(opened(place, R), Use::Read(text.to_owned()))
}

pub fn make(place: impl Into<Place>, kind: Kind) -> Act {
    Act::Make(place.into(), kind)
}

pub fn unlink(place: impl Into<Place>) -> Act {
    Act::Unlink(place.into())
}

pub fn rmdir(place: impl Into<Place>) -> Act {
    Act::Rmdir(place.into())
}

pub fn rename(from: impl Into<Place>, to: impl Into<Place>) -> Act {
    Act::Rename(from.into(), to.into(), 0)
}

pub fn exchange(one: impl Into<Place>, other: impl Into<Place>) -> Act {
    Act::Rename(one.into(), other.into(), libc::RENAME_EXCHANGE)
}

pub fn link(from: impl Into<Place>, to: impl Into<Place>) -> Act {
    Act::Link(from.into(), to.into())
}

pub fn truncate(place: impl Into<Place>) -> Act {
    Act::Truncate(place.into())
}

pub fn ftruncate(place: impl Into<Place>, flags: u32) -> Act {
    on(opened(place, flags), Use::Truncate)
}

pub fn run(place: impl Into<Place>) -> Act {
    Act::Execute(place.into())
}

pub fn stat(place: impl Into<Place>) -> Act {
    Act::Stat(place.into())
}

pub fn connect_to(place: impl Into<Place>, how: Link) -> Act {
    Act::Connect(place.into(), how)
}

pub fn mount(mounting: Mounting) -> Act {
    Act::Mount(mounting)
}
