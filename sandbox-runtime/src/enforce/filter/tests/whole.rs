//! The whole table of numbers with combinations of arguments: the program does what the verdicts say, on both
//! architectures, for every plan.

use super::machine::{is_well_formed, run};
use super::*;
use crate::enforce::filter::verdict::verdict;

/// Values that some test looks for, their neighbours, and bits.
fn values() -> Vec<u64> {
    let bits = (0..32).map(|bit| 1u64 << bit);
    let known = [
        0,
        3,
        5,
        6,
        16,
        17,
        41,
        1024,
        1030,
        0x5401,
        0x5412,
        0x541b,
        0x8901,
        0x3d_0f00,
        0x0100_0011,
        0x0120_0011,
    ];
    bits.chain(known).chain([u32::MAX.into(), HIGH, HIGH | 1, HIGH | 0x5412]).collect()
}

/// Every plan: each field both ways.
fn plans() -> impl Iterator<Item = FilterPlan> {
    (0..1 << 17).step_by(147).chain([0, (1 << 17) - 1]).flat_map(|bits: u32| {
        let bit = move |index: u32| bits >> index & 1 == 1;
        let plan = move |mark| FilterPlan {
            mark,
            sockets: Sockets { tcp: bit(0), udp: bit(1), unix: bit(2) },
            listen: bit(3),
            fastopen: bit(4),
            execute: bit(5),
            metadata: bit(6),
            truncate: bit(7),
            whiteout: bit(8),
            paths: bit(9),
            write: bit(15),
            ioctl: bit(10),
            uncounted_memory: bit(11),
            processes: bit(12),
            threads: bit(16),
            signals: if bit(13) { Signals::ToItself } else { Signals::NotToTheForkserver },
        };
        [plan(Placement::Process), plan(if bit(14) { Placement::Thread } else { Placement::InPlace })]
    })
}

#[test]
fn programs_answer_as_verdicts_say() {
    let values = values();
    let mut state = 1u64;
    let mut any = move || {
        // A generator of Marsaglia's; what it yields is the same each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        values[(state % values.len() as u64) as usize]
    };
    for plan in plans() {
        for arch in [&X86_64, &AARCH64] {
            let program = program(&plan, arch);
            assert!(is_well_formed(&program), "{plan:?}");
            for number in 0..480 {
                let call = CALLS.iter().find(|call| (arch.number)(call) == number);
                let seen = Seen { number, arch: arch.audit, arguments: [(); 6].map(|()| any()) };
                let unknown = if plan.mark == Placement::Process { ENOSYS } else { ALLOW };
                let expected = call.map_or(unknown, |call| verdict(call, &plan).of(&seen.arguments).value());
                let name = call.map(|call| call.name);
                assert_eq!(run(&program, &seen), expected, "{name:?} {:x?} {plan:?}", seen.arguments);
            }
        }
    }
}

#[test]
fn filters_are_short() {
    for (plan, most) in [(nothing(Placement::Process), 360), (most(Placement::Process), 360)] {
        for arch in [&X86_64, &AARCH64] {
            let length = program(&plan, arch).len();
            assert!(length <= most, "{length} instructions for {plan:?}");
        }
    }
}

/// Where somebody is asked instead, nothing passes that the filter refuses, and the answer is the filter's.
#[test]
fn what_is_asked_is_what_would_be_refused() {
    let values = values();
    for (index, plan) in plans().enumerate() {
        let filters = [program(&plan, HERE), notify::asking(&plan, HERE), notify::rest(&plan, HERE)];
        assert!(filters.iter().all(|filter| is_well_formed(filter)), "{plan:?}");
        for call in CALLS.iter().filter(|call| (HERE.number)(call) != NONE) {
            let number = (HERE.number)(call);
            let arguments = [0, 1, 2, 3, 4, 5].map(|turn| values[(index * 7 + turn * 13) % values.len()]);
            let seen = Seen { number, arch: HERE.audit, arguments };
            let [plain, asked, rest] = filters.each_ref().map(|filter| run(filter, &seen));
            let of_call = crate::sys::seccomp::Call { number: number.into(), arguments };
            let answered = match asked {
                libc::SECCOMP_RET_USER_NOTIF => Action::Errno(refusal(&plan, &of_call)).value(),
                ALLOW => rest,
                answer => answer,
            };
            assert_eq!(answered, plain, "{} {arguments:x?} {plan:?}", call.name);
        }
    }
}
