//! What a call does: the jobs, their input, and the code that every way runs.

use crate::Result;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::Cursor;
use std::net::{Ipv4Addr, TcpStream};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{array, process};

/// One call. `B` is how a way carries bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Task<B> {
    /// Two numbers in, their sum out.
    Add(u32, u32),
    /// Bytes in, their check sum out.
    Crc32(B),
    /// Bytes in, the same bytes in the other order out.
    Reverse(B),
    /// A PNG in, its pixels out.
    Decode(B),
    /// Bytes in, the same bytes out.
    Echo(B),
    /// Tries what a sandbox refuses; a sum of [`Held`] out.
    Probe(Secrets),
}

/// What a call results in.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer<B = Vec<u8>> {
    /// A number.
    Number(u32),
    /// Bytes; the caller gets them as a `Vec<u8>`, however they were carried.
    Bytes(B),
}

/// What a probe looks for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Secrets {
    /// The host's process id.
    pub host: u32,
    /// A port of this machine on which somebody listens.
    pub port: u16,
}

impl<B> Task<B> {
    /// The same task, its bytes borrowed.
    pub fn as_ref(&self) -> Task<&B> {
        match self {
            Task::Add(a, b) => Task::Add(*a, *b),
            Task::Crc32(bytes) => Task::Crc32(bytes),
            Task::Reverse(bytes) => Task::Reverse(bytes),
            Task::Decode(bytes) => Task::Decode(bytes),
            Task::Echo(bytes) => Task::Echo(bytes),
            Task::Probe(secrets) => Task::Probe(*secrets),
        }
    }

    /// The same task, its bytes carried otherwise.
    pub fn map<C>(self, carry: impl FnOnce(B) -> C) -> Task<C> {
        match self {
            Task::Add(a, b) => Task::Add(a, b),
            Task::Crc32(bytes) => Task::Crc32(carry(bytes)),
            Task::Reverse(bytes) => Task::Reverse(carry(bytes)),
            Task::Decode(bytes) => Task::Decode(carry(bytes)),
            Task::Echo(bytes) => Task::Echo(carry(bytes)),
            Task::Probe(secrets) => Task::Probe(secrets),
        }
    }
}

impl Task<&[u8]> {
    /// Does it here.
    pub fn perform(self) -> Answer {
        match self {
            Task::Add(a, b) => Answer::Number(add(a, b)),
            Task::Crc32(bytes) => Answer::Number(crc32(bytes)),
            Task::Reverse(bytes) => Answer::Bytes(reverse(bytes)),
            Task::Decode(png) => Answer::Bytes(decode(png)),
            Task::Echo(bytes) => Answer::Bytes(echo(bytes)),
            Task::Probe(secrets) => Answer::Number(probe(secrets.host, secrets.port)),
        }
    }
}

impl<B> Answer<B> {
    /// The same answer, its bytes carried otherwise.
    pub fn map<C>(self, carry: impl FnOnce(B) -> C) -> Answer<C> {
        match self {
            Answer::Number(number) => Answer::Number(number),
            Answer::Bytes(bytes) => Answer::Bytes(carry(bytes)),
        }
    }
}

#[inline(never)]
pub fn add(a: u32, b: u32) -> u32 {
    a.wrapping_add(b)
}

#[inline(never)]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[inline(never)]
pub fn reverse(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

#[inline(never)]
pub fn decode(png: &[u8]) -> Vec<u8> {
    let picture = image::load_from_memory_with_format(png, ImageFormat::Png);
    picture.expect("it is a picture of our own").into_bytes()
}

#[inline(never)]
pub fn echo(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// One thing that a way may keep a body from, a bit in the answer to a probe.
#[derive(Clone, Copy)]
pub enum Held {
    /// The body is in another process, so it cannot reach the host's memory.
    Process = 1,
    /// It could not open /etc/passwd.
    Files = 2,
    /// It could not connect to a port of this machine.
    Network = 4,
    /// A filter looks at its system calls.
    SystemCalls = 8,
    /// It does not see what an earlier call left in a static.
    EarlierCalls = 16,
}

/// Tries what a sandbox refuses, and says what was refused.
pub fn probe(host: u32, port: u16) -> u32 {
    static WAS_CALLED: AtomicBool = AtomicBool::new(false);
    let held = [
        (Held::Process, process::id() != host),
        (Held::Files, File::open("/etc/passwd").is_err()),
        (Held::Network, TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()),
        (Held::SystemCalls, is_filtered()),
        (Held::EarlierCalls, !WAS_CALLED.swap(true, Ordering::Relaxed)),
    ];
    held.into_iter().filter(|(_, is_held)| *is_held).map(|(held, _)| held as u32).sum()
}

/// A filter may refuse the question too.
fn is_filtered() -> bool {
    use rustix::thread::{SecureComputingMode, secure_computing_mode};
    !matches!(secure_computing_mode(), Ok(SecureComputingMode::Disabled))
}

/// What is measured at a time: a kind of task, and how many bytes go in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Job {
    /// The kind.
    pub kind: Kind,
    /// The length of the input in bytes; 0 where the kind fixes it.
    pub size: usize,
}

/// The kinds of [`Task`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the tasks say")]
pub enum Kind {
    Add,
    Crc32,
    Reverse,
    Decode,
    Echo,
    Probe,
}

const KINDS: [(&str, Kind); 6] = [
    ("add", Kind::Add),
    ("crc32", Kind::Crc32),
    ("reverse", Kind::Reverse),
    ("decode", Kind::Decode),
    ("echo", Kind::Echo),
    ("probe", Kind::Probe),
];

impl Job {
    /// The input of the job, made anew.
    pub fn input(self) -> Result<Vec<u8>> {
        if self.kind == Kind::Decode { Ok(picture()?) } else { Ok(noise(self.size)) }
    }

    /// The task with that input.
    pub fn task(self, input: &[u8], secrets: Secrets) -> Task<&[u8]> {
        match self.kind {
            Kind::Add => Task::Add(1, 2),
            Kind::Crc32 => Task::Crc32(input),
            Kind::Reverse => Task::Reverse(input),
            Kind::Decode => Task::Decode(input),
            Kind::Echo => Task::Echo(input),
            Kind::Probe => Task::Probe(secrets),
        }
    }
}

/// `crc32 65536`, as hosts are asked for it.
impl Display for Job {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let (word, _) = KINDS.into_iter().find(|(_, kind)| *kind == self.kind).expect("all are there");
        write!(f, "{word} {}", self.size)
    }
}

impl FromStr for Job {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Job, String> {
        let unknown = || format!("no job: {text}");
        let (word, size) = text.split_once(' ').ok_or_else(unknown)?;
        let (_, kind) = KINDS.into_iter().find(|(known, _)| *known == word).ok_or_else(unknown)?;
        Ok(Job { kind, size: size.parse().map_err(|_| unknown())? })
    }
}

/// Bytes that look random and are always the same.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_read_as_they_are_written() {
        for (_, kind) in KINDS {
            let job = Job { kind, size: 65536 };
            assert_eq!(job.to_string().parse(), Ok(job));
        }
        assert_eq!("crc33 1".parse::<Job>(), Err("no job: crc33 1".into()));
    }

    #[test]
    fn the_picture_is_a_megabyte() -> Result<()> {
        let png = picture()?;
        assert!((900_000..1_200_000).contains(&png.len()), "{}", png.len());
        assert_eq!(decode(&png).len(), 3_000_000);
        Ok(())
    }

    #[test]
    fn a_probe_at_home_is_held_back_from_nothing() -> Result<()> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        probe(process::id(), port);
        assert_eq!(probe(process::id(), port) & !(Held::SystemCalls as u32), 0);
        Ok(())
    }
}
