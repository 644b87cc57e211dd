//! Starts the hosts, lets them take turns, and keeps the medians.
//!
//! Whatever else the machine does meets all ways alike, as they take turns within each measurement.

use crate::{Job, Kind, Result, plot, table};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A way that hangs is given up after this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The jobs of the table.
pub const JOBS: [Job; 4] = [
    Job { kind: Kind::Add, size: 0 },
    Job { kind: Kind::Crc32, size: 64 * KIB },
    Job { kind: Kind::Reverse, size: 16 * MIB },
    Job { kind: Kind::Decode, size: 0 },
];

/// The kinds of job that are done with payloads of every size: bytes in and a number out, and bytes in and out.
pub const PAYLOAD_KINDS: [Kind; 2] = [Kind::Crc32, Kind::Echo];

/// How much is measured.
pub struct Effort {
    /// The time for a job, all ways together; each way has [`Effort::rounds`] turns even if they take longer.
    budget: Duration,
    /// The fewest turns of each way.
    rounds: usize,
    /// The sizes of payloads in bytes.
    payloads: Vec<usize>,
    /// The sizes of touched heaps in bytes.
    heaps: Vec<usize>,
}

impl Effort {
    /// Minutes.
    pub fn full() -> Effort {
        Effort {
            budget: Duration::from_secs(4),
            rounds: 5,
            payloads: [0].into_iter().chain((0..10).map(|step| 256 << (2 * step))).collect(),
            heaps: [10, 64, 256, 1024, 2048, 4096].map(|mebibytes| mebibytes * MIB).into(),
        }
    }

    /// Half a minute. Too little to compare by, enough to see that it works.
    pub fn quick() -> Effort {
        Effort {
            budget: Duration::from_millis(200),
            rounds: 1,
            payloads: vec![0, 4 * KIB, 256 * KIB, 16 * MIB],
            heaps: vec![10 * MIB, 256 * MIB],
        }
    }
}

/// A way, and the program that has it.
pub struct Peer {
    /// Its name in the table.
    pub name: String,
    /// What it isolates and its state, where that cannot be tried.
    pub by_design: [String; 2],
    program: PathBuf,
}

/// What was found out about a job done in a way.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// The median, in µs.
    Time(f64),
    /// The way does not do such jobs.
    Cannot,
    /// It should, and failed.
    Failed(String),
}

/// Figures of all ways, in their order, for a size in bytes.
pub type Row = (usize, Vec<Figure>);

/// All that was measured.
pub struct Report {
    /// The ways; the figures are in this order.
    pub peers: Vec<Peer>,
    /// What a probe was held back from, in words, for each way.
    pub held: Vec<Result<String>>,
    /// The figures of each of [`JOBS`].
    pub jobs: Vec<Vec<Figure>>,
    /// The figures of each of [`PAYLOAD_KINDS`], by the size of the payload.
    pub payloads: Vec<Vec<Row>>,
    /// The figures of `add`, by the size of the host's touched heap.
    pub heaps: Vec<Row>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

/// Measures all ways of these programs, and writes `table.md`, `payload.svg` and `heap.svg` to the directory.
///
/// # Errors
///
/// Where a program does not say its ways, or a file cannot be written. A way that fails is in the table.
pub fn run(programs: &[&str], effort: &Effort, directory: &Path) -> Result<()> {
    let report = measure_all(programs, effort)?;
    fs::create_dir_all(directory)?;
    let table = table::markdown(&report);
    print!("{table}");
    fs::write(directory.join("table.md"), table)?;
    plot::payload(&report, &directory.join("payload.svg"))?;
    plot::heap(&report, &directory.join("heap.svg"))?;
    eprintln!("written to {}", directory.display());
    Ok(())
}

/// Does every job once in each way, and tries what it isolates. Each line is a way, a job, and what came of it.
///
/// # Errors
///
/// Where a program does not say its ways.
pub fn check(programs: &[&str]) -> Result<Vec<(String, String, Result<String>)>> {
    let mut lines = Vec::new();
    for peer in peers(programs)? {
        let mut host = Host::start(&peer, 0)?;
        let echo = Job { kind: Kind::Echo, size: 3 * MIB + 1 };
        for job in JOBS.into_iter().chain([echo]) {
            lines.push((peer.name.clone(), job.to_string(), host.ask(&format!("start {job}"))));
        }
        lines.push((peer.name.clone(), "probe".into(), host.ask("probe")));
    }
    Ok(lines)
}

fn measure_all(programs: &[&str], effort: &Effort) -> Result<Report> {
    let peers = peers(programs)?;
    let held = peers.iter().map(|peer| Host::start(peer, 0)?.ask("probe")).collect();
    let job = |job| measure(&peers, job, effort);
    let of_size = |kind| {
        let row = |&size| Ok((size, measure(&peers, Job { kind, size }, effort)?));
        effort.payloads.iter().map(row).collect::<Result<Vec<Row>>>()
    };
    let jobs = JOBS.into_iter().map(job).collect::<Result<_>>()?;
    let payloads = PAYLOAD_KINDS.into_iter().map(of_size).collect::<Result<_>>()?;
    let (heaps, left_out) = measure_heaps(&peers, effort)?;
    Ok(Report { peers, held, jobs, payloads, heaps, left_out })
}

/// The ways of these programs, in their order.
fn peers(programs: &[&str]) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for program in programs {
        let list = Command::new(program).arg("list").output()?;
        for line in String::from_utf8(list.stdout)?.lines() {
            let [name, isolates, state] = line.split('\t').collect::<Vec<_>>()[..] else {
                return Err(format!("{program} listed {line}").into());
            };
            let by_design = [isolates, state].map(String::from);
            peers.push(Peer { name: name.into(), by_design, program: program.into() });
        }
    }
    if peers.is_empty() { Err("the programs have no ways".into()) } else { Ok(peers) }
}

/// The medians of a job, for each way. The hosts are new, as one keeps heap of an earlier job, which whoever forks it
/// would pay for.
fn measure(peers: &[Peer], job: Job, effort: &Effort) -> Result<Vec<Figure>> {
    eprintln!("{job}");
    let mut hosts: Vec<Host> = peers.iter().map(|peer| Host::start(peer, 0)).collect::<Result<_>>()?;
    let mut series: Vec<Series> = hosts.iter_mut().map(|host| Series::start(host, job)).collect();
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < effort.rounds || start.elapsed() < effort.budget {
        for (host, series) in hosts.iter_mut().zip(&mut series) {
            series.turn(host);
        }
        rounds += 1;
    }
    Ok(series.into_iter().map(Series::median).collect())
}

/// The medians of `add`, for each heap. Each sample is of a new host, since not many large ones fit into memory.
fn measure_heaps(peers: &[Peer], effort: &Effort) -> Result<(Vec<Row>, Vec<String>)> {
    let mut rows = Vec::new();
    let mut left_out = Vec::new();
    for &heap in &effort.heaps {
        eprintln!("heap {heap}");
        let available = available_memory()?;
        if available < heap + heap / 4 + 512 * MIB {
            let [heap, available] = [heap, available].map(|bytes| bytes / MIB);
            left_out.push(format!("a heap of {heap} MiB: {available} MiB of memory were available"));
            continue;
        }
        let mut series: Vec<Series> = peers.iter().map(|_| Series::Samples(Vec::new())).collect();
        for _ in 0..effort.rounds.div_ceil(2) {
            for (peer, series) in peers.iter().zip(&mut series) {
                let mut host = Host::start(peer, heap)?;
                let started = Series::start(&mut host, JOBS[0]);
                match started {
                    // Where the scheduler has host and worker, and so what a call costs, changes from turn to turn.
                    Series::Samples(_) => (0..5).for_each(|_| series.turn(&mut host)),
                    other => *series = other,
                }
            }
        }
        rows.push((heap, series.into_iter().map(Series::median).collect()));
    }
    Ok((rows, left_out))
}

/// What may be used without swapping, in bytes.
fn available_memory() -> Result<usize> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes: usize =
        line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no MemAvailable")?.parse()?;
    Ok(kibibytes * KIB)
}

/// What is known of a job in a way so far.
enum Series {
    /// Times in µs.
    Samples(Vec<f64>),
    Cannot,
    Failed(String),
}

impl Series {
    fn start(host: &mut Host, job: Job) -> Series {
        match host.ask(&format!("start {job}")) {
            Ok(reply) if reply == "cannot" => Series::Cannot,
            Ok(_) => Series::Samples(Vec::new()),
            Err(error) => Series::Failed(error.to_string()),
        }
    }

    /// Some samples more, unless it failed.
    fn turn(&mut self, host: &mut Host) {
        let Series::Samples(samples) = self else { return };
        let more = host.ask("turn 10").and_then(|reply| {
            Ok(reply.split(' ').map(str::parse).collect::<std::result::Result<Vec<f64>, _>>()?)
        });
        match more {
            Ok(more) => samples.extend(more),
            Err(error) => *self = Series::Failed(error.to_string()),
        }
    }

    fn median(self) -> Figure {
        match self {
            Series::Samples(samples) => Figure::Time(median(samples)),
            Series::Cannot => Figure::Cannot,
            Series::Failed(error) => Figure::Failed(error),
        }
    }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// The process in which a way is measured, as the driver sees it.
struct Host {
    process: Child,
    requests: Option<ChildStdin>,
    replies: Receiver<String>,
}

impl Host {
    /// Starts it; it touches a heap of so many bytes first.
    fn start(peer: &Peer, heap: usize) -> Result<Host> {
        let mut process = Command::new(&peer.program)
            .args(["serve", &peer.name, &heap.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().ok_or("no pipe from a host")?;
        let (sender, replies) = mpsc::channel();
        // It ends when the host's stdout does, or nobody listens any more.
        thread::spawn(move || {
            BufReader::new(stdout)
                .lines()
                .map_while(std::io::Result::ok)
                .all(|line| sender.send(line).is_ok())
        });
        Ok(Host { requests: process.stdin.take(), process, replies })
    }

    /// A reply, unless it is an error, or none comes.
    fn ask(&mut self, request: &str) -> Result<String> {
        let requests = self.requests.as_mut().ok_or("it was given up")?;
        let reply = match writeln!(requests, "{request}") {
            Ok(()) => self.replies.recv_timeout(PATIENCE).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match reply {
            Ok(reply) => match reply.strip_prefix("error ") {
                Some(error) => Err(error.into()),
                None => Ok(reply),
            },
            // It hangs, or it is gone; a host that replies is needed no more.
            Err(error) => {
                self.requests = None;
                self.process.kill()?;
                Err(format!("no reply ({error}); the host ended with {}", self.process.wait()?).into())
            }
        }
    }
}

/// A host ends when there are no more requests.
impl Drop for Host {
    fn drop(&mut self) {
        self.requests = None;
        if let Err(error) = self.process.wait() {
            eprintln!("a host was not waited for: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn payloads_reach_from_nothing_to_64_mib() {
        let payloads = Effort::full().payloads;
        assert_eq!((payloads[0], payloads[1], payloads.last()), (0, 256, Some(&(64 * MIB))));
    }

    #[test]
    fn a_host_that_is_gone_is_an_error() -> Result<()> {
        let peer =
            Peer { name: "gone".into(), by_design: ["", ""].map(String::from), program: "true".into() };
        let mut host = Host::start(&peer, 0)?;
        let error = host.ask("probe").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with("no reply ("), "{error}");
        assert_eq!(host.ask("probe").err().map(|error| error.to_string()), Some("it was given up".into()));
        Ok(())
    }

    #[test]
    fn a_program_without_ways_is_an_error() {
        assert_eq!(
            peers(&["true"]).err().map(|error| error.to_string()),
            Some("the programs have no ways".into())
        );
    }
}
