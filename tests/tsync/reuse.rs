//! The number of a thread that has ended is given to another while the threads are gathered.

use crate::cases::{Case, Done};
use crate::crew::{RESTRICTED, Tried};
use crate::places::{Places, alone};
use crate::processes::{Process, wait_until};
use crate::{BY_SIGNAL, not_here, restrict_by_signal, sys, threads};
use std::fs;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

/// The number that the kernel gave last; it goes on from what is written there.
const LAST: &str = "/proc/sys/kernel/ns_last_pid";

pub fn cases() -> Vec<Case> {
    let name = "reuse::number_of_a_thread";
    vec![Case::new(name, move || {
        if let Some(not_run) = not_here(BY_SIGNAL) {
            return not_run;
        }
        if fs::read(LAST).and_then(|last| fs::write(LAST, last)).is_err() {
            return Done::NotRun(format!("needs to write {LAST}"));
        }
        alone(name, number_of_a_thread);
        Done::Ran
    })]
}

/// A traced thread that has ended is listed, until its tracer asks. Then one that is deaf gives its number to a new
/// one, which must not pass for it.
fn number_of_a_thread(places: &Places) {
    let is_reaped = &threads::shared_numbers()[0];
    let over: &AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
    let of_heir: &Places = Box::leak(Box::new(places.clone()));
    let (mut asked, ask) = std::io::pipe().unwrap();
    let (mut answered, answer) = std::io::pipe().unwrap();
    let (mut until_end, end) = std::io::pipe().unwrap();
    let caller = Process::of(std::process::id().cast_signed());
    let tracer = sys::fork(|| {
        let mut tid = [0; 4];
        asked.read_exact(&mut tid).unwrap();
        let tid = i32::from_ne_bytes(tid);
        threads::trace_thread(tid);
        (&answer).write_all(b"x").unwrap();
        wait_until("the threads are gathered", || caller.status("SigCgt").starts_with('8'));
        std::thread::sleep(Duration::from_millis(30));
        threads::wait_for_thread(tid);
        is_reaped.store(1, Ordering::SeqCst);
    });
    drop(answer);
    let (tell, told) = channel();
    std::thread::spawn(move || {
        tell.send(threads::tid()).unwrap();
        until_end.read_exact(&mut [0]).unwrap();
    });
    let tid = told.recv().unwrap();
    (&ask).write_all(&tid.to_ne_bytes()).unwrap();
    answered.read_exact(&mut [0]).unwrap();
    (&end).write_all(b"x").unwrap();
    wait_until("it has ended", || Process::is_zombie(tid));

    let (tell, told) = channel();
    let deaf = std::thread::spawn(move || {
        threads::block_all_signals();
        tell.send(()).unwrap();
        until_set(is_reaped);
        let heir = spawn_as(tid, move || {
            // Deaf too, and longer than the one that it comes from.
            std::thread::sleep(Duration::from_millis(200));
            threads::unblock_all_signals();
            until_set(over);
            Tried::now(of_heir)
        });
        threads::unblock_all_signals();
        heir.join().unwrap()
    });
    told.recv().unwrap();
    restrict_by_signal(&places.kept).unwrap();
    over.store(1, Ordering::SeqCst);
    assert_eq!(deaf.join().unwrap(), Some(RESTRICTED));
    assert!(sys::wait_for(tracer).success());
}

fn until_set(number: &AtomicU32) {
    while number.load(Ordering::SeqCst) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A thread of this number, which none may have; another process may be given it before.
fn spawn_as<T: Send + 'static>(
    tid: i32,
    body: impl FnOnce() -> T + Copy + Send + 'static,
) -> JoinHandle<Option<T>> {
    for _ in 0..100 {
        fs::write(LAST, (tid - 1).to_string()).unwrap();
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            let is_it = threads::tid() == tid;
            tell.send(is_it).unwrap();
            is_it.then(body)
        });
        if told.recv().unwrap() {
            return thread;
        }
    }
    panic!("thread {tid} is another process's")
}
