//! A pointer that a forked child does not inherit: it lives on a page that the kernel wipes in the child
//! (`MADV_WIPEONFORK`, Linux 4.14), so a child by any kind of fork is noticed without a system call.
#![allow(unsafe_code)]

use super::process::page_size;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::sync::atomic::{AtomicPtr, Ordering};

/// A pointer that reads as null in every forked child.
pub(crate) struct ForkMark<T> {
    /// Null, or a page that starts with an `AtomicPtr<T>`.
    page: AtomicPtr<AtomicPtr<T>>,
}

impl<T: Sync + Send + 'static> ForkMark<T> {
    pub(crate) const fn new() -> ForkMark<T> {
        ForkMark { page: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// This process's value, if it has one.
    pub(crate) fn get(&self) -> Option<&'static T> {
        let page = self.page.load(Ordering::Acquire);
        // SAFETY: null, or a page as below.
        let slot = unsafe { page.as_ref() }?;
        // SAFETY: null, or a leaked box, which lives for ever.
        unsafe { slot.load(Ordering::Acquire).as_ref() }
    }

    /// This process's value, made by `make` where it has none yet. What a parent had stays where it is.
    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> rustix::io::Result<&'static T> {
        let slot = self.slot()?;
        let value = slot.load(Ordering::Acquire);
        if !value.is_null() {
            // SAFETY: only the line below stores here, a leaked box, which lives for ever.
            return Ok(unsafe { &*value });
        }
        let ours = Box::into_raw(Box::new(make()));
        let value = match slot.compare_exchange(value, ours, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => ours,
            Err(first) => {
                // SAFETY: `ours` came from a box just now and was not published.
                drop(unsafe { Box::from_raw(ours) });
                first
            }
        };
        // SAFETY: it is a leaked box, ours or another thread's.
        Ok(unsafe { &*value })
    }

    fn slot(&self) -> rustix::io::Result<&'static AtomicPtr<T>> {
        let mut page = self.page.load(Ordering::Acquire);
        if page.is_null() {
            let ours = wiped_page()?.cast::<AtomicPtr<T>>();
            let stored =
                self.page.compare_exchange(std::ptr::null_mut(), ours, Ordering::AcqRel, Ordering::Acquire);
            page = stored.map_or_else(|first| first, |_| ours);
            if page != ours {
                // SAFETY: the page was mapped by us just now and was not published.
                unsafe { munmap(ours.cast(), page_size()) }?;
            }
        }
        // SAFETY: a published page is never unmapped, is zero or holds an `AtomicPtr`, of which zero is a valid
        // value, and is aligned to a page.
        Ok(unsafe { &*page })
    }
}

fn wiped_page() -> rustix::io::Result<*mut core::ffi::c_void> {
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let page = unsafe {
        mmap_anonymous(
            std::ptr::null_mut(),
            page_size(),
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    }?;
    // SAFETY: the page was mapped by us just now; the advice has no effect in this process.
    unsafe { madvise(page, page_size(), Advice::LinuxWipeOnFork) }?;
    Ok(page)
}
