//! Every job comes out in a worker as it does outside, whatever the allocator.

use std::process::Command;
use tempfile::TempDir;

#[track_caller]
fn assert_runs(program: &str) {
    let directory = TempDir::new().unwrap();
    let output = Command::new(program).arg(directory.path()).env("RUST_BACKTRACE", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}\n{said}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("a stack overflow"), "{said}");
}

#[test]
fn with_the_allocator_of_libc() {
    assert_runs(env!("CARGO_BIN_EXE_system"));
}

#[test]
fn with_mimalloc() {
    assert_runs(env!("CARGO_BIN_EXE_mimalloc"));
}

#[cfg(feature = "jemalloc")]
#[test]
fn with_jemalloc() {
    assert_runs(env!("CARGO_BIN_EXE_jemalloc"));
}
