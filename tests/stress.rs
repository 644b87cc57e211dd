//! Every kind of call at once, from many threads: each has the result or the error that it is to have, and nothing is
//! left behind. What is called in which order follows from a seed, which is printed.

#[path = "support/holdings.rs"]
mod holdings;
#[path = "support/processes.rs"]
mod processes;
mod support;
#[path = "support/sys.rs"]
mod sys;

use holdings::{Held, Holdings};
use processes::{Process, children, wait_until};
use sandboxed::{Error, Ran, sandboxed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::output_in_child;

const THREADS: u64 = 8;
const MIB: usize = 1 << 20;

/// What a body is to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum End {
    /// So many bytes, which follow from the number.
    Return(usize),
    Panic,
    Exit,
    Abort,
    Crash,
}

/// Bytes that are another call's only by chance.
fn bytes(number: u64, length: usize) -> Vec<u8> {
    let mut state = number;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&next(&mut state).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What every body does.
fn end(number: u64, end: End, data: &[u8]) -> (bool, Vec<u8>) {
    let is_right = data == bytes(!number, data.len());
    match end {
        End::Return(length) => return (is_right, bytes(number, length)),
        End::Panic => panic!("number {number}"),
        End::Exit => std::process::exit(3),
        End::Abort => std::process::abort(),
        End::Crash => sys::raise(libc::SIGSEGV),
    }
    unreachable!("the signal came")
}

type Answer = Result<(bool, Vec<u8>), Error>;

#[sandboxed(workers(max = 4))]
fn fresh(number: u64, how: End, data: &[u8]) -> Answer {
    Ok(end(number, how, data))
}

#[sandboxed(workers(reuse = 50, max = 4))]
fn used_again(number: u64, how: End, data: &[u8]) -> Answer {
    Ok(end(number, how, data))
}

/// Six threads at a time wait for those of the other two.
#[sandboxed(workers(reuse = 1000, max = 2))]
fn queued(number: u64, how: End, data: &[u8]) -> Answer {
    Ok(end(number, how, data))
}

#[sandboxed(read = path, workers(max = 4))]
fn granted(path: &Path, other: &Path) -> Result<(Vec<u8>, Option<i32>), std::io::Error> {
    Ok((fs::read(path)?, fs::read(other).err().and_then(|error| error.raw_os_error())))
}

#[sandboxed(workers(reuse = 10, max = 4), timeout = "20ms")]
fn too_long() -> Result<(), Error> {
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

#[sandboxed(workers(max = 1), timeout = "20ms")]
fn too_many() -> Result<(), Error> {
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Of the same workers as [`fresh`].
#[sandboxed(workers(max = 4))]
fn template() -> i32 {
    std::os::unix::process::parent_id().cast_signed()
}

/// What every thread needs.
struct Run {
    files: [PathBuf; 2],
    has_grants: bool,
    /// How many calls ended as each row of `KINDS` says.
    counts: [AtomicU64; KINDS.len()],
}

const KINDS: [&str; 8] = ["small", "other sizes", "16 MiB", "panic", "crash", "grant", "timeout", "busy"];

impl Run {
    fn count(&self, kind: &str) {
        let index = KINDS.iter().position(|known| *known == kind).unwrap();
        self.counts[index].fetch_add(1, Ordering::Relaxed);
    }

    /// One call, of a kind that the number says.
    fn call(&self, number: u64) {
        match number % 1024 {
            0 => {
                let error = too_long().unwrap_err();
                assert!(error.is_timeout(), "{number}: {error:?}");
                self.count("timeout");
            }
            // One has the worker; when its time is over, the time that the last has waited is too.
            1 => std::thread::scope(|scope| {
                let calls = [(); 3].map(|()| scope.spawn(too_many));
                for call in calls {
                    let error = call.join().unwrap().unwrap_err();
                    assert!(error.is_timeout() || error.is_busy(), "{number}: {error:?}");
                    assert!(error.is_timeout() || error.ran() == Ran::No, "{number}: {error:?}");
                    self.count(if error.is_busy() { "busy" } else { "timeout" });
                }
            }),
            2 => self.exchange(number, End::Return(16 * MIB), 0, "16 MiB"),
            3 => self.exchange(number, End::Return(3), MIB + number as usize % MIB, "other sizes"),
            4..84 if self.has_grants => self.grant(number),
            84..100 => self.exchange(number, End::Panic, 10, "panic"),
            100..130 => {
                let how = [End::Exit, End::Abort, End::Crash][(number >> 16) as usize % 3];
                self.exchange(number, how, 10, "crash");
            }
            130..230 => {
                let [length, argument] = [16, 40].map(|shift| 1 << ((number >> shift) % 17));
                self.exchange(number, End::Return(length - 1), argument + 1, "other sizes");
            }
            _ => self.exchange(number, End::Return(8), 8, "small"),
        }
    }

    fn exchange(&self, number: u64, how: End, argument: usize, kind: &str) {
        let data = bytes(!number, argument);
        let answer = match (number >> 10) % 8 {
            0..3 => fresh(number, how, &data),
            3..7 => used_again(number, how, &data),
            _ => queued(number, how, &data),
        };
        match (how, answer) {
            (End::Return(length), Ok((is_right, result))) => {
                assert!(is_right && result == bytes(number, length), "{number}: {how:?}, {argument}");
            }
            (End::Panic, Err(error)) => {
                assert_eq!(error.panic_message(), Some(&*format!("number {number}")), "{error:?}")
            }
            (End::Exit, Err(error)) => assert_eq!(error.exit_code(), Some(3), "{number}: {error:?}"),
            (End::Abort, Err(error)) => {
                assert_eq!(error.signal(), Some(libc::SIGABRT), "{number}: {error:?}")
            }
            (End::Crash, Err(error)) => {
                assert_eq!(error.signal(), Some(libc::SIGSEGV), "{number}: {error:?}")
            }
            (_, answer) => panic!("{number}: {how:?}, {argument} bytes: {:?}", answer.map(|ok| ok.1.len())),
        }
        self.count(kind);
    }

    fn grant(&self, number: u64) {
        let [path, other] =
            if number & 1 << 20 == 0 { [0, 1] } else { [1, 0] }.map(|index| &self.files[index]);
        let (content, errno) = granted(path, other).unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!((content, errno), (path.as_os_str().as_encoded_bytes().to_vec(), Some(libc::EACCES)));
        self.count("grant");
    }

    /// So many calls, on all threads.
    fn calls(&self, seed: u64, count: u64) {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                scope.spawn(move || {
                    let mut state = seed ^ thread << 56;
                    (0..count / THREADS).for_each(|_| self.call(next(&mut state)));
                });
            }
        });
    }
}

/// What a template holds that its `status` tells, in KiB.
#[derive(Debug)]
struct OfTemplate {
    data: u64,
    shared: u64,
}

impl OfTemplate {
    fn of(template: i32) -> OfTemplate {
        let process = Process::of(template);
        let kib = |name: &str| process.status(name).strip_suffix(" kB").unwrap().parse().unwrap();
        OfTemplate { data: kib("VmData"), shared: kib("RssShmem") }
    }
}

fn templates(server: &Process) -> BTreeMap<i32, OfTemplate> {
    children(server.pid).into_iter().map(|pid| (pid, OfTemplate::of(pid))).collect()
}

/// What the library may keep of the memory of calls for the next ones, in KiB.
const KEPT: u64 = 256 << 10;

/// The second run of calls leaves no more than the first did.
fn run(count: u64, seed: u64) {
    eprintln!("SANDBOXED_STRESS_SEED={seed}");
    // What the allocator would keep of large blocks, in an arena for each thread, is no leak.
    sys::give_back_large_blocks();
    let directory = tempfile::tempdir().unwrap();
    let files = ["a", "b"].map(|name| directory.path().join(name));
    files.iter().for_each(|file| fs::write(file, file.as_os_str().as_encoded_bytes()).unwrap());
    let has_grants = support::has_abi(1, "grants of files");
    let run = Run { files, has_grants, counts: Default::default() };

    // Each function once, so that there are all of their templates.
    [0, 1, 2, 3 << 10 | 2, 7 << 10 | 2, 4].into_iter().for_each(|number| run.call(number));
    run.calls(seed, count / 4);
    let server = Process::of(processes::forkserver_of(template()));
    let this = Process::of(std::process::id().cast_signed());
    let (holdings, ours, servers) = (Holdings::of(&server), Held::of(&this), Held::of(&server));
    let before = templates(&server);
    run.calls(!seed, count - count / 4);

    assert_eq!(processes::forkserver_of(template()), server.pid, "it is still the same forkserver");
    wait_until("all is as it was", || Holdings::of(&server).is_no_more_than(&holdings));
    let now = Held::of(&this);
    assert!(now.mappings <= ours.mappings + 100, "{} before, {} after", ours.mappings, now.mappings);
    assert!(
        now.data_kib <= ours.data_kib + (16 << 10),
        "{} KiB before, {} after",
        ours.data_kib,
        now.data_kib
    );
    Held::of(&server).assert_little_more_than(&servers, "forkserver");
    let after = templates(&server);
    assert!(after.keys().eq(before.keys()), "no template ended: {before:?}, {after:?}");
    for (pid, template) in &after {
        assert!(template.data <= before[pid].data + 1024, "{before:?}, {after:?}");
        assert!(template.shared <= KEPT, "{after:?}");
    }
    let shared: u64 = this.status("RssShmem").strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(shared <= KEPT, "{shared} KiB");
    // The dead are reaped, and only those live that wait for a call.
    wait_until("no zombie", || {
        let all = children(this.pid).into_iter().chain(children(server.pid));
        all.chain(after.keys().flat_map(|pid| children(*pid))).all(|pid| !Process::is_zombie(pid))
    });
    for (kind, count) in KINDS.iter().zip(&run.counts) {
        eprintln!("{:8} {kind}", count.load(Ordering::Relaxed));
    }
    eprintln!("host: {shared} KiB shared; templates: {after:?}");
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |number| number.parse().unwrap())
}

/// `SANDBOXED_STRESS_CALLS` says how many.
#[test]
fn calls_of_every_kind_at_once() {
    let output = output_in_child("calls_of_every_kind_at_once", || {
        let clock = u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos());
        let seed = from_environment("SANDBOXED_STRESS_SEED", clock);
        run(from_environment("SANDBOXED_STRESS_CALLS", 8_000), seed);
    });
    if let Some(output) = output {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}", output.status);
    }
}
