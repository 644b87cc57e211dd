//! `thread_sync = "signal"` before Landlock ABI 8: which signal, what it interrupts, and that the process ends rather
//! than leave a thread free.

use crate::activity::{Activity, WAITING};
use crate::cases::{Case, Done};
use crate::crew::{Crew, RESTRICTED, Tried, assert_all};
use crate::places::{Places, ends, said};
use crate::processes::wait_until;
use crate::{ANY, BY_SIGNAL, TSYNC, abi, case, restrict_by_signal, sys, threads};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::thread::futex;
use sandboxed::{Error, sandboxed};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;

pub fn cases() -> Vec<Case> {
    vec![
        case("signal::has_handler_of_the_programs", BY_SIGNAL, handler_of_the_programs),
        case("signal::is_the_last_and_ignored_afterwards", BY_SIGNAL, last_and_ignored_afterwards),
        case("signal::second_call_needs_proc", BY_SIGNAL, second_call_needs_proc),
        case("signal::interrupted_calls", ANY, interrupted_calls),
        aborts("signal::deaf_thread_aborts", "does not answer", deaf_thread),
        aborts("signal::failing_thread_aborts", "cannot be restricted", failing_thread),
    ]
}

/// A handler of the program's stays and is not run: another signal is taken.
fn handler_of_the_programs(places: &Places) {
    let last = libc::SIGRTMAX();
    sys::catch(last);
    let handler = sys::disposition(last);
    let crew = Crew::at_work(places, &WAITING);
    restrict_by_signal(&places.kept).unwrap();
    assert_all(&crew.finish(), RESTRICTED);
    assert_eq!(sys::disposition(last), handler);
    assert_eq!(sys::caught(), 0);
    assert_eq!(sys::disposition(last - 1), libc::SIG_IGN);
    sys::raise(last);
    assert_eq!(sys::caught(), 1);
}

#[sandboxed(in_place, thread_sync = "signal", read = [kept, Path::new("/proc")])]
fn restrict_but_proc(kept: &Path) -> Result<(), Error> {
    Ok(())
}

/// One that is ignored may be taken too, so that no second is ever needed.
fn last_and_ignored_afterwards(places: &Places) {
    let last = libc::SIGRTMAX();
    let crew = Crew::at_work(places, &WAITING);
    for _ in 0..2 {
        restrict_but_proc(&places.kept).unwrap();
        assert_eq!(sys::disposition(last), libc::SIG_IGN);
        assert_eq!(sys::disposition(last - 1), libc::SIG_DFL);
        assert!(!threads::blocks(last) && !threads::blocks(libc::SIGTERM));
    }
    assert_all(&crew.finish(), RESTRICTED);
}

/// A second call must see the threads, which a program without `/proc` cannot.
fn second_call_needs_proc(places: &Places) {
    let crew = Crew::at_work(places, &WAITING);
    restrict_by_signal(&places.kept).unwrap();
    let error = restrict_by_signal(&places.kept).unwrap_err();
    assert!(error.is_launch() && error.to_string().contains("/proc/self/task"), "{error}");
    assert_all(&crew.finish(), RESTRICTED);
}

/// What a call that waits returns, when the process is restricted meanwhile.
struct Interrupted {
    name: &'static str,
    wait: fn(&Waited) -> rustix::io::Result<()>,
    /// Whether the signal makes it fail with `EINTR`; the kernel's own way never does.
    by_signal: bool,
}

struct Waited {
    word: AtomicU32,
    pipe: std::io::PipeReader,
}

const WAITS: [Interrupted; 4] = [
    Interrupted {
        name: "read",
        wait: |waited| rustix::io::read(&waited.pipe, &mut [0; 1]).map(drop),
        by_signal: false,
    },
    Interrupted {
        name: "futex",
        wait: |waited| futex::wait(&waited.word, futex::Flags::PRIVATE, 0, None),
        by_signal: false,
    },
    Interrupted {
        name: "poll",
        wait: |waited| poll(&mut [PollFd::new(&waited.pipe, PollFlags::IN)], None).map(drop),
        by_signal: true,
    },
    Interrupted { name: "nanosleep", wait: |_| sleep_for_an_hour(), by_signal: true },
];

fn sleep_for_an_hour() -> rustix::io::Result<()> {
    let hour = rustix::fs::Timespec { tv_sec: 3600, tv_nsec: 0 };
    match rustix::thread::nanosleep(&hour) {
        rustix::thread::NanosleepRelativeResult::Interrupted(_) => Err(Errno::INTR),
        other => panic!("{other:?}"),
    }
}

/// The state of a thread of this process, from `/proc`.
fn is_asleep(tid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{tid}/stat")).unwrap();
    stat.contains(") S ")
}

fn interrupted_calls(places: &Places) {
    threads::interrupt_by(libc::SIGUSR1, 0);
    let (pipe, end) = std::io::pipe().unwrap();
    let waited: &Waited = Box::leak(Box::new(Waited { word: AtomicU32::new(0), pipe }));
    let threads: Vec<_> = WAITS
        .iter()
        .map(|call| {
            let (tell, told) = channel();
            let thread = std::thread::spawn(move || {
                tell.send(threads::tid()).unwrap();
                (call.wait)(waited)
            });
            (call, told.recv().unwrap(), thread)
        })
        .collect();
    wait_until("all wait", || threads.iter().all(|(_, tid, _)| is_asleep(*tid)));
    restrict_by_signal(&places.kept).unwrap();
    // By the signal it is over already; else it sleeps on, and this ends it.
    let sleeping = threads.iter().find(|(call, ..)| call.name == "nanosleep").unwrap();
    assert!(abi() < TSYNC || !sleeping.2.is_finished(), "the kernel's own way interrupts nanosleep");
    threads::signal_thread(sleeping.1, libc::SIGUSR1).unwrap_or_default();
    waited.word.store(1, Ordering::SeqCst);
    futex::wake(&waited.word, futex::Flags::PRIVATE, 1).unwrap();
    (&end).write_all(b"xx").unwrap();
    for (call, _, thread) in threads {
        let result = match (call.name, thread.join().unwrap()) {
            // It was begun anew, behind the handler, and found the word changed.
            ("futex", Err(Errno::AGAIN)) => Ok(()),
            (_, result) => result,
        };
        let is_interrupted = call.name == "nanosleep" || (call.by_signal && abi() < TSYNC);
        assert_eq!(result.err(), is_interrupted.then_some(Errno::INTR), "{}", call.name);
    }
}

/// What the process did before it ended, in memory that outlives it.
#[derive(Clone, Copy)]
struct Witness(&'static [AtomicU32; 16]);

impl Witness {
    const RETURNED: usize = 0;
    const OTHERS_RESTRICTED: usize = 1;
    const FREE_BESIDE_THEM: usize = 2;

    fn saw(self, what: usize) {
        self.0[what].store(1, Ordering::SeqCst);
    }

    fn has_seen(self, what: usize) -> bool {
        self.0[what].load(Ordering::SeqCst) != 0
    }
}

/// A call that must end the process, by `SIGABRT` and with a message, before anything after it runs.
fn aborts(name: &str, message: &'static str, call: fn(&Places, Witness)) -> Case {
    let name = name.to_owned();
    Case::new(name.clone(), move || {
        if !BY_SIGNAL.contains(&abi()) {
            return Done::NotRun(format!("is about Landlock ABI 1 to 7, this kernel has {}", abi()));
        }
        let ended = ends(&name, |places| {
            let witness = Witness(threads::shared_numbers());
            let child = sys::fork(|| {
                // A handler for crashes cannot be run while threads are held, and must not keep the process alive.
                threads::never_return_from(libc::SIGABRT);
                forbid_core_dumps();
                call(places, witness);
                witness.saw(Witness::RETURNED);
            });
            let status = sys::wait_for(child);
            assert_eq!(status.signal(), Some(libc::SIGABRT), "{status}");
            assert!(!witness.has_seen(Witness::RETURNED), "the call returned");
            assert!(!witness.has_seen(Witness::FREE_BESIDE_THEM), "a thread went on, free");
        });
        if let Some(output) = ended {
            let (stdout, stderr) = said(&output);
            assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
            let line = stderr.lines().find(|line| line.contains(message));
            let line = line.unwrap_or_else(|| panic!("no {message:?} in {stderr}"));
            assert!(
                line.starts_with("sandboxed: thread ") && line.ends_with("so this process ends"),
                "{line}"
            );
        }
        Done::Ran
    })
}

fn forbid_core_dumps() {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, none).unwrap();
}

/// A thread that blocks the signal.
fn deaf_thread(places: &Places, _: Witness) {
    let activities = [Activity::Read, Activity::Deaf, Activity::Calls];
    let crew = Crew::at_work(places, &activities);
    drop(restrict_by_signal(&places.kept));
    drop(crew);
}

/// A thread that cannot restrict itself, by a filter of somebody else's: it does not go on beside those that could.
fn failing_thread(places: &Places, witness: Witness) {
    let (tell, told) = channel();
    let failing = places.clone();
    std::thread::spawn(move || {
        sys::refuse_call(libc::SYS_landlock_restrict_self, libc::EPERM);
        tell.send(()).unwrap();
        loop {
            if witness.has_seen(Witness::OTHERS_RESTRICTED) && Tried::now(&failing) != RESTRICTED {
                witness.saw(Witness::FREE_BESIDE_THEM);
            }
        }
    });
    told.recv().unwrap();
    for _ in 0..3 {
        let places = places.clone();
        std::thread::spawn(move || {
            while Tried::now(&places) != RESTRICTED {}
            witness.saw(Witness::OTHERS_RESTRICTED);
        });
    }
    drop(restrict_by_signal(&places.kept));
}
