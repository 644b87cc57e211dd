//! A decoder with planted bugs, and what becomes of each.

use crate::table::{Outcome, Row, Table};
use sandboxed::sandboxed;
use serde::{Deserialize, Serialize};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;
use std::{fs, hint, io, process, ptr};

/// What a decoder does that has a bug, or that somebody took over by means of one.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Bug {
    Panic,
    Segfault,
    Abort,
    Exit,
    OverflowStack,
    LoopForEver,
    AllocateWithoutEnd,
    ReadFile,
    Connect(SocketAddr),
}

/// An `io::Error` of the body crosses as it is; a failure of the sandbox comes as one that holds it.
#[sandboxed(memory = "256MiB", timeout = "2s", stdio = "capture")]
fn decode(bug: Bug) -> io::Result<String> {
    misbehave(bug)
}

fn misbehave(bug: Bug) -> io::Result<String> {
    match bug {
        Bug::Panic => panic!("no Huffman code begins with {:#b}", 0b1011),
        // SAFETY: there is no excuse, this is the bug. As nothing is mapped there, the write is a fault.
        #[allow(unsafe_code)]
        Bug::Segfault => unsafe { ptr::without_provenance_mut::<u8>(8).write_volatile(1) },
        Bug::Abort => process::abort(),
        Bug::Exit => process::exit(3),
        Bug::OverflowStack => return Ok(format!("came back from level {}", recurse(0))),
        Bug::LoopForEver => loop {
            hint::spin_loop();
        },
        Bug::AllocateWithoutEnd => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(vec![1_u8; 1 << 20]);
            }
        }
        Bug::ReadFile => return fs::read("/etc/passwd").map(|file| format!("reads {} bytes", file.len())),
        Bug::Connect(address) => return TcpStream::connect(address).map(|_| "connects".to_owned()),
    }
    Ok("carries on".to_owned())
}

/// Not in constant space, as the sum is made on the way back.
fn recurse(level: u64) -> u64 {
    if hint::black_box(level) == u64::MAX { 0 } else { recurse(level + 1) + 1 }
}

/// Runs them, one after the other.
pub fn run_all() -> io::Result<Vec<Outcome>> {
    // Somebody who would answer.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let bugs = [
        ("panics", Bug::Panic),
        ("writes to an invalid address", Bug::Segfault),
        ("aborts", Bug::Abort),
        ("exits", Bug::Exit),
        ("recurses without end", Bug::OverflowStack),
        ("loops for ever", Bug::LoopForEver),
        ("allocates without end", Bug::AllocateWithoutEnd),
        ("reads /etc/passwd", Bug::ReadFile),
        ("connects out", Bug::Connect(listener.local_addr()?)),
    ];
    let table = Table { name_width: 28, size_width: 0 };
    let outcomes = bugs.map(|(name, bug)| {
        let row = run(name, bug);
        table.print(&row);
        row.outcome
    });
    Ok(outcomes.to_vec())
}

fn run(name: &str, bug: Bug) -> Row {
    let start = Instant::now();
    let result = decode(bug);
    let time = start.elapsed();
    let (outcome, detail) = match result {
        Ok(success) => (Outcome::Escaped, success),
        Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(error) => (Outcome::of_sandbox(error), error.to_string()),
            // The kernel's answer to the body. It depends on the sandbox: the host gets another.
            None => {
                let outside = misbehave(bug).unwrap_or_else(|error| error.to_string());
                (Outcome::Stopped("denied"), format!("{error}; without a sandbox it {outside}"))
            }
        },
    };
    Row { time: Some(time), ..Row::new(name.to_owned(), outcome, detail) }
}
