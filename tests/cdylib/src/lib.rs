//! A shared library with sandboxed functions, for programs that know nothing of it.
#![allow(unsafe_code)]

use sandboxed::{Error, sandboxed};

#[sandboxed]
fn add_in_process(a: u32, b: u32) -> Result<u32, Error> {
    Ok(a + b)
}

#[sandboxed(thread)]
fn add_in_thread(a: u32, b: u32) -> Result<u32, Error> {
    Ok(a + b)
}

/// Writes what came of a call into `text`, ended by a zero.
///
/// # Safety
///
/// `text` is the start of `length` bytes.
unsafe fn tell(result: Result<u32, Error>, text: *mut u8, length: usize) {
    let said = result.map_or_else(|error| error.to_string(), |sum| sum.to_string());
    // SAFETY: as the caller promises.
    let text = unsafe { std::slice::from_raw_parts_mut(text, length) };
    let end = said.len().min(length - 1);
    text[..end].copy_from_slice(&said.as_bytes()[..end]);
    text[end] = 0;
}

/// Calls the function that runs in a worker.
///
/// # Safety
///
/// `text` is the start of `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn call_in_process(text: *mut u8, length: usize) {
    // SAFETY: as the caller promises.
    unsafe { tell(add_in_process(2, 3), text, length) }
}

/// Calls the function that runs in a thread.
///
/// # Safety
///
/// `text` is the start of `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn call_in_thread(text: *mut u8, length: usize) {
    // SAFETY: as the caller promises.
    unsafe { tell(add_in_thread(2, 3), text, length) }
}
