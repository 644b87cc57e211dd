//! What rustc says to functions of another type, and to counts of another type.

use sandboxed::sandboxed;

#[sandboxed(warm = with_argument)]
fn argument() {}

fn with_argument(_: u8) {}

#[sandboxed(warm = with_result)]
fn result() {}

fn with_result() -> u8 {
    1
}

#[sandboxed(warm = without_promises)]
fn safe() {}

unsafe fn without_promises() {}

#[sandboxed(workers(reuse = calls))]
fn count(calls: usize) {}

fn main() {}
