//! The sandboxed functions.

use crate::jobs;
use sandboxed::{Bytes, BytesMut, sandboxed};

/// In a thread that restricts itself.
#[sandboxed(thread)]
pub fn add_in_thread(a: u32, b: u32) -> u32 {
    jobs::add(a, b)
}

/// In a fresh process for every call.
pub mod fresh {
    use super::{jobs, sandboxed, spin};

    #[sandboxed]
    pub fn add(a: u32, b: u32) -> u32 {
        jobs::add(a, b)
    }

    #[sandboxed]
    pub fn decode(png: &[u8]) -> Vec<u8> {
        jobs::decode(png)
    }

    #[sandboxed]
    pub fn compute(rounds: u32) -> u32 {
        spin(rounds)
    }
}

// Input:   (reuse = 9) fn add(a: u32, b: u32) -> u32 { a + b }
// Output:  #[sandboxed(workers(reuse = 9))] pub fn add(a: u32, b: u32) -> u32 { a + b }
macro_rules! workers {
    ($(($($keys:tt)*) fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block)*) => {
        $(#[sandboxed(workers($($keys)*))]
        pub fn $name($($argument: $type),*) -> $result $body)*
    };
}

/// In a process that serves many calls.
pub mod reused {
    use super::{Bytes, jobs, reversed, sandboxed, spin};

    workers! {
        (reuse = 1000000, spare = 2, max = 8) fn add(a: u32, b: u32) -> u32 { jobs::add(a, b) }
        (reuse = 1000000, spare = 2, max = 8) fn crc32(bytes: &[u8]) -> u32 { jobs::crc32(bytes) }
        (reuse = 1000000, spare = 2, max = 8) fn reverse(bytes: &[u8]) -> Vec<u8> { jobs::reverse(bytes) }
        (reuse = 1000000, spare = 2, max = 8) fn reverse_in_place(bytes: &[u8]) -> Bytes { reversed(bytes) }
        (reuse = 1000000, spare = 2, max = 8) fn reverse_shared(bytes: &Bytes) -> Bytes { reversed(bytes) }
        (reuse = 1000000, spare = 2, max = 8) fn decode(png: &[u8]) -> Vec<u8> { jobs::decode(png) }
        (reuse = 1000000, spare = 2, max = 8) fn compute(rounds: u32) -> u32 { spin(rounds) }
        (reuse = 1000000, spare = 2, max = 8) fn process() -> u32 { std::process::id() }
    }
}

/// With so many processes ready.
pub mod spares {
    use super::{jobs, sandboxed};

    workers! {
        (spare = 1) fn add_with_1(a: u32, b: u32) -> u32 { jobs::add(a, b) }
        (spare = 16, max = 256) fn add_with_16(a: u32, b: u32) -> u32 { jobs::add(a, b) }
        (spare = 256, max = 256) fn add_with_256(a: u32, b: u32) -> u32 { jobs::add(a, b) }
    }
}

/// As [`jobs::reverse`], into memory that crosses without a copy.
fn reversed(bytes: &[u8]) -> Bytes {
    let mut reversed = BytesMut::zeroed(bytes.len());
    reversed.iter_mut().zip(bytes.iter().rev()).for_each(|(to, from)| *to = *from);
    reversed.freeze()
}

/// Computes and nothing else.
pub fn spin(rounds: u32) -> u32 {
    (0..rounds).fold(1, |state, round| std::hint::black_box(state ^ round).rotate_left(5))
}

/// Whether the rows that say so have workers that serve many calls.
pub fn about_reuse() -> &'static str {
    match reused::process() == reused::process() {
        true => "reuse: one process serves many calls",
        false => "reuse: every call had a process of its own here, which makes those rows rows of fresh ones",
    }
}
