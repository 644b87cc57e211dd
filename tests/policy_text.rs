//! What a policy file cannot say is named; what it can say plans the same when it is read again.
#![cfg(feature = "policy-files")]

use proptest::prelude::*;
use sandboxed::{
    Access, Allow, Kernel, Memory, NetAccess, Placement, Plan, Policy, Preset, Stdio, ThreadSync, Timeout,
    Unenforceable, Workers, optional, plan,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PLACEMENTS: [Placement; 3] = [Placement::Process, Placement::Thread, Placement::InPlace];

/// A plan without the form of its rules: rights by path, ports by right.
#[derive(Debug, PartialEq)]
struct Essence {
    /// Without its rules.
    plan: Plan,
    paths: BTreeMap<PathBuf, u64>,
    ports: BTreeMap<NetAccess, BTreeSet<u16>>,
}

fn essence(mut plan: Plan) -> Essence {
    let (mut paths, mut ports) = (BTreeMap::<_, u64>::new(), BTreeMap::<_, BTreeSet<u16>>::new());
    if let Some(ruleset) = &mut plan.ruleset {
        for rule in std::mem::take(&mut ruleset.paths) {
            *paths.entry(rule.path).or_default() |= rule.rights.bits();
        }
        for rule in std::mem::take(&mut ruleset.ports) {
            ports.entry(rule.access).or_default().extend(rule.ports);
        }
    }
    // What is granted everywhere need not be granted below.
    let everywhere = paths.get(Path::new("/")).copied().unwrap_or(0);
    paths.iter_mut().filter(|(path, _)| *path != Path::new("/")).for_each(|(_, bits)| *bits &= !everywhere);
    paths.retain(|_, bits| *bits != 0);
    Essence { plan, paths, ports }
}

/// The plans of a policy on every kernel.
fn plans(policy: &Policy) -> Vec<Result<Essence, Unenforceable>> {
    let kernels = (0..=11).flat_map(|abi| [Kernel::with(abi, 0, true), Kernel::with(abi, 0, false)]);
    let all = kernels.flat_map(|kernel| PLACEMENTS.map(|placement| plan(policy, placement, kernel)));
    all.map(|plan| plan.map(essence)).collect()
}

/// One grant that a file can say.
#[derive(Clone, Debug)]
enum Grant {
    Read(String, bool),
    Write(String),
    Execute(String),
    Fs(String, u32),
    AllRights(String),
    Ports(bool, RangeInclusive<u16>),
    AllNet(u16),
    AllPorts(bool),
    Signal,
    Unix,
}

fn grants() -> impl Strategy<Value = Grant> {
    let path =
        || prop_oneof![4 => "(/[a-c$\\{\\} \"é]{1,3}){1,2}/?", 1 => Just("/".to_owned()), 1 => "[a-c.]{1,2}"];
    prop_oneof![
        (path(), any::<bool>()).prop_map(|(path, optional)| Grant::Read(path, optional)),
        path().prop_map(Grant::Write),
        path().prop_map(Grant::Execute),
        (path(), 1..1u32 << 16).prop_map(|(path, rights)| Grant::Fs(path, rights)),
        path().prop_map(Grant::AllRights),
        (any::<bool>(), any::<u16>(), 0..20u16)
            .prop_map(|(bind, first, more)| Grant::Ports(bind, first..=first.saturating_add(more))),
        any::<u16>().prop_map(Grant::AllNet),
        any::<bool>().prop_map(Grant::AllPorts),
        Just(Grant::Signal),
        Just(Grant::Unix),
    ]
}

fn add(policy: Policy, grant: Grant) -> Policy {
    let tcp = |policy: Policy, bind: bool, ports: RangeInclusive<u16>| match bind {
        true => policy.tcp_bind(ports),
        false => policy.tcp_connect(ports),
    };
    let rights = |bits: u32| {
        let has = |right: &&(Access, &str, u32)| bits & right.0.bits() as u32 != 0;
        Access::ALL.iter().filter(has).fold(Access::NONE, |all, right| all | right.0)
    };
    match grant {
        Grant::Read(path, true) => policy.read(optional(path)),
        Grant::Read(path, false) => policy.read(path),
        Grant::Write(path) => policy.write(path),
        Grant::Execute(path) => policy.execute(path),
        Grant::Fs(path, bits) => policy.fs(rights(bits), path),
        Grant::AllRights(path) => policy.fs(rights(u32::MAX), path),
        Grant::Ports(bind, ports) => tcp(policy, bind, ports),
        Grant::AllNet(port) => policy.tcp_bind(port).tcp_connect(port).udp_bind(port).udp_connect(port),
        // In two parts, so that they have to be put together.
        Grant::AllPorts(bind) => tcp(tcp(policy, bind, 80..=u16::MAX), bind, 0..=90),
        Grant::Signal => policy.allow(Allow::Signal),
        Grant::Unix => policy.allow(Allow::AbstractUnixSocket).unix("/"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_plans_the_same_when_it_is_read(grants in proptest::collection::vec(grants(), 0..6)) {
        let policy = grants.into_iter().fold(Policy::new(), add);
        let text = policy.to_toml().unwrap_or_else(|error| panic!("{error}: {policy}"));
        let again = Policy::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        for (was, is) in plans(&policy).into_iter().zip(plans(&again)) {
            // Of one that cannot be enforced, the error.
            prop_assert_eq!(was, is, "{}", text);
        }
        // From then on it is the same policy.
        let twice = Policy::from_toml(&again.to_toml().unwrap()).unwrap();
        prop_assert_eq!(twice, again, "{}", text);
    }
}

#[test]
fn what_cannot_be_said_is_named() {
    let new = Policy::new;
    for (policy, what) in [
        (new().timeout(Duration::from_secs(1)), "`timeout`"),
        (new().timeout(Timeout::Never), "`timeout`"),
        (new().memory(1u64), "`memory`"),
        (new().memory(Memory::Unlimited), "`memory`"),
        (new().cpu(Duration::from_secs(1)), "`cpu`"),
        (new().open_files(16), "`open_files`"),
        (new().file_size(1), "`file_size`"),
        (new().threads(1), "`threads`"),
        (new().namespaces(), "`namespaces`"),
        (new().env("LANG"), "`env`"),
        (new().read("/usr").quiet("/proc"), "`quiet`"),
        (new().stdio(Stdio::Null), "`stdio`"),
        (new().workers(Workers::new().reuse(2)), "`workers`"),
        (new().strict(), "`strict`"),
        (new().best_effort(), "`best_effort`"),
        (new().thread_sync(ThreadSync::Signal), "`thread_sync`"),
        (new().preset(Preset::Tmp), "`preset`"),
        (new().allow(Allow::Udp), "`allow(udp)`"),
        (new().allow(Allow::Metadata), "`allow(metadata)`"),
        (new().allow(Allow::AbstractUnixSocket), "`allow(abstract_unix_socket)` without `unix = \"/\"`"),
        (new().unix("/run"), "`resolve_unix` alone, only with all that its ABI has"),
        (new().udp_bind(53), "`bind_udp` alone, only with all that its ABI has"),
        (new().udp_connect(53), "`connect_send_udp` alone, only with all that its ABI has"),
        (new().read("/\0"), "the path \"/\\0\""),
        (new().read(""), "the path \"\""),
        (
            new().read(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"/\xff")),
            "the path \"/\\xFF\"",
        ),
        (Policy::for_program(), "`timeout`"),
    ] {
        let error = policy.to_toml().unwrap_err();
        assert_eq!(error.to_string(), format!("a policy file cannot say {what}"));
    }
    let long = |count: usize| {
        (0..count).fold(new(), |policy, name| policy.read(format!("/{name}/{}", "x/".repeat(2000))))
    };
    let error = long(300).to_toml().unwrap_err();
    assert_eq!(error.to_string(), "a policy file cannot say more than 1048576 bytes");
    // Twins.
    assert!(Policy::from_toml(&long(200).to_toml().unwrap()).is_ok());
    assert!(new().to_toml().is_ok());
    let spelled_out = new().preset(Preset::CaCertificates).expanded(11);
    assert_eq!(Policy::from_toml(&spelled_out.to_toml().unwrap()).unwrap().to_string(), {
        let text = spelled_out.to_string();
        let mut paths: Vec<&str> =
            text.trim_start_matches("read = [").trim_end_matches(']').split(", ").collect();
        paths.sort();
        format!("read = [{}]", paths.join(", "))
    });
}

#[test]
fn a_written_policy_reads_well() {
    let policy =
        Policy::new().read(["/usr", "/etc/$x"]).execute("/usr/bin").tcp_bind(8080).tcp_connect(0..=u16::MAX);
    let expected = r#"[[ruleset]]
handled_access_fs = ["execute", "write_file", "read_file", "read_dir", "remove_dir", "remove_file", "make_char", "make_dir", "make_reg", "make_sock", "make_fifo", "make_block", "make_sym", "refer", "truncate", "ioctl_dev"]
handled_access_net = ["bind_tcp"]
scoped = ["abstract_unix_socket", "signal"]

[[path_beneath]]
allowed_access = ["read_file", "read_dir"]
parent = ["/etc/$$x", "/usr"]

[[path_beneath]]
allowed_access = ["execute", "read_file", "read_dir"]
parent = ["/usr/bin"]

[[net_port]]
allowed_access = ["bind_tcp"]
port = [8080]
"#;
    assert_eq!(policy.to_toml().unwrap(), expected);
}

/// A policy that grants all of something has nothing of it to hold; one that grants a part has.
#[test]
fn what_is_granted_everywhere_is_asked_of_no_kernel() {
    for placement in PLACEMENTS {
        for (right, name, least) in Access::ALL.iter().skip(13) {
            // Before ABI 6 abstract sockets come with pathname sockets, so that only the latter matter here.
            let new = || match *right {
                Access::RESOLVE_UNIX => Policy::new().read("/usr").allow(Allow::AbstractUnixSocket),
                _ => Policy::new().read("/usr"),
            };
            let (everywhere, below) = (new().fs(*right, "/"), new().fs(*right, "/usr"));
            // Landlock refuses `refer` from ABI 1 on, and the filter `truncate` before ABI 3.
            let refused_below = !["refer", "truncate"].contains(name);
            for abi in 1..*least {
                let kernel = Kernel::with(abi, 0, true);
                let open =
                    plan(&everywhere, placement, kernel).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(open.filter.unwrap().truncate, *name != "truncate" && abi < 3, "{name} {abi}");
                assert_eq!(
                    plan(&below, placement, kernel).is_err(),
                    refused_below,
                    "{name} {abi} {placement}"
                );
            }
            // Where Landlock knows it, it is a rule, as any other.
            let ruleset =
                plan(&everywhere, placement, Kernel::with(*least, 0, true)).unwrap().ruleset.unwrap();
            assert!(ruleset.files.contains(*right));
            assert!(ruleset.paths.iter().any(|rule| rule.path == Path::new("/") && rule.rights == *right));
        }
        for access in NetAccess::ALL {
            // The other right on such sockets is open, so that the filter may let them be.
            let all = 0..=u16::MAX;
            let grant = |ports: RangeInclusive<u16>| match access {
                NetAccess::BindTcp => Policy::new().tcp_connect(all.clone()).tcp_bind(ports),
                NetAccess::ConnectTcp => Policy::new().tcp_bind(all.clone()).tcp_connect(ports),
                NetAccess::BindUdp => Policy::new().udp_connect(all.clone()).udp_bind(ports),
                NetAccess::ConnectSendUdp => Policy::new().udp_bind(all.clone()).udp_connect(ports),
            };
            for abi in 1..=11 {
                let kernel = Kernel::with(abi, 0, true);
                let part = plan(&grant(1..=u16::MAX), placement, kernel);
                assert_eq!(part.is_err(), abi < access.least_abi(), "{access:?} {abi}");
                let ruleset = plan(&grant(all.clone()), placement, kernel).unwrap().ruleset.unwrap();
                assert!(!ruleset.net.contains(&access) && ruleset.ports.is_empty(), "{access:?} {abi}");
            }
        }
    }
}

/// The shape of the examples in landlockconfig's documentation: enforceable on each kernel that has their ABI, in
/// every placement.
#[test]
fn files_for_an_abi_are_enforceable_from_it_on() {
    for abi in 1..=11 {
        let text = format!(
            "abi = {abi}\n[[ruleset]]\nhandled_access_fs = [\"abi.all\"]\nhandled_access_net = [\"abi.all\"]\n\
             scoped = [\"abi.all\"]\n[[path_beneath]]\nallowed_access = [\"abi.read_execute\"]\nparent = [\"/usr\"]\n\
             [[path_beneath]]\nallowed_access = [\"abi.read_write\"]\nparent = [\"/tmp\"]\n\
             [[net_port]]\nallowed_access = [\"abi.all\"]\nport = [80]\n"
        );
        // Without rules and scopes for what it does not have, a list would be empty.
        let policy = Policy::from_toml(&text).unwrap_or_else(|error| panic!("{error}"));
        for kernel in abi..=11 {
            for placement in PLACEMENTS {
                let planned = plan(&policy, placement, Kernel::with(kernel, 0, true));
                assert!(
                    planned.is_ok(),
                    "abi = {abi} on ABI {kernel} in {placement}: {}",
                    planned.unwrap_err()
                );
            }
        }
    }
}
