//! Every message of the attribute at its place, and every accepted form.
//!
//! `TRYBUILD=overwrite cargo test --test ui` writes the messages down anew, with the compiler that they are of.

use std::process::Command;

/// The compiler whose own words are around ours in the expected messages.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn messages_and_accepted_forms() {
    let Some(version) = version() else {
        eprintln!("not checked: ui-tests need cargo and rustc");
        return;
    };
    let cases = trybuild::TestCases::new();
    cases.pass("ui-tests/pass/*.rs");
    if version.starts_with(COMPILER) {
        cases.compile_fail("ui-tests/fail/*.rs");
    } else {
        eprintln!("not checked: the messages are compared with those of {COMPILER}x, and this is {version}");
    }
}

/// That of rustc, where cargo can be run too.
fn version() -> Option<String> {
    let output = |program: &str| Command::new(program).arg("--version").output().ok();
    output(option_env!("CARGO").unwrap_or("cargo"))?;
    let output = output(&std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()))?;
    String::from_utf8(output.stdout).ok()
}
