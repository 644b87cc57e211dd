//! From what was seen of a call to its result.

use crate::backtrace;
use crate::bytes::result::ResultFile;
use crate::error::{Error, ErrorKind, Hint, Ran};
use crate::forkserver::{End, Report};
use crate::plan::Plan;
use crate::registry::Function;
use crate::sys::plain::Buffer;
use crate::wire::{Frame, Kind, Relay, Transcript};
use crate::worker::{PANICKED, PanicNote, Refusal};
use std::time::Duration;

/// What a function has beside its transcript.
pub(crate) struct Circumstances<'a> {
    pub(crate) function: &'static Function,
    pub(crate) plan: &'a Plan,
    pub(crate) relay: &'a Relay,
    /// Whether it is `fn main` of the program, which may exit as it likes.
    pub(crate) is_program: bool,
}

/// An encoded result.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) stream: Buffer,
    /// Its long byte strings, where they came apart.
    pub(crate) bulk: Option<Vec<Buffer>>,
    /// The file that the worker had for it.
    pub(crate) result: Option<ResultFile>,
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The encoded result.
    Returned(Answer),
    /// The exit code of `fn main`.
    Exit(i32),
}

impl Circumstances<'_> {
    pub(crate) fn outcome(&self, transcript: Transcript) -> Result<Outcome, Error> {
        // Our own code in the worker writes no nonsense, so a body did; it may hide that it began.
        let ran = match (transcript.begun || transcript.bad.is_some(), transcript.abandoned) {
            (true, _) => Ran::Yes,
            (false, true) => Ran::Maybe,
            (false, false) => Ran::No,
        };
        self.kind(transcript)
            .map_err(|kind| Error::new(self.function.name, kind, ran).with_output(self.relay.captured()))
    }

    fn kind(&self, transcript: Transcript) -> Result<Outcome, ErrorKind> {
        if let Some(error) = transcript.bad {
            return Err(bad(error.to_string()));
        }
        if let Some(frame) = transcript.ending {
            return self.of_frame(frame, transcript.bulk, transcript.begun);
        }
        if transcript.stuck {
            return Err(self.timed_out());
        }
        match transcript.report {
            Some(report) => self.of_report(&report, transcript.panic.as_deref()),
            None => Err(ErrorKind::Abandoned),
        }
    }

    fn of_frame(&self, frame: Frame, bulk: Vec<Buffer>, begun: bool) -> Result<Outcome, ErrorKind> {
        match (frame.kind, &*frame.payload) {
            (Kind::Returned, _) => {
                Ok(Outcome::Returned(Answer { stream: frame.payload, bulk: Some(bulk), result: None }))
            }
            (Kind::ExitCode, [code]) => Ok(Outcome::Exit(i32::from(*code))),
            (Kind::Unsendable, text) => {
                Err(ErrorKind::Encode { what: String::from_utf8_lossy(text).into_owned() })
            }
            // Before the body begins only our own code speaks.
            (Kind::Refused, refusal) if !begun => {
                let refusal: Refusal =
                    postcard::from_bytes(refusal).map_err(|_| bad("a refusal that is none"))?;
                Err(ErrorKind::Launch { what: refusal.what, cause: refusal.cause })
            }
            (kind, _) => Err(bad(format!("a frame of kind {kind:?} at the wrong time"))),
        }
    }

    fn of_report(&self, report: &Report, note: Option<&[u8]>) -> Result<Outcome, ErrorKind> {
        match (report.end, note) {
            (End::TimedOut, _) => Err(self.timed_out()),
            (End::CpuTimeExceeded, _) => Err(self.cpu_time_exceeded()),
            // The kernel's own limit. That it was used up is the kernel's word, whoever sent the signal.
            (End::Killed(libc::SIGKILL), _)
                if self.plan.limits.cpu.is_some_and(|limit| report.cpu >= limit) =>
            {
                Err(self.cpu_time_exceeded())
            }
            (End::NotForked(errno), _) => {
                let error = std::io::Error::from_raw_os_error(errno);
                Err(ErrorKind::Launch { what: format!("fork: {error}"), cause: Some(error.into()) })
            }
            // It unwound to the top, or aborted: under `panic = "abort"`, or because it panicked in a drop.
            (End::Exited(PANICKED) | End::Killed(libc::SIGABRT), Some(note)) => {
                let note = postcard::from_bytes(note).map_err(|_| bad("a note of a panic that is none"));
                let PanicNote { message, location, frames } = note?;
                Err(ErrorKind::Panicked { message, location, backtrace: backtrace::text(&frames) })
            }
            (End::Exited(code), _) if self.is_program => Ok(Outcome::Exit(code)),
            (End::Exited(code), _) => Err(ErrorKind::Exited { code }),
            (End::Killed(signal), _) => Err(ErrorKind::Killed { signal, hint: self.hint(signal, report) }),
        }
    }

    fn timed_out(&self) -> ErrorKind {
        ErrorKind::TimedOut { limit: self.plan.limits.timeout.unwrap_or(Duration::MAX) }
    }

    fn cpu_time_exceeded(&self) -> ErrorKind {
        ErrorKind::CpuTimeExceeded { limit: self.plan.limits.cpu.unwrap_or(Duration::MAX) }
    }

    /// A guess: a worker can make any of this look as it likes.
    fn hint(&self, signal: i32, report: &Report) -> Option<Hint> {
        match (signal, self.plan.limits.memory) {
            (libc::SIGABRT, Some(limit)) => {
                let near = report.max_rss.saturating_mul(1024) >= limit / 4 * 3;
                // What the standard library prints before it aborts.
                let said = self.relay.last_words_hold(b"memory allocation of ");
                (near || said).then_some(Hint::OutOfMemory { limit })
            }
            (libc::SIGSYS, _) => Some(Hint::Filter),
            (libc::SIGXFSZ, _) => self.plan.limits.file_size.map(|limit| Hint::FileTooLong { limit }),
            (libc::SIGKILL, _) => Some(Hint::KilledFromOutside),
            _ => None,
        }
    }
}

fn bad(what: impl Into<String>) -> ErrorKind {
    ErrorKind::BadData { what: what.into() }
}
