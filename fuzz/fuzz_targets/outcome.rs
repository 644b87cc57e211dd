//! The end of a call, from everything that a worker has a say in.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sandboxed_runtime::fuzzing::outcome(input));
