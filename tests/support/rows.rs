//! Rows that try acts twice, outside of a sandbox and inside, and know the errno of each.

use super::cases::Done;
use super::{raw, support, sys};
use sandboxed::{Error, ErrorKind, Placement, Policy, Ran};
use std::fmt::Debug;

/// Where it depends on the machine, and nothing is claimed.
pub const ANY: i32 = -1;
/// What is found for acts that were not reached.
pub const NOT_REACHED: i32 = -2;

/// One act and what comes of it: 0, or an errno.
#[derive(Clone, Debug)]
pub struct Line<A> {
    pub act: A,
    pub outside: i32,
    pub inside: i32,
}

pub fn line<A>(act: A, outside: i32, inside: i32) -> Line<A> {
    Line { act, outside, inside }
}

/// From a Landlock ABI on the one, before it the other.
pub fn since(abi: u32, then: i32, before: i32) -> i32 {
    if sandboxed::kernel().abi >= abi { then } else { before }
}

/// Where an erratum is fixed the one, otherwise the other.
pub fn fixed(erratum: u32, then: i32, otherwise: i32) -> i32 {
    if sandboxed::kernel().errata & (1 << (erratum - 1)) != 0 { then } else { otherwise }
}

pub struct Row<A> {
    pub policy: Policy,
    pub placement: Placement,
    /// The least ABI under which this placement can enforce the policy.
    pub least: u32,
    pub lines: Vec<Line<A>>,
}

impl<A: Clone + Debug> Row<A> {
    /// Tries the lines outside, then inside, unless the plan says that the call must be refused.
    #[track_caller]
    pub fn judge(
        &self,
        outside: impl FnOnce(&[A]) -> Vec<i32>,
        inside: impl FnOnce(Policy, &[A]) -> Result<Vec<i32>, Error>,
    ) -> Done {
        let acts: Vec<A> = self.lines.iter().map(|line| line.act.clone()).collect();
        self.compare("outside of a sandbox", &outside(&acts), |line| line.outside);
        self.judge_inside(&acts, inside)
    }

    #[track_caller]
    fn judge_inside(&self, acts: &[A], inside: impl FnOnce(Policy, &[A]) -> Result<Vec<i32>, Error>) -> Done {
        let kernel = sandboxed::kernel();
        let planned = sandboxed::plan(&self.policy, self.placement, kernel);
        let why = planned.as_ref().map_or_else(ToString::to_string, |_| "it can be enforced".into());
        // A worker's filter holds some policies without Landlock.
        let more = self.placement == sandboxed::Placement::Process && planned.is_ok();
        assert!(more || planned.is_ok() == (kernel.abi >= self.least), "`{}`: {why}", self.policy);
        match (planned, inside(self.policy.clone(), acts)) {
            (Ok(_), found) => {
                let found = found.unwrap_or_else(|error| panic!("`{}`: {error}", self.policy));
                self.compare("inside", &found, |line| line.inside);
                Done::Ran
            }
            (Err(_), Err(error)) => {
                assert!(error.is_unenforceable(), "{error}");
                assert_eq!(error.ran(), Ran::No);
                Done::Refused(format!("needs Landlock ABI {}, this kernel has {}", self.least, kernel.abi))
            }
            (Err(why), Ok(found)) => panic!("found {found:?} under what cannot be enforced: {why}"),
        }
    }

    #[track_caller]
    fn compare(&self, place: &str, found: &[i32], expected: fn(&Line<A>) -> i32) {
        assert_eq!(found.len(), self.lines.len(), "{place}: {found:?}");
        let wrong: Vec<String> = self
            .lines
            .iter()
            .zip(found)
            .enumerate()
            .filter(|(_, (line, found))| ![ANY, **found].contains(&expected(line)))
            .map(|(at, (line, found))| {
                format!("line {at} {:?}: expected {}, found {found}", line.act, expected(line))
            })
            .collect();
        assert!(
            wrong.is_empty(),
            "{place}, under `{}` in {}:\n{}",
            self.policy,
            self.placement,
            wrong.join("\n")
        );
    }
}

/// Why a sandbox was not begun, and that its body did not run.
pub fn errno_of(error: &Error) -> i32 {
    assert_eq!(error.ran(), Ran::No, "{error}");
    match error.kind() {
        ErrorKind::Launch { cause: Some(cause), .. } => cause.raw_os_error().unwrap_or(NOT_REACHED),
        _ => panic!("{error}"),
    }
}

/// Where the bracket that was opened before `acts` ends: at its own closing act, or with the acts.
pub fn closing<A>(acts: &[A], opens: fn(&A) -> bool, closes: fn(&A) -> bool) -> usize {
    let mut depth = 0;
    for (at, act) in acts.iter().enumerate() {
        if closes(act) && depth == 0 {
            return at;
        }
        depth += usize::from(opens(act));
        depth -= usize::from(closes(act));
    }
    acts.len()
}

/// Judges a row in a process of its own, which has one thread.
pub fn in_child(name: &str, judge: impl FnOnce() -> Done) -> Done {
    const BECAME: &str = "became: ";
    // What restricts itself cannot tidy up, so its parent does.
    let body = || {
        let directory = tempfile::tempdir().unwrap();
        raw::set_variable("TMPDIR", directory.path());
        let child = sys::fork(|| println!("{BECAME}{}", judge()));
        let status = sys::wait_for(child);
        assert!(status.success(), "{status}");
    };
    let Some(output) = support::output_in_child(name, body) else {
        return Done::Ran;
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    let became = stdout.lines().find_map(|line| line.split_once(BECAME)).map(|(_, became)| became);
    match became.filter(|_| output.status.success()) {
        Some("ran") => Done::Ran,
        Some(became) => match (became.strip_prefix("refused as planned: "), became.strip_prefix("not run: "))
        {
            (Some(why), _) => Done::Refused(why.into()),
            (_, Some(why)) => Done::NotRun(why.into()),
            _ => panic!("{became}"),
        },
        None => {
            panic!("in the child: {}\n{stdout}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
        }
    }
}
