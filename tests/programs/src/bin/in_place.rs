//! `fn main` in place, and a function in a worker.

use sandboxed::sandboxed;

#[sandboxed(read = "/usr/bin")]
fn main() {
    println!("main: {}", programs::try_to_read("/etc/passwd"));
    println!("main: {}", programs::try_to_read("/usr/bin/env"));
    println!("args: {:?}", std::env::args().skip(1).collect::<Vec<_>>());
    println!("{}", in_worker());
    println!("{}", in_worker());
}

#[sandboxed(read = ["/etc", "/usr/bin"])]
fn in_worker() -> String {
    ["/etc/passwd", "/usr/bin/env"]
        .map(programs::try_to_read)
        .map(|line| format!("worker: {line}"))
        .join("\n")
}
