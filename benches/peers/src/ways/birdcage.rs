//! birdcage: a program in new namespaces, behind a filter of system calls. The program is this one again, which gets
//! the task at its stdin.

use crate::task::{Answer, Task};
use crate::{Result, Way, frame};
use ::birdcage::process::{Command, Stdio};
use ::birdcage::{Birdcage, Exception, Sandbox};
use std::env;
use std::path::{Path, PathBuf};

/// What a dynamically linked program needs.
const LIBRARIES: [&str; 2] = ["/lib", "/lib64"];

/// A sandbox for each call; birdcage's are used once. It wants a host with one thread, and clears its environment.
pub struct Program {
    program: PathBuf,
}

impl Way for Program {
    const NAME: &'static str = "birdcage, command";

    fn prepare() -> Result<Program> {
        Ok(Program { program: env::current_exe()? })
    }

    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
        let mut sandbox = Birdcage::new();
        sandbox.add_exception(Exception::ExecuteAndRead(self.program.clone()))?;
        for path in LIBRARIES.into_iter().filter(|path| Path::new(path).exists()) {
            sandbox.add_exception(Exception::ExecuteAndRead(path.into()))?;
        }
        let mut command = Command::new(&self.program);
        command.arg("answer").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = sandbox.spawn(command)?;
        let sent = frame::send_task(task, child.stdin.take().ok_or("no pipe to the program")?);
        let answer = frame::receive_answer(child.stdout.take().ok_or("no pipe from the program")?);
        let status = child.wait()?;
        sent?;
        if status.success() { answer } else { Err(format!("the program ended with {status}").into()) }
    }
}
