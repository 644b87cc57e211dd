//! How generated code picks the codec of a type that only the compiler knows.
//!
//! The macro sees the tokens `Config`, not the type behind them. It emits the call of a method that several
//! traits have, and the compiler takes the first that applies: `codec` is looked up on `&&&&&&Probe<T>` and on a
//! reference to it, then with one reference less, and so on ("autoref specialization"). Each trait below is
//! implemented for another number of references, so the number is the priority; the two with the most are
//! implemented for different types, so their order does not matter.
//!
//! Exactly six `&`, and the traits in scope for this expression alone:
//!
//! ```
//! use std::path::Path;
//!
//! fn encode<'v>(
//!     path: &'v Path,
//!     out: &mut ::sandboxed_runtime::codec::Outgoing<'v>,
//! ) -> ::core::result::Result<(), ::sandboxed_runtime::codec::CodecError> {
//!     ::sandboxed_runtime::codec::put(
//!         {
//!             #[allow(unused_imports)]
//!             use ::sandboxed_runtime::codec::pick::*;
//!             (&&&&&&::sandboxed_runtime::codec::Probe::of(path)).codec()
//!         },
//!         path,
//!         out,
//!     )
//! }
//!
//! fn decode(
//!     input: &mut ::sandboxed_runtime::codec::Incoming<'_>,
//! ) -> ::core::result::Result<(), ::sandboxed_runtime::codec::CodecError> {
//!     let held = ::sandboxed_runtime::codec::hold(
//!         {
//!             #[allow(unused_imports)]
//!             use ::sandboxed_runtime::codec::pick::*;
//!             (&&&&&&::sandboxed_runtime::codec::Probe::<Path>::new()).codec()
//!         },
//!         ::sandboxed_runtime::codec::Probe::<Path>::new(),
//!         input,
//!     )?;
//!     let path: &Path = ::core::borrow::Borrow::borrow(&held);
//!     assert_eq!(path, "/etc/site");
//!     ::core::result::Result::Ok(())
//! }
//!
//! let mut out = sandboxed_runtime::codec::Outgoing::new();
//! encode("/etc/site".as_ref(), &mut out)?;
//! let bytes: Vec<u8> = out.segments().flatten().copied().collect();
//! decode(&mut sandboxed_runtime::codec::Incoming::new(&bytes, []))?;
//! # Ok::<(), sandboxed_runtime::codec::CodecError>(())
//! ```

use super::Probe;
use super::codecs::{AsNative, Crosses, Parts, Serde};
use super::native::Native;
use super::refused::{LostUpdates, Shared, Unsupported};

/// Before serde, which would copy them in silence: types whose updates would be lost.
pub trait PickShared {
    /// The codec of this type.
    fn codec(&self) -> LostUpdates {
        LostUpdates
    }
}

impl<T: ?Sized + Shared> PickShared for &&&&&&Probe<T> {}

/// First: types that cross without serde.
pub trait PickNative<'i> {
    /// The codec of this type.
    fn codec(&self) -> AsNative {
        AsNative
    }
}

impl<'i, T: ?Sized + Native<'i>> PickNative<'i> for &&&&&Probe<T> {}

/// Then: results whose error crosses without serde.
pub trait PickNativeError<'i> {
    /// The codec of this type.
    fn codec(&self) -> Parts<Serde, AsNative> {
        Parts(Serde, AsNative)
    }
}

impl<'i, T, E: Native<'i>> PickNativeError<'i> for &&&&Probe<Result<T, E>> {}

/// Then: results whose value crosses without serde.
pub trait PickNativeOk<'i> {
    /// The codec of this type.
    fn codec(&self) -> Parts<AsNative, Serde> {
        Parts(AsNative, Serde)
    }
}

impl<'i, T: Native<'i>, E> PickNativeOk<'i> for &&&Probe<Result<T, E>> {}

/// Then: types that are serde's.
pub trait PickSerde<'i> {
    /// The codec of this type.
    fn codec(&self) -> Serde {
        Serde
    }
}

impl<'i, T: ?Sized + Crosses<'i>> PickSerde<'i> for &&Probe<T> {}

/// Then: other results, in two parts so that an error names the one that cannot cross.
pub trait PickResult {
    /// The codec of this type.
    fn codec(&self) -> Parts<Serde, Serde> {
        Parts(Serde, Serde)
    }
}

impl<T, E> PickResult for &Probe<Result<T, E>> {}

/// Last: what cannot cross, which is an error where the codec is used.
pub trait PickNothing {
    /// The codec of this type.
    fn codec(&self) -> Unsupported {
        Unsupported
    }
}

impl<T: ?Sized> PickNothing for Probe<T> {}
