//! Before `main`: is this start of the executable a forkserver's? Then serve, and never come to `main`.

use super::message::{self, Hello};
use super::server::Server;
use super::start::{MARK, PROFILE};
use crate::enforce::capabilities;
use crate::sys;
use crate::sys::image::Image;
use crate::sys::startup::Hook;
use rustix::fd::{AsFd, OwnedFd};
use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;

before_main!(before_main);

/// Makes sure that the linker keeps the hook: called where a forkserver is started.
fn before_main(hook: &Hook) {
    let Some(mark) = std::env::var_os(MARK) else {
        #[cfg(feature = "learn")]
        crate::learn::warn_of_release();
        return;
    };
    // A set-user-ID program must not become a server for a stranger; no_new_privs before exec prevents it too.
    if sys::startup::is_secure_execution() {
        sys::process::exit_now(1);
    }
    // A shared library with our code is loaded first; the program serves.
    if !Image::ours().is_some_and(|image| image.is_program) {
        return;
    }
    let number = mark.to_str().and_then(|mark| mark.parse().ok());
    let socket = number.and_then(|number| sys::process::take_fd(number).ok());
    match socket {
        Some(socket) if is_of_this_user(&socket) => serve(hook, &socket),
        _ => sys::process::exit_now(1),
    }
}

/// Whether the other end was made by the user that we run as.
fn is_of_this_user(socket: &OwnedFd) -> bool {
    let (real, effective) = (rustix::process::getuid(), rustix::process::geteuid());
    sys::process::peer(socket.as_fd()).is_ok_and(|peer| peer.uid == effective.as_raw() && real == effective)
}

fn serve(hook: &Hook, socket: &OwnedFd) -> ! {
    let server = prepare(hook).and_then(|()| Server::new(socket).map_err(|error| error.to_string()));
    let hello: Hello = server.as_ref().map(|_| crate::kernel()).map_err(Clone::clone);
    match (message::send(socket.as_fd(), &hello, &[]), server) {
        (Ok(()), Ok(server)) => server.run(),
        _ => sys::process::exit_now(1),
    }
}

/// Where a program that counts its coverage is to do so, which an initialiser reads; nothing else is for them.
fn for_initialisers() -> Vec<(CString, CString)> {
    let value = std::env::var_os(PROFILE).and_then(|value| CString::new(value.into_vec()).ok());
    let name = CString::new(PROFILE).ok();
    name.zip(value).into_iter().collect()
}

/// Makes this process what a worker may be forked from.
fn prepare(hook: &Hook) -> Result<(), String> {
    let set_environment = |variables: &[(CString, CString)]| {
        sys::process::set_environment(variables).map_err(|error| format!("its environment: {error}"))
    };
    set_environment(&for_initialisers())?;
    sys::process::reset_signals();
    sys::process::reset_scheduling().map_err(|error| format!("how it is scheduled: {error}"))?;
    capabilities::empty_bounding_set().map_err(|error| error.to_string())?;
    hook.run_later_initialisers();
    set_environment(&[])?;
    crate::limit::note_mapped();
    // The loader is through: nothing of the host's stays.
    let null = sys::process::take_fd(0).map_err(|error| format!("/dev/null: {error}"))?;
    sys::process::dup_to(null.as_fd(), 2).map_err(|error| format!("/dev/null: {error}"))?;
    std::mem::forget(null);
    sys::process::run_in_short_slices();
    rustix::thread::set_name(c"sandboxed-fork").map_err(|errno| format!("its name: {errno}"))?;
    match sys::process::threads() {
        Some(1) => Ok(()),
        Some(count) => Err(format!(
            "initialisers of the program or its libraries started {} threads before `main`, and a process with \
             threads cannot be forked safely",
            count - 1
        )),
        None => Err("its threads cannot be counted: is /proc mounted?".into()),
    }
}
