//! The capabilities that a new user namespace brings go again, before a body runs.

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, remove_capability_from_bounding_set};

/// No program that is executed gets any. What is there stays for now.
pub(super) fn bound() -> Result<(), Errno> {
    for number in 0..u64::BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            // The kernel has fewer.
            Err(Errno::INVAL) => break,
            removed => removed?,
        }
    }
    rustix::thread::clear_ambient_capability_set()
}

/// Effective, permitted, inheritable.
pub(super) fn drop_all() -> Result<(), Errno> {
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )
}
