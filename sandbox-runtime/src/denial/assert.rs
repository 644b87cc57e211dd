//! Asserting in a test that the sandbox, and not something else, refused an operation.
//!
//! The refusal is the kernel's own answer. Whether file permissions would have refused too is asked of the kernel
//! without side effects: `faccessat2(2)` with `AT_EACCESS`, which Landlock does not look at.

use super::{By, Denial, Object};
use crate::enforce::mark::{is_inside, no_path_may_be_named};
use crate::observe::Watching;
use crate::plan::Placement;
use rustix::fs::{Access as Mode, AtFlags, CWD, FileType, Stat};
use std::error::Error;
use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What `assert_denied!` knows of its expression.
#[derive(Debug)]
pub struct Denied {
    /// As it was written.
    pub expression: &'static str,
    /// Where.
    pub file: &'static str,
    /// Where.
    pub line: u32,
    /// The errno that is asserted.
    pub errno: Option<i32>,
    /// The right that is asserted, by its kernel name, and the path.
    pub right: Option<(&'static str, PathBuf)>,
    /// The name of the function that is called, if that can be told.
    pub called: &'static str,
    /// What may be paths among its arguments.
    pub paths: Vec<PathBuf>,
}

/// Asserts that `result` is a denial by a sandbox.
///
/// # Panics
///
/// When it is not: allowed, failed otherwise, refused by file permissions, or by what cannot be told.
#[track_caller]
pub fn assert_denied<T, E: Into<Box<dyn Error>>>(result: Result<T, E>, denied: Denied, watching: Watching) {
    let seen = watching.end();
    let error = match result {
        Ok(_) => panic!(
            "assertion failed: `{}` is allowed: it succeeded{}",
            denied.expression,
            listed("; meanwhile this failed", seen.as_deref().unwrap_or_default())
        ),
        Err(error) => error.into(),
    };
    let checked = match &seen {
        Some(seen) => denied.check_seen(&*error, seen),
        None => denied.check(&*error),
    };
    if let Err(why) = checked {
        panic!("assertion failed: `{}` was not denied by the sandbox: {why}", denied.expression)
    }
}

fn listed(what: &str, denials: &[Denial]) -> String {
    let lines: Vec<String> = denials.iter().map(|denial| format!("\n{denial}")).collect();
    if lines.is_empty() { String::new() } else { format!("{what}:{}", lines.concat()) }
}

/// The errno in an error or in one of its sources.
fn errno_of(error: &(dyn Error + 'static)) -> Option<i32> {
    let of_io = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    let of_rustix = || error.downcast_ref::<rustix::io::Errno>().map(|errno| errno.raw_os_error());
    of_io.or_else(of_rustix).or_else(|| error.source().and_then(errno_of))
}

/// What Landlock and our filters answer: `EACCES`, `EPERM` for scopes and signals, `EXDEV` for `refer`.
const OURS: [i32; 3] = [libc::EACCES, libc::EPERM, libc::EXDEV];

impl Denied {
    /// Where what was refused was seen.
    fn check_seen(&self, error: &(dyn Error + 'static), seen: &[Denial]) -> Result<(), String> {
        let named = |errno: i32| super::errno_name(errno);
        let errno = errno_of(error);
        let denials: Vec<Denial> = seen.iter().filter(|denial| denial.by.is_sandbox()).cloned().collect();
        if let (Some(expected), Some(errno)) = (self.errno, errno)
            && expected != errno
        {
            let expected = named(expected);
            return Err(format!(
                "it failed with {}, where {expected} was expected{}",
                named(errno),
                listed("; seen", seen)
            ));
        }
        let fits = |denial: &&Denial| {
            let errnos = [self.errno, errno].into_iter().flatten();
            denial.by.is_sandbox() && errnos.into_iter().all(|errno| errno == denial.errno)
        };
        let found: Vec<&Denial> = seen.iter().filter(fits).collect();
        match &self.right {
            _ if found.is_empty()
                && denials.is_empty()
                && seen.iter().any(|denial| denial.by == By::Unknown) =>
            {
                self.check(error)
            }
            _ if found.is_empty() && !denials.is_empty() => {
                Err(format!("it failed with another errno{}", listed("; seen", seen)))
            }
            _ if found.is_empty() && seen.iter().all(|denial| denial.by == By::Missing) => {
                let seen = listed("; seen", seen);
                Err(format!("the kernel refused nothing: {error} comes from somewhere else{seen}"))
            }
            _ if found.is_empty() => Err(listed("something else refused it", seen)),
            None => Ok(()),
            Some((right, path)) => {
                let is_it = |denial: &Denial| {
                    let operations: Vec<&str> = denial.operation.split('+').collect();
                    // What is made or removed is an entry of its directory, which has the grant.
                    let is_entry = operations
                        .iter()
                        .any(|name| name.starts_with("make_") || name.starts_with("remove_"));
                    operations.contains(right) && names(&denial.object, path, is_entry)
                };
                match found.iter().copied().any(is_it) {
                    true => Ok(()),
                    false => Err(format!(
                        "`{right}` on {path:?} was not what was denied{}",
                        listed("; seen", seen)
                    )),
                }
            }
        }
    }

    fn check(&self, error: &(dyn Error + 'static)) -> Result<(), String> {
        let errno = errno_of(error).ok_or_else(|| format!("it failed without an errno: {error}"))?;
        let shown = io::Error::from_raw_os_error(errno);
        match self.errno {
            Some(expected) if expected != errno => {
                let expected = io::Error::from_raw_os_error(expected);
                return Err(format!("it failed with {shown}, where {expected} was expected"));
            }
            None if !OURS.contains(&errno) => return Err(format!("it failed with {shown}")),
            _ => {}
        }
        // Refusals across directories have no other cause that permissions could be.
        if errno == libc::EXDEV {
            return Ok(());
        }
        let is_of_file = |need: &Need| need.what != Permission::Unknown;
        if errno == libc::EPERM && self.needs()?.iter().any(is_of_file) {
            return Err(format!("it failed with {shown}, which Landlock and the filter never say of files"));
        }
        // Whatever file permissions say.
        if no_path_may_be_named() {
            return Ok(());
        }
        self.needs()?.iter().try_for_each(Need::must_be_permitted)
    }

    /// What file permissions would have to allow.
    fn needs(&self) -> Result<Vec<Need>, String> {
        if let Some((right, path)) = &self.right {
            return Ok(vec![Need { what: Permission::of_right(right), path: path.clone() }]);
        }
        let what = Permission::of_call(self.called, self.expression);
        let mut needs = Vec::new();
        for (index, path) in self.paths.iter().enumerate() {
            match address(path) {
                Some(address) if is_privileged_bind(self.called, address) => {
                    return Err(format!("an ordinary user may not bind to port {}", address.port()));
                }
                Some(_) => {}
                // A name for `connect` and the like, or something else that is no path.
                None if !path.to_string_lossy().contains('/') && stat(path).is_err() => {}
                None => needs.push(Need {
                    // `copy(from, to)`
                    what: if self.called == "copy" && index > 0 { Permission::Write } else { what },
                    path: path.clone(),
                }),
            }
        }
        Ok(needs)
    }
}

fn address(path: &Path) -> Option<SocketAddr> {
    path.to_str()?.parse().ok()
}

fn is_privileged_bind(called: &str, address: SocketAddr) -> bool {
    called == "bind" && (1..1024).contains(&address.port()) && !rustix::process::geteuid().is_root()
}

/// Whether a report is about this path, by whatever name; or, of an `entry`, about the directory that has it.
fn names(object: &Object, path: &Path, entry: bool) -> bool {
    let whole = std::fs::canonicalize(path).ok();
    let absolute = std::path::absolute(path).ok();
    let meant = [Some(path), whole.as_deref(), absolute.as_deref()];
    let is_it = |name: &String| {
        let name = Path::new(name);
        meant.contains(&Some(name)) || (entry && meant.contains(&name.parent()))
    };
    match object {
        Object::Path(name) => is_it(name),
        Object::Paths(from, to) => is_it(from) || is_it(to),
        _ => false,
    }
}

/// What an operation asks of file permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    Read,
    Write,
    Execute,
    /// Of the directory: making, removing, renaming.
    Entry,
    /// Of the owner: mode, owner, times.
    Owner,
    Unknown,
}

impl Permission {
    fn of_right(right: &str) -> Permission {
        match right {
            "read_file" | "read_dir" => Permission::Read,
            "execute" => Permission::Execute,
            "write_file" | "truncate" | "ioctl_dev" | "resolve_unix" => Permission::Write,
            _ => Permission::Entry,
        }
    }

    /// By the names of the standard library and of rustix.
    fn of_call(called: &str, expression: &str) -> Permission {
        let writes = ["write(true)", "append(true)", "create(true)", "WRONLY", "RDWR", "TRUNC"];
        match called {
            "open" | "openat" if writes.iter().any(|word| expression.contains(word)) => Permission::Write,
            "open" | "openat" | "read" | "read_to_string" | "read_dir" | "copy" => Permission::Read,
            "write" | "create" | "create_new" | "create_buffered" | "truncate" | "connect" | "send_to" => {
                Permission::Write
            }
            "status" | "spawn" | "output" | "exec" | "execve" | "execv" => Permission::Execute,
            "create_dir" | "create_dir_all" | "mkdir" | "mknod" | "mknodat" | "mkfifo" | "symlink"
            | "hard_link" | "link" | "bind" | "remove_file" | "remove_dir" | "remove_dir_all" | "unlink"
            | "rmdir" | "rename" => Permission::Entry,
            "set_permissions" | "chmod" | "chown" | "lchown" | "utimensat" | "set_times" => Permission::Owner,
            _ => Permission::Unknown,
        }
    }
}

struct Need {
    what: Permission,
    path: PathBuf,
}

impl Need {
    fn must_be_permitted(&self) -> Result<(), String> {
        let path = &self.path;
        let allowed = match self.what {
            Permission::Read => may(path, Mode::READ_OK),
            Permission::Execute => may(path, Mode::EXEC_OK),
            // A file that is not there is made.
            Permission::Write if stat(path).is_err() => may_change_entry(path),
            Permission::Write => may(path, Mode::WRITE_OK),
            Permission::Entry => may_change_entry(path),
            Permission::Owner => stat(path).is_ok_and(|stat| is_owner(stat.st_uid)),
            Permission::Unknown if may(path, Mode::READ_OK) && may(path, Mode::WRITE_OK) => true,
            Permission::Unknown => {
                return Err(format!(
                    "whether file permissions refuse {path:?} cannot be told; name the right: \
                     assert_denied!(..., read_file = {path:?})"
                ));
            }
        };
        match allowed {
            true => Ok(()),
            false => {
                Err(format!("file permissions refuse it, or it is not there: {path:?} ({:?})", self.what))
            }
        }
    }
}

fn stat(path: &Path) -> rustix::io::Result<Stat> {
    rustix::fs::stat(path)
}

fn may(path: &Path, mode: Mode) -> bool {
    rustix::fs::accessat(CWD, path, mode, AtFlags::EACCESS).is_ok()
}

/// Whether the entry of `path` in its directory may be made or removed.
fn may_change_entry(path: &Path) -> bool {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return false,
    };
    let (Ok(directory), entry) = (stat(parent), rustix::fs::lstat(path)) else { return false };
    let is_sticky = directory.st_mode & libc::S_ISVTX != 0;
    let is_strangers = entry.is_ok_and(|entry| !is_owner(entry.st_uid)) && !is_owner(directory.st_uid);
    FileType::from_raw_mode(directory.st_mode).is_dir()
        && may(parent, Mode::WRITE_OK | Mode::EXEC_OK)
        && !(is_sticky && is_strangers)
}

fn is_owner(uid: u32) -> bool {
    let user = rustix::process::geteuid();
    user.is_root() || user.as_raw() == uid
}

/// Whether the calling thread runs in a sandbox of this library, in whatever placement.
///
/// ```
/// assert!(!sandboxed_runtime::denial::is_sandboxed());
/// ```
pub fn is_sandboxed() -> bool {
    let inside = |placement| is_inside(placement).unwrap_or(false);
    [Placement::Process, Placement::Thread, Placement::InPlace].into_iter().any(inside)
}

/// Finds arguments that can be paths: see `assert_denied!`.
pub mod pick_path {
    use std::path::{Path, PathBuf};

    /// Asks whether a value is a path.
    #[derive(Debug)]
    pub struct PathProbe<'a, T: ?Sized>(pub &'a T);

    /// Preferred by method lookup.
    pub trait PickPath {
        /// The path.
        fn pick_path(&self) -> Option<PathBuf>;
    }

    impl<T: AsRef<Path> + ?Sized> PickPath for &PathProbe<'_, T> {
        fn pick_path(&self) -> Option<PathBuf> {
            Some(self.0.as_ref().to_owned())
        }
    }

    /// Everything else.
    pub trait PickNoPath {
        /// Nothing.
        fn pick_path(&self) -> Option<PathBuf>;
    }

    impl<T: ?Sized> PickNoPath for PathProbe<'_, T> {
        fn pick_path(&self) -> Option<PathBuf> {
            None
        }
    }
}

/// The names of errors that `assert_denied!` takes.
pub mod errno {
    pub use libc::{
        E2BIG, EACCES, EAFNOSUPPORT, EBADF, EBUSY, EEXIST, EINVAL, EIO, EISDIR, ELOOP, EMFILE, ENODEV,
        ENOENT, ENOMEM, ENOSYS, ENOTDIR, ENOTSUP, ENXIO, EOPNOTSUPP, EPERM, EROFS, ESRCH, EXDEV,
    };
}
