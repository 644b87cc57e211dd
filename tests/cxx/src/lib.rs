//! What the C++ object tells.

use std::ffi::{CStr, c_char, c_int};

unsafe extern "C" {
    safe fn cxx_made() -> c_int;
    safe fn cxx_text() -> *const c_char;
    safe fn cxx_maker() -> c_int;
}

/// How many statics were made, the text of the last, and the process that made them.
pub fn statics() -> (i32, String, i32) {
    // SAFETY: the text lives as long as the process and ends with zero.
    let text = unsafe { CStr::from_ptr(cxx_text()) };
    (cxx_made(), text.to_string_lossy().into_owned(), cxx_maker())
}
