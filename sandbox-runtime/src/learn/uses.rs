//! What a body used: a word and an object each, with how often. Names that would be others next time are made one.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// More than so many entries of a directory stand for all of it.
const MOST_ENTRIES: usize = 8;

/// What was used, and how often.
pub(crate) type Seen = BTreeMap<Use, u64>;

/// One kind of use: a right by its kernel name, or a word of [`grants`](super::grants).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Use {
    pub(crate) word: String,
    /// A path (`/*` at its end: what is in that directory), a port, a name; may be empty.
    pub(crate) object: String,
}

/// What the names that were seen have to be looked at with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Landlock's, of this kernel.
    pub(crate) abi: u32,
    /// The program's directory for temporary files.
    pub(crate) temporary: PathBuf,
    pub(crate) home: Option<PathBuf>,
}

/// What is no path.
const OTHERS: [&str; 10] = [
    "bind_tcp",
    "connect_tcp",
    "bind_udp",
    "connect_send_udp",
    "abstract_unix_socket",
    "signal",
    "processes",
    "memory_file",
    "listen",
    "refused",
];

/// Those of which many stand for their directory. Of programs each is named.
const CROWDS: [&str; 6] = ["read_file", "read_dir", "write_file", "truncate", "missing", "look"];

impl Use {
    pub(crate) fn new(word: impl Into<String>, object: impl Into<String>) -> Use {
        Use { word: word.into(), object: object.into() }
    }

    /// As it is in the file.
    pub(crate) fn parse(text: &str) -> Use {
        let (word, object) = text.split_once(' ').unwrap_or((text, ""));
        Use::new(word, object)
    }

    pub(crate) fn has_path(&self) -> bool {
        !OTHERS.contains(&self.word.as_str())
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.object.is_empty() { "" } else { " " };
        write!(f, "{}{space}{}", self.word, self.object)
    }
}

/// The same uses, where names that look made up for one run, and many in one directory, are that directory.
pub(crate) fn folded(seen: &Seen, facts: &Facts) -> Seen {
    let mut folded = Seen::new();
    for (used, count) in seen {
        let object = if used.has_path() { lasting(&used.object, facts) } else { used.object.clone() };
        *folded.entry(Use::new(used.word.clone(), object)).or_default() += count;
    }
    for word in CROWDS {
        while let Some(directory) = crowded(&folded, word, facts) {
            into_one(&mut folded, word, &directory);
        }
    }
    folded
}

/// All that is below the directory is what is in it.
fn into_one(seen: &mut Seen, word: &str, directory: &Path) {
    let is_below = |used: &Use| {
        used.word == word && Path::new(&used.object).starts_with(directory) && used.object != text(directory)
    };
    let below: u64 = seen.iter().filter(|(used, _)| is_below(used)).map(|(_, count)| count).sum();
    seen.retain(|used, _| !is_below(used));
    seen.insert(Use::new(word, inside(directory)), below);
}

/// The deepest directory of which many entries were used, or all and some by their names.
fn crowded(seen: &Seen, word: &str, facts: &Facts) -> Option<PathBuf> {
    let mut entries: BTreeMap<&Path, BTreeSet<&std::ffi::OsStr>> = BTreeMap::new();
    for (used, _) in seen.iter().filter(|(used, _)| used.word == word) {
        let path = Path::new(&used.object);
        for (directory, name) in path.ancestors().filter_map(|path| Some((path.parent()?, path.file_name()?)))
        {
            entries.entry(directory).or_default().insert(name);
        }
    }
    let is_crowded = |directory: &Path, names: &BTreeSet<&std::ffi::OsStr>| {
        let has_all = names.contains(std::ffi::OsStr::new("*"));
        has_all && names.len() > 1 || names.len() > MOST_ENTRIES && !holds_everything(directory, facts)
    };
    let crowded = entries.into_iter().filter(|(directory, names)| is_crowded(directory, names));
    crowded.map(|(directory, _)| directory.to_owned()).max_by_key(|path| path.components().count())
}

/// Whether granting a directory would be granting the system, or all of a user's.
pub(crate) fn holds_everything(directory: &Path, facts: &Facts) -> bool {
    const ALL: [&str; 15] = [
        "/", "/etc", "/home", "/root", "/usr", "/var", "/dev", "/proc", "/sys", "/run", "/opt", "/mnt",
        "/media", "/srv", "/boot",
    ];
    ALL.iter().any(|known| directory == Path::new(known)) || facts.home.as_deref() == Some(directory)
}

/// A path without what would be another in the next run.
pub(crate) fn lasting(path: &str, facts: &Facts) -> String {
    let mut so_far = PathBuf::new();
    for component in Path::new(path).components() {
        let Component::Normal(name) = component else {
            so_far.push(component);
            continue;
        };
        let name = name.to_string_lossy();
        if is_fleeting(&so_far, &name, facts) {
            return inside(&so_far);
        }
        so_far.push(&*name);
    }
    // A library's name has its version.
    match so_far.parent().filter(|parent| is_library(parent, path)) {
        Some(parent) => inside(parent),
        None => path.to_owned(),
    }
}

fn is_library(directory: &Path, path: &str) -> bool {
    let of_the_system =
        ["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib"];
    let name = path.rsplit('/').next().unwrap_or_default();
    of_the_system.iter().any(|known| directory.starts_with(known))
        && (name.ends_with(".so") || name.contains(".so."))
}

fn is_fleeting(directory: &Path, name: &str, facts: &Facts) -> bool {
    let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    if directory.starts_with("/proc") {
        return is_number;
    }
    let temporary =
        [facts.temporary.as_path(), Path::new("/tmp"), Path::new("/var/tmp"), Path::new("/dev/shm")];
    let is_temporary = temporary.iter().any(|known| directory.starts_with(known));
    is_made_up(name) || is_temporary && (is_number || has_made_up_end(name))
}

/// As tempfile's, or a UUID.
fn is_made_up(name: &str) -> bool {
    let is_tempfile = name
        .strip_prefix(".tmp")
        .is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let parts: Vec<usize> = name.split('-').map(str::len).collect();
    let is_hex = name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_tempfile || is_hex && parts == [8, 4, 4, 4, 12]
}

/// As of `mkdtemp(3)`, or a process's number.
fn has_made_up_end(name: &str) -> bool {
    let end = name.rsplit(['.', '-', '_']).next().unwrap_or(name);
    let has = |is: fn(&u8) -> bool| end.bytes().any(|byte| is(&byte));
    let is_random = end.len() >= 6
        && end.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && (has(u8::is_ascii_digit) || has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase));
    is_random || end.len() > 1 && end.bytes().all(|byte| byte.is_ascii_digit())
}

/// What stands for all in a directory.
pub(crate) fn inside(directory: &Path) -> String {
    text(&directory.join("*"))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn facts() -> Facts {
        Facts { abi: 11, temporary: "/scratch".into(), home: Some("/home/me".into()) }
    }

    #[test]
    fn names_of_one_run_are_their_directory() {
        for (path, lasts) in [
            ("/etc/hosts", "/etc/hosts"),
            ("/tmp/.tmpAb12Cd/a/b", "/tmp/*"),
            ("/tmp/build-x8Kq2P", "/tmp/*"),
            ("/tmp/job.1234/out", "/tmp/*"),
            ("/scratch/77", "/scratch/*"),
            ("/scratch/site/index.html", "/scratch/site/index.html"),
            ("/tmp/readings", "/tmp/readings"),
            ("/srv/1234/out", "/srv/1234/out"),
            ("/srv/.tmpAb12Cd", "/srv/*"),
            ("/srv/123e4567-e89b-12d3-a456-426614174000/x", "/srv/*"),
            ("/proc/1234/maps", "/proc/*"),
            ("/proc/self/maps", "/proc/self/maps"),
            ("/proc/self/fd/7", "/proc/self/fd/*"),
            ("/usr/lib/x86_64-linux-gnu/libz.so.1.3", "/usr/lib/x86_64-linux-gnu/*"),
            ("/usr/lib/os-release", "/usr/lib/os-release"),
            ("/home/me/libz.so.1", "/home/me/libz.so.1"),
        ] {
            assert_eq!(lasting(path, &facts()), lasts, "{path}");
            assert_eq!(lasting(lasts, &facts()), lasts, "again: {path}");
        }
    }

    fn many(word: &str, directory: &str, count: usize) -> Seen {
        (0..count).map(|n| (Use::new(word, format!("{directory}/f{n}")), 2)).collect()
    }

    #[test]
    fn many_are_their_directory_unless_it_holds_everything() {
        let all = |seen: &Seen| {
            folded(seen, &facts()).iter().map(|(used, n)| format!("{n} {used}")).collect::<Vec<_>>()
        };
        assert_eq!(all(&many("read_file", "/srv/a", 9)), ["18 read_file /srv/a/*"]);
        for (directory, count) in [("/srv/a", 8), ("/etc", 9), ("", 9), ("/home/me", 9), ("/home", 20)] {
            assert_eq!(all(&many("read_file", directory, count)).len(), count, "{directory}");
        }
        assert_eq!(all(&many("execute", "/usr/bin", 20)).len(), 20);
        // Those of other kinds do not count along.
        let mut two = many("read_file", "/srv/a", 5);
        two.extend(many("write_file", "/srv/a", 5));
        assert_eq!(all(&two).len(), 10);
        // Directories count as what is in them does.
        let deep: Seen = (0..9).map(|n| (Use::new("read_file", format!("/srv/a/{n}/x")), 1)).collect();
        assert_eq!(all(&deep), ["9 read_file /srv/a/*"]);
    }

    #[test]
    fn what_was_folded_takes_in_what_comes_later() {
        let mut seen = folded(&many("read_file", "/srv/a", 9), &facts());
        assert_eq!(folded(&seen, &facts()), seen);
        seen.insert(Use::new("read_file", "/srv/a/late/one"), 1);
        let again = folded(&seen, &facts());
        assert_eq!(again.into_iter().collect::<Vec<_>>(), [(Use::new("read_file", "/srv/a/*"), 19)]);
    }

    #[test]
    fn uses_are_read_as_they_are_written() {
        for used in
            [Use::new("read_file", "/a b/c"), Use::new("processes", ""), Use::new("connect_tcp", "80")]
        {
            assert_eq!(Use::parse(&used.to_string()), used);
        }
    }
}
