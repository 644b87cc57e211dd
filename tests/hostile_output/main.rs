//! The host under a worker that writes anything: it neither fails, nor hangs, nor keeps anything, and takes no more
//! memory than it says.

mod attack;
#[path = "../support/holdings.rs"]
mod holdings;
#[path = "../support/processes.rs"]
mod processes;
mod step;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/sys.rs"]
mod sys;
mod values;

use attack::{Attack, End, LIMIT};
use holdings::{Held, Holdings};
use processes::{Process, wait_until};
use sandboxed::{Error, sandboxed};
use std::os::fd::OwnedFd;
use step::Step;
use support::in_child;

#[sandboxed(memory = "unlimited")]
fn add(a: u32, b: u32) -> Result<u32, Error> {
    Ok(a + b)
}

#[sandboxed(memory = "unlimited")]
fn forkserver() -> i32 {
    std::os::unix::process::parent_id().cast_signed()
}

fn run(attack: &Attack) {
    let result = attack.run();
    assert_eq!(End::of(&result), attack.end, "{}: {result:?}", attack.name);
    if let Err(error) = result {
        let text = error.to_string();
        let is_harmless = |letter: char| !letter.is_control() || "\n\r\t".contains(letter);
        assert!(text.chars().all(is_harmless), "{}: {text:?}", attack.name);
    }
}

/// The most memory that this process had resident so far, in KiB.
fn most_resident() -> u64 {
    let this = Process::of(std::process::id().cast_signed());
    this.status("VmHWM").strip_suffix(" kB").unwrap().parse().unwrap()
}

/// Whether memory says nothing: AddressSanitizer keeps what was freed, and has a shadow of everything.
fn is_memory_hidden(what: &str) -> bool {
    let hidden = std::env::var_os("ASAN_OPTIONS").is_some();
    if hidden {
        eprintln!("not checked: {what}, under AddressSanitizer");
    }
    hidden
}

#[test]
fn every_attack_ends_as_an_error_or_a_value() {
    in_child("every_attack_ends_as_an_error_or_a_value", || {
        sandboxed::set_frame_limit(LIMIT as u64);
        let server = Process::of(forkserver());
        let before = Holdings::of(&server);
        let resident = most_resident();
        for attack in attack::all() {
            run(&attack);
            assert_eq!(add(2, 3).unwrap(), 5, "after {}", attack.name);
        }
        assert_eq!(forkserver(), server.pid, "it is still the same forkserver");
        wait_until("all is as it was", || Holdings::of(&server).is_no_more_than(&before));
        if !is_memory_hidden("how much memory attacks take") {
            let more = most_resident() - resident;
            assert!(more < 16 << 10, "{more} KiB, for frames of up to {} KiB", LIMIT >> 10);
        }
    });
}

/// `SANDBOXED_HOSTILE_CALLS` says how many.
#[test]
fn many_attacks_leave_nothing_behind() {
    in_child("many_attacks_leave_nothing_behind", || {
        let calls = std::env::var("SANDBOXED_HOSTILE_CALLS").map_or(1000, |calls| calls.parse().unwrap());
        sandboxed::set_frame_limit(LIMIT as u64);
        let (slow, quick): (Vec<_>, Vec<_>) = attack::all().into_iter().partition(Attack::is_slow);
        let server = Process::of(forkserver());
        // What comes with the first calls stays: buffers, the symbols of a backtrace.
        quick.iter().for_each(run);
        wait_until("the forkserver is idle", || Holdings::of(&server).is_idle());
        let before = Holdings::of(&server);
        let this = Process::of(std::process::id().cast_signed());
        let (ours, servers) = (Held::of(&this), Held::of(&server));

        let (mut quick, mut slow) = (quick.iter().cycle(), slow.iter().cycle());
        for number in 0..calls {
            let attacks = if number % 1000 == 999 { &mut slow } else { &mut quick };
            run(attacks.next().unwrap());
        }
        assert_eq!(forkserver(), server.pid, "it is still the same forkserver");
        wait_until("all is as it was", || Holdings::of(&server).is_no_more_than(&before));
        if !is_memory_hidden("what attacks leave in memory") {
            Held::of(&this).assert_little_more_than(&ours, "host");
            Held::of(&server).assert_little_more_than(&servers, "forkserver");
        }
    });
}

#[sandboxed(memory = "unlimited", stdio = "null")]
fn attack(steps: &[Step]) -> Result<Vec<u8>, Error> {
    steps.iter().for_each(Step::run);
    Ok(Vec::new())
}

/// A failed allocation would end it.
#[test]
fn a_host_without_memory_for_a_reply_goes_on() {
    in_child("a_host_without_memory_for_a_reply_goes_on", || {
        if is_memory_hidden("a host without memory") {
            return;
        }
        let endless = [Step::Write(attack::header(6, 1 << 30)), Step::Repeat(0, 1 << 30)];
        forkserver();
        let this = Process::of(std::process::id().cast_signed());
        let present: u64 = this.status("VmSize").strip_suffix(" kB").unwrap().parse().unwrap();
        let most = Some((present << 10) + (64 << 20));
        let limit = rustix::process::Rlimit { current: most, maximum: most };
        rustix::process::setrlimit(rustix::process::Resource::As, limit).unwrap();
        for _ in 0..3 {
            let error = attack(&endless).unwrap_err();
            assert!(error.is_bad_data(), "{error}");
            assert!(error.to_string().contains("no memory"), "{error}");
            assert_eq!(attack(&[]).unwrap(), b"");
        }
    });
}

/// The numbers of the descriptors that are sockets.
#[sandboxed(memory = "unlimited")]
fn sockets(handed_over: Option<OwnedFd>) -> Result<Vec<i32>, Error> {
    let is_socket = |fd: &i32| sys::file_type(*fd) == Some(rustix::fs::FileType::Socket);
    let sockets = (0..1024).filter(is_socket).collect();
    drop(handed_over);
    Ok(sockets)
}

/// Nothing carries descriptors to the host.
#[test]
fn a_worker_has_no_socket() {
    assert_eq!(sockets(None).unwrap(), [0; 0]);
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    assert_eq!(sockets(Some(ours.into())).unwrap().len(), 1, "one that it was handed is seen");
}

/// The mappings that are shared with somebody, before and after it made one.
#[sandboxed(memory = "unlimited", read = "/proc")]
fn shared_mappings() -> Result<[Vec<String>; 2], Error> {
    let list = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let is_shared =
            |line: &&str| line.split_ascii_whitespace().nth(1).is_some_and(|how| how.ends_with('s'));
        maps.lines().filter(is_shared).map(str::to_owned).collect()
    };
    let before = list();
    sys::share_memory();
    Ok([before, list()])
}

/// So the host reads none that changes meanwhile.
#[test]
fn a_worker_shares_no_memory() {
    let [before, after] = shared_mappings().unwrap();
    assert_eq!(before, [""; 0]);
    assert_eq!(after.len(), 1, "{after:?}");
}
