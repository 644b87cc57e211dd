//! Running before `main`: an entry in `.init_array`, and the entries behind it.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};

/// An entry of `.init_array`. glibc passes the program's arguments and environment; musl passes nothing, so
/// ours takes nothing and only hands on what a program's own initialisers may want.
pub(crate) type Initialiser = unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char);

unsafe extern "C" {
    // Defined by every linker (bfd, lld, gold, mold), in dynamic and in static programs; hidden, so each image
    // sees its own.
    static __init_array_end: [Initialiser; 0];
}

/// Calls `$function` (a `fn(&'static Hook)`) before `main`, and before the initialisers of the program that
/// were linked behind it.
macro_rules! before_main {
    ($function:path) => {
        #[allow(unsafe_code)]
        const _: () = {
            #[used]
            // SAFETY: the section holds function pointers of this type, and the function expects no more than
            // the loader gives.
            #[unsafe(link_section = ".init_array")]
            static ENTRY: $crate::sys::startup::Initialiser = entry;

            unsafe extern "C" fn entry(
                argc: std::ffi::c_int,
                argv: *const *const std::ffi::c_char,
                envp: *const *const std::ffi::c_char,
            ) {
                $function(&$crate::sys::startup::Hook { entry: &ENTRY, argc, argv, envp })
            }
        };
    };
}

/// Where in `.init_array` we were called, and with what.
pub(crate) struct Hook {
    pub(crate) entry: &'static Initialiser,
    pub(crate) argc: c_int,
    pub(crate) argv: *const *const c_char,
    pub(crate) envp: *const *const c_char,
}

impl Hook {
    /// Runs the initialisers that the loader has not come to yet (C++ statics, for one), since it never will.
    pub(crate) fn run_later_initialisers(&self) {
        let end = (&raw const __init_array_end).cast::<Initialiser>();
        let mut next = std::ptr::from_ref(self.entry).wrapping_add(1);
        while next < end {
            // SAFETY: `next` is between our own entry and the end of the same array.
            let initialiser = unsafe { *next };
            // The loader passes over these two values too.
            if !matches!(initialiser as usize, 0 | usize::MAX) {
                // SAFETY: the entries of the array are initialisers, and the loader would call each of them
                // once, in this order and with these arguments.
                unsafe { initialiser(self.argc, self.argv, self.envp) };
            }
            next = next.wrapping_add(1);
        }
    }
}

/// Whether the program gained privileges by being executed (`AT_SECURE`, `getauxval(3)`).
pub(crate) fn is_secure_execution() -> bool {
    // SAFETY: the call takes an integer, and reads what the kernel left on the stack at exec.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
