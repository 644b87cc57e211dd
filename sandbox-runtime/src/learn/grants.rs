//! From what was used to the smallest policy that grants it, in the words of the attribute: a pure function.

use super::uses::{Facts, Seen, Use, holds_everything};
use crate::plan::Placement;
use crate::policy::{Access, Allow, Memory, NetAccess, Policy, Preset, optional};
use std::path::{Path, PathBuf};

/// One grant and what is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) grant: Grant,
    /// How many observations.
    pub(crate) count: u64,
    /// What it can be abused for.
    pub(crate) danger: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    Path {
        key: Key,
        path: PathBuf,
        optional: bool,
    },
    Port(NetAccess, u16),
    Allow(Allow),
    Preset(Preset),
    /// Memory that no limit counts.
    UnlimitedMemory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Read,
    Write,
    Execute,
    Unix,
    Fs(Access),
}

impl Key {
    fn rights(self) -> Access {
        match self {
            Key::Read => Access::READ,
            Key::Write => Access::WRITE,
            Key::Execute => Access::RUN,
            Key::Unix => Access::RESOLVE_UNIX,
            Key::Fs(right) => right,
        }
    }
}

impl Grant {
    /// Adds it to a policy.
    pub(crate) fn add_to(&self, policy: Policy) -> Policy {
        match self {
            Grant::Path { key, path, optional: true } => at(policy, *key, optional(path.as_path())),
            Grant::Path { key, path, optional: false } => at(policy, *key, path),
            Grant::Port(NetAccess::BindTcp, port) => policy.tcp_bind(*port),
            Grant::Port(NetAccess::ConnectTcp, port) => policy.tcp_connect(*port),
            Grant::Port(NetAccess::BindUdp, port) => policy.udp_bind(*port),
            Grant::Port(NetAccess::ConnectSendUdp, port) => policy.udp_connect(*port),
            Grant::Allow(what) => policy.allow(*what),
            Grant::Preset(preset) => policy.preset(*preset),
            Grant::UnlimitedMemory => policy.memory(Memory::Unlimited),
        }
    }

    /// As the attribute says it.
    pub(crate) fn text(&self) -> String {
        match self {
            Grant::Preset(preset) => format!("preset({})", preset.word()),
            _ => self.add_to(Policy::new()).to_string(),
        }
    }

    /// Whether both are one, but that one may be missing.
    fn is_but_for_being_there(&self, other: &Grant) -> bool {
        match (self, other) {
            (Grant::Path { key, path, .. }, Grant::Path { key: other, path: same, .. }) => {
                (key, path) == (other, same)
            }
            _ => self == other,
        }
    }

    /// What was missing once may be missing again.
    fn may_miss_as(&mut self, other: &Grant) {
        if let (Grant::Path { optional, .. }, Grant::Path { optional: true, .. }) = (self, other) {
            *optional = true;
        }
    }

    /// Whether this makes another unnecessary.
    fn covers(&self, other: &Grant) -> bool {
        match (self, other) {
            (Grant::Path { key, path, .. }, Grant::Path { key: needed, path: below, .. }) => {
                key.rights().contains(needed.rights()) && below.starts_with(path)
            }
            (Grant::Preset(preset), other) => {
                let expanded = Policy::new().preset(*preset).expanded(u32::MAX);
                match other {
                    Grant::Path { key, path, .. } => expanded.paths.iter().any(|grant| {
                        grant.key.rights().contains(key.rights()) && path.starts_with(&grant.path)
                    }),
                    Grant::Port(access, port) => expanded
                        .ports
                        .iter()
                        .any(|grant| grant.access == *access && grant.ports.contains(port)),
                    _ => false,
                }
            }
            (Grant::Allow(Allow::Udp), Grant::Port(access, _)) => {
                matches!(access, NetAccess::BindUdp | NetAccess::ConnectSendUdp)
            }
            _ => false,
        }
    }
}

fn at(policy: Policy, key: Key, paths: impl crate::policy::Paths) -> Policy {
    match key {
        Key::Read => policy.read(paths),
        Key::Write => policy.write(paths),
        Key::Execute => policy.execute(paths),
        Key::Unix => policy.unix(paths),
        Key::Fs(right) => policy.fs(right, paths),
    }
}

/// What is known of the function beside its uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) placement: Placement,
    /// Its root has nothing but what is granted.
    pub(crate) namespaces: bool,
    pub(crate) facts: &'a Facts,
}

/// What grants folded uses, and what was used that nothing grants.
pub(crate) fn grants(seen: &Seen, about: About<'_>) -> (Vec<Granted>, Vec<Use>) {
    let mut wanted = Wanted { about, grants: Vec::new() };
    let mut refused = Vec::new();
    let no_files = ["look", "metadata", "resolve_unix", "missing_socket"];
    let names_files = seen.keys().any(|used| used.has_path() && !no_files.contains(&used.word.as_str()));
    for (used, count) in seen {
        let is_granted = match used.word.as_str() {
            // Where any file is granted all may be looked at.
            "look" if about.placement != Placement::Process || names_files => {
                !about.namespaces || wanted.path(used, Key::Read, *count)
            }
            "look" => wanted.path(used, Key::Read, *count),
            "read_file" | "missing" => wanted.path(used, Key::Read, *count),
            "read_dir" => {
                let key = if reads_below(seen, used) { Key::Read } else { Key::Fs(Access::READ_DIR) };
                wanted.path(used, key, *count)
            }
            "execute" => wanted.path(used, Key::Execute, *count),
            // Elsewhere what may be read may be mapped.
            "map_executable" => {
                let is_needed =
                    about.placement == Placement::Process && !seen.keys().any(|used| used.word == "execute");
                !is_needed || wanted.path(used, Key::Execute, *count)
            }
            // Before that ABI nothing can be granted, and who finds no socket goes on without.
            "missing_socket" if about.facts.abi < Access::RESOLVE_UNIX.least_abi() => false,
            "resolve_unix" | "missing_socket" => wanted.path(used, Key::Unix, *count),
            "metadata" => wanted.add(Grant::Allow(Allow::Metadata), *count),
            "signal" => wanted.add(Grant::Allow(Allow::Signal), *count),
            "abstract_unix_socket" => wanted.add(Grant::Allow(Allow::AbstractUnixSocket), *count),
            "memory_file" => {
                about.placement != Placement::Process || wanted.add(Grant::UnlimitedMemory, *count)
            }
            // Without a port before: the kernel takes one.
            "listen" => {
                let binds = seen.keys().any(|used| used.word == "bind_tcp");
                binds || wanted.add(Grant::Port(NetAccess::BindTcp, 0), *count)
            }
            // They come with programs.
            "processes" => {
                about.placement != Placement::Process || seen.keys().any(|used| used.word == "execute")
            }
            word => match (Access::by_name(word), net(word), used.object.parse::<u16>()) {
                (Some(right), ..) if Access::WRITE.contains(right) => wanted.path(used, Key::Write, *count),
                (Some(right), ..) => wanted.path(used, Key::Fs(right), *count),
                (_, Some(access), Ok(_)) if access.least_abi() > about.facts.abi && is_udp(access) => {
                    wanted.add(Grant::Allow(Allow::Udp), *count)
                }
                (_, Some(access), Ok(port)) => wanted.add(Grant::Port(access, port), *count),
                _ => false,
            },
        };
        if !is_granted {
            refused.push(used.clone());
        }
    }
    wanted.suggest_presets();
    wanted.settle();
    (wanted.grants, refused)
}

fn net(word: &str) -> Option<NetAccess> {
    NetAccess::ALL.into_iter().find(|access| access.name() == word)
}

fn is_udp(access: NetAccess) -> bool {
    matches!(access, NetAccess::BindUdp | NetAccess::ConnectSendUdp)
}

/// Whether what a directory was listed for was its files.
fn reads_below(seen: &Seen, directory: &Use) -> bool {
    let directory = Path::new(directory.object.strip_suffix("/*").unwrap_or(&directory.object));
    let is_below = |used: &Use| used.word == "read_file" && Path::new(&used.object).starts_with(directory);
    seen.keys().any(is_below)
}

struct Wanted<'a> {
    about: About<'a>,
    grants: Vec<Granted>,
}

impl Wanted<'_> {
    fn add(&mut self, grant: Grant, count: u64) -> bool {
        match self.grants.iter_mut().find(|known| known.grant.is_but_for_being_there(&grant)) {
            Some(known) => {
                known.count += count;
                known.grant.may_miss_as(&grant);
            }
            None => self.grants.push(Granted { grant, count, danger: None }),
        }
        true
    }

    fn path(&mut self, used: &Use, key: Key, count: u64) -> bool {
        let is_optional = used.word.starts_with("missing");
        let right = Access::by_name(&used.word).unwrap_or(key.rights());
        let (path, is_directory) = match used.object.strip_suffix("/*") {
            Some("") => (PathBuf::from("/"), true),
            Some(directory) => (PathBuf::from(directory), true),
            None => (
                PathBuf::from(&used.object),
                Access::WRITE.contains(right) && !Access::OF_FILES.contains(right),
            ),
        };
        let is_listed = right == Access::READ_DIR;
        // `/proc/self` is the host's where grants are opened, which is the body's own but in a worker.
        let (path, is_in_proc) = match path.strip_prefix("/proc/self") {
            Ok(_) if self.about.placement == Placement::Process => (PathBuf::from("/proc"), true),
            Ok(_) => (PathBuf::from("/proc/self"), true),
            Err(_) if path == Path::new("/proc") && !is_listed => (path, true),
            Err(_) => (path, false),
        };
        let is_too_much = (is_directory || is_listed) && holds_everything(&path, self.about.facts);
        let key = if is_too_much && !is_in_proc { Key::Fs(right) } else { key };
        self.add(Grant::Path { key, path, optional: is_optional && !is_directory && !is_in_proc }, count)
    }

    /// Where a bundle is what was meant.
    fn suggest_presets(&mut self) {
        let reads = |preset: Preset| {
            let is_it = |known: &Granted| {
                matches!(&known.grant, Grant::Path { key: Key::Read, .. })
                    && Grant::Preset(preset).covers(&known.grant)
            };
            self.grants.iter().any(is_it)
        };
        let asks_port_53 = self.grants.iter().any(|known| {
            matches!(known.grant, Grant::Port(NetAccess::ConnectTcp | NetAccess::ConnectSendUdp, 53))
                || known.grant == Grant::Allow(Allow::Udp)
        });
        let temporary =
            |key: Key| Grant::Path { key, path: self.about.facts.temporary.clone(), optional: false };
        let has = |grant: Grant| self.grants.iter().any(|known| known.grant == grant);
        let presets: Vec<Preset> = Preset::ALL
            .into_iter()
            .filter(|preset| match preset {
                Preset::Dns => asks_port_53 && reads(Preset::Dns),
                Preset::Tmp => has(temporary(Key::Read)) && has(temporary(Key::Write)),
                Preset::CaCertificates | Preset::TimeZone | Preset::Locale => reads(*preset),
            })
            .collect();
        for preset in presets {
            let is_temporary = |known: &mut Granted| {
                let directory = &self.about.facts.temporary;
                matches!(&known.grant, Grant::Path { key: Key::Read | Key::Write, path, .. } if path.starts_with(directory))
            };
            let taken = match preset {
                Preset::Tmp => self.grants.extract_if(.., is_temporary).map(|known| known.count).sum(),
                _ => 0,
            };
            self.add(Grant::Preset(preset), taken);
        }
    }

    /// What another grant has in it is counted there; what may be gone by the next call is optional; what is dangerous is
    /// marked.
    fn settle(&mut self) {
        let mut kept: Vec<Granted> = Vec::new();
        for (index, known) in self.grants.iter().enumerate() {
            // Of two that cover each other the first stays.
            let covers = |other: usize| {
                let grant = &self.grants[other].grant;
                let is_mutual = known.grant.covers(grant);
                other != index && grant.covers(&known.grant) && (!is_mutual || other < index)
            };
            if !(0..self.grants.len()).any(covers) {
                kept.push(known.clone());
            }
        }
        for known in &self.grants {
            let is_kept = kept.iter().any(|kept| kept.grant == known.grant);
            if let (false, Some(into)) =
                (is_kept, kept.iter_mut().find(|kept| kept.grant.covers(&known.grant)))
            {
                into.count += known.count;
            }
        }
        let changed: Vec<PathBuf> = kept.iter().filter_map(|known| written_directory(&known.grant)).collect();
        for known in &mut kept {
            if let Grant::Path { path, optional, .. } = &mut known.grant {
                *optional |= changed.iter().any(|directory| path != directory && path.starts_with(directory));
            }
        }
        let all: Vec<Grant> = kept.iter().map(|known| known.grant.clone()).collect();
        for known in &mut kept {
            known.danger = danger(&known.grant, &all, self.about.facts);
        }
        self.grants = kept;
    }
}

/// Where entries may be made and removed, if the grant lets them be.
fn written_directory(grant: &Grant) -> Option<PathBuf> {
    match grant {
        Grant::Path { key: Key::Write, path, .. } => Some(path.clone()),
        _ => None,
    }
}

/// Why a grant is to be looked at before it is given.
fn danger(grant: &Grant, all: &[Grant], facts: &Facts) -> Option<&'static str> {
    match grant {
        Grant::Path { key, path, .. } => danger_of_path(*key, path, all, facts),
        Grant::Port(NetAccess::ConnectTcp | NetAccess::ConnectSendUdp, _) => {
            Some("a port at any address: what is read can be sent to anybody")
        }
        Grant::Port(..) | Grant::Preset(_) => None,
        Grant::Allow(Allow::Signal) => Some("every process of the user can be ended"),
        Grant::Allow(Allow::Udp) => Some("all ports at any address: what is read can be sent to anybody"),
        Grant::Allow(Allow::AbstractUnixSocket) => Some("whoever listens acts outside of the sandbox"),
        Grant::Allow(Allow::Metadata) => Some("mode and owner of what is granted can be changed"),
        Grant::UnlimitedMemory => Some("memory files are not counted, so nothing is limited"),
    }
}

fn danger_of_path(key: Key, path: &Path, all: &[Grant], facts: &Facts) -> Option<&'static str> {
    const PROGRAMS: [&str; 14] = [
        "sh", "bash", "dash", "zsh", "ksh", "fish", "busybox", "python", "perl", "ruby", "node", "env",
        "php", "lua",
    ];
    const SYSTEM: [&str; 9] = ["/etc", "/usr", "/bin", "/sbin", "/lib", "/boot", "/dev", "/proc", "/sys"];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let program = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_in = |directories: &[&str]| directories.iter().any(|directory| path.starts_with(directory));
    let is_at_home = facts.home.as_ref().is_some_and(|home| path.starts_with(home));
    let is_below_written =
        |grant: &Grant| written_directory(grant).is_some_and(|directory| path.starts_with(directory));
    let writes = !(key.rights() & Access::WRITE).is_empty();
    match key {
        _ if holds_everything(path, facts) && path != Path::new("/proc") => {
            Some("it holds far more than was used")
        }
        Key::Execute if PROGRAMS.contains(&program) => Some("it runs whatever it is told"),
        Key::Execute if all.iter().any(is_below_written) => Some("what is written there can be run"),
        Key::Execute if is_at_home => Some("the user can change it"),
        Key::Unix
            if ["docker.sock", "containerd.sock", "podman.sock", "libvirt-sock", "crio.sock"]
                .contains(&&*name) =>
        {
            Some("whoever reaches it is as good as root")
        }
        Key::Unix => Some("whoever listens acts outside of the sandbox"),
        _ if writes && is_in(&SYSTEM) => Some("the system depends on it"),
        _ if writes && is_at_home => Some("files of the user: what starts by itself may be among them"),
        _ if path == Path::new("/proc") => {
            Some("command lines and environments of other processes of the user")
        }
        Key::Read if is_in(&["/etc/shadow", "/etc/ssl/private"]) => Some("secrets of the system"),
        Key::Read
            if is_at_home
                && path.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.')) =>
        {
            Some("a hidden file of the user: keys are kept in such")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::uses::folded;
    use super::*;

    fn of(placement: Placement, seen: &[(&str, u64)]) -> (Vec<Granted>, Vec<Use>) {
        let facts = Facts { abi: 10, temporary: "/scratch".into(), home: Some("/home/me".into()) };
        let seen: Seen = seen.iter().map(|(used, count)| (Use::parse(used), *count)).collect();
        grants(&folded(&seen, &facts), About { placement, namespaces: false, facts: &facts })
    }

    /// The attribute, without the expansion of presets.
    fn text(placement: Placement, uses: &[&str]) -> String {
        let uses: Vec<(&str, u64)> = uses.iter().map(|used| (*used, 1)).collect();
        let (grants, _) = of(placement, &uses);
        grants.iter().map(|known| known.grant.text()).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_smallest_grants() {
        let cases: &[(&[&str], &str)] = &[
            (&["read_file /etc/hosts"], r#"read = "/etc/hosts""#),
            (&["missing /etc/site.conf"], r#"read = optional("/etc/site.conf")"#),
            (&["missing /a", "read_file /a"], r#"read = optional("/a")"#),
            (&["look /etc", "read_file /srv/a"], r#"read = "/srv/a""#),
            (&["look /etc/hosts"], r#"read = "/etc/hosts""#),
            (&["read_dir /srv/a"], r#"fs(read_dir = "/srv/a")"#),
            (&["read_dir /srv/a", "read_file /srv/a/b"], r#"read = "/srv/a""#),
            (&["read_dir /"], r#"fs(read_dir = "/")"#),
            (&["write_file /srv/a", "truncate /srv/a"], r#"write = "/srv/a""#),
            (&["make_reg /srv", "write_file /srv/*"], r#"fs(make_reg = "/srv"), fs(write_file = "/srv")"#),
            (&["make_reg /srv/a", "write_file /srv/a/*"], r#"write = "/srv/a""#),
            (&["make_reg /srv/a", "read_file /srv/a/b"], r#"write = "/srv/a", read = optional("/srv/a/b")"#),
            (
                &["make_reg /tmp", "write_file /tmp/*", "read_file /tmp/.tmpaaaaaa/x"],
                r#"write = "/tmp", read = "/tmp""#,
            ),
            (&["make_reg /scratch", "write_file /scratch/1", "read_file /scratch/1"], "preset(tmp)"),
            (&["execute /usr/bin/cat", "read_file /usr/bin/cat"], r#"execute = "/usr/bin/cat""#),
            (&["map_executable /srv/p.so"], r#"execute = "/srv/p.so""#),
            (&["map_executable /srv/p.so", "execute /srv/p"], r#"execute = "/srv/p""#),
            (&["read_file /proc/self/maps"], r#"read = "/proc""#),
            (&["read_file /proc/77/maps"], r#"read = "/proc""#),
            (&["read_file /proc/cpuinfo"], r#"read = "/proc/cpuinfo""#),
            (&["resolve_unix /run/x"], r#"unix = "/run/x""#),
            (&["missing_socket /run/x"], r#"unix = optional("/run/x")"#),
            (&["connect_tcp 443", "bind_tcp 0", "listen"], "tcp_bind = 0, tcp_connect = 443"),
            (&["listen"], "tcp_bind = 0"),
            (&["connect_send_udp 99"], "udp_connect = 99"),
            (&["connect_send_udp 53", "read_file /etc/resolv.conf", "read_file /etc/hosts"], "preset(dns)"),
            (&["read_file /etc/resolv.conf"], r#"read = "/etc/resolv.conf""#),
            (&["read_file /usr/share/zoneinfo/Etc/UTC"], "preset(time_zone)"),
            (
                &["read_file /etc/ssl/certs/ca.crt", "missing /usr/lib/ssl/cert.pem"],
                "preset(ca_certificates)",
            ),
            (&["read_file /usr/lib/locale/C.utf8/LC_CTYPE"], "preset(locale)"),
            (&["metadata /srv/a", "signal 77"], "allow(metadata), allow(signal)"),
            (&["memory_file"], r#"memory = "unlimited""#),
            (&["make_char /srv/a"], r#"fs(make_char = "/srv/a")"#),
            (&["ioctl_dev /dev/fb0"], r#"fs(ioctl_dev = "/dev/fb0")"#),
            (&[], ""),
        ];
        for (uses, expected) in cases {
            let mut expected: Vec<&str> = expected.split(", ").collect();
            let text = text(Placement::Process, uses);
            let mut found: Vec<&str> = text.split(", ").collect();
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "{uses:?}");
        }
    }

    #[test]
    fn a_placement_needs_what_it_refuses() {
        for placement in [Placement::Thread, Placement::InPlace] {
            assert_eq!(text(placement, &["read_file /proc/self/maps"]), r#"read = "/proc/self""#);
            for used in ["look /etc/hosts", "memory_file", "map_executable /srv/p.so", "processes"] {
                assert_eq!(text(placement, &[used]), "", "{used}");
            }
        }
    }

    #[test]
    fn what_nothing_grants_is_named() {
        let uses = [("refused inotify_init1", 1), ("processes", 1), ("read_file /a", 1)];
        let (_, refused) = of(Placement::Process, &uses);
        assert_eq!(refused, [Use::new("processes", ""), Use::new("refused", "inotify_init1")]);
    }

    #[test]
    fn all_observations_are_counted() {
        let uses = [("read_file /srv/a/b", 3), ("read_dir /srv/a", 2), ("missing /srv/a/c", 4)];
        let (grants, _) = of(Placement::Process, &uses);
        assert_eq!(grants.iter().map(|known| known.count).collect::<Vec<_>>(), [9]);
        let (grants, _) = of(Placement::Process, &[("connect_send_udp 53", 2), ("read_file /etc/hosts", 5)]);
        assert_eq!((grants.len(), grants[0].count), (1, 7));
    }

    #[test]
    fn an_old_kernel_does_not_know_ports_of_udp() {
        let facts = Facts { abi: 9, temporary: "/tmp".into(), home: None };
        let seen: Seen = [(Use::parse("bind_udp 0"), 1), (Use::parse("connect_send_udp 99"), 1)].into();
        let about = About { placement: Placement::Thread, namespaces: false, facts: &facts };
        let (grants, _) = grants(&seen, about);
        assert_eq!((grants.len(), &grants[0].grant), (1, &Grant::Allow(Allow::Udp)));
    }

    #[test]
    fn namespaces_hide_what_is_only_looked_at() {
        let facts = Facts { abi: 10, temporary: "/tmp".into(), home: None };
        let seen: Seen = [(Use::parse("look /srv/b"), 1), (Use::parse("read_file /srv/a"), 1)].into();
        let about = About { placement: Placement::Process, namespaces: true, facts: &facts };
        assert_eq!(grants(&seen, about).0.len(), 2);
    }

    #[test]
    fn what_is_dangerous_is_marked() {
        for (uses, is_dangerous) in [
            (&["execute /usr/bin/dash"][..], true),
            (&["execute /usr/bin/python3.12"], true),
            (&["execute /usr/bin/cat"], false),
            (&["execute /srv/a/tool", "make_reg /srv/a"], true),
            (&["write_file /etc/hosts"], true),
            (&["write_file /home/me/.profile"], true),
            (&["read_file /home/me/.ssh/id_ed25519"], true),
            (&["read_file /home/me/data.csv"], false),
            (&["read_dir /"], true),
            (&["resolve_unix /run/docker.sock"], true),
            (&["read_file /proc/self/maps"], true),
            (&["connect_tcp 443"], true),
            (&["bind_tcp 8080"], false),
            (&["signal -1"], true),
            (&["read_file /usr/share/dict/words"], false),
        ] {
            let uses: Vec<(&str, u64)> = uses.iter().map(|used| (*used, 1)).collect();
            let (grants, _) = of(Placement::Process, &uses);
            assert_eq!(grants.iter().any(|known| known.danger.is_some()), is_dangerous, "{uses:?}");
        }
    }
}
