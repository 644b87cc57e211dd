//! Capabilities: a worker has none, whoever started it, but what a grant cannot be used without.
//!
//! <https://man7.org/linux/man-pages/man7/capabilities.7.html>

use super::LockError;
use crate::plan::Capability;
use rustix::io::Errno;
use rustix::thread::{self, CapabilitySet, CapabilitySets};

/// The last that Linux has (`CAP_CHECKPOINT_RESTORE`) and some that it may get.
const MOST: u32 = 64;

/// Empties the bounding and ambient sets of this process, from which programs would get theirs. Not the others: what a
/// worker keeps is up to its plan. The bounding set stays where it may not be changed: without `CAP_SETPCAP` no program
/// gains by it.
pub(crate) fn empty_bounding_set() -> Result<(), LockError> {
    let failed = |what: &'static str| move |errno| LockError::new(what, errno);
    thread::clear_ambient_capability_set().map_err(failed("prctl PR_CAP_AMBIENT"))?;
    if !thread::capabilities(None).map_err(failed("capget"))?.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    for number in 0..MOST {
        match thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // Past the last.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(LockError::new("prctl PR_CAPBSET_DROP", errno)),
        }
    }
    Ok(())
}

/// Gives up all capabilities of the calling thread but these.
pub(crate) fn keep_only(kept: &[Capability]) -> Result<(), LockError> {
    let has = thread::capabilities(None).map_err(|errno| LockError::new("capget", errno))?;
    let kept: CapabilitySet = kept.iter().map(|capability| set(*capability)).collect();
    let kept = has.permitted & kept;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    if has == sets {
        return Ok(());
    }
    thread::set_capabilities(None, sets).map_err(|errno| LockError::new("capset", errno))
}

fn set(capability: Capability) -> CapabilitySet {
    match capability {
        Capability::Mknod => CapabilitySet::MKNOD,
        Capability::NetBindService => CapabilitySet::NET_BIND_SERVICE,
    }
}
