//! The codecs of types that cannot cross: they are there for the messages of the compiler.

use std::borrow::Borrow;
use std::cell::{Cell, OnceCell, RefCell, UnsafeCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, RwLock, atomic};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codecs::{Accepts, Back, Codec, Keeps, Returns};
use super::{CodecError, Incoming, Outgoing};

/// Types that are changed through a shared reference, at the top of an argument.
///
/// serde implements its traits for most of them, so that they would cross, as copies. Within a struct they
/// cannot be seen.
pub trait Shared {}

/// The codec of [`Shared`] types: not [`Keeps`]. Returning one is no loss.
///
/// ```compile_fail,E0277
/// # use std::sync::Mutex;
/// let codec = {
///     use sandboxed_runtime::codec::pick::*;
///     (&&&&&&sandboxed_runtime::codec::Probe::of(&Mutex::new(1))).codec()
/// };
/// sandboxed_runtime::codec::put(codec, &Mutex::new(1), &mut sandboxed_runtime::codec::Outgoing::new());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LostUpdates;

#[diagnostic::do_not_recommend]
impl<T: ?Sized> Accepts<T> for LostUpdates {}

/// The codec of types that nothing is known of: not [`Accepts`].
///
/// ```compile_fail,E0277
/// struct Opaque(u8);
/// let codec = {
///     use sandboxed_runtime::codec::pick::*;
///     (&&&&&&sandboxed_runtime::codec::Probe::of(&Opaque(1))).codec()
/// };
/// sandboxed_runtime::codec::put(codec, &Opaque(1), &mut sandboxed_runtime::codec::Outgoing::new());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Unsupported;

#[diagnostic::do_not_recommend]
impl<T: ?Sized> Keeps<T> for Unsupported {}

/// Types that no argument has.
///
/// The compiler names the argument's type in its message only if, before it has found out that type, more than one
/// seems possible.
macro_rules! none {
    ($($none:ident)*) => {$(
        /// No argument has this type.
        #[derive(Debug)]
        pub enum $none {}

        #[diagnostic::do_not_recommend]
        impl Accepts<$none> for Unsupported {}

        #[diagnostic::do_not_recommend]
        impl Keeps<$none> for LostUpdates {}
    )*};
}

none! { NoArgument NorThis }

/// What would be held of a type if it crossed: without it a second error would say that nothing is held.
pub trait Unheld {
    /// What would be held.
    type Held: Borrow<Self>;
}

impl<T> Unheld for T {
    type Held = T;
}

impl<T> Unheld for [T] {
    type Held = Vec<T>;
}

/// Nothing here is reached: the expansion does not compile.
macro_rules! refuse {
    ($($codec:ident)*) => {$(
        impl<'i, T: ?Sized + Unheld> Codec<'i, T> for $codec {
            type Held = T::Held;

            fn put<'v>(self, _: &'v T, _: &mut Outgoing<'v>) -> Result<(), CodecError> {
                Err(CodecError::Encode("its type cannot cross".into()))
            }

            fn take(self, _: &mut Incoming<'i>) -> Result<T::Held, CodecError> {
                Err(CodecError::Invalid("type"))
            }
        }

        impl<T> Back<T> for $codec {
            fn put_back<'v>(self, _: &'v T, _: &mut Outgoing<'v>) -> Result<(), CodecError> {
                Err(CodecError::Encode("its type cannot cross".into()))
            }

            fn take_back(self, _: &mut Incoming<'_>) -> Result<Option<T>, CodecError> {
                Err(CodecError::Invalid("type"))
            }
        }

        #[diagnostic::do_not_recommend]
        impl<T: Serialize + DeserializeOwned> Returns<T> for $codec {
            fn put_answer<'v>(self, value: &'v T, out: &mut Outgoing<'v>) -> Result<(), CodecError> {
                out.put_value(value)
            }

            fn take_answer(self, input: &mut Incoming<'_>) -> Result<T, CodecError> {
                input.take_value()
            }
        }
    )*};
}

refuse! { LostUpdates Unsupported }

macro_rules! shared {
    ($($(#[$cfg:meta])* [$($generics:tt)*] $type:ty,)*) => {$(
        $(#[$cfg])*
        impl<$($generics)*> Shared for $type {}
    )*};
}

shared! {
    [T: ?Sized] Cell<T>, [T: ?Sized] RefCell<T>, [T: ?Sized] UnsafeCell<T>, [T] OnceCell<T>,
    [T: ?Sized] Mutex<T>, [T: ?Sized] RwLock<T>, [T] OnceLock<T>,
    [] atomic::AtomicBool, [T] atomic::AtomicPtr<T>,
    [] atomic::AtomicI8, [] atomic::AtomicI16, [] atomic::AtomicI32, [] atomic::AtomicIsize,
    [] atomic::AtomicU8, [] atomic::AtomicU16, [] atomic::AtomicU32, [] atomic::AtomicUsize,
    #[cfg(target_has_atomic = "64")] [] atomic::AtomicI64,
    #[cfg(target_has_atomic = "64")] [] atomic::AtomicU64,
    [T: ?Sized + Shared] &T, [T: ?Sized + Shared] Box<T>, [T: ?Sized + Shared] Rc<T>, [T: ?Sized + Shared] Arc<T>,
    [T: Shared] Option<T>, [T: Shared] Vec<T>, [T: Shared] [T], [T: Shared, const N: usize] [T; N],
}
