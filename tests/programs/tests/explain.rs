//! `SANDBOXED_EXPLAIN`: what a program prints of what it was denied, for `main` in each placement and for functions.

use serde_json::Value;
use std::process::{Command, Output};

fn run(program: &str, args: &[&str], explain: &str) -> Output {
    Command::new(program).args(args).env("SANDBOXED_EXPLAIN", explain).output().unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

const IN_PLACE: &str = env!("CARGO_BIN_EXE_in_place");
const IN_PROCESS: &str = env!("CARGO_BIN_EXE_in_process");
const TOKIO: &str = env!("CARGO_BIN_EXE_sandboxed_tokio");

#[test]
fn main_in_place_and_a_function_in_a_worker() {
    let plain = Command::new(IN_PLACE).output().unwrap();
    assert_eq!(stderr(&plain), "");
    for value in ["", "0"] {
        assert_eq!(run(IN_PLACE, &[], value), plain);
    }
    let output = run(IN_PLACE, &[], "1");
    assert_eq!((output.status.code(), &output.stdout), (plain.status.code(), &plain.stdout));
    let text = stderr(&output);
    let main = "sandboxed: `in_place::main` may not read_file /etc/passwd (EACCES, Landlock)\n  \
                --> tests/programs/src/bin/in_place.rs:5:1\n  \
                = help: add `read = \"/etc/passwd\"` to #[sandboxed(...)]\n";
    assert!(text.contains(main), "{text}");
    // The worker is in both sandboxes, and main's lacks the grant.
    let worker = "sandboxed: `in_place::in_worker` may not read_file /etc/passwd (EACCES, Landlock)\n";
    assert_eq!(text.matches(worker).count(), 1, "{text}");
    assert!(text.contains("restricted in place"), "{text}");
    assert!(text.contains("       2 × `in_place::in_worker` read_file /etc/passwd"), "{text}");
    assert!(
        text.ends_with(
            "       1 × `in_place::main` read_file /etc/passwd (EACCES, Landlock): read = \"/etc/passwd\"\n"
        ),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "no colour where nobody looks");
}

#[test]
fn main_in_a_worker() {
    let output = run(IN_PROCESS, &["read", "/etc/passwd"], "1");
    let text = stderr(&output);
    assert!(
        text.starts_with(
            "sandboxed: `in_process::main` may not read_file /etc/passwd (EACCES, the sandbox's filter)\n"
        ),
        "{text}"
    );
    assert!(text.contains("sandboxed: 1 denial, 1 different:\n"), "{text}");
    assert_eq!(output.stdout, b"/etc/passwd: errno 13\n");
}

/// Ends as it would.
#[test]
fn the_end_is_the_same() {
    for args in
        [&["code", "7"][..], &["exit", "9"], &["panic", "so"], &["signal", "15"], &["abort"], &["flood"]]
    {
        let plain = Command::new(IN_PROCESS).args(args).output().unwrap();
        let observed = run(IN_PROCESS, args, "1");
        assert_eq!((observed.status, observed.stdout), (plain.status, plain.stdout), "{args:?}");
    }
}

#[test]
fn every_thread_of_a_runtime() {
    let plain = Command::new(TOKIO).output().unwrap();
    let output = run(TOKIO, &[], "1");
    assert_eq!((output.status, &output.stdout), (plain.status, &plain.stdout));
    let text = stderr(&output);
    assert_eq!(text.matches("may not read_file /etc/passwd (EACCES, Landlock)\n").count(), 1, "{text}");
    let summary = text.lines().find(|line| line.contains(" × ") && line.contains("/etc/passwd")).unwrap();
    assert!(summary.trim_start().starts_with("3 × "), "{text}");
}

#[test]
fn lines_of_json() {
    let output = run(IN_PROCESS, &["read", "/etc/passwd"], "json");
    let lines: Vec<Value> = stderr(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [denial, summary] = &lines[..] else { panic!("{lines:?}") };
    let of = |name: &str| &denial[name];
    assert_eq!(of("sandboxed"), "denial");
    assert_eq!(
        (of("function"), of("operation"), of("errno")),
        (&"in_process::main".into(), &"read_file".into(), &13.into())
    );
    assert_eq!((of("by"), of("grant")), (&"filter".into(), &"read = \"/etc/passwd\"".into()));
    assert_eq!((&summary["sandboxed"], &summary["denials"]), (&"summary".into(), &1.into()));
}
