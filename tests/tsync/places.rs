//! A process of its own for each case, with a file that stays within reach and one that does not.

use crate::processes::{is_rerun, rerun};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

const DIRECTORY: &str = "SANDBOXED_TEST_DIRECTORY";

#[derive(Clone, Debug)]
pub struct Places {
    pub kept: PathBuf,
    pub kept_file: PathBuf,
    pub lost_file: PathBuf,
}

impl Places {
    fn at(directory: &Path) -> Places {
        let [kept, lost] = ["kept", "lost"].map(|name| directory.join(name));
        Places { kept_file: kept.join("file"), lost_file: lost.join("file"), kept }
    }

    fn make(&self) {
        for file in [&self.kept_file, &self.lost_file] {
            fs::create_dir(file.parent().unwrap()).unwrap();
            fs::write(file, "content").unwrap();
        }
    }
}

/// Runs `body` in this executable run anew, on the first thread of a process that has no other; how it ended. `None` in
/// that process.
pub fn ends(name: &str, body: impl FnOnce(&Places)) -> Option<Output> {
    if is_rerun(name) {
        let directory = std::env::var_os(DIRECTORY).expect("the harness says where");
        body(&Places::at(directory.as_ref()));
        return None;
    }
    // Made here: what restricts itself cannot tidy up.
    let directory = tempfile::tempdir().unwrap();
    Places::at(directory.path()).make();
    let mut command = rerun(&std::env::current_exe().unwrap(), name);
    // One lock of the allocator for all threads: an allocation while one of them is held would hang.
    command.env(DIRECTORY, directory.path()).env("MALLOC_ARENA_MAX", "1");
    Some(command.output().unwrap())
}

/// As [`ends`], where all must be well.
#[track_caller]
pub fn alone(name: &str, body: impl FnOnce(&Places)) {
    if let Some(output) = ends(name, body) {
        let (stdout, stderr) = said(&output);
        assert!(
            output.status.success() && stdout.contains("1 passed"),
            "{}\n{stdout}\n{stderr}",
            output.status
        );
    }
}

/// stdout and stderr.
pub fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
