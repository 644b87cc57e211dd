//! What is tried with processes, as data, and the one who tries it.

use crate::rows::{self, NOT_REACHED, closing};
use crate::{raw, sys};
use sandboxed::{Error, Policy, sandboxed};
use serde::{Deserialize, Serialize};
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // few, and not for long
pub enum Act {
    /// Begin one more sandbox inside, by a thread. This and the next three last until their `Leave`.
    Enter(Policy),
    /// Go on in this program, which is a copy of this one.
    Execute(PathBuf),
    /// Go on in a thread that begins here.
    NewThread,
    /// Go on in a thread that began before the first of the acts.
    OldThread,
    Leave,
    /// Have one more child.
    Fork,
    Signal(How, Who, i32),
    Trace(Way, Who),
    /// Have a child that asks its parent to trace it.
    TraceMe,
    /// Make a pipe that signals this one when something is written to it.
    Pipe(Who),
    /// Write to that pipe.
    Write,
    /// Whether `SIGIO` is pending there: 1 or 0.
    Heard(Who),
    /// Open a file for reading.
    Open(PathBuf),
    /// Change no user ID, which glibc asks of every thread.
    SetUser,
    /// What these are.
    EffectiveUser,
    EffectiveGroup,
    NoNewPrivs,
}

/// A call that sends a signal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum How {
    Kill,
    Tkill,
    Tgkill,
    /// `rt_sigqueueinfo(2)`.
    Queue,
    /// `rt_tgsigqueueinfo(2)`.
    QueueToThread,
    Pidfd,
}

/// A call that the kernel takes for tracing.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Way {
    Seize,
    ReadMemory,
    WriteMemory,
    /// `pidfd_getfd(2)` of a descriptor that is not open.
    Descriptor,
    /// `kcmp(2)`.
    Compare,
    RobustList,
    Environ,
    Maps,
    Memory,
    Auxv,
    /// The link `/proc/<pid>/exe`.
    Exe,
    /// The link `/proc/<pid>/ns/pid`.
    Namespace,
    /// The link `/proc/<pid>/cwd`.
    Directory,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Who {
    /// The process of the table.
    Host,
    /// The parent of workers.
    Forkserver,
    /// A worker in a sandbox of its own.
    Sibling,
    /// A child of the host, in no sandbox.
    Bystander,
    /// The process that acts.
    Me,
    /// The thread that acts.
    MyThread,
    /// A thread of this process that began before the first of the acts.
    OldThread,
    /// A child of this process, by number.
    Child(usize),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pids {
    pub host: i32,
    pub forkserver: i32,
    pub sibling: i32,
    pub bystander: i32,
    pub old_thread: i32,
    pub children: Vec<i32>,
}

/// What an executed program is told.
#[derive(Serialize, Deserialize)]
struct Orders {
    acts: Vec<Act>,
    pids: Pids,
    free: bool,
}

type Task = (Orders, mpsc::Sender<Vec<i32>>);

/// Tries acts one after the other.
pub struct Actor {
    pids: Pids,
    old_thread: Option<mpsc::Sender<Task>>,
    /// They end when these are closed.
    children: Vec<PipeWriter>,
    pipe: Option<(PipeReader, PipeWriter)>,
    free: bool,
}

impl Actor {
    /// With a thread that begins now.
    pub fn new(pids: Pids) -> Actor {
        let (orders, tasks) = mpsc::channel::<Task>();
        let (say, hear) = mpsc::channel();
        std::thread::spawn(move || {
            say.send(rustix::thread::gettid().as_raw_pid()).unwrap();
            tasks.iter().for_each(|(orders, answer)| answer.send(obey(&orders)).unwrap());
        });
        let pids = Pids { old_thread: hear.recv().unwrap(), ..pids };
        Actor { old_thread: Some(orders), ..Actor::alone(pids) }
    }

    /// Without such a thread.
    pub fn alone(pids: Pids) -> Actor {
        Actor { pids, old_thread: None, children: Vec::new(), pipe: None, free: false }
    }

    /// Without any sandbox, inner ones included.
    pub fn free(self) -> Actor {
        Actor { free: true, ..self }
    }

    /// For each act 0, or its errno, or the value that it asks for.
    pub fn run(&mut self, acts: &[Act]) -> Vec<i32> {
        let mut found = Vec::new();
        while let Some(act) = acts.get(found.len()) {
            let rest = &acts[found.len() + 1..];
            if opens(act) {
                let inner = &rest[..closing(rest, opens, |act| matches!(act, Act::Leave))];
                let (entered, inner) = match self.enter(act, inner) {
                    Ok(found) => (0, found),
                    Err(errno) => (errno, vec![NOT_REACHED; inner.len()]),
                };
                found.push(entered);
                found.extend(inner);
            } else {
                found.push(self.attempt(act));
            }
        }
        found
    }

    fn enter(&mut self, act: &Act, inner: &[Act]) -> Result<Vec<i32>, i32> {
        let orders = || Orders { acts: inner.to_vec(), pids: self.pids.clone(), free: self.free };
        match act {
            Act::Enter(policy) if !self.free => {
                in_thread(policy.clone(), inner, self).map_err(|error| rows::errno_of(&error))
            }
            Act::Execute(program) => execute(program, &orders()).map_err(|error| errno(&error)),
            Act::NewThread => Ok(std::thread::scope(|scope| scope.spawn(|| self.run(inner)).join().unwrap())),
            Act::OldThread => {
                let (answer, answered) = mpsc::channel();
                self.old_thread.as_ref().expect("it has one").send((orders(), answer)).unwrap();
                Ok(answered.recv().unwrap())
            }
            _ => Ok(self.run(inner)),
        }
    }

    fn attempt(&mut self, act: &Act) -> i32 {
        match act {
            Act::Fork => match sys::fork_and_wait() {
                Ok((child, until)) => {
                    self.pids.children.push(child);
                    self.children.push(until);
                    0
                }
                Err(errno) => errno,
            },
            Act::Signal(how, who, signal) => found(self.signal(*how, *who, *signal)),
            // It would stop those that the table itself relies on.
            Act::Trace(Way::Seize, Who::Host | Who::Forkserver | Who::Sibling) if self.free => NOT_REACHED,
            Act::Trace(way, who) => self.trace(*way, self.ids(*who).0),
            Act::TraceMe => sys::trace_me_in_child(),
            Act::Pipe(owner) => {
                let (reader, writer) = io::pipe().unwrap();
                let set = sys::signal_when_ready(reader.as_raw_fd(), self.ids(*owner).0);
                self.pipe = Some((reader, writer));
                set.map_or_else(|errno| errno, |()| 0)
            }
            Act::Write => found(self.pipe.as_mut().expect("a pipe").1.write(b"x")),
            Act::Heard(who) => i32::from(has_heard(self.ids(*who).0)),
            Act::Open(path) => found(std::fs::File::open(path)),
            Act::SetUser => {
                sys::set_user(None, None, None);
                0
            }
            Act::EffectiveUser => rustix::process::geteuid().as_raw().cast_signed(),
            Act::EffectiveGroup => rustix::process::getegid().as_raw().cast_signed(),
            Act::NoNewPrivs => i32::from(rustix::thread::no_new_privs().unwrap()),
            Act::Enter(_) | Act::Execute(_) | Act::NewThread | Act::OldThread | Act::Leave => 0,
        }
    }

    /// Its process and its thread.
    fn ids(&self, who: Who) -> (i32, i32) {
        let me = std::process::id().cast_signed();
        let alone = |pid| (pid, pid);
        match who {
            Who::Host => alone(self.pids.host),
            Who::Forkserver => alone(self.pids.forkserver),
            Who::Sibling => alone(self.pids.sibling),
            Who::Bystander => alone(self.pids.bystander),
            Who::Me => alone(me),
            Who::MyThread => (me, rustix::thread::gettid().as_raw_pid()),
            Who::OldThread => (me, self.pids.old_thread),
            Who::Child(number) => alone(self.pids.children[number]),
        }
    }

    fn signal(&self, how: How, who: Who, signal: i32) -> io::Result<i64> {
        let (pid, tid) = self.ids(who);
        match how {
            How::Kill => raw::syscall(libc::SYS_kill, [pid.into(), signal.into()]),
            How::Tkill => raw::syscall(libc::SYS_tkill, [tid.into(), signal.into()]),
            How::Tgkill => raw::syscall(libc::SYS_tgkill, [pid.into(), tid.into(), signal.into()]),
            How::Queue => {
                let info = &queued(signal)[..];
                raw::syscall(libc::SYS_rt_sigqueueinfo, [pid.into(), signal.into(), info.into()])
            }
            How::QueueToThread => {
                let info = &queued(signal)[..];
                raw::syscall(
                    libc::SYS_rt_tgsigqueueinfo,
                    [pid.into(), tid.into(), signal.into(), info.into()],
                )
            }
            How::Pidfd => {
                let pidfd = pidfd(pid)?;
                let arguments = [pidfd.as_raw_fd().into(), signal.into(), 0.into(), 0.into()];
                raw::syscall(libc::SYS_pidfd_send_signal, arguments)
            }
        }
    }

    fn trace(&self, way: Way, pid: i32) -> i32 {
        const KCMP_VM: u64 = 1;
        let me = std::process::id().cast_signed();
        let file = |name: &str| PathBuf::from(format!("/proc/{pid}/{name}"));
        match way {
            Way::Seize => found(seize(pid)),
            Way::ReadMemory => sys::touch_memory(pid, false),
            Way::WriteMemory => sys::touch_memory(pid, true),
            Way::Descriptor => found(pidfd(pid).and_then(|pidfd| {
                raw::syscall(libc::SYS_pidfd_getfd, [pidfd.as_raw_fd().into(), i32::MAX.into(), 0.into()])
            })),
            Way::Compare => {
                let arguments = [me.into(), pid.into(), KCMP_VM.into(), 0.into(), 0.into()];
                found(raw::syscall(libc::SYS_kcmp, arguments).map(|_| ()))
            }
            Way::RobustList => {
                let word = || [0u8; 8][..].into();
                found(raw::syscall(libc::SYS_get_robust_list, [pid.into(), word(), word()]))
            }
            Way::Environ => found(std::fs::File::open(file("environ"))),
            Way::Maps => found(std::fs::File::open(file("maps"))),
            Way::Memory => found(std::fs::File::open(file("mem"))),
            Way::Auxv => found(std::fs::File::open(file("auxv"))),
            Way::Exe => found(std::fs::read_link(file("exe"))),
            Way::Namespace => found(std::fs::read_link(file("ns/pid"))),
            Way::Directory => found(std::fs::read_link(file("cwd"))),
        }
    }
}

fn opens(act: &Act) -> bool {
    matches!(act, Act::Enter(_) | Act::Execute(_) | Act::NewThread | Act::OldThread)
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or_else(|| panic!("{error}"))
}

fn found<T>(done: io::Result<T>) -> i32 {
    done.map_or_else(|error| errno(&error), |_| 0)
}

/// Traces a process and lets it go.
fn seize(pid: i32) -> io::Result<()> {
    const SEIZE: u64 = 0x4206;
    const INTERRUPT: u64 = 0x4207;
    const DETACH: u64 = 17;
    let ptrace =
        |request: u64| raw::syscall(libc::SYS_ptrace, [request.into(), pid.into(), 0.into(), 0.into()]);
    ptrace(SEIZE)?;
    // It can be let go where it has stopped.
    ptrace(INTERRUPT)?;
    raw::syscall(libc::SYS_wait4, [pid.into(), 0.into(), libc::__WALL.into(), 0.into()])?;
    ptrace(DETACH).map(drop)
}

fn pidfd(pid: i32) -> io::Result<std::os::fd::OwnedFd> {
    raw::syscall(libc::SYS_pidfd_open, [pid.into(), 0.into()]).map(raw::owned)
}

/// `siginfo_t` of `sigqueue(3)`.
fn queued(signal: i32) -> [u8; 128] {
    const SI_QUEUE: i32 = -1;
    let mut info = [0; 128];
    info[..4].copy_from_slice(&signal.to_ne_bytes());
    info[8..12].copy_from_slice(&SI_QUEUE.to_ne_bytes());
    info
}

/// Whether `SIGIO` is pending for the process.
fn has_heard(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap();
    u64::from_str_radix(pending.trim(), 16).unwrap() & (1 << (libc::SIGIO - 1)) != 0
}

fn obey(orders: &Orders) -> Vec<i32> {
    let mut actor = Actor { free: orders.free, ..Actor::alone(orders.pids.clone()) };
    actor.run(&orders.acts)
}

/// The argument under which this program acts, and is no table.
const ACTS: &str = "--acts";

fn execute(program: &Path, orders: &Orders) -> io::Result<Vec<i32>> {
    let mut command = Command::new(program);
    command.arg(ACTS).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    serde_json::to_writer(child.stdin.take().unwrap(), orders)?;
    let output = child.wait_with_output()?;
    assert!(output.status.success(), "{}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Acts, where this program was executed for that.
pub fn was_executed() -> bool {
    if std::env::args_os().nth(1).is_none_or(|first| first != ACTS) {
        return false;
    }
    let orders: Orders = serde_json::from_reader(io::stdin()).unwrap();
    serde_json::to_writer(io::stdout(), &obey(&orders)).unwrap();
    true
}

#[sandboxed(policy = &policy)]
pub fn in_process(policy: Policy, pids: Pids, acts: &[Act]) -> Result<Vec<i32>, Error> {
    Ok(Actor::new(pids).run(acts))
}

#[sandboxed(thread, policy = &policy)]
pub fn in_thread(policy: Policy, acts: &[Act], actor: &mut Actor) -> Result<Vec<i32>, Error> {
    Ok(actor.run(acts))
}

#[sandboxed(in_place, policy = &policy)]
pub fn in_place(policy: Policy, acts: &[Act], actor: &mut Actor) -> Result<Vec<i32>, Error> {
    Ok(actor.run(acts))
}
