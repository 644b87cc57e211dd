//! The codecs among which generated code [picks](super::pick), and what they require of a type.

use std::borrow::Borrow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::native::{ComesBack, Native};
use super::{CodecError, Incoming, Outgoing};

/// A way to encode values of type `T` and to decode them from a message that lives for `'i`.
pub trait Codec<'i, T: ?Sized> {
    /// What the receiver holds: `T`, or what a `T` can be borrowed from.
    type Held: Borrow<T>;

    /// Appends the value to a message.
    ///
    /// # Errors
    ///
    /// [`CodecError::Encode`] if it has no form.
    fn put<'v>(self, value: &'v T, out: &mut Outgoing<'v>) -> Result<(), CodecError>;

    /// Takes a value from a message.
    ///
    /// # Errors
    ///
    /// Any [`CodecError`] if the message does not hold such a value.
    fn take(self, input: &mut Incoming<'i>) -> Result<Self::Held, CodecError>;
}

/// A codec for a `&mut` argument, whose value is copied back unless it is a descriptor.
pub trait Back<T> {
    /// Appends the value after the body ran, if it comes back.
    ///
    /// # Errors
    ///
    /// [`CodecError::Encode`] if it has no form.
    fn put_back<'v>(self, value: &'v T, out: &mut Outgoing<'v>) -> Result<(), CodecError>;

    /// Takes the value, if it comes back.
    ///
    /// # Errors
    ///
    /// Any [`CodecError`] if the message does not hold such a value.
    fn take_back(self, input: &mut Incoming<'_>) -> Result<Option<T>, CodecError>;
}

/// A codec for what a worker returns.
#[diagnostic::on_unimplemented(
    message = "`{T}` cannot come back from the worker process",
    label = "neither serde's nor one that crosses by itself",
    note = "derive serde's `Serialize` and `Deserialize`, or use `thread`, where nothing crosses",
    note = "a type parameter needs the bounds `serde::Serialize + serde::de::DeserializeOwned`"
)]
pub trait Returns<T> {
    /// Whether a part of the value may be in a [file](Native::IN_FILE).
    const IN_FILE: bool = false;

    /// Appends the value.
    ///
    /// # Errors
    ///
    /// [`CodecError::Encode`] if it has no form.
    fn put_answer<'v>(self, value: &'v T, out: &mut Outgoing<'v>) -> Result<(), CodecError>;

    /// Takes the value.
    ///
    /// # Errors
    ///
    /// Any [`CodecError`] if the message does not hold such a value.
    fn take_answer(self, input: &mut Incoming<'_>) -> Result<T, CodecError>;
}

/// A codec that can encode `T`.
///
/// Only the functions that encode an argument require it: so a type without a codec is one compile error, at the
/// argument, although the expansion uses its codec in several places.
#[diagnostic::on_unimplemented(
    message = "`{T}` cannot cross into the worker process",
    label = "neither serde's nor one that crosses by itself",
    note = "derive serde's `Serialize` and `Deserialize`, or use `thread`, where nothing crosses",
    note = "a type parameter needs the bounds `serde::Serialize + serde::de::DeserializeOwned`"
)]
pub trait Accepts<T: ?Sized> {}

/// A codec of a type that is not changed behind a shared reference.
#[diagnostic::on_unimplemented(
    message = "`{T}` cannot cross into the worker process: the worker gets a copy, and its updates would be lost",
    label = "updates of the worker's copy would be lost",
    note = "take the value in it and return the new one, or use `thread`, which shares the caller's memory"
)]
pub trait Keeps<T: ?Sized> {}

/// The codec of types that cross [without serde](Native).
#[derive(Clone, Copy, Debug)]
pub struct AsNative;

impl<'i, T: ?Sized + Native<'i>> Codec<'i, T> for AsNative {
    type Held = T::Held;

    fn put<'v>(self, value: &'v T, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        value.send(out)
    }

    fn take(self, input: &mut Incoming<'i>) -> Result<T::Held, CodecError> {
        T::receive(input)
    }
}

impl<T: for<'i> Native<'i, Held = T>> Back<T> for AsNative {
    fn put_back<'v>(self, value: &'v T, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        if <T as Native<'_>>::COMES_BACK { value.send(out) } else { Ok(()) }
    }

    fn take_back(self, input: &mut Incoming<'_>) -> Result<Option<T>, CodecError> {
        if <T as Native<'_>>::COMES_BACK { T::receive(input).map(Some) } else { Ok(None) }
    }
}

impl<T: ComesBack + for<'i> Native<'i, Held = T>> Returns<T> for AsNative {
    const IN_FILE: bool = <T as Native<'_>>::IN_FILE;

    fn put_answer<'v>(self, value: &'v T, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        value.send(out)
    }

    fn take_answer(self, input: &mut Incoming<'_>) -> Result<T, CodecError> {
        T::receive(input)
    }
}

/// What crosses by serde.
pub trait Crosses<'i> {
    /// What the receiver holds.
    type Held: Borrow<Self>;

    /// Appends the value to a message.
    ///
    /// # Errors
    ///
    /// [`CodecError::Encode`] if its `Serialize` refuses.
    fn send(&self, out: &mut Outgoing<'_>) -> Result<(), CodecError>;

    /// Takes a value from a message.
    ///
    /// # Errors
    ///
    /// Any [`CodecError`] if the message does not hold such a value.
    fn receive(input: &mut Incoming<'i>) -> Result<Self::Held, CodecError>;
}

impl<'i, T: Serialize + Deserialize<'i>> Crosses<'i> for T {
    type Held = T;

    fn send(&self, out: &mut Outgoing<'_>) -> Result<(), CodecError> {
        out.put_value(self)
    }

    fn receive(input: &mut Incoming<'i>) -> Result<T, CodecError> {
        input.take_value()
    }
}

/// Has the form of a `Vec`, so that a `&mut [T]` can be received as one.
impl<'i, T: Serialize + Deserialize<'i>> Crosses<'i> for [T] {
    type Held = Vec<T>;

    fn send(&self, out: &mut Outgoing<'_>) -> Result<(), CodecError> {
        out.put_value(self)
    }

    fn receive(input: &mut Incoming<'i>) -> Result<Vec<T>, CodecError> {
        input.take_value()
    }
}

/// The codec of types that are serde's.
#[derive(Clone, Copy, Debug)]
pub struct Serde;

impl<'i, T: ?Sized + Crosses<'i>> Codec<'i, T> for Serde {
    type Held = T::Held;

    fn put<'v>(self, value: &'v T, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        value.send(out)
    }

    fn take(self, input: &mut Incoming<'i>) -> Result<T::Held, CodecError> {
        T::receive(input)
    }
}

impl<T: Serialize + DeserializeOwned> Back<T> for Serde {
    fn put_back<'v>(self, value: &'v T, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        out.put_value(value)
    }

    fn take_back(self, input: &mut Incoming<'_>) -> Result<Option<T>, CodecError> {
        input.take_value().map(Some)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Returns<T> for Serde {
    fn put_answer<'v>(self, value: &'v T, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        out.put_value(value)
    }

    fn take_answer(self, input: &mut Incoming<'_>) -> Result<T, CodecError> {
        input.take_value()
    }
}

/// The codec of a `Result` whose parts have different ones.
#[derive(Clone, Copy, Debug)]
pub struct Parts<A, B>(pub A, pub B);

impl<'i, T, E, A, B> Codec<'i, Result<T, E>> for Parts<A, B>
where
    A: Codec<'i, T, Held = T>,
    B: Codec<'i, E, Held = E>,
{
    type Held = Result<T, E>;

    fn put<'v>(self, value: &'v Result<T, E>, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        out.put_flag(value.is_ok());
        match value {
            Ok(value) => self.0.put(value, out),
            Err(error) => self.1.put(error, out),
        }
    }

    fn take(self, input: &mut Incoming<'i>) -> Result<Result<T, E>, CodecError> {
        if input.take_flag()? { self.0.take(input).map(Ok) } else { self.1.take(input).map(Err) }
    }
}

impl<T, E, A: Returns<T>, B: Returns<E>> Back<Result<T, E>> for Parts<A, B> {
    fn put_back<'v>(self, value: &'v Result<T, E>, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        self.put_answer(value, out)
    }

    fn take_back(self, input: &mut Incoming<'_>) -> Result<Option<Result<T, E>>, CodecError> {
        self.take_answer(input).map(Some)
    }
}

impl<T, E, A: Returns<T>, B: Returns<E>> Returns<Result<T, E>> for Parts<A, B> {
    const IN_FILE: bool = A::IN_FILE || B::IN_FILE;

    fn put_answer<'v>(self, value: &'v Result<T, E>, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        out.put_flag(value.is_ok());
        match value {
            Ok(value) => self.0.put_answer(value, out),
            Err(error) => self.1.put_answer(error, out),
        }
    }

    fn take_answer(self, input: &mut Incoming<'_>) -> Result<Result<T, E>, CodecError> {
        if input.take_flag()? {
            self.0.take_answer(input).map(Ok)
        } else {
            self.1.take_answer(input).map(Err)
        }
    }
}

#[diagnostic::do_not_recommend]
impl<T: ?Sized> Accepts<T> for AsNative {}
#[diagnostic::do_not_recommend]
impl<T: ?Sized> Accepts<T> for Serde {}
#[diagnostic::do_not_recommend]
impl<T, E, A: Accepts<T>, B: Accepts<E>> Accepts<Result<T, E>> for Parts<A, B> {}

#[diagnostic::do_not_recommend]
impl<T: ?Sized> Keeps<T> for AsNative {}
#[diagnostic::do_not_recommend]
impl<T: ?Sized> Keeps<T> for Serde {}
#[diagnostic::do_not_recommend]
impl<T: ?Sized, A, B> Keeps<T> for Parts<A, B> {}
