//! What `thread` and `in_place` take and `process` does not, and `unsafe`.
#![deny(warnings)]

use sandboxed::sandboxed;
use std::sync::Mutex;

#[sandboxed(thread, read = "/usr/share/dict", fallible = try_spell)]
fn spell(word: &str, mut n: usize) -> bool {
    n += 1;
    word.len() == n
}

#[sandboxed(thread)]
fn longest<'a>(a: &'a str, b: &'a str) -> &'a str {
    let longer: &'a str = if a.len() > b.len() { a } else { b };
    longer
}

#[sandboxed(thread)]
fn iterator(n: u32) -> impl Iterator<Item = u32> {
    if n == 9 {
        return 0..1;
    }
    0..n
}

#[sandboxed(thread)]
fn anything(f: impl Fn() -> u32 + Send, x: &Mutex<u32>, y: &(dyn Fn() -> u32 + Sync), z: fn() -> u32) -> u32 {
    *x.lock().unwrap() += 1;
    f() + y() + z()
}

#[sandboxed(thread)]
fn never() -> ! {
    panic!()
}

#[sandboxed(in_place, thread_sync = "signal", fallible = try_lock)]
fn lock(n: u32) -> u32 {
    if n == 1 {
        return 2;
    }
    n
}

#[sandboxed(in_place, strict)]
fn locked_result<'a>(n: &'a str) -> std::io::Result<&'a str> {
    Ok(n)
}

#[sandboxed(in_place)]
fn locked_iterator() -> impl Iterator<Item = u8> {
    0..3
}

#[sandboxed(in_place)]
async fn locked_future(n: &str) -> &str {
    n
}

#[sandboxed]
unsafe fn danger(p: usize) -> usize {
    p + 1
}

#[sandboxed(fallible = try_danger)]
unsafe extern "C" fn more_danger(p: usize) -> usize {
    unsafe { danger(p) }
}

/// Never runs.
fn calls() -> Result<(), Box<dyn std::error::Error>> {
    let _ = (spell("a", 1), try_spell("a", 1)?, longest("a", "b"), iterator(1).count());
    let n = anything(|| 1, &Mutex::new(1), &|| 2, || 3);
    let _ = (lock(n), try_lock(n)?, locked_result("")?, locked_iterator().count(), locked_future(""));
    let _ = unsafe { (danger(1), more_danger(2), try_danger(3)?) };
    never()
}

pub fn main() {
    let _ = calls;
}
