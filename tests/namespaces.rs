//! Namespaces of a worker's own: what they hide, what stays as it is without them, and what they leave behind.

#[path = "support/processes.rs"]
mod processes;
mod support;
#[path = "support/sys.rs"]
mod sys;

use processes::{Process, own_descriptors, wait_until};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sandboxed::{
    Error, ErrorKind, Kernel, Layer, Placement, Policy, Promise, Ran, kernel_for, plan, sandboxed,
};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use support::{has_abi, in_child, output_in_child};

fn kernel() -> Kernel {
    kernel_for(&Policy::new().namespaces()).unwrap()
}

/// Whether namespaces can be had; says what is not checked where not. That a call is an error there is checked in any
/// case. (Grants of files are made under `best_effort`: without Landlock the new root is all that hides the rest.)
fn are_there() -> bool {
    let kernel = kernel();
    if let Err(error) = do_nothing() {
        assert_is_unenforceable(&error, Promise::OwnNamespaces);
        assert!(!kernel.namespaces, "{error}");
        eprintln!("not checked: this user has no namespaces here");
    }
    kernel.namespaces
}

#[track_caller]
fn assert_is_unenforceable(error: &Error, promise: Promise) {
    let ErrorKind::Unenforceable(why) = error.kind() else { panic!("{error:?}") };
    assert!(why.lost.iter().any(|lost| lost.promise == promise), "{why:?}");
    assert_eq!(error.ran(), Ran::No);
}

#[sandboxed(namespaces)]
fn do_nothing() -> Result<(), Error> {
    Ok(())
}

/// A path, and what a system call answers there.
type Answers = Vec<(PathBuf, Result<Vec<u8>, i32>)>;

fn stat_and_read(paths: &[PathBuf]) -> Answers {
    let answer = |path: &PathBuf| {
        fs::symlink_metadata(path)
            .and_then(|found| if found.is_file() { fs::read(path) } else { Ok(Vec::new()) })
            .map_err(|error| error.raw_os_error().unwrap())
    };
    paths.iter().map(|path| (path.clone(), answer(path))).collect()
}

#[sandboxed(namespaces, best_effort, policy = policy)]
fn see(policy: &Policy, paths: &[PathBuf]) -> Result<Answers, Error> {
    Ok(stat_and_read(paths))
}

#[sandboxed(best_effort, policy = policy)]
fn see_without(policy: &Policy, paths: &[PathBuf]) -> Result<Answers, Error> {
    Ok(stat_and_read(paths))
}

/// What is seen there under a policy; `None` for what is not there.
fn seen(policy: &Policy, paths: &[PathBuf]) -> Vec<Option<String>> {
    let answers = see(policy, paths).unwrap_or_else(|error| panic!("{error}"));
    let text = |(path, answer): (PathBuf, Result<Vec<u8>, i32>)| match answer {
        Ok(bytes) => Some(String::from_utf8(bytes).unwrap()),
        Err(libc::ENOENT) => None,
        Err(errno) => panic!("{path:?}: {}", io::Error::from_raw_os_error(errno)),
    };
    answers.into_iter().map(text).collect()
}

/// `one/file`, `one/deep/file`, `two/file`, and a link to a directory.
struct Files {
    root: tempfile::TempDir,
}

impl Files {
    fn new() -> Files {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("one/deep")).unwrap();
        fs::create_dir(at("two")).unwrap();
        for name in ["one/file", "one/deep/file", "two/file"] {
            fs::write(at(name), name).unwrap();
        }
        symlink("one/deep", at("link")).unwrap();
        Files { root }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn all(&self, names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(|name| self.at(name)).collect()
    }
}

fn texts(texts: &[Option<&str>]) -> Vec<Option<String>> {
    texts.iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn what_is_not_granted_is_not_there() {
    if !are_there() {
        return;
    }
    let files = Files::new();
    let mut paths = files.all(&["one/file", "one/deep/file", "two", "two/file", "link"]);
    paths.extend(["/etc/passwd".into(), "/proc".into(), "/dev/null".into()]);
    let policy = Policy::new().read(files.at("one"));
    let expected = [Some("one/file"), Some("one/deep/file"), None, None, None, None, None, None];
    assert_eq!(seen(&policy, &paths), texts(&expected));
    // Without namespaces their existence is seen, where a filter does not hide it.
    let without = see_without(&policy, &paths).unwrap();
    assert!(without.iter().all(|(_, answer)| *answer != Err(libc::ENOENT)), "{without:?}");
}

#[test]
fn a_path_leads_where_it_does_in_the_host() {
    if !are_there() {
        return;
    }
    let files = Files::new();
    symlink(files.at("two"), files.at("one/absolute")).unwrap();
    symlink("../one/absolute", files.at("two/back")).unwrap();
    let paths = files.all(&["link/file", "one/deep/file", "one/file", "two/file", "one/absolute/file"]);
    // A grant by way of a link: the link is there, and what it leads to.
    let by_link = Policy::new().read(files.at("link/file"));
    let expected = texts(&[Some("one/deep/file"), Some("one/deep/file"), None, None, None]);
    assert_eq!(seen(&by_link, &paths), expected);
    // By links to links, and with `..` in between.
    let winding = Policy::new().read(files.at("link/../../two/back/file"));
    let expected = texts(&[None, None, None, Some("two/file"), Some("two/file")]);
    assert_eq!(seen(&winding, &paths), expected);
    // A missing one, optional or not.
    let optional = Policy::new().read(sandboxed::optional(files.at("none"))).read(files.at("two"));
    assert_eq!(seen(&optional, &paths)[3], Some("two/file".into()));
    let missing = see(&Policy::new().read(files.at("none")), &[]).unwrap_err();
    assert!(matches!(missing.kind(), ErrorKind::Grant { .. }), "{missing:?}");
    let round = files.at("round");
    symlink(&round, &round).unwrap();
    let round = see(&Policy::new().read(round), &[]).unwrap_err();
    assert!(matches!(round.kind(), ErrorKind::Grant { .. }), "{round:?}");
}

#[test]
fn a_granted_root_hides_nothing() {
    if !are_there() {
        return;
    }
    let files = Files::new();
    let paths = files.all(&["one/file", "link"]);
    assert_eq!(seen(&Policy::new().read("/"), &paths), texts(&[Some("one/file"), Some("")]));
}

#[sandboxed(namespaces, read = [dir.join("two"), dir.join("one/deep")], write = [dir.join("one"), dir.join("two/out")])]
fn write_there(dir: &Path) -> Result<[Result<(), i32>; 5], Error> {
    let write = |name: &str| fs::write(dir.join(name), "new").map_err(|error| error.raw_os_error().unwrap());
    Ok(["one/new", "one/deep/new", "two/new", "two/out/new", "new"].map(write))
}

#[test]
fn what_is_written_is_written_in_the_host() {
    if !are_there() || !has_abi(1, "granting files") {
        return;
    }
    let files = Files::new();
    fs::create_dir(files.at("two/out")).unwrap();
    let [one, deep, two, out, outside] = write_there(files.root.path()).unwrap();
    assert_eq!([one, deep, out], [Ok(()); 3]);
    for name in ["one/new", "one/deep/new", "two/out/new"] {
        assert_eq!(fs::read_to_string(files.at(name)).unwrap(), "new", "{name}");
    }
    // A mount for reading alone says so before Landlock is asked (from Linux 5.12 on); so does the new root.
    assert!(matches!(two, Err(libc::EROFS | libc::EACCES)), "{two:?}");
    assert!(matches!(outside, Err(libc::EROFS | libc::EACCES)), "{outside:?}");
    assert!(!files.at("two/new").exists() && !files.at("new").exists());
}

#[sandboxed(namespaces, best_effort, policy = policy)]
fn directory(policy: &Policy) -> Result<(PathBuf, Vec<OsString>), Error> {
    let here = std::env::current_dir().unwrap();
    let names = fs::read_dir("..").map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect());
    Ok((here, names.unwrap_or_default()))
}

#[test]
fn the_working_directory_is_the_callers_if_it_is_granted() {
    if !has_abi(1, "grants of files") {
        return;
    }
    in_child("the_working_directory_is_the_callers_if_it_is_granted", || {
        if !are_there() {
            return;
        }
        let files = Files::new();
        std::env::set_current_dir(files.at("one/deep")).unwrap();
        let granted = Policy::new().read(files.at("one"));
        let (here, names) = directory(&granted).unwrap();
        assert_eq!(here, files.at("one/deep"));
        assert!(names.contains(&"file".into()), "{names:?}");
        // Relative grants are seen from there.
        assert_eq!(directory(&Policy::new().read("..")).unwrap().0, files.at("one/deep"));
        let elsewhere = directory(&Policy::new().read(files.at("two"))).unwrap();
        assert_eq!(elsewhere, ("/".into(), Vec::new()));
        // One that was deleted.
        fs::remove_dir_all(files.at("one/deep")).unwrap();
        assert_eq!(directory(&granted).unwrap().0, Path::new("/"));
    });
}

/// What a worker finds in a `/proc` of its own.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Surroundings {
    namespaces: Vec<PathBuf>,
    processes: Vec<u32>,
    this: u32,
    parent: u32,
    interfaces: String,
    routes: String,
    capabilities: Vec<String>,
}

const NAMESPACES: [&str; 6] = ["ipc", "mnt", "net", "pid", "user", "uts"];

impl Surroundings {
    fn here() -> Surroundings {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap();
        let status = read("status");
        let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
        let mut processes: Vec<u32> = processes.filter_map(|name| name.to_str()?.parse().ok()).collect();
        processes.sort_unstable();
        Surroundings {
            namespaces: NAMESPACES
                .map(|name| fs::read_link(format!("/proc/self/ns/{name}")).unwrap())
                .to_vec(),
            processes,
            this: std::process::id(),
            parent: std::os::unix::process::parent_id(),
            interfaces: read("net/dev"),
            routes: read("net/fib_trie"),
            capabilities: ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
                .map(|name| processes::status_line(&status, name))
                .to_vec(),
        }
    }
}

#[sandboxed(namespaces, best_effort, policy = policy)]
fn surroundings(policy: &Policy) -> Result<Surroundings, Error> {
    Ok(Surroundings::here())
}

#[test]
fn nothing_of_the_hosts_is_around() {
    if !are_there() {
        return;
    }
    let host = Surroundings::here();
    for granted in ["/proc", "/"] {
        let worker = surroundings(&Policy::new().read(granted)).unwrap();
        for ((name, of_worker), of_host) in NAMESPACES.iter().zip(&worker.namespaces).zip(&host.namespaces) {
            assert_ne!(of_worker, of_host, "{name}");
        }
        assert_eq!(worker.processes, [1, 2], "the init and the body");
        assert_eq!((worker.this, worker.parent), (2, 0));
        let interfaces: Vec<&str> = worker.interfaces.lines().skip(2).map(str::trim).collect();
        let [lo] = interfaces.as_slice() else { panic!("{interfaces:?}") };
        assert!(lo.starts_with("lo:"), "{lo}");
        // An interface that is down has no address. (That of the host is up: other tests connect to it.)
        assert!(!worker.routes.contains("127.0.0.1"), "{}", worker.routes);
        assert!(host.routes.contains("127.0.0.1"), "{}", host.routes);
        assert_eq!(worker.capabilities, ["0000000000000000"; 5]);
    }
    assert!(host.processes.contains(&host.this) && host.processes.len() > 2);
}

#[test]
fn what_a_grant_reaches_stays_the_hosts() {
    if !are_there() {
        return;
    }
    let host = Surroundings::here();
    let shared = |policy: Policy| {
        let worker = surroundings(&policy.read("/proc")).unwrap();
        let both = NAMESPACES.iter().zip(&worker.namespaces).zip(&host.namespaces);
        both.filter(|((_, worker), host)| worker == host).map(|((name, _), _)| *name).collect::<Vec<_>>()
    };
    assert_eq!(shared(Policy::new()), [""; 0]);
    assert_eq!(shared(Policy::new().tcp_connect(80)), ["net"]);
    assert_eq!(shared(Policy::new().allow(sandboxed::Allow::Udp)), ["net"]);
    assert_eq!(shared(Policy::new().allow(sandboxed::Allow::AbstractUnixSocket)), ["net"]);
    assert_eq!(shared(Policy::new().allow(sandboxed::Allow::Signal)), ["pid"]);
}

#[sandboxed(namespaces, best_effort, unix = path)]
fn connect(path: &Path) -> Result<Option<i32>, Error> {
    let connected = std::os::unix::net::UnixStream::connect(path);
    Ok(connected.err().map(|error| error.raw_os_error().unwrap()))
}

/// A network of its own is none of pathname sockets, which are files.
#[test]
fn granted_sockets_are_reached_from_another_network() {
    if !are_there() {
        return;
    }
    let files = Files::new();
    let sockets = ["one/socket", "two/socket"].map(|name| files.at(name));
    let _listening = sockets.each_ref().map(|path| std::os::unix::net::UnixListener::bind(path).unwrap());
    assert_eq!(sockets.each_ref().map(|path| connect(path).unwrap()), [None, None]);
    let outside = seen(&Policy::new().read(files.at("one")), &sockets);
    assert_eq!(outside, texts(&[Some(""), None]));
}

/// Of one file of `/proc`, the file; not the directory.
#[test]
fn a_file_in_proc_is_the_hosts() {
    if !are_there() {
        return;
    }
    let paths = ["/proc/cpuinfo", "/proc/1", "/proc/self"].map(PathBuf::from);
    let found = seen(&Policy::new().read("/proc/cpuinfo"), &paths);
    assert!(found[0].as_ref().is_some_and(|text| text.contains("processor")));
    assert_eq!(found[1..], [None, None]);
}

#[sandboxed(namespaces, cpu = "100ms")]
fn spin() -> Result<(), Error> {
    loop {
        std::hint::black_box(());
    }
}

#[test]
fn processor_time_is_that_of_the_body() {
    if are_there() {
        let error = spin().unwrap_err();
        assert!(error.is_cpu_time_exceeded(), "{error}");
    }
}

#[sandboxed(namespaces)]
fn signals() -> Result<[Result<(), i32>; 3], Error> {
    let this = std::process::id().cast_signed();
    Ok([sys::kill(this, 0), sys::kill(-1, 0), sys::kill(1, libc::SIGKILL).and_then(|()| sys::kill(this, 0))])
}

#[test]
fn signals_reach_nobody_else() {
    if !are_there() {
        return;
    }
    let by_filter = plan(&Policy::new().namespaces(), Placement::Process, kernel()).unwrap().held
        [&Promise::Signal]
        .contains(&Layer::Filter);
    let [this, all, init] = signals().unwrap();
    assert_eq!(this, Ok(()));
    assert_eq!(all, Err(if by_filter { libc::EPERM } else { libc::ESRCH }));
    // The init lives: it heeds no signal from below. Landlock refuses it before.
    assert!(matches!(init, Ok(()) | Err(libc::EPERM)), "{init:?}");
}

#[sandboxed(namespaces, best_effort, timeout = "never", execute = std::env::current_exe().unwrap(), read = "/proc")]
fn leave_behind(held: &OwnedFd, end: &str) -> Result<Vec<u32>, Error> {
    let daemon = || {
        rustix::process::setsid().unwrap();
        sys::fork(loop_forever);
    };
    assert!(sys::wait_for(sys::fork(daemon)).success());
    sys::fork(loop_forever);
    let processes = Surroundings::here().processes;
    match end {
        "return" => {}
        "abort" => std::process::abort(),
        other => panic!("{other}"),
    }
    // It is open until here, and longer in those that were left behind.
    assert!(rustix::io::fcntl_getfd(held).is_ok());
    Ok(processes)
}

fn loop_forever() {
    loop {
        std::thread::park();
    }
}

#[test]
fn what_is_left_behind_ends_with_the_worker() {
    if !are_there() {
        return;
    }
    for end in ["return", "abort", "panic"] {
        let (held, theirs) = rustix::pipe::pipe().unwrap();
        let result = leave_behind(&theirs, end);
        drop(theirs);
        match end {
            "return" => assert_eq!(result.unwrap(), [1, 2, 4, 5], "two were left behind"),
            "abort" => assert_eq!(result.unwrap_err().signal(), Some(libc::SIGABRT)),
            _ => assert!(result.unwrap_err().is_panic()),
        }
        // Readable, without a byte, when nobody holds the other end any more.
        let is_closed = || {
            let mut polled = [PollFd::new(&held, PollFlags::IN)];
            poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
        };
        wait_until("what was left behind is gone", is_closed);
        assert_eq!(rustix::io::read(&held, &mut [0; 1]), Ok(0));
    }
}

#[sandboxed(namespaces, timeout = "300ms")]
fn end(how: &str) -> Result<u32, Error> {
    match how {
        "return" => return Ok(7),
        "panic" => panic!("as told"),
        "exit" => std::process::exit(3),
        "abort" => std::process::abort(),
        "signal" => sys::raise(libc::SIGTERM),
        "crash" => sys::raise(libc::SIGSEGV),
        "stop" => sys::raise(libc::SIGSTOP),
        "hang" => loop_forever(),
        "print" => println!("by the worker"),
        other => unreachable!("{other}"),
    }
    Ok(8)
}

#[test]
fn calls_end_as_without() {
    if !are_there() {
        return;
    }
    assert_eq!(end("return").unwrap(), 7);
    assert_eq!(end("panic").unwrap_err().panic_message(), Some("as told"));
    assert_eq!(end("exit").unwrap_err().exit_code(), Some(3));
    for (how, signal) in [("abort", libc::SIGABRT), ("signal", libc::SIGTERM), ("crash", libc::SIGSEGV)] {
        assert_eq!(end(how).unwrap_err().signal(), Some(signal), "{how}");
    }
    for how in ["stop", "hang"] {
        assert!(end(how).unwrap_err().is_timeout(), "{how}");
    }
    assert_eq!(end("return").unwrap(), 7);
}

#[test]
fn what_a_worker_prints_is_printed() {
    let printed = output_in_child("what_a_worker_prints_is_printed", || {
        if are_there() {
            assert_eq!(end("print").unwrap(), 8);
        }
    });
    let Some(printed) = printed else { return };
    assert!(printed.status.success(), "{printed:?}");
    let stdout = String::from_utf8_lossy(&printed.stdout);
    assert_eq!(stdout.matches("by the worker\n").count(), usize::from(kernel().namespaces), "{stdout}");
}

/// What stands in the way is told by the answer alone: here, that of a system call.
fn assert_unenforceable_without(number: i64, errno: i32) {
    sys::refuse_call(number, errno);
    let error = do_nothing().unwrap_err();
    assert_is_unenforceable(&error, Promise::OwnNamespaces);
    assert!(error.to_string().contains("`namespaces` and a system that lets this user"), "{error}");
    // Less was asked for: it runs without them, in the host's pid namespace, and says so.
    assert_ne!(lenient().unwrap(), 2);
    let lost = plan(&Policy::new().namespaces().best_effort(), Placement::Process, kernel()).unwrap().lost;
    assert!(lost.iter().any(|lost| lost.promise == Promise::OwnNamespaces), "{lost:?}");
}

/// An outer filter, as containers have it.
#[test]
fn refused_namespaces_are_an_error_before_the_body() {
    in_child("refused_namespaces_are_an_error_before_the_body", || {
        assert_unenforceable_without(libc::SYS_unshare, libc::EPERM);
    });
}

/// A security module that gives namespaces, and lets nobody mount.
#[test]
fn refused_mounts_are_an_error_before_the_body() {
    in_child("refused_mounts_are_an_error_before_the_body", || {
        assert_unenforceable_without(libc::SYS_mount, libc::EACCES);
    });
}

#[sandboxed(namespaces, best_effort)]
fn lenient() -> Result<u32, Error> {
    Ok(std::process::id())
}

#[sandboxed(in_place, read = "/", thread_sync = "signal")]
fn restrict() -> Result<(), Error> {
    Ok(())
}

/// A Landlock domain lets nobody mount.
#[test]
fn under_landlock_they_are_an_error() {
    in_child("under_landlock_they_are_an_error", || {
        if !are_there() || !has_abi(1, "granting files") {
            return;
        }
        do_nothing().unwrap();
        restrict().unwrap();
        assert_is_unenforceable(&do_nothing().unwrap_err(), Promise::OwnNamespaces);
    });
}

#[sandboxed(namespaces, threads = 3)]
fn start_threads(count: usize) -> Result<Vec<Option<i32>>, Error> {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    Ok(std::thread::scope(|scope| {
        let start = |_| {
            let thread =
                std::thread::Builder::new().spawn_scoped(scope, || wait.lock().unwrap().recv().is_err());
            thread.err().and_then(|error| error.raw_os_error())
        };
        let started = (0..count).map(start).collect();
        drop(release);
        started
    }))
}

#[sandboxed(namespaces, threads = 1)]
fn start_none() -> Result<Option<i32>, Error> {
    let thread = std::thread::Builder::new().spawn(|| ());
    Ok(thread.err().and_then(|error| error.raw_os_error()))
}

#[sandboxed(threads = 3)]
fn counts_without_namespaces() -> Result<(), Error> {
    Ok(())
}

#[test]
fn threads_are_counted_in_them() {
    let error = counts_without_namespaces().unwrap_err();
    assert_is_unenforceable(&error, Promise::Threads);
    assert!(error.to_string().contains("needs `namespaces`"), "{error}");
    let result = start_threads(4);
    if !kernel().thread_limit {
        assert_is_unenforceable(&result.unwrap_err(), Promise::Threads);
        return eprintln!("not checked: no limit of threads binds this user in namespaces here");
    }
    let refused = Some(libc::EAGAIN);
    assert_eq!(result.unwrap(), [None, None, refused, refused]);
    // Others' processes, and those of other calls, do not count.
    assert_eq!(start_threads(2).unwrap(), [None, None]);
    let by_filter = plan(&Policy::new().namespaces().threads(1), Placement::Process, kernel()).unwrap().held
        [&Promise::Threads]
        .contains(&Layer::Filter);
    assert_eq!(start_none().unwrap(), Some(if by_filter { libc::EPERM } else { libc::EAGAIN }));
}

#[sandboxed]
fn template() -> i32 {
    std::os::unix::process::parent_id().cast_signed()
}

fn forkserver() -> i32 {
    processes::forkserver_of(template())
}

#[test]
fn a_thousand_calls_leave_nothing_behind() {
    in_child("a_thousand_calls_leave_nothing_behind", || {
        if !are_there() {
            return;
        }
        let server = Process::of(forkserver());
        let files = Files::new();
        let policy = Policy::new().read(files.at("one"));
        let call = |number: u32| match number % 100 {
            50 => assert!(end("panic").unwrap_err().is_panic()),
            60 => assert_eq!(end("abort").unwrap_err().signal(), Some(libc::SIGABRT)),
            _ => assert_eq!(
                seen(&policy, &files.all(&["one/file", "two/file"])),
                texts(&[Some("one/file"), None])
            ),
        };
        (0..100).for_each(call);
        let holdings = || {
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            let children = processes::children(server.pid).len();
            (own_descriptors(), mounts, children, server.descriptors().len())
        };
        // The template of workers without namespaces stays.
        wait_until("the forkserver is idle", || holdings().2 <= 1);
        let before = holdings();
        (0..1000).for_each(call);
        assert_eq!(forkserver(), server.pid, "it is still the same forkserver");
        wait_until("all is as it was", || {
            let now = holdings();
            let ready = 15;
            now.0.len() <= before.0.len() + ready && now.1 == before.1 && now.2 <= 1 && now.3 <= before.3
        });
    });
}
