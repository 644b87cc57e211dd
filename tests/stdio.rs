//! What a worker prints: where it goes, when, and what it cannot do to the host with it.

#[path = "support/processes.rs"]
mod processes;
mod support;
#[path = "support/sys.rs"]
mod sys;

use sandboxed::{Error, sandboxed};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use support::{in_child, output_in_child};

/// Prints on both streams, and fails if it is told to.
macro_rules! printers {
    ($($name:ident: $stdio:literal,)*) => {$(
        #[sandboxed(stdio = $stdio)]
        fn $name(fail: bool) -> Result<u32, Error> {
            println!("to stdout");
            eprintln!("to stderr");
            assert!(!fail, "as told");
            Ok(7)
        }
    )*};
}
printers! { relayed: "relay", null: "null", captured: "capture", inherited: "inherit", }

#[sandboxed]
fn default(bytes: &[u8], to_stderr: &[u8]) -> Result<(), Error> {
    std::io::stdout().write_all(bytes).unwrap();
    std::io::stderr().write_all(to_stderr).unwrap();
    Ok(())
}

/// What the child printed while it ran `body`, and how it ended.
fn printed(name: &str, body: impl FnOnce()) -> Option<(String, String)> {
    let output = output_in_child(name, body)?;
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success(), "{stdout}\n{stderr}");
    Some((stdout, stderr))
}

#[test]
fn relay_prints_on_the_hosts_streams() {
    let body = || {
        assert_eq!(relayed(false).unwrap(), 7);
        default(b"by default\n", b"on stderr\n").unwrap();
    };
    let Some((stdout, stderr)) = printed("relay_prints_on_the_hosts_streams", body) else { return };
    assert!(stdout.contains("to stdout\nby default\n"), "{stdout}");
    assert!(stderr.contains("to stderr\non stderr\n"), "{stderr}");
    assert!(!stdout.contains("stderr") && !stderr.contains("to stdout"), "{stdout}\n{stderr}");
}

#[test]
fn relay_goes_through_print_so_that_harnesses_capture_it() {
    const NAME: &str = "relay_goes_through_print_so_that_harnesses_capture_it";
    if std::env::var_os("SANDBOXED_TEST_INNER").is_some() {
        relayed(false).unwrap();
        assert!(std::env::var_os("SANDBOXED_TEST_INNER").unwrap() != "fail", "to show the output");
        return;
    }
    // Without --nocapture the harness shows the output of tests that fail, and of no others.
    let run = |how: &str| -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", NAME]).env("SANDBOXED_TEST_INNER", how).output().unwrap()
    };
    let (passed, failed) = (run("pass"), run("fail"));
    let text = |output: &Output| {
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
    };
    assert!(passed.status.success() && !failed.status.success(), "{}", text(&passed));
    assert!(!text(&passed).contains("to std"), "{}", text(&passed));
    assert!(
        text(&failed).contains("to stdout\n") && text(&failed).contains("to stderr\n"),
        "{}",
        text(&failed)
    );
}

#[test]
fn null_prints_nothing() {
    let body = || {
        assert_eq!(null(false).unwrap(), 7);
        assert!(null(true).unwrap_err().output().is_none());
    };
    let Some((stdout, stderr)) = printed("null_prints_nothing", body) else { return };
    assert!(!stdout.contains("to std") && !stderr.contains("to std"), "{stdout}\n{stderr}");
}

#[sandboxed(in_place, read = directory)]
fn keep_nothing(directory: &std::path::Path) -> Result<(), Error> {
    Ok(())
}

/// Where neither host nor forkserver may open `/dev/null`.
#[test]
fn after_in_place_it_works_as_before() {
    let body = || {
        let directory = tempfile::tempdir().unwrap();
        let child = sys::fork(|| {
            keep_nothing(directory.path()).unwrap();
            std::fs::File::open("/dev/null").unwrap_err();
            assert_eq!(null(false).unwrap(), 7);
            assert_eq!(captured(true).unwrap_err().output().unwrap().stdout, b"to stdout\n");
            assert_eq!(read_stdin().unwrap(), 0);
            default(b"by default", b"").unwrap();
            std::io::stdout().flush().unwrap();
        });
        assert!(sys::wait_for(child).success());
    };
    let Some((stdout, stderr)) = printed("after_in_place_it_works_as_before", body) else { return };
    assert!(stdout.contains("by default"), "{stdout}");
    assert!(!stdout.contains("to stdout") && !stderr.contains("to stderr"), "{stdout}\n{stderr}");
}

#[test]
fn capture_keeps_the_output_with_the_error() {
    let body = || {
        assert_eq!(captured(false).unwrap(), 7);
        let error = captured(true).unwrap_err();
        let output = error.output().unwrap();
        assert_eq!(output.stdout, b"to stdout\n");
        assert_eq!(output.stderr, b"to stderr\n");
        assert_eq!(error.panic_message(), Some("as told"));
    };
    let Some((stdout, stderr)) = printed("capture_keeps_the_output_with_the_error", body) else { return };
    assert!(!stdout.contains("to std") && !stderr.contains("to std"), "{stdout}\n{stderr}");
}

#[sandboxed(stdio = "capture")]
fn captured_flood(lines: u32) -> Result<(), Error> {
    (0..lines).for_each(|line| println!("line {line:8}"));
    panic!("enough")
}

#[test]
fn capture_keeps_the_end_of_a_flood() {
    let error = captured_flood(50_000).unwrap_err();
    let stdout = &error.output().unwrap().stdout;
    assert_eq!(stdout.len(), 64 << 10);
    assert!(
        stdout.ends_with(b"line    49998\nline    49999\n"),
        "{}",
        String::from_utf8_lossy(&stdout[65_400..])
    );
}

#[test]
fn inherit_hands_over_the_hosts_own() {
    let body = || assert_eq!(inherited(false).unwrap(), 7);
    let Some((stdout, stderr)) = printed("inherit_hands_over_the_hosts_own", body) else { return };
    assert!(stdout.contains("to stdout\n"), "{stdout}");
    assert!(stderr.contains("to stderr\n"), "{stderr}");
    let body = || assert!(same_as_the_hosts(identity()).unwrap());
    in_child("inherit_hands_over_the_hosts_own", body);
}

/// Device and inode of stdout.
fn identity() -> (u64, u64) {
    let stat = rustix::fs::fstat(std::io::stdout()).unwrap();
    (stat.st_dev, stat.st_ino)
}

#[sandboxed(stdio = "inherit")]
fn same_as_the_hosts(of_host: (u64, u64)) -> Result<bool, Error> {
    Ok(identity() == of_host)
}

#[sandboxed]
fn a_pipe_of_its_own(of_host: (u64, u64)) -> Result<bool, Error> {
    Ok(identity() != of_host)
}

#[test]
fn by_default_a_worker_does_not_hold_the_hosts_streams() {
    assert!(a_pipe_of_its_own(identity()).unwrap());
}

#[sandboxed]
fn print_lines(lines: u32) -> Result<(), Error> {
    (0..lines).for_each(|line| println!("{line}"));
    print!("no line's end");
    Ok(())
}

#[test]
fn a_flood_comes_through_whole_before_the_call_returns() {
    const LINES: u32 = 200_000;
    let body = || {
        println!("<");
        print_lines(LINES).unwrap();
        println!(">");
    };
    let Some((stdout, _)) = printed("a_flood_comes_through_whole_before_the_call_returns", body) else {
        return;
    };
    let (_, rest) = stdout.split_once("<\n").unwrap();
    let (between, _) = rest.split_once(">\n").unwrap();
    let expected: String =
        (0..LINES).map(|line| format!("{line}\n")).chain(["no line's end".into()]).collect();
    assert!(between == expected, "{} bytes instead of {}", between.len(), expected.len());
}

#[sandboxed(timeout = "1s", stdio = "null")]
fn flood_nowhere() -> Result<(), Error> {
    flood()
}

#[sandboxed(timeout = "1s", stdio = "capture")]
fn flood_captured() -> Result<(), Error> {
    flood()
}

fn flood() -> ! {
    loop {
        std::io::stdout().write_all(&[b'x'; 4096]).unwrap();
    }
}

#[test]
fn an_endless_flood_ends_at_the_timeout() {
    assert!(flood_nowhere().unwrap_err().is_timeout());
    let error = flood_captured().unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.output().unwrap().stdout.len(), 64 << 10);
}

#[test]
fn what_a_worker_printed_before_it_died_is_not_lost() {
    let body = || {
        let error = print_and_die().unwrap_err();
        assert_eq!(error.signal(), Some(libc::SIGKILL), "{error}");
        println!("after");
    };
    let Some((stdout, _)) = printed("what_a_worker_printed_before_it_died_is_not_lost", body) else { return };
    assert!(stdout.contains("last words\nafter\n"), "{stdout}");
}

#[sandboxed]
fn print_and_die() -> Result<(), Error> {
    println!("last words");
    sys::raise(libc::SIGKILL);
    Ok(())
}

#[test]
fn order_is_kept_between_calls() {
    let body = || {
        for number in 0..20 {
            println!("host {number}");
            default(format!("worker {number}").as_bytes(), b"").unwrap();
            println!();
        }
    };
    let Some((stdout, _)) = printed("order_is_kept_between_calls", body) else { return };
    let expected: String = (0..20).map(|number| format!("host {number}\nworker {number}\n")).collect();
    assert!(stdout.contains(&expected), "{stdout}");
}

#[test]
fn bytes_that_are_no_text_come_through() {
    const NAME: &str = "bytes_that_are_no_text_come_through";
    let bytes = b"<\xff\xfe\xc3(\xe2\x82\x80\xf0\x9f\xa6\x80 \xf0\x9f\xa6>";
    let Some(output) = output_in_child(NAME, || default(bytes, bytes).unwrap()) else { return };
    assert!(output.status.success(), "{output:?}");
    for stream in [&output.stdout, &output.stderr] {
        assert!(stream.windows(bytes.len()).any(|window| window == bytes), "{}", stream.escape_ascii());
    }
}

/// What a terminal gets that is the stdout of this test, run again.
fn on_a_terminal(name: &str) -> Vec<u8> {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = openpt(flags).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let mut command = processes::rerun(&std::env::current_exe().unwrap(), name);
    command.arg("--color=never").stdout(ioctl_tiocgptpeer(&terminal, flags).unwrap());
    let mut child = command.spawn().unwrap();
    // Else our copy of the other end would keep it open.
    drop(command);
    let mut text = Vec::new();
    // Ends by EIO, when nobody has the other end.
    std::io::Read::read_to_end(&mut std::fs::File::from(terminal), &mut text).unwrap_err();
    assert!(child.wait().unwrap().success(), "{}", text.escape_ascii());
    text
}

#[test]
fn control_characters_reach_no_terminal() {
    const NAME: &str = "control_characters_reach_no_terminal";
    if processes::is_rerun(NAME) {
        println!("host \x1b[31m");
        default(b"text \x1b[2J\x07\x7f\xc2\x9b31m\n", b"").unwrap();
        return default(b"bytes \xff\x1b]0;title\x07\xfe\n", b"").unwrap();
    }
    if !support::has_abi(1, "a worker that prints") {
        return;
    }
    let text = String::from_utf8(on_a_terminal(NAME)).unwrap();
    assert!(text.contains("host \x1b[31m"), "the host's own are its business: {text:?}");
    assert!(text.contains("text \\u{1b}[2J\\u{7}\\u{7f}\\u{9b}31m\r\n"), "{text:?}");
    assert!(text.contains("bytes \u{fffd}\\u{1b}]0;title\\u{7}\u{fffd}\r\n"), "{text:?}");
}

#[sandboxed]
fn print_a_character_in_pieces() -> Result<(), Error> {
    for byte in "\u{1f980}".bytes() {
        std::io::stderr().write_all(&[byte]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn a_character_in_pieces_comes_through() {
    let body = || print_a_character_in_pieces().unwrap();
    let Some((_, stderr)) = printed("a_character_in_pieces_comes_through", body) else { return };
    assert!(stderr.contains('\u{1f980}'), "{stderr}");
}

#[sandboxed]
fn spoil_the_flags() -> Result<(), Error> {
    for stream in 0..3 {
        sys::set_nonblocking(stream);
    }
    Ok(())
}

#[sandboxed(stdio = "null")]
fn spoil_the_flags_of_null() -> Result<(), Error> {
    for stream in 0..3 {
        sys::set_nonblocking(stream);
    }
    Ok(())
}

#[test]
fn the_flags_of_the_hosts_streams_are_out_of_reach() {
    in_child("the_flags_of_the_hosts_streams_are_out_of_reach", || {
        let before: Vec<bool> = (0..3).map(sys::is_nonblocking).collect();
        spoil_the_flags().unwrap();
        spoil_the_flags_of_null().unwrap();
        assert_eq!((0..3).map(sys::is_nonblocking).collect::<Vec<_>>(), before);
        // Nor do those of a worker's stdin reach the next one.
        assert!(!stdin_is_nonblocking().unwrap());
    });
}

#[sandboxed]
fn stdin_is_nonblocking() -> Result<bool, Error> {
    Ok(sys::is_nonblocking(0))
}

#[sandboxed]
fn read_stdin() -> Result<usize, Error> {
    Ok(std::io::Read::read(&mut std::io::stdin(), &mut [0; 16]).unwrap())
}

#[test]
fn stdin_is_empty() {
    const NAME: &str = "stdin_is_empty";
    if std::env::var_os("SANDBOXED_TEST_INNER").is_some() {
        assert_eq!(read_stdin().unwrap(), 0);
        return;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", NAME])
        .env("SANDBOXED_TEST_INNER", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"the host's").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Leaves a process behind that holds the pipes, and the channel.
#[sandboxed(execute = "/usr/bin")]
fn leave_a_holder_behind() -> Result<u32, Error> {
    sys::fork(|| std::thread::sleep(std::time::Duration::from_secs(300)));
    println!("left behind");
    Ok(7)
}

/// As above, and ends without a result.
#[sandboxed(execute = "/usr/bin")]
fn leave_a_holder_behind_and_die() -> Result<u32, Error> {
    sys::fork(|| std::thread::sleep(std::time::Duration::from_secs(300)));
    sys::exit_now(3)
}

/// As above, and what is left behind writes all the time.
#[sandboxed(execute = "/usr/bin")]
fn leave_a_flood_behind() -> Result<u32, Error> {
    // The announcement of a beginning, again and again: nothing that ends a call.
    sys::fork(|| while sys::write(3, &[4, 0, 0, 0, 0, 0, 0, 0, 0].repeat(1000)).is_ok() {});
    sys::exit_now(3)
}

#[test]
fn what_a_worker_leaves_behind_holds_up_no_call() {
    in_child("what_a_worker_leaves_behind_holds_up_no_call", || {
        assert_eq!(leave_a_holder_behind().unwrap(), 7);
        assert_eq!(leave_a_holder_behind_and_die().unwrap_err().exit_code(), Some(3));
        assert_eq!(leave_a_flood_behind().unwrap_err().exit_code(), Some(3));
    });
}

#[test]
fn a_broken_stdout_of_the_host_is_no_failure_of_the_call() {
    const NAME: &str = "a_broken_stdout_of_the_host_is_no_failure_of_the_call";
    if std::env::var_os("SANDBOXED_TEST_INNER").is_some() {
        // Of the harness nothing is to come any more. Wait until nobody reads.
        sys::write(1, b"ready\n").unwrap();
        let _end = std::io::Read::read(&mut std::io::stdin(), &mut [0; 1]).unwrap();
        let worked = relayed(false).is_ok_and(|result| result == 7);
        sys::exit_now(if worked { 42 } else { 1 });
    }
    if !support::has_abi(1, "a worker that prints") {
        return;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", NAME, "--nocapture"]).env("SANDBOXED_TEST_INNER", "1");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert_ne!(std::io::BufRead::read_line(&mut stdout, &mut line).unwrap(), 0);
    }
    drop(stdout);
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(42));
}

/// A full disk, say. `print!` would panic in the host.
#[test]
fn a_stdout_that_cannot_be_written_is_no_failure_of_the_call() {
    const NAME: &str = "a_stdout_that_cannot_be_written_is_no_failure_of_the_call";
    if std::env::var_os("SANDBOXED_TEST_INNER").is_some() {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        sys::replace(1, &full);
        let worked = relayed(false).is_ok_and(|result| result == 7);
        sys::exit_now(if worked { 42 } else { 1 });
    }
    if !support::has_abi(1, "a worker that prints") {
        return;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", NAME, "--nocapture"]).env("SANDBOXED_TEST_INNER", "1");
    assert_eq!(command.output().unwrap().status.code(), Some(42));
}

#[sandboxed(timeout = "2s")]
fn flood_relayed() -> Result<(), Error> {
    flood()
}

/// A little, which the host's stdout keeps for want of a line's end, and then a page: more than the one page that a
/// pipe which can be written has room for.
#[sandboxed(timeout = "2s")]
fn flood_relayed_by_more_than_a_page() -> Result<(), Error> {
    loop {
        for length in [500, 4096, 4096] {
            std::io::stdout().write_all(&[b'x'].repeat(length)).unwrap();
            std::io::stdout().flush().unwrap();
            // So that the host takes each by itself.
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// Then the worker waits, and its deadline holds.
#[test]
fn a_stdout_that_nobody_reads_holds_up_no_timeout() {
    const NAME: &str = "a_stdout_that_nobody_reads_holds_up_no_timeout";
    if let Ok(how) = std::env::var("SANDBOXED_TEST_INNER") {
        let flood = if how == "1" { flood_relayed } else { flood_relayed_by_more_than_a_page };
        let timed_out = flood().unwrap_err().is_timeout();
        sys::exit_now(if timed_out { 42 } else { 1 });
    }
    if !support::has_abi(1, "a worker that prints") {
        return;
    }
    for how in ["1", "2"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", NAME, "--nocapture"]).env("SANDBOXED_TEST_INNER", how);
        // The reader is there all the time, and reads nothing.
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let host = processes::Process::of(child.id().cast_signed());
        let ended = std::panic::catch_unwind(|| processes::wait_until("the call ended", || host.is_gone()));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(42), "{how}");
        ended.unwrap();
    }
}
