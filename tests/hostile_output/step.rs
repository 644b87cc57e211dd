//! What an attacker in a worker does, as data.

use super::attack::{BEGUN, PANICKED, frame, header};
use super::sys;
use rustix::process::{Resource, Rlimit, setrlimit};
use sandboxed::__private::{forge_reply, reply_memory};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The number of the pipe that wakes the host.
pub const BELL: i32 = 3;
/// Where the memory of replies says how much was written.
pub const WRITTEN: usize = 0;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Step {
    /// Writes to the stream of the reply.
    Write(Vec<u8>),
    /// Writes this byte to it, so many times.
    Repeat(u8, usize),
    /// Writes to it again and again.
    Flood(Vec<u8>),
    /// Writes a byte to it now and then.
    Drip(u8),
    /// Sets a number in the memory of replies, at an offset, and rings.
    Poke(usize, u64),
    /// Fills the memory of replies with a byte, and says that so many bytes of it are this call's.
    Claim(u8, u64),
    /// Fills it with whole frames that end no call, and says that more of them has come than can be read in minutes.
    ClaimForEver,
    /// Sets numbers there in turn, as fast as it can.
    Flicker(usize, Vec<u64>),
    /// Fills the memory of replies, all of it, with this byte.
    Fill(u8),
    /// Gives up the memory of replies.
    Unmap,
    /// Rings again and again.
    Ring,
    /// Writes to stdout and stderr again and again.
    Print(Vec<u8>),
    /// Closes the bell.
    Close,
    /// Puts another pipe, which nobody reads, in the bell's place.
    Divert,
    /// Makes the second number refer to what the first does.
    Duplicate(i32, i32),
    Exit(i32),
    Raise(i32),
    /// Takes from itself what limits can: descriptors, the size of files, the stack.
    Limit,
    /// And memory, beyond what it has.
    LimitMemory,
    Allocate(usize),
    /// Logs for ever, and waits each time as it is to.
    Log,
    Sleep,
}

impl Step {
    pub fn run(&self) {
        match self {
            Step::Write(bytes) => forge_reply(bytes),
            Step::Repeat(byte, times) => {
                let piece = vec![*byte; 64 << 10];
                let mut left = *times;
                while left > 0 {
                    forge_reply(&piece[..left.min(piece.len())]);
                    left -= left.min(piece.len());
                }
            }
            Step::Flood(bytes) => loop {
                forge_reply(bytes);
            },
            Step::Drip(byte) => loop {
                forge_reply(&[*byte]);
                std::thread::sleep(Duration::from_millis(5));
            },
            Step::Poke(offset, number) => {
                sys::poke(reply_memory().unwrap(), *offset, *number);
                write(BELL, &[0]).unwrap_or_default();
            }
            Step::Claim(byte, count) => {
                let memory = reply_memory().unwrap();
                // Above the bytes is the turn.
                let turn = sys::peek(memory, WRITTEN) >> 40;
                sys::fill(memory, *byte);
                sys::poke(memory, WRITTEN, turn << 40 | count);
                write(BELL, &[0]).unwrap_or_default();
            }
            Step::ClaimForEver => {
                let memory = reply_memory().unwrap();
                let turn = sys::peek(memory, WRITTEN) >> 40;
                // A page of them, so that they go on where the window begins anew. The first is as what was sent before.
                let begun = header(BEGUN, 0);
                let rest = 4096 - 2 * begun.len();
                let page = [begun, frame(PANICKED, &vec![b'!'; rest])].concat();
                sys::fill_behind(memory, page.len(), &page);
                sys::poke(memory, WRITTEN, turn << 40 | ((1 << 40) - 1));
                write(BELL, &[0]).unwrap_or_default();
            }
            Step::Flicker(offset, numbers) => {
                for number in numbers.iter().cycle() {
                    sys::poke(reply_memory().unwrap(), *offset, *number);
                }
            }
            Step::Fill(byte) => sys::fill(reply_memory().unwrap(), *byte),
            Step::Unmap => sys::unmap(reply_memory().unwrap()),
            Step::Ring => while write(BELL, &[0; 4096]).is_ok() {},
            Step::Print(bytes) => while write(1, bytes).and_then(|()| write(2, bytes)).is_ok() {},
            Step::Close => sys::close(BELL),
            Step::Divert => {
                let (reader, writer) = std::io::pipe().unwrap();
                sys::duplicate(std::os::fd::AsRawFd::as_raw_fd(&writer), BELL);
                // Without a reader a write would fail.
                std::mem::forget(reader);
            }
            Step::Duplicate(from, to) => sys::duplicate(*from, *to),
            Step::Exit(code) => sys::exit_now(*code),
            Step::Raise(signal) => sys::raise(*signal),
            Step::Limit => [Resource::Nofile, Resource::Fsize, Resource::Stack].into_iter().for_each(limit),
            Step::LimitMemory => limit(Resource::As),
            Step::Allocate(bytes) => drop(std::hint::black_box(vec![1u8; *bytes])),
            Step::Log => loop {
                log::info!("{}", "x".repeat(1000));
            },
            Step::Sleep => std::thread::sleep(Duration::from_secs(3600)),
        }
    }
}

fn limit(resource: Resource) {
    setrlimit(resource, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
}

/// All of it, unless it fails: the host may close its end at any time.
fn write(fd: i32, mut bytes: &[u8]) -> Result<(), i32> {
    while !bytes.is_empty() {
        bytes = &bytes[sys::write(fd, bytes)?..];
    }
    Ok(())
}

/// An argument whose decoder is the attacker's: it acts before the body begins.
#[derive(Clone, Debug, Serialize)]
pub struct Early(pub Vec<Step>);

impl<'de> Deserialize<'de> for Early {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Early, D::Error> {
        let steps = Vec::<Step>::deserialize(deserializer)?;
        steps.iter().for_each(Step::run);
        Ok(Early(steps))
    }
}
