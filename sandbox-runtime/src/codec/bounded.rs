//! Reads serde values from bytes of a stranger.
//!
//! The form is postcard's (the tests compare both), the reader is ours, for three reasons: it bounds the depth
//! and the number of elements where they arise, without a second layer of stack frames around every value; it
//! keeps what a `Deserialize` implementation says when it refuses a value, which postcard drops; and a host
//! reads the bytes of a hostile worker with code that is short enough to be read itself.

use std::convert::identity;
use std::hint::black_box;

use serde::de::value::U32Deserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::CodecError;

/// How many sequences, maps, structs, enums and options may lie within one another.
///
/// Recursive types are the reason: a few hundred bytes can describe a list that needs as many stack frames.
pub(super) const MAX_DEPTH: u32 = 128;

/// How much stack one value may take while it is read, in bytes: half of what a Rust thread has by default.
///
/// The depth alone does not bound it, since a frame is as large as the type that it builds.
pub(super) const MAX_STACK: usize = 1 << 20;

/// A larger difference between two addresses on the stack means two stacks (a `Deserialize` that continues on a
/// stack of its own, AddressSanitizer's copies of frames), about which the difference says nothing.
const OTHER_STACK: usize = 16 << 20;

/// How many elements all sequences and maps of a message may have together.
///
/// Elements such as `()` take no bytes, so that a message of ten bytes could declare 2⁶⁴ of them.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// For a message of so many bytes: what values have, and room for those without bytes.
    pub(super) fn for_message(bytes: usize) -> Self {
        Self(bytes.saturating_mul(16).saturating_add(64 << 10))
    }

    /// Accounts for `elements` more.
    pub(super) fn spend(&mut self, elements: usize) -> Result<(), CodecError> {
        self.0 = self.0.checked_sub(elements).ok_or(CodecError::TooManyElements)?;
        Ok(())
    }
}

/// Reads one value from the front of `bytes` and leaves the rest there.
pub(super) fn read<'de, T: de::Deserialize<'de>>(bytes: &mut &'de [u8], budget: &mut Budget) -> Result<T, CodecError> {
    T::deserialize(&mut Reader { bytes, budget, depth: 0, stack: stack_address() })
}

/// About where the stack is.
#[inline(never)]
fn stack_address() -> usize {
    let mark = 0_u8;
    std::ptr::from_ref(black_box(&mark)).addr()
}

struct Reader<'r, 'de> {
    bytes: &'r mut &'de [u8],
    budget: &'r mut Budget,
    depth: u32,
    stack: usize,
}

/// serde's integers come in two sizes that are worth telling apart: those of a register, and the widest.
macro_rules! varint {
    ($($(#[$doc:meta])* $name:ident: $int:ident,)*) => {$(
        $(#[$doc])*
        fn $name(&mut self, bits: u32) -> Result<$int, CodecError> {
            let mut value = 0;
            for shift in (0..bits).step_by(7) {
                let byte = self.byte()?;
                let part = $int::from(byte & 0x7f);
                if bits - shift < 7 && part >> (bits - shift) != 0 {
                    break;
                }
                value |= part << shift;
                if byte & 0x80 == 0 {
                    return Ok(value);
                }
            }
            Err(CodecError::Invalid("number"))
        }
    )*};
}

impl<'de> Reader<'_, 'de> {
    fn take(&mut self, length: usize) -> Result<&'de [u8], CodecError> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(CodecError::Truncated)?;
        *self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(CodecError::Truncated)?;
        *self.bytes = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, CodecError> {
        self.array().map(|[byte]| byte)
    }

    varint! {
        /// An integer of at most `bits` bits: seven per byte, the lowest first, the top bit set in all but the last.
        varint: u64,
        /// The same for the widest integers.
        wide_varint: u128,
    }

    /// A length; one that exceeds the address space exceeds the message, too.
    fn length(&mut self) -> Result<usize, CodecError> {
        usize::try_from(self.varint(u64::BITS)?).map_err(|_| CodecError::Truncated)
    }

    fn text(&mut self) -> Result<&'de str, CodecError> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| CodecError::Utf8)
    }

    fn bytes(&mut self) -> Result<&'de [u8], CodecError> {
        let length = self.length()?;
        self.take(length)
    }

    /// Reads what lies one level deeper.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, CodecError>) -> Result<T, CodecError> {
        let stack = self.stack.abs_diff(stack_address());
        if self.depth >= MAX_DEPTH || (MAX_STACK..OTHER_STACK).contains(&stack) {
            return Err(CodecError::TooDeep);
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// Reads `count` elements that `visitor` asks for one after another.
    fn elements<V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.nested(|reader| {
            let mut elements = Elements { reader, left: count };
            let value = visitor.visit_seq(&mut elements)?;
            elements.end()?;
            Ok(value)
        })
    }
}

/// One method of [`Deserializer`] per integer: which varint holds it, and how.
macro_rules! integers {
    ($($deserialize:ident $visit:ident $int:ident $varint:ident $decode:expr,)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
            let value = self.$varint($int::BITS)?;
            visitor.$visit($int::try_from($decode(value)).map_err(|_| CodecError::Invalid("number"))?)
        }
    )*};
}

/// From zigzag: 0, -1, 1, -2, ...
fn signed(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

fn wide_signed(value: u128) -> i128 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// What serde asks for if the type is known only from the bytes, which do not tell it.
fn not_described<T>() -> Result<T, CodecError> {
    Err(CodecError::custom(
        "the type can only be read from a form that describes itself, \
         such as JSON (serde's `untagged`, `flatten`, `tag`, or a type for any value)",
    ))
}

impl<'de> Deserializer<'de> for &mut Reader<'_, 'de> {
    type Error = CodecError;

    integers! {
        deserialize_i16 visit_i16 i16 varint signed,
        deserialize_i32 visit_i32 i32 varint signed,
        deserialize_i64 visit_i64 i64 varint signed,
        deserialize_i128 visit_i128 i128 wide_varint wide_signed,
        deserialize_u16 visit_u16 u16 varint identity,
        deserialize_u32 visit_u32 u32 varint identity,
        deserialize_u64 visit_u64 u64 varint identity,
        deserialize_u128 visit_u128 u128 wide_varint identity,
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, CodecError> {
        not_described()
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, CodecError> {
        not_described()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, CodecError> {
        not_described()
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.byte()? {
            0 => visitor.visit_bool(false),
            1 => visitor.visit_bool(true),
            _ => Err(CodecError::Invalid("bool")),
        }
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_u8(self.byte()?)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_i8(self.byte()?.cast_signed())
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_f32(f32::from_le_bytes(self.array()?))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_f64(f64::from_le_bytes(self.array()?))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let mut chars = self.text()?.chars();
        match (chars.next(), chars.next()) {
            (Some(only), None) => visitor.visit_char(only),
            _ => Err(CodecError::Invalid("char")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.byte()? {
            0 => visitor.visit_none(),
            1 => self.nested(|reader| visitor.visit_some(reader)),
            _ => Err(CodecError::Invalid("option")),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, CodecError> {
        self.nested(|reader| visitor.visit_newtype_struct(reader))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let count = self.length()?;
        self.elements(count, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.elements(count, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.elements(count, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.elements(fields.len(), visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let count = self.length()?;
        self.nested(|reader| {
            let mut entries = Elements { reader, left: count };
            let value = visitor.visit_map(&mut entries)?;
            entries.end()?;
            Ok(value)
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.nested(|reader| visitor.visit_enum(reader))
    }
}

/// The elements of a sequence, or the entries of a map, that are still to come.
struct Elements<'e, 'r, 'de> {
    reader: &'e mut Reader<'r, 'de>,
    left: usize,
}

impl Elements<'_, '_, '_> {
    /// Accounts for one more element; whether there is one.
    fn advance(&mut self) -> Result<bool, CodecError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(false) };
        self.left = left;
        self.reader.budget.spend(1)?;
        Ok(true)
    }

    /// What is declared must have been read: the bytes that follow would be taken for something else.
    fn end(self) -> Result<(), CodecError> {
        match self.left {
            0 => Ok(()),
            left => Err(CodecError::custom(format_args!("{left} elements more than the type has"))),
        }
    }

    /// What to allocate for: never more than the bytes could hold, whatever the declared count.
    fn hint(&self) -> Option<usize> {
        Some(self.left.min(self.reader.bytes.len()))
    }
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, '_, 'de> {
    type Error = CodecError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, CodecError> {
        if self.advance()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for &mut Elements<'_, '_, 'de> {
    type Error = CodecError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, CodecError> {
        if self.advance()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, CodecError> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> EnumAccess<'de> for &mut Reader<'_, 'de> {
    type Error = CodecError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), CodecError> {
        let index = u32::try_from(self.varint(u32::BITS)?).map_err(|_| CodecError::Invalid("number"))?;
        let index: U32Deserializer<CodecError> = index.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Reader<'_, 'de> {
    type Error = CodecError;

    fn unit_variant(self) -> Result<(), CodecError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, CodecError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.elements(count, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.elements(fields.len(), visitor)
    }
}
