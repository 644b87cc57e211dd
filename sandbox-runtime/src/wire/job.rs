//! What a worker is told: how to lock itself, what to call, with which arguments.

use super::frame::{HEADER, Kind, header};
use super::{MOST_FDS, send};
use crate::codec::Outgoing;
use crate::enforce::{Filter, Locks, Namespaces, Recipe};
use crate::plan::{Capability, Limits, RulesetPlan};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// The part of a job that is data. Its descriptors follow in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The function, for messages.
    pub(crate) function: String,
    /// Where its entry is in the executable.
    pub(crate) entry: u64,
    /// Whether it is `fn main`: descriptors for stdin, stdout, stderr come first, else for the last two.
    pub(crate) program: bool,
    /// Whether a descriptor of the directory to work in comes.
    pub(crate) directory: bool,
    /// Whether a ruleset comes.
    pub(crate) ruleset: bool,
    /// A ruleset to make, of whose paths descriptors come.
    pub(crate) recipe: Option<RulesetPlan>,
    pub(crate) filter: Option<Filter>,
    pub(crate) namespaces: Option<Namespaces>,
    /// The capabilities to keep.
    pub(crate) capabilities: Vec<Capability>,
    /// Whether it may look at itself in `/proc`.
    pub(crate) grants_proc: bool,
    pub(crate) limits: Limits,
    pub(crate) env: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A job that cannot be sent or was not understood.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error("{0} descriptors, where {MOST_FDS} are the most")]
    TooManyDescriptors(usize),
    #[error("the host's message: {0}")]
    Malformed(String),
    #[error("the host's message: {0}")]
    Channel(#[from] Errno),
}

/// A job on its way to a worker: sent piece by piece as the socket takes it.
pub(crate) struct Sending<'a> {
    parts: VecDeque<&'a [u8]>,
    fds: Vec<BorrowedFd<'a>>,
}

/// The bytes that a [`Sending`] refers to beside the arguments.
pub(crate) struct Prelude(Vec<u8>);

impl Job {
    /// The frame of the job, and the header of that with the arguments.
    pub(crate) fn prelude(&self, arguments: &Outgoing<'_>) -> Result<Prelude, JobError> {
        let job = postcard::to_allocvec(self).map_err(|error| JobError::Malformed(error.to_string()))?;
        let parts = [&header(Kind::Job, job.len())[..], &job, &header(Kind::Arguments, arguments.len())];
        Ok(Prelude(parts.concat()))
    }
}

impl<'a> Sending<'a> {
    pub(crate) fn new(
        prelude: &'a Prelude,
        arguments: &'a Outgoing<'_>,
        fds: Vec<BorrowedFd<'a>>,
    ) -> Result<Sending<'a>, JobError> {
        if fds.len() > MOST_FDS {
            return Err(JobError::TooManyDescriptors(fds.len()));
        }
        let parts = [&prelude.0[..]].into_iter().chain(arguments.segments());
        Ok(Sending { parts: parts.filter(|part| !part.is_empty()).collect(), fds })
    }

    pub(crate) fn is_done(&self) -> bool {
        self.parts.is_empty()
    }

    /// Gives up on the rest.
    pub(crate) fn stop(&mut self) {
        self.parts.clear();
        self.fds.clear();
    }

    /// Sends what the socket takes now.
    pub(crate) fn go_on(&mut self, channel: BorrowedFd<'_>) -> Result<(), Errno> {
        while !self.is_done() {
            let slices: Vec<IoSlice<'_>> =
                self.parts.iter().take(64).map(|part| IoSlice::new(part)).collect();
            let sent = send(channel, &slices, &self.fds, SendFlags::DONTWAIT)?;
            self.fds.clear();
            self.advance(sent);
        }
        Ok(())
    }

    fn advance(&mut self, mut sent: usize) {
        while let Some(part) = self.parts.front_mut() {
            if sent < part.len() {
                *part = &part[sent..];
                return;
            }
            sent -= part.len();
            self.parts.pop_front();
        }
    }
}

/// A job as it reached the worker.
pub(crate) struct Received {
    pub(crate) job: Job,
    pub(crate) arguments: Vec<u8>,
    /// stdin where it is a program's, stdout, stderr.
    pub(crate) stdio: Vec<OwnedFd>,
    pub(crate) directory: Option<OwnedFd>,
    pub(crate) locks: Locks,
    /// Those of the arguments.
    pub(crate) fds: VecDeque<OwnedFd>,
}

impl Received {
    /// Reads a job, in the worker. The host is trusted: before it is read, nobody else can have written.
    pub(crate) fn from_channel(channel: BorrowedFd<'_>) -> Result<Received, JobError> {
        let (first, mut fds) = receive_header(channel)?;
        let job = read_payload(channel, first, Kind::Job)?;
        let job: Job = postcard::from_bytes(&job).map_err(|error| JobError::Malformed(error.to_string()))?;
        let mut second = [0; HEADER];
        read_exact(channel, &mut second)?;
        let arguments = read_payload(channel, second, Kind::Arguments)?;
        let mut take = |count: usize| -> Result<Vec<OwnedFd>, JobError> {
            let missing = || JobError::Malformed("a descriptor is missing".into());
            (0..count).map(|_| fds.pop_front().ok_or_else(missing)).collect()
        };
        let stdio = take(2 + usize::from(job.program))?;
        let directory = take(usize::from(job.directory))?.pop();
        let ruleset = take(usize::from(job.ruleset))?.pop();
        let recipe =
            job.recipe.clone().map(|plan| take(plan.paths.len()).map(|paths| Recipe { plan, paths }));
        let locks = Locks {
            ruleset,
            recipe: recipe.transpose()?,
            filter: job.filter.clone(),
            namespaces: job.namespaces.clone(),
            capabilities: job.capabilities.clone(),
        };
        Ok(Received { job, arguments, stdio, directory, locks, fds })
    }
}

fn receive_header(channel: BorrowedFd<'_>) -> Result<([u8; HEADER], VecDeque<OwnedFd>), JobError> {
    let mut header = [0; HEADER];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut parts = [IoSliceMut::new(&mut header)];
        match rustix::net::recvmsg(channel, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            result => break result?,
        }
    };
    let mut fds = VecDeque::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            fds.extend(some);
        }
    }
    if received.bytes == 0 {
        return Err(JobError::Channel(Errno::PIPE));
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(JobError::Channel(Errno::MFILE));
    }
    read_exact(channel, &mut header[received.bytes..])?;
    Ok((header, fds))
}

fn read_payload(channel: BorrowedFd<'_>, header: [u8; HEADER], kind: Kind) -> Result<Vec<u8>, JobError> {
    let [first, length @ ..] = header;
    if first != kind as u8 {
        return Err(JobError::Malformed(format!("a frame of kind {first} for one of kind {}", kind as u8)));
    }
    let length = usize::try_from(u64::from_le_bytes(length));
    let length = length.map_err(|_| JobError::Malformed("a frame longer than memory".into()))?;
    let mut payload = Vec::new();
    // The arguments may be more than the memory limit allows; without this the allocation would abort.
    let reserved = payload.try_reserve_exact(length);
    reserved.map_err(|_| JobError::Malformed(format!("no memory for {length} bytes of arguments")))?;
    payload.resize(length, 0);
    read_exact(channel, &mut payload)?;
    Ok(payload)
}

fn read_exact(channel: BorrowedFd<'_>, mut bytes: &mut [u8]) -> Result<(), JobError> {
    while !bytes.is_empty() {
        match rustix::io::read(channel.as_fd(), &mut *bytes) {
            Err(Errno::INTR) => {}
            Ok(0) => return Err(JobError::Channel(Errno::PIPE)),
            read => bytes = &mut bytes[read?..],
        }
    }
    Ok(())
}
