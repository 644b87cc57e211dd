//! Starting a forkserver: the executable of this program, run again.

use super::message::{self, Hello};
use crate::enforce::mark::Ambiguous;
use crate::plan::Kernel;
use crate::sys;
use crate::sys::image::Image;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, Instant};

/// The variable that makes a start of the executable a forkserver: the number of its socket.
pub(super) const MARK: &str = "SANDBOXED_FORKSERVER";

/// The variable that says where a program that was built to count its coverage writes that down.
pub(super) const PROFILE: &str = "LLVM_PROFILE_FILE";

/// How long initialisers before `main` may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no forkserver.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(
        "the sandboxed function is in a shared library, and running the program again would run its `main`; \
         link it into the program, or use `thread`"
    )]
    SharedLibrary,
    #[error("/proc/self/exe is not the program whose code this is (started through ld.so?)")]
    OtherExecutable,
    #[error(
        "this program runs with another user's rights (set-user-ID), and a forkserver would be one for strangers"
    )]
    SecureExecution,
    #[error(
        "the executable cannot be run again; an outer sandbox, or `in_place` without a forkserver, refuses it: {0}"
    )]
    Refused(#[source] io::Error),
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
    #[error("the forkserver does not serve: {0}")]
    NotServing(String),
    #[error("the forkserver has ended")]
    Gone,
    #[error(
        "this process was restricted in place, and this thread has other ids, capabilities, namespaces, filters or \
         another umask since: its worker might be freer than it is"
    )]
    Changed,
    #[error(transparent)]
    Ambiguous(#[from] Ambiguous),
}

impl StartError {
    pub(crate) fn cause(&self) -> Option<crate::error::Cause> {
        match self {
            StartError::Refused(error) | StartError::System(_, error) => Some(error.into()),
            _ => None,
        }
    }
}

pub(super) fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> StartError {
    move |error| StartError::System(what, error.into())
}

/// A forkserver that is ready.
pub(super) struct Started {
    pub(super) control: OwnedFd,
    pub(super) image: &'static Image,
    pub(super) kernel: Kernel,
}

/// Runs the executable again and waits until it serves.
pub(super) fn start(args: &[CString]) -> Result<Started, StartError> {
    let image = Image::ours().ok_or(StartError::OtherExecutable)?;
    if !image.is_program {
        return Err(StartError::SharedLibrary);
    }
    if sys::startup::is_secure_execution() {
        return Err(StartError::SecureExecution);
    }
    let exe = open_executable()?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(system("/dev/null for the forkserver"))?;
    let (control, theirs) = pair()?;
    let env = [loader_variables(), vec![mark()]].concat();
    let started = sys::spawn::detached(exe.as_fd(), null.as_fd(), theirs.as_fd(), args, &env);
    started.map_err(|error| match is_denied(&error) {
        true => StartError::Refused(error),
        false => system("the forkserver's start")(error),
    })?;
    drop(theirs);
    let kernel = wait_until_ready(&control)?;
    Ok(Started { control, image, kernel })
}

/// As long as initialisers may take.
pub(super) fn wait_for_message(control: &OwnedFd) {
    let deadline = Instant::now() + PATIENCE;
    let mut fds = [PollFd::new(control, PollFlags::IN)];
    let left = || Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
    while poll(&mut fds, left().as_ref()) == Err(Errno::INTR) {}
}

fn wait_until_ready(control: &OwnedFd) -> Result<Kernel, StartError> {
    wait_for_message(control);
    let hello = message::receive::<Hello>(control.as_fd(), RecvFlags::DONTWAIT);
    let not_serving = |why: &str| Err(StartError::NotServing(why.into()));
    match hello {
        Ok(Some((Ok(kernel), _))) => Ok(kernel),
        Ok(Some((Err(why), _))) => Err(StartError::NotServing(why)),
        Ok(None) | Err(Errno::CONNRESET) => not_serving("it ended before it was ready"),
        Err(Errno::AGAIN) => not_serving("the program's initialisers take more than a minute"),
        Err(errno) => Err(system("the forkserver's first message")(errno)),
    }
}

/// A socket pair that keeps messages apart and tells when the other side is gone.
pub(super) fn pair() -> Result<(OwnedFd, OwnedFd), StartError> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(system("a socket pair for a worker"))
}

/// The file that this program was executed from, even if it was deleted or replaced since.
fn open_executable() -> Result<OwnedFd, StartError> {
    let open = |path: &str| rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let opened = match open("/proc/self/exe") {
        // The first thread has ended. Not always this name: valgrind knows the other alone.
        Err(Errno::NOENT) => open("/proc/thread-self/exe"),
        opened => opened,
    };
    let exe = opened.map_err(|errno| match errno {
        Errno::ACCESS | Errno::PERM => StartError::Refused(errno.into()),
        _ => system("/proc/self/exe")(errno),
    })?;
    match sys::image::is_mapped_from(exe.as_fd(), open_executable as fn() -> _ as usize) {
        Ok(true) => Ok(exe),
        Ok(false) => Err(StartError::OtherExecutable),
        Err(error) if is_denied(&error) => Err(StartError::Refused(error)),
        Err(error) => Err(system("/proc/self/maps")(error)),
    }
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

pub(super) fn first_argument() -> Vec<CString> {
    let first = std::env::args_os().next().and_then(|arg| CString::new(arg.into_vec()).ok());
    vec![first.unwrap_or_else(|| c"sandboxed".to_owned())]
}

/// All of the program's arguments.
pub(super) fn arguments() -> Vec<CString> {
    std::env::args_os().filter_map(|arg| CString::new(arg.into_vec()).ok()).collect()
}

fn mark() -> CString {
    CString::new(format!("{MARK}={}", sys::spawn::SOCKET)).unwrap_or_default()
}

/// What is looked at before any code of the program: by the dynamic loader, by libc, and in a program that counts its
/// coverage by what was linked in for that. The program's own variables stay here.
fn loader_variables() -> Vec<CString> {
    let is_such = |name: &OsStr| name == "GLIBC_TUNABLES" || name == PROFILE;
    std::env::vars_os()
        .filter(|(name, _)| name.as_bytes().starts_with(b"LD_") || is_such(name))
        .filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
        .collect()
}
