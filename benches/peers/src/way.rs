//! What every way has in common.

use crate::Result;
use crate::task::{Answer, Kind, Task};

/// A way to run a function: in place, apart, or in a sandbox.
pub trait Way: Sized {
    /// Its name in the table, with the peer's.
    const NAME: &'static str;

    /// What it isolates, and whether a call is `fresh`, for the table, where a probe cannot run and try it.
    const BY_DESIGN: [&'static str; 2] = [""; 2];

    /// Gets ready: what a program does once, before its first call.
    fn prepare() -> Result<Self>;

    /// Does a task this way. What is measured begins with the input in the caller's memory, and ends with the
    /// answer there.
    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer>;

    /// Whether it can do such tasks at all.
    fn can(_kind: Kind) -> bool {
        true
    }
}

/// A way that is ready.
pub type Caller = Box<dyn FnMut(Task<&[u8]>) -> Result<Answer>>;

/// A way in a list of ways.
#[derive(Clone, Copy)]
pub struct Entry {
    pub(crate) name: &'static str,
    pub(crate) by_design: [&'static str; 2],
    pub(crate) prepare: fn() -> Result<Caller>,
    pub(crate) can: fn(Kind) -> bool,
}

impl Entry {
    /// That way.
    pub const fn of<W: Way + 'static>() -> Entry {
        Entry { name: W::NAME, by_design: W::BY_DESIGN, prepare: prepare::<W>, can: W::can }
    }
}

fn prepare<W: Way + 'static>() -> Result<Caller> {
    let mut way = W::prepare()?;
    Ok(Box::new(move |task| way.call(task)))
}
