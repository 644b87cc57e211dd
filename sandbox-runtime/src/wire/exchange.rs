//! One call with a worker: sends the job, takes what comes back, until there is a result or the worker is gone.

use super::frame::{Frame, FrameError, FrameReader, Kind};
use super::job::Sending;
use super::relay::Relay;
use crate::forkserver::{Report, Worker};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// How much longer than its deadline a worker is waited for: killing it is the forkserver's business.
const GRACE: Duration = Duration::from_secs(10);

/// Everything that is known of a call when it is over.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// The worker said that the body begins.
    pub(crate) begun: bool,
    /// The last note of a panic.
    pub(crate) panic: Option<Vec<u8>>,
    /// The frame that ends a call.
    pub(crate) ending: Option<Frame>,
    /// What is wrong with what the worker sent.
    pub(crate) bad: Option<FrameError>,
    /// How the worker ended, where that was waited for.
    pub(crate) report: Option<Report>,
    /// The worker outlived its deadline and the forkserver's too.
    pub(crate) stuck: bool,
    /// The forkserver is gone.
    pub(crate) abandoned: bool,
}

pub(crate) struct Exchange<'a> {
    worker: &'a Worker,
    /// `None` once nothing more can come.
    reply: Option<&'a OwnedFd>,
    sending: Sending<'a>,
    reader: FrameReader,
    relay: &'a mut Relay,
    deadline: Option<Instant>,
    transcript: Transcript,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(
        worker: &'a Worker,
        sending: Sending<'a>,
        relay: &'a mut Relay,
        timeout: Option<Duration>,
    ) -> Exchange<'a> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout.saturating_add(GRACE)));
        let reader = FrameReader::new();
        let reply = Some(&worker.reply);
        Exchange { worker, reply, sending, reader, relay, deadline, transcript: Transcript::default() }
    }

    /// Runs the call to its end.
    pub(crate) fn run(mut self) -> Transcript {
        while !self.is_over() {
            self.wait();
            self.send();
            self.receive();
            self.relay.go_on(false);
            self.look_at_report();
        }
        if self.transcript.report.is_some() || self.transcript.abandoned {
            self.drain();
        }
        // Of a worker that had no result nothing is worth waiting for.
        self.relay.finish(self.transcript.ending.is_some());
        self.transcript
    }

    fn is_over(&mut self) -> bool {
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let transcript = &mut self.transcript;
        transcript.stuck = late;
        transcript.ending.is_some()
            || transcript.bad.is_some()
            || transcript.report.is_some()
            || transcript.abandoned
            || late
    }

    fn wait(&self) {
        let mut fds: Vec<PollFd<'_>> = self.relay.poll_fds().collect();
        fds.push(PollFd::new(&self.worker.supervision, PollFlags::IN));
        fds.extend(self.reply.map(|reply| PollFd::new(reply, PollFlags::IN)));
        if !self.sending.is_done() {
            fds.push(PollFd::new(&self.worker.job, PollFlags::OUT));
        }
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        // EINTR and the like: look at everything, which never blocks, and wait again.
        let _looked_at_below = poll(&mut fds, left.as_ref());
    }

    fn send(&mut self) {
        match self.sending.go_on(self.worker.job.as_fd()) {
            Ok(()) | Err(Errno::AGAIN) => {}
            // The worker has closed its end: what it had to say may still be there to read.
            Err(_) => self.sending.stop(),
        }
    }

    /// Takes what is there, up to a bound, so that a flood does not keep the loop from its other business.
    fn receive(&mut self) -> bool {
        let Some(reply) = self.reply else { return false };
        let mut piece = [0; 64 * 1024];
        match rustix::io::read(reply, &mut piece) {
            Ok(0) => self.reply = None,
            Ok(length) => {
                self.transcript.read(&mut self.reader, &piece[..length]);
                return true;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.reply = None,
        }
        false
    }

    fn look_at_report(&mut self) {
        match self.worker.report() {
            Ok(Some(report)) => self.transcript.report = Some(report),
            Ok(None) => {}
            Err(_) => self.transcript.abandoned = true,
        }
    }

    /// What the worker wrote before it ended. A child of it that holds the channel may write for ever, so no more
    /// is taken than a socket can hold.
    fn drain(&mut self) {
        const ROUNDS: usize = 64;
        for _ in 0..ROUNDS {
            if self.transcript.ending.is_some() || self.transcript.bad.is_some() || !self.receive() {
                break;
            }
        }
    }
}

impl Transcript {
    /// Takes the next bytes of the reply. What follows the frame that ends the call is not looked at.
    pub(crate) fn read(&mut self, reader: &mut FrameReader, bytes: &[u8]) {
        if let Err(error) = reader.feed(bytes, |frame| self.take(frame)) {
            self.bad = Some(error).filter(|_| self.ending.is_none());
        }
    }

    fn take(&mut self, frame: Frame) {
        if self.ending.is_some() {
            return;
        }
        match frame.kind {
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
            transcript.read(&mut FrameReader::new(), &[&result, tail].concat());
            assert_eq!(transcript.ending.unwrap().payload, b"1");
            assert_eq!((transcript.bad, transcript.begun), (None, false), "{}", tail.escape_ascii());
        }
    }
}
