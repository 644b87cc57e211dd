//! A document as a tree that knows where each of its values stands, whatever it is written in.

use super::mistake::Mistake;
use std::borrow::Cow;

/// A value at an offset into the text.
#[derive(Debug)]
pub(crate) struct Node<'i> {
    pub(crate) at: usize,
    pub(crate) value: Value<'i>,
}

#[derive(Debug)]
pub(crate) enum Value<'i> {
    Text(Cow<'i, str>),
    /// As it is written; the number if it is one from 0 to 2^64 - 1.
    Number(Cow<'i, str>, Option<u64>),
    List(Vec<Node<'i>>),
    /// In the order of the text, repeated keys too.
    Table(Vec<(Key<'i>, Node<'i>)>),
    /// What the format has no use for, in words.
    Other(&'static str),
}

/// A key at an offset into the text.
#[derive(Debug)]
pub(crate) struct Key<'i> {
    pub(crate) at: usize,
    pub(crate) name: Cow<'i, str>,
}

impl Node<'_> {
    pub(crate) fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake::new(self.at, message)
    }

    /// What it is, in words.
    pub(crate) fn shown(&self) -> String {
        match &self.value {
            Value::Text(text) => format!("`{}`", text.escape_debug()),
            Value::Number(number, _) => format!("`{number}`"),
            Value::List(_) => "a list".into(),
            Value::Table(_) => "a table".into(),
            Value::Other(what) => (*what).into(),
        }
    }
}
