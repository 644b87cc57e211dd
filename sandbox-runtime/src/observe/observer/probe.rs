//! A process in the very ruleset of the sandbox, which tries what the observed tried: whether it is Landlock that refuses,
//! and which of several rights is lacking.

use super::path::Found;
use crate::enforce::Locks;
use crate::policy::Access;
use crate::sys::process::{Fork, exit_now, fork, may_execute, wait_for};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;

/// Which right, and on which file: by its name, its device and number, and when who may what was changed last.
type Question = (Access, PathBuf, [u64; 4]);

/// So many answers are kept.
const MOST_KNOWN: usize = 1000;

pub(super) struct Probe {
    ruleset: OwnedFd,
    known: RefCell<HashMap<Question, Option<bool>>>,
}

impl Probe {
    pub(super) fn new(ruleset: OwnedFd) -> Probe {
        Probe { ruleset, known: RefCell::default() }
    }

    /// Whether a right on a file is refused; `None` where that cannot be tried without effects.
    pub(super) fn refuses(&self, right: Access, found: &Found) -> Option<bool> {
        let stat = rustix::fs::fstat(found.file.as_ref().ok()?).ok()?;
        if !is_tried(right, FileType::from_raw_mode(stat.st_mode)) {
            return None;
        }
        let identity = [stat.st_dev, stat.st_ino, stat.st_ctime as u64, stat.st_ctime_nsec as u64];
        let question = (right, found.shown.clone(), identity);
        if let Some(answer) = self.known.borrow().get(&question) {
            return *answer;
        }
        let answer = self.ask(right, found);
        let mut known = self.known.borrow_mut();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(question, answer);
        answer
    }

    fn ask(&self, right: Access, found: &Found) -> Option<bool> {
        const ALLOWED: i32 = 0;
        const REFUSED: i32 = 1;
        const UNKNOWN: i32 = 2;
        let Fork::Parent(pid) = fork().ok()? else {
            let is_inside =
                rustix::thread::set_no_new_privs(true).is_ok() && Locks::take_on(&self.ruleset).is_ok();
            exit_now(match is_inside.then(|| tried(right, found)) {
                Some(Some(Ok(()))) => ALLOWED,
                Some(Some(Err(Errno::ACCESS))) => REFUSED,
                _ => UNKNOWN,
            })
        };
        match wait_for(pid)? {
            ALLOWED => Some(false),
            REFUSED => Some(true),
            _ => None,
        }
    }
}

/// Without effects.
fn is_tried(right: Access, kind: FileType) -> bool {
    const TRIED: [Access; 4] = [Access::READ_FILE, Access::READ_DIR, Access::WRITE_FILE, Access::EXECUTE];
    TRIED.contains(&right) && matches!(kind, FileType::RegularFile | FileType::Directory)
}

fn tried(right: Access, found: &Found) -> Option<Result<(), Errno>> {
    let opened = |flags| found.open(flags).map(|opened| opened.map(drop));
    match right {
        Access::EXECUTE => Some(may_execute(found.file.as_ref().ok()?.as_fd())),
        Access::WRITE_FILE => opened(OFlags::WRONLY),
        _ => opened(OFlags::RDONLY),
    }
}
