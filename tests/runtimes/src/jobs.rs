//! The jobs.

#[cfg(feature = "libraries")]
mod libraries;

use crate::{Came, Job};
use rayon::prelude::*;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::hash::BuildHasher;
use std::hint::black_box;
use std::io::{Read, Write};
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What needs no grant.
pub const COMPUTING: &[(&str, Job)] = &[
    ("threads and channels", threads),
    ("scoped threads", scoped),
    ("locks", locks),
    ("thread-locals' destructors", thread_locals),
    ("named threads, parked", named),
    ("a deep recursion", recursion),
    ("allocation", allocation),
    ("allocation between threads", allocation_between_threads),
    ("rayon", rayon),
    ("tokio, one thread", tokio_current_thread),
    ("tokio, several threads", tokio_multi_thread),
    ("clocks and sleep", clocks),
    ("hashing at random", random),
    #[cfg(not(target_feature = "crt-static"))]
    ("getrandom", getrandom),
    ("parallelism", parallelism),
    ("pipes and pairs of sockets", pipes),
    ("a caught panic", panics),
    ("a backtrace", backtrace),
    #[cfg(feature = "libraries")]
    ("flate2", libraries::flate2),
    #[cfg(feature = "libraries")]
    ("image", libraries::image),
    #[cfg(feature = "libraries")]
    ("regex", libraries::regex),
];

/// What needs a directory.
pub const WITH_FILES: &[(&str, Job)] = &[
    ("files", files),
    #[cfg(feature = "libraries")]
    ("rusqlite, with a journal", libraries::sqlite_delete),
    #[cfg(feature = "libraries")]
    ("rusqlite, with WAL", libraries::sqlite_wal),
];

/// What ends a worker, and how.
pub const ENDING: &[(&str, fn(), &str)] = &[
    ("abort", || std::process::abort(), "signal 6"),
    ("exit", || std::process::exit(3), "exit 3"),
    ("a panic", || panic!("on purpose"), "panic: on purpose"),
    // The standard library's handler, which says so and aborts, is made before `main`: a worker has none.
    ("a stack overflow", || assert_ne!(descend(u64::MAX), 0), "signal 11"),
    ("a stack overflow of a thread", || drop(thread::spawn(|| descend(u64::MAX)).join()), "signal 11"),
];

fn threads(_: &Path) -> Came {
    let (sender, receiver) = mpsc::channel();
    let threads = (0..16_u64).map(|number| {
        let sender = sender.clone();
        thread::spawn(move || (0..100).try_for_each(|step| sender.send(number * step)))
    });
    let threads: Vec<_> = threads.collect();
    drop(sender);
    let sum: u64 = receiver.iter().sum();
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    Ok(sum.to_string())
}

fn scoped(_: &Path) -> Came {
    let numbers: Vec<u64> = (0..10_000).collect();
    let sum = thread::scope(|scope| {
        let parts: Vec<_> =
            numbers.chunks(1000).map(|part| scope.spawn(move || part.iter().sum::<u64>())).collect();
        parts.into_iter().map(|part| part.join().unwrap_or(0)).sum::<u64>()
    });
    Ok(sum.to_string())
}

fn locks(_: &Path) -> Came {
    let shared = Arc::new((Mutex::new(0), Condvar::new(), Barrier::new(4), RwLock::new(0)));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let shared = shared.clone();
            thread::spawn(move || {
                let (count, changed, barrier, written) = &*shared;
                barrier.wait();
                for _ in 0..1000 {
                    *count.lock().unwrap() += 1;
                    *written.write().unwrap() += 1;
                }
                changed.notify_all();
            })
        })
        .collect();
    let (count, changed, _, written) = &*shared;
    let count = *changed.wait_while(count.lock().unwrap(), |count| *count < 4000).unwrap();
    threads.into_iter().try_for_each(thread::JoinHandle::join).map_err(|_| "a thread panicked")?;
    let (waited, timeout) = changed.wait_timeout(shared.0.lock().unwrap(), Duration::from_millis(1)).unwrap();
    Ok(format!("{count} {} {} {}", written.read().unwrap(), *waited, timeout.timed_out()))
}

fn thread_locals(_: &Path) -> Came {
    struct Tells(mpsc::Sender<&'static str>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send("dropped").expect("somebody listens");
        }
    }
    thread_local!(static LAST: RefCell<Option<Tells>> = const { RefCell::new(None) });
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || LAST.set(Some(Tells(sender)))).join().map_err(|_| "it panicked")?;
    Ok(receiver.recv()?.to_owned())
}

fn named(_: &Path) -> Came {
    let thread = thread::Builder::new().name("a name".to_owned()).stack_size(1 << 20).spawn(|| {
        thread::park();
        thread::yield_now();
        thread::current().name().map(str::to_owned)
    })?;
    thread.thread().unpark();
    Ok(thread.join().map_err(|_| "it panicked")?.unwrap_or_default())
}

/// Uses a page of stack every few levels, and is no loop, as the sum is made on the way back.
fn descend(levels: u64) -> u64 {
    let room = black_box([levels; 64]);
    if levels == 0 { 0 } else { 1 + descend(levels - 1) + room[0] - levels }
}

fn recursion(_: &Path) -> Came {
    let here = descend(5000);
    let there = thread::Builder::new().stack_size(128 << 20).spawn(|| descend(100_000))?;
    Ok(format!("{here} {}", there.join().map_err(|_| "it panicked")?))
}

fn allocation(_: &Path) -> Came {
    let mut sum = 0_usize;
    let mut kept = Vec::new();
    for step in 0..20_000_usize {
        let size = (step * 7919) % 5000;
        kept.push(vec![1_u8; size]);
        if step % 3 == 0 {
            sum += kept.swap_remove(step % kept.len()).len();
        }
    }
    let mut grown = Vec::new();
    for size in [1 << 16, 1 << 20, 1 << 24, 100 << 20] {
        grown.resize(size, 1_u8);
        grown.shrink_to_fit();
    }
    grown.truncate(1 << 10);
    grown.shrink_to_fit();
    let aligned = Box::new(Aligned([1; 4096]));
    let is_aligned = (&raw const *aligned).addr().is_multiple_of(4096);
    Ok(format!("{sum} {} {} {is_aligned}", kept.iter().map(Vec::len).sum::<usize>(), grown.len()))
}

#[repr(align(4096))]
struct Aligned(#[expect(dead_code)] [u8; 4096]);

fn allocation_between_threads(_: &Path) -> Came {
    let (sender, receiver) = mpsc::sync_channel::<Vec<Vec<u8>>>(4);
    let freed = thread::spawn(move || receiver.iter().flatten().map(|part| part.len()).sum::<usize>());
    for round in 0..200 {
        sender.send((0..200).map(|number| vec![0; (round * number) % 3000]).collect())?;
    }
    drop(sender);
    Ok(freed.join().map_err(|_| "it panicked")?.to_string())
}

fn rayon(_: &Path) -> Came {
    let sum: u64 = (0..1_000_000_u64).into_par_iter().map(|number| number % 7).sum();
    let (left, right) = rayon::join(|| (0..1000).sum::<u32>(), || (0..2000).sum::<u32>());
    let mut numbers: Vec<u32> = (0..100_000_u32).map(|number| number.wrapping_mul(2_654_435_761)).collect();
    numbers.par_sort_unstable();
    let own = rayon::ThreadPoolBuilder::new().num_threads(3).build()?;
    Ok(format!("{sum} {left} {right} {} {}", numbers.is_sorted(), own.install(rayon::current_num_threads)))
}

fn tokio_current_thread(_: &Path) -> Came {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(tasks())
}

fn tokio_multi_thread(_: &Path) -> Came {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?.block_on(tasks())
}

async fn tasks() -> Came {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    for number in 0..10_u64 {
        let sender = sender.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(number % 3)).await;
            sender.send(number).await
        });
    }
    drop(sender);
    let mut sum = 0;
    while let Some(number) = receiver.recv().await {
        sum += number;
    }
    let (mut ours, mut theirs) = tokio::net::UnixStream::pair()?;
    let echo = tokio::spawn(async move {
        let mut word = [0; 5];
        theirs.read_exact(&mut word).await?;
        theirs.write_all(&word).await
    });
    ours.write_all(b"hello").await?;
    let mut back = String::new();
    ours.read_to_string(&mut back).await?;
    echo.await??;
    let blocking = tokio::task::spawn_blocking(|| 6 * 7).await?;
    let late = tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
    Ok(format!("{sum} {back} {blocking} {}", late.is_err()))
}

fn clocks(_: &Path) -> Came {
    let start = Instant::now();
    thread::sleep(Duration::from_millis(2));
    let slept = start.elapsed() >= Duration::from_millis(2);
    let year = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() / 31_556_952 + 1970;
    Ok(format!("{slept} {}", year > 2024))
}

fn random(_: &Path) -> Came {
    let mut map = HashMap::new();
    map.extend((0..1000).map(|number| (number, number)));
    let [one, other] =
        [(); 2].map(|()| thread::spawn(|| HashMap::<u8, u8>::new().hasher().hash_one(1)).join());
    let differ = one.map_err(|_| "it panicked")? != other.map_err(|_| "it panicked")?;
    Ok(format!("{} {differ}", map.len()))
}

/// A static program has no dynamic linker for the crate to ask, so there it opens /dev/urandom, which takes a grant.
#[cfg(not(target_feature = "crt-static"))]
fn getrandom(_: &Path) -> Came {
    let mut bytes = [0; 64];
    getrandom::fill(&mut bytes)?;
    Ok((bytes != [0; 64]).to_string())
}

fn parallelism(_: &Path) -> Came {
    Ok((thread::available_parallelism()?.get() > 0).to_string())
}

fn pipes(_: &Path) -> Came {
    let (mut reader, mut writer) = std::io::pipe()?;
    let written = thread::spawn(move || writer.write_all(&[7; 200_000]));
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    written.join().map_err(|_| "it panicked")??;
    let (mut ours, mut theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_read_timeout(Some(Duration::from_millis(1)))?;
    let silent = ours.read(&mut [0]).is_err();
    theirs.write_all(b"x")?;
    Ok(format!("{} {silent} {}", bytes.len(), ours.read(&mut [0])?))
}

fn panics(_: &Path) -> Came {
    let here = catch_unwind(|| panic!("caught")).is_err();
    let there = thread::spawn(|| panic!("joined")).join().is_err();
    Ok(format!("{here} {there}"))
}

/// Its names come from the executable, which a worker may not open; the frames are there all the same.
fn backtrace(_: &Path) -> Came {
    let lines = Backtrace::force_capture().to_string().lines().count();
    Ok((lines > 3).to_string())
}

fn files(directory: &Path) -> Came {
    let [old, new] = ["old", "new"].map(|name| directory.join(name));
    std::fs::write(&old, "some text")?;
    // Not `fs::copy`, which changes the mode of what it made, and so needs `allow(metadata)`.
    std::io::copy(&mut File::open(&old)?, &mut File::create(directory.join("copy"))?)?;
    std::fs::rename(&old, &new)?;
    std::fs::create_dir_all(directory.join("a/b/c"))?;
    let mut names: Vec<_> =
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<_>>()?;
    names.sort();
    File::options().append(true).open(&new)?.write_all(b", and more")?;
    std::fs::remove_dir_all(directory.join("a"))?;
    Ok(format!("{names:?} {} {}", std::fs::read_to_string(&new)?, new.canonicalize()?.ends_with("new")))
}
