//! The host's ends of what leads to one worker after the other, and who uses them for the moment.

use super::template::Template;
use crate::forkserver::{Ended, StartError};
use crate::policy::Stdio;
use crate::sys::process::now;
use crate::wire::{Ends, Fate, FrameReader, HostEnd, Number, Relay};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use std::sync::Arc;

/// A slot of a template, and what leads to its workers.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) slot: Number,
    pub(super) ends: Ends,
    /// How many calls the worker has had.
    calls: u32,
    /// How many bytes it was given in files, which it may have kept.
    given: u64,
    /// When its last call with a long request was over, on the clock of [`now`].
    was_long: u64,
}

impl Lane {
    /// Opens a slot, where a worker is forked. For `fn main` with an stdin.
    pub(super) fn open(
        template: &Template,
        slot: Number,
        stdio: Stdio,
        stdin: Option<BorrowedFd<'_>>,
    ) -> Result<Lane, OpenError> {
        let (channel, files) = HostEnd::new(template.window())?;
        let (bell, their_bell) = pipe()?;
        let (ended, their_end) = pipe()?;
        // Should it be full, the template must not wait.
        rustix::fs::fcntl_setfl(&their_end, OFlags::NONBLOCK)?;
        let (job, their_job) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Nothing carries descriptors to the host.
        rustix::net::shutdown(&job, Shutdown::Read)?;
        let (relay, their_stdio) =
            Relay::new(stdio).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let own = [&files.request, &files.reply, &their_bell, &their_end, &their_job];
        let fds: Vec<BorrowedFd<'_>> = own
            .into_iter()
            .map(AsFd::as_fd)
            .chain(stdin)
            .chain(their_stdio.iter().map(AsFd::as_fd))
            .collect();
        template.handle().open(slot, &fds)?;
        let ends = Ends { channel, job, bell, ended, relay, reader: FrameReader::new() };
        Ok(Lane { slot, ends, calls: 0, given: 0, was_long: 0 })
    }

    /// Whether it has memory for long requests, and has had none since then.
    pub(super) fn is_too_large(&self, since: u64) -> bool {
        self.was_long <= since && self.ends.channel.is_large()
    }
}

/// Our end, which never waits, and the other. The flag is that of our end alone: the two ends are two open files.
fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&ours, OFlags::NONBLOCK)?;
    Ok((ours, theirs))
}

/// Why there is no worker.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The template is gone.
    Gone,
    System(Errno),
}

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> OpenError {
        OpenError::System(errno)
    }
}

impl From<Ended> for OpenError {
    fn from(_: Ended) -> OpenError {
        OpenError::Gone
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> StartError {
        match error {
            OpenError::Gone => StartError::Gone,
            OpenError::System(errno) => StartError::System("what leads to a worker", errno.into()),
        }
    }
}

/// A worker that is taken for one call.
#[derive(Debug)]
pub(crate) struct Lease {
    template: Arc<Template>,
    /// `None` once it is settled.
    lane: Option<Lane>,
    is_last: bool,
}

impl Lease {
    pub(super) fn new(template: Arc<Template>, lane: Lane) -> Lease {
        let is_last = lane.calls + 1 >= template.reuse() || lane.given >= template.most_given();
        Lease { template, lane: Some(lane), is_last }
    }

    /// Whether the worker is to have no call after this one.
    pub(crate) fn is_last(&self) -> bool {
        self.is_last
    }

    /// That the worker was given so many bytes in files.
    pub(crate) fn note_given(&mut self, bytes: u64) {
        if let Some(lane) = &mut self.lane {
            lane.given = lane.given.saturating_add(bytes);
        }
    }

    /// The ends, and the slot that they are of.
    pub(crate) fn parts(&mut self) -> Option<(&mut Ends, crate::wire::Slot<'_>)> {
        let lane = self.lane.as_mut()?;
        Some((&mut lane.ends, self.template.slots().slot(lane.slot)))
    }

    /// After the call: the worker waits for another, ends by itself, or is ended.
    pub(crate) fn settle(mut self, fate: Fate) {
        let is_last = self.is_last;
        let Some(mut lane) = self.lane.take() else { return };
        let template = &*self.template;
        let slot = template.slots().slot(lane.slot);
        if lane.ends.channel.was_long() {
            lane.was_long = now();
        }
        slot.set_turn(lane.ends.channel.turn(), lane.ends.channel.read());
        let is_well = fate == Fate::Well;
        (lane.calls, lane.given) = if is_well && !is_last { (lane.calls + 1, lane.given) } else { (0, 0) };
        if is_well && !is_last && slot.give_back() {
            return template.give_back(lane);
        }
        if fate == Fate::Lost {
            return template.give_up(lane);
        }
        if template.is_single_use() {
            return template.close(lane);
        }
        let told = match (slot.finish(), is_well) {
            (true, _) => template.handle().fork(lane.slot),
            // It ends by itself.
            (false, true) => Ok(()),
            (false, false) => template.handle().look(),
        };
        match told {
            Ok(()) => template.give_back(lane),
            Err(Ended) => template.give_up(lane),
        }
    }
}

impl Drop for Lease {
    /// A panic came between.
    fn drop(&mut self) {
        if let Some(lane) = self.lane.take() {
            self.template.close(lane);
        }
    }
}
