//! Presets: each expands to what is documented, grants that, and nothing else.

#[path = "support/raw.rs"]
mod raw;
mod support;

use libc::EACCES;
use sandboxed::{Access, Kernel, NetAccess, Placement, Plan, Policy, Preset, plan, sandboxed};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use support::{has_abi, in_child};

/// What each preset reads.
const READS: [(Preset, &[&str]); 5] = [
    (
        Preset::Dns,
        &[
            "/etc/resolv.conf",
            "/etc/hosts",
            "/etc/host.conf",
            "/etc/nsswitch.conf",
            "/etc/gai.conf",
            "/etc/services",
            "/etc/protocols",
        ],
    ),
    (
        Preset::CaCertificates,
        &[
            "/etc/ssl",
            "/etc/pki",
            "/etc/ca-certificates",
            "/usr/share/ca-certificates",
            "/usr/local/share/ca-certificates",
            "/usr/lib/ssl",
        ],
    ),
    (Preset::TimeZone, &["/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo"]),
    (Preset::Locale, &["/usr/lib/locale", "/usr/share/locale", "/usr/share/i18n", "/etc/locale.alias"]),
    (Preset::Tmp, &[]),
];

/// The variables that each preset passes.
fn variables(preset: Preset) -> &'static [&'static str] {
    match preset {
        Preset::Dns | Preset::CaCertificates => &[],
        Preset::TimeZone => &["TZ"],
        Preset::Locale => &[
            "LANG",
            "LANGUAGE",
            "LC_ALL",
            "LC_COLLATE",
            "LC_CTYPE",
            "LC_MESSAGES",
            "LC_MONETARY",
            "LC_NUMERIC",
            "LC_TIME",
        ],
        Preset::Tmp => &["TMPDIR"],
    }
}

fn plan_of(preset: Preset, abi: u32) -> Plan {
    plan(&Policy::new().preset(preset), Placement::Process, Kernel::with(abi, 0, true)).unwrap()
}

#[test]
fn display_shows_the_expansion() {
    for (preset, reads) in READS {
        let list = |paths: &[String]| match paths {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let optional = |path: &Path| format!("optional({path:?})");
        let reads: Vec<String> = reads.iter().map(|path| optional(Path::new(path))).collect();
        let tmp = optional(&std::env::temp_dir());
        let names: Vec<String> = variables(preset).iter().map(|name| format!("{name:?}")).collect();
        let expansion = match preset {
            Preset::Dns => format!("read = {}, tcp_connect = 53, udp_connect = 53", list(&reads)),
            Preset::CaCertificates => format!("read = {}", list(&reads)),
            Preset::TimeZone | Preset::Locale => format!("read = {}, env = {}", list(&reads), list(&names)),
            Preset::Tmp => format!("read = {tmp}, write = {tmp}, env = {}", list(&names)),
        };
        let expected = format!("preset({}) /* {expansion} */", preset.word());
        assert_eq!(Policy::new().preset(preset).to_string(), expected);
    }
}

#[test]
fn plans_hold_what_is_documented_and_nothing_else() {
    for (preset, reads) in READS {
        for abi in 1..=11 {
            let plan = plan_of(preset, abi);
            let ruleset = plan.ruleset.unwrap();
            let tmp = std::env::temp_dir();
            let mut expected: Vec<(PathBuf, Access)> =
                reads.iter().map(|path| (PathBuf::from(path), Access::READ & ruleset.files)).collect();
            if preset == Preset::Tmp {
                expected =
                    vec![(tmp.clone(), Access::READ & ruleset.files), (tmp, Access::WRITE & ruleset.files)];
            }
            let paths: Vec<_> = ruleset.paths.iter().map(|rule| (rule.path.clone(), rule.rights)).collect();
            assert_eq!(paths, expected, "{preset:?}, ABI {abi}");
            assert!(ruleset.paths.iter().all(|rule| rule.optional), "{preset:?}");
            assert_eq!(plan.env, variables(preset), "{preset:?}");

            let ports: Vec<_> = ruleset.ports.iter().map(|rule| (rule.access, rule.ports.clone())).collect();
            let dns = [
                (4, (NetAccess::ConnectTcp, 53..=53)),
                (10, (NetAccess::ConnectSendUdp, 53..=53)),
                (10, (NetAccess::BindUdp, 0..=0)),
            ];
            let dns = dns
                .into_iter()
                .filter(|(least, _)| preset == Preset::Dns && abi >= *least)
                .map(|(_, rule)| rule);
            assert_eq!(ports, dns.collect::<Vec<_>>(), "{preset:?}, ABI {abi}");
            let sockets = plan.filter.unwrap().sockets;
            let is_dns = preset == Preset::Dns;
            assert_eq!(
                (sockets.udp, sockets.tcp, sockets.unix),
                (is_dns, is_dns && abi >= 4, false),
                "{preset:?}"
            );
        }
    }
}

/// Opens each for reading: 0, or the errno.
fn open_each(paths: &[PathBuf]) -> Vec<i32> {
    let open =
        |path: &PathBuf| fs::File::open(path).map_or_else(|error| error.raw_os_error().unwrap(), |_| 0);
    paths.iter().map(open).collect()
}

macro_rules! functions {
    ($($word:ident = $variant:ident;)*) => {
        $(mod $word {
            use super::*;

            #[sandboxed(preset($word))]
            pub fn process(paths: &[PathBuf]) -> (Vec<i32>, Vec<String>) {
                (open_each(paths), std::env::vars().map(|(name, _)| name).collect())
            }

            #[sandboxed(thread, preset($word))]
            pub fn thread(paths: &[PathBuf]) -> Vec<i32> {
                open_each(paths)
            }
        })*

        const FUNCTIONS: &[(Preset, InProcess, InThread)] = &[$((Preset::$variant, $word::process, $word::thread)),*];
    };
}

type InProcess = fn(&[PathBuf]) -> (Vec<i32>, Vec<String>);
type InThread = fn(&[PathBuf]) -> Vec<i32>;

functions! {
    dns = Dns;
    ca_certificates = CaCertificates;
    time_zone = TimeZone;
    locale = Locale;
    tmp = Tmp;
}

/// What the presets' paths lead to, and what no preset names.
#[test]
fn each_preset_opens_its_own_files() {
    assert_eq!(FUNCTIONS.iter().map(|row| row.0).collect::<Vec<_>>(), Preset::ALL);
    let exists = |path: &PathBuf| path.exists();
    let real = |path: &PathBuf| fs::canonicalize(path).unwrap();
    let known = READS.iter().flat_map(|(_, reads)| reads.iter().map(PathBuf::from)).filter(exists);
    let others = ["/etc/passwd", "/etc", "/usr", "/usr/bin", "/proc/self/status"].map(PathBuf::from);
    let mut paths: Vec<PathBuf> =
        known.chain(others).filter(|path| open_each(std::slice::from_ref(path)) == [0]).collect();
    assert!(paths.len() > 5, "{paths:?}");
    paths.push(std::env::temp_dir());
    for (preset, process, thread) in FUNCTIONS {
        let mut granted: Vec<PathBuf> =
            plan_of(*preset, 1).ruleset.unwrap().paths.into_iter().map(|rule| rule.path).collect();
        granted.retain(exists);
        // Also by way of a symbolic link.
        let granted: Vec<PathBuf> = granted.iter().map(real).collect();
        let is_granted = |path: &PathBuf| granted.iter().any(|granted| real(path).starts_with(granted));
        let expected: Vec<i32> = paths.iter().map(|path| if is_granted(path) { 0 } else { EACCES }).collect();
        assert!(expected.contains(&EACCES), "{preset:?}");
        assert_eq!(process(&paths).0, expected, "{preset:?}: {paths:?}");
        assert_eq!(thread(&paths), expected, "{preset:?}: {paths:?}");
    }
}

#[test]
fn each_preset_passes_its_own_variables() {
    in_child("each_preset_passes_its_own_variables", || {
        let all: Vec<&str> = Preset::ALL.iter().flat_map(|preset| variables(*preset)).copied().collect();
        for name in all.iter().filter(|name| **name != "TMPDIR").chain(&["SECRET"]) {
            raw::set_variable(name, "C");
        }
        raw::set_variable("TMPDIR", std::env::temp_dir());
        for (preset, process, _) in FUNCTIONS {
            let mut found = process(&[]).1;
            found.sort_unstable();
            assert_eq!(found, variables(*preset), "{preset:?}");
        }
    });
}

fn make(path: &Path) -> i32 {
    let made = fs::write(path, "text").and_then(|()| fs::rename(path, path.with_extension("new")));
    let made = made.and_then(|()| fs::remove_file(path.with_extension("new")));
    made.map_or_else(|error| error.raw_os_error().unwrap(), |()| 0)
}

#[sandboxed(preset(tmp))]
fn make_in_process(elsewhere: &Path) -> (i32, i32) {
    (make(&std::env::temp_dir().join("file")), make(&elsewhere.join("file")))
}

#[test]
fn tmp_is_the_directory_of_the_caller() {
    in_child("tmp_is_the_directory_of_the_caller", || {
        let (tmp, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        raw::set_variable("TMPDIR", tmp.path());
        assert_eq!(make_in_process(elsewhere.path()), (0, EACCES));
        // Made and removed.
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
        assert_eq!(make(&elsewhere.path().join("file")), 0, "outside of a sandbox");
    });
}

fn look_up(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = (name, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    Ok(found.map(|address| address.ip()).collect())
}

#[sandboxed(preset(dns))]
fn look_up_in_process(name: &str) -> Result<Vec<IpAddr>, String> {
    look_up(name)
}

#[sandboxed(thread, preset(dns))]
fn look_up_in_thread(name: &str) -> Result<Vec<IpAddr>, String> {
    look_up(name)
}

#[sandboxed]
fn look_up_without_preset(name: &str) -> Result<Vec<IpAddr>, String> {
    look_up(name)
}

#[test]
fn dns_resolves() {
    // A name that is in /etc/hosts and nowhere else.
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    if !hosts
        .lines()
        .any(|line| line.starts_with("127.0.0.1") && line.split_whitespace().any(|word| word == "localhost"))
    {
        eprintln!("not checked: localhost is not in /etc/hosts");
        return;
    }
    for found in [look_up_in_process("localhost"), look_up_in_thread("localhost")] {
        assert!(found.as_ref().is_ok_and(|found| found.contains(&Ipv4Addr::LOCALHOST.into())), "{found:?}");
    }
    let found = look_up_without_preset("localhost");
    assert!(found.is_err(), "{found:?}");
}

fn connect(to: SocketAddr) -> i32 {
    std::net::TcpStream::connect(to).map_or_else(|error| error.raw_os_error().unwrap(), |_| 0)
}

#[sandboxed(preset(dns))]
fn connect_in_process(to: &[SocketAddr]) -> Vec<i32> {
    to.iter().map(|to| connect(*to)).collect()
}

#[test]
fn dns_connects_to_its_port_alone() {
    if !has_abi(4, "ports of `preset(dns)`") {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // On an address that no server of names has, so that it is this machine that refuses.
    let port_53 = SocketAddr::from(([127, 0, 0, 99], 53));
    let free = connect(port_53);
    assert_ne!(free, EACCES, "outside of a sandbox");
    assert_eq!(connect_in_process(&[port_53, listener.local_addr().unwrap()]), [free, EACCES]);
}
