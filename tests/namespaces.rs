//! Namespaces of a worker's own: what they hide, what stays as it is without them, and what they leave behind.

use sandboxed::{Error, sandboxed};

#[sandboxed(namespaces, read = "/usr/share")]
fn stats(path: &str) -> Result<bool, Error> {
    Ok(std::fs::symlink_metadata(path).is_ok())
}

#[test]
fn smoke() {
    println!("{:?}", stats("/etc/passwd"));
    println!("{:?}", stats("/usr/share"));
}
