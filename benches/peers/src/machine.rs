//! Where and of what it was measured: the machine, the commit, the compiler, the versions of the peers.

use std::fs;
use std::process::Command;

/// The peers whose versions matter, as `Cargo.lock` names them.
const PEERS: [&str; 7] =
    ["birdcage", "extrasafe", "hakoniwa", "ipc-channel", "postcard", "procspawn", "wasmtime"];

/// What there is to say, with its name.
pub fn facts() -> Vec<(&'static str, String)> {
    vec![
        ("commit", commit()),
        ("date", printed("date", &["-u", "+%F"])),
        ("processor", processor()),
        ("memory", memory()),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("huge pages", read("/sys/kernel/mm/transparent_hugepage/enabled")),
        ("compiler", env!("RUSTC_VERSION").into()),
        ("peers", PEERS.map(version).join(", ")),
    ]
}

/// The commit, and whether something else than results differs from it.
fn commit() -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let commit = printed("git", &["-C", root, "rev-parse", "--short=12", "HEAD"]);
    let changes =
        printed("git", &["-C", root, "status", "--porcelain", "--", ".", ":!benches/peers/results"]);
    if changes.is_empty() { commit } else { format!("{commit}, with changes") }
}

fn processor() -> String {
    let text = read("/proc/cpuinfo");
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, value)| value.trim())
    };
    let model = value("model name");
    let is_virtual = value("flags").split(' ').any(|flag| flag == "hypervisor");
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{count} × {model}{}", if is_virtual { ", a virtual machine" } else { "" })
}

fn memory() -> String {
    let text = read("/proc/meminfo");
    let kibibytes = text.strip_prefix("MemTotal:").and_then(|rest| rest.split_whitespace().next());
    kibibytes
        .and_then(|number| number.parse::<f64>().ok())
        .map_or("unknown".into(), |kibibytes| format!("{:.1} GiB", kibibytes / f64::from(1 << 20)))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|error| error.to_string(), |text| text.trim().into())
}

fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&output.stdout).trim().into(),
    )
}

/// Of two versions the newer one, which is ours: procspawn brings an older ipc-channel.
fn version(name: &str) -> String {
    let package = format!("name = \"{name}\"\nversion = \"");
    let version = include_str!("../Cargo.lock").split(&package).skip(1).last();
    let version = version.and_then(|rest| rest.split('"').next());
    format!("{name} {}", version.unwrap_or("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_a_version() {
        for peer in PEERS {
            assert!(
                version(peer).split(' ').nth(1).is_some_and(|text| text.contains('.')),
                "{}",
                version(peer)
            );
        }
    }
}
