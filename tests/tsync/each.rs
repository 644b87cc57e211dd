//! Each thread is restricted, whatever it is doing.

use crate::activity::{Activity, WAITING};
use crate::cases::{Case, Done};
use crate::crew::{Crew, FREE, RESTRICTED, Tried, assert_all};
use crate::places::{Places, alone};
use crate::processes::{is_rerun, status_line, wait_until};
use crate::{ANY, AT_ONCE, TSYNC, abi, case, foreign, not_here, restrict, restrict_by_signal, sys, threads};
use sandboxed::{Error, Ran};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// What threads do beside waiting, which those of [`counted`] do.
const GROUPS: [(&str, &[Activity]); 6] = [
    ("each::computing", &[Activity::Busy, Activity::Calls, Activity::Busy]),
    ("each::holding_locks", &[Activity::Stdout, Activity::Allocator, Activity::Allocator]),
    // As threads of glibc's do for its own locks when they begin and end.
    ("each::deaf_for_a_lock", &[Activity::Holder, Activity::DeafForLock]),
    ("each::in_handler", &[Activity::Handler, Activity::Handler]),
    ("each::with_children", &[Activity::Vfork, Activity::Vfork, Activity::Command]),
    ("each::born", &[Activity::Births, Activity::Spawner]),
];

pub fn cases() -> Vec<Case> {
    let counts = [1, 2, 16, 200].into_iter();
    let mut cases: Vec<Case> =
        counts.flat_map(|count| [counted(count, false), counted(count, true)]).collect();
    cases.extend(GROUPS.map(|(name, group)| case(name, ANY, |places| assert_restricts(places, group))));
    cases.extend([
        // By the way of the signal too: where the kernel can, it does.
        case("each::deaf", AT_ONCE, |places| assert_restricts(places, &[Activity::Deaf; 3])),
        case("each::storm_of_signals", ANY, |places| storm_of_signals(places, 0)),
        case("each::storm_of_signals_restarting", ANY, |places| storm_of_signals(places, libc::SA_RESTART)),
        case("each::storm_of_stops", ANY, storm_of_stops),
        case("each::storm_of_births", ANY, storm_of_births),
        case("each::without_first_thread", ANY, without_first_thread),
        case("each::stopped_by_tracer", ANY, stopped_by_tracer),
        case("each::foreign_domain", ANY, foreign_domain),
    ]);
    cases
}

/// The outcome of a call with so many threads, which is an error on some kernels.
fn counted(count: u64, by_signal: bool) -> Case {
    let name = format!("each::of_{count}{}", if by_signal { "_by_signal" } else { "" });
    Case::new(name.clone(), move || {
        if by_signal && let Some(not_run) = not_here(0..TSYNC) {
            return not_run;
        }
        let restrict = if by_signal { restrict_by_signal } else { restrict };
        let is_refused = abi() == 0 || (abi() < TSYNC && count > 1 && !by_signal);
        alone(&name, |places| {
            let others: Vec<Activity> = WAITING.into_iter().cycle().take(count as usize - 1).collect();
            let crew = Crew::at_work(places, &others);
            let restricted = restrict(&places.kept);
            let expected = if is_refused { FREE } else { RESTRICTED };
            assert_eq!(Tried::now(places), expected, "{restricted:?}");
            assert_all(&crew.finish(), expected);
            match restricted {
                Ok(()) => assert!(!is_refused),
                Err(error) => assert_refused(&error, is_refused, count),
            }
        });
        match is_refused && !is_rerun(&name) {
            true => Done::Refused(format!("{count} threads, Landlock ABI {}", abi())),
            false => Done::Ran,
        }
    })
}

fn assert_refused(error: &Error, is_refused: bool, count: u64) {
    assert!(is_refused, "{error}");
    assert_eq!(error.ran(), Ran::No);
    if abi() == 0 {
        assert!(error.is_unenforceable(), "{error}");
    } else {
        let error = error.to_string();
        assert!(error.contains(&format!("{count} threads")) && error.contains("ABI 8"), "{error}");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    assert_eq!(status_line(&status, "Seccomp"), "0");
}

/// Restricts a process with threads that do this, and lets each try.
fn assert_restricts(places: &Places, activities: &[Activity]) {
    let crew = Crew::at_work(places, activities);
    let restricted = restrict_by_signal(&places.kept);
    let own = Tried::now(places);
    let others = crew.finish();
    restricted.unwrap();
    assert_eq!(own, RESTRICTED);
    assert_all(&others, RESTRICTED);
}

/// SIGALRM for whoever gets it, and SIGUSR1 for each thread in turn.
fn storm_of_signals(places: &Places, flags: i32) {
    threads::interrupt_by(libc::SIGALRM, flags);
    threads::interrupt_by(libc::SIGUSR1, flags);
    threads::start_timer();
    let first = threads::tid();
    let crew = Crew::at_work(places, &[&WAITING[..], &[Activity::Calls]].concat());
    let tids = crew.tids();
    let shared = std::sync::Arc::clone(&crew.shared);
    let storm = std::thread::spawn(move || {
        while !shared.is_over() {
            for tid in tids.iter().chain([&first]) {
                // One that has ended is gone, and one in another domain may be out of reach.
                threads::signal_thread(*tid, libc::SIGUSR1).unwrap_or_default();
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        Tried::now(&shared.places)
    });
    restrict_by_signal(&places.kept).unwrap();
    assert_eq!(Tried::now(places), RESTRICTED);
    assert_all(&crew.finish(), RESTRICTED);
    assert_eq!(storm.join().unwrap(), RESTRICTED);
}

/// Another process stops this one and lets it go on, again and again.
fn storm_of_stops(places: &Places) {
    let me = std::process::id().cast_signed();
    let (end, ours) = std::io::pipe().unwrap();
    let stopper = sys::fork(|| {
        let mut gone = [rustix::event::PollFd::new(&end, rustix::event::PollFlags::IN)];
        let soon = rustix::event::Timespec { tv_sec: 0, tv_nsec: 3_000_000 };
        // It holds the other end too, so a process that is gone hangs nothing up.
        while std::os::unix::process::parent_id() == me.unsigned_abs()
            && rustix::event::poll(&mut gone, Some(&soon)).unwrap() == 0
        {
            let stopped = sys::kill(me, libc::SIGSTOP);
            std::thread::sleep(Duration::from_millis(1));
            stopped.and_then(|()| sys::kill(me, libc::SIGCONT)).unwrap();
        }
    });
    assert_restricts(places, &[&WAITING[..], &[Activity::Calls, Activity::Spawner]].concat());
    (&ours).write_all(b"x").unwrap();
    assert!(sys::wait_for(stopper).success());
}

/// As often as a few seconds allow, on a machine of whatever speed.
fn storm_of_births(places: &Places) {
    let most = std::env::var("SANDBOXED_TEST_REPETITIONS").ok().map(|most| most.parse().unwrap());
    let begun = Instant::now();
    let mut done = 0;
    while done < most.unwrap_or(200) && (most.is_some() || done < 1 || begun.elapsed().as_secs() < 5) {
        let child = sys::fork(|| {
            assert_restricts(
                places,
                &[Activity::Births, Activity::Spawner, Activity::Births, Activity::Spawner],
            );
        });
        let status = sys::wait_for(child);
        assert!(status.success(), "{status}, after {done} times");
        done += 1;
    }
    println!("{done} times");
}

/// In a process whose first thread ends; `body` runs in another.
fn after_first_thread(body: impl FnOnce() + Send + 'static) {
    let child = sys::fork(|| {
        let first = threads::tid();
        std::thread::spawn(move || {
            wait_until("the first thread is a zombie", || {
                let stat = std::fs::read_to_string(format!("/proc/self/task/{first}/stat")).unwrap();
                stat.contains(") Z ")
            });
            sys::exit_now(catch_unwind(AssertUnwindSafe(body)).map_or(101, |()| 0));
        });
        threads::exit_thread();
    });
    let status = sys::wait_for(child);
    assert!(status.success(), "{status}");
}

/// The first thread has ended and stays listed.
fn without_first_thread(places: &Places) {
    let places = places.clone();
    after_first_thread(move || assert_restricts(&places, &WAITING));
}

/// A thread that is stopped is not overlooked: the call waits for it.
fn stopped_by_tracer(places: &Places) {
    const LET_GO: usize = 0;
    let numbers = threads::shared_numbers();
    let (mut asked, ask) = std::io::pipe().unwrap();
    let (mut answered, answer) = std::io::pipe().unwrap();
    let tracer = sys::fork(|| {
        let mut tid = [0; 4];
        asked.read_exact(&mut tid).unwrap();
        let tid = i32::from_ne_bytes(tid);
        threads::stop_thread(tid);
        (&answer).write_all(b"x").unwrap();
        // The call is about to begin.
        asked.read_exact(&mut [0]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        numbers[LET_GO].store(1, Ordering::SeqCst);
        threads::let_go(tid);
    });
    // Where only descendants may be traced (Yama), this one may too; elsewhere the option is not known.
    sys::prctl(libc::PR_SET_PTRACER, tracer as u64).unwrap_or_default();
    let crew = Crew::at_work(places, &[Activity::Sleep, Activity::Busy]);
    (&ask).write_all(&crew.tids()[0].to_ne_bytes()).unwrap();
    answered.read_exact(&mut [0]).unwrap();
    (&ask).write_all(b"x").unwrap();
    restrict_by_signal(&places.kept).unwrap();
    assert_eq!(numbers[LET_GO].load(Ordering::SeqCst), 1, "restricted while one was stopped");
    assert_all(&crew.finish(), RESTRICTED);
    assert!(sys::wait_for(tracer).success());
}

/// A domain that a thread took on by itself cannot be seen. The kernel replaces it, by a weaker one if need be; the
/// signal adds to it.
fn foreign_domain(places: &Places) {
    let (tell, told) = channel();
    let (go, wait) = channel::<()>();
    let of_thread = places.clone();
    let thread = std::thread::spawn(move || {
        foreign::restrict_thread(foreign::READ_FILE).unwrap();
        tell.send(Tried::now(&of_thread)).unwrap();
        wait.recv().unwrap();
        Tried::now(&of_thread)
    });
    let nothing = Tried { kept: libc::EACCES, ..RESTRICTED };
    assert_eq!(told.recv().unwrap(), Tried { socket: 0, ..nothing });
    restrict_by_signal(&places.kept).unwrap();
    go.send(()).unwrap();
    assert_eq!(thread.join().unwrap(), if abi() < TSYNC { nothing } else { RESTRICTED });
    assert_eq!(Tried::now(places), RESTRICTED);
}
