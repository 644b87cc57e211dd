//! One archive, unpacked by the same code with the attribute and without it.

use crate::samples::{SAMPLES, Scale};
use crate::unpack::{self, Item};
use crate::victim::{SECRET, Victim, danger};
use sandboxed::{ErrorKind, Hint, sandboxed};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// May write files and directories below `dest`, read them back, and read the archive, which comes open. No links, no
/// FIFOs, no devices: who opens what lies there afterwards need not fear where it leads. (`write = dest` would grant
/// links and FIFOs too.)
///
/// `memory` is what a bomb comes up against. What bounds the number of files is `timeout` alone; a file system of its
/// own, or a quota, would do better.
#[sandboxed(
    read = dest,
    fs(make_dir = dest, make_reg = dest, write_file = dest, truncate = dest, remove_file = dest),
    memory = "128MiB",
    timeout = "60s",
    stdio = "capture"
)]
fn unpack_sandboxed(archive: File, dest: &Path) -> io::Result<Vec<Item>> {
    unpack::unpack(archive, dest)
}

/// What became of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Unpacked(Vec<Item>),
    /// An error of the unpacker's.
    Failed(String),
    /// By the sandbox, or, without it, the program with the unpacker in it.
    Stopped(String),
}

/// An end, and what was found afterwards that should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    pub end: End,
    pub harm: Vec<String>,
}

pub struct Comparison {
    pub name: &'static str,
    pub size: u64,
    pub without: Fate,
    pub with: Fate,
}

/// More than this in the destination, and the disk would be full sooner or later.
const FLOOD: u64 = 32 << 20;

/// Unpacks a sample in both ways. `program` starts this program anew, to call [`unpack_plainly`] with the archive and
/// the destination: what may crash is not run here.
pub fn compare(index: usize, scale: Scale, program: fn(&Path, &Path) -> Command) -> io::Result<Comparison> {
    let (name, make) = SAMPLES[index];
    let place = TempDir::new()?;
    let (root, archive) = (place.path().join("victim"), place.path().join(name));
    fs::write(&archive, make(&root, scale)?)?;
    let size = fs::metadata(&archive)?.len();
    // One after the other at the same place, which archives may name.
    let fate = |run: &dyn Fn(&Path) -> io::Result<End>| {
        let victim = Victim::new(root.clone())?;
        let end = run(&victim.dest())?;
        let fate = Fate { harm: harm(&victim, &end)?, end };
        fs::remove_dir_all(&root)?;
        Ok::<_, io::Error>(fate)
    };
    let with = fate(&|dest| {
        let result = unpack_sandboxed(File::open(&archive)?, dest);
        result.map_or_else(|error| end_of(&error), |items| Ok(End::Unpacked(items)))
    })?;
    let mut without = fate(&|dest| run_plainly(program(&archive, dest)))?;
    if let End::Stopped(by) = &without.end {
        without.harm.push(format!("brought down by {by}"));
    }
    Ok(Comparison { name, size, without, with })
}

/// The end of a sandboxed call that failed, for the sandbox's reasons or for the body's own.
fn end_of(error: &io::Error) -> io::Result<End> {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<sandboxed::Error>()) else {
        return Ok(End::Failed(error.to_string()));
    };
    Ok(End::Stopped(match error.kind() {
        // No more than a hint: a worker can make it look so.
        ErrorKind::Killed { hint: Some(Hint::OutOfMemory { .. }), .. } => "out of memory".to_owned(),
        ErrorKind::Killed { signal, .. } => format!("signal {signal}"),
        ErrorKind::Panicked { message, .. } => format!("panicked: {message}"),
        ErrorKind::TimedOut { .. } => "timed out".to_owned(),
        ErrorKind::BadData { .. } | ErrorKind::Exited { .. } => error.to_string(),
        // It did not come to the call, so there is nothing to compare.
        _ => return Err(io::Error::other(error.clone())),
    }))
}

fn run_plainly(mut command: Command) -> io::Result<End> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    // A test harness may say something before.
    let result = said.lines().find_map(|line| serde_json::from_str::<Result<Vec<Item>, String>>(line).ok());
    Ok(match (result, output.status.signal()) {
        (Some(Ok(items)), _) => End::Unpacked(items),
        (Some(Err(error)), _) => End::Failed(error),
        (None, Some(signal)) => End::Stopped(format!("signal {signal}")),
        (None, None) => End::Stopped(String::from_utf8_lossy(&output.stderr).into_owned()),
    })
}

/// The other end of a `program`: prints the result, for whoever started it.
pub fn unpack_plainly(archive: &Path, dest: &Path) -> io::Result<()> {
    let result = unpack::unpack(File::open(archive)?, dest).map_err(|error| error.to_string());
    println!("{}", serde_json::to_string(&result)?);
    Ok(())
}

/// What should not be, after whatever end.
fn harm(victim: &Victim, end: &End) -> io::Result<Vec<String>> {
    let changes = victim.changes()?;
    let mut harm: Vec<String> = changes.iter().map(|path| format!("changed {}", path.display())).collect();
    let unpacked = victim.unpacked()?;
    let dangers = unpacked.values().filter_map(danger);
    harm.extend(dangers.map(|what| format!("left a {what}")));
    let bytes: u64 = unpacked.values().map(|metadata| metadata.len()).sum();
    if bytes > FLOOD {
        harm.push(format!("wrote {} MiB", bytes >> 20));
    }
    let items = if let End::Unpacked(items) = end { items.as_slice() } else { &[] };
    let secrets = [SECRET.into(), fs::read("/etc/passwd")?];
    let is_secret = |item: &&Item| {
        !item.preview.is_empty() && secrets.iter().any(|secret| secret.starts_with(&item.preview))
    };
    harm.extend(items.iter().filter(is_secret).map(|item| format!("read a secret by {}", item.name)));
    Ok(harm)
}
