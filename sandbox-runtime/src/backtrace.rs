//! The backtrace of a panic: addresses from the worker, which may not read its executable, and names from the host, which
//! has the same one.

#[cfg(feature = "backtrace")]
mod frames;

#[cfg(feature = "backtrace")]
pub(crate) use frames::{capture, is_wanted, text};

/// Where a frame is in the executable; `None` in a shared library.
pub(crate) type Offset = Option<u64>;

/// Runs what is a body to the reader of a backtrace: frames around it are the library's.
#[inline(never)]
pub(crate) fn __rust_begin_short_backtrace<R>(body: impl FnOnce() -> R) -> R {
    let result = body();
    // Else the call above could be a jump, and leave no frame.
    std::hint::black_box(());
    result
}

#[cfg(not(feature = "backtrace"))]
pub(crate) fn is_wanted() -> bool {
    false
}

#[cfg(not(feature = "backtrace"))]
pub(crate) fn capture() -> Vec<Offset> {
    Vec::new()
}

#[cfg(not(feature = "backtrace"))]
pub(crate) fn text(_: &[Offset]) -> Option<String> {
    None
}
