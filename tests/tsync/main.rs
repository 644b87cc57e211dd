//! Restricting a program that has threads: each of them afterwards, or none, and then the error says why.

mod activity;
#[path = "../support/cases.rs"]
mod cases;
mod costs;
mod crew;
mod each;
#[path = "../support/foreign.rs"]
mod foreign;
mod none;
mod places;
#[path = "../support/processes.rs"]
mod processes;
#[path = "../support/raw.rs"]
mod raw;
mod reuse;
mod ring;
#[path = "../support/ring.rs"]
mod ring_support;
mod signal;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/sys.rs"]
mod sys;
#[path = "../support/threads.rs"]
mod threads;

use cases::{Case, Done};
use places::{Places, alone};
use sandboxed::{Error, sandboxed};
use std::path::Path;
use std::process::ExitCode;

/// The ABI that restricts all threads at once.
const TSYNC: u32 = 8;

#[sandboxed(in_place, read = kept)]
fn restrict(kept: &Path) -> Result<(), Error> {
    Ok(())
}

#[sandboxed(in_place, thread_sync = "signal", read = kept)]
fn restrict_by_signal(kept: &Path) -> Result<(), Error> {
    Ok(())
}

/// What a worker can do with a file that it is granted: 0, or the errno.
#[sandboxed(read = path)]
fn read_in_worker(path: &Path) -> Result<i32, Error> {
    Ok(std::fs::read(path).map_or_else(|error| error.raw_os_error().unwrap(), |_| 0))
}

fn abi() -> u32 {
    sandboxed::kernel().abi
}

/// A case in a process of its own, on kernels from one ABI on and before another.
fn case(name: &str, abis: std::ops::Range<u32>, body: impl FnOnce(&Places) + Send + 'static) -> Case {
    let of_process = name.to_owned();
    Case::new(name, move || {
        not_here(abis).unwrap_or_else(|| {
            alone(&of_process, body);
            Done::Ran
        })
    })
}

/// What to say where this kernel's ABI is none of these.
fn not_here(abis: std::ops::Range<u32>) -> Option<Done> {
    let why = match abi() {
        abi if abi < abis.start => format!("needs Landlock ABI {}, this kernel has {abi}", abis.start),
        abi if abi >= abis.end => {
            format!("is about kernels before Landlock ABI {}, this one has {abi}", abis.end)
        }
        _ => return None,
    };
    Some(Done::NotRun(why))
}

/// Every kernel that has Landlock.
const ANY: std::ops::Range<u32> = 1..u32::MAX;
/// Kernels that restrict all threads at once.
const AT_ONCE: std::ops::Range<u32> = TSYNC..u32::MAX;
/// Kernels where only a signal reaches the other threads.
const BY_SIGNAL: std::ops::Range<u32> = 1..TSYNC;

fn main() -> ExitCode {
    cases::main(
        [each::cases(), none::cases(), signal::cases(), costs::cases(), ring::cases(), reuse::cases()]
            .into_iter()
            .flatten()
            .collect(),
    )
}
