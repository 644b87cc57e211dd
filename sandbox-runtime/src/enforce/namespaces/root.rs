//! A root that holds nothing but the granted paths.
//!
//! Each is where it is in the host. Symbolic links on the way to it are there too, directories on the way are empty but
//! for what leads to it. All are other mounts than the host's, of the same files, so Landlock's rules hold in them.

use super::{Granted, LockError, failed, identity};
use crate::sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change,
    mount_remount, move_mount, open_tree, unmount,
};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as the kernel follows for one path.
const MOST_LINKS: usize = 40;
const HARMLESS: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Where a path leads, and the symbolic links on the way: where they are and what they hold.
#[derive(Debug, Default, PartialEq, Eq)]
struct Way {
    to: PathBuf,
    links: Vec<(PathBuf, PathBuf)>,
}

/// A tree of files to be seen in the new root.
struct Tree {
    path: PathBuf,
    writes: bool,
    is_directory: bool,
    /// A copy of its mounts, or a `/proc` of its own.
    mount: OwnedFd,
}

/// Makes the root of this process, which is in a mount namespace of its own, one of these paths alone.
pub(super) fn replace(granted: &[Granted]) -> Result<(), LockError> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(failed("mounts of its own"))?;
    let (mut trees, mut links) = (Vec::new(), Vec::new());
    for granted in granted {
        let failed = |errno| LockError::new(format!("{:?} in a root of its own", granted.path), errno);
        let way = Way::along(&granted.path).map_err(failed)?;
        trees.push(Tree::copy(granted, way.to).map_err(failed)?);
        links.extend(way.links);
    }
    let trees = outermost(trees);
    let root = small_file_system().map_err(failed("a tmpfs"))?;
    put(&root, Path::new("/")).map_err(failed("a tmpfs for a root"))?;
    rustix::process::fchdir(&root).map_err(failed("a tmpfs for a root"))?;
    for tree in &trees {
        let failed = |errno| LockError::new(format!("{:?} in a root of its own", tree.path), errno);
        tree.plant(&trees).map_err(failed)?;
    }
    for (link, target) in &links {
        let made = if is_in(&trees, link) { Ok(()) } else { make_link(link, target) };
        made.map_err(|errno| LockError::new(format!("the symbolic link {link:?}"), errno))?;
    }
    change_root().map_err(failed("a root of its own"))
}

impl Way {
    /// Follows a path as the kernel does.
    fn along(path: &Path) -> Result<Way, Errno> {
        let mut way = Way { to: "/".into(), links: Vec::new() };
        let mut left: Vec<OsString> = steps(path).collect();
        while let Some(step) = left.pop() {
            if step == ".." {
                way.to.pop();
                continue;
            }
            let next = way.to.join(&step);
            if FileType::from_raw_mode(rustix::fs::lstat(&next)?.st_mode) != FileType::Symlink {
                way.to = next;
                continue;
            }
            let target = rustix::fs::readlink(&next, Vec::new())?;
            let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
            if target.is_absolute() {
                way.to = "/".into();
            }
            left.extend(steps(&target));
            way.links.push((next, target));
            if way.links.len() > MOST_LINKS {
                return Err(Errno::LOOP);
            }
        }
        Ok(way)
    }
}

/// The names in a path, the first one last.
fn steps(path: &Path) -> impl Iterator<Item = OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.collect::<Vec<_>>().into_iter().rev()
}

impl Tree {
    fn copy(granted: &Granted, path: PathBuf) -> Result<Tree, Errno> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        let mount = open_tree(CWD, &path, flags)?;
        // It was another file when the host looked.
        if identity(&mount)? != granted.identity {
            return Err(Errno::STALE);
        }
        let mode = rustix::fs::fstat(&mount)?.st_mode;
        let is_directory = FileType::from_raw_mode(mode).is_dir();
        let mount = if granted.own_proc { proc()? } else { mount };
        Ok(Tree { path, writes: granted.writes, is_directory, mount })
    }

    /// Makes what is needed to mount it, and mounts it.
    fn plant(&self, trees: &[Tree]) -> Result<(), Errno> {
        if !trees.iter().any(|other| other.path != self.path && self.path.starts_with(&other.path)) {
            make_directories(self.path.parent().unwrap_or(Path::new("/")))?;
            self.make_place()?;
        }
        let read_only = if self.writes { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
        let attributes = read_only | MountAttrFlags::MOUNT_ATTR_NOSUID;
        match sys::namespaces::set_mount_attributes(self.mount.as_fd(), attributes.bits().into()) {
            // Before Linux 5.12. Landlock refuses it all the same.
            Err(Errno::NOSYS) => {}
            set => set?,
        }
        put(&self.mount, relative(&self.path))
    }

    fn make_place(&self) -> Result<(), Errno> {
        let path = relative(&self.path);
        if self.is_directory {
            return make_directory(path);
        }
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::open(path, flags, Mode::empty()).map(drop)
    }
}

/// Without what is seen in another anyway, with the parents before their children.
fn outermost(mut trees: Vec<Tree>) -> Vec<Tree> {
    trees.sort_by(|one, other| one.path.cmp(&other.path));
    let mut outermost: Vec<Tree> = Vec::new();
    for tree in trees {
        match outermost.iter_mut().rev().find(|outer| tree.path.starts_with(&outer.path)) {
            Some(same) if same.path == tree.path => same.writes |= tree.writes,
            Some(outer) if outer.writes || !tree.writes => {}
            _ => outermost.push(tree),
        }
    }
    outermost
}

fn is_in(trees: &[Tree], path: &Path) -> bool {
    trees.iter().any(|tree| path.starts_with(&tree.path))
}

/// From the new root, which is the working directory by then.
fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn make_link(link: &Path, target: &Path) -> Result<(), Errno> {
    make_directories(link.parent().unwrap_or(Path::new("/")))?;
    match rustix::fs::symlink(target, relative(link)) {
        // Two paths went by it.
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

fn make_directories(path: &Path) -> Result<(), Errno> {
    let mut ancestors: Vec<&Path> = relative(path).ancestors().collect();
    ancestors.pop();
    ancestors.into_iter().rev().try_for_each(make_directory)
}

fn make_directory(path: &Path) -> Result<(), Errno> {
    match rustix::fs::mkdir(path, Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH) {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

/// Room for directories and links alone.
fn small_file_system() -> Result<OwnedFd, Errno> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in [("size", "1m"), ("nr_inodes", "16k"), ("mode", "755")] {
        fsconfig_set_string(&context, key, value)?;
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, HARMLESS)
}

fn put(mount: &OwnedFd, at: &Path) -> Result<(), Errno> {
    move_mount(mount, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Makes the working directory the root, and the old root unreachable.
fn change_root() -> Result<(), Errno> {
    match rustix::process::pivot_root(".", ".") {
        Ok(()) => unmount(".", UnmountFlags::DETACH)?,
        // A file system that the kernel itself mounted (an initramfs) cannot be taken off. What is mounted on it is its
        // face, and there are no capabilities to look behind it.
        Err(Errno::INVAL) => rustix::process::chroot(".")?,
        Err(errno) => return Err(errno),
    }
    rustix::process::chdir("/")?;
    let flags =
        MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_remount("/", flags, c"")
}

/// A `/proc` of this pid namespace. The kernel gives it only where another is seen as a whole.
fn proc() -> Result<OwnedFd, Errno> {
    let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, HARMLESS)
}

/// Covers the `/proc` that is there.
pub(super) fn mount_proc() -> Result<(), LockError> {
    proc().and_then(|proc| put(&proc, Path::new("/proc"))).map_err(failed("a /proc of its own"))
}
