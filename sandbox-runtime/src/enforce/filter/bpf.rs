//! Classic BPF for seccomp: what to answer to each system call, as a program.
//!
//! The kernel interprets a new filter once for each number, to learn which calls it always allows, and then runs it
//! only for the others; so its length is paid at each install. Numbers are found by a binary search over ranges that
//! share an answer, the busiest nearest to the root.
//!
//! <https://docs.kernel.org/userspace-api/seccomp_filter.html>

use libc::sock_filter;
use std::collections::BTreeMap;

/// What the kernel does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    Allow,
    Errno(i32),
    /// `SIGSYS` for the thread: see `sys::seccomp::answer_fstat`.
    Trap,
    /// As [`Action::Errno`], for a tracer, who makes it so.
    Report(i32),
    /// The tracer is told before it is made; without one it does not exist (`ENOSYS`).
    Trace,
    /// Who holds the filter's listener answers it; without one it does not exist (`ENOSYS`).
    Notify,
    KillProcess,
}

impl Action {
    pub(super) const fn value(self) -> u32 {
        match self {
            Action::Allow => libc::SECCOMP_RET_ALLOW,
            Action::Errno(errno) => libc::SECCOMP_RET_ERRNO | errno.unsigned_abs(),
            Action::Trap => libc::SECCOMP_RET_TRAP,
            Action::Report(errno) => libc::SECCOMP_RET_TRAP | REPORT | errno.unsigned_abs(),
            Action::Trace => libc::SECCOMP_RET_TRACE,
            Action::Notify => libc::SECCOMP_RET_USER_NOTIF,
            Action::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }
}

/// By which a tracer tells our answers from those of other filters.
pub(crate) const REPORT: u32 = 0x5300;

/// The answer to a call: that of the first case whose tests all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    cases: Vec<Case>,
    otherwise: Action,
}

/// Without tests it always holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) all_of: Vec<Test>,
    pub(super) then: Action,
}

/// Whether half an argument, under a mask, is one of some values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Test {
    /// Where it is in `struct seccomp_data`.
    offset: u32,
    mask: u32,
    values: Vec<u32>,
    /// Whether it is to be among them or not.
    among: bool,
}

impl Test {
    /// Nearly all arguments that filters look at are `int`: the kernel looks at the lower 32 bits, and so must they.
    pub(super) fn is(argument: u32, values: &[u32]) -> Test {
        // Both architectures are little-endian.
        Test { offset: 16 + 8 * argument, mask: u32::MAX, values: values.to_vec(), among: true }
    }

    pub(super) fn is_not(argument: u32, values: &[u32]) -> Test {
        Test { among: false, ..Test::is(argument, values) }
    }

    /// Of the upper half of an argument.
    pub(super) fn upper_is(argument: u32, values: &[u32]) -> Test {
        Test { offset: 20 + 8 * argument, ..Test::is(argument, values) }
    }

    pub(super) fn upper_is_not(argument: u32, values: &[u32]) -> Test {
        Test { among: false, ..Test::upper_is(argument, values) }
    }

    pub(super) fn has(argument: u32, bit: u32) -> Test {
        Test::is(argument, &[bit]).under(bit)
    }

    pub(super) fn has_none(argument: u32, bits: u32) -> Test {
        Test::is(argument, &[0]).under(bits)
    }

    pub(super) fn under(self, mask: u32) -> Test {
        Test { mask, ..self }
    }
}

impl Verdict {
    /// What cannot be reached is left out, so that equal answers compare equal.
    pub(super) fn new(mut cases: Vec<Case>, mut otherwise: Action) -> Verdict {
        if let Some(always) = cases.iter().position(|case| case.all_of.is_empty()) {
            otherwise = cases[always].then;
            cases.truncate(always);
        }
        while cases.last().is_some_and(|case| case.then == otherwise) {
            cases.pop();
        }
        Verdict { cases, otherwise }
    }
}

impl Verdict {
    /// Where another case does not hold.
    pub(super) fn after(self, case: Case) -> Verdict {
        Verdict::new([vec![case], self.cases].concat(), self.otherwise)
    }

    /// With other answers.
    pub(super) fn map(self, change: impl Fn(Action) -> Action) -> Verdict {
        let cases = self.cases.into_iter().map(|case| Case { then: change(case.then), ..case }).collect();
        Verdict::new(cases, change(self.otherwise))
    }

    /// The answer, without a program.
    pub(super) fn of(&self, arguments: &[u64; 6]) -> Action {
        let holds = |test: &Test| {
            let (index, upper) = ((test.offset - 16) / 8, test.offset % 8 == 4);
            let half = (arguments[index as usize] >> if upper { 32 } else { 0 }) as u32;
            test.values.contains(&(half & test.mask)) == test.among
        };
        let found = self.cases.iter().find(|case| case.all_of.iter().all(holds));
        found.map_or(self.otherwise, |case| case.then)
    }
}

/// Consecutive numbers with one answer, from this on.
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) verdict: Verdict,
    /// How much it is used, compared with others.
    pub(super) weight: u32,
}

const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// A program under construction, from its end: what is jumped to is there already.
#[derive(Default)]
struct Assembler {
    reversed: Vec<sock_filter>,
    /// The last instruction that returns each action.
    returns: BTreeMap<Action, Label>,
}

/// An instruction, by how many there are from it to the end.
type Label = usize;

#[derive(Clone, Copy)]
enum Target {
    Return(Action),
    Label(Label),
}

/// How far a conditional jump reaches.
const REACH: usize = u8::MAX as usize;

impl Assembler {
    fn put(&mut self, code: u32, jt: u8, jf: u8, k: u32) -> Label {
        // The codes of classic BPF fit into the field.
        self.reversed.push(sock_filter { code: code as u16, jt, jf, k });
        self.reversed.len()
    }

    /// A label for a jump that stands `more` instructions before what is there now.
    fn near(&mut self, target: Target, more: usize) -> Label {
        let position = self.reversed.len() + more;
        match target {
            Target::Label(label) if position - label <= REACH => label,
            Target::Label(label) => {
                let distance = self.reversed.len() - label;
                self.put(libc::BPF_JMP | libc::BPF_JA, 0, 0, distance as u32)
            }
            Target::Return(action) => match self.returns.get(&action) {
                Some(label) if position - label <= REACH => *label,
                _ => {
                    let label = self.put(libc::BPF_RET | libc::BPF_K, 0, 0, action.value());
                    self.returns.insert(action, label);
                    label
                }
            },
        }
    }

    fn jump(&mut self, condition: u32, k: u32, yes: Target, no: Target) -> Target {
        let yes = self.near(yes, 1);
        let no = self.near(no, 0);
        let here = self.reversed.len();
        // `near` has made both fit.
        let code = libc::BPF_JMP | condition | libc::BPF_K;
        Target::Label(self.put(code, (here - yes) as u8, (here - no) as u8, k))
    }

    fn load(&mut self, offset: u32) -> Target {
        Target::Label(self.put(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset))
    }

    fn verdict(&mut self, verdict: &Verdict) -> Target {
        let mut next = Target::Return(verdict.otherwise);
        for case in verdict.cases.iter().rev() {
            let otherwise = next;
            next = Target::Return(case.then);
            for test in case.all_of.iter().rev() {
                next = self.test(test, next, otherwise);
            }
        }
        next
    }

    fn test(&mut self, test: &Test, yes: Target, no: Target) -> Target {
        let (found, mut next) = if test.among { (yes, no) } else { (no, yes) };
        for value in test.values.iter().rev() {
            next = self.jump(libc::BPF_JEQ, *value, found, next);
        }
        if test.mask != u32::MAX {
            self.put(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, test.mask);
        }
        // What the first comparison needs comes directly before it.
        self.load(test.offset)
    }

    /// A search tree over ranges, split where both sides are used as much.
    fn search(&mut self, ranges: &[(u32, u32, Target)]) -> Target {
        let [(_, _, first), rest @ ..] = ranges else { return Target::Return(Action::KillProcess) };
        if rest.is_empty() {
            return *first;
        }
        let total: u32 = ranges.iter().map(|range| range.1).sum();
        let mut left = 0;
        let cut = ranges.iter().take_while(|range| {
            left += range.1;
            2 * left <= total
        });
        let cut = cut.count().clamp(1, ranges.len() - 1);
        let (below, above) = ranges.split_at(cut);
        let above_target = self.search(above);
        let below_target = self.search(below);
        self.jump(libc::BPF_JGE, above[0].0, above_target, below_target)
    }
}

/// The program that answers by ranges, which begin at 0, on one architecture; calls of any other kill the process.
pub(super) fn program(arch: u32, ranges: &[Range]) -> Vec<sock_filter> {
    let mut assembler = Assembler::default();
    let targets: Vec<(u32, u32, Target)> =
        ranges.iter().map(|range| (range.first, range.weight, assembler.verdict(&range.verdict))).collect();
    let found = assembler.search(&targets);
    if let Target::Return(_) = found {
        assembler.near(found, 0);
    }
    assembler.load(NUMBER);
    let native = Target::Label(assembler.reversed.len());
    assembler.jump(libc::BPF_JEQ, arch, native, Target::Return(Action::KillProcess));
    assembler.load(ARCH);
    assembler.reversed.reverse();
    assembler.reversed
}
