//! Jobs that common runtimes do, and programs that do them outside of a worker and in one.
//!
//! A job says in a word or two what came of it, alike wherever it runs.

pub mod jobs;

use sandboxed::{Error, sandboxed};
use std::path::Path;
use std::process::ExitCode;

/// What came of a job, or why it failed.
pub type Came = Result<String, Box<dyn std::error::Error>>;

/// A job, with a directory of its own for those that have files.
pub type Job = fn(&Path) -> Came;

/// Grants nothing but the variable that a panic looks at.
#[sandboxed(env = ["RUST_BACKTRACE"])]
fn in_worker(job: usize) -> Result<String, Error> {
    Ok(said(jobs::COMPUTING[job].1, Path::new("/nowhere")))
}

#[sandboxed(read = directory, write = directory)]
fn in_worker_with_files(job: usize, directory: &Path) -> Result<String, Error> {
    Ok(said(jobs::WITH_FILES[job].1, directory))
}

#[sandboxed(stdio = "capture")]
fn end_in_worker(job: usize) -> Result<(), Error> {
    jobs::ENDING[job].1();
    Ok(())
}

fn said(job: Job, directory: &Path) -> String {
    job(directory).unwrap_or_else(|error| format!("failed: {error}"))
}

/// Does every job here and in a worker with the default limits, in `directory`, which is empty; a failure is a job that
/// fails, or that says something else there.
pub fn run(directory: &Path) -> ExitCode {
    let mut failed = 0;
    let mut check = |name: &str, here: &str, there: Result<String, Error>| {
        let there = there.unwrap_or_else(|error| error.to_string());
        let is_right = here == there && !here.starts_with("failed");
        println!("{name:30} {}", if is_right { "ok" } else { "FAILED" });
        if !is_right {
            println!("    here: {here}\n    in a worker: {there}");
            failed += 1;
        }
    };
    for (index, (name, job)) in jobs::COMPUTING.iter().enumerate() {
        check(name, &said(*job, directory), in_worker(index));
    }
    for (index, (name, job)) in jobs::WITH_FILES.iter().enumerate() {
        let [here, there] = ["here", "there"].map(|place| directory.join(format!("{index}-{place}")));
        if let Err(error) = [&here, &there].into_iter().try_for_each(std::fs::create_dir) {
            check(name, &format!("failed: {error}"), Ok(String::new()));
        }
        check(name, &said(*job, &here), in_worker_with_files(index, &there));
    }
    for (index, (name, _, end)) in jobs::ENDING.iter().enumerate() {
        let ended =
            end_in_worker(index).map_or_else(|error| end_of(&error), |()| "returned".to_owned());
        check(name, end, Ok(ended));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn end_of(error: &Error) -> String {
    match (error.signal(), error.exit_code(), error.panic_message()) {
        (Some(signal), _, _) => format!("signal {signal}"),
        (_, Some(code), _) => format!("exit {code}"),
        (_, _, Some(message)) => format!("panic: {message}"),
        _ => error.to_string(),
    }
}
