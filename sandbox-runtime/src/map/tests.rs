use super::*;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Barrier, mpsc};
use std::thread::sleep;
use std::time::Duration;

/// What a panic carries, and so where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planted {
    Call(usize),
    Input(usize),
    Consumer(usize),
    Progress,
}

/// Without the message of the hook.
fn plant(panic: Planted) -> ! {
    resume_unwind(Box::new(panic))
}

/// The panic that the body ends with, if it was planted.
fn caught<T>(body: impl FnOnce() -> T) -> Result<T, Planted> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|panic| match panic.downcast_ref() {
        Some(planted) => *planted,
        None => resume_unwind(panic),
    })
}

#[test]
fn results_that_come_in_reverse_are_handed_on_in_order() {
    let (turn, turned) = (Mutex::new(7), Condvar::new());
    let call = |number| {
        *turned.wait_while(turn.lock().unwrap(), |turn| *turn != number).unwrap() -= 1;
        turned.notify_all();
        number
    };
    assert_eq!(map(0..8, call).workers(8).collect::<Vec<i32>>(), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn as_many_calls_run_at_once_as_there_are_workers() {
    let barrier = Barrier::new(5);
    let leaders: usize =
        map(0..20, |_| usize::from(barrier.wait().is_leader())).workers(5).run(|all| all.sum());
    assert_eq!(leaders, 4);
}

#[test]
fn an_error_ends_the_drawing_of_endless_items() {
    let drawn = Cell::new(0);
    let items = (0..).inspect(|_| drawn.set(drawn.get() + 1));
    let odd = |number: u32| if number == 50 { Err(number) } else { Ok(number) };
    assert_eq!(map(items, odd).workers(3).window(7).collect::<Result<Vec<_>, _>>(), Err(50));
    assert!((51..=57).contains(&drawn.get()), "{}", drawn.get());
    assert_eq!(map(0.., |number| (number < 3).then_some(number)).collect::<Option<Vec<_>>>(), None);
}

/// It would draw for ever.
#[test]
fn a_result_does_not_wait_for_the_window_to_fill() {
    assert_eq!(map(0.., |number: u64| number).window(usize::MAX).run(|mut results| results.next()), Some(0));
}

#[test]
fn nothing_needs_to_be_sent_but_items_and_results() {
    let (own, told) = (Rc::new(Cell::new(0)), RefCell::new(Vec::new()));
    let here = thread::current().id();
    let items = (0..10).inspect(|_| {
        own.set(own.get() + 1);
        assert_eq!(thread::current().id(), here);
    });
    let there = map(items, |_| thread::current().id())
        .progress(|now| told.borrow_mut().push((now, thread::current().id())))
        .run(|results| {
            let others = results.filter(|thread| *thread != here).count();
            assert_eq!(thread::current().id(), here);
            others
        });
    assert_eq!((there, own.get()), (10, 10));
    assert!(told.borrow().iter().all(|(_, thread)| *thread == here));
    assert_eq!(told.borrow().last().unwrap().0, Progress { started: 10, finished: 10, total: Some(10) });
}

#[test]
fn a_total_is_told_where_it_is_exact_alone() {
    let total = |items: &mut dyn Iterator<Item = u32>| {
        let mut total = Some(99);
        map(items, drop).progress(|now| total = now.total).for_each(drop);
        total
    };
    assert_eq!(total(&mut (0..3)), Some(3));
    assert_eq!(total(&mut (0..3).filter(|_| true)), None);
}

#[test]
fn results_know_how_many_they_are_and_that_they_are_over() {
    let mut items = 0..3;
    map(&mut items, |number| number).window(2).run(|mut results| {
        assert_eq!(results.size_hint(), (3, Some(3)));
        assert_eq!(results.next(), Some(0));
        assert_eq!(results.size_hint(), (2, Some(2)));
        assert_eq!(results.by_ref().collect::<Vec<_>>(), [1, 2]);
        assert_eq!((results.next(), results.size_hint()), (None, (0, Some(0))));
    });
    assert_eq!(map(std::iter::empty::<()>(), |()| ()).collect::<Vec<_>>(), []);
}

thread_local! {
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

/// Counts when its thread is as good as gone.
struct Late(&'static AtomicUsize);

impl Drop for Late {
    fn drop(&mut self) {
        sleep(Duration::from_millis(20));
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn threads_are_gone_with_their_thread_locals() {
    static GONE: AtomicUsize = AtomicUsize::new(0);
    let barrier = Barrier::new(4);
    let call = |number| {
        LATE.set(Some(Late(&GONE)));
        barrier.wait();
        if number == 2 {
            plant(Planted::Call(2))
        }
    };
    assert_eq!(caught(|| map(0..4, call).workers(4).collect::<Vec<_>>()), Err(Planted::Call(2)));
    assert_eq!(GONE.load(SeqCst), 4);
}

#[test]
fn a_panic_while_telling_waits_for_calls_that_run() {
    let ended = AtomicUsize::new(0);
    let (begun, has_begun) = mpsc::channel();
    let call = |_| {
        begun.send(()).unwrap();
        sleep(Duration::from_millis(20));
        ended.fetch_add(1, SeqCst);
    };
    let tell = |_| {
        has_begun.recv().unwrap();
        plant(Planted::Progress)
    };
    let calls = map(0..9, call).workers(1).progress(tell);
    assert_eq!(caught(|| calls.collect::<Vec<_>>()), Err(Planted::Progress));
    assert_eq!(ended.load(SeqCst), 1);
}

#[test]
fn what_ends_while_telling_is_told_before_its_result_is_handed_on() {
    let told = Cell::new(0);
    let tell = |now: Progress| {
        told.set(now.finished);
        sleep(Duration::from_millis(40));
    };
    let call = |_| sleep(Duration::from_millis(20));
    map(0..1, call).progress(tell).for_each(|()| assert_eq!(told.get(), 1));
}

/// An iterator does so too.
#[test]
fn a_consumer_can_go_on_behind_a_panic() {
    let call = |number| if number == 1 { plant(Planted::Call(1)) } else { number };
    let seen = map(0..4, call).run(|mut results| [(); 5].map(|()| caught(|| results.next())));
    assert_eq!(seen, [Ok(Some(0)), Err(Planted::Call(1)), Ok(Some(2)), Ok(Some(3)), Ok(None)]);
}

#[test]
#[should_panic = "`workers` takes at least 1"]
fn no_workers() {
    drop(map(0..1, drop).workers(0));
}

#[test]
#[should_panic = "`window` takes at least 1"]
fn no_window() {
    drop(map(0..1, drop).window(0));
}

#[derive(Clone, Debug)]
struct Case {
    /// How long the call of each takes, in steps of 50 µs. As many as there are items.
    naps: Vec<u64>,
    workers: usize,
    window: usize,
    /// Whether the iterator knows its length.
    is_exact: bool,
    bad_calls: BTreeSet<usize>,
    bad_item: Option<usize>,
    /// The consumer panics with this result.
    bad_result: Option<usize>,
    /// The consumer stops before it asks for this result.
    stop: Option<usize>,
}

const MOST: usize = 24;

fn case() -> impl Strategy<Value = Case> {
    let place = || prop_oneof![3 => Just(None), 1 => (0..MOST).prop_map(Some)];
    let numbers = (vec(prop_oneof![Just(0), 0_u64..8], 0..MOST), 1_usize..6, 1_usize..12, any::<bool>());
    let ends = (prop_oneof![Just(BTreeSet::new()), btree_set(0..MOST, 0..3)], place(), place(), place());
    (numbers, ends).prop_map(
        |((naps, workers, window, is_exact), (bad_calls, bad_item, bad_result, stop))| Case {
            naps,
            workers,
            window,
            is_exact,
            bad_calls,
            bad_item,
            bad_result,
            stop,
        },
    )
}

impl Case {
    /// How many results a plain loop hands on, and the panic that it ends with.
    fn in_a_loop(&self) -> (usize, Result<(), Planted>) {
        for number in 0..self.naps.len() {
            let is_here = |place: Option<usize>| place == Some(number);
            match () {
                () if is_here(self.stop) => return (number, Ok(())),
                () if is_here(self.bad_item) => return (number, Err(Planted::Input(number))),
                () if self.bad_calls.contains(&number) => return (number, Err(Planted::Call(number))),
                () if is_here(self.bad_result) => return (number + 1, Err(Planted::Consumer(number))),
                () => {}
            }
        }
        (self.naps.len(), Ok(()))
    }

    fn check(&self) {
        let (drawn, handed_on) = (Cell::new(0), Cell::new(0));
        let (running, most_running) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let calls: Vec<AtomicUsize> = self.naps.iter().map(|_| AtomicUsize::new(0)).collect();
        let told = RefCell::new(vec![Progress { started: 0, finished: 0, total: self.total() }]);

        let items = (0..self.naps.len()).inspect(|&number| {
            assert!(drawn.get() - handed_on.get() < self.window, "{number} is drawn too early");
            if self.bad_item == Some(number) {
                plant(Planted::Input(number));
            }
            drawn.set(drawn.get() + 1);
        });
        let items: Box<dyn Iterator<Item = usize>> =
            if self.is_exact { Box::new(items) } else { Box::new(items.filter(|_| true)) };
        let call = |number: usize| {
            most_running.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            calls[number].fetch_add(1, SeqCst);
            sleep(Duration::from_micros(50 * self.naps[number]));
            running.fetch_sub(1, SeqCst);
            if self.bad_calls.contains(&number) { plant(Planted::Call(number)) } else { number }
        };
        let consume = |number: usize| {
            assert_eq!(number, handed_on.get(), "out of order");
            handed_on.set(number + 1);
            assert!(told.borrow().last().unwrap().finished >= handed_on.get() as u64, "it is told first");
            if self.bad_result == Some(number) {
                plant(Planted::Consumer(number));
            }
        };
        let map = map(items, call).workers(self.workers).window(self.window);
        let map = map.progress(|now| told.borrow_mut().push(now));
        let end = caught(|| map.run(|results| results.take(self.stop.unwrap_or(MOST)).for_each(consume)));

        // Nothing goes on behind its back.
        assert_eq!(running.load(SeqCst), 0);
        let (drawn, handed_on) = (drawn.get(), handed_on.get());
        match end {
            // Items are drawn ahead, so this one comes earlier than in a loop, but no more than a window.
            Err(Planted::Input(number)) => {
                assert!(handed_on + self.window > number && handed_on <= self.in_a_loop().0);
                assert_eq!((self.bad_item, drawn), (Some(number), number));
            }
            end => assert_eq!((handed_on, end), self.in_a_loop()),
        }
        assert!(most_running.into_inner() <= self.workers.min(self.window));
        let calls: Vec<usize> = calls.into_iter().map(AtomicUsize::into_inner).collect();
        assert!(calls[..handed_on].iter().all(|count| *count == 1), "{calls:?}");
        assert!(calls[handed_on..drawn].iter().all(|count| *count <= 1), "{calls:?}");
        assert!(calls[drawn..].iter().all(|count| *count == 0), "{calls:?}");
        self.check_progress(&told.into_inner(), drawn, end.is_ok() && handed_on == self.naps.len());
    }

    fn total(&self) -> Option<u64> {
        (self.is_exact || self.naps.is_empty()).then_some(self.naps.len() as u64)
    }

    fn check_progress(&self, told: &[Progress], drawn: usize, is_whole: bool) {
        for pair in told.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            assert_ne!(before, after);
            assert!(before.started <= after.started && before.finished <= after.finished, "{pair:?}");
            assert!(after.finished <= after.started && after.started <= drawn as u64, "{pair:?}");
            assert!(after.started - after.finished <= self.workers as u64, "{pair:?}");
            assert_eq!(after.total, self.total());
        }
        if is_whole {
            let all = self.naps.len() as u64;
            assert_eq!(told.last(), Some(&Progress { started: all, finished: all, total: self.total() }));
        }
    }
}

proptest! {
    #[test]
    fn it_does_what_a_loop_does_within_its_bounds(case in case()) {
        case.check();
    }
}
