//! Every job, with jemalloc as the global allocator.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use sandboxed_test_runtimes::run;
use std::process::ExitCode;

fn main() -> ExitCode {
    let directory = std::env::args_os().nth(1).expect("a directory");
    run(directory.as_ref())
}
