#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

/// Puts a function, or a whole program, into a sandbox that the kernel enforces.
///
/// What the arguments name is granted. Everything else that the placement can refuse is refused. What cannot be
/// enforced on the running kernel is an error before the body runs.
///
/// ```
/// use sandboxed::sandboxed;
///
/// #[sandboxed]
/// fn add(a: u32, b: u32) -> u32 {
///     a + b
/// }
/// assert_eq!(add(2, 3), 5);
/// ```
///
/// is, in essence, this:
///
/// ```
/// # use sandboxed::Policy;
/// # trait Worker { fn fork(policy: Policy) -> Self; fn send<T>(&self, t: T); fn receive<T>(&self) -> Result<T, sandboxed::Error>; }
/// fn add<W: Worker>(a: u32, b: u32) -> u32 {
///     let worker = W::fork(Policy::new());   // forked from the forkserver, not from this process
///     worker.send((a, b));                   // locks itself, then decodes, runs the body, encodes
///     worker.receive().unwrap_or_else(|error| panic!("{error}"))
/// }
/// ```
///
/// # Where the body runs
///
/// | word | |
/// |---|---|
/// | `process` | in a fresh worker process; the default for every function but `main` |
/// | `thread` | in a new thread that restricts itself; borrowed values of every kind work; it contains mistakes, not an attacker who controls memory |
/// | `in_place` | in the caller, after the whole process was restricted for good; the default for `main` |
///
/// `fn main` may say `process`: then it runs in a worker with the program's arguments, stdin and environment, and
/// the program ends as the worker does.
///
/// # Keys
///
/// Values are expressions: a literal, a list, `std::env::temp_dir()`, an argument of the function. Literals are
/// checked when the function is compiled.
///
/// | key | grants or limits | least Landlock ABI |
/// |---|---|---|
/// | `read = paths` | reading files and listing directories, at and below; no execution | 1 |
/// | `write = paths` | writing, truncating, making, removing, renaming; no reading, no devices | 1 |
/// | `execute = paths` | running and reading programs | 1 |
/// | `unix = paths` | connecting to pathname sockets; `listen(2)` is refused all the same without a `tcp_bind`, since a filter cannot tell its sockets apart | 9 |
/// | `fs(make_dir = paths, ...)` | single rights by their kernel names: `execute`, `write_file`, `read_file`, `read_dir`, `remove_dir`, `remove_file`, `make_char`, `make_dir`, `make_reg`, `make_sock`, `make_fifo`, `make_block`, `make_sym`, `refer` (2), `truncate` (3), `ioctl_dev` (5), `resolve_unix` (9) | 1 |
/// | `tcp_bind`, `tcp_connect` `= ports` | a port, a list, a range | 4 |
/// | `udp_bind`, `udp_connect` `= ports` | likewise; `udp_connect` includes binding to port 0, which the kernel does by itself | 10 |
/// | `allow(udp)` | UDP, all ports | |
/// | `allow(signal)` | signals to processes outside | |
/// | `allow(abstract_unix_socket)` | abstract sockets of processes outside | |
/// | `allow(metadata)` | changing mode, owner, times, extended attributes | |
/// | `preset(dns, ca_certificates, time_zone, locale, tmp)` | see [`Preset`] | |
/// | `timeout = "2s"` | `process`: wall time; default 30 s, `"never"` for none; units `ns`, `us`, `ms`, `s`, `min`, `h` | |
/// | `memory = "256MiB"` | `process`: address space (`RLIMIT_AS`), beside what the program had mapped before `main`; default 1 GiB, `"unlimited"` for none; units `B`, `KiB`, `MiB`, `GiB`, `TiB` | |
/// | `cpu = "1s"` | `process`: processor time of a worker, all threads together; no default: see [Limits](#limits) | |
/// | `open_files = 16` | `process`: descriptors beside those that the body begins with (`RLIMIT_NOFILE`); default 256, for `main` none | |
/// | `file_size = "1MiB"` | `process`: how long a file can be made (`RLIMIT_FSIZE`); no default; units as for `memory` | |
/// | `threads = 4` | `process`: how many threads a body has, itself and those of its children counted; no default; more than one needs `namespaces`: see [Limits](#limits) | |
/// | `namespaces` | `process`: nothing; one more layer, an error where the system does not let this user have it: see [Namespaces](#namespaces) | |
/// | `env = ["LANG"]` | `process`: environment variables to pass; none by default | |
/// | `stdio = "null"` | `process`: see [`Stdio`]; default `"relay"` | |
/// | `workers(reuse = 100, spare = 2, max = 4)` | `process`, neither `main` nor a test: how many calls a worker serves, default 1; how many workers wait for calls, default: the library decides; how many run at once, default twice the processors, at least 4: see [Workers](#workers) | |
/// | `warm = prepare` | `process`, neither `main` nor a test: the path of a `fn()` that runs once, before any call; what it makes is in every worker: see [Workers](#workers) | |
/// | `quiet = paths` | nothing: what Landlock refuses there is left out of the kernel's audit log; without effect before | 10 |
/// | `policy = expr` | a [`Policy`] to begin with; other keys add to it | |
/// | `policy = "site.toml"` | likewise, from a file: see below | |
/// | `strict` | every promise that cannot be held is an error | |
/// | `best_effort` | none is; they are reported | |
/// | `thread_sync = "signal"` | `in_place`: restricts other threads by a signal where the kernel cannot (before ABI 8), and ends the process where one does not answer; calls that wait are interrupted, and threads are strangers to each other for some signals and abstract sockets: see [`ThreadSync::Signal`] | |
/// | `fallible = try_name` | makes `try_name(..) -> Result<T, sandboxed::Error>` too | |
/// | `crate = path` | where this crate is, if it was renamed or re-exported | |
///
/// A path names what it names when the call is made. A symbolic link grants its target; a file that is replaced by
/// a rename is no longer granted: grant its directory, or pass an open `File`. A missing path is an error, unless it
/// is `optional("/lib64")`.
///
/// `log` is known, but this version cannot enforce it, so it does not compile.
///
/// # What a worker may not do
///
/// Beside the grants, a worker in `process` may compute: its own memory, threads, clocks and signals, and what is open.
/// Every other system call is refused, by a filter that knows them all: with `EACCES` where a path, a socket or executable
/// memory is asked for, with `EPERM` else; what it does not know, and `clone3`, does not exist (`ENOSYS`). So without
/// `execute` there are no processes and no memory that is executable from a file (`dlopen`); without a grant of files no
/// path can be named; memory files (`memfd_create`) need `memory = "unlimited"`. io_uring, `inotify`, System V IPC,
/// namespaces, tracing and setting limits or priorities of others are refused whatever is granted. `std::fs::copy` sets the
/// mode of what it made, so it needs `allow(metadata)`; `std::io::copy` does not. With glibc 2.33 to 2.38 and no files
/// granted, `fstat(2)` is answered by a handler of `SIGSYS`: a thread that blocks all signals must let that one through.
///
/// A worker has none of root's capabilities, but `CAP_NET_BIND_SERVICE` where a port below 1024 is granted, and
/// `CAP_MKNOD` where `make_char` or `make_block` is: it reads what root owns, or everybody may read.
///
/// # Limits
///
/// All are a worker's, set for good before the body; one that the host has already and that is lower stays
/// ([setrlimit(2)](https://man7.org/linux/man-pages/man2/setrlimit.2.html)). A child that `execute` lets a worker start
/// has each of them for itself. What `memory` does not count, and how much that can be, is in
/// `docs/limits.md` of the repository.
///
/// - `timeout`: the forkserver kills; the error says so ([`ErrorKind::TimedOut`]).
/// - `cpu`: the forkserver looks at the processor time that the kernel counts, and kills; the error says so
///   ([`ErrorKind::CpuTimeExceeded`], which no worker can forge). The worker's start counts, a millisecond or less.
///   Behind that stands `RLIMIT_CPU`, which knows whole seconds alone.
/// - `memory`: an allocation fails, which ends most programs: an abort, with a [`Hint`].
/// - `open_files`: `EMFILE` to the body. Descriptors that are handed over do not count, nor do stdin, stdout, stderr and
///   the channel to the host.
/// - `file_size`: `EFBIG` to the body, also for descriptors that are handed over; the signal `SIGXFSZ`, which would kill,
///   is ignored. It bounds each regular file, not their number, and no pipes.
/// - `threads`: one is held by the filter: `EPERM` to the body. More are counted by the kernel (`RLIMIT_NPROC`), which
///   counts a worker's alone only in a user namespace, from Linux 5.14 on, and never binds root: `EAGAIN` to the body.
///   Without `namespaces`, and as root, that is an error before the body.
///
/// ```
/// # use sandboxed::sandboxed;
/// #[sandboxed(cpu = "50ms")]
/// fn search(for_what: u64) -> Result<u64, sandboxed::Error> {
///     Ok((0..u64::MAX).find(|number| number.wrapping_mul(*number) == for_what).unwrap_or(0))
/// }
/// assert_eq!(search(1 << 10)?, 32);
/// assert!(search(3).unwrap_err().is_cpu_time_exceeded());
/// # Ok::<(), sandboxed::Error>(())
/// ```
///
/// # Namespaces
///
/// With `namespaces` a worker lives in [namespaces](https://man7.org/linux/man-pages/man7/namespaces.7.html) of its own,
/// by way of an unprivileged user namespace. They are a second layer for what Landlock and the filter refuse, and hold
/// what these cannot:
///
/// - Mounts: its root has the granted paths and the symbolic links on the way to them. All else is not there (`ENOENT`),
///   so that existence and metadata of other files are hidden. Where nothing is granted for writing, mounts are
///   read-only (`EROFS`; from Linux 5.12 on). Each grant is a mount: links and renames from one into another fail
///   (`EXDEV`). The working directory is the caller's if it is there, else `/`. A grant of `/` hides nothing, and a
///   directory that is handed over leads to what is around it.
/// - Processes: it sees and signals its own alone, and what it leaves behind ends with it, by the kernel's hand. A grant of
///   `/proc` is one of a `/proc` of its own. Not with `allow(signal)`.
/// - Network: one without anything in it. Not where ports, UDP or abstract sockets are granted: then it is the host's.
/// - System V objects and the host name.
///
/// A call costs about six times one without them (12 and 2 ms for a trivial one, on a busy machine):
/// `cargo bench --bench calls` prints it for yours. Two small processes stand beside each worker.
///
/// Where they cannot be had, that is an error that names them: many containers and some distributions refuse user
/// namespaces or mounts in them, a program in `in_place` cannot mount, nor can one in a `chroot`. It is tried, once, by a
/// child of the forkserver. With `best_effort` the function runs without them and reports it. Two grants can fail later,
/// at each call: `/proc` where the host's own is partly hidden, and ports below 1024, for which root's capability is none
/// in a user namespace.
///
/// ```
/// # use sandboxed::{Policy, kernel_for, sandboxed};
/// #[sandboxed(namespaces, read = "/usr")]
/// fn is_there(path: &str) -> Result<bool, sandboxed::Error> {
///     Ok(std::fs::symlink_metadata(path).is_ok())
/// }
/// if kernel_for(&Policy::new().namespaces())?.namespaces {
///     assert!(is_there("/usr")?);
///     assert!(!is_there("/etc/passwd")?);
/// }
/// # Ok::<(), sandboxed::Error>(())
/// ```
///
/// # Workers
///
/// Every call has a fresh process, unless `workers` says otherwise. Its counts are of type `u32`.
///
/// - `reuse`, from 1: how many calls a worker serves before it ends. **With more than one, what a call leaves behind is
///   there for the next**: statics, the heap, open descriptors, what is done about signals, environment variables. Hostile
///   input of one call may so read what another was given, or falsify its result. The working directory is set anew. A
///   worker whose call panicked, crashed, timed out or sent bad data is never used again. `timeout` counts each call,
///   `cpu` the whole life of a worker: so `reuse` beside `cpu` does not compile, and where a policy has both from
///   elsewhere, `cpu` wins and workers are used once. Where calls follow one another within 20 µs, caller and worker wait
///   awake for each other on two processors, for at most 0.1 ms at a time; where that is in vain, they soon leave it.
/// - `spare`, from 0: how many workers wait for calls, forked and locked in advance. With 0 each call waits for a fork.
///   By default 2, from the second call on; where workers are used again, none beside those that were.
/// - `max`, from 1: the most workers of this function, and of those that share them, that run at once. A call beyond it waits for one, at most as long as
///   its own `timeout`, and then fails with an error that says so ([`Error::is_busy`]); its body did not run. By default
///   twice the number of processors, at least 4.
///
/// Functions whose workers are locked alike share them; those that are used again, or warmed up, are their function's own.
/// Workers that wait end after ten seconds without a call, and no more than 16 kinds are kept ready. Where grants name
/// arguments, workers are used once: a ruleset is for good.
///
/// A `spare` above `max` does not compile. Of values that are known at run time alone, `reuse` and `max` of 0 count as 1,
/// and a greater `spare` as `max`.
///
/// `warm = prepare` runs `prepare` once, in the locked template from which the function's workers are forked, before any
/// call. What it makes (lazy statics, tables, caches) is in every worker, copied on write. It runs under the function's
/// filter and grants, and may not start threads. If it panics or ends the process, calls fail with an error that says so,
/// and their bodies did not run. It is one function for all calls, so its path can name neither type parameters nor `Self`.
/// A call that is made inside a sandbox runs there as a thread, without a template: a body must not need `prepare` to have
/// run, and one with lazy statics does not.
///
/// ```
/// # use sandboxed::sandboxed;
/// use std::sync::LazyLock;
///
/// static SQUARES: LazyLock<Vec<u64>> = LazyLock::new(|| (0..100_000).map(|n| n * n).collect());
///
/// fn prepare() {
///     LazyLock::force(&SQUARES);
/// }
///
/// #[sandboxed(warm = prepare, workers(max = 2))]
/// fn is_square(n: u64) -> bool {
///     SQUARES.binary_search(&n).is_ok()
/// }
/// assert!(is_square(144) && !is_square(145));
/// ```
///
/// # Policy files
///
/// `policy = "site.toml"` takes what a file of the format of [landlockconfig], TOML or JSON, grants. **What the file does
/// not handle it leaves open**: one without `handled_access_net` grants all TCP ports, one without `scoped` signals to
/// other processes. All that it means is said at `Policy::from_file`. The path is seen from the directory of the package
/// (`CARGO_MANIFEST_DIR`). The file is read when the function is compiled, so that the program needs it no more, and a
/// call parses nothing; a change of it compiles the function anew. Its mistakes are errors of the compiler that begin
/// with `path:line:column:`.
///
/// ```
/// # use sandboxed::sandboxed;
/// #[sandboxed(policy = "tests/policy_files/site.toml", timeout = "2s")]
/// fn users() -> std::io::Result<String> {
///     std::fs::read_to_string("/etc/passwd")
/// }
/// assert!(users()?.contains("root"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A file that is known at run time alone: `policy = Policy::from_file(path)?`, where the function's error can be made
/// from a `PolicyFileError`, as `sandboxed::Error`, `io::Error` and `Box<dyn Error>` can. Without the feature `policy-files`, which is on by
/// default, there is neither, and less to compile.
///
/// [landlockconfig]: https://github.com/landlock-lsm/landlockconfig
///
/// # Learning
///
/// With the feature `learn`, which is off by default, and the variable `SANDBOXED_LEARN` naming a file, functions run
/// **unenforced**, and what they use is written to that file: TOML, with a table for each function (`function."name"`):
///
/// | key | |
/// |---|---|
/// | `attribute` | what to paste: what the attribute says beside grants, and the smallest grants of what was used |
/// | `dangerous` | grants to look at twice; why is in a comment above the attribute |
/// | `not_grantable` | what was used that nothing grants, and that will be refused |
/// | `landlockconfig` | the grants as a policy file; what such a file cannot say is in `beside_landlockconfig` |
/// | `grants` | each grant, with the number of observations behind it |
/// | `seen` | what was used, with how often; `word directory/*` is what is in that directory |
///
/// A run adds to `seen`, from which the rest is worked out. Several processes may write at once. A file that was not made
/// so is left as it is, and what was learned is beside it. What is used before the body begins, and by the library itself,
/// is not in it. A function that is called inside another's body adds to both. Limits hold while functions are learned;
/// `threads` and `namespaces` do not. A worker has no more of root's capabilities than any policy could leave it. A call
/// that cannot be traced is an error: its body did not run.
///
/// # What crosses into a process
///
/// Arguments: everything that is serde's `Serialize` and `Deserialize`, owned or behind `&`; bytes, text, paths and
/// sequences of numbers (`&[f32]`, `Vec<u64>`) in bulk, [`Bytes`] without a copy; open descriptors (`File`, `OwnedFd`, `TcpStream`, ...), with which a function can work on a file that it may not
/// open. `&mut T` is copied in and, if the call succeeds, back. Results: the same without descriptors, and in
/// `Result<T, E>` also `io::Error`, `Box<dyn Error>` and, with the feature `anyhow`, `anyhow::Error`.
///
/// ```
/// use sandboxed::{Bytes, BytesMut, sandboxed};
///
/// #[sandboxed]
/// fn reverse(bytes: &Bytes) -> Result<Bytes, sandboxed::Error> {
///     let mut reversed = BytesMut::zeroed(bytes.len());
///     reversed.iter_mut().zip(bytes.iter().rev()).for_each(|(to, from)| *to = *from);
///     Ok(reversed.freeze())
/// }
///
/// # fn main() -> Result<(), sandboxed::Error> {
/// let bytes = Bytes::from(vec![7; 1 << 20]);
/// assert_eq!(reverse(&reverse(&bytes)?)?, bytes);
/// # Ok(())
/// # }
/// ```
///
/// What cannot cross does not compile: borrowed results, closures, types whose updates would be lost (`Mutex`,
/// `Cell`, atomics). `thread` takes them all.
///
/// A body in a worker sees statics as they were before `main`.
///
/// # Logs
///
/// What a body prints, and says by `log` or (with the feature `tracing`) by `tracing`, reaches this process in order, and its
/// own logger at the level that it has when the call is made, with the field `sandboxed.function`. `warm` may set another
/// logger for the workers. `docs/debugging.md` of the repository says what is cut, and how debuggers and the like get to a
/// worker.
///
/// # Failures
///
/// If the function returns a `Result` whose error has `From<sandboxed::Error>`, a failure is an `Err`. Otherwise it
/// is a panic in the caller; under `panic = "abort"` such a function does not compile in `process`, since hostile
/// input would end the program. `main` in place prints it and exits with 1.
///
/// # Panics
///
/// As said above. The message names the place of the body's own panic.
pub use sandboxed_macros::sandboxed;

/// Makes a test of which the body runs in a sandbox of its own: `#[test]` and [`#[sandboxed]`](macro@sandboxed) in one.
///
/// Takes the same keys; `process` by default, or `thread`. `unenforceable = "skip"` says on stderr that the test is
/// skipped where the kernel cannot enforce its policy; by default (`"fail"`) it fails there. `expect_no_denials` lets it
/// fail where anything was denied, with the text of `SANDBOXED_EXPLAIN` (a policy too tight); `expect_all_used` where a
/// grant was not needed by any call that succeeded, and names it (a policy too loose).
///
/// ```
/// #[sandboxed::test(read = "/usr")]
/// fn reads_usr_alone() {
///     std::fs::read_dir("/usr").unwrap();
///     sandboxed::assert_denied!(std::fs::read_dir("/etc"));
/// }
/// ```
pub use sandboxed_macros::test;

/// Asserts that the sandbox refuses an operation: the errno, and that file permissions would not have refused it.
///
/// In a test of [`#[sandboxed::test]`](test), and around a call of a sandboxed function, what is refused is seen as by
/// [`observe`]; a failure says what was refused instead. Where nothing can be seen, file permissions are asked.
///
/// The expression is a `Result` whose error has an errno, directly or as its source. An errno can be named, and so
/// can a right with its path, which also says what file permissions are asked about; without it that is guessed
/// from the called function's name and arguments, and where the guess does not decide, the assertion fails and says
/// what to write.
///
/// ```
/// # use sandboxed::sandboxed;
/// use sandboxed::assert_denied;
///
/// #[sandboxed]
/// fn peek(path: &str) -> std::io::Result<Vec<u8>> {
///     std::fs::read(path)
/// }
/// assert_denied!(peek("/etc/passwd"), EACCES, read_file = "/etc/passwd");
/// ```
///
/// # Panics
///
/// When the operation is allowed, fails otherwise, or would have been refused by file permissions.
pub use sandboxed_macros::assert_denied;

/// Asserts that the sandboxed functions of this crate are as they were accepted in `sandbox.lock`, so that a change that
/// widens a sandbox shows in a diff, and fails until somebody accepts it.
///
/// ```no_run
/// # use sandboxed as my_crate;
/// // tests/sandboxes.rs
/// use my_crate as _; // else a library is not linked to its test
///
/// #[test]
/// fn sandboxes_are_as_accepted() {
///     sandboxed::assert_locked!();
/// }
/// ```
///
/// The file stands beside `Cargo.toml` and is for version control. It is written where it is missing, but not where `CI`
/// is set; and where `SANDBOXED_ACCEPT=1` is set. It has a block for each function and a line for each grant and limit,
/// the default limits too:
///
/// ```text
/// my_crate::config::load
///   process
///   memory = "1GiB"
///   open_files = 256
///   read = "/etc/my_crate"
///   timeout = "30s"
/// ```
///
/// It is the same on every kernel and machine, and has no lines of the source. A policy that depends on the arguments of a
/// call is locked by its attribute. Paths are as the policy has them; one that the attribute does not spell out, and that
/// lies below the directory of the package, of temporary files or of the user, begins with `$CARGO_MANIFEST_DIR`,
/// `$TMPDIR` or `$HOME`. Other values that differ by machine differ in the file.
///
/// It looks at the functions of the crate that is tested: those whose module path begins with the name of the package, or
/// of the crate that the test is compiled in, but not at tests. `assert_locked!("one", "other")` looks at those of these
/// crates instead, `assert_locked!(all)` at those of every crate that is linked.
///
/// # Panics
///
/// Where anything differs: the message has the lines, and says which widen the sandbox and which narrow it where that can
/// be told. Where the file is missing and `CI` is set, where it cannot be read or written, and where there is no sandboxed
/// function to look at.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[macro_export]
macro_rules! assert_locked {
    () => {
        $crate::assert_locked!(::core::env!("CARGO_PKG_NAME"), ::core::env!("CARGO_CRATE_NAME"))
    };
    (all) => {
        $crate::__private::assert_locked(::core::env!("CARGO_MANIFEST_DIR"), &[])
    };
    ($($name:expr),+ $(,)?) => {
        $crate::__private::assert_locked(::core::env!("CARGO_MANIFEST_DIR"), &[$($name),+])
    };
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!(
    "`sandboxed` is enforced by the Linux kernel, on x86_64 and aarch64; for other targets write \
     #[cfg_attr(target_os = \"linux\", sandboxed(...))] and put the dependency under \
     [target.'cfg(target_os = \"linux\")'.dependencies]"
);

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub use sandboxed_runtime::{
    Access, Allow, By, Bytes, BytesMut, Capability, Cause, Denial, Erratum, Error, ErrorKind, Function, Hint,
    Kernel, Layer, Limits, Lost, Map, Memory, NetAccess, Object, Output, Placement, Plan, Policy, Preset,
    Progress, Promise, Ran, Report, Results, Stdio, ThreadSync, Timeout, Unenforceable, Unwritable, Workers,
    frame_limit, functions, kernel, kernel_for, map, observe, optional, plan, report, set_frame_limit, start,
};

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    feature = "policy-files"
))]
pub use sandboxed_runtime::PolicyFileError;

/// What the attribute's expansion refers to. Not for use by hand, and not stable.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[doc(hidden)]
pub use sandboxed_runtime::__private;
