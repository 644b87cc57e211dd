//! The memory between a host and a worker: a region for requests, which the host alone can write, and one for replies,
//! which the host only reads, and copies before it looks. In each a stream of bytes passes through a window: what is
//! longer goes in pieces, as the other side takes them.
//!
//! A turn is one call. Every count is in one number with its turn, so that one of another turn says nothing. The host
//! wakes a sleeping worker by a futex, [`POST`]; a worker rings for a sleeping host, which has more to look after, by a
//! byte in a pipe. Both do so only where the other has said that it sleeps.

use super::frame::Bytes;
use super::spin::Spin;
use crate::sys::plain::Buffer;
use crate::sys::shared::{Mapping, memory_file, seal_against_others};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::thread::futex;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of a stream there can be at once, in bytes: requests up to it are read where they are. A worker could give up
/// its mappings and use as much other memory, beyond what `memory` allows, so it is a part of that.
pub(crate) fn window(memory: Option<u64>) -> usize {
    const LEAST: u64 = 1 << 20;
    const MOST: u64 = 64 << 20;
    let window = memory.map_or(MOST, |memory| (memory / 16).clamp(LEAST, MOST));
    usize::try_from(window).unwrap_or(0).next_multiple_of(DATA)
}

/// Where it begins, in both regions.
const DATA: usize = 4096;

/// Data lie at a multiple of this, in bytes: that of the widest number.
pub(crate) const ALIGNED: usize = 16;

/// What both regions take of a worker's address space, in bytes.
pub(crate) fn mapped(window: usize) -> usize {
    2 * (DATA + window)
}

// What follows lies in lines of the cache of their own.
/// Of a request: counts what the host tells; whether the host sleeps; what is called.
const POST: usize = 0;
const HOST_SLEEPS: usize = 64;
const HEAD: usize = 128;
/// How much was sent of it, and how much was read of the reply.
const SENT: usize = 192;
const READ: usize = 256;
/// Of a reply: how much was written of it; whether the worker sleeps; how much was taken of the request.
const WRITTEN: usize = 0;
const WORKER_SLEEPS: usize = 64;
const TAKEN: usize = 128;

/// The part of a count that counts bytes; above it is the turn.
const BYTES: u32 = 40;

/// A count of this turn.
fn count(turn: u32, bytes: usize) -> u64 {
    u64::from(turn) << BYTES | bytes as u64
}

/// The bytes of a count, 0 if it is another turn's.
fn bytes_of(count: &AtomicU64, turn: u32) -> usize {
    let count = count.load(Ordering::SeqCst);
    let is_ours = count >> BYTES == self::count(turn, 0) >> BYTES;
    if is_ours { (count & ((1 << BYTES) - 1)) as usize } else { 0 }
}

/// What is said about a call beside its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Where the function's entry is in the executable.
    pub(crate) entry: u64,
    /// The bytes of the environment, which come first, and of the arguments.
    pub(crate) env: u64,
    pub(crate) arguments: u64,
    /// How many descriptors wait in the socket.
    pub(crate) fds: u32,
    /// See [`Head::DIRECTORY`] and those below it.
    pub(crate) flags: u32,
}

impl Head {
    /// The first descriptor is the directory to work in.
    pub(crate) const DIRECTORY: u32 = 1;
    /// The next is a ruleset.
    pub(crate) const RULESET: u32 = 2;
    /// The last is a file for the result.
    pub(crate) const RESULT: u32 = 8;
    /// No other call follows.
    pub(crate) const LAST: u32 = 4;

    fn words(self) -> [u64; 4] {
        [self.entry, self.env, self.arguments, u64::from(self.fds) << 32 | u64::from(self.flags)]
    }

    fn of([entry, env, arguments, both]: [u64; 4]) -> Head {
        Head { entry, env, arguments, fds: (both >> 32) as u32, flags: both as u32 }
    }
}

/// The files of both regions, for the worker.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) request: OwnedFd,
    pub(crate) reply: OwnedFd,
}

/// The host's end.
#[derive(Debug)]
pub(crate) struct HostEnd {
    request: Mapping,
    reply: Mapping,
    window: usize,
    turn: u32,
    sent: usize,
    read: usize,
    /// How much of the window the last request has written, and the longest one.
    stale: usize,
    touched: usize,
    spin: Spin,
}

impl HostEnd {
    pub(crate) fn new(window: usize) -> Result<(HostEnd, Files), Errno> {
        let length = DATA + window;
        let files = Files {
            request: memory_file(c"sandboxed-request", length)?,
            reply: memory_file(c"sandboxed-reply", length)?,
        };
        let request = Mapping::for_writing(files.request.as_fd(), length)?.keep_to_this_process()?;
        seal_against_others(&files.request)?;
        let reply = Mapping::for_reading(files.reply.as_fd(), length)?.keep_to_this_process()?;
        Ok((
            HostEnd {
                request,
                reply,
                window,
                turn: 0,
                sent: 0,
                read: 0,
                stale: 0,
                touched: 0,
                spin: Spin::for_answers(),
            },
            files,
        ))
    }

    /// Whether its requests take more memory than is kept at hand. It cannot be given back but with the whole: holes are
    /// refused in a file that is sealed as it is, by whatever way.
    pub(crate) fn is_large(&self) -> bool {
        self.touched > KEPT
    }

    /// Whether the last one was such.
    pub(crate) fn was_long(&self) -> bool {
        self.stale > KEPT
    }

    /// The turn that was begun last.
    pub(crate) fn turn(&self) -> u32 {
        self.turn
    }

    /// Begins the next turn, with what fits of the data; what is left of former turns is overwritten.
    pub(crate) fn begin(&mut self, head: Head, data: &mut Data<'_>) {
        self.turn = self.turn.wrapping_add(1) % (1 << (64 - BYTES));
        (self.sent, self.read) = (0, 0);
        for (number, word) in head.words().into_iter().enumerate() {
            self.request.u64(HEAD + 8 * number).store(word, Ordering::Relaxed);
        }
        self.request.u64(READ).store(count(self.turn, 0), Ordering::Relaxed);
        self.copy(data);
        self.request.zero(DATA + self.sent, self.stale.saturating_sub(self.sent));
        self.stale = self.sent;
        self.post_sent();
    }

    /// Sends more of the data, as the worker takes it.
    pub(crate) fn go_on(&mut self, data: &mut Data<'_>) {
        if !data.is_empty() && self.has_room() {
            self.copy(data);
            self.post_sent();
        }
    }

    fn copy(&mut self, data: &mut Data<'_>) {
        let taken = self.taken();
        while self.sent - taken < self.window
            && let Some(part) = data.next(room(self.window, self.sent, taken))
        {
            self.request.write(DATA + self.sent % self.window, part);
            self.sent += part.len();
        }
        self.stale = self.stale.max(self.sent.min(self.window));
        self.touched = self.touched.max(self.stale);
    }

    fn taken(&self) -> usize {
        bytes_of(self.reply.u64(TAKEN), self.turn).min(self.sent)
    }

    fn has_room(&self) -> bool {
        self.sent - self.taken() < self.window
    }

    fn post_sent(&self) {
        self.request.u64(SENT).store(count(self.turn, self.sent), Ordering::SeqCst);
        self.post();
    }

    fn post(&self) {
        self.request.u32(POST).fetch_add(1, Ordering::SeqCst);
        if self.reply.u32(WORKER_SLEEPS).load(Ordering::SeqCst) != 0 {
            futex::wake(self.request.u32(POST), futex::Flags::empty(), 1).unwrap_or_default();
        }
    }

    /// How much was read of this turn's reply.
    pub(crate) fn read(&self) -> usize {
        self.read
    }

    fn arrived(&self) -> usize {
        bytes_of(self.reply.u64(WRITTEN), self.turn).min(self.read + self.window)
    }

    /// Whether there is something to read, or room for more of `data`.
    pub(crate) fn is_ready(&self, data: &Data<'_>) -> bool {
        self.arrived() > self.read || (!data.is_empty() && self.has_room())
    }

    /// Waits for that without sleeping, if that has been worth it; says whether it is so.
    pub(crate) fn wait_awake(&mut self, data: &Data<'_>) -> bool {
        let mut spin = self.spin.clone();
        let came = spin.wait(|| self.is_ready(data));
        self.spin = spin;
        came
    }

    /// Has the worker ring from now on. What came before it knew has to be looked for.
    pub(crate) fn fall_asleep(&self) {
        self.request.u32(HOST_SLEEPS).store(1, Ordering::SeqCst);
    }

    pub(crate) fn wake_up(&self) {
        self.request.u32(HOST_SLEEPS).store(0, Ordering::SeqCst);
    }

    /// The next part of the reply that is there and lies in one piece, if any.
    pub(crate) fn next_piece(&mut self) -> Option<Piece<'_>> {
        let length = (self.arrived().saturating_sub(self.read))
            .min(self.window - self.read % self.window)
            .min(LONGEST);
        let start = DATA + self.read % self.window;
        self.read += length;
        (length > 0).then_some(Piece { reply: &self.reply, start, length })
    }

    /// In so many pieces comes everything that there is room for, wherever it begins.
    pub(crate) fn most_pieces(&self) -> usize {
        self.window / LONGEST + 2
    }

    /// Makes room for more of the reply.
    pub(crate) fn release(&self) {
        self.request.u64(READ).store(count(self.turn, self.read), Ordering::SeqCst);
        if self.reply.u32(WORKER_SLEEPS).load(Ordering::SeqCst) != 0 {
            self.post();
        }
    }
}

/// How much can be written at once behind `written` bytes, of which `read` were read.
fn room(window: usize, written: usize, read: usize) -> usize {
    (window - (written - read)).min(window - written % window)
}

/// What is still to be sent of a request.
#[derive(Debug)]
pub(crate) struct Data<'a> {
    parts: std::collections::VecDeque<&'a [u8]>,
}

impl<'a> Data<'a> {
    pub(crate) fn new(parts: impl Iterator<Item = &'a [u8]>) -> Data<'a> {
        Data { parts: parts.filter(|part| !part.is_empty()).collect() }
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Up to so many bytes.
    fn next(&mut self, most: usize) -> Option<&'a [u8]> {
        let part = self.parts.front_mut()?;
        let (now, later) = part.split_at(most.min(part.len()));
        *part = later;
        if later.is_empty() {
            self.parts.pop_front();
        }
        Some(now)
    }
}

/// The longest part that is read at once, in bytes.
const LONGEST: usize = 1 << 20;

/// Bytes of a reply, which the worker may still change: they can be copied, once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    reply: &'a Mapping,
    start: usize,
    length: usize,
}

impl Bytes for Piece<'_> {
    fn len(&self) -> usize {
        self.length
    }

    fn take_into(&mut self, count: usize, buffer: &mut Buffer) {
        self.reply.append_to(self.start, count, buffer);
        self.start += count;
        self.length -= count;
    }
}

/// The worker's end, of requests.
#[derive(Debug)]
pub(crate) struct Requests {
    regions: Regions,
    turn: u32,
    spin: Spin,
}

/// The data of a request, [aligned](ALIGNED).
#[derive(Debug)]
pub(crate) enum Arrived<'a> {
    InPlace(&'a [u8]),
    Apart(Buffer),
}

impl std::ops::Deref for Arrived<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Arrived::InPlace(data) => data,
            Arrived::Apart(data) => data,
        }
    }
}

/// The worker's end, of replies.
#[derive(Debug)]
pub(crate) struct Replies {
    regions: Regions,
    turn: u32,
    written: usize,
    spin: Spin,
}

/// Mapped as long as the process lives.
#[derive(Clone, Copy, Debug)]
struct Regions {
    request: &'static Mapping,
    reply: &'static Mapping,
    window: usize,
}

impl Regions {
    /// Waits until something is so that the host posts.
    fn wait(self, spin: &mut Spin, is_so: impl Fn() -> bool) {
        if spin.wait(&is_so) {
            return;
        }
        let (post, sleeps) = (self.request.u32(POST), self.reply.u32(WORKER_SLEEPS));
        sleeps.store(1, Ordering::SeqCst);
        loop {
            let known = post.load(Ordering::SeqCst);
            if is_so() {
                break;
            }
            // Woken, interrupted, or too late: looked at above.
            let _woken = futex::wait(post, futex::Flags::empty(), known, None);
        }
        sleeps.store(0, Ordering::SeqCst);
    }

    fn host_sleeps(self) -> bool {
        self.request.u32(HOST_SLEEPS).load(Ordering::SeqCst) != 0
    }
}

/// Opens the worker's end, after the turns of others.
pub(crate) fn open(files: &Files, window: usize, turn: u32) -> Result<(Requests, Replies), Errno> {
    let request = Box::leak(Box::new(Mapping::for_reading(files.request.as_fd(), DATA + window)?));
    let reply = Box::leak(Box::new(Mapping::for_writing(files.reply.as_fd(), DATA + window)?));
    let regions = Regions { request, reply, window };
    let requests = Requests { regions, turn, spin: Spin::for_more() };
    Ok((requests, Replies { regions, turn, written: 0, spin: Spin::for_more() }))
}

impl Requests {
    /// Waits for the next turn.
    pub(crate) fn next(&mut self) -> Head {
        let (request, known) = (self.regions.request, self.turn);
        let turn = || (request.u64(SENT).load(Ordering::SeqCst) >> BYTES) as u32;
        self.regions.wait(&mut self.spin, || turn() != known);
        self.turn = turn();
        let word = |number: usize| request.u64(HEAD + 8 * number).load(Ordering::Relaxed);
        Head::of([word(0), word(1), word(2), word(3)])
    }

    pub(crate) fn turn(&self) -> u32 {
        self.turn
    }

    /// The data of a turn: where they are if they fit the window, else copied out of it. They are the host's, which is
    /// trusted and waits. `ring` is called where it sleeps.
    ///
    /// # Errors
    ///
    /// There is no memory for so many.
    pub(crate) fn data(&self, length: usize, ring: impl Fn()) -> Result<Arrived<'_>, usize> {
        let Regions { request, reply, window } = self.regions;
        if length <= window {
            return Ok(Arrived::InPlace(request.trusted(DATA, length)));
        }
        let mut data = Buffer::new(ALIGNED);
        // More than the memory limit allows, maybe; without this the allocation would abort.
        if !data.try_reserve_exact(length) {
            return Err(length);
        }
        let mut spin = Spin::for_more();
        while data.len() < length {
            let sent = || bytes_of(request.u64(SENT), self.turn);
            self.regions.wait(&mut spin, || sent() > data.len());
            let start = data.len() % window;
            request.append_to(DATA + start, (sent() - data.len()).min(window - start), &mut data);
            reply.u64(TAKEN).store(count(self.turn, data.len()), Ordering::SeqCst);
            if self.regions.host_sleeps() {
                ring();
            }
        }
        Ok(Arrived::Apart(data))
    }
}

impl Replies {
    pub(crate) fn memory(&self) -> (*mut u8, usize) {
        self.regions.reply.raw()
    }

    /// Has memory at hand for so many bytes.
    pub(crate) fn touch(&self, bytes: usize) {
        self.regions.reply.touch(0, DATA + bytes);
    }

    /// Begins the reply to a turn.
    pub(crate) fn begin(&mut self, turn: u32) {
        (self.turn, self.written) = (turn, 0);
    }

    /// Adds to the stream of this turn. The host is told where there is no more room, and `ring` is called where it sleeps.
    pub(crate) fn write(&mut self, mut bytes: &[u8], ring: impl Fn()) {
        let Regions { request, reply, window } = self.regions;
        while !bytes.is_empty() {
            let read = bytes_of(request.u64(READ), self.turn).min(self.written);
            if self.written - read == window {
                self.publish(&ring);
                let (turn, written) = (self.turn, self.written);
                self.regions.wait(&mut self.spin, || {
                    written - bytes_of(request.u64(READ), turn).min(written) < window
                });
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(room(window, self.written, read)).min(PIECE));
            reply.write(DATA + self.written % window, now);
            self.written += now.len();
            bytes = later;
            if !bytes.is_empty() {
                self.publish(&ring);
            }
        }
    }

    /// Tells how far the stream is; calls `ring` if the host sleeps.
    pub(crate) fn publish(&self, ring: impl Fn()) {
        self.regions.reply.u64(WRITTEN).store(count(self.turn, self.written), Ordering::SeqCst);
        if self.regions.host_sleeps() {
            ring();
        }
    }
}

/// The host may begin to copy a long reply when so much of it is there, in bytes.
const PIECE: usize = 256 * 1024;

/// The template's hold on a reply: wipes what one worker leaves for the next.
#[derive(Debug)]
pub(crate) struct Wiper {
    reply: Mapping,
    window: usize,
}

/// What is kept at hand for the next, at most, in bytes.
const KEPT: usize = 4 << 20;

impl Wiper {
    pub(crate) fn new(files: &Files, window: usize) -> Result<Wiper, Errno> {
        let reply = Mapping::for_writing(files.reply.as_fd(), DATA + window)?.keep_to_this_process()?;
        Ok(Wiper { reply, window })
    }

    /// Gives back all of it, but for what the host has read (its own count), which is zeroed: it is likely to be needed
    /// again. Returns how much that is.
    pub(crate) fn wipe(&self, files: &Files, read: usize) -> Result<usize, Errno> {
        let (kept, length) =
            (DATA + read.next_multiple_of(DATA).min(KEPT).min(self.window), DATA + self.window);
        self.reply.zero(0, kept);
        let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        if kept < length {
            rustix::fs::fallocate(&files.reply, flags, kept as u64, (length - kept) as u64)?;
        }
        Ok(kept - DATA)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: usize = 1 << 20;

    /// Both ends in this process, with what a worker sends for what it gets.
    fn exchanged(request: &[u8], answer: impl Fn(&[u8]) -> Vec<u8> + Sync) -> Vec<u8> {
        let (mut host, files) = HostEnd::new(WINDOW).unwrap();
        let mut read = Buffer::default();
        for _ in 0..2 {
            read.clear();
            let turn = host.turn();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut requests, mut replies) = open(&files, WINDOW, turn).unwrap();
                    let head = requests.next();
                    replies.begin(requests.turn());
                    let data = requests.data(usize::try_from(head.arguments).unwrap(), || {}).unwrap();
                    replies.write(&answer(&data), || {});
                    replies.publish(|| {});
                });
                let expected = answer(request).len();
                let (first, second) = request.split_at(request.len() / 3);
                let mut data = Data::new([first, second].into_iter());
                host.begin(Head { arguments: request.len() as u64, ..Head::default() }, &mut data);
                while read.len() < expected {
                    host.go_on(&mut data);
                    while let Some(mut piece) = host.next_piece() {
                        let length = piece.len();
                        piece.take_into(length, &mut read);
                    }
                    host.release();
                }
            });
        }
        read.to_vec()
    }

    #[test]
    fn streams_of_any_length_pass() {
        for length in [0, 1, 4095, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 17] {
            let request: Vec<u8> = (0..length).map(|number| (number % 251) as u8).collect();
            let doubled = |data: &[u8]| data.iter().map(|byte| byte.wrapping_mul(2)).collect::<Vec<_>>();
            assert!(exchanged(&request, doubled) == doubled(&request), "{length}");
            assert!(
                exchanged(&request, |data| data.repeat(3)) == request.repeat(3),
                "{length} and three times that"
            );
        }
    }

    #[test]
    fn counts_of_another_turn_say_nothing() {
        let known = AtomicU64::new(count(5, 100));
        assert_eq!([4, 5, 6].map(|turn| bytes_of(&known, turn)), [0, 100, 0]);
    }
}
