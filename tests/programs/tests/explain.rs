//! `SANDBOXED_EXPLAIN`: what a program prints of what it was denied, for `main` in each placement and for functions.

#[path = "../../support/container.rs"]
mod container;

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
const LOOKS_FOR: &str = env!("CARGO_BIN_EXE_looks_for");
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

/// As `2>&1 | head -1` would have it.
#[test]
fn the_end_is_the_same_where_nobody_reads() {
    for (program, args) in
        [(IN_PROCESS, &["read", "/etc/passwd"][..]), (IN_PLACE, &[]), (LOOKS_FOR, &["/there/is/nothing"])]
    {
        let [plain, explained] = ["0", "1"].map(|explain| {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut command = Command::new(program);
            command.args(args).env("SANDBOXED_EXPLAIN", explain).stderr(writer).output().unwrap()
        });
        assert_eq!((explained.status, explained.stdout), (plain.status, plain.stdout), "{program}");
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

/// As in a container that lets nobody trace: what cannot be seen is said, and what the filter refuses is shown.
#[test]
fn without_tracing() {
    let barred = |program: &'static str, args: &'static [&str], explain: &'static str| {
        let ran = std::thread::spawn(move || {
            container::refuse(libc::SYS_ptrace).unwrap();
            run(program, args, explain)
        });
        ran.join().unwrap()
    };
    let unseen = "may not be traced, so what Landlock, limits and file permissions refuse is not seen; what its filter \
                  refuses is, mostly without paths: ptrace: Operation not permitted (os error 1)\n";
    let output = barred(IN_PROCESS, &["read", "/etc/passwd"], "1");
    let text = stderr(&output);
    assert_eq!(text.matches(&format!("sandboxed: `in_process::main` {unseen}")).count(), 1, "{text}");
    assert!(text.contains("(EACCES, the sandbox's filter)"), "{text}");
    assert!(text.contains("sandboxed: 1 denial, 1 different:\n"), "{text}");
    assert_eq!(output.stdout, b"/etc/passwd: errno 13\n");
    let plain = Command::new(IN_PLACE).output().unwrap();
    let output = barred(IN_PLACE, &[], "1");
    let text = stderr(&output);
    assert_eq!((output.status, &output.stdout), (plain.status, &plain.stdout), "{text}");
    for function in ["in_place::main", "in_place::in_worker"] {
        assert!(text.contains(&format!("sandboxed: `{function}` {unseen}")), "{text}");
    }
    assert!(!text.contains("denial"), "Landlock refuses all of it: {text}");
    assert_eq!(text.matches(unseen).count(), 2, "once for each: {text}");
    let output = barred(IN_PROCESS, &["read", "/etc/passwd"], "json");
    let lines: Vec<Value> = stderr(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["sandboxed"], &lines[0]["but_filter"]), (&"unseen".into(), &true.into()));
}

/// Programs look for much that is not there: it is said once, at the end, and counted as no denial.
#[test]
fn what_is_not_there_is_one_line() {
    let missing: Vec<String> = (0..10).map(|number| format!("/usr/bin/no/{number}")).collect();
    let mut args: Vec<&str> = missing.iter().map(String::as_str).collect();
    args.extend(["/usr/bin/env", "/etc/passwd"]);
    let plain = Command::new(LOOKS_FOR).args(&args).output().unwrap();
    assert_eq!(stderr(&plain), "");
    let output = run(LOOKS_FOR, &args, "1");
    assert_eq!((output.status, &output.stdout), (plain.status, &plain.stdout));
    let text = stderr(&output);
    let line = "sandboxed: not there, which is no denial: /usr/bin/no/0, /usr/bin/no/1, /usr/bin/no/2, \
                /usr/bin/no/3, /usr/bin/no/4, /usr/bin/no/5, /usr/bin/no/6, /usr/bin/no/7, and 2 more\n";
    // Of `main`, and of the function.
    assert_eq!(text.matches(line).count(), 2, "{text}");
    assert_eq!(text.matches("/usr/bin/no/").count(), 2 * 8, "{text}");
    assert_eq!(text.matches("sandboxed: 1 denial, 1 different:\n").count(), 2, "{text}");
    assert_eq!(text.matches("may not read_file /etc/passwd").count(), 2, "{text}");
    let output = run(LOOKS_FOR, &args, "json");
    let lines: Vec<Value> = stderr(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |by: &str| lines.iter().filter(|line| line["by"] == by).collect::<Vec<_>>();
    assert_eq!((of("missing").len(), of("landlock").len()), (2 * 10, 2), "{lines:?}");
    for line in of("missing") {
        assert_eq!((&line["errno"], &line["grant"]), (&libc::ENOENT.into(), &Value::Null));
    }
    let summaries: Vec<_> = lines.iter().filter(|line| line["sandboxed"] == "summary").collect();
    assert_eq!(summaries.len(), 2);
    summaries.iter().for_each(|summary| assert_eq!(summary["denials"], 1));
    // And the twin, where all is there.
    assert_eq!(stderr(&run(LOOKS_FOR, &["/usr/bin/env"], "1")), "");
}
