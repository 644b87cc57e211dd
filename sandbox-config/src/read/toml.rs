//! TOML to a tree.

use super::mistake::Mistake;
use super::node::{Key, Node, Value};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

pub(crate) fn root(text: &str) -> Result<Node<'_>, Mistake> {
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Mistake::new(at, error.message().replace('\n', ", "))
    })?;
    Ok(Node { at: 0, value: entries(table.into_inner()) })
}

fn node(value: Spanned<DeValue<'_>>) -> Node<'_> {
    let at = value.span().start;
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text),
        DeValue::Integer(integer) => Value::Number(integer.to_string().into(), number(&integer)),
        DeValue::Float(float) => Value::Number(float.to_string().into(), None),
        DeValue::Boolean(_) => Value::Other("a truth value"),
        DeValue::Datetime(_) => Value::Other("a date or time"),
        DeValue::Array(list) => Value::List(list.into_iter().map(node).collect()),
        DeValue::Table(table) => entries(table),
    };
    Node { at, value }
}

fn number(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// The parser keeps keys sorted, and refuses repeated ones.
fn entries<'i>(table: DeTable<'i>) -> Value<'i> {
    let key = |key: Spanned<_>| Key { at: key.span().start, name: key.into_inner() };
    let mut entries: Vec<_> = table.into_iter().map(|(name, value)| (key(name), node(value))).collect();
    entries.sort_by_key(|(key, _)| key.at);
    Value::Table(entries)
}
