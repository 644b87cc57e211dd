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
use sandboxed::{Error, Ran, sandboxed};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use step::Step;
use support::in_child;

#[sandboxed(memory = "unlimited")]
fn add(a: u32, b: u32) -> Result<u32, Error> {
    Ok(a + b)
}

#[sandboxed(memory = "unlimited")]
fn template() -> i32 {
    std::os::unix::process::parent_id().cast_signed()
}

fn forkserver() -> i32 {
    processes::forkserver_of(template())
}

/// What a function's second call opens ahead of others, which is kept, is there by now.
fn warmed_up_forkserver() -> Process {
    forkserver();
    Process::of(forkserver())
}

/// Looks at what it is told.
struct Look;

impl log::Log for Look {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        struct Fields(Vec<String>);
        impl<'kvs> log::kv::VisitSource<'kvs> for Fields {
            fn visit_pair(
                &mut self,
                key: log::kv::Key<'kvs>,
                value: log::kv::Value<'kvs>,
            ) -> Result<(), log::kv::Error> {
                let is_ours = key.as_str().starts_with("sandboxed.");
                assert_eq!(
                    is_ours,
                    value.to_string().starts_with("hostile_output::attack::in_"),
                    "{key}: {value}"
                );
                self.0.extend([key.to_string(), value.to_string()]);
                Ok(())
            }
        }
        let mut fields = Fields(Vec::new());
        record.key_values().visit(&mut fields).unwrap();
        assert!(fields.0.len() <= 2 * 33, "{} fields", fields.0.len() / 2);
        let line =
            |text: &str| assert!(!text.contains(char::is_control) && text.len() <= 8 << 10, "{text:?}");
        fields.0.iter().for_each(|text| line(text));
        line(record.target());
        let message = record.args().to_string();
        assert!(message.lines().skip(1).all(|rest| rest.starts_with("    ")), "{message:?}");
        message.lines().for_each(|text| assert!(!text.contains(char::is_control), "{text:?}"));
    }

    fn flush(&self) {}
}

fn look_at_records() {
    log::set_logger(&Look).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
}

fn attacks() -> Vec<Attack> {
    let mut attacks = attack::all();
    attacks.retain(|attack| !attack.limits_memory() || !is_memory_hidden(&attack.name));
    attacks
}

fn run(attack: &Attack) {
    let result = attack.run();
    let end = match (End::of(&result), attack.end) {
        (End::TimedOut(_), whether @ End::TimedOut(Ran::Maybe)) => whether,
        (End::Exited(code, _), whether @ End::Exited(expected, Ran::Maybe)) if code == expected => whether,
        (end, _) => end,
    };
    assert_eq!(end, attack.end, "{}: {result:?}", attack.name);
    if let Err(error) = result {
        let text = error.to_string();
        let is_harmless = |letter: char| !letter.is_control() || "\n\r\t".contains(letter);
        assert!(text.chars().all(is_harmless), "{}: {text:?}", attack.name);
    }
}

/// So that every template is there.
fn run_one_of_each(attacks: &[Attack]) {
    let kinds: std::collections::BTreeMap<_, _> =
        attacks.iter().map(|attack| (attack.kind(), attack)).collect();
    kinds.into_values().for_each(run);
}

/// The most memory that this process had resident so far, in KiB.
fn most_resident() -> u64 {
    let this = Process::of(std::process::id().cast_signed());
    this.status("VmHWM").strip_suffix(" kB").unwrap().parse().unwrap()
}

/// Whether memory says nothing: AddressSanitizer and valgrind keep what was freed, and have a shadow of everything.
fn is_memory_hidden(what: &str) -> bool {
    let under = ["ASAN_OPTIONS", UNDER_VALGRIND].into_iter().find(|name| std::env::var_os(name).is_some());
    if let Some(name) = under {
        eprintln!("not checked: {what}, for {name} is set");
    }
    under.is_some()
}

const UNDER_VALGRIND: &str = "SANDBOXED_TEST_UNDER_VALGRIND";

#[test]
fn every_attack_ends_as_an_error_or_a_value() {
    in_child("every_attack_ends_as_an_error_or_a_value", || {
        sandboxed::set_frame_limit(LIMIT as u64);
        look_at_records();
        let server = warmed_up_forkserver();
        run_one_of_each(&attacks());
        let before = Holdings::of(&server);
        let resident = most_resident();
        for attack in attacks() {
            run(&attack);
            assert_eq!(add(2, 3).unwrap(), 5, "after {}", attack.name);
        }
        assert_eq!(forkserver(), server.pid, "it is still the same forkserver");
        wait_until("all is as it was", || Holdings::of(&server).is_no_more_than(&before));
        if !is_memory_hidden("how much memory attacks take") {
            let more = most_resident() - resident;
            // What passed through the window stays mapped for the next call.
            const WINDOW: u64 = 64 << 10;
            assert!(more < WINDOW + (16 << 10), "{more} KiB, for frames of up to {} KiB", LIMIT >> 10);
        }
    });
}

/// The host alone: the forkserver and its workers are programs that it starts, which valgrind leaves alone.
#[test]
#[ignore = "long: a step of its own in .ci/run"]
fn attacks_do_no_harm_to_memory_under_valgrind() {
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return eprintln!("not checked: valgrind is not installed");
    }
    let name = "every_attack_ends_as_an_error_or_a_value";
    let attacks = processes::rerun(&std::env::current_exe().unwrap(), name);
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=99"]).arg(attacks.get_program()).args(attacks.get_args());
    for (name, value) in attacks.get_envs() {
        command.env(name, value.unwrap());
    }
    command.env(UNDER_VALGRIND, "1");
    processes::assert_passes(command);
}

/// `SANDBOXED_HOSTILE_CALLS` says how many.
#[test]
fn many_attacks_leave_nothing_behind() {
    in_child("many_attacks_leave_nothing_behind", || {
        let calls = std::env::var("SANDBOXED_HOSTILE_CALLS").map_or(1000, |calls| calls.parse().unwrap());
        sandboxed::set_frame_limit(LIMIT as u64);
        look_at_records();
        let (slow, quick): (Vec<_>, Vec<_>) = attacks().into_iter().partition(Attack::is_slow);
        let server = warmed_up_forkserver();
        // What comes with the first calls stays: buffers, the symbols of a backtrace. And after slow
        // ones, of which large blocks were freed, glibc keeps blocks of the quick ones in its heap.
        quick.iter().for_each(run);
        run_one_of_each(&slow);
        quick.iter().for_each(run);
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

#[sandboxed(memory = "unlimited", timeout = "1s")]
fn relayed(steps: &[Step]) -> Result<(), Error> {
    steps.iter().for_each(Step::run);
    Ok(())
}

#[sandboxed(memory = "unlimited", timeout = "1s", stdio = "capture")]
fn captured(steps: &[Step]) -> Result<(), Error> {
    steps.iter().for_each(Step::run);
    Ok(())
}

#[test]
fn prints_without_end_are_relayed_and_kept_in_part_until_the_timeout() {
    const NAME: &str = "prints_without_end_are_relayed_and_kept_in_part_until_the_timeout";
    if !processes::is_rerun(NAME) {
        let mut command = processes::rerun(&std::env::current_exe().unwrap(), NAME);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        return assert_eq!(command.status().unwrap().code(), Some(42), "see with --exact {NAME} --nocapture");
    }
    let floods = [&[b'x'; 4096][..], b"\n", &b"\x1b[2J\x07".repeat(500), b"\xf0\x9f\xa6", &[0xff; 9000]];
    for flood in floods {
        let steps = [Step::Print(flood.to_vec())];
        assert!(relayed(&steps).unwrap_err().is_timeout());
        let error = captured(&steps).unwrap_err();
        assert!(error.is_timeout(), "{error}");
        let output = error.output().unwrap();
        // A flood of single bytes may be slow.
        for stream in [&output.stdout, &output.stderr] {
            assert!((1..=64 << 10).contains(&stream.len()), "{} bytes kept", stream.len());
            assert!(stream.iter().all(|byte| flood.contains(byte)));
        }
    }
    if !is_memory_hidden("how much memory prints take") {
        assert!(most_resident() < 64 << 10, "{} KiB", most_resident());
    }
    sys::exit_now(42)
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
        // With a worker there is what leads to it, and to those that follow.
        attack(&[]).unwrap();
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

/// How the memory is mapped that is shared with somebody, before and after it made some.
#[sandboxed(memory = "unlimited", read = "/proc")]
fn shared_mappings() -> Result<[Vec<String>; 2], Error> {
    let list = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let how = maps.lines().filter_map(|line| line.split_ascii_whitespace().nth(1));
        how.filter(|how| how.ends_with('s')).map(str::to_owned).collect()
    };
    let before = list();
    sys::share_memory();
    Ok([before, list()])
}

/// Requests, which it can but read, and replies, which the host copies before it looks.
#[test]
fn a_worker_shares_the_memory_of_its_channel_alone() {
    if !support::has_abi(1, "a worker that reads its mappings") {
        return;
    }
    let [mut before, after] = shared_mappings().unwrap();
    before.sort();
    assert_eq!(before, ["r--s", "rw-s"]);
    assert_eq!(after.len(), 3, "{after:?}");
}
