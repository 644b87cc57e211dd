//! Code in a shared library: the program that loaded it cannot be run again for a worker, since that would run its
//! `main`. An error says so; threads work.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;

type Call = unsafe extern "C" fn(*mut u8, usize);

/// Loads the library beside this test and calls its function of this name.
fn call(function: &CStr) -> String {
    let exe = std::env::current_exe().unwrap();
    let beside = exe.ancestors().skip(1).map(|directory| directory.join("libsandboxed_test_cdylib.so"));
    let library = beside.into_iter().find(|path| path.exists()).expect("the library that cargo built");
    let library = CString::new(library.as_os_str().as_bytes()).unwrap();
    // SAFETY: the library's initialisers are those of this package.
    let handle = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null(), "dlopen {library:?}");
    // SAFETY: the handle is valid, the name a C string.
    let symbol = unsafe { libc::dlsym(handle, function.as_ptr()) };
    assert!(!symbol.is_null(), "dlsym {function:?}");
    // SAFETY: the library's functions of these names have this type.
    let call = unsafe { std::mem::transmute::<*mut libc::c_void, Call>(symbol) };
    let mut text = vec![0; 1000];
    // SAFETY: the pointer and the length are of the same live memory.
    unsafe { call(text.as_mut_ptr(), text.len()) };
    CStr::from_bytes_until_nul(&text).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_function_in_a_shared_library_has_no_worker() {
    for _ in 0..2 {
        let said = call(c"call_in_process");
        assert!(said.contains("is in a shared library"), "{said}");
        assert!(said.contains("or use `thread`"), "{said}");
    }
}

#[test]
fn a_function_in_a_shared_library_has_its_thread() {
    assert_eq!(call(c"call_in_thread"), "5");
}
