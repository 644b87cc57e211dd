//! Each way in which a call can fail: how it is told apart, what it carries, how it reads, and how it reaches the
//! caller.

#[path = "support/processes.rs"]
mod processes;
mod support;
#[path = "support/sys.rs"]
mod sys;

use sandboxed::{Error, ErrorKind, Hint, Ran, sandboxed};
use serde::{Deserialize, Serialize};
use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::time::Duration;
use support::output_in_child;

// Panics.

#[sandboxed]
fn panic_with(message: &str) -> Result<(), Error> {
    panic!("{message}")
}

#[test]
fn a_panic_brings_message_and_place() {
    let line = line!() - 5;
    let error = panic_with("no such luck").unwrap_err();
    assert!(error.is_panic(), "{error}");
    assert_eq!(error.panic_message(), Some("no such luck"));
    let location = error.panic_location().unwrap();
    assert!(location.starts_with(&format!("tests/errors.rs:{line}:")), "{location}");
    assert_eq!(error.ran(), Ran::Yes);
    assert_eq!(error.function(), "errors::panic_with");
    assert_eq!(
        error.to_string(),
        format!("sandboxed `errors::panic_with` panicked at {location}: no such luck")
    );
    assert_eq!((error.signal(), error.exit_code(), error.is_timeout()), (None, None, false));
    assert!(error.source().is_none());
}

#[test]
fn a_panics_message_of_any_length_and_content_crosses() {
    let error = panic_with("").unwrap_err();
    assert_eq!(error.panic_message(), Some(""), "{error}");
    let strange = "\0\u{1f980}\u{1b}[31m\n";
    assert_eq!(panic_with(strange).unwrap_err().panic_message(), Some(strange));
    // The end of a very long one is cut off, between two characters.
    let long = "\u{e4}".repeat(100_000);
    let error = panic_with(&long).unwrap_err();
    let message = error.panic_message().unwrap();
    assert!(message.len() > 10_000 && long.starts_with(message), "{} bytes", message.len());
}

#[sandboxed]
fn panic_any(what: u8) -> Result<(), Error> {
    match what {
        0 => std::panic::panic_any(42),
        1 => std::panic::panic_any(String::from("owned")),
        2 => std::panic::resume_unwind(Box::new("no hook")),
        _ => std::panic::panic_any(PanicsInDrop),
    }
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in drop")
    }
}

#[test]
fn every_payload_of_a_panic_is_a_panic() {
    for (what, message) in [(0, "Box<dyn Any>"), (1, "owned"), (2, "no hook"), (3, "Box<dyn Any>")] {
        let error = panic_any(what).unwrap_err();
        assert_eq!(error.panic_message(), Some(message), "{error}");
    }
}

#[sandboxed]
fn panic_while_unwinding() -> Result<(), Error> {
    let _guard = PanicsInDrop;
    panic!("first")
}

#[test]
fn a_panic_in_drop_while_unwinding_is_a_panic() {
    let error = panic_while_unwinding().unwrap_err();
    assert!(error.is_panic(), "{error}");
    assert_eq!(error.ran(), Ran::Yes);
}

#[sandboxed]
fn catch_your_own() -> Result<u32, Error> {
    let caught = std::panic::catch_unwind(|| panic!("caught"));
    let in_thread = std::thread::spawn(|| panic!("elsewhere")).join();
    Ok(u32::from(caught.is_err()) + u32::from(in_thread.is_err()))
}

#[test]
fn a_panic_that_the_body_catches_is_none() {
    assert_eq!(catch_your_own().unwrap(), 2);
}

#[sandboxed]
fn replace_the_hook() -> Result<(), Error> {
    std::panic::set_hook(Box::new(|_| {}));
    panic!("under another hook")
}

#[test]
fn a_panic_under_the_bodys_own_hook_is_a_panic() {
    let error = replace_the_hook().unwrap_err();
    assert_eq!(error.panic_message(), Some("under another hook"), "{error}");
}

#[sandboxed]
fn no_result(number: i32) -> i32 {
    assert!(number >= 0, "{number} is negative");
    number
}

#[test]
fn without_a_result_a_failure_is_a_panic_in_the_caller() {
    assert_eq!(no_result(1), 1);
    let payload = std::panic::catch_unwind(|| no_result(-1)).unwrap_err();
    let message = payload.downcast_ref::<String>().unwrap();
    assert!(message.contains("errors::no_result") && message.contains("-1 is negative"), "{message}");
    // The host goes on.
    assert_eq!(no_result(2), 2);
}

#[sandboxed(fallible = try_count)]
fn count(number: i32) -> i32 {
    assert!(number >= 0, "{number} is negative");
    number
}

#[test]
fn fallible_gives_the_error_as_a_value() {
    assert_eq!((count(1), try_count(1)), (1, Ok(1)));
    assert_eq!(try_count(-1).unwrap_err().panic_message(), Some("-1 is negative"));
}

// Deaths.

#[sandboxed]
fn raise(signal: i32) -> Result<(), Error> {
    sys::raise(signal);
    Ok(())
}

#[test]
fn a_signal_is_told_by_number_and_name() {
    let names = [
        (libc::SIGHUP, "SIGHUP (1)"),
        (libc::SIGINT, "SIGINT (2)"),
        (libc::SIGQUIT, "SIGQUIT (3)"),
        (libc::SIGILL, "SIGILL (4)"),
        (libc::SIGABRT, "SIGABRT (6)"),
        (libc::SIGBUS, "SIGBUS (7)"),
        (libc::SIGFPE, "SIGFPE (8)"),
        (libc::SIGKILL, "SIGKILL (9)"),
        (libc::SIGSEGV, "SIGSEGV (11)"),
        (libc::SIGALRM, "SIGALRM (14)"),
        (libc::SIGTERM, "SIGTERM (15)"),
        (libc::SIGSYS, "SIGSYS (31)"),
        (40, "signal 40"),
    ];
    for (signal, name) in names {
        let error = raise(signal).unwrap_err();
        assert_eq!(error.signal(), Some(signal), "{error}");
        assert!(
            error.to_string().starts_with(&format!("sandboxed `errors::raise` was killed by {name}")),
            "{error}"
        );
        assert_eq!(error.ran(), Ran::Yes);
        let hint = match signal {
            libc::SIGKILL => Some(Hint::KilledFromOutside),
            libc::SIGSYS => Some(Hint::Filter),
            _ => None,
        };
        assert_eq!(error.hint(), hint, "{name}");
    }
}

#[test]
fn a_broken_pipe_kills_nobody() {
    raise(libc::SIGPIPE).unwrap();
}

#[sandboxed]
fn write_to_nowhere() -> Result<(), Error> {
    sys::write_to_null();
    Ok(())
}

#[test]
fn a_wild_write_is_a_crash() {
    let error = write_to_nowhere().unwrap_err();
    assert_eq!(error.signal(), Some(libc::SIGSEGV), "{error}");
}

#[sandboxed]
fn recurse(depth: u64) -> Result<u64, Error> {
    // What is alive across the call keeps it from becoming a loop.
    #[allow(unconditional_recursion)]
    fn deeper(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 64]);
        deeper(depth + 1) + frame[(depth % 64) as usize]
    }
    Ok(deeper(depth))
}

#[test]
fn a_stack_overflow_is_a_crash_and_no_hang() {
    let error = recurse(0).unwrap_err();
    assert!(matches!(error.signal(), Some(libc::SIGSEGV | libc::SIGABRT)), "{error}");
    assert_eq!(error.ran(), Ran::Yes);
}

#[sandboxed]
fn exit(code: i32) -> Result<(), Error> {
    std::process::exit(code)
}

#[test]
fn an_exit_without_a_result_is_told_by_its_code() {
    for code in [0, 1, 3, 101, 255] {
        let error = exit(code).unwrap_err();
        assert_eq!(error.exit_code(), Some(code), "{error}");
        assert_eq!(error.ran(), Ran::Yes);
        let text = format!("sandboxed `errors::exit` exited with code {code} before it had a result");
        assert_eq!(error.to_string(), text);
    }
}

#[sandboxed]
fn wait_to_be_killed() -> Result<(), Error> {
    println!("pid: {}", std::process::id());
    io::Write::flush(&mut io::stdout()).unwrap();
    std::thread::sleep(Duration::from_secs(25));
    Ok(())
}

#[test]
fn a_worker_that_is_killed_from_outside_is_an_error() {
    const NAME: &str = "a_worker_that_is_killed_from_outside_is_an_error";
    if processes::is_rerun(NAME) {
        let error = wait_to_be_killed().unwrap_err();
        assert_eq!((error.signal(), error.hint()), (Some(libc::SIGKILL), Some(Hint::KilledFromOutside)));
        assert_eq!(error.ran(), Ran::Yes);
        // The forkserver serves on.
        assert_eq!(no_result(3), 3);
        return;
    }
    if !support::has_abi(1, "a worker that is killed") {
        return;
    }
    let mut command = processes::rerun(&std::env::current_exe().unwrap(), NAME);
    let mut host = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = io::BufRead::lines(io::BufReader::new(host.stdout.take().unwrap()));
    let pid = lines.find_map(|line| line.unwrap().split_once("pid: ")?.1.parse().ok());
    let pid = pid.expect("what the worker says, as stderr tells");
    processes::Process::of(pid).kill();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(host.wait().unwrap().success(), "{rest:?}");
}

#[sandboxed(timeout = "500ms")]
fn take_for_ever() -> Result<(), Error> {
    loop {
        std::hint::black_box(());
    }
}

#[test]
fn a_timeout_says_its_limit() {
    let error = take_for_ever().unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(error.kind(), &ErrorKind::TimedOut { limit: Duration::from_millis(500) });
    assert_eq!(error.ran(), Ran::Yes);
    assert_eq!(error.to_string(), "sandboxed `errors::take_for_ever` took longer than its timeout of 500ms");
}

#[sandboxed(memory = "128MiB")]
fn allocate(bytes: usize) -> Result<usize, Error> {
    let all = vec![1u8; bytes];
    Ok(std::hint::black_box(&all).len())
}

#[sandboxed(memory = "128MiB")]
fn grow() -> Result<(), Error> {
    let mut all = Vec::new();
    loop {
        all.push(vec![1u8; 1 << 20]);
        std::hint::black_box(&all);
    }
}

#[test]
fn memory_over_the_limit_is_a_death_with_a_hint() {
    assert_eq!(allocate(16 << 20).unwrap(), 16 << 20);
    for error in [allocate(1 << 30).unwrap_err(), grow().unwrap_err()] {
        assert_eq!(error.signal(), Some(libc::SIGABRT));
        assert_eq!(error.hint(), Some(Hint::OutOfMemory { limit: 128 << 20 }));
        assert!(error.to_string().ends_with("(likely out of memory: its limit is 128MiB)"), "{error}");
    }
    // An abort alone is no want of memory.
    assert_eq!(raise(libc::SIGABRT).unwrap_err().hint(), None);
}

// Values.

/// Can be sent, but not taken.
#[derive(Debug)]
struct Undecodable;

impl Serialize for Undecodable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(7)
    }
}

impl<'de> Deserialize<'de> for Undecodable {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer)?;
        Err(serde::de::Error::custom("cannot be taken"))
    }
}

/// Cannot be sent.
#[derive(Debug, Deserialize)]
struct Unencodable;

impl Serialize for Unencodable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("cannot be sent"))
    }
}

#[sandboxed]
fn take_undecodable(_: Undecodable) -> Result<(), Error> {
    Ok(())
}

#[sandboxed]
fn take_unencodable(_: Unencodable) -> Result<(), Error> {
    Ok(())
}

#[sandboxed]
fn give_undecodable() -> Result<Undecodable, Error> {
    Ok(Undecodable)
}

#[sandboxed]
fn give_unencodable() -> Result<Unencodable, Error> {
    Ok(Unencodable)
}

#[test]
fn an_argument_that_cannot_be_encoded() {
    let error = take_unencodable(Unencodable).unwrap_err();
    assert!(error.is_encode(), "{error:?}");
    assert_eq!(error.ran(), Ran::No);
    assert!(
        error.to_string().starts_with("a value of sandboxed `errors::take_unencodable` cannot cross"),
        "{error}"
    );
}

#[test]
fn an_argument_that_cannot_be_decoded() {
    let error = take_undecodable(Undecodable).unwrap_err();
    assert!(error.is_launch(), "{error:?}");
    assert_eq!(error.ran(), Ran::No);
    assert!(error.to_string().contains("the arguments"), "{error}");
}

#[test]
fn a_result_that_cannot_be_encoded() {
    let error = give_unencodable().unwrap_err();
    assert!(error.is_encode(), "{error:?}");
    assert_eq!(error.ran(), Ran::Yes);
}

#[test]
fn a_result_that_cannot_be_decoded() {
    let error = give_undecodable().unwrap_err();
    assert!(error.is_bad_data(), "{error:?}");
    assert_eq!(error.ran(), Ran::Yes);
    assert!(error.to_string().starts_with("sandboxed `errors::give_undecodable` sent bad data: "), "{error}");
}

/// Writes to the channel by itself, as hostile code would.
#[sandboxed]
fn forge(bytes: &[u8], then_return: bool) -> Result<u32, Error> {
    sandboxed::__private::forge_reply(bytes);
    if then_return { Ok(7) } else { sys::exit_now(0) }
}

#[test]
fn forged_frames_are_bad_data() {
    let frame =
        |kind: u8, length: u64, payload: &[u8]| [&[kind][..], &length.to_le_bytes(), payload].concat();
    let forgeries = [
        ("of no kind", vec![0; 100]),
        ("of no kind", b"hello, world".to_vec()),
        ("of the host's kind", frame(1, 0, b"")),
        ("without end", frame(6, u64::MAX, b"")),
        ("over the limit", frame(6, (1 << 30) + 1, b"")),
        ("a note without end", frame(5, 1 << 40, b"")),
        ("an announcement with content", frame(4, 1, b"x")),
        ("a refusal after the body began", frame(3, 1, b"\0")),
        ("an exit code of a function", frame(8, 1, &[0])),
        ("an exit code without a code", frame(8, 0, b"")),
        ("a result that is none", frame(6, 3, &[0xff; 3])),
        ("a result with a tail", frame(6, 6, &[0, 7, 0, 0, 0, 0])),
        ("an empty result", frame(6, 0, b"")),
    ];
    for (what, bytes) in forgeries {
        for then_return in [false, true] {
            let error = forge(&bytes, then_return).unwrap_err();
            assert!(error.is_bad_data(), "{what}: {error:?}");
            assert_eq!(error.ran(), Ran::Yes, "{what}");
        }
    }
    // What cannot be told from a real one is one: the worker may say what it likes about its own result.
    assert!(forge(&frame(7, 2, b"no"), false).unwrap_err().is_encode());
    // A beginning without an end is an exit without a result.
    for bytes in [&frame(6, 10, b"abc")[..], &[6, 1], &[]] {
        assert_eq!(forge(bytes, false).unwrap_err().exit_code(), Some(0));
    }
    // A note of a panic is not the end.
    assert_eq!(forge(&frame(5, 3, b"\xff\xff\xff"), true).unwrap(), 7);
}

// What is refused before it begins.

#[sandboxed(udp_bind = 5353)]
fn needs_abi_10() -> io::Result<()> {
    Ok(())
}

#[test]
fn what_cannot_be_enforced_names_promise_and_abi() {
    let has = sandboxed::kernel().abi;
    let result = needs_abi_10();
    if has >= 10 {
        return result.unwrap();
    }
    let outer = result.unwrap_err();
    assert_eq!(outer.kind(), io::ErrorKind::Unsupported);
    let error = outer.get_ref().unwrap().downcast_ref::<Error>().unwrap();
    assert!(error.is_unenforceable());
    assert_eq!(error.ran(), Ran::No);
    let ErrorKind::Unenforceable(why) = error.kind() else { panic!("{error:?}") };
    assert!(why.lost.iter().any(|lost| lost.least_abi() == Some(10)), "{why:?}");
    for word in ["bind_udp", "needs Landlock ABI 10", &format!("this kernel has {has}"), "`best_effort`"] {
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
}

#[sandboxed(read = path)]
fn read_length(path: &Path) -> io::Result<u64> {
    Ok(std::fs::read(path)?.len() as u64)
}

#[test]
fn a_missing_path_names_path_and_attribute() {
    let line = line!() - 6;
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let outer = read_length(&missing).unwrap_err();
    assert_eq!(outer.kind(), io::ErrorKind::NotFound, "{outer}");
    let error = outer.get_ref().unwrap().downcast_ref::<Error>().unwrap();
    let ErrorKind::Grant { key, path, place, cause } = error.kind() else { panic!("{error:?}") };
    assert_eq!((key.as_str(), path, place), ("read", &missing, &format!("tests/errors.rs:{}", line - 1)));
    assert_eq!(cause.raw_os_error(), Some(libc::ENOENT));
    assert_eq!(error.source().unwrap().to_string(), cause.to_string());
    assert_eq!((error.ran(), error.is_launch()), (Ran::No, true));
    for word in ["errors::read_length", "read = ", missing.to_str().unwrap(), place.as_str(), "optional("] {
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
    std::fs::write(&missing, "here").unwrap();
    assert_eq!(read_length(&missing).unwrap(), 4);
}

// How errors reach the caller.

#[sandboxed]
fn io_result(what: u8) -> io::Result<u32> {
    match what {
        0 => Ok(7),
        1 => Err(io::Error::from_raw_os_error(libc::ENOTDIR)),
        2 => Err(io::ErrorKind::WouldBlock.into()),
        3 => Err(io::Error::new(io::ErrorKind::InvalidData, "line 3: no number")),
        4 => Err(io::Error::other("something else")),
        _ => panic!("no such case"),
    }
}

#[test]
fn io_errors_of_the_body_keep_kind_code_and_message() {
    assert_eq!(io_result(0).unwrap(), 7);
    assert_eq!(io_result(1).unwrap_err().raw_os_error(), Some(libc::ENOTDIR));
    let would_block = io_result(2).unwrap_err();
    assert_eq!((would_block.kind(), would_block.raw_os_error()), (io::ErrorKind::WouldBlock, None));
    let invalid = io_result(3).unwrap_err();
    assert_eq!(
        (invalid.kind(), invalid.to_string().as_str()),
        (io::ErrorKind::InvalidData, "line 3: no number")
    );
    assert_eq!(io_result(4).unwrap_err().kind(), io::ErrorKind::Other);
    // And are told from those of the sandbox.
    let sandbox = io_result(5).unwrap_err();
    assert!(sandbox.get_ref().unwrap().downcast_ref::<Error>().unwrap().is_panic());
    assert!(invalid.get_ref().unwrap().downcast_ref::<Error>().is_none());
}

#[sandboxed]
fn boxed(fail: bool) -> Result<u32, Box<dyn StdError + Send + Sync>> {
    if fail { Err("the body's".into()) } else { std::process::abort() }
}

#[test]
fn boxed_errors_take_both() {
    assert_eq!(boxed(true).unwrap_err().to_string(), "the body's");
    let sandbox = boxed(false).unwrap_err();
    assert_eq!(sandbox.downcast_ref::<Error>().unwrap().signal(), Some(libc::SIGABRT));
}

#[cfg(feature = "anyhow")]
#[sandboxed]
fn with_anyhow(fail: bool) -> anyhow::Result<u32> {
    use anyhow::Context;
    assert!(fail, "as told");
    Err(io::Error::from_raw_os_error(libc::ENOTDIR)).context("inner").context("outer")
}

#[cfg(feature = "anyhow")]
#[test]
fn anyhow_errors_cross_by_their_chain_and_take_both() {
    let error = with_anyhow(true).unwrap_err();
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    assert_eq!(chain[..2], ["outer", "inner"]);
    assert_eq!(error.downcast_ref::<io::Error>().unwrap().raw_os_error(), Some(libc::ENOTDIR));
    let sandbox = with_anyhow(false).unwrap_err();
    assert_eq!(sandbox.downcast_ref::<Error>().unwrap().panic_message(), Some("as told"));
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
enum Own {
    #[error("line {0} is bad")]
    Line(u32),
    #[error(transparent)]
    Sandbox(#[from] Error),
}

#[sandboxed]
fn own(line: u32) -> Result<(), Own> {
    if line == 0 { std::process::exit(4) } else { Err(Own::Line(line)) }
}

#[test]
fn an_error_type_of_ones_own_takes_both() {
    assert_eq!(own(3), Err(Own::Line(3)));
    match own(0) {
        Err(Own::Sandbox(error)) => assert_eq!(error.exit_code(), Some(4)),
        other => panic!("{other:?}"),
    }
}

#[sandboxed]
fn no_from(fail: bool) -> Result<(), String> {
    if fail { Err("the body's".into()) } else { panic!("the sandbox's") }
}

#[test]
fn a_result_that_cannot_hold_it_panics() {
    assert_eq!(no_from(true).unwrap_err(), "the body's");
    let payload = std::panic::catch_unwind(|| no_from(false)).unwrap_err();
    assert!(payload.downcast_ref::<String>().unwrap().ends_with("the sandbox's"));
}

#[test]
fn io_errors_made_of_failures_have_fitting_kinds() {
    for (error, kind) in [
        (take_for_ever().unwrap_err(), io::ErrorKind::TimedOut),
        (give_undecodable().unwrap_err(), io::ErrorKind::InvalidData),
        (take_unencodable(Unencodable).unwrap_err(), io::ErrorKind::InvalidInput),
        (raise(libc::SIGKILL).unwrap_err(), io::ErrorKind::Other),
    ] {
        assert_eq!(io::Error::from(error.clone()).kind(), kind, "{error}");
    }
}

#[test]
fn an_error_is_data() {
    let error = panic_with("crosses").unwrap_err();
    assert_eq!(hand_back(error.clone()).unwrap(), error);
}

#[sandboxed]
fn hand_back(error: Error) -> Result<Error, Error> {
    Ok(error)
}

#[sandboxed(thread)]
fn panic_in_thread() -> Result<(), Error> {
    panic!("in a thread")
}

#[test]
fn a_panic_in_a_thread_is_an_error_too() {
    let error = panic_in_thread().unwrap_err();
    assert_eq!((error.panic_message(), error.ran()), (Some("in a thread"), Ran::Yes), "{error}");
}

/// A cause is said once, whether it is asked for or not.
#[test]
fn a_failed_launch_says_its_cause_once() {
    support::in_child("a_failed_launch_says_its_cause_once", || {
        sys::refuse_call(libc::SYS_execveat, libc::EPERM);
        let error = panic_with("is not reached").unwrap_err();
        assert!(error.is_launch(), "{error}");
        assert_eq!(error.ran(), Ran::No);
        let payload = std::panic::catch_unwind(|| no_result(1)).unwrap_err();
        let message = payload.downcast_ref::<String>().unwrap();
        assert_eq!(message.matches("Operation not permitted").count(), 1, "{message}");
        let chain = std::iter::successors(Some(&error as &dyn StdError), |&error| error.source());
        let chain = chain.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        assert_eq!(chain.matches("Operation not permitted").count(), 1, "{chain}");
    });
}

/// The hook of the host sees the panic of its caller alone, not that in the worker.
#[test]
fn the_hosts_hook_sees_one_panic() {
    let name = "the_hosts_hook_sees_one_panic";
    let output = output_in_child(name, || {
        std::panic::set_hook(Box::new(|info| eprintln!("hook: {info}")));
        std::panic::catch_unwind(|| no_result(-5)).unwrap_err();
    });
    let Some(output) = output else { return };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr.matches("hook: ").count(), 1, "{stderr}");
    assert_eq!(stderr.matches("-5 is negative").count(), 1, "{stderr}");
}
