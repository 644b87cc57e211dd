//! `sandbox.lock`: what the sandboxed functions of a crate may do, as it was accepted. A test compares, so that a change
//! that widens a sandbox shows in a diff, and fails until somebody accepts it.
//!
//! The text is the same on every kernel and machine: it has the policies, not the plans, and no lines of the source. A
//! policy that depends on the arguments of a call is locked by its attribute. A path that is not written in the
//! attribute and lies below the directory of the package, of temporary files or of the user is written from there.

mod difference;
mod text;

pub use difference::{Change, Difference, Effect};
pub use text::{Block, Lock};

use crate::registry::functions;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The file's name, beside `Cargo.toml`.
pub const FILE: &str = "sandbox.lock";

/// What `assert_locked!` expands to. `directory` is the package's; the crates by the first segment of module paths, all
/// if there are none.
///
/// # Panics
///
/// Where the sandboxes are not those that were accepted.
#[doc(hidden)]
#[track_caller]
pub fn assert_locked(directory: &str, crates: &[&str]) {
    let directory = package(directory);
    let crates: Vec<String> = crates.iter().map(|name| name.replace('-', "_")).collect();
    let is_named = |name: &str| crates.iter().any(|known| name.split("::").next() == Some(known));
    let here = functions().filter(|function| !function.test);
    let here = here.filter(|function| crates.is_empty() || is_named(function.name));
    let lock = Lock::of(here, &directory);
    if let Err(message) = check(&lock, &directory.join(FILE), Mode::from_environment()) {
        panic!("{message}");
    }
}

/// Where the package was when it was compiled; if it was moved since, where cargo says that it is.
fn package(compiled: &str) -> PathBuf {
    match env::var_os("CARGO_MANIFEST_DIR") {
        Some(now) if !Path::new(compiled).is_dir() => now.into(),
        _ => compiled.into(),
    }
}

/// What to do about a file that is missing or differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Write what is missing, compare what is there.
    Compare,
    /// Compare; what is missing fails.
    Ci,
    /// Write it.
    Accept,
}

impl Mode {
    fn from_environment() -> Mode {
        let is_set = |name| env::var(name).is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()));
        match (is_set("SANDBOXED_ACCEPT"), is_set("CI")) {
            (true, _) => Mode::Accept,
            (false, true) => Mode::Ci,
            (false, false) => Mode::Compare,
        }
    }
}

/// What is wrong, and what to do about it.
fn check(lock: &Lock, path: &Path, mode: Mode) -> Result<(), String> {
    const ACCEPT: &str = "SANDBOXED_ACCEPT=1 cargo test";
    if lock.blocks.is_empty() {
        return Err("this test has no sandboxed function to lock: to link a library, a test in `tests/` has to name it, as \
                    `use my_crate as _;` does; one that is not called as its package is named: `assert_locked!(\"it\")`"
            .into());
    }
    let shown = path.display();
    let accepted = match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(format!("{shown} cannot be read: {error}")),
    };
    match (accepted, mode) {
        // What is the same is left as it is, with its time.
        (Some(text), _) if text == lock.to_string() => Ok(()),
        (_, Mode::Accept) | (None, Mode::Compare) => {
            fs::write(path, lock.to_string()).map_err(|error| format!("{shown} cannot be written: {error}"))
        }
        (None, Mode::Ci) => Err(format!("{shown} is missing: run `{ACCEPT}`, and commit it")),
        (Some(text), _) => {
            let difference = Lock::parse(&text).difference(lock);
            match difference.changes.is_empty() {
                // Order, spaces, comments.
                true => Ok(()),
                false => Err(format!(
                    "the sandboxes are not those that were accepted in {shown}:\n\n{difference}\n\
                     if that is meant, run `{ACCEPT}`, and commit {FILE}"
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests;
