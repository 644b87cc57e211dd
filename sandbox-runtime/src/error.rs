//! What can go wrong between a caller and the body of a sandboxed function.

use crate::denial::Denial;
use crate::plan::Unenforceable;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A sandbox failure: the body of a sandboxed function gave no result.
///
/// It is plain data: it can be cloned, compared and sent, so an error type of yours that is serde can hold one.
///
/// ```
/// # use sandboxed_runtime::Error;
/// fn describe(error: &Error) -> &'static str {
///     match () {
///         _ if error.is_timeout() => "too slow",
///         _ if error.signal() == Some(11) => "crashed",
///         _ if error.panic_message().is_some() => "panicked",
///         _ => "failed",
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Inner {
    function: String,
    kind: ErrorKind,
    ran: Ran,
    output: Option<Output>,
    denials: Vec<Denial>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A promise cannot be held on this kernel, and must be.
    Unenforceable(Unenforceable),
    /// A granted path cannot be opened.
    Grant {
        /// The key that names it.
        key: String,
        /// The path.
        path: PathBuf,
        /// File and line of the attribute.
        place: String,
        /// Why not.
        cause: Cause,
    },
    /// The sandbox could not be set up.
    Launch {
        /// What was tried.
        what: String,
        /// Why it failed, where the kernel said so.
        cause: Option<Cause>,
    },
    /// The body panicked.
    Panicked {
        /// The panic's message.
        message: String,
        /// File, line and column, where known.
        location: Option<String>,
        /// See [`Error::backtrace`].
        backtrace: Option<String>,
    },
    /// A signal ended the worker.
    Killed {
        /// The signal's number.
        signal: i32,
        /// What is likely; a worker can forge it.
        hint: Option<Hint>,
    },
    /// The worker exited without a result.
    Exited {
        /// The exit code.
        code: i32,
    },
    /// The wall time was used up.
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The processor time was used up.
    CpuTimeExceeded {
        /// The limit.
        limit: Duration,
    },
    /// As many workers ran as `workers(max = ...)` allows, for as long as the call may take.
    Busy {
        /// How many there may be.
        max: usize,
        /// How long the call waited for one.
        waited: Duration,
    },
    /// The forkserver ended during the call, and the worker with it: somebody killed it.
    Abandoned,
    /// The worker sent something that is no result.
    BadData {
        /// What is wrong with it.
        what: String,
    },
    /// An argument, or the result, cannot be encoded.
    Encode {
        /// What is wrong with it.
        what: String,
    },
}

/// Whether the body ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ran {
    /// It did not begin.
    No,
    /// It began, and perhaps ended.
    Yes,
    /// It may have begun.
    Maybe,
}

/// What is likely behind a death. A worker can forge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Hint {
    /// An abort near the memory limit, in bytes.
    OutOfMemory {
        /// The limit.
        limit: u64,
    },
    /// A system call filter killed it (`SIGSYS`).
    Filter,
    /// A file would have become longer than the limit, in bytes (`SIGXFSZ`). Code in a worker sees `EFBIG` instead,
    /// unless it has reset that signal.
    FileTooLong {
        /// The limit.
        limit: u64,
    },
    /// Somebody outside killed it (`SIGKILL`): the kernel for want of memory, or an administrator.
    KilledFromOutside,
}

/// An operating system error as plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Cause {
    message: String,
    os: Option<i32>,
}

impl Cause {
    /// The `errno`, where there is one.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.os
    }
}

impl From<&io::Error> for Cause {
    fn from(error: &io::Error) -> Cause {
        Cause { message: error.to_string(), os: error.raw_os_error() }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Cause {
        Cause::from(&error)
    }
}

impl From<rustix::io::Errno> for Cause {
    fn from(errno: rustix::io::Errno) -> Cause {
        Cause::from(io::Error::from(errno))
    }
}

/// The end of what a worker printed, where `stdio = "capture"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The last 64 KiB of stdout.
    pub stdout: Vec<u8>,
    /// The last 64 KiB of stderr.
    pub stderr: Vec<u8>,
}

impl Error {
    pub(crate) fn new(function: &str, kind: ErrorKind, ran: Ran) -> Error {
        Error(Box::new(Inner { function: function.to_owned(), kind, ran, output: None, denials: Vec::new() }))
    }

    pub(crate) fn launch(function: &str, what: impl Into<String>, cause: Option<Cause>) -> Error {
        Error::new(function, ErrorKind::Launch { what: what.into(), cause }, Ran::No)
    }

    pub(crate) fn with_output(mut self, output: Option<Output>) -> Error {
        self.0.output = output;
        self
    }

    pub(crate) fn with_denials(mut self, denials: Vec<Denial>) -> Error {
        self.0.denials = denials;
        self
    }

    /// What the body was denied before it failed, and which files it did not find ([`By::Missing`](crate::By::Missing)),
    /// where it was observed: inside [`observe`](crate::observe), or with `SANDBOXED_EXPLAIN` set. Empty otherwise.
    pub fn denials(&self) -> &[Denial] {
        &self.0.denials
    }

    /// The function's name, with its module path.
    pub fn function(&self) -> &str {
        &self.0.function
    }

    /// What happened, with its payload.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Whether the body ran. After [`Ran::Yes`] and [`Ran::Maybe`] its effects outside may have happened.
    pub fn ran(&self) -> Ran {
        self.0.ran
    }

    /// The end of what the worker printed, with `stdio = "capture"`.
    pub fn output(&self) -> Option<&Output> {
        self.0.output.as_ref()
    }

    /// Whether the policy cannot be enforced on this kernel.
    pub fn is_unenforceable(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unenforceable(_))
    }

    /// Whether the sandbox could not be set up, for want of a granted path included.
    pub fn is_launch(&self) -> bool {
        matches!(self.kind(), ErrorKind::Launch { .. } | ErrorKind::Grant { .. })
    }

    /// Whether the body panicked.
    pub fn is_panic(&self) -> bool {
        self.panic_message().is_some()
    }

    /// The message of the body's panic.
    pub fn panic_message(&self) -> Option<&str> {
        match self.kind() {
            ErrorKind::Panicked { message, .. } => Some(message),
            _ => None,
        }
    }

    /// The place of the body's panic: file, line and column.
    pub fn panic_location(&self) -> Option<&str> {
        match self.kind() {
            ErrorKind::Panicked { location, .. } => location.as_deref(),
            _ => None,
        }
    }

    /// The frames of the body's panic, the innermost first, as the standard library prints them; `None` unless
    /// `RUST_BACKTRACE` is set in this process. It is not a part of the error's text. A worker can forge it.
    ///
    /// Names are looked up in this process: frames of shared libraries have none, nor have those of a program without
    /// symbols.
    pub fn backtrace(&self) -> Option<&str> {
        match self.kind() {
            ErrorKind::Panicked { backtrace, .. } => backtrace.as_deref(),
            _ => None,
        }
    }

    /// The signal that ended the worker.
    pub fn signal(&self) -> Option<i32> {
        match self.kind() {
            ErrorKind::Killed { signal, .. } => Some(*signal),
            _ => None,
        }
    }

    /// What is likely behind a death by a signal. A worker can forge it.
    pub fn hint(&self) -> Option<Hint> {
        match self.kind() {
            ErrorKind::Killed { hint, .. } => *hint,
            _ => None,
        }
    }

    /// The code with which the worker exited without a result.
    pub fn exit_code(&self) -> Option<i32> {
        match self.kind() {
            ErrorKind::Exited { code } => Some(*code),
            _ => None,
        }
    }

    /// Whether the wall time was used up.
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind(), ErrorKind::TimedOut { .. })
    }

    /// Whether no worker became free in time.
    pub fn is_busy(&self) -> bool {
        matches!(self.kind(), ErrorKind::Busy { .. })
    }

    /// Whether the processor time was used up.
    pub fn is_cpu_time_exceeded(&self) -> bool {
        matches!(self.kind(), ErrorKind::CpuTimeExceeded { .. })
    }

    /// Whether the forkserver ended during the call.
    pub fn is_abandoned(&self) -> bool {
        matches!(self.kind(), ErrorKind::Abandoned)
    }

    /// Whether the worker sent something that is no result.
    pub fn is_bad_data(&self) -> bool {
        matches!(self.kind(), ErrorKind::BadData { .. })
    }

    /// Whether an argument or the result could not be encoded.
    pub fn is_encode(&self) -> bool {
        matches!(self.kind(), ErrorKind::Encode { .. })
    }
}

/// What a worker said, and a file's name, cannot steer a terminal: control characters are spelled out.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&harmless(&Text(self).to_string()))
    }
}

/// The text before it is made harmless.
struct Text<'a>(&'a Error);

/// Text whose control characters are spelled out, but for those that end and indent lines.
pub(crate) fn harmless(text: &str) -> String {
    let is_harmless = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t');
    let spelled = |letter: char| -> String {
        if is_harmless(letter) { letter.to_string() } else { letter.escape_default().to_string() }
    };
    if text.chars().all(is_harmless) { text.to_owned() } else { text.chars().map(spelled).collect() }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = self.0.function();
        match self.0.kind() {
            ErrorKind::Unenforceable(why) => write!(f, "sandbox of `{function}` cannot be enforced: {why}"),
            ErrorKind::Grant { key, path, place, cause } => {
                write!(
                    f,
                    "sandbox of `{function}` cannot grant `{key} = {path:?}` of the attribute at {place}"
                )?;
                match cause.raw_os_error() {
                    Some(libc::ENOENT) => f.write_str("; write `optional(...)` if it may be missing"),
                    _ => Ok(()),
                }
            }
            ErrorKind::Launch { what, .. } => write!(f, "sandbox of `{function}` cannot be launched: {what}"),
            ErrorKind::Panicked { message, location: Some(location), .. } => {
                write!(f, "sandboxed `{function}` panicked at {location}: {message}")
            }
            ErrorKind::Panicked { message, location: None, .. } => {
                write!(f, "sandboxed `{function}` panicked: {message}")
            }
            ErrorKind::Killed { signal, hint } => {
                write!(f, "sandboxed `{function}` was killed by {}", signal_name(*signal))?;
                hint.map_or(Ok(()), |hint| write!(f, " ({hint})"))
            }
            ErrorKind::Exited { code } => {
                write!(f, "sandboxed `{function}` exited with code {code} before it had a result")
            }
            ErrorKind::TimedOut { limit } => write!(
                f,
                "sandboxed `{function}` took longer than its timeout of {}",
                crate::policy::duration(*limit)
            ),
            ErrorKind::CpuTimeExceeded { limit } => write!(
                f,
                "sandboxed `{function}` used more processor time than its `cpu` of {}",
                crate::policy::duration(*limit)
            ),
            ErrorKind::Busy { max, waited } => write!(
                f,
                "sandboxed `{function}` found all of its {max} workers busy for {}",
                crate::policy::duration(*waited)
            ),
            ErrorKind::Abandoned => {
                write!(f, "sandboxed `{function}` was given up: the forkserver ended during the call")
            }
            ErrorKind::BadData { what } => write!(f, "sandboxed `{function}` sent bad data: {what}"),
            ErrorKind::Encode { what } => write!(f, "a value of sandboxed `{function}` cannot cross: {what}"),
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hint::OutOfMemory { limit } => {
                write!(f, "likely out of memory: its limit is {}", crate::policy::size(*limit))
            }
            Hint::FileTooLong { limit } => {
                write!(f, "likely for a file longer than its limit of {}", crate::policy::size(*limit))
            }
            Hint::Filter => f.write_str("likely by the system call filter"),
            Hint::KilledFromOutside => f.write_str("by the kernel for want of memory, or from outside"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.kind() {
            // The text of a failed launch says its cause already.
            ErrorKind::Grant { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

/// Keeps the kind where `io` has one (`TimedOut`, `QuotaExceeded`, `ResourceBusy`, `Unsupported`, `InvalidData`, `InvalidInput`, that of a path
/// that cannot be opened); the [`Error`] is inside.
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let of_errno = |cause: &Cause| cause.os.map(|os| io::Error::from_raw_os_error(os).kind());
        let kind = match error.kind() {
            ErrorKind::Unenforceable(_) => io::ErrorKind::Unsupported,
            ErrorKind::TimedOut { .. } => io::ErrorKind::TimedOut,
            ErrorKind::CpuTimeExceeded { .. } => io::ErrorKind::QuotaExceeded,
            ErrorKind::Busy { .. } => io::ErrorKind::ResourceBusy,
            ErrorKind::BadData { .. } => io::ErrorKind::InvalidData,
            ErrorKind::Encode { .. } => io::ErrorKind::InvalidInput,
            ErrorKind::Grant { cause, .. } => of_errno(cause).unwrap_or(io::ErrorKind::Other),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// `SIGSEGV (11)`, or the number where it has no name.
fn signal_name(signal: i32) -> String {
    let names = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGSYS, "SIGSYS"),
    ];
    let name = names.iter().find(|(number, _)| *number == signal);
    name.map_or_else(|| format!("signal {signal}"), |(number, name)| format!("{name} ({number})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out() {
        assert_eq!(harmless("a\tb\r\nü"), "a\tb\r\nü");
        assert_eq!(harmless("\x1b]0;x\x07\u{9b}2J"), "\\u{1b}]0;x\\u{7}\\u{9b}2J");
        let kind = ErrorKind::Panicked { message: "\x1b[2J".into(), location: None, backtrace: None };
        let error = Error::new("f", kind, Ran::Yes);
        assert_eq!(error.to_string(), "sandboxed `f` panicked: \\u{1b}[2J");
        assert_eq!(error.panic_message(), Some("\x1b[2J"));
    }
}
