//! extrasafe's `Isolate`: this program again, copied into memory, in new namespaces with an empty root; there the
//! function puts itself behind extrasafe's filter of system calls as well.
//!
//! It gets no stdin and no arguments, so the task comes in a file that is mounted into its root. The answer goes to
//! its stdout.

use crate::task::{Answer, Task};
use crate::{Result, Way, frame};
use ::extrasafe::SafetyContext;
use ::extrasafe::builtins::{BasicCapabilities, SystemIO};
use ::extrasafe::isolate::Isolate;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::{env, io, process};
use tempfile::NamedTempFile;

const NAME: &str = "sandboxed-peers-isolate";
/// Names the file, outside.
const VARIABLE: &str = "SANDBOXED_PEERS_TASK";
/// The file, inside.
const TASK: &str = "/task";

/// To be called at the start of `main`. In a process that [`Isolate::run`] started, which it knows by the program's
/// name, it runs the function in its namespaces and does not return.
pub fn hook() {
    Isolate::main_hook(NAME, |name| {
        let task = env::var_os(VARIABLE).expect("the host sets it");
        Isolate::new(name, run).add_bind_mount(Path::new(&task), TASK)
    });
}

/// What runs in the isolate. It cannot return an error; what it prints ends up in the host's.
fn run() {
    if let Err(error) = answer() {
        eprintln!("{error}");
        process::exit(1);
    }
}

fn answer() -> Result<()> {
    let task = File::open(TASK)?;
    let io = SystemIO::nothing().allow_stdout().allow_file_read(&task).allow_close();
    SafetyContext::new().enable(BasicCapabilities)?.enable(io)?.apply_to_current_thread()?;
    frame::send_answer(frame::perform(task)?, io::stdout().lock())
}

/// An isolate for each call.
pub struct Isolated;

impl Way for Isolated {
    const NAME: &'static str = "extrasafe, Isolate";

    fn prepare() -> Result<Isolated> {
        Ok(Isolated)
    }

    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
        let file = NamedTempFile::new_in(directory())?;
        frame::send_task(task, file.as_file())?;
        let path = file.path().to_str().ok_or("the path of a temporary file is not UTF-8")?;
        let output = Isolate::run(NAME, &HashMap::from([(VARIABLE.into(), path.into())]))
            .map_err(|error| format!("{error:?}"))?;
        if !output.status.success() {
            return Err(format!("{}: {}", output.status, reasons(&output.stderr)).into());
        }
        frame::receive_answer(&output.stdout[..])
    }
}

/// What was printed, without the places of panics: those are paths of the machine that compiled it.
fn reasons(printed: &[u8]) -> String {
    let printed = String::from_utf8_lossy(printed);
    let is_reason =
        |line: &&str| !line.is_empty() && !line.starts_with("thread '") && !line.starts_with("note: ");
    printed.lines().filter(is_reason).collect::<Vec<_>>().join("; ")
}

/// In memory where there is such a place.
fn directory() -> &'static Path {
    ["/dev/shm", "/tmp"].map(Path::new).into_iter().find(|path| path.is_dir()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_without_places() {
        let printed = b"\nthread 'main' (7) panicked at /x/y.rs:1:2:\nwaitid failed\nnote: run with more\n";
        assert_eq!(reasons(printed), "waitid failed");
    }
}
