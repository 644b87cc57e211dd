//! In the guest: the first process, which sets the system up and takes in orphans, and the runner of the tests.

use super::record::{Ended, Extent, JOB, Job, MODULES, RUNNER, Record, Run, Test, User};
use super::sys;
use anyhow::{Context, Result, bail, ensure};
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, init_module, reboot};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The serial line for records; the first is the kernel's.
const RECORDS: &str = "/dev/ttyS1";
/// How long a binary may take: many times what the slowest does.
const PATIENCE: Duration = Duration::from_secs(120);
/// The most of a binary's output that is reported, from its end.
const MOST_OUTPUT: usize = 1 << 20;
const NOBODY: u32 = 65534;

/// Input: the series of the kernel and how much to do; in the runner also what is missing.
pub fn main(arguments: &[String]) -> Result<bool> {
    let [series, extent, missing @ ..] = arguments else { bail!("which kernel, and how much of the tests?") };
    // Elsewhere it would change the machine.
    ensure!(Path::new(JOB).exists(), "not in a guest");
    if std::process::id() != 1 {
        return run(extent == Extent::Whole.word(), missing).map(|()| true);
    }
    let missing = set_up(series);
    let done =
        Command::new(RUNNER).args(["guest", series, extent]).args(missing).spawn().map(reap_until_it_ends);
    if let Err(error) = done {
        eprintln!("the runner: {error}");
    }
    reboot(RebootCommand::Restart).context("reboot")?;
    Ok(true)
}

/// Mounts and the like; what does not work here is returned.
fn set_up(series: &str) -> Vec<String> {
    let mut missing = Vec::new();
    let mut attempt = |what: &str, done: Result<()>| {
        if let Err(error) = done {
            missing.push(format!("{what}: {error:#}"));
        }
    };
    for (kind, place, data) in [
        ("proc", "/proc", c""),
        ("sysfs", "/sys", c""),
        ("devtmpfs", "/dev", c""),
        ("securityfs", "/sys/kernel/security", c""),
        ("devpts", "/dev/pts", c"ptmxmode=0666"),
        ("tmpfs", "/dev/shm", c"mode=1777"),
    ] {
        attempt(place, mounted(kind, place, data));
    }
    for (link, target) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        let link = Path::new("/dev").join(link);
        if !link.exists() {
            attempt("/dev", symlink(format!("/proc/self/{target}"), link).map_err(Into::into));
        }
    }
    attempt("lo", sys::loopback_up().map_err(Into::into));
    let modules = Path::new(MODULES).join(series);
    attempt("overlay.ko", load(&modules.join("overlay.ko")));
    missing
}

fn mounted(kind: &str, place: &str, data: &std::ffi::CStr) -> Result<()> {
    fs::create_dir_all(place)?;
    Ok(mount(kind, place, kind, MountFlags::empty(), data)?)
}

fn load(module: &Path) -> Result<()> {
    ensure!(module.exists(), "the archive has the kernel and no longer its modules");
    Ok(init_module(&fs::read(module)?, c"")?)
}

/// Every process that loses its parent becomes a child of the first, which must ask for its end.
fn reap_until_it_ends(runner: Child) {
    let runner = i32::try_from(runner.id()).ok();
    while let Ok(Some((ended, _))) = rustix::process::wait(rustix::process::WaitOptions::empty()) {
        if Some(ended.as_raw_pid()) == runner {
            return;
        }
    }
}

fn run(whole: bool, missing: &[String]) -> Result<()> {
    let mut records = OpenOptions::new().write(true).open(RECORDS)?;
    let mut say = |record: &Record| -> Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        Ok(records.write_all(&line)?)
    };
    let (abi, errata) = sys::landlock();
    say(&Record::Kernel { abi, errata, missing: missing.to_vec() })?;
    let job: Job = serde_json::from_slice(&fs::read(JOB)?)?;
    for user in &job.users {
        for test in &job.tests {
            let mut test = test.clone();
            if !whole {
                test.skip.append(&mut test.at_ends);
            }
            if test.skip.iter().all(|part| !part.is_empty()) {
                say(&Record::Run(run_one(&test, *user, &job.arguments)?))?;
            }
        }
    }
    say(&Record::End)
}

fn run_one(test: &Test, user: User, arguments: &[String]) -> Result<Run> {
    // Files, so that a process that is left behind holds nothing up.
    let [stdout, stderr] = ["/run/stdout", "/run/stderr"];
    let mut command = Command::new(&test.path);
    command
        .arg("--show-output")
        .args(test.skip.iter().flat_map(|part| ["--skip", part]))
        .args(arguments)
        .current_dir(&test.directory);
    command.stdin(Stdio::null()).stdout(File::create(stdout)?).stderr(File::create(stderr)?);
    command.env_clear().env("PATH", "/usr/bin").env("HOME", "/").env("TMPDIR", "/tmp");
    // Storms, whose more is for a machine that is not emulated.
    command.env("SANDBOXED_TEST_REPETITIONS", "3");
    command.process_group(0);
    if user == User::Nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
    let start = Instant::now();
    let (ended, hung) = match command.spawn() {
        Ok(child) => ending(child)?,
        Err(error) => (Ended::NotStarted(error.to_string()), String::new()),
    };
    let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let [stdout, stderr] = [end_of(stdout)?, end_of(stderr)? + &hung];
    Ok(Run { test: test.name.clone(), user, ended, milliseconds, stdout, stderr })
}

/// Waits for a binary's end; of one that hangs, says what its processes do.
fn ending(mut child: Child) -> Result<(Ended, String)> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            let signal = || Ended::Signal(status.signal().unwrap_or(0));
            return Ok((status.code().map_or_else(signal, Ended::Exit), String::new()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let hung = threads();
    let group = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL)?;
    child.wait()?;
    Ok((Ended::Hung(PATIENCE.as_secs()), hung))
}

/// What every thread of the guest's programs does: its name, its state and time, the system call it is in, and where in the
/// kernel it waits.
fn threads() -> String {
    let mut text = String::new();
    // One may be gone when it is looked at.
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = process.path();
        // Threads of the kernel have no command line.
        if fs::read(path.join("cmdline")).is_ok_and(|line| !line.is_empty()) {
            for thread in fs::read_dir(path.join("task")).into_iter().flatten().flatten() {
                let read = |file| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
                let (stat, call, stack) = (read("stat"), read("syscall"), read("stack"));
                let stat: Vec<&str> = stat.split(' ').take(15).collect();
                text += &format!("{}: {}\n  in {call}{stack}", thread.path().display(), stat.join(" "));
            }
        }
    }
    text
}

fn end_of(file: &str) -> Result<String> {
    let content = fs::read(file)?;
    Ok(String::from_utf8_lossy(&content[content.len().saturating_sub(MOST_OUTPUT)..]).into_owned())
}
