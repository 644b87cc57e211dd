//! What the programs share.

use std::path::Path;

/// The first lines of what a program tells about itself: what it may read of a file, by number.
pub fn try_to_read(path: impl AsRef<Path>) -> String {
    match std::fs::read(path.as_ref()) {
        Ok(bytes) => format!("{}: {} bytes", path.as_ref().display(), bytes.len()),
        Err(error) => format!("{}: errno {}", path.as_ref().display(), error.raw_os_error().unwrap_or(0)),
    }
}

/// What the threads of a runtime may read.
pub async fn show_threads() {
    let read =
        |who: &str| ["/etc/passwd", "/usr/bin/env"].map(|path| println!("{who}: {}", try_to_read(path)));
    read("main");
    tokio::spawn(async move { read("task") }).await.expect("the task does not panic");
    tokio::task::spawn_blocking(move || read("blocking")).await.expect("the task does not panic");
}

/// The policy in the file that `TEST_POLICY` names; without it, one that grants nothing.
pub fn policy_of_the_test() -> sandboxed::Policy {
    let file = std::env::var_os("TEST_POLICY");
    file.map_or_else(sandboxed::Policy::new, |file| sandboxed::Policy::from_file(file).expect("a policy"))
}

/// What a program does with the directory that its argument names: reads a file, and writes another.
pub fn work() {
    let work = std::env::args_os().nth(1).expect("a directory");
    let worked =
        || std::fs::write(Path::new(&work).join("out/copy"), std::fs::read(Path::new(&work).join("in"))?);
    match worked() {
        Ok(()) => println!("done"),
        Err(error) => println!("errno {}", error.raw_os_error().unwrap_or(0)),
    }
}

/// A function of a library, for a test that no more than names it.
#[sandboxed::sandboxed(read = "/usr", timeout = "1s")]
pub fn of_a_library() {}
