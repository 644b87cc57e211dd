//! `assert_locked!`: the sandboxes of this file are those in `sandbox.lock`; and what it says where they are not.

use sandboxed::sandboxed;
use std::path::PathBuf;

#[sandboxed]
fn computes() {}

#[sandboxed(read = path, memory = "64MiB", fallible = try_loads)]
fn loads(path: &str) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

fn scratch() -> PathBuf {
    std::env::temp_dir().join("sandboxed")
}

#[sandboxed(in_place, read = ["/usr", optional("/etc/site")], write = scratch(), tcp_bind = [80, 8000..=8010], preset(tmp))]
#[allow(dead_code)]
fn serves() {}

// No function of the program, so it is not locked.
#[sandboxed::test(read = "/usr")]
fn is_a_test() {
    std::fs::read_dir("/usr").unwrap();
}

#[test]
fn sandboxes_are_as_accepted() {
    computes();
    loads("/etc/hostname").unwrap();
    assert!(sandboxed::functions().any(|function| function.test && function.name.ends_with("is_a_test")));
    sandboxed::assert_locked!();
    sandboxed::assert_locked!("lock");
    sandboxed::assert_locked!(all);
}

/// What a panic in `body` says.
fn panic_of(body: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(body).expect_err("it panics");
    panic.downcast_ref::<String>().expect("a message").clone()
}

#[test]
fn a_crate_without_sandboxes_is_no_success() {
    let message = panic_of(|| sandboxed::assert_locked!("no_such_crate"));
    assert!(message.contains("no sandboxed function to lock"), "{message}");
}

#[test]
fn what_was_not_accepted_fails_with_its_lines() {
    // As the macro does it, for a package whose file has less.
    let package = tempfile::tempdir().unwrap();
    let accepted = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sandbox.lock")).unwrap();
    let file = package.path().join("sandbox.lock");
    let less = accepted.replace("  tcp_bind = 80\n", "").replace("64MiB", "32MiB");
    std::fs::write(&file, &less).unwrap();
    let directory = package.path().to_str().unwrap().to_owned();
    let message = panic_of(|| sandboxed::__private::assert_locked(&directory, &["lock"]));
    for line in [
        r#"-   memory = "32MiB"                         widens"#,
        r#"+   memory = "64MiB"                         widens"#,
        "+   tcp_bind = 80                            widens",
        "SANDBOXED_ACCEPT=1 cargo test",
    ] {
        assert!(message.contains(line), "{message}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), less, "nothing is accepted by itself");
}

/// In a process of its own, for its environment.
#[test]
fn a_missing_file_is_written_but_in_ci() {
    const NAME: &str = "a_missing_file_is_written_but_in_ci";
    let package = tempfile::tempdir().unwrap();
    let file = package.path().join("sandbox.lock");
    if let Some(directory) = std::env::var_os("SANDBOXED_TEST_PACKAGE") {
        return sandboxed::__private::assert_locked(directory.to_str().unwrap(), &["lock"]);
    }
    let run = |variables: &[(&str, &str)]| {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", NAME]).env("SANDBOXED_TEST_PACKAGE", package.path());
        command.env_remove("CI").env_remove("SANDBOXED_ACCEPT").envs(variables.iter().copied());
        command.output().unwrap().status.success()
    };
    assert!(!run(&[("CI", "true")]));
    assert!(!file.exists());
    assert!(run(&[]));
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.contains("\nlock::computes\n  process\n"), "{written}");
    assert!(run(&[("CI", "true")]));
    std::fs::write(&file, written.replace("GiB", "MiB")).unwrap();
    assert!(!run(&[]));
    assert!(run(&[("SANDBOXED_ACCEPT", "1"), ("CI", "true")]));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
}
