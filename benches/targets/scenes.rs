//! What the rows measure, each in a process of its own.

use crate::children::{self, Heap};
use crate::floors::{forkserver::Forkserver, ping_pong, shared_memory};
use crate::jobs::{self, MIB, median, noise, time};
use crate::measure::{Effort, Pace, medians, wait_for_the_beat};
use crate::rows::Measured;
use crate::table::Figures;
use crate::{ours, processes};

use sandboxed::Bytes;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

type Add = fn(u32, u32) -> u32;

pub fn ping_pong(effort: Effort, pace: Pace, add: Add) -> Measured {
    let (futex, eventfd) = (ping_pong::Futex::start()?, ping_pong::Eventfd::start()?);
    let ways: [&dyn Fn(); 3] = [&|| check_add(add), &|| futex.round(), &|| eventfd.round()];
    let [ours, futex, eventfd] = medians(effort, pace, ways);
    Ok([ours, futex.min(eventfd)].into())
}

fn check_add(add: Add) {
    assert_eq!(add(black_box(1), 2), 3);
}

pub fn forkserver(effort: Effort, pace: Pace, add: Add) -> Measured {
    let floor = Forkserver::start()?;
    Ok(medians(effort, pace, [&|| check_add(add), &|| floor.fork()]).into())
}

pub fn shared_memory(effort: Effort, pace: Pace, crc32: fn(&[u8]) -> u32) -> Measured {
    let bytes = noise(shared_memory::ROOM);
    let expected = jobs::crc32(&bytes);
    let floor = shared_memory::Worker::start()?;
    let ways: [&dyn Fn(); 2] =
        [&|| assert_eq!(crc32(&bytes), expected), &|| assert_eq!(floor.crc32(&bytes), expected)];
    Ok(medians(effort, pace, ways).into())
}

pub fn reverse<R: PartialEq<Vec<u8>>>(effort: Effort, ours: fn(&[u8]) -> R) -> Measured {
    of_bytes(effort, ours, jobs::reverse, &noise(16 * MIB))
}

/// The argument of ours is made once.
pub fn reverse_shared(effort: Effort, ours: fn(&Bytes) -> Bytes) -> Measured {
    let input = noise(16 * MIB);
    let shared = Bytes::from(&input[..]);
    of_bytes(effort, |_: &[u8]| ours(&shared), jobs::reverse, &input)
}

pub fn decode(effort: Effort, ours: fn(&[u8]) -> Vec<u8>) -> Measured {
    of_bytes(effort, ours, jobs::decode, &jobs::picture()?)
}

/// Against the direct call. Results may be of two types, where ours crosses without a copy.
fn of_bytes<R: PartialEq<Vec<u8>>>(
    effort: Effort,
    ours: impl Fn(&[u8]) -> R,
    direct: fn(&[u8]) -> Vec<u8>,
    input: &[u8],
) -> Measured {
    assert!(ours(input) == direct(input), "another result than the direct call's");
    let ways: [&dyn Fn(); 2] = [&|| drop(black_box(ours(input))), &|| drop(black_box(direct(input)))];
    Ok(medians(effort, Pace::BackToBack, ways).into())
}

/// 4 GiB of heap in the host, or less where less effort is made.
pub fn heaps(effort: Effort) -> Measured {
    let large = effort.pick(64, 1024, 4096) * MIB;
    if processes::available_memory()? < large as u64 + (1 << 30) {
        return Ok(Figures::not(format!("it needs {} MiB of memory and one GiB more", large / MIB)));
    }
    let mut heaps = [Heap::start(large)?, Heap::start(10 * MIB)?];
    let mut samples = [const { Vec::new() }; 2];
    let (start, budget) = (Instant::now(), effort.pick(0, 350, 5000));
    while start.elapsed() < Duration::from_millis(budget) || samples[0].is_empty() {
        for (heap, samples) in heaps.iter_mut().zip(&mut samples) {
            // What the other one's call left to be done is done by then.
            wait_for_the_beat();
            wait_for_the_beat();
            samples.push(heap.call()?);
        }
    }
    Ok(samples.map(median).into())
}

/// The time of a call where two threads call, as often each, and where one does. The calls are so long that forking
/// fresh processes, for which a machine of two has no processor left, does not count.
pub fn two_threads(effort: Effort, compute: fn(u32) -> u32) -> Measured {
    const CALLS: u32 = 4;
    const SOME: u32 = 100_000;
    if thread::available_parallelism()?.get() < 2 {
        return Ok(Figures::not("it needs 2 processors"));
    }
    let spin = || _ = black_box(ours::spin(black_box(SOME)));
    // The shortest: others may have had the processor meanwhile.
    let some = (0..20).map(|_| time(&spin, 1)).fold(f64::INFINITY, f64::min);
    let rounds = (f64::from(SOME) * 5000.0 / some) as u32;
    let expected = ours::spin(rounds);
    let call = || (0..CALLS).for_each(|_| assert_eq!(compute(black_box(rounds)), expected));
    let call_in = |threads: u32| {
        thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(call))));
    };
    let [two, one] = medians(effort, Pace::BackToBack, [&|| call_in(2), &|| call_in(1)]);
    Ok([two / f64::from(2 * CALLS), one / f64::from(CALLS)].into())
}

/// What each of so many waiting processes takes, shared memory shared out among those that share it.
pub fn spares(count: usize, add: Add) -> Measured {
    check_add(add);
    let idle = processes::until_settled(count, processes::workers)?;
    if idle.len() < count {
        return Ok(Figures::not(format!("{} processes wait, not {count}", idle.len())));
    }
    let sizes = idle.iter().map(|worker| processes::proportional_set_size(*worker));
    match sizes.collect::<std::io::Result<Vec<f64>>>() {
        Ok(sizes) => Ok(Figures::alone(median(sizes))),
        Err(error) => Ok(Figures::not(format!("/proc/<pid>/smaps_rollup of a worker: {error}"))),
    }
}

pub fn first_call(effort: Effort) -> Measured {
    let times = (0..effort.pick(1, 5, 40)).map(|_| children::first_calls());
    let (first, later): (Vec<f64>, Vec<f64>) =
        times.collect::<std::io::Result<Vec<_>>>()?.into_iter().unzip();
    Ok([median(first), median(later)].into())
}

pub fn thread(effort: Effort) -> Measured {
    let bare = || thread::spawn(|| check_add(jobs::add)).join().expect("it does not panic");
    Ok(medians(effort, Pace::BackToBack, [&|| check_add(ours::add_in_thread), &bare]).into())
}

/// Of this process, which has called nothing yet.
pub fn never_called(effort: Effort) -> Measured {
    let threads = processes::own_threads()? - 1;
    let others = processes::own_children()? + processes::forkservers()?.len();
    // No time, so what is promised can be asked for.
    assert!(effort != Effort::Once || threads + others == 0, "{threads} threads and {others} processes more");
    Ok(Figures::alone((threads + others) as f64))
}

/// Two programs of three lines, one of which has a sandboxed function.
pub fn start_up(effort: Effort) -> Measured {
    let this = env::current_exe()?;
    let Some(directory) = this.parent().and_then(Path::parent) else { return Err("no directory".into()) };
    let programs = ["startup_sandboxed", "startup_bare"].map(|name| directory.join(name));
    if !programs.iter().all(|program| program.exists()) {
        let profile = if cfg!(debug_assertions) { "" } else { " --release" };
        let how = format!("`cargo build{profile} -p sandboxed-startup` makes its programs");
        return Ok(Figures::not(how));
    }
    let [sandboxed, bare] = programs.each_ref().map(|program| {
        move || {
            let ended = Command::new(program).stdin(Stdio::null()).status();
            assert!(ended.expect("it can be run").success());
        }
    });
    Ok(medians(effort, Pace::BackToBack, [&sandboxed, &bare]).into())
}
