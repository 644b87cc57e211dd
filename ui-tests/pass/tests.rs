//! Only expanded: trybuild builds no test harness, in which they would run.
#![deny(warnings)]
#![allow(dead_code)]

use std::path::{Path, PathBuf};

#[sandboxed::test(read = "/usr", unenforceable = "skip")]
fn skipped_where_it_cannot_be_held() {}

#[sandboxed::test(thread, unenforceable = "fail")]
#[should_panic]
#[ignore]
fn fails() -> std::io::Result<()> {
    panic!()
}

fn assertions(path: &Path, owned: PathBuf, name: String) {
    let number = 5;
    fn refuse<A, B, C>(_: A, _: B, _: C) -> std::io::Result<()> {
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
    sandboxed::assert_denied!(std::fs::read("/etc/shadow"));
    sandboxed::assert_denied!(refuse(path, number, None::<u8>), EACCES);
    sandboxed::assert_denied!(
        refuse(&path.join(&name), std::process::id, |x: u8| x).map(drop),
        read_file = path,
    );
    sandboxed::assert_denied!(refuse(owned, name, ()), make_dir = "/etc/x", EPERM);
}

fn main() {}
