//! Threads that are busy with something when the process is restricted. Each tries what will be forbidden, itself,
//! before and after.

use crate::activity::Activity;
use crate::places::Places;
use crate::processes::wait_until;
use crate::threads;
use rustix::net::{AddressFamily, SocketType, socket};
use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// What a thread can open, and whether it can make a socket, which the filter refuses: 0, or the errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    pub kept: i32,
    pub lost: i32,
    pub socket: i32,
}

pub const FREE: Tried = Tried { kept: 0, lost: 0, socket: 0 };
pub const RESTRICTED: Tried = Tried { kept: 0, lost: libc::EACCES, socket: libc::EACCES };

impl Tried {
    pub fn now(places: &Places) -> Tried {
        let open = |path: &Path| File::open(path).map_or_else(|error| error.raw_os_error().unwrap(), |_| 0);
        let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None);
        Tried {
            kept: open(&places.kept_file),
            lost: open(&places.lost_file),
            socket: socket.map_or_else(|errno| errno.raw_os_error(), |_| 0),
        }
    }
}

/// What the threads share, opened and made before anything is restricted.
pub struct Shared {
    pub places: Places,
    /// Never written to; what waits for it wakes when it is closed.
    pub pipe: PipeReader,
    /// 0 until the call to restrict the process is over.
    pub over: AtomicU32,
    /// How many are where they are to be.
    ready: AtomicU32,
    tids: Mutex<Vec<i32>>,
    tried: Mutex<Vec<(Activity, Tried)>>,
    /// How many threads live that nobody joins.
    detached: AtomicU32,
}

impl Shared {
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst) != 0
    }

    pub fn is_ready(&self) {
        self.tids.lock().unwrap().push(threads::tid());
        self.ready.fetch_add(1, Ordering::SeqCst);
    }

    pub fn report(&self, activity: Activity, tried: Tried) {
        self.tried.lock().unwrap().push((activity, tried));
    }

    /// A thread that nobody joins, though [`Crew::finish`] waits for it.
    pub fn spawn_detached(self: &Arc<Self>, body: impl FnOnce(Arc<Shared>) + Send + 'static) {
        self.detached.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(self);
        std::thread::spawn(move || {
            body(Arc::clone(&shared));
            shared.detached.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// The threads, until they have tried.
pub struct Crew {
    pub shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<()>>,
    pipe: PipeWriter,
}

impl Crew {
    /// A thread for each activity; it returns when each is busy with it.
    pub fn at_work(places: &Places, activities: &[Activity]) -> Crew {
        let (reader, pipe) = std::io::pipe().unwrap();
        let shared = Arc::new(Shared {
            places: places.clone(),
            pipe: reader,
            over: AtomicU32::new(0),
            ready: AtomicU32::new(0),
            tids: Mutex::default(),
            tried: Mutex::default(),
            detached: AtomicU32::new(0),
        });
        let spawn = |activity: &Activity| {
            let (activity, shared) = (*activity, Arc::clone(&shared));
            std::thread::spawn(move || work(activity, &shared))
        };
        let threads = activities.iter().map(spawn).collect();
        wait_until("all are at work", || {
            shared.ready.load(Ordering::SeqCst) as usize == activities.len()
                && threads::in_handler() as usize
                    == activities.iter().filter(|activity| **activity == Activity::Handler).count()
        });
        Crew { shared, threads, pipe }
    }

    /// The threads' numbers.
    pub fn tids(&self) -> Vec<i32> {
        self.shared.tids.lock().unwrap().clone()
    }

    /// Says that the call is over, wakes all and returns what each could do then.
    pub fn finish(self) -> Vec<(Activity, Tried)> {
        self.shared.over.store(1, Ordering::SeqCst);
        drop(self.pipe);
        rustix::thread::futex::wake(&self.shared.over, rustix::thread::futex::Flags::PRIVATE, u32::MAX >> 1)
            .unwrap();
        let count = self.threads.len();
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        wait_until("the last are gone", || self.shared.detached.load(Ordering::SeqCst) == 0);
        let tried = std::mem::take(&mut *self.shared.tried.lock().unwrap());
        assert!(tried.len() >= count, "{count} threads, of which {} tried", tried.len());
        tried
    }
}

fn work(activity: Activity, shared: &Arc<Shared>) {
    assert_eq!(Tried::now(&shared.places), FREE, "before");
    activity.run(shared);
    assert!(shared.is_over(), "{activity:?} is over too soon");
    shared.report(activity, Tried::now(&shared.places));
}

/// Each must have this outcome.
#[track_caller]
pub fn assert_all(tried: &[(Activity, Tried)], expected: Tried) {
    let others: Vec<_> = tried.iter().filter(|(_, tried)| *tried != expected).collect();
    assert!(others.is_empty(), "expected {expected:?} of {} threads, not so: {others:?}", tried.len());
}
