//! A logger that fails.

/// Each record panics.
pub struct Panics;

impl log::Log for Panics {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &log::Record<'_>) {
        panic!("as it is wanted");
    }

    fn flush(&self) {}
}
