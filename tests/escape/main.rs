//! Attempts to get out of a sandbox, as an attacker makes them who controls a worker from its first instruction.
//!
//! Each is one system call or few, made in a real worker, and must fail with the errno (or die by the signal) that its
//! row names. Beside it stands a twin that shows that the attempt could succeed: mostly the same, done by a child of
//! the host in no sandbox. Where the host may not do it either (for want of privileges, on this kernel), the attempt
//! counts and its twin is counted as not tried. The last line of the output has the sums.

#[path = "../support/attack.rs"]
mod attack;
mod attempt;
#[path = "../support/bystander.rs"]
mod bystander;
#[path = "../support/cases.rs"]
mod cases;
mod outside;
#[path = "../support/raw.rs"]
mod raw;
#[path = "../support/sys.rs"]
mod sys;
mod world;

/// A system call by number, with its arguments as C would pass them.
macro_rules! call {
    ($number:ident $(, $argument:expr)* $(,)?) => {
        crate::raw::syscall(libc::$number, [$(crate::raw::Argument::from($argument)),*])
    };
}

mod beyond;
mod descriptors;
mod execution;
mod files;
mod floods;
mod grants;
mod identity;
mod ioctls;
mod kernel;
mod keys;
mod limits;
mod memory;
mod mounts;
mod namespaces;
mod numbers;
mod prctls;
mod processes;
mod queues;
mod races;
mod rings;
mod signals;
mod sockets;
mod terminal;
mod watching;

use attempt::{Attempt, Verdict};
use cases::{Case, Done};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

type Class = fn() -> Vec<Attempt>;

/// Every attempt, in an order that is the same in each process of this program.
fn attempts() -> Vec<Attempt> {
    let classes: [(&str, Class); 24] = [
        ("descriptors", descriptors::attempts),
        ("memory", memory::attempts),
        ("signals", signals::attempts),
        ("sockets", sockets::attempts),
        ("rings", rings::attempts),
        ("keys", keys::attempts),
        ("ioctls", ioctls::attempts),
        ("numbers", numbers::attempts),
        ("namespaces", namespaces::attempts),
        ("execution", execution::attempts),
        ("files", files::attempts),
        ("grants", grants::attempts),
        ("races", races::attempts),
        ("prctls", prctls::attempts),
        ("limits", limits::attempts),
        ("queues", queues::attempts),
        ("watching", watching::attempts),
        ("kernel", kernel::attempts),
        ("mounts", mounts::attempts),
        ("identity", identity::attempts),
        ("processes", processes::attempts),
        ("floods", floods::attempts),
        ("terminal", terminal::attempts),
        ("beyond", beyond::attempts),
    ];
    let named = |(class, attempts): (&str, Class)| {
        let name = move |attempt: Attempt| attempt.of_class(class);
        attempts().into_iter().map(name).collect::<Vec<_>>()
    };
    classes.into_iter().flat_map(named).collect()
}

/// How many ended how, and why twins were not tried.
#[derive(Default)]
struct Counts {
    refused: usize,
    planned: usize,
    escaped: usize,
    wrong: usize,
    not_here: BTreeMap<String, usize>,
}

impl Counts {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Refused => self.refused += 1,
            Verdict::RefusedEverywhere(why) => {
                self.refused += 1;
                *self.not_here.entry(why.clone()).or_default() += 1;
            }
            Verdict::Planned(_) => self.planned += 1,
            Verdict::Escaped(_) => self.escaped += 1,
            Verdict::Wrong(_) => self.wrong += 1,
        }
    }

    fn summary(&self) -> String {
        let Counts { refused, planned, escaped, wrong, not_here } = self;
        let all = refused + planned + escaped + wrong;
        let untried: usize = not_here.values().sum();
        let reasons: Vec<String> = not_here.iter().map(|(why, count)| format!("{why} {count}")).collect();
        let reasons = if reasons.is_empty() { "-".into() } else { reasons.join(", ") };
        format!(
            "{all} attempts, {refused} refused, {planned} not run as planned, {escaped} escaped, {wrong} otherwise \
             ({untried} that the host may not do here either: {reasons})"
        )
    }
}

fn main() -> ExitCode {
    if outside::serve() {
        return ExitCode::SUCCESS;
    }
    let attempts = attempts();
    if !attempts.iter().any(|attempt| cases::is_selected(&attempt.name)) {
        return cases::main(attempts.into_iter().map(|row| Case::new(row.name, || Done::Ran)).collect());
    }
    let (world, held) = world::make();
    outside::start(&world);
    let counts: Arc<Mutex<Counts>> = Arc::default();
    let case = |(index, attempt): (usize, Attempt)| {
        let (counts, world) = (counts.clone(), world.clone());
        Case::new(attempt.name.clone(), move || {
            let verdict = attempt.judge(&world, index);
            counts.lock().unwrap().add(&verdict);
            match verdict {
                Verdict::Refused | Verdict::RefusedEverywhere(_) => Done::Ran,
                Verdict::Planned(why) => Done::Refused(why),
                Verdict::Escaped(how) => panic!("escaped: {how}"),
                Verdict::Wrong(what) => panic!("{what}"),
            }
        })
    };
    let code = cases::main(attempts.into_iter().enumerate().map(case).collect());
    drop(held);
    println!("escape: {}", counts.lock().unwrap().summary());
    code
}
