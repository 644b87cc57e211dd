//! The form of serde's values on the wire.
//!
//! Every value begins with a byte that tells its kind, fields and variants have names, and a name is spelled out
//! once per value. So every type works that works with JSON: also those whose `Deserialize` looks before it
//! decides (`untagged`, `tag`, `flatten`, `serde_json::Value`), and those that leave out fields
//! (`skip_serializing_if`), which a form without kinds and names takes for other values in silence. And every
//! element takes at least one byte, so the length of a message bounds the work that it makes. (postcard, in which the
//! runtime's own messages are, was tried: it does neither, and has no bound on depth.)
//!
//! | byte | followed by |
//! |---|---|
//! | 0 to 127 | nothing: this number |
//! | [`UNSIGNED`], [`NEGATIVE`] | a varint: the number, or how far it is below -1 |
//! | [`WIDE_UNSIGNED`], [`WIDE_NEGATIVE`] | 16 bytes: a number beyond 64 bits |
//! | [`FLOAT32`], [`FLOAT64`] | 4 or 8 bytes |
//! | [`UNIT`], [`NONE`], [`FALSE`], [`TRUE`] | nothing |
//! | [`SOME`] | a value |
//! | [`CHAR`], [`TEXT`], [`BYTES`], [`OCTETS`] | a length and so many bytes; the last are a sequence of numbers |
//! | [`SEQUENCE`], [`MAP`] | a count, and so many values, or pairs of them |
//! | [`STRUCT`] | a count, and so many pairs of a name and a value |
//! | [`VARIANT`] | a name and a value: a unit, the only field, a sequence, or a struct |
//!
//! Lengths, counts and names are varints: seven bits per byte, the lowest first, the top bit set in all but the
//! last. A name is the place that it has among the names so far; 0 is followed by a new one, as length and text.

use crate::sys::stack;

/// The largest number that is its own tag.
pub(super) const LARGEST_TINY: u8 = 127;

/// Defines the tags by their order.
macro_rules! tags {
    ($first:expr; $($tag:ident)*) => { tags!(@ $first; $($tag)*); };
    (@ $value:expr; $tag:ident $($rest:ident)*) => {
        pub(super) const $tag: u8 = $value;
        tags!(@ $tag + 1; $($rest)*);
    };
    (@ $value:expr;) => {};
}

tags! { LARGEST_TINY + 1;
    UNSIGNED NEGATIVE WIDE_UNSIGNED WIDE_NEGATIVE FLOAT32 FLOAT64 UNIT NONE FALSE TRUE SOME CHAR TEXT BYTES OCTETS
    SEQUENCE MAP STRUCT VARIANT
}

/// How many sequences, maps, structs, variants with fields, newtypes and options may lie within one another.
///
/// Recursive types are the reason: a few hundred bytes can describe a list that needs as many stack frames.
pub(super) const MAX_DEPTH: u32 = 128;

/// How much stack one value may take, in bytes: half of what a Rust thread has by default.
///
/// The depth alone does not bound it, since a frame is as large as the type that it builds.
pub(super) const MAX_STACK: usize = 1 << 20;

/// A larger difference between two addresses on the stack means two stacks (code that continues on a stack of its
/// own), about which the difference says nothing.
const OTHER_STACK: usize = 16 << 20;

/// How deep a value is nested.
#[derive(Debug)]
pub(super) struct Depth {
    levels: u32,
    stack: usize,
}

impl Depth {
    /// At the surface, and here on the stack.
    pub(super) fn new() -> Self {
        Self { levels: 0, stack: stack::pointer() }
    }

    /// Goes one level deeper.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), super::CodecError> {
        let stack = self.stack.abs_diff(stack::pointer());
        if self.levels >= MAX_DEPTH || (MAX_STACK..OTHER_STACK).contains(&stack) {
            return Err(super::CodecError::TooDeep);
        }
        self.levels += 1;
        Ok(())
    }

    /// Comes back from there.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.levels -= 1;
    }
}
