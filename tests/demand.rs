//! What must be held and cannot be is an error before the body; what need not is reported.

mod support;

use sandboxed::{
    Access, Allow, Error, Kernel, Layer, Lost, Placement, Policy, Ran, Unenforceable, kernel, plan, sandboxed,
};
use std::sync::{Mutex, Once};
use support::has_abi;

fn refused(policy: Policy, placement: Placement, abi: u32) -> Unenforceable {
    plan(&policy, placement, Kernel::with(abi, 0, true)).expect_err("it cannot be enforced")
}

/// Every kind of grant that some kernel lacks: the promise, the ABI that it needs, and one that is too old.
#[test]
fn an_error_names_promise_and_abi_and_what_to_write() {
    let new = Policy::new;
    let table = [
        (new().tcp_bind(80), 3, 4, "no bind_tcp but to the granted ports"),
        (new().tcp_connect(80), 3, 4, "no connect_tcp but to the granted ports"),
        (new().udp_bind(80), 9, 10, "no bind_udp but to the granted ports"),
        (new().udp_connect(80), 9, 10, "no connect_send_udp but to the granted ports"),
        (new().unix("/run"), 8, 9, "no resolve_unix outside the grants"),
        (new().fs(Access::IOCTL_DEV, "/dev"), 4, 5, "no ioctl_dev outside the grants"),
    ];
    for (policy, present, needed, promise) in table {
        for placement in [Placement::Process, Placement::Thread, Placement::InPlace] {
            let error = refused(policy.clone(), placement, present);
            let text = error.to_string();
            assert!(
                text.contains(&format!("needs Landlock ABI {needed}, and this kernel has {present}")),
                "{text}"
            );
            assert!(text.contains(&format!("`{promise}`")), "{text}");
            assert!(text.ends_with("; write `best_effort` if less is acceptable"), "{text}");
            assert_eq!(error.lost.iter().filter_map(Lost::least_abi).max(), Some(needed), "{text}");
            assert_eq!((error.placement, error.kernel.abi, error.strict), (placement, present, false));
            assert!(
                plan(&policy, placement, Kernel::with(needed, 0, true)).is_ok(),
                "{policy} on ABI {needed}"
            );
            let less = policy.clone().best_effort();
            assert!(
                plan(&less, placement, Kernel::with(present, 0, true)).is_ok(),
                "{less} on ABI {present}"
            );
        }
    }
}

#[test]
fn no_landlock_is_said_as_such() {
    let text = refused(Policy::new().read("/usr"), Placement::Process, 0).to_string();
    assert!(text.contains("needs Landlock ABI 1, and this kernel has no Landlock"), "{text}");
}

#[test]
fn no_filters_is_said_as_such() {
    let error = plan(&Policy::new(), Placement::Process, Kernel::with(11, 0, false)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no layer that this version has on this kernel holds"), "{text}");
    assert!(text.contains("`no sockets of other families and types`"), "{text}");
    // Nor is the forkserver safe from signals, which keeps the time.
    let without = |lost: &Lost| lost.could == [Layer::Filter] || lost.could == [Layer::Forkserver];
    assert!(error.lost.iter().all(without), "{error:?}");
}

#[test]
fn strict_says_how_to_ask_for_less() {
    let text = refused(Policy::new().strict(), Placement::Thread, 5).to_string();
    assert!(text.contains("needs Landlock ABI 6, and this kernel has 5"), "{text}");
    assert!(text.ends_with("; drop `strict`, or write `best_effort`, if less is acceptable"), "{text}");
}

#[sandboxed(strict)]
fn strict_in_process(ran: &mut bool) -> Result<(), Error> {
    *ran = true;
    Ok(())
}

#[sandboxed(thread, strict)]
fn strict_in_thread() -> Result<u32, Error> {
    Ok(7)
}

#[sandboxed(best_effort)]
fn best_effort_in_process() -> Result<u32, Error> {
    Ok(7)
}

/// The filter holds all of it on every kernel.
#[test]
fn strict_in_process_runs_everywhere() {
    let mut ran = false;
    strict_in_process(&mut ran).unwrap();
    assert!(ran);
    assert_eq!(best_effort_in_process().unwrap(), 7);
}

#[test]
fn strict_in_a_thread_runs_where_everything_is_held() {
    if has_abi(6, "`strict` in `thread`") {
        assert_eq!(strict_in_thread().unwrap(), 7);
    }
}

#[sandboxed(unix = "/usr")]
fn names_unix(ran: &mut bool) -> Result<(), Error> {
    *ran = true;
    Ok(())
}

#[sandboxed(thread, unix = "/usr")]
fn names_unix_in_thread(ran: &mut bool) -> std::io::Result<()> {
    *ran = true;
    Ok(())
}

#[sandboxed(best_effort, unix = "/usr")]
fn names_unix_if_possible() -> u32 {
    7
}

#[sandboxed(unix = "/usr")]
fn names_unix_and_panics() -> u32 {
    7
}

#[test]
fn a_grant_that_this_kernel_lacks_is_an_error_before_the_body() {
    if kernel().abi >= 9 {
        eprintln!("not checked: this kernel lacks nothing that can be named here");
        return;
    }
    let mut ran = false;
    let error = names_unix(&mut ran).unwrap_err();
    assert!(error.is_unenforceable() && error.ran() == Ran::No, "{error:?}");
    let needs = format!("needs Landlock ABI 9, and this kernel has {}", kernel().abi);
    assert!(error.to_string().contains(&needs), "{error}");
    let error = names_unix_in_thread(&mut ran).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
    assert!(error.to_string().contains(&needs), "{error}");
    assert!(!ran);
    assert_eq!(names_unix_if_possible(), 7);
}

/// Without a `Result` it is a panic of the caller's.
#[test]
fn a_function_without_result_panics() {
    if kernel().abi >= 9 {
        eprintln!("not checked: this kernel lacks nothing that can be named here");
        return;
    }
    let payload = std::panic::catch_unwind(names_unix_and_panics).unwrap_err();
    let message = payload.downcast_ref::<String>().expect("a message");
    assert!(message.contains("sandbox of `demand::names_unix_and_panics` cannot be enforced"), "{message}");
    assert!(message.contains("needs Landlock ABI 9"), "{message}");
}

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Collect;

impl log::Log for Collect {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level() == log::Level::Warn {
            WARNINGS.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// The warnings that name this function.
fn warnings_of(name: &str, calls: impl FnOnce()) -> Vec<String> {
    static START: Once = Once::new();
    START.call_once(|| {
        log::set_logger(&Collect).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
    });
    calls();
    let name = format!("`demand::{name}`");
    WARNINGS.lock().unwrap().iter().filter(|warning| warning.contains(&name)).cloned().collect()
}

#[sandboxed(best_effort, read = "/usr")]
fn loses_in_process() {}

#[sandboxed(thread, read = "/usr")]
fn loses_in_thread() {}

#[test]
fn what_is_lost_is_reported_once_for_each_function() {
    let calls = || (0..3).for_each(|_| loses_in_process());
    let warnings = warnings_of("loses_in_process", calls);
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    let lost = plan(&Policy::new().best_effort().read("/usr"), Placement::Process, kernel()).unwrap().lost;
    assert!(!lost.is_empty());
    for lost in lost {
        assert!(warning.contains(&lost.promise.to_string()), "{warning}");
    }
    assert!(
        warning.starts_with("sandbox of `demand::loses_in_process` in `process` does not hold: "),
        "{warning}"
    );

    let calls = || (0..3).for_each(|_| loses_in_thread());
    let warnings = warnings_of("loses_in_thread", calls);
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    // With any file granted, nothing can hold it.
    assert!(
        warning
            .contains("existence and metadata of files outside the grants are hidden (nothing can hold it)"),
        "{warning}"
    );
}

/// The same list, as a value.
#[test]
fn what_is_lost_can_be_asked_for() {
    let function =
        sandboxed::functions().find(|function| function.name == "demand::loses_in_thread").unwrap();
    let plan = function.plan().unwrap().unwrap_or_else(|error| panic!("{error}"));
    let expected = sandboxed::plan(&Policy::new().read("/usr"), Placement::Thread, kernel()).unwrap();
    assert_eq!(plan.lost, expected.lost);
    assert!(!plan.lost.is_empty());
}

#[sandboxed(thread, allow(abstract_unix_socket))]
fn opens_unix_in_thread() -> u32 {
    7
}

#[sandboxed(allow(abstract_unix_socket))]
fn opens_unix_in_process() -> Result<u32, Error> {
    Ok(7)
}

/// What an attribute does not name must be held in `process`, and is reported elsewhere.
#[test]
fn placements_differ_in_what_is_not_named() {
    let policy = Policy::new().allow(Allow::AbstractUnixSocket);
    let error = refused(policy.clone(), Placement::Process, 8);
    assert!(error.to_string().contains("`no resolve_unix outside the grants`"), "{error}");
    for placement in [Placement::Thread, Placement::InPlace] {
        let plan = plan(&policy, placement, Kernel::with(8, 0, true)).unwrap();
        assert!(plan.lost.iter().any(|lost| lost.least_abi() == Some(9)), "{:?}", plan.lost);
    }
    assert_eq!(opens_unix_in_thread(), 7);
    assert_eq!(opens_unix_in_process().is_ok(), kernel().abi >= 9);
}

#[sandboxed::test(best_effort, unix = "/usr")]
fn a_test_with_best_effort_runs() {
    assert_eq!(1 + 1, 2);
}

static SKIPPED_TEST_RAN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

#[sandboxed::test(thread, unix = "/usr", unenforceable = "skip")]
fn a_test_that_cannot_be_enforced_is_skipped() {
    SKIPPED_TEST_RAN.store(true, std::sync::atomic::Ordering::SeqCst);
}

#[test]
fn a_skipped_test_does_not_run_its_body() {
    a_test_that_cannot_be_enforced_is_skipped();
    assert_eq!(SKIPPED_TEST_RAN.load(std::sync::atomic::Ordering::SeqCst), kernel().abi >= 9);
}

#[sandboxed(thread, policy = sandboxed::Policy::new().memory(1u64 << 20).timeout(std::time::Duration::from_secs(1)))]
fn limits_in_a_thread() -> Result<(), Error> {
    Ok(())
}

/// The attribute refuses them when it is compiled; a policy made in code must not lose them in silence.
#[test]
fn limits_that_a_placement_cannot_give_are_an_error() {
    let error = limits_in_a_thread().unwrap_err();
    assert!(error.is_unenforceable(), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("at most the given memory") && text.contains("at most the given wall time"),
        "{text}"
    );
}
