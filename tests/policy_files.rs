//! Policies from files of the landlockconfig format: enforced as they say, at compile time and at run time.
#![cfg(feature = "policy-files")]

mod support;

use libc::{EACCES, EXDEV};
use sandboxed::{Policy, sandboxed};
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use support::{errno, has_abi, in_child};
use tempfile::TempDir;

/// It grants `ioctl_dev`, but not everywhere.
const SITE: &str = "`site.toml`";

/// What a body under `site.toml` found.
type Found = Vec<(String, i32)>;

/// Tries what the file grants, and beside each what it does not.
fn try_site() -> Found {
    let code = |result: io::Result<()>| result.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1));
    [
        ("read /etc/passwd", code(fs::read("/etc/passwd").map(drop))),
        ("read /etc/group", code(fs::read("/etc/group").map(drop))),
        ("list /usr", code(fs::read_dir("/usr").map(drop))),
        ("list /etc", code(fs::read_dir("/etc").map(drop))),
        ("write /dev/null", code(File::create("/dev/null").map(drop))),
        ("write /dev/zero", code(File::options().write(true).open("/dev/zero").map(drop))),
        ("bind", code(TcpListener::bind("127.0.0.1:0").map(drop))),
    ]
    .map(|(what, errno)| (what.to_owned(), errno))
    .to_vec()
}

#[track_caller]
fn check_site(found: &Found, more: &[(&str, i32)]) {
    let expected = [
        ("read /etc/passwd", 0),
        ("read /etc/group", EACCES),
        ("list /usr", 0),
        ("list /etc", EACCES),
        ("write /dev/null", 0),
        ("write /dev/zero", EACCES),
        ("bind", EACCES),
    ];
    for (what, errno) in found {
        let (_, expected) = more.iter().chain(&expected).find(|(other, _)| other == what).unwrap();
        assert_eq!(errno, expected, "{what}");
    }
    assert_eq!(found.len(), expected.len());
}

#[sandboxed(policy = "tests/policy_files/site.toml")]
fn in_process() -> Found {
    try_site()
}

#[sandboxed(thread, policy = "tests/policy_files/site.toml")]
fn in_thread() -> Found {
    try_site()
}

#[sandboxed(in_place, policy = "tests/policy_files/site.toml", thread_sync = "signal")]
fn in_place() -> Found {
    try_site()
}

#[sandboxed(policy = "tests/policy_files/site.json")]
fn by_json() -> Found {
    try_site()
}

#[sandboxed(policy = "tests/policy_files/site.toml", read = "/etc/group", timeout = "10s")]
fn with_keys() -> Found {
    try_site()
}

#[sandboxed(policy = "tests/policy_files/site.toml", read = path)]
fn with_argument(path: &str) -> Found {
    let _ = path;
    try_site()
}

#[test]
fn what_the_file_grants_is_granted() {
    if !has_abi(5, SITE) {
        return;
    }
    check_site(&in_process(), &[]);
    check_site(&in_thread(), &[]);
    check_site(&by_json(), &[]);
}

#[test]
fn in_place_too() {
    if has_abi(5, SITE) {
        in_child("in_place_too", || check_site(&in_place(), &[]));
    }
}

#[test]
fn keys_beside_it_add_to_it() {
    if !has_abi(5, SITE) {
        return;
    }
    check_site(&with_keys(), &[("read /etc/group", 0)]);
    check_site(&with_argument("/etc/group"), &[("read /etc/group", 0)]);
    check_site(&with_argument("/etc"), &[("read /etc/group", 0), ("list /etc", 0)]);
}

#[test]
fn the_list_of_functions_shows_the_policy() {
    let listed = |name: &str| {
        let mut functions = sandboxed::functions();
        functions.find(|function| function.name.ends_with(name)).unwrap()
    };
    let read = [
        Policy::from_toml(include_str!("policy_files/site.toml")),
        Policy::from_json(include_str!("policy_files/site.json")),
    ];
    for policy in read {
        assert_eq!((listed("::in_process").policy.unwrap())(), policy.unwrap());
    }
    assert!(listed("::with_argument").policy.is_none());
    assert_eq!(listed("::in_process").attribute, r#"policy = "tests/policy_files/site.toml""#);
}

#[sandboxed(policy = Policy::from_file(file)?)]
fn with_our_error(file: &Path) -> Result<(), sandboxed::Error> {
    Ok(())
}

#[test]
fn a_missing_file_is_an_error_of_the_call() {
    let error = with_our_error(Path::new("/missing.toml")).unwrap_err();
    assert!(error.is_launch() && error.to_string().contains("/missing.toml"), "{error}");
    assert_eq!(error.ran(), sandboxed::Ran::No);
}

#[sandboxed(policy = Policy::from_file(file)?)]
fn at_run_time(file: &Path, wanted: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(fs::read(wanted)?)
}

#[sandboxed(thread, policy = &Policy::from_file(file)?)]
fn at_run_time_in_a_thread(file: &Path, wanted: &Path) -> io::Result<Vec<u8>> {
    fs::read(wanted)
}

fn io_errno(error: &(dyn Error + 'static)) -> i32 {
    let error = error.downcast_ref::<io::Error>().unwrap_or_else(|| panic!("{error}"));
    error.raw_os_error().unwrap_or_else(|| panic!("{error}"))
}

#[test]
fn a_file_at_run_time() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["granted", "other"] {
        fs::write(at(name), name).unwrap();
    }
    let text = format!(
        "abi = 1\n[[ruleset]]\nhandled_access_fs = [\"abi.all\"]\n\
         [[path_beneath]]\nallowed_access = [\"read_file\"]\nparent = [{:?}]\n",
        at("granted")
    );
    fs::write(at("policy.toml"), text).unwrap();
    let file = at("policy.toml");
    assert_eq!(at_run_time(&file, &at("granted")).unwrap(), b"granted");
    assert_eq!(io_errno(&*at_run_time(&file, &at("other")).unwrap_err()), EACCES);
    assert_eq!(at_run_time_in_a_thread(&file, &at("granted")).unwrap(), b"granted");
    assert_eq!(errno(at_run_time_in_a_thread(&file, &at("other"))), EACCES);
    // The body does not begin where the file is wrong.
    fs::write(&file, "[[ruleset]]\nscoped = [\"signals\"]").unwrap();
    let expected = format!("{}:2:11: unknown scope `signals`; did you mean `signal`?", file.display());
    assert_eq!(at_run_time(&file, &at("granted")).unwrap_err().to_string(), expected);
    let error = at_run_time_in_a_thread(&file, &at("granted")).unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::InvalidData, expected));
}

#[sandboxed(thread, policy = "tests/policy_files/open.toml")]
fn under_open(dir: &Path) -> Found {
    let code = |result: io::Result<()>| result.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1));
    let socket = || connect_abstract(dir);
    [
        ("read", code(fs::read("/etc/passwd").map(drop))),
        ("write", code(fs::write(dir.join("made"), "made"))),
        (
            "truncate",
            code(File::options().write(true).open(dir.join("made")).and_then(|made| made.set_len(1))),
        ),
        ("make_dir", code(fs::create_dir(dir.join("dir")))),
        ("rename within", code(fs::rename(dir.join("made"), dir.join("renamed")))),
        ("rename across", code(fs::rename(dir.join("renamed"), dir.join("below/renamed")))),
        ("execute", code(list_tests().map(drop))),
        ("bind_tcp", code(TcpListener::bind("127.0.0.1:0").map(drop))),
        ("udp", code(UdpSocket::bind("127.0.0.1:0").map(drop))),
        ("abstract socket", code(socket())),
    ]
    .map(|(what, errno)| (what.to_owned(), errno))
    .to_vec()
}

/// Runs a program: this one.
fn list_tests() -> io::Result<std::process::Output> {
    std::process::Command::new(std::env::current_exe()?).arg("--list").output()
}

/// Connects to the abstract socket named as `dir`.
fn connect_abstract(dir: &Path) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(dir.as_os_str().as_bytes())?;
    std::os::unix::net::UnixStream::connect_addr(&address).map(drop)
}

#[test]
fn what_is_not_handled_is_open() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("below")).unwrap();
    let name = dir.path().as_os_str().as_bytes();
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let found = under_open(dir.path());
    let expected = [
        ("read", 0),
        ("write", 0),
        ("truncate", 0),
        ("make_dir", EACCES),
        ("rename within", 0),
        // Landlock refuses it along with any right, and no rule grants it.
        ("rename across", EXDEV),
        ("execute", 0),
        ("bind_tcp", 0),
        // The format has no word for it.
        ("udp", EACCES),
        ("abstract socket", 0),
    ];
    for ((what, found), (_, expected)) in found.iter().zip(expected) {
        assert_eq!(*found, expected, "{what}");
    }
}

#[sandboxed(thread, policy = Policy::from_toml(text)?)]
fn under(text: &str, wanted: &Path) -> io::Result<Vec<u8>> {
    fs::read(wanted)
}

#[test]
fn relative_paths_are_those_of_the_call() {
    in_child("relative_paths_are_those_of_the_call", || {
        let dir = TempDir::new().unwrap();
        for name in ["here", "there"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("file"), name).unwrap();
        }
        let text = "[[path_beneath]]\nallowed_access = [\"read_file\"]\nparent = [\".\"]";
        for (name, other) in [("here", "there"), ("there", "here")] {
            std::env::set_current_dir(dir.path().join(name)).unwrap();
            assert_eq!(under(text, Path::new("file")).unwrap(), name.as_bytes());
            let file = dir.path().join(other).join("file");
            assert_eq!(errno(under(text, &file)), EACCES);
        }
    });
}

#[test]
fn rights_on_directories_alone_are_no_grant_of_a_file() {
    if !has_abi(1, "a grant") {
        return;
    }
    let rule = |right: &str| {
        format!(
            "[[path_beneath]]\nallowed_access = [\"read_file\", \"make_dir\"]\nparent = [\"/usr\"]\n\
                 [[path_beneath]]\nallowed_access = [{right}]\nparent = [\"/etc/passwd\"]"
        )
    };
    assert!(under(&rule("\"read_file\", \"make_dir\""), Path::new("/etc/passwd")).is_ok());
    let error = under(&rule("\"make_dir\""), Path::new("/etc/passwd")).unwrap_err().to_string();
    assert!(error.contains("cannot grant `make_dir = \"/etc/passwd\"`"), "{error}");
}

#[test]
fn several_files_are_composed() {
    let dir = TempDir::new().unwrap();
    let files = [
        (
            "a.toml",
            "[[ruleset]]\nhandled_access_fs = [\"read_file\", \"execute\"]\n\
                    [[path_beneath]]\nallowed_access = [\"read_file\"]\nparent = [\"/a/${v}\"]\n",
        ),
        (
            "b.json",
            "{\"ruleset\": [{\"handledAccessFs\": [\"read_file\"], \"scoped\": [\"signal\"]}],\
                     \"variable\": [{\"name\": \"v\", \"literal\": [\"1\"]}]}",
        ),
    ];
    let paths = files.map(|(name, text)| {
        fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name)
    });
    let policy = Policy::from_files(&paths).unwrap();
    let alone = "[[path_beneath]]\nallowed_access = [\"read_file\"]\nparent = [\"/a/1\"]";
    assert_eq!(policy, Policy::from_toml(alone).unwrap());
    assert!(Policy::from_file(&paths[0]).unwrap_err().message.contains("no variable is named `v`"));
}

/// Prints as an attribute, in which the rights of a path stand apart.
#[test]
fn policies_from_files_are_printed() {
    let text = "abi = 6\n[[ruleset]]\nhandled_access_fs = [\"abi.all\"]\nhandled_access_net = [\"bind_tcp\"]\n\
                [[path_beneath]]\nallowed_access = [\"read_file\", \"make_dir\"]\nparent = [\"/x\"]\n\
                [[path_beneath]]\nallowed_access = [\"execute\", \"read_file\", \"read_dir\"]\nparent = [\"/usr\"]\n\
                [[net_port]]\nallowed_access = [\"bind_tcp\"]\nport = [2, 1]";
    let policy = Policy::from_toml(text).unwrap();
    assert_eq!(
        policy.to_string(),
        "execute = optional(\"/usr\"), unix = optional(\"/\"), fs(read_file = optional(\"/x\"), make_dir = optional(\"/x\")), \
         tcp_bind = 1..=2, tcp_connect = 0..=65535, allow(signal, abstract_unix_socket)"
    );
}
