//! Programs whose `main` is sandboxed: in a worker, in place, async, and where the sandbox cannot be had.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

macro_rules! program {
    ($name:literal) => {
        Command::new(env!(concat!("CARGO_BIN_EXE_", $name)))
    };
}

fn in_process(args: &[&str]) -> Output {
    program!("in_process").args(args).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn arguments_stdin_and_environment_are_the_programs() {
    let mut command = program!("in_process");
    command.args(["show", "two words", "", "\u{e4}"]).env("OF_THE_PROGRAM", "value");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"all of it\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let expected = "args: [\"show\", \"two words\", \"\", \"\u{e4}\"]\nstdin: \"all of it\\n\"\nvariable: Ok(\"value\")\n\
                    mark: false\nstarted: 1\n";
    assert_eq!((stdout(&output), stderr(&output), output.status.code()), (expected, "on stderr\n", Some(0)));
}

#[test]
fn an_argument_like_the_mark_is_an_argument() {
    let output = program!("in_process")
        .args(["show", "SANDBOXED_FORKSERVER=3"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(stdout(&output).starts_with("args: [\"show\", \"SANDBOXED_FORKSERVER=3\"]\n"), "{output:?}");
}

#[test]
fn it_runs_in_a_worker() {
    let output = in_process(&["pids"]);
    assert!(output.status.success(), "{output:?}");
    let pids: Vec<u32> = stdout(&output).split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert!(pids[0] != 0 && pids[0] != pids[1] && pids[1] != std::process::id(), "{pids:?}");
}

#[test]
fn it_is_sandboxed() {
    let output = in_process(&["read", "/etc/passwd"]);
    assert_eq!(stdout(&output), format!("/etc/passwd: errno {}\n", libc::EACCES), "{output:?}");
}

#[test]
fn its_exit_code_is_the_programs() {
    for code in ["0", "1", "2", "101", "255"] {
        for how in ["code", "exit"] {
            let output = in_process(&[how, code]);
            assert_eq!(output.status.code(), Some(code.parse().unwrap()), "{how} {output:?}");
            assert_eq!((stdout(&output), stderr(&output)), ("", ""));
        }
    }
}

#[test]
fn its_panic_is_the_programs() {
    let output = in_process(&["panic", "no luck"]);
    assert_eq!(output.status.code(), Some(101), "{output:?}");
    assert!(stderr(&output).contains("as told: no luck"), "{output:?}");
    assert!(stderr(&output).contains("src/bin/in_process.rs:"), "{output:?}");
}

#[test]
fn its_signal_is_the_programs() {
    for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGKILL, libc::SIGSEGV, libc::SIGABRT, 40] {
        let output = in_process(&["signal", &signal.to_string()]);
        assert_eq!(output.status.signal(), Some(signal), "{output:?}");
    }
    assert_eq!(in_process(&["abort"]).status.signal(), Some(libc::SIGABRT));
}

/// What crashed is the worker: the program, whose memory says nothing about it, leaves no core dump.
#[test]
fn a_crash_dumps_no_core() {
    let directory = tempfile::tempdir().unwrap();
    let run = |what: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -c unlimited && exec {what}")]).current_dir(&directory);
        shell.output().unwrap()
    };
    if !run("sh -c 'kill -SEGV $$'").status.core_dumped() {
        return eprintln!("not checked: nothing dumps core here");
    }
    let output = run(&format!("{} signal 11", env!("CARGO_BIN_EXE_in_process")));
    let status = output.status;
    assert_eq!((status.signal(), status.core_dumped()), (Some(libc::SIGSEGV), false), "{output:?}");
}

#[test]
fn its_output_comes_through_whole() {
    let output = in_process(&["flood"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let expected: String = (0..100_000).map(|line| format!("{line}\n")).collect();
    assert!(stdout(&output) == expected, "{} bytes", output.stdout.len());
}

#[test]
fn a_result_is_the_programs() {
    let run = |args: &[&str]| program!("in_process_result").args(args).output().unwrap();
    let output = run(&["12"]);
    assert_eq!((stdout(&output), stderr(&output), output.status.code()), ("12\n", "", Some(0)));
    let output = run(&[]);
    assert_eq!(
        (stdout(&output), stderr(&output), output.status.code()),
        ("", "Error: \"no argument\"\n", Some(1))
    );
    let output = run(&["x"]);
    assert_eq!(
        (stderr(&output), output.status.code()),
        ("Error: ParseIntError { kind: InvalidDigit }\n", Some(1))
    );
}

/// The two files of the programs: one that is granted, one that is not.
fn reads(who: &str) -> String {
    let length = std::fs::metadata("/usr/bin/env").unwrap().len();
    let denied = libc::EACCES;
    format!("{who}: /etc/passwd: errno {denied}\n{who}: /usr/bin/env: {length} bytes\n")
}

#[test]
fn in_place_is_restricted_before_the_first_line_and_so_are_its_workers() {
    let output = program!("in_place").args(["x", "y"]).output().unwrap();
    let expected =
        [reads("main"), "args: [\"x\", \"y\"]\n".into(), reads("worker"), reads("worker")].concat();
    assert_eq!((stdout(&output), output.status.code()), (expected.as_str(), Some(0)), "{output:?}");
}

#[test]
fn an_async_main_is_restricted_with_all_its_threads_in_either_order() {
    let expected = ["main", "task", "blocking"].map(reads).concat();
    for mut program in [program!("sandboxed_tokio"), program!("tokio_sandboxed")] {
        let output = program.output().unwrap();
        assert_eq!((stdout(&output), output.status.code()), (expected.as_str(), Some(0)), "{output:?}");
    }
}

#[test]
fn a_missing_path_ends_the_program_before_its_body() {
    let missing =
        [program!("missing_in_place"), program!("missing_in_place_result"), program!("missing_in_process")];
    for mut program in missing {
        let output = program.output().unwrap();
        assert_eq!((stdout(&output), output.status.code()), ("", Some(1)), "{program:?}: {output:?}");
        for word in ["main", "/no/such/path", "read", "src/bin/missing_in_p", "No such file"] {
            assert!(stderr(&output).contains(word), "{program:?} without {word}: {}", stderr(&output));
        }
    }
}

/// Its forkserver goes with it.
#[test]
fn a_program_that_is_killed_takes_its_worker_along() {
    if sandboxed::kernel().abi == 0 {
        return eprintln!("not checked: a worker needs Landlock ABI 1, this kernel has 0");
    }
    let mut child = program!("in_process").arg("sleep").spawn().unwrap();
    let worker = || processes_of(env!("CARGO_BIN_EXE_in_process")).into_iter().find(|name| name == "main");
    wait_until("the worker runs", || worker().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the worker is gone", || worker().is_none());
}

/// The names of the processes that sleep in this program: tests of other kinds end soon. By their arguments, since an
/// ordinary user may not ask for the executable of what is not dumpable.
fn processes_of(exe: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        let arguments = std::fs::read(path.join("cmdline")).ok()?;
        let sleeps = arguments == [exe.as_bytes(), b"\0sleep\0"].concat();
        sleeps.then(|| std::fs::read_to_string(path.join("comm")).unwrap_or_default())
    });
    processes.map(|name| name.trim().to_owned()).collect()
}

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed().as_secs() < 60, "waited a minute until {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
