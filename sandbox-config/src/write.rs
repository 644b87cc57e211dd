//! The way back: a file that says what a [`Config`] holds.

use crate::config::Config;
use crate::rights::{EXECUTE, Kind};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A policy file may have at most this many bytes.
pub const MOST_BYTES: u64 = 1 << 20;

/// A file may grant at most this many paths, after its variables were put in.
pub const MOST_PATHS: usize = 10_000;

/// The kernel's `PATH_MAX`, without the zero at the end.
pub const LONGEST_PATH: usize = 4095;

/// Something that the format cannot say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a policy file cannot say {what}")]
#[non_exhaustive]
pub struct Unwritable {
    /// What it is, by its key or its path.
    pub what: String,
}

impl Unwritable {
    /// Names what cannot be said.
    pub fn new(what: impl Into<String>) -> Unwritable {
        Unwritable { what: what.into() }
    }
}

/// Writes a policy file in TOML. What [`read`](crate::read) makes of it is `config` again.
///
/// # Errors
///
/// Names what the format cannot say: a right without a word that no group brings along, a path that is no text, more
/// than a file may have.
pub fn to_toml(config: &Config) -> Result<String, Unwritable> {
    if !config.handles_anything() {
        return Err(Unwritable::new("a policy that refuses nothing"));
    }
    let abi = abi(config);
    let mut text = String::new();
    if let Some(abi) = abi {
        text += &format!("abi = {abi}\n\n");
    }
    text += "[[ruleset]]\n";
    let handled = [
        ("handled_access_fs", Kind::Files, config.handled_files),
        ("handled_access_net", Kind::Net, config.handled_net),
        ("scoped", Kind::Scopes, config.scoped),
    ];
    for (key, kind, bits) in handled.into_iter().filter(|(.., bits)| *bits != 0) {
        text += &format!("{key} = {}\n", words(kind, bits, abi)?);
    }
    if config.paths.len() > MOST_PATHS {
        return Err(Unwritable::new(format!("more than {MOST_PATHS} paths")));
    }
    let mut paths: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (path, bits) in &config.paths {
        let shown = || Unwritable::new(format!("the path {path:?}"));
        let path = path.to_str().filter(|path| !path.contains('\0')).ok_or_else(shown)?;
        if path.is_empty() || path.len() > LONGEST_PATH {
            return Err(shown());
        }
        paths.entry(*bits).or_default().push(quoted(&escape(path)));
    }
    for (bits, paths) in paths {
        let words = words(Kind::Files, bits, abi)?;
        text += &format!("\n[[path_beneath]]\nallowed_access = {words}\nparent = [{}]\n", paths.join(", "));
    }
    let mut ports: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (port, bits) in &config.ports {
        ports.entry(*bits).or_default().push(port.to_string());
    }
    for (bits, ports) in ports {
        let words = words(Kind::Net, bits, abi)?;
        text += &format!("\n[[net_port]]\nallowed_access = {words}\nport = [{}]\n", ports.join(", "));
    }
    match text.len() as u64 <= MOST_BYTES {
        true => Ok(text),
        false => Err(Unwritable::new(format!("more than {MOST_BYTES} bytes"))),
    }
}

/// The least ABI of which the groups have what has no word; none where all have words.
fn abi(config: &Config) -> Option<u32> {
    let used = |kind: Kind, bits: u64| {
        let wordless = kind.rights().iter().filter(move |right| !right.has_word && bits & right.bit != 0);
        wordless.map(|right| right.abi).max()
    };
    let files = config.paths.values().fold(config.handled_files, |all, bits| all | bits);
    let net = config.ports.values().fold(config.handled_net, |all, bits| all | bits);
    used(Kind::Files, files).max(used(Kind::Net, net))
}

/// A list of words for exactly these rights.
fn words(kind: Kind, bits: u64, abi: Option<u32>) -> Result<String, Unwritable> {
    let wordless = kind.rights().iter().find(|right| !right.has_word && bits & right.bit != 0);
    let (group, covered) = match (wordless, kind, abi) {
        (None, ..) | (_, _, None) => (None, 0),
        (Some(_), Kind::Files, Some(abi)) => (Some("abi.read_write"), kind.all(abi) & !EXECUTE),
        (Some(_), _, Some(abi)) => (Some("abi.all"), kind.all(abi)),
    };
    if let Some(right) = wordless
        && bits & covered != covered
    {
        return Err(Unwritable::new(format!("`{}` alone, only with all that its ABI has", right.name)));
    }
    let single = kind.rights().iter().filter(|right| bits & !covered & right.bit != 0);
    let words = group.into_iter().chain(single.map(|right| right.name));
    Ok(format!("[{}]", words.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")))
}

/// A basic string of TOML, on one line; also a key.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Writing to a String does not fail.
            c if c.is_control() => write!(quoted, "\\u{:04X}", u32::from(c)).unwrap_or_default(),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// A path as a template that stands for it alone.
pub(crate) fn escape(path: &str) -> String {
    path.replace('$', "$$")
}
