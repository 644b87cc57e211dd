//! Types whose form on the wire is ours: bytes, text and sequences of numbers in bulk, paths, and what holds them.

use std::borrow::{Borrow, Cow};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::{CodecError, Incoming, Outgoing};
use crate::sys::plain::Plain;

/// A type that crosses without serde: in bulk, losslessly, or although serde does not know it.
pub trait Native<'i> {
    /// What the receiver holds: `Self`, or what `Self` can be borrowed from.
    type Held: Borrow<Self>;

    /// Whether a `&mut` argument of this type is copied back after the call.
    const COMES_BACK: bool = true;

    /// Whether a worker may write a part of it into a file that came with the call.
    const IN_FILE: bool = false;

    /// Appends the value to a message.
    ///
    /// # Errors
    ///
    /// [`CodecError::Encode`] if it has no form.
    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError>;

    /// Takes a value from a message.
    ///
    /// # Errors
    ///
    /// Any [`CodecError`] if the message does not hold such a value.
    fn receive(input: &mut Incoming<'i>) -> Result<Self::Held, CodecError>;
}

/// A [`Native`] type that a worker can return: it borrows nothing and is no descriptor.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot come back from the worker process",
    label = "goes to the worker only",
    note = "references and descriptors only go to the worker: return an owned value, or use `thread`"
)]
pub trait ComesBack {}

/// A [`Native`] type that makes a slice or vector of it native. Not numbers, whose sequences cross as their bytes.
pub trait Item {}

impl<'i> Native<'i> for [u8] {
    type Held = &'i [u8];

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        out.put_bytes(self);
        Ok(())
    }

    fn receive(input: &mut Incoming<'i>) -> Result<&'i [u8], CodecError> {
        input.take_bytes()
    }
}

impl<'i> Native<'i> for str {
    type Held = &'i str;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        out.put_bytes(self.as_bytes());
        Ok(())
    }

    fn receive(input: &mut Incoming<'i>) -> Result<&'i str, CodecError> {
        std::str::from_utf8(input.take_bytes()?).map_err(|_| CodecError::Utf8)
    }
}

impl<'i> Native<'i> for OsStr {
    type Held = &'i OsStr;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        out.put_bytes(self.as_bytes());
        Ok(())
    }

    fn receive(input: &mut Incoming<'i>) -> Result<&'i OsStr, CodecError> {
        input.take_bytes().map(OsStr::from_bytes)
    }
}

impl<'i> Native<'i> for Path {
    type Held = &'i Path;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        self.as_os_str().send(out)
    }

    fn receive(input: &mut Incoming<'i>) -> Result<&'i Path, CodecError> {
        OsStr::receive(input).map(Path::new)
    }
}

impl<'i> Native<'i> for CStr {
    type Held = &'i CStr;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        out.put_bytes(self.to_bytes_with_nul());
        Ok(())
    }

    fn receive(input: &mut Incoming<'i>) -> Result<&'i CStr, CodecError> {
        CStr::from_bytes_with_nul(input.take_bytes()?).map_err(|_| CodecError::Invalid("C string"))
    }
}

/// Owners of one of the above: sent as what they deref to, received by one copy.
macro_rules! owners {
    ($($owner:ty: $borrowed:ty,)*) => {$(
        impl<'i> Native<'i> for $owner {
            type Held = Self;

            fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
                <$borrowed>::send(self, out)
            }

            fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
                <$borrowed>::receive(input).map(Self::from)
            }
        }

        impl ComesBack for $owner {}
        impl Item for $owner {}
    )*};
}

owners! {
    Box<[u8]>: [u8], Rc<[u8]>: [u8], Arc<[u8]>: [u8],
    Box<str>: str, Rc<str>: str, Arc<str>: str,
    OsString: OsStr, Box<OsStr>: OsStr, Rc<OsStr>: OsStr, Arc<OsStr>: OsStr,
    PathBuf: Path, Box<Path>: Path, Rc<Path>: Path, Arc<Path>: Path,
    CString: CStr, Box<CStr>: CStr, Rc<CStr>: CStr, Arc<CStr>: CStr,
}

/// Those that can be what came, without a copy.
macro_rules! owners_of_vectors {
    ($($owner:ty: $borrowed:ty, $from:expr;)*) => {$(
        impl<'i> Native<'i> for $owner {
            type Held = Self;

            fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
                <$borrowed>::send(self, out)
            }

            fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
                input.take_vec().and_then($from)
            }
        }

        impl ComesBack for $owner {}
        impl Item for $owner {}
    )*};
}

owners_of_vectors! {
    Vec<u8>: [u8], Ok;
    String: str, |bytes| String::from_utf8(bytes).map_err(|_| CodecError::Utf8);
}

/// A reference within a value (`Option<&Path>`, `Vec<&str>`) borrows from the message.
impl<'i: 'x, 'x, B: ?Sized + Native<'i, Held = &'i B> + 'i> Native<'i> for &'x B {
    type Held = Self;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        (**self).send(out)
    }

    fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
        B::receive(input)
    }
}

impl<B: ?Sized> Item for &B {}

/// Owned at the receiver, so that one may be returned.
impl<'i, B> Native<'i> for Cow<'_, B>
where
    B: ?Sized + ToOwned + Native<'i, Held = &'i B> + 'i,
{
    type Held = Self;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        (**self).send(out)
    }

    fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
        B::receive(input).map(|value| Cow::Owned(value.to_owned()))
    }
}

impl<B: ?Sized + ToOwned> ComesBack for Cow<'_, B> {}
impl<B: ?Sized + ToOwned> Item for Cow<'_, B> {}

impl<'i, const N: usize> Native<'i> for [u8; N] {
    type Held = Self;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        out.put_bytes(self);
        Ok(())
    }

    fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
        let bytes = input.take_bytes()?;
        bytes.try_into().map_err(|_| CodecError::BadLength { expected: N, found: bytes.len() })
    }
}

impl<const N: usize> ComesBack for [u8; N] {}
impl<const N: usize> Item for [u8; N] {}

fn send_numbers<'v, N: Plain>(numbers: &'v [N], out: &mut Outgoing<'v>) -> Result<(), CodecError> {
    out.put_numbers(numbers);
    Ok(())
}

/// Slices of numbers other than bytes, and their owners: they cross as the bytes that they are in memory, host and worker
/// being the same program on the same machine.
macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl<'i> Native<'i> for [$number] {
            type Held = Cow<'i, [$number]>;

            fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
                send_numbers(self, out)
            }

            fn receive(input: &mut Incoming<'i>) -> Result<Cow<'i, [$number]>, CodecError> {
                input.take_numbers()
            }
        }

        impl<'i, const N: usize> Native<'i> for [$number; N] {
            type Held = Self;

            fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
                send_numbers(self, out)
            }

            fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
                let numbers = input.take_numbers::<$number>()?;
                let found = numbers.len();
                (&*numbers).try_into().map_err(|_| CodecError::BadLength { expected: N, found })
            }
        }

        impl<const N: usize> ComesBack for [$number; N] {}
        impl<const N: usize> Item for [$number; N] {}

        numbers! { @ Vec<$number> | Box<[$number]> | Rc<[$number]> | Arc<[$number]> }
    )*};
    (@ $($owner:ty)|*) => {$(
        impl<'i> Native<'i> for $owner {
            type Held = Self;

            fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
                send_numbers(self, out)
            }

            fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
                input.take_numbers().map(|numbers| numbers.into_owned().into())
            }
        }

        impl ComesBack for $owner {}
        impl Item for $owner {}
    )*};
}

numbers! { u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 }

/// As serde has them; listed so that `Result<u32, io::Error>` and `(Vec<u8>, u32, u32)` are native.
macro_rules! primitives {
    ($($primitive:ty)*) => {$(
        impl<'i> Native<'i> for $primitive {
            type Held = Self;

            fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
                out.put_value(self)
            }

            fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
                input.take_value()
            }
        }

        impl ComesBack for $primitive {}
    )*};
}

primitives! { () bool char u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 }

impl<'i, T: Native<'i, Held = T>> Native<'i> for Option<T> {
    type Held = Self;

    const COMES_BACK: bool = T::COMES_BACK;
    const IN_FILE: bool = T::IN_FILE;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        out.put_flag(self.is_some());
        self.as_ref().map_or(Ok(()), |value| value.send(out))
    }

    fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
        if input.take_flag()? { T::receive(input).map(Some) } else { Ok(None) }
    }
}

impl<T: ComesBack> ComesBack for Option<T> {}
impl<T: Item> Item for Option<T> {}

impl<'i, T: Native<'i, Held = T>, E: Native<'i, Held = E>> Native<'i> for Result<T, E> {
    type Held = Self;

    const COMES_BACK: bool = T::COMES_BACK && E::COMES_BACK;
    const IN_FILE: bool = T::IN_FILE || E::IN_FILE;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        out.put_flag(self.is_ok());
        match self {
            Ok(value) => value.send(out),
            Err(error) => error.send(out),
        }
    }

    fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
        if input.take_flag()? { T::receive(input).map(Ok) } else { E::receive(input).map(Err) }
    }
}

impl<T: ComesBack, E: ComesBack> ComesBack for Result<T, E> {}

impl<'i, T: Item + Native<'i, Held = T>> Native<'i> for [T] {
    type Held = Vec<T>;

    const COMES_BACK: bool = T::COMES_BACK;
    const IN_FILE: bool = T::IN_FILE;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        out.put_count(self.len());
        self.iter().try_for_each(|item| item.send(out))
    }

    fn receive(input: &mut Incoming<'i>) -> Result<Vec<T>, CodecError> {
        let count = input.take_count::<T>()?;
        // A hostile count is paid for with a byte per item; an item in memory is larger.
        let mut items = Vec::with_capacity(count.min(4096));
        for _ in 0..count {
            items.push(T::receive(input)?);
        }
        Ok(items)
    }
}

impl<'i, T: Item + Native<'i, Held = T>> Native<'i> for Vec<T> {
    type Held = Self;

    const COMES_BACK: bool = T::COMES_BACK;
    const IN_FILE: bool = T::IN_FILE;

    fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
        self.as_slice().send(out)
    }

    fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
        <[T]>::receive(input)
    }
}

impl<T: Item + ComesBack> ComesBack for Vec<T> {}
impl<T: Item> Item for Vec<T> {}

/// Without descriptors: of a `&mut` tuple either everything comes back or nothing.
macro_rules! tuples {
    ($(($($part:ident)+))*) => {$(
        impl<'i, $($part: ComesBack + Native<'i, Held = $part>),+> Native<'i> for ($($part,)+) {
            type Held = Self;

            const IN_FILE: bool = $($part::IN_FILE)||+;

            #[allow(non_snake_case, reason = "the parts are named as their types")]
            fn send<'v>(&'v self, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
                let ($($part,)+) = self;
                $($part.send(out)?;)+
                Ok(())
            }

            fn receive(input: &mut Incoming<'i>) -> Result<Self, CodecError> {
                Ok(($($part::receive(input)?,)+))
            }
        }

        impl<$($part: ComesBack),+> ComesBack for ($($part,)+) {}
        impl<$($part: ComesBack),+> Item for ($($part,)+) {}
    )*};
}

tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) }
