//! The format's words for rights.

use crate::nearest;
use crate::rights::{EXECUTE, Kind, REFER, Right};

/// `read_file`, `read_dir`
const READ: u64 = 1 << 2 | 1 << 3;

impl Kind {
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
