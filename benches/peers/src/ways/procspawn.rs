//! procspawn: a function pointer and its argument go to another process, which is this program again. A process for
//! each call, or a pool of one that stays. No sandbox.
//!
//! Bytes are wrapped so that serde takes them as a whole; a plain `Vec<u8>` costs twice as much.

use crate::task::{Answer, Task};
use crate::{Result, Way};
use ::procspawn::{Pool, ProcConfig};
use serde_bytes::ByteBuf;

/// To be called first in `main`. In a process that procspawn started, which it knows by a variable in the
/// environment, it serves and does not return. What comes before it runs there too.
pub fn hook() {
    ProcConfig::new().pass_args(false).init();
}

/// What the other process runs. It gets and gives owned values.
fn perform(task: Task<ByteBuf>) -> Answer<ByteBuf> {
    task.as_ref().map(|bytes| &bytes[..]).perform().map(ByteBuf::from)
}

/// A pool with one process.
pub struct Pooled(Pool);

impl Way for Pooled {
    const NAME: &'static str = "procspawn, Pool(1)";

    fn prepare() -> Result<Pooled> {
        Ok(Pooled(Pool::new(1)?))
    }

    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
        let answer = self.0.spawn(task.map(ByteBuf::from), perform).join()?;
        Ok(answer.map(ByteBuf::into_vec))
    }
}

/// A process for each call.
pub struct Spawned;

impl Way for Spawned {
    const NAME: &'static str = "procspawn, spawn";

    fn prepare() -> Result<Spawned> {
        Ok(Spawned)
    }

    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
        let answer = ::procspawn::spawn(task.map(ByteBuf::from), perform).join()?;
        Ok(answer.map(ByteBuf::into_vec))
    }
}
