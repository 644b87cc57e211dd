//! A path as the one who names it means it: from its own root, directory and descriptors.

use super::walk::{Walk, is_in_proc};
use crate::sys::process::process_of;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path, and the descriptor of the directory that it begins at (`AT_FDCWD` for the current one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) directory: i32,
    pub(super) path: OsString,
}

/// What it leads to, as it is outside of the sandbox.
#[derive(Debug)]
pub(super) struct Found {
    /// Absolute, without links where it is there; empty for a descriptor that has no path or is not open, and what begins
    /// at one as it is written.
    pub(super) shown: PathBuf,
    /// The file itself, if it is there and can be found with the permissions of the observed.
    pub(super) file: Result<OwnedFd, Errno>,
    /// The directory that has the entry, and its path.
    pub(super) parent: Option<(OwnedFd, PathBuf)>,
    /// Whether it was looked for.
    pub(super) is_sought: bool,
}

impl Named {
    /// What a descriptor is open to.
    pub(super) fn open(fd: i32) -> Named {
        Named { directory: fd, path: OsString::new() }
    }

    /// As it is written, from where it begins. Nothing is looked up: what a filter refused is looked for by nobody.
    pub(super) fn written(&self, thread: Pid) -> Found {
        let start =
            if self.path.as_bytes().starts_with(b"/") { None } else { path_of_link(&self.base(thread)) };
        let shown = start.unwrap_or_default().join(Path::new(&self.path).components().collect::<PathBuf>());
        Found { shown: as_self(thread, shown), file: Err(Errno::NOENT), parent: None, is_sought: false }
    }

    /// Follows it, the last link too unless it is `bare`.
    pub(super) fn find(&self, thread: Pid, bare: bool) -> Found {
        let (text, base) = (&self.path, self.base(thread));
        let last = if bare { OFlags::NOFOLLOW } else { OFlags::empty() };
        let file = match text.is_empty() {
            true => reopen(&base),
            false => open_below(thread, &base, text, last),
        };
        let (directory, name) = split(text);
        let parent = open_below(thread, &base, directory, OFlags::DIRECTORY).ok();
        let parent = parent.and_then(|parent| path_of(&parent).map(|path| (parent, path)));
        let literal = || {
            let start = path_of_link(&base).unwrap_or_default();
            parent.as_ref().map_or_else(|| start.join(text), |(_, path)| path.join(name))
        };
        let shown = match &file {
            Ok(file) if !bare => path_of(file).unwrap_or_else(literal),
            _ => literal(),
        };
        Found { shown: as_self(thread, shown), file, parent, is_sought: true }
    }

    /// The magic link to where it begins.
    fn base(&self, thread: Pid) -> PathBuf {
        let thread = thread.as_raw_pid();
        match self.directory {
            _ if self.path.as_bytes().starts_with(b"/") => PathBuf::from(format!("/proc/{thread}/root")),
            libc::AT_FDCWD => PathBuf::from(format!("/proc/{thread}/cwd")),
            number => PathBuf::from(format!("/proc/{thread}/fd/{number}")),
        }
    }
}

/// What is the observed's own is `self`, so that a report is the same for every process.
fn as_self(thread: Pid, path: PathBuf) -> PathBuf {
    let Ok(rest) = path.strip_prefix("/proc") else { return path };
    let task = thread.as_raw_pid().to_string();
    let process = process_of(thread).map_or_else(|| task.clone(), |process| process.to_string());
    let below = |rest: &Path, name: &str| match rest.as_os_str().is_empty() {
        true => Path::new("/proc").join(name),
        false => Path::new("/proc").join(name).join(rest),
    };
    if let Ok(rest) = rest.strip_prefix(Path::new(&process).join("task").join(&task)) {
        return below(rest, "thread-self");
    }
    rest.strip_prefix(&process).map(|rest| below(rest, "self")).unwrap_or(path)
}

/// The files that a process has mapped: of one that was just started the program, and what runs it.
pub(super) fn mapped(thread: Pid) -> BTreeSet<PathBuf> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", thread.as_raw_pid())).unwrap_or_default();
    maps.lines().filter_map(|line| line.find('/').map(|start| line[start..].into())).collect()
}

fn reopen(link: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

fn open_below(thread: Pid, base: &Path, path: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    // Without a link on the way it is the same for everybody.
    let is_absolute = path.as_bytes().starts_with(b"/");
    let within = if is_absolute { ResolveFlags::IN_ROOT } else { ResolveFlags::empty() };
    let found = rustix::fs::openat2(
        reopen(base)?,
        path,
        flags | OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | within,
    );
    match found {
        // Or, below another root, with a `..` while something is moved; or there is no such call, as in a program that is
        // restricted in place by a Landlock that cannot refuse to truncate.
        Err(Errno::LOOP | Errno::AGAIN | Errno::NOSYS) => Walk::begin(thread, base)?.follow(path, flags),
        found => found,
    }
}

/// Whether a path leads it to where it leads us.
pub(super) fn has_our_root(thread: Pid) -> bool {
    let thread = thread.as_raw_pid();
    let identity = |path: &str| rustix::fs::stat(path).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    let is_same =
        |ours: &str, theirs: String| identity(ours).is_some_and(|ours| Some(ours) == identity(&theirs));
    is_same("/", format!("/proc/{thread}/root"))
        && is_same("/proc/self/ns/mnt", format!("/proc/{thread}/ns/mnt"))
}

/// Directory and name of the last part.
fn split(path: &OsStr) -> (&OsStr, &OsStr) {
    let bytes = path.as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    match bytes[..end].iter().rposition(|byte| *byte == b'/') {
        Some(0) => (OsStr::new("/"), OsStr::from_bytes(&bytes[1..end])),
        Some(slash) => (OsStr::from_bytes(&bytes[..slash]), OsStr::from_bytes(&bytes[slash + 1..end])),
        None if end == 0 => (OsStr::new("/"), OsStr::new("")),
        None => (OsStr::new("."), OsStr::from_bytes(&bytes[..end])),
    }
}

fn path_of(file: &OwnedFd) -> Option<PathBuf> {
    use rustix::fd::AsRawFd;
    path_of_link(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))
}

/// `None` for what has no path.
fn path_of_link(link: &Path) -> Option<PathBuf> {
    let path = rustix::fs::readlink(link, Vec::new()).ok()?;
    let path = PathBuf::from(OsString::from_vec(path.into_bytes()));
    path.is_absolute().then_some(path)
}

impl Found {
    pub(super) fn is_there(&self) -> bool {
        self.file.is_ok()
    }

    /// Whether it was looked for, and that it is not there could be seen.
    pub(super) fn is_missing(&self) -> bool {
        self.is_sought && matches!(self.file, Err(Errno::NOENT))
    }

    pub(super) fn kind(&self) -> Option<FileType> {
        let file = self.file.as_ref().ok()?;
        rustix::fs::fstat(file).ok().map(|stat| FileType::from_raw_mode(stat.st_mode))
    }

    /// Whether the kernel makes it up as it is asked, so that who asks matters.
    pub(super) fn is_in_proc(&self) -> bool {
        if !self.is_sought {
            return self.shown.starts_with("/proc");
        }
        match &self.file {
            Ok(file) => is_in_proc(file),
            Err(_) => self.parent.as_ref().is_some_and(|(parent, _)| is_in_proc(parent)),
        }
    }

    /// The directory of its entry.
    pub(super) fn place(&self) -> &Path {
        let above = || self.shown.parent().unwrap_or(&self.shown);
        self.parent.as_ref().map_or_else(above, |(_, path)| path)
    }

    /// The directory that a file has its grants from which comes to be as this is opened: itself, for one without a name.
    pub(super) fn home(&self) -> &Path {
        if self.is_there() { &self.shown } else { self.place() }
    }

    /// Opens it for real, in the sandbox of the observed; without effects on what is no file or directory, which are not
    /// opened.
    pub(super) fn open(&self, flags: OFlags) -> Option<Result<OwnedFd, Errno>> {
        use rustix::fd::AsRawFd;
        let file = self.file.as_ref().ok()?;
        match self.kind()? {
            FileType::RegularFile | FileType::Directory => {}
            _ => return None,
        }
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        Some(rustix::fs::open(link, flags, Mode::empty()))
    }

    /// Whether file permissions let the observer access it, whose credentials are those of the observed.
    pub(super) fn may(&self, mode: rustix::fs::Access) -> bool {
        self.file.as_ref().is_ok_and(|file| may(file, mode))
    }

    /// Whether they let its entry be made or removed.
    pub(super) fn may_change_entry(&self) -> bool {
        let Some((parent, _)) = &self.parent else { return false };
        let Ok(directory) = rustix::fs::fstat(parent) else { return false };
        let user = rustix::process::geteuid();
        let is_owner = |uid: u32| user.is_root() || user.as_raw() == uid;
        let is_sticky = directory.st_mode & libc::S_ISVTX != 0;
        let owner =
            self.file.as_ref().ok().and_then(|file| rustix::fs::fstat(file).ok()).map(|stat| stat.st_uid);
        let is_strangers = owner.is_some_and(|owner| !is_owner(owner)) && !is_owner(directory.st_uid);
        let both = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        may(parent, both) && !(is_sticky && is_strangers)
    }

    /// The mount that its directory is on.
    pub(super) fn mount(&self) -> Option<u64> {
        let (parent, _) = self.parent.as_ref()?;
        let mask = rustix::fs::StatxFlags::from_bits_retain(0x1000);
        let stat = rustix::fs::statx(parent, "", AtFlags::EMPTY_PATH, mask).ok()?;
        Some(stat.stx_mnt_id)
    }
}

fn may(file: &OwnedFd, mode: rustix::fs::Access) -> bool {
    use rustix::fd::AsRawFd;
    // Of what a descriptor refers to, without opening it.
    let link = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    rustix::fs::accessat(CWD, link, mode, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_as_the_kernel_does() {
        for (path, directory, name) in [
            ("/etc/hosts", "/etc", "hosts"),
            ("/etc//", "/", "etc"),
            ("a", ".", "a"),
            ("a/b/", "a", "b"),
            ("/", "/", ""),
            ("", "/", ""),
        ] {
            assert_eq!(split(path.as_ref()), (directory.as_ref(), name.as_ref()), "{path}");
        }
    }

    /// Another process, whose standard input is a file, in a directory of links.
    struct Other {
        child: std::process::Child,
        directory: tempfile::TempDir,
    }

    impl Other {
        fn new() -> Other {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("file"), "").unwrap();
            for (name, target) in [
                ("input", "/proc/self/fd/0"),
                ("again", "input"),
                ("descriptors", "/dev/fd"),
                ("processes", "/proc"),
                ("up", ".."),
                ("round", "round"),
            ] {
                std::os::unix::fs::symlink(target, directory.path().join(name)).unwrap();
            }
            let file = std::fs::File::open(directory.path().join("file")).unwrap();
            let mut other = std::process::Command::new("sleep");
            let child = other.arg("3600").stdin(file).current_dir(&directory).spawn().unwrap();
            Other { child, directory }
        }

        fn find(&self, path: &str, bare: bool) -> Found {
            let child = Pid::from_raw(self.child.id().cast_signed()).unwrap();
            Named { directory: libc::AT_FDCWD, path: path.into() }.find(child, bare)
        }
    }

    impl Drop for Other {
        fn drop(&mut self) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }

    #[test]
    fn self_is_the_observed() {
        let other = Other::new();
        let at = other.directory.path().canonicalize().unwrap();
        for path in [
            "/dev/stdin",
            "/dev/fd/0",
            "/proc/self/fd/0",
            "/proc/thread-self/fd/0",
            "//proc//self/./fd/0",
            "/proc/../proc/self/fd/0",
            "/proc/self/../self/task/../fd/0",
            "input",
            "again",
            "descriptors/0",
            "processes/self/fd/0",
        ] {
            assert_eq!(other.find(path, false).shown, at.join("file"), "{path}");
        }
        for (path, shown) in [
            ("/proc/self/maps", "/proc/self/maps"),
            ("/proc/mounts", "/proc/self/mounts"),
            ("processes/self", "/proc/self"),
            ("/proc/thread-self/stat", "/proc/thread-self/stat"),
            ("/proc/self/exe/..", "/proc/self/exe/.."),
            ("/proc/selfish", "/proc/selfish"),
        ] {
            assert_eq!(other.find(path, false).shown, Path::new(shown), "{path}");
        }
        let own = std::fs::metadata(format!("/proc/{}/maps", other.child.id())).unwrap();
        let found = rustix::fs::fstat(other.find("/dev/../proc/self/maps", false).file.unwrap()).unwrap();
        assert_eq!(found.st_ino, std::os::unix::fs::MetadataExt::ino(&own));
    }

    #[test]
    fn links_are_followed_as_the_kernel_does() {
        let other = Other::new();
        let at = other.directory.path().canonicalize().unwrap();
        let shown = |path: &str, bare| other.find(path, bare).shown;
        let up = at.parent().unwrap();
        assert_eq!(shown("up", false), up);
        assert_eq!(other.find("up/", true).kind(), Some(FileType::Directory), "a slash follows a link");
        assert_eq!(shown("up", true), at.join("up"));
        assert_eq!(shown("descriptors/..", false), Path::new("/proc/self"));
        assert_eq!(shown("input", true), at.join("input"));
        assert_eq!(shown("/dev/fd/0", true), Path::new("/proc/self/fd/0"));
        assert_eq!(other.find("round", false).file.unwrap_err(), Errno::LOOP);
        assert_eq!(other.find("input/x", false).file.unwrap_err(), Errno::NOTDIR);
        assert_eq!(other.find("input/", false).file.unwrap_err(), Errno::NOTDIR);
        assert!(other.find("descriptors/77", false).is_missing());
        assert!(other.find("up/there-is-nothing", false).is_missing());
    }

    #[test]
    fn the_observed_is_self() {
        let this = rustix::thread::gettid();
        let process = std::process::id();
        let shown = |path: String| as_self(this, path.into());
        assert_eq!(shown(format!("/proc/{process}/maps")), Path::new("/proc/self/maps"));
        assert_eq!(shown(format!("/proc/{process}")), Path::new("/proc/self"));
        let task = format!("/proc/{process}/task/{}/stat", this.as_raw_pid());
        assert_eq!(shown(task), Path::new("/proc/thread-self/stat"));
        assert_eq!(shown("/proc/1/maps".into()), Path::new("/proc/1/maps"));
        assert_eq!(shown(format!("/tmp/{process}")), Path::new(&format!("/tmp/{process}")));
    }

    #[test]
    fn a_link_is_followed_unless_it_is_meant() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        let this = rustix::process::getpid();
        let named = |path: &Path| Named { directory: libc::AT_FDCWD, path: path.into() };
        let real = directory.path().canonicalize().unwrap();
        assert_eq!(named(&link).find(this, false).shown, real.join("file"));
        let found = named(&link).find(this, true);
        assert_eq!((found.kind(), found.shown.clone()), (Some(FileType::Symlink), real.join("link")));
        let missing = named(&directory.path().join("missing")).find(this, false);
        assert!(!missing.is_there() && missing.may_change_entry());
        assert_eq!(
            (missing.shown.clone(), missing.parent.map(|parent| parent.1)),
            (real.join("missing"), Some(real))
        );
    }
}
