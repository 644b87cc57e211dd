//! Writes what consists of several values: sequences, maps, structs.

use serde::ser::{self, Serialize};

use super::CodecError;
use super::form;
use super::varint::{length, varint};
use super::writer::Writer;

/// What has a count: its values are being written.
pub(super) struct Compound<'c, 'w> {
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

impl<'c, 'w> Compound<'c, 'w> {
    /// Begins it after its tag. `Serialize` may tell the wrong count or none.
    #[inline]
    pub(super) fn begin(writer: &'c mut Writer<'w>, count: Option<usize>) -> Self {
        let declared = length(count.unwrap_or(0));
        writer.out.reserve(count.unwrap_or(0).min(1 << 20));
        let at = writer.out.len();
        varint(declared, writer.out);
        let begin = writer.out.len();
        Self { declared, at, begin, count: 0, octets: false, writer }
    }

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
