//! Files: each grant opens what it names and nothing else, on the kernel's own word.
//!
//! Every operation is tried under every grant, so each denial has its allowed twin; what an allowed operation gives
//! is what it gives outside of a sandbox.

#[path = "support/raw.rs"]
mod raw;
mod support;

use libc::{EACCES, ENOENT, ENOEXEC, ENOTTY, EPERM, EXDEV};
use rustix::fs::{CWD, FileType, MemfdFlags, Mode, OFlags};
use sandboxed::{Access, ErrorKind, Policy, Ran, sandboxed};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use support::{errno, has_abi, in_child};
use tempfile::TempDir;

/// Something to do in a directory that [`tree`] made. Each has files of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Op {
    Execute,
    OpenForWriting,
    OpenForReading,
    OpenForBoth,
    List,
    RemoveDir,
    RemoveFile,
    MakeChar,
    MakeDir,
    MakeReg,
    MakeSock,
    MakeFifo,
    MakeBlock,
    MakeSym,
    Create,
    LinkWithin,
    LinkAcross,
    RenameWithin,
    RenameAcross,
    RenameDirWithin,
    ExchangeWithin,
    Truncate,
    OpenTruncating,
    CreateTruncating,
    Ftruncate,
    /// With both access bits, which the kernel takes for neither reading nor writing.
    OpenForNothingTruncating,
}

use Op::*;

const OPS: &[Op] = &[
    Execute,
    OpenForWriting,
    OpenForReading,
    OpenForBoth,
    List,
    RemoveDir,
    RemoveFile,
    MakeChar,
    MakeDir,
    MakeReg,
    MakeSock,
    MakeFifo,
    MakeBlock,
    MakeSym,
    Create,
    LinkWithin,
    LinkAcross,
    RenameWithin,
    RenameAcross,
    RenameDirWithin,
    ExchangeWithin,
    Truncate,
    OpenTruncating,
    CreateTruncating,
    Ftruncate,
    OpenForNothingTruncating,
];

/// A directory with what the operations need.
fn tree() -> TempDir {
    let dir = TempDir::new().unwrap();
    fill(dir.path());
    dir
}

fn fill(dir: &Path) {
    let at = |name: &str| dir.join(name);
    for name in ["a", "b", "empty", "full", "old_dir"] {
        fs::create_dir(at(name)).unwrap();
    }
    for name in [
        "program",
        "file",
        "full/file",
        "victim",
        "linked",
        "old",
        "left",
        "right",
        "a/linked",
        "a/renamed",
        "long",
        "long_read",
        "long_create",
        "long_written",
        "long_nothing",
    ] {
        // No program: what may be executed fails with ENOEXEC, and nothing is replaced.
        fs::write(at(name), "plain text").unwrap();
    }
    fs::set_permissions(at("program"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs a program in a process of its own: while one thread executes, the kernel lets no other start threads.
fn run(program: &Path) -> io::Result<ExitStatus> {
    loop {
        match Command::new(program).status() {
            // A test beside this one has just forked, and its child holds the file as it was written here.
            Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) => std::thread::yield_now(),
            done => return done,
        }
    }
}

impl Op {
    fn attempt(self, dir: &Path) -> io::Result<()> {
        let at = |name: &str| dir.join(name);
        // Not number 0: to make an overlay's whiteout, which that is, some kernels take for making a file.
        let number = rustix::fs::makedev(1, 3);
        let make = |name: &str, kind| Ok(rustix::fs::mknodat(CWD, at(name), kind, Mode::RUSR, number)?);
        let open = |name: &str, flags| rustix::fs::open(at(name), flags, Mode::RUSR | Mode::WUSR);
        match self {
            Execute => run(&at("program")).map(drop),
            OpenForWriting => Ok(open("file", OFlags::WRONLY).map(drop)?),
            OpenForReading => Ok(open("file", OFlags::RDONLY).map(drop)?),
            OpenForBoth => Ok(open("file", OFlags::RDWR).map(drop)?),
            List => fs::read_dir(at("full")).map(drop),
            RemoveDir => fs::remove_dir(at("empty")),
            RemoveFile => fs::remove_file(at("victim")),
            MakeChar => make("char", FileType::CharacterDevice),
            MakeDir => fs::create_dir(at("dir")),
            MakeReg => make("reg", FileType::RegularFile),
            MakeSock => make("sock", FileType::Socket),
            MakeFifo => make("fifo", FileType::Fifo),
            MakeBlock => make("block", FileType::BlockDevice),
            MakeSym => symlink("file", at("sym")),
            Create => Ok(open("created", OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL).map(drop)?),
            LinkWithin => fs::hard_link(at("linked"), at("link")),
            LinkAcross => fs::hard_link(at("a/linked"), at("b/link")),
            RenameWithin => fs::rename(at("old"), at("new")),
            RenameAcross => fs::rename(at("a/renamed"), at("b/renamed")),
            RenameDirWithin => fs::rename(at("old_dir"), at("new_dir")),
            ExchangeWithin => {
                let (left, right) = (at("left"), at("right"));
                Ok(rustix::fs::renameat_with(CWD, left, CWD, right, rustix::fs::RenameFlags::EXCHANGE)?)
            }
            Truncate => raw::truncate(&at("long"), 1).map(drop),
            OpenTruncating => Ok(open("long_read", OFlags::RDONLY | OFlags::TRUNC).map(drop)?),
            CreateTruncating => File::create(at("long_create")).map(drop),
            Ftruncate => File::options().write(true).open(at("long_written"))?.set_len(1),
            OpenForNothingTruncating => Ok(open("long_nothing", OFlags::RWMODE | OFlags::TRUNC).map(drop)?),
        }
    }

    fn errno(self, dir: &Path) -> i32 {
        self.attempt(dir).map_or_else(|error| error.raw_os_error().expect("an errno"), |()| 0)
    }

    /// The rights that the kernel asks for, on the directory or what is in it.
    fn needs(self) -> Access {
        match self {
            Execute => Access::EXECUTE | Access::READ_FILE,
            OpenForWriting => Access::WRITE_FILE,
            OpenForReading => Access::READ_FILE,
            OpenForBoth => Access::READ_FILE | Access::WRITE_FILE,
            List => Access::READ_DIR,
            RemoveDir => Access::REMOVE_DIR,
            RemoveFile => Access::REMOVE_FILE,
            MakeChar => Access::MAKE_CHAR,
            MakeDir => Access::MAKE_DIR,
            MakeReg => Access::MAKE_REG,
            MakeSock => Access::MAKE_SOCK,
            MakeFifo => Access::MAKE_FIFO,
            MakeBlock => Access::MAKE_BLOCK,
            MakeSym => Access::MAKE_SYM,
            Create => Access::MAKE_REG | Access::WRITE_FILE,
            LinkWithin => Access::MAKE_REG,
            LinkAcross => Access::MAKE_REG | Access::REFER,
            RenameWithin | ExchangeWithin => Access::MAKE_REG | Access::REMOVE_FILE,
            RenameAcross => Access::MAKE_REG | Access::REMOVE_FILE | Access::REFER,
            RenameDirWithin => Access::MAKE_DIR | Access::REMOVE_DIR,
            Truncate | OpenForNothingTruncating => Access::TRUNCATE,
            OpenTruncating => Access::READ_FILE | Access::TRUNCATE,
            CreateTruncating | Ftruncate => Access::WRITE_FILE | Access::TRUNCATE,
        }
    }

    /// What it gives with these rights, if it gives `free` outside of a sandbox.
    fn expected(self, granted: Access, in_worker: bool, free: i32) -> i32 {
        let abi = sandboxed::kernel().abi;
        if in_worker && self == Execute && !granted.contains(Access::EXECUTE) {
            // There is no process to run it in.
            return EPERM;
        }
        if in_worker && granted == Access::NONE {
            // No path may be named.
            return EACCES;
        }
        let needs: Vec<Access> = match self {
            // The filter's part, which knows no paths.
            Truncate | OpenTruncating | OpenForNothingTruncating if abi < 3 => return EACCES,
            CreateTruncating | Ftruncate if abi < 3 => vec![Access::WRITE_FILE],
            _ => self.needs().each().collect(),
        };
        let cannot_refer = |right: &Access| *right == Access::REFER && abi < 2;
        let missing: Vec<Access> =
            needs.into_iter().filter(|right| !granted.contains(*right) || cannot_refer(right)).collect();
        match missing.as_slice() {
            [] => free,
            [Access::REFER] => EXDEV,
            _ => EACCES,
        }
    }
}

fn attempt_all(dir: &Path, ops: &[Op]) -> Vec<i32> {
    ops.iter().map(|op| op.errno(dir)).collect()
}

/// What each operation gives outside of a sandbox.
fn free() -> Vec<i32> {
    let found = attempt_all(tree().path(), OPS);
    for (op, errno) in OPS.iter().zip(&found) {
        match op {
            Execute => assert_eq!(*errno, ENOEXEC),
            // Devices take a privilege.
            MakeChar | MakeBlock => assert!([0, libc::EPERM].contains(errno), "{errno}"),
            _ => assert_eq!(*errno, 0, "{op:?}"),
        }
    }
    found
}

type Attempt = fn(&Path, &[Op]) -> Vec<i32>;

#[track_caller]
fn check(name: &str, granted: Access, in_worker: bool, attempt: impl Fn(&Path, &[Op]) -> Vec<i32>) {
    let dir = tree();
    let found = attempt(dir.path(), OPS);
    assert_eq!(found.len(), OPS.len());
    for ((op, found), free) in OPS.iter().zip(found).zip(free()) {
        assert_eq!(
            found,
            op.expected(granted, in_worker, free),
            "{op:?} with {name}, which grants {granted}"
        );
    }
}

/// A function for each row, in a worker and in a thread, and what it may do in `dir`.
macro_rules! grants {
    ($($name:ident($dir:ident): [$($attribute:tt)*] is $rights:expr;)*) => {
        $(mod $name {
            use super::*;

            #[sandboxed($($attribute)*)]
            pub fn process($dir: &Path, ops: &[Op]) -> Vec<i32> {
                attempt_all($dir, ops)
            }

            #[sandboxed(thread, $($attribute)*)]
            pub fn thread($dir: &Path, ops: &[Op]) -> Vec<i32> {
                attempt_all($dir, ops)
            }
        })*

        fn grants() -> Vec<(&'static str, Access, Attempt, Attempt)> {
            vec![$((stringify!($($attribute)*), $rights, $name::process, $name::thread),)*]
        }
    };
}

grants! {
    execute_only(dir): [fs(execute = dir)] is Access::EXECUTE;
    // The kernel reads what it runs.
    execute(dir): [fs(execute = dir, read_file = dir)] is Access::EXECUTE | Access::READ_FILE;
    write_file(dir): [fs(write_file = dir)] is Access::WRITE_FILE;
    read_file(dir): [fs(read_file = dir)] is Access::READ_FILE;
    read_dir(dir): [fs(read_dir = dir)] is Access::READ_DIR;
    remove_dir(dir): [fs(remove_dir = dir)] is Access::REMOVE_DIR;
    remove_file(dir): [fs(remove_file = dir)] is Access::REMOVE_FILE;
    make_char(dir): [fs(make_char = dir)] is Access::MAKE_CHAR;
    make_dir(dir): [fs(make_dir = dir)] is Access::MAKE_DIR;
    make_reg(dir): [fs(make_reg = dir)] is Access::MAKE_REG;
    make_sock(dir): [fs(make_sock = dir)] is Access::MAKE_SOCK;
    make_fifo(dir): [fs(make_fifo = dir)] is Access::MAKE_FIFO;
    make_block(dir): [fs(make_block = dir)] is Access::MAKE_BLOCK;
    make_sym(dir): [fs(make_sym = dir)] is Access::MAKE_SYM;
    refer(dir): [fs(refer = dir)] is Access::REFER;
    two(dir): [fs(make_reg = dir, write_file = dir)] is Access::MAKE_REG | Access::WRITE_FILE;
    key_read(dir): [read = dir] is Access::READ;
    key_write(dir): [write = dir] is Access::WRITE;
    key_execute(dir): [execute = dir] is Access::RUN;
    read_and_write(dir): [read = dir, write = [dir]] is Access::READ | Access::WRITE;
    read_if_there(dir): [read = optional(dir)] is Access::READ;
}

#[test]
fn each_grant_opens_what_it_names_and_nothing_else() {
    for (name, rights, process, thread) in grants() {
        check(&format!("{name} in process"), rights, true, process);
        check(&format!("{name} in thread"), rights, false, thread);
    }
}

#[sandboxed]
fn without_grants(dir: &Path, ops: &[Op]) -> Vec<i32> {
    attempt_all(dir, ops)
}

#[sandboxed(thread)]
fn without_grants_in_thread(dir: &Path, ops: &[Op]) -> Vec<i32> {
    attempt_all(dir, ops)
}

#[test]
fn nothing_is_granted_by_default() {
    check("no grant in process", Access::NONE, true, without_grants);
    check("no grant in thread", Access::NONE, false, without_grants_in_thread);
}

#[sandboxed(policy = &policy)]
fn under(policy: Policy, dir: &Path, ops: &[Op]) -> Vec<i32> {
    attempt_all(dir, ops)
}

#[sandboxed(thread, policy = policy)]
fn under_in_thread(policy: Policy, dir: &Path, ops: &[Op]) -> Vec<i32> {
    attempt_all(dir, ops)
}

/// Every right but one, and all of them.
#[test]
fn each_right_is_needed() {
    let rights = |without: Option<Access>| {
        let rights = Access::ALL.iter().map(|right| right.0).filter(|right| Some(*right) != without);
        let there = rights.filter(|right| right.least_abi() <= sandboxed::kernel().abi);
        there.fold(Access::NONE, |all, right| all | right)
    };
    for without in Access::ALL.iter().map(|right| Some(right.0)).chain([None]) {
        let granted = rights(without);
        let name = format!("all but {}", without.map_or("none".to_owned(), |right| right.to_string()));
        check(&name, granted, true, |dir, ops| under(Policy::new().fs(granted, dir), dir, ops));
        check(&name, granted, false, |dir, ops| under_in_thread(Policy::new().fs(granted, dir), dir, ops));
    }
}

#[test]
fn the_right_to_truncate_is_a_right_of_its_own() {
    if has_abi(3, "`fs(truncate = ...)`") {
        check("truncate", Access::TRUNCATE, true, |dir, ops| {
            under(Policy::new().fs(Access::TRUNCATE, dir), dir, ops)
        });
    }
}

#[sandboxed(in_place, thread_sync = "signal", policy = policy)]
fn restrict(policy: Policy) {}

/// A directory that the harness makes and removes, since the restricted child cannot.
fn directory_of_child() -> PathBuf {
    let harness = match std::env::var_os("SANDBOXED_TEST_CHILD") {
        Some(_) => std::os::unix::process::parent_id(),
        None => std::process::id(),
    };
    std::env::temp_dir().join(format!("sandboxed-in-place-{harness}"))
}

#[test]
fn in_place_grants_hold_for_the_whole_process() {
    let dir = directory_of_child();
    if std::env::var_os("SANDBOXED_TEST_CHILD").is_none() {
        fs::create_dir(&dir).unwrap();
    }
    in_child("in_place_grants_hold_for_the_whole_process", || {
        let free = free();
        let [granted, other] = ["granted", "other"].map(|name| dir.join(name));
        for dir in [&granted, &other] {
            fs::create_dir(dir).unwrap();
            fill(dir);
        }
        // It began before the restriction and acts after it.
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let bystander = std::thread::spawn(move || {
            gone.recv().unwrap();
            attempt_all(&other, OPS)
        });
        restrict(Policy::new().read(&granted));
        go.send(()).unwrap();
        assert_eq!(bystander.join().unwrap(), vec![EACCES; OPS.len()]);
        for ((op, found), free) in OPS.iter().zip(attempt_all(&granted, OPS)).zip(free) {
            assert_eq!(found, op.expected(Access::READ, false, free), "{op:?}");
        }
    });
    if std::env::var_os("SANDBOXED_TEST_CHILD").is_none() {
        fs::remove_dir_all(&dir).unwrap();
    }
}

#[sandboxed(read = dir.join("file"), write = dir.join("long_create"), execute = dir.join("program"))]
fn with_files(dir: &Path, ops: &[Op]) -> Vec<i32> {
    attempt_all(dir, ops)
}

/// `read` and `write` give what a file can use of them.
#[test]
fn a_grant_of_a_file_is_not_one_of_its_directory() {
    let dir = tree();
    for (op, found) in OPS.iter().zip(with_files(dir.path(), OPS)) {
        let expected = match op {
            OpenForReading | CreateTruncating => 0,
            Execute => ENOEXEC,
            _ => EACCES,
        };
        assert_eq!(found, expected, "{op:?}");
    }
}

/// Reads a file to its end.
fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
}

/// What an attempt gave, as it crosses: the text, or the errno.
fn outcome(result: io::Result<String>) -> Result<String, i32> {
    result.map_err(|error| error.raw_os_error().expect("an errno"))
}

fn texts(names: &[&str]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for name in names {
        fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        fs::write(dir.path().join(name), name).unwrap();
    }
    dir
}

#[sandboxed(read = granted)]
fn read_each(granted: &Path, paths: &[PathBuf]) -> Vec<Result<String, i32>> {
    paths.iter().map(|path| outcome(read(path))).collect()
}

#[sandboxed(thread, read = granted)]
fn read_each_in_thread(granted: &Path, paths: &[PathBuf]) -> Vec<Result<String, i32>> {
    paths.iter().map(|path| outcome(read(path))).collect()
}

#[track_caller]
fn check_reads(granted: &Path, expected: &[(PathBuf, Result<&str, i32>)]) {
    let paths: Vec<PathBuf> = expected.iter().map(|(path, _)| path.clone()).collect();
    for found in [read_each(granted, &paths), read_each_in_thread(granted, &paths)] {
        for ((path, expected), found) in expected.iter().zip(found) {
            assert_eq!(
                found.as_deref().map_err(|errno| *errno),
                *expected,
                "{path:?} with {granted:?} granted"
            );
        }
    }
}

#[test]
fn a_grant_follows_the_argument() {
    let dir = texts(&["one", "two"]);
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    check_reads(&one, &[(one.clone(), Ok("one")), (two.clone(), Err(EACCES))]);
    check_reads(&two, &[(one.clone(), Err(EACCES)), (two.clone(), Ok("two"))]);
}

#[test]
fn a_directory_is_granted_with_all_below() {
    let dir = texts(&["in/a/b/c/deep", "in/flat", "out/secret", "inner"]);
    let at = |name: &str| dir.path().join(name);
    check_reads(
        &at("in"),
        &[
            (at("in/flat"), Ok("in/flat")),
            (at("in/a/b/c/deep"), Ok("in/a/b/c/deep")),
            (at("in/a/../flat"), Ok("in/flat")),
            (at("out/secret"), Err(EACCES)),
            (at("in/../out/secret"), Err(EACCES)),
            // A name that begins alike is another.
            (at("inner"), Err(EACCES)),
        ],
    );
    check_reads(&at("in/a"), &[(at("in/a/b/c/deep"), Ok("in/a/b/c/deep")), (at("in/flat"), Err(EACCES))]);
}

#[test]
fn two_grants_add_up() {
    #[sandboxed(read = [dir.join("a"), dir.join("b/c"), dir.join("d/file")])]
    fn read_all(dir: &Path, names: &[String]) -> Vec<Result<String, i32>> {
        names.iter().map(|name| outcome(read(&dir.join(name)))).collect()
    }

    let names = ["a/file", "b/c/file", "b/file", "d/file", "d/other"];
    let dir = texts(&names);
    let found = read_all(dir.path(), &names.map(str::to_owned));
    let text = |name: &str| Ok(name.to_owned());
    assert_eq!(found, [text("a/file"), text("b/c/file"), Err(EACCES), text("d/file"), Err(EACCES)]);
}

#[test]
fn a_symlink_grants_its_target() {
    let dir = texts(&["target", "other", "tree/file"]);
    let at = |name: &str| dir.path().join(name);
    symlink("target", at("link")).unwrap();
    symlink("tree", at("link_to_tree")).unwrap();
    symlink("other", at("link_to_other")).unwrap();
    check_reads(
        &at("link"),
        &[
            (at("link"), Ok("target")),
            (at("target"), Ok("target")),
            (at("other"), Err(EACCES)),
            (at("link_to_other"), Err(EACCES)),
        ],
    );
    check_reads(&at("link_to_tree"), &[(at("tree/file"), Ok("tree/file")), (at("target"), Err(EACCES))]);
}

#[test]
fn a_link_inside_a_granted_directory_leads_nowhere_else() {
    let dir = texts(&["in/file", "out/secret"]);
    let at = |name: &str| dir.path().join(name);
    symlink("../out/secret", at("in/link")).unwrap();
    symlink("file", at("in/link_within")).unwrap();
    check_reads(&at("in"), &[(at("in/link"), Err(EACCES)), (at("in/link_within"), Ok("in/file"))]);
}

#[sandboxed(read = granted)]
fn read_twice(granted: &Path, paths: &[PathBuf], mut host: UnixStream) -> Vec<Result<String, i32>> {
    let before: Vec<_> = paths.iter().map(|path| outcome(read(path))).collect();
    host.write_all(b"x").unwrap();
    host.read_exact(&mut [0]).unwrap();
    before.into_iter().chain(paths.iter().map(|path| outcome(read(path)))).collect()
}

#[test]
fn a_file_replaced_by_rename_is_no_longer_granted() {
    let dir = texts(&["file", "new"]);
    let at = |name: &str| dir.path().join(name);
    fs::hard_link(at("file"), at("kept")).unwrap();
    let (mut host, worker) = UnixStream::pair().unwrap();
    let (file, new) = (at("file"), at("new"));
    let replaced = {
        let file = file.clone();
        std::thread::spawn(move || {
            host.read_exact(&mut [0]).unwrap();
            fs::rename(new, file).unwrap();
            host.write_all(b"x").unwrap();
        })
    };
    let text = || Ok("file".to_owned());
    let found = read_twice(&file, &[file.clone(), at("kept")], worker);
    replaced.join().unwrap();
    // It is the file that is granted, whatever its names.
    assert_eq!(found, [text(), text(), Err(EACCES), text()]);
    // The next call grants what is there then.
    check_reads(&file, &[(file.clone(), Ok("new")), (at("kept"), Err(EACCES))]);
}

#[test]
fn a_path_need_not_be_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let dir = TempDir::new().unwrap();
    let at = |name: &[u8]| dir.path().join(std::ffi::OsStr::from_bytes(name));
    for name in [b"\xff\xfe", b"\xff\xfd"] {
        fs::write(at(name), "bytes").unwrap();
    }
    check_reads(&at(b"\xff\xfe"), &[(at(b"\xff\xfe"), Ok("bytes")), (at(b"\xff\xfd"), Err(EACCES))]);
}

#[test]
fn a_relative_path_is_seen_from_the_callers_directory() {
    in_child("a_relative_path_is_seen_from_the_callers_directory", || {
        let dir = texts(&["here/file", "here/other", "file"]);
        std::env::set_current_dir(dir.path().join("here")).unwrap();
        let at = |name: &str| PathBuf::from(name);
        check_reads(
            &at("file"),
            &[
                (at("file"), Ok("here/file")),
                (dir.path().join("here/file"), Ok("here/file")),
                (at("other"), Err(EACCES)),
                (at("../file"), Err(EACCES)),
            ],
        );
        check_reads(&at("../file"), &[(at("../file"), Ok("file")), (at("file"), Err(EACCES))]);
        std::env::set_current_dir("/").unwrap();
    });
}

#[sandboxed(read = path)]
fn touches(path: &Path, ran: &mut bool) -> Result<(), sandboxed::Error> {
    *ran = true;
    Ok(())
}

#[sandboxed(thread, fs(make_dir = path))]
fn touches_in_thread(path: &Path, ran: &mut bool) -> Result<(), sandboxed::Error> {
    *ran = true;
    Ok(())
}

#[track_caller]
fn check_missing(error: sandboxed::Error, expected_key: &str, expected_path: &Path, line: u32, errno: i32) {
    let ErrorKind::Grant { key, path, place, cause } = error.kind() else { panic!("{error:?}") };
    assert_eq!((key.as_str(), path.as_path()), (expected_key, expected_path));
    assert_eq!(*place, format!("{}:{line}", file!()));
    assert_eq!(cause.raw_os_error(), Some(errno));
    assert_eq!(error.ran(), Ran::No);
    assert!(error.is_launch());
    let hint = if errno == ENOENT { "; write `optional(...)` if it may be missing" } else { "" };
    let text = format!(
        "sandbox of `{}` cannot grant `{key} = {path:?}` of the attribute at {place}{hint}",
        error.function()
    );
    assert_eq!(error.to_string(), text);
    let source = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(source, Some(io::Error::from_raw_os_error(errno).to_string()));
}

fn line_of(name: &str) -> u32 {
    let name = format!("{}::{name}", module_path!());
    sandboxed::functions().find(|function| function.name == name).expect("it is listed").line
}

#[test]
fn a_missing_path_is_an_error_before_the_body() {
    let dir = texts(&["file"]);
    for (name, errno) in [("missing", ENOENT), ("file/below", libc::ENOTDIR)] {
        let (path, mut ran) = (dir.path().join(name), false);
        check_missing(touches(&path, &mut ran).unwrap_err(), "read", &path, line_of("touches"), errno);
        let error = touches_in_thread(&path, &mut ran).unwrap_err();
        check_missing(error, "make_dir", &path, line_of("touches_in_thread"), errno);
        assert!(!ran);
    }
    let mut ran = false;
    touches(&dir.path().join("file"), &mut ran).unwrap();
    assert!(ran);
}

#[sandboxed(read = [optional(path), there])]
fn reads_optional(path: &Path, there: &Path) -> Result<[Result<String, i32>; 2], sandboxed::Error> {
    Ok([path, there].map(|path| outcome(read(path))))
}

#[test]
fn optional_excuses_what_is_missing_and_nothing_else() {
    let dir = texts(&["file", "there"]);
    let at = |name: &str| dir.path().join(name);
    let there = || Ok("there".to_owned());
    assert_eq!(reads_optional(&at("file"), &at("there")).unwrap(), [Ok("file".to_owned()), there()]);
    assert_eq!(reads_optional(&at("missing"), &at("there")).unwrap(), [Err(ENOENT), there()]);
    assert_eq!(reads_optional(&at("file/below"), &at("there")).unwrap(), [Err(libc::ENOTDIR), there()]);
    symlink("loop", at("loop")).unwrap();
    let error = reads_optional(&at("loop"), &at("there")).unwrap_err();
    let ErrorKind::Grant { path, cause, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!((path, cause.raw_os_error()), (&at("loop"), Some(libc::ELOOP)));
}

#[sandboxed(
    execute = [dir.join("granted"), optional("/lib"), optional("/lib64"), optional("/usr/lib"), optional("/usr/lib64")],
    read = [dir.join("only_read"), optional("/etc/ld.so.cache")],
)]
fn runs(dir: &Path, name: &str) -> Result<Option<i32>, i32> {
    run(&dir.join(name)).map(|status| status.code()).map_err(|error| error.raw_os_error().expect("an errno"))
}

#[test]
fn a_program_runs_where_execution_is_granted() {
    let dir = TempDir::new().unwrap();
    for name in ["granted", "only_read", "neither"] {
        // By its own name, since it may be one program of many names.
        fs::create_dir(dir.path().join(name)).unwrap();
        support::copy_program("/bin/false", dir.path().join(name).join("false"));
    }
    // Its code cannot be that of a failure to run it.
    assert_eq!(runs(dir.path(), "granted/false"), Ok(Some(1)));
    assert_eq!(runs(dir.path(), "only_read/false"), Err(EACCES));
    assert_eq!(runs(dir.path(), "neither/false"), Err(EACCES));
}

/// Executes anonymous memory, which is below no path; the errno of whichever call is refused.
fn execute_memory(flags: MemfdFlags) -> i32 {
    let memory = match rustix::fs::memfd_create("program", flags) {
        Ok(memory) => memory,
        Err(errno) => return errno.raw_os_error(),
    };
    rustix::io::write(&memory, b"plain text").unwrap();
    use std::os::fd::AsRawFd;
    let fd = memory.as_raw_fd();
    let flags = libc::AT_EMPTY_PATH;
    errno(raw::syscall(libc::SYS_execveat, [fd.into(), "".into(), 0.into(), 0.into(), flags.into()]))
}

#[sandboxed]
fn execute_memory_in_process() -> i32 {
    execute_memory(MemfdFlags::empty())
}

#[sandboxed(memory = "unlimited")]
fn execute_uncounted_memory_in_process() -> i32 {
    execute_memory(MemfdFlags::empty())
}

#[sandboxed(thread, read = "/usr", write = std::env::temp_dir())]
fn execute_memory_in_thread() -> i32 {
    execute_memory(MemfdFlags::empty())
}

#[sandboxed(execute = "/usr/bin", memory = "unlimited")]
fn execute_memory_beside_a_grant() -> [i32; 2] {
    [MemfdFlags::empty(), MemfdFlags::NOEXEC_SEAL].map(execute_memory)
}

#[test]
fn anonymous_memory_is_not_executed() {
    // A process that does nothing else: while one thread tries, the kernel lets no other start threads.
    in_child("anonymous_memory_is_not_executed", || {
        assert_eq!(execute_memory(MemfdFlags::empty()), ENOEXEC, "outside of a sandbox");
        assert_eq!(execute_memory_in_process(), EPERM, "memory that no limit counts");
        assert_eq!(execute_uncounted_memory_in_process(), EACCES);
        assert_eq!(execute_memory_in_thread(), EACCES);
    });
}

#[test]
fn anonymous_memory_is_not_executed_beside_a_grant_of_execution() {
    let [executable, sealed] = execute_memory_beside_a_grant();
    assert_eq!(executable, EACCES, "where programs may be run, memory files that may be are refused");
    // Linux 6.3; it has no x bit, and never will.
    assert!([EACCES, libc::EINVAL].contains(&sealed), "{sealed}");
}

const TCGETS: u64 = 0x5401;

fn ioctl(path: &Path) -> Result<String, i32> {
    use std::os::fd::AsRawFd;
    let device = File::open(path).map_err(|error| error.raw_os_error().unwrap())?;
    let fd = device.as_raw_fd().into();
    outcome(
        raw::syscall(libc::SYS_ioctl, [fd, TCGETS.into(), [0u8; 64].as_slice().into()])
            .map(|_| "terminal".into()),
    )
}

#[sandboxed(read = path, write = path)]
fn ioctl_with_read_and_write(path: &Path) -> Result<String, i32> {
    ioctl(path)
}

#[sandboxed(read = path, fs(ioctl_dev = path))]
fn ioctl_with_right(path: &Path) -> Result<String, i32> {
    ioctl(path)
}

#[sandboxed(thread, read = path)]
fn ioctl_in_thread(path: &Path) -> Result<String, i32> {
    ioctl(path)
}

#[test]
fn devices_are_controlled_by_name_alone() {
    if !has_abi(5, "`fs(ioctl_dev = ...)`") {
        return;
    }
    // A terminal of its own, and a device that answers that it is none.
    for (path, free) in [("/dev/ptmx", Ok("terminal".to_owned())), ("/dev/null", Err(ENOTTY))] {
        let path = Path::new(path);
        if ioctl(path) != free {
            eprintln!("not checked: {path:?} is not what it usually is");
            continue;
        }
        assert_eq!(ioctl_with_read_and_write(path), Err(EACCES), "{path:?}");
        assert_eq!(ioctl_in_thread(path), Err(EACCES), "{path:?}");
        assert_eq!(ioctl_with_right(path), free, "{path:?}");
    }
}

#[sandboxed]
fn uses(mut file: File, path: &Path) -> (String, Result<String, i32>) {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    (text, outcome(read(path)))
}

#[test]
fn an_open_file_needs_no_grant() {
    let dir = texts(&["file"]);
    let path = dir.path().join("file");
    assert_eq!(uses(File::open(&path).unwrap(), &path), ("file".to_owned(), Err(EACCES)));
}

/// Every call that changes mode, owner, times or attributes, by name, on a file of the caller's.
fn change_metadata(path: &Path) -> Vec<(String, i32)> {
    use raw::Argument;
    use std::os::fd::AsRawFd;
    let file = File::open(path).unwrap();
    let (at, fd) = (|| Argument::from(path), || Argument::from(file.as_raw_fd()));
    let (cwd, zero, mode) =
        (|| Argument::from(libc::AT_FDCWD), || Argument::from(0), || Argument::from(0o600));
    let (name, value) = (|| Argument::from("user.sandboxed"), || Argument::from("x"));
    let (same, one, null) = (|| Argument::from(-1), || Argument::from(1), || Argument::from(0));
    // The value's address is not one that can be written down here, so an attribute is named with none.
    let xattr_args = || Argument::from([0u8; 16].as_slice());
    let file_attr = || Argument::from([0u8; 24].as_slice());
    let mut found = Vec::new();
    let mut change = |name: &str, number, arguments: [Argument; 6]| {
        let result = raw::syscall(number, arguments);
        found.push((name.to_owned(), result.map_or_else(|error| error.raw_os_error().unwrap(), |_| 0)));
    };
    macro_rules! change {
        ($name:ident $(= $number:literal)?: $($argument:expr),*) => {{
            #[allow(unused_variables)]
            let number = change!(@ $name $($number)?);
            let mut all = [const { Argument::Number(0) }; 6];
            for (to, from) in all.iter_mut().zip([$($argument),*]) {
                *to = from;
            }
            change(stringify!($name), number, all);
        }};
        (@ $name:ident) => { libc::$name };
        (@ $name:ident $number:literal) => { $number };
    }
    change!(SYS_fchmod: fd(), mode());
    change!(SYS_fchmodat: cwd(), at(), mode());
    change!(SYS_fchmodat2 = 452: cwd(), at(), mode(), zero());
    change!(SYS_fchown: fd(), same(), same());
    change!(SYS_fchownat: cwd(), at(), same(), same(), zero());
    change!(SYS_utimensat: cwd(), at(), null(), zero());
    change!(SYS_setxattr: at(), name(), value(), one(), zero());
    change!(SYS_removexattr: at(), name());
    change!(SYS_lsetxattr: at(), name(), value(), one(), zero());
    change!(SYS_lremovexattr: at(), name());
    change!(SYS_fsetxattr: fd(), name(), value(), one(), zero());
    change!(SYS_fremovexattr: fd(), name());
    change!(SYS_setxattrat = 463: cwd(), at(), zero(), name(), xattr_args(), Argument::from(16));
    change!(SYS_removexattrat = 466: cwd(), at(), zero(), name());
    change!(SYS_file_setattr = 469: cwd(), at(), file_attr(), Argument::from(24), zero());
    #[cfg(target_arch = "x86_64")]
    {
        change!(SYS_chmod: at(), mode());
        change!(SYS_chown: at(), same(), same());
        change!(SYS_lchown: at(), same(), same());
        change!(SYS_utime: at(), null());
        change!(SYS_utimes: at(), null());
        change!(SYS_futimesat: cwd(), at(), null());
    }
    // FS_IOC_SETFLAGS and FS_IOC_FSSETXATTR: what file_setattr does, by their older names.
    change!(SYS_ioctl: fd(), Argument::from(0x4008_6602u64), Argument::from([0u8; 8].as_slice()));
    change!(SYS_ioctl: fd(), Argument::from(0x401c_5820u64), Argument::from([0u8; 28].as_slice()));
    found
}

#[sandboxed(read = path, write = path)]
fn metadata_in_process(path: &Path) -> Vec<(String, i32)> {
    change_metadata(path)
}

#[sandboxed(thread, read = path, write = path)]
fn metadata_in_thread(path: &Path) -> Vec<(String, i32)> {
    change_metadata(path)
}

#[sandboxed(read = path, allow(metadata))]
fn metadata_allowed(path: &Path) -> Vec<(String, i32)> {
    change_metadata(path)
}

#[sandboxed(thread, read = path, allow(metadata))]
fn metadata_allowed_in_thread(path: &Path) -> Vec<(String, i32)> {
    change_metadata(path)
}

#[test]
fn metadata_changes_need_their_own_word() {
    let dir = texts(&["file"]);
    let path = dir.path().join("file");
    let free = change_metadata(&path);
    let works = |name: &str| free.iter().any(|(known, errno)| known == name && *errno == 0);
    for name in ["SYS_fchmod", "SYS_fchmodat", "SYS_fchownat", "SYS_utimensat"] {
        assert!(works(name), "{name} outside of a sandbox: {free:?}");
    }
    for found in [metadata_in_process(&path), metadata_in_thread(&path)] {
        assert_eq!(found.len(), free.len());
        for (name, errno) in found {
            assert_eq!(errno, EACCES, "{name}");
        }
    }
    assert_eq!(metadata_allowed(&path), free);
    assert_eq!(metadata_allowed_in_thread(&path), free);
}
