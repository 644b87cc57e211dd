//! A fork of the host and a pipe: what mem-isolate and many programs do by hand. The input is there by the fork
//! itself; the answer comes back in postcard's format. No sandbox.

use crate::task::{Answer, Task};
use crate::{Result, Way, frame};
use rustix::process::{Pid, WaitOptions, waitpid};
use std::io::{self, PipeReader};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A child for each call.
pub struct Fork;

impl Way for Fork {
    const NAME: &'static str = "fork, pipe and postcard";

    fn prepare() -> Result<Fork> {
        Ok(Fork)
    }

    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
        let (child, pipe) = start(task)?;
        let answer = frame::receive_answer(pipe);
        waitpid(Some(child), WaitOptions::empty())?;
        answer
    }
}

/// Forks a child that performs the task; the answer comes out of the pipe.
#[expect(unsafe_code)]
fn start(task: Task<&[u8]>) -> Result<(Pid, PipeReader)> {
    let (reader, writer) = io::pipe()?;
    // SAFETY: This process has one thread, so no lock is held in the child by a thread that is not there.
    let id = unsafe { libc::fork() };
    if id == 0 {
        drop(reader);
        // An unwinding child would come back into the host's code.
        let sent = catch_unwind(AssertUnwindSafe(|| frame::send_answer(task.perform(), writer)));
        let code = i32::from(!matches!(sent, Ok(Ok(()))));
        // SAFETY: It takes any code and does not return. What `exit` would run is the host's, and runs there.
        unsafe { libc::_exit(code) }
    }
    let child = Pid::from_raw(id).filter(|_| id > 0).ok_or_else(io::Error::last_os_error)?;
    Ok((child, reader))
}
