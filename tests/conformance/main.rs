//! What the plan says is what the kernel does.
//!
//! Each case is a policy with a demand in a placement. Its expectation is computed from the plan for the running
//! kernel, its observation is what system calls answer inside: a promise that is held refuses with the exact errno
//! while its allowed twin works, one that is lost refuses nothing, and a plan that is an error runs no body.

#[path = "../support/bystander.rs"]
mod bystander;
#[path = "../support/cases.rs"]
mod cases;
mod expected;
mod probe;
#[path = "../support/raw.rs"]
mod raw;
mod stage;
#[path = "../support/sys.rs"]
mod sys;

use cases::{Case, Done};
use expected::expected;
use probe::{Probe, attempt_all};
use sandboxed::{
    Access, Allow, Error, ErrorKind, Memory, Placement, Plan, Policy, Ran, Timeout, Unenforceable, kernel,
    plan, sandboxed,
};
use stage::{Stage, View};
use std::panic::{catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::OnceLock;

#[sandboxed(policy = policy)]
fn in_process(policy: &Policy, view: &View, probes: &[Probe]) -> Result<Vec<i32>, Error> {
    Ok(attempt_all(view, probes))
}

#[sandboxed(thread, policy = policy)]
fn in_thread(policy: &Policy, view: &View, probes: &[Probe]) -> Result<Vec<i32>, Error> {
    Ok(attempt_all(view, probes))
}

#[sandboxed(in_place, policy = policy)]
fn in_place(policy: &Policy, view: &View, probes: &[Probe]) -> Result<Vec<i32>, Error> {
    Ok(attempt_all(view, probes))
}

type Grants = fn(&View) -> Policy;
const POLICIES: &[(&str, Grants)] = &[
    ("nothing", |_| Policy::new()),
    ("read", |view| Policy::new().read(&view.inside.dir)),
    ("write", |view| Policy::new().write(&view.inside.dir)),
    ("execute", |view| Policy::new().execute(&view.inside.dir)),
    ("read_and_write", |view| Policy::new().read(&view.inside.dir).write(&view.inside.dir)),
    ("make_devices", |view| {
        Policy::new().fs(Access::MAKE_CHAR | Access::MAKE_BLOCK, &view.inside.dir).quiet(&view.inside.dir)
    }),
    ("ioctl_dev", |view| Policy::new().read("/dev").fs(Access::IOCTL_DEV, &view.inside.device)),
    ("unix", |view| Policy::new().unix(view.inside.dir.join("socket"))),
    ("tcp_bind", |view| Policy::new().tcp_bind(view.inside.bind)),
    ("tcp_connect", |view| Policy::new().tcp_connect(view.inside.tcp)),
    ("udp_bind", |view| Policy::new().udp_bind(view.inside.bind)),
    ("udp_connect", |view| Policy::new().udp_connect(view.inside.udp)),
    ("allow_udp", |_| Policy::new().allow(Allow::Udp)),
    ("allow_signal", |_| Policy::new().allow(Allow::Signal)),
    ("allow_abstract_unix_socket", |_| Policy::new().allow(Allow::AbstractUnixSocket)),
    ("allow_metadata", |_| Policy::new().allow(Allow::Metadata)),
    ("limits", |view| Policy::new().env(&view.inside.variable).memory(512u64 << 20).open_files(64)),
    ("file_size", |view| Policy::new().write(&view.inside.dir).file_size(1 << 20)),
    ("one_thread", |_| Policy::new().threads(1)),
    ("no_limits", |_| Policy::new().timeout(Timeout::Never).memory(Memory::Unlimited)),
];

type Demanding = fn(Policy) -> Policy;
const DEMANDS: [(&str, Demanding); 3] =
    [("default", |policy| policy), ("strict", Policy::strict), ("best_effort", Policy::best_effort)];

const PLACEMENTS: [Placement; 3] = [Placement::Process, Placement::Thread, Placement::InPlace];

fn main() -> ExitCode {
    let mut cases = Vec::new();
    for placement in PLACEMENTS {
        for (demand, demanding) in DEMANDS {
            for (grants, policy) in POLICIES {
                let name = format!("{placement}::{demand}::{grants}");
                let policy = move |view: &View| demanding(policy(view));
                let check = move || check(placement, policy);
                // While this process has one thread: copies of it restrict themselves.
                let now = placement == Placement::InPlace && cases::is_selected(&name);
                let done = now.then(|| catch_unwind(check));
                cases.push(Case::new(name, move || match done {
                    None => check(),
                    Some(done) => done.unwrap_or_else(|panic| resume_unwind(panic)),
                }));
            }
        }
    }
    cases::main(cases)
}

fn check(placement: Placement, policy: impl Fn(&View) -> Policy) -> Done {
    let stage = Stage::new();
    let policy = policy(&stage.view);
    let plan = match plan(&policy, placement, kernel()) {
        Ok(plan) => plan,
        Err(why) => {
            let error = run(placement, &policy, &stage.view, &[]).unwrap_err();
            assert_is_refused(&error, &why);
            return Done::Refused(why.to_string());
        }
    };
    if placement == Placement::Process && kernel().abi == 0 && plan.files {
        let more = "without Landlock a worker is refused more than the plan says: writing, devices";
        return Done::NotRun(more.into());
    }
    let free = free();
    let check = || check_plan(&plan, &policy, &stage.view, free);
    match placement {
        Placement::InPlace => assert!(sys::wait_for(sys::fork(check)).success(), "in the child"),
        Placement::Process | Placement::Thread => check(),
    }
    Done::Ran
}

fn assert_is_refused(error: &Error, why: &Unenforceable) {
    let ErrorKind::Unenforceable(found) = error.kind() else { panic!("{error:?}") };
    assert_eq!(found, why);
    assert_eq!(error.ran(), Ran::No);
}

fn check_plan(plan: &Plan, policy: &Policy, view: &View, free: &[(Probe, i32)]) {
    let probes = probes(plan);
    let found = run(plan.placement, policy, view, &probes).unwrap_or_else(|error| panic!("{error}"));
    for (probe, found) in probes.iter().zip(&found) {
        let free = free.iter().find(|(known, _)| known == probe).expect("a worker promises the most").1;
        let expected = expected(plan, view, probe, free);
        assert_eq!(*found, expected, "{probe:?}, without a sandbox {free}, under `{policy}` with {plan:#?}");
    }
    assert_eq!(found.len(), probes.len());
}

/// What acts answer outside of any sandbox.
fn free() -> &'static [(Probe, i32)] {
    static FREE: OnceLock<Vec<(Probe, i32)>> = OnceLock::new();
    FREE.get_or_init(|| {
        let all =
            plan(&Policy::new().file_size(1).threads(1).best_effort(), Placement::Process, kernel()).unwrap();
        let probes = probes(&all);
        let found = attempt_all(&Stage::new().view.as_host(), &probes);
        probes.into_iter().zip(found).collect()
    })
}

/// Inside and outside of the grants, for each promise that the plan holds or loses.
fn probes(plan: &Plan) -> Vec<Probe> {
    let lost = plan.lost.iter().map(|lost| lost.promise);
    plan.held.keys().copied().chain(lost).flat_map(Probe::of).collect()
}

fn run(placement: Placement, policy: &Policy, view: &View, probes: &[Probe]) -> Result<Vec<i32>, Error> {
    match placement {
        Placement::Process => in_process(policy, view, probes),
        Placement::Thread => in_thread(policy, view, probes),
        Placement::InPlace => in_place(policy, view, probes),
    }
}
