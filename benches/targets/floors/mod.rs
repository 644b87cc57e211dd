//! The bare mechanisms: nothing but what a call cannot do without. The other side of each is this program again, so
//! that nothing is forked from a process that has more.
#![allow(unsafe_code)] // a bench's own: shared memory, and a fork as in C

mod filter;
pub mod forkserver;
mod page;
pub mod ping_pong;
pub mod shared_memory;

use crate::ROLE;
use rustix::process::{Signal, set_parent_process_death_signal};
use std::env;
use std::error::Error;
use std::io;
use std::process::{Child, Command, Stdio};

/// The other side, which ends with this value.
struct Peer(Child);

impl Peer {
    fn start(role: &str, stdin: impl Into<Stdio>, stdout: impl Into<Stdio>) -> io::Result<Peer> {
        let mut command = Command::new(env::current_exe()?);
        Ok(Peer(command.arg(format!("{ROLE}{role}")).stdin(stdin).stdout(stdout).spawn()?))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // One that has ended needs no killing.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// As the other side.
pub fn serve(floor: &str) -> Result<(), Box<dyn Error>> {
    // One that waits for a futex would not see that nobody is left to ring.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    match floor {
        ping_pong::FUTEX => ping_pong::serve_futex()?,
        ping_pong::EVENTFD => ping_pong::serve_eventfd()?,
        shared_memory::ROLE => shared_memory::serve()?,
        forkserver::ROLE => forkserver::serve()?,
        _ => return Err(format!("no such role: {floor}").into()),
    }
    Ok(())
}
