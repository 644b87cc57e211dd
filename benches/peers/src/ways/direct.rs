//! The plain call, which all others are compared with.

use crate::task::{Answer, Task};
use crate::{Result, Way};

/// Nothing around the body.
pub struct Direct;

impl Way for Direct {
    const NAME: &'static str = "direct call";

    fn prepare() -> Result<Direct> {
        Ok(Direct)
    }

    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
        Ok(task.perform())
    }
}
