//! `quiet`: what is refused there is refused all the same, and left out of the kernel's audit log from ABI 10 on.

#[path = "support/audit.rs"]
mod audit;
mod support;

use sandboxed::__private::audit::{Event, Listener, Object};
use sandboxed::{Policy, sandboxed};
use std::fs;
use std::path::{Path, PathBuf};
use support::has_abi;

fn read(paths: &[PathBuf]) -> Vec<i32> {
    let read = |path: &PathBuf| fs::read(path).map_or_else(|error| error.raw_os_error().unwrap(), |_| 0);
    paths.iter().map(read).collect()
}

#[sandboxed(quiet = quiet, read = granted)]
fn read_in_process(quiet: &Path, granted: &Path, paths: &[PathBuf]) -> Vec<i32> {
    read(paths)
}

#[sandboxed(thread, quiet = quiet, read = granted)]
fn read_in_thread(quiet: &Path, granted: &Path, paths: &[PathBuf]) -> Vec<i32> {
    read(paths)
}

/// A directory each that is quiet, granted within the quiet one, and neither; with a file each.
fn places(all: &Path) -> [PathBuf; 3] {
    let [quiet, loud] = ["quiet", "loud"].map(|name| all.join(name));
    let granted = quiet.join("granted");
    for directory in [&quiet, &granted, &loud] {
        fs::create_dir(directory).unwrap();
        fs::write(directory.join("file"), "content").unwrap();
    }
    [quiet, granted, loud]
}

/// On every kernel: below ABI 10 the key is without effect and without harm.
#[test]
fn quiet_grants_nothing_and_takes_nothing() {
    let all = tempfile::tempdir().unwrap();
    let [quiet, granted, loud] = places(all.path());
    let files = [&quiet, &granted, &loud].map(|directory| directory.join("file"));
    let expected = [libc::EACCES, 0, libc::EACCES];
    assert_eq!(read_in_process(&quiet, &granted, &files), expected);
    assert_eq!(read_in_thread(&quiet, &granted, &files), expected);
    // Also on a file by itself.
    let file = quiet.join("file");
    assert_eq!(read_in_thread(&file, &granted, &files), expected);
}

#[test]
fn it_is_printed_as_the_attribute() {
    assert_eq!(Policy::new().read("/usr").quiet("/proc").to_string(), r#"read = "/usr", quiet = "/proc""#);
}

#[sandboxed(quiet = missing)]
fn with_missing(missing: &Path) -> Result<(), sandboxed::Error> {
    Ok(())
}

/// On every kernel, so that a program behaves alike.
#[test]
fn a_missing_path_is_an_error() {
    if has_abi(1, "the error of a path") {
        let error = with_missing(Path::new("/missing/quiet")).unwrap_err();
        assert!(error.to_string().contains("cannot grant `quiet = "), "{error}");
        with_missing(Path::new("/usr")).unwrap();
    }
}

fn object(path: &Path) -> Object {
    Object::Path(path.to_str().unwrap().to_owned())
}

/// What was recorded as refused to files there, and how. Others on this machine may be refused things, too.
fn refused_below(listener: &mut Listener, all: &Path) -> Vec<(Object, String)> {
    let is_below = |object: &Object| matches!(object, Object::Path(path) if Path::new(path).starts_with(all));
    let refused = listener.drain().into_iter().filter_map(|event| match event {
        Event::Refused(refused) if is_below(&refused.object) => Some((refused.object, refused.operation)),
        _ => None,
    });
    refused.collect()
}

#[test]
fn what_is_refused_at_a_quiet_path_is_not_logged() {
    if !has_abi(10, "`quiet`") {
        return;
    }
    let _turn = audit::turn();
    let Some(mut listener) = audit::listener() else { return };
    let all = tempfile::tempdir().unwrap();
    let [quiet, granted, loud] = places(all.path());
    let paths = [quiet.join("file"), granted.join("file"), loud.join("file")];
    for read in [read_in_process, read_in_thread] {
        assert_eq!(read(&quiet, &granted, &paths), [libc::EACCES, 0, libc::EACCES]);
        assert_eq!(refused_below(&mut listener, all.path()), [(object(&paths[2]), "read_file".to_owned())]);
    }
    // The twin: without the key it is logged.
    assert_eq!(read_in_thread(&granted, &granted, &paths[..1]), [libc::EACCES]);
    assert_eq!(refused_below(&mut listener, all.path()), [(object(&paths[0]), "read_file".to_owned())]);
}
