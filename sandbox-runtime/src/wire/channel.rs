//! The memory between a host and a worker: a region for requests, which the host alone can write, and one for replies,
//! which the host only reads, and copies before it looks. In each a stream of bytes passes through a window: what is
//! longer goes in pieces, as the other side takes them.
//!
//! A turn is one call. Every count is in one number with its turn, so that one of another turn says nothing. Each wakes
//! the other by a futex, [`POST`] and [`ANSWER`], and only where it has said that it sleeps: each first says its own,
//! then, behind a fence, looks at the other's, so that one of the two sees the other (see `models`). A host that has
//! waited for long has more to look after; a worker rings for it by a byte in a pipe.

use super::frame::Bytes;
use super::spin::{Spin, wait_awake};
use crate::sys::plain::Buffer;
use crate::sys::process::{self, now};
use crate::sys::words::{AtomicU64, Mapping, Ordering, fence, memory_file, seal_against_others};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::time::Duration;

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
/// Of a request: counts what the host tells; [how](Sleep) the host sleeps, 0 if it does not; what is called.
const POST: usize = 0;
/// Beside it: 0, or where calls follow one another at once one more than the number of the processor that the host runs
/// on; the worker is to wait for the next awake, on another one.
const PACE: usize = 4;
const HOST_SLEEPS: usize = 64;
const HEAD: usize = 128;
/// How much was sent of it, and how much was read of the reply.
const SENT: usize = 192;
const READ: usize = 256;
/// Of a reply: how much was written of it; whether the worker sleeps; how much was taken of the request; counts what
/// the worker tells a host that dozes.
const WRITTEN: usize = 0;
const WORKER_SLEEPS: usize = 64;
const TAKEN: usize = 128;
const ANSWER: usize = 192;

/// How a host sleeps, and so how it is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Sleep {
    /// For a moment: by the futex.
    Short = 1,
    /// By the pipe.
    Long = 2,
}

/// The part of a count that counts bytes; above it is the turn.
const BYTES: u32 = 40;

/// A count of this turn.
fn count(turn: u32, bytes: usize) -> u64 {
    u64::from(turn) << BYTES | bytes as u64
}

/// The bytes of a count, 0 if it is another turn's.
fn bytes_of(count: &AtomicU64, turn: u32) -> usize {
    let count = count.load(Ordering::Acquire);
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
    /// A panic is to come with its backtrace.
    pub(crate) const BACKTRACE: u32 = 16;
    /// From this bit on: what the host wants to hear of, as [`Levels`](crate::record::Levels) say.
    pub(crate) const LEVELS: u32 = 8;

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
    /// Whether this turn's answer is waited for awake, at first.
    is_awake: bool,
    /// How many turns followed the one before at once; when the last was over, in nanoseconds.
    at_once: u32,
    over: u64,
}

/// What follows within so many nanoseconds follows at once.
const AT_ONCE: u64 = 20_000;
/// A worker waits awake for a little longer.
const FOR_MORE: u64 = AT_ONCE + 5_000;
/// So many turns have to.
const ENOUGH: u32 = 8;

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
                spin: Spin::new(),
                is_awake: false,
                at_once: 0,
                over: 0,
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
    pub(crate) fn begin(&mut self, head: Head, data: &mut Data<'_, '_>) {
        self.turn = self.turn.wrapping_add(1) % (1 << (64 - BYTES));
        (self.sent, self.read) = (0, 0);
        for (number, word) in head.words().into_iter().enumerate() {
            self.request.u64(HEAD + 8 * number).store(word, Ordering::Relaxed);
        }
        self.request.u64(READ).store(count(self.turn, 0), Ordering::Relaxed);
        self.set_pace();
        self.copy(data);
        self.request.zero(DATA + self.sent, self.stale.saturating_sub(self.sent));
        self.stale = self.sent;
        self.post_sent();
    }

    /// Waiting awake is for calls that follow one another at once; between others a worker had better sleep, where the host
    /// runs best.
    fn set_pace(&mut self) {
        let is_at_once = now().saturating_sub(self.over) < AT_ONCE;
        self.at_once = if is_at_once { self.at_once.saturating_add(1) } else { 0 };
        self.is_awake = self.at_once >= ENOUGH && self.spin.is_next_awake();
        let pace = if self.is_awake { 1 + rustix::thread::sched_getcpu() as u32 } else { 0 };
        self.request.u32(PACE).store(pace, Ordering::Relaxed);
    }

    /// Ends a turn.
    pub(crate) fn end(&mut self) {
        self.over = now();
    }

    /// Sends more of the data, as the worker takes it.
    pub(crate) fn go_on(&mut self, data: &mut Data<'_, '_>) {
        if !data.is_empty() && self.has_room() {
            self.copy(data);
            self.post_sent();
        }
    }

    fn copy(&mut self, data: &mut Data<'_, '_>) {
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
        self.request.u64(SENT).store(count(self.turn, self.sent), Ordering::Release);
        self.post();
    }

    /// Wakes a worker that sleeps, after something was told.
    fn post(&self) {
        fence(Ordering::SeqCst);
        if self.reply.u32(WORKER_SLEEPS).load(Ordering::Relaxed) != 0 {
            self.request.u32(POST).fetch_add(1, Ordering::Release);
            self.request.wake(POST);
        }
    }

    /// How much was read of this turn's reply.
    pub(crate) fn read(&self) -> usize {
        self.read
    }

    /// How much of it has come.
    pub(crate) fn arrived(&self) -> usize {
        bytes_of(self.reply.u64(WRITTEN), self.turn).min(self.read + self.window)
    }

    /// Whether there is something to read, or room for more of `data`.
    pub(crate) fn is_ready(&self, data: &Data<'_, '_>) -> bool {
        self.arrived() > self.read || (!data.is_empty() && self.has_room())
    }

    /// Waits for that without sleeping, if that has been worth it or a longer stream is `on_its_way`; says whether it is so.
    pub(crate) fn wait_awake(&mut self, data: &Data<'_, '_>, on_its_way: bool) -> bool {
        if on_its_way || !data.is_empty() {
            return wait_awake(FOR_MORE, || self.is_ready(data));
        }
        if !std::mem::take(&mut self.is_awake) {
            return self.is_ready(data);
        }
        let mut spin = self.spin.clone();
        let came = spin.wait(|| self.is_ready(data));
        self.spin = spin;
        came
    }

    /// Sleeps by the futex for so long at most, unless it is ready, or has `ended`. Who makes it so wakes us by
    /// [`Wiper::wake_host`].
    pub(crate) fn doze(&self, data: &Data<'_, '_>, has_ended: impl FnOnce() -> bool, most: Duration) {
        let answer = self.reply.u32(ANSWER).load(Ordering::Acquire);
        self.sleep(Sleep::Short, data, || {
            if !has_ended() {
                self.reply.wait(ANSWER, answer, Some(most));
            }
        });
    }

    /// Has the worker wake us during `wait`, which is not called where it is ready by then.
    pub(crate) fn sleep<T>(&self, how: Sleep, data: &Data<'_, '_>, wait: impl FnOnce() -> T) -> Option<T> {
        self.request.u32(HOST_SLEEPS).store(how as u32, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // What came before the worker knew.
        let waited = (!self.is_ready(data)).then(wait);
        self.request.u32(HOST_SLEEPS).store(0, Ordering::Relaxed);
        waited
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

    /// Makes room for more of the reply.
    pub(crate) fn release(&self) {
        self.request.u64(READ).store(count(self.turn, self.read), Ordering::Release);
        self.post();
    }
}

/// How much can be written at once behind `written` bytes, of which `read` were read.
fn room(window: usize, written: usize, read: usize) -> usize {
    (window - (written - read)).min(window - written % window)
}

/// What is still to be sent of a request.
pub(crate) struct Data<'a, 'd> {
    /// Empty at the end alone.
    now: &'d [u8],
    later: &'a mut dyn Iterator<Item = &'d [u8]>,
}

impl<'a, 'd> Data<'a, 'd> {
    pub(crate) fn new(parts: &'a mut dyn Iterator<Item = &'d [u8]>) -> Data<'a, 'd> {
        let mut data = Data { now: &[], later: parts };
        data.go_on();
        data
    }

    fn go_on(&mut self) {
        while self.now.is_empty()
            && let Some(part) = self.later.next()
        {
            self.now = part;
        }
    }

    fn is_empty(&self) -> bool {
        self.now.is_empty()
    }

    /// Up to so many bytes.
    fn next(&mut self, most: usize) -> Option<&'d [u8]> {
        let (part, rest) = self.now.split_at(most.min(self.now.len()));
        self.now = rest;
        self.go_on();
        (!part.is_empty()).then_some(part)
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
}

/// Mapped as long as the process lives.
#[derive(Clone, Copy, Debug)]
struct Regions {
    request: &'static Mapping,
    reply: &'static Mapping,
    window: usize,
}

impl Regions {
    /// Waits until something is so that the host posts, for so many nanoseconds awake.
    fn wait(self, awake: u64, is_so: impl Fn() -> bool) {
        if is_so() || (awake > 0 && wait_awake(awake, &is_so)) {
            return;
        }
        let sleeps = self.reply.u32(WORKER_SLEEPS);
        sleeps.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        loop {
            let known = self.request.u32(POST).load(Ordering::Acquire);
            if is_so() {
                break;
            }
            self.request.wait(POST, known, None);
        }
        sleeps.store(0, Ordering::Relaxed);
    }

    /// Wakes the host if it sleeps, after something was told; by `ring` if it has slept for long.
    fn tell(self, ring: impl Fn()) {
        fence(Ordering::SeqCst);
        match self.request.u32(HOST_SLEEPS).load(Ordering::Relaxed) {
            0 => {}
            sleep if sleep == Sleep::Short as u32 => wake_host(self.reply),
            _ => ring(),
        }
    }
}

/// Opens the worker's end, after the turns of others.
pub(crate) fn open(files: &Files, window: usize, turn: u32) -> Result<(Requests, Replies), Errno> {
    let request = Box::leak(Box::new(Mapping::for_reading(files.request.as_fd(), DATA + window)?));
    let reply = Box::leak(Box::new(Mapping::for_writing(files.reply.as_fd(), DATA + window)?));
    let regions = Regions { request, reply, window };
    Ok((Requests { regions, turn }, Replies { regions, turn, written: 0 }))
}

impl Requests {
    /// The turn that was begun last.
    fn latest(&self) -> u32 {
        (self.regions.request.u64(SENT).load(Ordering::Acquire) >> BYTES) as u32
    }

    /// Whether the next turn has begun.
    pub(crate) fn has_next(&self) -> bool {
        self.latest() != self.turn
    }

    /// Waits for the next turn.
    pub(crate) fn next(&mut self) -> Head {
        let request = self.regions.request;
        let awake = match request.u32(PACE).load(Ordering::Relaxed).checked_sub(1) {
            Some(processor) if process::avoid_processor(processor as usize) => FOR_MORE,
            _ => 0,
        };
        self.regions.wait(awake, || self.has_next());
        self.turn = self.latest();
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
        while data.len() < length {
            let sent = || bytes_of(request.u64(SENT), self.turn);
            self.regions.wait(FOR_MORE, || sent() > data.len());
            let start = data.len() % window;
            request.append_to(DATA + start, (sent() - data.len()).min(window - start), &mut data);
            reply.u64(TAKEN).store(count(self.turn, data.len()), Ordering::Release);
            self.regions.tell(&ring);
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
                self.regions
                    .wait(FOR_MORE, || written - bytes_of(request.u64(READ), turn).min(written) < window);
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
        self.publish_quietly();
        self.regions.tell(ring);
    }

    /// Waits until the host has read all of it.
    pub(crate) fn wait_until_read(&self) {
        let (request, turn, written) = (self.regions.request, self.turn, self.written);
        self.regions.wait(FOR_MORE, || bytes_of(request.u64(READ), turn) >= written);
    }

    /// Tells a host that looks, and wakes none.
    pub(crate) fn publish_quietly(&self) {
        self.regions.reply.u64(WRITTEN).store(count(self.turn, self.written), Ordering::Release);
    }
}

/// Wakes a host that dozes.
fn wake_host(reply: &Mapping) {
    reply.u32(ANSWER).fetch_add(1, Ordering::Release);
    reply.wake(ANSWER);
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

    /// Wakes a host that dozes: the worker has ended.
    pub(crate) fn wake_host(&self) {
        wake_host(&self.reply);
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
                let mut parts = [first, second].into_iter();
                let mut data = Data::new(&mut parts);
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
