//! Audit records, joined and read.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sandboxed_runtime::fuzzing::audit(input));
