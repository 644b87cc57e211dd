//! hakoniwa: a container for each call, with namespaces, an empty root and Landlock. In it runs a closure, after a
//! fork of the host, or a program: this one again, which gets the task at its stdin.
//!
//! Its filter of system calls is left out: it needs libseccomp, a C library of the system.

use crate::task::{Answer, Task};
use crate::{Result, Way, frame};
use ::hakoniwa::landlock::{CompatMode, FsAccess, Resource, Ruleset};
use ::hakoniwa::{Child, Command, Container, Namespace, Stdio};
use std::path::Path;
use std::str::FromStr;
use std::{env, io};

/// What a dynamically linked program needs.
const LIBRARIES: [&str; 2] = ["/lib", "/lib64"];
/// Where the program is in the container.
const PROGRAM: &str = "/program";

/// With every namespace but that of the cgroup.
fn container() -> Container {
    let mut container = Container::new();
    container.unshare(Namespace::Network).unshare(Namespace::Ipc).unshare(Namespace::Uts);
    container
}

/// Nothing is granted yet.
fn landlock() -> Ruleset {
    let mut ruleset = Ruleset::default();
    for resource in [Resource::FS, Resource::NET_TCP_BIND, Resource::NET_TCP_CONNECT] {
        ruleset.restrict(resource, CompatMode::Enforce);
    }
    ruleset
}

/// A closure in a container.
pub struct Closure(Container);

impl Way for Closure {
    const NAME: &'static str = "hakoniwa, closure";

    fn prepare() -> Result<Closure> {
        let mut container = container();
        container.landlock_ruleset(landlock());
        Ok(Closure(container))
    }

    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
        finish(closure(&self.0, task).stdin(Stdio::inherit()).stdout(Stdio::piped()).spawn()?)
    }
}

/// The closure must be `'static`, so the host copies the bytes for it.
#[expect(unsafe_code)]
fn closure(container: &Container, task: Task<&[u8]>) -> Command {
    let task = task.map(<[u8]>::to_vec);
    let answer = move || {
        let answer = task.as_ref().map(|bytes| &bytes[..]).perform();
        i32::from(frame::send_answer(answer, io::stdout().lock()).is_err())
    };
    // SAFETY: The closure runs after a fork. This process has one thread, so the allocator's lock and that of stdout
    // are free there.
    unsafe { container.command_from_closure(answer) }
}

/// A program in a container.
pub struct Program(Container);

impl Way for Program {
    const NAME: &'static str = "hakoniwa, command";

    fn prepare() -> Result<Program> {
        let mut container = container();
        let mut ruleset = landlock();
        let program = env::current_exe()?;
        container.bindmount_ro(program.to_str().ok_or("the program's path is not UTF-8")?, PROGRAM);
        for path in LIBRARIES.into_iter().filter(|path| Path::new(path).exists()) {
            container.bindmount_ro(path, path);
        }
        for path in LIBRARIES.into_iter().filter(|path| Path::new(path).exists()).chain([PROGRAM]) {
            ruleset.allow_path(path, FsAccess::from_str("r-x")?);
        }
        container.landlock_ruleset(ruleset);
        Ok(Program(container))
    }

    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
        let mut command = self.0.command(PROGRAM);
        let mut child = command.arg("answer").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take().ok_or("no pipe to the program")?;
        let sent = frame::send_task(task, stdin);
        // A container that failed says why; that it then took no task is no news.
        let answer = finish(child)?;
        sent?;
        Ok(answer)
    }
}

/// The answer, unless the container failed.
fn finish(mut child: Child) -> Result<Answer> {
    let answer = frame::receive_answer(child.stdout.take().ok_or("no pipe from the container")?);
    let status = child.wait()?;
    if status.success() { answer } else { Err(status.reason.into()) }
}
