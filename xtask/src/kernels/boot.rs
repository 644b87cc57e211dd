//! One guest, from its boot to its end.

use super::record::{Extent, Record};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a guest may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(900);
const MEMORY: &str = "2048"; // MiB

/// What an emulated kernel had better leave out, AppArmor and the like among it: it saves a third of the time. (A
/// later `lsm=` wins.)
const FAST: &str = "mitigations=off kfence.sample_interval=0 nokaslr transparent_hugepage=never init_on_alloc=0 random.trust_cpu=on \
                    lsm=landlock,lockdown,yama,integrity,bpf";

/// What a guest said.
#[derive(Debug)]
pub struct Boot {
    pub records: Vec<Record>,
    /// The kernel's log, warnings and worse.
    pub console: String,
    pub qemu: String,
    pub took: Duration,
}

/// What to boot.
#[derive(Debug)]
pub struct Machine<'a> {
    pub image: &'a Path,
    pub initramfs: &'a Path,
    pub series: &'a str,
    pub extent: Extent,
    /// More of the kernel's command line.
    pub command_line: &'a str,
}

/// Boots a kernel, and waits for its end.
pub fn boot(machine: &Machine<'_>, scratch: &Path) -> Result<Boot> {
    let Machine { image, initramfs, series, extent, command_line } = machine;
    let [console, records, errors] = ["console", "records", "qemu"].map(|name| scratch.join(name));
    let start = Instant::now();
    let mut command = Command::new("qemu-system-x86_64");
    // Emulated, so that it is the same everywhere. With one processor: some kernels fail on two that are emulated.
    command.args(["-accel", "tcg,thread=single", "-cpu", "max,-la57", "-smp", "1", "-m", MEMORY, "-M", "pc"]);
    // The guest's clock counts its instructions (4 ns each) and skips what it idles: a busy host makes no test time
    // out, and waiting costs nothing.
    command.args(["-icount", "shift=2,sleep=off"]);
    command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
    for file in [&console, &records] {
        command.arg("-serial").arg(format!("file:{}", file.display()));
    }
    command.arg("-kernel").arg(image).arg("-initrd").arg(initramfs).arg("-append").arg(format!(
        "console=ttyS0 loglevel=5 panic=-1 {FAST} {command_line} rdinit=/xtask -- guest {series} {}",
        extent.word()
    ));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&errors)?);
    let mut qemu = command.spawn().context("cannot run qemu-system-x86_64 (the package qemu-system-x86)")?;
    while qemu.try_wait()?.is_none() {
        if start.elapsed() > PATIENCE {
            qemu.kill()?;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let text =
        |path: &PathBuf| -> Result<String> { Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned()) };
    // The last line may have been cut short; then there is no end among the records.
    let records = text(&records)?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Ok(Boot { records, console: text(&console)?, qemu: text(&errors)?, took: start.elapsed() })
}

impl Boot {
    /// Whether the kernel itself failed.
    pub fn kernel_failed(&self) -> bool {
        ["BUG:", "Oops", "Kernel panic", "general protection fault:"]
            .iter()
            .any(|sign| self.console.contains(sign))
    }
}
