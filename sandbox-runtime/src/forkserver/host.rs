//! The host's side: starts a forkserver when one is first needed, and asks it for workers.

use super::identity::{Identity, open_leader_status};
use super::message::{self, HasNamespaces, Request, Restricted, TemplateRequest};
use super::start::{self, StartError, Started, pair, system, wait_for_message};
use crate::enforce::Locks;
use crate::enforce::mark::{Ambiguous, is_inside};
use crate::observe::observer::Task;
use crate::plan::{Kernel, Placement};
use crate::sys;
use crate::sys::fork_mark::ForkMark;
use crate::sys::image::Image;
use crate::wire::{Number, Setup};
use once_cell::sync::OnceCell;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown};
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A forkserver that serves. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Forkserver {
    control: OwnedFd,
    image: &'static Image,
    /// What it sees of the kernel.
    kernel: Kernel,
    /// What it was asked of namespaces.
    namespaces: Mutex<Option<HasNamespaces>>,
    /// How often it was restricted. Templates from before are freer than their host is by now.
    restrictions: AtomicU32,
}

/// A template: see [`super::template`]. It ends, with its workers, when this is dropped.
#[derive(Debug)]
pub(crate) struct Template {
    control: OwnedFd,
    server: Arc<Forkserver>,
    restrictions: u32,
}

/// The template has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended;

impl Drop for Template {
    /// A forked child of this process may hold copies of the socket, so closing ours might not be noticed.
    fn drop(&mut self) {
        rustix::net::shutdown(&self.control, Shutdown::Both).unwrap_or_default();
    }
}

impl Drop for Forkserver {
    /// As for a template.
    fn drop(&mut self) {
        rustix::net::shutdown(&self.control, Shutdown::Both).unwrap_or_default();
    }
}

/// What this process knows of its forkserver; a forked child begins anew.
struct State {
    process: u32,
    /// Held only to look.
    current: Mutex<Option<Current>>,
    leader: Option<File>,
}

/// A forkserver and for whom it was started.
struct Current {
    identity: Identity,
    cell: Arc<Cell>,
    /// It took on what `in_place` did to this process, and no other could be started any more.
    is_last: bool,
}

type Cell = OnceCell<Arc<Forkserver>>;

static STATE: ForkMark<State> = ForkMark::new();
/// The control socket of this process or, in a forked child, of its parent: whose it is and its number, in one
/// (see [`owned`]), and its inode. 0 where there is none.
static CONTROL: (AtomicU64, AtomicU64) = (AtomicU64::new(0), AtomicU64::new(0));

fn state() -> Result<&'static State, StartError> {
    STATE.get_or_init(State::new).map_err(system("a page for the forkserver's state"))
}

/// The forkserver of the calling thread's identity, started if there is none.
pub(crate) fn current() -> Result<Arc<Forkserver>, StartError> {
    current_with(&start::first_argument())
}

/// As [`current`], for workers that are granted nothing that the rest of an identity could matter to: no files, no
/// sockets, no programs. Costs a microsecond instead of a hundred.
pub(crate) fn current_by_credentials() -> Result<Arc<Forkserver>, StartError> {
    let known = state()?.lock().as_ref().and_then(|current| {
        let server = current.cell.get()?;
        current.identity.has_credentials_of_caller().then(|| Arc::clone(server))
    });
    known.map_or_else(current, Ok)
}

/// As [`current`], with all of the program's arguments, for `fn main` in a worker.
pub(crate) fn start_for_program() -> Result<Arc<Forkserver>, StartError> {
    current_with(&start::arguments())
}

/// Starts the forkserver, if it is not there yet, and has it take on a restriction before this process does. One
/// that died is noticed here.
pub(crate) fn restrict_first(locks: &Locks) -> Result<Arc<Forkserver>, StartError> {
    for _ in 0..2 {
        let server = current()?;
        let restricted = server.restrict(locks);
        if restricted.is_err() {
            // It ends, or is restricted by half.
            state()?.forget(&server);
        }
        match restricted {
            Err(StartError::Gone) => {}
            restricted => return restricted.map(|()| server),
        }
    }
    Err(StartError::Gone)
}

/// What the restriction changed about this process is what the forkserver took on too.
pub(crate) fn restricted(server: &Arc<Forkserver>) -> Result<(), StartError> {
    let state = state()?;
    let identity = state.identity()?;
    let mut current = state.lock();
    match current.as_mut().filter(|current| current.is(server)) {
        Some(current) => {
            current.identity = identity;
            current.is_last = true;
            Ok(())
        }
        // It died meanwhile, and what another thread started in its place is free.
        None => {
            *current = None;
            Err(StartError::Gone)
        }
    }
}

/// Ends the forkserver of this process, when its last call is over, unless it took on what `in_place` did.
pub(crate) fn forget() {
    if let Some(state) = STATE.get() {
        state.lock().take_if(|current| !current.is_last);
    }
}

/// The restriction failed here, so the forkserver that took it on is stricter than this process: the next call
/// starts another.
pub(crate) fn not_restricted(server: &Arc<Forkserver>) {
    if let Ok(state) = state() {
        state.forget(server);
    }
}

fn current_with(args: &[CString]) -> Result<Arc<Forkserver>, StartError> {
    let state = state()?;
    let cell = state.cell_for(state.identity()?)?;
    cell.get_or_try_init(|| Forkserver::start(args).map(Arc::new)).cloned()
}

impl State {
    fn new() -> State {
        close_inherited();
        State { process: std::process::id(), current: Mutex::new(None), leader: open_leader_status() }
    }

    fn identity(&self) -> Result<Identity, StartError> {
        Identity::of_caller(self.leader.as_ref()).map_err(system("who this process is"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server of another identity goes when its last call is over.
    fn cell_for(&self, identity: Identity) -> Result<Arc<Cell>, StartError> {
        let mut current = self.lock();
        match &*current {
            Some(known) if known.identity == identity => Ok(Arc::clone(&known.cell)),
            Some(known) if known.is_last => Err(StartError::Changed),
            _ => {
                let new = Current { identity, cell: Arc::default(), is_last: false };
                Ok(Arc::clone(&current.insert(new).cell))
            }
        }
    }

    fn forget(&self, server: &Arc<Forkserver>) {
        self.lock().take_if(|current| current.is(server));
    }
}

impl Current {
    fn is(&self, server: &Arc<Forkserver>) -> bool {
        self.cell.get().is_some_and(|known| Arc::ptr_eq(known, server))
    }
}

/// In a forked child: the parent's control socket is none of its business. It is recognised by its inode, since
/// the child may have closed it and opened something else.
fn close_inherited() {
    let (control, inode) = (CONTROL.0.load(Ordering::Acquire), CONTROL.1.load(Ordering::Acquire));
    // Several threads may come here at once, the last when the first has a forkserver already.
    let is_ours = control == 0 || control >> 32 == u64::from(std::process::id());
    if is_ours || CONTROL.0.compare_exchange(control, 0, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return;
    }
    // The lower half is the number.
    if let Ok(fd) = sys::process::take_fd((control as u32).cast_signed()) {
        match rustix::fs::fstat(&fd) {
            Ok(stat) if stat.st_ino == inode => drop(fd),
            _ => std::mem::forget(fd),
        }
    }
}

/// This process's id and a descriptor's number.
fn owned(fd: &OwnedFd) -> u64 {
    u64::from(std::process::id()) << 32 | u64::from(fd.as_raw_fd().unsigned_abs())
}

impl Forkserver {
    fn start(args: &[CString]) -> Result<Forkserver, StartError> {
        let Started { control, image, kernel } = start::start(args)?;
        let server = Forkserver {
            control,
            image,
            kernel,
            namespaces: Mutex::default(),
            restrictions: AtomicU32::new(0),
        };
        let stat = rustix::fs::fstat(&server.control).map_err(system("the forkserver's socket"))?;
        CONTROL.1.store(stat.st_ino, Ordering::Release);
        CONTROL.0.store(owned(&server.control), Ordering::Release);
        Ok(server)
    }

    /// What the forkserver sees of the kernel.
    pub(crate) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Whether it took on what `in_place` did.
    pub(crate) fn is_restricted(&self) -> bool {
        self.restrictions.load(Ordering::SeqCst) > 0
    }

    /// Where the executable's code is in this process.
    pub(crate) fn image(&self) -> &'static Image {
        self.image
    }

    /// Asks for a template; `None` if the forkserver is gone, which is then forgotten.
    pub(crate) fn template(
        self: &Arc<Self>,
        setup: &Setup,
        slots: &OwnedFd,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Option<Template>, StartError> {
        let restrictions = self.restrictions.load(Ordering::SeqCst);
        let (control, theirs) = pair()?;
        let fds = [&[theirs.as_fd(), slots.as_fd()], fds].concat();
        match message::send(self.control.as_fd(), &Request::Template(Box::new(setup.clone())), &fds) {
            Ok(()) => Ok(Some(Template { control, server: Arc::clone(self), restrictions })),
            Err(Errno::PIPE | Errno::CONNRESET) => {
                state()?.forget(self);
                Ok(None)
            }
            Err(errno) => Err(system("asking for a template")(errno)),
        }
    }

    /// Has an observer forked, which waits at its end of a link.
    pub(crate) fn observer(self: &Arc<Self>, task: &Task, fds: &[BorrowedFd<'_>]) -> Result<(), StartError> {
        self.observe(&Request::Observe(task.clone()), fds)
    }

    /// As [`observer`](Forkserver::observer), for one that learns.
    #[cfg(feature = "learn")]
    pub(crate) fn learner(
        self: &Arc<Self>,
        task: &crate::learn::Task,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), StartError> {
        self.observe(&Request::Learn(task.clone()), fds)
    }

    fn observe(self: &Arc<Self>, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<(), StartError> {
        match message::send(self.control.as_fd(), request, fds) {
            Ok(()) => Ok(()),
            Err(Errno::PIPE | Errno::CONNRESET) => {
                state()?.forget(self);
                Err(StartError::Gone)
            }
            Err(errno) => Err(system("asking for an observer")(errno)),
        }
    }

    /// Whether a worker can be put into namespaces of its own: asked once, since it takes a trial.
    pub(crate) fn namespaces(self: &Arc<Self>) -> Result<HasNamespaces, StartError> {
        let mut known = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let answer = self.probe()?;
        if let Err(why) = &answer {
            log::warn!("`namespaces` cannot be had here: {why}");
        }
        Ok(known.insert(answer).clone())
    }

    fn probe(self: &Arc<Self>) -> Result<HasNamespaces, StartError> {
        let failed = "asking for namespaces";
        let (answer, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(system(failed))?;
        match message::send(self.control.as_fd(), &Request::Probe, &[theirs.as_fd()]) {
            Ok(()) => {}
            Err(Errno::PIPE | Errno::CONNRESET) => {
                state()?.forget(self);
                return Err(StartError::Gone);
            }
            Err(errno) => return Err(system(failed)(errno)),
        }
        drop(theirs);
        let mut bytes = Vec::new();
        File::from(answer).read_to_end(&mut bytes).map_err(system(failed))?;
        // No refusal: it could not be forked, or was killed. The next call tries again.
        let silence = |_| StartError::NotServing("the trial of namespaces ended without an answer".into());
        postcard::from_bytes(&bytes).map_err(silence)
    }

    /// After a template that ended: its sockets are closed before what dies with it does. One that lives is kept, since
    /// it may be irreplaceable.
    pub(crate) fn forget_if_gone(self: &Arc<Self>) {
        let mut hangup = [PollFd::new(&self.control, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if let (Ok(1), Ok(state)) = (poll(&mut hangup, Some(&now)), state()) {
            state.forget(self);
        }
    }

    /// After a call whose deadline it did not keep: it is stopped, or worse. The next call starts another, if one can
    /// be started.
    pub(crate) fn give_up(self: &Arc<Self>) {
        if let Ok(state) = state() {
            state.lock().take_if(|current| current.is(self) && !current.is_last);
        }
    }

    fn restrict(&self, locks: &Locks) -> Result<(), StartError> {
        let fds: Vec<_> = locks.ruleset.iter().map(AsFd::as_fd).collect();
        let request = Request::Restrict { ruleset: locks.ruleset.is_some(), filter: locks.filter.clone() };
        match message::send(self.control.as_fd(), &request, &fds) {
            Ok(()) => {}
            Err(Errno::PIPE | Errno::CONNRESET) => return Err(StartError::Gone),
            Err(errno) => return Err(system("restricting the forkserver")(errno)),
        }
        wait_for_message(&self.control);
        match message::receive::<Restricted>(self.control.as_fd(), RecvFlags::DONTWAIT) {
            Ok(Some((Ok(()), _))) => {
                self.restrictions.fetch_add(1, Ordering::SeqCst);
                // A domain of Landlock's lets nobody mount.
                *self.namespaces.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Ok(())
            }
            Ok(Some((Err(why), _))) => Err(StartError::NotServing(why)),
            Ok(None) | Err(Errno::CONNRESET) => Err(StartError::Gone),
            Err(errno) => Err(system("restricting the forkserver")(errno)),
        }
    }
}

impl Template {
    /// Where it came from.
    pub(crate) fn server(&self) -> &Arc<Forkserver> {
        &self.server
    }

    /// Whether it came from this forkserver, as it is now.
    pub(crate) fn is_of(&self, server: &Arc<Forkserver>) -> bool {
        Arc::ptr_eq(&self.server, server) && self.restrictions == server.restrictions.load(Ordering::SeqCst)
    }

    /// Opens a slot, where a worker is forked. Descriptors: as the message says.
    pub(crate) fn open(&self, slot: Number, fds: &[BorrowedFd<'_>]) -> Result<(), Ended> {
        self.send(TemplateRequest::Open(slot), fds)
    }

    /// Has a worker forked into an open slot that has none.
    pub(crate) fn fork(&self, slot: Number) -> Result<(), Ended> {
        self.send(TemplateRequest::Fork(slot), &[])
    }

    /// Ends the worker of a slot, and forgets the slot.
    pub(crate) fn close(&self, slot: Number) -> Result<(), Ended> {
        self.send(TemplateRequest::Close(slot), &[])
    }

    /// Says that it should look at the states of slots: what the host is through with ends.
    pub(crate) fn look(&self) -> Result<(), Ended> {
        self.send(TemplateRequest::Look, &[])
    }

    /// Has memory made at hand for the first bytes of a file, which has this number in the slots.
    pub(crate) fn touch(&self, number: u32, length: u64, file: BorrowedFd<'_>) -> Result<(), Ended> {
        self.send(TemplateRequest::Touch { number, length }, &[file])
    }

    /// It reads all the time, so whatever fails says that it does not any more.
    fn send(&self, request: TemplateRequest, fds: &[BorrowedFd<'_>]) -> Result<(), Ended> {
        message::send(self.control.as_fd(), &request, fds).map_err(|_| Ended)
    }

    pub(crate) fn has_ended(&self) -> bool {
        let mut hangup = [PollFd::new(&self.control, PollFlags::empty())];
        matches!(poll(&mut hangup, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..))
    }
}

thread_local! {
    /// In which process this thread was found to be in no sandbox of ours. It gets into one only as a new thread, or in
    /// a new process.
    static FREE_IN: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Whether this process is a worker, or the calling thread in a sandbox of ours: from there no worker can be
/// asked for.
pub(crate) fn is_out_of_reach() -> Result<bool, Ambiguous> {
    let process = process_of_state();
    if process != 0 && FREE_IN.get() == process {
        return Ok(false);
    }
    let is_inside = is_inside(Placement::Process)? || is_inside(Placement::Thread)?;
    FREE_IN.set(if is_inside { 0 } else { process });
    Ok(is_inside)
}

/// A number of this process, known without a system call; 0 where it has no state yet.
fn process_of_state() -> u32 {
    STATE.get().map_or(0, |state| state.process)
}
