//! What is denied is seen, said as it is, and as denied as ever: a table of refusals in each placement, each with a twin
//! that is allowed and of which nothing is said.

mod assertions;
mod barred;
mod blame;
#[path = "../support/foreign.rs"]
mod foreign;
mod limits;
#[path = "../support/logger.rs"]
mod logger;
#[path = "../support/processes.rs"]
mod processes;
#[path = "../support/raw.rs"]
mod raw;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/sys.rs"]
mod sys;
mod table;

use sandboxed::{By, Denial, Error, Object, Policy, observe, sandboxed};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::in_child;

/// The sandbox's part of what was seen.
fn of_sandbox(denials: &[Denial]) -> Vec<&Denial> {
    denials.iter().filter(|denial| denial.by.is_sandbox()).collect()
}

#[sandboxed(read = "/usr")]
fn open_twice(path: &Path) -> Result<Option<i32>, Error> {
    let errno = |path| std::fs::File::open(path).err().and_then(|error| error.raw_os_error());
    assert_eq!(errno(Path::new("/usr")), None);
    errno(path);
    Ok(errno(path))
}

#[test]
fn a_denial_is_plain_data() {
    let (errno, denials) = observe(|| open_twice(Path::new("/etc/hosts")).unwrap());
    assert_eq!(errno, Some(libc::EACCES));
    let expected = Denial {
        function: "observe::open_twice".into(),
        place: denials[0].place.clone(),
        operation: "read_file".into(),
        call: "openat".into(),
        object: Object::Path("/etc/hosts".into()),
        errno: libc::EACCES,
        by: By::Landlock,
        count: 2,
        grant: Some("read = \"/etc/hosts\"".into()),
        note: None,
    };
    assert_eq!(denials, [expected]);
    assert!(denials[0].place.starts_with("tests/observe/main.rs:"), "{}", denials[0].place);
    let json = serde_json::to_string(&denials).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Denial>>(&json).unwrap(), denials);
    // Outside nothing is observed, and inside only what is called there.
    open_twice(Path::new("/etc/passwd")).unwrap();
    assert_eq!(observe(|| ()).1, []);
}

#[test]
fn observations_nest_and_end() {
    let (inner, outer) = observe(|| {
        open_twice(Path::new("/etc/hosts")).unwrap();
        observe(|| open_twice(Path::new("/etc/passwd")).unwrap()).1
    });
    assert_eq!((inner.len(), outer.len()), (1, 2));
    let panicked = std::panic::catch_unwind(|| observe(|| panic!("as it is wanted")));
    assert!(panicked.is_err());
    assert_eq!(observe(|| open_twice(Path::new("/etc/hosts")).unwrap()).1.len(), 1);
}

#[sandboxed]
fn panics_when_denied() -> Result<(), Error> {
    std::fs::read("/etc/hosts").unwrap();
    Ok(())
}

#[test]
fn an_error_says_what_was_denied_before() {
    let (error, denials) = observe(|| panics_when_denied().unwrap_err());
    assert!(error.panic_message().unwrap().contains("Permission denied"), "{error}");
    assert_eq!(error.denials(), denials);
    assert_eq!(denials[0].by, By::Filter);
    assert_eq!(panics_when_denied().unwrap_err().denials(), []);
}

/// What would be refused outside too is not the sandbox's doing.
#[sandboxed(read = std::env::temp_dir())]
fn permissions(path: &Path) -> Result<Option<i32>, Error> {
    Ok(std::fs::read(path).err().and_then(|error| error.raw_os_error()))
}

#[test]
fn file_permissions_are_not_the_sandbox() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "secret").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    // A worker has none of root's capabilities; root's own files are another's for nobody.
    let (errno, denials) = observe(|| permissions(&file).unwrap());
    assert_eq!(errno, Some(libc::EACCES));
    let seen: Vec<_> = denials.iter().map(|denial| (denial.by, denial.grant.clone())).collect();
    assert_eq!(seen, [(By::Permissions, None)]);
}

#[sandboxed::test(read = "/usr", expect_no_denials)]
fn what_is_not_there_is_no_denial() {
    assert_eq!(support::errno(std::fs::read("/usr/there/is/nothing")), libc::ENOENT);
}

#[sandboxed(namespaces, read = "/usr", best_effort)]
fn open_in_a_root_of_its_own(path: &Path) -> Result<Option<i32>, Error> {
    Ok(std::fs::File::open(path).err().and_then(|error| error.raw_os_error()))
}

/// That a root of its own lacks it says nothing of what is there outside.
#[test]
fn what_a_root_of_its_own_lacks_is_not_called_missing() {
    if !sandboxed::kernel_for(&sandboxed::Policy::new().namespaces()).unwrap().namespaces {
        return eprintln!("not checked: this user has no namespaces here");
    }
    for path in ["/etc/hosts", "/etc/there-is-nothing"] {
        let (errno, denials) = observe(|| open_in_a_root_of_its_own(Path::new(path)).unwrap());
        assert_eq!((errno, denials), (Some(libc::ENOENT), Vec::new()), "{path}");
    }
}

#[sandboxed(execute = ["/usr", "/bin", "/lib", optional("/lib64")])]
fn run(program: &Path) -> Result<bool, Error> {
    Ok(std::process::Command::new(program).status().is_ok())
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let missing = |program: &str| {
        let (ran, denials) = observe(|| run(Path::new(program)).unwrap());
        let missing =
            denials.into_iter().filter(|denial| denial.by == By::Missing && denial.call == "execve");
        let found: Vec<_> = missing.map(|denial| (denial.operation, denial.object.to_string())).collect();
        (ran, found)
    };
    let nothing = "/usr/bin/there-is-nothing";
    assert_eq!(missing(nothing), (false, vec![("execute".into(), nothing.into())]));
    assert_eq!(missing("/usr/bin/true"), (true, Vec::new()));
}

#[sandboxed]
fn missing() -> Result<(), Error> {
    drop(std::fs::read("/there/is/nothing"));
    Ok(())
}

/// Whether it is there nobody looks: that would be a way to learn what is outside, and to make something of it happen.
#[test]
fn what_the_filter_refused_is_not_looked_for() {
    let (_, denials) = observe(|| missing().unwrap());
    let [denial] = &denials[..] else { panic!("{denials:?}") };
    assert_eq!(denial.by, By::Filter);
    assert_eq!(
        (&*denial.operation, denial.grant.as_deref()),
        ("read_file", Some("read = \"/there/is/nothing\""))
    );
}

#[sandboxed]
fn has_report() -> Result<bool, Error> {
    drop(std::fs::read("/there/is/nothing"));
    Ok(sandboxed::__private::sees_what_is_denied())
}

/// What the observer finds out outside is not for the observed, but for tests.
#[test]
fn a_sandbox_cannot_read_what_was_found_out() {
    assert!(!observe(|| has_report().unwrap()).0);
    assert!(sandboxed::__private::observed_test(false, false, has_report).unwrap());
}

#[sandboxed(read = "/usr", execute = ["/usr", "/bin", "/lib", optional("/lib64")])]
fn spawns_and_asks() -> Result<bool, Error> {
    // The C library blocks all signals meanwhile, and a trapped call then resets the handler of SIGSYS.
    drop(std::process::Command::new("/etc/hosts").status());
    Ok(std::io::pipe().is_ok_and(|(end, _)| rustix::fs::fstat(&end).is_ok()))
}

#[sandboxed]
fn is_refused_a_spawn_and_asks() -> Result<bool, Error> {
    drop(std::process::Command::new("/usr/bin/true").status());
    Ok(std::io::pipe()
        .is_ok_and(|(end, _)| std::fs::File::from(std::os::fd::OwnedFd::from(end)).metadata().is_ok()))
}

#[test]
fn a_refused_spawn_leaves_the_worker_as_it_was() {
    for body in [spawns_and_asks, is_refused_a_spawn_and_asks] {
        assert!(observe(|| body().unwrap()).0);
    }
}

#[sandboxed(open_files = 4)]
fn many_files() -> Result<usize, Error> {
    Ok(std::iter::repeat_with(|| std::net::UdpSocket::bind("127.0.0.1:0")).take(1).count()
        + std::iter::from_fn(|| std::io::pipe().ok()).collect::<Vec<_>>().len())
}

#[test]
fn nothing_changes_but_time() {
    let (count, _) = observe(|| many_files().unwrap());
    assert_eq!(count, many_files().unwrap());
}

/// On how many processors it may run, before and after it chooses one.
#[sandboxed(read = "/usr")]
fn processors(times: u32) -> Result<Vec<(u32, u32)>, Error> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
    let open = || assert!(std::fs::File::open("/usr").is_ok());
    let asked = || {
        (0..times).map(|_| {
            open();
            sched_getaffinity(None).unwrap().count()
        })
    };
    let all: Vec<u32> = asked().collect();
    let mut one = CpuSet::new();
    one.set(sched_getcpu());
    sched_setaffinity(None, &one).unwrap();
    Ok(all.into_iter().zip(asked()).collect())
}

/// The observer has them run where it does, for as long as they cannot know.
#[test]
fn it_may_run_where_it_might() {
    let plain = processors(1).unwrap();
    assert_eq!(plain[0].1, 1);
    assert_eq!(observe(|| processors(3000).unwrap()).0, [plain[0]; 3000]);
}

#[sandboxed(read = "/usr")]
fn relative() -> Result<PathBuf, Error> {
    let here = std::env::current_dir().unwrap();
    drop(std::fs::read_dir("."));
    drop(std::fs::read_dir("./."));
    Ok(here)
}

#[test]
fn paths_are_resolved_as_the_worker_means_them() {
    let (here, denials) = observe(|| relative().unwrap());
    let objects: Vec<_> = denials.iter().map(|denial| (denial.object.clone(), denial.count)).collect();
    let path = here.display().to_string();
    assert_eq!(objects, [(Object::Path(path), 2)]);
}

/// Opens a file for reading, and again for writing by its number.
#[sandboxed(read = allowed, write = empty)]
fn reopens(allowed: &Path, empty: &Path, through: &Path) -> Result<Option<i32>, Error> {
    Ok(reopen(allowed, through))
}

#[sandboxed(thread, read = allowed, write = empty)]
fn reopens_in_thread(allowed: &Path, empty: &Path, through: &Path) -> Result<Option<i32>, Error> {
    Ok(reopen(allowed, through))
}

fn reopen(allowed: &Path, through: &Path) -> Option<i32> {
    use std::os::fd::AsRawFd;
    let file = std::fs::File::open(allowed.join("file")).unwrap();
    let again = through.join(file.as_raw_fd().to_string());
    std::fs::OpenOptions::new().write(true).open(again).err().and_then(|error| error.raw_os_error())
}

#[test]
fn a_descriptor_of_the_observed_is_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let empty = tempfile::tempdir().unwrap();
    let at = directory.path().canonicalize().unwrap();
    std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::write(at.join("file"), "").unwrap();
    std::fs::set_permissions(at.join("file"), std::fs::Permissions::from_mode(0o666)).unwrap();
    std::os::unix::fs::symlink("/proc/self/fd", at.join("link")).unwrap();
    let link = at.join("link");
    for through in
        ["/proc/self/fd", "/proc/thread-self/fd", "/dev/fd", "/proc/../dev/fd", link.to_str().unwrap()]
    {
        for reopens in [reopens, reopens_in_thread] {
            let (errno, denials) = observe(|| reopens(&at, empty.path(), Path::new(through)).unwrap());
            assert_eq!(errno, Some(libc::EACCES), "{through}");
            let [denial] = &denials[..] else { panic!("{through}: {denials:#?}") };
            assert_eq!(
                (denial.by, &*denial.operation),
                (By::Landlock, "write_file"),
                "{through}: {denial:#?}"
            );
            assert_eq!(denial.object, Object::Path(at.join("file").display().to_string()), "{through}");
        }
    }
}

#[sandboxed(namespaces, read = "/proc", best_effort)]
fn reopens_in_a_root_of_its_own(file: std::fs::File, through: &Path) -> Result<Option<i32>, Error> {
    use std::os::fd::AsRawFd;
    let again = std::fs::File::open(through.join(file.as_raw_fd().to_string()));
    Ok(again.err().and_then(|error| error.raw_os_error()))
}

/// Its number there is another.
#[test]
fn a_descriptor_of_one_with_its_own_proc_is_its_own() {
    let has_namespaces = sandboxed::kernel_for(&sandboxed::Policy::new().namespaces()).unwrap().namespaces;
    if !has_namespaces || !support::has_abi(1, "files") {
        return eprintln!("not checked: this user has no namespaces here");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    for through in ["/proc/self/fd", "/proc/thread-self/../../fd", "/proc/self/task/../../self/fd"] {
        let handed = file.as_file().try_clone().unwrap();
        let (errno, denials) = observe(|| reopens_in_a_root_of_its_own(handed, Path::new(through)).unwrap());
        assert_eq!(errno, Some(libc::EACCES), "{through}");
        let seen: Vec<_> = denials.iter().map(|denial| (denial.by, denial.object.to_string())).collect();
        let path = file.path().canonicalize().unwrap();
        assert_eq!(seen, [(By::Landlock, path.display().to_string())], "{through}");
    }
}

#[sandboxed]
fn hostile(times: u32) -> Result<(), Error> {
    for number in 0..times {
        drop(std::fs::read(format!("/{number}/\x1b[2J")));
    }
    Ok(())
}

/// What a worker does cannot make the host take more than so much, nor confuse who reads.
#[test]
fn a_flood_of_denials_is_bounded() {
    let (_, denials) = observe(|| hostile(3000).unwrap());
    assert_eq!(denials.len(), 1000);
    assert!(denials.iter().all(|denial| !denial.to_string().contains('\x1b')));
}

/// Says when it was denied something.
#[sandboxed(policy = Policy::new().timeout(limit))]
fn late(limit: Duration, mut denied: UnixStream) -> Result<(), Error> {
    drop(std::fs::read("/etc/hosts"));
    denied.write_all(b"!").unwrap();
    std::thread::sleep(Duration::from_secs(3600));
    Ok(())
}

/// With a timeout that it comes so far in.
fn denied_and_late() -> (Error, Vec<Denial>) {
    let mut limit = Duration::from_millis(500);
    loop {
        let (mut denied, theirs) = UnixStream::pair().unwrap();
        let seen = observe(|| late(limit, theirs).unwrap_err());
        if denied.read(&mut [0]).unwrap() == 1 {
            return seen;
        }
        limit *= 2;
    }
}

#[sandboxed]
fn killed() -> Result<(), Error> {
    drop(std::fs::read("/etc/hosts"));
    std::process::abort()
}

#[test]
fn a_worker_ends_as_it_would() {
    let (error, denials) = denied_and_late();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(denials.len(), 1);
    let (error, denials) = observe(|| killed().unwrap_err());
    assert_eq!((error.signal(), denials.len()), (Some(libc::SIGABRT), 1));
}

#[sandboxed]
fn handles_sigsys() -> Result<i32, Error> {
    // glibc asks by newfstatat with an empty path, which a handler of ours answers.
    Ok(i32::from(std::io::pipe().is_ok_and(|(end, _)| rustix::fs::fstat(&end).is_ok())))
}

#[test]
fn what_our_own_handler_answers_is_no_denial() {
    assert_eq!(observe(|| handles_sigsys().unwrap()), (1, Vec::new()));
}

#[test]
fn everything_is_observed_at_once_from_many_threads() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let (_, denials) = observe(|| open_twice(Path::new("/etc/hosts")).unwrap());
                    assert_eq!(denials.len(), 1);
                    let (_, denials) = observe(|| table::in_thread(&table::Try::Read("/etc/hosts".into())));
                    assert_eq!(of_sandbox(&denials).len(), 1, "{denials:?}");
                }
            });
        }
    });
}

#[sandboxed]
fn template() -> Result<i32, Error> {
    Ok(std::os::unix::process::parent_id().cast_signed())
}

#[sandboxed(thread)]
fn tries_for_a_while(barrier: &std::sync::Barrier) -> u64 {
    barrier.wait();
    let tries = (0..100).map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        std::net::UdpSocket::bind("127.0.0.1:0").is_err()
    });
    tries.filter(|is_refused| *is_refused).count() as u64
}

/// Without a tracer the kernel would end the program at its next refused call.
#[test]
fn a_thread_keeps_its_observer_when_the_forkserver_ends() {
    if !support::has_abi(1, "a sandboxed thread") {
        return;
    }
    in_child("a_thread_keeps_its_observer_when_the_forkserver_ends", || {
        let barrier = std::sync::Barrier::new(2);
        let (refused, denials) = std::thread::scope(|scope| {
            let call = scope.spawn(|| observe(|| tries_for_a_while(&barrier)));
            barrier.wait();
            // For a process of another identity there is another, and nothing holds the first.
            rustix::thread::set_no_new_privs(true).unwrap();
            template().unwrap();
            call.join().unwrap()
        });
        assert_eq!((refused, denials[0].count), (100, 100), "{denials:?}");
    });
}

#[test]
fn calls_through_map_are_observed() {
    let paths = ["/etc/hosts", "/etc/passwd", "/etc/hosts", "/etc/group"];
    let open = |path: &str| open_twice(Path::new(path)).unwrap();
    let (errnos, mut denials) = observe(|| sandboxed::map(paths, open).collect::<Vec<_>>());
    assert_eq!(errnos, [Some(libc::EACCES); 4]);
    denials.sort();
    let counts: Vec<_> = denials.iter().map(|denial| (denial.object.to_string(), denial.count)).collect();
    assert_eq!(counts, [("/etc/group".into(), 2), ("/etc/hosts".into(), 4), ("/etc/passwd".into(), 2)]);
}

#[sandboxed(in_place, thread_sync = "signal", read = "/usr")]
fn restrict() -> Result<(), Error> {
    Ok(())
}

/// Who looks on stays when the forkserver takes on the same, and ends its templates.
#[test]
fn a_program_is_observed_from_then_on() {
    in_child("a_program_is_observed_from_then_on", || {
        observe(|| restrict().unwrap());
        for path in ["/etc/hosts", "/etc/passwd"] {
            let error = std::fs::read(path).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EACCES));
        }
        std::fs::read_dir("/usr").unwrap();
        assert_eq!(open_twice(Path::new("/etc/hosts")).unwrap(), Some(libc::EACCES));
    });
}

#[sandboxed(read = "/usr")]
fn logs() -> Result<(), Error> {
    log::error!("a record");
    Ok(())
}

/// It panics in the midst of what is ours, which ends there.
#[test]
fn what_a_program_does_after_its_logger_panicked_is_seen() {
    const NAME: &str = "what_a_program_does_after_its_logger_panicked_is_seen";
    if processes::is_rerun(NAME) {
        restrict().unwrap();
        log::set_logger(&logger::Panics).unwrap();
        log::set_max_level(log::LevelFilter::Error);
        std::panic::catch_unwind(logs).unwrap_err();
        assert_eq!(support::errno(std::fs::read("/etc/hosts")), libc::EACCES);
        return;
    }
    let mut command = processes::rerun(&std::env::current_exe().unwrap(), NAME);
    let output = command.env("SANDBOXED_EXPLAIN", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let denial = "sandboxed: `observe::restrict` may not read_file /etc/hosts (EACCES, Landlock)\n";
    assert_eq!(said.matches(denial).count(), 1, "{said}");
}

#[sandboxed::test(read = "/usr", expect_no_denials)]
fn what_is_granted_is_no_denial() {
    std::fs::read_dir("/usr").unwrap();
}

#[sandboxed(read = "/usr")]
fn denied_inside() -> Result<Vec<String>, Error> {
    Ok(Vec::new())
}

#[test]
fn expectations_fail_with_what_was_denied() {
    in_child("expectations_fail_with_what_was_denied", || {
        let failed = std::panic::catch_unwind(|| {
            sandboxed::__private::observed_test(true, false, || open_twice(Path::new("/etc/hosts")))
        });
        let message = failed.unwrap_err();
        let message = message.downcast_ref::<String>().unwrap();
        assert!(message.contains("help: add `read = \"/etc/hosts\"`"), "{message}");
        sandboxed::__private::observed_test(true, false, denied_inside).unwrap();
    });
}

/// Asks for a group of processes, of which the observer does not ask.
#[sandboxed(thread, read = "/usr", fallible = try_group)]
fn group(number: i32) -> i32 {
    sys::kill(-number, 0).err().unwrap_or(0)
}

const ANOTHER: &str = "SANDBOXED_TEST_ANOTHER";

/// Only there: until its input ends.
#[test]
fn another_process() {
    if std::env::var_os(ANOTHER).is_some() {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    }
}

#[test]
fn what_may_have_been_the_sandbox_is_not_passed_over() {
    use std::os::unix::process::CommandExt;
    if !support::has_abi(6, "the scope of signals") {
        return;
    }
    let mut other = std::process::Command::new(std::env::current_exe().unwrap());
    other.args(["--exact", "another_process", "--nocapture"]).env(ANOTHER, "1");
    other.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).process_group(0);
    let mut other = other.spawn().unwrap();
    let number = other.id().cast_signed();
    let (errno, denials) = observe(|| group(number));
    let failed =
        std::panic::catch_unwind(|| sandboxed::__private::observed_test(true, false, || try_group(number)));
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!((errno, denials[0].by), (libc::EPERM, By::Unknown), "{denials:?}");
    let message = failed.unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("(EPERM, by whom cannot be told)"), "{message}");
}

#[sandboxed(timeout = "10s")]
fn reads_when_told(mut channel: UnixStream) -> Result<(), Error> {
    channel.write_all(&std::process::id().to_ne_bytes()).unwrap();
    channel.read_exact(&mut [0]).unwrap();
    drop(std::fs::read("/etc/hosts"));
    Ok(())
}

/// The worker waits for its observer, and once killed for it to let go.
#[test]
fn a_worker_whose_observer_is_stopped_ends_at_its_deadline() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let call = std::thread::spawn(|| observe(|| reads_when_told(theirs).unwrap_err()).0);
    let mut worker = [0; 4];
    ours.read_exact(&mut worker).unwrap();
    let worker = processes::Process::of(i32::from_ne_bytes(worker));
    let observer = processes::Process::of(worker.status("TracerPid").parse().unwrap());
    let forkserver = processes::Process::of(processes::parent(observer.pid).unwrap());
    sys::kill(observer.pid, libc::SIGSTOP).unwrap();
    ours.write_all(b"!").unwrap();
    let error = call.join().unwrap();
    assert!(error.is_timeout(), "{error}");
    assert!(observer.is_gone() && !Path::new(&format!("/proc/{}", worker.pid)).exists());
    // Else the host would have given up the forkserver, too.
    assert!(!forkserver.is_gone());
}

#[sandboxed::test(read = "/usr", allow(udp), expect_no_denials, expect_all_used)]
fn what_is_used_is_no_surplus() {
    std::fs::read_dir("/usr").unwrap();
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
}

/// The program, its libraries, and its loader, which nothing opens but the kernel.
fn needed_by_env() -> Vec<PathBuf> {
    let loader = Path::new("/lib64/ld-linux-x86-64.so.2").canonicalize().ok();
    ["/usr/bin/env", "/usr/lib"].map(PathBuf::from).into_iter().chain(loader).collect()
}

/// A program that runs, and a port where nobody answers.
#[sandboxed::test(
    execute = needed_by_env(),
    tcp_connect = 1,
    expect_all_used,
    unenforceable = "skip"
)]
fn what_is_run_and_connected_to_is_used() {
    assert!(std::process::Command::new("/usr/bin/env").arg("--version").status().unwrap().success());
    let refused = std::net::TcpStream::connect("127.0.0.1:1").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[sandboxed(read = ["/usr", "/var", "/etc/hosts"], write = "/var/tmp", allow(udp, signal))]
fn uses_little() -> Result<(), Error> {
    std::fs::read_dir("/usr").unwrap();
    drop(std::fs::read("/var/there/is/nothing"));
    Ok(())
}

#[sandboxed(thread, read = ["/usr", "/var"])]
fn uses_little_in_thread() -> Result<(), Error> {
    std::fs::read_dir("/usr").unwrap();
    Ok(())
}

#[test]
fn what_is_not_used_is_named() {
    in_child("what_is_not_used_is_named", || {
        for (body, unused) in [
            (
                uses_little as fn() -> Result<(), Error>,
                &[
                    "allow(signal)",
                    "allow(udp)",
                    "read = \"/etc/hosts\"",
                    "read = \"/var\"",
                    "write = \"/var/tmp\"",
                ][..],
            ),
            (uses_little_in_thread, &["read = \"/var\""]),
        ] {
            let failed = std::panic::catch_unwind(|| sandboxed::__private::observed_test(false, true, body));
            let message = failed.unwrap_err();
            let message = message.downcast_ref::<String>().unwrap();
            let lines: Vec<String> = unused.iter().map(|grant| format!("\n  `{grant}`")).collect();
            assert_eq!(*message, format!("granted, and not used:{}", lines.concat()));
        }
    });
}
