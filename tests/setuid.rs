//! A set-user-ID program must not become a forkserver for a stranger, nor anybody's for another user.

mod support;
#[path = "support/sys.rs"]
mod sys;

use sandboxed::sandboxed;
use std::fs::Permissions;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// So that this program has a forkserver.
#[sandboxed]
fn function() -> u32 {
    7
}

/// Runs a program as a forkserver would be, with its socket at 3, as the given user; says how it ended and what it
/// sent. `None` where it serves, that is, says hello and waits.
fn start_marked(exe: &Path, user: Option<u32>, socket_of: Option<u32>) -> Option<(ExitStatus, Vec<u8>)> {
    let (mut ours, theirs) = socket_pair_of(socket_of);
    let mut command = Command::new(exe);
    command.args(["--list"]).env_clear().env("SANDBOXED_FORKSERVER", "3");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    sys::hand_over(&mut command, theirs.as_raw_fd(), 3);
    if let Some(user) = user {
        // Drops the groups too.
        command.uid(user).gid(user);
    }
    let mut child = command.spawn().unwrap();
    drop(theirs);
    let mut said = vec![0; 4096];
    let length = match ours.read(&mut said) {
        Ok(length) => length,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
        Err(error) => panic!("{error}"),
    };
    said.truncate(length);
    if length > 0 {
        // It lives and serves: letting go ends it.
        drop(ours);
        child.wait().unwrap();
        return None;
    }
    let mut printed = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut printed).unwrap();
    Some((child.wait().unwrap(), printed))
}

/// A socket pair that the user made.
fn socket_pair_of(user: Option<u32>) -> (UnixStream, OwnedFd) {
    let pair = || sys::seqpacket_pair();
    match user {
        None => pair(),
        // The effective id of a thread is what counts.
        Some(user) => std::thread::spawn(move || {
            sys::set_effective_user_of_thread(user);
            pair()
        })
        .join()
        .unwrap(),
    }
}

/// A copy of this program in a directory that everybody may enter.
fn copy(mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let copy = directory.path().join("copy");
    support::copy_program(std::env::current_exe().unwrap(), &copy);
    std::fs::set_permissions(&copy, Permissions::from_mode(mode)).unwrap();
    (directory, copy)
}

#[test]
fn the_nearby_allowed_start_serves() {
    assert_eq!(function(), 7);
    let exe = std::env::current_exe().unwrap();
    assert_eq!(start_marked(&exe, None, None), None);
}

#[test]
fn a_set_user_id_program_serves_nobody() {
    if !sys::is_root() {
        return eprintln!("not checked: a set-user-ID program needs root to be made");
    }
    let (_directory, plain) = copy(0o755);
    assert_eq!(start_marked(&plain, Some(sys::NOBODY), Some(sys::NOBODY)), None, "without the bit it serves");
    for mode in [0o4755, 0o2755, 0o6755] {
        let (_directory, privileged) = copy(mode);
        if !sys::gains_privileges(&privileged) {
            return eprintln!("not checked: set-user-ID has no effect in {:?}", privileged.parent());
        }
        for socket_of in [None, Some(sys::NOBODY)] {
            let (status, printed) =
                start_marked(&privileged, Some(sys::NOBODY), socket_of).expect("it does not serve");
            assert_eq!((status.code(), &printed[..]), (Some(1), &b""[..]), "mode {mode:o}");
        }
    }
}

#[test]
fn a_socket_of_another_user_is_not_served() {
    if !sys::is_root() {
        return eprintln!("not checked: being two users needs root");
    }
    let exe = std::env::current_exe().unwrap();
    let (status, printed) = start_marked(&exe, None, Some(sys::NOBODY)).expect("it does not serve");
    assert_eq!((status.code(), &printed[..]), (Some(1), &b""[..]));
    let (_directory, plain) = copy(0o755);
    let (status, printed) =
        start_marked(&plain, Some(sys::NOBODY), None).expect("it does not serve root either");
    assert_eq!((status.code(), &printed[..]), (Some(1), &b""[..]));
}
