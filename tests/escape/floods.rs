//! Too much of everything: it ends as an error, within its timeout, and the host goes on.

use crate::attempt::{Attempt, Found, Stage, Tried, ends};
use crate::sys;
use crate::world::World;
use sandboxed::{Memory, Policy, Stdio};
use std::hint::black_box;
use std::io::Write;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(300);

fn short(_: &World) -> Policy {
    Policy::new().timeout(SOON)
}

fn small(_: &World) -> Policy {
    Policy::new().memory(Memory::Bytes(64 << 20))
}

fn quiet(_: &World) -> Policy {
    Policy::new().timeout(SOON).stdio(Stdio::Capture)
}

fn spin(_: &Stage) -> Tried {
    loop {
        black_box(0);
    }
}

fn allocate(_: &Stage) -> Tried {
    let mut all = Vec::new();
    loop {
        all.push(black_box(vec![1u8; 1 << 20]));
    }
}

fn print(_: &Stage) -> Tried {
    loop {
        std::io::stdout().write_all(&[b'x'; 4096])?;
    }
}

fn print_errors(_: &Stage) -> Tried {
    loop {
        std::io::stderr().write_all(&[b'x'; 4096])?;
    }
}

/// Threads that do nothing, as many as there can be: the memory for their stacks ends.
fn threads(_: &Stage) -> Tried {
    loop {
        std::thread::Builder::new().spawn(|| std::thread::sleep(Duration::from_secs(60)))?;
    }
}

fn spinning_threads(_: &Stage) -> Tried {
    for _ in 0..16 {
        std::thread::Builder::new().spawn(|| {
            loop {
                black_box(0);
            }
        })?;
    }
    std::thread::sleep(Duration::from_secs(60));
    Ok(0)
}

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if frame[1] == u64::MAX { 0 } else { frame[0] + recurse(depth + 1) }
}

/// What nobody asks for: all signals blocked, and stopped.
fn stop(_: &Stage) -> Tried {
    sys::raise(libc::SIGSTOP);
    Ok(0)
}

fn descriptors(_: &Stage) -> Tried {
    let mut open = Vec::new();
    loop {
        open.push(std::io::pipe()?);
    }
}

pub fn attempts() -> Vec<Attempt> {
    let fine = |_: &Stage| call!(SYS_getpid);
    let error = |errno| Found::Errno(errno);
    vec![
        ends("processor", Found::TimedOut, spin).under(short).beside(fine),
        ends("processor_by_threads", Found::TimedOut, spinning_threads).under(short).beside(fine),
        ends("memory", Found::Signal(libc::SIGABRT), allocate).under(small).beside(fine),
        ends("output", Found::TimedOut, print).under(quiet).beside(fine),
        ends("errors", Found::TimedOut, print_errors).under(quiet).beside(fine),
        ends("threads", error(libc::EAGAIN), threads).under(small).beside(fine),
        ends("recursion", Found::Signal(libc::SIGSEGV), |_| Ok(recurse(0) as i64)).under(small).beside(fine),
        ends("stopped", Found::TimedOut, stop).under(short).beside(fine),
        ends("descriptors", error(libc::EMFILE), descriptors).beside(fine),
        ends("crash", Found::Signal(libc::SIGSEGV), |_| {
            sys::write_to_null();
            Ok(0)
        })
        .beside(fine),
        ends("exit", Found::Exited(7), |_| sys::exit_now(7)).beside(fine),
    ]
}
