//! What is not the sandbox's doing is not blamed on it; what is, on what it refused and not on what was named.

use crate::support::copy_program;
use crate::table::{Place, Try, with_files, with_files_in_thread, without_files};
use crate::{foreign, raw, support, sys};
use sandboxed::{By, Denial, Error, Object, assert_denied, observe, sandboxed};
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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

#[sandboxed(execute = granted)]
fn executes(granted: &[PathBuf], program: &Path) -> Result<Option<i32>, Error> {
    Ok(execute(program))
}

/// 0 where it runs to a good end.
fn execute(program: &Path) -> Option<i32> {
    match Command::new(program).arg0("true").status() {
        Ok(status) => status.code(),
        Err(error) => error.raw_os_error().map(|errno| -errno),
    }
}

#[sandboxed(read = "/usr", write = at)]
fn restricts_itself(at: &Path) -> Result<[i32; 2], Error> {
    const READ_AND_WRITE_FILE: u64 = foreign::READ_FILE | 1 << 1;
    foreign::restrict_thread(READ_AND_WRITE_FILE).unwrap();
    let read = Try::Read("/usr/bin/env".into());
    Ok([read, Try::Write(at.join("file"))].map(|tried| tried.errno()))
}

/// Another refuses what the policy's own ruleset allows, and no grant would help.
#[test]
fn what_is_granted_is_not_refused_by_the_policy() {
    if !support::has_abi(1, "files") || !Path::new("/usr/bin/env").exists() {
        return eprintln!("not checked: /usr/bin/env is to be read");
    }
    let place = Place::new();
    let (errnos, denials) = observe(|| restricts_itself(&place.allowed).unwrap());
    assert_eq!(errnos, [libc::EACCES; 2]);
    let seen: Vec<_> =
        denials.iter().map(|denial| (denial.by, &*denial.operation, denial.grant.as_deref())).collect();
    assert_eq!(seen, [(By::Unknown, "read_file", None), (By::Unknown, "write_file", None)]);
}

/// The kernel can be asked whether a file may be executed (Linux 6.14).
fn can_be_asked() -> bool {
    let flags = (libc::AT_EMPTY_PATH | libc::AT_EXECVE_CHECK).into();
    let program = fs::File::open("/proc/self/exe").unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&program);
    let asked = raw::syscall(libc::SYS_execveat, [fd.into(), "".into(), 0.into(), 0.into(), flags]);
    if let Err(error) = &asked {
        eprintln!("not checked: which of several programs is refused: {error}");
    }
    asked.is_ok()
}

/// The path in a grant of one.
fn granted_by(denial: &Denial) -> PathBuf {
    let grant = denial.grant.as_deref().unwrap_or_else(|| panic!("{denial:#?}"));
    let path = grant.split_once(" = \"").and_then(|(_, rest)| rest.strip_suffix('"'));
    PathBuf::from(path.unwrap_or_else(|| panic!("{grant}")))
}

/// Whoever adds what is said, one after the other, gets a program that runs.
#[test]
fn a_program_runs_with_what_was_said() {
    let program = Path::new("/usr/bin/true");
    if !support::has_abi(1, "files") || !program.exists() {
        return eprintln!("not checked: {program:?} is to be run");
    }
    let loader = own_loader();
    let mut granted = vec![std::env::temp_dir()];
    let (status, denials) = observe(|| executes(&granted, program).unwrap());
    let denial = one(denials);
    assert_eq!(status, Some(-libc::EACCES));
    assert_eq!((denial.by, &*denial.operation), (By::Landlock, "execute+read_file"));
    assert_eq!(granted_by(&denial), program.canonicalize().unwrap());
    granted.push(granted_by(&denial));
    for _ in 0..20 {
        let (status, denials) = observe(|| executes(&granted, program).unwrap());
        let refused: Vec<&Denial> = denials.iter().filter(|denial| denial.by.is_sandbox()).collect();
        if status == Some(0) && refused.is_empty() {
            let ran_by = granted.iter().filter_map(|path| path.canonicalize().ok());
            let is_said = ran_by.into_iter().any(|path| Some(path) == loader);
            return assert!(is_said || loader.is_none(), "{granted:?}");
        }
        assert!(!refused.is_empty(), "{status:?} {denials:#?}");
        for denial in refused {
            assert!(!granted.contains(&granted_by(denial)), "{denial:#?}");
            granted.push(granted_by(denial));
        }
    }
    panic!("{granted:?}");
}

/// Of this program.
fn own_loader() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut paths =
        maps.lines().filter_map(|line| Some(PathBuf::from(format!("/{}", line.split_once('/')?.1))));
    paths.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")))
}

#[test]
fn what_runs_a_program_is_named() {
    let program = Path::new("/usr/bin/true");
    let Some(loader) = own_loader().filter(|_| support::has_abi(1, "files") && program.exists()) else {
        return eprintln!("not checked: {program:?} is to be run by a loader");
    };
    let granted = [program.to_owned()];
    let (status, denials) = observe(|| executes(&granted, program).unwrap());
    let denial = one(denials);
    assert_eq!((status, denial.by), (Some(-libc::EACCES), By::Landlock), "{denial:#?}");
    let Object::Path(object) = &denial.object else { panic!("{denial:#?}") };
    assert_eq!(Path::new(object).canonicalize().unwrap(), loader);
    assert_eq!(denial.grant, Some(format!("execute = {object:?}")));
    let program = program.canonicalize().unwrap();
    assert_eq!(denial.note, Some(format!("it runs {}", program.display())));
}

#[test]
fn what_runs_a_script_is_named() {
    if !support::has_abi(1, "files") || !Path::new("/bin/true").exists() {
        return eprintln!("not checked: /bin/true is to be run");
    }
    let place = Place::new();
    let script = place.allowed.join("script");
    copy_program(place.allowed.join("file"), &script);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o777)).unwrap();
    let execute = |granted: &[PathBuf]| {
        let (status, denials) = observe(|| executes(granted, &script).unwrap());
        assert_eq!(status, Some(-libc::EACCES));
        one(denials)
    };
    let denial = execute(std::slice::from_ref(&place.denied));
    assert_eq!((denial.by, &denial.note), (By::Landlock, &None));
    assert_eq!(granted_by(&denial), script);
    let denial = execute(std::slice::from_ref(&script));
    assert_eq!((denial.by, denial.object.clone()), (By::Landlock, Object::Path("/bin/true".into())));
    assert_eq!(denial.grant.as_deref(), Some("execute = \"/bin/true\""));
    assert_eq!(denial.note, Some(format!("it runs {}", script.display())));
    // To read it is granted, and to execute it is not.
    let tried = Try::Execute(script.clone());
    let (_, denials) = observe(|| crate::table::reads_and_runs(&place.allowed, &tried).unwrap());
    let denial = one(denials);
    assert_eq!((&*denial.operation, denial.errno), ("execute", libc::EACCES));
    if !can_be_asked() {
        let grant = denial.grant.as_deref().unwrap_or_default();
        assert!(grant.starts_with(&format!("execute = [{script:?}, \"/bin/true\"")), "{denial:#?}");
        return assert_eq!(denial.by, By::Unknown);
    }
    assert_eq!(denial.by, By::Landlock);
    assert_eq!(granted_by(&denial), script);
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

/// To its template, that one's group, all, and its host.
fn signal_others(host: i32) -> Vec<i32> {
    let template = rustix::process::getppid().unwrap().as_raw_pid();
    let signal = |to: &i32| raw::syscall(libc::SYS_kill, [(*to).into(), 0.into()]);
    let errno = |to| signal(to).map_or_else(|error| error.raw_os_error().unwrap(), |_| 0);
    [template, -template, -1, host].iter().map(errno).collect()
}

#[sandboxed]
fn signals_others(host: i32) -> Result<Vec<i32>, Error> {
    Ok(signal_others(host))
}

#[sandboxed(allow(signal))]
fn may_signal_others(host: i32) -> Result<Vec<i32>, Error> {
    Ok(signal_others(host))
}

/// No policy lets a worker signal those that it was forked by, and none is suggested.
#[test]
fn a_signal_to_who_forked_it() {
    let host = std::process::id().cast_signed();
    let refused = [libc::EPERM; 3];
    for (signals, of_host, grants) in [
        (signals_others as fn(i32) -> Result<Vec<i32>, Error>, libc::EPERM, &[Some("allow(signal)")][..]),
        (may_signal_others, 0, &[]),
    ] {
        let (errnos, denials) = observe(|| signals(host).unwrap());
        assert_eq!((&errnos[..3], errnos[3]), (&refused[..], of_host));
        let (who_forked, rest) = denials.split_at(3);
        for denial in who_forked {
            let said = (denial.by, denial.grant.as_deref(), denial.note.as_deref());
            assert_eq!(said, (By::Filter, None, Some("nothing grants it")), "{denial:?}");
        }
        let granted: Vec<_> = rest.iter().map(|denial| denial.grant.as_deref()).collect();
        assert_eq!(granted, grants);
    }
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
