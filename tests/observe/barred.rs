//! Where nobody may trace: what filters refuse is seen nevertheless, and nothing else is different.

use crate::support::in_child;
use crate::sys::container::{listen, refuse};
use crate::table::Try;
use sandboxed::{By, Denial, Error, observe, sandboxed};
use std::net::UdpSocket;
use std::path::Path;

/// As [`in_child`], in a container that lets nobody trace.
fn without_tracing(name: &str, body: impl FnOnce()) {
    in_child(&format!("barred::{name}"), || {
        refuse(libc::SYS_ptrace).unwrap();
        body();
    });
}

/// Errno, who refused and what was tried. What a call names may be seen or not.
fn of_filter(denials: &[Denial]) -> Vec<(i32, By, &str)> {
    denials.iter().map(|denial| (denial.errno, denial.by, &*denial.call)).collect()
}

#[sandboxed]
fn computes(tries: &[Try]) -> Result<Vec<i32>, Error> {
    Ok(tries.iter().map(Try::errno).collect())
}

#[sandboxed(read = "/usr")]
fn reads(tries: &[Try]) -> Result<Vec<i32>, Error> {
    Ok(tries.iter().map(Try::errno).collect())
}

#[test]
fn a_worker() {
    without_tracing("a_worker", || {
        let parent = std::process::id().cast_signed();
        let tries = [Try::Read("/etc/hosts".into()), Try::Udp, Try::Signal(parent), Try::Udp];
        let plain = computes(&tries).unwrap();
        assert_eq!(plain, [libc::EACCES, libc::EACCES, libc::EPERM, libc::EACCES]);
        let (errnos, denials) = observe(|| computes(&tries).unwrap());
        assert_eq!(errnos, plain);
        let expected = [(libc::EACCES, By::Filter, "openat"), (libc::EACCES, By::Filter, "socket")];
        // Its own signals another filter refuses, which asks nobody.
        assert_eq!(of_filter(&denials), expected, "{denials:#?}");
        let [open, socket] = &denials[..] else { unreachable!() };
        assert_eq!((socket.count, &*socket.operation), (2, "socket(AF_INET, SOCK_DGRAM)"));
        assert_eq!(socket.grant.as_deref(), Some("allow(udp)"));
        let names = (open.grant.as_deref(), open.note.as_deref());
        assert!(
            matches!(
                names,
                (Some("read = \"/etc/hosts\""), None) | (None, Some("what it names cannot be read"))
            ),
            "{open:#?}"
        );
    });
}

#[test]
fn what_landlock_refuses_is_not_seen_but_refused() {
    without_tracing("what_landlock_refuses_is_not_seen_but_refused", || {
        let tries = [Try::List("/usr".into()), Try::Read("/etc/hosts".into()), Try::Udp];
        let plain = reads(&tries).unwrap();
        let (errnos, denials) = observe(|| reads(&tries).unwrap());
        assert_eq!(errnos, plain);
        assert_eq!((errnos[0], errnos[2]), (0, libc::EACCES));
        assert_eq!(of_filter(&denials), [(libc::EACCES, By::Filter, "socket")]);
    });
}

#[sandboxed(thread, read = "/usr")]
fn in_thread(tries: &[Try]) -> Vec<i32> {
    tries.iter().map(Try::errno).collect()
}

#[test]
fn a_thread() {
    without_tracing("a_thread", || {
        let tries = [Try::List("/usr".into()), Try::Udp];
        let (errnos, denials) = observe(|| in_thread(&tries));
        assert_eq!(errnos, [0, libc::EACCES]);
        assert_eq!(of_filter(&denials), [(libc::EACCES, By::Filter, "socket")]);
        assert_eq!(observe(|| in_thread(&tries[..1])), (vec![0], Vec::new()));
        assert!(UdpSocket::bind("127.0.0.1:0").is_ok(), "only that thread is in a sandbox");
    });
}

#[sandboxed]
fn works_as_ever() -> Result<u64, Error> {
    // Threads, memory, signals to itself, and what a handler of ours answers.
    let sum = std::thread::spawn(|| vec![1_u64; 1 << 16].iter().sum()).join().unwrap();
    rustix::process::test_kill_process(rustix::process::getpid()).unwrap();
    let (end, _) = std::io::pipe().unwrap();
    rustix::fs::fstat(&end).unwrap();
    Ok(sum)
}

#[sandboxed]
fn asks_from_many_threads() -> Result<bool, Error> {
    let ask = || {
        (0..100).all(|_| std::fs::read("/etc/hosts").is_err_and(|e| e.raw_os_error() == Some(libc::EACCES)))
    };
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(ask)).collect();
    Ok(threads.into_iter().all(|thread| thread.join().unwrap()))
}

#[test]
fn nothing_else_is_different() {
    without_tracing("nothing_else_is_different", || {
        assert_eq!(observe(|| works_as_ever().unwrap()), (1 << 16, Vec::new()));
        let (error, denials) = crate::denied_and_late();
        assert!(error.is_timeout(), "{error}");
        assert_eq!((of_filter(&denials).len(), error.denials().len()), (1, 1));
        let (refused, denials) = observe(|| asks_from_many_threads().unwrap());
        assert!(refused);
        assert_eq!(denials.iter().map(|denial| denial.count).collect::<Vec<_>>(), [400]);
    });
}

/// The one call by which the listener leaves a worker is refused behind it.
#[test]
fn a_worker_cannot_pass_descriptors() {
    without_tracing("a_worker_cannot_pass_descriptors", || {
        assert_eq!(observe(|| sends().unwrap()).0, sends().unwrap());
        assert_eq!(sends().unwrap(), Some(libc::EACCES));
    });
}

#[sandboxed]
fn sends() -> Result<Option<i32>, Error> {
    let sent = crate::raw::syscall(libc::SYS_sendmsg, [0.into(), 0.into(), 0.into()]);
    Ok(sent.err().and_then(|error| error.raw_os_error()))
}

#[test]
fn where_somebody_is_asked_already() {
    without_tracing("where_somebody_is_asked_already", || {
        let _listener = listen().unwrap();
        let tries = [Try::Read("/etc/hosts".into()), Try::Udp];
        assert_eq!(observe(|| computes(&tries).unwrap()), (vec![libc::EACCES; 2], Vec::new()));
        let failed = std::panic::catch_unwind(|| {
            sandboxed::__private::observed_test(true, false, || computes(&tries))
        });
        let message = failed.unwrap_err();
        let message = message.downcast_ref::<String>().unwrap();
        assert!(message.contains("`observe::barred::computes` runs unobserved"), "{message}");
    });
}

/// What cannot be seen neither passes nor is blamed on the policy.
#[test]
fn expectations_say_that_they_cannot_be_checked() {
    without_tracing("expectations_say_that_they_cannot_be_checked", || {
        use sandboxed::__private::observed_test;
        let list = || reads(&[Try::List("/usr".into())]);
        assert_eq!(observed_test(false, false, list).unwrap(), [0]);
        for (none, all_used) in [(true, false), (false, true)] {
            let failed = std::panic::catch_unwind(|| observed_test(none, all_used, list)).unwrap_err();
            let message = failed.downcast_ref::<String>().unwrap();
            assert!(
                message.starts_with(
                    "what was expected cannot be checked: `observe::barred::reads` may not be traced"
                ),
                "{message}"
            );
        }
    });
}

#[sandboxed(in_place, read = "/usr")]
fn restrict() -> Result<(), Error> {
    Ok(())
}

#[test]
fn a_program() {
    without_tracing("a_program", || {
        if sandboxed::kernel().abi < 8 {
            return eprintln!("not checked: a program with threads needs Landlock ABI 8");
        }
        observe(|| restrict().unwrap());
        let refused = UdpSocket::bind("127.0.0.1:0").unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EACCES));
        std::fs::read_dir("/usr").unwrap();
        assert!(std::fs::read(Path::new("/etc/hosts")).is_err());
    });
}
