//! The file system half of what the kernel's own tests of Landlock check (`tools/testing/selftests/landlock/fs_test.c`),
//! expressed anew for this library: a table of rows, each run in a worker and in a thread, some in place. The comment
//! above a row names the kernel's test.
//!
//! What a row expects is what the library promises: where another layer than Landlock refuses, or an older kernel cannot,
//! the row says so as data.

mod act;
#[path = "../support/cases.rs"]
mod cases;
mod descriptors;
mod hierarchy;
mod ioctl;
mod layers;
mod layout;
mod making;
mod mounted;
mod mounts;
mod need;
mod overlay;
#[path = "../support/raw.rs"]
mod raw;
mod refer;
mod rights;
mod row;
mod sockets;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/sys.rs"]
mod sys;
mod truncating;
mod words;

fn main() -> std::process::ExitCode {
    let tables = [
        rights::rows(),
        hierarchy::rows(),
        layers::rows(),
        refer::rows(),
        making::rows(),
        truncating::rows(),
        ioctl::rows(),
        descriptors::rows(),
        sockets::rows(),
        mounted::rows(),
        overlay::rows(),
    ];
    let cases = || cases::main(tables.into_iter().flatten().flat_map(row::Row::cases).collect());
    match std::env::var_os("SANDBOXED_TEST_CHILD") {
        // A child runs one row, and asks if it must.
        Some(_) => cases(),
        None => mounts::with_scratch(cases),
    }
}
