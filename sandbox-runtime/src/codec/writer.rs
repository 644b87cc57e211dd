//! Writes serde values in [their form](super::form).

use std::collections::HashMap;

use serde::ser::{self, Serialize, Serializer};

use super::CodecError;
use super::form::{self, Depth};

/// Appends a value.
pub(super) fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    value.serialize(&mut Writer { out, names: Names::default(), depth: Depth::new(), octets: false })
}

struct Writer<'w> {
    out: &'w mut Vec<u8>,
    names: Names,
    depth: Depth,
    /// Whether a `u8` is written without a tag, as in [`form::OCTETS`]; no longer after any other value.
    octets: bool,
}

/// The names so far, by number from 1.
#[derive(Default)]
struct Names {
    numbers: HashMap<&'static str, usize>,
    names: Vec<Seen>,
    last: usize,
}

/// Fields follow one another as they did before, so most names are found without a look at their text.
struct Seen {
    name: &'static str,
    /// The number of the one that came after it.
    next: usize,
}

impl Names {
    /// The number of a name that there was before.
    #[inline]
    fn number(&mut self, name: &'static str) -> Option<u64> {
        let guess = self.seen(self.last).map_or(0, |last| last.next);
        let number = match self.seen(guess) {
            Some(seen) if std::ptr::eq(seen.name, name) => Some(guess),
            _ => self.look_up(name),
        };
        self.last = number.unwrap_or(self.names.len());
        number.map(length)
    }

    fn look_up(&mut self, name: &'static str) -> Option<usize> {
        let new = self.names.len() + 1;
        let number = *self.numbers.entry(name).or_insert(new);
        if number == new {
            self.names.push(Seen { name, next: 0 });
        }
        let last = self.last;
        if let Some(last) = last.checked_sub(1).and_then(|last| self.names.get_mut(last)) {
            last.next = number;
        }
        (number != new).then_some(number)
    }

    #[inline]
    fn seen(&self, number: usize) -> Option<&Seen> {
        self.names.get(number.checked_sub(1)?)
    }
}

/// Appends a varint.
#[inline]
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// A length or count; `usize` is at most 64 bits wide wherever Linux runs.
pub(super) fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
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
    fn unsigned(&mut self, value: u64) {
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
    fn name(&mut self, name: &'static str) {
        match self.names.number(name) {
            Some(known) => varint(known, self.out),
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
        let declared = length(count.unwrap_or(0));
        self.out.reserve(count.unwrap_or(0));
        let at = self.out.len();
        varint(declared, self.out);
        let begin = self.out.len();
        Ok(Compound { declared, at, begin, count: 0, octets: false, writer: self })
    }
}

/// What has a count: its values are being written.
struct Compound<'c, 'w> {
    writer: &'c mut Writer<'w>,
    /// The count that was written, where it begins, and where it ends.
    declared: u64,
    at: usize,
    begin: usize,
    /// The count of values so far.
    count: u64,
    /// Whether all of them are bytes without tags.
    octets: bool,
}

impl Compound<'_, '_> {
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        self.count += 1;
        value.serialize(&mut *self.writer)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), CodecError> {
        self.writer.name(name);
        self.value(value)
    }

    /// A value of a sequence, which consists of octets as long as every value is a `u8`.
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        let end = self.writer.out.len();
        self.writer.octets |= self.count == 0;
        self.count += 1;
        value.serialize(&mut *self.writer)?;
        if self.writer.octets != self.octets {
            self.change(end);
        }
        Ok(())
    }

    /// The first value is an octet, or the one that was written from `end` on is the first that is none.
    #[cold]
    fn change(&mut self, end: usize) {
        self.octets = !self.octets;
        if self.octets {
            self.writer.out[self.at - 1] = form::OCTETS;
            return;
        }
        let later = self.writer.out.split_off(end);
        let octets = self.writer.out.split_off(self.begin);
        self.writer.out[self.at - 1] = form::SEQUENCE;
        octets.into_iter().for_each(|octet| self.writer.unsigned(octet.into()));
        self.writer.out.extend_from_slice(&later);
    }

    #[inline]
    fn finish(self) -> Result<(), CodecError> {
        if self.count != self.declared {
            let mut count = Vec::new();
            varint(self.count, &mut count);
            drop(self.writer.out.splice(self.at..self.begin, count));
        }
        self.writer.depth.leave();
        self.writer.octets = false;
        Ok(())
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

/// The traits of what has a count differ in the names of their methods.
macro_rules! compounds {
    ($($trait:ident $serialize:ident $write:ident,)*) => {$(
        impl ser::$trait for Compound<'_, '_> {
            type Ok = ();
            type Error = CodecError;

            fn $serialize<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
                self.$write(value)
            }

            fn end(self) -> Result<(), CodecError> {
                self.finish()
            }
        }
    )*};
    ($($trait:ident,)*) => {$(
        impl ser::$trait for Compound<'_, '_> {
            type Ok = ();
            type Error = CodecError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), CodecError> {
                self.field(name, value)
            }

            fn end(self) -> Result<(), CodecError> {
                self.finish()
            }
        }
    )*};
}

compounds! {
    SerializeSeq serialize_element element,
    SerializeTuple serialize_element element,
    SerializeTupleStruct serialize_field value,
    SerializeTupleVariant serialize_field value,
}

compounds! { SerializeStruct, SerializeStructVariant, }

impl ser::SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CodecError> {
        self.value(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), CodecError> {
        self.finish()
    }
}
