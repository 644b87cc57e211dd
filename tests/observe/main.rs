//! What is denied is seen, said, and as denied as ever.

#[path = "../support/mod.rs"]
mod support;

use sandboxed::{By, Denial, Error, Object, observe, sandboxed};

#[sandboxed(read = "/usr")]
fn read_hosts() -> Result<Option<i32>, Error> {
    Ok(std::fs::read("/etc/hosts").err().and_then(|error| error.raw_os_error()))
}

#[sandboxed]
fn read_hosts_without_files() -> Result<Option<i32>, Error> {
    Ok(std::fs::read("/etc/hosts").err().and_then(|error| error.raw_os_error()))
}

#[sandboxed(thread, read = "/usr")]
fn read_hosts_in_thread() -> Result<Option<i32>, Error> {
    Ok(std::fs::read("/etc/hosts").err().and_then(|error| error.raw_os_error()))
}

#[test]
fn basics() {
    for f in [read_hosts, read_hosts_without_files, read_hosts_in_thread] {
        let (errno, denials) = observe(f);
        assert_eq!(errno.unwrap(), Some(13));
        for d in &denials {
            println!("{d}");
        }
        println!("{denials:#?}");
    }
}
