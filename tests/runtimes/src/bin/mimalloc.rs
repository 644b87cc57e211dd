//! Every job, with mimalloc as the global allocator.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use sandboxed_test_runtimes::run;
use std::process::ExitCode;

fn main() -> ExitCode {
    let directory = std::env::args_os().nth(1).expect("a directory");
    // It reserves 1 GiB of addresses in the forkserver, and `memory` bounds the worker's addresses altogether.
    run(directory.as_ref(), 4 << 30)
}
