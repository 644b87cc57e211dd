//! The rule of the design, as tables: which layer holds a promise, and what becomes of one that none holds.

use super::*;
use crate::policy::{Preset, optional};
use std::collections::BTreeSet;
use std::time::Duration;

const PLACEMENTS: [Placement; 3] = [Placement::Process, Placement::Thread, Placement::InPlace];
/// From no Landlock to the newest, and one that nobody knows yet.
const ABIS: std::ops::RangeInclusive<u32> = 0..=NEWEST_ABI + 1;

/// With every erratum fixed; what they change has tests beside them.
const FIXED: u32 = u32::MAX;

fn kernel(abi: u32) -> Kernel {
    Kernel::with(abi, FIXED, true)
}

/// Every promise of a policy without grants: the Landlock ABI that holds it, whether every filter does, and whether that
/// of a worker does.
const HOLDERS: &[(Promise, Option<u32>, bool, bool)] = &[
    (Promise::File(Access::EXECUTE), Some(1), true, false),
    (Promise::File(Access::WRITE_FILE), Some(1), false, true),
    (Promise::File(Access::READ_FILE), Some(1), false, true),
    (Promise::File(Access::READ_DIR), Some(1), false, true),
    (Promise::File(Access::REMOVE_DIR), Some(1), false, true),
    (Promise::File(Access::REMOVE_FILE), Some(1), false, true),
    (Promise::File(Access::MAKE_CHAR), Some(1), false, true),
    (Promise::File(Access::MAKE_DIR), Some(1), false, true),
    (Promise::File(Access::MAKE_REG), Some(1), false, true),
    (Promise::File(Access::MAKE_SOCK), Some(1), false, true),
    (Promise::File(Access::MAKE_FIFO), Some(1), false, true),
    (Promise::File(Access::MAKE_BLOCK), Some(1), false, true),
    (Promise::File(Access::MAKE_SYM), Some(1), false, true),
    // Before ABI 2 it is refused wherever files are restricted.
    (Promise::File(Access::REFER), Some(1), false, true),
    (Promise::File(Access::TRUNCATE), Some(3), true, false),
    (Promise::File(Access::IOCTL_DEV), Some(5), false, true),
    (Promise::File(Access::RESOLVE_UNIX), Some(9), true, false),
    (Promise::Port(NetAccess::BindTcp), Some(4), true, false),
    (Promise::Port(NetAccess::ConnectTcp), Some(4), true, false),
    (Promise::Port(NetAccess::BindUdp), Some(10), true, false),
    (Promise::Port(NetAccess::ConnectSendUdp), Some(10), true, false),
    (Promise::Listen, None, true, false),
    (Promise::OtherSockets, None, true, false),
    (Promise::IoUring, None, true, false),
    (Promise::AbstractUnixSocket, Some(6), true, false),
    (Promise::Signal, Some(6), false, true),
    (Promise::Ptrace, Some(1), false, true),
    (Promise::Metadata, None, true, false),
    (Promise::Existence, None, false, true),
    // Without grants nothing can widen.
    (Promise::DisconnectedDirectories, Some(1), false, true),
    (Promise::Whiteouts, Some(1), true, false),
];

/// What only a worker promises, and what holds it.
const HOLDERS_OF_A_WORKER: &[(Promise, &[Layer])] = &[
    (Promise::NewProcesses, &[Layer::Filter]),
    (Promise::OtherSystemCalls, &[Layer::Filter]),
    (Promise::UncountedMemory, &[Layer::Filter]),
    (Promise::Memory, &[Layer::Rlimit]),
    (Promise::OpenFiles, &[Layer::Rlimit]),
    (Promise::Timeout, &[Layer::Forkserver]),
    (Promise::HostStdio, &[Layer::Nothing]),
    (Promise::Environment, &[Layer::Nothing]),
];

/// The layers of a row in a placement, there or not.
fn layers_of(row: &(Promise, Option<u32>, bool, bool), placement: Placement) -> Vec<Layer> {
    let (_, abi, filter, in_worker) = *row;
    let mut layers: Vec<Layer> = abi.map(Layer::Landlock).into_iter().collect();
    let filter = filter || in_worker && placement == Placement::Process;
    layers.extend(filter.then_some(Layer::Filter));
    layers
}

/// Every promise of a policy without grants with its layers.
fn all_layers(placement: Placement) -> BTreeMap<Promise, Vec<Layer>> {
    let mut all: BTreeMap<_, _> = HOLDERS.iter().map(|row| (row.0, layers_of(row, placement))).collect();
    if placement == Placement::Process {
        all.extend(HOLDERS_OF_A_WORKER.iter().map(|(promise, layers)| (*promise, layers.to_vec())));
    }
    all
}

fn there(layers: &[Layer], abi: u32, seccomp: bool) -> Vec<Layer> {
    let there = |layer: &Layer| match layer {
        Layer::Landlock(least) => abi >= *least,
        Layer::LandlockWithout(_) => abi >= 1,
        Layer::Filter => seccomp,
        // Without, a worker can stop it by a signal.
        Layer::Forkserver => seccomp,
        Layer::Rlimit | Layer::Nothing => true,
        // Asked for by name: see `namespaces`.
        Layer::Namespaces | Layer::NamespaceRlimit => false,
    };
    layers.iter().copied().filter(there).collect()
}

fn held_by(layers: BTreeMap<Promise, Vec<Layer>>, abi: u32, seccomp: bool) -> BTreeMap<Promise, Vec<Layer>> {
    let mut held: BTreeMap<_, _> =
        layers.into_iter().map(|(promise, layers)| (promise, there(&layers, abi, seccomp))).collect();
    // Their filter refuses granted files too.
    for promise in [Promise::File(Access::TRUNCATE), Promise::Whiteouts] {
        held.entry(promise).and_modify(|layers| layers.truncate(1));
    }
    held.retain(|_, layers| !layers.is_empty());
    held
}

#[test]
fn every_right_of_the_kernel_is_in_the_table() {
    let files = HOLDERS.iter().filter(|row| matches!(row.0, Promise::File(_))).count();
    assert_eq!(files, Access::ALL.len());
    let ports = HOLDERS.iter().filter(|row| matches!(row.0, Promise::Port(_))).count();
    assert_eq!(ports, NetAccess::ALL.len());
}

#[test]
fn each_promise_is_held_by_every_layer_that_is_there() {
    for placement in PLACEMENTS {
        for (abi, seccomp) in ABIS.flat_map(|abi| [(abi, true), (abi, false)]) {
            let plan =
                plan(&Policy::new().best_effort(), placement, Kernel::with(abi, FIXED, seccomp)).unwrap();
            let expected = held_by(all_layers(placement), abi, seccomp);
            assert_eq!(plan.held, expected, "{placement}, ABI {abi}, seccomp {seccomp}");
        }
    }
}

#[test]
fn what_is_not_held_is_lost() {
    for placement in PLACEMENTS {
        for (abi, seccomp) in ABIS.flat_map(|abi| [(abi, true), (abi, false)]) {
            let plan =
                plan(&Policy::new().best_effort(), placement, Kernel::with(abi, FIXED, seccomp)).unwrap();
            let lost: BTreeMap<_, _> =
                plan.lost.iter().map(|lost| (lost.promise, lost.could.clone())).collect();
            let mut expected = all_layers(placement);
            expected.retain(|promise, _| !plan.held.contains_key(promise));
            assert_eq!(lost, expected, "{placement}, ABI {abi}, seccomp {seccomp}");
        }
    }
}

/// A policy, and what it names.
struct Case {
    name: &'static str,
    policy: Policy,
    named: &'static [Promise],
}

fn case(name: &'static str, policy: Policy, named: &'static [Promise]) -> Case {
    Case { name, policy, named }
}

const READ: &[Promise] = &[Promise::File(Access::READ_FILE), Promise::File(Access::READ_DIR)];
const RESOLVE_UNIX: &[Promise] = &[Promise::File(Access::RESOLVE_UNIX)];

fn cases() -> Vec<Case> {
    use Promise::{File, Port};
    vec![
        case("nothing", Policy::new(), &[]),
        case("read", Policy::new().read("/usr"), READ),
        case("write", Policy::new().write("/tmp"), &[File(Access::TRUNCATE), File(Access::REFER)]),
        case("execute", Policy::new().execute("/usr/bin"), &[File(Access::EXECUTE)]),
        case("optional", Policy::new().read(optional("/lib64")), READ),
        case("truncate", Policy::new().fs(Access::TRUNCATE, "/tmp"), &[File(Access::TRUNCATE)]),
        case("ioctl_dev", Policy::new().fs(Access::IOCTL_DEV, "/dev/null"), &[File(Access::IOCTL_DEV)]),
        case("unix", Policy::new().unix("/run/app.sock"), RESOLVE_UNIX),
        case("resolve_unix", Policy::new().fs(Access::RESOLVE_UNIX, "/run/app.sock"), RESOLVE_UNIX),
        case("tcp_bind", Policy::new().tcp_bind(80), &[Port(NetAccess::BindTcp)]),
        case("tcp_connect", Policy::new().tcp_connect([80, 443]), &[Port(NetAccess::ConnectTcp)]),
        case("udp_bind", Policy::new().udp_bind(53), &[Port(NetAccess::BindUdp)]),
        case("udp_connect", Policy::new().udp_connect(53), &[Port(NetAccess::ConnectSendUdp)]),
        case("allow(udp)", Policy::new().allow(Allow::Udp), &[]),
        case("allow(signal)", Policy::new().allow(Allow::Signal), &[]),
        case("allow(abstract_unix_socket)", Policy::new().allow(Allow::AbstractUnixSocket), &[]),
        case("allow(metadata)", Policy::new().allow(Allow::Metadata), &[]),
        case("preset(dns)", Policy::new().preset(Preset::Dns), READ),
        case("preset(tmp)", Policy::new().preset(Preset::Tmp), READ),
        case("limits off", Policy::for_program(), &[]),
    ]
}

type Demanding = fn(Policy) -> Policy;
const DEMANDS: [(&str, Demanding); 3] =
    [("default", |policy| policy), ("strict", Policy::strict), ("best_effort", Policy::best_effort)];

/// Runs `check` for every case, demand, placement and ABI.
fn for_all(check: impl Fn(&Case, &str, Placement, u32, Result<Plan, Unenforceable>)) {
    for case in cases() {
        for (demand, demanding) in DEMANDS {
            let policy = demanding(case.policy.clone());
            for placement in PLACEMENTS {
                for abi in ABIS {
                    check(&case, demand, placement, abi, plan(&policy, placement, kernel(abi)));
                }
            }
        }
    }
}

fn least_abis(policy: &Policy) -> [Option<u32>; 4] {
    let least =
        |policy: &Policy, placement| ABIS.clone().find(|abi| plan(policy, placement, kernel(*abi)).is_ok());
    let strict = policy.clone().strict();
    [
        least(policy, Placement::Process),
        least(&strict, Placement::Process),
        least(policy, Placement::Thread),
        least(&strict, Placement::Thread),
    ]
}

/// The table of what must be held, by its effect: the least ABI on which a policy is accepted.
#[test]
fn least_abi_of_a_policy() {
    #[rustfmt::skip]
    let table: &[(&str, [Option<u32>; 4])] = &[
        //                              process  strict  thread   strict
        ("nothing",                    [Some(0), Some(0), Some(1),  Some(6)]),
        ("read",                       [Some(1), Some(1), Some(1),  Some(6)]),
        ("write",                      [Some(1), Some(1), Some(1),  Some(6)]),
        ("execute",                    [Some(1), Some(1), Some(1),  Some(6)]),
        ("optional",                   [Some(1), Some(1), Some(1),  Some(6)]),
        ("truncate",                   [Some(1), Some(1), Some(1),  Some(6)]),
        ("ioctl_dev",                  [Some(5), Some(5), Some(5),  Some(6)]),
        ("unix",                       [Some(9), Some(9), Some(9),  Some(9)]),
        ("resolve_unix",               [Some(9), Some(9), Some(9),  Some(9)]),
        ("tcp_bind",                   [Some(4), Some(4), Some(4),  Some(6)]),
        ("tcp_connect",                [Some(4), Some(4), Some(4),  Some(6)]),
        ("udp_bind",                   [Some(10), Some(10), Some(10), Some(10)]),
        ("udp_connect",                [Some(10), Some(10), Some(10), Some(10)]),
        // The end of a pair can be bound to a path, which only Landlock refuses.
        ("allow(udp)",                 [Some(1), Some(1), Some(1),  Some(6)]),
        ("allow(signal)",              [Some(0), Some(0), Some(1),  Some(5)]),
        // Unix sockets that may be made can connect to paths, which only ABI 9 refuses.
        ("allow(abstract_unix_socket)", [Some(9), Some(9), Some(1), Some(9)]),
        ("allow(metadata)",            [Some(0), Some(0), Some(1),  Some(6)]),
        // UDP as a whole before ABI 10.
        ("preset(dns)",                [Some(1), Some(1), Some(1),  Some(6)]),
        ("preset(tmp)",                [Some(1), Some(1), Some(1),  Some(6)]),
        ("limits off",                 [Some(0), Some(0), Some(1),  Some(6)]),
    ];
    let found: Vec<_> = cases().iter().map(|case| (case.name, least_abis(&case.policy))).collect();
    assert_eq!(found, table);
}

/// The table of what must be held, row by row and column by column.
#[test]
fn what_must_be_held_and_is_not_is_the_error() {
    for_all(|case, demand, placement, abi, result| {
        let all = plan(&case.policy.clone().best_effort(), placement, kernel(abi)).unwrap().lost;
        let must = |lost: &&Lost| {
            let files = matches!(lost.promise, Promise::File(right)
                if right != Access::IOCTL_DEV && right != Access::RESOLVE_UNIX);
            // What nothing can hold anywhere is no promise.
            !lost.could.is_empty()
                && match demand {
                    "strict" => true,
                    "best_effort" => false,
                    _ if lost.promise == Promise::DisconnectedDirectories => false,
                    _ if files || case.named.contains(&lost.promise) => true,
                    _ => placement == Placement::Process,
                }
        };
        let must: Vec<Lost> = all.iter().filter(must).cloned().collect();
        let what = format!("{} {demand} in {placement}, ABI {abi}", case.name);
        match result {
            Ok(plan) => {
                assert_eq!(must, [], "{what}");
                assert_eq!(plan.lost, all, "{what}");
            }
            Err(why) => {
                assert_eq!(why.lost, must, "{what}");
                assert_ne!(must, [], "{what}");
            }
        }
    });
}

#[test]
fn in_place_promises_what_a_thread_does() {
    for case in cases() {
        for (_, demanding) in DEMANDS {
            let policy = demanding(case.policy.clone());
            for abi in ABIS {
                let of = |placement| {
                    plan(&policy, placement, kernel(abi))
                        .map(|plan| (plan.held, plan.lost))
                        .map_err(|why| why.lost)
                };
                assert_eq!(of(Placement::InPlace), of(Placement::Thread), "{} ABI {abi}", case.name);
            }
        }
    }
}

#[test]
fn best_effort_is_never_an_error() {
    for case in cases() {
        for placement in PLACEMENTS {
            for (abi, seccomp) in ABIS.flat_map(|abi| [(abi, true), (abi, false)]) {
                let plan =
                    plan(&case.policy.clone().best_effort(), placement, Kernel::with(abi, FIXED, seccomp));
                assert!(plan.is_ok(), "{} in {placement}, ABI {abi}, seccomp {seccomp}", case.name);
            }
        }
    }
}

/// Apart from their demands, plans that are made at all are the same.
#[test]
fn a_demand_changes_nothing_but_the_error() {
    for_all(|case, demand, placement, abi, result| {
        let Ok(found) = result else { return };
        let lenient = plan(&case.policy.clone().best_effort(), placement, kernel(abi)).unwrap();
        assert_eq!(found, lenient, "{} {demand} in {placement}, ABI {abi}", case.name);
    });
}

#[test]
fn a_newer_kernel_holds_no_less() {
    for case in cases() {
        for placement in PLACEMENTS {
            let held = |abi| plan(&case.policy.clone().best_effort(), placement, kernel(abi)).unwrap().held;
            for abi in 1..=NEWEST_ABI {
                let (before, after) = (held(abi - 1), held(abi));
                let gone: Vec<_> = before.keys().filter(|promise| !after.contains_key(promise)).collect();
                assert!(gone.is_empty(), "{} in {placement}, ABI {abi} lacks {gone:?}", case.name);
            }
        }
    }
}

#[test]
fn a_newer_kernel_refuses_no_more() {
    for_all(|case, demand, placement, abi, result| {
        let policy = DEMANDS.iter().find(|(name, _)| *name == demand).map(|(_, demanding)| demanding);
        let policy = policy.unwrap()(case.policy.clone());
        if result.is_ok() {
            let newer = plan(&policy, placement, kernel(abi + 1));
            assert!(newer.is_ok(), "{} {demand} in {placement}, ABI {} fails: {newer:?}", case.name, abi + 1);
        }
    });
}

#[test]
fn an_unknown_kernel_is_as_the_newest_known() {
    for case in cases() {
        for placement in PLACEMENTS {
            let of = |abi| plan(&case.policy, placement, kernel(abi));
            assert_eq!(of(NEWEST_ABI + 1), of(NEWEST_ABI), "{} in {placement}", case.name);
            assert_eq!(of(u32::MAX), of(NEWEST_ABI), "{} in {placement}", case.name);
        }
    }
}

#[test]
fn a_grant_adds_no_promise() {
    let kept = |plan: &Plan| -> BTreeSet<Promise> { plan.held.keys().copied().collect() };
    for (placement, abi) in PLACEMENTS.into_iter().flat_map(|placement| ABIS.map(move |abi| (placement, abi)))
    {
        let plan_of = |policy: Policy| plan(&policy.best_effort(), placement, kernel(abi)).unwrap();
        for case in cases() {
            let before = kept(&plan_of(case.policy.clone()));
            for grant in cases() {
                let after = kept(&plan_of(with(case.policy.clone(), &grant.policy)));
                let new: Vec<_> = after.difference(&before).collect();
                assert!(
                    new.is_empty(),
                    "{} and {} in {placement}, ABI {abi}: {new:?}",
                    case.name,
                    grant.name
                );
            }
        }
    }
}

/// A grant of one kind of access leaves the others refused.
#[test]
fn a_path_or_port_opens_nothing_else() {
    let handled = |policy: &Policy, abi| {
        let ruleset = plan(&policy.clone().best_effort(), Placement::Process, kernel(abi)).unwrap().ruleset;
        ruleset.map(|ruleset| {
            (ruleset.files, ruleset.net, ruleset.scope_abstract_unix_socket, ruleset.scope_signal)
        })
    };
    for abi in ABIS {
        let nothing = handled(&Policy::new(), abi);
        for case in cases().iter().filter(|case| !case.named.is_empty() && case.policy.presets.is_empty()) {
            assert_eq!(handled(&case.policy, abi), nothing, "{} ABI {abi}", case.name);
        }
    }
}

fn with(mut policy: Policy, grant: &Policy) -> Policy {
    policy.paths.extend(grant.paths.iter().cloned());
    policy.ports.extend(grant.ports.iter().cloned());
    policy.allow.extend(&grant.allow);
    policy.presets.extend(&grant.presets);
    // A limit that is taken away is no promise either.
    policy.timeout = grant.timeout.or(policy.timeout);
    policy.memory = grant.memory.or(policy.memory);
    policy.cpu = grant.cpu.or(policy.cpu);
    policy.open_files = grant.open_files.or(policy.open_files);
    policy.file_size = grant.file_size.or(policy.file_size);
    policy
}

#[test]
fn nothing_is_asked_of_a_kernel_that_lacks_it() {
    for_all(|case, demand, placement, abi, result| {
        let Ok(Plan { ruleset: Some(ruleset), .. }) = result else { return };
        let what = format!("{} {demand} in {placement}, ABI {abi}", case.name);
        assert!(ruleset.files.is_empty() || ruleset.files.least_abi() <= abi, "{what}: {}", ruleset.files);
        assert!(ruleset.net.iter().all(|access| access.least_abi() <= abi), "{what}: {:?}", ruleset.net);
        assert!(abi >= 6 || !ruleset.scope_signal && !ruleset.scope_abstract_unix_socket, "{what}");
        // The kernel answers EINVAL to a rule with a right that the ruleset does not handle.
        assert!(ruleset.paths.iter().all(|rule| ruleset.files.contains(rule.rights)), "{what}");
        assert!(ruleset.ports.iter().all(|rule| ruleset.net.contains(&rule.access)), "{what}");
    });
}

/// Every promise that a layer holds according to the plan is in what is handed to that layer.
#[test]
fn what_is_held_is_handed_over() {
    for_all(|case, demand, placement, abi, result| {
        let Ok(plan) = result else { return };
        let ruleset = plan.ruleset.clone().unwrap_or_default();
        for (promise, layers) in &plan.held {
            let what = format!("{promise:?} of {} {demand} in {placement}, ABI {abi}", case.name);
            if layers.iter().any(|layer| matches!(layer, Layer::Landlock(_))) {
                assert!(plan.ruleset.is_some(), "{what}");
                match promise {
                    Promise::File(Access::REFER) if abi == 1 => assert!(!ruleset.files.is_empty(), "{what}"),
                    Promise::File(right) => assert!(ruleset.files.contains(*right), "{what}"),
                    Promise::Port(access) => assert!(ruleset.net.contains(access), "{what}"),
                    Promise::AbstractUnixSocket => assert!(ruleset.scope_abstract_unix_socket, "{what}"),
                    Promise::Signal => assert!(ruleset.scope_signal, "{what}"),
                    Promise::Ptrace | Promise::DisconnectedDirectories | Promise::Whiteouts => {}
                    other => panic!("{other:?} is nothing that Landlock knows"),
                }
            }
            if layers == &[Layer::Filter] {
                let filter = plan.filter.expect("a filter");
                let open = filter.sockets;
                let in_worker = filter.mark == Placement::Process;
                match promise {
                    Promise::File(Access::IOCTL_DEV) => assert!(in_worker && filter.ioctl, "{what}"),
                    Promise::File(Access::EXECUTE) => assert!(filter.execute, "{what}"),
                    Promise::File(Access::TRUNCATE) => assert!(filter.truncate, "{what}"),
                    Promise::File(Access::RESOLVE_UNIX) => assert!(!open.unix, "{what}"),
                    Promise::AbstractUnixSocket => assert!(!open.unix, "{what}"),
                    Promise::Port(NetAccess::BindTcp | NetAccess::ConnectTcp) => assert!(!open.tcp, "{what}"),
                    Promise::Port(_) => assert!(!open.udp, "{what}"),
                    Promise::Listen => assert!(filter.listen, "{what}"),
                    Promise::Metadata => assert!(filter.metadata, "{what}"),
                    Promise::Whiteouts => assert!(filter.whiteout, "{what}"),
                    Promise::File(_) | Promise::Existence | Promise::DisconnectedDirectories => {
                        assert!(in_worker && filter.paths, "{what}");
                    }
                    Promise::Signal => {
                        assert!(in_worker && filter.signals == Signals::ToItself, "{what}");
                    }
                    Promise::NewProcesses => assert!(in_worker && filter.processes, "{what}"),
                    Promise::UncountedMemory => assert!(in_worker && filter.uncounted_memory, "{what}"),
                    Promise::OtherSystemCalls | Promise::Ptrace => assert!(in_worker, "{what}"),
                    // Every filter refuses these.
                    Promise::OtherSockets | Promise::IoUring => {}
                    other => panic!("{other:?} is nothing that the filter refuses"),
                }
            }
            if layers.contains(&Layer::Rlimit) || layers.contains(&Layer::Forkserver) {
                let limits = plan.limits;
                match promise {
                    Promise::Memory => assert!(limits.memory.is_some(), "{what}"),
                    Promise::OpenFiles => assert!(limits.open_files.is_some(), "{what}"),
                    Promise::FileSize => assert!(limits.file_size.is_some(), "{what}"),
                    Promise::Cpu => assert!(limits.cpu.is_some(), "{what}"),
                    Promise::Timeout => assert!(limits.timeout.is_some(), "{what}"),
                    other => panic!("{other:?} is no limit"),
                }
            }
        }
    });
}

fn lenient(policy: Policy, abi: u32) -> Plan {
    plan(&policy.best_effort(), Placement::Process, kernel(abi)).unwrap()
}

fn ruleset_of(policy: Policy, abi: u32) -> RulesetPlan {
    lenient(policy, abi).ruleset.unwrap_or_default()
}

#[test]
fn refer_cannot_be_granted_before_abi_2() {
    let write = || Policy::new().write("/tmp");
    assert!(!ruleset_of(write(), 1).files.contains(Access::REFER));
    assert!(!ruleset_of(write(), 1).paths[0].rights.contains(Access::REFER));
    assert!(ruleset_of(write(), 2).paths[0].rights.contains(Access::REFER));
    // Refused all the same, so no error and no loss.
    assert_eq!(lenient(write(), 1).held[&Promise::File(Access::REFER)], [Layer::Landlock(1)]);
}

#[test]
fn truncation_is_refused_by_the_filter_until_landlock_can() {
    for policy in [Policy::new(), Policy::new().write("/tmp"), Policy::new().read("/usr")] {
        let by_filter = |abi| lenient(policy.clone(), abi).filter.map(|filter| filter.truncate);
        assert_eq!(
            [0, 1, 2, 3, 11].map(by_filter),
            [Some(true), Some(true), Some(true), Some(false), Some(false)]
        );
    }
}

#[test]
fn udp_ports_are_told_apart_from_abi_10() {
    let udp = [NetAccess::BindUdp, NetAccess::ConnectSendUdp];
    let handles_udp =
        |policy: Policy, abi| udp.iter().all(|access| ruleset_of(policy.clone(), abi).net.contains(access));
    assert_eq!([9, 10, 11].map(|abi| handles_udp(Policy::new(), abi)), [false, true, true]);
    assert_eq!([9, 10, 11].map(|abi| handles_udp(Policy::new().allow(Allow::Udp), abi)), [false; 3]);
    // A socket that sends is bound to a free port by the kernel.
    let rule = |access, ports| PortRule { access, ports };
    let expected = [rule(NetAccess::ConnectSendUdp, 53..=53), rule(NetAccess::BindUdp, 0..=0)];
    assert_eq!(ruleset_of(Policy::new().udp_connect(53), 10).ports, expected);
    assert_eq!(ruleset_of(Policy::new().udp_bind(53), 10).ports, [rule(NetAccess::BindUdp, 53..=53)]);
}

#[test]
fn dns_is_as_narrow_as_the_kernel_can() {
    let rule = |access, ports| PortRule { access, ports };
    let tcp = rule(NetAccess::ConnectTcp, 53..=53);
    let table = [
        (3, vec![], Sockets { tcp: false, udp: true, unix: false }),
        (4, vec![tcp.clone()], Sockets { tcp: true, udp: true, unix: false }),
        (9, vec![tcp.clone()], Sockets { tcp: true, udp: true, unix: false }),
        (
            10,
            vec![tcp, rule(NetAccess::ConnectSendUdp, 53..=53), rule(NetAccess::BindUdp, 0..=0)],
            Sockets { tcp: true, udp: true, unix: false },
        ),
    ];
    for (abi, ports, sockets) in table {
        let plan = lenient(Policy::new().preset(Preset::Dns), abi);
        assert_eq!(plan.ruleset.unwrap_or_default().ports, ports, "ABI {abi}");
        assert_eq!(plan.filter.unwrap().sockets, sockets, "ABI {abi}");
    }
}

#[test]
fn sockets_that_a_grant_needs() {
    let none = Sockets::default();
    let table = [
        (Policy::new().read("/usr"), none),
        (Policy::new().tcp_bind(80), Sockets { tcp: true, ..none }),
        (Policy::new().tcp_connect(80), Sockets { tcp: true, ..none }),
        (Policy::new().udp_bind(80), Sockets { udp: true, ..none }),
        (Policy::new().udp_connect(80), Sockets { udp: true, ..none }),
        (Policy::new().allow(Allow::Udp), Sockets { udp: true, ..none }),
        (Policy::new().unix("/run"), Sockets { unix: true, ..none }),
        (Policy::new().allow(Allow::AbstractUnixSocket), Sockets { unix: true, ..none }),
        (Policy::new().allow(Allow::Signal).allow(Allow::Metadata), none),
    ];
    for (policy, sockets) in table {
        for abi in ABIS {
            assert_eq!(lenient(policy.clone(), abi).filter.unwrap().sockets, sockets, "{policy}, ABI {abi}");
        }
    }
}

#[test]
fn a_kind_of_socket_that_is_opened_loses_its_filter() {
    let could = |policy: Policy, promise| {
        let plan = lenient(policy, 0);
        plan.lost.into_iter().find(|lost| lost.promise == promise).map(|lost| lost.could)
    };
    let abstract_name = Promise::AbstractUnixSocket;
    assert_eq!(could(Policy::new(), abstract_name), None);
    assert_eq!(could(Policy::new().unix("/run"), abstract_name), Some(vec![Layer::Landlock(6)]));
    let connect = Promise::Port(NetAccess::ConnectTcp);
    assert_eq!(could(Policy::new().udp_bind(80), connect), None);
    assert_eq!(could(Policy::new().tcp_bind(80), connect), Some(vec![Layer::Landlock(4)]));
}

/// Reported in every placement, an error in none.
#[test]
fn what_nothing_can_hold_is_a_loss() {
    for (policy, promise) in [
        (Policy::new().read("/usr"), Promise::Existence),
        (Policy::new().tcp_connect(80), Promise::Existence),
        (Policy::new().tcp_bind(80), Promise::Listen),
    ] {
        for placement in PLACEMENTS {
            let plan = plan(&policy, placement, kernel(NEWEST_ABI)).unwrap();
            assert!(plan.lost.contains(&Lost { promise, could: Vec::new() }), "{policy} in {placement}");
        }
    }
}

#[test]
fn two_words_for_one_right_make_one_plan() {
    for abi in ABIS {
        let word = |policy: Policy| {
            let mut plan = lenient(policy, abi);
            plan.ruleset.iter_mut().flat_map(|ruleset| &mut ruleset.paths).for_each(|rule| rule.key.clear());
            plan
        };
        let by_key = word(Policy::new().unix("/run/app.sock"));
        assert_eq!(by_key, word(Policy::new().fs(Access::RESOLVE_UNIX, "/run/app.sock")), "ABI {abi}");
    }
}

#[test]
fn workers_that_count_are_within_range() {
    let many = Workers::new().reuse(9).spare(5).max(3);
    let plans = |policy: Policy| {
        [Placement::Process, Placement::Thread, Placement::InPlace]
            .map(|placement| plan(&policy, placement, kernel(NEWEST_ABI)).map(|plan| plan.workers))
    };
    let nowhere_else = Ok(Workers::new());
    let [process, elsewhere @ ..] = plans(Policy::new().workers(many));
    assert_eq!(process, Ok(many.spare(3)));
    assert_eq!(elsewhere, [nowhere_else.clone(), nowhere_else]);
    // In either order.
    let second = Duration::from_secs(1);
    for policy in [Policy::new().cpu(second).workers(many), Policy::new().workers(many).cpu(second)] {
        assert_eq!(plans(policy)[0], Ok(many.reuse(1).spare(3)));
    }
}

#[test]
fn limits_are_a_workers() {
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    let policy = Policy::new().env(["LANG"]).timeout(minute).memory(1u64 << 20);
    let policy = policy.cpu(second).open_files(16).file_size(1 << 10);
    let worker = plan(&policy, Placement::Process, kernel(NEWEST_ABI)).unwrap();
    let limits = Limits {
        timeout: Some(minute),
        cpu: Some(second),
        memory: Some(1 << 20),
        open_files: Some(16),
        file_size: Some(1 << 10),
    };
    assert_eq!((worker.limits, worker.env), (limits, vec!["LANG".to_owned()]));
    for placement in [Placement::Thread, Placement::InPlace] {
        // Named, and not to be had there: an error, not silence.
        let error = plan(&policy, placement, kernel(NEWEST_ABI)).unwrap_err();
        let lost: Vec<Promise> = error.lost.iter().map(|lost| lost.promise).collect();
        let limits = [
            Promise::Memory,
            Promise::Timeout,
            Promise::Cpu,
            Promise::OpenFiles,
            Promise::FileSize,
            Promise::Environment,
        ];
        assert_eq!(lost, limits, "{placement}");
        assert!(error.lost.iter().all(|lost| lost.to_string().contains("needs placement `process`")));
        let lenient = plan(&policy.clone().best_effort(), placement, kernel(NEWEST_ABI)).unwrap();
        assert_eq!((lenient.limits, lenient.env), (Limits::default(), Vec::new()), "{placement}");
        // What a preset passes to a worker is there already.
        assert!(plan(&Policy::new().preset(Preset::Locale), placement, kernel(NEWEST_ABI)).is_ok());
    }
}

#[test]
fn no_worker_may_signal_the_forkserver() {
    for policy in [Policy::new(), Policy::new().allow(Allow::Signal), Policy::new().execute("/usr/bin")] {
        for abi in 1..=NEWEST_ABI {
            let plan = plan(&policy, Placement::Process, kernel(abi)).unwrap();
            assert_eq!(plan.held[&Promise::Timeout], [Layer::Forkserver], "{policy}, ABI {abi}");
        }
    }
}

/// What a worker runs could not signal itself, so that is done for want of Landlock alone.
#[test]
fn programs_may_signal_themselves_where_landlock_holds_the_rest() {
    let signals = |policy: Policy, abi| lenient(policy, abi).filter.map(|filter| filter.signals);
    let (own, others) = (Some(Signals::ToItself), Some(Signals::NotToTheForkserver));
    assert_eq!([1, 5, 6, 11].map(|abi| signals(Policy::new(), abi)), [own; 4]);
    let runs = [1, 5, 6, 11].map(|abi| signals(Policy::new().execute("/usr/bin"), abi));
    assert_eq!(runs, [own, own, others, others]);
    assert_eq!([1, 11].map(|abi| signals(Policy::new().allow(Allow::Signal), abi)), [others; 2]);
}

#[test]
fn capabilities_are_kept_for_what_cannot_be_used_without() {
    let kept = |policy: Policy| lenient(policy, NEWEST_ABI).capabilities;
    let nothing: [Capability; 0] = [];
    assert_eq!(kept(Policy::new().read("/").write("/").tcp_bind(8080).tcp_connect(80)), nothing);
    // Port 0 is any that is free.
    assert_eq!(kept(Policy::new().tcp_bind(0)), nothing);
    assert_eq!(kept(Policy::new().tcp_bind(80)), [Capability::NetBindService]);
    assert_eq!(kept(Policy::new().udp_bind(1000..=2000)), [Capability::NetBindService]);
    assert_eq!(kept(Policy::new().fs(Access::MAKE_BLOCK, "/dev")), [Capability::Mknod]);
    let thread = plan(&Policy::new().tcp_bind(80), Placement::Thread, kernel(NEWEST_ABI)).unwrap();
    assert_eq!(thread.capabilities, nothing);
}

/// The kernel's own limit stands behind the forkserver's.
#[test]
fn processor_time_is_held_twice() {
    let held = |policy: Policy| lenient(policy, 1).held.remove(&Promise::Cpu);
    let limited = Policy::new().cpu(Duration::from_millis(100));
    assert_eq!(held(limited), Some(vec![Layer::Forkserver, Layer::Rlimit]));
    assert_eq!(held(Policy::new()), None);
}

#[test]
fn default_limits_of_a_function_and_of_main() {
    let default = lenient(Policy::new(), 1);
    let limits = Limits {
        timeout: Some(DEFAULT_TIMEOUT),
        memory: Some(DEFAULT_MEMORY),
        open_files: Some(DEFAULT_OPEN_FILES),
        ..Limits::default()
    };
    assert_eq!(default.limits, limits);
    let program = lenient(Policy::for_program(), 1);
    assert_eq!(program.limits, Limits::default());
    let of_functions =
        [Promise::Timeout, Promise::Memory, Promise::OpenFiles, Promise::Environment, Promise::HostStdio];
    assert!(of_functions.iter().all(|promise| !program.held.contains_key(promise)));
}

#[test]
fn stdio_inherit_is_no_promise() {
    for (stdio, promised) in
        [(Stdio::Relay, true), (Stdio::Null, true), (Stdio::Capture, true), (Stdio::Inherit, false)]
    {
        let plan = lenient(Policy::new().stdio(stdio), 1);
        assert_eq!(plan.held.contains_key(&Promise::HostStdio), promised, "{stdio:?}");
        assert_eq!(plan.stdio, stdio);
    }
}

/// Without system call filters a worker cannot keep its promises; a thread says what it lost.
#[test]
fn without_seccomp() {
    let none = |abi| Kernel::with(abi, 0, false);
    let error = plan(&Policy::new(), Placement::Process, none(NEWEST_ABI)).unwrap_err();
    let lost: BTreeSet<Promise> = error.lost.iter().map(|lost| lost.promise).collect();
    let filtered = BTreeSet::from([
        Promise::Listen,
        Promise::OtherSockets,
        Promise::IoUring,
        Promise::Metadata,
        Promise::Existence,
        Promise::NewProcesses,
        Promise::OtherSystemCalls,
        Promise::UncountedMemory,
        Promise::Timeout,
    ]);
    assert_eq!(lost, filtered);
    for abi in ABIS {
        let plan = plan(&Policy::new().best_effort(), Placement::Thread, none(abi)).unwrap();
        assert_eq!(plan.filter, None);
        assert!(plan.held.values().flatten().all(|layer| matches!(layer, Layer::Landlock(_))), "ABI {abi}");
    }
}

#[test]
fn nothing_to_hand_over_is_nothing() {
    let plan = plan(&Policy::new().best_effort(), Placement::Thread, Kernel::with(0, 0, false)).unwrap();
    assert_eq!((plan.ruleset, plan.filter), (None, None));
    assert_eq!(plan.held, BTreeMap::new());
}

#[test]
fn the_working_directory_comes_with_files() {
    let files = |policy: Policy| lenient(policy, NEWEST_ABI).files;
    assert!(files(Policy::new().read("/usr")) && files(Policy::new().fs(Access::MAKE_DIR, "/tmp")));
    assert!(files(Policy::new().preset(Preset::TimeZone)));
    assert!(
        !files(Policy::new()) && !files(Policy::new().tcp_bind(80)) && !files(Policy::new().unix("/run"))
    );
}

#[test]
fn errors_name_promise_and_abi() {
    let text =
        |policy: Policy, placement, abi| plan(&policy, placement, kernel(abi)).unwrap_err().to_string();
    let table = [
        (
            text(Policy::new().tcp_connect(80), Placement::Thread, 3),
            "it needs Landlock ABI 4, and this kernel has 3, to hold `no connect_tcp but to the granted ports`; \
             write `best_effort` if less is acceptable",
        ),
        (
            text(Policy::new().unix("/run"), Placement::InPlace, 7),
            "it needs Landlock ABI 9, and this kernel has 7, to hold `no resolve_unix outside the grants`; \
             write `best_effort` if less is acceptable",
        ),
        (
            text(Policy::new().strict(), Placement::Thread, 5),
            "it needs Landlock ABI 6, and this kernel has 5, to hold `no signal to processes outside the sandbox`; \
             drop `strict`, or write `best_effort`, if less is acceptable",
        ),
    ];
    for (found, expected) in table {
        assert!(found.contains(expected), "{found}");
    }
    let none = text(Policy::new().read("/usr"), Placement::Process, 0);
    assert!(none.contains("it needs Landlock ABI 1, and this kernel has no Landlock, to hold `"), "{none}");
}
