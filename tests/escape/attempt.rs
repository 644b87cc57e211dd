//! One attempt to get out: what is tried, what the kernel must answer, and the twin that shows that it could succeed.

use crate::outside;
use crate::world::World;
use sandboxed::{Error, ErrorKind, Placement, Policy, sandboxed};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

pub type Tried = io::Result<i64>;
pub type Act = fn(&Stage) -> Tried;

/// What an attacker finds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stage {
    pub world: World,
    /// A descriptor that was handed over, if the attempt has one; else -1.
    pub given: i32,
    /// What tells rows apart that are tried in the same way.
    pub number: u64,
    pub text: String,
}

impl Stage {
    /// The number of a system call, a flag, a signal.
    pub fn flag(&self) -> i32 {
        self.number as u32 as i32
    }

    /// A path in the world's directory.
    pub fn path(&self) -> std::path::PathBuf {
        self.world.directory.join(&self.text)
    }
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    Done(i64),
    Errno(i32),
    Signal(i32),
    Exited(i32),
    TimedOut,
    /// The call was refused before its body, as the plan says.
    Planned(String),
    /// It was not even tried: the test itself is wrong.
    Broken(String),
}

impl From<Tried> for Found {
    fn from(tried: Tried) -> Found {
        match tried {
            Ok(value) => Found::Done(value),
            Err(error) => match error.raw_os_error() {
                Some(errno) => Found::Errno(errno),
                None => Found::Broken(error.to_string()),
            },
        }
    }
}

/// What shows that an attempt could succeed.
#[derive(Clone, Copy)]
pub enum Twin {
    /// Something, mostly the same, done by a child of the host in no sandbox: it works.
    Outside(Option<Act>),
    /// The same outside comes as far as this errno, which is the kernel's own: where more would harm the machine.
    Reaches(i32),
    /// Something close by that works in the same sandbox.
    Inside(Act),
}

/// Errnos that say that the host may not do it either: for want of privileges, or on this kernel.
const NOT_HERE: [i32; 9] = [
    libc::EPERM,
    libc::EACCES,
    libc::ENOSYS,
    libc::EAFNOSUPPORT,
    libc::EPROTONOSUPPORT,
    libc::ESOCKTNOSUPPORT,
    libc::EOPNOTSUPP,
    libc::ENODEV,
    libc::ENXIO,
];

pub struct Attempt {
    pub name: String,
    policy: fn(&World) -> Policy,
    placement: Placement,
    given: Option<fn(&World) -> OwnedFd>,
    number: u64,
    text: &'static str,
    pub act: Act,
    expected: Found,
    twin: Twin,
    not_here: &'static [i32],
    after: fn(&World),
}

/// An attempt that must fail with this errno, and that succeeds outside.
pub fn refused(name: impl Into<String>, errno: i32, act: Act) -> Attempt {
    Attempt {
        name: name.into(),
        policy: |_| Policy::new(),
        placement: Placement::Process,
        given: None,
        number: 0,
        text: "",
        act,
        expected: Found::Errno(errno),
        twin: Twin::Outside(None),
        not_here: &[],
        after: |_| (),
    }
}

/// An attempt that kills who makes it.
pub fn killed(name: impl Into<String>, signal: i32, act: Act) -> Attempt {
    Attempt { expected: Found::Signal(signal), ..refused(name, 0, act) }
}

/// An attempt that ends like this.
pub fn ends(name: impl Into<String>, expected: Found, act: Act) -> Attempt {
    Attempt { expected, ..refused(name, 0, act) }
}

/// What may be done and reaches nobody else, which `after` asserts in the host. It must do something here and there: 0.
pub fn harmless(name: impl Into<String>, act: Act, after: fn(&World)) -> Attempt {
    Attempt { expected: Found::Done(0), after, ..refused(name, 0, act) }
}

impl Attempt {
    pub fn of_class(self, class: &str) -> Attempt {
        Attempt { name: format!("{class}::{}", self.name.replace('/', "_")), ..self }
    }

    pub fn under(self, policy: fn(&World) -> Policy) -> Attempt {
        Attempt { policy, ..self }
    }

    pub fn in_place(self) -> Attempt {
        Attempt { placement: Placement::InPlace, name: format!("{}_in_place", self.name), ..self }
    }

    pub fn given(self, given: fn(&World) -> OwnedFd) -> Attempt {
        Attempt { given: Some(given), ..self }
    }

    pub fn with(self, number: impl TryInto<u64, Error: std::fmt::Debug>) -> Attempt {
        Attempt { number: number.try_into().unwrap(), ..self }
    }

    pub fn at(self, text: &'static str) -> Attempt {
        Attempt { text, ..self }
    }

    /// Something else works outside.
    pub fn outside(self, act: Act) -> Attempt {
        Attempt { twin: Twin::Outside(Some(act)), ..self }
    }

    pub fn reaches(self, errno: i32) -> Attempt {
        Attempt { twin: Twin::Reaches(errno), ..self }
    }

    pub fn beside(self, act: Act) -> Attempt {
        Attempt { twin: Twin::Inside(act), ..self }
    }

    /// More errnos that say that the host may not do it either.
    pub fn or_not_here(self, not_here: &'static [i32]) -> Attempt {
        Attempt { not_here, ..self }
    }

    pub fn stage(&self, world: &World) -> (Stage, Option<OwnedFd>) {
        let given = self.given.map(|open| open(world));
        let number = given.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        (Stage { world: world.clone(), given: number, number: self.number, text: self.text.into() }, given)
    }

    /// What is tried for the twin outside.
    pub fn twin_outside(&self) -> Act {
        match self.twin {
            Twin::Outside(Some(act)) => act,
            Twin::Outside(None) | Twin::Reaches(_) | Twin::Inside(_) => self.act,
        }
    }

    pub fn twin_inside(&self) -> Act {
        match self.twin {
            Twin::Inside(act) => act,
            Twin::Outside(_) | Twin::Reaches(_) => unreachable!("its twin is outside"),
        }
    }
}

/// How a row ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Refused,
    /// Refused inside; the host may not do it either.
    RefusedEverywhere(String),
    Planned(String),
    Escaped(String),
    Wrong(String),
}

impl Attempt {
    pub fn judge(&self, world: &World, index: usize) -> Verdict {
        let found = match self.placement {
            Placement::InPlace => outside::attempt(index, outside::How::InPlace),
            _ => self.inside(world, index, false),
        };
        let kept = std::panic::catch_unwind(|| (self.after)(world));
        match (&found, &self.expected) {
            (Found::Planned(why), _) => return Verdict::Planned(why.clone()),
            (found, expected) if found == expected && kept.is_ok() => {}
            (Found::Done(_), _) => {
                return Verdict::Escaped(format!("{found:?}, expected {:?}", self.expected));
            }
            (Found::Errno(errno), _) if matches!(self.twin, Twin::Reaches(reached) if reached == *errno) => {
                return Verdict::Escaped(format!(
                    "it came as far as errno {errno}, expected {:?}",
                    self.expected
                ));
            }
            _ => return Verdict::Wrong(format!("{found:?}, expected {:?}", self.expected)),
        }
        self.judge_twin(world, index)
    }

    fn judge_twin(&self, world: &World, index: usize) -> Verdict {
        let (found, reaches) = match self.twin {
            Twin::Inside(_) => (self.inside(world, index, true), None),
            Twin::Outside(_) => (outside::attempt(index, outside::How::Free), None),
            Twin::Reaches(errno) => (outside::attempt(index, outside::How::Free), Some(errno)),
        };
        match (&found, reaches) {
            (Found::Done(_), None) => Verdict::Refused,
            (Found::Errno(errno), Some(reached)) if *errno == reached => Verdict::Refused,
            (Found::Errno(errno), _)
                if !matches!(self.twin, Twin::Inside(_))
                    && (NOT_HERE.contains(errno) || self.not_here.contains(errno)) =>
            {
                let what = io::Error::from_raw_os_error(*errno).to_string();
                Verdict::RefusedEverywhere(what.split(" (").next().unwrap_or_default().to_owned())
            }
            _ => Verdict::Wrong(format!("the twin: {found:?}")),
        }
    }

    fn inside(&self, world: &World, index: usize, twin: bool) -> Found {
        let policy = (self.policy)(world);
        let planned = sandboxed::plan(&policy, Placement::Process, sandboxed::kernel());
        let (stage, given) = self.stage(world);
        let found = match given {
            Some(given) => in_process_with(policy, &stage, index, twin, given),
            None => in_process(policy, &stage, index, twin),
        };
        match (planned, found) {
            (Err(why), Err(error)) if error.is_unenforceable() => Found::Planned(why.to_string()),
            (Err(why), found) => {
                Found::Broken(format!("found {found:?} under what cannot be enforced: {why}"))
            }
            (Ok(_), Ok(found)) => found,
            (Ok(_), Err(error)) => of_error(&error),
        }
    }
}

pub fn of_error(error: &Error) -> Found {
    match error.kind() {
        ErrorKind::Killed { signal, .. } => Found::Signal(*signal),
        ErrorKind::Exited { code } => Found::Exited(*code),
        ErrorKind::TimedOut { .. } => Found::TimedOut,
        _ if error.is_unenforceable() => Found::Planned(error.to_string()),
        _ => Found::Broken(error.to_string()),
    }
}

fn try_it(stage: &Stage, index: usize, twin: bool) -> Found {
    let attempt = &crate::attempts()[index];
    let act = if twin { attempt.twin_inside() } else { attempt.act };
    act(stage).into()
}

#[sandboxed(policy = &policy)]
fn in_process(policy: Policy, stage: &Stage, index: usize, twin: bool) -> Result<Found, Error> {
    Ok(try_it(stage, index, twin))
}

#[sandboxed(policy = &policy)]
fn in_process_with(
    policy: Policy,
    stage: &Stage,
    index: usize,
    twin: bool,
    given: OwnedFd,
) -> Result<Found, Error> {
    let stage = Stage { given: given.as_raw_fd(), ..stage.clone() };
    Ok(try_it(&stage, index, twin))
}

#[sandboxed(in_place, policy = &policy)]
fn restrict(policy: Policy) -> Result<(), Error> {
    Ok(())
}

/// In a child of one thread: restricted in place, or not at all.
pub fn alone(attempt: &Attempt, world: &World, how: outside::How) -> Found {
    let (stage, _given) = attempt.stage(world);
    match how {
        outside::How::Free => attempt.twin_outside()(&stage).into(),
        outside::How::InPlace => match restrict((attempt.policy)(world)) {
            Ok(()) => (attempt.act)(&stage).into(),
            Err(error) => of_error(&error),
        },
    }
}
