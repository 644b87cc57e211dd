//! What a guest has: one archive for all kernels, made of this machine's own files. Everything lies where it lies
//! here, so that what tests have compiled in is right.

use super::apt::output;
use super::fetch::Kernel;
use super::newc::Archive;
use super::record::{JOB, Job, MODULES, RUNNER};
use super::suite::Suite;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs that tests start.
const TOOLS: &[&str] = &["cat", "cp", "env", "false", "sh", "true", "unshare"];
/// Files that tests look at, where this machine has them.
const FILES: &[&str] = &["/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/protocols", "/etc/services"];

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n";

/// Writes the archive; `scratch` holds what is made for it.
pub fn write(
    to: &Path,
    scratch: &Path,
    workspace: &Path,
    suite: &Suite,
    job: &Job,
    kernels: &[Kernel],
) -> Result<()> {
    let mut guest = Guest { archive: Archive::new(BufWriter::new(File::create(to)?)), scratch };
    guest.skeleton()?;
    // Not by its path: cargo may have built this program anew since it was started.
    guest.program(&PathBuf::from(format!("/proc/{}/exe", std::process::id())), Path::new(RUNNER))?;
    for test in &suite.tests {
        guest.program(Path::new(&test.path), Path::new(&test.path))?;
        guest.archive.directory(Path::new(&test.directory), 0o755)?;
    }
    for program in &suite.programs {
        guest.program(program, program)?;
    }
    for tool in TOOLS {
        let there = find_tool(tool).with_context(|| format!("no program {tool} in /usr/bin"))?;
        guest.program(&there, &Path::new("/usr/bin").join(tool))?;
    }
    for kernel in kernels {
        for module in &kernel.modules {
            let directory = Path::new(MODULES).join(&kernel.series);
            guest.file(module, &directory.join(module.file_name().unwrap_or_default()))?;
        }
    }
    guest.file(&workspace.join("README.md"), &workspace.join("README.md"))?;
    guest.archive.file(Path::new(JOB), 0o644, &serde_json::to_vec(job)?)?;
    guest.archive.finish()?.into_inner().map_err(|error| error.into_error())?;
    Ok(())
}

struct Guest<'a> {
    archive: Archive<BufWriter<File>>,
    scratch: &'a Path,
}

impl Guest<'_> {
    fn skeleton(&mut self) -> Result<()> {
        for link in ["bin", "lib", "lib64", "sbin"] {
            self.archive.symlink(&Path::new("/").join(link), &format!("usr/{link}"))?;
        }
        for directory in
            ["dev", "etc", "home", "proc", "root", "run", "sys", "usr/bin", "usr/lib", "usr/lib64"]
        {
            self.archive.directory(&Path::new("/").join(directory), 0o755)?;
        }
        for directory in ["/tmp", "/var/tmp"] {
            self.archive.directory(Path::new(directory), 0o1777)?;
        }
        for (name, text) in [
            ("passwd", PASSWD),
            ("group", GROUP),
            ("hosts", HOSTS),
            ("hostname", "guest\n"),
            ("resolv.conf", ""),
        ] {
            self.archive.file(&Path::new("/etc").join(name), 0o644, text.as_bytes())?;
        }
        for file in FILES.iter().map(Path::new).filter(|file| file.exists()) {
            self.file(file, file)?;
        }
        Ok(())
    }

    fn file(&mut self, from: &Path, to: &Path) -> Result<()> {
        let content = fs::read(from).with_context(|| from.display().to_string())?;
        Ok(self.archive.file(&in_guest(to), 0o644, &content)?)
    }

    /// A program or library without what debuggers want, and the libraries that it needs.
    fn program(&mut self, from: &Path, to: &Path) -> Result<()> {
        let stripped = self.scratch.join("stripped");
        output(Command::new("strip").arg("-o").arg(&stripped).arg(from))?;
        self.archive.file(&in_guest(to), 0o755, &fs::read(&stripped)?)?;
        for library in libraries(from)? {
            let content = fs::read(&library).with_context(|| library.display().to_string())?;
            self.archive.file(&in_guest(&library), 0o755, &content)?;
        }
        Ok(())
    }
}

/// A path whose directories are no links that the guest has too.
fn in_guest(path: &Path) -> PathBuf {
    let is_linked = ["/bin", "/lib", "/lib64", "/sbin"].iter().any(|link| path.starts_with(link));
    if is_linked { Path::new("/usr").join(path.strip_prefix("/").unwrap_or(path)) } else { path.to_owned() }
}

fn find_tool(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        .iter()
        .map(|place| Path::new(place).join(name))
        .find(|path| path.exists())
}

fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    // It fails for what is linked statically, which needs none.
    let said = Command::new("ldd").arg(program).output().context("cannot run ldd")?;
    Ok(paths(&String::from_utf8_lossy(&said.stdout)))
}

/// Input: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f...)` and `/lib64/ld-linux-x86-64.so.2 (0x7f...)`.
fn paths(ldd: &str) -> Vec<PathBuf> {
    ldd.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_those_that_ldd_found() {
        let said = "\tlinux-vdso.so.1 (0x00007f14102ea000)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x0)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f14102ec000)\n";
        let found = paths(said).iter().map(|path| in_guest(path)).collect::<Vec<_>>();
        let expected = ["/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(found, expected.map(PathBuf::from));
        assert_eq!(in_guest(Path::new("/library/x")), Path::new("/library/x"));
    }
}
