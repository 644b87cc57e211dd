//! What the tests share. Enforcement cannot be undone, so what restricts a whole process runs in a child: the
//! test's own executable, started again for the one test.
#![allow(dead_code)] // each test file uses its part

use std::process::{Command, Output};

const CHILD: &str = "SANDBOXED_TEST_CHILD";

/// Runs `body` in a process of its own, which is this executable running the test `name` alone. In that process
/// it runs `body`; in the harness it returns what the process printed and how it ended.
pub fn output_in_child(name: &str, body: impl FnOnce()) -> Option<Output> {
    if std::env::var_os(CHILD).is_some_and(|child| child == name) {
        body();
        return None;
    }
    let exe = std::env::current_exe().expect("the test's executable");
    let mut command = Command::new(exe);
    command.args(["--exact", name, "--nocapture", "--include-ignored", "--test-threads=1"]);
    Some(command.env(CHILD, name).output().expect("the test's executable runs"))
}

/// Runs `body` in a process of its own, and fails where it does.
pub fn in_child(name: &str, body: impl FnOnce()) {
    if let Some(output) = output_in_child(name, body) {
        assert!(
            output.status.success(),
            "in the child: {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let said = String::from_utf8_lossy(&output.stderr);
        said.lines().filter(|line| line.starts_with("not checked")).for_each(|line| eprintln!("{line}"));
        let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
        assert!(ran, "the child ran no test named {name}");
    }
}

/// Whether this is the process of an [`in_child`].
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// The errno of a failed operation; panics when it succeeded.
#[track_caller]
pub fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> i32 {
    match result {
        Ok(value) => panic!("succeeded with {value:?}"),
        Err(error) => error.raw_os_error().unwrap_or_else(|| panic!("no errno in {error:?}")),
    }
}

/// Whether this kernel's Landlock is at least this; says what is not checked where it is not.
pub fn has_abi(least: u32, what: &str) -> bool {
    let abi = sandboxed::kernel().abi;
    if abi < least {
        eprintln!("not checked: {what} needs Landlock ABI {least}, this kernel has {abi}");
    }
    abi >= least
}

/// Copies a program by another process. A copy that this process had open for writing may be "busy" when it is
/// executed: a child that another test starts at that moment holds the descriptor until it executes something itself.
pub fn copy_program(from: impl AsRef<std::path::Path>, to: impl AsRef<std::path::Path>) {
    let copied = Command::new("cp").arg(from.as_ref()).arg(to.as_ref()).status().expect("cp runs");
    assert!(copied.success(), "{copied}");
}
