//! The README's support table is printed from the plan.

use sandboxed::{Kernel, Layer, NetAccess, Placement, Policy, Promise, plan};
use std::fmt::Write;
use std::time::Duration;

const BEGIN: &str = "<!-- support table: SANDBOXED_BLESS=1 cargo test --test readme -->\n";
const END: &str = "<!-- end of support table -->";

const LINUX: [(&str, u32); 12] = [
    ("5.9", 0),
    ("5.13", 1),
    ("5.19", 2),
    ("6.2", 3),
    ("6.7", 4),
    ("6.10", 5),
    ("6.12", 6),
    ("6.15", 7),
    ("7.0", 8),
    ("7.1", 9),
    ("7.2", 10),
    ("7.3", 11),
];

/// What is promised, under which policy, and the promise whose layers show it.
fn rows() -> Vec<(&'static str, Policy, Promise)> {
    use sandboxed::Access;
    let port = Promise::Port;
    vec![
        ("no files", Policy::new(), Promise::File(Access::READ_FILE)),
        ("files outside the grants", Policy::new().read("/usr"), Promise::File(Access::READ_FILE)),
        (
            "files in a directory moved out of a bind mount",
            Policy::new().read("/usr"),
            Promise::DisconnectedDirectories,
        ),
        ("rename across directories", Policy::new().write("/x"), Promise::File(Access::REFER)),
        ("truncate", Policy::new().write("/x"), Promise::File(Access::TRUNCATE)),
        ("ioctl on devices", Policy::new(), Promise::File(Access::IOCTL_DEV)),
        ("no TCP", Policy::new(), port(NetAccess::ConnectTcp)),
        ("these TCP ports", Policy::new().tcp_connect(443), port(NetAccess::ConnectTcp)),
        ("no UDP", Policy::new(), port(NetAccess::ConnectSendUdp)),
        ("these UDP ports", Policy::new().udp_connect(53), port(NetAccess::ConnectSendUdp)),
        ("no other sockets, no io_uring", Policy::new(), Promise::OtherSockets),
        ("no pathname sockets", Policy::new(), Promise::File(Access::RESOLVE_UNIX)),
        ("these pathname sockets", Policy::new().unix("/run/x"), Promise::File(Access::RESOLVE_UNIX)),
        ("abstract sockets", Policy::new(), Promise::AbstractUnixSocket),
        ("signals", Policy::new(), Promise::Signal),
        ("ptrace", Policy::new(), Promise::Ptrace),
        ("mode, owner, times, xattrs", Policy::new(), Promise::Metadata),
        ("`process`: memory", Policy::new(), Promise::Memory),
        ("`process`: wall time", Policy::new(), Promise::Timeout),
        ("`process`: processor time", Policy::new().cpu(Duration::from_secs(1)), Promise::Cpu),
        ("`process`: descriptors", Policy::new(), Promise::OpenFiles),
        ("`process`: length of files", Policy::new().file_size(1), Promise::FileSize),
        ("`process`, `threads = 1`", Policy::new().threads(1), Promise::Threads),
        ("`process`, `namespaces`: several threads", Policy::new().threads(4).namespaces(), Promise::Threads),
        (
            "`process`, `namespaces`: existence of other files",
            Policy::new().read("/usr").namespaces(),
            Promise::Existence,
        ),
        ("`process`: new processes and other calls", Policy::new(), Promise::OtherSystemCalls),
    ]
}

/// The layers on this kernel, whose fixes of errata are not known from its ABI.
fn cell(policy: &Policy, promise: Promise, abi: u32) -> String {
    // Linux 5.14 counts the threads of a namespace.
    let of = |errata| layers(policy, promise, Kernel::with(abi, errata, true).with_namespaces(abi >= 2));
    match (of(0), of(u32::MAX)) {
        (without, fixed) if without == fixed => without,
        (without, fixed) if without == "-" => fixed.to_lowercase(),
        different => panic!("{promise}: the table has no letter for {different:?}"),
    }
}

fn layers(policy: &Policy, promise: Promise, kernel: Kernel) -> String {
    if plan(policy, Placement::Process, kernel)
        .is_err_and(|error| error.lost.iter().any(|lost| lost.promise == promise))
    {
        return "!".into();
    }
    let plan =
        plan(&policy.clone().best_effort(), Placement::Process, kernel).expect("best effort never fails");
    let layers = plan.held.get(&promise).map_or(&[][..], Vec::as_slice);
    let letter = |layer: &Layer| match layer {
        Layer::Landlock(_) | Layer::LandlockWithout(_) => 'L',
        Layer::Filter => 'F',
        Layer::Rlimit => 'R',
        Layer::Namespaces | Layer::NamespaceRlimit => 'N',
        _ => 'K',
    };
    let letters: String = layers.iter().map(letter).collect();
    if letters.is_empty() { "-".into() } else { letters }
}

fn table() -> String {
    let mut table = String::from("| Linux (Landlock ABI) |");
    for (linux, abi) in LINUX {
        let abi = if abi == 0 { "none".to_owned() } else { abi.to_string() };
        write!(table, " {linux} ({abi}) |").expect("a string grows");
    }
    writeln!(table, "\n|---|{}", "---|".repeat(LINUX.len())).expect("a string grows");
    for (name, policy, promise) in rows() {
        let cells: Vec<String> = LINUX.iter().map(|(_, abi)| cell(&policy, promise, *abi)).collect();
        writeln!(table, "| {name} | {} |", cells.join(" | ")).expect("a string grows");
    }
    table
}

#[test]
fn the_support_table_is_what_the_plan_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("the README");
    let (before, rest) = readme.split_once(BEGIN).expect("the table's beginning");
    let (found, after) = rest.split_once(END).expect("the table's end");
    let table = table();
    if std::env::var_os("SANDBOXED_BLESS").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).expect("the README is written");
    } else {
        assert_eq!(found, table, "stale: run SANDBOXED_BLESS=1 cargo test --test readme");
    }
}
