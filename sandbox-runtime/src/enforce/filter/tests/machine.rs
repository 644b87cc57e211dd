//! A machine for classic BPF, as much of it as filters use.

use super::*;

/// A system call as a filter sees it (`struct seccomp_data`).
pub(super) struct Seen {
    pub(super) number: u32,
    pub(super) arch: u32,
    pub(super) arguments: [u64; 6],
}

impl Seen {
    fn word(&self, offset: u32) -> u32 {
        let index = offset as usize / 4;
        match index {
            0 => self.number,
            1 => self.arch,
            2 | 3 => 0,
            _ => (self.arguments[(index - 4) / 2] >> (32 * (index % 2))) as u32,
        }
    }
}

pub(super) fn run(program: &[sock_filter], call: &Seen) -> u32 {
    let (mut at, mut word) = (0, 0u32);
    loop {
        let step = &program[at];
        at += 1;
        let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
        match step.code {
            0x20 => word = call.word(step.k),
            0x54 => word &= step.k,
            0x05 => at += step.k as usize,
            0x15 => at += jump(word == step.k),
            0x35 => at += jump(word >= step.k),
            0x06 => return step.k,
            code => panic!("unknown instruction {code:#x}"),
        }
    }
}

/// What a stack of filters makes of a call, on each architecture that has it: the strictest wins.
pub(super) fn answers(
    name: &str,
    arguments: &[u64],
    filters: impl Fn(&Arch) -> Vec<Vec<sock_filter>>,
) -> Vec<u32> {
    let call = CALLS.iter().find(|call| call.name == name).unwrap_or_else(|| panic!("no call {name}"));
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let there = [&X86_64, &AARCH64].into_iter().filter(|arch| (arch.number)(call) != NONE);
    there
        .map(|arch| {
            let seen = Seen { number: (arch.number)(call), arch: arch.audit, arguments: all };
            let answers = filters(arch).into_iter().map(|program| run(&program, &seen));
            // The kernel takes actions for signed numbers: to kill is the least.
            answers.min_by_key(|answer| answer.cast_signed() & !0xffff).unwrap_or(ALLOW)
        })
        .collect()
}

/// What the kernel demands of a program (`bpf_check_classic`, `seccomp_check_filter`).
pub(super) fn is_well_formed(program: &[sock_filter]) -> bool {
    let last = program.len() - 1;
    let reaches = |at: usize, by: usize| at + 1 + by <= last;
    let fits = |(at, step): (usize, &sock_filter)| match step.code {
        0x20 => step.k % 4 == 0 && step.k < 64,
        0x54 | 0x06 => true,
        0x05 => reaches(at, step.k as usize),
        0x15 | 0x35 => reaches(at, step.jt.into()) && reaches(at, step.jf.into()),
        _ => false,
    };
    program.len() <= 4096 && program[last].code == 0x06 && program.iter().enumerate().all(fits)
}
