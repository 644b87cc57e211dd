//! Every job, with mimalloc as the global allocator.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use sandboxed_test_runtimes::run;
use std::process::ExitCode;

fn main() -> ExitCode {
    let directory = std::env::args_os().nth(1).expect("a directory");
    // It reserves a GiB ahead, which the limit leaves out.
    run(directory.as_ref())
}
