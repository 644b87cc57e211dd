//! Tables of cases. Each case is a test of its own, with a name that can be given to `cargo test`; what does not run
//! says why, and the end of the table counts it.
//!
//! For test targets with `harness = false`.
#![allow(dead_code)] // each table uses its part

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

/// What became of a case that did not fail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Done {
    /// The body ran in its sandbox, and the kernel did what the plan says.
    Ran,
    /// The call was refused before its body, as the plan for this kernel says. With the reason.
    Refused(String),
    /// It could not be tried here. With the reason: the ABI, erratum, user or file system that is missing.
    NotRun(String),
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Done::Ran => f.write_str("ran"),
            Done::Refused(why) => write!(f, "refused as planned: {why}"),
            Done::NotRun(why) => write!(f, "not run: {why}"),
        }
    }
}

/// One row of a table; it fails by a panic.
pub struct Case {
    name: String,
    run: Box<dyn FnOnce() -> Done + Send>,
}

impl Case {
    pub fn new(name: impl Into<String>, run: impl FnOnce() -> Done + Send + 'static) -> Case {
        Case { name: name.into(), run: Box::new(run) }
    }
}

/// Whether a case of this name is going to run, by the arguments of this process.
pub fn is_selected(name: &str) -> bool {
    let arguments = Arguments::from_args();
    !arguments.list && !arguments.is_filtered_out(&Trial::test(name, || Ok(())))
}

/// Runs the cases and prints, as the last line, how many ran and why others did not:
///
/// `cases: 170 ran, 3 refused as planned, 12 not run (9 needs Landlock ABI 10, this kernel has 7; 3 needs root)`
pub fn main(cases: Vec<Case>) -> ExitCode {
    let counts: Arc<Mutex<BTreeMap<Done, usize>>> = Arc::default();
    let trial = |case: Case| {
        let counts = counts.clone();
        Trial::ignorable_test(case.name, move || {
            let done = catch_unwind(AssertUnwindSafe(case.run)).map_err(|panic| {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                Failed::from(said.or_else(|| panic.downcast_ref().copied()).unwrap_or("panicked"))
            })?;
            *counts.lock().unwrap().entry(done.clone()).or_default() += 1;
            Ok(match done {
                Done::Ran => Completion::Completed,
                Done::Refused(_) | Done::NotRun(_) => Completion::ignored_with(done),
            })
        })
    };
    let arguments = Arguments::from_args();
    let trials = cases.into_iter().map(trial).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        println!("cases: {}", summary(&counts.lock().unwrap()));
    }
    conclusion.exit_code()
}

fn summary(counts: &BTreeMap<Done, usize>) -> String {
    let of = |is: fn(&Done) -> bool| -> usize {
        counts.iter().filter(|(done, _)| is(done)).map(|(_, count)| count).sum()
    };
    let reasons: Vec<String> = counts
        .iter()
        .filter_map(|(done, count)| match done {
            Done::NotRun(why) => Some(format!("{count} {why}")),
            Done::Ran | Done::Refused(_) => None,
        })
        .collect();
    let [ran, refused, not_run] = [
        of(|done| *done == Done::Ran),
        of(|done| matches!(done, Done::Refused(_))),
        of(|done| matches!(done, Done::NotRun(_))),
    ];
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
    format!("{ran} ran, {refused} refused as planned, {not_run} not run{reasons}")
}
