//! Keys that a later version enforces are refused, and their values are checked all the same.

use sandboxed::sandboxed;

#[sandboxed(warm = prepare, workers(reuse = 1, spare = 2, max = 3))]
fn workers() {}

#[sandboxed(log(new_exec_on))]
fn log() {}

#[sandboxed(workers(spares = 1), log(same))]
fn mistakes() {}

fn main() {}
