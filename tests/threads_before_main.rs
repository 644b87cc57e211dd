//! A constructor that starts a thread: its process cannot be forked safely, so there is no forkserver.
#![allow(unsafe_code)]

use sandboxed::{Error, Ran, sandboxed};

#[used]
// SAFETY: the section holds functions of this type, which the loader calls before `main`.
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = start_a_thread;

extern "C" fn start_a_thread() {
    std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_secs(3600)));
}

#[sandboxed]
fn run() -> Result<(), Error> {
    Ok(())
}

#[sandboxed(thread)]
fn run_in_thread() -> Result<(), Error> {
    Ok(())
}

#[test]
fn threads_of_constructors_are_an_error_that_counts_them() {
    for _ in 0..2 {
        let error = run().unwrap_err();
        assert!(error.is_launch(), "{error}");
        assert_eq!(error.ran(), Ran::No);
        assert!(error.to_string().contains("started 1 threads before `main`"), "{error}");
    }
    run_in_thread().unwrap();
}
