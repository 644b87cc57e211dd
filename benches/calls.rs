//! What a call costs: four jobs, each done directly, in a sandboxed thread and in a sandboxed process; and how late a
//! call that takes too long comes back, while all processors are busy (`-- --late` prints that alone).
//!
//! `cargo bench --bench calls` takes half a minute, with `-- --quick` some seconds. As a test (`cargo test
//! --benches`) every job is done once in each way, and the results are compared.
//!
//! The ways take turns within one run, so that whatever else the machine does meets all of them. Times are the
//! machine's own; what travels is the ratio to the direct call. The bench `targets` compares with other floors.

mod jobs;

use jobs::{MIB, add, batch, crc32, decode, median, noise, picture, reverse, time};
use std::fmt::Debug;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{array, env, thread};

// Input:   fn add(a: u32, b: u32) -> u32;
// Output:  `in_thread::add` and `in_process::add`, sandboxed, which do the job of that name
macro_rules! in_each_placement {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        mod in_thread {
            $(#[sandboxed::sandboxed(thread)]
            pub fn $name($($argument: $type),*) -> $result { crate::jobs::$name($($argument),*) })*
        }

        mod in_process {
            $(#[sandboxed::sandboxed]
            pub fn $name($($argument: $type),*) -> $result { crate::jobs::$name($($argument),*) })*
        }
    };
}

in_each_placement! {
    fn add(a: u32, b: u32) -> u32;
    fn crc32(bytes: &[u8]) -> u32;
    fn reverse(bytes: &[u8]) -> Vec<u8>;
    fn decode(png: &[u8]) -> Vec<u8>;
}

#[sandboxed::sandboxed(namespaces)]
fn add_in_namespaces(a: u32, b: u32) -> Result<u32, sandboxed::Error> {
    Ok(add(a, b))
}

/// A job, and the ways to do it: directly, in a thread, in a process.
struct Job<'a> {
    name: String,
    ways: [Box<dyn Fn() + 'a>; 3],
}

impl<'a> Job<'a> {
    /// Does it once in each way, and makes sure that the results agree.
    fn new<R: PartialEq + Debug>(
        name: impl Into<String>,
        direct: impl Fn() -> R + 'a,
        in_thread: impl Fn() -> R + 'a,
        in_process: impl Fn() -> R + 'a,
    ) -> Job<'a> {
        let name = name.into();
        let expected = direct();
        assert!(in_thread() == expected, "{name}: another result in a thread");
        assert!(in_process() == expected, "{name}: another result in a process");
        Job { name, ways: [discarding(direct), discarding(in_thread), discarding(in_process)] }
    }

    /// The median time of each way, in µs.
    fn measure(&self, budget: Duration) -> [f64; 3] {
        let batches = self.ways.each_ref().map(|way| batch(way));
        let mut samples: [Vec<f64>; 3] = array::from_fn(|_| Vec::new());
        let start = Instant::now();
        while start.elapsed() < budget || samples[0].len() < 5 {
            for ((way, batch), samples) in self.ways.iter().zip(batches).zip(&mut samples) {
                samples.push(time(way, batch));
            }
        }
        samples.map(median)
    }
}

fn discarding<'a, R>(call: impl Fn() -> R + 'a) -> Box<dyn Fn() + 'a> {
    Box::new(move || {
        black_box(call());
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    // A test runner that asks what there is: one test, which runs where nothing is asked.
    if has("--list") {
        return Ok(());
    }
    if has("--bench") && has("--late") {
        print_lateness(if has("--quick") { 20 } else { 400 });
        return Ok(());
    }
    let png = picture()?;
    let (short, long) = (noise(64 << 10), noise(16 * MIB));
    let jobs = jobs(&short, &long, &png);
    // Only `cargo bench` says so.
    if !has("--bench") || has("--test") {
        println!("{} jobs done in each way; `cargo bench --bench calls` measures them", jobs.len());
        return Ok(());
    }
    let quick = has("--quick");
    print_ratios(&jobs, Duration::from_millis(if quick { 700 } else { 5000 }));
    print_namespaces(if quick { 20 } else { 200 });
    print_observation(if quick { 20 } else { 200 });
    print_lateness(if quick { 20 } else { 400 });
    Ok(())
}

fn jobs<'a>(short: &'a [u8], long: &'a [u8], png: &'a [u8]) -> [Job<'a>; 4] {
    let decoding = format!("PNG, {:.1} to {:.1} MB", megabytes(png), megabytes(&decode(png)));
    [
        Job::new(
            "add",
            || add(black_box(1), 2),
            || in_thread::add(black_box(1), 2),
            || in_process::add(black_box(1), 2),
        ),
        Job::new("crc32, 64 KiB", || crc32(short), || in_thread::crc32(short), || in_process::crc32(short)),
        Job::new(
            "reverse, 16 MiB",
            || reverse(long),
            || in_thread::reverse(long),
            || in_process::reverse(long),
        ),
        Job::new(decoding, || decode(png), || in_thread::decode(png), || in_process::decode(png)),
    ]
}

fn megabytes(bytes: &[u8]) -> f64 {
    bytes.len() as f64 / 1e6
}

fn print_ratios(jobs: &[Job], budget: Duration) {
    println!("{:22}{:>36}{:>24}", "", "median, µs", "ratio to direct");
    let [direct, thread, process] = ["direct", "thread", "process"];
    println!("{:22}{direct:>12}{thread:>12}{process:>12}{thread:>12}{process:>12}", "");
    for job in jobs {
        let [direct, thread, process] = job.measure(budget);
        let ratios = [thread / direct, process / direct];
        print!("{:22}{}{}{}", job.name, figure(direct), figure(thread), figure(process));
        println!("{}{}", figure(ratios[0]), figure(ratios[1]));
    }
}

/// What they add to a call in a process, or why not.
fn print_namespaces(rounds: u32) {
    println!();
    if let Err(error) = add_in_namespaces(1, 2) {
        return println!("add, in namespaces: {error}");
    }
    let ways = [discarding(|| in_process::add(1, 2)), discarding(|| add_in_namespaces(1, 2))];
    let mut samples = [const { Vec::new() }; 2];
    for _ in 0..rounds {
        ways.iter().zip(&mut samples).for_each(|(way, samples)| samples.push(time(way, 1)));
    }
    let [process, namespaces] = samples.map(median);
    println!("{:22}{:>36}{:>24}", "add, in a process", "median, µs", "ratio to without");
    println!("{:22}{:>36}{:>24}", "with namespaces", figure(namespaces), figure(namespaces / process));
}

/// Makes calls that the kernel may refuse, in a worker, and says what one took there, in nanoseconds: one of which nothing
/// is ever asked, one that is granted, one that Landlock refuses, one that the filter refuses.
#[sandboxed::sandboxed(read = "/usr")]
fn inside(times: u32) -> Result<[f64; 4], sandboxed::Error> {
    let each = |call: &dyn Fn()| {
        let start = Instant::now();
        (0..times).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(times)
    };
    let open = |path: &str| drop(black_box(std::fs::File::open(path)));
    Ok([
        each(&|| {
            black_box(rustix::process::getppid());
        }),
        each(&|| open("/usr")),
        each(&|| open("/etc/hosts")),
        each(&|| drop(black_box(std::net::UdpSocket::bind("127.0.0.1:0")))),
    ])
}

/// What is added to a call, and to what a body does, while somebody looks on.
fn print_observation(rounds: u32) {
    let add = || in_process::add(1, 2);
    let ways = [discarding(add), discarding(|| sandboxed::observe(add))];
    let mut samples = [const { Vec::new() }; 2];
    for _ in 0..rounds {
        ways.iter().zip(&mut samples).for_each(|(way, samples)| samples.push(time(way, 1)));
    }
    let [bare, observed] = samples.map(median);
    println!("\n{:22}{:>12}{:>12}{:>12}", "observed", "bare, µs", "µs", "ratio");
    println!("{:22}{}{}{}", "add", figure(bare), figure(observed), figure(observed / bare));
    // All that a call does for it while nobody looks on: the body's calls then meet the same filters as ever.
    let look = discarding(sandboxed::__private::is_observation_on);
    let looked = time(&look, batch(&look));
    println!("{:22}{}{}{}", "off: the look whether", figure(bare), figure(looked), figure(looked / bare));
    let runs = [(); 2].map(|()| inside(rounds * 10));
    let observed = sandboxed::observe(|| inside(rounds * 10)).0;
    let (Ok(bare), Ok(observed)) = (&runs[1], observed) else { return println!("inside: {:?}", runs[1]) };
    let names = ["getppid", "open, close", "open, refused", "socket, refused"];
    for ((name, bare), observed) in names.into_iter().zip(bare).zip(observed) {
        println!("{name:22}{}{}{}", figure(bare / 1e3), figure(observed / 1e3), figure(observed / bare));
    }
}

/// In twelve columns, with as many digits as tell something.
fn figure(value: f64) -> String {
    let digits = match value {
        ..0.1 => 4,
        ..10.0 => 2,
        _ => 0,
    };
    format!("{value:12.digits$}")
}

const TIMEOUT: Duration = Duration::from_millis(50);

#[sandboxed::sandboxed(timeout = "50ms")]
fn spin() -> Result<(), sandboxed::Error> {
    loop {
        black_box(());
    }
}

/// How much later than its timeout a call returns, while a thread spins on every processor; and how much later than it
/// asked for a thread wakes up, which is the machine's part in that.
fn print_lateness(calls: usize) {
    let is_over = AtomicBool::new(false);
    let late = thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop()
                }
            });
        }
        let late = (0..calls).map(|_| [late(|| thread::sleep(TIMEOUT)), late(time_out)]);
        let late: Vec<[f64; 2]> = late.collect();
        is_over.store(true, Ordering::Relaxed);
        late
    });
    println!();
    println!("{:22}{:>36}", "all processors busy", "late by, ms");
    println!("{:22}{:>12}{:>12}{:>12}", "", "median", "p99", "most");
    for (way, name) in ["a sleep of 50 ms", "a timeout of 50 ms"].into_iter().enumerate() {
        let mut late: Vec<f64> = late.iter().map(|late| late[way]).collect();
        late.sort_by(f64::total_cmp);
        let [median, p99, most] = [calls / 2, calls * 99 / 100, calls - 1].map(|at| figure(late[at]));
        println!("{name:22}{median}{p99}{most}");
    }
}

fn time_out() {
    let error = spin().expect_err("it does not end by itself");
    assert!(error.is_timeout(), "{error}");
}

fn late(act: impl FnOnce()) -> f64 {
    let start = Instant::now();
    act();
    start.elapsed().saturating_sub(TIMEOUT).as_secs_f64() * 1e3
}
