//! Keys that a later version enforces are refused, and their values are checked all the same.

use sandboxed::sandboxed;

#[sandboxed(cpu = "1s", open_files = 16, file_size = "1MiB")]
fn limits() {}

#[sandboxed(warm = prepare, workers(reuse = 1, spare = 2, max = 3))]
fn workers() {}

#[sandboxed(log(new_exec_on))]
fn log() {}

#[sandboxed(cpu = "1", open_files = 0, workers(spares = 1), log(same))]
fn mistakes() {}

fn main() {}
