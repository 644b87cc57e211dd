//! The forkserver: when and how it starts, what it holds, and when it ends.

#[path = "support/processes.rs"]
mod processes;
mod support;
#[path = "support/sys.rs"]
mod sys;

use processes::{Process, assert_passes, is_rerun, own_descriptors, rerun, wait_until};
use sandboxed::{Error, ErrorKind, Ran, sandboxed};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;
use support::in_child;

/// The pids of a worker and of its template.
#[sandboxed]
fn parents() -> (i32, i32) {
    (std::process::id().cast_signed(), std::os::unix::process::parent_id().cast_signed())
}

/// The pids of a worker and of its forkserver.
fn pids() -> (i32, i32) {
    let mut found = None;
    // After the end of a forkserver a template of its may serve until it has ended too.
    wait_until("a template has a forkserver", || {
        let (worker, template) = parents();
        // Of one that has lost its parent it is the first process.
        let server = processes::parent(template).filter(|server| *server > 1);
        found = server.map(|server| (worker, server));
        found.is_some()
    });
    found.unwrap()
}

fn forkserver() -> Process {
    Process::of(pids().1)
}

/// Says who it is, and stays until it is killed.
#[sandboxed(timeout = "never")]
fn stay() -> Result<(), Error> {
    stay_here()
}

/// As [`stay`], and leaves a process of its own behind.
#[sandboxed(timeout = "never", execute = "/usr/bin")]
fn stay_with_a_child() -> Result<(), Error> {
    // Two generations, so that it is nobody's child who could end it.
    let middle = sys::fork(|| {
        let sleeper = sys::fork(|| {
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        println!("sleeper: {sleeper}");
        std::io::Write::flush(&mut std::io::stdout()).unwrap();
    });
    sys::wait_for(middle);
    stay_here()
}

fn stay_here() -> ! {
    let (worker, server) = (std::process::id(), std::os::unix::process::parent_id());
    println!("pids: {worker} {server}");
    std::io::Write::flush(&mut std::io::stdout()).unwrap();
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn sockets() -> usize {
    own_descriptors().values().filter(|target| target.starts_with("socket:")).count()
}

#[test]
fn it_starts_with_the_first_call_and_serves_the_next() {
    in_child("it_starts_with_the_first_call_and_serves_the_next", || {
        let before = sockets();
        assert!(sandboxed::functions().count() > 0);
        assert_eq!(sockets(), before);
        let first = forkserver();
        assert!(!first.is_gone());
        assert_eq!(forkserver(), first);
    });
}

#[test]
fn start_starts_it_early() {
    in_child("start_starts_it_early", || {
        let before = sockets();
        sandboxed::start().unwrap();
        assert_eq!(sockets(), before + 1);
        sandboxed::start().unwrap();
        assert_eq!(sockets(), before + 1);
        assert!(!forkserver().is_gone());
    });
}

#[test]
fn many_threads_at_once_start_one() {
    in_child("many_threads_at_once_start_one", || {
        let barrier = Barrier::new(16);
        let server = std::thread::scope(|scope| {
            let call = || {
                barrier.wait();
                pids().1
            };
            let calls: Vec<_> = (0..16).map(|_| scope.spawn(call)).collect();
            let mut servers: Vec<i32> = calls.into_iter().map(|call| call.join().unwrap()).collect();
            servers.dedup();
            servers
        });
        assert_eq!(server.len(), 1, "{server:?}");
    });
}

#[test]
fn it_starts_from_a_program_whose_threads_hold_locks() {
    in_child("it_starts_from_a_program_whose_threads_hold_locks", || {
        static LOCK: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let stop = Arc::new(AtomicU32::new(0));
        // A forked copy of this process would find the allocator's, stdout's and this lock held for ever.
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || {
                    while stop.load(Ordering::Relaxed) == 0 {
                        let mut held = LOCK.lock().unwrap();
                        let _stdout = std::io::stdout().lock();
                        *held = (0..64).map(|n| "x".repeat(n * 64)).collect();
                    }
                })
            })
            .collect();
        // From a thread that ends before the next call.
        let server = std::thread::spawn(forkserver).join().unwrap();
        for _ in 0..20 {
            assert_eq!(pids().1, server.pid);
        }
        stop.store(1, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_big_heap_is_not_forked() {
    in_child("a_big_heap_is_not_forked", || {
        const PAGE: usize = 4096;
        let mut heap = vec![0u8; 2 << 30];
        sys::forbid_huge_pages(&mut heap);
        let touch = |heap: &mut [u8]| heap.iter_mut().step_by(PAGE).for_each(|byte| *byte += 1);
        touch(&mut heap);
        let kib = |process: &Process, name| -> u64 {
            process.status(name).strip_suffix(" kB").unwrap().parse().unwrap()
        };
        let host = Process::of(std::process::id().cast_signed());
        let tables = kib(&host, "VmPTE");
        assert!(tables >= 4 << 10, "the page tables of 2 GiB take 4 MiB, here {tables} KiB");

        let before = sys::minor_faults();
        let (tables_of_worker, server) = std::thread::scope(|scope| {
            // Writes all the while: a fork would make each page of the heap fault once.
            scope.spawn(|| touch(&mut heap));
            let server = forkserver();
            (page_tables(), server)
        });
        touch(&mut heap);
        let faults = sys::minor_faults() - before;
        assert!(faults < 20_000, "{faults} faults for {} pages", heap.len() / PAGE);
        for (who, tables) in [("forkserver", kib(&server, "VmPTE")), ("worker", tables_of_worker)] {
            assert!(tables < 1 << 10, "the {who}'s page tables take {tables} KiB");
        }
        assert!(kib(&server, "VmSize") < 1 << 20, "{}", server.status("VmSize"));
    });
}

/// The size of a worker's page tables in KiB.
#[sandboxed(read = "/proc")]
fn page_tables() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    processes::status_line(&status, "VmPTE").strip_suffix(" kB").unwrap().parse().unwrap()
}

/// Runs `body` in a process whose executable is a copy that it may delete.
fn in_copy(name: &str, body: impl FnOnce(&Path)) {
    if is_rerun(name) {
        return body(&std::env::current_exe().unwrap());
    }
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy");
    support::copy_program(std::env::current_exe().unwrap(), &copy);
    assert_passes(rerun(&copy, name));
}

#[test]
fn it_starts_from_a_deleted_executable() {
    in_copy("it_starts_from_a_deleted_executable", |exe| {
        std::fs::remove_file(exe).unwrap();
        let (worker, server) = pids();
        assert_ne!(worker, server);
    });
}

#[test]
fn it_starts_from_a_replaced_executable() {
    in_copy("it_starts_from_a_replaced_executable", |exe| {
        let other = exe.with_file_name("other");
        std::fs::copy("/bin/false", &other).unwrap();
        std::fs::rename(&other, exe).unwrap();
        let server = forkserver();
        // It runs what we run, not what has our name.
        let inode = |path: String| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
        assert_eq!(inode(format!("/proc/{}/exe", server.pid)), inode("/proc/self/exe".into()));
        assert_ne!(inode("/proc/self/exe".into()), inode(exe.to_str().unwrap().into()));
    });
}

#[test]
fn an_executable_that_cannot_be_executed_any_more_is_an_error() {
    in_child("an_executable_that_cannot_be_executed_any_more_is_an_error", || {
        sys::refuse_call(libc::SYS_execveat, libc::EPERM);
        let error = sandboxed::start().unwrap_err();
        assert!(error.is_launch(), "{error}");
        assert_eq!(error.ran(), Ran::No);
        assert!(error.to_string().contains("an outer sandbox"), "{error}");
    });
}

#[test]
fn it_holds_nothing_of_the_host() {
    in_child("it_holds_nothing_of_the_host", || {
        let file = tempfile::tempfile().unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        sys::leak_over_exec(number);
        let server = forkserver();
        let open = server.descriptors();
        assert!(open.len() >= 4, "{open:?}");
        for (number, target) in &open {
            let known = ["/dev/null", "socket:[", "anon_inode:[pidfd]", "pidfd:[", "anon_inode:[signalfd]"];
            let is_known = known.iter().any(|known| target.starts_with(known))
                || (target.starts_with("/proc/") && target.ends_with("/children"));
            assert!(is_known, "descriptor {number} of the forkserver is {target}");
        }
        // Its own, once it has noticed that the worker is gone.
        let sockets = || server.descriptors().values().filter(|target| target.starts_with("socket:")).count();
        wait_until("it holds one socket", || sockets() == 1);
        assert_eq!(server.status("NoNewPrivs"), "1");
        assert_eq!(server.status("Threads"), "1");
    });
}

#[test]
fn its_environment_holds_loader_variables_and_the_mark_alone() {
    const NAME: &str = "its_environment_holds_loader_variables_and_the_mark_alone";
    if is_rerun(NAME) {
        let server = forkserver();
        let environment = std::fs::read(format!("/proc/{}/environ", server.pid)).unwrap();
        let names: Vec<String> = (environment.split(|byte| *byte == 0).filter(|line| !line.is_empty()))
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .filter(|line| !line.starts_with("LD_LIBRARY_PATH="))
            .collect();
        assert_eq!(names, ["LD_BIND_NOW=1", "SANDBOXED_FORKSERVER=3"]);
        return;
    }
    let mut command = rerun(&std::env::current_exe().unwrap(), NAME);
    assert_passes({
        command.env("LD_BIND_NOW", "1").env("SECRET", "token");
        command
    });
}

#[test]
fn a_mark_without_a_socket_does_not_run_the_program() {
    let exe = std::env::current_exe().unwrap();
    for mark in ["3", "77", "-1", "", "socket", "99999999999999999999"] {
        let mut command = std::process::Command::new(&exe);
        command.arg("--list").env("SANDBOXED_FORKSERVER", mark).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]), "{mark:?}");
    }
    // The nearby allowed thing: no mark.
    let output = std::process::Command::new(&exe).arg("--list").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("a_mark_without_a_socket"), "{output:?}");
}

#[test]
fn an_argument_is_no_mark() {
    let exe = std::env::current_exe().unwrap();
    let args = ["--list", "--skip", "SANDBOXED_FORKSERVER=3"];
    let output = std::process::Command::new(&exe).args(args).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("an_argument_is_no_mark"), "{output:?}");
}

#[test]
fn the_host_sees_no_child() {
    in_child("the_host_sees_no_child", || {
        sys::catch(libc::SIGCHLD);
        let (_, server) = pids();
        fail().unwrap_err();
        assert_eq!(sys::wait_for_any(0), Err(libc::ECHILD));
        assert_eq!(sys::wait_for_any(libc::__WALL), Err(libc::ECHILD));
        assert_eq!(processes::children(std::process::id().cast_signed()), Vec::<i32>::new());
        let server = Process::of(server);
        server.kill();
        server.until_gone();
        assert_ne!(forkserver(), server);
        assert_eq!(sys::wait_for_any(libc::__WALL), Err(libc::ECHILD));
        assert_eq!(sys::caught(), 0);
        // The handler works.
        let child = sys::fork(|| {});
        sys::wait_for(child);
        assert_eq!(sys::caught(), 1);
    });
}

#[sandboxed]
fn fail() -> Result<(), Error> {
    panic!("as it should")
}

#[test]
fn it_and_its_workers_have_sessions_of_their_own() {
    let (worker, server, session, group) = sessions();
    assert_eq!((session, group), (worker, worker));
    let of_server = rustix::process::getsid(rustix::process::Pid::from_raw(server)).unwrap();
    assert_eq!(of_server.as_raw_nonzero().get(), server);
}

#[sandboxed]
fn sessions() -> (i32, i32, i32, i32) {
    let session = rustix::process::getsid(None).unwrap().as_raw_nonzero().get();
    let group = rustix::process::getpgrp().as_raw_nonzero().get();
    let (worker, server) = (std::process::id(), std::os::unix::process::parent_id());
    (worker.cast_signed(), server.cast_signed(), session, group)
}

#[test]
fn it_is_started_again_when_it_died() {
    in_child("it_is_started_again_when_it_died", || {
        let first = forkserver();
        first.kill();
        first.until_gone();
        let second = forkserver();
        assert_ne!(first, second);
        assert_eq!(forkserver(), second);
        // Of the forkserver, of a template, and of its workers: one that is used and two that are spare.
        assert!(sockets() <= 5, "the sockets of the first are closed: {:?}", own_descriptors());
    });
}

/// A host that was started; a test that fails does not leave it behind.
struct Host(Child);

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a test of this executable and returns the processes that it names on its stdout. `None` where no call can
/// be made, which it says.
fn start_and_listen(name: &str, words: &[&str]) -> Option<(Host, Vec<Process>)> {
    if !support::has_abi(1, "a worker that stays") {
        return None;
    }
    let mut command = rerun(&std::env::current_exe().unwrap(), name);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut processes = Vec::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while stdout.read_line(&mut line).unwrap() > 0 {
        // What the harness itself prints may stand before it on the line.
        for word in words {
            if let Some((_, pids)) = line.split_once(word) {
                let pids = pids.split_ascii_whitespace().map_while(|pid| pid.parse().ok());
                processes.extend(pids.map(Process::of));
            }
        }
        if line.contains("pids:") {
            // Kept open: the harness goes on printing.
            child.stdout = Some(stdout.into_inner());
            return Some((Host(child), processes));
        }
        line.clear();
    }
    panic!("{name} did not say its pids: {:?}", child.wait());
}

#[test]
fn its_death_during_a_call_is_an_error_and_ends_the_worker() {
    const NAME: &str = "its_death_during_a_call_is_an_error_and_ends_the_worker";
    if is_rerun(NAME) {
        let error = stay().unwrap_err();
        assert!(error.is_abandoned() && !error.is_launch(), "{error}");
        assert_eq!(error.ran(), Ran::Yes);
        assert!(error.to_string().contains("the forkserver ended during the call"), "{error}");
        // The next call has a new one.
        assert_ne!(pids().0, 0);
        return;
    }
    let Some((mut host, processes)) = start_and_listen(NAME, &["pids:"]) else { return };
    let [worker, server] = &processes[..] else { panic!("{processes:?}") };
    server.kill();
    server.until_gone();
    worker.until_gone();
    assert!(host.0.wait().unwrap().success());
}

#[test]
fn it_and_its_workers_end_when_the_host_exits() {
    const NAME: &str = "it_and_its_workers_end_when_the_host_exits";
    if is_rerun(NAME) {
        std::thread::spawn(stay);
        // The test returns, and with it the program, while the call goes on.
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let Some((mut host, processes)) = start_and_listen(NAME, &["pids:"]) else { return };
    assert_eq!(processes.len(), 2);
    assert!(processes.iter().all(|process| !process.is_gone()));
    drop(host.0.stdin.take());
    assert!(host.0.wait().unwrap().success());
    processes.iter().for_each(Process::until_gone);
}

#[test]
fn it_and_its_workers_end_when_the_host_is_killed() {
    const NAME: &str = "it_and_its_workers_end_when_the_host_is_killed";
    if is_rerun(NAME) {
        return stay().unwrap();
    }
    let Some((mut host, processes)) = start_and_listen(NAME, &["pids:"]) else { return };
    assert_eq!(processes.len(), 2);
    host.0.kill().unwrap();
    host.0.wait().unwrap();
    processes.iter().for_each(Process::until_gone);
}

#[test]
fn what_a_worker_started_ends_when_the_host_is_killed() {
    const NAME: &str = "what_a_worker_started_ends_when_the_host_is_killed";
    if is_rerun(NAME) {
        return stay_with_a_child().unwrap();
    }
    let Some((mut host, processes)) = start_and_listen(NAME, &["sleeper:", "pids:"]) else { return };
    assert_eq!(processes.len(), 3);
    host.0.kill().unwrap();
    host.0.wait().unwrap();
    processes.iter().for_each(Process::until_gone);
}

#[test]
fn a_forked_child_that_lives_on_keeps_nothing_of_a_killed_host_alive() {
    const NAME: &str = "a_forked_child_that_lives_on_keeps_nothing_of_a_killed_host_alive";
    if is_rerun(NAME) {
        sandboxed::start().unwrap();
        let call = std::thread::spawn(stay);
        std::thread::sleep(Duration::from_millis(500));
        // It holds copies of the host's sockets, stdout among them.
        sys::fork(|| std::thread::sleep(Duration::from_secs(300)));
        return call.join().unwrap().unwrap();
    }
    let Some((mut host, processes)) = start_and_listen(NAME, &["pids:"]) else { return };
    let children = || processes::children(host.0.id().cast_signed());
    wait_until("the host has forked", || !children().is_empty());
    let forked = Process::of(children()[0]);
    host.0.kill().unwrap();
    host.0.wait().unwrap();
    processes.iter().for_each(Process::until_gone);
    assert!(!forked.is_gone(), "the child was to live on");
    forked.kill();
}

#[test]
fn what_a_worker_left_behind_is_ended() {
    let left = leave_a_child_behind();
    let there = std::path::PathBuf::from(format!("/proc/{left}"));
    wait_until("what the worker left behind is gone", || !there.exists());
}

#[sandboxed(execute = "/usr/bin")]
fn leave_a_child_behind() -> i32 {
    sys::fork(|| std::thread::sleep(Duration::from_secs(300)))
}

#[test]
fn a_stopped_worker_is_killed_at_its_deadline() {
    let error = stop_yourself().unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

#[sandboxed(timeout = "1s")]
fn stop_yourself() -> Result<(), Error> {
    sys::raise(libc::SIGSTOP);
    Ok(())
}

#[test]
fn a_fork_that_fails_is_an_error() {
    in_child("a_fork_that_fails_is_an_error", || {
        if sys::is_root() {
            // A user without processes: the limit does not bind root.
            sys::become_user(54_321);
        }
        let template = Process::of(parents().1);
        sys::limit_process(template.pid, libc::RLIMIT_NPROC, 1);
        // A few workers may be there already.
        let errors = (0..10).map(|_| fail().unwrap_err());
        let errors: Vec<_> = errors.filter(|error| !error.is_panic()).collect();
        assert!(errors.len() >= 5, "{errors:?}");
        for error in errors {
            assert!(error.is_launch(), "{error}");
            assert_eq!(error.ran(), Ran::No);
            assert!(error.to_string().contains("fork: "), "{error}");
            let ErrorKind::Launch { cause: Some(cause), .. } = error.kind() else { panic!("{error:?}") };
            assert_eq!(cause.raw_os_error(), Some(libc::EAGAIN));
        }
        assert!(!template.is_gone());
    });
}
