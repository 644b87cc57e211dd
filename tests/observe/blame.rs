//! What is not the sandbox's doing is not blamed on it; what is, on what it refused and not on what was named.

use crate::table::{Place, Try, with_files, with_files_in_thread, without_files};
use crate::{raw, support, sys};
use sandboxed::{By, Denial, Error, Object, assert_denied, observe, sandboxed};
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

fn one(denials: Vec<Denial>) -> Denial {
    assert_eq!(denials.len(), 1, "{denials:#?}");
    denials.into_iter().next().unwrap()
}

#[sandboxed(read = at, write = at, fallible = try_asserts_of_a_link)]
fn asserts_of_a_link(at: &Path) {
    assert_denied!(fs::hard_link(at.join("empty"), at.join("new")), EPERM, make_reg = at.join("new"));
}

#[sandboxed(read = path)]
fn opens_without_atime(path: &Path) -> Result<i32, Error> {
    let opened = fs::OpenOptions::new().read(true).custom_flags(libc::O_NOATIME).open(path);
    Ok(support::errno(opened))
}

/// Landlock says `EACCES` of files, and `EXDEV`.
#[test]
fn what_landlock_does_not_say_is_not_its() {
    if !support::has_abi(4, "ports") {
        return;
    }
    let place = Place::new();
    // Directories have one name.
    let link = Try::Link(place.allowed.join("empty"), place.allowed.join("new"));
    for called in
        [(|allowed, what| with_files(allowed, what).unwrap()) as fn(&Path, &Try) -> i32, |allowed, what| {
            with_files_in_thread(allowed, what).unwrap()
        }]
    {
        let (errno, denials) = observe(|| called(&place.allowed, &link));
        let denial = one(denials);
        assert_eq!((errno, denial.by), (libc::EPERM, By::Permissions), "{denial:#?}");
        assert_eq!(denial.grant, None);
    }
    // A file of another's is not read without a trace.
    let strangers = match sys::is_root() {
        true => place.allowed.join("file"),
        false => PathBuf::from("/etc/hosts"),
    };
    if sys::is_root() {
        chown(&strangers, Some(sys::NOBODY), None).unwrap();
    }
    let (errno, denials) = observe(|| opens_without_atime(&strangers).unwrap());
    let denial = one(denials);
    assert_eq!((errno, denial.by, denial.grant), (libc::EPERM, By::Permissions, None));
}

#[test]
fn what_landlock_does_not_say_is_not_asserted_of_it() {
    let place = Place::new();
    let watched = |body: fn(&Path) -> Result<(), Error>| {
        sandboxed::__private::observed_test(false, false, || body(&place.allowed))
    };
    for error in
        [try_asserts_of_a_link(&place.allowed).unwrap_err(), watched(try_asserts_of_a_link).unwrap_err()]
    {
        let message = error.panic_message().unwrap_or_else(|| panic!("{error}"));
        assert!(message.contains("was not denied by the sandbox"), "{message}");
    }
}

/// The filter, by which no path is looked up, has named the program alone.
#[test]
fn what_the_filter_refuses_to_run_is_named() {
    let tried = Try::Execute("/usr/bin/true".into());
    let (errno, denials) = observe(|| without_files(&tried).unwrap());
    assert_ne!(errno, 0);
    assert!(denials.iter().all(|denial| denial.by == By::Filter), "{denials:#?}");
}

#[test]
fn files_of_the_observed_itself() {
    if !support::has_abi(4, "ports") {
        return;
    }
    let place = Place::new();
    let mounts = Try::Read("/proc/mounts".into());
    let (errno, denials) = observe(|| with_files(&place.allowed, &mounts).unwrap());
    let denial = one(denials);
    assert_eq!((errno, denial.by), (libc::EACCES, By::Landlock));
    assert_eq!(denial.object, Object::Path("/proc/self/mounts".into()));
    // Its own has no name before the call.
    assert_eq!(denial.grant.as_deref(), Some("read = \"/proc\""));
    let (errno, denials) = observe(|| with_files_in_thread(&place.allowed, &mounts).unwrap());
    let denial = one(denials);
    assert_eq!((errno, denial.by), (libc::EACCES, By::Landlock));
    assert_eq!(denial.grant.as_deref(), Some("read = \"/proc/self/mounts\""));
    let none = Try::Read("/dev/fd/987".into());
    let (errno, denials) = observe(|| with_files(&place.allowed, &none).unwrap());
    let denial = one(denials);
    assert_eq!((errno, denial.by), (libc::ENOENT, By::Missing));
    assert_eq!(denial.object, Object::Path("/proc/self/fd/987".into()));
}

#[sandboxed]
fn ioctl(fd: i32) -> Result<Option<i32>, Error> {
    let asked = raw::syscall(libc::SYS_ioctl, [fd.into(), libc::TIOCSTI.into(), 0.into()]);
    Ok(asked.err().and_then(|error| error.raw_os_error()))
}

#[test]
fn what_is_not_open_has_no_name() {
    for fd in [-1, 987] {
        let (errno, denials) = observe(|| ioctl(fd).unwrap());
        let denial = one(denials);
        assert_eq!((errno, denial.by), (Some(denial.errno), By::Filter));
        assert_eq!((denial.object, denial.grant), (Object::Nothing, None));
    }
}

#[sandboxed(allow(signal))]
fn raises() -> Result<(), Error> {
    raise()
}

#[sandboxed(thread, allow(signal))]
fn raises_in_thread() -> Result<(), Error> {
    raise()
}

fn raise() -> Result<(), Error> {
    let this = rustix::process::getpid();
    rustix::process::test_kill_process(this).unwrap();
    let [process, thread] = [this, rustix::thread::gettid()].map(|pid| pid.as_raw_pid().into());
    raw::syscall(libc::SYS_tgkill, [process, thread, 0.into()]).unwrap();
    Ok(())
}

#[sandboxed(allow(signal))]
fn signals(process: i32) -> Result<(), Error> {
    rustix::process::test_kill_process(rustix::process::Pid::from_raw(process).unwrap()).unwrap();
    Ok(())
}

#[sandboxed(read = ["/", "/usr"])]
fn lists_twice() -> Result<(), Error> {
    fs::read_dir("/usr").unwrap();
    Ok(())
}

#[test]
fn what_is_not_needed_is_not_used() {
    support::in_child("blame::what_is_not_needed_is_not_used", || {
        for (body, unused) in [
            (raises as fn() -> Result<(), Error>, "allow(signal)"),
            (raises_in_thread, "allow(signal)"),
            (lists_twice, "read = \"/\""),
        ] {
            let failed = std::panic::catch_unwind(|| sandboxed::__private::observed_test(false, true, body));
            let message = failed.unwrap_err();
            let message = message.downcast_ref::<String>().unwrap();
            assert_eq!(*message, format!("granted, and not used:\n  `{unused}`"));
        }
        let host = std::process::id().cast_signed();
        sandboxed::__private::observed_test(false, true, || signals(host)).unwrap();
    });
}
