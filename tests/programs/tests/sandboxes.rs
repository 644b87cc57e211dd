//! A library's sandboxes are there where a test names the library, and calls nothing of it.

use programs as _;

#[test]
fn sandboxes_are_as_accepted() {
    sandboxed::assert_locked!("programs");
}
