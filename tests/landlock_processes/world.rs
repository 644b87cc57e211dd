//! Processes to reach.

use crate::acts::Pids;
use crate::sys;
use sandboxed::{Placement, sandboxed};
use std::io::{PipeWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::OnceLock;

pub struct World {
    pub placement: Placement,
    pub pids: Pids,
    /// The bystander ends with it.
    _until: PipeWriter,
}

impl World {
    pub fn new(placement: Placement) -> World {
        let (sibling, forkserver) = sibling(placement);
        let (bystander, until) = sys::fork_and_wait().expect("a child");
        let host = std::process::id().cast_signed();
        let pids = Pids { host, forkserver, sibling, bystander, old_thread: 0, children: Vec::new() };
        World { placement, pids, _until: until }
    }

    /// In a worker the one, where the process is the table's own the other.
    pub fn in_worker<T>(&self, then: T, otherwise: T) -> T {
        if self.placement == Placement::Process { then } else { otherwise }
    }
}

/// This program, which every user may execute.
pub fn program() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// A worker that waits until its host ends, and its parent.
fn sibling(placement: Placement) -> (i32, i32) {
    static SIBLING: OnceLock<(i32, i32)> = OnceLock::new();
    *SIBLING.get_or_init(|| {
        let (host, theirs) = UnixStream::pair().unwrap();
        let mut host = Some(host);
        match placement {
            // There must be one thread, so a child calls. Its copy of our end would keep the worker.
            Placement::InPlace => {
                let _child = sys::fork(|| {
                    drop(host.take());
                    wait(theirs);
                });
            }
            Placement::Process | Placement::Thread => drop(std::thread::spawn(|| wait(theirs))),
        }
        let mut host = host.unwrap();
        let mut pids = [[0; 4]; 2];
        pids.iter_mut().for_each(|pid| host.read_exact(pid).unwrap());
        // Kept open for as long as this process lives.
        std::mem::forget(host);
        let [worker, forkserver] = pids.map(i32::from_ne_bytes);
        (worker, forkserver)
    })
}

// Also where there is no Landlock.
#[sandboxed(timeout = "never", best_effort)]
fn wait(mut host: UnixStream) {
    let parent = std::os::unix::process::parent_id();
    host.write_all(&[std::process::id().to_ne_bytes(), parent.to_ne_bytes()].concat()).unwrap();
    // Ends with the host.
    assert_eq!(host.read(&mut [0]).unwrap(), 0);
}
