//! A policy prints the attribute that would make it, and survives as data.

use sandboxed::{
    Access, Allow, Kernel, Memory, Placement, Policy, Preset, Stdio, ThreadSync, Timeout, Unenforceable,
    Workers, optional, plan, sandboxed,
};
use std::time::Duration;

/// A function for each row: the attribute as it is printed, and the policy that it makes by hand.
macro_rules! written {
    ($($name:ident: [$($attribute:tt)*] = $policy:expr;)*) => {
        mod functions {
            use super::*;
            $(
                #[sandboxed($($attribute)*)]
                #[allow(dead_code)]
                pub fn $name() {}
            )*
        }

        fn written() -> Vec<(&'static str, Policy)> {
            vec![$((stringify!($name), $policy)),*]
        }
    };
}

written! {
    nothing: [] = Policy::new();
    read: [read = "/usr"] = Policy::new().read("/usr");
    read_list: [read = ["/etc/site", "/var/www"]] = Policy::new().read(["/etc/site", "/var/www"]);
    read_optional: [read = ["/usr", optional("/lib64")]] = Policy::new().read("/usr").read(optional("/lib64"));
    write: [write = "/var/cache"] = Policy::new().write("/var/cache");
    execute: [execute = "/usr/bin"] = Policy::new().execute("/usr/bin");
    unix: [unix = "/run/app.sock"] = Policy::new().unix("/run/app.sock");
    fs: [fs(make_dir = "/x")] = Policy::new().fs(Access::MAKE_DIR, "/x");
    fs_two: [fs(read_file = ["/x", "/y"], truncate = optional("/x"))] =
        Policy::new().fs(Access::READ_FILE, ["/x", "/y"]).fs(Access::TRUNCATE, optional("/x"));
    all_rights: [fs(
        execute = "/", write_file = "/", read_file = "/", read_dir = "/", remove_dir = "/", remove_file = "/",
        make_char = "/", make_dir = "/", make_reg = "/", make_sock = "/", make_fifo = "/", make_block = "/",
        make_sym = "/", refer = "/", truncate = "/", ioctl_dev = "/", resolve_unix = "/"
    )] = Access::ALL.iter().fold(Policy::new(), |policy, right| policy.fs(right.0, "/"));
    odd_path: [read = "/a \"quoted\" \\ name\nin two lines"] = Policy::new().read("/a \"quoted\" \\ name\nin two lines");
    tcp_bind: [tcp_bind = 8080] = Policy::new().tcp_bind(8080);
    tcp_connect: [tcp_connect = [80, 443]] = Policy::new().tcp_connect([80, 443]);
    range: [tcp_connect = 8000..=8010] = Policy::new().tcp_connect(8000..=8010);
    ranges: [tcp_bind = [0, 8000..=8010]] = Policy::new().tcp_bind(0).tcp_bind(8000..=8010);
    udp: [udp_bind = 5353, udp_connect = 53] = Policy::new().udp_bind(5353).udp_connect(53);
    allow: [allow(udp, signal, abstract_unix_socket, metadata)] = Policy::new()
        .allow(Allow::Metadata)
        .allow(Allow::Udp)
        .allow(Allow::AbstractUnixSocket)
        .allow(Allow::Signal);
    presets: [preset(dns, ca_certificates, time_zone, locale, tmp)] =
        Preset::ALL.into_iter().fold(Policy::new(), Policy::preset);
    timeout: [timeout = "2s"] = Policy::new().timeout(Duration::from_secs(2));
    timeout_in_hours: [timeout = "3h"] = Policy::new().timeout(Duration::from_secs(3 * 3600));
    timeout_in_minutes: [timeout = "90min"] = Policy::new().timeout(Duration::from_secs(90 * 60));
    timeout_in_milliseconds: [timeout = "1500ms"] = Policy::new().timeout(Duration::from_millis(1500));
    timeout_in_microseconds: [timeout = "250us"] = Policy::new().timeout(Duration::from_micros(250));
    timeout_in_nanoseconds: [timeout = "1ns"] = Policy::new().timeout(Duration::from_nanos(1));
    timeout_never: [timeout = "never"] = Policy::new().timeout(Timeout::Never);
    memory: [memory = "256MiB"] = Policy::new().memory(256u64 << 20);
    memory_in_gib: [memory = "3GiB"] = Policy::new().memory(3u64 << 30);
    memory_in_kib: [memory = "17KiB"] = Policy::new().memory(17u64 << 10);
    memory_in_bytes: [memory = "1000B"] = Policy::new().memory(1000u64);
    memory_unlimited: [memory = "unlimited"] = Policy::new().memory(Memory::Unlimited);
    cpu: [cpu = "1500ms"] = Policy::new().cpu(Duration::from_millis(1500));
    open_files: [open_files = 16] = Policy::new().open_files(16);
    file_size: [file_size = "1MiB"] = Policy::new().file_size(1 << 20);
    threads: [threads = 4] = Policy::new().threads(4);
    namespaces: [namespaces] = Policy::new().namespaces();
    env: [env = "LANG"] = Policy::new().env("LANG");
    env_list: [env = ["LANG", "LC_ALL"]] = Policy::new().env(["LANG", "LC_ALL"]);
    stdio_null: [stdio = "null"] = Policy::new().stdio(Stdio::Null);
    stdio_capture: [stdio = "capture"] = Policy::new().stdio(Stdio::Capture);
    stdio_inherit: [stdio = "inherit"] = Policy::new().stdio(Stdio::Inherit);
    workers: [workers(reuse = 8, spare = 2, max = 4)] =
        Policy::new().workers(Workers::new().max(4).spare(2).reuse(8));
    workers_without_spares: [workers(spare = 0)] = Policy::new().workers(Workers::new().spare(0));
    strict: [strict] = Policy::new().strict();
    best_effort: [best_effort] = Policy::new().best_effort();
    everything: [
        read = "/usr", write = "/tmp", execute = "/usr/bin", unix = "/run", fs(ioctl_dev = "/dev/null"), tcp_bind = 80,
        tcp_connect = 443, udp_bind = 1, udp_connect = 53, allow(signal), timeout = "1s", memory = "1MiB",
        cpu = "2s", open_files = 1, file_size = "3KiB", env = "A", stdio = "null",
        workers(spare = 1, max = 4), best_effort
    ] = Policy::new()
        .best_effort()
        .workers(Workers::new().spare(1).max(4))
        .stdio(Stdio::Null)
        .env("A")
        .file_size(3 << 10)
        .open_files(1)
        .cpu(Duration::from_secs(2))
        .memory(1u64 << 20)
        .timeout(Duration::from_secs(1))
        .allow(Allow::Signal)
        // Grants are a list.
        .tcp_bind(80)
        .tcp_connect(443)
        .udp_bind(1)
        .udp_connect(53)
        .read("/usr")
        .write("/tmp")
        .execute("/usr/bin")
        .unix("/run")
        .fs(Access::IOCTL_DEV, "/dev/null");
}

#[sandboxed(in_place, thread_sync = "signal")]
#[allow(dead_code)]
fn with_thread_sync() {}

fn listed(name: &str) -> &'static sandboxed::Function {
    let name = format!("{}::{name}", module_path!());
    sandboxed::functions()
        .find(|function| function.name == name)
        .unwrap_or_else(|| panic!("{name} is not listed"))
}

/// Without spaces outside of strings, and without the comment in which presets are spelled out.
fn normal(attribute: &str) -> String {
    let mut text = String::new();
    let (mut in_string, mut escaped) = (false, false);
    for c in attribute.split(" /*").next().unwrap_or_default().chars() {
        in_string ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        if in_string || !c.is_whitespace() {
            text.push(c);
        }
    }
    text.trim_end_matches(',').to_owned()
}

#[test]
fn an_attribute_makes_the_policy_that_prints_it() {
    for (name, policy) in written() {
        let function = listed(&format!("functions::{name}"));
        assert_eq!((function.policy.unwrap())(), policy, "{name}");
        assert_eq!(normal(&policy.to_string()), normal(function.attribute), "{name}");
    }
    let policy = Policy::new().thread_sync(ThreadSync::Signal);
    assert_eq!((listed("with_thread_sync").policy.unwrap())(), policy);
    assert_eq!(policy.to_string(), r#"thread_sync = "signal""#);
}

#[test]
fn keys_are_printed_in_one_order_with_spaces() {
    let policy =
        Policy::new().env(["A", "B"]).tcp_bind([80, 443]).fs(Access::REFER, "/x").read("/usr").strict();
    let text = r#"read = "/usr", fs(refer = "/x"), tcp_bind = [80, 443], env = ["A", "B"], strict"#;
    assert_eq!(policy.to_string(), text);
    assert_eq!(Policy::new().to_string(), "");
    assert_eq!(Policy::for_program().to_string(), r#"timeout = "never", memory = "unlimited""#);
}

#[test]
fn the_last_word_counts_for_limits_and_every_word_for_grants() {
    let policy = Policy::new().memory(1u64).memory(2u64).strict().best_effort().read("/a").read("/b");
    assert_eq!(policy.to_string(), r#"read = ["/a", "/b"], memory = "2B", best_effort"#);
    let policy = Policy::new().workers(Workers::new().reuse(9)).workers(Workers::new().max(2));
    assert_eq!(policy.to_string(), "workers(max = 2)");
}

#[test]
fn values_come_in_every_form() {
    let path = std::path::PathBuf::from("/a");
    let same = Policy::new().read("/a");
    for policy in [
        Policy::new().read(&path),
        Policy::new().read(path.as_path()),
        Policy::new().read(path.as_os_str()),
        Policy::new().read(vec![path.clone()]),
        Policy::new().read([&path].as_slice()),
        Policy::new().read(Some(&path)),
        Policy::new().read(std::borrow::Cow::from("/a")),
        Policy::new().read(String::from("/a")),
    ] {
        assert_eq!(policy, same);
    }
    assert_eq!(Policy::new().read(None::<&str>), Policy::new());
    assert_eq!(Policy::new().tcp_bind(80..82), Policy::new().tcp_bind(80..=81));
    // Nothing between the ends is nothing granted.
    let (first, last) = (81, 80);
    assert_eq!(Policy::new().tcp_bind(first..first), Policy::new());
    assert_eq!(Policy::new().tcp_bind(first..=last), Policy::new());
    assert_eq!(Policy::new().memory(5usize), Policy::new().memory(5u64));
}

#[test]
fn a_base_is_added_to() {
    const BASE: fn() -> Policy = || Policy::new().read("/usr").strict();

    #[sandboxed(policy = BASE(), read = "/etc", best_effort)]
    #[allow(dead_code)]
    fn with_base() {}

    let function = sandboxed::functions().find(|function| function.name.ends_with("with_base")).unwrap();
    let policy = (function.policy.unwrap())();
    assert_eq!(policy, Policy::new().read(["/usr", "/etc"]).best_effort());
}

/// `warm` and values of `workers` that are known at a call.
#[test]
fn functions_list_what_their_workers_begin_with() {
    fn prepare() {}

    #[sandboxed(warm = prepare, workers(reuse = calls))]
    #[allow(dead_code)]
    fn with_warm(calls: u32) {}

    let find = |name: &str| sandboxed::functions().find(|function| function.name.ends_with(name)).unwrap();
    assert!(std::ptr::fn_addr_eq(find("with_warm").warm.unwrap(), prepare as fn()));
    assert!(find("with_warm").policy.is_none());
    assert!(listed("functions::workers").warm.is_none());
}

#[test]
fn policies_survive_as_data() {
    for (name, policy) in written() {
        let text = serde_json::to_string(&policy).unwrap();
        let back: Policy = serde_json::from_str(&text).unwrap();
        assert_eq!(back, policy, "{name}: {text}");
    }
}

#[test]
fn errors_survive_as_data() {
    let error =
        plan(&Policy::new().tcp_bind(80).strict(), Placement::Thread, Kernel::with(3, 0, true)).unwrap_err();
    let back: Unenforceable = serde_json::from_str(&serde_json::to_string(&error).unwrap()).unwrap();
    assert_eq!(back, error);
    assert_eq!(back.to_string(), error.to_string());
}
