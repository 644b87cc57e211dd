//! Looking at processes from outside, by `/proc`.
#![allow(dead_code)] // each test file uses its part

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// A process, told apart from a later one of the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    start: String,
}

/// The fields of `/proc/<pid>/stat` behind the name; the first is the state.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_ascii_whitespace().map(str::to_owned).collect())
}

/// The forkserver of a template, which is the parent of its workers.
pub fn forkserver_of(template: i32) -> i32 {
    parent(template).unwrap_or_else(|| panic!("no process {template}"))
}

pub fn parent(pid: i32) -> Option<i32> {
    stat(pid)?[1].parse().ok()
}

impl Process {
    pub fn of(pid: i32) -> Process {
        let start = stat(pid).unwrap_or_else(|| panic!("no process {pid}"))[19].clone();
        Process { pid, start }
    }

    /// Ended; perhaps nobody has asked for its status yet.
    pub fn is_gone(&self) -> bool {
        stat(self.pid).is_none_or(|fields| fields[19] != self.start || fields[0] == "Z" || fields[0] == "X")
    }

    /// Ended, and nobody has asked for its status.
    pub fn is_zombie(pid: i32) -> bool {
        stat(pid).is_some_and(|fields| fields[0] == "Z")
    }

    pub fn kill(&self) {
        super::sys::kill(self.pid, libc::SIGKILL).expect("the process is ours");
    }

    pub fn until_gone(&self) {
        wait_until(&format!("process {} is gone", self.pid), || self.is_gone());
    }

    /// A line of its `/proc/<pid>/status`, without the name.
    pub fn status(&self, name: &str) -> String {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("its status");
        status_line(&text, name)
    }

    /// What its descriptors refer to.
    pub fn descriptors(&self) -> BTreeMap<i32, String> {
        descriptors_in(&format!("/proc/{}/fd", self.pid))
    }
}

/// The value of a line of a `status` file.
pub fn status_line(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no line {name} in {text}"))
        .split_ascii_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// This process's descriptors, without that of the listing itself.
pub fn own_descriptors() -> BTreeMap<i32, String> {
    descriptors_in("/proc/self/fd")
}

fn descriptors_in(directory: &str) -> BTreeMap<i32, String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory}: {error}"));
    let links = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        // The listing's own descriptor is gone by the end; others may be too.
        let target = fs::read_link(&path).ok()?;
        let target = target.to_string_lossy().into_owned();
        let is_listing = directory == "/proc/self/fd" && target == format!("/proc/{}/fd", std::process::id());
        (!is_listing).then_some((path.file_name()?.to_str()?.parse().ok()?, target))
    });
    links.collect()
}

/// The children of every thread of a process.
pub fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("/proc");
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Waits for something that happens soon; never a measure of time, only a bound against hanging.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited a minute until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const CHILD: &str = "SANDBOXED_TEST_CHILD";

/// Whether this process was started by [`rerun`] (or `support::in_child`) for this test.
pub fn is_rerun(name: &str) -> bool {
    std::env::var_os(CHILD).is_some_and(|child| child == name)
}

/// A command that runs one test of an executable that is this one or a copy of it.
pub fn rerun(exe: &std::path::Path, name: &str) -> std::process::Command {
    let mut command = std::process::Command::new(exe);
    command.args(["--exact", name, "--nocapture", "--include-ignored", "--test-threads=1"]).env(CHILD, name);
    command
}

/// Runs a command that [`rerun`] made to its end, and fails where it does.
#[track_caller]
pub fn assert_passes(mut command: std::process::Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let said = format!("{}\n{stdout}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(stdout.contains("1 passed"), "{said}");
}
