//! Sets a worker's resource limits, once and for good (`setrlimit(2)`).

use crate::plan::Limits;
use crate::sys::process;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// A worker's stdin, stdout, stderr and the channel to its host.
const OWN: u64 = 4;
/// Timers and queued signals, which the kernel counts by user: a worker must not take those of its host.
const PENDING: u64 = 1024;

/// What the program had mapped before any body, in bytes; 0 where that cannot be told.
static MAPPED: AtomicU64 = AtomicU64::new(0);

/// Looks at what is mapped, in the forkserver: the program, its libraries, and what its allocator reserves ahead (for
/// mimalloc a GiB, by which a limit of as much would leave nothing).
pub(crate) fn note_mapped() {
    if let Ok(statm) = std::fs::File::open("/proc/self/statm") {
        note_mapped_in(statm);
    }
}

/// Likewise, of a file that was opened while it could be.
pub(crate) fn note_mapped_in(mut statm: impl io::Read) {
    let mut text = String::new();
    // What cannot be told leaves what was known.
    if statm.read_to_string(&mut text).is_err() {
        return;
    }
    let pages = text.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
    let page: u64 = process::page_size().try_into().unwrap_or(0);
    MAPPED.store(page.saturating_mul(pages), Ordering::Relaxed);
}

/// So many bytes more were mapped, for us.
pub(crate) fn note_also(bytes: usize) {
    MAPPED.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// Sets all of them but that of [descriptors](OpenFiles). The channel has a window of so many bytes.
pub(crate) fn apply(limits: &Limits, window: usize) -> io::Result<()> {
    // 0 would not keep a core dump from a program that the kernel starts for it (core(5)).
    set(Resource::Core, 1)?;
    // In whole seconds, as the kernel counts; finer, the forkserver does.
    let seconds = limits.cpu.map(|limit| limit.as_secs().saturating_add(1));
    let mapped = MAPPED.load(Ordering::Relaxed).saturating_add(crate::wire::mapped(window) as u64);
    let limits = [
        (Resource::As, limits.memory.map(|most| most.saturating_add(mapped))),
        (Resource::Cpu, seconds),
        (Resource::Fsize, limits.file_size),
        (Resource::Sigpending, limits.memory.map(|_| PENDING)),
    ];
    for (resource, most) in limits.into_iter().filter_map(|(resource, most)| Some((resource, most?))) {
        set(resource, most)?;
        if resource == Resource::Fsize {
            process::ignore_too_long_files();
        }
    }
    Ok(())
}

/// The limit of descriptors for a call, soft and hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenFiles {
    soft: u64,
    hard: u64,
}

impl OpenFiles {
    /// `handed_over` are those that its body finds beside the worker's own. A call that is not the last leaves room for as
    /// many as the next may bring.
    pub(crate) fn new(limits: &Limits, handed_over: &VecDeque<OwnedFd>, last: bool) -> Option<OpenFiles> {
        let most = first_too_many(limits.open_files?, handed_over);
        let next = if last { 0 } else { 1 + crate::wire::MOST_FDS as u64 };
        Some(OpenFiles { soft: most.saturating_add(u64::from(!last)), hard: most.saturating_add(next) })
    }

    /// Has room for the descriptors of the next call, under a limit that was set for the one before: they are counted when
    /// they arrive.
    pub(crate) fn make_room() -> io::Result<()> {
        let maximum = getrlimit(Resource::Nofile).maximum;
        Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
    }

    /// What is lower already stays.
    pub(crate) fn set(self) -> io::Result<()> {
        let present = getrlimit(Resource::Nofile).maximum;
        let [current, maximum] =
            [self.soft, self.hard].map(|most| Some(present.map_or(most, |present| present.min(most))));
        Ok(setrlimit(Resource::Nofile, Rlimit { current, maximum })?)
    }
}

/// Soft and hard in one. A limit that is lower already stays: only privileges could raise it.
fn set(resource: Resource, most: u64) -> io::Result<()> {
    let most = Some(getrlimit(resource).maximum.map_or(most, |present| present.min(most)));
    Ok(setrlimit(resource, Rlimit { current: most, maximum: most })?)
}

/// The kernel compares the number of a new descriptor, which is the lowest that is free.
fn first_too_many(most: u64, handed_over: &VecDeque<OwnedFd>) -> u64 {
    let mut taken: Vec<u64> = handed_over.iter().map(|fd| fd.as_raw_fd().unsigned_abs().into()).collect();
    taken.sort_unstable();
    // Those below are in the way, so that the limit is further up.
    taken
        .into_iter()
        .fold(OWN.saturating_add(most), |limit, number| limit.saturating_add(u64::from(number < limit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::OFlags;

    #[test]
    fn descriptors_that_are_there_do_not_count() {
        let opened = || rustix::fs::open("/", OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
        let at = |number| rustix::io::fcntl_dupfd_cloexec(opened(), number).unwrap();
        let (near, far) = (at(100), at(500));
        assert_eq!(first_too_many(10, &VecDeque::new()), 14);
        let between = u64::from(near.as_raw_fd().unsigned_abs());
        let both = VecDeque::from([far, near]);
        assert_eq!(first_too_many(between - OWN, &both), between, "below both");
        assert_eq!(first_too_many(between - OWN + 1, &both), between + 2, "over the first");
        assert_eq!(first_too_many(1000, &both), 1006);
        assert_eq!(first_too_many(u64::MAX, &both), u64::MAX);
    }
}
