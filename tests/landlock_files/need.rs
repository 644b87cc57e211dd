//! What a row needs of the machine, and why it does not run where that is missing.

use crate::{mounts, sys};
use sandboxed::kernel;

/// What a row needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Root,
    Mounts,
    Overlay,
    /// The kernel says that this erratum is fixed.
    Fixed(u32),
    /// It does not say so.
    Unfixed(u32),
    FileSystem(&'static str),
    /// No CAP_PERFMON, with which Linux lets a process read of others before any security module is asked
    /// (`may_access_mm`, since 6.15).
    NoPerfmon,
}

impl Need {
    /// Why the row cannot run here.
    pub fn missing(self) -> Option<String> {
        let fixed = |erratum: u32| kernel().errata & (1 << (erratum - 1)) != 0;
        let found = mounts::found();
        let errno = |errno: i32| std::io::Error::from_raw_os_error(errno);
        match self {
            Need::Root if !sys::is_root() => Some("needs root".into()),
            Need::Mounts if found.namespace != 0 => {
                Some(format!("needs a mount namespace of its own, or root: {}", errno(found.namespace)))
            }
            Need::Overlay if found.overlay != 0 => {
                Some(format!("needs overlayfs, which cannot be mounted here: {}", errno(found.overlay)))
            }
            Need::Fixed(erratum) if !fixed(erratum) => {
                Some(format!("needs the fix of erratum {erratum}, which this kernel does not name"))
            }
            Need::Unfixed(erratum) if fixed(erratum) => {
                Some(format!("is for kernels without the fix of erratum {erratum}"))
            }
            Need::FileSystem(kind) if !has_file_system(kind) => {
                Some(format!("needs {kind}, which this kernel does not have"))
            }
            Need::NoPerfmon if has_perfmon() => Some(
                "is for processes without CAP_PERFMON, whom new kernels let read before Landlock is asked"
                    .into(),
            ),
            _ => None,
        }
    }
}

fn has_perfmon() -> bool {
    const CAP_PERFMON: u32 = 38;
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("/proc is mounted");
    let effective =
        status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("it has capabilities");
    u64::from_str_radix(effective.trim(), 16).expect("a number") & (1 << CAP_PERFMON) != 0
}

fn has_file_system(kind: &str) -> bool {
    let known = std::fs::read_to_string("/proc/filesystems").expect("/proc is mounted");
    known.lines().any(|line| line.split_whitespace().last() == Some(kind))
}
