//! The one table of keys. Pure data without dependencies: a test of the root package includes this file to
//! prove that no key is accepted and then absent from the plan.

/// Where a body runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    Process,
    Thread,
    InPlace,
}

impl Placement {
    /// The word in the attribute.
    pub fn word(self) -> &'static str {
        match self {
            Placement::Process => "process",
            Placement::Thread => "thread",
            Placement::InPlace => "in_place",
        }
    }

    /// The variant in the runtime.
    pub fn variant(self) -> &'static str {
        match self {
            Placement::Process => "Process",
            Placement::Thread => "Thread",
            Placement::InPlace => "InPlace",
        }
    }
}

/// What a key looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A word alone that says where the body runs.
    Placement(Placement),
    /// A word alone.
    Flag,
    /// `= "/path"`, a list, or an expression.
    Paths,
    /// `(right = paths, ...)` with the words of [`RIGHTS`].
    Rights,
    /// `= 80`, a list, a range, or an expression.
    Ports,
    /// `(word, ...)`; the words, each with its variant in the runtime's type of this name.
    Words(&'static str, &'static [(&'static str, &'static str)]),
    /// `= "2s"` or an expression; with `"never"` or not.
    Duration { never: bool },
    /// `= "256MiB"`, bytes, or an expression; with `"unlimited"` or not.
    Size { unlimited: bool },
    /// `= 16`, at least this.
    Count { least: u64 },
    /// `(word = 16, ...)`; the words, each with the least that it takes: the methods of the runtime's type of this name.
    Counts(&'static str, &'static [(&'static str, u32)]),
    /// `= "LANG"`, a list, or an expression.
    Names,
    /// `= "word"`; the words, each with its variant in the runtime's type of this name.
    Choice(&'static str, &'static [(&'static str, &'static str)]),
    /// `= name` of the function to add.
    FunctionName,
    /// `= EXPR` that is a policy.
    Policy,
    /// `= path` of a `fn()`.
    Function,
    /// `= path` of this crate.
    Crate,
}

/// Whether this version acts on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Enforced,
    /// Parsed and checked, then refused; the text says what is missing.
    Later(&'static str),
}

/// A key of the attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    /// The placements that can give what it says.
    pub placements: &'static [Placement],
    /// Only for `#[sandboxed::test]`.
    pub test: bool,
    /// Only for what may be called more than once: neither `main` nor a test.
    pub repeated: bool,
    pub status: Status,
    /// An attribute's content that uses it.
    pub sample: &'static str,
}

use Placement::{InPlace, Process, Thread};
use Status::{Enforced, Later};

const ANYWHERE: &[Placement] = &[Process, Thread, InPlace];
const WORKER: &[Placement] = &[Process];

const fn key(
    name: &'static str,
    shape: Shape,
    placements: &'static [Placement],
    sample: &'static str,
) -> Key {
    Key { name, shape, placements, test: false, repeated: false, status: Enforced, sample }
}

const fn later(key: Key, missing: &'static str) -> Key {
    Key { status: Later(missing), ..key }
}

const fn test_only(key: Key) -> Key {
    Key { test: true, ..key }
}

const fn repeated(key: Key) -> Key {
    Key { repeated: true, ..key }
}

/// Every key, in the order of the documentation.
pub const KEYS: &[Key] = &[
    key("process", Shape::Placement(Process), WORKER, "process"),
    key("thread", Shape::Placement(Thread), &[Thread], "thread"),
    key("in_place", Shape::Placement(InPlace), &[InPlace], "in_place"),
    key("strict", Shape::Flag, ANYWHERE, "strict"),
    key("best_effort", Shape::Flag, ANYWHERE, "best_effort"),
    key("read", Shape::Paths, ANYWHERE, r#"read = "/usr""#),
    key("write", Shape::Paths, ANYWHERE, r#"write = "/var/cache""#),
    key("execute", Shape::Paths, ANYWHERE, r#"execute = "/usr/bin""#),
    key("unix", Shape::Paths, ANYWHERE, r#"unix = "/run/app.sock""#),
    key("fs", Shape::Rights, ANYWHERE, r#"fs(make_dir = "/var/cache")"#),
    key("quiet", Shape::Paths, ANYWHERE, r#"quiet = "/proc""#),
    key("tcp_bind", Shape::Ports, ANYWHERE, "tcp_bind = 8080"),
    key("tcp_connect", Shape::Ports, ANYWHERE, "tcp_connect = [80, 443]"),
    key("udp_bind", Shape::Ports, ANYWHERE, "udp_bind = 5353"),
    key("udp_connect", Shape::Ports, ANYWHERE, "udp_connect = 53"),
    key("allow", Shape::Words("Allow", ALLOW), ANYWHERE, "allow(udp)"),
    key("preset", Shape::Words("Preset", PRESETS), ANYWHERE, "preset(dns)"),
    key("timeout", Shape::Duration { never: true }, WORKER, r#"timeout = "2s""#),
    key("memory", Shape::Size { unlimited: true }, WORKER, r#"memory = "256MiB""#),
    key("cpu", Shape::Duration { never: false }, WORKER, r#"cpu = "1s""#),
    key("open_files", Shape::Count { least: 1 }, WORKER, "open_files = 16"),
    key("file_size", Shape::Size { unlimited: false }, WORKER, r#"file_size = "1MiB""#),
    key("threads", Shape::Count { least: 1 }, WORKER, "threads = 1"),
    key("namespaces", Shape::Flag, WORKER, "namespaces"),
    key("env", Shape::Names, WORKER, r#"env = ["LANG"]"#),
    key("stdio", Shape::Choice("Stdio", STDIO), WORKER, r#"stdio = "null""#),
    repeated(key("workers", Shape::Counts("Workers", WORKERS), WORKER, "workers(spare = 2)")),
    repeated(key("warm", Shape::Function, WORKER, "warm = prepare")),
    key("fallible", Shape::FunctionName, ANYWHERE, "fallible = try_decode"),
    key("policy", Shape::Policy, ANYWHERE, "policy = POLICY"),
    key(
        "thread_sync",
        Shape::Choice("ThreadSync", THREAD_SYNC),
        &[InPlace],
        r#"in_place, thread_sync = "signal""#,
    ),
    key("crate", Shape::Crate, ANYWHERE, "crate = my::sandboxed"),
    test_only(key("expect_no_denials", Shape::Flag, ANYWHERE, "expect_no_denials")),
    test_only(key("expect_all_used", Shape::Flag, ANYWHERE, "expect_all_used")),
    test_only(key("unenforceable", Shape::Choice("", UNENFORCEABLE), ANYWHERE, r#"unenforceable = "skip""#)),
    later(
        key("log", Shape::Words("Log", LOG), ANYWHERE, "log(new_exec_on)"),
        "audit flags are not passed to the kernel",
    ),
];

/// The rights of `fs(...)`, by their kernel names.
pub const RIGHTS: &[&str] = &[
    "execute",
    "write_file",
    "read_file",
    "read_dir",
    "remove_dir",
    "remove_file",
    "make_char",
    "make_dir",
    "make_reg",
    "make_sock",
    "make_fifo",
    "make_block",
    "make_sym",
    "refer",
    "truncate",
    "ioctl_dev",
    "resolve_unix",
];

const ALLOW: &[(&str, &str)] = &[
    ("udp", "Udp"),
    ("signal", "Signal"),
    ("abstract_unix_socket", "AbstractUnixSocket"),
    ("metadata", "Metadata"),
];

const PRESETS: &[(&str, &str)] = &[
    ("dns", "Dns"),
    ("ca_certificates", "CaCertificates"),
    ("time_zone", "TimeZone"),
    ("locale", "Locale"),
    ("tmp", "Tmp"),
];

const STDIO: &[(&str, &str)] =
    &[("relay", "Relay"), ("null", "Null"), ("capture", "Capture"), ("inherit", "Inherit")];

const WORKERS: &[(&str, u32)] = &[("reuse", 1), ("spare", 0), ("max", 1)];

const THREAD_SYNC: &[(&str, &str)] = &[("signal", "Signal")];

const UNENFORCEABLE: &[(&str, &str)] = &[("skip", "Skip"), ("fail", "Fail")];

const LOG: &[(&str, &str)] =
    &[("same_exec_off", "SameExecOff"), ("new_exec_on", "NewExecOn"), ("subdomains_off", "SubdomainsOff")];

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Where a word that is no key belongs: `udp` into `allow(...)`.
pub fn home(word: &str) -> Option<&'static str> {
    if RIGHTS.contains(&word) {
        return Some("fs");
    }
    KEYS.iter()
        .find(|key| match key.shape {
            Shape::Words(_, words) => words.iter().any(|(known, _)| *known == word),
            Shape::Counts(_, words) => words.iter().any(|(known, _)| *known == word),
            _ => false,
        })
        .map(|key| key.name)
}
