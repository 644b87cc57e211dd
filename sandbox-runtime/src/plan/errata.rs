//! Landlock's errata: what a kernel without a fix does otherwise, and what a plan does about it.
//!
//! Fixes are backported, so they do not follow from the ABI; `LANDLOCK_CREATE_RULESET_ERRATA` tells. A kernel that
//! cannot be asked has none, as far as one can know.
//!
//! <https://docs.kernel.org/userspace-api/landlock.html#errata>

use super::{Kernel, Placement, RulesetPlan};
use crate::policy::{NetAccess, Policy, ThreadSync};
use serde::{Deserialize, Serialize};

/// A flaw of Landlock that has a fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Erratum {
    /// Erratum 1: the rights on TCP ports also refuse SMC, MPTCP and SCTP. Nothing is to be done: the filter refuses
    /// those sockets before the fix, when Landlock does too, and after it, when Landlock lets them pass.
    TcpPortsOfOthers,
    /// Erratum 2: the scope of signals also holds between the threads of one process. A sandboxed thread cannot
    /// signal its free siblings, nor, after `thread_sync = "signal"`, can any thread another one: `pthread_kill(3)`
    /// and `pthread_cancel(3)` fail with `EPERM`, and so does `setuid(3)`, which needs every thread. It refuses too
    /// much, so the plan goes on.
    SignalsOfThreads,
    /// Erratum 3: the rights on a directory that was moved out of the bind mount through which it was opened are
    /// looked for above its own file system's root, so they can widen. The plan reports
    /// [`DisconnectedDirectories`](super::Promise::DisconnectedDirectories) as lost where paths are granted, an error
    /// under `strict`: moving such a directory needs a bind mount and rights on both sides, or help from outside.
    DisconnectedDirectories,
    /// Erratum 4: `renameat2(2)` with `RENAME_WHITEOUT` leaves an entry behind without a right to make one. The filter
    /// refuses the flag then, and so holds [`Promise::Whiteouts`](super::Promise::Whiteouts).
    Whiteouts,
}

impl Erratum {
    /// All that are known.
    pub const ALL: [Erratum; 4] = [
        Erratum::TcpPortsOfOthers,
        Erratum::SignalsOfThreads,
        Erratum::DisconnectedDirectories,
        Erratum::Whiteouts,
    ];

    /// Those without a fix on this kernel that touch what a plan asks of Landlock.
    pub(super) fn of(
        kernel: Kernel,
        ruleset: Option<&RulesetPlan>,
        policy: &Policy,
        placement: Placement,
    ) -> Vec<Erratum> {
        let bears = |erratum: &Erratum| {
            !kernel.has_fix(*erratum)
                && ruleset.is_some_and(|ruleset| erratum.bears_on(ruleset, policy, placement))
        };
        Erratum::ALL.into_iter().filter(bears).collect()
    }

    /// The kernel's number of it, from 1.
    pub const fn number(self) -> u32 {
        self as u32 + 1
    }

    /// Whether it touches what a plan asks of Landlock.
    fn bears_on(self, ruleset: &RulesetPlan, policy: &Policy, placement: Placement) -> bool {
        match self {
            Erratum::TcpPortsOfOthers => {
                ruleset.net.iter().any(|access| matches!(access, NetAccess::BindTcp | NetAccess::ConnectTcp))
            }
            Erratum::SignalsOfThreads => {
                ruleset.scope_signal
                    && match placement {
                        Placement::Process => false,
                        Placement::Thread => true,
                        Placement::InPlace => policy.thread_sync == ThreadSync::Signal,
                    }
            }
            Erratum::DisconnectedDirectories => policy.names_files(),
            Erratum::Whiteouts => policy.lets_rename(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Access;
    use crate::plan::{FilterPlan, Layer, Promise, plan};

    const PLACEMENTS: [Placement; 3] = [Placement::Process, Placement::Thread, Placement::InPlace];

    fn with_fixes(fixes: &[Erratum]) -> Kernel {
        let errata = fixes.iter().fold(0, |bits, erratum| bits | 1 << (erratum.number() - 1));
        Kernel::with(11, errata, true)
    }

    fn without(erratum: Erratum) -> Kernel {
        with_fixes(&Erratum::ALL.into_iter().filter(|other| *other != erratum).collect::<Vec<_>>())
    }

    #[test]
    fn numbers_are_the_kernels() {
        assert_eq!(Erratum::ALL.map(Erratum::number), [1, 2, 3, 4]);
        assert!(Kernel::with(7, 0b100, true).has_fix(Erratum::DisconnectedDirectories));
        assert!(!Kernel::with(7, 0b1011, true).has_fix(Erratum::DisconnectedDirectories));
    }

    /// Which policy is touched by which erratum, in each placement.
    #[test]
    fn an_erratum_is_named_where_it_touches_the_plan() {
        use Erratum::{DisconnectedDirectories, SignalsOfThreads, TcpPortsOfOthers, Whiteouts};
        let new = Policy::new;
        let by_signal = || new().thread_sync(ThreadSync::Signal);
        // A right on ports is handled without grants too.
        let all = [vec![TcpPortsOfOthers], vec![TcpPortsOfOthers, SignalsOfThreads], vec![TcpPortsOfOthers]];
        let with = |more: &[Erratum]| all.clone().map(|errata| [&errata[..], more].concat());
        let table = [
            (new(), all.clone()),
            (new().tcp_bind(80), all.clone()),
            (new().allow(crate::Allow::Signal), [(); 3].map(|()| vec![TcpPortsOfOthers])),
            (by_signal(), [all[0].clone(), all[1].clone(), all[1].clone()]),
            (new().read("/usr"), with(&[DisconnectedDirectories])),
            (new().write("/x"), with(&[DisconnectedDirectories, Whiteouts])),
            (new().fs(Access::REMOVE_FILE, "/x"), with(&[DisconnectedDirectories, Whiteouts])),
            (new().fs(Access::REFER, "/x"), with(&[DisconnectedDirectories])),
            (new().unix("/run/x"), all.clone()),
            (new().quiet("/x"), all.clone()),
        ];
        for (policy, expected) in table {
            for (placement, expected) in PLACEMENTS.into_iter().zip(expected) {
                let plan = plan(&policy, placement, with_fixes(&[])).unwrap();
                assert_eq!(plan.errata, expected, "{policy} in {placement}");
                let fixed = super::super::plan(&policy, placement, with_fixes(&Erratum::ALL)).unwrap();
                assert_eq!(fixed.errata, [], "{policy} in {placement}");
            }
        }
    }

    #[test]
    fn widening_grants_are_reported_and_an_error_under_strict() {
        let kernel = without(Erratum::DisconnectedDirectories);
        for placement in PLACEMENTS {
            let of = |policy: Policy, kernel| plan(&policy, placement, kernel);
            let grants = of(Policy::new().read("/usr"), kernel).unwrap();
            let lost = grants.lost.iter().find(|lost| lost.promise == Promise::DisconnectedDirectories);
            let text = lost.expect("it is reported").to_string();
            assert!(text.ends_with("(needs the fix of Landlock's erratum 3)"), "{text}");
            let strict = of(Policy::new().read("/usr").strict(), kernel).unwrap_err();
            assert!(strict.lost.iter().any(|lost| lost.promise == Promise::DisconnectedDirectories));
            // Beside it: the fix, or nothing that could widen.
            let fixed = of(Policy::new().read("/usr"), with_fixes(&Erratum::ALL)).unwrap();
            assert_eq!(
                fixed.held[&Promise::DisconnectedDirectories],
                [Layer::LandlockWithout(Erratum::DisconnectedDirectories)]
            );
            let nothing = of(Policy::new(), kernel).unwrap();
            assert!(nothing.lost.iter().all(|lost| lost.promise != Promise::DisconnectedDirectories));
        }
    }

    #[test]
    fn the_filter_refuses_whiteouts_where_landlock_does_not_look_at_them() {
        let whiteout = |policy: Policy, kernel| {
            let filter: Option<FilterPlan> = plan(&policy, Placement::Thread, kernel).unwrap().filter;
            filter.unwrap().whiteout
        };
        assert!(whiteout(Policy::new().write("/x"), without(Erratum::Whiteouts)));
        assert!(!whiteout(Policy::new().write("/x"), with_fixes(&Erratum::ALL)));
        assert!(!whiteout(Policy::new().read("/x"), without(Erratum::Whiteouts)));
    }
}
