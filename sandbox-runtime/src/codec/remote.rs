//! Errors that serde does not know: they cross by kind, code, messages and chain of sources.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::num::{NonZeroU8, ParseFloatError, ParseIntError};
use std::str::ParseBoolError;

use serde::{Deserialize, Serialize};

use super::native::{ComesBack, Native};
use super::{CodecError, Incoming, Outgoing};

/// The longest chain of sources that crosses; the rest is left out.
const LONGEST_CHAIN: usize = 64;

/// What an error is the consequence of.
type Source = Option<Box<dyn Error + Send + Sync>>;

/// An error that was made in another process, of a type that is not known here: what it said, and its sources.
///
/// `Box<dyn Error>` and `anyhow::Error` consist of it after they crossed, except for each [`io::Error`] in the
/// chain, which stays one.
#[derive(Debug)]
pub struct RemoteError {
    message: String,
    source: Source,
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.message)
    }
}

impl Error for RemoteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// One error of a chain, as it crosses. What it is the consequence of follows.
#[derive(Serialize, Deserialize)]
enum Link {
    /// Of any type: its message.
    Message(String),
    /// An `io::Error` of the operating system. Nothing follows.
    Os(i32),
    /// An `io::Error` that has only a kind. Nothing follows.
    Kind(u8),
    /// An `io::Error` with a message.
    Custom(u8, String),
}

/// An error and its sources, outermost first.
fn links<'e>(first: &'e (dyn Error + 'static)) -> impl Iterator<Item = Link> + 'e {
    std::iter::successors(Some(first), |&error| error.source()).take(LONGEST_CHAIN).map(|error| {
        match error.downcast_ref::<io::Error>() {
            Some(error) => io_link(error),
            None => Link::Message(error.to_string()),
        }
    })
}

fn io_link(error: &io::Error) -> Link {
    let kind = kind_to_byte(error.kind());
    match error.raw_os_error() {
        Some(code) => Link::Os(code),
        None if error.get_ref().is_none() && error.to_string() == error.kind().to_string() => {
            Link::Kind(kind)
        }
        None => Link::Custom(kind, error.to_string()),
    }
}

fn send_chain(first: &(dyn Error + 'static), out: &mut Outgoing<'_>) -> Result<(), CodecError> {
    out.put_value(&links(first).collect::<Vec<_>>())
}

/// The first error of a chain, and the others.
fn receive_links(input: &mut Incoming<'_>) -> Result<(Link, Vec<Link>), CodecError> {
    let mut links = input.take_value::<Vec<Link>>()?;
    if links.is_empty() || links.len() > LONGEST_CHAIN {
        return Err(CodecError::Invalid("chain of errors"));
    }
    Ok((links.remove(0), links))
}

/// The first error of a chain, and the others as the source of that one.
fn receive_chain(input: &mut Incoming<'_>) -> Result<(Link, Source), CodecError> {
    let (first, rest) = receive_links(input)?;
    Ok((first, rest.into_iter().rfold(None, |source, link| Some(boxed(link, source)))))
}

fn boxed(link: Link, source: Source) -> Box<dyn Error + Send + Sync> {
    match link {
        Link::Message(message) => Box::new(RemoteError { message, source }),
        io => Box::new(io_error(io, source)),
    }
}

fn io_error(link: Link, source: Source) -> io::Error {
    match link {
        Link::Os(code) => io::Error::from_raw_os_error(code),
        Link::Kind(kind) => kind_from_byte(kind).into(),
        Link::Custom(kind, message) => io::Error::new(kind_from_byte(kind), RemoteError { message, source }),
        Link::Message(message) => io::Error::other(RemoteError { message, source }),
    }
}

impl<'i> Native<'i> for io::Error {
    type Held = Self;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        send_chain(self, out)
    }

    fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
        receive_chain(input).map(|(first, source)| io_error(first, source))
    }
}

impl ComesBack for io::Error {}

/// They differ only in what the compiler knows of their content.
macro_rules! boxes {
    ($($any:ty,)*) => {$(
        impl<'i> Native<'i> for Box<$any> {
            type Held = Self;

            fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
                send_chain(&**self, out)
            }

            fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
                let (first, source) = receive_chain(input)?;
                Ok(boxed(first, source))
            }
        }

        impl ComesBack for Box<$any> {}
    )*};
}

boxes! { dyn Error, dyn Error + Send, dyn Error + Send + Sync, }

#[cfg(feature = "anyhow")]
impl<'i> Native<'i> for anyhow::Error {
    type Held = Self;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        send_chain(self.as_ref(), out)
    }

    /// Messages become contexts again, so that `downcast_ref` finds an [`io::Error`] below them.
    fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
        let (first, rest) = receive_links(input)?;
        let whole = rest.into_iter().rfold(None, |source, link| Some(with_context(link, source)));
        Ok(with_context(first, whole))
    }
}

#[cfg(feature = "anyhow")]
fn with_context(link: Link, source: Option<anyhow::Error>) -> anyhow::Error {
    match (link, source) {
        (Link::Message(message), Some(source)) => source.context(RemoteError { message, source: None }),
        (Link::Message(message), None) => RemoteError { message, source: None }.into(),
        (io, source) => io_error(io, source.map(Into::into)).into(),
    }
}

#[cfg(feature = "anyhow")]
impl ComesBack for anyhow::Error {}

/// Errors of the standard library that are made of one of few messages: each is found again by making them all.
macro_rules! by_sample {
    ($($error:ty: $samples:expr,)*) => {$(
        impl<'i> Native<'i> for $error {
            type Held = Self;

            fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
                let known = $samples.into_iter().flatten().position(|sample: $error| sample == *self);
                out.put_value(&known.ok_or_else(|| CodecError::Encode(format!("an unknown error: {self}")))?)
            }

            fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
                let known: usize = input.take_value()?;
                $samples.into_iter().flatten().nth(known).ok_or(CodecError::Invalid("error"))
            }
        }

        impl ComesBack for $error {}
    )*};
}

by_sample! {
    fmt::Error: [Some(fmt::Error)],
    ParseBoolError: ["?".parse::<bool>().err()],
    ParseFloatError: ["", "?"].map(|text| text.parse::<f32>().err()),
    ParseIntError: [
        "".parse::<u8>().err(), "?".parse::<u8>().err(), "256".parse::<u8>().err(),
        "-129".parse::<i8>().err(), "0".parse::<NonZeroU8>().err(),
    ],
}

/// An error that cannot be: no message holds it.
impl<'i> Native<'i> for Infallible {
    type Held = Self;

    fn send<'v>(&'v self, _: &mut Outgoing<'v>) -> Result<(), CodecError> {
        match *self {}
    }

    fn receive(_: &mut Incoming<'i>) -> Result<Self, CodecError> {
        Err(CodecError::Invalid("error"))
    }
}

impl ComesBack for Infallible {}

/// Every stable kind; a place in this table is its form on the wire.
pub(super) const KINDS: &[ErrorKind] = &[
    ErrorKind::Other, // also what an unknown kind becomes
    ErrorKind::NotFound,
    ErrorKind::PermissionDenied,
    ErrorKind::ConnectionRefused,
    ErrorKind::ConnectionReset,
    ErrorKind::HostUnreachable,
    ErrorKind::NetworkUnreachable,
    ErrorKind::ConnectionAborted,
    ErrorKind::NotConnected,
    ErrorKind::AddrInUse,
    ErrorKind::AddrNotAvailable,
    ErrorKind::NetworkDown,
    ErrorKind::BrokenPipe,
    ErrorKind::AlreadyExists,
    ErrorKind::WouldBlock,
    ErrorKind::NotADirectory,
    ErrorKind::IsADirectory,
    ErrorKind::DirectoryNotEmpty,
    ErrorKind::ReadOnlyFilesystem,
    ErrorKind::StaleNetworkFileHandle,
    ErrorKind::InvalidInput,
    ErrorKind::InvalidData,
    ErrorKind::TimedOut,
    ErrorKind::WriteZero,
    ErrorKind::StorageFull,
    ErrorKind::NotSeekable,
    ErrorKind::QuotaExceeded,
    ErrorKind::FileTooLarge,
    ErrorKind::ResourceBusy,
    ErrorKind::ExecutableFileBusy,
    ErrorKind::Deadlock,
    ErrorKind::CrossesDevices,
    ErrorKind::TooManyLinks,
    ErrorKind::InvalidFilename,
    ErrorKind::ArgumentListTooLong,
    ErrorKind::Interrupted,
    ErrorKind::Unsupported,
    ErrorKind::UnexpectedEof,
    ErrorKind::OutOfMemory,
];

fn kind_to_byte(kind: ErrorKind) -> u8 {
    KINDS.iter().position(|&known| known == kind).and_then(|place| u8::try_from(place).ok()).unwrap_or(0)
}

fn kind_from_byte(byte: u8) -> ErrorKind {
    KINDS.get(usize::from(byte)).copied().unwrap_or(ErrorKind::Other)
}
