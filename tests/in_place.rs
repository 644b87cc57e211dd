//! A program that restricts itself in place: all of it, for good, its workers included.

#[path = "support/processes.rs"]
mod processes;
mod support;
#[path = "support/sys.rs"]
mod sys;

use processes::Process;
use sandboxed::{Error, ErrorKind, Ran, sandboxed};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use support::{errno, has_abi, in_child};

/// Runs `body` in a process with one thread: before ABI 8 no other can restrict itself.
/// It gets a directory, since what restricts itself cannot tidy up.
fn alone(name: &str, body: impl FnOnce(&Path)) {
    in_child(name, || {
        let directory = tempfile::tempdir().unwrap();
        let child = sys::fork(|| body(directory.path()));
        let status = sys::wait_for(child);
        assert!(status.success(), "{status}");
    });
}

/// A directory with a file that is to stay within reach, and one with a file that is not.
fn places(all: &Path) -> (PathBuf, PathBuf) {
    let [kept, lost] = ["kept", "lost"].map(|name| all.join(name));
    for place in [&kept, &lost] {
        fs::create_dir(place).unwrap();
        fs::write(place.join("file"), "content").unwrap();
    }
    (kept, lost)
}

#[sandboxed(in_place, read = kept)]
fn keep(kept: &Path) -> Result<(), Error> {
    Ok(())
}

#[sandboxed(in_place, read = kept)]
fn keep_and_read(kept: &Path) -> io::Result<String> {
    fs::read_to_string(kept.join("file"))
}

/// What a worker that is granted the file itself can do with it: 0, or the errno.
#[sandboxed(read = path)]
fn read_in_worker(path: &Path) -> Result<i32, Error> {
    Ok(fs::read(path).map_or_else(|error| error.raw_os_error().unwrap(), |_| 0))
}

#[sandboxed(thread, read = path)]
fn read_in_thread(path: &Path) -> Result<i32, Error> {
    Ok(fs::read(path).map_or_else(|error| error.raw_os_error().unwrap(), |_| 0))
}

#[sandboxed]
fn template() -> Result<i32, Error> {
    Ok(std::os::unix::process::parent_id().cast_signed())
}

#[test]
fn the_process_keeps_what_was_granted_and_loses_the_rest() {
    alone("the_process_keeps_what_was_granted_and_loses_the_rest", |all| {
        let (kept, lost) = places(all);
        assert_eq!(fs::read_to_string(lost.join("file")).unwrap(), "content");
        assert_eq!(keep_and_read(&kept).unwrap(), "content");
        assert_eq!(errno(fs::read(lost.join("file"))), libc::EACCES);
        assert_eq!(errno(fs::write(kept.join("file"), "")), libc::EACCES);
        assert_eq!(fs::read_to_string(kept.join("file")).unwrap(), "content");
        // So do threads and children that begin afterwards.
        let later = std::thread::spawn({
            let file = lost.join("file");
            move || errno(fs::read(file))
        });
        assert_eq!(later.join().unwrap(), libc::EACCES);
        let child = sys::fork(|| assert_eq!(errno(fs::read(lost.join("file"))), libc::EACCES));
        assert!(sys::wait_for(child).success());
    });
}

/// Workers of a host that `prepare` was called for before it restricted itself.
fn assert_workers_are_restricted_too(all: &Path, prepare: impl FnOnce()) {
    let (kept, lost) = places(all);
    let (kept_file, lost_file) = (kept.join("file"), lost.join("file"));
    prepare();
    keep(&kept).unwrap();
    assert_eq!(read_in_worker(&kept_file).unwrap(), 0);
    assert_eq!(read_in_worker(&lost_file).unwrap(), libc::EACCES, "a worker is freer than its host");
    assert_eq!(read_in_thread(&kept_file).unwrap(), 0);
    assert_eq!(read_in_thread(&lost_file).unwrap(), libc::EACCES);
    // The forkserver that took it on stays.
    assert_eq!(template().unwrap(), template().unwrap());
}

#[test]
fn workers_are_restricted_too() {
    alone("workers_are_restricted_too", |all| assert_workers_are_restricted_too(all, || {}));
}

#[test]
fn workers_of_a_forkserver_from_before_are_restricted_too() {
    alone("workers_of_a_forkserver_from_before_are_restricted_too", |all| {
        let mut before = 0;
        assert_workers_are_restricted_too(all, || before = template().unwrap());
        assert_ne!(template().unwrap(), before, "what is freer is not used any more");
    });
}

#[test]
fn twice_leaves_what_both_grant() {
    alone("twice_leaves_what_both_grant", |all| {
        let (kept, lost) = places(all);
        keep(all).unwrap();
        assert_eq!(read_in_worker(&lost.join("file")).unwrap(), 0);
        keep(&kept).unwrap();
        assert_eq!(errno(fs::read(lost.join("file"))), libc::EACCES);
        assert_eq!(read_in_worker(&lost.join("file")).unwrap(), libc::EACCES);
        assert_eq!(read_in_worker(&kept.join("file")).unwrap(), 0);
        // The other way round nothing comes back.
        keep(all).unwrap();
        assert_eq!(errno(fs::read(lost.join("file"))), libc::EACCES);
        assert_eq!(read_in_worker(&lost.join("file")).unwrap(), libc::EACCES);
    });
}

#[test]
fn a_worker_is_ended_though_the_host_may_not_signal_it() {
    if !has_abi(6, "the scope of signals") {
        return;
    }
    alone("a_worker_is_ended_though_the_host_may_not_signal_it", |all| {
        let (kept, _) = places(all);
        keep(&kept).unwrap();
        let server = template().unwrap();
        assert_eq!(sys::kill(server, 0), Err(libc::EPERM));
        let error = sleep().unwrap_err();
        assert!(error.is_timeout(), "{error}");
        // The nearby allowed thing.
        let child = sys::fork(|| std::thread::sleep(std::time::Duration::from_secs(60)));
        assert_eq!(sys::kill(child, libc::SIGKILL), Ok(()));
        sys::wait_for(child);
    });
}

#[sandboxed(timeout = "1s")]
fn sleep() -> Result<(), Error> {
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

#[test]
fn a_forkserver_that_dies_cannot_be_started_again() {
    if !has_abi(1, "a restricted host") {
        return;
    }
    alone("a_forkserver_that_dies_cannot_be_started_again", |all| {
        let (kept, _) = places(all);
        // Outside of the sandbox to come, to do what a restricted host may not.
        let (read, write) = io::pipe().unwrap();
        let outside = sys::fork(move || {
            let mut pid = [0; 4];
            io::Read::read_exact(&mut &read, &mut pid).unwrap();
            Process::of(i32::from_ne_bytes(pid)).kill();
        });
        let server = processes::forkserver_of(template().unwrap());
        keep(&kept).unwrap();
        template().unwrap();
        io::Write::write_all(&mut &write, &server.to_ne_bytes()).unwrap();
        assert!(sys::wait_for(outside).success());
        // While it dies a call may reach it still.
        let error = (0..1000).find_map(|_| {
            let error = template().err()?;
            error.to_string().contains("cannot be run again").then_some(error)
        });
        let error = error.expect("an error that says that the executable cannot be run again");
        assert!(error.is_launch(), "{error}");
        assert!(error.to_string().contains("`in_place`"), "{error}");
        assert_eq!(error.ran(), Ran::No);
    });
}

#[test]
fn a_forked_child_has_no_freer_workers() {
    alone("a_forked_child_has_no_freer_workers", |all| {
        let (kept, lost) = places(all);
        keep(&kept).unwrap();
        let child = sys::fork(|| {
            let error = read_in_worker(&lost.join("file")).unwrap_err();
            assert!(error.is_launch(), "{error}");
            assert_eq!(error.ran(), Ran::No);
        });
        assert!(sys::wait_for(child).success());
        assert_eq!(read_in_worker(&kept.join("file")).unwrap(), 0);
    });
}

#[test]
fn several_threads_are_all_restricted_or_an_error_counts_them() {
    in_child("several_threads_are_all_restricted_or_an_error_counts_them", || {
        let all = tempfile::tempdir().unwrap();
        let (kept, lost) = places(all.path());
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let file = lost.join("file");
        let sibling = std::thread::spawn(move || {
            wait.recv().unwrap();
            fs::read(file).map(drop)
        });
        let restricted = keep(&kept);
        go.send(()).unwrap();
        let of_sibling = sibling.join().unwrap();
        if sandboxed::kernel().abi >= 8 {
            restricted.unwrap();
            assert_eq!(errno(of_sibling), libc::EACCES);
            assert_eq!(errno(fs::read(lost.join("file"))), libc::EACCES);
        } else {
            let error = restricted.unwrap_err();
            // The harness's, this one and the sibling.
            assert!(error.to_string().contains("3 threads"), "{error}");
            assert!(error.to_string().contains("ABI 8"), "{error}");
            assert_eq!(error.ran(), Ran::No);
            of_sibling.unwrap();
            fs::read(lost.join("file")).unwrap();
        }
    });
}

#[test]
fn a_missing_path_is_an_error_that_restricts_nothing() {
    alone("a_missing_path_is_an_error_that_restricts_nothing", |all| {
        let (kept, lost) = places(all);
        let missing = kept.join("missing");
        let error = keep(&missing).unwrap_err();
        let ErrorKind::Grant { key, path, place, cause } = error.kind() else { panic!("{error:?}") };
        assert_eq!((key.as_str(), path, cause.raw_os_error()), ("read", &missing, Some(libc::ENOENT)));
        assert!(place.starts_with("tests/in_place.rs:"), "{place}");
        assert_eq!(error.ran(), Ran::No);
        assert_eq!(fs::read_to_string(lost.join("file")).unwrap(), "content");
        assert_eq!(keep_and_read(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn the_sockets_that_no_grant_needs_are_refused() {
    alone("the_sockets_that_no_grant_needs_are_refused", |all| {
        let (kept, _) = places(all);
        drop(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        keep(&kept).unwrap();
        assert_eq!(errno(std::net::UdpSocket::bind("127.0.0.1:0")), libc::EACCES);
        assert_eq!(errno(std::net::TcpListener::bind("127.0.0.1:0")), libc::EACCES);
        std::os::unix::net::UnixStream::pair().unwrap();
    });
}
