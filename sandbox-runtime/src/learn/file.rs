//! The file that a run adds to: one table for each function, which says what was seen, and what would grant it.
//!
//! Only `seen`, `placement` and `keep` are read again; the rest is worked out anew. Many processes may add at once.

use super::grants::{About, Grant, Granted, Key, grants};
use super::uses::{Facts, Seen, Use, folded};
use crate::plan::Placement;
use crate::policy::{Allow, NetAccess, Policy};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What is known of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) placement: Placement,
    /// What the attribute says beside grants.
    pub(crate) keep: String,
    pub(crate) seen: Seen,
}

pub(crate) type Sections = BTreeMap<String, Section>;

/// Adds to what the file has.
pub(crate) fn add(path: &Path, new: Sections, facts: &Facts) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Let go of when it is closed.
    let lock =
        rustix::fs::open(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let lock = lock.map_err(|errno| failed(errno.into()))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
    let known = match std::fs::read_to_string(path) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Sections::new()),
        Err(error) => Err(error.to_string()),
    };
    match known {
        Ok(known) => {
            let merged = merge(known, new, facts);
            replace(path, &render(&merged, facts)).map_err(failed)
        }
        Err(why) => {
            let beside = beside(path, &render(&merge(Sections::new(), new, facts), facts)).map_err(failed)?;
            let (path, beside) = (path.display(), beside.display());
            Err(format!("{path}: {why}; it is left as it is, and what was learned is in {beside}"))
        }
    }
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = File::create_new(&temporary).and_then(|mut file| file.write_all(text.as_bytes()));
    let written = written.and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        std::fs::remove_file(&temporary).unwrap_or_default();
    }
    written
}

/// A file that was not there, with the first number that is free.
fn beside(path: &Path, text: &str) -> io::Result<PathBuf> {
    for number in 1_u32.. {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        match File::create_new(&name) {
            Ok(mut file) => return file.write_all(text.as_bytes()).map(|()| name.into()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn merge(mut known: Sections, new: Sections, facts: &Facts) -> Sections {
    for (name, section) in new {
        match known.get_mut(&name) {
            Some(known) => {
                for (used, count) in section.seen {
                    let so_far = known.seen.entry(used).or_default();
                    *so_far = so_far.saturating_add(count);
                }
                (known.placement, known.keep) = (section.placement, section.keep);
            }
            None => drop(known.insert(name, section)),
        }
    }
    for section in known.values_mut() {
        section.seen = folded(&section.seen, facts);
    }
    known
}

/// What is read of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    #[serde(default)]
    function: BTreeMap<String, KnownFunction>,
}

#[derive(Deserialize)]
struct KnownFunction {
    placement: String,
    keep: String,
    seen: BTreeMap<String, u64>,
}

fn parse(text: &str) -> Result<Sections, String> {
    let known: Known = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let placements = [Placement::Process, Placement::Thread, Placement::InPlace];
    let section = |(name, known): (String, KnownFunction)| {
        let placement = placements.into_iter().find(|placement| placement.word() == known.placement);
        let placement = placement.ok_or_else(|| format!("`{}` is no placement", known.placement))?;
        let seen = known.seen.into_iter().map(|(used, count)| (Use::parse(&used), count)).collect();
        Ok((name, Section { placement, keep: known.keep, seen }))
    };
    known.function.into_iter().map(section).collect()
}

const HEAD: &str = "\
# What sandboxed functions used while they ran UNENFORCED under SANDBOXED_LEARN: a suggestion, to be read before it is
# used. A run adds to `seen`; everything else but `placement` and `keep` is worked out from it. Nothing is removed: to
# forget something, remove its line in `seen`.
";

fn render(sections: &Sections, facts: &Facts) -> String {
    let all = sections.iter().map(|(name, section)| rendered(name, section, facts));
    HEAD.to_owned() + &all.collect::<String>()
}

// Input: the section of `crate::load`, with one use.
// Output: [function."crate::load"]
//         placement = "process"
//         keep = ''
//         attribute = '#[sandboxed(read = "/etc/hosts")]'
//         landlockconfig = ''' ... '''
//         [function."crate::load".grants]
//         'read = "/etc/hosts"' = 2
//         [function."crate::load".seen]
//         "read_file /etc/hosts" = 2
fn rendered(name: &str, section: &Section, facts: &Facts) -> String {
    let namespaces = section.keep.split(", ").any(|key| key == "namespaces");
    let (granted, refused) = grants(&section.seen, About { placement: section.placement, namespaces, facts });
    let head = format!("function.{}", quoted(name));
    let mut text = format!("\n[{head}]\n");
    let mut line = |key: &str, value: &str| writeln!(text, "{key} = {value}").unwrap_or_default();
    line("placement", &quoted(section.placement.word()));
    line("keep", &quoted(&section.keep));
    for known in &granted {
        if let Some(danger) = known.danger {
            line("# DANGEROUS", &one_line(&format!("{}: {danger}", known.grant.text())));
        }
    }
    line("attribute", &quoted(&attribute(&section.keep, &granted)));
    let texts = |texts: Vec<String>| format!("[{}]", texts.join(", "));
    let dangerous = granted.iter().filter(|known| known.danger.is_some());
    line("dangerous", &texts(dangerous.map(|known| quoted(&known.grant.text())).collect()));
    line("not_grantable", &texts(refused.iter().map(|used| quoted(&used.to_string())).collect()));
    let (config, beside) = landlockconfig(&granted, facts.abi);
    let beside = [section.keep.clone()].into_iter().filter(|keep| !keep.is_empty()).chain(beside);
    line("beside_landlockconfig", &quoted(&beside.collect::<Vec<_>>().join(", ")));
    line("landlockconfig", &block(&config));
    text += &format!("[{head}.grants]\n");
    for known in &granted {
        writeln!(text, "{} = {}", quoted(&known.grant.text()), known.count).unwrap_or_default();
    }
    text += &format!("[{head}.seen]\n");
    for (used, count) in &section.seen {
        writeln!(text, "{} = {}", quoted(&used.to_string()), count.min(&(i64::MAX as u64)))
            .unwrap_or_default();
    }
    text
}

fn attribute(keep: &str, granted: &[Granted]) -> String {
    let policy = granted.iter().fold(Policy::new(), |policy, known| known.grant.add_to(policy)).to_string();
    let is_unlimited = granted.iter().any(|known| known.grant == Grant::UnlimitedMemory);
    let kept = keep.split(", ").filter(|key| !(is_unlimited && key.starts_with("memory = ")));
    let keep = kept.collect::<Vec<_>>().join(", ");
    let parts = [keep.as_str(), &policy].into_iter().filter(|part| !part.is_empty());
    match parts.collect::<Vec<_>>().join(", ") {
        nothing if nothing.is_empty() => "#[sandboxed]".into(),
        keys => format!("#[sandboxed({keys})]"),
    }
}

/// What a policy file can say, and the keys to write beside it.
fn landlockconfig(granted: &[Granted], abi: u32) -> (String, Vec<String>) {
    let of = |is_said: &dyn Fn(&Grant) -> bool| {
        let said = granted.iter().map(|known| &known.grant).filter(|grant| is_said(grant));
        let policy = said.fold(Policy::new(), |policy, grant| grant.add_to(policy)).expanded(abi);
        let written = Policy { env: Vec::new(), ..policy }.to_toml().ok()?;
        let beside = granted.iter().map(|known| &known.grant).filter(|grant| !is_said(grant));
        Some((written, beside.map(Grant::text).collect()))
    };
    let is_simple = |grant: &Grant| match grant {
        Grant::Path { key: Key::Unix, .. } | Grant::UnlimitedMemory => false,
        Grant::Port(access, _) => matches!(access, NetAccess::BindTcp | NetAccess::ConnectTcp),
        Grant::Preset(preset) => *preset != crate::policy::Preset::Dns,
        Grant::Allow(what) => *what == Allow::Signal,
        Grant::Path { .. } => true,
    };
    let all = of(&|_| true).or_else(|| of(&is_simple));
    all.unwrap_or_else(|| (String::new(), granted.iter().map(|known| known.grant.text()).collect()))
}

/// A string, or a key: as it is, where that can be.
fn quoted(text: &str) -> String {
    match text.contains(|c: char| c == '\'' || c.is_control()) {
        true => sandboxed_config::quoted(text),
        false => format!("'{text}'"),
    }
}

/// A text of several lines, so that people can read it, where it may be one.
fn block(text: &str) -> String {
    let is_plain = |c: char| c == '\n' || !c.is_control();
    match text.chars().all(is_plain) && !text.contains("'''") {
        true => format!("'''\n{text}'''"),
        false => quoted(text),
    }
}

/// For a comment.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts() -> Facts {
        Facts { abi: 10, temporary: "/tmp".into(), home: None }
    }

    fn sections(name: &str, seen: &[(&str, u64)]) -> Sections {
        let seen = seen.iter().map(|(used, count)| (Use::parse(used), *count)).collect();
        [(name.to_owned(), Section { placement: Placement::Thread, keep: "thread".into(), seen })].into()
    }

    #[test]
    fn runs_add_and_remove_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy.toml");
        add(&path, sections("a", &[("read_file /etc/hosts", 2)]), &facts()).unwrap();
        add(&path, sections("b", &[("connect_tcp 443", 1)]), &facts()).unwrap();
        add(&path, sections("a", &[("read_file /etc/hosts", 1), ("listen", 1)]), &facts()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut expected = sections("a", &[("read_file /etc/hosts", 3), ("listen", 1)]);
        expected.extend(sections("b", &[("connect_tcp 443", 1)]));
        assert_eq!(parse(&text).unwrap(), expected);
        let table: toml::Table = text.parse().unwrap();
        let a = &table["function"]["a"];
        let attribute = r#"#[sandboxed(thread, read = "/etc/hosts", tcp_bind = 0)]"#;
        assert_eq!(a["attribute"].as_str(), Some(attribute));
        assert_eq!(a["grants"]["read = \"/etc/hosts\""].as_integer(), Some(3));
        let config = Policy::from_toml(a["landlockconfig"].as_str().unwrap()).unwrap();
        assert_eq!(config.to_string(), r#"read = optional("/etc/hosts"), tcp_bind = 0"#);
        assert!(text.contains("\n# DANGEROUS = tcp_connect = 443: "), "{text}");
        let entries = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(entries, 1, "nothing is left beside it");
    }

    #[test]
    fn what_a_policy_file_cannot_say_is_beside_it() {
        let seen = [("metadata /a", 1), ("read_file /srv/a", 1), ("connect_send_udp 99", 1)];
        let text = render(&sections("a", &seen), &facts());
        let table: toml::Table = text.parse().unwrap();
        let a = &table["function"]["a"];
        assert_eq!(a["beside_landlockconfig"].as_str(), Some("thread, udp_connect = 99, allow(metadata)"));
        let config = Policy::from_toml(a["landlockconfig"].as_str().unwrap()).unwrap();
        assert_eq!(config.to_string(), r#"read = optional("/srv/a")"#);
    }

    #[test]
    fn no_key_is_there_twice() {
        let mut all = sections("a", &[("memory_file", 1)]);
        let section = all.get_mut("a").unwrap();
        (section.placement, section.keep) =
            (Placement::Process, r#"memory = "1MiB", env = ["A", "B"]"#.into());
        let text = render(&all, &facts());
        assert!(text.contains(r#"'#[sandboxed(env = ["A", "B"], memory = "unlimited")]'"#), "{text}");
    }

    #[test]
    fn a_file_of_others_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy.toml");
        for text in ["no toml", "[package]\nname = \"x\"", "[function.a]\nseen = 7"] {
            std::fs::write(&path, text).unwrap();
            let error = add(&path, sections("a", &[("listen", 1)]), &facts()).unwrap_err();
            assert!(error.contains("is left as it is"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        for number in 1..=3 {
            let beside =
                std::fs::read_to_string(directory.path().join(format!("policy.toml.{number}"))).unwrap();
            assert_eq!(parse(&beside).unwrap(), sections("a", &[("listen", 1)]));
        }
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy.toml");
        // Locks are of open files, so threads stand for processes; but each replaces under a name of its process.
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        add(&path, sections("a", &[("listen", 1)]), &facts()).unwrap();
                    }
                });
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(parse(&text).unwrap(), sections("a", &[("listen", 40)]));
    }

    proptest! {
        #[test]
        fn any_name_and_path_can_be_written_and_read(name in ".*", path in ".*", keep in ".*") {
            let mut all = sections(&name, &[]);
            let section = all.get_mut(&name).unwrap();
            section.keep = keep;
            section.seen.insert(Use::new("read_file", format!("/{path}")), 1);
            prop_assert_eq!(parse(&render(&all, &facts())).unwrap(), all);
        }
    }
}
