//! The forkserver: a small process of the same executable that forks workers and watches over them.
//!
//! [`start`] runs the executable again, for the [`host`]; [`serve`] recognises that before `main`. Host and
//! server speak [`message`]s. [`identity`] tells when a host has changed so much that its server no longer fits.

mod host;
mod identity;
mod message;
mod serve;
mod server;
mod start;
mod watch;

pub(crate) use host::{
    Forkserver, Worker, current, is_out_of_reach, not_restricted, restrict_first, restricted,
    start_for_program,
};
pub(crate) use message::{End, HasNamespaces, Report};
pub(crate) use start::StartError;
