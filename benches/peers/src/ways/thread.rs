//! A thread for each call, from the standard library. It isolates nothing; it is what `#[sandboxed(thread)]` adds to.

use crate::task::{Answer, Task};
use crate::{Result, Way};
use std::thread;

/// A new thread around the body.
pub struct Thread;

impl Way for Thread {
    const NAME: &'static str = "thread, spawn and join";

    fn prepare() -> Result<Thread> {
        Ok(Thread)
    }

    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
        let answer = thread::scope(|scope| scope.spawn(|| task.perform()).join());
        answer.map_err(|_| "the thread panicked".into())
    }
}
