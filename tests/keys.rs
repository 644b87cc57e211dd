//! No key is accepted and then absent from the plan: the table of keys of the macro is included here, and each key
//! that it lets pass has to change what is enforced.

#[path = "../sandbox-macros/src/keys.rs"]
#[allow(dead_code)] // the macro uses more of it
mod keys;

use keys::{KEYS, Key, RIGHTS, Shape, Status};
use sandboxed::{
    Access, Allow, Kernel, Memory, Placement, Plan, Policy, Preset, Stdio, ThreadSync, Timeout,
    Unenforceable, Workers, plan,
};
use std::time::Duration;

/// What a key says.
enum Meaning {
    /// Each makes another policy than the one beside it.
    Policies(Vec<(Policy, Policy)>),
    /// Where the body runs.
    Placement(Placement),
    /// Nothing about what is enforced: how the function is called, and what a test does without a sandbox.
    NotThePolicy,
}

/// By the builder method of each key. A new key fails until it is added.
fn meaning(key: &Key) -> Meaning {
    let new = Policy::new;
    let policies = |policies: Vec<Policy>| {
        Meaning::Policies(policies.into_iter().map(|policy| (policy, Policy::new())).collect())
    };
    match key.name {
        "process" => Meaning::Placement(Placement::Process),
        "thread" => Meaning::Placement(Placement::Thread),
        "in_place" => Meaning::Placement(Placement::InPlace),
        // Without grants everything is held in a worker, on every kernel.
        "strict" => Meaning::Policies(vec![(new().read("/usr").strict(), new().read("/usr"))]),
        "best_effort" => Meaning::Policies(vec![(new().read("/usr").best_effort(), new().read("/usr"))]),
        "read" => policies(vec![new().read("/usr")]),
        "write" => policies(vec![new().write("/var/cache")]),
        "execute" => policies(vec![new().execute("/usr/bin")]),
        "unix" => policies(vec![new().unix("/run/app.sock")]),
        "fs" => policies(RIGHTS.iter().map(|name| new().fs(right(name), "/var/cache")).collect()),
        "quiet" => policies(vec![new().quiet("/proc")]),
        "tcp_bind" => policies(vec![new().tcp_bind(8080)]),
        "tcp_connect" => policies(vec![new().tcp_connect([80, 443])]),
        "udp_bind" => policies(vec![new().udp_bind(5353)]),
        "udp_connect" => policies(vec![new().udp_connect(53)]),
        "allow" => policies(words(key).map(|word| new().allow(allow(word))).collect()),
        "preset" => policies(words(key).map(|word| new().preset(preset(word))).collect()),
        "timeout" => policies(vec![new().timeout(Duration::from_secs(2)), new().timeout(Timeout::Never)]),
        "memory" => policies(vec![new().memory(256u64 << 20), new().memory(Memory::Unlimited)]),
        "cpu" => policies(vec![new().cpu(Duration::from_secs(1)), new().cpu(Duration::from_millis(1))]),
        "open_files" => policies(vec![new().open_files(16), new().open_files(1 << 20)]),
        "file_size" => policies(vec![new().file_size(1), new().file_size(1 << 20)]),
        "threads" => policies(vec![new().threads(1), new().threads(2), new().threads(2).namespaces()]),
        "namespaces" => policies(vec![new().namespaces()]),
        "env" => policies(vec![new().env(["LANG"])]),
        "stdio" => {
            Meaning::Policies(words(key).map(|word| (new().stdio(stdio(word)), beside(word))).collect())
        }
        "workers" => {
            let workers = Workers::new();
            let each =
                [workers.reuse(2), workers.reuse(3), workers.spare(0), workers.spare(1), workers.max(1)];
            policies(each.map(|workers| new().workers(workers)).to_vec())
        }
        "fallible" | "crate" | "unenforceable" | "expect_no_denials" | "expect_all_used" | "warm" => {
            Meaning::NotThePolicy
        }
        "policy" => policies(vec![Policy::from_base(new().read("/usr"))]),
        "thread_sync" => policies(words(key).map(|word| new().thread_sync(thread_sync(word))).collect()),
        unknown => panic!("the key `{unknown}` is new: say here what it means"),
    }
}

fn words(key: &Key) -> impl Iterator<Item = &'static str> + use<> {
    let words = match key.shape {
        Shape::Words(_, words) | Shape::Choice(_, words) => words,
        other => panic!("`{}` takes no words: {other:?}", key.name),
    };
    words.iter().map(|(word, _)| *word)
}

fn right(name: &str) -> Access {
    Access::by_name(name).unwrap_or_else(|| panic!("the runtime has no right `{name}`"))
}

fn allow(word: &str) -> Allow {
    match word {
        "udp" => Allow::Udp,
        "signal" => Allow::Signal,
        "abstract_unix_socket" => Allow::AbstractUnixSocket,
        "metadata" => Allow::Metadata,
        unknown => panic!("`allow({unknown})` is new: say here what it means"),
    }
}

fn preset(word: &str) -> Preset {
    match word {
        "dns" => Preset::Dns,
        "ca_certificates" => Preset::CaCertificates,
        "time_zone" => Preset::TimeZone,
        "locale" => Preset::Locale,
        "tmp" => Preset::Tmp,
        unknown => panic!("`preset({unknown})` is new: say here what it means"),
    }
}

fn stdio(word: &str) -> Stdio {
    match word {
        "relay" => Stdio::Relay,
        "null" => Stdio::Null,
        "capture" => Stdio::Capture,
        "inherit" => Stdio::Inherit,
        unknown => panic!("`stdio = \"{unknown}\"` is new: say here what it means"),
    }
}

/// `"relay"` is the default, so it is another only than another.
fn beside(word: &str) -> Policy {
    Policy::new().stdio(if word == "relay" { Stdio::Null } else { Stdio::Relay })
}

fn thread_sync(word: &str) -> ThreadSync {
    match word {
        "signal" => ThreadSync::Signal,
        unknown => panic!("`thread_sync = \"{unknown}\"` is new: say here what it means"),
    }
}

fn placement(of: keys::Placement) -> Placement {
    match of {
        keys::Placement::Process => Placement::Process,
        keys::Placement::Thread => Placement::Thread,
        keys::Placement::InPlace => Placement::InPlace,
    }
}

/// The plans of a policy on every kernel.
fn plans(policy: &Policy, placement: Placement) -> Vec<Result<Plan, Unenforceable>> {
    let kernels = (0..=11).map(|abi| Kernel::with(abi, 0, true));
    let kernels = kernels.flat_map(|kernel| [kernel, kernel.with_namespaces(true)]);
    kernels.map(|kernel| plan(policy, placement, kernel)).collect()
}

fn enforced() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| key.status == Status::Enforced)
}

#[test]
fn every_key_changes_the_plan() {
    for key in enforced() {
        let Meaning::Policies(policies) = meaning(key) else { continue };
        assert!(!policies.is_empty(), "{}", key.name);
        for (policy, other) in policies {
            for of in key.placements.iter().copied().map(placement) {
                assert_ne!(plans(&policy, of), plans(&other, of), "`{policy}` means nothing in {of}");
            }
        }
    }
}

#[test]
fn every_word_has_a_meaning_of_its_own() {
    for key in enforced() {
        let Meaning::Policies(policies) = meaning(key) else { continue };
        let of = placement(key.placements[0]);
        for (index, (policy, _)) in policies.iter().enumerate() {
            for (other, _) in &policies[..index] {
                assert_ne!(plans(policy, of), plans(other, of), "`{policy}` is as `{other}`");
            }
        }
    }
}

#[test]
fn every_placement_has_plans_of_its_own() {
    for key in enforced() {
        if let Meaning::Placement(of) = meaning(key) {
            assert_eq!(key.name, of.word());
            for plan in plans(&Policy::new().best_effort(), of) {
                assert_eq!(plan.unwrap().placement, of);
            }
        }
    }
}

/// Both sides know the same words.
#[test]
fn the_runtime_knows_no_more_than_the_attribute() {
    let names: Vec<&str> = Access::ALL.iter().map(|right| right.1).collect();
    assert_eq!(names, RIGHTS);
    let words_of = |name: &str| words(keys::find(name).unwrap()).collect::<Vec<_>>();
    assert_eq!(Preset::ALL.map(Preset::word), words_of("preset")[..]);
    assert_eq!(
        words_of("allow"),
        words_of("allow").iter().map(|word| allow(word).word()).collect::<Vec<_>>()
    );
}

/// What is not enforced is named with what is missing; the macro refuses it with that text.
#[test]
fn what_comes_later_says_what_is_missing() {
    let later = KEYS.iter().filter_map(|key| match key.status {
        Status::Later(missing) => Some((key.name, missing)),
        Status::Enforced => None,
    });
    for (name, missing) in later {
        assert!(!missing.is_empty(), "{name}");
    }
}
