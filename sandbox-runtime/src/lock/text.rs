//! The text of a lock, written and read.

use crate::plan::{Limits, Placement};
use crate::policy::{Memory, PathGrant, Policy, Timeout};
use crate::registry::Function;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// What functions may do, in one text for all machines: a block for each, a line for each grant.
///
/// ```text
/// config::load
///   process
///   by its attribute
///   read = path
///
/// site::serve
///   in_place
///   read = "/etc/site"
///   tcp_bind = 8080
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lock {
    /// By the name of the function. Of several with one name (methods of several types) the second is `name (2)`.
    pub blocks: BTreeMap<String, Block>,
}

/// What one function may do: a line for each grant or limit, as the attribute would say it.
pub type Block = BTreeSet<String>;

/// The line of a policy that depends on the arguments of a call.
pub(super) const BY_ATTRIBUTE: &str = "by its attribute";

const HEAD: &str = "# What sandboxed functions may do, as it was accepted. Written by `sandboxed::assert_locked!`:\n\
                    # SANDBOXED_ACCEPT=1 cargo test\n";

impl Lock {
    /// That of these functions. Paths that their attributes do not spell out are written from the directory of the package
    /// on, if they are below it.
    pub fn of<'a>(functions: impl IntoIterator<Item = &'a Function>, package: &Path) -> Lock {
        let mut functions: Vec<&Function> = functions.into_iter().collect();
        functions.sort_by_key(|function| (function.name, function.file, function.line, function.column));
        let places = Places::new(package);
        let mut lock = Lock::default();
        for function in functions {
            lock.insert(function.name, block(function, &places));
        }
        lock
    }

    /// What [`Display`](fmt::Display) printed, edited or not: lines without an indent name a function, those that begin
    /// with `#` are comments.
    pub fn parse(text: &str) -> Lock {
        let mut lock = Lock::default();
        let mut last = String::new();
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            match line.starts_with(char::is_whitespace) {
                true => drop(lock.blocks.entry(last.clone()).or_default().insert(line.trim().into())),
                false => last = lock.insert(line.trim(), Block::new()),
            }
        }
        lock
    }

    fn insert(&mut self, name: &str, block: Block) -> String {
        let mut key = name.to_owned();
        for number in 2.. {
            if !self.blocks.contains_key(&key) {
                break;
            }
            key = format!("{name} ({number})");
        }
        self.blocks.insert(key.clone(), block);
        key
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        for (name, block) in &self.blocks {
            writeln!(f, "\n{name}")?;
            // Where the body runs comes first, then what it may.
            let (words, grants): (Vec<_>, Vec<_>) = block.iter().partition(|line| is_word(line));
            words.into_iter().chain(grants).try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        Ok(())
    }
}

fn is_word(line: &str) -> bool {
    line == BY_ATTRIBUTE || placement(line).is_some()
}

pub(super) fn placement(line: &str) -> Option<Placement> {
    [Placement::Process, Placement::Thread, Placement::InPlace].into_iter().find(|known| known.word() == line)
}

fn block(function: &Function, places: &Places) -> Block {
    let lines = match function.policy() {
        Some(policy) => lines(places.shorten(policy, function.attribute), function.placement),
        None => {
            let items = items(function.attribute).into_iter().map(|item| spaced(&item));
            items.filter(|item| !says_nothing(item)).chain([BY_ATTRIBUTE.to_owned()]).collect()
        }
    };
    lines.into_iter().chain([function.placement.word().to_owned()]).collect()
}

/// One line for each value, by the keys that a policy of that value alone prints.
fn lines(policy: Policy, placement: Placement) -> Vec<String> {
    let mut lines = Vec::new();
    let none = Policy::default;
    let mut say = |policy: Policy| lines.push(policy.to_string());
    policy.paths.iter().for_each(|grant| say(Policy { paths: vec![grant.clone()], ..none() }));
    policy.ports.iter().for_each(|grant| say(Policy { ports: vec![grant.clone()], ..none() }));
    policy.allow.iter().for_each(|what| say(none().allow(*what)));
    policy.env.iter().for_each(|name| say(none().env(name)));
    // Without what they stand for, which differs by machine.
    lines.extend(policy.presets.iter().map(|preset| format!("preset({})", preset.word())));
    let (paths, ports, allow, presets, env) = Default::default();
    let rest = Policy { paths, ports, allow, presets, env, ..policy };
    let rest = if placement == Placement::Process { with_defaults(rest) } else { rest };
    lines.extend(items(&rest.to_string()));
    lines
}

/// The limits that hold where none is named: a change of the default is one of the sandbox.
fn with_defaults(policy: Policy) -> Policy {
    let limits = Limits::of(&policy);
    Policy {
        timeout: Some(limits.timeout.map_or(Timeout::Never, Timeout::After)),
        memory: Some(limits.memory.map_or(Memory::Unlimited, Memory::Bytes)),
        open_files: limits.open_files,
        ..policy
    }
}

/// The parts between commas that stand in no bracket or string.
fn items(attribute: &str) -> Vec<String> {
    let (mut items, mut depth, mut strings) = (vec![String::new()], 0_u32, Strings::default());
    for c in attribute.chars() {
        match c {
            _ if strings.inside(c) => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut().into_iter().for_each(|item| item.push(c));
    }
    items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

/// With spaces as a person would set them: compilers differ in how they print an attribute.
fn spaced(item: &str) -> String {
    let (mut text, mut strings, mut space) = (String::new(), Strings::default(), false);
    let mut chars = item.chars().peekable();
    while let Some(c) = chars.next() {
        if strings.inside(c) {
            text.push(c);
            continue;
        }
        if c.is_whitespace() {
            space = true;
            continue;
        }
        if std::mem::take(&mut space) && is_of_word(c) && text.ends_with(is_of_word) {
            text.push(' ');
        }
        let operator = |c: char| "=!<>+-*/%&|^.".contains(c);
        match c {
            ',' => text.push_str(", "),
            '=' if !text.ends_with(operator) && !chars.peek().is_some_and(|next| "=>".contains(*next)) => {
                text.push_str(" = ");
            }
            ')' | ']' | '}' if text.ends_with(", ") => {
                text.truncate(text.len() - 2);
                text.push(c);
            }
            c => text.push(c),
        }
    }
    text
}

/// Where in a text strings are.
#[derive(Default)]
struct Strings {
    inside: bool,
    escaped: bool,
}

impl Strings {
    /// Whether the next character is within one; of its quotes the first.
    fn inside(&mut self, c: char) -> bool {
        self.inside ^= c == '"' && !self.escaped;
        self.escaped = self.inside && c == '\\' && !self.escaped;
        self.inside
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the body runs is said apart; the others grant and limit nothing.
fn says_nothing(item: &str) -> bool {
    let key = item.split([' ', '(']).next().unwrap_or_default();
    placement(key).is_some() || ["crate", "fallible", "unenforceable", "warm"].contains(&key)
}

/// Directories that differ by machine, and what is written for them.
struct Places(Vec<(PathBuf, &'static str)>);

impl Places {
    fn new(package: &Path) -> Places {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let all = [
            (Some(package.to_owned()), "$CARGO_MANIFEST_DIR"),
            (Some(std::env::temp_dir()), "$TMPDIR"),
            (home, "$HOME"),
        ];
        let is_place = |path: &PathBuf| path.is_absolute() && path.parent().is_some();
        let mut all: Vec<_> =
            all.into_iter().filter_map(|(path, name)| Some((path.filter(is_place)?, name))).collect();
        // One can be below another.
        all.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        Places(all)
    }

    fn shorten(&self, mut policy: Policy, attribute: &str) -> Policy {
        for grant in &mut policy.paths {
            let is_written = attribute.contains(&format!("{:?}", grant.path));
            if let Some(path) = self.of(grant).filter(|_| !is_written) {
                grant.path = path;
            }
        }
        policy
    }

    fn of(&self, grant: &PathGrant) -> Option<PathBuf> {
        self.0
            .iter()
            .find_map(|(place, name)| Some(Path::new(name).join(grant.path.strip_prefix(place).ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_falls_into_its_items_however_it_is_spaced() {
        for (attribute, expected) in [
            ("", &[][..]),
            ("read=path", &["read = path"]),
            ("read = path ,timeout=\"2s\",", &["read = path", "timeout = \"2s\""]),
            ("read = [ & a , \"x, y  z\" , ] , thread", &["read = [&a, \"x, y  z\"]", "thread"]),
            ("policy = base (x as u8) ?", &["policy = base(x as u8)?"]),
            ("policy = a == b", &["policy = a==b"]),
            ("tcp_bind = 1 ..= 2", &["tcp_bind = 1..=2"]),
            (r#"read = "a\"  ,b" , strict"#, &[r#"read = "a\"  ,b""#, "strict"]),
            ("allow ( udp , signal ), workers(max=2)", &["allow(udp, signal)", "workers(max = 2)"]),
        ] {
            let found: Vec<String> = items(attribute).iter().map(|item| spaced(item)).collect();
            assert_eq!(found, expected, "{attribute}");
        }
    }
}
