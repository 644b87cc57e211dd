//! Workers: fresh for each call or used again, how many there are, and what one call leaves for the next.

#[path = "support/processes.rs"]
mod processes;
mod support;
#[path = "support/sys.rs"]
mod sys;

use processes::{Process, wait_until};
use sandboxed::{Error, ErrorKind, Policy, Ran, Workers, sandboxed};
use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use support::in_child;

static CALLS: AtomicU32 = AtomicU32::new(0);

/// The pid, and the number of the call in this process.
fn count() -> (u32, u32) {
    (std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed))
}

#[sandboxed]
fn fresh() -> (u32, u32) {
    count()
}

#[sandboxed(workers(reuse = 3))]
fn three_times() -> (u32, u32) {
    count()
}

#[test]
fn every_call_has_a_fresh_process_unless_said_otherwise() {
    let calls: Vec<_> = (0..20).map(|_| fresh()).collect();
    let mut pids: Vec<u32> = calls.iter().map(|call| call.0).collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), calls.len());
    assert!(calls.iter().all(|call| call.1 == 0));
}

#[test]
fn a_worker_serves_as_many_calls_as_it_is_said_to() {
    in_child("a_worker_serves_as_many_calls_as_it_is_said_to", || {
        let calls: Vec<_> = (0..9).map(|_| three_times()).collect();
        for (number, call) in (0..).zip(&calls) {
            assert_eq!(call.1, number % 3, "{calls:?}");
        }
        assert_eq!(calls[0].0, calls[2].0);
        assert_ne!(calls[2].0, calls[3].0);
    });
}

#[sandboxed(workers(reuse = 1000), timeout = "3s", memory = "unlimited")]
fn end_somehow(how: u8) -> Result<(u32, u32), Error> {
    match how {
        1 => panic!("as asked"),
        2 => std::process::exit(3),
        3 => std::process::abort(),
        4 => std::thread::sleep(Duration::from_secs(60)),
        5 => sandboxed::__private::forge_reply(&[0xff; 9]),
        _ => {}
    }
    Ok(count())
}

#[test]
fn a_worker_that_failed_is_not_used_again() {
    in_child("a_worker_that_failed_is_not_used_again", || {
        for how in 1..=5 {
            let (before, _) = end_somehow(0).unwrap();
            assert_eq!(end_somehow(0).unwrap().0, before, "it is used again");
            let error = end_somehow(how).unwrap_err();
            let is_right = match how {
                1 => error.is_panic(),
                2 => error.exit_code() == Some(3),
                3 => error.signal() == Some(libc::SIGABRT),
                4 => error.is_timeout(),
                _ => error.is_bad_data(),
            };
            assert!(is_right, "{how}: {error}");
            let (after, calls) = end_somehow(0).unwrap();
            assert_ne!(after, before, "{how}");
            assert_eq!(calls, 0, "{how}");
        }
    });
}

#[sandboxed(workers(max = 1), timeout = "3s")]
fn one_at_a_time(length: Duration) -> Result<Duration, Error> {
    std::thread::sleep(length);
    Ok(length)
}

#[test]
fn a_call_waits_for_a_worker_and_not_for_ever() {
    in_child("a_call_waits_for_a_worker_and_not_for_ever", || {
        let short = Duration::from_millis(50);
        std::thread::scope(|scope| {
            let calls: Vec<_> = (0..3).map(|_| scope.spawn(move || one_at_a_time(short))).collect();
            let ends: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
            assert!(ends.iter().all(|end| *end == Ok(short)), "{ends:?}");
        });
        std::thread::scope(|scope| {
            let long = scope.spawn(|| one_at_a_time(Duration::from_secs(60)));
            let waiting = scope.spawn(|| one_at_a_time(Duration::from_secs(60)));
            let errors = [long, waiting].map(|call| call.join().unwrap().unwrap_err());
            assert!(errors.iter().any(Error::is_timeout), "{errors:?}");
            // The second has its time from when it got a worker on, if it got one.
            for error in errors.iter().filter(|error| !error.is_timeout()) {
                assert!(matches!(error.kind(), ErrorKind::Busy { max: 1, .. }), "{error:?}");
                assert_eq!(error.ran(), Ran::No);
                assert!(
                    error.is_busy() && error.to_string().contains("all of its 1 workers busy"),
                    "{error}"
                );
            }
        });
    });
}

#[sandboxed(workers(spare = 3))]
fn with_spares() -> i32 {
    std::os::unix::process::parent_id().cast_signed()
}

#[sandboxed(workers(spare = 0))]
fn without_spares() -> i32 {
    std::os::unix::process::parent_id().cast_signed()
}

#[test]
fn so_many_workers_wait_as_are_to() {
    in_child("so_many_workers_wait_as_are_to", || {
        let template = with_spares();
        wait_until("three workers wait", || processes::children(template).len() >= 3);
        let template = without_spares();
        without_spares();
        assert!(processes::children(template).len() <= 1);
    });
}

#[test]
fn functions_that_are_alike_share_their_workers() {
    #[sandboxed]
    fn one() -> u32 {
        std::os::unix::process::parent_id()
    }
    #[sandboxed]
    fn another() -> u32 {
        std::os::unix::process::parent_id()
    }
    #[sandboxed(open_files = 7)]
    fn different() -> u32 {
        std::os::unix::process::parent_id()
    }
    #[sandboxed(workers(reuse = 2))]
    fn used_again() -> u32 {
        std::os::unix::process::parent_id()
    }
    #[sandboxed(workers(reuse = 2))]
    fn used_again_too() -> u32 {
        std::os::unix::process::parent_id()
    }
    in_child("functions_that_are_alike_share_their_workers", || {
        assert_eq!(one(), another());
        assert_ne!(one(), different());
        assert_ne!(used_again(), used_again_too(), "one could read what the other left");
    });
}

#[sandboxed(policy = &policy)]
fn template_under(policy: Policy) -> Result<i32, Error> {
    Ok(std::os::unix::process::parent_id().cast_signed())
}

#[test]
fn ready_state_is_bounded() {
    in_child("ready_state_is_bounded", || {
        let mut templates = Vec::new();
        for open_files in 10..60 {
            let template = template_under(Policy::new().open_files(open_files)).unwrap();
            templates.push(Process::of(template));
        }
        assert_eq!(template_under(Policy::new().open_files(59)).unwrap(), templates[49].pid);
        wait_until("the first are gone", || templates[..34].iter().all(Process::is_gone));
        assert!(templates[34..].iter().all(|template| !template.is_gone()));
    });
}

#[sandboxed(read = path)]
fn read_file(path: &Path, other: &Path) -> Result<(String, Option<i32>), std::io::Error> {
    Ok((fs::read_to_string(path)?, fs::read(other).err().and_then(|error| error.raw_os_error())))
}

#[test]
fn grants_that_name_arguments_are_those_of_each_call() {
    if !support::has_abi(1, "grants of files") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| directory.path().join(name));
    fs::write(&a, "in a").unwrap();
    fs::write(&b, "in b").unwrap();
    for _ in 0..3 {
        assert_eq!(read_file(&a, &b).unwrap(), ("in a".into(), Some(libc::EACCES)));
        assert_eq!(read_file(&b, &a).unwrap(), ("in b".into(), Some(libc::EACCES)));
    }
}

fn shared() -> &'static Path {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIRECTORY.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

#[sandboxed(read = shared().join("file"))]
fn read_granted(path: &Path) -> Result<String, std::io::Error> {
    fs::read_to_string(path)
}

#[test]
fn a_grant_is_of_what_its_path_names_when_the_call_is_made() {
    if !support::has_abi(1, "grants of files") {
        return;
    }
    let path = shared().join("file");
    fs::write(&path, "first").unwrap();
    assert_eq!(read_granted(&path).unwrap(), "first");
    assert_eq!(read_granted(&path).unwrap(), "first");
    fs::write(shared().join("other"), "second").unwrap();
    fs::rename(shared().join("other"), &path).unwrap();
    assert_eq!(read_granted(&path).unwrap(), "second", "also where workers wait already");
    fs::remove_file(&path).unwrap();
    assert!(read_granted(&path).is_err());
    fs::write(&path, "third").unwrap();
    assert_eq!(read_granted(&path).unwrap(), "third");
}

#[sandboxed(read = "/", workers(reuse = 100))]
fn directory_and_leave() -> Result<std::path::PathBuf, Error> {
    let here = std::env::current_dir().unwrap();
    std::env::set_current_dir("/").unwrap();
    Ok(here)
}

#[sandboxed(read = "/")]
fn directory() -> Result<std::path::PathBuf, Error> {
    Ok(std::env::current_dir().unwrap())
}

#[sandboxed(env = "SANDBOXED_TEST_VARIABLE")]
fn variable() -> Result<Option<String>, Error> {
    Ok(std::env::var("SANDBOXED_TEST_VARIABLE").ok())
}

#[test]
fn directory_and_variables_are_those_of_the_call() {
    in_child("directory_and_variables_are_those_of_the_call", || {
        if support::has_abi(1, "grants of files") {
            for to in ["/", "/usr", "/", "/tmp"] {
                std::env::set_current_dir(to).unwrap();
                assert_eq!(directory().unwrap(), Path::new(to));
                assert_eq!(directory_and_leave().unwrap(), Path::new(to));
                assert_eq!(directory_and_leave().unwrap(), Path::new(to));
            }
        }
        assert_eq!(variable().unwrap(), None);
        for value in ["one", "two"] {
            sys::set_variable("SANDBOXED_TEST_VARIABLE", value);
            assert_eq!(variable().unwrap().as_deref(), Some(value));
        }
    });
}

#[sandboxed(workers(reuse = 10), stdio = "capture")]
fn say(text: &str, fail: bool) -> Result<(), Error> {
    print!("{text}");
    std::io::stdout().flush().unwrap();
    if fail { panic!("as asked") } else { Ok(()) }
}

#[test]
fn what_one_call_prints_is_not_the_nexts() {
    in_child("what_one_call_prints_is_not_the_nexts", || {
        say("first", false).unwrap();
        let error = say("second", true).unwrap_err();
        assert_eq!(error.output().unwrap().stdout, b"second");
    });
}

/// Looks for bytes in the memory of its channel.
#[sandboxed]
fn search(_padding: &[u8], needle: &[u8], reply: &[u8]) -> Result<(bool, bool, Vec<u8>), Error> {
    let own = needle.as_ptr() as usize;
    let (start, length) = sandboxed::__private::reply_memory().unwrap();
    let wanted: Vec<u8> = needle.iter().map(|byte| byte ^ 0x55).collect();
    let in_request = sys::find_from(own, 300_000, &wanted);
    let in_reply = sys::find_from(start as usize, length.min(300_000), &wanted);
    Ok((in_request, in_reply, reply.to_vec()))
}

/// A fresh worker finds nothing of what another was given or answered.
#[test]
fn nothing_of_one_call_is_in_the_memory_of_the_next() {
    let secret = b"what only the first may know, and none after it".repeat(20);
    let masked: Vec<u8> = secret[..47].iter().map(|byte| byte ^ 0x55).collect();
    let padding = vec![0; 100];
    for _ in 0..6 {
        let (in_request, _, _) = search(&padding, &masked, &secret).unwrap();
        assert!(in_request, "it finds what it was given");
        let (in_request, in_reply, _) = search(&[], &masked, &[]).unwrap();
        assert_eq!((in_request, in_reply), (false, false));
    }
}

#[sandboxed]
fn write_arguments(bytes: &[u8]) -> Result<i32, Error> {
    Ok(sys::make_writable(bytes.as_ptr() as usize).unwrap_err().raw_os_error().unwrap())
}

#[test]
fn a_worker_cannot_write_requests() {
    assert_eq!(write_arguments(&[1; 100]).unwrap(), libc::EACCES);
}

thread_local! {
    static WARMED: Cell<u32> = const { Cell::new(0) };
}
static TABLE: OnceLock<Vec<u32>> = OnceLock::new();

fn prepare() {
    WARMED.set(WARMED.get() + 1);
    TABLE.get_or_init(|| (0..1000).collect());
}

#[sandboxed(warm = prepare)]
fn warmed() -> Result<(u32, Option<u32>), Error> {
    Ok((WARMED.get(), TABLE.get().map(|table| table.iter().sum())))
}

#[test]
fn what_was_warmed_up_is_in_every_worker() {
    for _ in 0..4 {
        assert_eq!(warmed().unwrap(), (1, Some(499_500)));
    }
    assert!(TABLE.get().is_none(), "and not in the host");
}

fn fail_to_prepare() {
    panic!("no table");
}

#[sandboxed(warm = fail_to_prepare)]
fn badly_warmed() -> Result<(), Error> {
    Ok(())
}

fn end_instead() {
    std::process::exit(0);
}

#[sandboxed(warm = end_instead)]
fn ended_while_warming() -> Result<(), Error> {
    Ok(())
}

fn start_a_thread() {
    std::thread::spawn(|| std::thread::sleep(Duration::from_secs(60)));
}

#[sandboxed(warm = start_a_thread)]
fn with_a_thread() -> Result<(), Error> {
    Ok(())
}

fn read_a_file() {
    fs::read("/etc/passwd").unwrap();
}

#[sandboxed(warm = read_a_file)]
fn warmed_by_a_file() -> Result<(), Error> {
    Ok(())
}

#[sandboxed(warm = read_a_file, read = "/usr")]
fn warmed_by_another_file() -> Result<(), Error> {
    Ok(())
}

type Call = fn() -> Result<(), Error>;

#[test]
fn a_template_that_cannot_be_warmed_up_is_an_error() {
    in_child("a_template_that_cannot_be_warmed_up_is_an_error", || {
        let mut fails: Vec<(Call, &str)> = vec![
            (badly_warmed, "`warm` panicked: no table"),
            (ended_while_warming, "template has ended"),
            (with_a_thread, "`warm` started 1 threads"),
            (warmed_by_a_file, "`warm` panicked: called `Result::unwrap()` on an `Err` value: Os { code: 13"),
        ];
        if support::has_abi(1, "grants of files") {
            fails.push((warmed_by_another_file, "Os { code: 13"));
        }
        for (call, why) in fails {
            for _ in 0..2 {
                let error = call().unwrap_err();
                assert!(error.is_launch(), "{error:?}");
                assert_eq!(error.ran(), Ran::No);
                assert!(error.to_string().contains(why), "{error}");
            }
        }
    });
}

/// The same in the host and in a template, which has nothing of the host's memory.
fn place_of_table() -> std::path::PathBuf {
    let name =
        format!("{}-{}", env!("CARGO_MANIFEST_DIR").replace('/', "-"), rustix::process::getuid().as_raw());
    Path::new("/tmp").join(format!("sandboxed-table{name}"))
}

fn read_table() {
    fs::read(place_of_table().join("table")).unwrap();
}

#[sandboxed(warm = read_table, read = place_of_table())]
fn with_table() -> Result<(), Error> {
    Ok(())
}

#[test]
fn what_kept_a_template_from_being_ready_may_pass() {
    if !support::has_abi(1, "grants of files") {
        return;
    }
    in_child("what_kept_a_template_from_being_ready_may_pass", || {
        drop(fs::remove_dir_all(place_of_table()));
        fs::create_dir(place_of_table()).unwrap();
        let error = with_table().unwrap_err();
        assert!(error.is_launch() && error.ran() == Ran::No, "{error:?}");
        fs::write(place_of_table().join("table"), "1").unwrap();
        let result = with_table();
        fs::remove_dir_all(place_of_table()).unwrap();
        result.unwrap();
    });
}

#[test]
fn calls_of_many_threads_have_workers_of_their_own() {
    #[sandboxed(workers(reuse = 50, max = 8))]
    fn of_thread(number: u64, data: Vec<u8>) -> Result<(u64, Vec<u8>), Error> {
        Ok((number, data.into_iter().rev().collect()))
    }
    in_child("calls_of_many_threads_have_workers_of_their_own", || {
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                scope.spawn(move || {
                    for call in 0..200_u64 {
                        let length = [0, 10, 5_000, 70_000][usize::try_from(call % 4).unwrap()];
                        let data: Vec<u8> = (0..length).map(|at| (at + thread) as u8).collect();
                        let (number, back) = of_thread(thread * 1000 + call, data.clone()).unwrap();
                        assert_eq!(number, thread * 1000 + call);
                        assert!(back.iter().rev().eq(data.iter()));
                    }
                });
            }
        });
    });
}

/// A worker that waits is given up after ten seconds, and all of the program's are gone with it.
#[test]
fn workers_that_nobody_needs_go() {
    in_child("workers_that_nobody_needs_go", || {
        let template = with_spares();
        wait_until("three workers wait", || processes::children(template).len() >= 3);
        let since = Instant::now();
        wait_until("no worker waits", || processes::children(template).is_empty());
        assert!(since.elapsed() > Duration::from_secs(5), "not at once");
        assert_eq!(with_spares(), template, "the next call has one again");
    });
}

#[test]
fn counts_of_a_policy_are_kept() {
    #[sandboxed(policy = Policy::new().workers(Workers::new().reuse(4)))]
    fn by_policy() -> (u32, u32) {
        count()
    }
    in_child("counts_of_a_policy_are_kept", || {
        let calls: Vec<_> = (0..4).map(|_| by_policy()).collect();
        assert!(calls.iter().all(|call| call.0 == calls[0].0), "{calls:?}");
        assert_ne!(by_policy().0, calls[0].0);
    });
}
