//! The forkserver: a small process of the same executable that forks templates, which fork workers and watch over them.
//!
//! [`start`] runs the executable again, for the [`host`]; [`serve`] recognises that before `main`, and the [`server`]
//! forks a [`template`] for each kind of worker. They speak [`message`]s. [`identity`] tells when a host has changed so
//! much that its server no longer fits.

mod children;
mod host;
mod identity;
mod message;
mod serve;
mod server;
mod start;
mod stock;
mod template;
mod watch;

pub(crate) use host::{
    Ended, Forkserver, Template, current, current_by_credentials, forget, is_out_of_reach, not_restricted,
    restrict_first, restricted, start_for_program,
};
pub(crate) use message::{End, HasNamespaces, Report};
pub(crate) use start::StartError;
