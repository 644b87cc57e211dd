//! A round trip to another process that does nothing, by the two cheapest ways to wake one.

use super::Peer;
use super::page::Page;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{read, write};
use std::io;

pub const FUTEX: &str = "futex";
pub const EVENTFD: &str = "eventfd";

pub struct Futex {
    page: &'static Page,
    _peer: Peer,
}

impl Futex {
    pub fn start() -> io::Result<Futex> {
        let (page, _peer) = Page::shared_with(FUTEX)?;
        Ok(Futex { page, _peer })
    }

    pub fn round(&self) {
        self.page.ask();
    }
}

pub fn serve_futex() -> io::Result<()> {
    Page::of_starter()?.serve(|| {})
}

pub struct Eventfd {
    there: OwnedFd,
    back: OwnedFd,
    _peer: Peer,
}

impl Eventfd {
    pub fn start() -> io::Result<Eventfd> {
        let (there, back) = (eventfd(0, EventfdFlags::CLOEXEC)?, eventfd(0, EventfdFlags::CLOEXEC)?);
        let peer = Peer::start(EVENTFD, there.try_clone()?, back.try_clone()?)?;
        Ok(Eventfd { there, back, _peer: peer })
    }

    pub fn round(&self) {
        ring(&self.there).and_then(|()| wait(&self.back)).expect("an eventfd counts");
    }
}

pub fn serve_eventfd() -> io::Result<()> {
    loop {
        wait(io::stdin())?;
        ring(io::stdout())?;
    }
}

fn ring(eventfd: impl AsFd) -> rustix::io::Result<()> {
    write(eventfd, &1_u64.to_ne_bytes()).map(drop)
}

fn wait(eventfd: impl AsFd) -> rustix::io::Result<()> {
    read(eventfd, &mut [0_u8; 8]).map(drop)
}
