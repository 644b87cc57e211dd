//! What a body logs, on its way to the host's own logger.
//!
//! A worker waits until the host has passed a record on, so that records, what it prints and its end arrive in the order
//! in which they were made; and so that no flood of them is ahead of the host. What one call may have said is bounded: see
//! [`Said`].

#[cfg(feature = "tracing")]
pub(crate) mod tracing;

use crate::error::harmless;
use log::kv;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// What the host wants to hear of: levels of `log` and of `tracing`, 0 for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels {
    pub(crate) log: u8,
    pub(crate) tracing: u8,
}

impl Levels {
    const BITS: u32 = 3;

    /// Those of this process, now.
    pub(crate) fn ours() -> Levels {
        Levels { log: log::max_level() as u8, tracing: tracing::level() }
    }

    pub(crate) fn to_bits(self) -> u32 {
        u32::from(self.log) | u32::from(self.tracing) << Levels::BITS
    }

    /// Of what else is in the bits nothing is looked at.
    pub(crate) fn of_bits(bits: u32) -> Levels {
        let level = |bits: u32| (bits & ((1 << Levels::BITS) - 1)) as u8;
        Levels { log: level(bits), tracing: level(bits >> Levels::BITS) }
    }
}

/// By what it was made, and is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Facade {
    Log,
    Tracing,
}

/// A record of `log`, or an event of `tracing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) facade: Facade,
    /// From 1, an error, to 5.
    pub(crate) level: u8,
    pub(crate) target: String,
    pub(crate) message: String,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) module: Option<String>,
    /// The last part: of what else comes nothing is looked at.
    #[serde(deserialize_with = "few")]
    pub(crate) fields: Vec<(String, String)>,
}

/// The name of the function, beside what the body's own record says.
pub(crate) const FUNCTION: &str = "sandboxed.function";
/// Nobody but the host says these.
const OURS: &str = "sandboxed.";

/// The longest parts, in bytes, and the most fields: all of them fit a note.
const MESSAGE: usize = 32 << 10;
const NAME: usize = 1 << 10;
const VALUE: usize = 512;
const KEY: usize = 128;
pub(crate) const FIELDS: usize = 32;

impl Record {
    /// Of the body's, in the worker.
    pub(crate) fn of_log(record: &log::Record<'_>) -> Record {
        let mut fields = Fields::default();
        // A value that has no text is left out.
        record.key_values().visit(&mut fields).unwrap_or_default();
        Record {
            facade: Facade::Log,
            level: record.level() as u8,
            target: record.target().to_owned(),
            message: record.args().to_string(),
            file: record.file().map(str::to_owned),
            line: record.line(),
            module: record.module_path().map(str::to_owned),
            fields: fields.0,
        }
    }

    /// As it crosses: what is too long is cut.
    pub(crate) fn encode(mut self) -> Vec<u8> {
        self.shorten();
        postcard::to_allocvec(&self).unwrap_or_default()
    }

    /// What anybody may have written: short, and without anything that steers a terminal or looks like another record.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Record> {
        let mut record: Record = postcard::from_bytes(bytes).ok()?;
        if !(1..=5).contains(&record.level) {
            return None;
        }
        record.shorten();
        record.message = harmless(&record.message).replace('\r', "\\r").replace('\n', "\n    ");
        record.fields.retain(|(key, _)| !key.starts_with(OURS));
        let fields = record.fields.iter_mut().flat_map(|(key, value)| [key, value]);
        let names = [Some(&mut record.target), record.file.as_mut(), record.module.as_mut()];
        names.into_iter().flatten().chain(fields).for_each(|text| *text = in_a_line(text));
        Some(record)
    }

    fn shorten(&mut self) {
        cut(&mut self.message, MESSAGE);
        let names = [Some(&mut self.target), self.file.as_mut(), self.module.as_mut()];
        names.into_iter().flatten().for_each(|name| cut(name, NAME));
        self.fields.truncate(FIELDS);
        for (key, value) in &mut self.fields {
            cut(key, KEY);
            cut(value, VALUE);
        }
    }

    /// Of all its text, in bytes.
    fn length(&self) -> usize {
        let fields = self.fields.iter().flat_map(|(key, value)| [key, value]);
        let texts = [&self.target, &self.message].into_iter().chain(&self.file).chain(&self.module);
        texts.chain(fields).map(String::len).sum()
    }

    /// Passes it on, in the host.
    fn tell(&self, function: &'static str) {
        match self.facade {
            Facade::Log => self.tell_log(function),
            Facade::Tracing => tracing::tell(self, function),
        }
    }

    pub(crate) fn tell_log(&self, function: &'static str) {
        let Some(level) = log::Level::iter().find(|level| *level as u8 == self.level) else { return };
        let metadata = log::Metadata::builder().level(level).target(&self.target).build();
        if level > log::max_level() || !log::logger().enabled(&metadata) {
            return;
        }
        let fields = Told { function, fields: &self.fields };
        log::logger().log(
            &log::Record::builder()
                .metadata(metadata)
                .file(self.file.as_deref())
                .line(self.line)
                .module_path(self.module.as_deref())
                .key_values(&fields)
                .args(format_args!("{}", self.message))
                .build(),
        );
    }
}

/// How much the records of one call may take, in bytes of text.
const MOST: usize = 16 << 20;
/// What a logger adds to each: a time, a level, a line's end.
const ADDED: usize = 128;

/// What the body of one call has said.
#[derive(Debug)]
pub(crate) struct Said {
    function: &'static str,
    length: usize,
    left_out: u64,
}

impl Said {
    pub(crate) fn of(function: &'static str) -> Said {
        Said { function, length: 0, left_out: 0 }
    }

    /// Passes a record on, in the host, unless there were too many.
    pub(crate) fn tell(&mut self, record: &Record) {
        self.length = self.length.saturating_add(record.length() + ADDED);
        match self.length <= MOST {
            true => record.tell(self.function),
            false => self.left_out += 1,
        }
    }

    /// When the call is over: says how many were left out.
    pub(crate) fn end(&self) {
        if self.left_out > 0 {
            log::warn!(
                "{} records of a call of `{}` were left out: {} MiB are the most",
                self.left_out,
                self.function,
                MOST >> 20
            );
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod tracing {
    pub(super) fn level() -> u8 {
        0
    }

    /// No worker of ours sends any.
    pub(super) fn tell(record: &super::Record, function: &'static str) {
        record.tell_log(function);
    }
}

/// No more than there may be.
fn few<'de, D: Deserializer<'de>>(fields: D) -> Result<Vec<(String, String)>, D::Error> {
    struct Few;
    impl<'de> Visitor<'de> for Few {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("fields")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
            let mut taken = Vec::new();
            while taken.len() < FIELDS
                && let Some(field) = fields.next_element()?
            {
                taken.push(field);
            }
            Ok(taken)
        }
    }
    fields.deserialize_seq(Few)
}

/// Without what begins another line.
fn in_a_line(text: &str) -> String {
    let spelled = |letter: char| -> String {
        if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() }
    };
    text.chars().map(spelled).collect()
}

/// No more than so many bytes of it.
pub(crate) fn cut(text: &mut String, most: usize) {
    let end = (0..=text.len().min(most)).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
}

/// The fields of a record, as text.
#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl<'kvs> kv::VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        if self.0.len() < FIELDS {
            self.0.push((key.to_string(), value.to_string()));
        }
        Ok(())
    }
}

/// The fields as the host's logger sees them.
struct Told<'a> {
    function: &'static str,
    fields: &'a [(String, String)],
}

impl kv::Source for Told<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn kv::VisitSource<'kvs>) -> Result<(), kv::Error> {
        visitor.visit_pair(kv::Key::from_str(FUNCTION), kv::Value::from(self.function))?;
        self.fields.iter().try_for_each(|(key, value)| {
            visitor.visit_pair(kv::Key::from_str(key), kv::Value::from(value.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NOTE_LIMIT;

    fn record(text: &str, fields: usize) -> Record {
        Record {
            facade: Facade::Log,
            level: 3,
            target: text.into(),
            message: text.into(),
            file: Some(text.into()),
            line: Some(u32::MAX),
            module: Some(text.into()),
            fields: vec![(text.into(), text.into()); fields],
        }
    }

    #[test]
    fn the_longest_record_fits_a_note() {
        let bytes = record(&"ß\n".repeat(NOTE_LIMIT), 1000).encode();
        assert!((NOTE_LIMIT / 2..=NOTE_LIMIT).contains(&bytes.len()), "{} bytes", bytes.len());
        let record = Record::decode(&bytes).unwrap();
        assert_eq!(record.fields.len(), FIELDS);
    }

    #[test]
    fn what_is_forged_steers_no_terminal_and_begins_no_line() {
        let forged = record("a\u{1b}[2J\r\n[ERROR] b", 1);
        let told = Record::decode(&postcard::to_allocvec(&forged).unwrap()).unwrap();
        assert_eq!(told.message, "a\\u{1b}[2J\\r\n    [ERROR] b");
        let fields = told.fields.iter().flat_map(|(key, value)| [key, value]);
        for text in [&told.target, told.file.as_ref().unwrap(), told.module.as_ref().unwrap()]
            .into_iter()
            .chain(fields)
        {
            assert_eq!(text, "a\\u{1b}[2J\\r\\n[ERROR] b");
        }
    }

    #[test]
    fn levels_that_are_none_and_our_own_fields_are_refused() {
        for level in [0, 6, 255] {
            let bytes = postcard::to_allocvec(&Record { level, ..record("a", 0) }).unwrap();
            assert_eq!(Record::decode(&bytes), None);
        }
        let mut forged = record("a", 1);
        forged.fields.push((FUNCTION.into(), "another::function".into()));
        let told = Record::decode(&postcard::to_allocvec(&forged).unwrap()).unwrap();
        assert_eq!(told.fields, [("a".into(), "a".into())]);
    }

    /// Also of such that say nothing.
    #[test]
    fn a_flood_is_left_out() {
        for (text, most) in [("", MOST / ADDED), (&*"x".repeat(1 << 10), MOST / (6 * 1024 + ADDED))] {
            let mut said = Said::of("a::function");
            (0..most).for_each(|_| said.tell(&record(text, 1)));
            assert_eq!(said.left_out, 0);
            (0..10).for_each(|_| said.tell(&record(text, 1)));
            assert_eq!(said.left_out, 10);
        }
    }

    #[test]
    fn levels_cross_in_bits() {
        for (log, tracing) in [(0, 0), (5, 0), (0, 5), (3, 4)] {
            let levels = Levels { log, tracing };
            assert_eq!(Levels::of_bits(levels.to_bits() | 1 << 6), levels);
        }
    }
}
