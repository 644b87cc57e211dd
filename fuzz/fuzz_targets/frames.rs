//! The reply of a worker, as it arrives.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sandboxed_runtime::fuzzing::frames(input));
