//! A policy as the attribute that would make it.

use super::{Demand, Memory, PathGrant, PathKey, Policy, Stdio, ThreadSync, Timeout, Workers};
use crate::policy::NetAccess;
use std::fmt;
use std::time::Duration;

/// Prints the arguments of the attribute that would make this policy; presets are followed by a comment with
/// what they expand to on the newest kernel.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&keys(self).join(", "))
    }
}

fn keys(policy: &Policy) -> Vec<String> {
    let mut keys = path_keys(policy);
    for access in NetAccess::ALL {
        let ports = policy.ports.iter().filter(|grant| grant.access == access);
        keys.extend(key(access.key(), ports.map(|grant| range(&grant.ports)).collect()));
    }
    if !policy.allow.is_empty() {
        let words: Vec<&str> = policy.allow.iter().map(|what| what.word()).collect();
        keys.push(format!("allow({})", words.join(", ")));
    }
    keys.extend(preset_key(policy));
    keys.extend(policy.timeout.map(|limit| format!("timeout = \"{}\"", timeout(limit))));
    keys.extend(policy.memory.map(|limit| format!("memory = \"{}\"", memory(limit))));
    keys.extend(policy.cpu.map(|limit| format!("cpu = \"{}\"", duration(limit))));
    keys.extend(policy.open_files.map(|most| format!("open_files = {most}")));
    keys.extend(policy.file_size.map(|bytes| format!("file_size = \"{}\"", size(bytes))));
    keys.extend(policy.threads.map(|most| format!("threads = {most}")));
    if policy.namespaces {
        keys.push("namespaces".into());
    }
    keys.extend(key("env", policy.env.iter().map(|name| format!("{name:?}")).collect()));
    keys.extend(stdio(policy.stdio).map(|word| format!("stdio = \"{word}\"")));
    if policy.workers != Workers::new() {
        keys.push(policy.workers.to_string());
    }
    match policy.demand {
        Demand::Default => {}
        Demand::Strict => keys.push("strict".into()),
        Demand::BestEffort => keys.push("best_effort".into()),
    }
    if policy.thread_sync == ThreadSync::Signal {
        keys.push("thread_sync = \"signal\"".into());
    }
    keys
}

fn path_keys(policy: &Policy) -> Vec<String> {
    let mut keys = Vec::new();
    for path_key in [PathKey::Read, PathKey::Write, PathKey::Execute, PathKey::Unix] {
        keys.extend(key(&path_key.word(), paths(policy, path_key)));
    }
    let rights: Vec<String> =
        crate::Access::ALL.iter().filter_map(|right| key(right.1, paths_with(policy, right.0))).collect();
    if !rights.is_empty() {
        keys.push(format!("fs({})", rights.join(", ")));
    }
    keys.extend(key("quiet", paths(policy, PathKey::Quiet)));
    keys
}

fn paths(policy: &Policy, key: PathKey) -> Vec<String> {
    policy.paths.iter().filter(|grant| grant.key == key).map(path).collect()
}

/// A grant from a file has several rights.
fn paths_with(policy: &Policy, right: crate::Access) -> Vec<String> {
    let has = |grant: &&PathGrant| matches!(grant.key, PathKey::Fs(rights) if rights.contains(right));
    policy.paths.iter().filter(has).map(path).collect()
}

fn path(grant: &PathGrant) -> String {
    match grant.optional {
        false => format!("{:?}", grant.path),
        true => format!("optional({:?})", grant.path),
    }
}

/// `name = value`, `name = [value, value]`, or nothing.
fn key(name: &str, values: Vec<String>) -> Option<String> {
    match values.as_slice() {
        [] => None,
        [one] => Some(format!("{name} = {one}")),
        many => Some(format!("{name} = [{}]", many.join(", "))),
    }
}

fn range(ports: &std::ops::RangeInclusive<u16>) -> String {
    match ports.start() == ports.end() {
        true => ports.start().to_string(),
        false => format!("{}..={}", ports.start(), ports.end()),
    }
}

fn preset_key(policy: &Policy) -> Option<String> {
    if policy.presets.is_empty() {
        return None;
    }
    let words: Vec<&str> = policy.presets.iter().map(|preset| preset.word()).collect();
    let bare = Policy { presets: policy.presets.clone(), ..Policy::default() };
    let expansion = keys(&bare.expanded(crate::plan::NEWEST_ABI)).join(", ");
    Some(format!("preset({}) /* {expansion} */", words.join(", ")))
}

fn timeout(limit: Timeout) -> String {
    match limit {
        Timeout::Never => "never".into(),
        Timeout::After(limit) => duration(limit),
    }
}

/// A duration in the largest unit that divides it.
pub(crate) fn duration(limit: Duration) -> String {
    let nanos = limit.as_nanos();
    let units = [
        ("h", 3_600_000_000_000),
        ("min", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
    ];
    let unit = units.iter().find(|(_, size)| nanos > 0 && nanos.is_multiple_of(*size));
    unit.map_or_else(|| format!("{nanos}ns"), |(name, size)| format!("{}{name}", nanos / size))
}

fn memory(limit: Memory) -> String {
    match limit {
        Memory::Unlimited => "unlimited".into(),
        Memory::Bytes(bytes) => size(bytes),
    }
}

/// A size in the largest binary unit that divides it.
pub(crate) fn size(bytes: u64) -> String {
    let unit = [("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .into_iter()
        .find(|(_, shift)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    unit.map_or_else(|| format!("{bytes}B"), |(name, shift)| format!("{}{name}", bytes >> shift))
}

fn stdio(stdio: Stdio) -> Option<&'static str> {
    match stdio {
        Stdio::Relay => None,
        Stdio::Null => Some("null"),
        Stdio::Capture => Some("capture"),
        Stdio::Inherit => Some("inherit"),
    }
}
