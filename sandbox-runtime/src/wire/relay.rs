//! A worker's stdout and stderr, as the host receives them: pipes, whose content is printed or kept.
//!
//! The worker never holds the host's own descriptors, so it cannot change their flags, and what it prints
//! passes through `print!`, which test harnesses capture.

use crate::error::Output;
use crate::policy::Stdio;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::io::{IsTerminal, Write};

/// How much of the end is kept.
const KEPT: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

/// The host's ends, and the ends for the worker until they are sent.
#[derive(Debug)]
pub(crate) struct Relay {
    mode: Stdio,
    pipes: Vec<Pipe>,
}

#[derive(Debug)]
struct Pipe {
    stream: Stream,
    /// Closed by the worker when `None`.
    from: Option<OwnedFd>,
    /// What was not yet a whole character.
    pending: Vec<u8>,
    kept: Vec<u8>,
}

impl Relay {
    /// The host's side, and the worker's stdout and stderr.
    pub(crate) fn new(mode: Stdio) -> std::io::Result<(Relay, [OwnedFd; 2])> {
        let mut pipes = Vec::new();
        let mut end = |stream| -> std::io::Result<OwnedFd> {
            let null = || std::fs::File::options().write(true).open("/dev/null");
            // After `in_place` it may be out of reach: then a pipe, whose content goes nowhere.
            if (mode, stream) == (Stdio::Null, Stream::Stdout)
                && let Ok(null) = null()
            {
                return Ok(null.into());
            }
            match (mode, stream) {
                (Stdio::Inherit, Stream::Stdout) => std::io::stdout().as_fd().try_clone_to_owned(),
                (Stdio::Inherit, Stream::Stderr) => std::io::stderr().as_fd().try_clone_to_owned(),
                // Of a stderr that is not printed the last words are still a hint.
                (Stdio::Relay | Stdio::Capture | Stdio::Null, _) => {
                    let (from, to) = pipe_with(PipeFlags::CLOEXEC)?;
                    // The flag is that of our end alone: the two ends are two open files.
                    rustix::fs::fcntl_setfl(&from, OFlags::NONBLOCK)?;
                    pipes.push(Pipe { stream, from: Some(from), pending: Vec::new(), kept: Vec::new() });
                    Ok(to)
                }
            }
        };
        let ends = [end(Stream::Stdout)?, end(Stream::Stderr)?];
        Ok((Relay { mode, pipes }, ends))
    }

    /// What to poll.
    pub(crate) fn open_pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().filter_map(|pipe| pipe.from.as_ref()).map(AsFd::as_fd)
    }

    /// Takes one piece from each pipe that has something; says whether one had.
    pub(crate) fn go_on(&mut self) -> bool {
        let print = self.mode == Stdio::Relay;
        // Each of them, so no `any`.
        self.pipes.iter_mut().filter_map(|pipe| pipe.go_on(print).then_some(())).count() > 0
    }

    /// Takes what the pipes hold now, after the worker flushed them or is gone. What a child of the worker may
    /// write later is not waited for, so no more is taken than pipes can hold.
    pub(crate) fn finish(&mut self) {
        const ROUNDS: usize = 64;
        for _ in 0..ROUNDS {
            if !self.go_on() {
                break;
            }
        }
        if self.mode == Stdio::Relay {
            self.pipes.iter_mut().for_each(|pipe| pipe.print(true));
        }
    }

    /// The end of what was captured.
    pub(crate) fn captured(&self) -> Option<Output> {
        (self.mode == Stdio::Capture).then(|| Output {
            stdout: self.kept(Stream::Stdout).to_vec(),
            stderr: self.kept(Stream::Stderr).to_vec(),
        })
    }

    /// Whether the worker's last words hold this.
    pub(crate) fn last_words_hold(&self, words: &[u8]) -> bool {
        self.kept(Stream::Stderr).windows(words.len()).any(|window| window == words)
    }

    fn kept(&self, stream: Stream) -> &[u8] {
        self.pipes.iter().find(|pipe| pipe.stream == stream).map_or(&[], |pipe| &pipe.kept)
    }
}

impl Pipe {
    fn go_on(&mut self, print: bool) -> bool {
        let Some(from) = &self.from else { return false };
        let mut piece = [0; 16 * 1024];
        match rustix::io::read(from, &mut piece) {
            Ok(0) => self.from = None,
            Ok(length) => {
                self.take(&piece[..length], print);
                return true;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.from = None,
        }
        false
    }

    fn take(&mut self, piece: &[u8], print: bool) {
        self.kept.extend_from_slice(piece);
        let surplus = self.kept.len().saturating_sub(KEPT);
        self.kept.drain(..surplus);
        if print {
            self.pending.extend_from_slice(piece);
            self.print(false);
        }
    }

    /// Prints whole characters; at the end, everything.
    fn print(&mut self, end: bool) {
        let whole = match std::str::from_utf8(&self.pending) {
            Err(error) if !end && error.error_len().is_none() => error.valid_up_to(),
            _ => self.pending.len(),
        };
        let piece: Vec<u8> = self.pending.drain(..whole).collect();
        if !piece.is_empty() {
            self.stream.print(&piece);
        }
    }
}

impl Stream {
    /// Through `print!`, which a test harness captures; bytes that are no text go to the stream itself, unless that
    /// is a terminal, which gets no control characters from a stranger.
    fn print(self, piece: &[u8]) {
        let is_terminal = match self {
            Stream::Stdout => std::io::stdout().is_terminal(),
            Stream::Stderr => std::io::stderr().is_terminal(),
        };
        let text = match std::str::from_utf8(piece) {
            _ if is_terminal => Some(harmless(&String::from_utf8_lossy(piece))),
            text => text.ok().map(str::to_owned),
        };
        match (text, self) {
            // `print!` panics where the host's stdout is broken, which is no reason for this call to fail.
            (Some(text), Stream::Stdout) if is_open(std::io::stdout().as_fd()) => print!("{text}"),
            (Some(text), Stream::Stderr) if is_open(std::io::stderr().as_fd()) => eprint!("{text}"),
            (Some(_), _) => {}
            (None, Stream::Stdout) => std::io::stdout().write_all(piece).unwrap_or_default(),
            (None, Stream::Stderr) => std::io::stderr().write_all(piece).unwrap_or_default(),
        }
    }
}

/// Text whose control characters are spelled out, but for those that end and indent lines.
fn harmless(text: &str) -> String {
    let is_harmless = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t');
    let spelled = |letter: char| -> String {
        if is_harmless(letter) { letter.to_string() } else { letter.escape_default().to_string() }
    };
    if text.chars().all(is_harmless) { text.to_owned() } else { text.chars().map(spelled).collect() }
}

/// Whether a stream has a reader, as far as `poll(2)` tells.
fn is_open(fd: BorrowedFd<'_>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(_) => !fds[0].revents().intersects(PollFlags::ERR | PollFlags::NVAL),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn control_characters_are_spelled_out_for_a_terminal() {
        assert_eq!(harmless("a\tb\r\nü"), "a\tb\r\nü");
        assert_eq!(harmless("\x1b]0;x\x07\u{9b}2J"), "\\u{1b}]0;x\\u{7}\\u{9b}2J");
    }
}
