//! Where not every thread can be restricted, none is, and the program goes on.

use crate::activity::{Activity, WAITING};
use crate::cases::Case;
use crate::crew::{Crew, FREE, RESTRICTED, Tried, assert_all};
use crate::places::Places;
use crate::processes::status_line;
use crate::{
    ANY, AT_ONCE, BY_SIGNAL, case, foreign, read_in_worker, restrict, restrict_by_signal, sys, threads,
};
use sandboxed::{Error, Ran, sandboxed};
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

pub fn cases() -> Vec<Case> {
    vec![
        case("none::foreign_filter", AT_ONCE, foreign_filter),
        case("none::sixteen_layers", AT_ONCE, |places| sixteen_layers(places, restrict)),
        case("none::sixteen_layers_by_signal", BY_SIGNAL, |places| {
            sixteen_layers(places, restrict_by_signal)
        }),
        case("none::sixteen_layers_one_thread", ANY, sixteen_layers_one_thread),
        case("none::no_signal_left", BY_SIGNAL, no_signal_left),
        case("none::sandboxed_thread_lives", ANY, sandboxed_thread_lives),
    ]
}

/// Of each thread: its number, no_new_privs and how many filters.
fn locks() -> Vec<(String, String, String)> {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let mut locks: Vec<_> = threads
        // One that has ended meanwhile has no status.
        .filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).ok())
        .map(|status| {
            let [tid, privs, filters] =
                ["Pid", "NoNewPrivs", "Seccomp_filters"].map(|name| status_line(&status, name));
            (tid, privs, filters)
        })
        .collect();
    locks.sort();
    locks
}

fn sleep_a_moment() -> bool {
    std::thread::sleep(std::time::Duration::from_millis(10));
    false
}

/// A call that fails and says why changes no thread, and workers are as before.
#[track_caller]
fn assert_changes_nothing(places: &Places, why: &str, restrict: impl FnOnce(&Path) -> Result<(), Error>) {
    let before = locks();
    let error = restrict(&places.kept).unwrap_err();
    assert!(error.is_launch() && error.to_string().contains(why), "{error}");
    assert_eq!(error.ran(), Ran::No);
    // A thread that was joined is listed a moment longer.
    let settled = (0..100).any(|_| locks() == before || sleep_a_moment());
    assert!(settled, "{error}: {before:?}, then {:?}", locks());
    assert_eq!(Tried::now(places), FREE, "{error}");
    match why {
        // Nor would a worker fit.
        "16 layers" => assert!(read_in_worker(&places.lost_file).unwrap_err().to_string().contains(why)),
        _ => assert_eq!(read_in_worker(&places.lost_file).unwrap(), 0),
    }
}

/// A thread that waits, and answers what it can do then.
fn waiting_thread(
    places: &Places,
    prepare: impl FnOnce() + Send + 'static,
) -> (i32, Sender<()>, std::thread::JoinHandle<Tried>) {
    let (go, wait) = channel();
    let (is_ready, ready) = channel();
    let places = places.clone();
    let thread = std::thread::spawn(move || {
        prepare();
        is_ready.send(threads::tid()).unwrap();
        wait.recv().unwrap();
        Tried::now(&places)
    });
    (ready.recv().unwrap(), go, thread)
}

/// A filter that one thread has and the caller lacks; the kernel would have to lift it.
fn foreign_filter(places: &Places) {
    let crew = Crew::at_work(places, &WAITING);
    let (tid, go, thread) = waiting_thread(places, || sys::refuse_call(libc::SYS_uname, libc::EXDEV));
    assert_changes_nothing(places, &format!("thread {tid} "), restrict);
    go.send(()).unwrap();
    assert_eq!(thread.join().unwrap(), FREE);
    // Without it there is no reason any more.
    crate::processes::wait_until("the thread is gone", || {
        !Path::new(&format!("/proc/self/task/{tid}")).exists()
    });
    restrict(&places.kept).unwrap();
    assert_all(&crew.finish(), RESTRICTED);
}

/// The kernel nests no more than 16 layers.
fn add_sixteen_layers() {
    // The forkserver has none of them, so that this process fails and not the forkserver before it.
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).unwrap();
    sandboxed::start().unwrap();
    (0..16).for_each(|_| foreign::restrict_thread(foreign::MAKE_CHAR).unwrap());
}

fn sixteen_layers(places: &Places, restrict: fn(&Path) -> Result<(), Error>) {
    add_sixteen_layers();
    let crew = Crew::at_work(places, &WAITING);
    assert_changes_nothing(places, "16 layers", restrict);
    assert_all(&crew.finish(), FREE);
}

fn sixteen_layers_one_thread(places: &Places) {
    add_sixteen_layers();
    assert_changes_nothing(places, "16 layers", restrict);
}

/// Every real-time signal has a handler of the program's.
fn no_signal_left(places: &Places) {
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).for_each(|signal| threads::interrupt_by(signal, 0));
    let crew = Crew::at_work(places, &WAITING);
    assert_changes_nothing(places, "every real-time signal has a handler", restrict_by_signal);
    threads::ignore(libc::SIGRTMIN() + 1);
    restrict_by_signal(&places.kept).unwrap();
    assert_all(&crew.finish(), RESTRICTED);
}

#[sandboxed(thread)]
fn occupy(begun: Sender<()>, wait: Receiver<()>) {
    begun.send(()).unwrap();
    wait.recv().unwrap();
}

/// While a sandboxed thread lives its restrictions would be replaced.
fn sandboxed_thread_lives(places: &Places) {
    let crew = Crew::at_work(places, &[Activity::Read, Activity::Futex]);
    let (begun, has_begun) = channel();
    let (go, wait) = channel();
    let thread = std::thread::spawn(move || occupy(begun, wait));
    has_begun.recv().unwrap();
    for restrict in [restrict, restrict_by_signal] {
        assert_changes_nothing(places, "sandboxed threads live", restrict);
    }
    go.send(()).unwrap();
    thread.join().unwrap();
    restrict_by_signal(&places.kept).unwrap();
    assert_all(&crew.finish(), RESTRICTED);
}
