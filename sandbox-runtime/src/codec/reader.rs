//! Reads serde values in [their form](super::form), from bytes of a stranger.
//!
//! Every element takes a byte, so that the work is bounded by the bytes; what is nested is bounded by
//! [`Depth`]; what is allocated for a count is bounded by the bytes that follow it, and what elements take in memory
//! by [`Room`].

use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::CodecError;
use super::form::{self, Depth};
use super::message::Room;
use super::varint::{take, take_array, take_length, take_sized, take_varint};

/// Reads one value from the front of `bytes` and leaves the rest there.
pub(super) fn read<'de, T: de::Deserialize<'de>>(
    bytes: &mut &'de [u8],
    room: &mut Room,
) -> Result<T, CodecError> {
    T::deserialize(&mut Reader { bytes, names: Vec::new(), depth: Depth::new(), room })
}

struct Reader<'r, 'de> {
    bytes: &'r mut &'de [u8],
    names: Vec<&'de str>,
    depth: Depth,
    room: &'r mut Room,
}

impl<'de> Reader<'_, 'de> {
    /// What the next value begins with.
    #[inline]
    fn peek(&self) -> Result<u8, CodecError> {
        self.bytes.first().copied().ok_or(CodecError::Truncated)
    }

    /// Takes the next byte if it is this one.
    #[inline]
    fn skip(&mut self, tag: u8) -> Result<bool, CodecError> {
        let found = self.peek()? == tag;
        if found {
            take(self.bytes, 1)?;
        }
        Ok(found)
    }

    #[inline]
    fn text(&mut self) -> Result<&'de str, CodecError> {
        std::str::from_utf8(take_sized(self.bytes)?).map_err(|_| CodecError::Utf8)
    }

    #[inline]
    fn name(&mut self) -> Result<&'de str, CodecError> {
        match take_varint(self.bytes)? {
            0 => {
                let name = self.text()?;
                self.room.take::<&str>(1)?;
                self.names.push(name);
                Ok(name)
            }
            known => {
                let known = usize::try_from(known - 1).ok();
                known.and_then(|known| self.names.get(known)).copied().ok_or(CodecError::Invalid("name"))
            }
        }
    }

    /// Takes a number, if the next value is one of at most 64 bits.
    #[inline]
    fn number(&mut self) -> Result<Option<i128>, CodecError> {
        let tag = self.peek()?;
        if !matches!(tag, 0..=form::LARGEST_TINY | form::UNSIGNED | form::NEGATIVE) {
            return Ok(None);
        }
        take(self.bytes, 1)?;
        match tag {
            form::UNSIGNED => Ok(Some(take_varint(self.bytes)?.into())),
            form::NEGATIVE => match take_varint(self.bytes)?.cast_signed() {
                below @ 0.. => Ok(Some((!below).into())),
                _ => Err(CodecError::Invalid("number")),
            },
            tiny => Ok(Some(tiny.into())),
        }
    }

    /// Reads what lies one level deeper.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, CodecError>) -> Result<T, CodecError> {
        self.depth.enter()?;
        let value = read(self)?;
        self.depth.leave();
        Ok(value)
    }

    fn elements<T>(
        &mut self,
        named: bool,
        read: impl FnOnce(&mut Elements<'_, '_, 'de>) -> Result<T, CodecError>,
    ) -> Result<T, CodecError> {
        let left = take_length(self.bytes)?;
        self.nested(|reader| {
            let mut elements = Elements { reader, left, named };
            let value = read(&mut elements)?;
            // What follows would be taken for something else.
            match elements.left {
                0 => Ok(value),
                left => Err(CodecError::custom(format_args!("{left} elements more than the type has"))),
            }
        })
    }

    /// A variant where the type does not say that there is one: as JSON has it.
    fn variant_as_map<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, CodecError> {
        let name = self.name()?;
        if self.skip(form::UNIT)? {
            return visitor.visit_borrowed_str(name);
        }
        self.nested(|reader| visitor.visit_map(&mut Only { reader, name: Some(name) }))
    }
}

/// A number as the type that was asked for, so that a visitor may know that type alone.
macro_rules! numbers {
    ($($deserialize:ident $visit:ident $int:ident,)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
            match self.number()? {
                Some(number) => match $int::try_from(number) {
                    Ok(number) => visitor.$visit(number),
                    Err(_) => visit_number(number, visitor),
                },
                None => self.deserialize_any(visitor),
            }
        }
    )*};
}

fn visit_number<'de, V: Visitor<'de>>(number: i128, visitor: V) -> Result<V::Value, CodecError> {
    match (u64::try_from(number), i64::try_from(number)) {
        (Ok(number), _) => visitor.visit_u64(number),
        (_, Ok(number)) => visitor.visit_i64(number),
        _ => visitor.visit_i128(number),
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'_, 'de> {
    type Error = CodecError;

    forward_to_deserialize_any! {
        bool f32 f64 char str string unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }

    numbers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128,
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        if let Some(number) = self.number()? {
            return visit_number(number, visitor);
        }
        let [tag] = take_array(self.bytes)?;
        match tag {
            form::WIDE_UNSIGNED => visitor.visit_u128(u128::from_le_bytes(take_array(self.bytes)?)),
            form::WIDE_NEGATIVE => visitor.visit_i128(i128::from_le_bytes(take_array(self.bytes)?)),
            form::FLOAT32 => visitor.visit_f32(f32::from_le_bytes(take_array(self.bytes)?)),
            form::FLOAT64 => visitor.visit_f64(f64::from_le_bytes(take_array(self.bytes)?)),
            form::UNIT => visitor.visit_unit(),
            form::NONE => visitor.visit_none(),
            form::FALSE => visitor.visit_bool(false),
            form::TRUE => visitor.visit_bool(true),
            form::SOME => self.nested(|reader| visitor.visit_some(reader)),
            form::CHAR => match self.text()?.parse() {
                Ok(value) => visitor.visit_char(value),
                Err(_) => Err(CodecError::Invalid("char")),
            },
            form::TEXT => visitor.visit_borrowed_str(self.text()?),
            form::BYTES => visitor.visit_borrowed_bytes(take_sized(self.bytes)?),
            form::OCTETS => {
                let mut octets = SeqDeserializer::new(take_sized(self.bytes)?.iter().copied());
                let value = visitor.visit_seq(&mut octets)?;
                octets.end()?;
                Ok(value)
            }
            form::SEQUENCE => self.elements(false, |elements| visitor.visit_seq(elements)),
            form::MAP => self.elements(false, |elements| visitor.visit_map(elements)),
            form::STRUCT => self.elements(true, |elements| visitor.visit_map(elements)),
            form::VARIANT => self.variant_as_map(visitor),
            _ => Err(CodecError::Invalid("value")),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        // Slices of bytes are written as a sequence, which is octets unless it is empty, and read as bytes.
        if self.skip(form::OCTETS)? {
            visitor.visit_borrowed_bytes(take_sized(self.bytes)?)
        } else if self.bytes.starts_with(&[form::SEQUENCE, 0]) {
            take(self.bytes, 2)?;
            visitor.visit_borrowed_bytes(&[])
        } else {
            self.deserialize_any(visitor)
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_bytes(visitor)
    }

    /// As with JSON, what is no option where one is expected is something.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.peek()? {
            form::NONE | form::SOME | form::UNIT => self.deserialize_any(visitor),
            _ => self.nested(|reader| visitor.visit_some(reader)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.nested(|reader| visitor.visit_newtype_struct(reader))
    }

    /// As with JSON, a text names a variant without fields.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        if self.skip(form::VARIANT)? {
            visitor.visit_enum(self)
        } else if self.skip(form::TEXT)? {
            visitor.visit_enum(BorrowedStrDeserializer::new(self.text()?))
        } else {
            self.deserialize_any(visitor)
        }
    }
}

/// The elements of a sequence, or the entries of a map or struct, that are still to come.
struct Elements<'e, 'r, 'de> {
    reader: &'e mut Reader<'r, 'de>,
    left: usize,
    /// Whether the keys are names.
    named: bool,
}

impl Elements<'_, '_, '_> {
    #[inline]
    fn advance(&mut self) -> bool {
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        more
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, '_, 'de> {
    type Error = CodecError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, CodecError> {
        if !self.advance() {
            return Ok(None);
        }
        self.reader.room.take::<T::Value>(1)?;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.reader.bytes.len()))
    }
}

impl<'de> MapAccess<'de> for Elements<'_, '_, 'de> {
    type Error = CodecError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, CodecError> {
        if !self.advance() {
            return Ok(None);
        }
        self.reader.room.take::<K::Value>(1)?;
        if self.named {
            return seed.deserialize(BorrowedStrDeserializer::new(self.reader.name()?)).map(Some);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, CodecError> {
        self.reader.room.take::<V::Value>(1)?;
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.reader.bytes.len()))
    }
}

/// A map of one name.
struct Only<'e, 'r, 'de> {
    reader: &'e mut Reader<'r, 'de>,
    name: Option<&'de str>,
}

impl<'de> MapAccess<'de> for &mut Only<'_, '_, 'de> {
    type Error = CodecError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, CodecError> {
        self.name.take().map(|name| seed.deserialize(BorrowedStrDeserializer::new(name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, CodecError> {
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> EnumAccess<'de> for &mut Reader<'_, 'de> {
    type Error = CodecError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), CodecError> {
        let name = self.name()?;
        Ok((seed.deserialize(BorrowedStrDeserializer::<CodecError>::new(name))?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Reader<'_, 'de> {
    type Error = CodecError;

    fn unit_variant(self) -> Result<(), CodecError> {
        de::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, CodecError> {
        self.nested(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.deserialize_any(visitor)
    }
}
