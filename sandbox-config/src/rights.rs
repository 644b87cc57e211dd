//! The rights that Landlock knows, and the words that the format has for them.

use crate::nearest;

/// The newest Landlock ABI that is known; a newer one in a file means this one, as in landlockconfig.
pub const NEWEST_ABI: u32 = 11;

/// What a word of the format is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// File system rights.
    Files,
    /// Rights on ports.
    Net,
    /// Scopes.
    Scopes,
}

/// One right or scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// The kernel's name.
    pub name: &'static str,
    /// The kernel's bit.
    pub bit: u64,
    /// The least ABI that has it.
    pub abi: u32,
    /// Whether the format has a word for it; otherwise it is in groups alone.
    pub has_word: bool,
}

const fn right(name: &'static str, bit: u32, abi: u32) -> Right {
    Right { name, bit: 1 << bit, abi, has_word: true }
}

const fn wordless(right: Right) -> Right {
    Right { has_word: false, ..right }
}

const FILES: &[Right] = &[
    right("execute", 0, 1),
    right("write_file", 1, 1),
    right("read_file", 2, 1),
    right("read_dir", 3, 1),
    right("remove_dir", 4, 1),
    right("remove_file", 5, 1),
    right("make_char", 6, 1),
    right("make_dir", 7, 1),
    right("make_reg", 8, 1),
    right("make_sock", 9, 1),
    right("make_fifo", 10, 1),
    right("make_block", 11, 1),
    right("make_sym", 12, 1),
    right("refer", 13, 2),
    right("truncate", 14, 3),
    right("ioctl_dev", 15, 5),
    wordless(right("resolve_unix", 16, 9)),
];

const NET: &[Right] = &[
    right("bind_tcp", 0, 4),
    right("connect_tcp", 1, 4),
    wordless(right("bind_udp", 2, 10)),
    wordless(right("connect_send_udp", 3, 10)),
];

const SCOPES: &[Right] = &[right("abstract_unix_socket", 0, 6), right("signal", 1, 6)];

/// `execute`
pub(crate) const EXECUTE: u64 = 1 << 0;
/// `read_file`, `read_dir`
const READ: u64 = 1 << 2 | 1 << 3;
/// `refer`
pub(crate) const REFER: u64 = 1 << 13;
/// `resolve_unix`
pub(crate) const RESOLVE_UNIX: u64 = 1 << 16;
/// `abstract_unix_socket`
pub(crate) const ABSTRACT_UNIX_SOCKET: u64 = 1 << 0;

impl Kind {
    /// Every right of this kind, in the kernel's order.
    pub fn rights(self) -> &'static [Right] {
        match self {
            Kind::Files => FILES,
            Kind::Net => NET,
            Kind::Scopes => SCOPES,
        }
    }

    /// What the format has words for.
    pub(crate) fn with_words(self) -> u64 {
        self.rights().iter().filter(|right| right.has_word).fold(0, |bits, right| bits | right.bit)
    }

    /// What an ABI has.
    pub(crate) fn all(self, abi: u32) -> u64 {
        self.rights().iter().filter(|right| right.abi <= abi).fold(0, |bits, right| bits | right.bit)
    }

    /// The bits of a word of the format; `abi` is that of the file.
    pub(crate) fn bits(self, word: &str, abi: Option<u32>) -> Result<u64, String> {
        if let Some(right) = self.rights().iter().find(|right| right.name == word) {
            return if right.has_word { Ok(right.bit) } else { Err(self.no_word(right)) };
        }
        let group = word.split_once('.').filter(|(_, group)| self.groups().contains(group));
        let Some((version, group)) = group else { return Err(self.unknown(word)) };
        let abi = match version {
            "abi" => abi.ok_or_else(|| format!("`{word}` needs the key `abi`, as in `abi = 6`"))?,
            version => self.old_version(version).ok_or_else(|| self.unknown(word))?,
        };
        Ok(self.group(group, abi))
    }

    fn group(self, name: &str, abi: u32) -> u64 {
        let all = self.all(abi);
        match name {
            "read_execute" => all & (READ | EXECUTE | REFER),
            "read_write" => all & !EXECUTE,
            _ => all,
        }
    }

    fn groups(self) -> &'static [&'static str] {
        match self {
            Kind::Files => &["all", "read_execute", "read_write"],
            Kind::Net | Kind::Scopes => &["all"],
        }
    }

    /// `v5.all`: how the ABI was given before there was the key. There were such words from the ABI that first had
    /// rights of the kind up to 6.
    fn old_version(self, version: &str) -> Option<u32> {
        let least = self.rights().iter().map(|right| right.abi).min().unwrap_or(1);
        (least..=6).find(|abi| version.strip_prefix('v') == Some(abi.to_string().as_str()))
    }

    fn unknown(self, word: &str) -> String {
        let rights = self.rights().iter().filter(|right| right.has_word).map(|right| right.name.to_owned());
        let groups = self.groups().iter().map(|group| format!("abi.{group}"));
        let words: Vec<String> = rights.chain(groups).collect();
        let what = if self == Kind::Scopes { "scope" } else { "right" };
        let meant = match nearest(word, words.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it is one of {}", words.join(", ")),
        };
        format!("unknown {what} `{}`; {meant}", word.escape_debug())
    }

    fn no_word(self, right: &Right) -> String {
        let groups =
            if self == Kind::Files { "`abi.all` and `abi.read_write` have" } else { "`abi.all` has" };
        format!("the format has no word for `{}`; {groups} it from `abi = {}` on", right.name, right.abi)
    }
}
