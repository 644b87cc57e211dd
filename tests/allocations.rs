//! What a call allocates in the host.
#![allow(unsafe_code, reason = "an allocator that counts")]

use sandboxed::{Error, sandboxed};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// How often this thread has asked for memory.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: the system's allocator does all of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: what the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[sandboxed(workers(reuse = 10_000))]
fn add(a: u32, b: u32) -> Result<u32, Error> {
    Ok(a + b)
}

#[sandboxed(workers(reuse = 10_000))]
fn length(text: &str) -> Result<String, Error> {
    Ok(text.len().to_string())
}

/// How many allocations so many calls take, once what lasts is there.
fn counted(calls: u64, call: impl Fn()) -> u64 {
    (0..100).for_each(|_| call());
    let before = COUNT.get();
    (0..calls).for_each(|_| call());
    COUNT.get() - before
}

#[test]
fn a_small_call_allocates_nothing_but_its_result() {
    let of_add = counted(1000, || assert_eq!(add(2, 3).unwrap(), 5));
    assert!(of_add <= 5, "{of_add} allocations in 1000 calls");
    // The string.
    let of_length = counted(1000, || assert_eq!(length("four").unwrap(), "4"));
    assert!((1000..=1005).contains(&of_length), "{of_length} allocations in 1000 calls");
}
