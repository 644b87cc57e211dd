//! Every job, with the allocator of libc.

use sandboxed_test_runtimes::run;
use std::process::ExitCode;

fn main() -> ExitCode {
    let directory = std::env::args_os().nth(1).expect("a directory");
    run(directory.as_ref())
}
