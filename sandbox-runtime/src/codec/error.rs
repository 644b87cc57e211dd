//! Why a value did not cross.

use std::fmt::{self, Write};

/// The longest message of a `Serialize` or `Deserialize` implementation that is kept, in bytes.
///
/// serde puts the offending text into some messages, and a hostile worker chooses that text.
const LONGEST_MESSAGE: usize = 512;

/// Why a value could not be encoded, or why a message is not the value that was expected.
///
/// The host sees the second kind when a worker sent something else than the answer of its function: a worker
/// under an attacker's control, or a type whose `Serialize` and `Deserialize` do not agree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// A value's `Serialize` refused, or describes itself in a way that has no encoding.
    #[error("the value cannot be encoded: {0}")]
    Encode(String),
    /// The message ends before the value does, or a length in it exceeds what follows.
    #[error("the message ends too early")]
    Truncated,
    /// So many bytes follow the last value.
    #[error("{0} bytes follow the end of the message")]
    TrailingBytes(usize),
    /// The value, to be encoded or decoded, is nested deeper than 128 levels, or took too much stack.
    #[error("the value is nested too deeply")]
    TooDeep,
    /// The elements of the values would take more than so many bytes in memory.
    #[error("values that take more than {0} bytes in memory (see `sandboxed::set_frame_limit`)")]
    TooLarge(u64),
    /// A length is not the one that the type or the caller's slice has.
    #[error("a length of {found} where {expected} was expected")]
    BadLength {
        /// What the type or the slice has.
        expected: usize,
        /// What the message has.
        found: usize,
    },
    /// Text is not UTF-8.
    #[error("text is not valid UTF-8")]
    Utf8,
    /// The bytes are no value of this primitive type.
    #[error("the bytes are not a valid {0}")]
    Invalid(&'static str),
    /// The value needs a descriptor that did not come with the message.
    #[error("a file descriptor is missing from the message")]
    MissingDescriptor,
    /// So many descriptors came with the message and belong to no value.
    #[error("{0} file descriptors belong to no value")]
    ExtraDescriptors(usize),
    /// A `Deserialize` implementation refused the value.
    #[error("{0}")]
    Serde(String),
}

impl serde::de::Error for CodecError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Serde(shortened(message))
    }
}

impl serde::ser::Error for CodecError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Encode(shortened(message))
    }
}

/// The message, cut where it gets too long.
fn shortened(message: impl fmt::Display) -> String {
    let mut text = Shortened(String::new());
    match write!(text, "{message}") {
        Ok(()) => text.0,
        Err(fmt::Error) => text.0 + "...",
    }
}

/// A string that refuses to grow beyond [`LONGEST_MESSAGE`].
struct Shortened(String);

impl Write for Shortened {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LONGEST_MESSAGE.saturating_sub(self.0.len());
        let fits = (0..=room.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        self.0.push_str(&text[..fits]);
        if fits == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
