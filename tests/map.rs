//! Many calls at once, of real sandboxed functions.

#[path = "support/holdings.rs"]
mod holdings;
#[path = "support/processes.rs"]
mod processes;
mod support;
#[path = "support/sys.rs"]
mod sys;

use holdings::Holdings;
use processes::{Process, wait_until};
use sandboxed::{Error, sandboxed};
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::panic::{AssertUnwindSafe, catch_unwind};
use support::{has_abi, in_child};

/// Each fourth call crashes, in a way of its own.
#[sandboxed]
fn double(number: &u32) -> Result<u32, Error> {
    match number {
        3 => panic!("no {number}"),
        7 => std::process::abort(),
        11 => std::process::exit(5),
        _ => Ok(number * 2),
    }
}

#[test]
fn crashes_are_errors_in_their_places() {
    let numbers: Vec<u32> = (0..12).collect();
    let results: Vec<Result<u32, Error>> = sandboxed::map(&numbers, double).workers(4).collect();
    assert_eq!(results.len(), numbers.len());
    for (number, result) in numbers.iter().zip(&results) {
        match (number, result) {
            (3, Err(error)) => assert_eq!(error.panic_message(), Some("no 3")),
            (7, Err(error)) => assert_eq!(error.signal(), Some(libc::SIGABRT)),
            (11, Err(error)) => assert_eq!(error.exit_code(), Some(5)),
            (_, result) => assert_eq!(*result, Ok(number * 2)),
        }
    }
}

#[test]
fn a_crash_stops_endless_calls() {
    let mut finished = 0;
    let all =
        sandboxed::map(4.., |number| double(&number)).workers(2).progress(|now| finished = now.finished);
    let error = all.collect::<Result<Vec<u32>, Error>>().unwrap_err();
    assert_eq!(error.signal(), Some(libc::SIGABRT));
    assert!((4..=8).contains(&finished), "{finished}");
}

/// Comes back when another body does the same at the same time.
#[sandboxed]
fn meet(mut other: PipeWriter, mut own: PipeReader) -> io::Result<u8> {
    other.write_all(&[7])?;
    let mut byte = [0];
    own.read_exact(&mut byte)?;
    Ok(byte[0])
}

#[test]
fn bodies_run_at_the_same_time() -> io::Result<()> {
    let ((left_reads, right_writes), (right_reads, left_writes)) = (pipe()?, pipe()?);
    let pairs = [(left_writes, left_reads), (right_writes, right_reads)];
    let met: Vec<u8> =
        sandboxed::map(pairs, |(other, own)| meet(other, own)).workers(2).collect::<io::Result<_>>()?;
    assert_eq!(met, [7, 7]);
    Ok(())
}

/// Cannot return an error, so a failure is a panic.
#[sandboxed]
fn half(number: u32) -> u32 {
    if number == 6 { std::process::abort() } else { number / 2 }
}

#[test]
fn a_panicking_call_panics_in_the_caller() {
    let mut seen = Vec::new();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        sandboxed::map(0..20, half).workers(3).for_each(|result| seen.push(result));
    }));
    let message = *panic.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("half") && message.contains("SIGABRT"), "{message}");
    assert_eq!(seen, [0, 0, 1, 1, 2, 2]);
}

/// 0, or the errno.
fn list_all() -> Vec<i32> {
    let list = |path| std::fs::read_dir(path).map_or_else(|error| error.raw_os_error().unwrap(), |_| 0);
    sandboxed::map(["/usr", "/etc"], list).workers(2).collect()
}

#[sandboxed(read = "/usr")]
fn in_a_worker() -> Result<Vec<i32>, Error> {
    Ok(list_all())
}

#[sandboxed(thread, read = "/usr")]
fn in_a_thread() -> Result<Vec<i32>, Error> {
    Ok(list_all())
}

#[test]
fn inside_a_sandbox_the_threads_are_in_it_too() {
    if has_abi(1, "a grant of files") {
        assert_eq!(in_a_worker(), Ok(vec![0, libc::EACCES]));
        assert_eq!(in_a_thread(), Ok(vec![0, libc::EACCES]));
        assert_eq!(list_all(), [0, 0]);
    }
}

#[sandboxed]
fn template() -> i32 {
    std::os::unix::process::parent_id().cast_signed()
}

fn forkserver() -> i32 {
    processes::forkserver_of(template())
}

#[test]
fn no_thread_and_no_process_stays() {
    in_child("no_thread_and_no_process_stays", || {
        let server = Process::of(forkserver());
        let ends: [(&str, fn()); 4] = [
            ("all", || assert_eq!(sandboxed::map(0..9, half_or_crash(99)).collect::<Vec<_>>().len(), 9)),
            ("stop", || {
                sandboxed::map(0.., half_or_crash(99)).run(|results| results.take(3).for_each(drop));
            }),
            ("crash", || {
                assert!(catch_unwind(|| sandboxed::map(0.., half_or_crash(6)).for_each(drop)).is_err());
            }),
            ("consumer", || {
                let consume = |result: u32| assert_ne!(result, 2);
                assert!(catch_unwind(|| sandboxed::map(0.., half_or_crash(99)).for_each(consume)).is_err());
            }),
        ];
        for (name, end) in ends {
            // What comes with the first calls stays: buffers, the symbols of a backtrace.
            end();
            let before = Holdings::of(&server);
            end();
            // The kernel lists a thread for a moment after it was waited for.
            wait_until(name, || Holdings::of(&server).is_no_more_than(&before));
        }
    });
}

fn half_or_crash(bad: u32) -> impl Fn(u32) -> u32 {
    move |number| if number == bad { half(6) } else { half(number % 5) }
}
