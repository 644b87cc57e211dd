//! Memory that two processes share, with a futex by which they take turns.

use super::Peer;
use rustix::fd::AsFd;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::thread::futex;
use std::cell::UnsafeCell;
use std::io::{self, Read, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

pub const ROOM: usize = 64 << 10;

/// Zero is valid for all of it, and so is what any process writes there.
#[repr(C)]
pub struct Page {
    /// Odd while the worker has the turn.
    turn: AtomicU32,
    pub answer: AtomicU32,
    bytes: UnsafeCell<[u8; ROOM]>,
}

impl Page {
    /// A page, and the process that serves it.
    pub fn shared_with(role: &str) -> io::Result<(&'static Page, Peer)> {
        let memory = memfd_create("floor", MemfdFlags::CLOEXEC)?;
        ftruncate(&memory, size_of::<Page>() as u64)?;
        let page = Page::map(&memory)?;
        let mut peer = Peer::start(role, memory, Stdio::piped())?;
        let mut ready = [0];
        peer.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?.read_exact(&mut ready)?;
        Ok((page, peer))
    }

    /// The page of the process that started this one.
    pub fn of_starter() -> io::Result<&'static Page> {
        let page = Page::map(io::stdin())?;
        let mut stdout = io::stdout();
        stdout.write_all(b"!")?;
        stdout.flush()?;
        Ok(page)
    }

    /// For as long as the process lives.
    fn map(memory: impl AsFd) -> io::Result<&'static Page> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe { mmap(std::ptr::null_mut(), size_of::<Page>(), access, flags, memory, 0) }?;
        // SAFETY: the mapping is as long as a page, aligned to one of the machine's, and never unmapped; the file is as
        // long and is not shortened; all of what it may hold is valid, and what changes is atomic or in a cell.
        Ok(unsafe { &*base.cast::<Page>() })
    }

    /// Gives the worker the turn, and waits until it has given it back.
    pub fn ask(&self) {
        let asked = self.turn.load(Ordering::Relaxed).wrapping_add(1);
        self.pass(asked);
        self.wait_while(asked);
    }

    /// For ever: waits for the turn, takes it, gives it back.
    pub fn serve(&self, turn: impl Fn()) -> ! {
        loop {
            let seen = self.turn.load(Ordering::Acquire);
            if seen.is_multiple_of(2) {
                self.wait_while(seen);
            } else {
                turn();
                self.pass(seen.wrapping_add(1));
            }
        }
    }

    fn pass(&self, turn: u32) {
        self.turn.store(turn, Ordering::Release);
        futex::wake(&self.turn, futex::Flags::empty(), 1).expect("the futex is there");
    }

    fn wait_while(&self, turn: u32) {
        while self.turn.load(Ordering::Acquire) == turn {
            // Woken, interrupted, or too late to wait: the value tells.
            futex::wait(&self.turn, futex::Flags::empty(), turn, None).unwrap_or_default();
        }
    }

    /// Only who has the turn.
    pub fn copy_in(&self, bytes: &[u8]) {
        assert!(bytes.len() <= ROOM);
        // SAFETY: it fits, and is no part of the page; the other side does not touch it, since we have the turn.
        unsafe { self.bytes.get().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// Only who has the turn, and while it has.
    pub fn bytes(&self) -> &[u8; ROOM] {
        // SAFETY: mapped for as long as the process lives; the other side does not write, since we have the turn.
        unsafe { &*self.bytes.get() }
    }
}
