//! What a host, a worker and a template do at once, in every order that there is, by [loom](https://docs.rs/loom). The
//! code is that of [`super::channel`] and [`super::slots`]; the memory, the futex and the pipe are models.
//!
//! A wake-up that is lost is a deadlock here; bytes that one copies while the other writes them are an error.

use super::channel::{Data, Files, Head, HostEnd, Sleep, Wiper, open};
use super::frame::Bytes;
use super::slots::{Number, Reaped, Slots, State};
use crate::forkserver::{End, Report};
use crate::sys::plain::Buffer;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use std::time::Duration;

/// A pipe of which nothing matters but whether something is in it.
#[derive(Default)]
struct Pipe(Mutex<bool>, Condvar);

impl Pipe {
    fn write(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }

    fn wait(&self) {
        let mut is_full = self.0.lock().unwrap();
        while !*is_full {
            is_full = self.1.wait(is_full).unwrap();
        }
        *is_full = false;
    }
}

/// Up to so many switches from a thread that could go on: a wake-up that is lost takes one or two.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(body);
}

/// As `Exchange::run`, without all that is not in the channel.
fn exchange(host: &mut HostEnd, request: &[u8], expected: usize, how: Sleep, bell: &Pipe) -> Vec<u8> {
    let mut parts = std::iter::once(request);
    let mut data = Data::new(&mut parts);
    host.begin(Head { arguments: request.len() as u64, ..Head::default() }, &mut data);
    let mut reply = Buffer::new(1);
    loop {
        host.go_on(&mut data);
        while let Some(mut piece) = host.next_piece() {
            let length = piece.len();
            piece.take_into(length, &mut reply);
            host.release();
        }
        if reply.len() >= expected {
            return reply.to_vec();
        }
        match how {
            Sleep::Short => host.doze(&data, || false, Duration::MAX),
            Sleep::Long => drop(host.sleep(how, &data, || bell.wait())),
        }
    }
}

/// A worker that has so many calls, and answers each with its arguments and what `more` adds.
fn serve(files: &Files, window: usize, calls: usize, more: &[u8], bell: &Pipe) {
    let (mut requests, mut replies) = open(files, window, 0).unwrap();
    for _ in 0..calls {
        let head = requests.next();
        replies.begin(requests.turn());
        let data = requests.data(head.arguments as usize, || bell.write()).unwrap();
        replies.write(&data, || bell.write());
        replies.write(more, || bell.write());
        replies.publish(|| bell.write());
    }
}

fn calls(window: usize, requests: &'static [&'static [u8]], more: &'static [u8]) {
    for how in [Sleep::Short, Sleep::Long] {
        calls_where_the_host_sleeps(how, window, requests, more);
    }
}

fn calls_where_the_host_sleeps(
    how: Sleep,
    window: usize,
    requests: &'static [&'static [u8]],
    more: &'static [u8],
) {
    model(move || {
        let (mut host, files) = HostEnd::new(window).unwrap();
        let bell = Arc::new(Pipe::default());
        let worker = thread::spawn({
            let bell = Arc::clone(&bell);
            move || serve(&files, window, requests.len(), more, &bell)
        });
        for request in requests {
            let expected = [request, more].concat();
            assert_eq!(exchange(&mut host, request, expected.len(), how, &bell), expected);
        }
        worker.join().unwrap();
    });
}

#[test]
fn no_wake_up_is_lost() {
    calls(4096, &[b"a"], b"");
}

#[test]
fn nor_of_a_worker_that_is_used_again() {
    calls(4096, &[b"ab", b"c"], b"");
}

#[test]
fn nor_of_data_that_the_window_does_not_hold() {
    calls(1, &[b"ab"], b"");
}

#[test]
fn nor_of_a_reply_that_the_window_does_not_hold() {
    calls(1, &[b"a"], b"bc");
}

const NUMBER: Number = Number { number: 0, generation: 1 };

fn report() -> Report {
    Report { end: End::Exited(0), max_rss: 0, cpu: Duration::ZERO }
}

/// What the template does in another thread while the host does something.
fn beside_template<T: Send + 'static>(
    template: impl FnOnce(&Slots) -> T + Send + 'static,
    host: impl FnOnce(&Slots),
) -> (T, Slots) {
    let (slots, file) = Slots::new().unwrap();
    slots.slot(NUMBER).begin(State::Taken, 5);
    let theirs = Slots::open(rustix::fd::AsFd::as_fd(&file)).unwrap();
    let thread = thread::spawn(move || template(&theirs));
    host(&slots);
    (thread.join().unwrap(), slots)
}

/// The deadline comes while the host has the result and gives the worker its next call.
#[test]
fn a_deadline_ends_its_own_call_alone() {
    model(|| {
        let mut was_given_back = false;
        let (doomed, slots) = beside_template(
            |slots| slots.slot(NUMBER).doom(|deadline| (deadline <= 10).then_some(())),
            |slots| {
                let slot = slots.slot(NUMBER);
                was_given_back = slot.give_back();
                if was_given_back {
                    assert!(slot.take(State::Ready, 100));
                } else {
                    assert!(!slot.finish(), "the worker lives until it is reaped");
                }
            },
        );
        assert_eq!(doomed.is_some(), !was_given_back);
        let state = if was_given_back { State::Taken } else { State::Done };
        assert_eq!(slots.slot(NUMBER).state(), state);
    });
}

/// The worker has ended, with a result or without, while the host is about to be through with it. One of the two sees to
/// the next, and not both.
#[test]
fn one_side_sees_to_the_next_worker() {
    model(|| {
        let mut is_asked_for = false;
        let (reaped, slots) = beside_template(
            |slots| slots.slot(NUMBER).reap(&report(), false),
            |slots| is_asked_for = slots.slot(NUMBER).finish(),
        );
        assert_eq!(is_asked_for, reaped == Reaped::InCall);
        assert_eq!(reaped == Reaped::Done, !is_asked_for);
        assert_eq!(slots.slot(NUMBER).vacancy(), Some(State::Done));
    });
}

/// The worker ends in its second call, or while it waits for it.
#[test]
fn an_end_between_two_calls_is_seen() {
    model(|| {
        let mut took = false;
        let (reaped, slots) = beside_template(
            |slots| slots.slot(NUMBER).reap(&report(), false),
            |slots| {
                let slot = slots.slot(NUMBER);
                took = slot.give_back() && slot.take(State::Ready, 100);
            },
        );
        match reaped {
            Reaped::InCall => assert_eq!(slots.slot(NUMBER).state(), State::Ended),
            Reaped::Waiting => assert!(!took && slots.slot(NUMBER).state() == State::Done),
            reaped => panic!("{reaped:?}"),
        }
    });
}

/// The worker ends without a word, and the template says so.
#[test]
fn an_end_wakes_a_host_that_dozes() {
    model(|| {
        let (mut host, files) = HostEnd::new(1).unwrap();
        let wiper = Wiper::new(&files, 1).unwrap();
        let mut nothing = std::iter::empty();
        let mut data = Data::new(&mut nothing);
        host.begin(Head::default(), &mut data);
        beside_template(
            move |slots| {
                assert_eq!(slots.slot(NUMBER).reap(&report(), false), Reaped::InCall);
                wiper.wake_host();
            },
            |slots| {
                let has_ended = || slots.slot(NUMBER).state() == State::Ended;
                while !has_ended() {
                    host.doze(&data, has_ended, Duration::MAX);
                }
            },
        );
    });
}

/// A request to fork that comes late does not take from the host what it has yet to see.
#[test]
fn a_late_request_to_fork_hides_no_end() {
    model(|| {
        let pipe = Arc::new(Pipe::default());
        let theirs = Arc::clone(&pipe);
        let (vacancy, slots) = beside_template(
            move |slots| {
                let slot = slots.slot(NUMBER);
                assert_eq!(slot.reap(&report(), false), Reaped::InCall);
                theirs.write();
                let vacancy = slot.vacancy();
                vacancy.iter().for_each(|state| assert!(slot.change(*state, State::Ready)));
                vacancy
            },
            |slots| {
                pipe.wait();
                assert_eq!(slots.slot(NUMBER).state(), State::Ended);
                assert!(slots.slot(NUMBER).finish());
            },
        );
        let state = if vacancy.is_some() { State::Ready } else { State::Done };
        assert_eq!(slots.slot(NUMBER).state(), state);
    });
}

#[test]
fn who_waits_for_a_worker_is_woken() {
    model(|| {
        let (slots, file) = Slots::new().unwrap();
        slots.slot(NUMBER).begin(State::Done, u64::MAX);
        let template = thread::spawn(move || {
            let slots = Slots::open(rustix::fd::AsFd::as_fd(&file)).unwrap();
            assert!(slots.slot(NUMBER).change(State::Done, State::Ready));
            slots.ring();
        });
        loop {
            let rung = slots.rung();
            if slots.slot(NUMBER).take(State::Ready, 100) {
                break;
            }
            slots.wait(rung, Duration::MAX);
        }
        template.join().unwrap();
    });
}
