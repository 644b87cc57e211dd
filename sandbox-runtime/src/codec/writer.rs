//! Writes serde values in [their form](super::form).

use serde::ser::{Serialize, Serializer};

use super::CodecError;
use super::compound::Compound;
use super::form::{self, Depth};
use super::names::Names;
use super::varint::{length, varint};

/// Appends a value.
pub(super) fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    value.serialize(&mut Writer { out, names: Names::default(), depth: Depth::new(), octets: false })
}

pub(super) struct Writer<'w> {
    pub(super) out: &'w mut Vec<u8>,
    names: Names,
    pub(super) depth: Depth,
    /// Whether a `u8` is written without a tag, as in [`form::OCTETS`]; no longer after any other value.
    pub(super) octets: bool,
}

impl<'w> Writer<'w> {
    #[inline]
    fn tag(&mut self, tag: u8) {
        self.octets = false;
        self.out.push(tag);
    }

    #[inline]
    fn sized(&mut self, tag: u8, bytes: &[u8]) {
        self.tag(tag);
        varint(length(bytes.len()), self.out);
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    pub(super) fn unsigned(&mut self, value: u64) {
        match u8::try_from(value) {
            Ok(tiny @ 0..=form::LARGEST_TINY) => self.tag(tiny),
            _ => {
                self.tag(form::UNSIGNED);
                varint(value, self.out);
            }
        }
    }

    #[inline]
    fn signed(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.unsigned(value),
            Err(_) => {
                self.tag(form::NEGATIVE);
                varint((!value).cast_unsigned(), self.out);
            }
        }
    }

    #[inline]
    pub(super) fn name(&mut self, name: &'static str) {
        match self.names.number(name) {
            Some(known) => varint(length(known), self.out),
            None => {
                varint(0, self.out);
                varint(length(name.len()), self.out);
                self.out.extend_from_slice(name.as_bytes());
            }
        }
    }

    fn variant(&mut self, name: &'static str) {
        self.tag(form::VARIANT);
        self.name(name);
    }

    /// Writes a value that lies one level deeper.
    fn nested<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        self.depth.enter()?;
        self.octets = false;
        value.serialize(&mut *self)?;
        self.depth.leave();
        Ok(())
    }

    /// Begins what has a count, of which `Serialize` may tell the wrong one or none.
    #[inline]
    fn compound(&mut self, tag: u8, count: Option<usize>) -> Result<Compound<'_, 'w>, CodecError> {
        self.depth.enter()?;
        self.tag(tag);
        Ok(Compound::begin(self, count))
    }
}

/// Methods that convert a primitive and hand it on.
macro_rules! primitives {
    ($($serialize:ident($from:ty) => $write:ident($to:ty),)*) => {$(
        #[inline]
        fn $serialize(self, value: $from) -> Result<(), CodecError> {
            self.$write(<$to>::from(value));
            Ok(())
        }
    )*};
}

impl<'c, 'w> Serializer for &'c mut Writer<'w> {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = Compound<'c, 'w>;
    type SerializeTuple = Compound<'c, 'w>;
    type SerializeTupleStruct = Compound<'c, 'w>;
    type SerializeTupleVariant = Compound<'c, 'w>;
    type SerializeMap = Compound<'c, 'w>;
    type SerializeStruct = Compound<'c, 'w>;
    type SerializeStructVariant = Compound<'c, 'w>;

    primitives! {
        serialize_u16(u16) => unsigned(u64),
        serialize_u32(u32) => unsigned(u64),
        serialize_u64(u64) => unsigned(u64),
        serialize_i8(i8) => signed(i64),
        serialize_i16(i16) => signed(i64),
        serialize_i32(i32) => signed(i64),
        serialize_i64(i64) => signed(i64),
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), CodecError> {
        self.tag(if value { form::TRUE } else { form::FALSE });
        Ok(())
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Result<(), CodecError> {
        if self.octets {
            self.out.push(value);
        } else {
            self.unsigned(value.into());
        }
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), CodecError> {
        match u64::try_from(value) {
            Ok(value) => self.unsigned(value),
            Err(_) => {
                self.tag(form::WIDE_UNSIGNED);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
        }
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), CodecError> {
        match (i64::try_from(value), u128::try_from(value)) {
            (Ok(value), _) => self.signed(value),
            (_, Ok(value)) => self.serialize_u128(value)?,
            _ => {
                self.tag(form::WIDE_NEGATIVE);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
        }
        Ok(())
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), CodecError> {
        self.tag(form::FLOAT32);
        self.out.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), CodecError> {
        self.tag(form::FLOAT64);
        self.out.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), CodecError> {
        self.sized(form::CHAR, value.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), CodecError> {
        self.sized(form::TEXT, value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), CodecError> {
        self.sized(form::BYTES, value);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), CodecError> {
        self.tag(form::NONE);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CodecError> {
        self.tag(form::SOME);
        self.nested(value)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), CodecError> {
        self.tag(form::UNIT);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), CodecError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), CodecError> {
        self.variant(variant);
        self.serialize_unit()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        self.nested(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        self.variant(variant);
        self.nested(value)
    }

    fn serialize_seq(self, count: Option<usize>) -> Result<Compound<'c, 'w>, CodecError> {
        self.compound(form::SEQUENCE, count)
    }

    fn serialize_tuple(self, count: usize) -> Result<Compound<'c, 'w>, CodecError> {
        self.compound(form::SEQUENCE, Some(count))
    }

    fn serialize_tuple_struct(self, _: &'static str, count: usize) -> Result<Compound<'c, 'w>, CodecError> {
        self.compound(form::SEQUENCE, Some(count))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<Compound<'c, 'w>, CodecError> {
        self.variant(variant);
        self.compound(form::SEQUENCE, Some(count))
    }

    fn serialize_map(self, count: Option<usize>) -> Result<Compound<'c, 'w>, CodecError> {
        self.compound(form::MAP, count)
    }

    fn serialize_struct(self, _: &'static str, count: usize) -> Result<Compound<'c, 'w>, CodecError> {
        self.compound(form::STRUCT, Some(count))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<Compound<'c, 'w>, CodecError> {
        self.variant(variant);
        self.compound(form::STRUCT, Some(count))
    }
}
