//! The process in which one way is measured. It has one thread, its way's aside, and its heap holds nothing but the
//! input, so that a way that forks it pays for no other way.
//!
//! It reads requests, one a line, and answers each with a line:
//!
//! | request | | answer |
//! |---|---|---|
//! | `start crc32 65536` | makes the input, does the job once, compares the result | `ok`, `cannot` |
//! | `turn 10` | does the job for 10 ms, or once | the time of each sample in µs |
//! | `probe` | tries what the way's bodies can reach | what they were held back from |
//!
//! or with `error` and why.

use crate::task::{Held, Job, Secrets, Task};
use crate::way::{Caller, Entry};
use crate::{Kind, Result, frame, ways};
use std::hint::black_box;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};
use std::{env, io, process};

/// The shortest sample, in µs: the clock is good for some tens of ns.
const SHORTEST: f64 = 50.0;

/// What a host program does. Four peers start this very program again, and it must find out which of them did,
/// before it does anything else:
///
/// - procspawn by an environment variable, extrasafe by the name of the program (`argv[0]`): their hooks do not
///   return in a process that they started.
/// - ipc-channel's worker and the programs that hakoniwa and birdcage run are started by arguments of ours.
///
/// `sandboxed` starts it again too, but asks nothing of `main`.
///
/// # Errors
///
/// Where the arguments name no way of this program, or a way cannot get ready.
pub fn main(entries: &[Entry]) -> Result<()> {
    ways::procspawn::hook();
    ways::extrasafe::hook();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["list"] => {
            entries.iter().for_each(|entry| println!("{}\t{}", entry.name, entry.by_design.join("\t")))
        }
        ["answer"] => frame::answer()?,
        ["ipc-channel", carrier, token] => ways::ipc_channel::work(carrier, token)?,
        ["serve", name, heap] => {
            let entry = entries.iter().find(|entry| entry.name == name);
            serve(entry.ok_or_else(|| format!("no way: {name}"))?, heap.parse()?)?;
        }
        _ => return Err("`cargo bench` starts this program".into()),
    }
    Ok(())
}

/// Answers requests until there are no more.
fn serve(entry: &Entry, heap: usize) -> Result<()> {
    let heap = black_box(vec![1_u8; heap]);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let secrets = Secrets { host: process::id(), port: listener.local_addr()?.port() };
    let mut way = None;
    let mut started = None;
    for request in io::stdin().lines() {
        match reply(entry, secrets, &mut way, &mut started, &request?) {
            Ok(reply) => println!("{reply}"),
            Err(error) => println!("error {}", error.to_string().trim().replace('\n', "; ")),
        }
    }
    drop(heap);
    Ok(())
}

/// A job that was started: its input, and how many calls are a sample.
struct Started {
    job: Job,
    input: Vec<u8>,
    batch: u32,
}

fn reply(
    entry: &Entry,
    secrets: Secrets,
    way: &mut Option<Caller>,
    started: &mut Option<Started>,
    request: &str,
) -> Result<String> {
    let call = match way {
        Some(call) => call,
        None => way.insert((entry.prepare)()?),
    };
    let (word, rest) = request.split_once(' ').unwrap_or((request, ""));
    match word {
        "start" => {
            let job: Job = rest.parse()?;
            if !(entry.can)(job.kind) {
                return Ok("cannot".into());
            }
            *started = Some(start(job, call, secrets)?);
            Ok("ok".into())
        }
        "turn" => {
            let started = started.as_ref().ok_or("no job was started")?;
            let task = started.job.task(&started.input, secrets);
            turn(task, call, started.batch, Duration::from_millis(rest.parse()?))
        }
        "probe" if !(entry.can)(Kind::Probe) => Ok("cannot".into()),
        "probe" => probe(call, secrets),
        _ => Err(format!("no request: {request}").into()),
    }
}

/// Does the job once and compares, then finds out how many calls make a sample that can be measured.
fn start(job: Job, call: &mut Caller, secrets: Secrets) -> Result<Started> {
    let input = job.input()?;
    let task = job.task(&input, secrets);
    if call(task)? != task.perform() {
        return Err(format!("{job}: another result than the direct call's").into());
    }
    let mut batch = 1;
    while time(task, call, batch)? * f64::from(batch) < SHORTEST {
        batch *= 4;
    }
    Ok(Started { job, input, batch })
}

/// Samples for so long, at least one.
fn turn(task: Task<&[u8]>, call: &mut Caller, batch: u32, length: Duration) -> Result<String> {
    let mut samples = Vec::new();
    let start = Instant::now();
    while samples.is_empty() || start.elapsed() < length {
        samples.push(format!("{:.5}", time(task, call, batch)?));
    }
    Ok(samples.join(" "))
}

/// The time of a call, in µs.
fn time(task: Task<&[u8]>, call: &mut Caller, batch: u32) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..batch {
        black_box(call(black_box(task))?);
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(batch))
}

/// What the second of two probes was held back from: the first leaves a trace for it.
fn probe(call: &mut Caller, secrets: Secrets) -> Result<String> {
    let task = Task::Probe(secrets);
    call(task)?;
    let crate::task::Answer::Number(held) = call(task)? else {
        return Err("a probe answered with bytes".into());
    };
    let words = [
        (Held::Process, "process"),
        (Held::Files, "files"),
        (Held::Network, "network"),
        (Held::SystemCalls, "system calls"),
        (Held::EarlierCalls, "earlier calls"),
    ];
    let words = words.into_iter().filter(|(bit, _)| held & *bit as u32 != 0).map(|(_, word)| word);
    Ok(words.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Answer;

    const SECRETS: Secrets = Secrets { host: 0, port: 0 };
    const JOB: Job = Job { kind: Kind::Reverse, size: 1000 };

    #[test]
    fn another_result_is_an_error() {
        let mut wrong: Caller = Box::new(|_| Ok(Answer::Bytes(vec![0; 1000])));
        let error = start(JOB, &mut wrong, SECRETS).err().expect("it is wrong");
        assert_eq!(error.to_string(), "reverse 1000: another result than the direct call's");
    }

    #[test]
    fn a_turn_has_one_sample_at_least() -> Result<()> {
        let mut direct: Caller = Box::new(|task| Ok(task.perform()));
        let started = start(JOB, &mut direct, SECRETS)?;
        let task = JOB.task(&started.input, SECRETS);
        let samples = turn(task, &mut direct, started.batch, Duration::ZERO)?;
        assert!(samples.parse::<f64>()? > 0.0, "{samples}");
        Ok(())
    }
}
