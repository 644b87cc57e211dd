//! Under `panic = "abort"` a failure must be able to reach the caller as an error.

use std::process::{Command, Output};

/// Runs cargo on the fixture; `None` where there is no cargo to run.
fn cargo(arguments: &[&str]) -> Option<Output> {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/panic_abort/Cargo.toml");
    let mut command = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    command.args(arguments).args(["--quiet", "--manifest-path", fixture, "--target-dir"]);
    match command.arg(concat!(env!("CARGO_TARGET_TMPDIR"), "/panic_abort")).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("not checked: panic = \"abort\" needs cargo: {error}");
            None
        }
    }
}

#[test]
fn a_function_that_cannot_say_does_not_compile() {
    let Some(output) = cargo(&["build", "--bin", "cannot_say"]) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("a failure of this sandboxed function would end the whole program"), "{said}");
    assert!(said.contains("return a `Result` whose error has `From<sandboxed::Error>`"), "{said}");
}

#[test]
fn a_panic_is_an_error() {
    let Some(output) = cargo(&["run", "--bin", "can_say"]) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
