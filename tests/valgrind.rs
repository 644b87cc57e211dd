//! Under valgrind, where `/proc/self/exe` as a path cannot be executed.

mod support;

use sandboxed::{Error, sandboxed};
use std::process::Command;

#[sandboxed]
fn add(a: u32, b: u32) -> Result<u32, Error> {
    Ok(a + b)
}

#[sandboxed(best_effort)]
fn add_at_least(a: u32, b: u32) -> Result<u32, Error> {
    Ok(a + b)
}

fn assert_calls_work() {
    for n in 0..3 {
        assert_eq!(add_at_least(n, 1).unwrap(), n + 1);
    }
    assert_eq!(add(2, 3).unwrap(), 5);
}

#[test]
fn calls_work_under_valgrind() {
    const NAME: &str = "calls_work_under_valgrind";
    if std::env::var_os("SANDBOXED_TEST_INNER").is_some() {
        return assert_calls_work();
    }
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return eprintln!("not checked: valgrind is not installed");
    }
    if !support::has_abi(1, "a call under valgrind") {
        return;
    }
    let mut command = Command::new("valgrind");
    command.args(["--tool=none", "--quiet"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", NAME, "--nocapture", "--test-threads=1"]).env("SANDBOXED_TEST_INNER", "1");
    let output = command.output().unwrap();
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    text.lines().filter(|line| line.starts_with("not checked")).for_each(|line| eprintln!("{line}"));
}
