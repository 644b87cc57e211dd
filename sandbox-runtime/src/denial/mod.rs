//! What was denied, as data; and, for tests, asserting that something was.

mod assert;

pub use assert::{Denied, assert_denied, errno, is_sandboxed, pick_path};

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a sandboxed body was refused, or did not find ([`By::Missing`]), learned from the kernel's own answer: see `observe`.
///
/// Plain data, and the same for the same refusal in every run, so that it can be compared with a snapshot.
///
/// Its text is that of `SANDBOXED_EXPLAIN=1`:
///
/// ```
/// # use sandboxed_runtime::{Denial, By, Object};
/// let denial = Denial {
///     function: "config::load".into(),
///     place: "src/config.rs:12:1".into(),
///     operation: "read_file".into(),
///     call: "openat".into(),
///     object: Object::Path("/etc/hosts".into()),
///     errno: 13,
///     by: By::Landlock,
///     count: 1,
///     grant: Some("read = \"/etc/hosts\"".into()),
///     note: None,
/// };
/// assert_eq!(
///     denial.to_string(),
///     "`config::load` may not read_file /etc/hosts (EACCES, Landlock)\n  \
///        --> src/config.rs:12:1\n  \
///        = help: add `read = \"/etc/hosts\"` to #[sandboxed(...)]"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Denial {
    /// The sandboxed function, with its module path.
    pub function: String,
    /// File, line and column of its attribute.
    pub place: String,
    /// What was to be done: the kernel's name of the Landlock right (`read_file`, `connect_tcp`, `signal`), several of them
    /// with `+` between them where the call needed all, or the call as it was made where Landlock has no name for it
    /// (`socket(AF_INET, SOCK_DGRAM)`).
    pub operation: String,
    /// The system call, by its kernel name.
    pub call: String,
    /// What it was to be done to.
    pub object: Object,
    /// What the call failed with.
    pub errno: i32,
    /// Who refused.
    pub by: By,
    /// How often.
    pub count: u64,
    /// The smallest argument of the attribute that would grant it; `None` where none can, or none would help.
    pub grant: Option<String>,
    /// What else is known: why nothing grants it, what could not be seen.
    pub note: Option<String>,
}

/// What a refused call was about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Object {
    /// A file, resolved against the worker's directory and descriptors. What is no UTF-8 in it is replaced.
    Path(String),
    /// Two of them, of a rename or a link: from, to.
    Paths(String, String),
    /// A socket's address: `127.0.0.1:80`, `[::1]:80`, `@abstract`.
    Address(String),
    /// A process.
    Process(i32),
    /// Nothing that has a name.
    Nothing,
}

/// Who refused, or that nobody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum By {
    /// Landlock: refused inside, and allowed outside with equal credentials.
    Landlock,
    /// The sandbox's filter of system calls.
    Filter,
    /// A limit of the sandbox.
    Limit,
    /// Not the sandbox: file permissions, or what else of the system refuses it outside too.
    Permissions,
    /// Not the sandbox: it is not there, outside of the sandbox either. [`Denial::object`] is what is missing: of a file
    /// that was to be made, the directory.
    Missing,
    /// It cannot be told.
    Unknown,
}

impl Denial {
    /// Whether it is the same but for how often it came.
    pub(crate) fn is_same(&self, other: &Denial) -> bool {
        self.object == other.object
            && self.operation == other.operation
            && (self.errno, self.by) == (other.errno, other.by)
            && self.function == other.function
            && [&self.call, &self.place] == [&other.call, &other.place]
            && [&self.grant, &self.note] == [&other.grant, &other.note]
    }
}

impl By {
    /// Whether it was the sandbox.
    pub const fn is_sandbox(self) -> bool {
        matches!(self, By::Landlock | By::Filter | By::Limit)
    }
}

/// As the last words of the first line have it.
impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            By::Landlock => "Landlock",
            By::Filter => "the sandbox's filter",
            By::Limit => "a limit of the sandbox",
            By::Permissions => "not the sandbox: file permissions",
            By::Missing => "not the sandbox: it is not there",
            By::Unknown => "by whom cannot be told",
        })
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Path(path) => f.write_str(&shown(path)),
            Object::Paths(from, to) => write!(f, "{} to {}", shown(from), shown(to)),
            Object::Address(address) => f.write_str(&shown(address)),
            Object::Process(pid) => write!(f, "process {pid}"),
            Object::Nothing => Ok(()),
        }
    }
}

/// A name as it is, unless a terminal or a reader could take it for something else.
pub(crate) fn shown(name: &str) -> String {
    match name.chars().all(|c| !deceives(c) && c != ' ') && !name.is_empty() {
        true => name.to_owned(),
        false => format!("{name:?}"),
    }
}

/// Whether it does something to a terminal or a line, looks like a space and is none, or changes the direction of what
/// follows.
pub(crate) fn deceives(c: char) -> bool {
    let turns = |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || (c.is_whitespace() && c != ' ') || turns(c)
}

/// Several lines, without one's end at the end.
impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Denial { function, place, operation, object, errno, by, count, grant, note, .. } = self;
        let verb = if by.is_sandbox() { "may not" } else { "failed to" };
        write!(f, "`{function}` {verb} {operation}")?;
        if *object != Object::Nothing {
            write!(f, " {object}")?;
        }
        write!(f, " ({}, {by})", errno_name(*errno))?;
        if *count > 1 {
            write!(f, ", {count} times")?;
        }
        write!(f, "\n  --> {place}")?;
        if let Some(grant) = grant {
            write!(f, "\n  = help: add `{grant}` to #[sandboxed(...)]")?;
        }
        note.iter().try_for_each(|note| write!(f, "\n  = note: {note}"))
    }
}

/// The kernel's name of an errno.
pub(crate) fn errno_name(errno: i32) -> String {
    let name = NAMES.iter().find(|(number, _)| *number == errno).map(|(_, name)| *name);
    name.map_or_else(|| format!("errno {errno}"), str::to_owned)
}

/// Of those that a refusal can have.
const NAMES: [(i32, &str); 16] = [
    (libc::EPERM, "EPERM"),
    (libc::ENOENT, "ENOENT"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::EACCES, "EACCES"),
    (libc::EAGAIN, "EAGAIN"),
    (libc::EBUSY, "EBUSY"),
    (libc::EXDEV, "EXDEV"),
    (libc::EINVAL, "EINVAL"),
    (libc::EMFILE, "EMFILE"),
    (libc::EFBIG, "EFBIG"),
    (libc::EROFS, "EROFS"),
    (libc::ENOSYS, "ENOSYS"),
    (libc::ENOTDIR, "ENOTDIR"),
    (libc::EOPNOTSUPP, "EOPNOTSUPP"),
    (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
    (libc::ESRCH, "ESRCH"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_deceive_are_escaped() {
        for (name, expected) in
            [("/a", "/a"), ("/a b", "\"/a b\""), ("/\x1b[2J", "\"/\\u{1b}[2J\""), ("", "\"\""), ("/ü", "/ü")]
        {
            assert_eq!(Object::Path(name.into()).to_string(), expected);
        }
    }
}
