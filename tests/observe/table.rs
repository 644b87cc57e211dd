//! What is tried, and what is to be said of it.

use crate::{raw, support};
use sandboxed::{By, Error, Object, observe, sandboxed};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Try {
    Read(PathBuf),
    List(PathBuf),
    Write(PathBuf),
    ReadWrite(PathBuf),
    OpenOrCreate(PathBuf),
    Create(PathBuf),
    Truncate(PathBuf),
    MakeDir(PathBuf),
    MakeLink(PathBuf),
    MakeFifo(PathBuf),
    RemoveFile(PathBuf),
    RemoveDir(PathBuf),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Execute(PathBuf),
    Mode(PathBuf),
    BindUnix(PathBuf),
    BindTcp(SocketAddr),
    ConnectTcp(SocketAddr),
    Udp,
    Signal(i32),
}

impl Try {
    /// The errno; 0 where it succeeds.
    pub fn errno(&self) -> i32 {
        self.run().err().map_or(0, |error| error.raw_os_error().unwrap_or(-1))
    }

    fn run(&self) -> io::Result<()> {
        let open = |read: bool, path| fs::OpenOptions::new().read(read).write(true).open(path).map(drop);
        match self {
            Try::Read(path) => fs::File::open(path).map(drop),
            Try::List(path) => fs::read_dir(path).map(drop),
            Try::Write(path) => open(false, path),
            Try::ReadWrite(path) => open(true, path),
            Try::OpenOrCreate(path) => {
                fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).map(drop)
            }
            Try::Create(path) => fs::OpenOptions::new().write(true).create_new(true).open(path).map(drop),
            Try::Truncate(path) => raw::truncate(path, 1).map(drop),
            Try::MakeDir(path) => fs::create_dir(path),
            Try::MakeLink(path) => symlink("/nowhere", path),
            Try::MakeFifo(path) => Ok(rustix::fs::mknodat(
                rustix::fs::CWD,
                path,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RUSR,
                0,
            )?),
            Try::RemoveFile(path) => fs::remove_file(path),
            Try::RemoveDir(path) => fs::remove_dir(path),
            Try::Rename(from, to) => fs::rename(from, to),
            Try::Link(from, to) => fs::hard_link(from, to),
            Try::Execute(path) => Command::new(path).status().map(drop),
            Try::Mode(path) => fs::set_permissions(path, fs::Permissions::from_mode(0o600)),
            Try::BindUnix(path) => std::os::unix::net::UnixListener::bind(path).map(drop),
            Try::BindTcp(address) => TcpListener::bind(address).map(drop),
            Try::ConnectTcp(address) => TcpStream::connect(address).map(drop),
            Try::Udp => UdpSocket::bind("127.0.0.1:0").map(drop),
            Try::Signal(pid) => {
                Ok(rustix::process::test_kill_process(rustix::process::Pid::from_raw(*pid).unwrap())?)
            }
        }
    }
}

#[sandboxed(read = allowed, write = allowed, tcp_bind = 0, tcp_connect = 1)]
pub fn with_files(allowed: &Path, what: &Try) -> Result<i32, Error> {
    Ok(what.errno())
}

#[sandboxed(read = allowed, execute = ["/usr", "/bin", "/lib", optional("/lib64")])]
pub fn reads_and_runs(allowed: &Path, what: &Try) -> Result<i32, Error> {
    Ok(what.errno())
}

#[sandboxed]
pub fn without_files(what: &Try) -> Result<i32, Error> {
    Ok(what.errno())
}

#[sandboxed(thread, read = allowed, write = allowed, tcp_bind = 0, tcp_connect = 1)]
pub fn with_files_in_thread(allowed: &Path, what: &Try) -> Result<i32, Error> {
    Ok(what.errno())
}

#[sandboxed(thread, read = "/usr")]
pub fn in_thread(what: &Try) -> i32 {
    what.errno()
}

pub struct Place {
    pub allowed: PathBuf,
    pub denied: PathBuf,
    _whole: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        let whole = tempfile::tempdir().unwrap();
        let base = whole.path().canonicalize().unwrap();
        fs::set_permissions(&base, fs::Permissions::from_mode(0o777)).unwrap();
        let [allowed, denied] = ["allowed", "denied"].map(|name| {
            let directory = base.join(name);
            fs::create_dir(&directory).unwrap();
            for file in ["file", "other"] {
                fs::write(directory.join(file), "#!/bin/true\n").unwrap();
                // A worker of root's has no capabilities: files are everybody's here.
                fs::set_permissions(directory.join(file), fs::Permissions::from_mode(0o777)).unwrap();
            }
            fs::create_dir(directory.join("empty")).unwrap();
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
            directory
        });
        Place { allowed, denied, _whole: whole }
    }
}

struct Row {
    what: fn(&Path) -> Try,
    operation: &'static str,
    grant: &'static str,
}

/// Of what is below the denied directory; the same below the allowed one is the twin. In a grant, `DIR` is the directory.
fn rows() -> Vec<Row> {
    let row = |what: fn(&Path) -> Try, operation, grant| Row { what, operation, grant };
    vec![
        row(|at| Try::Read(at.join("file")), "read_file", "read = \"DIR/file\""),
        row(|at| Try::List(at.join("empty")), "read_dir", "read = \"DIR/empty\""),
        row(|at| Try::Write(at.join("file")), "write_file", "write = \"DIR/file\""),
        row(
            |at| Try::ReadWrite(at.join("file")),
            "read_file+write_file",
            "read = \"DIR/file\", write = \"DIR/file\"",
        ),
        row(|at| Try::OpenOrCreate(at.join("file")), "write_file", "write = \"DIR/file\""),
        row(|at| Try::Create(at.join("new")), "make_reg", "write = \"DIR\""),
        row(|at| Try::Truncate(at.join("file")), "truncate", "write = \"DIR/file\""),
        row(|at| Try::MakeDir(at.join("new-dir")), "make_dir", "write = \"DIR\""),
        row(|at| Try::MakeLink(at.join("new-link")), "make_sym", "write = \"DIR\""),
        row(|at| Try::MakeFifo(at.join("new-fifo")), "make_fifo", "write = \"DIR\""),
        row(|at| Try::Link(at.join("file"), at.join("new-hard")), "make_reg", "write = \"DIR\""),
        row(|at| Try::Rename(at.join("file"), at.join("moved")), "remove_file+make_reg", "write = \"DIR\""),
        row(|at| Try::RemoveFile(at.join("other")), "remove_file", "write = \"DIR\""),
        row(|at| Try::RemoveDir(at.join("empty")), "remove_dir", "write = \"DIR\""),
    ]
}

fn check(called: impl Fn(&Path, &Try) -> i32, by: By) {
    let place = Place::new();
    for Row { what, operation, grant } in rows() {
        let denied = what(&place.denied);
        let (errno, denials) = observe(|| called(&place.allowed, &denied));
        assert_eq!(errno, libc::EACCES, "{denied:?}");
        let [denial] = &denials[..] else { panic!("{denied:?}: {denials:#?}") };
        assert_eq!(
            (denial.by, denial.errno, &*denial.operation),
            (by, libc::EACCES, operation),
            "{denial:#?}"
        );
        let directory = place.denied.display().to_string();
        assert_eq!(denial.grant, Some(grant.replace("DIR", &directory)), "{denial:#?}");
        match &denial.object {
            Object::Path(path) => assert!(path.starts_with(&directory), "{path}"),
            Object::Paths(from, to) => assert!(from.starts_with(&directory) && to.starts_with(&directory)),
            other => panic!("{other:?}"),
        }
        if by == By::Landlock {
            let allowed = what(&place.allowed);
            assert_eq!(observe(|| called(&place.allowed, &allowed)), (0, Vec::new()), "{allowed:?}");
        }
    }
}

#[test]
fn landlock_in_a_worker() {
    if support::has_abi(4, "ports") {
        check(|allowed, what| with_files(allowed, what).unwrap(), By::Landlock);
    }
}

#[test]
fn landlock_in_a_thread() {
    if support::has_abi(4, "ports") {
        check(|allowed, what| with_files_in_thread(allowed, what).unwrap(), By::Landlock);
    }
}

#[test]
fn the_filter_in_a_worker() {
    let place = Place::new();
    for Row { what, operation, grant } in rows() {
        let tried = what(&place.denied);
        let (errno, denials) = observe(|| without_files(&tried).unwrap());
        let [denial] = &denials[..] else { panic!("{tried:?}: {denials:#?}") };
        assert_eq!(
            (errno, denial.by, &*denial.operation),
            (libc::EACCES, By::Filter, operation),
            "{denial:#?}"
        );
        let grant = grant.replace("DIR", &place.denied.display().to_string());
        assert_eq!(denial.grant, Some(grant), "{denial:#?}");
        let may_be_new = matches!(tried, Try::OpenOrCreate(_));
        assert_eq!(denial.note.as_deref(), may_be_new.then_some("its directory, if it is to be made"));
    }
}

#[test]
fn what_has_no_path() {
    if !support::has_abi(6, "scopes and ports") {
        return;
    }
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let port = address.port();
    let parent = std::process::id().cast_signed();
    let inside = |what: &Try| with_files(&place.allowed, what).unwrap();
    for (what, operation, object, errno, by, grant) in [
        (
            Try::ConnectTcp(address),
            "connect_tcp",
            Object::Address(address.to_string()),
            libc::EACCES,
            By::Landlock,
            format!("tcp_connect = {port}"),
        ),
        (
            Try::BindTcp("127.0.0.1:45678".parse().unwrap()),
            "bind_tcp",
            Object::Address("127.0.0.1:45678".into()),
            libc::EACCES,
            By::Landlock,
            "tcp_bind = 45678".into(),
        ),
        (
            Try::Udp,
            "socket(AF_INET, SOCK_DGRAM)",
            Object::Nothing,
            libc::EACCES,
            By::Filter,
            "allow(udp)".into(),
        ),
        (
            Try::Signal(parent),
            "signal",
            Object::Process(parent),
            libc::EPERM,
            By::Filter,
            "allow(signal)".into(),
        ),
    ] {
        let (got, denials) = observe(|| inside(&what));
        let [denial] = &denials[..] else { panic!("{what:?}: {denials:#?}") };
        assert_eq!(got, errno, "{what:?}");
        assert_eq!((&*denial.operation, &denial.object, denial.by), (operation, &object, by), "{denial:#?}");
        assert_eq!(denial.grant, Some(grant));
    }
    assert_eq!(observe(|| inside(&Try::BindTcp("127.0.0.1:0".parse().unwrap()))), (0, Vec::new()));
    let (errno, denials) = observe(|| in_thread(&Try::Signal(parent)));
    assert_eq!((errno, denials), (0, Vec::new()), "to its own process a thread may");
    let file = place.allowed.join("file");
    let (errno, denials) = observe(|| inside(&Try::Mode(file.clone())));
    assert_eq!(
        (errno, denials[0].by, denials[0].grant.as_deref()),
        (libc::EACCES, By::Filter, Some("allow(metadata)"))
    );
    let program = Try::Execute("/usr/bin/true".into());
    let (errno, denials) = observe(|| without_files(&program).unwrap());
    assert_ne!(errno, 0);
    assert!(!denials.is_empty(), "{denials:?}");
}

/// What names something that is not there, what is said of it, and a twin of which everything is there.
struct Absent {
    what: fn(&Path) -> Try,
    operation: &'static str,
    missing: &'static str,
    twin: fn(&Path) -> Try,
}

fn absent() -> Vec<Absent> {
    type Named = fn(&Path) -> Try;
    let row = |what: Named, operation, missing, twin: Named| Absent { what, operation, missing, twin };
    vec![
        row(|at| Try::Read(at.join("no")), "read_file", "no", |at| Try::Read(at.join("file"))),
        row(|at| Try::List(at.join("no")), "read_dir", "no", |at| Try::List(at.join("empty"))),
        row(
            |at| Try::ReadWrite(at.join("no/file")),
            "read_file+write_file",
            "no/file",
            |at| Try::ReadWrite(at.join("file")),
        ),
        row(|at| Try::Truncate(at.join("no")), "truncate", "no", |at| Try::Truncate(at.join("file"))),
        row(
            |at| Try::Create(at.join("no/new")),
            "make_reg+write_file",
            "no",
            |at| Try::Create(at.join("new")),
        ),
        row(|at| Try::MakeDir(at.join("no/new")), "make_dir", "no", |at| Try::MakeDir(at.join("new-dir"))),
        row(|at| Try::RemoveFile(at.join("no")), "remove_file", "no", |at| Try::RemoveFile(at.join("other"))),
        row(|at| Try::RemoveDir(at.join("no")), "remove_dir", "no", |at| Try::RemoveDir(at.join("empty"))),
        row(
            |at| Try::Link(at.join("no"), at.join("new")),
            "linkat",
            "no",
            |at| Try::Link(at.join("file"), at.join("new-hard")),
        ),
        row(
            |at| Try::Rename(at.join("no"), at.join("moved")),
            "remove_file",
            "no",
            |at| Try::Rename(at.join("file"), at.join("moved")),
        ),
        row(
            |at| Try::Rename(at.join("moved"), at.join("no/moved")),
            "make_reg",
            "no",
            |at| Try::Rename(at.join("moved"), at.join("file")),
        ),
    ]
}

#[test]
fn what_is_not_there() {
    if !support::has_abi(4, "ports") {
        return;
    }
    let in_process = |allowed: &Path, what: &Try| with_files(allowed, what).unwrap();
    let in_thread = |allowed: &Path, what: &Try| with_files_in_thread(allowed, what).unwrap();
    for called in [in_process as fn(&Path, &Try) -> i32, in_thread] {
        let place = Place::new();
        for Absent { what, operation, missing, twin } in absent() {
            let tried = what(&place.allowed);
            let (errno, denials) = observe(|| called(&place.allowed, &tried));
            assert_eq!(errno, libc::ENOENT, "{tried:?}");
            let [denial] = &denials[..] else { panic!("{tried:?}: {denials:#?}") };
            assert_eq!((denial.by, denial.errno, &*denial.operation), (By::Missing, errno, operation));
            let missing = place.allowed.join(missing);
            assert_eq!(denial.object, Object::Path(missing.display().to_string()));
            assert_eq!((&denial.grant, &denial.note), (&None, &None));
            let twin = twin(&place.allowed);
            assert_eq!(observe(|| called(&place.allowed, &twin)), (0, Vec::new()), "{twin:?}");
        }
        // Where nothing is granted the kernel says the same, and where no path may be named nobody looks.
        let (errno, denials) = observe(|| called(&place.allowed, &Try::Read(place.denied.join("no"))));
        assert_eq!((errno, denials[0].by), (libc::ENOENT, By::Missing), "{denials:?}");
        let (errno, denials) = observe(|| without_files(&Try::Read(place.denied.join("no"))).unwrap());
        assert_eq!((errno, denials[0].by), (libc::EACCES, By::Filter), "{denials:?}");
    }
}
