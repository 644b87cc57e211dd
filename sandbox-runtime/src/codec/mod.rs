//! How arguments and results cross between a host and a worker that it does not trust.
//!
//! Generated code [picks](pick) a [`Codec`] for each type, [puts](put) the arguments into an [`Outgoing`]
//! message and [holds](hold) them on the other side, where they may borrow from the [`Incoming`] one; the
//! answer and what `&mut` arguments refer to come back alike. Byte buffers, text, paths and sequences of
//! numbers cross in bulk (`native`), errors by what they say (`remote`), descriptors beside the bytes (`descriptors`), and
//! everything else by serde (`form`).
//!
//! | read for | file |
//! |---|---|
//! | a message | `message` |
//! | the choice of a codec | `pick`, `codecs` |
//! | the types | `native`, `bytes`, `remote`, `descriptors` |
//! | serde's values | `form`, `writer`, `compound`, `names`, `reader`, `varint` |

use std::fmt;
use std::marker::PhantomData;

mod bytes;
mod codecs;
mod compound;
mod descriptors;
mod error;
mod form;
mod message;
mod names;
mod native;
pub mod pick;
mod reader;
mod refused;
mod remote;
pub(crate) mod spare;
#[cfg(test)]
mod tests;
mod varint;
mod writer;

pub use codecs::{Accepts, AsNative, Back, Codec, Crosses, Keeps, Parts, Returns, Serde};
pub use error::CodecError;
pub use message::{BORROW_FROM, BULK_FROM, Incoming, Outgoing};
pub use native::{ComesBack, Item, Native};
pub use refused::{LostUpdates, NoArgument, NorThis, Shared, Unheld, Unsupported};
pub use remote::RemoteError;

/// Stands for a type where a codec is [picked](pick), without a value of it.
pub struct Probe<T: ?Sized>(PhantomData<fn() -> *const T>);

impl<T: ?Sized> Probe<T> {
    /// Of the type that is named.
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// Of the type that the value has.
    pub const fn of(_: &T) -> Self {
        Self(PhantomData)
    }
}

impl<T: ?Sized> Default for Probe<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: ?Sized> Clone for Probe<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Probe<T> {}

impl<T: ?Sized> fmt::Debug for Probe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probe<{}>", std::any::type_name::<T>())
    }
}

/// Appends an argument to a message.
///
/// # Errors
///
/// [`CodecError::Encode`] if the value has no form.
pub fn put<'v, 'i, T, C>(codec: C, value: &'v T, out: &mut Outgoing<'v>) -> Result<(), CodecError>
where
    T: ?Sized,
    C: Codec<'i, T> + Accepts<T> + Keeps<T>,
{
    codec.put(value, out)
}

/// Says of a message of arguments whether the answer may want a file.
pub fn expect<T, C: Returns<T>>(_: C, _: Probe<T>, out: &mut Outgoing<'_>) {
    out.wants_file = C::IN_FILE;
}

/// Takes an argument from a message. What is returned is the argument, or can be borrowed as it.
///
/// # Errors
///
/// Any [`CodecError`] if the message does not hold such a value.
pub fn hold<'i, T: ?Sized, C: Codec<'i, T>>(
    codec: C,
    _: Probe<T>,
    input: &mut Incoming<'i>,
) -> Result<C::Held, CodecError> {
    codec.take(input)
}

/// Appends what a `&mut` argument refers to, after the body ran. Nothing if it is a descriptor.
///
/// # Errors
///
/// [`CodecError::Encode`] if the value has no form.
pub fn put_back<'v, T, C: Back<T>>(codec: C, value: &'v T, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
    codec.put_back(value, out)
}

/// Takes what [`put_back`] appended. With `None` the caller's value stays as it is.
///
/// # Errors
///
/// Any [`CodecError`] if the message does not hold such a value.
pub fn take_back<T, C: Back<T>>(
    codec: C,
    _: Probe<T>,
    input: &mut Incoming<'_>,
) -> Result<Option<T>, CodecError> {
    codec.take_back(input)
}

/// Appends what the body returned.
///
/// # Errors
///
/// [`CodecError::Encode`] if the value has no form.
pub fn put_answer<'v, T, C: Returns<T>>(
    codec: C,
    value: &'v T,
    out: &mut Outgoing<'v>,
) -> Result<(), CodecError> {
    codec.put_answer(value, out)
}

/// Takes what the body returned.
///
/// # Errors
///
/// Any [`CodecError`] if the message does not hold such a value.
pub fn take_answer<T, C: Returns<T>>(
    codec: C,
    _: Probe<T>,
    input: &mut Incoming<'_>,
) -> Result<T, CodecError> {
    codec.take_answer(input)
}
