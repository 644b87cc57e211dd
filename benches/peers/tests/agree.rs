//! Every way does every job, with the direct call's results, and isolates what the table says it does.

use peers::driver::check;
use std::process::Command;

const PROGRAMS: [&str; 2] = [env!("CARGO_BIN_EXE_host"), env!("CARGO_BIN_EXE_host-wasmtime")];

/// What these do not get, they cannot do without.
const IN_NAMESPACES: [&str; 3] = ["hakoniwa", "birdcage", "extrasafe"];

/// What each way must keep a body from.
const HELD: [(&str, &str); 6] = [
    ("direct call", ""),
    ("#[sandboxed(thread)]", "files, network, system calls"),
    ("#[sandboxed]", "process, files, network, system calls, earlier calls"),
    ("procspawn, Pool(1)", "process"),
    ("fork, pipe and postcard", "process, earlier calls"),
    ("wasmtime, persistent instance", "cannot"),
];

#[test]
fn every_way_does_every_job_alike() -> peers::Result<()> {
    let namespaces = Command::new("unshare").args(["--user", "--net", "true"]).status();
    let has_namespaces = namespaces.is_ok_and(|status| status.success());
    let mut failures = Vec::new();
    let lines = check(&PROGRAMS)?;
    for (way, job, result) in &lines {
        match result {
            Ok(reply) => println!("{way}, {job}: {reply}"),
            Err(error) if !has_namespaces && IN_NAMESPACES.iter().any(|peer| way.starts_with(peer)) => {
                println!("{way}, {job}: NOT CHECKED, this user gets no namespaces: {error}");
            }
            Err(error) => failures.push(format!("{way}, {job}: {error}")),
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    for (way, held) in HELD {
        let line = lines.iter().find(|(name, job, _)| name == way && job == "probe");
        let reply = line.and_then(|(_, _, reply)| reply.as_ref().ok());
        assert_eq!(reply.map(String::as_str), Some(held), "{way}");
    }
    Ok(())
}
