//! What the keys of an attribute take as values: paths, ports, names, durations, sizes.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One or more paths: the value of `read`, `write`, `execute`, `unix` and of each right in `fs(...)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no path",
    label = "expected a path, a list of paths, or `optional(...)` of them",
    note = "paths are `str`, `String`, `Path`, `PathBuf`, `OsStr`, `OsString`; lists are arrays, slices, `Vec`, `Option`"
)]
pub trait Paths {
    /// Calls `each` with every path and whether it may be missing.
    fn for_each(&self, each: &mut dyn FnMut(&Path, bool));
}

macro_rules! one_path {
    ($($type:ty),*) => {$(
        impl Paths for $type {
            fn for_each(&self, each: &mut dyn FnMut(&Path, bool)) {
                each(self.as_ref(), false)
            }
        }
    )*};
}
one_path!(str, String, OsStr, OsString, Path, PathBuf);

impl Paths for Cow<'_, str> {
    fn for_each(&self, each: &mut dyn FnMut(&Path, bool)) {
        each(Path::new(&**self), false)
    }
}

impl Paths for Cow<'_, Path> {
    fn for_each(&self, each: &mut dyn FnMut(&Path, bool)) {
        each(self, false)
    }
}

/// A path that is granted if it is there, and otherwise passed over. Made by [`optional`].
#[derive(Clone, Copy, Debug)]
pub struct Optional<P>(P);

/// Grants `paths` where they exist and passes over those that do not.
///
/// ```
/// use sandboxed_runtime::{Policy, optional};
/// let policy = Policy::new().read("/usr").read(optional("/lib64"));
/// assert_eq!(policy.to_string(), r#"read = ["/usr", optional("/lib64")]"#);
/// ```
pub const fn optional<P: Paths>(paths: P) -> Optional<P> {
    Optional(paths)
}

impl<P: Paths> Paths for Optional<P> {
    fn for_each(&self, each: &mut dyn FnMut(&Path, bool)) {
        self.0.for_each(&mut |path, _| each(path, true))
    }
}

/// One or more ports: the value of `tcp_bind`, `tcp_connect`, `udp_bind`, `udp_connect`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no port",
    label = "expected a `u16`, a range of `u16`, or a list of them"
)]
pub trait Ports {
    /// Calls `each` with every range of ports.
    fn for_each(&self, each: &mut dyn FnMut(RangeInclusive<u16>));
}

impl Ports for u16 {
    fn for_each(&self, each: &mut dyn FnMut(RangeInclusive<u16>)) {
        each(*self..=*self)
    }
}

impl Ports for RangeInclusive<u16> {
    fn for_each(&self, each: &mut dyn FnMut(RangeInclusive<u16>)) {
        if !self.is_empty() {
            each(self.clone())
        }
    }
}

impl Ports for Range<u16> {
    fn for_each(&self, each: &mut dyn FnMut(RangeInclusive<u16>)) {
        if !self.is_empty() {
            each(self.start..=self.end - 1)
        }
    }
}

/// One or more names of environment variables: the value of `env`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no name of a variable",
    label = "expected a `str`, a `String`, or a list of them"
)]
pub trait Names {
    /// Calls `each` with every name.
    fn for_each(&self, each: &mut dyn FnMut(&str));
}

impl Names for str {
    fn for_each(&self, each: &mut dyn FnMut(&str)) {
        each(self)
    }
}

impl Names for String {
    fn for_each(&self, each: &mut dyn FnMut(&str)) {
        each(self)
    }
}

macro_rules! collections {
    ($trait:ident, $($item:ty),+) => {
        impl<T: $trait + ?Sized> $trait for &T {
            fn for_each(&self, each: &mut dyn FnMut($($item),+)) {
                (**self).for_each(each)
            }
        }
        impl<T: $trait> $trait for [T] {
            fn for_each(&self, each: &mut dyn FnMut($($item),+)) {
                self.iter().for_each(|item| item.for_each(each))
            }
        }
        impl<T: $trait, const N: usize> $trait for [T; N] {
            fn for_each(&self, each: &mut dyn FnMut($($item),+)) {
                self.as_slice().for_each(each)
            }
        }
        impl<T: $trait> $trait for Vec<T> {
            fn for_each(&self, each: &mut dyn FnMut($($item),+)) {
                self.as_slice().for_each(each)
            }
        }
        impl<T: $trait> $trait for Option<T> {
            fn for_each(&self, each: &mut dyn FnMut($($item),+)) {
                self.as_slice().for_each(each)
            }
        }
    };
}
collections!(Paths, &Path, bool);
collections!(Ports, RangeInclusive<u16>);
collections!(Names, &str);

/// How long a call may take in wall time: the value of `timeout`. Default for a function: 30 s; for `main`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Timeout {
    /// At most this long.
    After(Duration),
    /// No limit.
    Never,
}

impl From<Duration> for Timeout {
    fn from(limit: Duration) -> Timeout {
        Timeout::After(limit)
    }
}

/// How much address space a worker may map, in bytes (`RLIMIT_AS`), beside what the program had mapped before `main`:
/// itself, its libraries, and what its allocator reserves ahead. The value of `memory`.
/// Default for a function: 1 GiB; for `main`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Memory {
    /// At most this many bytes.
    Bytes(u64),
    /// No limit.
    Unlimited,
}

impl From<u64> for Memory {
    fn from(bytes: u64) -> Memory {
        Memory::Bytes(bytes)
    }
}

impl From<usize> for Memory {
    fn from(bytes: usize) -> Memory {
        Memory::Bytes(bytes as u64)
    }
}

/// What becomes of a worker's stdout and stderr: the value of `stdio`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// Pipes whose content the host prints (`"relay"`, the default).
    #[default]
    Relay,
    /// Nowhere (`"null"`).
    Null,
    /// Pipes whose content is kept: a failure carries its end as [`Error::output`](crate::Error::output), a
    /// success hands it to `log` at debug level (`"capture"`).
    Capture,
    /// The host's own descriptors (`"inherit"`). Unsafe for hostile code: it can change their flags and,
    /// where they are a terminal, read from it.
    Inherit,
}

/// What `allow(...)` opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Allow {
    /// UDP sockets, all ports. On every kernel.
    Udp,
    /// Signals to processes outside the sandbox.
    Signal,
    /// Abstract Unix sockets of processes outside the sandbox.
    AbstractUnixSocket,
    /// Changing mode, owner, times and extended attributes, wherever file permissions let it.
    Metadata,
}

impl Allow {
    /// The word in the attribute.
    pub const fn word(self) -> &'static str {
        match self {
            Allow::Udp => "udp",
            Allow::Signal => "signal",
            Allow::AbstractUnixSocket => "abstract_unix_socket",
            Allow::Metadata => "metadata",
        }
    }
}

/// What to do about the other threads where the kernel cannot restrict them (before ABI 8).
///
/// From ABI 8 on both mean the same: the kernel restricts every thread, or none and the error says why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ThreadSync {
    /// An error that counts them (the default).
    #[default]
    Kernel,
    /// Restrict each by a signal, verify each, abort if one cannot be reached (`"signal"`).
    ///
    /// The signal is the last real-time signal (`SIGRTMAX`, or the next below it) that the program has no handler for;
    /// it is ignored afterwards. If there is none, that is an error and nothing is restricted. All threads are held
    /// until every one is there, those too that are born meanwhile; where one does not come soon, since it may wait for
    /// a lock that another holds, they are let go for a moment and held anew, up to five times in all. One that does not
    /// answer, the last time for five seconds, because it blocks the signal or waits where no signal reaches it, and
    /// one that the kernel does not let restrict itself, end the process: a message names it on stderr, then
    /// `SIGABRT`, past a handler of the program's for it.
    ///
    /// What it costs, since each thread gets a Landlock domain of its own:
    ///
    /// - Calls that no signal restarts, `poll(2)` and `nanosleep(2)` for example, fail with `EINTR` in threads that wait
    ///   in them; `read(2)` and futexes go on.
    /// - With ABI 6 and 7, `EPERM`, as from other processes: signals to children that another thread forked; abstract
    ///   sockets that another thread made, where sockets can be made and `allow(abstract_unix_socket)` is not given;
    ///   and, where the kernel lacks the fix of Landlock's erratum 2, signals to other threads and, from all but the
    ///   first thread, to the process itself. `allow(signal)` opens all signals.
    /// - A second call from a program with threads needs a grant of `/proc`, to see them.
    Signal,
}
