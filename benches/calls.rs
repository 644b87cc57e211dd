//! What a call costs: four jobs, each done directly, in a sandboxed thread and in a sandboxed process; and what
//! the first call costs, which starts the forkserver.
//!
//! `cargo bench --bench calls` takes half a minute, with `-- --quick` some seconds. As a test (`cargo test
//! --benches`) every job is done once in each way, and the results are compared.
//!
//! The ways take turns within one run, so that whatever else the machine does meets all of them. Times are the
//! machine's own; what travels is the ratio to the direct call.

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use std::fmt::Debug;
use std::hint::black_box;
use std::io::{self, Cursor};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{array, env};

const MIB: usize = 1 << 20;

// Input:   fn add(a: u32, b: u32) -> u32 { … }
// Output:  the same; `in_thread::add` and `in_process::add`, sandboxed, which call it
macro_rules! in_each_placement {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block)*) => {
        $(#[inline(never)]
        fn $name($($argument: $type),*) -> $result $body)*

        mod in_thread {
            $(#[sandboxed::sandboxed(thread)]
            pub fn $name($($argument: $type),*) -> $result { super::$name($($argument),*) })*
        }

        mod in_process {
            $(#[sandboxed::sandboxed]
            pub fn $name($($argument: $type),*) -> $result { super::$name($($argument),*) })*
        }
    };
}

in_each_placement! {
    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn crc32(bytes: &[u8]) -> u32 {
        crc32fast::hash(bytes)
    }

    fn reverse(bytes: &[u8]) -> Vec<u8> {
        bytes.iter().rev().copied().collect()
    }

    fn decode(png: &[u8]) -> Vec<u8> {
        let picture = image::load_from_memory_with_format(png, ImageFormat::Png);
        picture.expect("it is a picture of our own").into_bytes()
    }
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

/// How many calls the clock needs for one sample.
fn batch(call: &dyn Fn()) -> u32 {
    let mut batch = 1;
    while time(call, batch) * f64::from(batch) < 20.0 {
        batch *= 4;
    }
    batch
}

/// The time of a call, in µs.
fn time(call: &dyn Fn(), batch: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..batch {
        call();
    }
    microseconds(start) / f64::from(batch)
}

fn microseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e6
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Values that look random and are always the same.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(step).collect()
}

/// 3 MB of pixels that make 1 MB of PNG: a gradient with some noise in it.
fn picture() -> image::ImageResult<Vec<u8>> {
    const SIDE: usize = 1000;
    let noise = noise(SIDE * SIDE * 3);
    let picture = RgbImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
        let at = (y as usize * SIDE + x as usize) * 3;
        let gradient = [x / 5, y / 5, (x + y) / 10];
        Rgb(array::from_fn(|channel| gradient[channel] as u8 + noise[at + channel] % 3))
    });
    let mut file = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}

/// Times the first call and the second, in µs, in a new process that has touched so much heap.
fn first_calls(heap: usize) -> io::Result<[f64; 2]> {
    let child = Command::new(env::current_exe()?).arg(format!("{FIRST_CALLS}{heap}")).output()?;
    let printed = String::from_utf8_lossy(&child.stdout);
    let mut times = printed.split_whitespace().map(str::parse);
    match (times.next(), times.next()) {
        (Some(Ok(first)), Some(Ok(second))) => Ok([first, second]),
        _ => Err(io::Error::other(format!("no times, but {child:?}"))),
    }
}

const FIRST_CALLS: &str = "--first-calls=";

fn print_first_calls(heap: usize) {
    let heap = black_box(vec![1_u8; heap]);
    for _ in 0..2 {
        println!("{}", time(&discarding(|| in_process::add(1, 2)), 1));
    }
    drop(heap);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    if let Some(heap) = arguments.iter().find_map(|argument| argument.strip_prefix(FIRST_CALLS)) {
        print_first_calls(heap.parse()?);
        return Ok(());
    }
    // A test runner that asks what there is: one test, which runs where nothing is asked.
    if has("--list") {
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
    compare_heaps(if quick { 1 } else { 7 })?;
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

/// In twelve columns, with as many digits as tell something.
fn figure(value: f64) -> String {
    let digits = match value {
        ..0.1 => 4,
        ..10.0 => 2,
        _ => 0,
    };
    format!("{value:12.digits$}")
}

/// What forking the program itself would pay for: some 40 µs per MiB.
fn compare_heaps(rounds: usize) -> io::Result<()> {
    const HEAPS: [usize; 2] = [0, 2048 * MIB];
    let mut samples = [const { [const { Vec::new() }; 2] }; 2];
    for _ in 0..rounds {
        for (heap, samples) in HEAPS.into_iter().zip(&mut samples) {
            let times = first_calls(heap)?;
            times.into_iter().zip(samples).for_each(|(time, samples)| samples.push(time));
        }
    }
    println!();
    println!("{:22}{:>36}", "add, in a process", "median, µs");
    println!("{:22}{:>12}{:>12}{:>12}", "with a touched heap of", "", "first call", "second call");
    for (heap, [first, second]) in HEAPS.into_iter().zip(samples) {
        println!("{:>18} MiB{:12}{}{}", heap / MIB, "", figure(median(first)), figure(median(second)));
    }
    Ok(())
}
