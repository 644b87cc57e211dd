//! The only place with `unsafe`: one file for each kernel or loader facility that no library wraps safely.

#[macro_use]
pub(crate) mod startup;

pub(crate) mod each_thread;
pub(crate) mod fork_mark;
pub(crate) mod image;
pub(crate) mod landlock;
pub(crate) mod namespaces;
pub(crate) mod plain;
pub(crate) mod process;
pub(crate) mod ptrace;
pub(crate) mod seccomp;
pub(crate) mod shared;
#[cfg(all(test, loom))]
pub(crate) mod shared_model;
pub(crate) mod signalfd;
pub(crate) mod spawn;
pub(crate) mod stack;

/// What host, worker and template share: [`shared`], and in models of what they do at once what loom knows of it.
pub(crate) mod words {
    #[cfg(not(all(test, loom)))]
    pub(crate) use super::shared::*;
    #[cfg(all(test, loom))]
    pub(crate) use super::shared_model::*;
}
