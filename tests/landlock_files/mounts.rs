//! Mounts for layouts, in a mount namespace that nobody else sees, and mounts as acts.

use crate::{raw, sys};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Something to do to the mounts; paths are below the layout's directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Mounting {
    /// A file system of this kind, with these options.
    New(String, String, String),
    Bind(String, String),
    /// Read-only from now on.
    Remount(String),
    /// By `mount(2)`.
    Move(String, String),
    /// By `open_tree(2)` and `move_mount(2)`.
    Detached(String, String),
    Umount(String),
    PivotRoot(String, String),
}

impl Mounting {
    pub fn run(&self, dir: &Path) -> io::Result<()> {
        let at = |path: &str| dir.join(path);
        match self {
            Mounting::New(kind, options, to) => mount(Path::new("none"), &at(to), kind, 0, options),
            Mounting::Bind(from, to) => mount(&at(from), &at(to), "", libc::MS_BIND, ""),
            Mounting::Remount(to) => {
                mount(Path::new(""), &at(to), "", libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY, "")
            }
            Mounting::Move(from, to) => mount(&at(from), &at(to), "", libc::MS_MOVE, ""),
            Mounting::Detached(from, to) => clone_to(&at(from), &at(to)),
            Mounting::Umount(from) => umount(&at(from)),
            Mounting::PivotRoot(new, old) => {
                let arguments = [at(new).as_path().into(), at(old).as_path().into()];
                raw::syscall(libc::SYS_pivot_root, arguments).map(drop)
            }
        }
    }
}

fn mount(from: &Path, to: &Path, kind: &str, flags: libc::c_ulong, options: &str) -> io::Result<()> {
    let arguments = [from.into(), to.into(), kind.into(), flags.into(), options.into()];
    raw::syscall(libc::SYS_mount, arguments).map(drop)
}

/// Mounts a copy of what is at `from`.
fn clone_to(from: &Path, to: &Path) -> io::Result<()> {
    const OPEN_TREE_CLONE: u64 = 1;
    const MOVE_MOUNT_F_EMPTY_PATH: u64 = 4;
    let open = [libc::AT_FDCWD.into(), from.into(), OPEN_TREE_CLONE.into()];
    let tree = raw::syscall(libc::SYS_open_tree, open)?;
    let arguments =
        [(tree as u64).into(), "".into(), libc::AT_FDCWD.into(), to.into(), MOVE_MOUNT_F_EMPTY_PATH.into()];
    let moved = raw::syscall(libc::SYS_move_mount, arguments);
    raw::syscall(libc::SYS_close, [(tree as u64).into()])?;
    moved.map(drop)
}

/// With all that is mounted below, now or when it is no longer used.
fn umount(from: &Path) -> io::Result<()> {
    raw::syscall(libc::SYS_umount2, [from.into(), libc::MNT_DETACH.into()]).map(drop)
}

/// A directory in which a layout may mount what it likes; all of it goes with the value.
pub struct Ground<'a>(&'a Path);

impl Ground<'_> {
    pub fn at(dir: &Path) -> Ground<'_> {
        mount(Path::new("none"), dir, "tmpfs", 0, "mode=755").expect("a tmpfs");
        Ground(dir)
    }
}

impl Drop for Ground<'_> {
    fn drop(&mut self) {
        umount(self.0).expect("it was mounted here");
    }
}

/// Leaves the mount namespace that others see. Without privilege it takes a user namespace, in which the user is
/// root; that takes a process with one thread.
pub fn enter_namespace() -> Result<(), i32> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    if user.is_root() {
        sys::unshare(libc::CLONE_NEWNS)?;
    } else {
        sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
        let files = [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("0 {} 1", user.as_raw())),
            ("gid_map", format!("0 {} 1", group.as_raw())),
        ];
        for (name, text) in files {
            fs::write(Path::new("/proc/self").join(name), text).map_err(|_| libc::EPERM)?;
        }
    }
    let private = mount(Path::new("none"), Path::new("/"), "", libc::MS_REC | libc::MS_PRIVATE, "");
    private.map_err(|error| error.raw_os_error().expect("an errno"))
}

static SCRATCH: OnceLock<PathBuf> = OnceLock::new();

/// Gives rows a place in memory, where nothing has to be removed: it goes with the namespace. It must be this process's
/// own.
pub fn with_scratch<T>(body: impl FnOnce() -> T) -> T {
    if !found().entered {
        return body();
    }
    let dir = tempfile::tempdir().expect("a directory");
    let _ground = Ground::at(dir.path());
    SCRATCH.get_or_init(|| dir.path().to_owned());
    body()
}

/// A directory for one row.
pub fn directory() -> TempDir {
    match SCRATCH.get() {
        Some(scratch) => {
            let mut dir = tempfile::tempdir_in(scratch).expect("a directory");
            dir.disable_cleanup(true);
            dir
        }
        None => tempfile::tempdir().expect("a directory"),
    }
}

/// What this user may mount here.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// This process is in a mount namespace of its own.
    pub entered: bool,
    /// 0, or the errno of entering one.
    pub namespace: i32,
    /// 0, or the errno of mounting one there.
    pub overlay: i32,
}

static FOUND: OnceLock<Found> = OnceLock::new();

/// Asked once, by a process with one thread. Root enters a namespace for the whole process, so that a case needs no
/// process of its own.
pub fn found() -> Found {
    *FOUND.get_or_init(|| {
        let entered = sys::is_root() && enter_namespace().is_ok();
        let asked = |try_it: fn() -> Result<(), i32>| {
            let child = sys::fork(|| sys::exit_now(try_it().err().unwrap_or(0)));
            sys::wait_for(child).code().expect("it exits")
        };
        Found { entered, namespace: asked(enter_namespace), overlay: asked(try_overlay) }
    })
}

fn try_overlay() -> Result<(), i32> {
    enter_namespace()?;
    let dir = tempfile::tempdir().expect("a directory");
    let tried = {
        let _ground = Ground::at(dir.path());
        overlay(dir.path())
    };
    tried.map_err(|error| error.raw_os_error().expect("an errno"))
}

/// An overlay of `lower` and `upper` at `merged`.
pub fn overlay(dir: &Path) -> io::Result<()> {
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir_all(dir.join(name))?;
    }
    let at = |name: &str| dir.join(name).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    mount(Path::new("none"), &dir.join("merged"), "overlay", 0, &options)
}
