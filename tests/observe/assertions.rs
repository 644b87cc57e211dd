//! `assert_denied!` where somebody looks on: what holds, and what is said of what does not.

use sandboxed::{Error, assert_denied, sandboxed};
use std::fs::{self, File};
use std::io;

#[sandboxed::test(read = "/usr")]
fn what_landlock_refuses() {
    File::open("/usr").unwrap();
    assert_denied!(File::open("/etc/hosts"));
    assert_denied!(File::open("/etc/hosts"), EACCES, read_file = "/etc/hosts");
    assert_denied!(fs::read_dir("/etc"), read_dir = "/etc");
    // Through whatever is called, and by whatever name.
    let indirect = || -> io::Result<usize> { Ok(fs::read_to_string("/etc/../etc/hosts")?.len()) };
    assert_denied!(indirect(), read_file = "/etc/hosts");
}

#[sandboxed::test]
fn what_the_filter_refuses() {
    assert_denied!(File::open("/etc/hosts"), EACCES, read_file = "/etc/hosts");
    assert_denied!(std::net::UdpSocket::bind("127.0.0.1:0"), EACCES);
    assert_denied!(rustix::process::test_kill_process(rustix::process::getppid().unwrap()), EPERM);
}

#[sandboxed::test(thread, read = "/usr")]
fn what_is_refused_to_a_thread() {
    File::open("/usr").unwrap();
    assert_denied!(File::open("/etc/hosts"), read_file = "/etc/hosts");
}

#[sandboxed]
fn peek(path: &str) -> io::Result<Vec<u8>> {
    fs::read(path)
}

#[test]
fn around_a_call() {
    assert_denied!(peek("/etc/hosts"), EACCES, read_file = "/etc/hosts");
    assert_denied!(peek("/etc/hosts"));
}

/// One assertion that fails, by its number.
#[sandboxed(read = ["/usr", "/proc/self/status"], fallible = try_fails)]
fn fails(number: u32) {
    match number {
        0 => assert_denied!(File::open("/usr")),
        1 => assert_denied!(File::open("/etc/hosts"), EPERM),
        2 => assert_denied!(File::open("/etc/hosts"), read_file = "/etc/passwd"),
        3 => assert_denied!(File::open("/etc/hosts"), write_file = "/etc/hosts"),
        4 => assert_denied!(File::open("/usr/there/is/nothing")),
        5 => assert_denied!(Err::<(), _>(io::Error::from_raw_os_error(libc::EACCES))),
        6 => assert_denied!({
            drop(File::open("/etc/hosts"));
            Err::<(), _>(io::Error::from_raw_os_error(libc::EPERM))
        }),
        _ => unreachable!(),
    }
}

#[test]
fn what_happened_instead_is_said() {
    for (number, expected) in [
        (0, &["is allowed: it succeeded"][..]),
        (1, &["failed with EACCES, where EPERM was expected", "may not read_file /etc/hosts"]),
        (2, &["`read_file` on \"/etc/passwd\" was not what was denied", "/etc/hosts (EACCES"]),
        (3, &["`write_file` on \"/etc/hosts\" was not", "may not read_file /etc/hosts"]),
        (4, &["the kernel refused nothing", "No such file"]),
        (5, &["the kernel refused nothing", "somewhere else"]),
        (6, &["it failed with another errno", "read_file /etc/hosts"]),
    ] {
        let error = sandboxed::__private::observed_test(false, false, || try_fails(number)).unwrap_err();
        let message = error.panic_message().unwrap_or_else(|| panic!("{number}: {error}"));
        for part in expected {
            assert!(message.contains(part), "{number}: {message}");
        }
    }
}

/// Where nobody looks on, file permissions are asked, as ever.
#[sandboxed(read = "/usr")]
fn unobserved() -> Result<(), Error> {
    assert_denied!(File::open("/etc/hosts"), EACCES, read_file = "/etc/hosts");
    Ok(())
}

#[test]
fn without_an_observer() {
    unobserved().unwrap();
}
