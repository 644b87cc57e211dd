//! What changed between two locks, and whether that widens a sandbox.

use super::text::{BY_ATTRIBUTE, Block, Lock, placement};
use crate::plan::Placement;
use std::collections::BTreeMap;
use std::fmt;

/// What changed since a lock was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// By function.
    pub changes: BTreeMap<String, Change>,
}

/// What changed of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Whether it was there, and whether it is there now.
    pub existence: (bool, bool),
    /// Lines that are gone, with what that does.
    pub removed: Vec<(String, Effect)>,
    /// Lines that are new, with what that does.
    pub added: Vec<(String, Effect)>,
}

/// What a changed line does to the sandbox, where that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// More may be done.
    Widens,
    /// Less may be done.
    Narrows,
    /// Neither, or it cannot be told.
    Changes,
}

impl Effect {
    const fn opposite(self) -> Effect {
        match self {
            Effect::Widens => Effect::Narrows,
            Effect::Narrows => Effect::Widens,
            Effect::Changes => Effect::Changes,
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Effect::Widens => "widens",
            Effect::Narrows => "narrows",
            Effect::Changes => "changes",
        })
    }
}

impl Lock {
    /// What changed from this lock to another.
    pub fn difference(&self, now: &Lock) -> Difference {
        let names = self.blocks.keys().chain(now.blocks.keys());
        let none = Block::new();
        let change = |name: &String| {
            let (before, after) = (self.blocks.get(name), now.blocks.get(name));
            let existence = (before.is_some(), after.is_some());
            let change = Change::new(before.unwrap_or(&none), after.unwrap_or(&none), existence);
            (before != after).then(|| (name.clone(), change))
        };
        Difference { changes: names.filter_map(change).collect() }
    }
}

impl Change {
    fn new(before: &Block, after: &Block, existence: (bool, bool)) -> Change {
        // Of a function that is new or gone every line is, and none of them widens what was there.
        let is_known = existence == (true, true);
        let effect = |line: &str, this: &Block, other: &Block| match is_known {
            true => added(line, this, other),
            false => Effect::Changes,
        };
        let removed =
            before.difference(after).map(|line| (line.clone(), effect(line, before, after).opposite()));
        let added = after.difference(before).map(|line| (line.clone(), effect(line, after, before)));
        Change { existence, removed: removed.collect(), added: added.collect() }
    }
}

/// As a diff: `-` is gone, `+` is new, and behind it what that does.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, change) in &self.changes {
            let (sign, note) = match change.existence {
                (false, _) => ('+', " (new)"),
                (_, false) => ('-', " (gone)"),
                _ => (' ', ""),
            };
            writeln!(f, "{sign} {name}{note}")?;
            let removed = change.removed.iter().map(|line| ('-', line));
            for (sign, (line, effect)) in removed.chain(change.added.iter().map(|line| ('+', line))) {
                match effect {
                    Effect::Changes => writeln!(f, "{sign}   {line}")?,
                    effect => writeln!(f, "{sign}   {line:<40} {effect}")?,
                }
            }
        }
        Ok(())
    }
}

/// What it does that a line is in `this` block and not in the `other`.
fn added(line: &str, this: &Block, other: &Block) -> Effect {
    let (key, value) = parts(line);
    let theirs =
        other.iter().map(|line| parts(line)).find(|(other, _)| *other == key).map(|(_, value)| value);
    match key {
        "read" | "write" | "execute" | "unix" | "fs" if is_optional_there(line, other) => Effect::Changes,
        "read" | "write" | "execute" | "unix" | "fs" | "tcp_bind" | "tcp_connect" | "udp_bind"
        | "udp_connect" | "allow" | "preset" | "env" | "best_effort" => Effect::Widens,
        "strict" | "namespaces" => Effect::Narrows,
        "timeout" | "memory" | "cpu" | "open_files" | "file_size" | "threads" => {
            limit(key, value, theirs, [this, other])
        }
        "stdio" => match (value, theirs) {
            ("\"inherit\"", _) => Effect::Widens,
            (_, Some("\"inherit\"")) => Effect::Narrows,
            _ => Effect::Changes,
        },
        _ => match (placement(line), other.iter().find_map(|line| placement(line))) {
            (Some(Placement::Process), Some(_)) => Effect::Narrows,
            (Some(_), Some(Placement::Process)) => Effect::Widens,
            _ => Effect::Changes,
        },
    }
}

/// `read = "/usr"`, `fs(make_dir = "/x")`, `strict`: the key, and its value.
fn parts(line: &str) -> (&str, &str) {
    let end = line.find([' ', '(']).unwrap_or(line.len());
    let (key, value) = line.split_at(end);
    (key, value.strip_prefix(" = ").unwrap_or(value))
}

/// Whether the other says the same of a path but for whether it may be missing.
fn is_optional_there(line: &str, other: &Block) -> bool {
    let plain = |line: &str| line.replace("optional(", "").replace(')', "");
    other.iter().any(|theirs| plain(theirs) == plain(line))
}

fn limit(key: &str, ours: &str, theirs: Option<&str>, blocks: [&Block; 2]) -> Effect {
    let Some(theirs) = theirs else {
        // What is not named is not limited, unless there is a default, which an attribute leaves out.
        let by_attribute = blocks.iter().any(|block| block.contains(BY_ATTRIBUTE));
        let has_default = by_attribute && ["timeout", "memory", "open_files"].contains(&key);
        return if has_default || ours.contains("unlimited") || ours.contains("never") {
            Effect::Changes
        } else {
            Effect::Narrows
        };
    };
    match (quantity(ours), quantity(theirs)) {
        (Some(ours), Some(theirs)) if ours > theirs => Effect::Widens,
        (Some(ours), Some(theirs)) if ours < theirs => Effect::Narrows,
        _ => Effect::Changes,
    }
}

/// A time in nanoseconds, a size in bytes, a number.
fn quantity(value: &str) -> Option<u128> {
    const UNITS: [(&str, u128); 11] = [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("min", 60_000_000_000),
        ("s", 1_000_000_000),
        ("h", 3_600_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("B", 1),
    ];
    let value = value.trim_matches('"');
    if ["never", "unlimited"].contains(&value) {
        return Some(u128::MAX);
    }
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let size = if unit.is_empty() {
        Some(1)
    } else {
        UNITS.iter().find(|known| known.0 == unit).map(|known| known.1)
    };
    number.parse::<u128>().ok()?.checked_mul(size?)
}
