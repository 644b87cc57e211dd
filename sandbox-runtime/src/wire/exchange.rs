//! One call with a worker: begins its turn, takes what comes back, until there is a result or the worker is gone.

use super::channel::{Data, Head, HostEnd, Sleep};
use super::frame::{Bytes, Frame, FrameError, FrameReader, Kind};
use super::relay::Relay;
use super::slots::{Slot, State};
use crate::forkserver::Report;
use crate::record::{Record, Said};
use crate::sys::plain::Buffer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How much longer than its deadline a worker is waited for: killing it is the template's business.
const GRACE: Duration = Duration::from_secs(10);

/// How long nothing but the worker's answer or its end is waited for. What it prints meanwhile is in the pipes.
const SHORT: Duration = Duration::from_millis(1);

/// How much has to have come for more of it to be waited for awake, in bytes.
const MUCH: usize = 4096;

/// After so many rounds awake the rest is looked after.
const ROUNDS: u32 = 32;

/// Everything that is known of a call when it is over.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// The worker said that the body begins.
    pub(crate) begun: bool,
    /// What the body logged and nobody has passed on. It waits for that.
    pub(crate) record: Option<Record>,
    /// The last note of a panic.
    pub(crate) panic: Option<Buffer>,
    /// The long byte strings of the result, and how many bytes they have.
    pub(crate) bulk: Vec<Buffer>,
    pub(crate) bulk_length: usize,
    /// The frame that ends a call.
    pub(crate) ending: Option<Frame>,
    /// What is wrong with what the worker sent.
    pub(crate) bad: Option<FrameError>,
    /// How the worker ended, where that was waited for.
    pub(crate) report: Option<Report>,
    /// The worker outlived its deadline and the template's too.
    pub(crate) stuck: bool,
    /// The template is gone.
    pub(crate) abandoned: bool,
}

/// What a call says of its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has answered.
    Well,
    /// It has not, or is not to be trusted with another call.
    Unwell,
    /// Nobody looks after it any more, or its template is of no use.
    Lost,
}

/// The host's ends of all that leads to a worker.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) channel: HostEnd,
    /// The socket for descriptors.
    pub(crate) job: OwnedFd,
    /// A byte comes when there is something in the channel and the host sleeps.
    pub(crate) bell: OwnedFd,
    /// A byte comes when the worker has ended. Only the template has the other end.
    pub(crate) ended: OwnedFd,
    pub(crate) relay: Relay,
    /// Between calls, without anything but room.
    pub(crate) reader: FrameReader,
}

pub(crate) struct Exchange<'a, 'd> {
    ends: &'a mut Ends,
    slot: Slot<'a>,
    data: Data<'a, 'd>,
    begun: Instant,
    deadline: Option<Instant>,
    /// What the body has logged.
    said: Said,
    transcript: Transcript,
}

impl<'a, 'd> Exchange<'a, 'd> {
    /// Of a worker that is taken.
    pub(crate) fn new(
        ends: &'a mut Ends,
        slot: Slot<'a>,
        data: Data<'a, 'd>,
        timeout: Option<Duration>,
        function: &'static str,
    ) -> Exchange<'a, 'd> {
        let begun = Instant::now();
        let deadline = timeout.and_then(|timeout| begun.checked_add(timeout.saturating_add(GRACE)));
        let said = Said::of(function);
        Exchange { ends, slot, data, begun, deadline, said, transcript: Transcript::default() }
    }

    /// Runs the call to its end, and does something else when it has begun.
    pub(crate) fn run(mut self, head: Head, meanwhile: impl FnOnce()) -> Transcript {
        self.ends.relay.begin();
        self.ends.reader.clear();
        self.ends.channel.begin(head, &mut self.data);
        meanwhile();
        let (mut came, mut rounds) = (0, 0_u32);
        loop {
            let on_its_way = self.ends.reader.is_amid() && came >= MUCH;
            let awake = self.ends.channel.wait_awake(&self.data, on_its_way);
            self.ends.channel.go_on(&mut self.data);
            let known = self.ends.channel.read();
            self.receive();
            came = self.ends.channel.read() - known;
            rounds = rounds.wrapping_add(1);
            if self.is_over() {
                break;
            }
            if self.has_ended() {
                self.receive_rest();
                break;
            }
            // A worker can say for ever that there is more, and so keep us awake.
            if !awake || (rounds.is_multiple_of(ROUNDS) && self.begun.elapsed() > SHORT) {
                self.sleep(awake);
            }
        }
        // Of a worker that had no result nothing is worth waiting for.
        self.ends.relay.finish(self.transcript.ending.is_some());
        self.said.end();
        self.ends.channel.end();
        self.transcript
    }

    fn is_over(&mut self) -> bool {
        let transcript = &mut self.transcript;
        if transcript.ending.is_some() || transcript.bad.is_some() {
            return true;
        }
        // One that has ended may have left more than can be read in a moment.
        transcript.stuck = self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
            && self.slot.state() != State::Ended;
        transcript.stuck
    }

    /// Until something comes: from the worker, from its template, or, after a moment, from what it prints. With something
    /// from the worker there already, only looks for the rest.
    fn sleep(&mut self, is_ready: bool) {
        let Ends { channel, bell, ended, relay, .. } = &*self.ends;
        let waited = match SHORT.checked_sub(self.begun.elapsed()) {
            _ if is_ready => wait(bell, ended, relay, Some(self.begun)),
            Some(left) => {
                channel.doze(&self.data, || self.slot.state() == State::Ended, left);
                Waited::default()
            }
            None => {
                let wait = || wait(bell, ended, relay, self.deadline);
                channel.sleep(Sleep::Long, &self.data, wait).unwrap_or_default()
            }
        };
        self.transcript.abandoned |= waited.abandoned;
        if waited.printed {
            self.ends.relay.go_on(false);
        }
    }

    fn has_ended(&mut self) -> bool {
        if self.slot.state() == State::Ended {
            self.transcript.report = Some(self.slot.report());
        }
        self.transcript.report.is_some() || self.transcript.abandoned
    }

    /// Takes what is there, up to a bound, so that a flood does not keep the loop from its other business.
    fn receive(&mut self) {
        let _may_be_more = self.receive_piece() && self.receive_piece();
    }

    /// Takes what one that has ended has left; no more than that, since what it started may still write.
    fn receive_rest(&mut self) {
        let end = self.ends.channel.arrived();
        while self.ends.channel.read() < end && self.receive_piece() {}
    }

    fn receive_piece(&mut self) -> bool {
        let Ends { channel, reader, relay, .. } = &mut *self.ends;
        let Some(piece) = channel.next_piece() else { return false };
        self.transcript.read(reader, piece);
        if let Some(record) = self.transcript.record.take() {
            // What was printed before it comes before it.
            relay.take(false);
            self.said.tell(&record);
        }
        if self.transcript.ending.is_none() {
            channel.release();
        }
        self.transcript.ending.is_none()
    }
}

/// What was seen while the host slept.
#[derive(Default)]
struct Waited {
    /// Something was printed, or can be now.
    printed: bool,
    /// The template has ended.
    abandoned: bool,
}

/// Until something comes, or the deadline.
fn wait(bell: &OwnedFd, ended: &OwnedFd, relay: &Relay, deadline: Option<Instant>) -> Waited {
    let mut fds: Vec<PollFd<'_>> = relay.poll_fds().collect();
    fds.push(PollFd::new(bell, PollFlags::IN));
    fds.push(PollFd::new(ended, PollFlags::IN));
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    // EINTR and the like: look at everything, which never blocks, and wait again.
    let _looked_at_below = poll(&mut fds, left.as_ref());
    let [printed @ .., rung, end] = &fds[..] else { return Waited::default() };
    if !rung.revents().is_empty() {
        drain(bell).unwrap_or_default();
    }
    Waited {
        printed: printed.iter().any(|fd| !fd.revents().is_empty()),
        // Nobody has the other end any more.
        abandoned: !end.revents().is_empty() && drain(ended) == Ok(0),
    }
}

/// What many wrote at once is one to the reader.
fn drain(pipe: &OwnedFd) -> rustix::io::Result<usize> {
    rustix::io::read(pipe, &mut [0; 4096])
}

impl Transcript {
    /// What is to become of the worker.
    pub(crate) fn fate(&self) -> Fate {
        match &self.ending {
            _ if self.abandoned || self.stuck => Fate::Lost,
            Some(frame) if frame.kind == Kind::Returned => Fate::Well,
            // Its template may have failed in a way that passes, and each of its workers would refuse likewise.
            Some(frame) if frame.kind == Kind::Refused && !self.begun => Fate::Lost,
            _ => Fate::Unwell,
        }
    }

    /// Takes the next bytes of the reply. What follows the frame that ends the call is not looked at.
    pub(crate) fn read(&mut self, reader: &mut FrameReader, bytes: impl Bytes) {
        if let Err(error) = reader.feed(bytes, |frame| self.take(frame)) {
            self.bad = self.bad.or(Some(error)).filter(|_| self.ending.is_none());
        }
    }

    fn take(&mut self, frame: Frame) {
        if self.ending.is_some() || self.bad.is_some() {
            return;
        }
        let whole = self.bulk_length.saturating_add(frame.payload.len());
        let (length, limit) = (whole as u64, super::frame_limit());
        match frame.kind {
            kind if (kind.is_bulk() || kind == Kind::Returned) && length > limit => {
                self.bad = Some(FrameError::TooLong { length, limit })
            }
            kind if kind.is_bulk() => {
                self.bulk_length = whole;
                self.bulk.push(frame.payload);
            }
            Kind::Begun => self.begun = true,
            // Its worker would have waited for that one.
            Kind::Record if self.record.is_some() => self.bad = Some(FrameError::Record),
            Kind::Record => match Record::decode(&frame.payload) {
                Some(record) => self.record = Some(record),
                None => self.bad = Some(FrameError::Record),
            },
            Kind::Panicked => self.panic = Some(frame.payload),
            _ => self.ending = Some(frame),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forkserver::End;
    use crate::wire::channel::open;
    use crate::wire::{Number, Slots, header};
    use std::cell::Cell;

    /// It writes all of it while the host sleeps, and is gone.
    #[test]
    fn a_long_reply_of_one_that_has_ended_is_read() {
        const LENGTH: usize = 16 << 20;
        let (channel, files) = HostEnd::new(2 * LENGTH).unwrap();
        let [(bell, _bell), (ended, their_end)] = [(); 2].map(|()| rustix::pipe::pipe().unwrap());
        let (job, _job) = std::os::unix::net::UnixStream::pair().unwrap();
        let (relay, _) = Relay::new(crate::policy::Stdio::Null).unwrap();
        let reader = FrameReader::new();
        let mut ends = Ends { channel, job: job.into(), bell, ended, relay, reader };
        let (slots, _) = Slots::new().unwrap();
        let slot = slots.slot(Number { number: 0, generation: 1 });
        slot.begin(State::Taken, u64::MAX);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut requests, mut replies) = open(&files, 2 * LENGTH, 0).unwrap();
                requests.next();
                replies.begin(requests.turn());
                let sleeps = Cell::new(false);
                while !sleeps.get() {
                    replies.publish(|| sleeps.set(true));
                }
                replies.write(&header(Kind::Returned, LENGTH), || {});
                replies.write(&vec![7; LENGTH], || {});
                replies.publish(|| {});
                slot.set_report(&Report { end: End::Exited(0), max_rss: 0, cpu: Duration::ZERO });
                assert!(slot.change(State::Taken, State::Ended));
                rustix::io::write(&their_end, &[0]).unwrap();
            });
            let mut nothing = std::iter::empty();
            let data = Data::new(&mut nothing);
            let transcript =
                Exchange::new(&mut ends, slot, data, None, "a::function").run(Head::default(), || {});
            assert_eq!(transcript.ending.map(|frame| frame.payload.len()), Some(LENGTH));
        });
    }

    #[test]
    fn what_follows_the_end_of_a_call_is_not_looked_at() {
        let result = [&header(Kind::Returned, 1)[..], b"1"].concat();
        let forged = [&header(Kind::Returned, 1)[..], b"2"].concat();
        for tail in [&b"garbage"[..], &forged, &header(Kind::Begun, 0), &header(Kind::Panicked, usize::MAX)] {
            let mut transcript = Transcript::default();
            transcript.read(&mut FrameReader::new(), &*[&result, tail].concat());
            assert_eq!(*transcript.ending.unwrap().payload, *b"1");
            assert_eq!((transcript.bad, transcript.begun), (None, false), "{}", tail.escape_ascii());
        }
    }
}
