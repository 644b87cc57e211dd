//! Hosts with something of their own: much heap, or no call before. Each is this program again.

use crate::jobs::{median, time};
use crate::measure::wait_for_the_beat;
use crate::ours::fresh;
use crate::{ROLE, jobs};
use std::env;
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

fn add() {
    assert_eq!(fresh::add(black_box(1), 2), jobs::add(1, 2));
}

fn this_as(role: &str) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(format!("{ROLE}{role}"));
    Ok(command)
}

/// A host with so much heap, which calls when it is told to.
pub struct Heap {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Heap {
    /// Returns when its heap is touched and its first call done.
    pub fn start(bytes: usize) -> io::Result<Heap> {
        let mut child =
            this_as(&format!("heap/{bytes}"))?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (to, Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut heap = Heap { child, to, from: BufReader::new(from) };
        heap.call()?;
        Ok(heap)
    }

    /// The time of one call, in µs.
    pub fn call(&mut self) -> io::Result<f64> {
        if let Some(to) = &mut self.to {
            to.write_all(b"\n")?;
        }
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        line.trim().parse().map_err(io::Error::other)
    }
}

impl Drop for Heap {
    /// It ends where nothing more is asked.
    fn drop(&mut self) {
        self.to = None;
        drop(self.child.wait());
    }
}

/// As such a host.
pub fn call_on_demand(bytes: usize) -> rustix::io::Result<()> {
    // A fork copies an entry for each page, so they are as small as they come.
    rustix::thread::disable_transparent_huge_pages(true)?;
    let heap = black_box(vec![1_u8; bytes]);
    for line in io::stdin().lines() {
        drop(line);
        println!("{}", time(&add, 1));
    }
    drop(heap);
    Ok(())
}

/// The times of the first call of a program and of a later one, in µs.
pub fn first_calls() -> io::Result<(f64, f64)> {
    let child = this_as("first-calls")?.stderr(Stdio::inherit()).output()?;
    let printed = String::from_utf8_lossy(&child.stdout);
    let mut times = printed.split_whitespace().map(str::parse);
    match (times.next(), times.next()) {
        (Some(Ok(first)), Some(Ok(later))) => Ok((first, later)),
        _ => Err(io::Error::other(format!("no times, but {child:?}"))),
    }
}

/// As such a program.
pub fn print_first_calls() {
    let call = || {
        wait_for_the_beat();
        time(&add, 1)
    };
    let first = call();
    println!("{first} {}", median((0..20).map(|_| call()).collect()));
}
