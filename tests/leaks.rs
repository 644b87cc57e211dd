//! Many calls, at once and in turn, of all sizes: nothing is left behind.

#[path = "support/holdings.rs"]
mod holdings;
#[path = "support/processes.rs"]
mod processes;
mod support;
#[path = "support/sys.rs"]
mod sys;

use holdings::{Held, Holdings};
use processes::{Process, wait_until};
use sandboxed::{Error, Ran, sandboxed};
use support::in_child;

/// How the calls of the long run end, in turn. But for [`no_end`] they take as long as the machine lets them.
#[sandboxed]
fn any_end(number: u32) -> Result<u32, Error> {
    match number {
        n if n % 50 == 10 => panic!("number {n}"),
        n if n % 50 == 20 => std::process::exit(3),
        n if n % 50 == 30 => std::process::abort(),
        n => Ok(n + 1),
    }
}

#[sandboxed(timeout = "300ms")]
fn no_end() -> Result<u32, Error> {
    loop {
        std::hint::black_box(());
    }
}

/// Few end at their timeout: each takes its time.
fn call(number: u32) -> Result<u32, Error> {
    if number % 1000 == 999 { no_end() } else { any_end(number) }
}

#[sandboxed]
fn template() -> i32 {
    std::os::unix::process::parent_id().cast_signed()
}

fn forkserver() -> i32 {
    processes::forkserver_of(template())
}

/// What a function's second call opens ahead of others, which is kept, is there by now.
fn warmed_up_forkserver() -> Process {
    for _ in 0..2 {
        // No worker may be free in so short a time.
        wait_until("a call has timed out", || no_end().is_err_and(|error| error.is_timeout()));
    }
    forkserver();
    Process::of(forkserver())
}

#[test]
fn ten_thousand_calls_leave_nothing_behind() {
    in_child("ten_thousand_calls_leave_nothing_behind", || {
        let server = warmed_up_forkserver();
        // What comes with the first calls stays: buffers, the symbols of a backtrace.
        (0..60).for_each(|number| drop(any_end(number)));
        let before = Holdings::of(&server);
        let this = Process::of(std::process::id().cast_signed());
        let (ours, servers) = (Held::of(&this), Held::of(&server));

        let mut ends = [0; 5];
        for number in 0..10_000 {
            let end = match call(number) {
                Ok(result) => usize::from(result != number + 1) * 9,
                Err(error) if error.is_panic() => 1,
                Err(error) if error.exit_code() == Some(3) => 2,
                Err(error) if error.signal() == Some(libc::SIGABRT) => 3,
                Err(error) if error.is_timeout() => 4,
                Err(error) => panic!("{number}: {error}"),
            };
            ends[end] += 1;
        }
        assert_eq!(ends, [9_390, 200, 200, 200, 10]);

        assert_eq!(forkserver(), server.pid, "it is still the same forkserver");
        wait_until("all is as it was", || Holdings::of(&server).is_no_more_than(&before));
        Held::of(&this).assert_little_more_than(&ours, "host");
        Held::of(&server).assert_little_more_than(&servers, "forkserver");
    });
}

#[sandboxed]
fn add(a: u64, b: u64) -> Result<u64, Error> {
    Ok(a + b)
}

#[test]
fn sixty_four_threads_call_at_once() {
    in_child("sixty_four_threads_call_at_once", || {
        let server = Process::of(forkserver());
        let barrier = std::sync::Barrier::new(64);
        let call_at_once = || {
            std::thread::scope(|scope| {
                for thread in 0..64 {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        for call in 0..10 {
                            match add(thread, call) {
                                Ok(sum) => assert_eq!(sum, thread + call),
                                Err(error) => panic!("thread {thread}, call {call}: {error}"),
                            }
                        }
                    });
                }
            });
        };
        call_at_once();
        let before = Holdings::of(&server);
        call_at_once();
        assert_eq!(forkserver(), server.pid);
        wait_until("all is as it was", || Holdings::of(&server).is_no_more_than(&before));
    });
}

#[sandboxed]
fn reverse(bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    Ok(bytes.into_iter().rev().collect())
}

#[sandboxed]
fn length(bytes: &[u8]) -> Result<usize, Error> {
    Ok(bytes.len())
}

#[sandboxed]
fn zeros(length: usize) -> Result<Vec<u8>, Error> {
    Ok(vec![0; length])
}

#[sandboxed]
fn text(length: usize) -> Result<String, Error> {
    Ok("\u{e4}".repeat(length / 2))
}

#[test]
fn values_of_every_size_cross() {
    const MOST: usize = 64 << 20;
    for size in [0, 1, 127, 128, 4095, 4096, 65_535, 65_536, 65_537, 212_992, 1 << 20, MOST] {
        assert_eq!(length(&vec![1; size]).unwrap(), size);
        let result = zeros(size).unwrap();
        assert_eq!(result.len(), size);
        assert!(result.iter().all(|byte| *byte == 0));
    }
    assert_eq!(text(0).unwrap(), "");
    assert_eq!(text(MOST).unwrap().len(), MOST);
    // There and back, with a content that shows every displacement.
    let bytes: Vec<u8> = (0..MOST).map(|n| (n % 251) as u8).collect();
    let mut back = reverse(bytes.clone()).unwrap();
    back.reverse();
    assert!(back == bytes);
}

#[sandboxed]
fn nothing() -> Result<(), Error> {
    Ok(())
}

/// What this process has of memory that it shares, in KiB.
fn shared_memory() -> u64 {
    let shared = Process::of(std::process::id().cast_signed()).status("RssShmem");
    shared.trim_end_matches("kB").trim().parse().unwrap()
}

#[test]
fn the_memory_of_a_long_request_is_given_back() {
    in_child("the_memory_of_a_long_request_is_given_back", || {
        const LONG: usize = 32 << 20;
        nothing().unwrap();
        let before = shared_memory();
        assert_eq!(length(&vec![1; LONG]).unwrap(), LONG);
        assert!(shared_memory() >= before + (LONG as u64 >> 10), "it is kept for the next");
        // Another function's calls, while nobody calls that one.
        wait_until("it is given back", || {
            nothing().unwrap();
            shared_memory() < before + 4096
        });
        assert_eq!(length(&vec![1; LONG]).unwrap(), LONG);
    });
}

#[test]
fn a_result_of_no_bytes_crosses() {
    nothing().unwrap();
}

#[test]
fn a_result_over_the_frame_limit_is_an_error() {
    in_child("a_result_over_the_frame_limit_is_an_error", || {
        assert_eq!(sandboxed::frame_limit(), 1 << 30);
        sandboxed::set_frame_limit(1 << 20);
        assert_eq!(zeros((1 << 20) - 64).unwrap().len(), (1 << 20) - 64);
        let error = zeros(1 << 20).unwrap_err();
        assert!(error.is_bad_data(), "{error}");
        assert_eq!(error.ran(), Ran::Yes);
        assert!(error.to_string().contains("1048576 are the most"), "{error}");
        assert!(error.to_string().contains("set_frame_limit"), "{error}");
        // Arguments are not the worker's to blow up.
        assert_eq!(length(&vec![0; 2 << 20]).unwrap(), 2 << 20);
        sandboxed::set_frame_limit(2 << 20);
        assert_eq!(zeros(1 << 20).unwrap().len(), 1 << 20);
    });
}

#[sandboxed(memory = "256MiB")]
fn small(bytes: &[u8]) -> Result<usize, Error> {
    Ok(bytes.to_vec().len())
}

#[test]
fn arguments_that_leave_no_memory_are_an_error() {
    assert_eq!(small(&vec![0; 32 << 20]).unwrap(), 32 << 20);
    let error = small(&vec![0; 300 << 20]).unwrap_err();
    assert!(error.signal().is_some() || error.is_launch(), "{error}");
}
