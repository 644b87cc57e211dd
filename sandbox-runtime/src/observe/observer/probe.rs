//! A process in the very ruleset of the sandbox, which tries what the observed tried: of several rights that an open
//! needs, which one is lacking.

use super::path::Found;
use crate::enforce::Locks;
use crate::policy::Access;
use crate::sys::process::{Fork, exit_now, fork, wait_for};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;

/// Leaves the rights that are lacking, where that can be found out.
pub(super) fn narrow(rights: &mut Vec<Access>, found: &Found, ruleset: &OwnedFd) {
    const READS: u8 = 1;
    const WRITES: u8 = 2;
    if rights.len() < 2 || !found.is_there() {
        return;
    }
    let Ok(forked) = fork() else { return };
    let Fork::Parent(pid) = forked else {
        let restricted = rustix::thread::set_no_new_privs(true).is_ok() && Locks::take_on(ruleset).is_ok();
        let may = |flags| found.open(flags).is_some_and(|opened| opened.is_ok());
        let read = if may(OFlags::RDONLY) { READS } else { 0 };
        let written = if may(OFlags::WRONLY) { WRITES } else { 0 };
        exit_now(if restricted { i32::from(read | written) } else { 100 })
    };
    let Some(may) = wait_for(pid).and_then(|code| u8::try_from(code).ok()).filter(|may| *may < 4) else {
        return;
    };
    let is_allowed = |right: Access| match right {
        Access::READ_FILE | Access::READ_DIR => may & READS != 0,
        Access::WRITE_FILE => may & WRITES != 0,
        _ => false,
    };
    let lacking: Vec<Access> = rights.iter().copied().filter(|right| !is_allowed(*right)).collect();
    // Not truncating, if it is opened for neither.
    let lacking = match lacking.iter().any(|right| *right != Access::TRUNCATE) {
        true => lacking.into_iter().filter(|right| *right != Access::TRUNCATE).collect(),
        false => lacking,
    };
    if !lacking.is_empty() {
        *rights = lacking;
    }
}
