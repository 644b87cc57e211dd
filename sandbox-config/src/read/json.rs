//! JSON to a tree. Places come from raw values: slices of the text, so that where they begin can be told.

use super::mistake::Mistake;
use super::node::{Key, Node, Value};
use serde_core::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The format nests four deep. Each level is parsed again, so this also bounds the time.
const DEEPEST: usize = 8;

pub(crate) fn root(text: &str) -> Result<Node<'_>, Mistake> {
    let raw = serde_json::from_str(text).map_err(|error| {
        let line: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        // Columns count bytes, and may point into a character.
        let at = (line + error.column().saturating_sub(1)).min(text.len());
        let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        Mistake::new(at, words(&error))
    })?;
    node(text, raw, 0)
}

fn node<'i>(text: &'i str, raw: &'i RawValue, depth: usize) -> Result<Node<'i>, Mistake> {
    let at = offset(text, raw.get());
    if depth > DEEPEST {
        return Err(Mistake::new(at, "nested deeper than the format goes"));
    }
    let below = |raw: &'i RawValue| node(text, raw, depth + 1);
    let failed = |error: serde_json::Error| Mistake::new(at, words(&error));
    let value = match raw.get().as_bytes().first() {
        Some(b'"') => Value::Text(serde_json::from_str::<String>(raw.get()).map_err(failed)?.into()),
        Some(b'[') => {
            let list: Vec<&'i RawValue> = serde_json::from_str(raw.get()).map_err(failed)?;
            Value::List(list.into_iter().map(below).collect::<Result<_, _>>()?)
        }
        Some(b'{') => {
            let Entries(entries) = serde_json::from_str(raw.get()).map_err(failed)?;
            let entry = |(Name(name), raw): (Name<'i>, &'i RawValue)| {
                // The quote is before it; an escaped key is a copy, so its table stands for it.
                let at = if let Cow::Borrowed(name) = name { offset(text, name) - 1 } else { at };
                below(raw).map(|node| (Key { at, name }, node))
            };
            Value::Table(entries.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
        Some(b't' | b'f') => Value::Other("a truth value"),
        Some(b'n') => Value::Other("`null`"),
        _ => Value::Number(raw.get().into(), raw.get().parse().ok()),
    };
    Ok(Node { at, value })
}

/// Where a part of a text begins in it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr().saturating_sub(text.as_ptr().addr())
}

/// Without the place, which is told otherwise.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// An object, with repeated keys.
struct Entries<'i>(Vec<(Name<'i>, &'i RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A key, borrowed where it has no escapes.
struct Name<'i>(Cow<'i, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}
