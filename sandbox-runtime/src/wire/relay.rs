//! A worker's stdout and stderr, as the host receives them: pipes, whose content is printed or kept.
//!
//! The worker never holds the host's own descriptors, so it cannot change their flags, and what it prints
//! passes through `print!`, which test harnesses capture.

use crate::error::{Output, harmless};
use crate::policy::Stdio;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::io::{IsTerminal, Write};

/// How much of the end is kept.
const KEPT: usize = 64 * 1024;

/// How much is taken at once. A pipe that can be written has room for one page, which may be smaller than what is
/// written for a piece: the standard library's stdout kept up to 1024 bytes before it for want of a line's end, and
/// we up to 3 of a character. One byte more, and a host whose stdout nobody reads would wait for ever.
const PIECE: usize = 4096 - 1024 - 3;

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
            match (mode, stream) {
                (Stdio::Inherit, Stream::Stdout) => std::io::stdout().as_fd().try_clone_to_owned(),
                (Stdio::Inherit, Stream::Stderr) => std::io::stderr().as_fd().try_clone_to_owned(),
                // Also where nothing is printed: /dev/null may be out of reach after `in_place`, and the last words
                // are a hint.
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

    /// Before a call: what still came of the one before is kept for nobody.
    pub(crate) fn begin(&mut self) {
        if self.mode == Stdio::Capture {
            self.finish(false);
        }
        for pipe in &mut self.pipes {
            pipe.kept.clear();
            pipe.pending.clear();
        }
    }

    /// What to poll: the pipes, or where their content cannot be printed now, the host's streams.
    pub(crate) fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        let print = self.mode == Stdio::Relay;
        self.pipes.iter().filter_map(move |pipe| {
            let from = pipe.from.as_ref()?;
            Some(match print && !pipe.stream.is_ready() {
                true => PollFd::from_borrowed_fd(pipe.stream.fd(), PollFlags::OUT),
                false => PollFd::new(from, PollFlags::IN),
            })
        })
    }

    /// Takes one piece from each pipe that has something; says whether one had. What is printed may `wait` for the
    /// reader of the host's stream.
    pub(crate) fn go_on(&mut self, wait: bool) -> bool {
        let print = self.mode == Stdio::Relay;
        // Each of them, so no `any`.
        self.pipes.iter_mut().filter_map(|pipe| pipe.go_on(print, wait).then_some(())).count() > 0
    }

    /// Takes what the pipes hold now, after the worker flushed them or is gone. What a child of the worker may
    /// write later is not waited for, so no more is taken than pipes can hold.
    pub(crate) fn finish(&mut self, wait: bool) {
        self.take(wait);
        if self.mode == Stdio::Relay {
            self.pipes.iter_mut().for_each(|pipe| pipe.print(true));
        }
    }

    /// Takes what the pipes hold now, amid a call.
    pub(crate) fn take(&mut self, wait: bool) {
        const ROUNDS: usize = 32;
        for _ in 0..ROUNDS {
            if !self.has_some() || !self.go_on(wait) {
                break;
            }
        }
    }

    /// Whether a pipe holds something: one question for both.
    fn has_some(&self) -> bool {
        let asked =
            |fds: &mut [PollFd<'_>]| matches!(poll(fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..));
        let mut open = self.pipes.iter().filter_map(|pipe| pipe.from.as_ref());
        match [open.next(), open.next()] {
            [Some(one), Some(other)] => asked(&mut [one, other].map(|fd| PollFd::new(fd, PollFlags::IN))),
            [Some(one), None] => asked(&mut [PollFd::new(one, PollFlags::IN)]),
            [None, _] => false,
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
    fn go_on(&mut self, print: bool, wait: bool) -> bool {
        let Some(from) = &self.from else { return false };
        // Where nobody reads the host's stream, the worker waits in our stead, and its deadline holds.
        if print && !wait && !self.stream.is_ready() {
            return false;
        }
        let mut piece = [0; PIECE];
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
        match std::str::from_utf8(piece) {
            _ if is_terminal => self.print_text(&harmless(&String::from_utf8_lossy(piece))),
            Ok(text) => self.print_text(text),
            Err(_) => self.write(piece),
        }
    }

    /// `print!` panics where the stream cannot be written (a full disk, a reader that is gone), which must neither
    /// fail a call nor, under `panic = "abort"`, end the program. No test harness captures there.
    fn print_text(self, text: &str) {
        if cfg!(panic = "abort") {
            return self.write(text.as_bytes());
        }
        let printed = std::panic::catch_unwind(|| match self {
            Stream::Stdout => print!("{text}"),
            Stream::Stderr => eprint!("{text}"),
        });
        printed.unwrap_or_default();
    }

    fn write(self, bytes: &[u8]) {
        let written = match self {
            Stream::Stdout => std::io::stdout().write_all(bytes),
            Stream::Stderr => std::io::stderr().write_all(bytes),
        };
        written.unwrap_or_default();
    }

    fn fd(self) -> BorrowedFd<'static> {
        match self {
            Stream::Stdout => rustix::stdio::stdout(),
            Stream::Stderr => rustix::stdio::stderr(),
        }
    }

    /// Whether a page can be written without waiting; a reader that is gone is no reason to wait either.
    fn is_ready(self) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.fd(), PollFlags::OUT)];
        matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..))
    }
}
