//! `RUST_BACKTRACE` of the host: the frames of a body's panic come with the error, by name, file and line.

mod support;

use sandboxed::{Error, sandboxed};
use std::process::Command;

#[inline(never)]
fn inner(text: &str) -> u32 {
    text.parse().expect("a number")
}

#[sandboxed]
fn outer(text: &str) -> Result<u32, Error> {
    Ok(std::hint::black_box(inner(text)) + 1)
}

#[sandboxed]
fn panics(text: &str) -> u32 {
    std::hint::black_box(inner(text)) + 1
}

/// Runs the test of this name with the variable set to this, or not set.
fn with(name: &str, backtrace: Option<&str>, body: impl FnOnce()) -> Option<(bool, String)> {
    const CHILD: &str = "SANDBOXED_TEST_BACKTRACE";
    if std::env::var_os(CHILD).is_some() {
        body();
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .env_remove("RUST_BACKTRACE");
    command.envs(backtrace.map(|value| ("RUST_BACKTRACE", value)));
    let output = command.output().unwrap();
    Some((output.status.success(), String::from_utf8(output.stderr).unwrap()))
}

#[test]
fn an_error_has_the_frames_of_the_bodys_panic() {
    let body = || {
        let error = outer("x").unwrap_err();
        let frames = error.backtrace().unwrap();
        eprintln!("{frames}");
        let line =
            |of: &str| frames.lines().position(|line| line.contains(of)).unwrap_or_else(|| panic!("no {of}"));
        assert!(line("backtrace::inner") < line("backtrace::outer"));
        assert!(frames.contains("tests/backtrace.rs:10:"), "file and line of `inner`");
        assert!(!error.to_string().contains("backtrace::inner"), "{error}");
        let is_short = std::env::var("RUST_BACKTRACE").unwrap() == "1";
        assert_eq!(!frames.contains("sandboxed_runtime::worker::run"), is_short);
        assert_eq!(frames.trim_start().starts_with("0: "), !frames.is_empty());
    };
    for value in ["1", "full"] {
        let Some((ok, text)) = with("an_error_has_the_frames_of_the_bodys_panic", Some(value), body) else {
            return;
        };
        assert!(ok, "{value}: {text}");
    }
}

#[test]
fn without_the_variable_there_are_none() {
    let body = || assert_eq!(outer("x").unwrap_err().backtrace(), None);
    for value in [None, Some("0")] {
        let Some((ok, text)) = with("without_the_variable_there_are_none", value, body) else { return };
        assert!(ok, "{value:?}: {text}");
    }
}

#[test]
fn a_panic_in_the_caller_is_printed_with_them() {
    let body = || assert_eq!(panics("x"), 0);
    let Some((ok, text)) = with("a_panic_in_the_caller_is_printed_with_them", Some("1"), body) else {
        return;
    };
    assert!(!ok);
    let frames = text.split_once("stack backtrace of the worker:\n").unwrap_or_else(|| panic!("{text}")).1;
    let (theirs, ours) = frames.split_once("\nstack backtrace:\n").unwrap_or_else(|| panic!("{text}"));
    assert!(theirs.contains("sandboxed `backtrace::panics` panicked at tests/backtrace.rs:10:"), "{text}");
    assert!(theirs.contains("backtrace::inner"), "{text}");
    assert!(!ours.contains("backtrace::inner") && ours.contains("a_panic_in_the_caller"), "{text}");
}

#[sandboxed]
fn recurses(depth: u32) -> Result<u32, Error> {
    if depth == 0 {
        panic!("the end")
    }
    Ok(std::hint::black_box(recurses(depth - 1)?) + 1)
}

#[inline(never)]
fn deep(depth: u32) -> u32 {
    if depth == 0 {
        panic!("the end")
    }
    std::hint::black_box(deep(depth - 1)) + 1
}

#[sandboxed(workers(reuse = 2, max = 1))]
fn catches_then_panics() -> Result<u32, Error> {
    drop(std::panic::catch_unwind(|| inner("x")));
    Ok(deep(10_000))
}

/// Those of the last, of which the inner ones are told.
#[test]
fn a_panic_that_was_caught_and_one_from_deep_below() {
    let body = || {
        let error = catches_then_panics().unwrap_err();
        assert_eq!(error.panic_message(), Some("the end"));
        let frames = error.backtrace().unwrap();
        assert!(frames.matches("backtrace::deep").count() > 50, "{frames}");
        assert!(!frames.contains("backtrace::inner"), "{frames}");
        assert!(recurses(3).unwrap_err().is_panic());
    };
    let Some((ok, text)) = with("a_panic_that_was_caught_and_one_from_deep_below", Some("1"), body) else {
        return;
    };
    assert!(ok, "{text}");
}
