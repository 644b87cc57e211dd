//! `SANDBOXED_LEARN`: what is learned of `fn main`, in each placement, is what it needs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Learns from a program, whose attribute is to keep these words, and runs it under what was learned.
fn round_trip(program: &str, keep: &str) {
    // By a name that does not look as if it were another next time.
    let directory = tempfile::Builder::new().prefix("learn-").suffix("-site").tempdir().unwrap();
    let work = directory.path().canonicalize().unwrap();
    fs::write(work.join("in"), "content").unwrap();
    fs::create_dir(work.join("out")).unwrap();
    for directory in [work.clone(), work.join("out")] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let [learned, policy] = ["learned.toml", "policy.toml"].map(|name| work.join(name));
    let run = |variable: &str, value: &Path| -> Output {
        let mut command = Command::new(program);
        command.arg(&work).env("SANDBOXED_EXPLAIN", "1").env(variable, value);
        command.output().unwrap()
    };
    let is_copied = || fs::remove_file(work.join("out/copy")).is_ok();

    let output = run("NOTHING", Path::new(""));
    assert_eq!((&*output.stdout, is_copied()), (&b"errno 13\n"[..], false), "{output:?}");

    let output = run("SANDBOXED_LEARN", &learned);
    assert_eq!((&*output.stdout, is_copied()), (&b"done\n"[..], true), "{output:?}");
    let table: toml::Table = fs::read_to_string(&learned).unwrap().parse().unwrap();
    let name = format!("{}::main", Path::new(program).file_name().unwrap().to_str().unwrap());
    let main = &table["function"][&name];
    let attribute =
        format!("#[sandboxed({keep}read = {:?}, write = {:?})]", work.join("in"), work.join("out"));
    assert_eq!(main["attribute"].as_str(), Some(&*attribute), "{table:#?}");

    fs::write(&policy, main["landlockconfig"].as_str().unwrap()).unwrap();
    let output = run("TEST_POLICY", &policy);
    assert_eq!((&*output.stdout, is_copied()), (&b"done\n"[..], true), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "it is denied nothing");
}

#[test]
fn main_in_place() {
    round_trip(env!("CARGO_BIN_EXE_learned_in_place"), "");
}

#[test]
fn main_in_a_worker() {
    round_trip(env!("CARGO_BIN_EXE_learned_in_process"), "process, ");
}
