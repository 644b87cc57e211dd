//! A file for a result, whose memory is made ahead of the call: bit by bit, so that nobody waits for it.

use crate::sys::process::now;
use crate::sys::shared::{HUGE, make_huge};
use crate::wire::Slots;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FallocateFlags, fallocate};
use std::sync::atomic::Ordering;

/// How much is made at once, in bytes: some 100 µs of work in huge pages, and 500 µs in small ones.
const BIT: u64 = HUGE as u64;

pub(super) struct Stock {
    file: OwnedFd,
    number: u32,
    length: u64,
    touched: u64,
    since: u64,
}

impl Stock {
    pub(super) fn new(file: OwnedFd, number: u32, length: u64) -> Stock {
        Stock { file, number, length, touched: 0, since: now() }
    }

    /// Whether there is more to do.
    pub(super) fn is_busy(&self) -> bool {
        self.touched < self.length
    }

    /// Does some of it.
    pub(super) fn go_on(&mut self) {
        let left = self.length - self.touched;
        if left >= HUGE as u64 && make_huge(self.file.as_fd(), self.touched, HUGE).is_ok() {
            self.touched += HUGE as u64;
            return;
        }
        let bit = BIT.min(left);
        // Where there is no memory the worker will have to find some.
        match fallocate(&self.file, FallocateFlags::empty(), self.touched, bit) {
            Ok(()) => self.touched += bit,
            Err(_) => self.length = self.touched,
        }
    }

    /// Whether the host has not used it yet. If it does not for so long, the memory is given back.
    pub(super) fn is_kept(&self, slots: &Slots, most: u64) -> bool {
        let stocked = slots.stocked();
        if stocked.load(Ordering::SeqCst) != self.number {
            return false;
        }
        let is_due = now().saturating_sub(self.since) >= most;
        let given_up =
            is_due && stocked.compare_exchange(self.number, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if given_up {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(&self.file, flags, 0, self.length.next_multiple_of(HUGE as u64)).unwrap_or_default();
        }
        !given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory_of(file: &OwnedFd) -> i64 {
        rustix::fs::fstat(file).unwrap().st_blocks * 512
    }

    #[test]
    fn memory_is_made_and_given_back_where_nobody_uses_it() {
        let slots = Slots::new().unwrap().0;
        let length = 2 * HUGE as u64 + 10_000;
        for (number, most, is_kept, left) in
            [(1, u64::MAX, true, length), (2, 0, false, 0), (3, 0, false, length)]
        {
            let file = crate::bytes::result::make(8 << 20).unwrap();
            let mut stock = Stock::new(file.try_clone().unwrap(), number, length);
            // The last is in use by then.
            slots.stocked().store(if number == 3 { 0 } else { number }, Ordering::SeqCst);
            while stock.is_busy() {
                stock.go_on();
            }
            assert_eq!(stock.is_kept(&slots, most), is_kept, "{number}");
            assert_eq!(memory_of(&file), left.next_multiple_of(4096).cast_signed(), "{number}");
            assert_eq!(slots.stocked().load(Ordering::SeqCst), if is_kept { number } else { 0 });
        }
    }
}
