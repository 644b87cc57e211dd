//! The test suite as `cargo test --no-run` builds it.

use super::record::Test;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Tests that do not run in a guest, and why: whole binaries, or parts of them (`binary::part of a name`).
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("leaks", "many calls, whatever the kernel"),
    ("stress", "likewise"),
    ("hostile_output::many_attacks", "likewise"),
    ("namespaces::a_thousand", "likewise"),
    ("memory", "what it measures is that of this kernel, and it reads the repository's page"),
    ("limits::children_are_limited_too", "runs programs that a guest lacks"),
    ("errors::memory_over_the_limit", "as old as any kernel"),
    ("bulk", "hundreds of megabytes, whatever the kernel"),
    ("bytes::bytes_of_every_length", "likewise"),
    ("bytes::bytes_cross_within_other_types", "likewise"),
    ("forkserver::a_big_heap", "more memory than a guest has"),
    ("stdio::flood", "megabytes through pipes, whatever the kernel"),
    ("program::its_output_comes_through_whole", "likewise"),
    ("keys", "every kernel on any"),
    ("readme", "every kernel on any"),
    ("docs", "reads the repository's pages"),
    ("backtrace", "names of functions, which the programs of a guest are stripped of"),
    ("sandboxed_runtime::observe::observer::path::", "runs programs that a guest lacks"),
    ("policy_text", "every kernel on any"),
    ("report", "every kernel on any, and a browser"),
    ("lock", "compares with the repository's file, whatever the kernel"),
    ("sandboxes", "likewise"),
    ("sandboxed_runtime::codec::", "knows no kernel"),
    ("sandboxed_runtime::fuzzing::", "knows no kernel"),
    ("sandboxed_runtime::map::", "knows no kernel"),
    ("sandboxed_runtime::lock::", "knows no kernel"),
    ("sandboxed_runtime::report::", "knows no kernel"),
    ("sandboxed_runtime::plan::", "every kernel on any"),
    ("sandboxed_runtime::enforce::filter::", "every filter, run as data"),
    ("sandboxed", "has no tests but documentation"),
    ("sandboxed_config", "knows no kernel"),
    ("hostile", "policy files: knows no kernel"),
    ("meaning", "policy files: knows no kernel"),
    ("mistakes", "policy files: knows no kernel"),
    ("round_trip", "policy files: knows no kernel"),
    ("ui", "compiles"),
    ("panic_abort", "compiles"),
    ("untrusted_archive", "an example with large files; of the kernel it takes what `grants_files` does"),
    ("valgrind", "needs valgrind"),
    ("sandboxed_macros", "knows no kernel"),
    ("sandboxed_ui_edition_2021", "knows no kernel"),
    ("xtask", "knows no kernel"),
];

/// Tests that run where there is no Landlock, and in the oldest and the newest kernel that has it, but not between
/// those: how a call ends and what is printed, the forkserver, and the rows of the tables in a worker (as in a thread;
/// `conformance` has both everywhere). A whole binary, or the part of a name.
pub const NOT_EVERYWHERE: &[(&str, &str)] = &[
    ("errors", ""),
    ("hostile_output", ""),
    ("program", ""),
    ("stdio", ""),
    ("forkserver", ""),
    ("host_changes", ""),
    ("map", ""),
    ("workers", ""),
    ("sandboxed_runtime", ""),
    ("landlock_files", "::process"),
    ("landlock_sockets", "/process"),
    ("landlock_processes", "/process"),
];

#[derive(Debug, Default)]
pub struct Suite {
    pub tests: Vec<Test>,
    /// What tests start or load: programs and libraries of the workspace.
    pub programs: Vec<PathBuf>,
}

/// Builds the suite of the workspace.
pub fn build(workspace: &Path) -> Result<Suite> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--workspace", "--no-run", "--quiet", "--message-format=json-render-diagnostics"]);
    let output =
        command.current_dir(workspace).stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "the tests do not build");
    let mut suite = Suite::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        suite.add(&serde_json::from_str(line)?);
    }
    suite.leave_out(LEFT_OUT)?;
    Ok(suite)
}

impl Suite {
    /// Takes a message of cargo, if it tells of something that a guest needs.
    fn add(&mut self, message: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (Some(name), Some(manifest)) =
            (text(&message["target"]["name"]), text(&message["manifest_path"]).map(PathBuf::from))
        else {
            return;
        };
        let is = |kind: &str| {
            message["target"]["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|found| found == kind))
        };
        let executable = text(&message["executable"]);
        match (executable, message["profile"]["test"].as_bool()) {
            (Some(path), Some(true)) => {
                let directory = manifest.parent().unwrap_or(Path::new("/")).display().to_string();
                let at_ends = NOT_EVERYWHERE.iter().filter(|(binary, _)| *binary == name);
                let at_ends = at_ends.map(|(_, part)| (*part).to_owned()).collect();
                self.tests.push(Test { name, path, directory, skip: Vec::new(), at_ends });
            }
            (Some(path), _) if is("bin") && name != "xtask" => self.programs.push(path.into()),
            _ if is("cdylib") => {
                let files = message["filenames"].as_array().into_iter().flatten().filter_map(text);
                self.programs.extend(files.filter(|file| file.ends_with(".so")).map(PathBuf::from));
            }
            _ => {}
        }
    }

    fn leave_out(&mut self, what: &[(&str, &str)]) -> Result<()> {
        for (name, _) in what {
            let (binary, part) =
                name.split_once("::").map_or((*name, None), |(binary, part)| (binary, Some(part)));
            let position = self.tests.iter().position(|test| test.name == binary);
            let position = position.with_context(|| format!("no test {name}, which is to be left out"))?;
            match part {
                Some(part) => self.tests[position].skip.push(part.to_owned()),
                None => drop(self.tests.remove(position)),
            }
        }
        Ok(())
    }

    /// Keeps the tests of these names, or all if there is none. What is asked for by name runs everywhere.
    pub fn select(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            if !self.tests.iter().any(|test| test.name == *name) {
                let known: Vec<&str> = self.tests.iter().map(|test| test.name.as_str()).collect();
                bail!("no test {name}; there are {}", known.join(", "));
            }
        }
        if !names.is_empty() {
            self.tests.retain(|test| names.contains(&test.name));
            self.tests.iter_mut().for_each(|test| test.at_ends.clear());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tests_and_what_they_start_are_taken_from_cargos_messages() {
        let artifact = |kind: &str, name: &str, test: bool, executable: Option<&str>, files: &[&str]| {
            json!({"reason": "compiler-artifact", "manifest_path": "/w/p/Cargo.toml", "executable": executable,
                   "target": {"kind": [kind], "name": name}, "profile": {"test": test}, "filenames": files})
        };
        let mut suite = Suite::default();
        for message in [
            artifact("test", "scopes", true, Some("/t/scopes-1"), &["/t/scopes-1"]),
            artifact("lib", "sandboxed", true, Some("/t/sandboxed-1"), &["/t/sandboxed-1"]),
            artifact("bin", "in_place", false, Some("/t/in_place"), &["/t/in_place"]),
            artifact("bin", "xtask", false, Some("/t/xtask"), &["/t/xtask"]),
            artifact("example", "decode", false, Some("/t/decode"), &["/t/decode"]),
            artifact("cdylib", "loaded", false, None, &["/t/libloaded.so", "/t/libloaded.rlib"]),
            artifact("proc-macro", "macros", false, None, &["/t/libmacros.so"]),
            json!({"reason": "build-finished", "success": true}),
        ] {
            suite.add(&message);
        }
        suite.leave_out(&[("scopes::slow", ""), ("sandboxed", "")]).unwrap();
        assert!(suite.leave_out(&[("sandboxed", "")]).is_err(), "it is no more there");
        let scopes = Test {
            name: "scopes".into(),
            path: "/t/scopes-1".into(),
            directory: "/w/p".into(),
            skip: vec!["slow".into()],
            at_ends: Vec::new(),
        };
        assert_eq!(suite.tests, [scopes]);
        assert_eq!(suite.programs, [Path::new("/t/in_place"), Path::new("/t/libloaded.so")]);
        assert!(suite.select(&["scope".into()]).unwrap_err().to_string().contains("there are scopes"));
        suite.select(&["scopes".into()]).unwrap();
        assert_eq!(suite.tests.len(), 1);
    }
}
