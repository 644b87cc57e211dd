//! Reads what its arguments name: `main` in place, and a function in a worker.

use sandboxed::sandboxed;

#[sandboxed(read = "/usr/bin")]
fn main() {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    paths.iter().for_each(|path| println!("{}", programs::try_to_read(path)));
    println!("{}", in_worker(&paths));
}

#[sandboxed(read = "/usr/bin")]
fn in_worker(paths: &[String]) -> String {
    paths.iter().map(programs::try_to_read).collect::<Vec<_>>().join("\n")
}
