//! Keys that a later version enforces are refused, and their values are checked all the same.

use sandboxed::sandboxed;

#[sandboxed(log(new_exec_on))]
fn log() {}

#[sandboxed(log(same))]
fn mistakes() {}

fn main() {}
