//! Looking at processes from outside, by `/proc`.

use std::fs;
use std::io::{self, Error};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A process as `/proc/<pid>/stat` tells of it.
struct Process {
    pid: u32,
    parent: u32,
    name: String,
    /// In clock ticks since the machine's start.
    started: u64,
}

impl Process {
    fn of(pid: u32) -> Option<Process> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        Some(Process {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            name: head.split_once('(')?.1.to_owned(),
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

fn all() -> io::Result<Vec<Process>> {
    let entries = fs::read_dir("/proc")?.flatten();
    Ok(entries.filter_map(|entry| Process::of(entry.file_name().to_str()?.parse().ok()?)).collect())
}

/// Those that this process started: of its program, by the name that they give themselves, and younger. Who started
/// them cannot be seen, since they are detached.
pub fn forkservers() -> io::Result<Vec<u32>> {
    let this = Process::of(std::process::id()).ok_or(io::ErrorKind::NotFound)?;
    let program = fs::read_link("/proc/self/exe")?;
    let is_ours = |process: &Process| {
        process.name == "sandboxed-fork"
            && (process.started, process.pid) > (this.started, this.pid)
            && fs::read_link(format!("/proc/{}/exe", process.pid)).is_ok_and(|exe| exe == program)
    };
    Ok(all()?.into_iter().filter(is_ours).map(|process| process.pid).collect())
}

/// The forkserver's descendants that have no children: what lies between are those that workers are forked from.
pub fn workers() -> io::Result<Vec<u32>> {
    let mut ancestors = forkservers()?;
    let processes = all()?;
    let mut at = 0;
    while let Some(parent) = ancestors.get(at).copied() {
        ancestors
            .extend(processes.iter().filter(|process| process.parent == parent).map(|process| process.pid));
        at += 1;
    }
    let is_leaf = |pid: &u32| processes.iter().all(|process| process.parent != *pid);
    let forkservers = forkservers()?;
    Ok(ancestors.into_iter().filter(|pid| is_leaf(pid) && !forkservers.contains(pid)).collect())
}

/// Looks until there are so many and no more come, or two seconds.
pub fn until_settled(count: usize, look: fn() -> io::Result<Vec<u32>>) -> io::Result<Vec<u32>> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let start = Instant::now();
    let mut seen = Vec::new();
    loop {
        sleep(Duration::from_millis(100));
        let now = look()?;
        if (now == seen && now.len() >= count) || start.elapsed() > PATIENCE {
            return Ok(now);
        }
        seen = now;
    }
}

/// In KiB: its own pages, and its part of those that it shares.
pub fn proportional_set_size(pid: u32) -> io::Result<f64> {
    kibibytes(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?, "Pss:")
}

/// What could be used without swapping, in bytes.
pub fn available_memory() -> io::Result<u64> {
    kibibytes(&fs::read_to_string("/proc/meminfo")?, "MemAvailable:").map(|size| size as u64 * 1024)
}

fn kibibytes(text: &str, name: &str) -> io::Result<f64> {
    let size = text.lines().find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next());
    size.and_then(|size| size.parse().ok()).ok_or_else(|| Error::other(format!("no {name} in {text}")))
}

pub fn own_threads() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

pub fn own_children() -> io::Result<usize> {
    let this = std::process::id();
    Ok(all()?.iter().filter(|process| process.parent == this).count())
}
