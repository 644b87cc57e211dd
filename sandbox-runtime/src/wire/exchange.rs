//! One call with a worker: begins its turn, takes what comes back, until there is a result or the worker is gone.

use super::channel::{Data, Head, HostEnd};
use super::frame::{Bytes, Frame, FrameError, FrameReader, Kind};
use super::relay::Relay;
use super::slots::{Slot, State};
use crate::forkserver::Report;
use crate::sys::plain::Buffer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How much longer than its deadline a worker is waited for: killing it is the template's business.
const GRACE: Duration = Duration::from_secs(10);

/// Everything that is known of a call when it is over.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// The worker said that the body begins.
    pub(crate) begun: bool,
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
    /// Nobody looks after it any more.
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
}

pub(crate) struct Exchange<'a> {
    ends: &'a mut Ends,
    slot: Slot<'a>,
    data: Data<'a>,
    reader: FrameReader,
    deadline: Option<Instant>,
    transcript: Transcript,
}

impl<'a> Exchange<'a> {
    /// Of a worker that is taken.
    pub(crate) fn new(
        ends: &'a mut Ends,
        slot: Slot<'a>,
        data: Data<'a>,
        timeout: Option<Duration>,
    ) -> Exchange<'a> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout.saturating_add(GRACE)));
        Exchange { ends, slot, data, reader: FrameReader::new(), deadline, transcript: Transcript::default() }
    }

    /// Runs the call to its end, and does something else when it has begun.
    pub(crate) fn run(mut self, head: Head, meanwhile: impl FnOnce()) -> Transcript {
        self.ends.relay.begin();
        self.ends.channel.begin(head, &mut self.data);
        meanwhile();
        loop {
            let awake = self.ends.channel.wait_awake(&self.data);
            self.ends.channel.go_on(&mut self.data);
            // A bound, so that a flood does not keep the loop from its other business.
            self.receive(2);
            if self.is_over() {
                break;
            }
            if !awake {
                self.sleep();
            }
        }
        // Of a worker that had no result nothing is worth waiting for.
        self.ends.relay.finish(self.transcript.ending.is_some());
        self.transcript
    }

    fn is_over(&mut self) -> bool {
        let transcript = &mut self.transcript;
        if transcript.ending.is_some() || transcript.bad.is_some() {
            return true;
        }
        transcript.stuck = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        transcript.report.is_some() || transcript.abandoned || transcript.stuck
    }

    /// Until something comes: from the worker, from its template, or from what it prints.
    fn sleep(&mut self) {
        self.ends.channel.fall_asleep();
        let printed = !self.ends.channel.is_ready(&self.data) && self.wait();
        self.ends.channel.wake_up();
        if printed {
            self.ends.relay.go_on(false);
        }
        // What it said before it ended may be as much as there is room for.
        if self.has_ended() {
            self.receive(self.ends.channel.most_pieces());
        }
    }

    /// Says whether something was printed, or can be now.
    fn wait(&mut self) -> bool {
        let Ends { bell, ended, relay, .. } = &*self.ends;
        let mut fds: Vec<PollFd<'_>> = relay.poll_fds().collect();
        fds.push(PollFd::new(bell, PollFlags::IN));
        fds.push(PollFd::new(ended, PollFlags::IN));
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        // EINTR and the like: look at everything, which never blocks, and wait again.
        let _looked_at_below = poll(&mut fds, left.as_ref());
        let [printed @ .., bell, ended] = &fds[..] else { return false };
        let printed = printed.iter().any(|fd| !fd.revents().is_empty());
        let [bell, ended] = [bell, ended].map(|fd| fd.revents());
        if !bell.is_empty() {
            drain(&self.ends.bell).unwrap_or_default();
        }
        // Where nobody has the other end any more, the template has ended.
        if !ended.is_empty() && drain(&self.ends.ended) == Ok(0) {
            self.transcript.abandoned = true;
        }
        printed
    }

    fn has_ended(&mut self) -> bool {
        if self.slot.state() == State::Ended {
            self.transcript.report = Some(self.slot.report());
        }
        self.transcript.report.is_some() || self.transcript.abandoned
    }

    /// Takes what is there, in so many pieces at most.
    fn receive(&mut self, pieces: usize) {
        for _ in 0..pieces {
            let Some(piece) = self.ends.channel.next_piece() else { return };
            self.transcript.read(&mut self.reader, piece);
            if self.transcript.ending.is_none() {
                self.ends.channel.release();
            }
        }
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
            Kind::Panicked => self.panic = Some(frame.payload),
            _ => self.ending = Some(frame),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header;

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
