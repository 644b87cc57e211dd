//! The way along a path with links, one name after the other: `/proc/self`, to which `/dev/fd`, `/dev/stdin` and anybody's
//! links lead, is the observed, and never who looks for it.

use crate::sys::process::process_of;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// As many links as the kernel follows (`MAXSYMLINKS`).
const MOST_LINKS: u32 = 40;

/// Where a process is on its way.
pub(super) struct Walk {
    thread: Pid,
    /// Its root.
    root: OwnedFd,
    at: OwnedFd,
    /// What `self` led to, and the directory that had the link.
    own: Option<[OwnedFd; 2]>,
    links: u32,
    /// What is still to be gone, the next last.
    rest: Vec<OsString>,
}

impl Walk {
    /// Begins at what a magic link of it leads to.
    pub(super) fn begin(thread: Pid, base: &Path) -> Result<Walk, Errno> {
        let root = open(CWD, format!("/proc/{}/root", thread.as_raw_pid()), OFlags::empty())?;
        let at = open(CWD, base, OFlags::empty())?;
        Ok(Walk { thread, root, at, own: None, links: 0, rest: Vec::new() })
    }

    /// Opens what is at the end, with `O_PATH`; of the flags `O_NOFOLLOW` and `O_DIRECTORY` count.
    pub(super) fn follow(mut self, path: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        if flags.contains(OFlags::DIRECTORY) {
            self.rest.push(".".into());
        }
        self.add(path.as_bytes())?;
        while let Some(name) = self.rest.pop() {
            self.at = match name.as_bytes() {
                b"/" => again(&self.root)?,
                b".." => self.above()?,
                b"." => open(&self.at, ".", OFlags::DIRECTORY)?,
                _ => {
                    let bare = flags.contains(OFlags::NOFOLLOW) && self.rest.is_empty();
                    match self.step(&name, bare)? {
                        Some(next) => next,
                        None => continue,
                    }
                }
            };
        }
        Ok(self.at)
    }

    fn above(&self) -> Result<OwnedFd, Errno> {
        match &self.own {
            _ if is_same(&self.at, &self.root)? => again(&self.at),
            Some([own, proc]) if is_same(&self.at, own)? => again(proc),
            _ => open(&self.at, "..", OFlags::DIRECTORY),
        }
    }

    /// What is next; `None` where a link says where to go on.
    fn step(&mut self, name: &OsStr, bare: bool) -> Result<Option<OwnedFd>, Errno> {
        let found = open(&self.at, name, OFlags::NOFOLLOW)?;
        let is_link = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) == FileType::Symlink;
        if bare || !is_link {
            return Ok(Some(found));
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::LOOP);
        }
        match (is_in_proc(&found), is_proc(&self.at), name.as_bytes()) {
            (true, true, b"self") => self.own(".").map(Some),
            (true, true, b"thread-self") => self.own(&format!("task/{}", self.thread.as_raw_pid())).map(Some),
            // It leads to the file itself, by whatever name.
            (true, false, _) => open(&self.at, name, OFlags::empty()).map(Some),
            _ => {
                let target = rustix::fs::readlinkat(&found, "", Vec::new())?;
                self.add(target.as_bytes()).map(|()| None)
            }
        }
    }

    /// In our `/proc`, where we know its number: in one of its own it may have another.
    fn own(&mut self, below: &str) -> Result<OwnedFd, Errno> {
        let process = process_of(self.thread).ok_or(Errno::SRCH)?;
        let own = open(CWD, format!("/proc/{process}"), OFlags::empty())?;
        let found = open(&own, below, OFlags::empty())?;
        self.own = Some([own, again(&self.at)?]);
        Ok(found)
    }

    /// A path to be gone next.
    fn add(&mut self, path: &[u8]) -> Result<(), Errno> {
        if path.is_empty() {
            return Err(Errno::NOENT);
        }
        // A slash behind a name asks for a directory.
        self.rest.extend(path.ends_with(b"/").then(|| ".".into()));
        let names = path.split(|byte| *byte == b'/').rev().filter(|name| !name.is_empty());
        self.rest.extend(names.map(|name| OsString::from_vec(name.to_vec())));
        self.rest.extend(path.starts_with(b"/").then(|| "/".into()));
        Ok(())
    }
}

fn open(at: impl rustix::fd::AsFd, path: impl AsRef<Path>, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(at, path.as_ref(), flags | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

fn again(fd: &OwnedFd) -> Result<OwnedFd, Errno> {
    fd.try_clone().map_err(|_| Errno::MFILE)
}

fn is_same(one: &OwnedFd, other: &OwnedFd) -> Result<bool, Errno> {
    let identity = |fd: &OwnedFd| rustix::fs::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    Ok(identity(one)? == identity(other)?)
}

pub(super) fn is_in_proc(file: &OwnedFd) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|fs| fs.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

/// Whether it is the root of a `proc`.
fn is_proc(directory: &OwnedFd) -> bool {
    const PROC_ROOT_INODE: u64 = 1;
    is_in_proc(directory) && rustix::fs::fstat(directory).is_ok_and(|stat| stat.st_ino == PROC_ROOT_INODE)
}
